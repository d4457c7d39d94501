/*-------------------------------------------------------------------------
 *
 * keylock.c
 *	  Locks of missing keys.  See keylock.h.
 *
 * The table has buckets of a few locks each, by the key's hash.  A lock names
 * the process, its transaction and subtransaction that took it, so that an
 * abort finds its own without a list of them.  Subtransactions are numbered in
 * the order in which they begin: those inside one that is rolled back have
 * higher numbers than it, and no others that took a lock have.
 *
 * Locking: shared->lock for all fields of a lock.  The numbers of locks are
 * also read without it: who has changed a key and then reads zero was before
 * whoever takes its lock now, and that one looks for the key after taking it;
 * between the write of the one word and the read of the other both have passed
 * the release of a lock, which is a barrier.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/keylock.h"

#include "access/xact.h"
#include "base/compat.h"
#include "cache/store.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"

#define NBUCKETS		128
#define BUCKET_LOCKS	8

/* Nobody is told of what comes from a peer, so who waits looks so often (ms) */
#define LOOK_AGAIN		100

/* No lock is longer; far below where times would overflow (ms) */
#define LONGEST			(INT64CONST(1) << 50)

typedef struct CcKeyLockShared
{
	uint64		hash[2];
	int64		ends;			/* monotonic ms; 0: free */
	uint32		proc;			/* number of the PGPROC that took it */
	uint32		transaction;	/* my_transaction there */
	SubTransactionId subid;
} CcKeyLockShared;

typedef struct CcKeyLockBucketShared
{
	pg_atomic_uint32 nlocks;	/* those not free; changed under the lock */
	ConditionVariable ended;	/* some lock of it has */
	CcKeyLockShared lock[BUCKET_LOCKS];
} CcKeyLockBucketShared;

typedef struct CcKeyLocksShared
{
	CcLock		lock;
	pg_atomic_uint32 nlocks;	/* of all buckets; changed under the lock */
	CcKeyLockBucketShared bucket[NBUCKETS];
} CcKeyLocksShared;

static CcKeyLocksShared *shared;

/* Counts the transactions of this process that took a lock. */
static uint32 my_transaction;
static bool taken;				/* the running one did */
static bool exit_registered;

Size
cc_keylock_size(void)
{
	return sizeof(CcKeyLocksShared);
}

void
cc_keylock_init(void *mem)
{
	cc_keylock_attach(mem);
	memset(shared, 0, sizeof(*shared));
	pg_atomic_init_u32(&shared->nlocks, 0);
	for (int i = 0; i < NBUCKETS; i++)
	{
		pg_atomic_init_u32(&shared->bucket[i].nlocks, 0);
		ConditionVariableInit(&shared->bucket[i].ended);
	}
}

void
cc_keylock_attach(void *mem)
{
	shared = mem;
}

CcLock *
cc_keylock_lock(void)
{
	return &shared->lock;
}

/* The hash's first word places the key in the store. */
static CcKeyLockBucketShared *
bucket_of(const uint64 hash[2])
{
	return &shared->bucket[hash[1] % NBUCKETS];
}

static void
count(CcKeyLockBucketShared *b, int32 by)
{
	pg_atomic_fetch_add_u32(&b->nlocks, by);
	pg_atomic_fetch_add_u32(&shared->nlocks, by);
}

static void
set_free(CcKeyLockBucketShared *b, CcKeyLockShared *l)
{
	l->ends = 0;
	count(b, -1);
}

/*
 * The lock of a key, NULL when there is none; those of the bucket whose time
 * is over are freed.  With the lock held.
 */
static CcKeyLockShared *
find(CcKeyLockBucketShared *b, const uint64 hash[2], int64 now)
{
	CcKeyLockShared *found = NULL;

	for (int i = 0; i < BUCKET_LOCKS; i++)
	{
		CcKeyLockShared *l = &b->lock[i];

		if (l->ends == 0)
			continue;
		if (l->ends <= now)
			set_free(b, l);
		else if (l->hash[0] == hash[0] && l->hash[1] == hash[1])
			found = l;
	}
	return found;
}

static bool
is_mine(const CcKeyLockShared *l)
{
	return taken && l->proc == cc_my_proc_number() &&
		l->transaction == my_transaction;
}

/*
 * Ends the locks of this process that its running transaction took in
 * subtransactions from this one on, or all.
 */
static void
end_mine(SubTransactionId from, bool all)
{
	for (int i = 0; i < NBUCKETS; i++)
	{
		CcKeyLockBucketShared *b = &shared->bucket[i];
		bool		ended = false;

		if (pg_atomic_read_u32(&b->nlocks) == 0)
			continue;
		cc_lock_exclusive(&shared->lock);
		for (int j = 0; j < BUCKET_LOCKS; j++)
		{
			CcKeyLockShared *l = &b->lock[j];

			if (l->ends != 0 && l->proc == cc_my_proc_number() &&
				(all || (is_mine(l) && l->subid >= from)))
			{
				set_free(b, l);
				ended = true;
			}
		}
		cc_unlock(&shared->lock);
		if (ended)
			ConditionVariableBroadcast(&b->ended);
	}
}

static void
end_at_exit(int code, Datum arg)
{
	end_mine(InvalidSubTransactionId, true);
}

bool
cc_keylock_take(const uint64 hash[2], int64 ttl_ms)
{
	CcKeyLockBucketShared *b = bucket_of(hash);
	int64		now = cc_monotonic_ms();
	int64		ends = now + Min(ttl_ms, LONGEST);
	SubTransactionId subid = GetCurrentSubTransactionId();
	CcKeyLockShared *l;
	bool		mine = true;

	if (!exit_registered)
	{
		before_shmem_exit(end_at_exit, (Datum) 0);
		exit_registered = true;
	}
	cc_lock_exclusive(&shared->lock);
	l = find(b, hash, now);
	if (l != NULL)
	{
		mine = is_mine(l);
		if (mine)
			l->ends = Max(l->ends, ends);
	}
	for (int i = 0; l == NULL && i < BUCKET_LOCKS; i++)
	{
		if (b->lock[i].ends != 0)
			continue;
		l = &b->lock[i];
		l->hash[0] = hash[0];
		l->hash[1] = hash[1];
		l->ends = ends;
		l->proc = cc_my_proc_number();
		l->transaction = my_transaction;
		l->subid = subid;
		count(b, 1);
		taken = true;
	}
	cc_unlock(&shared->lock);
	return mine;
}

/* Ends the lock of a key: whoever has it, or only where we do. */
static void
end(const uint64 hash[2], bool only_mine)
{
	CcKeyLockBucketShared *b = bucket_of(hash);
	CcKeyLockShared *l;

	if (pg_atomic_read_u32(&b->nlocks) == 0)
		return;
	cc_lock_exclusive(&shared->lock);
	l = find(b, hash, cc_monotonic_ms());
	if (l != NULL && only_mine && !is_mine(l))
		l = NULL;
	if (l != NULL)
		set_free(b, l);
	cc_unlock(&shared->lock);
	if (l != NULL)
		ConditionVariableBroadcast(&b->ended);
}

void
cc_keylock_give_up(const uint64 hash[2])
{
	end(hash, true);
}

void
cc_keylock_end(const uint64 hash[2])
{
	if (likely(pg_atomic_read_u32(&shared->nlocks) == 0))
		return;
	end(hash, false);
}

void
cc_keylock_end_key(uint16 ns, const char *key, uint16 keylen)
{
	uint64		hash[2];

	if (likely(pg_atomic_read_u32(&shared->nlocks) == 0))
		return;
	cc_store_hash(ns, key, keylen, hash);
	end(hash, false);
}

/* How long the lock of a key has still to live, in ms; 0: there is none. */
static int64
time_left(const uint64 hash[2])
{
	CcKeyLockBucketShared *b = bucket_of(hash);
	int64		now = cc_monotonic_ms();
	CcKeyLockShared *l;
	int64		left;

	cc_lock_exclusive(&shared->lock);
	l = find(b, hash, now);
	left = l == NULL ? 0 : l->ends - now;
	cc_unlock(&shared->lock);
	return left;
}

void
cc_keylock_wait(const uint64 hash[2], int64 ms)
{
	static uint32 wait_event;
	CcKeyLockBucketShared *b = bucket_of(hash);

	/* an end after this wakes us, one before it is seen by time_left */
	ConditionVariablePrepareToSleep(&b->ended);
	ms = Min(ms, time_left(hash));
	if (ms > 0)
		(void) ConditionVariableTimedSleep(&b->ended, Min(ms, LOOK_AGAIN),
										   cc_wait_event(wait_event,
														 "CacheClusterKeyLock"));
	ConditionVariableCancelSleep();
}

static void
at_transaction(XactEvent event, void *arg)
{
	if (!taken)
		return;
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			end_mine(InvalidSubTransactionId, false);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			/* the put may come in a later transaction, whoever's */
			break;
		default:
			return;
	}
	taken = false;
	my_transaction++;
}

static void
at_subtransaction(SubXactEvent event, SubTransactionId mySubid,
				  SubTransactionId parentSubid, void *arg)
{
	if (taken && event == SUBXACT_EVENT_ABORT_SUB)
		end_mine(mySubid, false);
}

void
cc_keylock_install(void)
{
	RegisterXactCallback(at_transaction, NULL);
	RegisterSubXactCallback(at_subtransaction, NULL);
}
