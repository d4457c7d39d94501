/*-------------------------------------------------------------------------
 *
 * durable.c
 *	  Waiting for the writer (cache.h): for the clock's reservation, for the
 *	  journal, for room, for the mark on the files.
 *
 * Locking: no lock may be held; a wait may raise an error.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/cache.h"

/* Rounds of some 10 ms of waiting for the clock's reservation */
#define CLOCK_WAIT_ROUNDS	100

/* ... and for the journal, when only stubs beyond VVj could make room */
#define ROOM_WAIT_ROUNDS	20

void
cc_cache_wait_clock(uint64 h)
{
	CcStateShared *s = cc.state;
	uint64		bound = pg_atomic_read_u64(&s->hlc_bound);

	if (h < bound || !s->persist || !cc_rule(clock_bound))
		return;
	cc_atomic_raise(&s->hlc_wanted, h);
	for (int i = 0; i < CLOCK_WAIT_ROUNDS; i++)
	{
		if (pg_atomic_read_u32(&s->journal_failed) != 0 ||
			pg_atomic_read_u64(&s->hlc_given_up) == bound)
			return;
		cc_wake_writer();
		cc_wait_journal();
		bound = pg_atomic_read_u64(&s->hlc_bound);
		if (h < bound)
			return;
	}
	pg_atomic_write_u64(&s->hlc_given_up, bound);
}

void
cc_cache_wait_ticks(uint64 n)
{
	uint64		bound = pg_atomic_read_u64(&cc.state->hlc_bound);
	uint64		hlc = pg_atomic_read_u64(&cc.state->hlc);

	/* the cheaper clock is not so far behind that it were not enough mostly */
	if (hlc + n < bound &&
		cc_hlc_from_ms(cc_clock_coarse_ms() + CC_COARSE_MS) < bound)
		return;
	cc_cache_wait_clock(Max(hlc + n, cc_hlc_from_ms(cc_clock_ms())));
}

bool
cc_cache_clock_reserved(uint64 h)
{
	CcStateShared *s = cc.state;

	if (h < pg_atomic_read_u64(&s->hlc_bound) || !s->persist ||
		!cc_rule(clock_bound))
		return true;
	cc_atomic_raise(&s->hlc_wanted, h);
	cc_wake_writer();
	return false;
}

void
cc_cache_mark_file(void)
{
	CcFile	   *f;

	if (pg_atomic_read_u32(&cc.state->file_marked) != 0)
		return;
	f = cc_file_create("pgsql_tmp.marked");
	if (f != NULL)
	{
		(void) cc_file_sync(f);
		cc_file_close(f);
	}

	/*
	 * Where not even this can be written memory still must not stay full: a
	 * disk that takes no mark takes no journal either.
	 */
	pg_atomic_write_u32(&cc.state->file_marked, 1);
	cc_wake_writer();
}

void
cc_cache_wait_journal(uint64 pos, bool sync)
{
	CcStateShared *s = cc.state;

	if (sync)
		cc_atomic_raise(&s->sync_wanted, pos + 1);
	while (s->persist && pg_atomic_read_u32(&s->journal_failed) == 0 &&
		   pg_atomic_read_u64(sync ? &s->synced : &s->journaled) <= pos)
	{
		if (!cc_state_takes_writes() || cc_wait_given_up())
			return;
		cc_wake_writer();
		cc_wait_journal();
	}
}

bool
cc_cache_wait_room(int *tries)
{
	CcStateShared *s = cc.state;

	if (++*tries > ROOM_WAIT_ROUNDS + 1)
		return false;
	if (*tries > ROOM_WAIT_ROUNDS || pg_atomic_read_u32(&s->journal_failed) != 0)
	{
		*tries = ROOM_WAIT_ROUNDS + 1;
		cc_cache_mark_file();
		return true;
	}
	cc_atomic_raise(&s->sync_wanted, cc_changelog_published());
	cc_wake_writer();
	cc_wait_journal();
	return true;
}
