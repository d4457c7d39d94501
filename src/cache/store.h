/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Entries in fixed shared memory: partitions, buckets, chunks.
 *
 * The segment is cut into self-contained partitions.  A partition holds whole
 * slices of the key space and has one pool of fixed-size chunks.  An entry is
 * a chain of chunks; the first begins with the entry's header and goes on
 * with its key and value.  As everything comes from one pool of equal pieces,
 * freeing always frees exactly what a put needs, whatever the mix of sizes.
 *
 * Buckets are in hash order, so that a run of buckets is a range of hashes,
 * and the buckets of a slice are a run.
 *
 * Values of all namespaces and their chunks are counted by namespace
 * (CcNamespaceShared), by list and by partition, whatever way they come and go.
 *
 * Locking: everything in a partition is read under its lock in either mode
 * and changed under it in exclusive mode, but for the visited bit of a
 * header, which a reader sets under the shared lock (cc_store_visit).  The
 * counts by namespace are atomic, as many partitions add to them.  Nothing here
 * allocates, logs or throws.  A structural change stands between
 * cc_store_begin and cc_store_end; a partition that is locked and found
 * between the two was left half-changed by a bug, and is emptied (see
 * cc_store_lock).
 *
 * May include: base/, state.h, floor.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_STORE_H
#define CC_STORE_H

#include "base/codec.h"
#include "cache/floor.h"
#include "cache/state.h"

/*
 * Bytes of a chunk.  Measured by test/bench/chunk (see src/README.md): 192 is
 * three cache lines and holds an entry with up to 120 bytes of key and value
 * in one piece.
 */
#ifndef CC_CHUNK_SIZE
#define CC_CHUNK_SIZE	192
#endif

#define CC_NIL			UINT32_MAX	/* no chunk */
#define CC_MAX_KEY		1024
#define CC_MAX_PARTITIONS	CC_SLICES

/* What an entry holds. */
typedef enum CcType
{
	CC_STUB,					/* no value: a tombstone, expired or evicted */
	CC_TEXT,
	CC_JSONB,					/* as its text */
	CC_BYTEA,
	CC_COUNTER					/* see cache/counter.h */
} CcType;

#define CC_LAST_TYPE	CC_COUNTER

/* An entry's flags */
#define CC_F_TOMBSTONE	0x01	/* born as a stub, by a delete */
#define CC_F_NULL		0x02	/* its value is NULL */
#define CC_F_EXTRA		0x04	/* a block before its value; see extra.h */
#define CC_F_SIBLINGS	0x08	/* a block behind its value; see siblings.h */
#define CC_F_PENDING	0x10	/* it is in conflict and waits for a decision;
								 * only in the store */
#define CC_F_ALL		0x0f	/* on the wire and in files */

/*
 * The head of an entry, at the start of its first chunk.  All fields under
 * the partition's lock.
 */
typedef struct CcHeaderShared
{
	uint32		next_chunk;
	uint32		next_in_bucket;
	uint32		prev;			/* in its list, towards the newest */
	uint32		next;			/* in its list, towards the oldest */
	uint64		hash;			/* first word of the key's hash */
	uint64		hlc;			/* version: when the value was written ... */
	uint64		at;				/* HLC of the last touch, or hlc */
	uint64		seq;			/* dot: with origin, names the entry */
	int64		expires;		/* ms since 1970; 0: never */
	uint32		vallen;
	uint16		keylen;
	uint16		ns;
	uint16		origin;
	uint16		writer;			/* ... and by whom (an origin of that node) */
	uint16		at_node;		/* an origin of the node that touched it */
	uint8		kind;			/* cc_kind(CcType, flags) */
	uint8		place;			/* CcList in which it is, and CC_VISITED */
} CcHeaderShared;

#define CC_HEADER_SIZE		sizeof(CcHeaderShared)
#define CC_FIRST_PAYLOAD	(CC_CHUNK_SIZE - CC_HEADER_SIZE)
#define CC_NEXT_PAYLOAD		(CC_CHUNK_SIZE - sizeof(uint32))

#define cc_kind(type, flags)	((uint8) ((type) | (flags) << 3))
#define cc_kind_type(kind)		((CcType) ((kind) & 0x07))
#define cc_kind_flags(kind)		((uint8) ((kind) >> 3))
#define cc_header_type(h)		cc_kind_type((h)->kind)
#define cc_header_flags(h)		cc_kind_flags((h)->kind)

/*
 * In an entry's place: read since the hand passed (SIEVE); of a stub: the
 * journal says that its value is gone (compare.c)
 */
#define CC_VISITED			0x80

#define cc_header_list(h)		((CcList) ((h)->place & ~CC_VISITED))
#define cc_header_visited(h)	(((h)->place & CC_VISITED) != 0)

/* A list of entries, newest first. */
typedef struct CcListShared
{
	uint32		newest;
	uint32		oldest;
	uint32		count;
	uint32		chunks;			/* of all its entries */
	uint32		hand;			/* SIEVE, of values: where the next search
								 * begins; CC_NIL: at the oldest */
} CcListShared;

typedef enum CcList
{
	CC_LIST_VALUES,				/* SIEVE's queue, common to namespaces */
	CC_LIST_STUBS,				/* by the time they became stubs */
	CC_LIST_SYSTEM,				/* of CC_NS_SYSTEM: never evicted */
	CC_LIST_CONFLICTS,			/* CC_F_PENDING: evicted when nothing else is
								 * left to give */
	CC_LIST_OWN,				/* from here on values of namespaces that have
								 * a bound of their own (own_list) */
	CC_NLISTS = 64				/* an entry's place has 7 bits for them */
} CcList;

/* Whether it is a list of values, which can be evicted */
#define cc_list_of_values(list) \
	((list) == CC_LIST_VALUES || (list) >= CC_LIST_OWN)

typedef struct CcPartitionShared
{
	CcLock		lock;
	uint32		mutating;		/* between cc_store_begin and cc_store_end */
	uint32		nbuckets;
	uint32		nchunks;
	uint32		nfree;			/* freed ones, and those never used */
	uint32		free;			/* first freed chunk, linked by next_chunk */
	uint32		fresh;			/* from here on none was ever used, so that
								 * the start need not touch all memory */
	uint32		values;			/* entries in all lists of values, but for
								 * CC_LIST_CONFLICTS */
	uint32		turn;			/* whose turn it is; see evict.c */
	uint32		seek;			/* bucket at which the next search goes on for
								 * values that are in no list of their own */
	CcListShared list[CC_NLISTS];

	/* counted under the lock, summed by the views */
	uint64		evictions;
	uint64		expirations;
	uint64		forgotten;		/* unstable stubs, by the bound */
	uint64		resets;

	uint64		stripped;		/* position at which a digest last took a value
								 * away here; see cc_evict_settled */

	uint32		sweep_bucket;	/* where the sweep goes on */

	Size		buckets;		/* offset from the partition, uint32[] */
	Size		chunks;			/* offset from the partition */
} CcPartitionShared;

typedef struct CcStoreShared
{
	uint32		npartitions;	/* a power of two, at most CC_SLICES */
	int			shift;			/* partition = hash >> shift (64: one) */
	Size		partition_size;
	uint32		comparisons_out;	/* running full comparisons of ours; the
									 * bound on stubs is doubled meanwhile.
									 * Written by the replicator alone */
	Size		first;			/* offset of the first partition */
} CcStoreShared;

/*
 * An entry as a process handles it, outside shared memory or about to go
 * there.  Key and value point into memory of the process.
 */
typedef struct CcEntry
{
	uint64		hash;
	uint64		hlc;
	uint64		at;
	uint64		seq;
	int64		expires;
	const char *key;
	const char *value;			/* vallen bytes; CC_STUB and NULL have none */
	uint32		vallen;
	uint16		keylen;
	uint16		ns;
	uint16		origin;
	uint16		writer;
	uint16		at_node;
	uint8		type;			/* CcType */
	uint8		flags;

	/*
	 * Of an entry that is about to be stored: its block (extra.h), where that
	 * does not stand before the value in memory; vallen counts it too.  NULL
	 * in all others.
	 */
	const char *block;

	/*
	 * Likewise what goes behind the value (siblings.h): taillen bytes, which
	 * vallen counts too.
	 */
	const char *tail;
	uint32		taillen;
} CcEntry;

/*
 * npartitions for so much memory, so that the largest value of a small cache
 * still fits in half a partition.
 */
extern uint32 cc_store_partitions_for(Size bytes);

/* Formats bytes of fresh memory; makes it cc.store. */
extern void cc_store_init(void *mem, Size bytes, uint32 npartitions);

/* Bytes of key and value together of the largest entry that is taken. */
extern Size cc_store_max_payload(void);

/* Chunks for so many bytes of key and value; bytes that n chunks hold. */
extern uint32 cc_store_chunks(Size payload);
static inline Size
cc_store_payload(uint64 n)
{
	return CC_FIRST_PAYLOAD + (Size) (n - 1) * CC_NEXT_PAYLOAD;
}

/*
 * Whether so many bytes of key and value may be an entry of the namespace: at
 * most half a partition, and no more than the bound of the namespace.
 */
extern bool cc_store_fits(uint16 ns, Size payload);

extern CcPartitionShared *cc_store_partition(int i);
#define cc_store_partition_index(hash) \
	((int) (cc.store->shift == 64 ? 0 : (hash) >> cc.store->shift))
#define cc_store_partition_of(hash) \
	cc_store_partition(cc_store_partition_index(hash))

/* The hash of a key of a namespace; fills both words. */
extern void cc_store_hash(uint16 ns, const char *key, Size keylen, uint64 hash[2]);

/*
 * Locks a partition.  One that was left half-changed is emptied first: its F
 * rises to the HLC and G to VV, so that nothing older comes back.
 */
extern void cc_store_lock(CcPartitionShared *p, bool exclusive);
extern void cc_store_unlock(CcPartitionShared *p);

/* All below: with the partition locked. */

static inline CcHeaderShared *
cc_store_header(CcPartitionShared *p, uint32 chunk)
{
	return (CcHeaderShared *) ((char *) p + p->chunks + (Size) chunk * CC_CHUNK_SIZE);
}

static inline uint32
cc_store_chunk_of(CcPartitionShared *p, CcHeaderShared *h)
{
	return (uint32) (((char *) h - (char *) p - p->chunks) / CC_CHUNK_SIZE);
}

/* The bucket of a hash; grows with the hash. */
extern uint32 cc_store_bucket(CcPartitionShared *p, uint64 hash);

/* The lowest hash that falls into bucket b (b may be nbuckets). */
extern uint64 cc_store_bucket_hash(int partition, uint32 b);

/* First entry of a bucket, next one of it; NULL at the end. */
extern CcHeaderShared *cc_store_first(CcPartitionShared *p, uint32 bucket);
extern CcHeaderShared *cc_store_next(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Begins to fetch what a search for this hash will read first.  Needs no lock;
 * taking it goes on meanwhile.
 */
extern void cc_store_prefetch(CcPartitionShared *p, uint64 hash);

/*
 * Likewise the first entry of its bucket, which cc_store_prefetch has fetched
 * by now.  What it looks at may just be changing; it is only a hint.
 */
extern void cc_store_prefetch_entry(CcPartitionShared *p, uint64 hash);

extern CcHeaderShared *cc_store_find(CcPartitionShared *p, uint64 hash,
									 uint16 ns, const char *key, Size keylen);

/*
 * Notes that the entry was read.  Readers do at the same time, under the
 * shared lock: all write the same byte, as its other bits change only under the
 * exclusive one.
 */
static inline void
cc_store_visit(CcHeaderShared *h)
{
	if (!cc_header_visited(h))
		h->place |= CC_VISITED;
}

/* Whether the header's key is this one. */
extern bool cc_store_key_equals(CcPartitionShared *p, CcHeaderShared *h,
								const char *key, Size keylen);

/* Copies key (keylen bytes), value (vallen bytes) out. */
extern void cc_store_copy_key(CcPartitionShared *p, CcHeaderShared *h, char *to);
extern void cc_store_copy_value(CcPartitionShared *p, CcHeaderShared *h, char *to);

/* Copies len bytes of the value, from offset on. */
extern void cc_store_copy_at(CcPartitionShared *p, CcHeaderShared *h, Size offset,
							 char *to, Size len);

/* Writes them in place, under the exclusive lock. */
extern void cc_store_write_at(CcPartitionShared *p, CcHeaderShared *h, Size offset,
							  const char *from, Size len);

/* Copies the first len bytes of the value. */
extern void cc_store_copy_head(CcPartitionShared *p, CcHeaderShared *h, char *to,
							   Size len);

/* Everything but key and value. */
extern void cc_store_describe(CcHeaderShared *h, CcEntry *e);

/*
 * Copies the whole entry: key and value go to buf, into room that is already
 * reserved there.  False when there is too little; *need is then what is.
 */
extern bool cc_store_read(CcPartitionShared *p, CcHeaderShared *h, CcEntry *e,
						  CcBuf *buf, Size *need);

/* Exclusive lock from here on. */

static inline void
cc_store_begin(CcPartitionShared *p)
{
	p->mutating = 1;
	pg_compiler_barrier();
}

static inline void
cc_store_end(CcPartitionShared *p)
{
	pg_compiler_barrier();
	p->mutating = 0;
}

/*
 * Which list an entry belongs to when it is stored now.  Where it is says
 * cc_header_list: its namespace may have got a list of its own since.
 */
extern CcList cc_store_list_of(uint16 ns, uint8 type, uint8 flags);

/*
 * Moves a value to the list to which it belongs by now, where it is the next
 * to be looked at: it is older than all that were stored there.
 */
extern void cc_store_settle(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Puts e in place of old (NULL: there is none).  The caller has made sure
 * that nfree plus old's chunks suffice.  Returns the new header.
 */
extern CcHeaderShared *cc_store_replace(CcPartitionShared *p, CcHeaderShared *old,
										const CcEntry *e);

/*
 * Key and value stay; version, at, dot and deadline become e's, and the block
 * too where e has one.
 */
extern void cc_store_restamp(CcPartitionShared *p, CcHeaderShared *h,
							 const CcEntry *e);

/* Frees the entry. */
extern void cc_store_remove(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Takes the value away and keeps the rest: the entry becomes a stub.  Not for
 * one with siblings: cc_siblings_evict.
 */
extern void cc_store_make_stub(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Gives the entry other flags, and cuts its value to its first vallen bytes; it
 * goes to the list to which it belongs then.
 */
extern void cc_store_cut(CcPartitionShared *p, CcHeaderShared *h, uint32 vallen,
						 uint8 flags);

/*
 * Empties the partition (see cc_store_lock).  What its lists hold is taken off
 * the counts of the namespaces; where one that was left half-changed is broken
 * the rest of it cannot be found, and they stay too high by that.
 */
extern void cc_store_reset(CcPartitionShared *p);

#endif							/* CC_STORE_H */
