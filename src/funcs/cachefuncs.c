/*-------------------------------------------------------------------------
 *
 * cachefuncs.c
 *	  SQL functions that read and write one entry.
 *
 * Thin: arguments are checked and detoasted, then one call into cache/ does
 * the work, then the outcome becomes a result or an error.
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
#include "funcs/args.h"
#include "funcs/value.h"
#include "funcs/write.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(cachecluster_put);
PG_FUNCTION_INFO_V1(cachecluster_put_jsonb);
PG_FUNCTION_INFO_V1(cachecluster_put_bytea);
PG_FUNCTION_INFO_V1(cachecluster_get);
PG_FUNCTION_INFO_V1(cachecluster_get_jsonb);
PG_FUNCTION_INFO_V1(cachecluster_get_bytea);
PG_FUNCTION_INFO_V1(cachecluster_take);
PG_FUNCTION_INFO_V1(cachecluster_has);
PG_FUNCTION_INFO_V1(cachecluster_delete);
PG_FUNCTION_INFO_V1(cachecluster_touch);
PG_FUNCTION_INFO_V1(cachecluster_persist);
PG_FUNCTION_INFO_V1(cachecluster_ttl);
PG_FUNCTION_INFO_V1(cachecluster_incr);

/*
 * Writing
 */

/* Makes the change of a key; see cc_write. */
static CcResult
change(CcChange *c, const CcKey *k, bool immediate, CcOutcome *o)
{
	c->ns = k->ns;
	c->key = k->key;
	c->keylen = k->keylen;
	return cc_write(c, immediate, o);
}

static bool
flag(FunctionCallInfo fcinfo, int arg)
{
	return !PG_ARGISNULL(arg) && PG_GETARG_BOOL(arg);
}

/* Order of cache_put's arguments */
enum
{
	PUT_KEY, PUT_VALUE, PUT_TTL, PUT_NAMESPACE, PUT_IF_ABSENT, PUT_IF_PRESENT,
	PUT_IF_VERSION, PUT_KEEP_TTL, PUT_IMMEDIATE, PUT_SLIDING, PUT_GRACE
};

static int64
read_grace(FunctionCallInfo fcinfo, Datum grace)
{
	Interval	zero = {0};

	if (DatumGetBool(DirectFunctionCall2(interval_lt, grace,
										 IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("grace must not be negative")));
	return cc_args_timeout(fcinfo, PUT_GRACE);
}

static void
read_put_options(FunctionCallInfo fcinfo, CcChange *c)
{
	CcPutOptions o = {0};

	o.have_ttl = !PG_ARGISNULL(PUT_TTL);
	o.ttl_ms = cc_args_ttl(fcinfo, PUT_TTL);
	o.have_sliding = !PG_ARGISNULL(PUT_SLIDING);
	o.sliding = flag(fcinfo, PUT_SLIDING);
	o.have_grace = !PG_ARGISNULL(PUT_GRACE);
	if (o.have_grace)
		o.grace_ms = read_grace(fcinfo, PG_GETARG_DATUM(PUT_GRACE));
	c->if_absent = flag(fcinfo, PUT_IF_ABSENT);
	c->if_present = flag(fcinfo, PUT_IF_PRESENT);
	c->keep_ttl = flag(fcinfo, PUT_KEEP_TTL);
	if (!PG_ARGISNULL(PUT_IF_VERSION))
	{
		if (PG_GETARG_INT64(PUT_IF_VERSION) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("if_version must be positive"),
					 errhint("Take it from the column version of cache_entry, "
							 "which is 0 as long as the entry waits for the "
							 "commit of this transaction; or use if_absent.")));
		c->if_version = (uint64) PG_GETARG_INT64(PUT_IF_VERSION);
	}
	if (c->if_absent && (c->if_present || c->if_version != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("if_absent contradicts if_present and if_version")));
	cc_write_options(c, &o);
}

/* True when a value was stored: not when a TTL of zero or less deletes. */
static bool
put(FunctionCallInfo fcinfo, const CcKey *k, CcType type,
	const char *value, Size len)
{
	CcChange	c = {.op = CC_OP_PUT, .type = type, .value = value};
	CcOutcome	o;

	c.ns = k->ns;
	c.null = value == NULL;
	read_put_options(fcinfo, &c);
	cc_write_check_size(len);
	c.vallen = (uint32) len;
	return change(&c, k, flag(fcinfo, PUT_IMMEDIATE), &o) == CC_DONE &&
		c.ttl_ms >= 0;
}

/* text and bytea are alike but for the type */
static bool
put_varlena(FunctionCallInfo fcinfo, CcType type)
{
	CcKey		k;
	struct varlena *value;

	cc_args_key(fcinfo, PUT_NAMESPACE, CC_PRIV_WRITE, &k);
	if (PG_ARGISNULL(PUT_VALUE))
		return put(fcinfo, &k, type, NULL, 0);
	value = PG_GETARG_VARLENA_PP(PUT_VALUE);
	return put(fcinfo, &k, type, VARDATA_ANY(value),
			   VARSIZE_ANY_EXHDR(value));
}

Datum
cachecluster_put(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(put_varlena(fcinfo, CC_TEXT));
}

Datum
cachecluster_put_bytea(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(put_varlena(fcinfo, CC_BYTEA));
}

/*
 * Stored as its text: a binary value that a peer has damaged could not be
 * read safely.
 */
Datum
cachecluster_put_jsonb(PG_FUNCTION_ARGS)
{
	CcKey		k;
	Jsonb	   *value;
	StringInfoData text;

	cc_args_key(fcinfo, PUT_NAMESPACE, CC_PRIV_WRITE, &k);
	if (PG_ARGISNULL(PUT_VALUE))
		PG_RETURN_BOOL(put(fcinfo, &k, CC_JSONB, NULL, 0));
	value = PG_GETARG_JSONB_P(PUT_VALUE);
	initStringInfo(&text);
	(void) JsonbToCString(&text, &value->root, VARSIZE(value));
	PG_RETURN_BOOL(put(fcinfo, &k, CC_JSONB, text.data, text.len));
}

Datum
cachecluster_delete(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_DELETE};
	CcOutcome	o;

	cc_args_key(fcinfo, 1, CC_PRIV_WRITE, &k);
	(void) change(&c, &k, false, &o);
	PG_RETURN_BOOL(o.existed);
}

/* A new deadline, or none; true when there was a value. */
static bool
touch(CcChange *c, const CcKey *k)
{
	CcOutcome	o;

	(void) change(c, k, false, &o);
	if (!o.existed)
		cc_xact_missed(k->ns, k->key, k->keylen);
	return o.existed;
}

Datum
cachecluster_touch(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_TOUCH};
	CcPutOptions options = {0};

	cc_args_key(fcinfo, 2, CC_PRIV_WRITE, &k);
	options.have_ttl = !PG_ARGISNULL(1);
	options.ttl_ms = cc_args_ttl(fcinfo, 1);
	/* how it slides, and its grace, stay the entry's own */
	options.have_sliding = options.have_grace = true;
	c.ns = k.ns;
	cc_write_options(&c, &options);
	c.max_age_ms = 0;
	PG_RETURN_BOOL(touch(&c, &k));
}

Datum
cachecluster_persist(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_TOUCH};

	cc_args_key(fcinfo, 1, CC_PRIV_WRITE, &k);
	if (cc_namespace_has(k.ns, CC_NS_REQUIRE_TTL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache namespace \"%s\" requires a ttl",
						cc_namespace(k.ns)->name)));
	PG_RETURN_BOOL(touch(&c, &k));
}

Datum
cachecluster_incr(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_INCR};
	CcPutOptions options = {0};
	CcOutcome	o;

	cc_args_key(fcinfo, 3, CC_PRIV_READ | CC_PRIV_WRITE, &k);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("increment must not be null")));
	c.by = PG_GETARG_INT64(1);
	options.have_ttl = !PG_ARGISNULL(2);
	options.ttl_ms = cc_args_ttl(fcinfo, 2);
	options.have_sliding = true;	/* a counter is not */
	c.ns = k.ns;
	cc_write_options(&c, &options);
	if (c.ttl_ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl of a counter must be positive")));
	(void) change(&c, &k, true, &o);
	PG_RETURN_INT64(o.counter);
}

/*
 * Reading
 */

/*
 * Reads the entry that the arguments name.  What e points to is good until
 * the next read in this process.
 */
static bool
read_entry(FunctionCallInfo fcinfo, CcKey *k, CcEntry *e)
{
	bool		found;

	cc_args_key(fcinfo, 1, CC_PRIV_READ, k);
	found = cc_xact_get(k->ns, k->key, k->keylen, e, cc_value_buffer());
	cc_stats_count(found ? CC_STAT_HITS : CC_STAT_MISSES, k->ns, 1);
	return found;
}

Datum
cachecluster_get(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcEntry		e;

	if (!read_entry(fcinfo, &k, &e) || (e.flags & CC_F_NULL) != 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cc_value_text(&k, &e));
}

/*
 * Reads and deletes at once.  What cannot be returned is not deleted; the
 * error says why.
 */
Datum
cachecluster_take(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_FETCH, .accept = cc_value_is_text};
	CcOutcome	o;

	cc_args_key(fcinfo, 1, CC_PRIV_READ | CC_PRIV_WRITE, &k);
	c.buf = cc_value_buffer();
	(void) change(&c, &k, true, &o);
	cc_stats_count(o.existed ? CC_STAT_HITS : CC_STAT_MISSES, k.ns, 1);
	if (!o.existed || (o.entry.flags & CC_F_NULL) != 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cc_value_text(&k, &o.entry));
}

/* Says what was parsed when the value turns out not to be JSON. */
static void
explain_json(void *arg)
{
	const CcKey *k = arg;

	errhint("Read values that are not JSON with cache_get.");
	errcontext("value of cache key \"%s\"",
			   pnstrdup(k->key, k->keylen));
}

static Datum
parse_json(CcKey *k, char *text)
{
	ErrorContextCallback callback;
	Datum		json;

	callback.callback = explain_json;
	callback.arg = k;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	json = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	error_context_stack = callback.previous;
	return json;
}

Datum
cachecluster_get_jsonb(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcEntry		e;

	if (!read_entry(fcinfo, &k, &e) || (e.flags & CC_F_NULL) != 0)
		PG_RETURN_NULL();
	if (e.type == CC_BYTEA)
		cc_value_raise_type(&k, "bytea", "cache_get_bytea");
	if (e.type == CC_COUNTER)
		PG_RETURN_DATUM(parse_json(&k, psprintf(INT64_FORMAT,
											 cc_value_counter(&k, &e))));
	cc_value_check_encoding(&k, &e);
	PG_RETURN_DATUM(parse_json(&k, pnstrdup(e.value, e.vallen)));
}

Datum
cachecluster_get_bytea(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		[CC_TEXT] = "text", [CC_JSONB] = "jsonb", [CC_COUNTER] = "counter"
	};
	CcKey		k;
	CcEntry		e;

	if (!read_entry(fcinfo, &k, &e) || (e.flags & CC_F_NULL) != 0)
		PG_RETURN_NULL();
	if (e.type != CC_BYTEA)
		cc_value_raise_type(&k, names[e.type],
						 e.type == CC_JSONB ? "cache_get_jsonb" : "cache_get");
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(e.value, e.vallen));
}

/* Whether it is there, and its deadline; no hit and no miss. */
static bool
has(FunctionCallInfo fcinfo, int64 *expires)
{
	CcKey		k;

	cc_args_key(fcinfo, 1, CC_PRIV_READ, &k);
	return cc_xact_has(k.ns, k.key, k.keylen, expires);
}

Datum
cachecluster_has(PG_FUNCTION_ARGS)
{
	int64		expires;

	PG_RETURN_BOOL(has(fcinfo, &expires));
}

Datum
cachecluster_ttl(PG_FUNCTION_ARGS)
{
	int64		expires;
	int64		left;

	if (!has(fcinfo, &expires) || expires == 0)
		PG_RETURN_NULL();
	left = expires - cc_hlc_now_ms(&cc.state->hlc);
	return cc_args_interval(Max(left, 0));
}
