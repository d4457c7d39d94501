/*-------------------------------------------------------------------------
 *
 * cache.h
 *	  The only way in: every change of every entry, and every read.
 *
 * Local puts and deletes, what a peer sent, what a file held, what a full
 * comparison takes away: all go through cc_cache_change, which decides under
 * the lock of the key's partition, makes room, gives dot and version, and
 * publishes in the change log, with nothing between that can throw.
 *
 * Locking: takes one partition's lock at a time; no lock may be held by the
 * caller.  Nothing allocates under it.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CACHE_H
#define CC_CACHE_H

#include "cache/changelog.h"
#include "cache/store.h"

struct CcDecision;				/* conflict.h */
struct CcKeyState;				/* siblings.h */

typedef enum CcOp
{
	CC_OP_PUT,					/* a new value */
	CC_OP_DELETE,				/* a tombstone, also where there is nothing */
	CC_OP_TOUCH,				/* a new deadline; version and value stay */
	CC_OP_INCR,					/* adds to a counter */
	CC_OP_TAKE,					/* an entry from a peer (PROTOCOL.md, take) */
	CC_OP_LOAD,					/* an entry from our own file */
	CC_OP_STUB,					/* our value goes, if it is still this version
								 * and dot (PROTOCOL.md, full comparison) */
	CC_OP_REDOT,				/* a new dot of ours, if the dot is still this
								 * one */
	CC_OP_RESOLVE,				/* a decision over a conflict, if it is still the
								 * same (conflict.h) */
	CC_OP_FAILED,				/* notes beside a conflict that it could not be
								 * decided, or may be tried again (conflict.h) */
	CC_OP_FETCH,				/* reads a value and deletes it, in one step */
	CC_OP_SLIDE					/* moves the deadline of a sliding entry on */
} CcOp;

/* What cc_cache_change made of it. */
typedef enum CcResult
{
	CC_DONE,					/* the store has changed */
	CC_UNCHANGED,				/* it need not or, by a condition, must not */
	CC_NOT_NUMBER,				/* CC_OP_INCR: the value is no integer */
	CC_OVERFLOW,				/* CC_OP_INCR: the sum leaves bigint */
	CC_NOT_READY,				/* loading or closed: nothing is stored */
	CC_TOO_LARGE,				/* more than half a partition, or than the
								 * namespace's max_memory */
	CC_FENCED					/* CC_OP_TAKE: the guard has moved */
} CcResult;

typedef struct CcChange
{
	CcOp		op;

	/* key; hash is filled by cc_cache_change */
	uint16		ns;
	const char *key;
	uint16		keylen;

	/* CC_OP_PUT, CC_OP_INCR, CC_OP_TOUCH */
	uint8		type;			/* CcType; PUT */
	bool		null;			/* PUT: value is NULL */
	const char *value;			/* PUT */
	uint32		vallen;
	int64		ttl_ms;			/* 0: no expiry.  Counts when the key is
								 * created for INCR.  Negative: PUT and TOUCH
								 * delete */
	int64		deadline;		/* PUT, TOUCH: with ttl_ms > 0 the deadline
								 * itself, in ms since 1970; 0: ttl_ms from
								 * now */
	bool		keep_ttl;		/* PUT: the deadline of what is replaced */
	bool		untimed;		/* PUT: the version is the next one (cc_hlc_next) */
	bool		sliding;		/* PUT, with ttl_ms > 0: reads prolong it */
	int64		max_age_ms;		/* PUT, sliding: never beyond that; 0: no cap */
	int64		grace_ms;		/* PUT: kept so long behind its deadline, for
								 * cc_cache_get_stale */
	bool		if_absent;
	bool		if_present;
	uint64		if_version;		/* 0: any; else the version's HLC */
	int64		by;				/* INCR */

	/*
	 * PUT: it is a fill, made from what a reader saw that had missed the key:
	 * an HLC not later than his snapshot (0: it is none).  Nothing is stored
	 * (CC_UNCHANGED, o->refused_fill) where the key was written, deleted,
	 * cleared or forgotten after it; nor where it was invalidated by a
	 * transaction that ended behind fill_lsn in the WAL of our system, which a
	 * standby's snapshot may not have replayed (PG_UINT64_MAX: no standby).
	 * What is stored has this HLC as its version, and on a standby none above
	 * fill_bound, the HLC of the last that its primary did and the snapshot is
	 * sure to have (PG_UINT64_MAX: no standby); nor is it stored where it would
	 * have to be.
	 */
	uint64		fill;
	uint64		fill_lsn;
	uint64		fill_bound;

	/*
	 * PUT that is a fill: versions and horizon above it that are no obstacle, as
	 * its own transaction has made them just before (0: none).
	 */
	uint64		own_hlc;
	uint64		own_horizon;

	/*
	 * DELETE: the invalidation by a transaction that ended at this position of
	 * the WAL of this system (lsn 0: it is none).
	 */
	uint64		lsn;

	/*
	 * FETCH: where key and value go, behind what it holds; o->entry points
	 * there.  Only what accept says yes to is deleted (NULL: anything); a
	 * value that it refuses stays (CC_UNCHANGED, o->existed) and is returned
	 * all the same.  It is called under the partition's lock: it neither
	 * allocates nor raises an error.
	 */
	CcBuf	   *buf;
	bool		(*accept) (const CcEntry *e);

	/*
	 * CC_OP_TAKE, CC_OP_LOAD: the entry, its key as above.  STUB, REDOT: the
	 * dot (and STUB: hlc, writer) that it, or one of its siblings, must still
	 * have.
	 */
	const CcEntry *entry;

	/*
	 * CC_OP_TAKE: the sender's VV as it was before it read the key (PROTOCOL.md,
	 * exact); NULL: nothing is known of what it has seen.
	 */
	const CcVV *seen;

	/* CC_OP_RESOLVE, CC_OP_FAILED: what was read of the key */
	const struct CcKeyState *state;
	const struct CcDecision *decision;	/* RESOLVE */
	const char *error;			/* FAILED; NULL: none, it may be tried again */
	int64		retry_at;		/* FAILED */

	/*
	 * CC_OP_REDOT: the key's state is to be looked at by all (PROTOCOL.md, ask)
	 */
	bool		ask;

	/*
	 * CC_OP_STUB of an entry that may have siblings: whose digest it is has it
	 * no more, so one among several goes altogether; else its value goes.
	 */
	bool		gone;

	/*
	 * CC_OP_TAKE and CC_OP_STUB: under the partition's lock, when *guard is
	 * no longer guard_value the change is refused (NULL: no guard).
	 */
	pg_atomic_uint64 *guard;
	uint64		guard_value;
} CcChange;

typedef struct CcOutcome
{
	CcResult	result;
	bool		existed;		/* there was a live value before */
	uint64		hlc;			/* version that is there now */
	uint64		before;			/* PUT that is a fill, DELETE, INCR, FETCH: the
								 * one before it; where there is no entry what
								 * F says of the key */
	uint64		pos;			/* of the change in the log; see
								 * cc_cache_wait_journal */
	int64		counter;		/* CC_OP_INCR: the sum */
	bool		refused_fill;	/* PUT: CC_UNCHANGED as it was a late fill */
	CcEntry		entry;			/* FETCH that found one: as cc_cache_get's */
} CcOutcome;

/*
 * PUT, DELETE and TOUCH, also of system entries, need no memory of the process and
 * raise no error, so they may run where a transaction has committed already;
 * see cc_wait_journal for what cancels their waits there.
 */
extern CcResult cc_cache_change(const CcChange *c, CcOutcome *o);

/*
 * What cc_cache_change would do with a PUT, DELETE or TOUCH now, without doing
 * it: result and existed of o.
 */
extern CcResult cc_cache_probe(const CcChange *c, CcOutcome *o);

/*
 * Whether a change can be made at all: CC_DONE, CC_NOT_READY or CC_TOO_LARGE.
 * Looks at nothing that is stored.
 */
extern CcResult cc_cache_check(const CcChange *c);

/*
 * Reads a live entry.  e->expires is the deadline after which it is none, and
 * the value is the user's (no CC_F_EXTRA).  A sliding entry is prolonged.
 *  Key and value are copied behind what buf already
 * holds, which grows as needed, so pointers in earlier entries of the same
 * buf may move.  False on a miss, also before the phase is CC_READY.
 */
extern bool cc_cache_get(uint16 ns, const char *key, uint16 keylen,
						 CcEntry *e, CcBuf *buf);

/* Same, but also one that is in its grace; then *stale. */
extern bool cc_cache_get_stale(uint16 ns, const char *key, uint16 keylen,
							   CcEntry *e, CcBuf *buf, bool *stale);

/*
 * Same for listings: prolongs nothing, and does not keep the entry from being
 * evicted.  buf NULL: only whether there is one, e is not used.
 */
extern bool cc_cache_look(uint16 ns, const char *key, uint16 keylen,
						  CcEntry *e, CcBuf *buf);

/* Like cc_cache_get, but also stubs, whatever the phase (system entries). */
extern bool cc_cache_peek(uint16 ns, const char *key, uint16 keylen,
						  CcEntry *e, CcBuf *buf);

/* Only whether there is a live entry, and its deadline; prolongs nothing. */
extern bool cc_cache_has(uint16 ns, const char *key, uint16 keylen,
						 int64 *expires);

/*
 * Walks the live entries of a namespace, a run of buckets at a time, so that
 * writers wait for none of it.  Can be cancelled.  Entries come in hash order.
 * The callback runs without a lock; e and what it points to are valid during
 * it.
 */
typedef void (*CcEntryFn) (const CcEntry *e, void *arg);

/*
 * What a walk has copied; begins as zeroes.  It is the caller's, who may raise
 * an error from the callback and use it again for the next walk.
 */
typedef struct CcScan
{
	CcBuf		entries;
	CcBuf		data;
} CcScan;

extern void cc_cache_scan(uint16 ns, CcScan *scan, CcEntryFn fn, void *arg);

/* Number of live entries of a namespace; walks it. */
extern uint64 cc_cache_count(uint16 ns);

/*
 * Raises the namespace's horizon: everything in it is gone, here at once.
 * Raises no error, like PUT.
 */
extern CcResult cc_cache_clear(uint16 ns);

/*
 * Likewise, as the invalidation of all its keys by a transaction that ended at
 * this position of the WAL of this system (0: it is none).
 */
extern CcResult cc_cache_invalidate_all(uint16 ns, uint64 lsn);

/*
 * System entries (namespace CC_NS_SYSTEM) never expire and are never evicted.
 * After one has changed, wherever the change came from, the hook is called
 * with its key, without a lock.  Set once by cluster/membership.
 */
typedef void (*CcSystemHook) (const char *key, uint16 keylen);

extern CcSystemHook cc_cache_system_hook;

/* The largest value that a system entry may have */
#define CC_MAX_SYSTEM_VALUE	8192

/* The key of a namespace's horizon, "h" database \0 name; returns its length. */
#define CC_SYSTEM_KEY_MAX	(1 + 2 * CC_NAME_LEN)
extern uint16 cc_cache_horizon_key(uint16 ns, char *key);

/*
 * Marks the files as not to be loaded after an unclean stop (PROTOCOL.md,
 * bound).  Waits for the disk: no lock may be held.
 */
extern void cc_cache_mark_file(void);

/*
 * Waits until the change at position pos is in the journal (sync: fsynced),
 * or the journal cannot be written.  At once without files.
 */
extern void cc_cache_wait_journal(uint64 pos, bool sync);

/*
 * Only stubs beyond VVj could make room.  The writer is asked to fsync what
 * it has, and is waited for a little; then the files are marked, so that such
 * stubs may go (PROTOCOL.md, bound).  tries begins as 0 and counts the calls
 * for one change.  False when even the mark did not help.
 */
extern bool cc_cache_wait_room(int *tries);

/*
 * PROTOCOL.md, clock bound: waits until an HLC of at least h is reserved on
 * disk; at once without files.  A writer that makes no progress is waited for
 * a second, and then no more until it does.
 */
extern void cc_cache_wait_clock(uint64 h);

/* Same, for the next n HLCs that are drawn now. */
extern void cc_cache_wait_ticks(uint64 n);

/* Whether it is; asks for it where it is not, and waits for nothing. */
extern bool cc_cache_clock_reserved(uint64 h);

/*
 * Order of two entries of a key: by (version, at).  Negative: a is older.
 */
extern int	cc_cache_compare(const CcEntry *a, const CcEntry *b);

/*
 * Gives an entry a new dot of ours, if it still has the one it has in e
 * (PROTOCOL.md, orphans); and all entries of an origin beyond a sequence
 * number, before and after VV becomes infinite there (retire; walks the
 * store): before, since a raise would cover them, and after it once more for
 * what came in meanwhile.
 */
extern void cc_cache_redot(const CcEntry *e);
extern void cc_cache_redot_beyond(uint16 origin, uint64 beyond);

/*
 * Takes another origin at once, and gives new dots to all written since the
 * start (PROTOCOL.md, ahead of myself).  Takes all partitions' locks.  The
 * writer makes it durable.  False when it is not another one, or there is no
 * room for it.
 */
extern bool cc_cache_new_origin(const CcNodeId *id, uint64 incarnation);

#endif							/* CC_CACHE_H */
