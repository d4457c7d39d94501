/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  See pace.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "merge/pace.h"

#include "base/compat.h"
#include "base/stats.h"
#include "miscadmin.h"
#include "storage/latch.h"

/* Operations a second from which on clients count as being there */
#define BUSY_RATE		1000

/* Turns, in ms: when nobody is there, and when somebody is */
#define LONG_TURN		200
#define SHORT_TURN		5

/* A rest is so many times as long as its turn, at most so many ms */
#define REST_TIMES		9
#define LONGEST_REST	500

/* Ms between two looks at the counters, which are the whole server's */
#define LOOK_MS			20

static bool busy;
static uint64 seen;				/* operations at the last look ... */
static int64 looked_at;			/* ... at this time, monotonic ms; 0: never */

static uint64
operations(void)
{
	uint64		sum[CC_NSTATS];

	cc_stats_sum(sum);
	return sum[CC_STAT_HITS] + sum[CC_STAT_MISSES] + sum[CC_STAT_PUTS] +
		sum[CC_STAT_DELETES];
}

static void
look(int64 now)
{
	uint64		ops;

	if (looked_at != 0 && now - looked_at < LOOK_MS)
		return;
	ops = operations();
	busy = looked_at != 0 &&
		(ops - seen) * 1000 > (uint64) BUSY_RATE * (uint64) (now - looked_at);
	seen = ops;
	looked_at = now;
}

int64
cc_mergepace_turn(void)
{
	look(cc_monotonic_ms());
	return busy ? SHORT_TURN : LONG_TURN;
}

void
cc_mergepace_rest(int64 began)
{
	static uint32 wait_event;
	int64		now = cc_monotonic_ms();
	int64		rest;

	look(now);
	if (!busy)
		return;
	rest = Min(Max(now - began, 1) * REST_TIMES, LONGEST_REST);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) rest,
					 cc_wait_event(wait_event, "CacheClusterMergePace"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
