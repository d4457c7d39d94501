/*-------------------------------------------------------------------------
 *
 * exact.h
 *	  Which of the entries of a key stay, in namespaces that keep conflicts
 *	  (PROTOCOL.md, healing: exact, context, races, resolution, settled).
 *
 * The state of a key travels as a whole.  Of what both sides have, the union;
 * of what one side has only, that which the other has not seen.  Whether a side
 * has seen a dot is said by its VV, by the key's context, and by later dots of
 * the same origin among what it holds of the key.
 *
 * Nothing is chosen between entries that were written apart without writing:
 * two nodes might choose differently and each drop the other's.  What was not
 * written apart is a race, of which the higher version stays, everywhere.
 *
 * These functions read the store and write the work, as those of decide.c do;
 * w->ours holds what was there, with values in scratch.
 *
 * Locking: the partition is locked exclusively; nothing here allocates, logs
 * or throws.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EXACT_H
#define CC_EXACT_H

#include "cache/work.h"

/* Whether an entry that comes in is to be taken by exact.c, not by version. */
extern bool cc_exact_wants(CcWork *w);

/* CC_OP_TAKE */
extern CcVerdict cc_exact_take(CcWork *w);

/* CC_OP_LOAD of an entry that has siblings, or over one that has. */
extern CcVerdict cc_exact_load(CcWork *w);

/* CC_OP_STUB and CC_OP_REDOT, where there are siblings; and to ask. */
extern CcVerdict cc_exact_away(CcWork *w);
extern CcVerdict cc_exact_name(CcWork *w);

/* CC_OP_RESOLVE, CC_OP_FAILED */
extern CcVerdict cc_exact_resolve(CcWork *w);
extern CcVerdict cc_exact_failed(CcWork *w);

/*
 * PROTOCOL.md, context and settled: a write of ours, as decide.c has made it,
 * takes the place of all that is there; what of it our VV does not cover yet
 * goes with it as its context.  Needs no memory of the process.
 */
extern void cc_exact_settle(CcWork *w);

#endif							/* CC_EXACT_H */
