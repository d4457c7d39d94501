/*-------------------------------------------------------------------------
 *
 * listfuncs.c
 *	  SQL functions that show entries as rows: cache_entry, cache_entries,
 *	  cache_keys, cache_count.
 *
 * A listing walks the store a run of buckets at a time, so writers are not
 * held up and it is no snapshot: each entry is as it was when its bucket was
 * read.  Rows are sorted by key, byte by byte, whatever the collation, and
 * spill to disk beyond work_mem.
 *
 * Keys and values that are not text in the encoding of the database (a peer's
 * database may have another) are left out.
 *
 * Locking: none here; members->lock for the names of nodes.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "cache/cache.h"
#include "cache/counter.h"
#include "cache/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "cluster/membership.h"
#include "executor/tuptable.h"
#include "funcs/args.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(cachecluster_entry);
PG_FUNCTION_INFO_V1(cachecluster_entries);
PG_FUNCTION_INFO_V1(cachecluster_keys);
PG_FUNCTION_INFO_V1(cachecluster_count);

/* Columns of the composite type cache_entry */
enum
{
	COL_NAMESPACE, COL_KEY, COL_VALUE, COL_VALUE_TYPE, COL_EXPIRES_AT,
	COL_VERSION, COL_ORIGIN, COL_WRITTEN_AT, NCOLS
};

static const char *const type_names[] = {
	[CC_TEXT] = "text", [CC_JSONB] = "jsonb", [CC_BYTEA] = "bytea",
	[CC_COUNTER] = "counter"
};

/* A LIKE pattern, and the two kinds of it that need no matcher. */
typedef struct Pattern
{
	enum
	{
		PATTERN_PREFIX,			/* "abc%", also "%" */
		PATTERN_LIKE
	}			kind;
	text	   *pattern;
	Size		prefixlen;
} Pattern;

typedef struct Listing
{
	Pattern		pattern;
	bool		keys_only;
	TupleTableSlot *slot;
	Tuplesortstate *sort;
	MemoryContext row;			/* reset with every row */
	char	  **names;			/* of origins, NULL until asked for */
} Listing;

static void
parse_pattern(text *pattern, Pattern *p)
{
	const char *s = VARDATA_ANY(pattern);
	Size		len = VARSIZE_ANY_EXHDR(pattern);
	Size		i = 0;

	p->pattern = pattern;
	while (i < len && s[i] != '%' && s[i] != '_' && s[i] != '\\')
		i++;
	p->prefixlen = i;
	p->kind = i + 1 == len && s[i] == '%' ? PATTERN_PREFIX : PATTERN_LIKE;
}

/* Whether the key, which is valid text, matches. */
static bool
matches(const Pattern *p, const char *key, Size len)
{
	text	   *whole;

	if (len < p->prefixlen ||
		memcmp(key, VARDATA_ANY(p->pattern), p->prefixlen) != 0)
		return false;
	if (p->kind == PATTERN_PREFIX)
		return true;
	whole = cstring_to_text_with_len(key, len);
	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
												PointerGetDatum(whole),
												PointerGetDatum(p->pattern)));
}

/* The name of the node that wrote, or its id in hex where it has none. */
static char *
node_name(uint16 origin)
{
	const CcNodeId *id = &cc_origin(origin)->node;
	int			slot = cc_membership_find(id);
	char		name[CC_NAME_LEN];
	char		hex[CC_ID_TEXT_LEN];
	char	   *text;

	name[0] = '\0';
	if (slot >= 0)
	{
		cc_lock_shared(&cc.members->lock);
		strlcpy(name, cc.members->member[slot].name, sizeof(name));
		cc_unlock(&cc.members->lock);
	}
	text = cc_args_name(name);
	return text != NULL ? text : pstrdup(cc_id_text(id, hex));
}

/* The value as text, whatever its type; false when it cannot be shown. */
static bool
value_text(const CcEntry *e, Datum *value)
{
	int64		number;

	if (e->type == CC_BYTEA)
	{
		char	   *hex = palloc((Size) e->vallen * 2 + 3);

		memcpy(hex, "\\x", 2);
		hex[2 + hex_encode(e->value, e->vallen, hex + 2)] = '\0';
		*value = CStringGetTextDatum(hex);
		return true;
	}
	if (e->type == CC_COUNTER)
	{
		if (!cc_counter_value(e->value, e->vallen, &number))
			return false;
		*value = CStringGetTextDatum(psprintf(INT64_FORMAT, number));
		return true;
	}
	if (!cc_args_is_text(e->value, e->vallen))
		return false;
	*value = PointerGetDatum(cstring_to_text_with_len(e->value, e->vallen));
	return true;
}

/* The columns of cache_entry; false when key or value cannot be shown. */
static bool
form_row(const CcEntry *e, const char *origin, Datum *values, bool *nulls)
{
	memset(nulls, 0, NCOLS * sizeof(bool));
	if (!cc_args_is_text(e->key, e->keylen))
		return false;
	nulls[COL_VALUE] = (e->flags & CC_F_NULL) != 0;
	if (!nulls[COL_VALUE] && !value_text(e, &values[COL_VALUE]))
		return false;

	values[COL_NAMESPACE] = CStringGetTextDatum(cc_namespace(e->ns)->name);
	values[COL_KEY] =
		PointerGetDatum(cstring_to_text_with_len(e->key, e->keylen));
	values[COL_VALUE_TYPE] = CStringGetTextDatum(type_names[e->type]);
	nulls[COL_EXPIRES_AT] = e->expires == 0;
	values[COL_EXPIRES_AT] =
		TimestampTzGetDatum(cc_args_timestamp(e->expires));
	values[COL_VERSION] = Int64GetDatum((int64) e->hlc);
	values[COL_ORIGIN] = CStringGetTextDatum(origin);
	values[COL_WRITTEN_AT] =
		TimestampTzGetDatum(cc_args_timestamp(cc_hlc_to_ms(e->hlc)));
	return true;
}

Datum
cachecluster_entry(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcKey		k;
	CcEntry		e;
	CcBuf		buf;
	Datum		values[NCOLS];
	bool		nulls[NCOLS];

	cc_args_key(fcinfo, 1, CC_PRIV_READ, &k);
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NCOLS)
		elog(ERROR, "type cache_entry has %d columns", rsinfo->setDesc->natts);

	cc_buf_init(&buf);
	PG_TRY();
	{
		if (cc_xact_get(k.ns, k.key, k.keylen, &e, &buf))
		{
			if (!form_row(&e, node_name(e.writer), values, nulls))
				ereport(ERROR,
						(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						 errmsg("value of cache key \"%s\" is not text in "
								"the encoding of this database",
								pnstrdup(k.key, k.keylen))));
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
								 nulls);
		}
	}
	PG_FINALLY();
	{
		cc_buf_free(&buf);
	}
	PG_END_TRY();
	return (Datum) 0;
}

/* A name is looked up once a listing; it outlives the row's memory. */
static const char *
listing_name(Listing *l, uint16 origin)
{
	if (l->names[origin] == NULL)
		l->names[origin] = MemoryContextStrdup(GetMemoryChunkContext(l->names),
											   node_name(origin));
	return l->names[origin];
}

static void
add_row(const CcEntry *e, void *arg)
{
	Listing    *l = arg;
	MemoryContext old;
	bool		show = false;

	CHECK_FOR_INTERRUPTS();
	if (!cc_args_is_text(e->key, e->keylen))
		return;

	ExecClearTuple(l->slot);
	old = MemoryContextSwitchTo(l->row);
	if (matches(&l->pattern, e->key, e->keylen))
	{
		if (l->keys_only)
		{
			l->slot->tts_values[0] =
				PointerGetDatum(cstring_to_text_with_len(e->key, e->keylen));
			l->slot->tts_isnull[0] = false;
			show = true;
		}
		else
			show = form_row(e, listing_name(l, e->writer),
							l->slot->tts_values, l->slot->tts_isnull);
	}
	MemoryContextSwitchTo(old);
	if (show)
	{
		ExecStoreVirtualTuple(l->slot);
		tuplesort_puttupleslot(l->sort, l->slot);
	}
	MemoryContextReset(l->row);
}

static Tuplesortstate *
begin_sort(TupleDesc desc, AttrNumber key)
{
	TypeCacheEntry *type = lookup_type_cache(TEXTOID, TYPECACHE_LT_OPR);
	Oid			collation = C_COLLATION_OID;
	bool		nulls_first = false;

	return tuplesort_begin_heap(desc, 1, &key, &type->lt_opr, &collation,
								&nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

static void
list(FunctionCallInfo fcinfo, bool keys_only, int natts)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	static CcScan scan;			/* kept for the next listing, also after errors */
	Listing		l;
	uint16		ns;

	cc_args_require_loaded();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pattern must not be null")));
	ns = cc_args_namespace(fcinfo, 1, CC_PRIV_READ);
	parse_pattern(PG_GETARG_TEXT_PP(0), &l.pattern);
	InitMaterializedSRF(fcinfo, keys_only ? MAT_SRF_USE_EXPECTED_DESC : 0);
	if (rsinfo->setDesc->natts != natts)
		elog(ERROR, "a row of the listing has %d columns",
			 rsinfo->setDesc->natts);

	l.keys_only = keys_only;
	l.names = palloc0(CC_MAX_ORIGINS * sizeof(char *));
	l.row = AllocSetContextCreate(CurrentMemoryContext, "cachecluster row",
								  ALLOCSET_DEFAULT_SIZES);
	l.slot = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsVirtual);
	l.sort = begin_sort(rsinfo->setDesc, keys_only ? 1 : COL_KEY + 1);
	cc_xact_scan(ns, &scan, add_row, &l);
	ExecDropSingleTupleTableSlot(l.slot);

	l.slot = MakeSingleTupleTableSlot(rsinfo->setDesc, &TTSOpsMinimalTuple);
	tuplesort_performsort(l.sort);
	while (tuplesort_gettupleslot(l.sort, true, false, l.slot, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(rsinfo->setResult, l.slot);
	}
	tuplesort_end(l.sort);
	ExecDropSingleTupleTableSlot(l.slot);
}

Datum
cachecluster_entries(PG_FUNCTION_ARGS)
{
	list(fcinfo, false, NCOLS);
	return (Datum) 0;
}

Datum
cachecluster_keys(PG_FUNCTION_ARGS)
{
	list(fcinfo, true, 1);
	return (Datum) 0;
}

Datum
cachecluster_count(PG_FUNCTION_ARGS)
{
	uint16		ns;

	cc_args_require_loaded();
	ns = cc_args_namespace(fcinfo, 0, CC_PRIV_READ);
	PG_RETURN_INT64((int64) cc_xact_count(ns));
}
