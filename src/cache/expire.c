/*-------------------------------------------------------------------------
 *
 * expire.c
 *	  See expire.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/expire.h"

#include "cache/cache.h"
#include "cache/evict.h"
#include "cache/siblings.h"

/* Buckets that are visited under one hold of a lock */
#define BUCKETS_A_TIME	64

/* Orphans that one visit collects; the next walk finds the rest */
#define MAX_ORPHANS		8

/* Values by partition that go when a namespace is found beyond its bound */
#define EVICT_A_TIME	256

bool
cc_expire_over(int64 expires, int64 now_ms)
{
	if (expires == 0 || now_ms < expires)
		return false;
	/* PROTOCOL.md, seen expired: never beyond max(clock, HLC), so no limit */
	cc_hlc_observe(&cc.state->hlc, cc_hlc_from_ms(expires));
	return true;
}

bool
cc_expire_far_off(int64 expires)
{
	return expires > cc_clock_coarse_ms() + CC_COARSE_MS &&
		expires > cc_hlc_to_ms(pg_atomic_read_u64(&cc.state->hlc));
}

bool
cc_expire_cleared(uint16 ns, uint64 hlc)
{
	return hlc <= pg_atomic_read_u64(&cc_namespace(ns)->horizon);
}

/* Orphans that one visit has collected. */
typedef struct Orphans
{
	int			n;
	CcHeaderShared *h;			/* the entry that is looked at */
	CcPartitionShared *p;
	CcEntry		entry[MAX_ORPHANS];
	char		key[MAX_ORPHANS][CC_MAX_KEY];
} Orphans;

/* Notes that an entry beyond VV is here (retire), and collects orphans. */
static bool
note_beyond(const CcEntry *e, void *arg)
{
	Orphans    *o = arg;
	pg_atomic_uint64 *beyond;
	uint64		mark = pg_atomic_read_u64(&cc.state->sweep_cycle) + 1;

	if (e->origin == cc_state_self() || cc_state_vv(e->origin) >= e->seq)
		return true;
	beyond = &cc_state_array(pg_atomic_uint64, beyond)[e->origin];
	if (pg_atomic_read_u64(beyond) != mark)
		pg_atomic_write_u64(beyond, mark);
	if ((pg_atomic_read_u32(cc_origin_flags(e->origin)) &
		 CC_ORIGIN_ORPHANED) != 0 && o->n < MAX_ORPHANS)
	{
		o->entry[o->n] = *e;
		cc_store_copy_key(o->p, o->h, o->key[o->n]);
		o->entry[o->n].key = o->key[o->n];
		o->n++;
	}
	return true;
}

/* Nearly every entry is none that this would note. */
static inline bool
may_be_beyond(const CcHeaderShared *h)
{
	return (cc_header_flags(h) & CC_F_SIBLINGS) != 0 ||
		cc_state_vv(h->origin) < h->seq;
}

bool
cc_expire_clean(uint16 origin)
{
	uint64		beyond = pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64,
															beyond)[origin]);

	return pg_atomic_read_u64(&cc.state->sweep_cycle) >= beyond + 1;
}

/* Whether an original, or the resolution, is nothing any more. */
static bool
is_dead(const CcEntry *e, void *arg)
{
	return e->type == CC_STUB || cc_expire_over(e->expires, *(int64 *) arg);
}

/* A value has expired. */
static void
note_expired(CcPartitionShared *p, CcHeaderShared *h, int64 now, CcSweep *s)
{
	s->oldest_over = Max(s->oldest_over, now - h->expires);
	p->expirations++;
	pg_atomic_fetch_add_u64(&cc_namespace(h->ns)->expirations, 1);
}

/*
 * A key with siblings, that are folded before.  Its deadline is only that of
 * what is served; where nothing of it lives its values go, and it does once all
 * members have seen all of it.  One that is pending is decided first, on all
 * nodes: whoever forgot it would not decide what others still have a value of.
 */
static bool
visit_siblings(CcPartitionShared *p, CcHeaderShared *h, int64 now, CcSweep *s)
{
	bool		value = cc_header_type(h) != CC_STUB;

	if (cc_siblings_cleared(p, h))
	{
		cc_store_remove(p, h);
		return true;
	}
	if ((cc_header_flags(h) & CC_F_PENDING) == 0 &&
		cc_siblings_all(p, h, is_dead, &now))
	{
		bool		stable = cc_siblings_stable(p, h) && cc_evict_settled(p);

		if (value)
			note_expired(p, h, now, s);
		if (stable)
			cc_evict_forget(p, h);
		else if (value)
			cc_siblings_evict(p, h);
		return stable || value;
	}
	cc_store_settle(p, h);
	return false;
}

/* One entry; returns true when it was freed or made a stub. */
static bool
visit(CcPartitionShared *p, CcHeaderShared *h, int64 now, CcSweep *s)
{
	bool		stub;

	if (h->ns == CC_NS_SYSTEM)
		return false;
	if (unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0) &&
		!cc_siblings_fold(p, h))
		return visit_siblings(p, h, now, s);
	stub = cc_header_type(h) == CC_STUB;
	if (cc_expire_cleared(h->ns, h->hlc))
	{
		cc_store_remove(p, h);
		return true;
	}
	if (!stub && cc_expire_over(h->expires, now))
	{
		note_expired(p, h, now, s);
		/* PROTOCOL.md, what goes */
		if (cc_state_stable(h->origin, h->seq) || !cc_rule(unstable_expiry))
			cc_evict_forget(p, h);
		else
			cc_store_make_stub(p, h);
		return true;
	}
	if (stub && cc_state_stable(h->origin, h->seq) && cc_evict_settled(p))
	{
		cc_evict_forget(p, h);
		return true;
	}
	if (!stub)
		cc_store_settle(p, h);
	return false;
}

/* Where a bound was lowered nobody may put any more; see cc_evict_namespace. */
static void
bound_namespaces(int partition)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	uint32		most = EVICT_A_TIME * cc.store->npartitions;

	for (uint32 ns = 0; ns < n; ns++)
	{
		if (cc_evict_over((uint16) ns))
			cc_evict_namespace((uint16) ns,
							   cc_store_bucket_hash(partition, 0), 0, most);
	}
}

static void
next_partition(CcSweep *s)
{
	s->bucket = 0;
	bound_namespaces(s->partition);
	if (++s->partition < (int) cc.store->npartitions)
		return;
	s->partition = 0;
	s->cycle++;
	s->lag_ms = s->oldest_over;
	s->oldest_over = 0;
	s->last_began = s->began;
	s->began = 0;
	pg_atomic_fetch_add_u64(&cc.state->sweep_cycle, 1);
	s->cycle_began_ms = cc_monotonic_ms();
}

uint32
cc_expire_sweep(CcSweep *s, uint32 nbuckets)
{
	uint32		freed = 0;
	Orphans		orphans;

	while (nbuckets > 0)
	{
		CcPartitionShared *p = cc_store_partition(s->partition);
		uint32		end;
		int64		now = cc_hlc_now_ms(&cc.state->hlc);

		orphans.n = 0;
		orphans.p = p;
		if (s->began == 0)
			s->began = now;
		cc_store_lock(p, true);
		end = Min(s->bucket + Min(BUCKETS_A_TIME, nbuckets), p->nbuckets);
		nbuckets -= Min(nbuckets, Max(end - s->bucket, 1));
		for (; s->bucket < end; s->bucket++)
		{
			CcHeaderShared *h = cc_store_first(p, s->bucket);

			while (h != NULL)
			{
				CcHeaderShared *next = cc_store_next(p, h);

				orphans.h = h;
				if (visit(p, h, now, s))
					freed++;
				else if (unlikely(may_be_beyond(h)))
					(void) cc_siblings_all(p, h, note_beyond, &orphans);
				h = next;
			}
		}
		cc_evict_bound(p);
		cc_store_unlock(p);
		for (int i = 0; i < orphans.n; i++)
			cc_cache_redot(&orphans.entry[i]);
		if (s->bucket >= p->nbuckets)
			next_partition(s);
	}
	return freed;
}

int64
cc_expire_lag(const CcSweep *s)
{
	int64		lag = Max(s->lag_ms, s->oldest_over);
	int64		now = cc_hlc_now_ms(&cc.state->hlc);

	return s->last_began == 0 ? lag : Min(lag, Max(now - s->last_began, 0));
}

/* A run of buckets; where the next begins, or 0 at the partition's end. */
static uint32
look_at(CcPartitionShared *p, uint32 bucket, int64 *over_ms)
{
	int64		now = cc_hlc_now_ms(&cc.state->hlc);
	uint32		end;

	cc_store_lock(p, false);
	end = Min(bucket + BUCKETS_A_TIME, p->nbuckets);
	for (; bucket < end; bucket++)
	{
		for (CcHeaderShared *h = cc_store_first(p, bucket); h != NULL;
			 h = cc_store_next(p, h))
		{
			if (cc_header_type(h) != CC_STUB && h->expires != 0 &&
				(cc_header_flags(h) & CC_F_SIBLINGS) == 0 &&
				!cc_expire_cleared(h->ns, h->hlc))
				*over_ms = Max(*over_ms, now - h->expires);
		}
	}
	end = p->nbuckets;
	cc_store_unlock(p);
	return bucket < end ? bucket : 0;
}

bool
cc_expire_look(int64 budget_ms, int64 *over_ms)
{
	int64		stop = cc_monotonic_ms() + budget_ms;

	*over_ms = 0;
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		uint32		bucket = 0;

		do
		{
			if (cc_monotonic_ms() > stop)
				return false;
			bucket = look_at(cc_store_partition((int) i), bucket, over_ms);
		} while (bucket != 0);
	}
	return true;
}
