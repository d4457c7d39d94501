/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  What one side of a split alone has written (PROTOCOL.md, one-sided
 *	  changes); see heal.h.  When a split may be walked is in ripe.c.
 *
 * An entry is one when a member whose split record says that its writer was
 * out of reach at that time was there then (cc_policy_stood_apart), and that
 * interval's end is among those that are walked.  Entries that are pending, or
 * a resolution, were written by more than one side; counters add up.
 *
 * Locking: none held; takes a partition's lock for a run of buckets, and
 * apart->lock.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

#include "cache/expire.h"
#include "cache/extra.h"
#include "cluster/entries.h"

/* What a step of the replicator looks at */
#define STEP_BUCKETS	4096
#define STEP_CHANGES	32

/* Buckets under one hold of a partition's lock */
#define RUN				64

/* An interval that counts: its record's node, by the roll, and the writer */
typedef struct Span
{
	CcNodeId	writer;
	int			recorder;
	CcInterval	interval;
} Span;

typedef struct Spans
{
	CcRoll		roll;
	uint64		from;			/* of all together */
	uint64		to;
	int			n;
	Span		span[FLEXIBLE_ARRAY_MEMBER];
} Spans;

/* ------------------------------------------------------------------------
 * Walks
 * ------------------------------------------------------------------------
 */

/* Whether any split has ended in (after, upto]. */
static bool
has_end(uint64 after, uint64 upto)
{
	bool		found = false;

	cc_lock_shared(&cc.apart->lock);
	for (uint32 a = 0; a < cc.apart->nnodes && !found; a++)
	{
		for (uint32 i = 0; i < cc.apart->n[a] && !found; i++)
			found = cc_apart_interval(a, i)->to > after &&
				cc_apart_interval(a, i)->to <= upto;
	}
	cc_unlock(&cc.apart->lock);
	return found;
}

bool
cc_heal_walk_begin(uint16 ns, CcOneSidedWalk *w)
{
	memset(w, 0, sizeof(*w));
	w->after = pg_atomic_read_u64(&cc.heal->walked[ns]);
	w->upto = pg_atomic_read_u64(&cc.heal->ripe);
	return w->after < w->upto && cc_heal_is_walked(ns) &&
		cc_heal_may_decide() && has_end(w->after, w->upto);
}

/* Tells all nodes up to where a namespace was walked, or need not be. */
static void
tell_walked(uint16 ns, uint64 upto)
{
	char		key[CC_SYSTEM_KEY_MAX];
	uint16		len = cc_heal_key(ns, 'w', key);
	char		value[8];
	CcBuf		b = {.data = value, .len = 0, .cap = sizeof(value)};

	cc_buf_put_u64(&b, upto);
	(void) cc_entries_write(key, len, value, sizeof(value));
}

void
cc_heal_walk_end(uint16 ns, const CcOneSidedWalk *w)
{
	cc_atomic_raise(&cc.heal->walked[ns], w->upto);
	tell_walked(ns, w->upto);
}

/*
 * What this node passed over, as the namespace had another policy then, may
 * have become ripe elsewhere when it had this one: there it waits for us.
 */
static void
tell_passed_over(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint64		told = pg_atomic_read_u64(&cc.heal->told[ns]);
		uint64		walked = pg_atomic_read_u64(&cc.heal->walked[ns]);

		if (told < walked && cc_heal_is_walked((uint16) ns) &&
			has_end(told, walked))
			tell_walked((uint16) ns, walked);
	}
}

/* The intervals of members whose ends count for this walk. */
static Spans *
copy_spans(const CcOneSidedWalk *w)
{
	Spans	   *spans;
	int			n = 0;

	/* the caller's roll is asked before apart->lock is taken */
	spans = cc_alloc(offsetof(Spans, span) +
				   (Size) CC_APART_NODES * cc.apart->cap * sizeof(Span));
	cc_policy_roll(&spans->roll);
	spans->from = PG_UINT64_MAX;
	spans->to = 0;
	cc_lock_shared(&cc.apart->lock);
	for (int r = 0; r < spans->roll.n; r++)
	{
		for (uint32 a = 0; a < cc.apart->nnodes; a++)
		{
			if (cc_id_cmp(&cc.apart->node[a], &spans->roll.id[r]) != 0)
				continue;
			for (uint32 i = 0; i < cc.apart->n[a]; i++)
			{
				const CcInterval *iv = cc_apart_interval(a, i);

				if (iv->to <= w->after || iv->to > w->upto)
					continue;
				spans->span[n].writer = cc.apart->node[iv->peer];
				spans->span[n].recorder = r;
				spans->span[n++].interval = *iv;
				spans->from = Min(spans->from, iv->from);
				spans->to = Max(spans->to, iv->to);
			}
		}
	}
	cc_unlock(&cc.apart->lock);
	spans->n = n;
	return spans;
}

/* The interval in which it was written unseen; NULL: none. */
static const Span *
span_of(const Spans *spans, const CcWritten *w)
{
	for (int i = 0; i < spans->n; i++)
	{
		const Span *span = &spans->span[i];

		if (span->interval.from <= w->hlc && w->hlc <= span->interval.to &&
			cc_apart_unseen(&span->interval, w->incarnation, w->seq) &&
			spans->roll.joined[span->recorder] <= w->hlc &&
			cc_id_cmp(&span->writer, &w->writer) == 0)
			return span;
	}
	return NULL;
}

/* Who wrote the value, when, and under which dot, if it has one of his. */
static void
describe_write(const CcHeaderShared *h, CcWritten *w)
{
	const CcOriginShared *origin = cc_origin(h->origin);

	w->writer = cc_origin(h->writer)->node;
	w->hlc = h->hlc;
	w->incarnation = PG_UINT64_MAX;
	w->seq = h->seq;
	if (cc_id_cmp(&origin->node, &w->writer) == 0)
		w->incarnation = origin->incarnation;
}

/* Under the lock of its partition; NULL: it does not count. */
static const Span *
one_sided(const Spans *spans, CcPartitionShared *p, CcHeaderShared *h,
		  CcWritten *w)
{
	CcEntry		siblings[CC_MAX_ORIGINALS];
	uint8		flags = cc_header_flags(h);

	if (h->hlc < spans->from || h->hlc > spans->to ||
		cc_header_type(h) == CC_STUB || cc_header_type(h) == CC_COUNTER ||
		(flags & CC_F_PENDING) != 0 ||
		((flags & CC_F_SIBLINGS) != 0 &&
		 cc_siblings_heads(p, h, siblings, NULL) > 0) ||
		cc_expire_cleared(h->ns, h->hlc))
		return NULL;
	describe_write(h, w);
	return span_of(spans, w);
}

/*
 * Those of a bucket, behind the n that there are.  Returns how many there are
 * then; max + 1 when there was no room for all.
 */
static int
take_bucket(uint16 ns, const Spans *spans, CcPartitionShared *p,
			uint32 bucket, CcOneSided *out, int n, int max)
{
	for (CcHeaderShared *h = cc_store_first(p, bucket); h != NULL;
		 h = cc_store_next(p, h))
	{
		CcWritten	w;
		const Span *span = h->ns == ns ? one_sided(spans, p, h, &w) : NULL;

		if (span == NULL)
			continue;
		if (n == max)
			return max + 1;
		out[n].key.ns = ns;
		out[n].key.keylen = h->keylen;
		cc_store_copy_key(p, h, out[n].key.key);
		out[n].written = w;
		out[n++].other = spans->roll.id[span->recorder];
	}
	return n;
}

/*
 * A run of buckets under one hold of the lock; moves on.  False when there is
 * no room for the next one: it is looked at again, with all the room, and of
 * those that it has beyond that nobody is told.
 */
static bool
take_run(uint16 ns, const Spans *spans, CcOneSidedWalk *w, CcOneSided *out,
		 int *n, int max)
{
	CcPartitionShared *p = cc_store_partition(w->partition);
	uint32		end;
	bool		room = true;

	cc_store_lock(p, false);
	end = Min(p->nbuckets, w->bucket + RUN);
	while (w->bucket < end && room)
	{
		int			found = take_bucket(ns, spans, p, w->bucket, out, *n, max);

		room = found <= max || *n == 0;
		if (room)
		{
			*n = Min(found, max);
			w->bucket++;
		}
	}
	if (w->bucket >= p->nbuckets)
	{
		w->partition++;
		w->bucket = 0;
	}
	cc_store_unlock(p);
	return room;
}

/* Whether this node was on the side of the one who wrote it. */
static bool
is_ours(const CcOneSided *c)
{
	CcNodeId	self = cc_origin(cc_state_self())->node;

	const CcWritten *w = &c->written;

	return cc_id_cmp(&w->writer, &self) == 0 ||
		(!cc_apart_out_of_reach(&self, &w->writer, w->hlc) &&
		 !cc_apart_out_of_reach(&w->writer, &self, w->hlc));
}

bool
cc_heal_walk_some(uint16 ns, CcOneSidedWalk *w, CcOneSided *out, int max,
				  uint32 buckets, int *n)
{
	Spans	   *spans = copy_spans(w);
	bool		more;

	*n = 0;
	/* a namespace without entries has none in any bucket */
	if (spans->n == 0 ||
		pg_atomic_read_u64(&cc_namespace(ns)->entries) == 0)
		w->partition = (int) cc.store->npartitions;
	for (uint32 i = 0; i < buckets; i += RUN)
	{
		if (w->partition >= (int) cc.store->npartitions || *n == max ||
			!take_run(ns, spans, w, out, n, max))
			break;
	}
	for (int i = 0; i < *n; i++)
		out[i].ours = is_ours(&out[i]);
	more = w->partition < (int) cc.store->npartitions;
	cc_free(spans);
	return more || *n > 0;
}

int
cc_heal_walk_next(uint16 ns, CcOneSidedWalk *w, CcOneSided *out, int max)
{
	int			n;

	while (cc_heal_walk_some(ns, w, out, max, STEP_BUCKETS, &n) && n == 0)
		cc_check_interrupts();
	return n;
}

/* A value with its block, which a put says in words of its own. */
static void
put_value(CcChange *c, const CcDecision *d)
{
	CcExtra		x;

	c->type = d->type;
	c->null = (d->flags & CC_F_NULL) != 0;
	c->value = d->value;
	c->vallen = d->vallen;
	c->ttl_ms = d->expires == 0 ? 0 : 1;
	c->deadline = d->expires;
	if ((d->flags & CC_F_EXTRA) == 0)
		return;
	cc_extra_get(d->value, &x);
	c->value += CC_EXTRA_VALUE;
	c->vallen -= CC_EXTRA_VALUE;
	c->deadline = x.fresh;
	c->ttl_ms = x.fresh == 0 ? 0 : Max(x.ttl_ms, 1);
	c->sliding = x.fresh != 0 && x.ttl_ms > 0;
	c->grace_ms = x.fresh == 0 ? 0 : d->expires - x.fresh;
	if (x.cap != 0)
		c->max_age_ms = Max(x.cap - cc_hlc_now_ms(&cc.state->hlc), 1);
}

CcResult
cc_heal_walk_apply(const CcOneSided *s, const CcDecision *d)
{
	CcChange	c = {.op = CC_OP_PUT, .if_version = s->written.hlc};
	CcOutcome	o;
	CcResult	result;

	c.ns = s->key.ns;
	c.key = s->key.key;
	c.keylen = s->key.keylen;
	if (d->type == CC_STUB)
		c.ttl_ms = -1;			/* which deletes, on that condition */
	else
		put_value(&c, d);
	result = cc_cache_change(&c, &o);
	/* as of the split from whoever was on the other side than we */
	if (result == CC_DONE)
		cc_splits_count_fate(s->ours ? &s->other : &s->written.writer,
							 d->type == CC_STUB ? CC_FATE_DELETED :
							 CC_FATE_MERGED);
	return result;
}

/* ------------------------------------------------------------------------
 * The island policies
 * ------------------------------------------------------------------------
 */

static bool
begin_walk(void)
{
	CcHealShared *h = cc.heal;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if (cc_heal_is_island((uint16) ns) &&
			cc_heal_walk_begin((uint16) ns, &h->walk))
		{
			h->walk_ns = (uint16) ns;
			h->walk_deleted = 0;
			return true;
		}
	}
	return false;
}

/* PROTOCOL.md, one-sided changes: those of the losing island go. */
static void
delete_losers(uint16 ns, const CcOneSided *changes, int n)
{
	CcOnSplit	policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);
	CcDecision	d = {.how = (CcHow) policy, .type = CC_STUB};
	CcRoll		roll;

	cc_policy_roll(&roll);
	for (int i = 0; i < n; i++)
	{
		if (!cc_policy_side_wins(policy, &roll, &changes[i].written) &&
			cc_heal_walk_apply(&changes[i], &d) == CC_DONE)
			cc.heal->walk_deleted++;
	}
}

static void
end_walk(void)
{
	CcHealShared *h = cc.heal;
	uint16		ns = h->walk_ns;
	CcOnSplit	policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);

	cc_heal_walk_end(ns, &h->walk);
	if (h->walk_deleted > 0)
		cc_log(CC_LOG, "entries of cache namespace \"%s\" of database \"%s\" "
			   "that only the losing side of a split had written were deleted "
			   "by policy %s: " UINT64_FORMAT,
			   cc_namespace(ns)->name, cc_namespace(ns)->database,
			   cc_namespace_on_split[policy], h->walk_deleted);
	h->walk_ns = CC_NS_SYSTEM;
}

bool
cc_heal_walk_step(void)
{
	CcHealShared *h = cc.heal;
	CcOneSided *changes;
	bool		more;
	int			n;

	if (pg_atomic_read_u32(&cc.apart->any) == 0 || !cc_heal_may_decide() ||
		(h->walk_ns != CC_NS_SYSTEM && !cc_heal_is_island(h->walk_ns)))
	{
		/* it begins anew when it may; nothing says that it was walked */
		h->walk_ns = CC_NS_SYSTEM;
		return false;
	}
	tell_passed_over();
	if (h->walk_ns == CC_NS_SYSTEM && !begin_walk())
		return false;
	changes = cc_alloc(STEP_CHANGES * sizeof(CcOneSided));
	more = cc_heal_walk_some(h->walk_ns, &h->walk, changes, STEP_CHANGES,
							 STEP_BUCKETS, &n);
	delete_losers(h->walk_ns, changes, n);
	cc_free(changes);
	if (!more)
		end_walk();
	return true;
}
