/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  The one piece of shared memory.  See shmem.h.
 *
 * Locking: AddinShmemInitLock while the parts are made.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#include "shmem.h"

#include "base/compat.h"
#include "base/events.h"
#include "base/guc.h"
#include "base/stats.h"
#include "base/wake.h"
#include "cache/apart.h"
#include "cache/changelog.h"
#include "cache/conflict.h"
#include "cache/floor.h"
#include "cache/keylock.h"
#include "cache/state.h"
#include "cache/store.h"
#include "cluster/heal.h"
#include "cluster/membership.h"
#include "cluster/splits.h"
#include "merge/merger.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define MIN_LOG_SLOTS		4096
#define MIN_STORE_BYTES		((Size) 4 * 1024 * 1024)
#define SMALL_ORIGINS		1024

/* Locks and their tranches */
typedef enum Tranche
{
	TRANCHE_PARTITION,
	TRANCHE_STATE,
	TRANCHE_LOG,
	TRANCHE_MEMBERS,
	TRANCHE_STATS,
	TRANCHE_EVENTS,
	TRANCHE_KEYLOCKS,
	TRANCHE_APART,
	TRANCHE_CONFLICTS,
	TRANCHE_SPLITS,
	NTRANCHES
} Tranche;

static const char *const tranche_names[NTRANCHES] = {
	"CacheClusterPartition",
	"CacheClusterState",
	"CacheClusterLog",
	"CacheClusterMembers",
	"CacheClusterStats",
	"CacheClusterEvents",
	"CacheClusterKeyLocks",
	"CacheClusterApart",
	"CacheClusterConflicts",
	"CacheClusterSplits"
};

/* Offsets and sizes of the parts; a function of settings alone. */
typedef struct Layout
{
	Size		total;
	Size		wake;
	Size		stats;
	Size		events;
	Size		keylocks;
	Size		state;
	Size		floor;
	Size		members;
	Size		apart;
	Size		conflicts;
	Size		conflicts_bytes;
	Size		splits;
	Size		heal;
	Size		mergers;
	Size		log;
	Size		store;
	Size		store_bytes;
	uint32		nprocs;
	uint32		origin_cap;
	uint32		log_slots;
	uint32		floor_generations;
	uint32		floor_bits;
} Layout;

typedef struct CcHeadShared
{
	int			tranche[NTRANCHES];
	Layout		layout;
} CcHeadShared;

static shmem_request_hook_type prev_shmem_request_hook;
static shmem_startup_hook_type prev_shmem_startup_hook;

/* Takes size bytes behind those that are taken; returns where they begin. */
static Size
take(Size *used, Size size)
{
	Size		at = *used;

	*used = CACHELINEALIGN(add_size(at, size));
	return at;
}

/*
 * The change log has about memory / 32 bytes, and enough slots that many
 * processes can write at once.
 */
static uint32
log_slots_for(Size total, uint32 nprocs)
{
	uint64		slots = total / 32 / sizeof(CcSlotShared);

	slots = Min(slots, (uint64) 1 << 30);
	slots = Max(slots, (uint64) 4 * nprocs);
	slots = Max(slots, (uint64) MIN_LOG_SLOTS);

	/* down to a power of two where that is allowed, else up */
	if (pg_nextpower2_64(slots) > slots &&
		pg_nextpower2_64(slots) / 2 >= Max(4 * nprocs, MIN_LOG_SLOTS))
		return (uint32) (pg_nextpower2_64(slots) / 2);
	return (uint32) pg_nextpower2_64(slots);
}

static void
plan(Layout *l)
{
	bool		small = cc_memory < CC_MEMORY_SMALL_KB;
	Size		used = 0;

	l->total = (Size) cc_memory * 1024;
	l->nprocs = MaxBackends + NUM_AUXILIARY_PROCS;
	l->origin_cap = small ? SMALL_ORIGINS : CC_MAX_ORIGINS;
	l->floor_generations = small ? 1 : CC_FLOOR_GENERATIONS;
	l->floor_bits = small ? CC_FLOOR_SMALL_BITS : CC_FLOOR_BITS;
	l->log_slots = log_slots_for(l->total, l->nprocs);

	take(&used, sizeof(CcHeadShared));
	l->wake = take(&used, cc_wake_size());
	l->stats = take(&used, cc_stats_size(l->nprocs, CC_MAX_NAMESPACES));
	l->events = take(&used, cc_events_size());
	l->keylocks = take(&used, cc_keylock_size());
	l->state = take(&used, cc_state_size(l->origin_cap));
	l->floor = take(&used, cc_floor_size(l->floor_generations, l->floor_bits));
	l->members = take(&used, cc_membership_size(l->origin_cap));
	l->apart = take(&used, cc_apart_size(CC_MAX_INTERVALS));
	l->conflicts_bytes = cc_conflict_log_size(l->total);
	l->conflicts = take(&used, l->conflicts_bytes);
	l->splits = take(&used, cc_splits_size(CC_MAX_SPLITS));
	l->heal = take(&used, cc_heal_size());
	l->mergers = take(&used, cc_merger_size());
	l->log = take(&used, cc_changelog_size(l->log_slots));
	l->store = used;

	if (used + MIN_STORE_BYTES > l->total)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("\"cachecluster.memory\" is too small for %d processes",
						(int) l->nprocs),
				 errhint("Raise cachecluster.memory to at least %zu MB.",
						 (used + MIN_STORE_BYTES) / (1024 * 1024) + 1)));
	l->store_bytes = l->total - used;
}

static void
shmem_request(void)
{
	Layout		layout;

	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	plan(&layout);
	RequestAddinShmemSpace(layout.total);
}

static void
init_locks(CcHeadShared *head)
{
	for (int i = 0; i < NTRANCHES; i++)
		head->tranche[i] = LWLockNewTrancheId();

	for (uint32 i = 0; i < cc.store->npartitions; i++)
		LWLockInitialize(&cc_store_partition(i)->lock,
						 head->tranche[TRANCHE_PARTITION]);
	LWLockInitialize(&cc.state->lock, head->tranche[TRANCHE_STATE]);
	LWLockInitialize(&cc.log->lock, head->tranche[TRANCHE_LOG]);
	LWLockInitialize(&cc.members->lock, head->tranche[TRANCHE_MEMBERS]);
	LWLockInitialize(&cc.stats->lock, head->tranche[TRANCHE_STATS]);
	LWLockInitialize(cc_events_lock(), head->tranche[TRANCHE_EVENTS]);
	LWLockInitialize(&cc.apart->lock, head->tranche[TRANCHE_APART]);
	LWLockInitialize(&cc.conflicts->lock, head->tranche[TRANCHE_CONFLICTS]);
	LWLockInitialize(&cc.splits->lock, head->tranche[TRANCHE_SPLITS]);
	LWLockInitialize(cc_keylock_lock(), head->tranche[TRANCHE_KEYLOCKS]);
}

/* Fresh memory: the first start, or the one after a crash. */
static void
init_parts(char *base)
{
	CcHeadShared *head = (CcHeadShared *) base;
	Layout	   *l = &head->layout;

	plan(l);
	cc_wake_init(base + l->wake);
	cc_stats_init(base + l->stats, l->nprocs, CC_MAX_NAMESPACES);
	cc.stats = (CcStatsShared *) (base + l->stats);
	cc_events_init(base + l->events);
	cc_keylock_init(base + l->keylocks);
	cc_state_init(base + l->state, l->origin_cap);
	cc.state->persist = cc_persist;
	cc.state->max_skew_ms = cc_max_clock_skew;
	cc_floor_init(base + l->floor, l->floor_generations, l->floor_bits);
	cc_membership_init(base + l->members, l->origin_cap);
	cc_apart_init(base + l->apart, CC_MAX_INTERVALS);
	cc_conflict_log_init(base + l->conflicts, l->conflicts_bytes);
	cc_splits_init(base + l->splits, CC_MAX_SPLITS);
	cc_heal_init(base + l->heal);
	cc_merger_init(base + l->mergers);
	cc_changelog_init(base + l->log, l->log_slots);
	cc_store_init(base + l->store, l->store_bytes,
				  cc_store_partitions_for(l->store_bytes));
	init_locks(head);
}

/* Only where processes do not inherit the postmaster's variables. */
static void
attach_parts(char *base)
{
	Layout	   *l = &((CcHeadShared *) base)->layout;

	cc_wake_attach(base + l->wake);
	cc_stats_attach(base + l->stats);
	cc.stats = (CcStatsShared *) (base + l->stats);
	cc_events_attach(base + l->events);
	cc_keylock_attach(base + l->keylocks);
	cc.state = (CcStateShared *) (base + l->state);
	cc.floor = (CcFloorShared *) (base + l->floor);
	cc.members = (CcMembersShared *) (base + l->members);
	cc.apart = (CcApartShared *) (base + l->apart);
	cc.conflicts = (CcConflictsShared *) (base + l->conflicts);
	cc.splits = (CcSplitsShared *) (base + l->splits);
	cc.heal = (CcHealShared *) (base + l->heal);
	cc_merger_attach(base + l->mergers);
	cc.log = (CcChangelogShared *) (base + l->log);
	cc.store = (CcStoreShared *) (base + l->store);
}

static void
shmem_startup(void)
{
	Layout		layout;
	char	   *base;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	plan(&layout);
	memset(&cc, 0, sizeof(cc));
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	base = ShmemInitStruct("cachecluster", layout.total, &found);
	if (found)
		attach_parts(base);
	else
		init_parts(base);
	for (int i = 0; i < NTRANCHES; i++)
		LWLockRegisterTranche(((CcHeadShared *) base)->tranche[i],
							  tranche_names[i]);
	LWLockRelease(AddinShmemInitLock);
}

void
cc_shmem_install(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
