/*-------------------------------------------------------------------------
 *
 * listfuncs.c
 *	  SQL functions that show entries as rows: cache_entry, cache_entries,
 *	  cache_keys, cache_count.
 *
 * A listing holds up no writer and is no snapshot.  Its first call walks the
 * store and sorts the keys (listing.h); each further call shows one entry as
 * it is then, and passes over what has gone meanwhile.  What comes after the
 * first call is not shown.
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
#include "base/stats.h"
#include "cache/xact.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/entryrow.h"
#include "funcs/listing.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(cachecluster_entry);
PG_FUNCTION_INFO_V1(cachecluster_entries);
PG_FUNCTION_INFO_V1(cachecluster_keys);
PG_FUNCTION_INFO_V1(cachecluster_count);

/* A running cache_entries or cache_keys */
typedef struct Rows
{
	uint16		ns;
	CcListing  *keys;
	char	  **names;			/* of origins, NULL until asked for */
	CcBuf		buf;			/* the entry that is being shown */
	MemoryContextCallback freed;
} Rows;

Datum
cachecluster_entry(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	CcKey		k;
	CcEntry		e;
	CcBuf		buf;
	Datum		values[CC_ROW_COLUMNS];
	bool		nulls[CC_ROW_COLUMNS];

	cc_args_key(fcinfo, 1, CC_PRIV_READ, &k);
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != CC_ROW_COLUMNS)
		elog(ERROR, "type cache_entry has %d columns", rsinfo->setDesc->natts);

	cc_buf_init(&buf);
	PG_TRY();
	{
		bool		found = cc_xact_get(k.ns, k.key, k.keylen, &e, &buf);

		cc_stats_count(found ? CC_STAT_HITS : CC_STAT_MISSES, k.ns, 1);
		if (found)
		{
			if (!cc_entryrow_form(&e, cc_entryrow_node(e.writer), values, nulls))
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
listing_name(Rows *r, uint16 origin)
{
	if (r->names[origin] == NULL)
		r->names[origin] = MemoryContextStrdup(GetMemoryChunkContext(r->names),
											   cc_entryrow_node(origin));
	return r->names[origin];
}

/*
 * Ends a listing whose rows are not all asked for: by LIMIT, a closed cursor,
 * a rescan.  After an error it is not called, and need not be.
 */
static void
end_rows(Datum arg)
{
	Rows	   *r = (Rows *) DatumGetPointer(arg);

	cc_listing_end(r->keys);
}

/* Buffers of the cache live in memory of their own, also after an error. */
static void
free_buf(void *arg)
{
	cc_buf_free(&((Rows *) arg)->buf);
}

/* First call; the current context lives as long as the listing. */
static Rows *
begin_rows(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Rows	   *r = palloc0(sizeof(Rows));

	cc_args_require_loaded();
	r->ns = cc_args_namespace(fcinfo, 1, CC_PRIV_READ);
	cc_buf_init(&r->buf);
	r->freed.func = free_buf;
	r->freed.arg = r;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &r->freed);
	r->keys = cc_listing_begin(r->ns, PG_GETARG_TEXT_PP(0));
	RegisterExprContextCallback(rsinfo->econtext, end_rows,
								PointerGetDatum(r));
	return r;
}

/* All rows were asked for. */
static void
finish_rows(FunctionCallInfo fcinfo, Rows *r)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	UnregisterExprContextCallback(rsinfo->econtext, end_rows,
								  PointerGetDatum(r));
	end_rows(PointerGetDatum(r));
}

static TupleDesc
entry_desc(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != CC_ROW_COLUMNS)
		elog(ERROR, "type cache_entry has not %d columns", CC_ROW_COLUMNS);
	return BlessTupleDesc(desc);
}

Datum
cachecluster_entries(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Rows	   *r;
	CcEntry		e;
	const char *key;
	uint16		keylen;
	Datum		values[CC_ROW_COLUMNS];
	bool		nulls[CC_ROW_COLUMNS];

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->tuple_desc = entry_desc(fcinfo);
		context->user_fctx = r = begin_rows(fcinfo);
		r->names = palloc0(CC_MAX_ORIGINS * sizeof(char *));
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	r = context->user_fctx;
	while (cc_listing_next(r->keys, &key, &keylen))
	{
		HeapTuple	tuple;

		r->buf.len = 0;
		if (!cc_xact_peek(r->ns, key, keylen, &e, &r->buf) ||
			!cc_entryrow_form(&e, listing_name(r, e.writer), values, nulls))
			continue;
		tuple = heap_form_tuple(context->tuple_desc, values, nulls);
		SRF_RETURN_NEXT(context, HeapTupleGetDatum(tuple));
	}
	finish_rows(fcinfo, r);
	SRF_RETURN_DONE(context);
}

Datum
cachecluster_keys(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Rows	   *r;
	CcEntry		e;
	const char *key;
	uint16		keylen;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->user_fctx = begin_rows(fcinfo);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	r = context->user_fctx;
	while (cc_listing_next(r->keys, &key, &keylen))
	{
		if (cc_xact_peek(r->ns, key, keylen, &e, NULL))
		{
			text	   *shown = cstring_to_text_with_len(key, keylen);

			SRF_RETURN_NEXT(context, PointerGetDatum(shown));
		}
	}
	finish_rows(fcinfo, r);
	SRF_RETURN_DONE(context);
}

Datum
cachecluster_count(PG_FUNCTION_ARGS)
{
	uint16		ns;

	cc_args_require_loaded();
	ns = cc_args_namespace(fcinfo, 0, CC_PRIV_READ);
	PG_RETURN_INT64((int64) cc_xact_count(ns));
}
