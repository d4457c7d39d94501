/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  The way in: cc_cache_change (see cache.h).
 *
 * A change is decided in three parts: what is there (load_current), what the
 * operation makes of it (decide.c, take.c), and making it so (commit).  All
 * three run under one hold of the partition's lock.  The other functions of
 * cache.h are in read.c, redot.c, durable.c and work.c.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/work.h"

#include "cache/apart.h"
#include "cache/evict.h"
#include "cache/exact.h"
#include "cache/expire.h"
#include "cache/namespace.h"

CcSystemHook cc_cache_system_hook = NULL;

static bool
tells_before(const CcChange *c)
{
	return c->fill != 0 || c->op == CC_OP_DELETE || c->op == CC_OP_INCR ||
		c->op == CC_OP_FETCH;
}

static void
load_current(CcWork *w)
{
	const CcChange *c = w->c;

	w->cur = cc_store_find(w->p, w->hash, c->ns, c->key, c->keylen);
	w->now = 0;
	w->there = w->cur != NULL && !cc_expire_cleared(c->ns, w->cur->hlc);
	w->live = w->there && cc_header_type(w->cur) != CC_STUB &&
		!cc_work_over(w, w->cur->expires);
	if (w->live)
	{
		w->fresh = cc_extra_fresh(w->p, w->cur);
		w->live = !cc_work_over(w, w->fresh);
	}
	w->o->existed = w->live;
	w->o->hlc = w->there ? w->cur->hlc : 0;
	w->o->before = w->cur != NULL ? w->cur->hlc :
		tells_before(c) ? cc_floor_get(w->hash) : 0;
	w->new_dot = w->new_version = w->new_at = false;
	w->was_conflict = false;
	w->dot_at.origin = NULL;
	memset(&w->e, 0, sizeof(w->e));
	w->e.hash = w->hash;
	w->e.ns = c->ns;
	w->e.key = c->key;
	w->e.keylen = c->keylen;
}

static CcVerdict
decide(CcWork *w)
{
	switch (w->c->op)
	{
		case CC_OP_PUT:
			return cc_decide_put(w);
		case CC_OP_DELETE:
			return cc_decide_delete(w);
		case CC_OP_TOUCH:
			return cc_decide_touch(w);
		case CC_OP_INCR:
			return cc_decide_incr(w);
		case CC_OP_TAKE:
			return cc_take_sent(w);
		case CC_OP_LOAD:
			return cc_take_loaded(w);
		case CC_OP_STUB:
			return cc_take_away(w);
		case CC_OP_REDOT:
			return cc_take_name(w);
		case CC_OP_RESOLVE:
			return cc_exact_resolve(w);
		case CC_OP_FAILED:
			return cc_exact_failed(w);
		case CC_OP_FETCH:
			return cc_decide_fetch(w);
		case CC_OP_SLIDE:
			return cc_decide_slide(w);
	}
	return CC_LEAVE;
}

/* Notes that something beyond VV came in (expire.h, retire). */
static bool
note_beyond(const CcEntry *e, void *arg)
{
	pg_atomic_uint64 *beyond = &cc_state_array(pg_atomic_uint64, beyond)[e->origin];
	uint64		mark = pg_atomic_read_u64(&cc.state->sweep_cycle) + 1;

	if (pg_atomic_read_u64(beyond) != mark)
		pg_atomic_write_u64(beyond, mark);
	return true;
}

/* What was a conflict is none any more. */
static void
log_conflict(CcWork *w)
{
	CcEntry		after = w->e;

	after.vallen -= after.taillen;
	if (after.taillen > 0)
		after.flags &= ~CC_F_SIBLINGS;
	if (after.block != NULL)
	{
		after.vallen -= cc_extra_len(after.type, after.flags);
		after.flags &= ~CC_F_EXTRA;
	}
	cc_siblings_strip(&after);
	cc_conflict_log(w->ours, &after, w->decided);
}

/*
 * A key was invalidated; see late_fill.  What was done by another system says
 * nothing of our own WAL.
 */
static void
note_invalidated(const CcEntry *e)
{
	uint64		system;
	uint64		lsn;

	if (cc_extra_invalidation(e, &system, &lsn) && system == cc.state->system)
		cc_atomic_raise(cc_state_invalidated(e->hash), lsn);
}

/*
 * Dot, version, entry and slot, with nothing between that can throw
 * (PROTOCOL.md, tick and position is sequence).
 */
static void
commit(CcWork *w, bool restamp)
{
	CcEntry    *e = &w->e;
	bool		log = w->c->op != CC_OP_LOAD && w->c->op != CC_OP_FAILED;
	uint64		pos = 0;

	if (w->new_version || w->new_at)
	{
		e->at = w->c->untimed ? cc_hlc_next(&cc.state->hlc) :
			cc_hlc_tick(&cc.state->hlc);
		e->at_node = cc_state_self();
	}
	if (w->new_version)
	{
		e->hlc = e->at;
		e->writer = e->at_node;
	}
	if (log)
	{
		pos = cc_changelog_allocate();
		cc_yield();
	}
	if (w->new_dot)
	{
		e->origin = cc_state_self();
		e->seq = pos;
		cc_check_write(e);
	}
	else
	{
		if (w->dot_at.origin != NULL)
			cc_siblings_name(&w->dot_at, cc_state_self(), pos);
		if (w->c->op == CC_OP_TAKE)
			cc_check_take(e);
		else if (w->dot_at.origin != NULL && !w->c->ask)
			cc_check_write(e);
	}
	if (restamp)
		cc_store_restamp(w->p, w->cur, e);
	else
		w->cur = cc_store_replace(w->p, w->cur, e);
	if (w->c->op == CC_OP_TAKE)
		(void) cc_siblings_all(w->p, w->cur, note_beyond, NULL);
	if (unlikely(w->was_conflict))
		log_conflict(w);
	if (w->c->op == CC_OP_STUB)
	{
		if (!restamp)
			cc.floor->slice[cc_floor_slice(w->hash)].losses++;
		w->p->stripped = pos;
		cc_store_visit(w->cur);
	}
	if (!restamp && e->ns == CC_NS_SYSTEM)
	{
		cc_namespace_applied(e);
		cc_apart_applied(e);
	}
	if (!restamp && unlikely((e->flags & CC_F_EXTRA) != 0))
		note_invalidated(e);
	if (log)
	{
		cc_yield();
		if (w->dot_at.origin != NULL)
			cc_changelog_publish(pos, w->hash, cc_state_self(), pos);
		else
			cc_changelog_publish(pos, w->hash, e->origin, e->seq);
	}
	w->o->pos = pos;
	w->o->hlc = e->hlc;
	w->o->result = CC_DONE;
}

/* Whether it is a user's write, which replaces all that is there. */
static inline bool
is_write(const CcChange *c)
{
	return c->op == CC_OP_PUT || c->op == CC_OP_DELETE || c->op == CC_OP_INCR ||
		c->op == CC_OP_FETCH;
}

/*
 * One try.  Sets *mark when the files must be marked first, and
 * w->scratch_need when there is too little scratch; come again then.
 */
static void
try_change(CcWork *w, bool *mark)
{
	const CcChange *c = w->c;
	CcVerdict		v;

	w->scratch_need = 0;
	*mark = false;
	cc_store_lock(w->p, true);
	/* closed meanwhile: what comes now would not be saved */
	if (c->op != CC_OP_LOAD && !cc_state_takes_writes())
	{
		cc_store_unlock(w->p);
		w->o->result = CC_NOT_READY;
		return;
	}
	if (c->guard != NULL && pg_atomic_read_u64(c->guard) != c->guard_value)
	{
		cc_store_unlock(w->p);
		w->o->result = CC_FENCED;
		return;
	}
	load_current(w);
	v = decide(w);
	if (v == CC_STORE && is_write(c))
		cc_exact_settle(w);
	if (v == CC_STORE)
	{
		uint32		want = cc_store_chunks((Size) w->e.keylen + w->e.vallen);
		uint32		have = w->cur == NULL ? 0 :
			cc_store_chunks((Size) w->cur->keylen + w->cur->vallen);

		if (want > have &&
			!cc_evict_make_room(w->p, want - have, w->cur, c->op == CC_OP_LOAD))
			*mark = true;
		else
			commit(w, false);
		w->chunks = want;
	}
	else if (v == CC_RESTAMP)
		commit(w, true);
	cc_store_unlock(w->p);
}

/* Whether the change may draw an HLC of ours, which must be reserved. */
static bool
draws_version(const CcChange *c)
{
	switch (c->op)
	{
		case CC_OP_TAKE:
			return c->entry->type == CC_COUNTER;	/* it may be joined */
		case CC_OP_LOAD:
		case CC_OP_STUB:
		case CC_OP_REDOT:
		case CC_OP_FAILED:
			return false;
		default:
			return true;
	}
}

/*
 * The longest block counts in any case, so that what a put may have does not
 * depend on its options.
 */
static bool
too_large(const CcChange *c)
{
	return c->op == CC_OP_PUT &&
		!cc_store_fits(c->ns, (Size) c->keylen + (c->null ? 0 : c->vallen) +
					   (c->ns == CC_NS_SYSTEM ? 0 : CC_EXTRA_VALUE));
}

CcResult
cc_cache_check(const CcChange *c)
{
	if (c->op != CC_OP_LOAD && !cc_state_takes_writes())
		return CC_NOT_READY;
	return too_large(c) ? CC_TOO_LARGE : CC_DONE;
}

/* What both cc_cache_change and cc_cache_probe begin with. */
static CcResult
begin_change(CcWork *w)
{
	const CcChange *c = w->c;
	uint64		hash[2];

	memset(w->o, 0, sizeof(*w->o));
	if ((w->o->result = cc_cache_check(c)) != CC_DONE)
		return w->o->result;
	cc_store_hash(c->ns, c->key, c->keylen, hash);
	w->hash = hash[0];
	w->p = cc_store_partition_of(hash[0]);
	cc_store_prefetch(w->p, w->hash);
	return CC_DONE;
}

CcResult
cc_cache_probe(const CcChange *c, CcOutcome *o)
{
	CcWork		w = {.c = c, .o = o};
	CcBuf		none = {0};

	Assert(c->op == CC_OP_PUT || c->op == CC_OP_DELETE || c->op == CC_OP_TOUCH);
	if (begin_change(&w) != CC_DONE)
		return o->result;
	w.scratch = &none;
	cc_store_lock(w.p, false);
	load_current(&w);
	/* a value that would have to be copied is one that would be changed */
	if (decide(&w) != CC_LEAVE)
		o->result = CC_DONE;
	cc_store_unlock(w.p);
	return o->result;
}

CcResult
cc_cache_change(const CcChange *c, CcOutcome *o)
{
	CcWork		w = {.c = c, .o = o};
	CcBuf		scratch;
	CcKeyState	ours;
	char		context[CC_SIB_CONTEXT_ROOM];
	bool		mark;
	int			tries = 0;

	if (begin_change(&w) != CC_DONE)
		return o->result;
	o->result = CC_NOT_READY;
	w.scratch = &scratch;
	w.ours = &ours;
	w.context = context;
	cc_buf_init(&scratch);

	if (draws_version(c))
		cc_cache_wait_ticks(1);
	for (;;)
	{
		if (c->op != CC_OP_LOAD)
			cc_changelog_reserve();
		try_change(&w, &mark);
		if (w.scratch_need > 0)
			cc_buf_reserve(c->op == CC_OP_FETCH ? c->buf : &scratch,
						   w.scratch_need);
		else if (mark)
		{
			/* what waits may raise an error, so nothing is held meanwhile */
			cc_buf_free(&scratch);
			if (!cc_cache_wait_room(&tries))
			{
				o->result = CC_TOO_LARGE;
				break;
			}
		}
		else
			break;
	}

	cc_buf_free(&scratch);
	if (o->result == CC_DONE && unlikely(cc_evict_over(c->ns)))
		cc_evict_namespace(c->ns, w.hash, w.chunks, CC_EVICT_MORE);
	if (o->result == CC_DONE && c->op != CC_OP_LOAD)
	{
		cc_wake_writer();
		if (c->ns == CC_NS_SYSTEM ||
			pg_atomic_read_u32(&cc.state->alone) == 0)
			cc_wake_replicator();
		if (c->ns == CC_NS_SYSTEM && cc_cache_system_hook != NULL)
			cc_cache_system_hook(c->key, c->keylen);
	}
	return o->result;
}

CcResult
cc_cache_clear(uint16 ns)
{
	return cc_cache_invalidate_all(ns, 0);
}

CcResult
cc_cache_invalidate_all(uint16 ns, uint64 lsn)
{
	char		block[CC_EXTRA_STUB];
	char		key[CC_SYSTEM_KEY_MAX];
	CcChange	c = {.op = CC_OP_PUT, .ns = CC_NS_SYSTEM, .type = CC_BYTEA};
	CcOutcome	o;

	c.key = key;
	c.keylen = cc_cache_horizon_key(ns, key);
	c.value = block;
	/* this horizon takes the place of the one before, which may carry one too */
	lsn = Max(lsn, pg_atomic_read_u64(&cc_namespace(ns)->invalidated));
	if (lsn != 0)
	{
		cc_extra_put_stub(block, cc.state->system, lsn);
		c.vallen = CC_EXTRA_STUB;
	}
	return cc_cache_change(&c, &o);
}
