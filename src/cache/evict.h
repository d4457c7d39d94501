/*-------------------------------------------------------------------------
 *
 * evict.h
 *	  What goes when memory is full, and how anything is forgotten.
 *
 * SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI 2024): a queue in
 * the order of insertion and a hand that moves from the oldest to the newest,
 * clears the visited byte of those that were read, and evicts the first that
 * was not.  A hit sets a byte, and takes no write lock.
 *
 * PROTOCOL.md, what goes and bound: a stable entry is removed; an unstable
 * one becomes a stub.  Stubs have a bound of an eighth of the partition; past
 * it the oldest go even if unstable, those beyond VVj last, and only after
 * the files were marked.  The search for something stable is bounded, so no
 * put costs more the more entries there are.
 *
 * Locking: the partition's lock is held exclusively by the caller.
 *
 * May include: base/, state.h, floor.h, store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EVICT_H
#define CC_EVICT_H

#include "cache/store.h"

/*
 * Frees chunks until need of them are free, keeping the entry keep (NULL:
 * none) as it is.  False: nothing but stubs beyond VVj may go, and the files are
 * not marked; the caller unlocks, waits for the journal or calls
 * cc_cache_mark_file, and comes again.  With anything such stubs go too: while loading, when all that
 * there is comes from the files.  need is at most what cc_store_max_payload
 * needs.
 */
extern bool cc_evict_make_room(CcPartitionShared *p, uint32 need,
							   CcHeaderShared *keep, bool anything);

/*
 * Forgets an entry for good: raises G of its origin and F of its slice, then
 * removes it (PROTOCOL.md, what goes).  Not for entries below a horizon.
 */
extern void cc_evict_forget(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Whether stubs of the partition may go as far as the files are concerned.
 * What a digest took away keeps its dot, which VVj has long covered; so VVj
 * does not tell whether the files know that the value is gone, and after a
 * crash it would be back under a VV that covers its end.
 */
extern bool cc_evict_settled(CcPartitionShared *p);

/* Forgets the oldest stubs that are past the bound, but none beyond VVj. */
extern void cc_evict_bound(CcPartitionShared *p);

#endif							/* CC_EVICT_H */
