/*-------------------------------------------------------------------------
 *
 * siblings.h
 *	  What a key has beside the entry that is served: the other originals of a
 *	  conflict, the resolution over them, the context (PROTOCOL.md, healing).
 *
 * A context may also hold a dot of the node's own, which names nothing: by it
 * the state travels to all when somebody asks (PROTOCOL.md, ask).  A new dot for
 * an original would hide from others that they have seen it and replaced it.
 *
 * Nearly every key is one entry and has none of this.  Where a key does, the
 * entry's flag CC_F_SIBLINGS says that its value ends with a block, inside what
 * vallen counts:
 *
 *	head		u8 n, u8 ninputs, u8 ncontext, u8 bits, u8 how, u8 tries,
 *				u16 errlen, i64 since, i64 retry_at
 *	n heads		u8 kind (as a header's), u8 0, u16 origin, u16 writer,
 *				u16 at_node, u64 hlc, u64 at, u64 seq, i64 expires, u32 vallen
 *	inputs		ninputs times (u16 writer, u64 hlc)
 *	context		ncontext times (u16 origin, u64 seq)
 *	error		errlen bytes
 *	values		of the n siblings, one after another
 *	u32			length of all this, these four bytes included
 *
 * The entry itself, with its header and the value before the block (its own
 * CC_F_EXTRA block first), is what this node serves: the resolution where there
 * is a valid one (CC_SIB_RESOLVED), and the n siblings are the originals; else
 * the original that this node goes on serving, and the siblings are the others.
 * Two or more originals without a resolution are a conflict that is pending:
 * the entry's flag CC_F_PENDING says so.  With n = 0 the block only holds a
 * context.
 *
 * An original is known by its version, which neither a touch nor a new dot
 * changes; `inputs` are the versions that the resolution was made from, and how
 * says by which policy (CcHow).  An original without a value (CC_STUB) was
 * deleted, expired or evicted: it counts, as NULL.
 *
 * since (wall clock ms of this node) is when the set of originals last changed
 * here; retry_at, tries and error are of the last attempt to merge them.  They
 * are this node's own: a receiver makes its own.
 *
 * Origins in the block are local indexes in memory and numbers of the
 * message's dictionary on the wire and in files (record.h translates).
 *
 * Locking: works on copies, but for what takes a partition: it is locked.
 * Nothing here allocates, logs or throws.
 *
 * May include: base/ and store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SIBLINGS_H
#define CC_SIBLINGS_H

#include "cache/store.h"

#define CC_MAX_ORIGINALS	32	/* of a key, as many as members; further
								 * ones are not taken */
#define CC_MAX_INPUTS		CC_MAX_ORIGINALS
#define CC_MAX_CONTEXT		32	/* of more the highest of each origin count */
#define CC_SIB_ERROR_LEN	160

#define CC_SIB_HEAD			24
#define CC_SIB_SIBLING		44
#define CC_SIB_INPUT		10
#define CC_SIB_DOT			10
#define CC_SIB_TAIL			4

/* Longest block without error and values */
#define CC_SIB_HEADS_MAX \
	(CC_SIB_HEAD + CC_MAX_ORIGINALS * CC_SIB_SIBLING + \
	 CC_MAX_INPUTS * CC_SIB_INPUT + CC_MAX_CONTEXT * CC_SIB_DOT)

/* bits */
#define CC_SIB_RESOLVED		0x01	/* the entry is a resolution of the siblings */
#define CC_SIB_ASKED		0x02	/* sent to ask what others make of it
								 * (PROTOCOL.md, ask) */

/* By what a conflict was decided.  The first are CcOnSplit's. */
typedef enum CcHow
{
	CC_HOW_LATEST,
	CC_HOW_OLDEST_ISLAND,
	CC_HOW_LARGEST_ISLAND,
	CC_HOW_LONGEST_TTL,
	CC_HOW_MERGE,
	CC_HOW_MANUAL,				/* not used: nothing decides */
	CC_HOW_RESOLVE,				/* cache_resolve */
	CC_HOW_HEAL,				/* cache_heal with a winner */
	CC_HOW_WRITE				/* a client's write settled it */
} CcHow;

#define CC_LAST_HOW			CC_HOW_WRITE

typedef struct CcDot
{
	uint16		origin;
	uint64		seq;
} CcDot;

typedef struct CcVersion
{
	uint16		writer;			/* an origin of the node */
	uint64		hlc;
} CcVersion;

/*
 * All that a node holds of a key, in memory of the process.  Values point
 * into whatever it was parsed from; the entries' key, keylen, ns and hash are
 * filled as those of the entry.
 */
typedef struct CcKeyState
{
	int			n;				/* originals; 0: nothing is known of the key */
	int			served;			/* the original that is served when there is
								 * no resolution */
	bool		resolved;		/* there is a resolution, and it is served */
	uint8		how;			/* of it */
	CcEntry		original[CC_MAX_ORIGINALS];
	CcEntry		resolution;
	int			ninputs;
	CcVersion	input[CC_MAX_INPUTS];
	int			ncontext;
	CcDot		context[CC_MAX_CONTEXT];
	bool		asked;
	int64		since;
	int64		retry_at;		/* 0: whenever it is due */
	int			tries;
	int			errlen;
	const char *error;
} CcKeyState;

/* Whether two entries are the same write, whatever became of dot and deadline. */
extern bool cc_siblings_same(const CcEntry *a, const CcEntry *b);

/*
 * Reads the state of a key from its entry, whose value lies in memory (as
 * cc_store_read or cc_decode_entry left it).  An entry without a block is one
 * original.  False when the block is malformed.  PENDING and SIBLINGS are
 * taken off the flags of what comes out; an own CC_F_EXTRA block stays before
 * each value.
 */
extern bool cc_siblings_parse(const CcEntry *e, CcKeyState *ks);

/*
 * The other way: *e becomes the entry that stands for the state, its value
 * written to out, which must have cc_siblings_room(ks) bytes of room, as long as
 * it will be, and is not what the values of ks point into.  Where the state is one original
 * without a context this is that original itself.  ks->n > 0.
 */
extern Size cc_siblings_room(const CcKeyState *ks);
extern void cc_siblings_build(const CcKeyState *ks, CcBuf *out, CcEntry *e);

/*
 * Whether a dot in a context has done what it is there for.  It names nothing,
 * so where its origin has ended nobody waits for it any more: it may be one that
 * no VV will ever cover.
 */
static inline bool
cc_siblings_dot_done(uint16 origin, uint64 seq)
{
	return cc_state_stable(origin, seq) ||
		(pg_atomic_read_u32(cc_origin_flags(origin)) & CC_ORIGIN_CLOSED) != 0;
}

/* Whether the state waits for a decision. */
static inline bool
cc_siblings_pending(const CcKeyState *ks)
{
	return ks->n > 1 && !ks->resolved;
}

/*
 * A block that only holds the context of ks, to go behind a value; returns its
 * length.
 */
#define CC_SIB_CONTEXT_ROOM \
	(CC_SIB_HEAD + CC_MAX_INPUTS * CC_SIB_INPUT + \
	 CC_MAX_CONTEXT * CC_SIB_DOT + CC_SIB_TAIL)
extern Size cc_siblings_put_context(const CcKeyState *ks,
									char to[CC_SIB_CONTEXT_ROOM]);

/*
 * In the value of an entry that cc_siblings_build has made: where the dot of the
 * sibling, or that of the context, stands whose origin is CC_NO_ORIGIN; and
 * puts a dot there.
 */
typedef struct CcDotPlace
{
	char	   *origin;			/* NULL: none */
	char	   *seq;
} CcDotPlace;

extern CcDotPlace cc_siblings_unnamed(const CcEntry *e);
extern void cc_siblings_name(const CcDotPlace *place, uint16 origin, uint64 seq);

/*
 * Takes the block off an entry that was read, so that its value is what is
 * served (behind its CC_F_EXTRA block).  Harmless where there is none.
 */
extern void cc_siblings_strip(CcEntry *e);

/* ---- of an entry in the store ---- */

/* Length of its block; 0: none. */
extern uint32 cc_siblings_len(CcPartitionShared *p, CcHeaderShared *h);

/*
 * Heads of the siblings, without values; at most CC_MAX_ORIGINALS, returns
 * their number.  *resolved: the entry is a resolution of them (may be NULL).
 */
extern int	cc_siblings_heads(CcPartitionShared *p, CcHeaderShared *h,
							  CcEntry out[CC_MAX_ORIGINALS], bool *resolved);

/*
 * Calls fn for the entry and each sibling, until it returns false; returns
 * whether it never did.  One call where there is no block.
 */
typedef bool (*CcSiblingFn) (const CcEntry *e, void *arg);
extern bool cc_siblings_all(CcPartitionShared *p, CcHeaderShared *h,
							CcSiblingFn fn, void *arg);

/*
 * The state of a key without allocating: values are copied to `to`, each cut to
 * CC_SIB_PEEK bytes, and there is no error.
 */
#define CC_SIB_PEEK			1100
#define CC_SIB_PEEK_ROOM	((CC_MAX_ORIGINALS + 1) * CC_SIB_PEEK)
extern void cc_siblings_peek(CcPartitionShared *p, CcHeaderShared *h,
							 CcKeyState *ks, char to[CC_SIB_PEEK_ROOM]);

/* Whether all of its dots are stable, those of the context too. */
extern bool cc_siblings_stable(CcPartitionShared *p, CcHeaderShared *h);

/* Whether v covers all of its dots, those of the context too. */
extern bool cc_siblings_covered(CcPartitionShared *p, CcHeaderShared *h,
								const CcVV *v);

/* Whether all of it is at or below the namespace's horizon. */
extern bool cc_siblings_cleared(CcPartitionShared *p, CcHeaderShared *h);

/*
 * PROTOCOL.md, folding: what need not be kept any more goes, under the
 * exclusive lock: the originals of a resolution when all are stable, a context
 * that is stable.  True when something went.
 */
extern bool cc_siblings_fold(CcPartitionShared *p, CcHeaderShared *h);

/* Whether the last attempt at a conflict failed and put it off. */
extern bool cc_siblings_put_off(CcPartitionShared *p, CcHeaderShared *h);

/* It may be tried at once, in place; exclusive lock. */
extern void cc_siblings_retry(CcPartitionShared *p, CcHeaderShared *h);

/* Gives the i'th of cc_siblings_heads another dot, in place; exclusive lock. */
extern void cc_siblings_rename(CcPartitionShared *p, CcHeaderShared *h, int i,
							   uint16 origin, uint64 seq);

/*
 * PROTOCOL.md, eviction: the values of all go and the rest stays; the entry
 * becomes a stub with its block.  Exclusive lock.
 */
extern void cc_siblings_evict(CcPartitionShared *p, CcHeaderShared *h);

#endif							/* CC_SIBLINGS_H */
