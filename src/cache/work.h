/*-------------------------------------------------------------------------
 *
 * work.h
 *	  A change while it is decided: shared by cache.c, decide.c and take.c.
 *
 * cache.c finds out what is there, asks the function of the operation what
 * shall be, and makes it so.  Those functions read the store and write nothing
 * but the work.
 *
 * Locking: all under one hold of the lock of the key's partition.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_WORK_H
#define CC_WORK_H

#include "cache/cache.h"
#include "cache/conflict.h"
#include "cache/extra.h"

/* The change under way: what is there, and what shall be. */
typedef struct CcWork
{
	const CcChange *c;
	CcOutcome  *o;
	uint64		hash;
	CcPartitionShared *p;
	CcHeaderShared *cur;		/* NULL: none; may be one that is cleared */
	bool		there;			/* cur is there and above its horizon */
	bool		live;			/* ... and has a value that is fresh */
	int64		fresh;			/* live: until when; 0: for ever */
	int64		now;			/* cc_work_now; 0: not asked yet */

	/* the entry that shall be; its dot and version are given by commit */
	CcEntry		e;
	bool		new_dot;
	bool		new_version;
	bool		new_at;
	char		block[CC_EXTRA_VALUE];	/* of e, where it has one of its own */
	CcBuf	   *scratch;		/* where the value is that w->e keeps or makes */
	Size		scratch_need;	/* room that was missing there */
	uint32		chunks;			/* of what was stored */

	/* of keys that are, were or become conflicts; see exact.h */
	CcKeyState *ours;			/* what was there */
	char	   *context;		/* [CC_SIB_CONTEXT_ROOM]: the block of w->e */
	CcDotPlace	dot_at;			/* the new dot goes there, not to w->e */
	bool		was_conflict;	/* ours is one, and what shall be decides it ... */
	CcHow		decided;		/* ... by this */
} CcWork;

/* What decide_* says. */
typedef enum CcVerdict
{
	CC_LEAVE,						/* o->result is set, nothing happens */
	CC_STORE,						/* w->e shall be */
	CC_RESTAMP,					/* ... with the key and value that are there */
	CC_MORE_SCRATCH				/* again with more room */
} CcVerdict;

/* What the operations of cache.h make of what is there. */
extern CcVerdict cc_decide_put(CcWork *w);
extern CcVerdict cc_decide_delete(CcWork *w);
extern CcVerdict cc_decide_touch(CcWork *w);
extern CcVerdict cc_decide_slide(CcWork *w);
extern CcVerdict cc_decide_fetch(CcWork *w);
extern CcVerdict cc_decide_incr(CcWork *w);

/* CC_OP_TAKE, LOAD, STUB, REDOT */
extern CcVerdict cc_take_sent(CcWork *w);
extern CcVerdict cc_take_loaded(CcWork *w);
extern CcVerdict cc_take_away(CcWork *w);
extern CcVerdict cc_take_name(CcWork *w);

/* A write of this node: everything new. */
extern CcVerdict cc_work_store_new(CcWork *w, uint8 type, uint8 flags,
								   const char *value, uint32 vallen,
								   int64 expires);

/* The time by which the work is done, in ms; the same whenever it is asked. */
extern int64 cc_work_now(CcWork *w);

/* As cc_expire_over, by that time. */
extern bool cc_work_over(CcWork *w, int64 expires);

/* Order of what is here and what is given (c->entry), by (version, at). */
extern int	cc_work_compare_current(CcWork *w);

/* Order of two versions alone. */
extern int	cc_work_compare_version(uint64 ahlc, uint16 awriter, uint64 bhlc,
									uint16 bwriter);

/*
 * Copies the current value to scratch, where extra more bytes of room are
 * then; false: scratch is too short, and scratch_need says by how much.
 */
extern bool cc_work_copy_current(CcWork *w, Size extra);

/* The current entry stays as it is but for what the caller changes in w->e. */
extern void cc_work_keep_current(CcWork *w);

#endif							/* CC_WORK_H */
