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

/* Largest value of a system entry that a peer may send */
#define MAX_SYSTEM_VALUE	1024

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
	bool		live;			/* ... and has a value that is not over */
	int64		now;

	/* the entry that shall be; its dot and version are given by commit */
	CcEntry		e;
	bool		new_dot;
	bool		new_version;
	bool		new_at;
	CcBuf	   *scratch;		/* CC_OP_INCR: where the counter is made */
	Size		scratch_need;	/* room that was missing there */
} Work;

/* What decide_* says. */
typedef enum Verdict
{
	LEAVE,						/* o->result is set, nothing happens */
	STORE,						/* w->e shall be */
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

static void
load_current(Work *w)
{
	const CcChange *c = w->c;

	w->cur = cc_store_find(w->p, w->hash, c->ns, c->key, c->keylen);
	w->now = cc_hlc_now_ms(&cc.state->hlc);
	w->there = w->cur != NULL && !cc_expire_cleared(c->ns, w->cur->hlc);
	w->live = w->there && cc_header_type(w->cur) != CC_STUB &&
		!cc_expire_over(w->cur->expires, w->now);
	w->o->existed = w->live;
	w->o->hlc = w->there ? w->cur->hlc : 0;
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
	return store_new(w, CC_STUB, CC_F_TOMBSTONE, NULL, 0, 0);
}

static int64
deadline(Work *w)
{
	return w->c->ttl_ms == 0 ? 0 : w->now + w->c->ttl_ms;
}

static Verdict
decide_put(Work *w)
{
	const CcChange *c = w->c;

	w->o->result = CC_UNCHANGED;
	if ((c->if_absent && w->live) || (c->if_present && !w->live) ||
		(c->if_version != 0 && (!w->live || w->cur->hlc != c->if_version)))
		return LEAVE;
	if (c->ttl_ms < 0)
		return decide_delete(w);
	return store_new(w, c->type, c->null ? CC_F_NULL : 0, c->value,
					 c->null ? 0 : c->vallen,
					 c->keep_ttl && w->live ? w->cur->expires : deadline(w));
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
	w->e.value = w->scratch->data;
}

/* PROTOCOL.md, touch: a new dot and at; version and value stay. */
static Verdict
decide_touch(Work *w)
{
	w->o->result = CC_UNCHANGED;
	if (!w->live)
		return LEAVE;
	if (w->c->ttl_ms < 0)
		return decide_delete(w);
	if (!copy_current(w, 0))
		return MORE_SCRATCH;
	keep_current(w);
	w->e.expires = deadline(w);
	w->new_dot = w->new_at = true;
	return STORE;
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
		if (cc_header_type(w->cur) == CC_BYTEA ||
			(cc_header_flags(w->cur) & CC_F_NULL) != 0 ||
			!cc_counter_parse(w->scratch->data, w->scratch->len, &start))
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

	res = cc_counter_add(w->scratch, &self->node, self->incarnation, w->c->by,
						 &w->o->counter);
	if (res != CC_COUNTER_OK)
	{
		if (res == CC_COUNTER_OVERFLOW)
			w->o->result = CC_OVERFLOW;
		return LEAVE;
	}
	return store_new(w, CC_COUNTER, 0, w->scratch->data,
					 (uint32) w->scratch->len,
					 w->live ? w->cur->expires : deadline(w));
}

static void
make_stub(CcEntry *e)
{
	e->type = CC_STUB;
	e->flags = 0;
	e->value = NULL;
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

/* Order of what is here and what is given, by (version, at). */
static int
compare_current(Work *w)
{
	CcEntry		cur;

	cc_store_describe(w->cur, &cur);
	return cc_cache_compare(&cur, w->c->entry);
}

/*
 * System entries are never evicted, so what a peer may send of them is
 * bounded: each small, and all together a quarter of a partition.
 */
static bool
system_fits(Work *w)
{
	return w->c->entry->vallen <= MAX_SYSTEM_VALUE &&
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
	if (!system && cc_expire_cleared(w->c->ns, e->hlc))
		return LEAVE;
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
		if (!copy_current(w, 0))
			return MORE_SCRATCH;
		keep_current(w);
		w->e.origin = e->origin;
		w->e.seq = e->seq;
		return STORE;
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
	else if (cc_store_chunks((Size) e->keylen + e->vallen) > w->p->nchunks / 2)
	{
		/* the peer's partitions are larger than ours */
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
	if (e->type != CC_STUB &&
		((w->c->ns != CC_NS_SYSTEM && cc_expire_over(e->expires, w->now)) ||
		 cc_store_chunks((Size) e->keylen + e->vallen) > w->p->nchunks / 2))
		make_stub(&w->e);
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
	if (!copy_current(w, 0))
		return MORE_SCRATCH;
	keep_current(w);
	w->new_dot = true;
	return STORE;
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
	}
	return LEAVE;
}

/* PROTOCOL.md, horizon: raised under the lock that stores its entry. */
static void
apply_horizon(const CcEntry *e)
{
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	const char *zero;
	Size		dlen;
	Size		nlen;
	uint16		ns;

	if (e->keylen < 2 || e->key[0] != 'h')
		return;
	zero = memchr(e->key + 1, '\0', e->keylen - 1);
	if (zero == NULL)
		return;
	dlen = zero - (e->key + 1);
	nlen = e->keylen - 2 - dlen;
	if (dlen >= CC_NAME_LEN || nlen >= CC_NAME_LEN)
		return;
	memcpy(database, e->key + 1, dlen);
	database[dlen] = '\0';
	memcpy(name, zero + 1, nlen);
	name[nlen] = '\0';
	ns = cc_state_namespace(database, name);
	if (ns != CC_NO_NS && ns != CC_NS_SYSTEM)
		cc_atomic_raise(&cc_namespace(ns)->horizon, e->hlc);
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
 * Dot, version, entry and slot, with nothing between that can throw
 * (PROTOCOL.md, tick and position is sequence).
 */
static void
commit(Work *w)
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
	cc_store_replace(w->p, w->cur, e);
	if (w->c->op == CC_OP_STUB)
	{
		cc.floor->slice[cc_floor_slice(w->hash)].losses++;
		w->p->stripped = pos;
	}
	if (e->ns == CC_NS_SYSTEM)
		apply_horizon(e);
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
			commit(w);
	}
	cc_store_unlock(w->p);
}

/* Whether the operation draws an HLC of ours, which must be reserved. */
static bool
draws_version(CcOp op)
{
	return op == CC_OP_PUT || op == CC_OP_DELETE || op == CC_OP_TOUCH ||
		op == CC_OP_INCR;
}

CcResult
cc_cache_change(const CcChange *c, CcOutcome *o)
{
	Work		w = {.c = c, .o = o};
	uint64		hash[2];
	CcBuf		scratch;
	bool		mark;
	int			tries = 0;

	memset(o, 0, sizeof(*o));
	o->result = CC_NOT_READY;
	if (c->op != CC_OP_LOAD && !cc_state_takes_writes())
		return o->result;
	if (c->op == CC_OP_PUT && !c->null &&
		(Size) c->keylen + c->vallen > cc_store_max_payload())
		return o->result = CC_TOO_LARGE;

	cc_store_hash(c->ns, c->key, c->keylen, hash);
	w.hash = hash[0];
	w.p = cc_store_partition_of(hash[0]);
	w.scratch = &scratch;
	cc_buf_init(&scratch);

	if (draws_version(c->op))
		cc_cache_wait_clock(Max(pg_atomic_read_u64(&cc.state->hlc) + 1,
								cc_hlc_from_ms(cc_clock_ms())));
	for (;;)
	{
		if (c->op != CC_OP_LOAD)
			cc_changelog_reserve();
		try_change(&w, &mark);
		if (w.scratch_need > 0)
			cc_buf_reserve(&scratch, w.scratch_need);
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
	if (o->result == CC_DONE && c->op != CC_OP_LOAD)
	{
		cc_wake_writer();
		cc_wake_replicator();
		if (c->ns == CC_NS_SYSTEM && cc_cache_system_hook != NULL)
			cc_cache_system_hook(c->key, c->keylen);
	}
	return o->result;
}

uint16
cc_cache_horizon_key(uint16 ns, char *key)
{
	const CcNamespaceShared *n = cc_namespace(ns);
	Size		dlen = strlen(n->database);
	Size		nlen = strlen(n->name);

	key[0] = 'h';
	memcpy(key + 1, n->database, dlen + 1);
	memcpy(key + 2 + dlen, n->name, nlen);
	return (uint16) (2 + dlen + nlen);
}

CcResult
cc_cache_clear(uint16 ns)
{
	char		key[CC_SYSTEM_KEY_MAX];
	CcChange	c = {.op = CC_OP_PUT, .ns = CC_NS_SYSTEM, .type = CC_BYTEA};
	CcOutcome	o;

	c.key = key;
	c.keylen = cc_cache_horizon_key(ns, key);
	c.value = "";
	return cc_cache_change(&c, &o);
}
