/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The two background workers: the writer, which keeps the files and frees
 *	  what is over, and the replicator, whose loop is cluster/evloop.c.
 *
 * Both leave with proc_exit(1): status 0 would unregister them for good.  In
 * a server that shuts down they are not started again.
 *
 * The writer never has a lock, a transaction or a database.  If it dies while
 * shared memory lives on, its successor goes on where it was.
 *
 * Locking: none of its own.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "base/compat.h"
#include "base/events.h"
#include "base/guc.h"
#include "base/stats.h"
#include "base/wake.h"
#include "cache/changelog.h"
#include "cache/expire.h"
#include "cache/files.h"
#include "cluster/evloop.h"
#include "cluster/membership.h"
#include "cluster/splits.h"
#include "merge/merger.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/walreceiver.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/pidfile.h"

/*
 * The sweep, in the spirit of Valkey's expire.c: a tick looks at the share of
 * all buckets that makes an idle walk last SWEEP_WALK_MS.  While it frees more
 * than one entry in SWEEP_DENSE buckets it goes on, but for no more than
 * SWEEP_SHARE percent of a core.
 */
#define SWEEP_TICK_MS		100
#define SWEEP_WALK_MS		8000
#define SWEEP_SHARE			25
#define SWEEP_RUN			1024	/* buckets between two looks at the clock */
#define SWEEP_DENSE			10

/* How often a standby that replays notes how far it is */
#define NOTE_MS				10

/* How long changes may wait for the writer while more of them come */
#define NAP_MS				2

/* Of the postmaster; its status is one of the lines. */
#define LOCK_FILE			"postmaster.pid"

PGDLLEXPORT void cachecluster_writer_main(Datum arg);
PGDLLEXPORT void cachecluster_replicator_main(Datum arg);

typedef struct Sweeper
{
	CcSweep		sweep;
	uint64		nbuckets;		/* of all partitions */
	int64		next;			/* monotonic ms of the next tick */
} Sweeper;

static void
set_up_process(void)
{
	/* the default SIGTERM handler raises an error from inside of itself */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
}

/*
 * Whether SIGTERM was the server's.  The postmaster notes that it stops before
 * it tells anybody.
 */
static bool
server_stops(void)
{
	FILE	   *f = fopen(LOCK_FILE, "r");
	char		line[MAXPGPATH];
	bool		stops = false;

	if (f == NULL)
		return true;
	for (int i = 1; fgets(line, sizeof(line), f) != NULL; i++)
	{
		if (i == LOCK_FILE_LINE_PM_STATUS)
			stops = strncmp(line, PM_STATUS_STOPPING,
							strlen(PM_STATUS_STOPPING)) == 0;
	}
	fclose(f);
	return stops;
}

static void
init_sweeper(Sweeper *s)
{
	memset(s, 0, sizeof(*s));
	for (uint32 i = 0; i < cc.store->npartitions; i++)
		s->nbuckets += cc_store_partition(i)->nbuckets;
	s->sweep.cycle_began_ms = cc_monotonic_ms();
}

/* A partition is emptied by whoever finds it half-changed; here it is told. */
static void
report_resets(void)
{
	static uint64 told = 0;
	uint64		resets = 0;

	for (uint32 i = 0; i < cc.store->npartitions; i++)
		resets += cc_store_partition(i)->resets;
	if (resets > told)
	{
		cc_log(CC_WARN, "a part of the cache was found half-changed and was emptied");
		cc_event(CC_EVENT_DAMAGE, NULL, "\"what\": \"a part of the cache was "
				 "found half-changed and was emptied\"");
	}
	told = resets;
}

/* A tick's work, when it is time; returns the ms until the next. */
static int64
sweep(Sweeper *s, int64 now)
{
	uint64		share = s->nbuckets * SWEEP_TICK_MS / SWEEP_WALK_MS + 1;
	int64		stop = now + SWEEP_TICK_MS * SWEEP_SHARE / 100;

	if (now < s->next)
		return s->next - now;
	while (cc_monotonic_ms() < stop)
	{
		uint32		n = (uint32) Min(share, SWEEP_RUN);
		uint32		freed;

		if (share == 0)
			n = SWEEP_RUN;
		freed = cc_expire_sweep(&s->sweep, n);
		share -= Min(share, n);
		if (share == 0 && freed * SWEEP_DENSE < n)
			break;
	}
	pg_atomic_write_u64(&cc.stats->expiration_lag_ms,
						(uint64) cc_expire_lag(&s->sweep));
	pg_atomic_write_u64(&cc.stats->swept_at, (uint64) cc_monotonic_ms());
	report_resets();
	s->next = now + SWEEP_TICK_MS;
	return Max(s->next - cc_monotonic_ms(), 1);
}

/*
 * Whether nobody is about to write what his transaction has committed.  From
 * the first call on no further commit begins; see cc_xact_enter_commit.
 */
static bool
commits_through(void)
{
	pg_atomic_exchange_u32(&cc.state->closing, 1);
	return pg_atomic_read_u32(&cc.state->commits) == 0;
}

/*
 * The shutdown of the server, or only ours.  Returns where commits are under
 * way, which may need the writer yet.
 */
static void
stop_writer(CcFiles *files)
{
	if (server_stops())
	{
		if (!commits_through())
			return;
		/* PROTOCOL.md, new origin: closed first, so that all is saved */
		cc_state_set_phase(CC_CLOSED);
		cc_splits_save(cc_monotonic_ms(), true);
		cc_files_stop(files);
		cc_announce_journal();
	}
	else
		(void) cc_files_flush(files, true);
	proc_exit(1);
}

static CcFiles *
start_writer(void)
{
	CcFiles    *files;

	if (cc_state_phase() > CC_LOADING)
		return cc_files_start(GetSystemIdentifier());

	cc_state_set_phase(CC_LOADING);
	cc.state->system = GetSystemIdentifier();
	files = cc_files_start(GetSystemIdentifier());
	cc_membership_rebuild();
	cc_splits_load();
	/* the detector moves it on */
	cc_state_set_phase(CC_PENDING);
	cc_wake_replicator();
	return files;
}

/* Follows the settings that processes without them need. */
static void
reload_settings(void)
{
	ProcessConfigFile(PGC_SIGHUP);
	cc.state->max_skew_ms = cc_max_clock_skew;
}

/*
 * Sleeps until somebody publishes something, or for wait ms.  busy: changes
 * come all the time, so take a short nap instead, from which nobody wakes us:
 * that saves a system call for each write and a block for each cycle.
 * Returns whether we were woken.
 */
static bool
wait_for_work(uint64 seen, bool busy, int64 wait)
{
	static uint32 wait_event;
	int			events = 0;

	if (busy)
		wait = Min(wait, NAP_MS);
	else
		cc_wake_sleep(CC_WRITER);

	/* what was published before that has woken nobody */
	if (wait > 0 && (busy || cc_changelog_allocated() == seen))
		events = WaitLatch(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   (long) wait,
						   cc_wait_event(wait_event, "CacheClusterWriter"));
	cc_wake_awake(CC_WRITER);
	ResetLatch(MyLatch);
	return (events & WL_LATCH_SET) != 0;
}

/*
 * What VVj covers now may be stable, and whoever is short of memory waits for
 * just that.
 */
static void
follow_journal(void)
{
	static uint64 synced;
	uint64		now = pg_atomic_read_u64(&cc.state->synced);

	if (now == synced)
		return;
	synced = now;
	cc_membership_maintain();
}

/*
 * What the primary last said: by which time of its clock its WAL ended where.
 */
static TimestampTz
heard_from_primary(XLogRecPtr *end)
{
	TimestampTz sent;

	SpinLockAcquire(&WalRcv->mutex);
	sent = WalRcv->lastMsgSendTime;
	*end = WalRcv->latestWalEnd;
	SpinLockRelease(&WalRcv->mutex);
	return sent;
}

/*
 * A standby notes how far it has replayed (cache/replay.h); returns the ms
 * until the next time.  The position is read before the clock, so that it had
 * been reached by the time that is noted, and after what must be before it: the
 * last commit that was replayed, and the end of the WAL that the primary knew
 * at a time.
 */
static int64
note_replay(void)
{
	XLogRecPtr	end;
	XLogRecPtr	lsn;
	TimestampTz heard;
	TimestampTz sent;
	int64		sent_ms = 0;

	if (!RecoveryInProgress())
		return SWEEP_TICK_MS;
	heard = heard_from_primary(&end);
	sent = GetLatestXTime();
	lsn = GetXLogReplayRecPtr(NULL);
	if (end != InvalidXLogRecPtr && lsn >= end)
		sent = Max(sent, heard);
	if (sent > 0)
		sent_ms = (sent + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
				   USECS_PER_DAY) / 1000;
	return cc_replay_note(&cc.state->replay, cc_clock_ms() + 1, lsn,
						  sent_ms) ? NOTE_MS : SWEEP_TICK_MS;
}

void
cachecluster_writer_main(Datum arg)
{
	CcFiles    *files;
	Sweeper		sweeper;
	uint64		seen = 0;
	int64		due = 0;
	bool		woken = true;

	set_up_process();
	cc_wake_register(CC_WRITER);
	files = start_writer();
	init_sweeper(&sweeper);

	for (;;)
	{
		uint64		allocated;
		bool		busy;
		int64		wait;

		CHECK_FOR_INTERRUPTS();
		if (ShutdownRequestPending)
			stop_writer(files);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			reload_settings();
		}

		wait = sweep(&sweeper, cc_monotonic_ms());
		allocated = cc_changelog_allocated();
		busy = allocated != seen && cc_journal_sync_mode != CC_SYNC_ALWAYS;
		if (woken || allocated != seen || cc_monotonic_ms() >= due)
		{
			int64		now = cc_monotonic_ms();

			seen = allocated;
			due = now + cc_files_work(files, now, cc_journal_sync_mode);
			follow_journal();
		}
		cc_splits_save(cc_monotonic_ms(), false);
		wait = Min(wait, due - cc_monotonic_ms());
		wait = Min(wait, note_replay());
		woken = wait_for_work(seen, busy, wait);
	}
}

void
cachecluster_replicator_main(Datum arg)
{
	set_up_process();
	cc_wake_register(CC_REPLICATOR);
	cc_evloop_hook = cc_merger_launch;
	cc_evloop_run();
	proc_exit(1);
}
