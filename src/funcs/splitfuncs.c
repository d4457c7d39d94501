/*-------------------------------------------------------------------------
 *
 * splitfuncs.c
 *	  SQL function behind the view cache_splits.
 *
 * Copies one row at a time.  A split that ends or begins meanwhile may be left
 * out or come as it was.
 *
 * Locking: splits->lock inside cluster/splitlog.c, for one copy.
 *
 * May include: PostgreSQL's headers, base/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "cluster/splits.h"
#include "fmgr.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(cachecluster_splits);

/* Columns of cache_splits */
enum
{
	SPLIT_ID, SPLIT_PEER, SPLIT_ISLAND_A, SPLIT_ISLAND_B, SPLIT_BEGAN_AT,
	SPLIT_DETECTED_AT, SPLIT_HEALED_AT, SPLIT_CONFLICTS, SPLIT_KEPT_OURS,
	SPLIT_KEPT_THEIRS, SPLIT_MERGED, SPLIT_DELETED, SPLIT_DEFERRED, NSPLIT
};

/* The names of an island, in order; those that are no text here left out. */
static Datum
form_island(const char *island)
{
	Datum		names[CC_ISLAND_LEN];
	int			n = 0;

	while (*island != '\0')
	{
		Size		len = strcspn(island, "\n");
		char	   *name = cc_args_name(pnstrdup(island, len));

		if (name != NULL)
			names[n++] = CStringGetTextDatum(name);
		island += len + (island[len] == '\n');
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* A moment that is 0 when there is none */
static void
set_moment(Datum *values, bool *nulls, int col, int64 ms)
{
	nulls[col] = ms == 0;
	values[col] = TimestampTzGetDatum(cc_args_timestamp(ms));
}

static void
form_split(const CcSplit *s, Datum *values, bool *nulls)
{
	char	   *peer = cc_args_name(s->peer_name);
	char		id[CC_ID_TEXT_LEN];

	memset(nulls, 0, NSPLIT * sizeof(bool));
	if (peer == NULL)
		peer = cc_id_text(&s->peer, id);
	values[SPLIT_ID] = Int64GetDatum((int64) s->id);
	values[SPLIT_PEER] = CStringGetTextDatum(peer);

	/* nobody knows who was with whom before two groups met */
	nulls[SPLIT_ISLAND_A] = nulls[SPLIT_ISLAND_B] = s->meeting;
	if (!s->meeting)
	{
		values[SPLIT_ISLAND_A] = form_island(s->island[0]);
		values[SPLIT_ISLAND_B] = form_island(s->island[1]);
	}
	set_moment(values, nulls, SPLIT_BEGAN_AT, s->began_at);
	set_moment(values, nulls, SPLIT_DETECTED_AT, s->detected_at);
	set_moment(values, nulls, SPLIT_HEALED_AT, s->healed_at);
	values[SPLIT_CONFLICTS] = Int64GetDatum((int64) s->conflicts);
	values[SPLIT_KEPT_OURS] = Int64GetDatum((int64) s->kept_ours);
	values[SPLIT_KEPT_THEIRS] = Int64GetDatum((int64) s->kept_theirs);
	values[SPLIT_MERGED] = Int64GetDatum((int64) s->merged);
	values[SPLIT_DELETED] = Int64GetDatum((int64) s->deleted);
	values[SPLIT_DEFERRED] = Int64GetDatum((int64) s->deferred);
}

Datum
cachecluster_splits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcSplit		s;
	uint64		last = 0;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NSPLIT)
		elog(ERROR, "cache_splits has %d columns", NSPLIT);

	for (int i = 0; cc_splits_get(i, &s); i++)
	{
		Datum		values[NSPLIT];
		bool		nulls[NSPLIT];

		/* rows that went meanwhile have moved the others up */
		if (s.id == last)
			continue;
		last = s.id;
		form_split(&s, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
