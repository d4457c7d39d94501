/*-------------------------------------------------------------------------
 *
 * clusterfuncs.c
 *	  SQL functions of the group: cache_status, cache_wait_ready,
 *	  cache_wait_converged, cache_join, cache_forget.
 *
 * Those that wait look again every few ms, and can be cancelled.
 *
 * Locking: members->lock and state->lock, one at a time; none is held over a
 * wait or an error.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/guc.h"
#include "base/vv.h"
#include "cache/cache.h"
#include "cache/conflict.h"
#include "cluster/detector.h"
#include "cluster/heal.h"
#include "cluster/membership.h"
#include "cluster/peer.h"
#include "funcs/args.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* ms between two looks */
#define POLL_MS		10

/* Heartbeat rounds after which what a peer had at the call is known here */
#define ROUNDS		2

PG_FUNCTION_INFO_V1(cachecluster_status);
PG_FUNCTION_INFO_V1(cachecluster_wait_ready);
PG_FUNCTION_INFO_V1(cachecluster_wait_converged);
PG_FUNCTION_INFO_V1(cachecluster_join);
PG_FUNCTION_INFO_V1(cachecluster_forget);

/* Columns of cache_status */
enum
{
	STATUS_NODE_ID, STATUS_NODE_NAME, STATUS_PHASE, STATUS_MEMBERS,
	STATUS_REACHABLE, STATUS_CONFLICTS, STATUS_LAST_ERROR, NSTATUS
};

static void
set_text(Datum *values, bool *nulls, int col, const char *text)
{
	nulls[col] = text == NULL || text[0] == '\0';
	if (!nulls[col])
		values[col] = CStringGetTextDatum(text);
}

Datum
cachecluster_status(PG_FUNCTION_ARGS)
{
	Datum		values[NSTATUS];
	bool		nulls[NSTATUS] = {false};
	TupleDesc	desc;
	CcNodeId	id;
	char		hex[CC_ID_TEXT_LEN];
	char		name[CC_NAME_LEN];
	char		error[CC_ERROR_LEN];
	int			reachable;

	cc_args_require_loaded();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != NSTATUS)
		elog(ERROR, "cache_status has %d columns", NSTATUS);

	cc_lock_shared(&cc.state->lock);
	id = cc.state->id;
	cc_unlock(&cc.state->lock);
	cc_lock_shared(&cc.members->lock);
	strlcpy(error, cc.members->last_error, sizeof(error));
	cc_unlock(&cc.members->lock);

	set_text(values, nulls, STATUS_NODE_ID,
			 cc_id_is_zero(&id) ? NULL : cc_id_text(&id, hex));
	set_text(values, nulls, STATUS_NODE_NAME,
			 cc_args_name(cc_guc_node_name(name, sizeof(name))));
	set_text(values, nulls, STATUS_PHASE, cc_args_phase_name());
	values[STATUS_MEMBERS] = Int32GetDatum(cc_membership_count(&reachable));
	values[STATUS_REACHABLE] = Int32GetDatum(reachable);
	values[STATUS_CONFLICTS] =
		Int64GetDatum((int64) cc_conflict_count(CC_NO_NS));
	set_text(values, nulls, STATUS_LAST_ERROR, cc_args_name(error));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*
 * Calls done until it is true, for timeout ms; false when the time is over.
 */
static bool
wait_until(bool (*done) (void *arg), void *arg, int64 timeout)
{
	static uint32 wait_event;
	int64		began = cc_monotonic_ms();

	for (;;)
	{
		int64		left;

		CHECK_FOR_INTERRUPTS();
		if (done(arg))
			return true;
		left = timeout - (cc_monotonic_ms() - began);
		if (left <= 0)
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, POLL_MS),
						 cc_wait_event(wait_event, "CacheClusterWait"));
		ResetLatch(MyLatch);
	}
}

static bool
is_ready(void *arg)
{
	return cc_state_phase() == CC_READY;
}

Datum
cachecluster_wait_ready(PG_FUNCTION_ARGS)
{
	cc_args_require_loaded();
	PG_RETURN_BOOL(wait_until(is_ready, NULL, cc_args_timeout(fcinfo, 0)));
}

/*
 * Waiting for all to have what any had at the call, and for what is decided of
 * it: when nothing waits here any more, all must have what this node has then.
 *
 * What others had at the call is known here once each has been heard in two
 * further rounds of heartbeats: the first may have been under way.  Until
 * then the target takes in what they say; after that it stands, and this
 * node's VV and every reachable member's K must come to cover it.
 */
typedef struct Convergence
{
	CcVV		target;
	CcVV		vv;				/* of whom we look at */
	bool		fixed;			/* target stands */
	bool		decided;		/* ... and has what was decided */
	int			resolver;		/* slot of whom is waited for; -1: nobody */
	uint64		heartbeats;		/* until its word is of now */
	bool		asked;
	struct
	{
		bool		seen;
		uint64		heartbeats; /* when first seen */
	}			member[CC_MAX_MEMBERS];
} Convergence;

/* Whether the slot is another member that can be reached, and its rounds. */
static bool
look_at_member(int slot, uint64 *heartbeats)
{
	CcMemberShared *m = &cc.members->member[slot];
	bool		other;

	cc_lock_shared(&cc.members->lock);
	other = m->used && !m->removed && !m->self;
	cc_unlock(&cc.members->lock);
	*heartbeats = pg_atomic_read_u64(&m->heartbeats);
	return other && cc_detector_reachable(slot);
}

/* Takes in what the reachable members say they have. */
static void
gather_target(Convergence *c)
{
	bool		complete = true;

	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
	{
		uint64		heartbeats;

		if (!look_at_member(slot, &heartbeats))
			continue;
		if (!c->member[slot].seen)
		{
			c->member[slot].seen = true;
			c->member[slot].heartbeats = heartbeats;
		}
		if (heartbeats < c->member[slot].heartbeats + ROUNDS)
			complete = false;
		if (cc_membership_copy_k(slot, &c->vv))
			cc_vv_join(&c->target, &c->vv);
	}
	c->fixed = complete;
}

/*
 * Whether the resolver's word on what waits (cc_heal_waiting) is later than
 * the moment at which all had the target.
 */
static bool
resolver_has_spoken(Convergence *c)
{
	int			resolver = cc_reach_resolver();
	uint64		heartbeats;

	if (resolver < 0 || !look_at_member(resolver, &heartbeats))
		return true;
	if (!c->asked || c->resolver != resolver)
	{
		c->asked = true;
		c->resolver = resolver;
		c->heartbeats = heartbeats + ROUNDS;
	}
	return heartbeats >= c->heartbeats;
}

/* Whether all that can be reached, this node too, have seen the target. */
static bool
have_target(Convergence *c)
{
	(void) cc_changelog_published();
	cc_state_copy_vv(&c->vv);
	if (!cc_vv_covers(&c->vv, &c->target))
		return false;
	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
	{
		uint64		heartbeats;

		if (look_at_member(slot, &heartbeats) &&
			!(cc_membership_copy_k(slot, &c->vv) &&
			  cc_vv_covers(&c->vv, &c->target)))
			return false;
	}
	return true;
}

static bool
is_converged(void *arg)
{
	Convergence *c = arg;

	if (!c->fixed)
		gather_target(c);
	if (!c->fixed || !have_target(c))
		return false;
	if (c->decided)
		return true;
	if (!resolver_has_spoken(c) || cc_heal_waiting())
		return false;
	c->decided = true;
	cc_state_copy_vv(&c->vv);
	cc_vv_join(&c->target, &c->vv);
	return have_target(c);
}

static void
free_vectors(Convergence *c)
{
	cc_vv_free(&c->target);
	cc_vv_free(&c->vv);
}

Datum
cachecluster_wait_converged(PG_FUNCTION_ARGS)
{
	Convergence c = {.fixed = false};
	volatile bool result = false;
	int64		timeout;

	cc_args_require_loaded();
	timeout = cc_args_timeout(fcinfo, 0);
	cc_vv_init(&c.target);
	cc_vv_init(&c.vv);

	/* the vectors live as long as the process, so they go whatever happens */
	PG_TRY();
	{
		/* whatever this session has written before is part of it */
		cc_changelog_wait_published(cc_changelog_allocated());
		cc_state_copy_vv(&c.target);
		result = wait_until(is_converged, &c, timeout);
	}
	PG_CATCH();
	{
		free_vectors(&c);
		PG_RE_THROW();
	}
	PG_END_TRY();
	free_vectors(&c);
	PG_RETURN_BOOL(result);
}

/* Before the files are loaded, and after the cache was closed, not. */
static void
require_open(void)
{
	CcPhase		phase;

	cc_args_require_loaded();
	phase = cc_state_phase();
	if (phase != CC_JOINING && phase != CC_PENDING && phase != CC_READY)
		cc_args_raise_not_ready();
}

/* Whether list, separated by ';', has the item. */
static bool
list_has(const char *list, const char *item)
{
	Size		len = strlen(item);

	for (const char *p = list; *p != '\0';)
	{
		Size		n = strcspn(p, ";");

		if (n == len && memcmp(p, item, len) == 0)
			return true;
		p += n + (p[n] == ';');
	}
	return false;
}

/*
 * Adds a seed, which the writer saves.  False when there is no room.
 */
static bool
add_seed(const char *conninfo)
{
	CcStateShared *s = cc.state;
	bool		fits = true;
	Size		len;

	cc_lock_exclusive(&s->lock);
	if (!list_has(s->seeds, conninfo))
	{
		len = strlen(s->seeds);
		fits = len + 1 + strlen(conninfo) < CC_SEEDS_LEN;
		if (fits)
		{
			snprintf(s->seeds + len, CC_SEEDS_LEN - len, "%s%s",
					 len > 0 ? ";" : "", conninfo);
			pg_atomic_fetch_add_u32(&s->seeds_version, 1);
		}
	}
	cc_unlock(&s->lock);
	return fits;
}

Datum
cachecluster_join(PG_FUNCTION_ARGS)
{
	char	   *conninfo;
	char		address[CC_ADDRESS_LEN];

	require_open();
	conninfo = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (strchr(conninfo, ';') != NULL ||
		!cc_peer_address(conninfo, address, sizeof(address)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid connection string of a peer"),
				 errhint("Give one host and its port, as in "
						 "\"host=10.0.0.2 port=5432\", without a "
						 "semicolon.")));
	if (!add_seed(conninfo))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("there is no room for another seed"),
				 errhint("Any one member introduces all others.")));
	cc_wake_writer();
	cc_wake_replicator();
	PG_RETURN_VOID();
}

/* The member of that name or id; errors when there is not exactly one. */
static CcNodeId
find_member(const char *node)
{
	CcNodeId	id;
	bool		self = false;
	int			found = 0;

	cc_lock_shared(&cc.members->lock);
	for (int i = 0; i < CC_MAX_MEMBERS; i++)
	{
		CcMemberShared *m = &cc.members->member[i];
		char		hex[CC_ID_TEXT_LEN];

		if (!m->used || m->removed ||
			(pg_strcasecmp(cc_id_text(&m->id, hex), node) != 0 &&
			 strcmp(m->name, node) != 0))
			continue;
		id = m->id;
		self = m->self;
		found++;
	}
	cc_unlock(&cc.members->lock);

	if (found == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" is not a member", node),
				 errhint("The members are in pg_stat_cachecluster_peers, by "
						 "node_name and node_id.")));
	if (found > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("there is more than one node \"%s\"", node),
				 errhint("Name it by its node_id.")));
	if (self)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a node cannot remove itself"),
				 errhint("Call cache_forget on another node.")));
	return id;
}

Datum
cachecluster_forget(PG_FUNCTION_ARGS)
{
	CcNodeId	id;

	require_open();
	id = find_member(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	(void) cc_membership_forget(&id);
	/* PROTOCOL.md, members are entries: journalled before it counts as done */
	cc_cache_wait_journal(cc_changelog_allocated() - 1, true);
	PG_RETURN_VOID();
}
