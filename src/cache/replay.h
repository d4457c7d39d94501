/*-------------------------------------------------------------------------
 *
 * replay.h
 *	  How far a standby had replayed the WAL at which time.
 *
 * A fill on a standby needs a position that its snapshot is sure to include.
 * PostgreSQL does not keep one, but the time at which the statement began is
 * known; so the writer notes now and then which position has been replayed, and
 * the newest note that is not younger than the statement tells.
 *
 * A note has a time of the primary's clock as well: all that the primary had
 * committed by then has been replayed.  What it commits later has a later HLC
 * there, whatever our own clock says, so a fill takes no later version.
 *
 * A note that is too old costs fills, so notes are dense for the last moments,
 * and there are older ones for transactions that last: each of a few rings
 * takes one only when some time has passed since its last.
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

#define CC_REPLAY_RINGS		4
#define CC_REPLAY_NOTES		32	/* of a ring */

typedef struct CcReplayNoteShared
{
	pg_atomic_uint64 at;		/* wall clock ms; 0: none, being written */
	pg_atomic_uint64 lsn;
	pg_atomic_uint64 sent;		/* the primary's wall clock, ms */
} CcReplayNoteShared;

typedef struct CcReplayRingShared
{
	int64		last;			/* when it took one; the writer's */
	uint32		next;			/* likewise */
	CcReplayNoteShared note[CC_REPLAY_NOTES];
} CcReplayRingShared;

typedef struct CcReplayShared
{
	uint64		lsn;			/* noted last; the writer's */
	int64		sent;			/* likewise */
	CcReplayRingShared ring[CC_REPLAY_RINGS];
} CcReplayShared;

extern void cc_replay_init(CcReplayShared *r);

/*
 * Notes that lsn, and all that the primary had committed by sent_ms of its own
 * clock (rounded down; 0: unknown), has been replayed at this time (ms, rounded
 * up); by the writer alone.  True when more has been than was noted last.
 */
extern bool cc_replay_note(CcReplayShared *r, int64 at_ms, uint64 lsn,
						   int64 sent_ms);

/*
 * A position that had been replayed at the given time (rounded down), and by
 * which time of the primary; 0 when none is known.
 */
extern uint64 cc_replay_at(CcReplayShared *r, int64 at_ms, int64 *sent_ms);

#endif							/* CC_REPLAY_H */
