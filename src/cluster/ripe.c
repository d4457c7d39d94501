/*-------------------------------------------------------------------------
 *
 * ripe.c
 *	  When the end of a split may be walked for one-sided changes; see heal.h.
 *
 * Who had written in it may have had more than we have.  So once both nodes of
 * an interval can be reached again, what all members of the component say that
 * they have is taken, after further rounds of heartbeats; and when our VV
 * covers that, what was written in it is here.
 *
 * Locking: none held; members->lock, then apart->lock.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

#include "cluster/detector.h"

/* Rounds of heartbeats after which what a member had is known */
#define ROUNDS			2

/* ------------------------------------------------------------------------
 * What is walked
 * ------------------------------------------------------------------------
 */

/* The full form has a third argument, and the text names them. */
bool
cc_heal_is_full(uint16 ns)
{
	CcDeclaration d;
	Size		len;

	if (pg_atomic_read_u32(&cc_namespace(ns)->on_split) != CC_SPLIT_MERGE ||
		!cc_namespace_read(ns, &d))
		return false;
	len = strlen(d.merge);
	return len > 6 && strcmp(d.merge + len - 6, "jsonb)") == 0;
}

bool
cc_heal_is_island(uint16 ns)
{
	CcOnSplit	policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);

	return policy == CC_SPLIT_OLDEST_ISLAND ||
		policy == CC_SPLIT_LARGEST_ISLAND;
}

bool
cc_heal_is_walked(uint16 ns)
{
	return ns != CC_NS_SYSTEM && !cc_namespace_has(ns, CC_NS_LOCAL) &&
		(cc_heal_is_island(ns) || cc_heal_is_full(ns));
}

uint64
cc_heal_walked_all(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	uint64		all = PG_UINT64_MAX;

	/* islands are asked for when a conflict is decided, be that by people */
	if (cc_conflict_count(CC_NO_NS) > 0)
		return 0;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if (cc_heal_is_walked((uint16) ns))
			all = Min(all, pg_atomic_read_u64(&cc.heal->walked[ns]));
	}
	return all;
}

/* ------------------------------------------------------------------------
 * Ends of splits
 * ------------------------------------------------------------------------
 */

/* What the split records say of ends */
typedef struct Ends
{
	uint64		newest;			/* the last one whose nodes, and those of all
								 * before it, can be reached; 0: none */
	bool		open;			/* of two that can be reached one has not
								 * ended yet */
} Ends;

typedef enum Standing
{
	NO_MEMBER,
	AWAY,
	REACHED
} Standing;

/* The members, and whether they can be reached */
typedef struct Members
{
	int			n;
	CcNodeId	id[CC_MAX_MEMBERS];
	Standing	is[CC_MAX_MEMBERS];
} Members;

/*
 * heard: those that are heard again count as reached, although no path is known
 * yet.
 */
static void
look_at_members(Members *ms, bool heard)
{
	uint32		component = cc_reach_component();

	ms->n = 0;
	cc_lock_shared(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		const CcMemberShared *m = &cc.members->member[i];

		if (!m->used || m->removed)
			continue;
		ms->is[ms->n] = (component & ((uint32) 1 << i)) != 0 ||
			(heard && cc_detector_is_up(m)) ? REACHED : AWAY;
		ms->id[ms->n++] = m->id;
	}
	cc_unlock(&cc.members->lock);
}

/* Of each node of the table of records, under its lock. */
static void
find_standings(Standing standing[CC_APART_NODES], const Members *ms)
{
	for (uint32 a = 0; a < cc.apart->nnodes; a++)
	{
		standing[a] = NO_MEMBER;
		for (int i = 0; i < ms->n; i++)
		{
			if (cc_id_cmp(&ms->id[i], &cc.apart->node[a]) == 0)
				standing[a] = ms->is[i];
		}
	}
}

static void
find_ends(Ends *ends, bool heard)
{
	Standing	standing[CC_APART_NODES];
	Members		ms;
	uint64		ripe = pg_atomic_read_u64(&cc.heal->ripe);
	uint64		bound = PG_UINT64_MAX;

	memset(ends, 0, sizeof(*ends));
	if (pg_atomic_read_u32(&cc.apart->any) == 0)
		return;
	look_at_members(&ms, heard);
	cc_lock_shared(&cc.apart->lock);
	find_standings(standing, &ms);
	for (uint32 a = 0; a < cc.apart->nnodes; a++)
	{
		for (uint32 i = 0; i < cc.apart->n[a]; i++)
		{
			const CcInterval *iv = cc_apart_interval(a, i);

			if (iv->to == 0)
				ends->open |= standing[a] == REACHED &&
					standing[iv->peer] == REACHED;
			else if (iv->to > ripe && (standing[a] == AWAY ||
									   standing[iv->peer] == AWAY))
				bound = Min(bound, iv->to - 1);
		}
	}
	for (uint32 a = 0; a < cc.apart->nnodes; a++)
	{
		for (uint32 i = 0; i < cc.apart->n[a]; i++)
		{
			uint64		to = cc_apart_interval(a, i)->to;

			if (to <= bound)
				ends->newest = Max(ends->newest, to);
		}
	}
	cc_unlock(&cc.apart->lock);
}

bool
cc_heal_walk_waiting(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	Ends		ends;

	find_ends(&ends, true);
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if ((ends.open ||
			 pg_atomic_read_u64(&cc.heal->walked[ns]) < ends.newest) &&
			cc_heal_is_walked((uint16) ns) &&
			!cc_heal_has_stopped((uint16) ns) &&
			!cc_heal_has_failed((uint16) ns))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Ripe
 * ------------------------------------------------------------------------
 */

static void
begin_ripening(uint64 hlc, int64 now)
{
	CcHealShared *h = cc.heal;

	h->ripe_hlc = hlc;
	h->ripe_component = cc_reach_component();
	h->ripe_since = now;
	h->targeted = false;
	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
		h->ripe_heartbeats[slot] =
			pg_atomic_read_u64(&cc.members->member[slot].heartbeats);
}

/*
 * Whether what the members of the component say that they have is of after the
 * beginning: by heartbeats of their own, or by third hand, which takes longer.
 */
static bool
heard_all(int64 now, int64 peer_timeout)
{
	CcHealShared *h = cc.heal;

	if (now - h->ripe_since >= peer_timeout)
		return true;
	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
	{
		CcMemberShared *m = &cc.members->member[slot];

		if ((h->ripe_component & ((uint32) 1 << slot)) != 0 && !m->self &&
			pg_atomic_read_u64(&m->heartbeats) <
			h->ripe_heartbeats[slot] + ROUNDS)
			return false;
	}
	return true;
}

static void
take_target(void)
{
	CcHealShared *h = cc.heal;
	CcVV		target;
	CcVV		k;

	cc_vv_init(&target);
	cc_vv_init(&k);
	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
	{
		if ((h->ripe_component & ((uint32) 1 << slot)) != 0 &&
			cc_membership_copy_k(slot, &k))
			cc_vv_join(&target, &k);
	}
	h->ntarget = Min(target.n, CC_MAX_ORIGINS);
	if (h->ntarget > 0)
		memcpy(h->target, target.seq, h->ntarget * sizeof(uint64));
	h->targeted = true;
	cc_vv_free(&target);
	cc_vv_free(&k);
}

static bool
covers_target(void)
{
	for (uint32 o = 0; o < cc.heal->ntarget; o++)
	{
		if (cc_state_vv((int) o) < cc.heal->target[o])
			return false;
	}
	return true;
}

/*
 * Nothing is to be walked for the other policies, also if they change: what
 * was healed before stays as it is.
 */
static void
pass_over(uint64 ripe)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	/* what is not known yet has nothing that was written before */
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < CC_MAX_NAMESPACES; ns++)
	{
		if (ns >= n || !cc_heal_is_walked((uint16) ns))
			cc_atomic_raise(&cc.heal->walked[ns], ripe);
	}
}

void
cc_heal_ripen(int64 now, int64 peer_timeout)
{
	CcHealShared *h = cc.heal;
	Ends		ends;

	find_ends(&ends, false);
	if (ends.newest <= pg_atomic_read_u64(&h->ripe))
	{
		h->ripe_hlc = 0;
		return;
	}
	/* who was away for a moment may have crashed, and have less than he said */
	if (ends.newest != h->ripe_hlc ||
		cc_reach_component() != h->ripe_component ||
		cc_reach_since() > h->ripe_since)
		begin_ripening(ends.newest, now);

	/* both sides of a split write down its end, the other one's is under way */
	if (!h->targeted && heard_all(now, peer_timeout) &&
		(!ends.open || now - h->ripe_since >= 2 * peer_timeout))
		take_target();
	if (h->targeted && covers_target())
	{
		pass_over(h->ripe_hlc);
		cc_atomic_raise(&h->ripe, h->ripe_hlc);
		h->ripe_hlc = 0;
	}
}
