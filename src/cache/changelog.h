/*-------------------------------------------------------------------------
 *
 * changelog.h
 *	  Ring of the newest changes: (key hash, dot) by position, no values.
 *
 * A reader fetches the entry as it is now, so a hot key is sent once however
 * often it changed, and a slow reader costs nothing.  A reader that fell off
 * the ring scans the store instead.
 *
 * Rule position is sequence: the position of a write of our own is its
 * sequence number.  Position, entry and published slot are made under the
 * lock of the entry's partition, with nothing between that can throw.  The
 * published end is the first position that is not yet published.
 *
 * Locking: positions are allocated by an atomic counter.  Slots are written
 * by who allocated them, under their partition's lock, and become valid by
 * their mark.  log->lock is held for moving the published end only; it is a
 * leaf: nothing else is taken under it.
 *
 * May include: base/, state.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CHANGELOG_H
#define CC_CHANGELOG_H

#include "cache/state.h"

typedef struct CcSlotShared
{
	pg_atomic_uint64 mark;		/* position + 1 once valid, written last */
	uint64		hash;
	uint64		seq;			/* the dot; seq = position when own */
	uint16		origin;
	bool		own;			/* its origin was ours when written */
} CcSlotShared;

typedef struct CcChangelogShared
{
	CcLock		lock;			/* for moving the published end */
	uint32		nslots;			/* a power of two */
	uint64		first;			/* the first position of this start */
	pg_atomic_uint64 allocated; /* next position to be given */
	pg_atomic_uint64 published; /* the published end; under lock */
	CcSlotShared slot[FLEXIBLE_ARRAY_MEMBER];
} CcChangelogShared;

/* A change as a reader sees it. */
typedef struct CcChangeRef
{
	uint64		pos;
	uint64		hash;
	uint64		seq;
	uint16		origin;
	bool		own;
} CcChangeRef;

extern Size cc_changelog_size(uint32 nslots);

/* nslots must be a power of two and more than twice the writing processes. */
extern void cc_changelog_init(void *mem, uint32 nslots);

/* Sets the first position of this start, before anything is written. */
extern void cc_changelog_start(uint64 first);

/*
 * Waits until there is room for another position.  Before a write, with no
 * lock held: a slot that somebody has yet to publish is never given away.
 */
extern void cc_changelog_reserve(void);

/* Under the partition's lock: takes the next position. */
extern uint64 cc_changelog_allocate(void);

/* Under the same hold of it: makes the slot valid. */
extern void cc_changelog_publish(uint64 pos, uint64 hash, uint16 origin, uint64 seq);

/* First position that is not yet allocated. */
extern uint64 cc_changelog_allocated(void);

/*
 * The published end.  Moves it as far as it goes, and VV of our own origin
 * with it: to the highest own position below it.
 */
extern uint64 cc_changelog_published(void);

/* Waits until all below pos is published.  No lock may be held. */
extern void cc_changelog_wait_published(uint64 pos);

/* Whether the ring still holds position pos. */
extern bool cc_changelog_holds(uint64 pos);

/*
 * Reads position pos, below the published end.  False when it has been
 * overwritten: the reader fell off the ring.
 */
extern bool cc_changelog_read(uint64 pos, CcChangeRef *ref);

#endif							/* CC_CHANGELOG_H */
