/*-------------------------------------------------------------------------
 *
 * read.c
 *	  The reading half of cache.h: one entry, or a walk over a namespace.
 *
 * A deadline and a horizon are looked at by every read; what is over or was
 * cleared is a miss, whether or not the sweep has been there.
 *
 * Locking: a partition's lock in shared mode, for one key or a short run of
 * buckets.  A hit sets the visited bit and nothing else.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/cache.h"

#include "cache/expire.h"
#include "cache/extra.h"

/* Buckets that are read under one hold of a lock */
#define BUCKETS_A_TIME		32

/* What a reader wants to see beside what is fresh. */
typedef enum Want
{
	WANT_FRESH,
	WANT_LISTED,				/* what is fresh, and it is no use of it */
	WANT_STALE,					/* what is in its grace too */
	WANT_ALL					/* stubs and everything */
} Want;

static bool
wanted(CcPartitionShared *p, CcHeaderShared *h, Want want)
{
	int64		now;

	if (want == WANT_ALL)
		return true;
	if (cc_header_type(h) == CC_STUB || cc_expire_cleared(h->ns, h->hlc))
		return false;
	if (h->expires == 0 || ((cc_header_flags(h) & CC_F_EXTRA) == 0 &&
							cc_expire_far_off(h->expires)))
		return true;
	now = cc_hlc_now_ms(&cc.state->hlc);
	return !cc_expire_over(h->expires, now) &&
		(want == WANT_STALE || !cc_expire_over(cc_extra_fresh(p, h), now));
}

/* Common part of the readers. */
static bool
read_entry(uint16 ns, const char *key, uint16 keylen, Want want, CcEntry *e,
		   CcBuf *buf)
{
	uint64		hash[2];
	CcPartitionShared *p;
	Size		need;
	bool		found;

	cc_store_hash(ns, key, keylen, hash);
	p = cc_store_partition_of(hash[0]);
	cc_store_prefetch(p, hash[0]);
	for (;;)
	{
		CcHeaderShared *h;

		need = 0;
		found = false;
		cc_store_lock(p, false);
		h = cc_store_find(p, hash[0], ns, key, keylen);
		if (h != NULL && wanted(p, h, want))
		{
			found = buf == NULL || cc_store_read(p, h, e, buf, &need);
			if (found && want != WANT_LISTED)
				cc_store_visit(h);
		}
		cc_store_unlock(p);
		if (need == 0)
			return found;
		cc_buf_reserve(buf, need);
	}
}

/*
 * A sliding entry was read: its deadline moves on, unless that would
 * have to wait for the disk or the node takes no writes; then a later read
 * does it.
 */
static void
slide(uint16 ns, const char *key, uint16 keylen, CcEntry *e, const CcExtra *x)
{
	CcChange	c = {.op = CC_OP_SLIDE, .ns = ns, .key = key, .keylen = keylen};
	CcOutcome	o;
	int64		to = cc_extra_slide(x, cc_hlc_now_ms(&cc.state->hlc));

	if (to == 0 ||
		!cc_cache_clock_reserved(Max(pg_atomic_read_u64(&cc.state->hlc) + 1,
									 cc_hlc_from_ms(cc_clock_ms()))))
		return;
	if (cc_cache_change(&c, &o) == CC_DONE)
		e->expires = to;
}

bool
cc_cache_get_stale(uint16 ns, const char *key, uint16 keylen, CcEntry *e,
				   CcBuf *buf, bool *stale)
{
	CcExtra		x;

	*stale = false;
	if (!cc_state_serves() ||
		!read_entry(ns, key, keylen, WANT_STALE, e, buf))
		return false;
	cc_extra_strip(e, &x);
	e->expires = x.fresh;
	*stale = cc_expire_over(x.fresh,
							cc_hlc_now_ms(&cc.state->hlc));
	if (unlikely(x.ttl_ms != 0) && !*stale)
		slide(ns, key, keylen, e, &x);
	return true;
}

bool
cc_cache_get(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	CcExtra		x;

	if (!cc_state_serves() ||
		!read_entry(ns, key, keylen, WANT_FRESH, e, buf))
		return false;
	if (unlikely((e->flags & (CC_F_EXTRA | CC_F_SIBLINGS)) != 0))
	{
		cc_extra_strip(e, &x);
		e->expires = x.fresh;
		slide(ns, key, keylen, e, &x);
	}
	return true;
}

bool
cc_cache_look(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	CcExtra		x;

	if (!cc_state_serves() ||
		!read_entry(ns, key, keylen, WANT_LISTED, e, buf))
		return false;
	if (buf != NULL)
	{
		cc_extra_strip(e, &x);
		e->expires = x.fresh;
	}
	return true;
}

bool
cc_cache_peek(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	return read_entry(ns, key, keylen, WANT_ALL, e, buf);
}

bool
cc_cache_has(uint16 ns, const char *key, uint16 keylen, int64 *expires)
{
	uint64		hash[2];
	CcPartitionShared *p;
	CcHeaderShared *h;
	bool		found;

	if (!cc_state_serves())
		return false;
	cc_store_hash(ns, key, keylen, hash);
	p = cc_store_partition_of(hash[0]);
	cc_store_lock(p, false);
	h = cc_store_find(p, hash[0], ns, key, keylen);
	found = h != NULL && wanted(p, h, WANT_FRESH);
	if (found)
	{
		*expires = cc_extra_fresh(p, h);
		cc_store_visit(h);
	}
	cc_store_unlock(p);
	return found;
}

/* Whether a listing shows the entry. */
static bool
listed(CcPartitionShared *p, CcHeaderShared *h, uint16 ns)
{
	return h->ns == ns && wanted(p, h, WANT_FRESH);
}

/*
 * Copies the listed entries of a run of buckets to buf; stops before a bucket
 * that does not fit.  Returns the bucket to go on with.
 */
static uint32
scan_run(CcPartitionShared *p, uint32 b, uint16 ns, CcBuf *entries, CcBuf *data,
		 Size *need)
{
	uint32		end;

	*need = 0;
	cc_store_lock(p, false);
	end = Min(b + BUCKETS_A_TIME, p->nbuckets);
	for (; b < end; b++)
	{
		Size		n = entries->len;
		Size		d = data->len;
		CcHeaderShared *h;

		for (h = cc_store_first(p, b); h != NULL; h = cc_store_next(p, h))
		{
			CcEntry		e;
			Size		missing = 0;
			CcExtra		x;

			if (!listed(p, h, ns))
				continue;
			if (cc_buf_room(entries) < sizeof(e) ||
				!cc_store_read(p, h, &e, data, &missing))
			{
				/* this bucket again, with more room if it is the first */
				entries->len = n;
				data->len = d;
				*need = n == 0 ? Max(missing, sizeof(e)) : 0;
				goto done;
			}
			cc_extra_strip(&e, &x);
			e.expires = x.fresh;
			cc_buf_put(entries, &e, sizeof(e));
		}
	}
done:
	cc_store_unlock(p);
	return b;
}

void
cc_cache_scan(uint16 ns, CcScan *scan, CcEntryFn fn, void *arg)
{
	CcBuf	   *entries = &scan->entries;
	CcBuf	   *data = &scan->data;

	if (!cc_state_serves())
		return;
	entries->len = data->len = 0;
	cc_buf_reserve(entries, 4 * BUCKETS_A_TIME * sizeof(CcEntry));
	cc_buf_reserve(data, 65536);
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);
		uint32		b = 0;

		while (b < p->nbuckets)
		{
			Size		need;

			cc_check_interrupts();
			entries->len = data->len = 0;
			b = scan_run(p, b, ns, entries, data, &need);
			if (need > 0)
			{
				cc_buf_reserve(entries, entries->cap + sizeof(CcEntry));
				cc_buf_reserve(data, data->cap + need);
				continue;
			}
			for (Size off = 0; off < entries->len; off += sizeof(CcEntry))
				fn((CcEntry *) (entries->data + off), arg);
		}
	}
}

uint64
cc_cache_count(uint16 ns)
{
	uint64		count = 0;

	if (!cc_state_serves())
		return 0;
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);
		uint32		b = 0;

		while (b < p->nbuckets)
		{
			uint32		end = Min(b + 16 * BUCKETS_A_TIME, p->nbuckets);

			cc_check_interrupts();
			cc_store_lock(p, false);
			for (; b < end; b++)
			{
				for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
					 h = cc_store_next(p, h))
					count += listed(p, h, ns);
			}
			cc_store_unlock(p);
		}
	}
	return count;
}
