/*-------------------------------------------------------------------------
 *
 * port.c
 *	  What port.h promises, inside PostgreSQL: locks, clocks, memory, chance
 *	  and the log.  Waking stands in wake.c, files in portfile.c.
 *
 * Locking: CcLock is an LWLock.  Acquiring one holds interrupts off, so a
 * query that is cancelled cannot leave anything half-changed.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/port.h"

#include <sys/time.h>
#include <time.h>

#include "base/compat.h"
#include "common/pg_prng.h"
#include "utils/memutils.h"

#define LOG_LINE_LEN	1024
#define PAUSE_US		100

/* Lives as long as the process; made when first used. */
static MemoryContext memory;

void
cc_lock_exclusive(CcLock *lock)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
}

void
cc_lock_shared(CcLock *lock)
{
	LWLockAcquire(lock, LW_SHARED);
}

void
cc_unlock(CcLock *lock)
{
	LWLockRelease(lock);
}

bool
cc_lock_held(CcLock *lock)
{
	return LWLockHeldByMe(lock);
}

int64
cc_clock_ms(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (int64) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

/*
 * As of the last tick of the kernel's timer, of which there are 100 a second at
 * least.
 */
int64
cc_clock_coarse_ms(void)
{
#ifdef CLOCK_REALTIME_COARSE
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (int64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
#else
	return cc_clock_ms();
#endif
}

int64
cc_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64
cc_monotonic_ms(void)
{
	return cc_monotonic_us() / 1000;
}

void
cc_check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/* Whoever is waited for has a lock and needs microseconds; no interrupts. */
void
cc_pause(void)
{
	static uint32 wait_event;

	pgstat_report_wait_start(cc_wait_event(wait_event, "CacheClusterPause"));
	pg_usleep(PAUSE_US);
	pgstat_report_wait_end();
}

void *
cc_alloc(Size size)
{
	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "cachecluster",
									   ALLOCSET_DEFAULT_SIZES);
	return MemoryContextAllocHuge(memory, size);
}

void *
cc_realloc(void *p, Size size)
{
	return p == NULL ? cc_alloc(size) : repalloc_huge(p, size);
}

void
cc_free(void *p)
{
	if (p != NULL)
		pfree(p);
}

void
cc_random(void *buf, Size len)
{
	if (!pg_strong_random(buf, len))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
}

uint32
cc_random_below(uint32 n)
{
	if (n == 0)
		return 0;
	return (uint32) pg_prng_uint64_range(&pg_global_prng_state, 0, n - 1);
}

/*
 * A line is cut rather than built in memory that may be short.  In a backend
 * even a warning is for the server log alone: it is seldom about the
 * statement that happens to run there.
 */
void
cc_log(CcLogLevel level, const char *fmt,...)
{
	char		line[LOG_LINE_LEN];
	int			elevel = DEBUG1;
	va_list		args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);

	if (level == CC_LOG)
		elevel = LOG;
	else if (level == CC_WARN)
		elevel = MyBackendType == B_BG_WORKER ? WARNING : LOG_SERVER_ONLY;

	ereport(elevel,
			(errmsg_internal("cachecluster: %s", line),
			 errhidestmt(true), errhidecontext(true)));
}
