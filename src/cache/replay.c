/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  See replay.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/replay.h"

void
cc_replay_init(CcReplayShared *r)
{
	r->next = 0;
	for (int i = 0; i < CC_REPLAY_NOTES; i++)
	{
		pg_atomic_init_u64(&r->note[i].at, 0);
		pg_atomic_init_u64(&r->note[i].lsn, 0);
	}
}

void
cc_replay_note(CcReplayShared *r, int64 at_ms, uint64 lsn)
{
	CcReplayNoteShared *n = &r->note[r->next];

	pg_atomic_write_u64(&n->at, 0);
	pg_memory_barrier();
	pg_atomic_write_u64(&n->lsn, lsn);
	pg_memory_barrier();
	pg_atomic_write_u64(&n->at, (uint64) at_ms);
	r->next = (r->next + 1) % CC_REPLAY_NOTES;
}

uint64
cc_replay_at(CcReplayShared *r, int64 at_ms)
{
	uint64		best = 0;

	for (int i = 0; i < CC_REPLAY_NOTES; i++)
	{
		CcReplayNoteShared *n = &r->note[i];
		uint64		at = pg_atomic_read_u64(&n->at);
		uint64		lsn;

		if (at == 0 || at > (uint64) at_ms)
			continue;
		pg_memory_barrier();
		lsn = pg_atomic_read_u64(&n->lsn);
		pg_memory_barrier();
		if (pg_atomic_read_u64(&n->at) == at && lsn > best)
			best = lsn;
	}
	return best;
}
