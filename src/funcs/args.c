/*-------------------------------------------------------------------------
 *
 * args.c
 *	  What all SQL functions need.  See args.h.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/args.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "funcs/privileges.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

/* An interval that ends within the range of timestamps, whenever it begins */
#define SURELY_IN_RANGE	(INT64CONST(1000) * 365 * USECS_PER_DAY)

/* 1970 to 2000, in ms */
#define EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

void
cc_args_require_loaded(void)
{
	if (likely(cc.store != NULL))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cachecluster is not loaded"),
			 errhint("Add cachecluster to shared_preload_libraries and "
					 "restart the server.")));
}

const char *
cc_args_phase_name(void)
{
	return cc_state_phase_name(cc_state_phase());
}

void
cc_args_raise_not_ready(void)
{
	if (cc_state_phase() == CC_CLOSED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the cache is closed"),
				 errdetail("The server is shutting down.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the cache is not ready"),
			 errdetail("Its phase is \"%s\".", cc_args_phase_name()),
			 errhint("Wait for it with cache_wait_ready.")));
}

/*
 * Says that this system uses the caches of this database, so that another one
 * that drops a database of the same name leaves them alone.  Until it has been
 * said: a standby does not contradict what its primary took back, as its
 * catalogs may be behind.
 */
static void
note_use(const char *database)
{
	static bool noted = false;
	CcSystemChange s;
	CcOutcome	o;
	bool		was;

	if (noted || !cc_state_takes_writes())
		return;
	if (!cc_namespace_used(database, &was) && !(was && RecoveryInProgress()))
	{
		cc_namespace_use(&s, database, true);
		(void) cc_cache_change(&s.c, &o);
	}
	noted = true;
}

/* Names that this backend has asked for lately, most recent first */
#define RECENT			8

/*
 * Index of a namespace by its name.  An index is never given twice while the
 * server runs, and a database in use is not renamed, so it is remembered.
 */
static uint16
namespace_index(const char *name, Size len)
{
	static struct
	{
		char		name[CC_NAME_LEN];
		Size		len;
		uint16		ns;
	}			recent[RECENT];
	char		whole[CC_NAME_LEN];
	char	   *database;
	uint16		ns;
	int			i;

	for (i = 0; i < RECENT && recent[i].len != 0; i++)
	{
		if (recent[i].len == len && memcmp(recent[i].name, name, len) == 0)
			return recent[i].ns;
	}
	if (len == 0 || len >= CC_NAME_LEN || memchr(name, '\0', len) != NULL)
		return CC_NO_NS;
	memcpy(whole, name, len);
	whole[len] = '\0';
	database = get_database_name(MyDatabaseId);
	note_use(database);
	if (strcmp(whole, CC_DEFAULT_NS) == 0)
	{
		ns = cc_state_namespace(database, whole);
		if (ns == CC_NO_NS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("there are too many cache namespaces"),
					 errhint("The nodes of a group have at most %d in all "
							 "databases together.", CC_MAX_NAMESPACES - 1)));
	}
	else
		ns = cc_state_find_namespace(database, whole);
	pfree(database);
	if (ns == CC_NO_NS)
		return CC_NO_NS;
	i = Min(i, RECENT - 1);
	memmove(&recent[1], &recent[0], i * sizeof(recent[0]));
	memcpy(recent[0].name, whole, len);
	recent[0].len = len;
	recent[0].ns = ns;
	return ns;
}

uint16
cc_args_find_namespace(const char *name)
{
	uint16		ns = namespace_index(name, strlen(name));

	return ns != CC_NO_NS && cc_namespace_has(ns, CC_NS_DECLARED) ? ns :
		CC_NO_NS;
}

uint16
cc_args_namespace(FunctionCallInfo fcinfo, int arg, uint8 need)
{
	text	   *name;
	uint16		ns;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cache namespace must not be null")));

	name = PG_GETARG_TEXT_PP(arg);
	ns = namespace_index(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (ns == CC_NO_NS || !cc_namespace_has(ns, CC_NS_DECLARED))
	{
		/* its group or its file may know it */
		if (cc_state_phase() < CC_READY)
			cc_args_raise_not_ready();
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache namespace \"%s\" does not exist",
						text_to_cstring(name)),
				 errhint("Declare it with cache_namespace(%s), or use \"%s\", "
						 "which exists in every database.",
						 quote_literal_cstr(text_to_cstring(name)),
						 CC_DEFAULT_NS)));
	}
	cc_privileges_check(ns, need);
	return ns;
}

void
cc_args_check_key(const text *key)
{
	Size		len = VARSIZE_ANY_EXHDR(key);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cache key must not be empty"),
				 errhint("Keys have 1 to %d bytes.", CC_MAX_KEY)));
	if (len > CC_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cache key of %zu bytes is too long", len),
				 errhint("Keys have 1 to %d bytes.", CC_MAX_KEY)));
}

void
cc_args_key(FunctionCallInfo fcinfo, int ns_arg, uint8 need, CcKey *k)
{
	text	   *key;

	cc_args_require_loaded();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("cache key must not be null")));

	key = PG_GETARG_TEXT_PP(0);
	cc_args_check_key(key);
	k->key = VARDATA_ANY(key);
	k->keylen = (uint16) VARSIZE_ANY_EXHDR(key);
	k->ns = cc_args_namespace(fcinfo, ns_arg, need);
}

/*
 * An interval from now on, in microseconds.  Months and days are as long as
 * PostgreSQL makes them at this time.
 */
static int64
interval_usecs(Interval *interval)
{
	TimestampTz now;
	TimestampTz end;

	if (interval->month == 0 && interval->day == 0 &&
		interval->time < SURELY_IN_RANGE && interval->time > -SURELY_IN_RANGE)
		return interval->time;
	now = GetCurrentTimestamp();
	if (interval->month != 0 || interval->day != 0)
	{
		Datum		sum = DirectFunctionCall2(timestamptz_pl_interval,
											  TimestampTzGetDatum(now),
											  IntervalPGetDatum(interval));

		end = DatumGetTimestampTz(sum);
	}
	else if (pg_add_s64_overflow(now, interval->time, &end))
		end = DT_NOEND;
	if (TIMESTAMP_NOT_FINITE(end) || !IS_VALID_TIMESTAMP(end))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("interval out of range")));
	return end - now;
}

/* A part of a millisecond counts as a whole one. */
static int64
interval_ms(Interval *interval)
{
	int64		usecs = interval_usecs(interval);

	return usecs > 0 ? (usecs + 999) / 1000 : -1;
}

int64
cc_args_ttl(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? 0 : cc_args_span(PG_GETARG_INTERVAL_P(arg));
}

int64
cc_args_span(Interval *interval)
{
	if (cc_interval_is_infinite(interval))
		return interval->month > 0 ? 0 : -1;
	return interval_ms(interval);
}

int64
cc_args_timeout(FunctionCallInfo fcinfo, int arg)
{
	Interval   *interval = PG_GETARG_INTERVAL_P(arg);

	if (cc_interval_is_infinite(interval))
		return interval->month > 0 ? PG_INT64_MAX / 2 : 0;
	return Max(interval_ms(interval), 0);
}

TimestampTz
cc_args_timestamp(int64 ms)
{
	TimestampTz t;

	if (ms < EPOCH_MS + MIN_TIMESTAMP / 1000)
		return DT_NOBEGIN;
	if (ms >= EPOCH_MS + END_TIMESTAMP / 1000)
		return DT_NOEND;
	t = (ms - EPOCH_MS) * 1000;
	return t;
}

Datum
cc_args_interval(int64 ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	if (pg_mul_s64_overflow(ms, 1000, &interval->time))
		interval->time = ms < 0 ? -INT64CONST(86400000000) * 36525000 :
			INT64CONST(86400000000) * 36525000;
	return DirectFunctionCall1(interval_justify_hours,
							   IntervalPGetDatum(interval));
}

bool
cc_args_is_text(const char *data, Size len)
{
	return pg_verify_mbstr(GetDatabaseEncoding(), data, (int) len, true);
}

char *
cc_args_name(const char *name)
{
	if (name[0] == '\0' || !cc_args_is_text(name, strlen(name)))
		return NULL;
	return pstrdup(name);
}
