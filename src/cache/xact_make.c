/*-------------------------------------------------------------------------
 *
 * xact_make.c
 *	  Making so what has waited for the commit.  See xact.h.
 *
 * Raises no error and takes no memory, as cc_cache_change does for what can
 * wait; only cc_xact_enter_commit, before the commit, does.
 *
 * A fill may stand on what its own transaction has made just before, the
 * invalidation of the same key above all: then what that was done over must
 * not be later than the fill's token, and its own version is no obstacle.  So
 * a value that is made from several rows is not stored when somebody else has
 * changed one of them meanwhile.
 *
 * Locking: none of its own.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/xact_private.h"

#include "base/stats.h"
#include "cache/keylock.h"

/* This process is one of state->commits. */
static bool committing;

/*
 * What has been committed must be in the cache, and in its files, before the
 * server stops: so the writer waits for those that are counted here, and who
 * comes later sees that it closes and can still abort.
 */
void
cc_xact_enter_commit(void)
{
	pg_atomic_fetch_add_u32(&cc.state->commits, 1);
	committing = true;
	if (pg_atomic_read_u32(&cc.state->closing) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the cache is closed"),
				 errdetail("The server is shutting down.")));
}

void
cc_xact_leave_commit(void)
{
	if (!committing)
		return;
	committing = false;
	pg_atomic_fetch_sub_u32(&cc.state->commits, 1);
	if (pg_atomic_read_u32(&cc.state->closing) != 0)
		cc_wake_writer();
}

static void
count(const CcChange *c, const CcOutcome *o)
{
	bool		deletes = c->op == CC_OP_DELETE || c->op == CC_OP_FETCH ||
		(c->ttl_ms < 0 && (c->op == CC_OP_PUT || c->op == CC_OP_TOUCH));

	if (o->result != CC_DONE || c->ns == CC_NS_SYSTEM)
		return;
	if (deletes)
	{
		if (o->existed)
			cc_stats_count(CC_STAT_DELETES, c->ns, 1);
	}
	else if (c->op == CC_OP_PUT || c->op == CC_OP_INCR)
		cc_stats_count(CC_STAT_PUTS, c->ns, 1);
}

CcResult
cc_xact_make(const CcChange *c, CcOutcome *o)
{
	CcResult	result = cc_cache_change(c, o);

	count(c, o);
	/* whoever waits for the key gets it, or computes what came too late */
	if (c->ns != CC_NS_SYSTEM && c->op != CC_OP_TOUCH &&
		(result == CC_DONE || o->refused_fill))
		cc_keylock_end_key(c->ns, c->key, c->keylen);
	return result;
}

/* The clear of a namespace that this transaction made last; NULL: none. */
static const CcWait *
last_clear(uint16 ns, uint64 order)
{
	const CcWait *w = cc_xact_last_clear;

	while (w != NULL && (w->ns != ns || w->order > order))
		w = w->older;
	return w;
}

static void
make_waiting_clear(CcWait *w)
{
	pg_atomic_uint64 *horizon = &cc_namespace(w->ns)->horizon;
	const CcWait *before = last_clear(w->ns, w->order - 1);
	CcMade		done = {0};
	uint64		found = pg_atomic_read_u64(horizon);

	if (before != NULL)
		done = before->done;
	if (found != done.made)
		done.found = Max(done.found, found);
	if (cc_cache_invalidate_all(w->ns, (w->bits & CC_WAIT_INVALIDATES) != 0 ?
								cc_xact_commit_lsn : 0) != CC_DONE)
		cc_stats_add(CC_STAT_REJECTED, 1);
	done.made = pg_atomic_read_u64(horizon);
	w->done = done;
}

/*
 * A fill that follows what its transaction itself has made of the key (below)
 * or the namespace: late when that was late already, else that is no obstacle.
 * False: late.
 */
static bool
stands_on(CcChange *c, const CcWait *w, const CcMade *below)
{
	const CcWait *clear = last_clear(w->ns, w->order);
	uint64		horizon = 0;

	if (clear != NULL)
	{
		c->own_horizon = clear->done.made;
		horizon = clear->done.found;
	}
	c->own_hlc = below->made;
	return below->found < c->fill && horizon < c->fill;
}

/*
 * Whether the namespace was dropped meanwhile: what is put would stay in memory
 * with nobody to see it.  An invalidation is made all the same, as another node
 * may be declaring the namespace anew.
 */
static bool
is_gone(const CcWait *w)
{
	return w->ns != CC_NS_SYSTEM && (w->bits & CC_WAIT_INVALIDATES) == 0 &&
		!cc_namespace_has(w->ns, CC_NS_DECLARED);
}

uint64
cc_xact_make_waiting(CcWait *w, const CcMade *below)
{
	CcChange	c = {.op = w->op};
	CcOutcome	o;
	CcMade		done = {0};

	if ((w->bits & CC_WAIT_CLEAR) != 0)
	{
		make_waiting_clear(w);
		return 0;
	}
	if (is_gone(w))
	{
		cc_stats_add(CC_STAT_REJECTED, 1);
		cc_keylock_end_key(w->ns, w->key, w->keylen);
		w->done = below != NULL ? *below : done;
		return 0;
	}
	c.ns = w->ns;
	c.key = w->key;
	c.keylen = w->keylen;
	c.type = w->type;
	c.null = (w->bits & CC_WAIT_NULL) != 0;
	c.value = w->value;
	c.vallen = w->vallen;
	c.ttl_ms = w->ttl_ms;
	c.deadline = w->deadline;
	c.keep_ttl = (w->bits & CC_WAIT_KEEP_TTL) != 0;
	c.if_absent = (w->bits & CC_WAIT_IF_ABSENT) != 0;
	c.if_present = (w->bits & CC_WAIT_IF_PRESENT) != 0;
	c.sliding = (w->bits & CC_WAIT_SLIDING) != 0;
	if ((w->bits & CC_WAIT_INVALIDATES) != 0)
		c.lsn = cc_xact_commit_lsn;
	if (w->rare != NULL)
	{
		c.if_version = w->rare->if_version;
		c.fill = w->rare->fill;
		c.fill_lsn = w->rare->fill_lsn;
		c.fill_bound = w->rare->fill_bound;
		c.max_age_ms = w->rare->max_age_ms;
		c.grace_ms = w->rare->grace_ms;
	}
	if (below != NULL)
		done = *below;
	if (c.fill != 0 && !stands_on(&c, w, &done))
	{
		cc_keylock_end_key(c.ns, c.key, c.keylen);
		w->done = done;
		return 0;
	}
	if (cc_xact_make(&c, &o) != CC_DONE && o.result != CC_UNCHANGED)
	{
		cc_stats_add(CC_STAT_REJECTED, 1);
		/* the namespace's bound was lowered: what it should replace goes */
		c.op = CC_OP_DELETE;
		c.lsn = 0;
		if (o.result == CC_TOO_LARGE)
			(void) cc_xact_make(&c, &o);
	}
	if (o.before != done.made)
		done.found = Max(done.found, o.before);
	if (o.result == CC_DONE)
		done.made = o.hlc;
	w->done = done;
	return o.result == CC_DONE ? o.pos : 0;
}
