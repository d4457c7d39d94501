/*-------------------------------------------------------------------------
 *
 * conflict.h
 *	  Conflicts as whoever decides them sees them: which keys are pending, their
 *	  originals; and the log of those that were decided.
 *
 * A key that is pending lies in its partition's list CC_LIST_CONFLICTS, from
 * which values are evicted last; so a partition without any costs nothing.
 *
 * The log is a ring of bytes in shared memory, of this server's life: for each
 * conflict that was decided here or whose decision came here, its two values
 * (cut to CC_CONFLICT_TEXT), versions, nodes, what was decided and by whom.
 *
 * Locking: walks take one partition's lock shared, for a run of buckets.  The
 * log has a lock of its own, a leaf: cc_conflict_log is called under a
 * partition's lock.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CONFLICT_H
#define CC_CONFLICT_H

#include "cache/cache.h"
#include "cache/siblings.h"

/* ---- pending keys ---- */

/* A key's name */
typedef struct CcConflictKey
{
	uint16		ns;
	uint16		keylen;
	char		key[CC_MAX_KEY];
} CcConflictKey;

/* Where a walk is; begins as zeroes. */
typedef struct CcConflictWalk
{
	int			partition;
	uint32		bucket;
} CcConflictWalk;

/* Keys that a walk must have room for, as a bucket may hold some */
#define CC_CONFLICT_KEYS	16

/*
 * The next keys that are pending, at most max (CC_CONFLICT_KEYS or more), from
 * where the walk is; their number.  0: the walk is over, and begins anew.  ns: of that namespace only
 * (CC_NO_NS: any).  Partitions without conflicts are passed over.
 */
extern int	cc_conflict_next(CcConflictWalk *w, uint16 ns, CcConflictKey *out,
							 int max);

/*
 * Reads all that is held of a key into buf, which is emptied, and parses it.
 * False when there is nothing.  Values carry their CC_F_EXTRA block; see
 * cc_conflict_view.
 */
extern bool cc_conflict_read(uint16 ns, const char *key, uint16 keylen,
							 CcKeyState *ks, CcBuf *buf);

/*
 * An original as people and merge functions see it: its own value, and until
 * when it is fresh as deadline.  False when it is NULL for them: deleted,
 * expired at now (ms) or evicted.
 */
extern bool cc_conflict_view(const CcEntry *original, int64 now, CcEntry *out);

/* What a decision is. */
typedef struct CcDecision
{
	CcHow		how;
	uint8		type;			/* CC_STUB: the key is deleted */
	uint8		flags;			/* CC_F_NULL, CC_F_EXTRA (its block stands
								 * before the value), CC_F_TOMBSTONE */
	const char *value;
	uint32		vallen;
	int64		expires;		/* ms since 1970; 0: never */
} CcDecision;

/*
 * PROTOCOL.md, resolution: stores a decision over exactly the originals of ks.
 * CC_UNCHANGED when the key's originals are others by now, or it is decided;
 * CC_TOO_LARGE when the value does not fit.
 */
extern CcResult cc_conflict_decide(uint16 ns, const char *key, uint16 keylen,
								   const CcKeyState *ks, const CcDecision *d);

/* The decision that is one of the originals as it is. */
extern void cc_conflict_choose(const CcEntry *original, CcHow how,
							   CcDecision *d);

/*
 * An attempt has failed: keeps the error beside the key, counts it, and sets
 * when it may be tried again (retry_at, ms since 1970; PG_INT64_MAX: when
 * somebody asks for it).  Nothing if the originals are others by now.
 */
extern void cc_conflict_failed(uint16 ns, const char *key, uint16 keylen,
							   const CcKeyState *ks, const char *error,
							   int64 retry_at);

/*
 * The next pending keys of the namespace may be tried at once; a bounded number
 * of buckets.  False: that were all.
 */
extern bool cc_conflict_retry(CcConflictWalk *w, uint16 ns);

/*
 * Whether any pending key of the namespace was not put off by an error.  Reads
 * no values, but looks at all where all were.
 */
extern bool cc_conflict_any_due(uint16 ns);

/* Pending keys of a namespace; CC_NO_NS: of all. */
extern uint64 cc_conflict_count(uint16 ns);

/* ---- the log ---- */

#define CC_CONFLICT_TEXT	1024	/* bytes of a value that are kept */

/* What became of a conflict, as seen from this node. */
typedef enum CcFate
{
	CC_FATE_OURS,				/* what this node served stays */
	CC_FATE_THEIRS,
	CC_FATE_MERGED,				/* another value */
	CC_FATE_DELETED
} CcFate;

typedef struct CcConflictSide
{
	bool		there;			/* false: NULL */
	uint8		type;
	bool		null;			/* its value is NULL */
	uint64		hlc;
	CcNodeId	node;			/* who wrote it */
	uint32		len;			/* of the value, cut */
	char		value[CC_CONFLICT_TEXT];
} CcConflictSide;

/* A row of the log. */
typedef struct CcConflictRow
{
	uint64		id;				/* rises */
	uint16		ns;
	uint16		keylen;
	char		key[CC_MAX_KEY];
	int64		at;				/* ms since 1970: when it began to be pending
								 * here, or was decided if it never did */
	int64		decided_at;
	CcNodeId	decider;
	uint8		how;			/* CcHow */
	uint8		fate;			/* CcFate */
	CcConflictSide ours;
	CcConflictSide theirs;
} CcConflictRow;

typedef struct CcConflictsShared
{
	CcLock		lock;			/* of all below but decided */
	uint64		first;			/* ids of the rows that are kept: [first, next) */
	uint64		next;
	Size		bytes;			/* of the ring, behind this struct */
	Size		tail;			/* where the oldest row stands in it */
	Size		head;			/* where the next one goes */
	pg_atomic_uint64 decided[CC_MAX_NAMESPACES];	/* conflicts, not rows;
													 * added to without lock */
} CcConflictsShared;

extern Size cc_conflict_log_size(Size memory);
extern void cc_conflict_log_init(void *mem, Size bytes);	/* cc.conflicts */

/*
 * A conflict was decided: one row for each original beside the one served.
 * before: the state as it was, with values; after: what is served now, with
 * its value.  Also counts it for the namespace and for the splits
 * (cc_conflict_fate_hook).  Under the key's partition's lock.
 */
extern void cc_conflict_log(const CcKeyState *before, const CcEntry *after,
							CcHow how);

/*
 * Called for each row, under the partition's lock: counts it for the split
 * (cluster/splits.c).  Set once.
 */
typedef void (*CcConflictFateHook) (const CcNodeId *writer, CcFate fate);
extern CcConflictFateHook cc_conflict_fate_hook;

/* The first row at or behind id; false: there is none. */
extern bool cc_conflict_row(uint64 id, CcConflictRow *row);

#endif							/* CC_CONFLICT_H */
