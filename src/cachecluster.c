/*-------------------------------------------------------------------------
 *
 * cachecluster.c
 *	  Where the server loads us: settings, shared memory, workers.
 *
 * All of it happens only while the server preloads libraries.  Loaded later,
 * by the first call of a function, the library does nothing, and its functions
 * say what to set.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "cache/cache.h"
#include "cache/files.h"
#include "cache/keylock.h"
#include "cache/xact.h"
#include "cluster/membership.h"
#include "cluster/splits.h"
#include "fmgr.h"
#include "funcs/ddlhooks.h"
#include "funcs/privileges.h"
#include "funcs/write.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "shmem.h"

PG_MODULE_MAGIC;

/* base/guc.c offers these numbers under their names */
StaticAssertDecl(CC_SYNC_OFF == 0 && CC_SYNC_EVERYSEC == 1 &&
				 CC_SYNC_ALWAYS == 2, "numbers of journal_sync");
StaticAssertDecl(CC_MIN_NODES_MAX == CC_MAX_MEMBERS, "limit of min_nodes");

/* Seconds until a worker that has gone is started again */
#define RESTART_TIME	1

PGDLLEXPORT void _PG_init(void);

static void
register_worker(const char *name, const char *function, BgWorkerStartTime start)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "cachecluster %s", name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "cachecluster %s", name);
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name),
			 "cachecluster");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "%s", function);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = start;
	worker.bgw_restart_time = RESTART_TIME;
	RegisterBackgroundWorker(&worker);
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	cc_guc_define();
	cc_shmem_install();
	cc_cache_system_hook = cc_membership_note;
	cc_conflict_fate_hook = cc_splits_count_fate;
	cc_xact_install();
	cc_keylock_install();
	cc_privileges_install();
	cc_ddlhooks_install();
	cc_xact_check_hook = cc_write_check;
	cc_xact_allow_hook = cc_privileges_recheck;

	/* pg_upgrade must find nobody at work */
	if (IsBinaryUpgrade)
		return;

	/*
	 * The writer loads the files while a standby still replays; the
	 * replicator waits until peers can log in here.
	 */
	register_worker("writer", "cachecluster_writer_main",
					BgWorkerStart_PostmasterStart);
	register_worker("replicator", "cachecluster_replicator_main",
					BgWorkerStart_ConsistentState);
}
