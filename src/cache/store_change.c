/*-------------------------------------------------------------------------
 *
 * store_change.c
 *	  How entries come, change and go: chains of chunks, lists, counts.  See
 *	  store.h.
 *
 * Locking: the partition is locked exclusively; nothing here allocates, logs
 * or throws.
 *
 * May include: base/, state.h, store.h, extra.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/store_private.h"

#include "cache/extra.h"

CcList
cc_store_list_of(uint16 ns, uint8 type, uint8 flags)
{
	if (ns == CC_NS_SYSTEM)
		return CC_LIST_SYSTEM;
	if (flags & CC_F_PENDING)
		return CC_LIST_CONFLICTS;
	return type == CC_STUB ? CC_LIST_STUBS : (CcList)
		pg_atomic_read_u32(&cc_namespace(ns)->own_list);
}

/* The list in which h is, or will be next, holds n entries and chunks more. */
static void
count_entry(CcPartitionShared *p, CcHeaderShared *h, int n, int64 chunks)
{
	CcListShared *l = &p->list[cc_header_list(h)];

	l->count += n;
	l->chunks += chunks;
	if (cc_list_of_values(cc_header_list(h)))
		p->values += n;
	if (cc_list_is_counted(cc_header_list(h)))
		cc_store_count(cc_header_list(h), h->ns, n, chunks);
}

/* Adds h, as its newest entry, to the list to which it belongs now. */
static void
list_add(CcPartitionShared *p, CcHeaderShared *h)
{
	CcList		list = cc_store_list_of(h->ns, cc_header_type(h), cc_header_flags(h));
	CcListShared *l = &p->list[list];
	uint32		c = cc_store_chunk_of(p, h);

	h->place = (uint8) list | (h->place & CC_VISITED);
	h->prev = CC_NIL;
	h->next = l->newest;
	if (l->newest != CC_NIL)
		cc_store_header(p, l->newest)->prev = c;
	else
		l->oldest = c;
	l->newest = c;
	count_entry(p, h, 1, cc_store_chunks_of(h));
}

static void
list_remove(CcPartitionShared *p, CcHeaderShared *h)
{
	CcListShared *l = &p->list[cc_header_list(h)];

	if (l->hand == cc_store_chunk_of(p, h))
		l->hand = h->prev;
	if (h->prev != CC_NIL)
		cc_store_header(p, h->prev)->next = h->next;
	else
		l->newest = h->next;
	if (h->next != CC_NIL)
		cc_store_header(p, h->next)->prev = h->prev;
	else
		l->oldest = h->prev;
	count_entry(p, h, -1, -(int64) cc_store_chunks_of(h));
}

static uint32
take_chunk(CcPartitionShared *p)
{
	uint32		c = p->free;

	Assert(p->nfree > 0 && (c != CC_NIL || p->fresh < p->nchunks));
	if (c != CC_NIL)
		p->free = cc_chunk_next(p, c);
	else
		c = p->fresh++;
	p->nfree--;
	return c;
}

static void
free_chain(CcPartitionShared *p, uint32 c)
{
	while (c != CC_NIL)
	{
		uint32		next = cc_chunk_next(p, c);

		cc_chunk_next(p, c) = p->free;
		p->free = c;
		p->nfree++;
		c = next;
	}
}

static void
bucket_remove(CcPartitionShared *p, CcHeaderShared *h)
{
	uint32		c = cc_store_chunk_of(p, h);
	uint32	   *link = &cc_bucket_head(p, cc_store_bucket(p, h->hash));

	while (*link != c)
		link = &cc_store_header(p, *link)->next_in_bucket;
	*link = h->next_in_bucket;
}

/* Cuts or lengthens the chain of h so that it holds payload bytes. */
static void
resize_chain(CcPartitionShared *p, CcHeaderShared *h, uint32 have, uint32 want)
{
	uint32	   *link = &h->next_chunk;
	uint32		keep = Min(have, want);

	for (uint32 i = 1; i < keep; i++)
		link = &cc_chunk_next(p, *link);
	if (want < have)
	{
		free_chain(p, *link);
		*link = CC_NIL;
	}
	for (uint32 i = have; i < want; i++)
	{
		uint32		c = take_chunk(p);

		cc_chunk_next(p, c) = CC_NIL;
		*link = c;
		link = &cc_chunk_next(p, c);
	}
}

static void
put_value(CcPartitionShared *p, CcHeaderShared *h, const CcEntry *e)
{
	Size		block = e->block == NULL ? 0 : cc_extra_len(e->type, e->flags);

	if (block > 0)
		cc_store_walk(p, h, e->keylen, block, (char *) e->block, CC_WALK_IN);
	cc_store_walk(p, h, e->keylen + block, e->vallen - block - e->taillen,
				 (char *) e->value, CC_WALK_IN);
	if (e->taillen > 0)
		cc_store_walk(p, h, e->keylen + e->vallen - e->taillen, e->taillen,
					 (char *) e->tail, CC_WALK_IN);
}

CcHeaderShared *
cc_store_replace(CcPartitionShared *p, CcHeaderShared *old, const CcEntry *e)
{
	CcHeaderShared *h = old;
	uint32		want = cc_store_chunks((Size) e->keylen + e->vallen);
	uint32		have = 0;
	bool		stays = false;

	Assert(cc_lock_held(&p->lock));
	cc_store_begin(p);
	if (h == NULL)
	{
		uint32		c = take_chunk(p);
		uint32		b = cc_store_bucket(p, e->hash);

		h = cc_store_header(p, c);
		h->next_chunk = CC_NIL;
		h->next_in_bucket = cc_bucket_head(p, b);
		cc_bucket_head(p, b) = c;
		h->place = 0;
		resize_chain(p, h, 1, want);
	}
	else
	{
		CcList		list = cc_store_list_of(e->ns, e->type, e->flags);

		/* a value that is overwritten stays where it is in the queue */
		have = cc_store_chunks_of(h);
		stays = cc_list_of_values(list) && cc_header_list(h) == list;
		if (!stays)
			list_remove(p, h);
		resize_chain(p, h, have, want);
		h->place = stays ? (uint8) list | CC_VISITED : 0;
	}
	h->hash = e->hash;
	h->hlc = e->hlc;
	h->at = e->at;
	h->seq = e->seq;
	h->expires = e->expires;
	h->vallen = e->vallen;
	h->keylen = e->keylen;
	h->ns = e->ns;
	h->origin = e->origin;
	h->writer = e->writer;
	h->at_node = e->at_node;
	h->kind = cc_kind(e->type, e->flags);
	if (old == NULL)
		cc_store_walk(p, h, 0, e->keylen, (char *) e->key, CC_WALK_IN);
	put_value(p, h, e);
	if (stays)
		count_entry(p, h, 0, (int64) want - have);
	else
		list_add(p, h);
	cc_store_end(p);
	return h;
}

void
cc_store_restamp(CcPartitionShared *p, CcHeaderShared *h, const CcEntry *e)
{
	Assert(cc_lock_held(&p->lock));
	cc_store_begin(p);
	h->hlc = e->hlc;
	h->at = e->at;
	h->seq = e->seq;
	h->expires = e->expires;
	h->origin = e->origin;
	h->writer = e->writer;
	h->at_node = e->at_node;
	if (e->block != NULL)
		cc_store_walk(p, h, h->keylen, CC_EXTRA_VALUE, (char *) e->block,
					 CC_WALK_IN);
	cc_store_end(p);
}

void
cc_store_remove(CcPartitionShared *p, CcHeaderShared *h)
{
	Assert(cc_lock_held(&p->lock));
	cc_store_begin(p);
	list_remove(p, h);
	bucket_remove(p, h);
	free_chain(p, cc_store_chunk_of(p, h));
	cc_store_end(p);
}

void
cc_store_make_stub(CcPartitionShared *p, CcHeaderShared *h)
{
	Assert(cc_lock_held(&p->lock) && cc_header_type(h) != CC_STUB &&
		   (cc_header_flags(h) & CC_F_SIBLINGS) == 0);
	cc_store_begin(p);
	list_remove(p, h);
	resize_chain(p, h, cc_store_chunks_of(h), cc_store_chunks(h->keylen));
	h->vallen = 0;
	h->expires = 0;
	h->kind = CC_STUB;
	h->place = 0;				/* that it was read says nothing of the stub */
	list_add(p, h);
	cc_store_end(p);
}

void
cc_store_cut(CcPartitionShared *p, CcHeaderShared *h, uint32 vallen, uint8 flags)
{
	uint8		type = cc_header_type(h);
	uint32		have = cc_store_chunks_of(h);
	uint32		want = cc_store_chunks((Size) h->keylen + vallen);
	bool		stays;

	Assert(cc_lock_held(&p->lock) && vallen <= h->vallen);
	cc_store_begin(p);
	/* what it is said of is no younger by that, nor was it read */
	stays = cc_store_list_of(h->ns, type, flags) == cc_header_list(h);
	if (!stays)
		list_remove(p, h);
	resize_chain(p, h, have, want);
	h->vallen = vallen;
	h->kind = cc_kind(type, flags);
	if (stays)
		count_entry(p, h, 0, (int64) want - have);
	else
		list_add(p, h);
	cc_store_end(p);
}

void
cc_store_settle(CcPartitionShared *p, CcHeaderShared *h)
{
	CcList		list = cc_store_list_of(h->ns, cc_header_type(h), cc_header_flags(h));
	CcListShared *l = &p->list[list];
	uint32		c = cc_store_chunk_of(p, h);

	Assert(cc_lock_held(&p->lock));
	if (likely(cc_header_list(h) == list))
		return;
	cc_store_begin(p);
	list_remove(p, h);
	h->place = (uint8) list | (h->place & CC_VISITED);
	h->next = CC_NIL;
	h->prev = l->oldest;
	if (l->oldest != CC_NIL)
		cc_store_header(p, l->oldest)->next = c;
	else
		l->newest = c;
	l->oldest = c;
	l->hand = c;
	count_entry(p, h, 1, cc_store_chunks_of(h));
	cc_store_end(p);
}
