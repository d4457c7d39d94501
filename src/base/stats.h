/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  Counters of what was asked of this node, and what its writer measures.
 *
 * Every process adds to a slot of its own, without a lock and without an
 * atomic addition; the views sum all slots.  Slots are never zeroed: a reset
 * remembers the sums of its moment, and the views subtract them.
 *
 * Locking: slots belong to their process, the gauges to the writer, the base
 * is under stats->lock, which is a leaf.
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
	CC_STAT_REJECTED,			/* local writes that were refused by an error */
	CC_NSLOT_STATS,

	/* counted by the store under its locks; here for the reset */
	CC_STAT_EVICTIONS = CC_NSLOT_STATS,
	CC_STAT_EXPIRATIONS,
	CC_NSTATS
} CcStat;

/* A cache line, so that processes do not disturb each other. */
typedef struct CcStatsSlotShared
{
	pg_atomic_uint64 n[8];
} CcStatsSlotShared;

typedef struct CcStatsShared
{
	CcLock		lock;
	int64		reset_at;		/* wall clock ms; under lock */
	uint64		base[CC_NSTATS];	/* sums at that moment; under lock */

	int64		started_at;		/* wall clock ms; constant */

	/*
	 * Gauges, written by the writer alone (but journal_bytes and snapshot_at
	 * by whoever loads or saves for it); 0: nothing yet.
	 */
	pg_atomic_uint64 journal_bytes; /* of all journals that a load would read */
	pg_atomic_uint64 snapshot_at;	/* wall clock ms of the last that ended */
	pg_atomic_uint64 load_ms;	/* how long the files took at start */
	pg_atomic_uint64 expiration_lag_ms; /* CcSweep.lag_ms */

	uint32		nslots;
	CcStatsSlotShared slot[FLEXIBLE_ARRAY_MEMBER];
} CcStatsShared;

extern Size cc_stats_size(uint32 nslots);
extern void cc_stats_init(void *mem, uint32 nslots);
extern void cc_stats_attach(void *mem);

/* Adds to the slot of this process.  May be called under any lock. */
extern void cc_stats_add(CcStat which, uint64 n);

/*
 * Same, for what concerns a namespace (hits, misses, puts, deletes): counts
 * for the node and for the namespace, in words of this process.
 */
extern void cc_stats_count(CcStat which, uint16 ns, uint64 n);

/* Sums of the slots, for the first CC_NSLOT_STATS of sum. */
extern void cc_stats_sum(uint64 sum[CC_NSTATS]);

/* Subtracts what the last reset remembered; returns its time. */
extern int64 cc_stats_since_reset(uint64 sum[CC_NSTATS]);

/* Makes these sums, of this moment, the zero. */
extern void cc_stats_reset(const uint64 sum[CC_NSTATS]);

#endif							/* CC_STATS_H */
