/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  How far a standby had replayed the WAL at which time.
 *
 * A fill on a standby needs a position that its snapshot is sure to include.
 * PostgreSQL does not keep one, but the time at which the statement began is
 * known; so the writer notes the position replayed every few milliseconds in
 * a ring, and the newest note that is not younger than the statement tells.
 *
 * Locking: one writer; readers take a note only when its time is the same
 * before and after they have read its position.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_REPLAY_H
#define CC_REPLAY_H

#include "base/port.h"

#define CC_REPLAY_NOTES		64

typedef struct CcReplayNoteShared
{
	pg_atomic_uint64 at;		/* wall clock ms; 0: none, being written */
	pg_atomic_uint64 lsn;
} CcReplayNoteShared;

typedef struct CcReplayShared
{
	uint32		next;			/* the writer's */
	CcReplayNoteShared note[CC_REPLAY_NOTES];
} CcReplayShared;

extern void cc_replay_init(CcReplayShared *r);

/* Notes that lsn has been replayed at this time (ms); by the writer alone. */
extern void cc_replay_note(CcReplayShared *r, int64 at_ms, uint64 lsn);

/*
 * A position that had been replayed at the given time, 0 when none is known.
 */
extern uint64 cc_replay_at(CcReplayShared *r, int64 at_ms);

#endif							/* CC_REPLAY_H */
