/*-------------------------------------------------------------------------
 *
 * splits.h
 *	  Splits: the records that say what was written apart, and what people see
 *	  of them.
 *
 * A split from a member begins when nobody whom we reach can reach it and it
 * was declared down; it is written back by peer_timeout plus two heartbeats
 * from when it was last reached, but not beyond when we became ready.  It ends
 * when it is reached again.  With a member that is met for the first time it
 * began ever.  At our start what was open ends where our knowledge ends, our
 * clock's bound.  That is our split record (cache/apart.h), which is an entry
 * that travels; intervals that ended leave it when all that was written in
 * them is stable.
 *
 * Beside it a history for cache_splits: the open ones and the last that ended,
 * with islands and what became of conflicts, in shared memory and in a file of
 * its own.  It decides nothing.
 *
 * Logged and told as events (SPLIT, HEAL): when a split is detected, with both
 * islands; when it is over, with how many conflicts there are and what is left
 * to do, with the statement to do it.
 *
 * Locking: members->lock, then splits->lock for the history, a leaf.
 *
 * May include: base/, cache/, membership.h, reach.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SPLITS_H
#define CC_SPLITS_H

#include "cache/conflict.h"
#include "cluster/reach.h"

#define CC_MAX_SPLITS		(100 + CC_MAX_MEMBERS)
#define CC_ISLAND_LEN		256

typedef struct CcSplit
{
	uint64		id;				/* from 1, rises over restarts too; 0: unused */
	CcNodeId	peer;			/* who could not be reached */
	char		peer_name[CC_NAME_LEN];
	char		island[2][CC_ISLAND_LEN];	/* names, each with a newline
											 * behind it, cut where they are
											 * too many: ours, and the members
											 * that could not be reached */
	int64		began_at;		/* ms since 1970 */
	int64		detected_at;
	int64		healed_at;		/* 0: it is open */
	uint64		conflicts;		/* conflicts with what it wrote */
	uint64		kept_ours;
	uint64		kept_theirs;
	uint64		merged;
	uint64		deleted;
	uint64		deferred;
} CcSplit;

typedef struct CcSplitsShared
{
	CcLock		lock;
	uint64		next_id;
	int			cap;
	int			n;				/* oldest first */
	CcSplit		split[FLEXIBLE_ARRAY_MEMBER];
} CcSplitsShared;

/* cap is CC_MAX_SPLITS but in tests.  Init makes it cc.splits. */
extern Size cc_splits_size(int cap);
extern void cc_splits_init(void *mem, int cap);

/*
 * After the files were loaded, by the writer: reads the history; ends what was
 * open in our record at the HLC of the clock's bound.
 */
extern void cc_splits_load(void);

/* The node is ready since now: what began before was not its to see. */
extern void cc_splits_ready(void);

/*
 * Follows the component: opens, closes and prunes; writes our record when it
 * changed, and the history's file.  By the replicator, after cc_reach_update.
 */
extern void cc_splits_update(int64 now, int64 peer_timeout, int64 heartbeat);

/* We meet a node for the first time: apart since ever.  From cc_greet_meet. */
extern void cc_splits_meet(const CcNodeId *peer);

/*
 * What became of a conflict with what this node wrote, or that a merge function
 * deferred it.  Cheap, may be called under a partition's lock.
 */
extern void cc_splits_count_fate(const CcNodeId *writer, CcFate fate);
extern void cc_splits_count_deferred(const CcNodeId *writer);

/* The i-th of the history, oldest first; false: there are not so many. */
extern bool cc_splits_get(int i, CcSplit *s);

#endif							/* CC_SPLITS_H */
