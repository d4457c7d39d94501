/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  The way in: cc_cache_change (see cache.h).
 *
 * A change is decided in three parts: what is there (load_current), what the
 * operation makes of it (decide_*), and making it so (commit).  All three run
 * under one hold of the partition's lock.  The other functions of cache.h are
 * in read.c, redot.c and durable.c.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/cache.h"

#include "cache/counter.h"
#include "cache/evict.h"
#include "cache/expire.h"
#include "cache/extra.h"
#include "cache/namespace.h"

/* So many chunks of a partition system entries may have in any case */
#define FEW_CHUNKS			256

CcSystemHook cc_cache_system_hook = NULL;

/* The change under way: what is there, and what shall be. */
typedef struct Work
{
	const CcChange *c;
	CcOutcome  *o;
	uint64		hash;
	CcPartitionShared *p;
	CcHeaderShared *cur;		/* NULL: none; may be one that is cleared */
	bool		there;			/* cur is there and above its horizon */
	bool		live;			/* ... and has a value that is fresh */
	int64		fresh;			/* live: until when; 0: for ever */
	int64		now;

	/* the entry that shall be; its dot and version are given by commit */
	CcEntry		e;
	bool		new_dot;
	bool		new_version;
	bool		new_at;
	char		block[CC_EXTRA_VALUE];	/* of e, where it has one of its own */
	CcBuf	   *scratch;		/* where the value is that w->e keeps or makes */
	Size		scratch_need;	/* room that was missing there */
	uint32		chunks;			/* of what was stored */
} Work;

/* What decide_* says. */
typedef enum Verdict
{
	LEAVE,						/* o->result is set, nothing happens */
	STORE,						/* w->e shall be */
	RESTAMP,					/* ... with the key and value that are there */
	MORE_SCRATCH				/* again with more room */
} Verdict;

static int
compare_node(uint16 a, uint16 b)
{
	return a == b ? 0 : cc_id_cmp(&cc_origin(a)->node, &cc_origin(b)->node);
}

/* Order of versions alone. */
static int
compare_version(uint64 ahlc, uint16 awriter, uint64 bhlc, uint16 bwriter)
{
	if (ahlc != bhlc)
		return ahlc < bhlc ? -1 : 1;
	return compare_node(awriter, bwriter);
}

int
cc_cache_compare(const CcEntry *a, const CcEntry *b)
{
	int			cmp = compare_version(a->hlc, a->writer, b->hlc, b->writer);

	return cmp != 0 ? cmp :
		compare_version(a->at, a->at_node, b->at, b->at_node);
}

static bool
tells_before(const CcChange *c)
{
	return c->fill != 0 || c->op == CC_OP_DELETE || c->op == CC_OP_INCR ||
		c->op == CC_OP_FETCH;
}

static void
load_current(Work *w)
{
	const CcChange *c = w->c;

	w->cur = cc_store_find(w->p, w->hash, c->ns, c->key, c->keylen);
	w->now = cc_hlc_now_ms(&cc.state->hlc);
	w->there = w->cur != NULL && !cc_expire_cleared(c->ns, w->cur->hlc);
	w->live = w->there && cc_header_type(w->cur) != CC_STUB &&
		!cc_expire_over(w->cur->expires, w->now);
	if (w->live)
	{
		w->fresh = cc_extra_fresh(w->p, w->cur);
		w->live = !cc_expire_over(w->fresh, w->now);
	}
	w->o->existed = w->live;
	w->o->hlc = w->there ? w->cur->hlc : 0;
	w->o->before = w->cur != NULL ? w->cur->hlc :
		tells_before(c) ? cc_floor_get(w->hash) : 0;
	w->new_dot = w->new_version = w->new_at = false;
	memset(&w->e, 0, sizeof(w->e));
	w->e.hash = w->hash;
	w->e.ns = c->ns;
	w->e.key = c->key;
	w->e.keylen = c->keylen;
}

/* A write of this node: everything new. */
static Verdict
store_new(Work *w, uint8 type, uint8 flags, const char *value, uint32 vallen,
		  int64 expires)
{
	w->e.type = type;
	w->e.flags = flags;
	w->e.value = value;
	w->e.vallen = vallen;
	w->e.expires = expires;
	w->new_dot = w->new_version = w->new_at = true;
	return STORE;
}

/* PROTOCOL.md, delete writes: a tombstone, also for a key that is not here. */
static Verdict
decide_delete(Work *w)
{
	if (w->c->op == CC_OP_DELETE && w->c->lsn != 0)
	{
		cc_extra_put_stub(w->block, cc.state->system, w->c->lsn);
		return store_new(w, CC_STUB, CC_F_TOMBSTONE | CC_F_EXTRA, w->block,
						 CC_EXTRA_STUB, 0);
	}
	return store_new(w, CC_STUB, CC_F_TOMBSTONE, NULL, 0, 0);
}

static int64
deadline(Work *w)
{
	if (w->c->ttl_ms > 0 && w->c->deadline != 0)
		return w->c->deadline;
	return w->c->ttl_ms == 0 ? 0 : w->now + w->c->ttl_ms;
}

/*
 * Whether a fill comes too late: what the key was when the reader missed it
 * may be older than what has become of it since.  Where nothing is left of the
 * key F knows, and may say yes too often: the reader tries again.
 */
static bool
late_fill(Work *w)
{
	const CcChange *c = w->c;
	uint64		horizon = pg_atomic_read_u64(&cc_namespace(c->ns)->horizon);

	if (pg_atomic_read_u64(cc_state_invalidated(w->hash)) > c->fill_lsn ||
		pg_atomic_read_u64(&cc_namespace(c->ns)->invalidated) > c->fill_lsn)
		return true;
	if (horizon > c->fill && horizon != c->own_horizon)
		return true;
	return w->o->before > c->fill && w->o->before != c->own_hlc;
}

/* A put's deadline, and the block that goes with sliding and grace. */
static void
set_deadline(Work *w)
{
	const CcChange *c = w->c;
	CcExtra		x = {0};

	if (c->keep_ttl && w->live)
	{
		w->e.expires = w->cur->expires;
		if ((cc_header_flags(w->cur) & CC_F_EXTRA) == 0)
			return;
		cc_store_copy_head(w->p, w->cur, w->block, CC_EXTRA_VALUE);
	}
	else
	{
		w->e.expires = x.fresh = deadline(w);
		if (x.fresh == 0 || (!c->sliding && c->grace_ms <= 0))
			return;
		if (c->sliding)
		{
			x.ttl_ms = c->ttl_ms;
			x.cap = c->max_age_ms > 0 ? w->now + c->max_age_ms : 0;
			if (x.cap != 0)
				x.fresh = Min(x.fresh, x.cap);
		}
		w->e.expires = cc_extra_deadline(x.fresh, c->grace_ms);
		cc_extra_put(w->block, &x);
	}
	w->e.flags |= CC_F_EXTRA;
	w->e.block = w->block;
	w->e.vallen += CC_EXTRA_VALUE;
}

static Verdict
decide_put(Work *w)
{
	const CcChange *c = w->c;

	w->o->result = CC_UNCHANGED;
	if ((c->if_absent && w->live) || (c->if_present && !w->live) ||
		(c->if_version != 0 && (!w->live || w->cur->hlc != c->if_version)))
		return LEAVE;
	if (c->fill != 0 && late_fill(w))
	{
		w->o->refused_fill = true;
		return LEAVE;
	}
	if (c->ttl_ms < 0)
		return decide_delete(w);
	(void) store_new(w, c->type, c->null ? CC_F_NULL : 0, c->value,
					 c->null ? 0 : c->vallen, 0);
	set_deadline(w);
	return STORE;
}

/* Order of what is here and what is given, by (version, at). */
static int
compare_current(Work *w)
{
	CcEntry		cur;

	cc_store_describe(w->cur, &cur);
	return cc_cache_compare(&cur, w->c->entry);
}

/* The whole of the current entry, with its value as it lies in scratch. */
static bool
copy_current(Work *w, Size extra)
{
	Size		len = w->cur->vallen;

	w->scratch->len = 0;
	if (cc_buf_room(w->scratch) < len + extra)
	{
		w->scratch_need = len + extra;
		return false;
	}
	cc_store_copy_value(w->p, w->cur, w->scratch->data);
	w->scratch->len = len;
	return true;
}

/* The current entry stays as it is but for what the caller changes. */
static void
keep_current(Work *w)
{
	const char *key = w->e.key;

	cc_store_describe(w->cur, &w->e);
	w->e.key = key;
}

/* The block of the current entry; false: it has none. */
static bool
kept_block(Work *w, CcExtra *x)
{
	if ((cc_header_flags(w->cur) & CC_F_EXTRA) == 0)
		return false;
	cc_store_copy_head(w->p, w->cur, w->block, CC_EXTRA_VALUE);
	cc_extra_get(w->block, x);
	return true;
}

/* Gives what is kept a block anew. */
static void
use_block(Work *w, const CcExtra *x, int64 grace)
{
	cc_extra_put(w->block, x);
	w->e.block = w->block;
	w->e.expires = x->fresh == 0 ? 0 : cc_extra_deadline(x->fresh, grace);
}

/*
 * PROTOCOL.md, touch: a new dot and at; version and value stay.  Without a
 * deadline an entry has no grace, and it slides no more.
 */
static Verdict
decide_touch(Work *w)
{
	CcExtra		x;
	int64		grace = 0;

	w->o->result = CC_UNCHANGED;
	if (!w->live)
		return LEAVE;
	if (w->c->ttl_ms < 0)
		return decide_delete(w);
	keep_current(w);
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
	return RESTAMP;
}

/* A read moves the deadline of a sliding entry; a touch like any. */
static Verdict
decide_slide(Work *w)
{
	CcExtra		x;
	int64		to;
	int64		grace;

	w->o->result = CC_UNCHANGED;
	/* of many who read it at once one does it */
	if (!w->live || !kept_block(w, &x) || (to = cc_extra_slide(&x, w->now)) == 0)
		return LEAVE;
	keep_current(w);
	grace = w->cur->expires - x.fresh;
	x.fresh = to;
	use_block(w, &x, grace);
	w->new_dot = w->new_at = true;
	return RESTAMP;
}

/*
 * Reads and deletes; what is not there, or is not served yet (PROTOCOL.md,
 * before), is not deleted either.
 */
static Verdict
decide_fetch(Work *w)
{
	CcBuf	   *b = w->c->buf;
	CcEntry    *e = &w->o->entry;
	CcExtra		x;
	Size		need;

	w->o->result = CC_UNCHANGED;
	w->o->existed = w->live && cc_state_serves();
	if (!w->o->existed)
		return LEAVE;
	if (!cc_store_read(w->p, w->cur, e, b, &need))
	{
		w->scratch_need = need;
		return MORE_SCRATCH;
	}
	cc_extra_strip(e, &x);
	e->expires = x.fresh;
	if (w->c->accept != NULL && !w->c->accept(e))
		return LEAVE;
	return decide_delete(w);
}

/*
 * PROTOCOL.md, counters join: a counter's base is the version of what the
 * first increment replaced.
 */
static bool
begin_counter(Work *w)
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

static Verdict
decide_incr(Work *w)
{
	const CcOriginShared *self = cc_origin(cc_state_self());
	Size		extra = CC_COUNTER_HEAD + CC_COUNTER_PART;
	CcCounterResult res;

	w->o->result = CC_NOT_NUMBER;
	if (w->live)
	{
		if (!copy_current(w, extra))
			return MORE_SCRATCH;
	}
	else
	{
		w->scratch->len = 0;
		if (cc_buf_room(w->scratch) < extra)
		{
			w->scratch_need = extra;
			return MORE_SCRATCH;
		}
	}
	if ((!w->live || cc_header_type(w->cur) != CC_COUNTER) && !begin_counter(w))
		return LEAVE;

	res = cc_counter_add(w->scratch, &self->node, self->incarnation,
						 pg_atomic_read_u64(&cc.state->hlc), w->c->by,
						 &w->o->counter);
	if (res != CC_COUNTER_OK)
	{
		if (res == CC_COUNTER_OVERFLOW)
			w->o->result = CC_OVERFLOW;
		return LEAVE;
	}
	if (!cc_store_fits(w->c->ns, (Size) w->e.keylen + w->scratch->len))
	{
		w->o->result = CC_TOO_LARGE;
		return LEAVE;
	}
	return store_new(w, CC_COUNTER, 0, w->scratch->data,
					 (uint32) w->scratch->len,
					 w->live ? w->fresh : deadline(w));
}

/*
 * PROTOCOL.md, counters join.  Sets *joined when the two make a third, which
 * gets a dot of ours.  Nobody has written anything by that: like a touch it
 * keeps the version of the newer one, so that it never beats a delete or a put
 * that did.  The result is put behind the current value.
 */
static Verdict
join_counters(Work *w, bool *joined)
{
	const CcEntry *e = w->c->entry;
	bool		newer = compare_current(w) <= 0;
	Size		cur_len = w->cur->vallen;
	CcBuf		out;

	*joined = false;
	if (!copy_current(w, cur_len + e->vallen))
		return MORE_SCRATCH;
	out.data = w->scratch->data + cur_len;
	out.len = 0;
	out.cap = cur_len + e->vallen;
	if (!cc_counter_join(&out, w->scratch->data, cur_len, e->value, e->vallen))
		return LEAVE;
	if (newer ? cc_counter_equal(out.data, out.len, e->value, e->vallen) :
		cc_counter_equal(out.data, out.len, w->scratch->data, cur_len))
		return LEAVE;
	/* past the bound of a namespace it counts all the same, until it goes */
	if (!cc_store_fits(CC_NS_SYSTEM, (Size) w->e.keylen + out.len))
		return LEAVE;
	*joined = true;
	(void) store_new(w, CC_COUNTER, 0, out.data, (uint32) out.len,
					 newer ? e->expires : w->cur->expires);
	if (cc_rule(join_version))
	{
		w->new_version = false;
		w->e.hlc = newer ? e->hlc : w->cur->hlc;
		w->e.writer = newer ? e->writer : w->cur->writer;
	}
	return STORE;
}

static void
make_stub(CcEntry *e)
{
	e->type = CC_STUB;
	e->flags = 0;
	e->value = e->block = NULL;
	e->vallen = 0;
	e->expires = 0;
}

/* An entry that comes from elsewhere or from our file, as it is. */
static void
use_given(Work *w)
{
	const CcEntry *e = w->c->entry;

	w->e = *e;
	w->e.hash = w->hash;
	w->e.key = w->c->key;
	w->e.keylen = w->c->keylen;
	w->e.ns = w->c->ns;
}

static bool
same_dot(const CcHeaderShared *h, const CcEntry *e)
{
	return h->origin == e->origin && h->seq == e->seq;
}

/*
 * System entries are never evicted, so what a peer may send of them is
 * bounded: each small, and all together a quarter of a partition.
 */
static bool
system_fits(Work *w)
{
	return w->c->entry->vallen <= CC_MAX_SYSTEM_VALUE &&
		w->p->list[CC_LIST_SYSTEM].chunks <=
		Max(w->p->nchunks / 4, FEW_CHUNKS);
}

/* PROTOCOL.md, take: the order of the tests is the rule's. */
static Verdict
decide_take(Work *w)
{
	const CcEntry *e = w->c->entry;
	bool		system = w->c->ns == CC_NS_SYSTEM;
	bool		retired;
	int			cmp;

	w->o->result = CC_UNCHANGED;
	cc_hlc_observe(&cc.state->hlc, e->at);
	if (!system && (cc_namespace_has(w->c->ns, CC_NS_LOCAL) ||
					cc_expire_cleared(w->c->ns, e->hlc)))
		return LEAVE;
	if (e->type == CC_COUNTER && w->live &&
		cc_header_type(w->cur) == CC_COUNTER &&
		!cc_expire_over(e->expires, w->now) && cc_rule(counters_join))
	{
		bool		joined;
		Verdict		v = join_counters(w, &joined);

		if (joined || v == MORE_SCRATCH)
			return v;
	}
	retired = cc_state_vv(e->origin) == CC_VV_INF;
	if (!retired && cc_state_vv(e->origin) >= e->seq)
		return LEAVE;
	cmp = w->there ? compare_current(w) : -1;
	if (cmp > 0)
		return LEAVE;
	if (cmp == 0)
	{
		if (retired || same_dot(w->cur, e) ||
			cc_state_vv(w->cur->origin) >= w->cur->seq)
			return LEAVE;
		/* the same write under a name that its sender knows */
		keep_current(w);
		w->e.origin = e->origin;
		w->e.seq = e->seq;
		return RESTAMP;
	}
	use_given(w);

	/*
	 * It was under way when its origin was retired, and nobody's VV tells any
	 * more whether we have seen it.  The order of versions and the floor do;
	 * where they don't object it gets a dot of ours, as what we held beyond VV
	 * did (PROTOCOL.md, retire).
	 */
	w->new_dot = retired;
	if (system && !system_fits(w))
	{
		w->o->result = CC_TOO_LARGE;
		return LEAVE;
	}
	if (w->e.type == CC_STUB || system)
		return STORE;
	if (cc_expire_over(e->expires, w->now))
	{
		if (!cc_rule(expired_on_arrival))
			return LEAVE;
		make_stub(&w->e);
	}
	else if ((cc_rule(floor_version) ? e->hlc : e->at) <= cc_floor_get(w->hash) &&
			 !(w->there && cc_header_type(w->cur) != CC_STUB &&
			   compare_version(w->cur->hlc, w->cur->writer, e->hlc,
							   e->writer) == 0))
	{
		cc_check_evict(&w->e);
		make_stub(&w->e);
	}
	else if (!cc_store_fits(w->c->ns, (Size) e->keylen + e->vallen))
	{
		/* the peer's partitions or bound are larger than ours */
		cc_check_evict(&w->e);
		make_stub(&w->e);
	}
	return STORE;
}

/* What our own file holds: later in the file wins where versions are equal. */
static Verdict
decide_load(Work *w)
{
	const CcEntry *e = w->c->entry;

	w->o->result = CC_UNCHANGED;
	/* the clock's bound is above all this, unless the file is damaged */
	if (cc_rule(clock_bound) && cc_rule(clock_bound_seen))
		cc_hlc_observe(&cc.state->hlc, e->at);
	if (w->c->ns != CC_NS_SYSTEM && cc_expire_cleared(w->c->ns, e->hlc))
		return LEAVE;
	if (w->there && compare_current(w) > 0)
		return LEAVE;
	use_given(w);
	if (e->type == CC_STUB)
		return STORE;
	if (w->c->ns != CC_NS_SYSTEM && cc_expire_over(e->expires, w->now))
		make_stub(&w->e);
	else if (!cc_store_fits(w->c->ns, (Size) e->keylen + e->vallen))
	{
		cc_check_evict(&w->e);
		make_stub(&w->e);
	}
	return STORE;
}

static Verdict
decide_stub(Work *w)
{
	const CcEntry *e = w->c->entry;

	w->o->result = CC_UNCHANGED;
	if (!w->there || cc_header_type(w->cur) == CC_STUB ||
		!same_dot(w->cur, e) || w->cur->hlc != e->hlc)
		return LEAVE;
	cc_store_describe(w->cur, &w->e);
	cc_check_evict(&w->e);
	w->e.key = w->c->key;
	make_stub(&w->e);
	return STORE;
}

static Verdict
decide_redot(Work *w)
{
	w->o->result = CC_UNCHANGED;
	if (!w->there || !same_dot(w->cur, w->c->entry))
		return LEAVE;
	keep_current(w);
	w->new_dot = true;
	return RESTAMP;
}

static Verdict
decide(Work *w)
{
	switch (w->c->op)
	{
		case CC_OP_PUT:
			return decide_put(w);
		case CC_OP_DELETE:
			return decide_delete(w);
		case CC_OP_TOUCH:
			return decide_touch(w);
		case CC_OP_INCR:
			return decide_incr(w);
		case CC_OP_TAKE:
			return decide_take(w);
		case CC_OP_LOAD:
			return decide_load(w);
		case CC_OP_STUB:
			return decide_stub(w);
		case CC_OP_REDOT:
			return decide_redot(w);
		case CC_OP_FETCH:
			return decide_fetch(w);
		case CC_OP_SLIDE:
			return decide_slide(w);
	}
	return LEAVE;
}

/* Notes that something beyond VV came in (expire.h, retire). */
static void
note_beyond(const CcEntry *e)
{
	pg_atomic_uint64 *beyond = &cc_state_array(pg_atomic_uint64, beyond)[e->origin];
	uint64		mark = pg_atomic_read_u64(&cc.state->sweep_cycle) + 1;

	if (pg_atomic_read_u64(beyond) != mark)
		pg_atomic_write_u64(beyond, mark);
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

	if (cc_extra_stub(e, &system, &lsn) && system == cc.state->system)
		cc_atomic_raise(cc_state_invalidated(e->hash), lsn);
}

/*
 * Dot, version, entry and slot, with nothing between that can throw
 * (PROTOCOL.md, tick and position is sequence).
 */
static void
commit(Work *w, bool restamp)
{
	CcEntry    *e = &w->e;
	bool		log = w->c->op != CC_OP_LOAD;
	uint64		pos = 0;

	if (w->new_version || w->new_at)
	{
		e->at = cc_hlc_tick(&cc.state->hlc);
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
	else if (w->c->op == CC_OP_TAKE)
	{
		note_beyond(e);
		cc_check_take(e);
	}
	if (restamp)
		cc_store_restamp(w->p, w->cur, e);
	else
		cc_store_replace(w->p, w->cur, e);
	if (w->c->op == CC_OP_STUB)
	{
		cc.floor->slice[cc_floor_slice(w->hash)].losses++;
		w->p->stripped = pos;
	}
	if (!restamp && e->ns == CC_NS_SYSTEM)
		cc_namespace_applied(e);
	if (!restamp && e->type == CC_STUB && (e->flags & CC_F_EXTRA) != 0)
		note_invalidated(e);
	if (log)
	{
		cc_yield();
		cc_changelog_publish(pos, w->hash, e->origin, e->seq);
	}
	w->o->pos = pos;
	w->o->hlc = e->hlc;
	w->o->result = CC_DONE;
}

/*
 * One try.  Sets *mark when the files must be marked first, and
 * w->scratch_need when there is too little scratch; come again then.
 */
static void
try_change(Work *w, bool *mark)
{
	const CcChange *c = w->c;
	Verdict		v;

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
	if (v == STORE)
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
	else if (v == RESTAMP)
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

/* What both cc_cache_change and cc_cache_probe begin with. */
static CcResult
begin_change(Work *w)
{
	const CcChange *c = w->c;
	uint64		hash[2];

	memset(w->o, 0, sizeof(*w->o));
	if (c->op != CC_OP_LOAD && !cc_state_takes_writes())
		return w->o->result = CC_NOT_READY;
	if (too_large(c))
		return w->o->result = CC_TOO_LARGE;
	cc_store_hash(c->ns, c->key, c->keylen, hash);
	w->hash = hash[0];
	w->p = cc_store_partition_of(hash[0]);
	return w->o->result = CC_DONE;
}

CcResult
cc_cache_probe(const CcChange *c, CcOutcome *o)
{
	Work		w = {.c = c, .o = o};
	CcBuf		none = {0};

	Assert(c->op == CC_OP_PUT || c->op == CC_OP_DELETE || c->op == CC_OP_TOUCH);
	if (begin_change(&w) != CC_DONE)
		return o->result;
	w.scratch = &none;
	cc_store_lock(w.p, false);
	load_current(&w);
	/* a value that would have to be copied is one that would be changed */
	if (decide(&w) != LEAVE)
		o->result = CC_DONE;
	cc_store_unlock(w.p);
	return o->result;
}

CcResult
cc_cache_change(const CcChange *c, CcOutcome *o)
{
	Work		w = {.c = c, .o = o};
	CcBuf		scratch;
	bool		mark;
	int			tries = 0;

	if (begin_change(&w) != CC_DONE)
		return o->result;
	o->result = CC_NOT_READY;
	w.scratch = &scratch;
	cc_buf_init(&scratch);

	if (draws_version(c))
		cc_cache_wait_clock(Max(pg_atomic_read_u64(&cc.state->hlc) + 1,
								cc_hlc_from_ms(cc_clock_ms())));
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
