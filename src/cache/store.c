/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Partitions, their locks and buckets, and what is read of an entry; how
 *	  entries change is in store_change.c.  See store.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/store_private.h"

#define PARTITION_ALIGN		128

static inline int
slices_per_partition(void)
{
	return CC_SLICES / cc.store->npartitions;
}

uint32
cc_store_partitions_for(Size bytes)
{
	uint32		n = 4;

	/* about 4 MB each, so that 1 MB is well below half of one */
	while (n < CC_MAX_PARTITIONS && bytes / (n * 2) >= 4 * 1024 * 1024)
		n *= 2;
	return n;
}

/* Everything as in a partition that never held anything. */
static void
empty_partition(CcPartitionShared *p)
{
	for (uint32 b = 0; b < p->nbuckets; b++)
		cc_bucket_head(p, b) = CC_NIL;
	p->free = CC_NIL;
	p->fresh = 0;
	p->nfree = p->nchunks;
	p->values = 0;
	p->seek = 0;
	for (int i = 0; i < CC_NLISTS; i++)
	{
		CcListShared *l = &p->list[i];

		l->newest = l->oldest = l->hand = CC_NIL;
		l->count = l->chunks = 0;
	}
	p->sweep_bucket = 0;
}

static void
init_partition(CcPartitionShared *p, Size bytes)
{
	uint32		slices = slices_per_partition();
	Size		room;
	Size		unit = CC_CHUNK_SIZE + sizeof(uint32);

	memset(p, 0, sizeof(*p));
	p->buckets = TYPEALIGN(PARTITION_ALIGN, sizeof(CcPartitionShared));
	room = bytes - p->buckets - PARTITION_ALIGN;
	p->nchunks = (uint32) (room / unit);

	/* about one bucket a chunk; those of a slice are a run of their own */
	p->nbuckets = Max(p->nchunks / slices, 1) * slices;
	p->chunks = TYPEALIGN(64, p->buckets + p->nbuckets * sizeof(uint32));
	while (p->chunks + (Size) p->nchunks * CC_CHUNK_SIZE > bytes)
		p->nchunks--;
	empty_partition(p);
}

void
cc_store_init(void *mem, Size bytes, uint32 npartitions)
{
	CcStoreShared *s = mem;
	int			bits = 0;

	memset(s, 0, sizeof(*s));
	cc.store = s;
	while ((1u << bits) < npartitions)
		bits++;
	Assert((1u << bits) == npartitions && npartitions <= CC_MAX_PARTITIONS);
	s->npartitions = npartitions;
	s->shift = 64 - bits;
	s->first = TYPEALIGN(PARTITION_ALIGN, sizeof(CcStoreShared));
	s->partition_size = (bytes - s->first) / npartitions &
		~((Size) PARTITION_ALIGN - 1);
	for (uint32 i = 0; i < npartitions; i++)
		init_partition(cc_store_partition(i), s->partition_size);
}

Size
cc_store_max_payload(void)
{
	return cc_store_payload(cc_store_partition(0)->nchunks / 2);
}

uint32
cc_store_chunks(Size payload)
{
	if (payload <= CC_FIRST_PAYLOAD)
		return 1;
	payload -= CC_FIRST_PAYLOAD;
	return 1 + (uint32) ((payload + CC_NEXT_PAYLOAD - 1) / CC_NEXT_PAYLOAD);
}

bool
cc_store_fits(uint16 ns, Size payload)
{
	uint64		bound = pg_atomic_read_u64(&cc_namespace(ns)->max_chunks);
	uint32		half = cc_store_partition(0)->nchunks / 2;

	return cc_store_chunks(payload) <= (bound == 0 ? half : Min(bound, half));
}

CcPartitionShared *
cc_store_partition(int i)
{
	return (CcPartitionShared *) ((char *) cc.store + cc.store->first +
								  (Size) i * cc.store->partition_size);
}

void
cc_store_hash(uint16 ns, const char *key, Size keylen, uint64 hash[2])
{
	cc_hash128(key, keylen, cc_namespace(ns)->seed, hash);
}

void
cc_store_lock(CcPartitionShared *p, bool exclusive)
{
	if (exclusive)
		cc_lock_exclusive(&p->lock);
	else
		cc_lock_shared(&p->lock);
	if (unlikely(p->mutating != 0))
	{
		if (!exclusive)
		{
			cc_unlock(&p->lock);
			cc_lock_exclusive(&p->lock);
		}
		if (p->mutating != 0)
			cc_store_reset(p);
		if (!exclusive)
		{
			cc_unlock(&p->lock);
			cc_lock_shared(&p->lock);
		}
	}
}

void
cc_store_unlock(CcPartitionShared *p)
{
	cc_unlock(&p->lock);
}

/*
 * Takes what the lists hold off the counts of the namespaces.  They may be
 * half-changed: nothing that is read here is followed outside the partition,
 * nor for ever.
 */
static void
uncount_partition(CcPartitionShared *p)
{
	uint32		left = p->nchunks;
	uint32		nnamespaces = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (int i = 0; i < CC_NLISTS; i++)
	{
		uint32		c = p->list[i].newest;

		if (!cc_list_is_counted(i))
			continue;
		for (uint32 n = p->list[i].count; n > 0 && left > 0; n--, left--)
		{
			CcHeaderShared *h;

			if (c >= p->nchunks)
				break;
			h = cc_store_header(p, c);
			if (cc_header_list(h) == (CcList) i && h->ns < nnamespaces)
				cc_store_count((CcList) i, h->ns, -1,
							   -(int64) cc_store_chunks_of(h));
			c = h->next;
		}
	}
}

void
cc_store_reset(CcPartitionShared *p)
{
	int			index = (int) (((char *) p - (char *) cc.store - cc.store->first) /
							   cc.store->partition_size);
	int			slices = slices_per_partition();

	/* nothing older than what was lost may come back */
	if (p->mutating != 0)
	{
		for (int i = 0; i < slices; i++)
		{
			CcFloorSliceShared *slice = &cc.floor->slice[index * slices + i];

			cc_floor_raise(index * slices + i,
						   pg_atomic_read_u64(&cc.state->hlc));
			slice->losses++;
			slice->dirty = true;
		}
		for (int o = 0; o < cc_state_norigins(); o++)
			cc_state_raise_g(o, cc_state_vv(o));
	}

	uncount_partition(p);
	empty_partition(p);
	p->resets++;
	cc_store_end(p);
}

uint32
cc_store_bucket(CcPartitionShared *p, uint64 hash)
{
	uint32		slices = slices_per_partition();
	uint32		per = p->nbuckets / slices;
	uint32		slice = (uint32) cc_floor_slice(hash) % slices;

	/* the 32 bits below the slice, scaled to its buckets */
	return slice * per +
		(uint32) ((((hash << 7) >> 32) * (uint64) per) >> 32);
}

uint64
cc_store_bucket_hash(int partition, uint32 b)
{
	CcPartitionShared *p = cc_store_partition(partition);
	uint32		slices = slices_per_partition();
	uint32		per = p->nbuckets / slices;
	uint64		slice = (uint64) partition * slices + b / per;
	uint64		within = b % per;

	/* the smallest x with (x * per) >> 32 == within */
	within = ((within << 32) + per - 1) / per;
	return (slice << 57) | (within << 25);
}

CcHeaderShared *
cc_store_first(CcPartitionShared *p, uint32 bucket)
{
	uint32		c = cc_bucket_head(p, bucket);

	return c == CC_NIL ? NULL : cc_store_header(p, c);
}

CcHeaderShared *
cc_store_next(CcPartitionShared *p, CcHeaderShared *h)
{
	return h->next_in_bucket == CC_NIL ? NULL :
		cc_store_header(p, h->next_in_bucket);
}

bool
cc_store_walk(CcPartitionShared *p, CcHeaderShared *h, Size from, Size len,
			  char *mem, CcStoreWalk mode)
{
	char	   *data = (char *) h + CC_HEADER_SIZE;
	Size		room = CC_FIRST_PAYLOAD;
	uint32		next = h->next_chunk;

	while (len > 0)
	{
		if (from < room)
		{
			Size		n = Min(room - from, len);

			if (mode == CC_WALK_OUT)
				memcpy(mem, data + from, n);
			else if (mode == CC_WALK_IN)
				memcpy(data + from, mem, n);
			else if (memcmp(mem, data + from, n) != 0)
				return false;
			mem += n;
			len -= n;
			from = 0;
		}
		else
			from -= room;
		if (len > 0)
		{
			data = (char *) p + p->chunks + (Size) next * CC_CHUNK_SIZE;
			next = *(uint32 *) data;
			data += sizeof(uint32);
			room = CC_NEXT_PAYLOAD;
		}
	}
	return true;
}

bool
cc_store_key_equals(CcPartitionShared *p, CcHeaderShared *h,
					const char *key, Size keylen)
{
	if (h->keylen != keylen)
		return false;
	if (keylen <= CC_FIRST_PAYLOAD)
		return memcmp((char *) h + CC_HEADER_SIZE, key, keylen) == 0;
	return cc_store_walk(p, h, 0, keylen, (char *) key, CC_WALK_COMPARE);
}

/* Key and value come with the header, rather than one after another. */
static inline void
fetch_chunk(const CcHeaderShared *h)
{
	for (int i = 0; i < CC_CHUNK_SIZE; i += 64)
		__builtin_prefetch((const char *) h + i);
}

void
cc_store_prefetch(CcPartitionShared *p, uint64 hash)
{
	__builtin_prefetch(&cc_bucket_head(p, cc_store_bucket(p, hash)));
}

void
cc_store_prefetch_entry(CcPartitionShared *p, uint64 hash)
{
	uint32		c = cc_bucket_head(p, cc_store_bucket(p, hash));

	if (c < p->nchunks)
		fetch_chunk(cc_store_header(p, c));
}

CcHeaderShared *
cc_store_find(CcPartitionShared *p, uint64 hash, uint16 ns,
			  const char *key, Size keylen)
{
	CcHeaderShared *h;

	for (h = cc_store_first(p, cc_store_bucket(p, hash)); h != NULL;
		 h = cc_store_next(p, h))
	{
		fetch_chunk(h);
		if (h->hash == hash && h->ns == ns &&
			cc_store_key_equals(p, h, key, keylen))
			return h;
	}
	return NULL;
}

void
cc_store_copy_key(CcPartitionShared *p, CcHeaderShared *h, char *to)
{
	cc_store_walk(p, h, 0, h->keylen, to, CC_WALK_OUT);
}

void
cc_store_copy_value(CcPartitionShared *p, CcHeaderShared *h, char *to)
{
	cc_store_walk(p, h, h->keylen, h->vallen, to, CC_WALK_OUT);
}

void
cc_store_copy_head(CcPartitionShared *p, CcHeaderShared *h, char *to, Size len)
{
	Assert(len <= h->vallen);
	cc_store_walk(p, h, h->keylen, len, to, CC_WALK_OUT);
}

void
cc_store_copy_at(CcPartitionShared *p, CcHeaderShared *h, Size offset, char *to,
				 Size len)
{
	Assert(offset + len <= h->vallen);
	cc_store_walk(p, h, h->keylen + offset, len, to, CC_WALK_OUT);
}

void
cc_store_write_at(CcPartitionShared *p, CcHeaderShared *h, Size offset,
				  const char *from, Size len)
{
	Assert(cc_lock_held(&p->lock) && offset + len <= h->vallen);
	cc_store_begin(p);
	cc_store_walk(p, h, h->keylen + offset, len, (char *) from, CC_WALK_IN);
	cc_store_end(p);
}

void
cc_store_describe(CcHeaderShared *h, CcEntry *e)
{
	e->hash = h->hash;
	e->hlc = h->hlc;
	e->at = h->at;
	e->seq = h->seq;
	e->expires = h->expires;
	e->key = NULL;
	e->value = NULL;
	e->block = NULL;
	e->tail = NULL;
	e->taillen = 0;
	e->vallen = h->vallen;
	e->keylen = h->keylen;
	e->ns = h->ns;
	e->origin = h->origin;
	e->writer = h->writer;
	e->at_node = h->at_node;
	e->type = cc_header_type(h);
	e->flags = cc_header_flags(h);
}

bool
cc_store_read(CcPartitionShared *p, CcHeaderShared *h, CcEntry *e,
			  CcBuf *buf, Size *need)
{
	Size		len = (Size) h->keylen + h->vallen;

	if (cc_buf_room(buf) < len)
	{
		*need = len;
		return false;
	}
	cc_store_describe(h, e);
	e->key = buf->data + buf->len;
	e->value = e->key + h->keylen;
	cc_store_walk(p, h, 0, len, buf->data + buf->len, CC_WALK_OUT);
	buf->len += len;
	return true;
}

