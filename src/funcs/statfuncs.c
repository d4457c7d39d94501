/*-------------------------------------------------------------------------
 *
 * statfuncs.c
 *	  SQL functions behind the views pg_stat_cachecluster,
 *	  pg_stat_cachecluster_namespaces and pg_stat_cachecluster_peers, and the
 *	  reset of the counters.
 *
 * Locking: each partition's lock in turn, shared; members->lock for a copy of
 * the table; stats->lock inside base/stats.c.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "base/stats.h"
#include "cache/cache.h"
#include "cache/conflict.h"
#include "cache/expire.h"
#include "cluster/membership.h"
#include "funcs/args.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/*
 * The sweep is late when it has not run for so long, in ms; then a look of so
 * many ms tells what it has left.
 */
#define SWEEP_LATE		1000
#define LOOK_BUDGET		20

PG_FUNCTION_INFO_V1(cachecluster_stat);
PG_FUNCTION_INFO_V1(cachecluster_stat_namespaces);
PG_FUNCTION_INFO_V1(cachecluster_stat_peers);
PG_FUNCTION_INFO_V1(cachecluster_stat_reset);

/* What the partitions hold and count, summed */
typedef struct StoreSums
{
	uint64		entries;
	uint64		stubs;
	uint64		chunks_used;
	uint64		chunks;
	uint64		evictions;
	uint64		expirations;
} StoreSums;

static StoreSums
sum_store(void)
{
	StoreSums	sums = {0};

	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);

		cc_store_lock(p, false);
		sums.entries += p->values;
		sums.stubs += p->list[CC_LIST_STUBS].count;
		sums.chunks_used += p->nchunks - p->nfree;
		sums.chunks += p->nchunks;
		sums.evictions += p->evictions;
		sums.expirations += p->expirations;
		cc_store_unlock(p);
	}
	return sums;
}

/* All counters as they are, without what the last reset took away */
static void
sum_all(const StoreSums *store, uint64 sum[CC_NSTATS])
{
	cc_stats_sum(sum);
	sum[CC_STAT_EVICTIONS] = store->evictions;
	sum[CC_STAT_EXPIRATIONS] = store->expirations;
}

/*
 * The same by namespace, into memory of the caller's context; returns how many
 * namespaces there are.
 */
static uint32
sum_namespaces(CcNamespaceCounts **sum)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	*sum = palloc(n * sizeof(CcNamespaceCounts));
	cc_stats_sum_namespaces(*sum, n);
	for (uint32 ns = 0; ns < n; ns++)
	{
		uint64	   *counts = (*sum)[ns].n;

		counts[CC_NS_STAT_EVICTIONS] =
			pg_atomic_read_u64(&cc_namespace(ns)->evictions);
		counts[CC_NS_STAT_EXPIRATIONS] =
			pg_atomic_read_u64(&cc_namespace(ns)->expirations);
		counts[CC_NS_STAT_DECIDED] =
			pg_atomic_read_u64(&cc.conflicts->decided[ns]);
	}
	return n;
}

/* Columns of pg_stat_cachecluster */
enum
{
	STAT_ENTRIES, STAT_TOMBSTONES, STAT_CONFLICTS, STAT_BYTES_USED,
	STAT_BYTES_TOTAL, STAT_HITS, STAT_MISSES, STAT_PUTS, STAT_DELETES,
	STAT_EVICTIONS, STAT_EXPIRATIONS, STAT_EXPIRATION_LAG, STAT_REJECTED,
	STAT_JOURNAL_BYTES, STAT_SNAPSHOT_AT, STAT_STARTED_AT, STAT_LOAD_MS,
	STAT_STATS_RESET, NSTATS
};

/* A moment that is 0 when it has not come yet */
static void
set_moment(Datum *values, bool *nulls, int col, int64 ms)
{
	nulls[col] = ms == 0;
	values[col] = TimestampTzGetDatum(cc_args_timestamp(ms));
}

static void
set_text(Datum *values, bool *nulls, int col, const char *text)
{
	char	   *valid = cc_args_name(text);

	nulls[col] = valid == NULL;
	if (!nulls[col])
		values[col] = CStringGetTextDatum(valid);
}

static int64
gauge(pg_atomic_uint64 *word)
{
	return (int64) pg_atomic_read_u64(word);
}

/*
 * How long the most overdue entry in memory has been over.  While the sweep
 * runs it is as long as the sweep has found things to be over lately
 * (cc_expire_lag).  When it does not, since its process hangs or waits for a
 * disk, we look ourselves.  Where there is more than can be looked at, it is
 * also at least as long as the sweep has not run: what came to its end then
 * is still there.
 */
static int64
expiration_lag(void)
{
	int64		swept_at = gauge(&cc.stats->swept_at);
	int64		late = cc_monotonic_ms() - swept_at;
	int64		over;

	if (swept_at == 0 || late < SWEEP_LATE)
		return gauge(&cc.stats->expiration_lag_ms);
	if (cc_expire_look(LOOK_BUDGET, &over))
		return over;
	return Max(over, late);
}

Datum
cachecluster_stat(PG_FUNCTION_ARGS)
{
	Datum		values[NSTATS];
	bool		nulls[NSTATS] = {false};
	TupleDesc	desc;
	StoreSums	store;
	uint64		sum[CC_NSTATS];
	int64		reset_at;

	cc_args_require_loaded();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != NSTATS)
		elog(ERROR, "pg_stat_cachecluster has %d columns", NSTATS);
	store = sum_store();
	sum_all(&store, sum);
	reset_at = cc_stats_since_reset(sum);

	values[STAT_ENTRIES] = Int64GetDatum(store.entries);
	values[STAT_TOMBSTONES] = Int64GetDatum(store.stubs);
	values[STAT_CONFLICTS] =
		Int64GetDatum((int64) cc_conflict_count(CC_NO_NS));
	values[STAT_BYTES_USED] = Int64GetDatum(store.chunks_used * CC_CHUNK_SIZE);
	values[STAT_BYTES_TOTAL] = Int64GetDatum(store.chunks * CC_CHUNK_SIZE);
	values[STAT_HITS] = Int64GetDatum(sum[CC_STAT_HITS]);
	values[STAT_MISSES] = Int64GetDatum(sum[CC_STAT_MISSES]);
	values[STAT_PUTS] = Int64GetDatum(sum[CC_STAT_PUTS]);
	values[STAT_DELETES] = Int64GetDatum(sum[CC_STAT_DELETES]);
	values[STAT_EVICTIONS] = Int64GetDatum(sum[CC_STAT_EVICTIONS]);
	values[STAT_EXPIRATIONS] = Int64GetDatum(sum[CC_STAT_EXPIRATIONS]);
	values[STAT_EXPIRATION_LAG] =
		cc_args_interval(expiration_lag());
	values[STAT_REJECTED] = Int64GetDatum(sum[CC_STAT_REJECTED]);
	values[STAT_JOURNAL_BYTES] =
		Int64GetDatum(gauge(&cc.stats->journal_bytes));
	set_moment(values, nulls, STAT_SNAPSHOT_AT,
			   gauge(&cc.stats->snapshot_at));
	set_moment(values, nulls, STAT_STARTED_AT, cc.stats->started_at);
	values[STAT_LOAD_MS] = Int64GetDatum(gauge(&cc.stats->load_ms));
	set_moment(values, nulls, STAT_STATS_RESET, reset_at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

Datum
cachecluster_stat_reset(PG_FUNCTION_ARGS)
{
	StoreSums	store;
	uint64		sum[CC_NSTATS];
	CcNamespaceCounts *ns_sum;
	uint32		n;

	cc_args_require_loaded();
	n = sum_namespaces(&ns_sum);
	store = sum_store();
	sum_all(&store, sum);
	cc_stats_reset(sum, ns_sum, n);
	PG_RETURN_VOID();
}

/* Columns of pg_stat_cachecluster_namespaces */
enum
{
	NS_DATABASE, NS_NAMESPACE, NS_ENTRIES, NS_BYTES, NS_HITS, NS_MISSES,
	NS_PUTS, NS_DELETES, NS_EVICTIONS, NS_EXPIRATIONS, NS_CONFLICTS, NNS
};

/* Rises and falls by atomic additions that are not made all at once */
static int64
gauge_above_zero(pg_atomic_uint64 *word)
{
	return Max(gauge(word), 0);
}

static void
form_namespace(uint32 ns, const CcNamespaceCounts *counts, Datum *values,
			   bool *nulls)
{
	CcNamespaceShared *n = cc_namespace(ns);

	memset(nulls, 0, NNS * sizeof(bool));
	set_text(values, nulls, NS_DATABASE, n->database);
	set_text(values, nulls, NS_NAMESPACE, n->name);
	values[NS_ENTRIES] = Int64GetDatum(gauge_above_zero(&n->entries));
	values[NS_BYTES] =
		Int64GetDatum(gauge_above_zero(&n->chunks) * CC_CHUNK_SIZE);
	values[NS_HITS] = Int64GetDatum(counts->n[CC_STAT_HITS]);
	values[NS_MISSES] = Int64GetDatum(counts->n[CC_STAT_MISSES]);
	values[NS_PUTS] = Int64GetDatum(counts->n[CC_STAT_PUTS]);
	values[NS_DELETES] = Int64GetDatum(counts->n[CC_STAT_DELETES]);
	values[NS_EVICTIONS] = Int64GetDatum(counts->n[CC_NS_STAT_EVICTIONS]);
	values[NS_EXPIRATIONS] = Int64GetDatum(counts->n[CC_NS_STAT_EXPIRATIONS]);
	values[NS_CONFLICTS] =
		Int64GetDatum((int64) (counts->n[CC_NS_STAT_DECIDED] +
							   cc_conflict_count((uint16) ns)));
}

/*
 * Every database has a "default", of which nothing need be said.  It counts as
 * declared where the database uses it, until that is dropped.
 */
static bool
is_shown(uint16 ns)
{
	CcDeclaration d;
	bool		was;

	if (gauge_above_zero(&cc_namespace(ns)->entries) > 0)
		return true;
	if (!cc_namespace_has(ns, CC_NS_DECLARED))
		return false;
	return strcmp(cc_namespace(ns)->name, CC_DEFAULT_NS) != 0 ||
		cc_namespace_used(cc_namespace(ns)->database, &was) ||
		(cc_namespace_read(ns, &d) && d.version != 0);
}

/* One row for each that is declared or holds something, in all databases. */
Datum
cachecluster_stat_namespaces(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcNamespaceCounts *sum;
	uint32		n;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NNS)
		elog(ERROR, "pg_stat_cachecluster_namespaces has %d columns", NNS);

	n = sum_namespaces(&sum);
	cc_stats_namespaces_since_reset(sum, n);
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		Datum		values[NNS];
		bool		nulls[NNS];

		CHECK_FOR_INTERRUPTS();
		if (!is_shown((uint16) ns))
			continue;
		form_namespace(ns, &sum[ns], values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/* Columns of pg_stat_cachecluster_peers */
enum
{
	PEER_NODE_ID, PEER_NODE_NAME, PEER_ADDRESS, PEER_STATE, PEER_JOINED_AT,
	PEER_LAST_HEARD, PEER_DOWN_SINCE, PEER_RTT_MS, PEER_CLOCK_SKEW_MS,
	PEER_SENT_SEQ, PEER_ACKED_SEQ, PEER_LAG_ENTRIES, PEER_LAG,
	PEER_ENTRIES_SENT, PEER_ENTRIES_RECEIVED, PEER_BYTES_SENT,
	PEER_BYTES_RECEIVED, PEER_RECONNECTS, PEER_LAST_ERROR, NPEER
};

static const char *const link_names[] = {
	[CC_PEER_CONNECTING] = "connecting", [CC_PEER_SYNCING] = "syncing",
	[CC_PEER_STREAMING] = "streaming", [CC_PEER_DOWN] = "down"
};

/*
 * How far the peer is behind our own writes: the positions, up to the highest
 * own one, that it has not said to have seen (some of them may be gaps), and
 * for how long there have been some.
 */
static void
set_lag(Datum *values, bool *nulls, const CcMemberShared *m)
{
	int64		own = (int64) cc_state_vv(cc_state_self());
	int64		first = (int64) cc.state->first_seq;
	int64		lag = Max(own - Max((int64) m->acked_seq, first - 1), 0);
	int64		ms = 0;

	if (lag > 0 && m->acked_at != 0)
		ms = Max(cc_clock_ms() - m->acked_at, 0);
	values[PEER_LAG_ENTRIES] = Int64GetDatum(lag);
	values[PEER_LAG] = cc_args_interval(ms);
	nulls[PEER_LAG] = lag > 0 && m->acked_at == 0;
}

static void
form_peer(const CcMemberShared *m, Datum *values, bool *nulls)
{
	char		hex[CC_ID_TEXT_LEN];
	bool		heard = m->last_heard_wall != 0;

	memset(nulls, 0, NPEER * sizeof(bool));
	set_text(values, nulls, PEER_NODE_ID, cc_id_text(&m->id, hex));
	set_text(values, nulls, PEER_NODE_NAME, m->name);
	set_text(values, nulls, PEER_ADDRESS, m->address);
	set_text(values, nulls, PEER_STATE, link_names[m->state]);
	set_moment(values, nulls, PEER_JOINED_AT, cc_hlc_to_ms(m->joined));
	set_moment(values, nulls, PEER_LAST_HEARD, m->last_heard_wall);
	set_moment(values, nulls, PEER_DOWN_SINCE, m->down_since);
	values[PEER_RTT_MS] = Float8GetDatum(rint(m->rtt_ms * 1000) / 1000);
	nulls[PEER_RTT_MS] = !heard;
	values[PEER_CLOCK_SKEW_MS] = Int64GetDatum(m->clock_skew_ms);
	nulls[PEER_CLOCK_SKEW_MS] = !heard;
	values[PEER_SENT_SEQ] = Int64GetDatum((int64) m->sent_seq);
	values[PEER_ACKED_SEQ] = Int64GetDatum((int64) m->acked_seq);
	set_lag(values, nulls, m);
	values[PEER_ENTRIES_SENT] = Int64GetDatum((int64) m->entries_sent);
	values[PEER_BYTES_SENT] = Int64GetDatum((int64) m->bytes_sent);
	values[PEER_RECONNECTS] = Int64GetDatum((int64) m->reconnects);
	set_text(values, nulls, PEER_LAST_ERROR, m->last_error);
}

Datum
cachecluster_stat_peers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcMemberShared *copy;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NPEER)
		elog(ERROR, "pg_stat_cachecluster_peers has %d columns", NPEER);

	copy = palloc(sizeof(cc.members->member));
	cc_lock_shared(&cc.members->lock);
	memcpy(copy, cc.members->member, sizeof(cc.members->member));
	cc_unlock(&cc.members->lock);

	for (int i = 0; i < CC_MAX_MEMBERS; i++)
	{
		CcMemberShared *m = &cc.members->member[i];
		Datum		values[NPEER];
		bool		nulls[NPEER];

		if (!copy[i].used || copy[i].removed || copy[i].self)
			continue;
		form_peer(&copy[i], values, nulls);
		values[PEER_ENTRIES_RECEIVED] =
			Int64GetDatum(gauge(&m->entries_received));
		values[PEER_BYTES_RECEIVED] =
			Int64GetDatum(gauge(&m->bytes_received));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
