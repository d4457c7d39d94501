/*-------------------------------------------------------------------------
 *
 * decide.c
 *	  What the changes of this node's users make of an entry: puts, deletes,
 *	  touches, fetches, increments.  See work.h.
 *
 * Locking: the partition is locked exclusively, or shared for a probe;
 * nothing here allocates, logs or throws.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/work.h"

#include "cache/counter.h"
#include "cache/expire.h"
#include "cache/extra.h"

/* PROTOCOL.md, delete writes: a tombstone, also for a key that is not here. */
CcVerdict
cc_decide_delete(CcWork *w)
{
	if (w->c->op == CC_OP_DELETE && w->c->lsn != 0)
	{
		cc_extra_put_stub(w->block, cc.state->system, w->c->lsn);
		return cc_work_store_new(w, CC_STUB, CC_F_TOMBSTONE | CC_F_EXTRA, w->block,
								 CC_EXTRA_STUB, 0);
	}
	return cc_work_store_new(w, CC_STUB, CC_F_TOMBSTONE, NULL, 0, 0);
}

static int64
deadline(CcWork *w)
{
	if (w->c->ttl_ms > 0 && w->c->deadline != 0)
		return w->c->deadline;
	return w->c->ttl_ms == 0 ? 0 : cc_work_now(w) + w->c->ttl_ms;
}

/*
 * Whether a fill comes too late: what the key was when the reader missed it
 * may be older than what has become of it since.  Where nothing is left of the
 * key F knows, and may say yes too often: the reader tries again.
 */
static bool
late_fill(CcWork *w)
{
	const CcChange *c = w->c;
	uint64		horizon = pg_atomic_read_u64(&cc_namespace(c->ns)->horizon);

	if (pg_atomic_read_u64(cc_state_invalidated(w->hash)) > c->fill_lsn ||
		pg_atomic_read_u64(&cc_namespace(c->ns)->invalidated) > c->fill_lsn)
		return true;
	if (horizon >= c->fill && horizon != c->own_horizon)
		return true;
	return w->o->before >= c->fill && w->o->before != c->own_hlc;
}

/*
 * The version of a fill that is not late: what it holds is as old as its token,
 * so an invalidation that is made meanwhile and comes here later, as on a
 * standby that has not replayed what it belongs to, still replaces it.  A
 * standby's clock may be ahead of its primary's, and its WAL behind; so there
 * the version is no later than the bound either, but where it must be above
 * what is there: by less than the bound's millisecond, else there is none (0).
 */
static uint64
fill_version(CcWork *w)
{
	const CcChange *c = w->c;
	uint64		horizon = pg_atomic_read_u64(&cc_namespace(c->ns)->horizon);
	uint64		version = Min(c->fill, c->fill_bound);

	version = Max(version, Max(w->o->before, horizon) + 1);
	if (c->fill_bound == PG_UINT64_MAX)
		return version;
	/* nothing is known of the primary yet, or what is here is younger */
	return c->fill_bound == 0 ||
		cc_hlc_to_ms(version) > cc_hlc_to_ms(c->fill_bound) ? 0 : version;
}

/* The block of the current entry; false: it has none. */
static bool
kept_block(CcWork *w, CcExtra *x)
{
	if ((cc_header_flags(w->cur) & CC_F_EXTRA) == 0)
		return false;
	cc_store_copy_head(w->p, w->cur, w->block, CC_EXTRA_VALUE);
	cc_extra_get(w->block, x);
	return true;
}

/*
 * An invalidation that is replaced before all members have seen it: they will
 * only see what replaces it, so that tells of it.
 */
static void
carry_invalidation(CcWork *w, CcExtra *x)
{
	if (w->cur != NULL && !cc_state_stable(w->cur->origin, w->cur->seq))
		(void) cc_extra_stored_invalidation(w->p, w->cur, &x->system, &x->lsn);
}

/* A put's deadline, and the block that it needs, if any. */
static void
set_deadline(CcWork *w)
{
	const CcChange *c = w->c;
	CcExtra		x = {0};

	if (c->keep_ttl && w->live)
	{
		w->e.expires = x.fresh = w->cur->expires;
		(void) kept_block(w, &x);
		x.system = x.lsn = 0;
	}
	else
	{
		x.fresh = deadline(w);
		if (c->sliding && x.fresh != 0)
		{
			x.ttl_ms = c->ttl_ms;
			x.cap = c->max_age_ms > 0 ? cc_work_now(w) + c->max_age_ms : 0;
			if (x.cap != 0)
				x.fresh = Min(x.fresh, x.cap);
		}
		w->e.expires = x.fresh == 0 ? 0 :
			cc_extra_deadline(x.fresh, c->grace_ms);
	}
	carry_invalidation(w, &x);
	if (x.lsn == 0 && x.ttl_ms == 0 && x.fresh == w->e.expires)
		return;
	cc_extra_put(w->block, &x);
	w->e.flags |= CC_F_EXTRA;
	w->e.block = w->block;
	w->e.vallen += CC_EXTRA_VALUE;
}

CcVerdict
cc_decide_put(CcWork *w)
{
	const CcChange *c = w->c;
	uint64		version = 0;

	w->o->result = CC_UNCHANGED;
	if ((c->if_absent && w->live) || (c->if_present && !w->live) ||
		(c->if_version != 0 && (!w->live || w->cur->hlc != c->if_version)))
		return CC_LEAVE;
	if (c->fill != 0 && (late_fill(w) || (version = fill_version(w)) == 0))
	{
		w->o->refused_fill = true;
		return CC_LEAVE;
	}
	if (c->ttl_ms < 0)
		return cc_decide_delete(w);
	(void) cc_work_store_new(w, c->type, c->null ? CC_F_NULL : 0, c->value,
							 c->null ? 0 : c->vallen, 0);
	set_deadline(w);
	/* over what its own transaction has just made it is a write like any */
	if (c->fill != 0 && version <= c->fill)
	{
		w->new_version = false;
		w->e.hlc = version;
		w->e.writer = cc_state_self();
	}
	return CC_STORE;
}

/* Gives what is kept a block anew. */
static void
use_block(CcWork *w, const CcExtra *x, int64 grace)
{
	cc_extra_put(w->block, x);
	w->e.block = w->block;
	w->e.expires = x->fresh == 0 ? 0 : cc_extra_deadline(x->fresh, grace);
}

/*
 * PROTOCOL.md, touch: a new dot and at; version and value stay.  Without a
 * deadline an entry has no grace, and it slides no more.
 */
CcVerdict
cc_decide_touch(CcWork *w)
{
	CcExtra		x;
	int64		grace = 0;

	w->o->result = CC_UNCHANGED;
	if (!w->live)
		return CC_LEAVE;
	if (w->c->ttl_ms < 0)
		return cc_decide_delete(w);
	cc_work_keep_current(w);
	w->e.expires = deadline(w);
	if (kept_block(w, &x))
	{
		if (x.fresh != 0)
			grace = w->cur->expires - x.fresh;
		x.fresh = w->e.expires;
		if (x.fresh == 0)
			x.ttl_ms = x.cap = grace = 0;
		else if (x.cap != 0)
			x.fresh = Min(x.fresh, x.cap);
		if (x.ttl_ms != 0)
			x.ttl_ms = w->c->ttl_ms;
		use_block(w, &x, grace);
	}
	w->new_dot = w->new_at = true;
	return CC_RESTAMP;
}

/* A read moves the deadline of a sliding entry; a touch like any. */
CcVerdict
cc_decide_slide(CcWork *w)
{
	CcExtra		x;
	int64		to;
	int64		grace;

	w->o->result = CC_UNCHANGED;
	/* of many who read it at once one does it */
	if (!w->live || !kept_block(w, &x) ||
		(to = cc_extra_slide(&x, cc_work_now(w))) == 0)
		return CC_LEAVE;
	cc_work_keep_current(w);
	grace = w->cur->expires - x.fresh;
	x.fresh = to;
	use_block(w, &x, grace);
	w->new_dot = w->new_at = true;
	return CC_RESTAMP;
}

/*
 * Reads and deletes; what is not there, or is not served yet (PROTOCOL.md,
 * before), is not deleted either.
 */
CcVerdict
cc_decide_fetch(CcWork *w)
{
	CcBuf	   *b = w->c->buf;
	CcEntry    *e = &w->o->entry;
	CcExtra		x;
	Size		need;

	w->o->result = CC_UNCHANGED;
	w->o->existed = w->live && cc_state_serves();
	if (!w->o->existed)
		return CC_LEAVE;
	if (!cc_store_read(w->p, w->cur, e, b, &need))
	{
		w->scratch_need = need;
		return CC_MORE_SCRATCH;
	}
	cc_extra_strip(e, &x);
	e->expires = x.fresh;
	if (w->c->accept != NULL && !w->c->accept(e))
		return CC_LEAVE;
	return cc_decide_delete(w);
}

/*
 * PROTOCOL.md, counters join: a counter's base is the version of what the
 * first increment replaced.
 */
static bool
begin_counter(CcWork *w)
{
	static const CcNodeId nobody;
	const CcNodeId *node = &nobody;
	uint64		hlc;
	int64		start = 0;

	if (w->live)
	{
		Size		skip = cc_extra_len(cc_header_type(w->cur),
										cc_header_flags(w->cur));

		if (cc_header_type(w->cur) == CC_BYTEA ||
			(cc_header_flags(w->cur) & CC_F_NULL) != 0 ||
			!cc_counter_parse(w->scratch->data + skip, w->scratch->len - skip,
							  &start))
			return false;
	}
	if (w->there)
	{
		hlc = w->cur->hlc;
		node = &cc_origin(w->cur->writer)->node;
	}
	else
		hlc = Max(pg_atomic_read_u64(&cc_namespace(w->c->ns)->horizon),
				  cc_floor_get(w->hash));
	w->scratch->len = 0;
	cc_counter_begin(w->scratch, hlc, node, start);
	return true;
}

CcVerdict
cc_decide_incr(CcWork *w)
{
	const CcOriginShared *self = cc_origin(cc_state_self());
	Size		extra = CC_COUNTER_HEAD + CC_COUNTER_PART;
	CcCounterResult res;

	w->o->result = CC_NOT_NUMBER;
	if (w->live)
	{
		if (!cc_work_copy_current(w, extra))
			return CC_MORE_SCRATCH;
	}
	else
	{
		w->scratch->len = 0;
		if (cc_buf_room(w->scratch) < extra)
		{
			w->scratch_need = extra;
			return CC_MORE_SCRATCH;
		}
	}
	if ((!w->live || cc_header_type(w->cur) != CC_COUNTER) && !begin_counter(w))
		return CC_LEAVE;

	res = cc_counter_add(w->scratch, &self->node, self->incarnation,
						 pg_atomic_read_u64(&cc.state->hlc), w->c->by,
						 &w->o->counter);
	if (res != CC_COUNTER_OK)
	{
		if (res == CC_COUNTER_OVERFLOW)
			w->o->result = CC_OVERFLOW;
		return CC_LEAVE;
	}
	if (!cc_store_fits(w->c->ns, (Size) w->e.keylen + w->scratch->len))
	{
		w->o->result = CC_TOO_LARGE;
		return CC_LEAVE;
	}
	return cc_work_store_new(w, CC_COUNTER, 0, w->scratch->data,
							 (uint32) w->scratch->len,
							 w->live ? w->fresh : deadline(w));
}
