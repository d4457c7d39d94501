/*-------------------------------------------------------------------------
 *
 * nsfuncs.c
 *	  SQL functions that declare namespaces: cache_namespace,
 *	  cache_drop_namespace, cache_grant, cache_revoke.
 *
 * Declarations act at once, whatever becomes of the transaction, and are in
 * the journal when the call returns.  Each is stored in place of the one that
 * it was made from; where another came first it is made again from that.
 *
 * Locking: none here, and none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/compat.h"
#include "cache/files.h"
#include "cache/namespace.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcs/nsfuncs.h"
#include "funcs/privileges.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(cachecluster_namespace);
PG_FUNCTION_INFO_V1(cachecluster_drop_namespace);
PG_FUNCTION_INFO_V1(cachecluster_grant);
PG_FUNCTION_INFO_V1(cachecluster_revoke);

bool		cc_nsfuncs_merging = false;

/* Order of cache_namespace's arguments */
enum
{
	ARG_NAME, ARG_TTL, ARG_REQUIRE_TTL, ARG_PERSIST, ARG_REPLICATE, ARG_WRITES,
	ARG_ON_SPLIT, ARG_MAX_MEMORY, ARG_SLIDING, ARG_MAX_AGE, ARG_GRACE
};

/*
 * Arguments
 */

static char *
text_arg(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Name of a namespace that may be declared. */
static char *
read_name(FunctionCallInfo fcinfo)
{
	char	   *name = text_arg(fcinfo, ARG_NAME, "cache namespace");

	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a cache namespace must not be empty"),
				 errhint("Names have 1 to %d bytes.", CC_NAME_LEN - 1)));
	if (strlen(name) >= CC_NAME_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("name of a cache namespace has %zu bytes and is too "
						"long", strlen(name)),
				 errhint("Names have 1 to %d bytes.", CC_NAME_LEN - 1)));
	return name;
}

/* An interval in ms, 0 for none. */
static void
read_span(FunctionCallInfo fcinfo, int arg, const char *what, int64 *ms)
{
	Interval	zero = {0};
	int			cmp;

	if (PG_ARGISNULL(arg))
		return;
	cmp = DatumGetInt32(DirectFunctionCall2(interval_cmp,
											PG_GETARG_DATUM(arg),
											IntervalPGetDatum(&zero)));
	*ms = cmp == 0 ? 0 : cc_args_ttl(fcinfo, arg);
	if (cmp < 0 || *ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", what),
				 errhint("Zero means none.")));
}

/* Any number of bytes, or a text with a unit: both by their text. */
static void
read_memory(FunctionCallInfo fcinfo, uint64 *bytes)
{
	Oid			type;
	Oid			out;
	bool		is_varlena;
	char	   *written;
	int64		n;

	if (PG_ARGISNULL(ARG_MAX_MEMORY))
		return;
	type = get_fn_expr_argtype(fcinfo->flinfo, ARG_MAX_MEMORY);
	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of max_memory");
	getTypeOutputInfo(type, &out, &is_varlena);
	written = OidOutputFunctionCall(out, PG_GETARG_DATUM(ARG_MAX_MEMORY));
	n = DatumGetInt64(DirectFunctionCall1(pg_size_bytes,
										  CStringGetTextDatum(written)));
	if (n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", "max_memory"),
				 errhint("Zero means none.")));
	*bytes = (uint64) n;
}

static void
read_flag(FunctionCallInfo fcinfo, int arg, bool *flag)
{
	if (!PG_ARGISNULL(arg))
		*flag = PG_GETARG_BOOL(arg);
}

static void
read_writes(FunctionCallInfo fcinfo, bool *sync)
{
	char	   *word;

	if (PG_ARGISNULL(ARG_WRITES))
		return;
	word = text_to_cstring(PG_GETARG_TEXT_PP(ARG_WRITES));
	*sync = strcmp(word, "sync") == 0;
	if (!*sync && strcmp(word, "async") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for writes: \"%s\"", word),
				 errhint("It is one of async, sync.")));
}

static void
read_on_split(FunctionCallInfo fcinfo, CcDeclaration *d)
{
	char	   *word;
	int			i = 0;

	if (PG_ARGISNULL(ARG_ON_SPLIT))
		return;
	word = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ON_SPLIT));
	while (i <= CC_LAST_ON_SPLIT && strcmp(word, cc_namespace_on_split[i]) != 0)
		i++;
	if (i > CC_LAST_ON_SPLIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for on_split: \"%s\"", word),
				 errhint("It is one of latest, oldest_island, largest_island, "
						 "longest_ttl, merge, manual.")));
	if (i == CC_SPLIT_MERGE && d->merge[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("on_split \"merge\" needs a merge function"),
				 errhint("Set it with cache_set_merge(namespace, function), "
						 "which sets on_split too.")));
	d->on_split = (uint8) i;
}

/*
 * Declaring
 */

static void
raise_too_many(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("there are too many cache namespaces"),
			 errhint("The nodes of a group have at most %d in all "
					 "databases together.",
					 CC_MAX_NAMESPACES - CC_KEPT_NAMESPACES - 1)));
}

/*
 * Index for a name that is not declared.  Every role may declare, as a rule,
 * and an index is never given back: so the last ones are not for what is
 * declared, or one role could keep all others from using new databases.
 */
static uint16
index_for(const char *name)
{
	char	   *database = get_database_name(MyDatabaseId);
	uint16		ns = cc_state_find_namespace(database, name);

	if (ns == CC_NO_NS && pg_atomic_read_u32(&cc.state->nnamespaces) <
		CC_MAX_NAMESPACES - CC_KEPT_NAMESPACES)
		ns = cc_state_namespace(database, name);
	if (ns == CC_NO_NS)
		raise_too_many();
	return ns;
}

/* Words the results of a write that was not done. */
static void
reject(CcResult result)
{
	if (result == CC_NOT_READY)
		cc_args_raise_not_ready();
	if (result == CC_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("declaration of the cache namespace is too large")));
	if (result != CC_DONE)
		elog(ERROR, "unexpected result %d of a declaration", result);
}

/* What was said is in the journal before the call returns. */
static void
wait_for_journal(uint64 pos)
{
	cc_cache_wait_journal(pos, cc_journal_sync_mode == CC_SYNC_ALWAYS);
}

/* Makes a change of a system entry now; returns its position. */
static uint64
change_now(CcSystemChange *s)
{
	CcOutcome	o;
	CcResult	result = cc_cache_change(&s->c, &o);

	reject(result);
	return o.pos;
}

void
cc_nsfuncs_forbid_merging(void)
{
	if (cc_nsfuncs_merging)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("merge functions cannot declare cache namespaces, nor "
						"ask for conflicts to be decided again")));
}

bool
cc_nsfuncs_store(uint16 ns, CcDeclaration *d)
{
	uint64		pos = 0;
	CcResult	result;

	cc_nsfuncs_forbid_merging();
	result = cc_namespace_store(ns, d, &pos);
	if (result == CC_UNCHANGED)
		return false;
	reject(result);
	wait_for_journal(pos);
	return true;
}

/*
 * A node that is not ready does not know what the group has said meanwhile,
 * and would overwrite it, as the latest declaration wins as a whole.
 */
static void
require_ready(void)
{
	cc_args_require_loaded();
	if (cc_state_phase() != CC_READY)
		cc_args_raise_not_ready();
}

static void
check_may_create(const char *name)
{
	if (cc_database_aclcheck(MyDatabaseId, GetUserId(),
							 ACL_CREATE | ACL_CREATE_TEMP) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to create cache namespace \"%s\"",
						name),
				 errhint("It takes the privilege CREATE or TEMPORARY on the "
						 "database.")));
}

/* The declaration to begin with; false: it is a new one, and the user's. */
static bool
begin_declaration(uint16 ns, CcDeclaration *d)
{
	memset(d, 0, sizeof(*d));
	if (cc_namespace_read(ns, d))
	{
		cc_privileges_check_owner(ns);
		return true;
	}
	if (d->version != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("declaration of cache namespace \"%s\" cannot be "
						"read", cc_namespace(ns)->name),
				 errhint("Another node may run a newer release.")));
	check_may_create(cc_namespace(ns)->name);
	strlcpy(d->owner, GetUserNameFromId(GetUserId(), false), CC_NAME_LEN);
	cc_privileges_bind(d->owner);
	return false;
}

static void
read_settings(FunctionCallInfo fcinfo, CcDeclaration *d, bool exists)
{
	bool		replicate = d->replicate;

	read_span(fcinfo, ARG_TTL, "ttl", &d->ttl_ms);
	read_flag(fcinfo, ARG_REQUIRE_TTL, &d->require_ttl);
	read_flag(fcinfo, ARG_PERSIST, &d->persist);
	read_flag(fcinfo, ARG_REPLICATE, &d->replicate);
	read_writes(fcinfo, &d->sync);
	read_on_split(fcinfo, d);
	read_memory(fcinfo, &d->max_memory);
	read_flag(fcinfo, ARG_SLIDING, &d->sliding);
	read_span(fcinfo, ARG_MAX_AGE, "max_age", &d->max_age_ms);
	read_span(fcinfo, ARG_GRACE, "grace", &d->grace_ms);
	if (exists && d->replicate != replicate)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("replicate cannot be changed"),
				 errhint("Drop the cache namespace and declare it again.")));
}

/* One try; false when another declaration came first. */
static bool
declare(FunctionCallInfo fcinfo, uint16 ns)
{
	CcDeclaration d;
	CcDeclaration old;
	bool		exists = begin_declaration(ns, &d);

	memcpy(&old, &d, sizeof(d));
	read_settings(fcinfo, &d, exists);
	if (exists && memcmp(&old, &d, sizeof(d)) == 0)
		return true;

	/*
	 * Nothing of the former life of a name comes back.  A name that nobody has
	 * dropped keeps what it has: another node may have declared it as well,
	 * and puts be on their way.
	 */
	if (!exists && cc_namespace_was_dropped(ns))
		reject(cc_cache_clear(ns));
	return cc_nsfuncs_store(ns, &d);
}

Datum
cachecluster_namespace(PG_FUNCTION_ARGS)
{
	char	   *name;
	uint16		ns;

	require_ready();
	name = read_name(fcinfo);
	ns = cc_args_find_namespace(name);
	if (ns == CC_NO_NS)
	{
		CcDeclaration probe = {.persist = true, .replicate = true};

		/* what fails shall not use up an index */
		check_may_create(name);
		read_settings(fcinfo, &probe, false);
		ns = index_for(name);
	}
	while (!declare(fcinfo, ns))
		CHECK_FOR_INTERRUPTS();
	PG_RETURN_VOID();
}

uint16
cc_nsfuncs_existing(FunctionCallInfo fcinfo)
{
	require_ready();
	return cc_args_namespace(fcinfo, 0, 0);
}

Datum
cachecluster_drop_namespace(PG_FUNCTION_ARGS)
{
	uint16		ns = cc_nsfuncs_existing(fcinfo);
	CcSystemChange s;

	cc_privileges_check_owner(ns);
	if (strcmp(cc_namespace(ns)->name, CC_DEFAULT_NS) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cache namespace \"%s\" cannot be dropped",
						CC_DEFAULT_NS),
				 errhint("It can be emptied with cache_clear.")));

	/* nothing is put into it any more when its horizon is raised */
	cc_namespace_drop(&s, ns);
	(void) change_now(&s);
	cc_namespace_clear(&s, ns);
	wait_for_journal(change_now(&s));
	PG_RETURN_VOID();
}

/*
 * Granting
 */

static uint8
parse_privileges(const char *list)
{
	char	   *copy = pstrdup(list);
	char	   *word;
	uint8		bits = 0;

	for (char *rest = copy; rest != NULL;)
	{
		word = strsep(&rest, ",");
		while (scanner_isspace(*word))
			word++;
		for (Size n = strlen(word); n > 0 && scanner_isspace(word[n - 1]); n--)
			word[n - 1] = '\0';
		if (pg_strcasecmp(word, "read") == 0)
			bits |= CC_PRIV_READ;
		else if (pg_strcasecmp(word, "write") == 0)
			bits |= CC_PRIV_WRITE;
		else if (pg_strcasecmp(word, "all") == 0)
			bits |= CC_PRIV_ALL;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid privilege on a cache namespace: \"%s\"",
							word),
					 errhint("It is one of read, write, all, or several of "
							 "them separated by commas.")));
	}
	pfree(copy);
	return bits;
}

/* Takes privileges from a role; true when it had one. */
static bool
take_away(CcDeclaration *d, const char *role, uint8 bits)
{
	int			kept = 0;
	bool		had = false;

	for (int i = 0; i < d->nacl; i++)
	{
		if (strcmp(d->acl[i].role, role) == 0)
		{
			had |= (d->acl[i].privileges & bits) != 0;
			d->acl[i].privileges &= ~bits;
			if (d->acl[i].privileges == 0)
				continue;
		}
		if (kept != i)
			memcpy(&d->acl[kept], &d->acl[i], sizeof(CcAclItem));
		kept++;
	}
	d->nacl = kept;
	return had;
}

/*
 * What is given is given now, to the role that has the name now.  A privilege
 * that a role of this name has from earlier keeps its own time, so that it is
 * not renewed where it counts no more.
 */
static void
give(CcDeclaration *d, const char *role, uint8 bits)
{
	CcAclItem  *a;

	cc_privileges_bind(role);
	(void) take_away(d, role, bits);
	if (d->nacl >= CC_MAX_ACL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cache namespace has too many grants"),
				 errhint("It has at most %d; grant to a role that others are "
						 "members of.", CC_MAX_ACL)));
	a = &d->acl[d->nacl++];
	memset(a, 0, sizeof(*a));
	strlcpy(a->role, role, sizeof(a->role));
	a->privileges = bits;
}

/* One try; false when another declaration came first. */
static bool
set_privileges(uint16 ns, const char *role, uint8 bits, bool grant)
{
	CcDeclaration d;

	if (!cc_namespace_read(ns, &d))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache namespace \"%s\" does not exist",
						cc_namespace(ns)->name)));
	cc_privileges_check_owner(ns);
	if (grant)
		give(&d, role, bits);
	else if (!take_away(&d, role, bits))
	{
		if (strcmp(role, CC_PUBLIC) != 0)
			(void) get_role_oid(role, false);
		return true;
	}
	return cc_nsfuncs_store(ns, &d);
}

static void
change_privileges(FunctionCallInfo fcinfo, bool grant)
{
	uint16		ns = cc_nsfuncs_existing(fcinfo);
	char	   *role = text_arg(fcinfo, 1, "role");
	uint8		bits = parse_privileges(text_arg(fcinfo, 2, "privileges"));

	while (!set_privileges(ns, role, bits, grant))
		CHECK_FOR_INTERRUPTS();
}

Datum
cachecluster_grant(PG_FUNCTION_ARGS)
{
	change_privileges(fcinfo, true);
	PG_RETURN_VOID();
}

Datum
cachecluster_revoke(PG_FUNCTION_ARGS)
{
	change_privileges(fcinfo, false);
	PG_RETURN_VOID();
}
