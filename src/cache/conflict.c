/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  See conflict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/conflict.h"

#include "cache/exact_private.h"
#include "cache/expire.h"
#include "cache/extra.h"

/* Buckets that are looked at under one hold of a lock */
#define BUCKETS_A_TIME		256

static bool
is_pending(const CcHeaderShared *h, uint16 ns)
{
	return (cc_header_flags(h) & CC_F_PENDING) != 0 &&
		(ns == CC_NO_NS || h->ns == ns);
}

/*
 * A run of buckets of a partition.  Stops before a bucket whose keys have no
 * room, unless it is all the room that there is (`whole`).
 */
static int
next_in_partition(CcPartitionShared *p, uint32 *bucket, uint16 ns,
				  CcConflictKey *out, int max, bool whole)
{
	int			n = 0;
	uint32		end;

	cc_store_lock(p, false);
	end = p->list[CC_LIST_CONFLICTS].count == 0 ? *bucket :
		Min(*bucket + BUCKETS_A_TIME, p->nbuckets);
	if (end == *bucket)
		*bucket = p->nbuckets;
	while (*bucket < end && n < max)
	{
		int			before = n;
		CcHeaderShared *h = cc_store_first(p, *bucket);

		for (; h != NULL && n < max; h = cc_store_next(p, h))
		{
			if (!is_pending(h, ns))
				continue;
			out[n].ns = h->ns;
			out[n].keylen = h->keylen;
			cc_store_copy_key(p, h, out[n].key);
			n++;
		}
		if (h != NULL && (before > 0 || !whole))
		{
			n = before;
			break;
		}
		(*bucket)++;
	}
	cc_store_unlock(p);
	return n;
}

int
cc_conflict_next(CcConflictWalk *w, uint16 ns, CcConflictKey *out, int max)
{
	int			n = 0;

	while (n < max && w->partition < (int) cc.store->npartitions)
	{
		CcPartitionShared *p = cc_store_partition(w->partition);
		int			got = next_in_partition(p, &w->bucket, ns, out + n, max - n,
											n == 0);

		n += got;
		if (w->bucket >= p->nbuckets)
		{
			w->partition++;
			w->bucket = 0;
		}
		else if (got == 0 && n > 0)
			break;
	}
	if (n == 0)
		memset(w, 0, sizeof(*w));
	return n;
}

bool
cc_conflict_read(uint16 ns, const char *key, uint16 keylen, CcKeyState *ks,
				 CcBuf *buf)
{
	CcEntry		e;

	buf->len = 0;
	if (!cc_cache_peek(ns, key, keylen, &e, buf) || !cc_siblings_parse(&e, ks))
		return false;
	cc_exact_drop_cleared(ks);
	return ks->n > 0;
}

bool
cc_conflict_view(const CcEntry *original, int64 now, CcEntry *out)
{
	CcExtra		x;

	*out = *original;
	if (original->type == CC_STUB)
		return false;
	cc_extra_strip(out, &x);
	out->expires = x.fresh;
	return !cc_expire_over(x.fresh, now);
}

CcResult
cc_conflict_decide(uint16 ns, const char *key, uint16 keylen,
				   const CcKeyState *ks, const CcDecision *d)
{
	CcChange	c = {.op = CC_OP_RESOLVE, .ns = ns, .key = key, .keylen = keylen};
	CcOutcome	o;

	c.state = ks;
	c.decision = d;
	return cc_cache_change(&c, &o);
}

void
cc_conflict_choose(const CcEntry *original, CcHow how, CcDecision *d)
{
	d->how = how;
	d->type = original->type;
	d->flags = original->flags;
	d->value = original->value;
	d->vallen = original->vallen;
	d->expires = original->expires;
	if (original->type == CC_STUB)
	{
		d->flags = CC_F_TOMBSTONE;
		d->value = NULL;
		d->vallen = 0;
		d->expires = 0;
	}
}

void
cc_conflict_failed(uint16 ns, const char *key, uint16 keylen,
				   const CcKeyState *ks, const char *error, int64 retry_at)
{
	CcChange	c = {.op = CC_OP_FAILED, .ns = ns, .key = key, .keylen = keylen};
	CcOutcome	o;

	c.state = ks;
	c.error = error;
	c.retry_at = retry_at;
	(void) cc_cache_change(&c, &o);
}

/*
 * Locks the partition where the walk is and says where the run of buckets ends
 * that is looked at; the walk stands behind it then.  NULL: it is over.
 */
static CcPartitionShared *
next_run(CcConflictWalk *w, bool exclusive, uint32 *bucket, uint32 *end)
{
	CcPartitionShared *p;

	if (w->partition >= (int) cc.store->npartitions)
		return NULL;
	p = cc_store_partition(w->partition);
	cc_store_lock(p, exclusive);
	*bucket = w->bucket;
	*end = p->list[CC_LIST_CONFLICTS].count == 0 ? w->bucket :
		Min(w->bucket + BUCKETS_A_TIME, p->nbuckets);
	w->bucket = *end;
	if (*end == *bucket || *end == p->nbuckets)
	{
		w->partition++;
		w->bucket = 0;
	}
	return p;
}

bool
cc_conflict_retry(CcConflictWalk *w, uint16 ns)
{
	uint32		bucket;
	uint32		end;
	CcPartitionShared *p = next_run(w, true, &bucket, &end);

	if (p == NULL)
		return false;
	for (; bucket < end; bucket++)
	{
		for (CcHeaderShared *h = cc_store_first(p, bucket); h != NULL;
			 h = cc_store_next(p, h))
		{
			if (is_pending(h, ns))
				cc_siblings_retry(p, h);
		}
	}
	cc_store_unlock(p);
	return true;
}

static bool
count_there(const CcEntry *e, void *arg)
{
	*(int *) arg += !cc_expire_cleared(e->ns, e->hlc);
	return true;
}

bool
cc_conflict_any_due(uint16 ns)
{
	CcConflictWalk w = {0};
	CcPartitionShared *p;
	uint32		bucket;
	uint32		end;
	bool		found = false;

	while (!found && (p = next_run(&w, false, &bucket, &end)) != NULL)
	{
		for (; bucket < end && !found; bucket++)
		{
			for (CcHeaderShared *h = cc_store_first(p, bucket); h != NULL;
				 h = cc_store_next(p, h))
			{
				int			n = 0;

				if (!is_pending(h, ns) || cc_siblings_put_off(p, h))
					continue;
				/* of one that was cleared but for one original none is left */
				(void) cc_siblings_all(p, h, count_there, &n);
				found |= n > 1;
			}
		}
		cc_store_unlock(p);
	}
	return found;
}

uint64
cc_conflict_count(uint16 ns)
{
	uint64		count = 0;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	if (ns != CC_NO_NS)
		return pg_atomic_read_u64(&cc_namespace(ns)->conflicts);
	for (uint32 i = 0; i < n; i++)
		count += pg_atomic_read_u64(&cc_namespace(i)->conflicts);
	return count;
}
