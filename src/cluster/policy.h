/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The built-in policies: which of a conflict's originals is to be.
 *
 * Each is a function of one shape.  None looks at anything but its arguments
 * and the split records, so that every node would say the same.
 *
 *	latest			the newest version
 *	oldest_island	that of the island with the oldest member, by join time;
 *					of several the newest
 *	largest_island	that of the island with the most members, ties by the
 *					oldest; of several the newest
 *	longest_ttl		the latest deadline, none being the latest; ties by version.
 *					A delete has none to give
 *
 * Locking: takes apart->lock.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_POLICY_H
#define CC_POLICY_H

#include "cache/apart.h"
#include "cache/conflict.h"
#include "cache/namespace.h"
#include "cluster/membership.h"

/* The members, as the islands are ranked by. */
typedef struct CcRoll
{
	int			n;
	CcNodeId	id[CC_MAX_MEMBERS];
	uint64		joined[CC_MAX_MEMBERS];
} CcRoll;

extern void cc_policy_roll(CcRoll *roll);

/* The members of a node's island at a time, as bits of the roll. */
extern uint32 cc_policy_island(const CcRoll *roll, const CcNodeId *node,
							   uint64 hlc);

/* A write: by whom, when, and under which dot of his (apart.h). */
typedef struct CcWritten
{
	CcNodeId	writer;
	uint64		hlc;
	uint64		incarnation;
	uint64		seq;
} CcWritten;

/*
 * Whether member i of the roll was there then, and says itself that the writer
 * was out of its reach and that it had not seen the write.
 */
extern bool cc_policy_stood_apart(const CcRoll *roll, int i,
								  const CcWritten *w);

/* Index of the original that is to be.  now: wall clock ms. */
typedef int (*CcPolicyFn) (const CcKeyState *ks, const CcRoll *roll, int64 now);

/* By CcOnSplit; NULL for merge and manual. */
extern const CcPolicyFn cc_policy[CC_LAST_ON_SPLIT + 1];

/*
 * Of one-sided changes: whether an entry that was written in a split was
 * written on the side that wins by the policy (an island one).  It
 * loses only to an island of which somebody was there and apart from the
 * writer, so that a node which was down, or new, takes nothing away.
 */
extern bool cc_policy_side_wins(CcOnSplit policy, const CcRoll *roll,
								const CcWritten *w);

#endif							/* CC_POLICY_H */
