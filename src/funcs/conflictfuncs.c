/*-------------------------------------------------------------------------
 *
 * conflictfuncs.c
 *	  The SQL function behind the view cache_conflicts.
 *
 * Shows the namespaces of this database that the caller may read: from the
 * store what is pending, a row for each value beside the one that this node
 * serves, and from the log what was decided.
 *
 * Keys that are not text in the encoding of the database (a peer's database
 * may have another) are left out; a value that is not is NULL.
 *
 * Locking: none here; a partition's, members->lock and conflicts->lock are
 * taken and given back in between.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/conflict.h"
#include "cluster/heal.h"
#include "cluster/membership.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/entryrow.h"
#include "funcs/privileges.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(cachecluster_conflicts);

/* Columns of cache_conflicts */
enum
{
	COL_AT, COL_NAMESPACE, COL_KEY, COL_OURS_VALUE, COL_OURS_VERSION,
	COL_OURS_NODE, COL_THEIRS_VALUE, COL_THEIRS_VERSION, COL_THEIRS_NODE,
	COL_DECISION, COL_DECIDED_BY, COL_DECIDED_AT, COL_ERROR, NCOLS
};

static const char *const fates[] = {
	[CC_FATE_OURS] = "ours", [CC_FATE_THEIRS] = "theirs",
	[CC_FATE_MERGED] = "merged", [CC_FATE_DELETED] = "deleted"
};

/* By what, as decided_by begins */
static const char *const hows[CC_LAST_HOW + 1] = {
	[CC_HOW_LATEST] = "latest", [CC_HOW_OLDEST_ISLAND] = "oldest_island",
	[CC_HOW_LARGEST_ISLAND] = "largest_island",
	[CC_HOW_LONGEST_TTL] = "longest_ttl", [CC_HOW_MERGE] = "merge",
	[CC_HOW_MANUAL] = "manual", [CC_HOW_RESOLVE] = "cache_resolve",
	[CC_HOW_HEAL] = "cache_heal", [CC_HOW_WRITE] = "write"
};

/* The rows under way; their data live in a context that each row empties. */
typedef struct Rows
{
	ReturnSetInfo *rsinfo;
	MemoryContext row_context;
	uint16		mine;			/* a namespace of this database */
	CcKeyState	ks;
	CcBuf		buf;
	CcConflictRow logged;
} Rows;

static void
set_text(Datum *values, bool *nulls, int col, const char *text)
{
	nulls[col] = text == NULL;
	if (text != NULL)
		values[col] = CStringGetTextDatum(text);
}

static char *
node_name(const CcNodeId *id)
{
	char		name[CC_NAME_LEN];
	char		hex[CC_ID_TEXT_LEN];
	char	   *text = NULL;

	if (cc_membership_name(id, name))
		text = cc_args_name(name);
	return text != NULL ? text : pstrdup(cc_id_text(id, hex));
}

/* A value that was cut ends with a whole character. */
static uint32
whole_characters(const CcEntry *e)
{
	uint32		len = e->vallen;

	if (e->type == CC_BYTEA || e->type == CC_COUNTER ||
		cc_args_is_text(e->value, len))
		return len;
	for (int i = 0; i < MAX_MULTIBYTE_CHAR_LEN && len > 0; i++)
	{
		if (cc_args_is_text(e->value, --len))
			return len;
	}
	return e->vallen;
}

/* Value, version and node of one side, in three columns. */
static void
set_side(Datum *values, bool *nulls, int col, const CcEntry *e, bool there,
		 bool cut, const CcNodeId *writer)
{
	CcEntry		shown = *e;

	nulls[col] = !there || (e->flags & CC_F_NULL) != 0;
	if (!nulls[col])
	{
		if (cut)
			shown.vallen = whole_characters(e);
		nulls[col] = !cc_entryrow_value(&shown, &values[col]);
	}
	nulls[col + 1] = nulls[col + 2] = false;
	values[col + 1] = Int64GetDatum((int64) e->hlc);
	values[col + 2] = CStringGetTextDatum(node_name(writer));
}

/* Whether the user may see what is in it. */
static bool
is_shown(const Rows *r, uint16 ns)
{
	return strcmp(cc_namespace(ns)->database,
				  cc_namespace(r->mine)->database) == 0 &&
		cc_namespace_has(ns, CC_NS_DECLARED) &&
		cc_privileges_has(ns, CC_PRIV_READ);
}

static void
set_head(Datum *values, bool *nulls, int64 at, uint16 ns, const char *key,
		 uint16 keylen)
{
	memset(nulls, 0, NCOLS * sizeof(bool));
	values[COL_AT] = TimestampTzGetDatum(cc_args_timestamp(at));
	values[COL_NAMESPACE] = CStringGetTextDatum(cc_namespace(ns)->name);
	values[COL_KEY] = PointerGetDatum(cstring_to_text_with_len(key, keylen));
}

static void
put_row(Rows *r, Datum *values, bool *nulls)
{
	tuplestore_putvalues(r->rsinfo->setResult, r->rsinfo->setDesc, values,
						 nulls);
	MemoryContextReset(r->row_context);
}

/*
 * What is pending
 */

static void
set_original(Datum *values, bool *nulls, int col, const CcEntry *original,
			 int64 now)
{
	CcEntry		view;
	bool		there = cc_conflict_view(original, now, &view);

	set_side(values, nulls, col, &view, there, false,
			 &cc_origin(original->writer)->node);
}

/* Why it waits, as far as this node has tried to decide it. */
static void
set_error(Datum *values, bool *nulls, uint16 ns, const CcKeyState *ks)
{
	bool		stopped = ks->errlen == 0 &&
		pg_atomic_read_u32(&cc_namespace(ns)->on_split) == CC_SPLIT_MERGE &&
		cc_heal_has_stopped(ns);

	set_text(values, nulls, COL_ERROR,
			 stopped ? "stopped by the merge function" : NULL);
	if (ks->errlen == 0 || !cc_args_is_text(ks->error, ks->errlen))
		return;
	nulls[COL_ERROR] = false;
	values[COL_ERROR] =
		PointerGetDatum(cstring_to_text_with_len(ks->error, ks->errlen));
}

static void
show_pending(Rows *r, const CcConflictKey *k)
{
	CcKeyState *ks = &r->ks;
	int64		now = cc_hlc_now_ms(&cc.state->hlc);

	if (!cc_args_is_text(k->key, k->keylen) ||
		!cc_conflict_read(k->ns, k->key, k->keylen, ks, &r->buf) ||
		!cc_siblings_pending(ks))
		return;
	for (int i = 0; i < ks->n; i++)
	{
		Datum		values[NCOLS];
		bool		nulls[NCOLS];

		if (i == ks->served)
			continue;
		set_head(values, nulls, ks->since, k->ns, k->key, k->keylen);
		set_original(values, nulls, COL_OURS_VALUE,
					 &ks->original[ks->served], now);
		set_original(values, nulls, COL_THEIRS_VALUE, &ks->original[i], now);
		set_text(values, nulls, COL_DECISION, "pending");
		set_text(values, nulls, COL_DECIDED_BY, NULL);
		nulls[COL_DECIDED_AT] = true;
		set_error(values, nulls, k->ns, ks);
		put_row(r, values, nulls);
	}
}

static void
show_namespace(Rows *r, uint16 ns)
{
	CcConflictWalk w = {0};
	CcConflictKey key[CC_CONFLICT_KEYS];
	int			n;

	while ((n = cc_conflict_next(&w, ns, key, CC_CONFLICT_KEYS)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			show_pending(r, &key[i]);
	}
}

/*
 * What was decided
 */

static void
set_logged(Datum *values, bool *nulls, int col, const CcConflictSide *s)
{
	CcEntry		e = {0};

	e.type = s->type;
	e.flags = s->null ? CC_F_NULL : 0;
	e.value = s->value;
	e.vallen = s->len;
	e.hlc = s->hlc;
	set_side(values, nulls, col, &e, s->there, s->len == CC_CONFLICT_TEXT,
			 &s->node);
}

/*
 * Of a former life of the namespace: it was cleared since, or dropped, and may
 * be another owner's by now.
 */
static bool
is_cleared(const CcConflictRow *row)
{
	return Max(row->ours.hlc, row->theirs.hlc) <=
		pg_atomic_read_u64(&cc_namespace(row->ns)->horizon);
}

static void
show_decided(Rows *r, const CcConflictRow *row)
{
	Datum		values[NCOLS];
	bool		nulls[NCOLS];
	const char *how = row->how <= CC_LAST_HOW ? hows[row->how] : "unknown";

	if (!is_shown(r, row->ns) || is_cleared(row) ||
		!cc_args_is_text(row->key, row->keylen))
		return;
	set_head(values, nulls, row->at, row->ns, row->key, row->keylen);
	set_logged(values, nulls, COL_OURS_VALUE, &row->ours);
	set_logged(values, nulls, COL_THEIRS_VALUE, &row->theirs);
	set_text(values, nulls, COL_DECISION, fates[row->fate]);
	set_text(values, nulls, COL_DECIDED_BY,
			 psprintf("%s on %s", how, node_name(&row->decider)));
	values[COL_DECIDED_AT] =
		TimestampTzGetDatum(cc_args_timestamp(row->decided_at));
	nulls[COL_ERROR] = true;
	put_row(r, values, nulls);
}

static void
show_all(Rows *r)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint64 id = 0; cc_conflict_row(id, &r->logged); id = r->logged.id + 1)
	{
		CHECK_FOR_INTERRUPTS();
		show_decided(r, &r->logged);
	}
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		if (cc_conflict_count((uint16) ns) > 0 && is_shown(r, (uint16) ns))
			show_namespace(r, (uint16) ns);
	}
}

Datum
cachecluster_conflicts(PG_FUNCTION_ARGS)
{
	Rows	   *r;
	MemoryContext old;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	r = palloc(sizeof(Rows));
	r->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (r->rsinfo->setDesc->natts != NCOLS)
		elog(ERROR, "cache_conflicts has %d columns", NCOLS);
	r->mine = cc_args_find_namespace(CC_DEFAULT_NS);
	if (r->mine == CC_NO_NS)
		return (Datum) 0;
	r->row_context = AllocSetContextCreate(CurrentMemoryContext,
										   "cache_conflicts row",
										   ALLOCSET_DEFAULT_SIZES);

	/* it lives in memory of its own, so it goes whatever happens */
	cc_buf_init(&r->buf);
	old = MemoryContextSwitchTo(r->row_context);
	PG_TRY();
	{
		show_all(r);
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(old);
		cc_buf_free(&r->buf);
	}
	PG_END_TRY();
	return (Datum) 0;
}
