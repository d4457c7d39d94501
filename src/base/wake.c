/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Who waits for what.  See wake.h.
 *
 * Locking: none; every word is atomic.  What is published before cc_wake_* is
 * seen by a worker that had not said that it sleeps: both sides have a full
 * barrier between their write and their read.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/wake.h"

#include "base/compat.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"

/* How long one wait for the journal lasts at most, in ms */
#define JOURNAL_WAIT	10

#define NOBODY			PG_UINT32_MAX

typedef struct CcWakeShared
{
	struct
	{
		pg_atomic_uint32 proc;	/* number of its PGPROC, or NOBODY */
		pg_atomic_uint32 sleeping;
	}			worker[CC_NWORKERS];

	ConditionVariable journal;
	pg_atomic_uint64 announced; /* rises with every cc_announce_journal */

	ConditionVariable acks;
	pg_atomic_uint64 acked;		/* rises with every cc_announce_acks */
} CcWakeShared;

static CcWakeShared *shared;

static bool holding;
static bool held[CC_NWORKERS];	/* to be woken when the hold is over */

Size
cc_wake_size(void)
{
	return sizeof(CcWakeShared);
}

void
cc_wake_init(void *mem)
{
	cc_wake_attach(mem);
	for (int i = 0; i < CC_NWORKERS; i++)
	{
		pg_atomic_init_u32(&shared->worker[i].proc, NOBODY);
		pg_atomic_init_u32(&shared->worker[i].sleeping, 0);
	}
	ConditionVariableInit(&shared->journal);
	pg_atomic_init_u64(&shared->announced, 1);
	ConditionVariableInit(&shared->acks);
	pg_atomic_init_u64(&shared->acked, 1);
}

void
cc_wake_attach(void *mem)
{
	shared = mem;
}

static void
forget_worker(int code, Datum worker)
{
	uint32		me = cc_my_proc_number();

	/* its successor may already be there */
	pg_atomic_compare_exchange_u32(&shared->worker[DatumGetInt32(worker)].proc,
								   &me, NOBODY);
}

void
cc_wake_register(CcWorker worker)
{
	pg_atomic_write_u32(&shared->worker[worker].sleeping, 0);
	pg_atomic_write_u32(&shared->worker[worker].proc, cc_my_proc_number());
	before_shmem_exit(forget_worker, Int32GetDatum(worker));
}

void
cc_wake_sleep(CcWorker worker)
{
	pg_atomic_write_u32(&shared->worker[worker].sleeping, 1);
	pg_memory_barrier();
}

void
cc_wake_awake(CcWorker worker)
{
	pg_atomic_write_u32(&shared->worker[worker].sleeping, 0);
}

static void
wake(CcWorker worker)
{
	uint32		proc;

	if (shared == NULL)
		return;
	if (holding)
	{
		held[worker] = true;
		return;
	}
	pg_memory_barrier();
	if (pg_atomic_read_u32(&shared->worker[worker].sleeping) == 0 ||
		pg_atomic_exchange_u32(&shared->worker[worker].sleeping, 0) == 0)
		return;
	proc = pg_atomic_read_u32(&shared->worker[worker].proc);
	if (proc != NOBODY)
		SetLatch(cc_proc_latch(proc));
}

void
cc_wake_writer(void)
{
	wake(CC_WRITER);
}

void
cc_wake_replicator(void)
{
	wake(CC_REPLICATOR);
}

static void
release_at_exit(int code, Datum arg)
{
	cc_wake_release();
}

void
cc_wake_hold(void)
{
	static bool registered = false;

	Assert(!holding);
	if (!registered)
		before_shmem_exit(release_at_exit, (Datum) 0);
	registered = true;
	holding = true;
}

void
cc_wake_release(void)
{
	holding = false;
	for (int i = 0; i < CC_NWORKERS; i++)
	{
		if (!held[i])
			continue;
		held[i] = false;
		wake((CcWorker) i);
	}
}

/*
 * The count as it was before the caller last looked tells whether something
 * was announced since.  May be cancelled by the user: what he waited for has
 * been done by then and only its being on disk is unknown.
 */
void
cc_wait_journal(void)
{
	static uint32 wait_event;
	static uint64 seen;
	uint64		now = pg_atomic_read_u64(&shared->announced);

	if (holding)
	{
		cc_wake_release();
		cc_wake_hold();
	}
	if (now != seen)
	{
		seen = now;
		return;
	}
	ConditionVariablePrepareToSleep(&shared->journal);
	if (pg_atomic_read_u64(&shared->announced) == seen)
		ConditionVariableTimedSleep(&shared->journal, JOURNAL_WAIT,
									cc_wait_event(wait_event,
												  "CacheClusterJournal"));
	ConditionVariableCancelSleep();
}

bool
cc_wait_given_up(void)
{
	return InterruptHoldoffCount > 0 && (QueryCancelPending || ProcDiePending);
}

void
cc_announce_journal(void)
{
	pg_atomic_fetch_add_u64(&shared->announced, 1);
	ConditionVariableBroadcast(&shared->journal);
}

uint64
cc_wake_acks_seen(void)
{
	return pg_atomic_read_u64(&shared->acked);
}

void
cc_wake_wait_acks(uint64 seen, long ms)
{
	static uint32 wait_event;

	ConditionVariablePrepareToSleep(&shared->acks);
	if (pg_atomic_read_u64(&shared->acked) == seen)
		ConditionVariableTimedSleep(&shared->acks, ms,
									cc_wait_event(wait_event,
												  "CacheClusterSync"));
	ConditionVariableCancelSleep();
}

void
cc_announce_acks(void)
{
	pg_atomic_fetch_add_u64(&shared->acked, 1);
	ConditionVariableBroadcast(&shared->acks);
}
