/*-------------------------------------------------------------------------
 *
 * manyfuncs.c
 *	  SQL functions that read and write many entries, and the one that makes
 *	  keys.
 *
 * All that cache_put_many and cache_delete_many are given is checked before
 * anything is written, so that a call is done completely or not at all: what
 * waits for commit is kept together by the transaction, and what acts at once
 * cannot be cancelled in the middle.  cache_delete_like that acts at once can,
 * and what it has deleted by then is gone.
 *
 * Locking: none here, and none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/stats.h"
#include "cache/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/listing.h"
#include "funcs/value.h"
#include "funcs/write.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(cachecluster_put_many);
PG_FUNCTION_INFO_V1(cachecluster_put_many_jsonb);
PG_FUNCTION_INFO_V1(cachecluster_put_many_bytea);
PG_FUNCTION_INFO_V1(cachecluster_get_many);
PG_FUNCTION_INFO_V1(cachecluster_delete_many);
PG_FUNCTION_INFO_V1(cachecluster_delete_like);
PG_FUNCTION_INFO_V1(cachecluster_clear);
PG_FUNCTION_INFO_V1(cachecluster_key);

/* One key of a call, and its value where it is a put. */
typedef struct KeyValue
{
	const char *key;			/* NULL: the element was */
	const char *value;			/* NULL is a value */
	uint32		vallen;
	uint16		keylen;
	bool		superseded;		/* the same key comes again behind it */
} KeyValue;

/*
 * Arguments
 */

/* An argument that is an array of one dimension, or empty. */
static ArrayType *
get_array(FunctionCallInfo fcinfo, int arg, const char *name)
{
	ArrayType  *array;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an array of one dimension", name)));
	return array;
}

/* Elements of an array of text, jsonb or bytea; returns their number. */
static int
read_array(ArrayType *array, Datum **elems, bool **nulls)
{
	int			n;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT,
					  elems, nulls, &n);
	return n;
}

/* The keys of a call, checked.  They point into the array. */
static KeyValue *
read_keys(ArrayType *array, bool allow_null, int *n)
{
	Datum	   *elems;
	bool	   *nulls;
	KeyValue   *items;

	*n = read_array(array, &elems, &nulls);
	items = MemoryContextAllocHuge(CurrentMemoryContext,
								   (Size) Max(*n, 1) * sizeof(KeyValue));
	memset(items, 0, (Size) *n * sizeof(KeyValue));
	for (int i = 0; i < *n; i++)
	{
		text	   *key;

		if (nulls[i])
		{
			if (allow_null)
				continue;
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("cache key must not be null")));
		}
		key = DatumGetTextPP(elems[i]);
		cc_args_check_key(key);
		items[i].key = VARDATA_ANY(key);
		items[i].keylen = (uint16) VARSIZE_ANY_EXHDR(key);
	}
	return items;
}

/* jsonb is stored as its text; see cache_put. */
static void
read_value(KeyValue *item, Datum elem, CcType type)
{
	struct varlena *value;
	Size		len;

	if (type == CC_JSONB)
	{
		Jsonb	   *json = DatumGetJsonbP(elem);
		StringInfoData text;

		initStringInfo(&text);
		(void) JsonbToCString(&text, &json->root, VARSIZE(json));
		item->value = text.data;
		len = text.len;
	}
	else
	{
		value = PG_DETOAST_DATUM_PACKED(elem);
		item->value = VARDATA_ANY(value);
		len = VARSIZE_ANY_EXHDR(value);
	}
	cc_write_check_size(len);
	item->vallen = (uint32) len;
}

static void
read_values(FunctionCallInfo fcinfo, CcType type, KeyValue *items, int n)
{
	Datum	   *elems;
	bool	   *nulls;
	ArrayType  *array = get_array(fcinfo, 1, "vals");
	int			nvals = read_array(array, &elems, &nulls);

	if (nvals != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keys and vals must have the same length"),
				 errdetail("There are %d keys and %d values.", n, nvals)));
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			read_value(&items[i], elems[i], type);
	}
}

/* By key, and the same keys by their place. */
static int
compare_items(const void *a, const void *b)
{
	const KeyValue *x = *(KeyValue *const *) a;
	const KeyValue *y = *(KeyValue *const *) b;
	int			cmp = memcmp(x->key, y->key, Min(x->keylen, y->keylen));

	if (cmp == 0)
		cmp = (int) x->keylen - (int) y->keylen;
	if (cmp == 0)
		cmp = x < y ? -1 : x > y;
	return cmp;
}

/* Of puts of the same key the last one wins. */
static void
mark_superseded(KeyValue *items, int n)
{
	KeyValue  **sorted;

	if (n < 2)
		return;
	sorted = MemoryContextAllocHuge(CurrentMemoryContext,
									(Size) n * sizeof(KeyValue *));
	for (int i = 0; i < n; i++)
		sorted[i] = &items[i];
	qsort(sorted, n, sizeof(KeyValue *), compare_items);
	for (int i = 1; i < n; i++)
	{
		const KeyValue *next = sorted[i];

		sorted[i - 1]->superseded = next->keylen == sorted[i - 1]->keylen &&
			memcmp(next->key, sorted[i - 1]->key, next->keylen) == 0;
	}
	pfree(sorted);
}

/*
 * Writing
 */

/* Sets what differs from one change of a call to the next. */
static void
set_item(CcChange *c, const KeyValue *item)
{
	c->key = item->key;
	c->keylen = item->keylen;
	if (c->op == CC_OP_PUT)
	{
		c->value = item->value;
		c->vallen = item->vallen;
		c->null = item->value == NULL;
	}
}

/*
 * Makes the change for each item: all, or by an error none.  Returns how many
 * were done, of deletes how many there was a value for.
 */
static int
write_items(CcChange *c, const KeyValue *items, int n)
{
	bool		now = !cc_xact_defers(c->ns);
	CcOutcome	last = {0};
	int			count = 0;

	cc_write_check(false);
	for (int i = 0; now && i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		set_item(c, &items[i]);
		cc_write_probe(c);
	}

	/* as at a commit; what was probed fails only where the server stops */
	if (now)
		HOLD_INTERRUPTS();
	for (int i = 0; i < n; i++)
	{
		CcOutcome	o;

		CHECK_FOR_INTERRUPTS();
		if (items[i].superseded)
			continue;
		set_item(c, &items[i]);
		if (cc_write_part(c, false, &o) == CC_DONE)
		{
			last = o;
			if (c->op == CC_OP_PUT)
				count++;
		}
		if (c->op == CC_OP_DELETE && o.existed)
			count++;
	}
	if (now)
		RESUME_INTERRUPTS();
	if (last.pos != 0)
		cc_write_wait(c->ns, &last);
	return count;
}

/* Order of cache_put_many's arguments */
enum
{
	PUT_KEYS, PUT_VALS, PUT_TTL, PUT_NAMESPACE
};

static int
put_many(FunctionCallInfo fcinfo, CcType type)
{
	CcChange	c = {.op = CC_OP_PUT, .type = type};
	CcPutOptions options = {0};
	KeyValue   *items;
	int			n;
	int			count;

	cc_args_require_loaded();
	c.ns = cc_args_namespace(fcinfo, PUT_NAMESPACE, CC_PRIV_WRITE);
	options.have_ttl = !PG_ARGISNULL(PUT_TTL);
	options.ttl_ms = cc_args_ttl(fcinfo, PUT_TTL);
	cc_write_options(&c, &options);
	if (c.ttl_ms > 0)
		c.deadline = cc_hlc_now_ms(&cc.state->hlc) + c.ttl_ms;
	items = read_keys(get_array(fcinfo, 0, "keys"), false, &n);
	read_values(fcinfo, type, items, n);
	mark_superseded(items, n);
	count = write_items(&c, items, n);

	/* a TTL of zero or less deletes */
	return c.ttl_ms < 0 ? 0 : count;
}

Datum
cachecluster_put_many(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(put_many(fcinfo, CC_TEXT));
}

Datum
cachecluster_put_many_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(put_many(fcinfo, CC_JSONB));
}

Datum
cachecluster_put_many_bytea(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(put_many(fcinfo, CC_BYTEA));
}

Datum
cachecluster_delete_many(PG_FUNCTION_ARGS)
{
	CcChange	c = {.op = CC_OP_DELETE};
	KeyValue   *items;
	int			n;

	cc_args_require_loaded();
	c.ns = cc_args_namespace(fcinfo, 1, CC_PRIV_WRITE);
	items = read_keys(get_array(fcinfo, 0, "keys"), false, &n);
	PG_RETURN_INT32(write_items(&c, items, n));
}

/* The keys are listed before the first is deleted. */
Datum
cachecluster_delete_like(PG_FUNCTION_ARGS)
{
	CcChange	c = {.op = CC_OP_DELETE};
	CcOutcome	last = {0};
	CcListing  *keys;
	int64		count = 0;

	cc_args_require_loaded();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pattern must not be null")));
	c.ns = cc_args_namespace(fcinfo, 1, CC_PRIV_READ | CC_PRIV_WRITE);
	cc_write_check(false);
	cc_write_check_ready();
	keys = cc_listing_begin(c.ns, PG_GETARG_TEXT_PP(0));
	while (cc_listing_next(keys, &c.key, &c.keylen))
	{
		CcOutcome	o;

		if (cc_write_part(&c, false, &o) == CC_DONE)
			last = o;
		count += o.existed;
	}
	cc_listing_end(keys);
	if (last.pos != 0)
		cc_write_wait(c.ns, &last);
	PG_RETURN_INT64(count);
}

Datum
cachecluster_clear(PG_FUNCTION_ARGS)
{
	cc_args_require_loaded();
	cc_write_clear(cc_args_namespace(fcinfo, 0, CC_PRIV_WRITE));
	PG_RETURN_VOID();
}

/*
 * Reading
 */

/* A running cache_get_many */
typedef struct Reading
{
	uint16		ns;
	KeyValue   *items;
	int			n;
	int			next;
	CcBuf		buf;			/* the entry that was read last */
	MemoryContextCallback freed;
} Reading;

/* Buffers of the cache live in memory of their own, also after an error. */
static void
free_buf(void *arg)
{
	cc_buf_free(&((Reading *) arg)->buf);
}

static void
begin_reading(FunctionCallInfo fcinfo, FuncCallContext *context)
{
	MemoryContext old =
		MemoryContextSwitchTo(context->multi_call_memory_ctx);
	Reading    *r = palloc0(sizeof(Reading));
	ArrayType  *keys;
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "cache_get_many does not return rows");
	context->tuple_desc = BlessTupleDesc(desc);
	cc_args_require_loaded();
	r->ns = cc_args_namespace(fcinfo, 1, CC_PRIV_READ);
	keys = get_array(fcinfo, 0, "keys");
	keys = DatumGetArrayTypePCopy(PointerGetDatum(keys));
	r->items = read_keys(keys, true, &r->n);
	cc_buf_init(&r->buf);
	r->freed.func = free_buf;
	r->freed.arg = r;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &r->freed);
	context->user_fctx = r;
	MemoryContextSwitchTo(old);
}

/* Reads the next key that is found; each is a hit or a miss. */
static bool
read_next(Reading *r, CcKey *k, CcEntry *e)
{
	while (r->next < r->n)
	{
		const KeyValue *item = &r->items[r->next++];
		bool		found;

		CHECK_FOR_INTERRUPTS();
		if (item->key == NULL)
			continue;
		k->ns = r->ns;
		k->key = item->key;
		k->keylen = item->keylen;
		r->buf.len = 0;
		found = cc_xact_get(k->ns, k->key, k->keylen, e, &r->buf);
		cc_stats_count(found ? CC_STAT_HITS : CC_STAT_MISSES, k->ns, 1);
		if (found)
			return true;
	}
	return false;
}

Datum
cachecluster_get_many(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	CcKey		k;
	CcEntry		e;
	Datum		values[2] = {0};
	bool		nulls[2] = {false, false};

	if (SRF_IS_FIRSTCALL())
	{
		context = SRF_FIRSTCALL_INIT();
		begin_reading(fcinfo, context);
	}
	context = SRF_PERCALL_SETUP();
	if (!read_next(context->user_fctx, &k, &e))
		SRF_RETURN_DONE(context);

	values[0] = PointerGetDatum(cstring_to_text_with_len(k.key, k.keylen));
	nulls[1] = (e.flags & CC_F_NULL) != 0;
	if (!nulls[1])
		values[1] = PointerGetDatum(cc_value_text(&k, &e));
	SRF_RETURN_NEXT(context,
					HeapTupleGetDatum(heap_form_tuple(context->tuple_desc,
													  values, nulls)));
}

/*
 * Keys
 */

/*
 * Appends a part so that no two parts look alike and none holds the separator
 * or what LIKE takes for its own.
 */
static void
append_part(StringInfo key, const char *part, Size len)
{
	if (len == 0)
		appendStringInfoString(key, "~e");
	for (Size i = 0; i < len; i++)
	{
		switch (part[i])
		{
			case '~':
				appendStringInfoString(key, "~t");
				break;
			case ':':
				appendStringInfoString(key, "~c");
				break;
			case '%':
				appendStringInfoString(key, "~p");
				break;
			case '_':
				appendStringInfoString(key, "~u");
				break;
			case '\\':
				appendStringInfoString(key, "~b");
				break;
			default:
				appendStringInfoCharMacro(key, part[i]);
		}
	}
}

Datum
cachecluster_key(PG_FUNCTION_ARGS)
{
	StringInfoData key;
	Datum	   *parts;
	bool	   *nulls;
	int			n = read_array(get_array(fcinfo, 0, "parts"), &parts, &nulls);

	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a cache key needs at least one part")));
	initStringInfo(&key);
	for (int i = 0; i < n; i++)
	{
		text	   *part;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("part of a cache key must not be null")));
		part = DatumGetTextPP(parts[i]);
		if (i > 0)
			appendStringInfoChar(&key, ':');
		append_part(&key, VARDATA_ANY(part), VARSIZE_ANY_EXHDR(part));
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(key.data, key.len));
}
