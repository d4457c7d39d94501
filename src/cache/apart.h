/*-------------------------------------------------------------------------
 *
 * apart.h
 *	  Which writes were made out of reach of each other (PROTOCOL.md, split
 *	  records and apart).
 *
 * Each node keeps, per other member, the intervals of HLC in which no path led
 * there, as a system entry of its own:
 *
 *	key		's' node id
 *	value	u16 n, n times (u8 peer[16], u64 from, u64 to, u64 incarnation,
 *			u64 seq)
 *
 * from 0: they had never met; to 0: it is not over.  Incarnation and seq say
 * what the node had seen of the peer's writes as it began: as `from` is written
 * back, some that lie behind it may have come through.  cluster/splits.c writes
 * ours; all travel as entries do, and in the handshake before data.  The table
 * here is what all of them say, for the decisions of exact.c, which are made
 * under a partition's lock.
 *
 * Locking: apart->lock, behind the partitions and before state->lock.  Nothing
 * here allocates, logs or throws.
 *
 * May include: base/, state.h, store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_APART_H
#define CC_APART_H

#include "cache/store.h"

#define CC_MAX_INTERVALS	160 /* of one node; the oldest that ended go first */
#define CC_APART_NODES		40	/* whose records are known, or that they name */

typedef struct CcInterval
{
	uint16		peer;			/* index in CcApartShared.node */
	uint64		from;			/* HLC; 0: since ever */
	uint64		to;				/* HLC; 0: it is not over */
	uint64		incarnation;	/* up to which of the peer's dots all had been */
	uint64		seq;			/* seen as it began */
} CcInterval;

typedef struct CcApartShared
{
	CcLock		lock;
	pg_atomic_uint32 any;		/* intervals in all; 0: nothing is apart, and
								 * nobody need take the lock */
	pg_atomic_uint32 changes;	/* counts the records that were stored, for who
								 * tells of them */
	uint32		cap;			/* intervals that a node can have here */
	uint32		nnodes;
	CcNodeId	node[CC_APART_NODES];
	uint16		n[CC_APART_NODES];	/* intervals of this node's record */
	CcInterval	interval[FLEXIBLE_ARRAY_MEMBER];	/* [CC_APART_NODES][cap] */
} CcApartShared;

/* cap is CC_MAX_INTERVALS but in tests.  Init makes it cc.apart. */
extern Size cc_apart_size(uint32 cap);
extern void cc_apart_init(void *mem, uint32 cap);

/*
 * A system entry has been stored: when it is a split record the table follows.
 * Under the lock of the entry's partition.  What is malformed is none.
 */
extern void cc_apart_applied(const CcEntry *e);

/* The key of a node's record; returns its length. */
#define CC_APART_KEY_LEN	(1 + CC_ID_LEN)
extern uint16 cc_apart_key(const CcNodeId *node, char key[CC_APART_KEY_LEN]);

/* The i-th interval of a node's record, under the lock. */
static inline const CcInterval *
cc_apart_interval(uint32 node, uint32 i)
{
	return &cc.apart->interval[(Size) node * cc.apart->cap + i];
}

/*
 * Whether a record of `node` says that `peer` was out of its reach at hlc.
 */
extern bool cc_apart_out_of_reach(const CcNodeId *node, const CcNodeId *peer,
								  uint64 hlc);

/* Whether the interval may hold a write of its peer that was not seen. */
static inline bool
cc_apart_unseen(const CcInterval *v, uint64 incarnation, uint64 seq)
{
	return incarnation > v->incarnation ||
		(incarnation == v->incarnation && seq > v->seq);
}

/*
 * Likewise of a write with this dot of peer's; incarnation PG_UINT64_MAX: its
 * dot is not his any more, so the time alone counts.
 */
extern bool cc_apart_not_seen(const CcNodeId *node, const CcNodeId *peer,
							  uint64 hlc, uint64 incarnation, uint64 seq);

/*
 * PROTOCOL.md, apart: whether two entries of a key are, by the times at which
 * their values were written (hlc).  Their writers are different nodes and a
 * record says that either was written out of reach of the other's writer; or,
 * for this node, one was and the other was not.  A touch alone is no change: one
 * whose value was written in reach of the other's writer, who wrote later, is
 * not apart from it.
 */
extern bool cc_apart(const CcEntry *a, const CcEntry *b);

/*
 * The island of a node at a time: bit i is set when nodes[i] was within its
 * reach, by the records of both.  The node's own bit is always set.
 */
extern uint32 cc_apart_island(const CcNodeId *nodes, int n, int self,
							  uint64 hlc);

#endif							/* CC_APART_H */
