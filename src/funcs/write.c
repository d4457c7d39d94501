/*-------------------------------------------------------------------------
 *
 * write.c
 *	  See write.h.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/write.h"

#include "base/guc.h"
#include "base/stats.h"
#include "cache/files.h"
#include "cluster/membership.h"
#include "cache/extra.h"
#include "funcs/args.h"
#include "funcs/sync.h"
#include "utils/builtins.h"

void
cc_write_options(CcChange *c, const CcPutOptions *o)
{
	const CcNamespaceShared *ns = cc_namespace(c->ns);
	uint32		flags = pg_atomic_read_u32(&cc_namespace(c->ns)->flags);

	c->ttl_ms = o->have_ttl ? o->ttl_ms :
		(int64) pg_atomic_read_u64(&cc_namespace(c->ns)->ttl_ms);

	/* what keep_ttl keeps is there only if the put asks for it */
	if (unlikely(c->ttl_ms == 0 && (flags & CC_NS_REQUIRE_TTL) != 0 &&
				 !(c->keep_ttl && (c->if_present || c->if_version != 0))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache namespace \"%s\" requires a ttl", ns->name),
				 errhint("Give one in the call, or the namespace a default "
						 "with cache_namespace(%s, ttl => ...).",
						 quote_literal_cstr(ns->name))));
	c->grace_ms = o->have_grace ? o->grace_ms :
		(int64) pg_atomic_read_u64(&cc_namespace(c->ns)->grace_ms);
	c->sliding = o->have_sliding ? o->sliding :
		(flags & CC_NS_SLIDING) != 0 && c->ttl_ms > 0;
	if (c->sliding && c->ttl_ms == 0 && !c->keep_ttl)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sliding entry needs a ttl")));
	c->max_age_ms =
		(int64) pg_atomic_read_u64(&cc_namespace(c->ns)->max_age_ms);
}

void
cc_write_check_size(Size len)
{
	if (likely(len <= (Size) cc_max_value_size))
		return;
	cc_stats_add(CC_STAT_REJECTED, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("cache value of %zu bytes is too large", len),
			 errhint("Values have at most %d bytes, as set by "
					 "cachecluster.max_value_size.", cc_max_value_size)));
}

/*
 * The error for a value, or a counter with all its parts, that does not fit:
 * by the bound of its namespace, or by half a partition.
 */
static void
raise_too_large(const CcChange *c)
{
	const char *name = cc_namespace(c->ns)->name;
	uint64		bound = pg_atomic_read_u64(&cc_namespace(c->ns)->max_chunks);
	Size		most = cc_store_max_payload();
	bool		by_bound = bound != 0 && cc_store_payload(bound) < most;

	if (by_bound)
		most = cc_store_payload(bound);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 c->op == CC_OP_INCR ?
			 errmsg("cache counter is too large") :
			 errmsg("cache value of %u bytes is too large", c->vallen),
			 by_bound ?
			 errhint("With the max_memory of cache namespace \"%s\" key and "
					 "value have at most %zu bytes together.",
					 name, most - CC_EXTRA_VALUE) :
			 errhint("With this setting of cachecluster.memory key "
					 "and value have at most %zu bytes together.",
					 most - CC_EXTRA_VALUE)));
}

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
			raise_too_large(c);
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

void
cc_write_check(bool forced)
{
	int			reachable;

	if (likely(cc_min_nodes <= 1) || forced)
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

/* What must be waited for after something was done at once. */
static void
wait_for(uint16 ns, const CcOutcome *o)
{
	if (cc_journal_sync_mode == CC_SYNC_ALWAYS)
		cc_cache_wait_journal(o->pos, true);
	cc_sync_wait(ns, o->pos);
}

static bool
acts_at_once(const CcChange *c)
{
	return c->op == CC_OP_INCR || c->op == CC_OP_FETCH;
}

static bool
acts_now(const CcChange *c, bool immediate)
{
	return immediate || acts_at_once(c) || !cc_xact_defers(c->ns);
}

void
cc_write_probe(const CcChange *c)
{
	CcOutcome	o;
	CcResult	result;

	cc_write_check(false);
	result = cc_cache_probe(c, &o);
	if (unlikely(result != CC_DONE && result != CC_UNCHANGED))
		reject(result, c);
}

CcResult
cc_write_part(CcChange *c, bool immediate, CcOutcome *o)
{
	CcResult	result;

	cc_write_check(false);
	result = acts_now(c, immediate) ? cc_xact_now(c, o) :
		cc_xact_add(c, o, false);
	if (unlikely(result != CC_DONE && result != CC_UNCHANGED))
		reject(result, c);
	return result;
}

void
cc_write_wait(uint16 ns, const CcOutcome *last)
{
	if (!cc_xact_defers(ns))
		wait_for(ns, last);
}

CcResult
cc_write(CcChange *c, bool immediate, CcOutcome *o)
{
	CcResult	result = cc_write_part(c, immediate, o);

	if (result == CC_DONE && acts_now(c, immediate))
		wait_for(c->ns, o);
	return result;
}

void
cc_write_check_ready(void)
{
	if (likely(cc_state_takes_writes()))
		return;
	cc_stats_add(CC_STAT_REJECTED, 1);
	cc_args_raise_not_ready();
}

void
cc_write_clear(uint16 ns)
{
	CcChange	c = {.op = CC_OP_DELETE};
	CcResult	result;

	cc_write_check(false);
	cc_write_check_ready();
	if (cc_xact_defers(ns))
	{
		cc_xact_clear(ns, false);
		return;
	}
	result = cc_xact_clear_now(ns);
	if (result != CC_DONE)
		reject(result, &c);
	cc_sync_wait_all(ns);
}

void
cc_write_invalidate(uint16 ns, const char *key, uint16 keylen)
{
	CcChange	c = {.op = CC_OP_DELETE, .ns = ns, .key = key, .keylen = keylen};
	CcOutcome	o;
	CcResult	result;

	c.lsn = PG_UINT64_MAX;		/* known at the commit */
	result = cc_xact_add(&c, &o, true);
	if (result != CC_DONE && result != CC_UNCHANGED)
		reject(result, &c);
}

void
cc_write_invalidate_all(uint16 ns)
{
	cc_write_check_ready();
	cc_xact_clear(ns, true);
}
