/*-------------------------------------------------------------------------
 *
 * acks.h
 *	  Who has acknowledged what this node wrote: for writes => 'sync'.
 *
 * A write is acknowledged by a peer when the last VV that it is known to have
 * (K, membership.h) covers the write's position in our change log.  As a VV
 * rises only when all below is in (PROTOCOL.md, raise last), the peer serves
 * the write, or something newer, from then on.
 *
 * Locking: members->lock, shared.
 *
 * May include: base/, cache/, membership.h, detector.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_ACKS_H
#define CC_ACKS_H

#include "base/port.h"

typedef struct CcAcks
{
	int			reachable;		/* peers that can be reached ... */
	int			acked;			/* ... and those of them that have it */
} CcAcks;

/*
 * Looks who has the write that took position pos under our origin `origin`.
 * Peers that are down are not counted, and not waited for.
 */
extern void cc_acks_count(uint16 origin, uint64 pos, CcAcks *a);

#endif							/* CC_ACKS_H */
