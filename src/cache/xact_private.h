/*-------------------------------------------------------------------------
 *
 * xact_private.h
 *	  What xact.c, xact_make.c, xact_read.c and missed.c share: the changes
 *	  that wait.
 *
 * All lives in one memory context that is reset at the end of the transaction.
 * The changes of a transaction are one list in the order in which they were
 * made, which is also the order of their levels; those of one key are linked
 * from the newest to the oldest as well.
 *
 * Locking: none; all is the backend's.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_XACT_PRIVATE_H
#define CC_XACT_PRIVATE_H

#include "cache/xact.h"

/*
 * What a change was done over and what it made: versions, or horizons of a
 * clear.  Versions of this transaction itself do not count as found.
 */
typedef struct CcMade
{
	uint64		found;
	uint64		made;
} CcMade;

/* A waiting change's bits */
#define CC_WAIT_NULL		0x0001
#define CC_WAIT_KEEP_TTL	0x0002
#define CC_WAIT_IF_ABSENT	0x0004
#define CC_WAIT_IF_PRESENT	0x0008
#define CC_WAIT_SLIDING		0x0010
#define CC_WAIT_INVALIDATES	0x0020	/* its delete carries the commit's LSN */
#define CC_WAIT_FORCED		0x0040
#define CC_WAIT_CLEAR		0x0080	/* no key: empties the namespace */
#define CC_WAIT_CONDITIONS	(CC_WAIT_IF_ABSENT | CC_WAIT_IF_PRESENT)

/* What few puts have. */
typedef struct CcWaitRare
{
	uint64		if_version;
	uint64		fill;
	uint64		fill_lsn;
	uint64		fill_bound;
	int64		max_age_ms;
	int64		grace_ms;
} CcWaitRare;

typedef struct CcWait
{
	struct CcWait *prev;		/* made before it */
	struct CcWait *next;
	struct CcWait *older;		/* of the same key; of a clear: of the same
								 * namespace */
	uint64		hash;			/* of the key, first word */
	uint64		order;			/* rises with each change of the transaction */
	const char *key;
	const char *value;
	CcWaitRare *rare;			/* NULL: all zero */
	union
	{
		struct
		{
			int64		ttl_ms;
			int64		deadline;	/* ms since 1970; 0: none */
		};
		CcMade		done;		/* once it has been done */
	};
	uint32		vallen;
	uint16		keylen;
	uint16		ns;
	uint16		bits;
	uint8		op;				/* CcOp */
	uint8		type;			/* CcType */
	int			level;			/* nesting level of its subtransaction */
	Oid			user;			/* who made it: effective at the call */
} CcWait;

/* Changes that wait now, in order; NULL: none. */
extern CcWait *cc_xact_first;
extern CcWait *cc_xact_last;

/*
 * The newest clear that waits, of any namespace; then by `older`.  During the
 * commit the newest that was made.
 */
extern CcWait *cc_xact_last_clear;

/* The commit's place in the WAL; 0 when it has none, or none yet. */
extern uint64 cc_xact_commit_lsn;

/*
 * Around the making of what waits: before the commit, which may raise an
 * error, and at the end of the transaction, whichever it is.
 */
extern void cc_xact_enter_commit(void);
extern void cc_xact_leave_commit(void);

/* Does one change and all that belongs to it. */
extern CcResult cc_xact_make(const CcChange *c, CcOutcome *o);

/*
 * Does what waits, over what was made of its key before (NULL: nothing);
 * w->done tells of it then.  Returns its position in the log, 0 when it has
 * none.
 */
extern uint64 cc_xact_make_waiting(CcWait *w, const CcMade *below);

/* Newest waiting change of a key; NULL: none. */
extern CcWait *cc_xact_find(uint16 ns, uint64 hash, const char *key,
							uint16 keylen);

/* Order of the newest clear of the namespace that waits; 0: none. */
extern uint64 cc_xact_cleared(uint16 ns);

extern uint64 cc_xact_nwaiting;

/*
 * Copies a change behind all that wait; older is what waits of the same key.
 * May raise an error, and nothing waits then that did not before.
 */
extern void cc_xact_push(const CcChange *c, uint64 hash, bool forced,
						 CcWait *older);
extern void cc_xact_push_clear(uint16 ns, uint16 bits);

/* The newest change of any's key is now w; NULL: the key has none any more. */
extern void cc_xact_set_newest(CcWait *any, CcWait *w);

/*
 * Takes a change out of the list and frees it: one that nothing points to,
 * the newest of its key or of the clears, the next older one of its key.
 */
extern void cc_xact_drop(CcWait *w);
extern void cc_xact_drop_newest(CcWait *w);
extern void cc_xact_drop_below(CcWait *above);

/* Drops what w makes pointless of what waits below it. */
extern void cc_xact_supersede(CcWait *w);

/* The transaction is over: nothing waits, nothing was missed. */
extern void cc_xact_reset(void);

/* What this transaction sees of a key that it may have changed. */
typedef struct CcXactView
{
	bool		store;			/* what the store has counts */
	bool		live;			/* what waits is a value */
	CcWait	   *put;			/* live: where its value comes from, NULL: the
								 * store's */
	CcWait	   *touch;			/* its deadline was changed by that; or NULL */
} CcXactView;

/* Exactly one of store and live holds, or none; see the fields. */
extern void cc_xact_view(uint16 ns, uint64 hash, const char *key,
						 uint16 keylen, CcXactView *v);

/*
 * Whether the view shows a value, asking the store where that counts.
 */
extern bool cc_xact_view_live(const CcXactView *v, uint16 ns, const char *key,
							  uint16 keylen);

/*
 * The deadline that a put keeps becomes its own: it may be over at the commit,
 * when there is none to be kept any more, and the put ends as it would have.
 */
extern void cc_xact_keep_deadline(CcChange *c);

/*
 * Misses (missed.c).  The fill that a put of this key is, 0: none.  After the
 * key was written at once, over the version `before`, a put is one from what
 * was written, unless `before` was too new already.  All misses are forgotten
 * at the end.
 */
extern void cc_missed_note(const uint64 hash[2]);
extern void cc_missed_find(const uint64 hash[2], CcChange *c);
extern void cc_missed_wrote(const uint64 hash[2], uint64 before, uint64 hlc);
extern void cc_missed_reset(void);

#endif							/* CC_XACT_PRIVATE_H */
