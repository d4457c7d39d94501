/*-------------------------------------------------------------------------
 *
 * merger.c
 *	  Who merges when, and the process that does.  See merger.h.
 *
 * A place in shared memory stands for the merger of a database.  The
 * replicator gives it to a database and registers the worker; the worker takes
 * it over when it starts and gives it back when it exits, however it does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "merge/merger.h"

#include "base/compat.h"
#include "cluster/heal.h"
#include "funcs/nsfuncs.h"
#include "merge/guard.h"
#include "merge/run.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define PLACES			8		/* databases that are merged at once */

/* Between two looks of the replicator, and of an idle merger, in ms */
#define LOOK_MS			50
#define NAP_MS			10

/* An idle merger ends after */
#define IDLE_MS			1000

/* A worker that has not begun to run by then never will */
#define START_MS		60000

/* Kinds of errors of a namespace that the log is told of */
#define TOLD			8

/* Pauses after failures: the first, and the longest */
#define FIRST_PAUSE		1000
#define LONGEST_PAUSE	(300 * 1000)

PGDLLEXPORT void cachecluster_merger_main(Datum arg);

typedef enum PlaceState
{
	PLACE_FREE,
	PLACE_STARTING,				/* the worker is registered */
	PLACE_RUNNING
} PlaceState;

typedef struct Place
{
	pg_atomic_uint32 state;		/* PlaceState */
	pg_atomic_uint32 turn;		/* rises whenever it is given; a worker that
								 * comes late finds another */
	pg_atomic_uint32 done;		/* the last one ended in order, or did
								 * something */

	/* the replicator's */
	char		database[CC_NAME_LEN];	/* kept when it is free */
	int64		began;			/* monotonic ms */
	int			failures;		/* in a row */
	int64		pause_until;	/* monotonic ms */
	uint64		failed_at;		/* HLC; who asks later waits for no pause */
} Place;

/* What is remembered of a namespace */
typedef struct Namespace
{
	pg_atomic_uint64 until;		/* wall clock ms: it is put off; 0: it is not */
	pg_atomic_uint64 version;	/* of the declaration that is put off */
	pg_atomic_uint64 request;	/* cache_heal that came before */
	pg_atomic_uint32 failures;	/* in a row */

	/* the merger's: SQLSTATEs that the log was told of since that cache_heal */
	int			told[TOLD];
	int			ntold;
	uint64		told_request;
} Namespace;

typedef struct CcMergersShared
{
	Place		place[PLACES];
	Namespace	ns[CC_MAX_NAMESPACES];
} CcMergersShared;

static CcMergersShared *mergers;

/* The merger's own */
static Place *my_place;

/* The replicator's: of the workers that it has registered */
static BackgroundWorkerHandle *handles[PLACES];

Size
cc_merger_size(void)
{
	return sizeof(CcMergersShared);
}

void
cc_merger_init(void *mem)
{
	memset(mem, 0, sizeof(CcMergersShared));
	cc_merger_attach(mem);
	for (int i = 0; i < PLACES; i++)
	{
		pg_atomic_init_u32(&mergers->place[i].state, PLACE_FREE);
		pg_atomic_init_u32(&mergers->place[i].turn, 0);
		pg_atomic_init_u32(&mergers->place[i].done, 0);
	}
	for (int i = 0; i < CC_MAX_NAMESPACES; i++)
	{
		pg_atomic_init_u64(&mergers->ns[i].until, 0);
		pg_atomic_init_u64(&mergers->ns[i].version, 0);
		pg_atomic_init_u64(&mergers->ns[i].request, 0);
		pg_atomic_init_u32(&mergers->ns[i].failures, 0);
	}
}

void
cc_merger_attach(void *mem)
{
	mergers = mem;
}

static int64
pause_after(int failures)
{
	int64		pause = FIRST_PAUSE;

	while (failures-- > 1 && pause < LONGEST_PAUSE)
		pause *= 2;
	return Min(pause, LONGEST_PAUSE);
}

/* ------------------------------------------------------------------------
 * Namespaces
 * ------------------------------------------------------------------------
 */

void
cc_merger_put_off(uint16 ns)
{
	Namespace  *n = &mergers->ns[ns];
	int			failures = pg_atomic_add_fetch_u32(&n->failures, 1);
	int64		until = cc_clock_ms() + pause_after(failures);

	pg_atomic_write_u64(&n->version,
						pg_atomic_read_u64(&cc_namespace(ns)->version));
	pg_atomic_write_u64(&n->request,
						pg_atomic_read_u64(&cc.heal->requested[ns]));
	pg_atomic_write_u64(&n->until, until);
	cc_heal_failed(ns, until);
}

void
cc_merger_put_on(uint16 ns)
{
	pg_atomic_write_u64(&mergers->ns[ns].until, 0);
	pg_atomic_write_u32(&mergers->ns[ns].failures, 0);
	if (cc_conflict_count(ns) == 0)
		mergers->ns[ns].ntold = 0;
}

bool
cc_merger_is_news(uint16 ns, int sqlstate)
{
	Namespace  *n = &mergers->ns[ns];
	uint64		request = pg_atomic_read_u64(&cc.heal->requested[ns]);

	if (n->told_request != request)
		n->ntold = 0;
	n->told_request = request;
	for (int i = 0; i < n->ntold; i++)
	{
		if (n->told[i] == sqlstate)
			return false;
	}
	if (n->ntold == TOLD)
		return false;
	n->told[n->ntold++] = sqlstate;
	return true;
}

static bool
is_put_off(uint16 ns)
{
	Namespace  *n = &mergers->ns[ns];
	uint64		until = pg_atomic_read_u64(&n->until);

	return until != 0 && (uint64) cc_clock_ms() < until &&
		pg_atomic_read_u64(&n->version) ==
		pg_atomic_read_u64(&cc_namespace(ns)->version) &&
		pg_atomic_read_u64(&n->request) ==
		pg_atomic_read_u64(&cc.heal->requested[ns]);
}

/* Whether there is something to merge in the namespace now. */
static bool
is_wanted(uint16 ns)
{
	return pg_atomic_read_u32(&cc_namespace(ns)->on_split) == CC_SPLIT_MERGE &&
		cc_namespace_has(ns, CC_NS_DECLARED) && !is_put_off(ns) &&
		cc_heal_merger_wanted(ns);
}

/*
 * Where the function has said stop the heal is over: one-sided changes stand,
 * and nobody waits for their walk.
 */
static void
end_stopped(uint16 ns)
{
	CcOneSidedWalk walk;

	if (pg_atomic_read_u32(&cc_namespace(ns)->on_split) == CC_SPLIT_MERGE &&
		cc_heal_has_stopped(ns) && cc_heal_walk_begin(ns, &walk))
		cc_heal_walk_end(ns, &walk);
}

/* ------------------------------------------------------------------------
 * The replicator's part
 * ------------------------------------------------------------------------
 */

/*
 * Mergers of a database do not live: nothing can be merged there.  One failure
 * may be that of a server that ends, or be somebody's who has ended it.
 */
static void
give_up_database(const Place *p)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if (strcmp(cc_namespace(ns)->database, p->database) == 0)
			cc_heal_failed((uint16) ns,
						   cc_clock_ms() + pause_after(p->failures));
	}
	if (p->failures == 2)
		ereport(WARNING,
				(errmsg("conflicts of the cache in database \"%s\" cannot be "
						"merged: the process for that does not start",
						p->database),
				 errdetail("Its own message says why.  It is tried again with "
						   "pauses of up to five minutes."),
				 errhint("If this server shall not have the database, decide "
						 "on one that has it: SELECT cache_heal(namespace, "
						 "winner => ...).")));
}

static void
end_place(int i, bool done)
{
	Place	   *p = &mergers->place[i];

	p->failures = done ? 0 : p->failures + 1;
	p->pause_until = done ? 0 : cc_monotonic_ms() + pause_after(p->failures);
	p->failed_at = cc_namespace_now();
	if (p->failures > 1)
		give_up_database(p);
	pg_atomic_write_u32(&p->state, PLACE_FREE);
	if (handles[i] != NULL)
		pfree(handles[i]);
	handles[i] = NULL;
	p->began = 0;
}

/* Finds out which of the workers have ended, or never began. */
static void
look_after(int i, int64 now)
{
	Place	   *p = &mergers->place[i];
	uint32		state = pg_atomic_read_u32(&p->state);
	pid_t		pid;

	if (p->began == 0)
		return;
	pg_read_barrier();
	if (state == PLACE_FREE)
		end_place(i, pg_atomic_read_u32(&p->done) != 0);
	else if (state == PLACE_STARTING &&
			 (now - p->began > START_MS ||
			  (handles[i] != NULL &&
			   GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED)))
	{
		/* a worker that comes all the same finds its turn over */
		pg_atomic_fetch_add_u32(&p->turn, 1);
		if (pg_atomic_compare_exchange_u32(&p->state, &state, PLACE_FREE))
			end_place(i, false);
	}
}

/*
 * The place of a database, or one that it can have: that of another which has
 * waited for nothing the longest.  word: HLC at which people said something of
 * it last.  -1: none now.
 */
static int
find_place(const char *database, uint64 word, int64 now)
{
	int			found = -1;

	for (int i = 0; i < PLACES; i++)
	{
		Place	   *p = &mergers->place[i];

		if (strcmp(p->database, database) == 0)
			return p->began == 0 &&
				(now >= p->pause_until || word > p->failed_at) ? i : -1;
		if (p->began == 0 && (found < 0 || p->pause_until <
							  mergers->place[found].pause_until))
			found = i;
	}
	if (found >= 0)
		mergers->place[found].failures = 0;
	return found;
}

static bool
register_worker(int i, uint32 turn)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorker worker;
	bool		ok;

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "cachecluster merger for %s",
			 mergers->place[i].database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cachecluster merger");
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name),
			 "cachecluster");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "cachecluster_merger_main");
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(i);
	memcpy(worker.bgw_extra, &turn, sizeof(turn));
	ok = RegisterDynamicBackgroundWorker(&worker, &handles[i]);
	MemoryContextSwitchTo(old);
	return ok;
}

/*
 * Starts a merger for the database of a namespace; false when the server has no
 * room for it.
 */
static bool
start(uint16 ns, int64 now)
{
	const char *database = cc_namespace(ns)->database;
	uint64		word = Max(pg_atomic_read_u64(&cc.heal->requested[ns]),
						   pg_atomic_read_u64(&cc_namespace(ns)->version));
	int			i = find_place(database, word, now);
	Place	   *p;

	if (i < 0)
		return true;
	p = &mergers->place[i];
	strlcpy(p->database, database, CC_NAME_LEN);
	p->began = now;
	pg_atomic_write_u32(&p->done, 0);
	pg_atomic_write_u32(&p->state, PLACE_STARTING);
	if (register_worker(i, pg_atomic_add_fetch_u32(&p->turn, 1)))
		return true;
	handles[i] = NULL;
	pg_atomic_write_u32(&p->state, PLACE_FREE);
	p->began = 0;
	return false;
}

/*
 * Whether there is a worker, or one is waited for, in its database already; so
 * that not every namespace of it is looked at.
 */
static bool
is_served(const char *database)
{
	for (int i = 0; i < PLACES; i++)
	{
		if (mergers->place[i].began != 0 &&
			strcmp(mergers->place[i].database, database) == 0)
			return true;
	}
	return false;
}

int64
cc_merger_launch(int64 now)
{
	static int64 next = 0;
	static int	refusals = 0;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	bool		waits = false;

	if (now < next)
		return next;
	next = now + LOOK_MS;
	for (int i = 0; i < PLACES; i++)
	{
		look_after(i, now);
		waits |= mergers->place[i].began != 0;
	}
	if (!cc_heal_may_decide())
		return now + IDLE_MS;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		const char *database = cc_namespace(ns)->database;

		end_stopped((uint16) ns);
		if (is_served(database) || !is_wanted((uint16) ns))
			continue;
		waits = true;
		if (start((uint16) ns, now))
		{
			refusals = 0;
			continue;
		}
		if (refusals++ == 0)
			ereport(WARNING,
					(errmsg("no background worker is free to merge conflicts "
							"of the cache"),
					 errdetail("They stay pending, and it is tried again."),
					 errhint("Raise max_worker_processes.")));
		next = now + pause_after(refusals);
		return next;
	}
	return waits ? next : now + IDLE_MS;
}

/* ------------------------------------------------------------------------
 * The process
 * ------------------------------------------------------------------------
 */

void
cc_merger_progress(void)
{
	pg_atomic_write_u32(&my_place->done, 1);
}

void
cc_merger_reload(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

static void
give_back(int code, Datum arg)
{
	pg_write_barrier();
	pg_atomic_write_u32(&my_place->state, PLACE_FREE);
	cc_wake_replicator();
}

/* Takes the place over; false when it was not waited for any more. */
static bool
take_place(int i)
{
	uint32		starting = PLACE_STARTING;
	uint32		turn;

	memcpy(&turn, MyBgworkerEntry->bgw_extra, sizeof(turn));
	my_place = &mergers->place[i];
	return pg_atomic_read_u32(&my_place->turn) == turn &&
		pg_atomic_compare_exchange_u32(&my_place->state, &starting,
									   PLACE_RUNNING);
}

/* Whatever the database says: what a function sees is what it is used to. */
static void
set_up_session(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"search_path", "pg_catalog, pg_temp"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
	pgstat_report_appname("cachecluster merger");
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Merges what is wanted in this database; whether there was something. */
static bool
merge_all(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	bool		any = false;

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if (strcmp(cc_namespace(ns)->database, my_place->database) != 0 ||
			!is_wanted((uint16) ns))
			continue;
		any = true;
		cc_mergerun((uint16) ns);
		cc_merger_reload();
	}
	return any;
}

void
cachecluster_merger_main(Datum arg)
{
	static uint32 wait_event;
	int64		idle_since;

	if (mergers == NULL || !take_place(DatumGetInt32(arg)))
		proc_exit(0);
	before_shmem_exit(give_back, (Datum) 0);
	cc_mergeguard_install();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(my_place->database, NULL, 0);
	cc_mergeguard_connected();
	set_up_session();
	cc_nsfuncs_merging = true;

	idle_since = cc_monotonic_ms();
	while (cc_reach_is_resolver() &&
		   cc_monotonic_ms() - idle_since < IDLE_MS)
	{
		cc_merger_reload();
		if (cc_heal_may_decide() && merge_all())
			idle_since = cc_monotonic_ms();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 NAP_MS,
						 cc_wait_event(wait_event, "CacheClusterMerger"));
		ResetLatch(MyLatch);
	}
	cc_merger_progress();
	proc_exit(0);
}
