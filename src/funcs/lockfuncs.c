/*-------------------------------------------------------------------------
 *
 * lockfuncs.c
 *	  cache_get_or_lock: of many who miss a key one computes it.
 *
 * The order of the steps is what keeps two from computing: who has taken the
 * lock looks for the key once more, since whoever put it did so before he
 * ended the lock.
 *
 * Locking: none is held when an error is raised; while it waits, none at all.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/stats.h"
#include "cache/keylock.h"
#include "cache/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/value.h"

PG_FUNCTION_INFO_V1(cachecluster_get_or_lock);

/* Order of its arguments */
enum
{
	ARG_KEY, ARG_LOCK_TTL, ARG_WAIT, ARG_NAMESPACE
};

/* ... and of what it returns */
enum
{
	COL_VALUE, COL_STALE, COL_MUST_COMPUTE, NCOLS
};

typedef struct Answer
{
	bool		found;
	text	   *value;			/* NULL: NULL, or not found */
	bool		stale;			/* found in its grace */
	bool		must_compute;
} Answer;

/* What is there now; fresh, stale or nothing. */
static void
look(const CcKey *k, Answer *a)
{
	CcEntry		e;

	a->found = cc_xact_get_stale(k->ns, k->key, k->keylen, &e,
								 cc_value_buffer(), &a->stale);
	a->value = a->found && (e.flags & CC_F_NULL) == 0 ?
		cc_value_text(k, &e) : NULL;
}

static bool
is_hit(const Answer *a)
{
	return a->found && !a->stale;
}

/*
 * Tries to be the one who computes.  False when another one is, or when the
 * value has come, which a says then.
 */
static bool
take(const CcKey *k, const uint64 hash[2], int64 lock_ttl, Answer *a)
{
	/* while reads miss whatever there is, nobody waits for anything */
	if (!cc_state_serves())
		return true;
	if (!cc_keylock_take(hash, lock_ttl))
		return false;
	look(k, a);
	if (!is_hit(a))
		return true;
	cc_keylock_give_up(hash);
	return false;
}

static void
get_or_lock(const CcKey *k, int64 lock_ttl, int64 wait, Answer *a)
{
	int64		until = cc_monotonic_ms() + wait;
	uint64		hash[2];

	cc_store_hash(k->ns, k->key, k->keylen, hash);
	memset(a, 0, sizeof(*a));
	for (;;)
	{
		int64		left;

		look(k, a);
		if (is_hit(a))
			return;
		if (take(k, hash, lock_ttl, a))
		{
			a->must_compute = true;
			return;
		}
		/* the others do with what is stale */
		if (a->found)
			return;
		left = until - cc_monotonic_ms();
		if (left <= 0)
			return;
		cc_keylock_wait(hash, left);
	}
}

static int64
time_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return cc_args_timeout(fcinfo, arg);
}

Datum
cachecluster_get_or_lock(PG_FUNCTION_ARGS)
{
	CcKey		k;
	Answer		a;
	int64		lock_ttl;
	int64		wait;
	TupleDesc	desc;
	Datum		values[NCOLS];
	bool		nulls[NCOLS] = {false};

	cc_args_key(fcinfo, ARG_NAMESPACE, CC_PRIV_READ | CC_PRIV_WRITE, &k);
	lock_ttl = time_argument(fcinfo, ARG_LOCK_TTL, "lock_ttl");
	wait = time_argument(fcinfo, ARG_WAIT, "wait");
	if (lock_ttl <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lock_ttl must be positive")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	get_or_lock(&k, lock_ttl, wait, &a);

	/* told to compute, or left with nothing: what is put next is a fill */
	if (!is_hit(&a))
		cc_xact_missed(k.ns, k.key, k.keylen);
	cc_stats_count(a.found && !a.must_compute ? CC_STAT_HITS : CC_STAT_MISSES,
				   k.ns, 1);

	nulls[COL_VALUE] = a.value == NULL;
	values[COL_VALUE] = PointerGetDatum(a.value);
	values[COL_STALE] = BoolGetDatum(a.stale);
	values[COL_MUST_COMPUTE] = BoolGetDatum(a.must_compute);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
