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

static const DigestKey *
find_key(const Digest *d, const uint64 hash[2])
{
	uint32		lo = 0;
	uint32		hi = d->n;

	while (lo < hi)
	{
		uint32		mid = lo + (hi - lo) / 2;
		int			cmp = compare_hash(d->key[mid].hash, hash);

		if (cmp == 0)
			return &d->key[mid];
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
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
 * PROTOCOL.md, full comparison: whether our entry loses its value.
 */
static bool
condemned(const Digest *d, const CcEntry *e, const uint64 hash[2])
{
	const DigestKey *k = find_key(d, hash);

	if (k != NULL)
	{
		CcEntry		theirs = {0};
		int			cmp;

		theirs.hlc = k->hlc;
		theirs.writer = k->writer;
		theirs.at = k->at;
		theirs.at_node = k->at_node;
		cmp = cc_cache_compare(&theirs, e);
		if (cmp == 0)
			return !k->has_value && cc_rule(digest_stub);
		if (cmp > 0 || !cc_rule(digest_older))
			return false;
	}
	/* the sender has seen it and has it no more, or forgot it */
	return cc_vv_get(d->v, e->origin) >= e->seq ||
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

/* Judges a run of buckets from *b on; copies out who is condemned. */
static int
judge_run(const Digest *d, CcPartitionShared *p, uint32 *b, uint32 end,
		  CcEntry *out, char (*keys)[CC_MAX_KEY])
{
	int			n = 0;
	uint32		stop = Min(*b + BUCKETS_A_TIME, end);

	cc_store_lock(p, false);
	while (*b < stop)
	{
		CcHeaderShared *h;

		for (h = cc_store_first(p, *b); h != NULL; h = cc_store_next(p, h))
		{
			uint64		hash[2];

			if (h->ns == CC_NS_SYSTEM || files_know(h) ||
				h->hash < d->low || h->hash > d->high ||
				cc_namespace_has(h->ns, CC_NS_LOCAL) ||
				cc_expire_cleared(h->ns, h->hlc))
				continue;
			if (n == KEYS_A_TIME)
				break;
			cc_store_describe(h, &out[n]);
			cc_store_copy_key(p, h, keys[n]);
			out[n].key = keys[n];
			cc_store_hash(h->ns, keys[n], h->keylen, hash);
			if (condemned(d, &out[n], hash))
				n++;
		}
		/* no room for all of this bucket: again, after those have gone */
		if (h != NULL)
			break;
		(*b)++;
	}
	cc_store_unlock(p);
	return n;
}

static CcStatus
judge(const Digest *d, uint64 epoch)
{
	int			index = cc_store_partition_index(d->low);
	CcPartitionShared *p = cc_store_partition(index);
	uint32		b = cc_store_bucket(p, d->low);
	uint32		end = cc_store_bucket(p, d->high) + 1;
	CcEntry		out[KEYS_A_TIME];
	char		keys[KEYS_A_TIME][CC_MAX_KEY];

	while (b < end)
	{
		uint32		begin = b;
		int			n = judge_run(d, p, &b, end, out, keys);

		for (int i = 0; i < n; i++)
		{
			CcChange	c = {.op = CC_OP_STUB};
			CcOutcome	o;

			c.ns = out[i].ns;
			c.key = out[i].key;
			c.keylen = out[i].keylen;
			c.entry = &out[i];
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
