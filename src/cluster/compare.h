/*-------------------------------------------------------------------------
 *
 * compare.h
 *	  The receiving half of a full comparison (PROTOCOL.md section 3): what a
 *	  digest takes away.
 *
 * Locking: one partition's lock at a time; none is held on return.
 *
 * May include: base/, cache/, proto.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_COMPARE_H
#define CC_COMPARE_H

#include "cluster/proto.h"

/* Bytes of one key of a digest */
#define CC_DIGEST_KEY	(16 + 8 + 2 + 8 + 2 + 1)

/*
 * Reads the body of a 'D' record and judges our entries in its range by it;
 * v is the comparison's V.  epoch: see CcChange.guard.
 */
extern CcStatus cc_compare_digest(CcDecoder *dec, const CcVV *v, uint64 epoch);

#endif							/* CC_COMPARE_H */
