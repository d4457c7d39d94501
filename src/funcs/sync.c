/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  See sync.h.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/sync.h"

#include "base/guc.h"
#include "base/wake.h"
#include "cache/changelog.h"
#include "cluster/acks.h"

/*
 * The longest wait without another look, in ms: a peer that goes down, or is
 * removed, announces nothing.
 */
#define LOOK_MS			100

static bool
is_sync(uint16 ns)
{
	return cc_namespace_has(ns, CC_NS_SYNC) &&
		!cc_namespace_has(ns, CC_NS_LOCAL);
}

static void
warn(const CcAcks *a)
{
	ereport(WARNING,
			(errmsg("cache write was acknowledged by %d of %d reachable peers",
					a->acked, a->reachable),
			 errdetail("The write stands on this node and goes to the others "
					   "when they answer."),
			 errhint("cachecluster.sync_timeout is %d ms.", cc_sync_timeout)));
}

/* Until all have it, or the time is over.  May be cancelled. */
static void
wait_for_all(uint64 pos)
{
	int64		began = cc_monotonic_ms();
	uint16		origin = cc_state_self();

	for (;;)
	{
		uint64		seen = cc_wake_acks_seen();
		int64		left = began + cc_sync_timeout - cc_monotonic_ms();
		CcAcks		a;

		/* we became somebody else: all got new dots, below this one */
		if (origin != cc_state_self())
		{
			origin = cc_state_self();
			(void) cc_changelog_published();
			pos = Max(pos, cc_state_vv(origin));
		}
		cc_acks_count(origin, pos, &a);
		if (a.acked == a.reachable)
			return;
		if (left <= 0)
		{
			warn(&a);
			return;
		}
		cc_wake_wait_acks(seen, (long) Min(left, LOOK_MS));
	}
}

/* An error by which the wait ends gets its detail. */
static void
wait_guarded(uint64 pos)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		wait_for_all(pos);
	}
	PG_CATCH();
	{
		ErrorData  *e;

		MemoryContextSwitchTo(context);
		e = CopyErrorData();
		if (e->sqlerrcode == ERRCODE_QUERY_CANCELED && e->detail == NULL)
			e->detail = pstrdup("The cache write stands on this node; whether "
								"all peers have it is not known.");
		FlushErrorState();
		ReThrowError(e);
	}
	PG_END_TRY();
}

void
cc_sync_wait(uint16 ns, uint64 pos)
{
	CcAcks		a;

	if (likely(!is_sync(ns)) || pos == 0)
		return;
	cc_acks_count(cc_state_self(), pos, &a);
	if (a.acked < a.reachable)
		wait_guarded(pos);
}

void
cc_sync_wait_all(uint16 ns)
{
	if (!is_sync(ns))
		return;
	cc_changelog_wait_published(cc_changelog_allocated());
	(void) cc_changelog_published();
	cc_sync_wait(ns, cc_state_vv(cc_state_self()));
}
