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

/*
 * Times that a reader looks again at namespaces that were folded while it
 * looked, and at a place that changes hands.
 */
#define MAX_LOOKS		100
#define MAX_SPINS		1000

StaticAssertDecl(lengthof(((CcStatsSlotShared *) 0)->n) >= CC_NSLOT_STATS,
				 "a slot has room for its counters");
StaticAssertDecl(sizeof(CcStatsSlotShared) % PG_CACHE_LINE_SIZE == 0,
				 "slots share no cache line");

CcStatsMine cc_stats_mine = {NULL, NULL, CC_STATS_NO_NS};

static CcStatsShared *shared;

/* When this process last used each of its places; 0: never */
static uint64 used[CC_STATS_PLACES];
static uint64 uses;

#define slot_of(i) \
	((CcStatsSlotShared *) ((char *) shared + shared->slots) + (i))
#define folded_of(ns) \
	((pg_atomic_uint64 *) ((char *) shared + shared->folded) + \
	 (Size) (ns) * CC_NPLACE_STATS)
#define base_of(ns) \
	((CcNamespaceCounts *) ((char *) shared + shared->ns_base) + (ns))

Size
cc_stats_size(uint32 nslots, uint32 nnamespaces)
{
	return CACHELINEALIGN(sizeof(CcStatsShared)) +
		CACHELINEALIGN(nnamespaces * sizeof(CcNamespaceCounts)) +
		CACHELINEALIGN((Size) nnamespaces * CC_NPLACE_STATS *
					   sizeof(pg_atomic_uint64)) +
		(Size) nslots * sizeof(CcStatsSlotShared);
}

static void
init_slot(CcStatsSlotShared *slot)
{
	for (int i = 0; i < lengthof(slot->n); i++)
		pg_atomic_init_u64(&slot->n[i], 0);
	for (int i = 0; i < CC_STATS_PLACES; i++)
	{
		CcStatsPlaceShared *place = &slot->place[i];

		pg_atomic_init_u32(&place->seq, 0);
		pg_atomic_init_u32(&place->ns, CC_STATS_NO_NS);
		for (int j = 0; j < CC_NPLACE_STATS; j++)
			pg_atomic_init_u64(&place->n[j], 0);
	}
}

void
cc_stats_init(void *mem, uint32 nslots, uint32 nnamespaces)
{
	cc_stats_attach(mem);
	shared->started_at = cc_clock_ms();
	shared->reset_at = shared->started_at;
	memset(shared->base, 0, sizeof(shared->base));
	pg_atomic_init_u64(&shared->journal_bytes, 0);
	pg_atomic_init_u64(&shared->snapshot_at, 0);
	pg_atomic_init_u64(&shared->load_ms, 0);
	pg_atomic_init_u64(&shared->expiration_lag_ms, 0);
	pg_atomic_init_u64(&shared->swept_at, 0);
	shared->nslots = nslots;
	shared->nnamespaces = nnamespaces;
	shared->ns_base = CACHELINEALIGN(sizeof(CcStatsShared));
	shared->folded = shared->ns_base +
		CACHELINEALIGN(nnamespaces * sizeof(CcNamespaceCounts));
	shared->slots = shared->folded +
		CACHELINEALIGN((Size) nnamespaces * CC_NPLACE_STATS *
					   sizeof(pg_atomic_uint64));
	memset(base_of(0), 0, nnamespaces * sizeof(CcNamespaceCounts));
	for (uint32 ns = 0; ns < nnamespaces; ns++)
		for (int j = 0; j < CC_NPLACE_STATS; j++)
			pg_atomic_init_u64(&folded_of(ns)[j], 0);
	for (uint32 i = 0; i < nslots; i++)
		init_slot(slot_of(i));
}

void
cc_stats_attach(void *mem)
{
	shared = mem;
	cc_stats_mine.slot = NULL;
	cc_stats_mine.place = NULL;
	cc_stats_mine.ns = CC_STATS_NO_NS;
}

/*
 * The slot is that of the PGPROC, so two processes of one slot never live at
 * the same time; the later one goes on with what the places hold.  A process
 * beyond the table (there is none) counts nothing.
 */
static bool
find_slot(void)
{
	if (likely(cc_stats_mine.slot != NULL))
		return true;
	if (shared == NULL || MyProc == NULL ||
		cc_my_proc_number() >= shared->nslots)
		return false;
	cc_stats_mine.slot = slot_of(cc_my_proc_number());
	return true;
}

void
cc_stats_add(CcStat which, uint64 n)
{
	Assert(which < CC_NSLOT_STATS);
	if (find_slot())
		cc_stats_bump(&cc_stats_mine.slot->n[which], n);
}

/* Gives a place to another namespace; see CcStatsPlaceShared. */
static void
give_place(CcStatsPlaceShared *place, uint16 ns)
{
	uint32		old = pg_atomic_read_u32(&place->ns);
	uint32		seq = pg_atomic_read_u32(&place->seq);

	pg_atomic_write_u32(&place->seq, seq + 1);
	pg_memory_barrier();
	for (int j = 0; j < CC_NPLACE_STATS; j++)
	{
		uint64		n = pg_atomic_read_u64(&place->n[j]);

		if (n != 0 && old < shared->nnamespaces)
			pg_atomic_fetch_add_u64(&folded_of(old)[j], n);
		pg_atomic_write_u64(&place->n[j], 0);
	}
	pg_atomic_write_u32(&place->ns, ns);
	pg_memory_barrier();
	pg_atomic_write_u32(&place->seq, seq + 2);
}

/* The place of the namespace; at worst the one not used for longest. */
static int
find_place(CcStatsSlotShared *slot, uint16 ns)
{
	int			oldest = 0;

	for (int i = 0; i < CC_STATS_PLACES; i++)
	{
		if (pg_atomic_read_u32(&slot->place[i].ns) == ns)
			return i;
		if (used[i] < used[oldest])
			oldest = i;
	}
	give_place(&slot->place[oldest], ns);
	return oldest;
}

/* Not the namespace of last time; that one keeps its place among the newest. */
void
cc_stats_count_elsewhere(CcStat which, uint16 ns, uint64 n)
{
	int			i;

	if (!find_slot())
		return;
	if (ns >= shared->nnamespaces)
	{
		cc_stats_bump(&cc_stats_mine.slot->n[which], n);
		return;
	}
	i = find_place(cc_stats_mine.slot, ns);
	used[i] = ++uses;
	cc_stats_mine.place = &cc_stats_mine.slot->place[i];
	cc_stats_mine.ns = ns;
	cc_stats_bump(&cc_stats_mine.slot->n[which], n);
	cc_stats_bump(&cc_stats_mine.place->n[which], n);
}

void
cc_stats_sum(uint64 sum[CC_NSTATS])
{
	memset(sum, 0, CC_NSTATS * sizeof(uint64));
	for (uint32 i = 0; i < shared->nslots; i++)
		for (int j = 0; j < CC_NSLOT_STATS; j++)
			sum[j] += pg_atomic_read_u64(&slot_of(i)->n[j]);
}

/* What one look at a namespace has found */
typedef struct Look
{
	bool		settled;		/* every count was seen once */
	uint64		folded[CC_NPLACE_STATS];
	uint64		sum[CC_NPLACE_STATS];
} Look;

/*
 * Adds what a place holds, and waits a little while it changes hands: whoever
 * folds it has done so when this returns, which is then seen in the folded
 * words.  False when it takes too long.
 */
static bool
add_place(CcStatsPlaceShared *place, Look *look, uint32 n)
{
	for (int i = 0; i < MAX_SPINS; i++)
	{
		uint32		seq = pg_atomic_read_u32(&place->seq);
		uint64		count[CC_NPLACE_STATS];
		uint32		ns;

		pg_memory_barrier();
		ns = pg_atomic_read_u32(&place->ns);
		for (int j = 0; j < CC_NPLACE_STATS; j++)
			count[j] = pg_atomic_read_u64(&place->n[j]);
		pg_memory_barrier();
		if (seq % 2 != 0 || pg_atomic_read_u32(&place->seq) != seq)
			continue;
		for (int j = 0; j < CC_NPLACE_STATS && ns < n; j++)
			look[ns].sum[j] += count[j];
		return true;
	}
	return false;
}

/* Copies what a look has found, where it was not settled before. */
static bool
settle(Look *look, CcNamespaceCounts *sum, uint32 ns, bool all_places)
{
	if (look->settled)
		return true;
	look->settled = all_places;
	for (int j = 0; j < CC_NPLACE_STATS; j++)
	{
		if (pg_atomic_read_u64(&folded_of(ns)[j]) != look->folded[j])
			look->settled = false;
		sum->n[j] = look->sum[j];
	}
	return look->settled;
}

/* Looks once; true when all namespaces below n are settled. */
static bool
look_at_namespaces(Look *look, CcNamespaceCounts *sum, uint32 n)
{
	bool		all_places = true;
	bool		all_settled = true;

	for (uint32 ns = 0; ns < n; ns++)
	{
		for (int j = 0; j < CC_NPLACE_STATS; j++)
			look[ns].sum[j] = look[ns].folded[j] =
				pg_atomic_read_u64(&folded_of(ns)[j]);
	}
	pg_memory_barrier();
	for (uint32 i = 0; i < shared->nslots; i++)
		for (int j = 0; j < CC_STATS_PLACES; j++)
			all_places &= add_place(&slot_of(i)->place[j], look, n);
	pg_memory_barrier();
	for (uint32 ns = 0; ns < n; ns++)
		all_settled &= settle(&look[ns], &sum[ns], ns, all_places);
	return all_settled;
}

void
cc_stats_sum_namespaces(CcNamespaceCounts *sum, uint32 n)
{
	Look	   *look = cc_alloc(n * sizeof(Look));

	Assert(n <= shared->nnamespaces);
	memset(sum, 0, n * sizeof(*sum));
	memset(look, 0, n * sizeof(Look));
	for (int i = 0; i < MAX_LOOKS; i++)
	{
		if (look_at_namespaces(look, sum, n))
			break;
	}
	cc_free(look);
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
cc_stats_namespaces_since_reset(CcNamespaceCounts *sum, uint32 n)
{
	cc_lock_shared(&shared->lock);
	for (uint32 ns = 0; ns < n; ns++)
	{
		const uint64 *base = base_of(ns)->n;

		for (int j = 0; j < CC_NNS_STATS; j++)
			sum[ns].n[j] = sum[ns].n[j] > base[j] ? sum[ns].n[j] - base[j] : 0;
	}
	cc_unlock(&shared->lock);
}

void
cc_stats_reset(const uint64 sum[CC_NSTATS], const CcNamespaceCounts *ns_sum,
			   uint32 n)
{
	cc_lock_exclusive(&shared->lock);
	memcpy(shared->base, sum, sizeof(shared->base));
	memcpy(base_of(0), ns_sum, n * sizeof(*ns_sum));
	shared->reset_at = cc_clock_ms();
	cc_unlock(&shared->lock);
}
