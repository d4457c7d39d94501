/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  Whether something waits for an automatic decision.  See heal.h.
 *
 * How an attempt ended is kept beside the key on the node that made it, the
 * resolver; so it is the one to say, and tells the others in its link state
 * (reach.h).
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

/*
 * From so many conflicts on they are looked at no more often than that, and for
 * at most this part of the time
 */
#define MANY			1000
#define MANY_MS			1000
#define LOOK_SHARE		20

static bool
waits_here(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcOnSplit	policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);

		if (policy == CC_SPLIT_MANUAL || cc_conflict_count((uint16) ns) == 0 ||
			(policy == CC_SPLIT_MERGE && (cc_heal_has_stopped((uint16) ns) ||
										  cc_heal_has_failed((uint16) ns))))
			continue;
		if (cc_conflict_any_due((uint16) ns))
			return true;
	}
	return cc_heal_walk_waiting();
}

bool
cc_heal_waiting(void)
{
	int			resolver = cc_reach_resolver();
	bool		waits;

	if (resolver < 0 || cc_reach_is_resolver())
		return waits_here();
	cc_lock_shared(&cc.members->lock);
	waits = cc.members->member[resolver].link_waits;
	cc_unlock(&cc.members->lock);
	return waits;
}

void
cc_heal_tell_waiting(int64 now)
{
	CcHealShared *h = cc.heal;

	/* where many have failed all of them are looked at to find that out */
	if (cc_conflict_count(CC_NO_NS) > MANY && now < h->next_look)
		return;
	pg_atomic_write_u32(&cc.state->heal_waits,
						cc_reach_is_resolver() && waits_here());
	h->next_look = now + Max(MANY_MS, (cc_monotonic_ms() - now) * LOOK_SHARE);
}
