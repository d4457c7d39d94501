/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  Counters of what was asked of this node.  See stats.h.
 *
 * Locking: stats->lock for the base; slots have one writer each.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/stats.h"

#include "base/compat.h"

StaticAssertDecl(lengthof(((CcStatsSlotShared *) 0)->n) >= CC_NSLOT_STATS,
				 "a slot has room for its counters");

static CcStatsShared *shared;
static CcStatsSlotShared *mine;

Size
cc_stats_size(uint32 nslots)
{
	return offsetof(CcStatsShared, slot) +
		(Size) nslots * sizeof(CcStatsSlotShared);
}

void
cc_stats_init(void *mem, uint32 nslots)
{
	cc_stats_attach(mem);
	shared->started_at = cc_clock_ms();
	shared->reset_at = shared->started_at;
	memset(shared->base, 0, sizeof(shared->base));
	pg_atomic_init_u64(&shared->journal_bytes, 0);
	pg_atomic_init_u64(&shared->snapshot_at, 0);
	pg_atomic_init_u64(&shared->load_ms, 0);
	pg_atomic_init_u64(&shared->expiration_lag_ms, 0);
	shared->nslots = nslots;
	for (uint32 i = 0; i < nslots; i++)
		for (int j = 0; j < lengthof(shared->slot[i].n); j++)
			pg_atomic_init_u64(&shared->slot[i].n[j], 0);
}

void
cc_stats_attach(void *mem)
{
	shared = mem;
	mine = NULL;
}

/*
 * The slot is that of the PGPROC, so two processes of one slot never live at
 * the same time.  A process beyond the table (there is none) counts nothing.
 */
void
cc_stats_add(CcStat which, uint64 n)
{
	pg_atomic_uint64 *counter;

	Assert(which < CC_NSLOT_STATS);
	if (mine == NULL)
	{
		if (shared == NULL || MyProc == NULL ||
			cc_my_proc_number() >= shared->nslots)
			return;
		mine = &shared->slot[cc_my_proc_number()];
	}
	counter = &mine->n[which];
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

void
cc_stats_sum(uint64 sum[CC_NSTATS])
{
	memset(sum, 0, CC_NSTATS * sizeof(uint64));
	for (uint32 i = 0; i < shared->nslots; i++)
		for (int j = 0; j < CC_NSLOT_STATS; j++)
			sum[j] += pg_atomic_read_u64(&shared->slot[i].n[j]);
}

int64
cc_stats_since_reset(uint64 sum[CC_NSTATS])
{
	int64		at;

	cc_lock_shared(&shared->lock);
	at = shared->reset_at;
	for (int j = 0; j < CC_NSTATS; j++)
		sum[j] = sum[j] > shared->base[j] ? sum[j] - shared->base[j] : 0;
	cc_unlock(&shared->lock);
	return at;
}

void
cc_stats_reset(const uint64 sum[CC_NSTATS])
{
	cc_lock_exclusive(&shared->lock);
	memcpy(shared->base, sum, sizeof(shared->base));
	shared->reset_at = cc_clock_ms();
	cc_unlock(&shared->lock);
}

void
cc_stats_count(CcStat which, uint16 ns, uint64 n)
{
	cc_stats_add(which, n);
}
