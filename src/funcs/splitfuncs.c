/*-------------------------------------------------------------------------
 *
 * splitfuncs.c
 *	  SQL function behind the view cache_splits.
 *
 * Copies one row at a time.  A split that ends or begins meanwhile may be left
 * out or come as it was.  Conflicts that wait are counted when they are asked
 * for: each belongs to the last split from whoever wrote what is not served.
 *
 * Locking: splits->lock inside cluster/splitlog.c, for one copy; partitions'
 * locks inside cache/conflict.c, for one key.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
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

/* Keys of a step of the walk over those that wait */
#define KEYS		64

/* Conflicts that wait, by who wrote what is not served */
typedef struct Waiting
{
	int			n;
	struct
	{
		CcNodeId	node;
		uint64		count;
	}			of[CC_MAX_MEMBERS];
} Waiting;

static void
count_waiting(Waiting *w, const CcEntry *original)
{
	const CcNodeId *node = &cc_origin(original->writer)->node;
	int			i = 0;

	while (i < w->n && cc_id_cmp(&w->of[i].node, node) != 0)
		i++;
	if (i == CC_MAX_MEMBERS)
		return;
	if (i == w->n)
	{
		w->of[w->n].node = *node;
		w->of[w->n++].count = 0;
		cc_splits_show(node);
	}
	w->of[i].count++;
}

static void
count_all_waiting(Waiting *w)
{
	CcConflictWalk walk = {0};
	CcConflictKey *key = palloc(KEYS * sizeof(CcConflictKey));
	CcKeyState *ks = palloc(sizeof(CcKeyState));
	CcBuf		buf;
	int			n;

	w->n = 0;
	cc_buf_init(&buf);
	PG_TRY();
	{
		while ((n = cc_conflict_next(&walk, CC_NO_NS, key, KEYS)) > 0)
		{
			CHECK_FOR_INTERRUPTS();
			for (int i = 0; i < n; i++)
			{
				if (!cc_conflict_read(key[i].ns, key[i].key, key[i].keylen,
									  ks, &buf) || !cc_siblings_pending(ks))
					continue;
				for (int k = 0; k < ks->n; k++)
				{
					if (k != ks->served)
						count_waiting(w, &ks->original[k]);
				}
			}
		}
	}
	PG_FINALLY();
	{
		/* it lives as long as the process */
		cc_buf_free(&buf);
	}
	PG_END_TRY();
}

/* Those of a node, once: for its last row. */
static uint64
take_waiting(Waiting *w, const CcNodeId *node)
{
	uint64		count;

	for (int i = 0; i < w->n; i++)
	{
		if (cc_id_cmp(&w->of[i].node, node) != 0)
			continue;
		count = w->of[i].count;
		w->of[i].count = 0;
		return count;
	}
	return 0;
}

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

/* All rows that there are; returns their number. */
static int
collect_splits(CcSplit *rows)
{
	int			n = 0;

	for (int i = 0; n < CC_MAX_SPLITS && cc_splits_get(i, &rows[n]); i++)
	{
		/* rows that went meanwhile have moved the others up */
		if (n == 0 || rows[n].id != rows[n - 1].id)
			n++;
	}
	return n;
}

Datum
cachecluster_splits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcSplit    *rows;
	Waiting		waiting;
	int			n;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NSPLIT)
		elog(ERROR, "cache_splits has %d columns", NSPLIT);

	rows = palloc(CC_MAX_SPLITS * sizeof(CcSplit));
	count_all_waiting(&waiting);
	n = collect_splits(rows);
	for (int i = n - 1; i >= 0; i--)
		rows[i].conflicts += take_waiting(&waiting, &rows[i].peer);
	for (int i = 0; i < n; i++)
	{
		Datum		values[NSPLIT];
		bool		nulls[NSPLIT];

		form_split(&rows[i], values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
