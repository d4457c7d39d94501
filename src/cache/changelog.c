/*-------------------------------------------------------------------------
 *
 * changelog.c
 *	  See changelog.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/changelog.h"

/* The published end moves at least once in so many positions. */
#define ADVANCE_EVERY	64

static CcSlotShared *
slot_of(uint64 pos)
{
	return &cc.log->slot[pos & (cc.log->nslots - 1)];
}

Size
cc_changelog_size(uint32 nslots)
{
	return offsetof(CcChangelogShared, slot) + nslots * sizeof(CcSlotShared);
}

void
cc_changelog_init(void *mem, uint32 nslots)
{
	CcChangelogShared *log = mem;

	Assert((nslots & (nslots - 1)) == 0);
	memset(log, 0, offsetof(CcChangelogShared, slot));
	cc.log = log;
	log->nslots = nslots;
	for (uint32 i = 0; i < nslots; i++)
		pg_atomic_init_u64(&log->slot[i].mark, 0);
	pg_atomic_init_u64(&log->allocated, 1);
	pg_atomic_init_u64(&log->published, 1);
	log->first = 1;
}

void
cc_changelog_start(uint64 first)
{
	Assert(first > 0);
	cc.log->first = first;
	pg_atomic_write_u64(&cc.log->allocated, first);
	pg_atomic_write_u64(&cc.log->published, first);
}

void
cc_changelog_reserve(void)
{
	CcChangelogShared *log = cc.log;
	uint64		pos = pg_atomic_read_u64(&log->allocated);

	/*
	 * Half of the ring is kept for those who have looked and not yet taken
	 * their position: at most one each, and there are fewer of them.
	 */
	if (pos - pg_atomic_read_u64(&log->published) < log->nslots / 2 &&
		pos % ADVANCE_EVERY != 0)
		return;
	while (pg_atomic_read_u64(&log->allocated) - cc_changelog_published() >=
		   log->nslots / 2)
		cc_pause();
}

uint64
cc_changelog_allocate(void)
{
	return pg_atomic_fetch_add_u64(&cc.log->allocated, 1);
}

void
cc_changelog_publish(uint64 pos, uint64 hash, uint16 origin, uint64 seq)
{
	CcSlotShared *slot = slot_of(pos);

	/* invalid while it is half written, for readers of the older position */
	pg_atomic_write_u64(&slot->mark, 0);
	pg_write_barrier();
	slot->hash = hash;
	slot->origin = origin;
	slot->seq = seq;
	slot->own = origin == cc_state_self();
	pg_write_barrier();
	pg_atomic_write_u64(&slot->mark, pos + 1);
}

uint64
cc_changelog_allocated(void)
{
	return pg_atomic_read_u64(&cc.log->allocated);
}

uint64
cc_changelog_published(void)
{
	CcChangelogShared *log = cc.log;
	uint64		pos = pg_atomic_read_u64(&log->published);
	uint16		self;
	uint64		own = 0;

	/* nothing new: the usual case of a reader that keeps up */
	if (pg_atomic_read_u64(&slot_of(pos)->mark) != pos + 1)
		return pos;

	cc_lock_exclusive(&log->lock);
	self = cc_state_self();
	pos = pg_atomic_read_u64(&log->published);
	while (pg_atomic_read_u64(&slot_of(pos)->mark) == pos + 1)
	{
		CcSlotShared *slot = slot_of(pos);

		pg_read_barrier();
		/* seq differs from the position for a redotted or remote entry */
		if (slot->origin == self && slot->seq == pos)
			own = pos;
		pos++;
	}
	/* VV first: whoever sees the new end sees what it covers */
	if (own != 0)
		cc_state_raise_vv(self, own);
	pg_write_barrier();
	pg_atomic_write_u64(&log->published, pos);
	cc_unlock(&log->lock);
	return pos;
}

void
cc_changelog_wait_published(uint64 pos)
{
	while (cc_changelog_published() < pos)
		cc_pause();
}

bool
cc_changelog_holds(uint64 pos)
{
	return pos >= cc.log->first &&
		pg_atomic_read_u64(&cc.log->allocated) - pos <= cc.log->nslots;
}

bool
cc_changelog_read(uint64 pos, CcChangeRef *ref)
{
	CcSlotShared *slot = slot_of(pos);

	if (pos < cc.log->first || pg_atomic_read_u64(&slot->mark) != pos + 1)
		return false;
	pg_read_barrier();
	ref->pos = pos;
	ref->hash = slot->hash;
	ref->seq = slot->seq;
	ref->origin = slot->origin;
	ref->own = slot->own;
	pg_read_barrier();
	return pg_atomic_read_u64(&slot->mark) == pos + 1;
}
