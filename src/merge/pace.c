/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  See pace.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "merge/pace.h"

#include "base/compat.h"
#include "base/stats.h"
#include "miscadmin.h"
#include "storage/latch.h"

/* Operations a second from which on clients count as being there */
#define BUSY_RATE		1000

/*
 * Turns, in ms: when nobody is there, and when clients are.  A shorter one would
 * disturb more: what follows it, on all servers, would come more often and in
 * smaller batches.
 */
#define LONG_TURN		200
#define SHORT_TURN		20

/* A rest is so many times as long as its turn, at most so many ms */
#define REST_TIMES		59
#define LONGEST_REST	2000

/*
 * Who did not get a processor for so many percent of a turn has taken it from
 * others; and for so many ms that is taken to be so.
 */
#define WAITED_PERCENT	15
#define CROWDED_MS		5000

/* Ms between two looks at the counters, which are the whole server's */
#define LOOK_MS			20

static bool busy;
static uint64 seen;				/* operations at the last look ... */
static int64 looked_at;			/* ... at this time, monotonic ms; 0: never */
static int64 crowded_until;		/* monotonic ms */
static int64 cpu_before;		/* processor time as the turn began, in us */

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

static int64
processor_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		return 0;
	return (int64) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64
cc_mergepace_turn(void)
{
	int64		now = cc_monotonic_ms();

	look(now);
	cpu_before = processor_us();
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
	if (now >= crowded_until && now - began >= SHORT_TURN / 2 &&
		processor_us() - cpu_before <
		(now - began) * 1000 * (100 - WAITED_PERCENT) / 100)
		crowded_until = now + CROWDED_MS;
	if (now >= crowded_until)
		return;
	rest = Min(Max(now - began, 1) * REST_TIMES, LONGEST_REST);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) rest,
					 cc_wait_event(wait_event, "CacheClusterMergePace"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
