/*-------------------------------------------------------------------------
 *
 * evict.h
 *	  What goes when memory is full, and how anything is forgotten.
 *
 * SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI 2024): a queue in
 * the order of insertion and a hand that moves from the oldest to the newest,
 * clears the visited bit of those that were read, and evicts the first that
 * was not.  A hit sets a bit, and takes no write lock.
 *
 * Keys in conflict go last of all, when no value and no stub is left to give,
 * first their values and then what remains of them.
 *
 * Namespaces with a bound of their own (max_memory) have a queue of their own
 * in each partition, all others have one in common.  When a partition is full
 * each queue gives in proportion to what it holds; when a namespace is beyond
 * its bound only its own queues give.
 *
 * PROTOCOL.md, what goes and bound: a stable entry is removed; an unstable
 * one becomes a stub.  Stubs have a bound of an eighth of the partition; past
 * it the oldest go even if unstable, those beyond VVj last, and only after
 * the files were marked.  The search for something stable is bounded, so no
 * put costs more the more entries there are.
 *
 * Locking: the partition's lock is held exclusively by the caller, but for
 * cc_evict_namespace, which takes it.
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
 * Forgets an entry, and all that stands beside it, for good: raises G of the
 * origins and F of its slice, then removes it (PROTOCOL.md, what goes).  Not for
 * entries below a horizon.
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

/* Whether the namespace holds more than its max_memory. */
static inline bool
cc_evict_over(uint16 ns)
{
	CcNamespaceShared *n = cc_namespace(ns);
	uint64		bound = pg_atomic_read_u64(&n->max_chunks);

	return bound != 0 &&
		(int64) pg_atomic_read_u64(&n->chunks) > (int64) bound;
}

/*
 * Evicts in a namespace that is over, until it is not: first in the partition
 * of hash, where an entry of this hash is spared unless the bound has no room
 * for it alone, then going round the others once at most.  So many values go
 * at most as chunks were stored, and some more, so that a bound that was
 * lowered is reached step by step.  No lock may be held, one partition's is
 * taken at a time; allocates nothing and raises no error.
 */
extern void cc_evict_namespace(uint16 ns, uint64 hash, uint32 chunks,
							   uint32 more);

/* For whoever has stored something */
#define CC_EVICT_MORE	32

#endif							/* CC_EVICT_H */
