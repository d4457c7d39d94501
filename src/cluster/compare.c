/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  See compare.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/compare.h"

#include "cache/cache.h"
#include "cache/expire.h"
#include "cache/siblings.h"
#include "cluster/membership.h"

/* Buckets judged under one hold of a lock, and keys that it may condemn */
#define BUCKETS_A_TIME	16
#define KEYS_A_TIME		16

/* One key of the digest. */
typedef struct DigestKey
{
	uint64		hash[2];
	uint64		hlc;
	uint64		at;
	uint16		writer;
	uint16		at_node;
	bool		has_value;
} DigestKey;

typedef struct Digest
{
	uint64		low;
	uint64		high;
	const char *floor;			/* the sender's F of the slice */
	Size		floor_len;
	uint32		n;
	DigestKey  *key;			/* sorted by hash */
	const CcVV *v;
} Digest;

static int
compare_hash(const uint64 *a, const uint64 *b)
{
	if (a[0] != b[0])
		return a[0] < b[0] ? -1 : 1;
	if (a[1] != b[1])
		return a[1] < b[1] ? -1 : 1;
	return 0;
}

static int
compare_keys(const void *a, const void *b)
{
	return compare_hash(((const DigestKey *) a)->hash,
						((const DigestKey *) b)->hash);
}

/* The digest's keys of a hash: the first; there are *n. */
static const DigestKey *
find_keys(const Digest *d, const uint64 hash[2], uint32 *n)
{
	uint32		lo = 0;
	uint32		hi = d->n;

	while (lo < hi)
	{
		uint32		mid = lo + (hi - lo) / 2;

		if (compare_hash(d->key[mid].hash, hash) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*n = 0;
	while (lo + *n < d->n && compare_hash(d->key[lo + *n].hash, hash) == 0)
		(*n)++;
	return &d->key[lo];
}

static bool
read_digest(CcDecoder *dec, Digest *d)
{
	CcReader   *r = &dec->r;

	d->low = cc_read_u64(r);
	d->high = cc_read_u64(r);
	d->floor_len = cc_read_u32(r);
	d->floor = cc_read_bytes(r, d->floor_len);
	d->n = cc_read_u32(r);
	if (r->bad || d->high < d->low ||
		cc_floor_slice(d->low) != cc_floor_slice(d->high) ||
		(Size) d->n * CC_DIGEST_KEY > cc_reader_left(r) ||
		!cc_floor_check(d->floor, d->floor_len))
		return false;
	d->key = cc_alloc(Max(d->n, 1) * sizeof(DigestKey));
	for (uint32 i = 0; i < d->n; i++)
	{
		DigestKey  *k = &d->key[i];

		k->hash[0] = cc_read_u64(r);
		k->hash[1] = cc_read_u64(r);
		k->hlc = cc_read_u64(r);
		if (!cc_decode_origin_ref(dec, cc_read_u16(r), &k->writer))
			return false;
		k->at = cc_read_u64(r);
		if (!cc_decode_origin_ref(dec, cc_read_u16(r), &k->at_node))
			return false;
		k->has_value = cc_read_u8(r) != 0;
	}
	if (r->bad)
		return false;
	qsort(d->key, d->n, sizeof(DigestKey), compare_keys);
	return true;
}

/*
 * PROTOCOL.md, full comparison: whether our entry, original or resolution loses
 * its value.  Where conflicts are kept (keeps) each version is for itself: a
 * newer one says nothing of ours.  *gone: the sender has seen it and lists it no
 * more, so it goes as a whole; of what it forgot without having seen ours only
 * the value goes, as ours stays a side of the conflict.
 */
static bool
condemned(const Digest *d, const CcEntry *e, const uint64 hash[2], bool keeps,
		  bool *gone)
{
	uint32		n;
	const DigestKey *k = find_keys(d, hash, &n);
	bool		seen = cc_vv_get(d->v, e->origin) >= e->seq;

	*gone = keeps && seen;
	for (uint32 i = 0; i < n; i++)
	{
		CcEntry		theirs = {0};
		int			cmp;

		theirs.hlc = k[i].hlc;
		theirs.writer = k[i].writer;
		theirs.at = k[i].at;
		theirs.at_node = k[i].at_node;
		if (keeps && !cc_siblings_same(&theirs, e))
			continue;
		*gone = false;
		cmp = cc_cache_compare(&theirs, e);
		if (cmp == 0)
			return !k[i].has_value && cc_rule(digest_stub);
		if (cmp > 0 || !cc_rule(digest_older))
			return false;
	}
	/* the sender has seen it and has it no more, or forgot it */
	return seen ||
		cc_floor_get_in(d->floor, d->floor_len, e->hash) >=
		(cc_rule(floor_version) ? e->hlc : e->at);
}

/*
 * A stub whose value is in no file of ours: it was born as one, or a digest has
 * taken it away before.  That of another one had been evicted, which is not in
 * the journal, so it is condemned like a value.
 */
static bool
files_know(CcHeaderShared *h)
{
	return cc_header_type(h) == CC_STUB &&
		((cc_header_flags(h) & CC_F_TOMBSTONE) != 0 || cc_header_visited(h));
}

/* A run of buckets that is judged: whom it condemns. */
typedef struct Run
{
	const Digest *d;
	CcPartitionShared *p;
	CcHeaderShared *h;			/* the entry that is judged ... */
	bool		served;			/* ... itself, not yet its siblings */
	bool		several;		/* it has more than one original */
	bool		keeps;
	uint64		hash[2];
	int			n;
	CcEntry		entry[KEYS_A_TIME];
	bool		gone[KEYS_A_TIME];
	char		key[KEYS_A_TIME][CC_MAX_KEY];
} Run;

/* False: there is no room for another. */
static bool
judge_one(const CcEntry *e, void *arg)
{
	Run		   *r = arg;
	bool		served = r->served;
	bool		gone;

	r->served = false;
	if (cc_expire_cleared(e->ns, e->hlc) || (served && files_know(r->h)) ||
		!condemned(r->d, e, r->hash, r->keeps, &gone))
		return true;
	/* an original that is a stub can only go as a whole */
	if (!served && e->type == CC_STUB && !(gone && r->several))
		return true;
	if (r->n == KEYS_A_TIME)
		return false;
	r->entry[r->n] = *e;
	cc_store_copy_key(r->p, r->h, r->key[r->n]);
	r->entry[r->n].key = r->key[r->n];
	r->gone[r->n++] = gone;
	return true;
}

static bool
judge_entry(Run *r)
{
	CcHeaderShared *h = r->h;
	CcEntry		sibling[CC_MAX_ORIGINALS];
	char		key[CC_MAX_KEY];
	bool		resolved = false;
	int			n = 0;

	/* of what was cleared nothing is left to be taken away */
	if (h->ns == CC_NS_SYSTEM || h->hash < r->d->low || h->hash > r->d->high ||
		cc_namespace_has(h->ns, CC_NS_LOCAL) || cc_siblings_cleared(r->p, h))
		return true;
	r->served = true;
	r->keeps = cc_namespace_has(h->ns, CC_NS_KEEPS);
	if (unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0))
	{
		n = cc_siblings_heads(r->p, h, sibling, &resolved);
		r->keeps = true;
	}
	else if (files_know(h))
		return true;
	r->several = n + (resolved ? 0 : 1) > 1;
	cc_store_copy_key(r->p, h, key);
	cc_store_hash(h->ns, key, h->keylen, r->hash);
	return cc_siblings_all(r->p, h, judge_one, r);
}

/* Judges some buckets from *b on. */
static void
judge_run(Run *r, uint32 *b, uint32 end)
{
	uint32		stop = Min(*b + BUCKETS_A_TIME, end);
	bool		room = true;

	r->n = 0;
	cc_store_lock(r->p, false);
	while (*b < stop && room)
	{
		for (r->h = cc_store_first(r->p, *b); r->h != NULL && room;
			 r->h = cc_store_next(r->p, r->h))
			room = judge_entry(r);
		/* no room for all of this bucket: again, after those have gone */
		*b += room;
	}
	cc_store_unlock(r->p);
}

static CcStatus
judge(const Digest *d, uint64 epoch)
{
	Run			r = {.d = d, .p = cc_store_partition_of(d->low)};
	uint32		b = cc_store_bucket(r.p, d->low);
	uint32		end = cc_store_bucket(r.p, d->high) + 1;

	while (b < end)
	{
		uint32		begin = b;

		judge_run(&r, &b, end);
		/* siblings before what stands for them, which may be all that is left */
		for (int i = r.n - 1; i >= 0; i--)
		{
			CcChange	c = {.op = CC_OP_STUB};
			CcOutcome	o;

			c.ns = r.entry[i].ns;
			c.key = r.entry[i].key;
			c.keylen = r.entry[i].keylen;
			c.entry = &r.entry[i];
			c.gone = r.gone[i];
			if (cc_rule(one_at_a_time))
			{
				c.guard = &cc.members->full_epoch;
				c.guard_value = epoch;
			}
			if (cc_cache_change(&c, &o) == CC_FENCED)
				return CC_REFUSED_BUSY;
			if (o.result == CC_NOT_READY)
				return CC_REFUSED_NOT_READY;
			/* it has changed meanwhile; a touch alone does not save it */
			if (o.result == CC_UNCHANGED)
				b = begin;
		}
	}
	return CC_OK;
}

CcStatus
cc_compare_digest(CcDecoder *dec, const CcVV *v, uint64 epoch)
{
	Digest		d = {0};
	CcStatus	status = CC_REFUSED_BAD;

	d.v = v;
	if (read_digest(dec, &d))
		status = cc_rule(full_comparison) ? judge(&d, epoch) : CC_OK;
	if (d.key != NULL)
		cc_free(d.key);
	return status;
}
