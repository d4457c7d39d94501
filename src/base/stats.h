/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  Counters of what was asked of this node, and what its writer measures.
 *
 * Every process adds to a slot of its own, without a lock and without an
 * atomic addition; the views sum all slots.  Slots are never zeroed: a reset
 * remembers the sums of its moment, and the views subtract them.
 *
 * A slot has a few places for namespaces.  A process that uses more of them
 * folds the place that it has not used for longest into words that all share,
 * and gives it to the next namespace.  So a process that stays with a few
 * namespaces never writes to memory that another writes to.
 *
 * Locking: slots belong to their process, the gauges to the writer, the base
 * is under stats->lock, which is a leaf.  Words are atomic, so that they are
 * read whole; how a place is read while it changes hands stands at
 * CcStatsPlaceShared.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_STATS_H
#define CC_STATS_H

#include "base/port.h"

typedef enum CcStat
{
	CC_STAT_HITS,				/* reads that found a live entry */
	CC_STAT_MISSES,
	CC_STAT_PUTS,				/* local writes of a value, increments too */
	CC_STAT_DELETES,			/* local deletes of what was there */
	CC_NPLACE_STATS,			/* those before are counted by namespace too */

	CC_STAT_REJECTED = CC_NPLACE_STATS, /* local writes that were refused by
										 * an error */
	CC_NSLOT_STATS,

	/* counted by the store under its locks; here for the reset */
	CC_STAT_EVICTIONS = CC_NSLOT_STATS,
	CC_STAT_EXPIRATIONS,
	CC_NSTATS
} CcStat;

/* Counters of a namespace, as the views show them */
typedef enum CcNamespaceStat
{
	/* CC_STAT_HITS to CC_STAT_DELETES, and */
	CC_NS_STAT_EVICTIONS = CC_NPLACE_STATS,
	CC_NS_STAT_EXPIRATIONS,
	CC_NS_STAT_DECIDED,			/* conflicts */
	CC_NNS_STATS
} CcNamespaceStat;

typedef struct CcNamespaceCounts
{
	uint64		n[CC_NNS_STATS];
} CcNamespaceCounts;

#define CC_STATS_PLACES		8
#define CC_STATS_NO_NS		UINT32_MAX	/* of an empty place */

/*
 * What a process has counted for one namespace and not folded yet.  Written by
 * its process alone: seq is odd while the place changes hands.  Folding adds
 * the counts to CcStatsShared.folded after seq has become odd and zeroes them
 * before it is even again.  So a reader who has found seq of all places even,
 * and the same before and after, and the folded words of a namespace the same
 * before and after all places, has seen each of its counts once.
 */
typedef struct CcStatsPlaceShared
{
	pg_atomic_uint32 seq;
	pg_atomic_uint32 ns;		/* changes only while seq is odd */
	pg_atomic_uint64 n[CC_NPLACE_STATS];
} CcStatsPlaceShared;

/* Whole cache lines, so that processes do not disturb each other. */
typedef struct CcStatsSlotShared
{
	pg_atomic_uint64 n[8];		/* CC_NSLOT_STATS of them: of the node */
	CcStatsPlaceShared place[CC_STATS_PLACES];
} CcStatsSlotShared;

typedef struct CcStatsShared
{
	CcLock		lock;
	int64		reset_at;		/* wall clock ms; under lock */
	uint64		base[CC_NSTATS];	/* sums at that moment; under lock */
	Size		ns_base;		/* offset from here: CcNamespaceCounts by
								 * namespace, likewise */
	Size		folded;			/* offset from here: pg_atomic_uint64
								 * [nnamespaces][CC_NPLACE_STATS], added to by
								 * whoever folds */

	int64		started_at;		/* wall clock ms; constant */

	/*
	 * Gauges, written by the writer alone (but journal_bytes and snapshot_at
	 * by whoever loads or saves for it); 0: nothing yet.
	 */
	pg_atomic_uint64 journal_bytes; /* of all journals that a load would read */
	pg_atomic_uint64 snapshot_at;	/* wall clock ms of the last that ended */
	pg_atomic_uint64 load_ms;	/* how long the files took at start */
	pg_atomic_uint64 expiration_lag_ms; /* cc_expire_lag, as of swept_at */
	pg_atomic_uint64 swept_at;	/* monotonic ms of the sweep's last tick */

	uint32		nnamespaces;	/* constant; so many can be counted for */
	uint32		nslots;			/* constant */
	Size		slots;			/* offset from here, of CcStatsSlotShared */
} CcStatsShared;

extern Size cc_stats_size(uint32 nslots, uint32 nnamespaces);
extern void cc_stats_init(void *mem, uint32 nslots, uint32 nnamespaces);
extern void cc_stats_attach(void *mem);

/* Adds to the slot of this process.  May be called under any lock. */
extern void cc_stats_add(CcStat which, uint64 n);

/* The slot of this process, and the place in it that was used last. */
typedef struct CcStatsMine
{
	CcStatsSlotShared *slot;	/* NULL: not looked for yet */
	CcStatsPlaceShared *place;
	uint32		ns;				/* of place; CC_STATS_NO_NS: there is none */
} CcStatsMine;

extern CcStatsMine cc_stats_mine;

extern void cc_stats_count_elsewhere(CcStat which, uint16 ns, uint64 n);

/* One writer, so no atomic addition is needed. */
static inline void
cc_stats_bump(pg_atomic_uint64 *counter, uint64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

/*
 * Same, for what concerns a namespace (hits, misses, puts, deletes): counts
 * for the node and for the namespace, in words of this process.
 */
static inline void
cc_stats_count(CcStat which, uint16 ns, uint64 n)
{
	Assert(which < CC_NPLACE_STATS);
	if (likely(ns == cc_stats_mine.ns))
	{
		cc_stats_bump(&cc_stats_mine.slot->n[which], n);
		cc_stats_bump(&cc_stats_mine.place->n[which], n);
	}
	else
		cc_stats_count_elsewhere(which, ns, n);
}

/* Sums of the slots, for the first CC_NSLOT_STATS of sum. */
extern void cc_stats_sum(uint64 sum[CC_NSTATS]);

/*
 * The same by namespace, of those below n, for the first CC_NPLACE_STATS of
 * each.  Where one is folded all the time, or who folds it is stopped in the
 * middle, some of its counts may be missing from one result; they are in the
 * next.
 */
extern void cc_stats_sum_namespaces(CcNamespaceCounts *sum, uint32 n);

/*
 * Subtract what the last reset remembered; the first returns its time.
 */
extern int64 cc_stats_since_reset(uint64 sum[CC_NSTATS]);
extern void cc_stats_namespaces_since_reset(CcNamespaceCounts *sum, uint32 n);

/* Makes these sums, of this moment, the zero. */
extern void cc_stats_reset(const uint64 sum[CC_NSTATS],
						   const CcNamespaceCounts *ns_sum, uint32 n);

#endif							/* CC_STATS_H */
