/*-------------------------------------------------------------------------
 *
 * cachefuncs.c
 *	  SQL functions that read and write one entry.
 *
 * Thin: arguments are checked and detoasted, then one call into cache/ does
 * the work, then the outcome becomes a result or an error.  Puts and deletes
 * take effect at once, and stay when the transaction rolls back.
 *
 * Locking: none here, and none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/stats.h"
#include "cache/cache.h"
#include "cache/counter.h"
#include "cache/files.h"
#include "cluster/membership.h"
#include "funcs/args.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

/* What was read stays allocated for the next call, up to this size. */
#define KEEP_BUF	(256 * 1024)

PG_FUNCTION_INFO_V1(cachecluster_put);
PG_FUNCTION_INFO_V1(cachecluster_put_jsonb);
PG_FUNCTION_INFO_V1(cachecluster_put_bytea);
PG_FUNCTION_INFO_V1(cachecluster_get);
PG_FUNCTION_INFO_V1(cachecluster_get_jsonb);
PG_FUNCTION_INFO_V1(cachecluster_get_bytea);
PG_FUNCTION_INFO_V1(cachecluster_has);
PG_FUNCTION_INFO_V1(cachecluster_delete);
PG_FUNCTION_INFO_V1(cachecluster_touch);
PG_FUNCTION_INFO_V1(cachecluster_persist);
PG_FUNCTION_INFO_V1(cachecluster_ttl);
PG_FUNCTION_INFO_V1(cachecluster_incr);

/*
 * Writing
 */

/* Raises the error for a write that cannot be done; it counts as rejected. */
static void
reject(CcResult result, const CcChange *c)
{
	cc_stats_add(CC_STAT_REJECTED, 1);

	switch (result)
	{
		case CC_NOT_READY:
			cc_args_raise_not_ready();
			break;
		case CC_TOO_LARGE:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("cache value of %u bytes is too large", c->vallen),
					 errhint("With this setting of cachecluster.memory key "
							 "and value have at most %zu bytes together.",
							 cc_store_max_payload())));
			break;
		case CC_NOT_NUMBER:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value of cache key \"%s\" is not an integer",
							pnstrdup(c->key, c->keylen)),
					 errhint("Only integers from bigint's range can be "
							 "incremented.")));
			break;
		case CC_OVERFLOW:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("bigint out of range")));
			break;
		default:
			elog(ERROR, "unexpected result %d of a cache write", result);
	}
}

/* Setting min_nodes: refused while too few members can be reached. */
static void
check_min_nodes(void)
{
	int			reachable;

	if (likely(cc_min_nodes <= 1))
		return;
	(void) cc_membership_count(&reachable);
	if (reachable >= cc_min_nodes)
		return;
	cc_stats_add(CC_STAT_REJECTED, 1);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("too few nodes of the cache can be reached"),
			 errdetail("%d can be reached, this one included, and "
					   "cachecluster.min_nodes is %d.",
					   reachable, cc_min_nodes),
			 errhint("pg_stat_cachecluster_peers shows which nodes are "
					 "down.")));
}

/* Makes the change.  What its conditions forbid is no error. */
static CcResult
change(CcChange *c, const CcKey *k, CcOutcome *o)
{
	CcResult	result;

	c->ns = k->ns;
	c->key = k->key;
	c->keylen = k->keylen;
	check_min_nodes();

	result = cc_cache_change(c, o);
	if (unlikely(result != CC_DONE && result != CC_UNCHANGED))
		reject(result, c);
	if (result == CC_DONE && cc_journal_sync_mode == CC_SYNC_ALWAYS)
		cc_cache_wait_journal(o->pos, true);
	return result;
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

static void
read_put_options(FunctionCallInfo fcinfo, CcChange *c)
{
	c->ttl_ms = cc_args_ttl(fcinfo, PUT_TTL);
	c->if_absent = flag(fcinfo, PUT_IF_ABSENT);
	c->if_present = flag(fcinfo, PUT_IF_PRESENT);
	c->keep_ttl = flag(fcinfo, PUT_KEEP_TTL);

	if (!PG_ARGISNULL(PUT_IF_VERSION))
	{
		if (PG_GETARG_INT64(PUT_IF_VERSION) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("if_version must be positive"),
					 errhint("Take it from the column version of "
							 "cache_entry, or use if_absent.")));
		c->if_version = (uint64) PG_GETARG_INT64(PUT_IF_VERSION);
	}
	if (c->if_absent && (c->if_present || c->if_version != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("if_absent contradicts if_present and if_version")));
	if (flag(fcinfo, PUT_SLIDING))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sliding expiry is not supported yet"),
				 errhint("Move the deadline with cache_touch.")));
	if (!PG_ARGISNULL(PUT_GRACE))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a grace period is not supported yet")));
}

/* True when a value was stored: not when a TTL of zero or less deletes. */
static bool
put(FunctionCallInfo fcinfo, const CcKey *k, CcType type,
	const char *value, Size len)
{
	CcChange	c = {.op = CC_OP_PUT, .type = type, .value = value};
	CcOutcome	o;

	c.null = value == NULL;
	read_put_options(fcinfo, &c);
	if (len > (Size) cc_max_value_size)
	{
		cc_stats_add(CC_STAT_REJECTED, 1);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cache value of %zu bytes is too large", len),
				 errhint("Values have at most %d bytes, as set by "
						 "cachecluster.max_value_size.", cc_max_value_size)));
	}
	c.vallen = (uint32) len;

	if (change(&c, k, &o) != CC_DONE)
		return false;
	if (c.ttl_ms >= 0)
		cc_stats_add(CC_STAT_PUTS, 1);
	else if (o.existed)
		cc_stats_add(CC_STAT_DELETES, 1);
	return c.ttl_ms >= 0;
}

/* text and bytea are alike but for the type */
static bool
put_varlena(FunctionCallInfo fcinfo, CcType type)
{
	CcKey		k;
	struct varlena *value;

	cc_args_key(fcinfo, PUT_NAMESPACE, &k);
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

	cc_args_key(fcinfo, PUT_NAMESPACE, &k);
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

	cc_args_key(fcinfo, 1, &k);
	(void) change(&c, &k, &o);
	if (o.existed)
		cc_stats_add(CC_STAT_DELETES, 1);
	PG_RETURN_BOOL(o.existed);
}

/* A new deadline, or none; true when there was a value. */
static bool
touch(const CcKey *k, int64 ttl_ms)
{
	CcChange	c = {.op = CC_OP_TOUCH, .ttl_ms = ttl_ms};
	CcOutcome	o;

	(void) change(&c, k, &o);
	if (ttl_ms < 0 && o.existed)
		cc_stats_add(CC_STAT_DELETES, 1);
	return o.existed;
}

Datum
cachecluster_touch(PG_FUNCTION_ARGS)
{
	CcKey		k;

	cc_args_key(fcinfo, 2, &k);
	PG_RETURN_BOOL(touch(&k, cc_args_ttl(fcinfo, 1)));
}

Datum
cachecluster_persist(PG_FUNCTION_ARGS)
{
	CcKey		k;

	cc_args_key(fcinfo, 1, &k);
	PG_RETURN_BOOL(touch(&k, 0));
}

Datum
cachecluster_incr(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcChange	c = {.op = CC_OP_INCR};
	CcOutcome	o;

	cc_args_key(fcinfo, 3, &k);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("increment must not be null")));
	c.by = PG_GETARG_INT64(1);
	c.ttl_ms = cc_args_ttl(fcinfo, 2);
	if (c.ttl_ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl of a counter must be positive")));
	(void) change(&c, &k, &o);
	cc_stats_add(CC_STAT_PUTS, 1);
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
	static CcBuf buf;
	bool		found;

	cc_args_key(fcinfo, 1, k);
	if (buf.cap > KEEP_BUF)
	{
		cc_buf_free(&buf);
		cc_buf_init(&buf);
	}
	buf.len = 0;
	found = cc_cache_get(k->ns, k->key, k->keylen, e, &buf);
	cc_stats_add(found ? CC_STAT_HITS : CC_STAT_MISSES, 1);
	return found;
}

static void
raise_wrong_type(const CcKey *k, const char *is, const char *use)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of cache key \"%s\" is of type %s",
					pnstrdup(k->key, k->keylen), is),
			 errhint("Read it with %s.", use)));
}

/* A peer whose database has another encoding may have written it. */
static void
check_encoding(const CcKey *k, const CcEntry *e)
{
	if (unlikely(!cc_args_is_text(e->value, e->vallen)))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("value of cache key \"%s\" is not text in the "
						"encoding of this database",
						pnstrdup(k->key, k->keylen))));
}

static int64
counter_value(const CcKey *k, const CcEntry *e)
{
	int64		number;

	if (!cc_counter_value(e->value, e->vallen, &number))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("counter of cache key \"%s\" is malformed",
						pnstrdup(k->key, k->keylen))));
	return number;
}

Datum
cachecluster_get(PG_FUNCTION_ARGS)
{
	CcKey		k;
	CcEntry		e;

	if (!read_entry(fcinfo, &k, &e) || (e.flags & CC_F_NULL) != 0)
		PG_RETURN_NULL();
	if (e.type == CC_BYTEA)
		raise_wrong_type(&k, "bytea", "cache_get_bytea");
	if (e.type == CC_COUNTER)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf(INT64_FORMAT,
												  counter_value(&k, &e))));
	check_encoding(&k, &e);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(e.value, e.vallen));
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
		raise_wrong_type(&k, "bytea", "cache_get_bytea");
	if (e.type == CC_COUNTER)
		PG_RETURN_DATUM(parse_json(&k, psprintf(INT64_FORMAT,
													counter_value(&k, &e))));
	check_encoding(&k, &e);
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
		raise_wrong_type(&k, names[e.type],
						 e.type == CC_JSONB ? "cache_get_jsonb" : "cache_get");
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(e.value, e.vallen));
}

/* Whether it is there, and its deadline; no hit and no miss. */
static bool
has(FunctionCallInfo fcinfo, int64 *expires)
{
	CcKey		k;

	cc_args_key(fcinfo, 1, &k);
	return cc_cache_has(k.ns, k.key, k.keylen, expires);
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
