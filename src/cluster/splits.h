/*-------------------------------------------------------------------------
 *
 * splits.h
 *	  Splits: the records that say what was written apart, and what people see
 *	  of them.
 *
 * A split from a member begins when nobody whom we reach can reach it and it
 * was declared down, or has not been reached for more than twice peer_timeout
 * though we hear it; it is written back by peer_timeout plus two heartbeats
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
 * The record and what opens and ends it are in splits.c, the history and what is
 * said of it in splitlog.c, its file in splitfile.c.  The file is the writer's,
 * so that no fsync holds up heartbeats:
 *
 *	u32 magic "CCS1", u32 version 1, u8 node[16], u64 next id, u32 n, n rows
 *	(encode_row), u32 CRC-32C of all that
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

#define CC_SPLITS_FILE		"pgsql_tmp.splits"
#define CC_SPLITS_TEMP		"pgsql_tmp.splits.new"

typedef struct CcSplit
{
	uint64		id;				/* from 1, rises over restarts too; 0: a first
								 * meeting that nobody sees, as nothing was in
								 * conflict */
	CcNodeId	peer;			/* who could not be reached */
	bool		meeting;		/* we had never met: no split that anybody lived
								 * through */
	char		peer_name[CC_NAME_LEN];
	char		island[2][CC_ISLAND_LEN];	/* names, each with a newline
											 * behind it, cut where they are
											 * too many: ours, and the members
											 * that could not be reached */
	int64		began_at;		/* ms since 1970; 0: ever (meeting) */
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

	/* of the record; written by the replicator, but for the first */
	pg_atomic_uint64 loaded;	/* where open intervals of our last life end;
								 * 0: they have, or there was none */
	pg_atomic_uint64 ready;		/* HLC since when we are ready; 0: we are not */
	uint64		marked;			/* intervals that had ended by then may go when
								 * all have seen members->mark; 0: no mark */
	int64		tell_at;		/* monotonic ms from when what came of the splits
								 * that ended last may be told; 0: it was */
	int64		ended_at;		/* ms since 1970 when the first of them ended */

	/* the history, under the lock */
	pg_atomic_uint32 dirty;		/* not in the file yet */
	int64		saved_at;		/* monotonic ms; the writer's */
	uint64		next_id;
	uint64		logged;			/* rows up to this id are in the log */
	int			cap;
	int			n;				/* oldest first */
	CcSplit		split[FLEXIBLE_ARRAY_MEMBER];
} CcSplitsShared;

/* cap is CC_MAX_SPLITS but in tests.  Init makes it cc.splits. */
extern Size cc_splits_size(int cap);
extern void cc_splits_init(void *mem, int cap);

/*
 * After the files were loaded, by the writer, before the phase leaves LOADING:
 * reads the history; what was open in our record ends at the HLC of the clock's
 * bound, with the next change of the record.
 */
extern void cc_splits_load(void);

/*
 * Writes the history's file, when it changed and a second has passed (or now:
 * the last time).  By the writer.
 */
extern void cc_splits_save(int64 now, bool at_once);

/* The node is ready since now: what began before was not its to see. */
extern void cc_splits_ready(void);

/*
 * Follows the component: opens, closes and prunes; writes our record when it
 * changed.  By the replicator, after cc_reach_update.
 */
extern void cc_splits_update(int64 now, int64 peer_timeout, int64 heartbeat);

/*
 * A member is new to us: apart since ever.  By whoever noted it
 * (membership.c), no lock held.
 */
extern void cc_splits_meet(const CcNodeId *peer);

/*
 * What became of a conflict with what this node wrote, or that a merge function
 * deferred it.  Cheap, may be called under a partition's lock.
 */
extern void cc_splits_count_fate(const CcNodeId *writer, CcFate fate);
extern void cc_splits_count_deferred(const CcNodeId *writer);

/*
 * A conflict with what this node wrote waits: when it came of a first meeting
 * people see that from now on.  No lock is held.
 */
extern void cc_splits_show(const CcNodeId *writer);

/* The i-th of the history, oldest first; false: there are not so many. */
extern bool cc_splits_get(int i, CcSplit *s);

/* ---- between splits.c and splitlog.c ---- */

/* A peer, as cc_splits_update has found it. */
typedef struct CcSplitPeer
{
	CcNodeId	id;
	char		name[CC_NAME_LEN];	/* or its address, or its id */
	bool		reached;
	bool		out;			/* cannot be reached, for long enough */
	uint64		from;			/* HLC: out of reach since, at the latest */
	int64		away_ms;		/* ms since when, for people */
} CcSplitPeer;

typedef struct CcSplitPeers
{
	int			n;
	char		own_name[CC_NAME_LEN];
	CcSplitPeer peer[CC_MAX_MEMBERS];
} CcSplitPeers;

/* Begins and ends rows of the history, and tells of it. */
extern void cc_splits_note(const CcSplitPeers *peers);

/* Begins the row of a meeting, which is seen when conflicts come of it. */
extern void cc_splits_note_meeting(const CcNodeId *peer, const char *name);

/*
 * Whether there is room for another row of the history, now that one that
 * nobody sees any more or the oldest that ended has gone.  Under splits->lock.
 */
extern bool cc_splits_make_room(void);

/*
 * Tells what came of the splits that ended last, once that can be told.
 */
extern void cc_splits_tell(int64 now);

#endif							/* CC_SPLITS_H */
