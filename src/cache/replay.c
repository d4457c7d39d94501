/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  See replay.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/replay.h"

/* ms between two notes of a ring; together they reach back some five minutes */
static const int64 spacing[CC_REPLAY_RINGS] = {0, 100, 1000, 10000};

void
cc_replay_init(CcReplayShared *r)
{
	memset(r, 0, sizeof(*r));
	for (int i = 0; i < CC_REPLAY_RINGS; i++)
	{
		for (int j = 0; j < CC_REPLAY_NOTES; j++)
		{
			pg_atomic_init_u64(&r->ring[i].note[j].at, 0);
			pg_atomic_init_u64(&r->ring[i].note[j].lsn, 0);
			pg_atomic_init_u64(&r->ring[i].note[j].sent, 0);
		}
	}
}

static void
add_note(CcReplayRingShared *ring, int64 at_ms, uint64 lsn, int64 sent_ms)
{
	CcReplayNoteShared *n = &ring->note[ring->next];

	pg_atomic_write_u64(&n->at, 0);
	pg_memory_barrier();
	pg_atomic_write_u64(&n->lsn, lsn);
	pg_atomic_write_u64(&n->sent, (uint64) sent_ms);
	pg_memory_barrier();
	pg_atomic_write_u64(&n->at, (uint64) at_ms);
	ring->next = (ring->next + 1) % CC_REPLAY_NOTES;
	ring->last = at_ms;
}

bool
cc_replay_note(CcReplayShared *r, int64 at_ms, uint64 lsn, int64 sent_ms)
{
	/* what was noted of the same is older, which is better */
	if (lsn == r->lsn && sent_ms == r->sent)
		return false;
	r->lsn = lsn;
	r->sent = sent_ms;
	for (int i = 0; i < CC_REPLAY_RINGS; i++)
	{
		CcReplayRingShared *ring = &r->ring[i];

		/* also when the clock was set back */
		if (at_ms - ring->last >= spacing[i] || at_ms < ring->last)
			add_note(ring, at_ms, lsn, sent_ms);
	}
	return true;
}

uint64
cc_replay_at(CcReplayShared *r, int64 at_ms, int64 *sent_ms)
{
	uint64		best = 0;

	*sent_ms = 0;
	for (int i = 0; i < CC_REPLAY_RINGS * CC_REPLAY_NOTES; i++)
	{
		CcReplayNoteShared *n =
		&r->ring[i / CC_REPLAY_NOTES].note[i % CC_REPLAY_NOTES];
		uint64		at = pg_atomic_read_u64(&n->at);
		uint64		lsn;
		int64		sent;

		if (at == 0 || at > (uint64) at_ms)
			continue;
		pg_memory_barrier();
		lsn = pg_atomic_read_u64(&n->lsn);
		sent = (int64) pg_atomic_read_u64(&n->sent);
		pg_memory_barrier();
		if (pg_atomic_read_u64(&n->at) != at)
			continue;
		/* what was replayed stays so, so each may come from another note */
		best = Max(best, lsn);
		*sent_ms = Max(*sent_ms, sent);
	}
	return best;
}
