/*-------------------------------------------------------------------------
 *
 * hlc.c
 *	  See hlc.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/hlc.h"

bool
cc_atomic_raise(pg_atomic_uint64 *word, uint64 to)
{
	uint64		old = pg_atomic_read_u64(word);

	while (old < to)
	{
		if (pg_atomic_compare_exchange_u64(word, &old, to))
			return true;
	}
	return false;
}

uint64
cc_hlc_tick(pg_atomic_uint64 *clock)
{
	uint64		wall = cc_hlc_from_ms(cc_clock_ms());
	uint64		old = pg_atomic_read_u64(clock);
	uint64		new;

	do
	{
		new = Max(old + 1, wall);
	} while (!pg_atomic_compare_exchange_u64(clock, &old, new));
	return new;
}

uint64
cc_hlc_next(pg_atomic_uint64 *clock)
{
	return pg_atomic_fetch_add_u64(clock, 1) + 1;
}

void
cc_hlc_observe(pg_atomic_uint64 *clock, uint64 h)
{
	cc_atomic_raise(clock, h);
}

int64
cc_hlc_now_ms(pg_atomic_uint64 *clock)
{
	return Max(cc_clock_ms(), cc_hlc_to_ms(pg_atomic_read_u64(clock)));
}

bool
cc_hlc_too_far(uint64 h, int64 max_skew_ms)
{
	return cc_hlc_to_ms(h) > cc_clock_ms() + max_skew_ms;
}
