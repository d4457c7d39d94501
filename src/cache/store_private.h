/*-------------------------------------------------------------------------
 *
 * store_private.h
 *	  The inside of the store, for store.c and store_change.c only.
 *
 * Locking: see store.h.
 *
 * May include: store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_STORE_PRIVATE_H
#define CC_STORE_PRIVATE_H

#include "cache/store.h"

#define cc_chunk_next(p, c)		(*(uint32 *) ((char *) (p) + (p)->chunks + \
											  (Size) (c) * CC_CHUNK_SIZE))
#define cc_bucket_head(p, b)	(((uint32 *) ((char *) (p) + (p)->buckets))[b])

/* Whether the entries of a list are counted for their namespaces */
#define cc_list_is_counted(list) \
	(cc_list_of_values(list) || (list) == CC_LIST_CONFLICTS)

static inline uint32
cc_store_chunks_of(CcHeaderShared *h)
{
	return cc_store_chunks((Size) h->keylen + h->vallen);
}

/*
 * What a list holds of the namespace has become more or less, by so many
 * entries and chunks.
 */
static inline void
cc_store_count(CcList list, uint16 ns, int entries, int64 chunks)
{
	CcNamespaceShared *n = cc_namespace(ns);

	if (entries != 0)
		pg_atomic_fetch_add_u64(&n->entries, entries);
	if (chunks != 0)
		pg_atomic_fetch_add_u64(&n->chunks, chunks);
	if (unlikely(list == CC_LIST_CONFLICTS) && entries != 0)
		pg_atomic_fetch_add_u64(&n->conflicts, entries);
}

/*
 * Goes over the pieces of the payload [from, from + len) of an entry; piece
 * by piece, so that a value is copied in as few moves as it has chunks.  False
 * when CC_WALK_COMPARE finds a difference.
 */
typedef enum CcStoreWalk
{
	CC_WALK_OUT,				/* copies it to mem */
	CC_WALK_IN,
	CC_WALK_COMPARE
} CcStoreWalk;

extern bool cc_store_walk(CcPartitionShared *p, CcHeaderShared *h, Size from,
						  Size len, char *mem, CcStoreWalk mode);

#endif							/* CC_STORE_PRIVATE_H */
