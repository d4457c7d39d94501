/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  See policy.h.
 *
 * An island is the set of members that were within reach of each other when
 * something was written, by the split records (cc_apart_island).  A writer who
 * is no member any more stands for himself among those that he reached.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/policy.h"

/* How an island ranks; the smaller one wins. */
typedef struct Rank
{
	int			size;			/* negative; 0 where size does not count */
	uint64		joined;			/* of its oldest member */
	CcNodeId	oldest;
} Rank;

void
cc_policy_roll(CcRoll *roll)
{
	CcMembersShared *ms = cc.members;

	roll->n = 0;
	cc_lock_shared(&ms->lock);
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		const CcMemberShared *m = &ms->member[i];

		if (!m->used || m->removed)
			continue;
		roll->id[roll->n] = m->id;
		roll->joined[roll->n++] = m->joined;
	}
	cc_unlock(&ms->lock);
}

static int
find(const CcRoll *roll, const CcNodeId *id)
{
	for (int i = 0; i < roll->n; i++)
	{
		if (cc_id_cmp(&roll->id[i], id) == 0)
			return i;
	}
	return -1;
}

/* The members of a node's island at a time, as bits. */
uint32
cc_policy_island(const CcRoll *roll, const CcNodeId *node, uint64 hlc)
{
	CcNodeId	ids[CC_MAX_MEMBERS];
	int			self = find(roll, node);
	int			n = roll->n;

	if (self >= 0)
		return cc_apart_island(roll->id, n, self, hlc);
	/* no member: in the place of the last one where all are taken */
	if (n == CC_MAX_MEMBERS)
		n--;
	memcpy(ids, roll->id, n * sizeof(CcNodeId));
	ids[n] = *node;
	return cc_apart_island(ids, n + 1, n, hlc) & ~((uint32) 1 << n);
}

static Rank
rank_of(CcOnSplit policy, const CcRoll *roll, uint32 island)
{
	Rank		r = {0, PG_UINT64_MAX, {{0}}};

	for (int i = 0; i < roll->n; i++)
	{
		if ((island & ((uint32) 1 << i)) == 0)
			continue;
		if (policy == CC_SPLIT_LARGEST_ISLAND)
			r.size--;
		if (roll->joined[i] < r.joined ||
			(roll->joined[i] == r.joined &&
			 cc_id_cmp(&roll->id[i], &r.oldest) < 0))
		{
			r.joined = roll->joined[i];
			r.oldest = roll->id[i];
		}
	}
	return r;
}

static int
compare_ranks(const Rank *a, const Rank *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	if (a->joined != b->joined)
		return a->joined < b->joined ? -1 : 1;
	return cc_id_cmp(&a->oldest, &b->oldest);
}

/* A total order that all share. */
static int
choose_latest(const CcKeyState *ks, const CcRoll *roll, int64 now)
{
	int			best = 0;

	for (int i = 1; i < ks->n; i++)
	{
		if (cc_cache_compare(&ks->original[i], &ks->original[best]) > 0)
			best = i;
	}
	return best;
}

static int
choose_island(CcOnSplit policy, const CcKeyState *ks, const CcRoll *roll)
{
	int			best = 0;
	Rank		best_rank;

	for (int i = 0; i < ks->n; i++)
	{
		const CcEntry *e = &ks->original[i];
		const CcNodeId *writer = &cc_origin(e->writer)->node;
		Rank		r = rank_of(policy, roll,
								cc_policy_island(roll, writer, e->hlc));
		int			cmp = i == 0 ? -1 : compare_ranks(&r, &best_rank);

		if (cmp < 0 || (cmp == 0 &&
						cc_cache_compare(e, &ks->original[best]) > 0))
		{
			best = i;
			best_rank = r;
		}
	}
	return best;
}

static int
choose_oldest_island(const CcKeyState *ks, const CcRoll *roll, int64 now)
{
	return choose_island(CC_SPLIT_OLDEST_ISLAND, ks, roll);
}

static int
choose_largest_island(const CcKeyState *ks, const CcRoll *roll, int64 now)
{
	return choose_island(CC_SPLIT_LARGEST_ISLAND, ks, roll);
}

/* Until when an original lasts; below all times where it is NULL. */
static int64
lasts_until(const CcEntry *e, int64 now)
{
	CcEntry		view;

	if (!cc_conflict_view(e, now, &view))
		return PG_INT64_MIN;
	return view.expires == 0 ? PG_INT64_MAX : view.expires;
}

static int
choose_longest_ttl(const CcKeyState *ks, const CcRoll *roll, int64 now)
{
	int			best = 0;
	int64		longest = lasts_until(&ks->original[0], now);

	for (int i = 1; i < ks->n; i++)
	{
		int64		until = lasts_until(&ks->original[i], now);

		if (until > longest ||
			(until == longest && cc_cache_compare(&ks->original[i],
												  &ks->original[best]) > 0))
		{
			best = i;
			longest = until;
		}
	}
	return best;
}

const CcPolicyFn cc_policy[CC_LAST_ON_SPLIT + 1] = {
	[CC_SPLIT_LATEST] = choose_latest,
	[CC_SPLIT_OLDEST_ISLAND] = choose_oldest_island,
	[CC_SPLIT_LARGEST_ISLAND] = choose_largest_island,
	[CC_SPLIT_LONGEST_TTL] = choose_longest_ttl
};

/*
 * A node that was not there, or was down, wins over nobody: only members who
 * say themselves that the writer was out of their reach stand against it.
 */
bool
cc_policy_side_wins(CcOnSplit policy, const CcRoll *roll, const CcWritten *w)
{
	uint32		island = cc_policy_island(roll, &w->writer, w->hlc);
	Rank		ours = rank_of(policy, roll, island);

	for (int i = 0; i < roll->n; i++)
	{
		Rank		theirs;

		if ((island & ((uint32) 1 << i)) != 0 ||
			!cc_policy_stood_apart(roll, i, w))
			continue;
		theirs = rank_of(policy, roll,
						 cc_apart_island(roll->id, roll->n, i, w->hlc));
		if (compare_ranks(&theirs, &ours) < 0)
			return false;
	}
	return true;
}

bool
cc_policy_stood_apart(const CcRoll *roll, int i, const CcWritten *w)
{
	return cc_id_cmp(&roll->id[i], &w->writer) != 0 &&
		roll->joined[i] <= w->hlc &&
		cc_apart_not_seen(&roll->id[i], &w->writer, w->hlc, w->incarnation,
						  w->seq);
}
