/*-------------------------------------------------------------------------
 *
 * nsviewfuncs.c
 *	  The SQL function behind the view cache_namespaces.
 *
 * Everybody may see what was declared; what a namespace holds is for those
 * who may read it or all statistics.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/privileges.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(cachecluster_namespaces);

/* Columns of cache_namespaces */
enum
{
	COL_NAME, COL_DATABASE, COL_OWNER, COL_TTL, COL_REQUIRE_TTL, COL_PERSIST,
	COL_REPLICATE, COL_WRITES, COL_ON_SPLIT, COL_MAX_MEMORY, COL_SLIDING,
	COL_MAX_AGE, COL_GRACE, COL_MERGE_FUNCTION, COL_PRIVILEGES, COL_ENTRIES,
	COL_BYTES, NCOLS
};

static void
set_text(Datum *values, bool *nulls, int col, const char *text)
{
	char	   *valid = text == NULL ? NULL : cc_args_name(text);

	nulls[col] = valid == NULL;
	if (!nulls[col])
		values[col] = CStringGetTextDatum(valid);
}

static void
set_span(Datum *values, bool *nulls, int col, int64 ms)
{
	nulls[col] = ms == 0;
	if (!nulls[col])
		values[col] = cc_args_interval(ms);
}

/* The owner of a database by name, NULL where it is not on this server. */
static const char *
database_owner(const char *database)
{
	Oid			oid = get_database_oid(database, true);
	HeapTuple	tuple = OidIsValid(oid) ?
		SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid)) : NULL;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = GetUserNameFromId(((Form_pg_database) GETSTRUCT(tuple))->datdba,
							 true);
	ReleaseSysCache(tuple);
	return name;
}

/* What every role was granted, as far as that counts on this system. */
static void
set_privileges_column(Datum *values, bool *nulls, CcDeclaration *d)
{
	Datum		items[CC_MAX_ACL];
	int			n = 0;

	for (int i = 0; i < d->nacl; i++)
	{
		CcAclItem  *a = &d->acl[i];
		uint8		bits = 0;
		Oid			oid;

		for (int j = i; j < d->nacl; j++)
		{
			CcAclItem  *b = &d->acl[j];

			if (strcmp(a->role, b->role) != 0)
				continue;
			if (strcmp(a->role, CC_PUBLIC) == 0 ||
				cc_privileges_counts(b->role, b->since, &oid) ||
				!OidIsValid(oid))
				bits |= b->privileges;
			b->privileges = 0;
		}
		if (bits != 0 && cc_args_is_text(a->role, strlen(a->role)))
			items[n++] = CStringGetTextDatum(
				psprintf("%s=%s", a->role, bits == CC_PRIV_READ ? "read" :
						 bits == CC_PRIV_WRITE ? "write" : "read,write"));
	}
	nulls[COL_PRIVILEGES] = false;
	values[COL_PRIVILEGES] =
		PointerGetDatum(construct_array(items, n, TEXTOID, -1, false,
										TYPALIGN_INT));
}

static void
form_namespace(uint16 ns, CcDeclaration *d, Datum *values, bool *nulls)
{
	const CcNamespaceShared *n = cc_namespace(ns);

	memset(nulls, 0, NCOLS * sizeof(bool));
	set_text(values, nulls, COL_NAME, n->name);
	set_text(values, nulls, COL_DATABASE, n->database);
	set_text(values, nulls, COL_OWNER, d->owner[0] != '\0' ? d->owner :
			 database_owner(n->database));
	set_span(values, nulls, COL_TTL, d->ttl_ms);
	values[COL_REQUIRE_TTL] = BoolGetDatum(d->require_ttl);
	values[COL_PERSIST] = BoolGetDatum(d->persist);
	values[COL_REPLICATE] = BoolGetDatum(d->replicate);
	set_text(values, nulls, COL_WRITES, d->sync ? "sync" : "async");
	set_text(values, nulls, COL_ON_SPLIT, cc_namespace_on_split[d->on_split]);
	nulls[COL_MAX_MEMORY] = d->max_memory == 0;
	values[COL_MAX_MEMORY] = Int64GetDatum((int64) d->max_memory);
	values[COL_SLIDING] = BoolGetDatum(d->sliding);
	set_span(values, nulls, COL_MAX_AGE, d->max_age_ms);
	set_span(values, nulls, COL_GRACE, d->grace_ms);
	set_text(values, nulls, COL_MERGE_FUNCTION, d->merge);
	set_privileges_column(values, nulls, d);
	nulls[COL_ENTRIES] = nulls[COL_BYTES] =
		!cc_privileges_has(ns, CC_PRIV_READ) &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	values[COL_ENTRIES] =
		Int64GetDatum((int64) pg_atomic_read_u64(&cc_namespace(ns)->entries));
	values[COL_BYTES] =
		Int64GetDatum((int64) pg_atomic_read_u64(&cc_namespace(ns)->chunks) *
					  CC_CHUNK_SIZE);
}

/* What was cleared is counted until it is found, so then they are looked at. */
static bool
has_entries(uint16 ns)
{
	return pg_atomic_read_u64(&cc_namespace(ns)->entries) > 0 &&
		(pg_atomic_read_u64(&cc_namespace(ns)->horizon) == 0 ||
		 cc_cache_count(ns) > 0);
}

/*
 * Every database has a "default", also one that is long gone; that of another
 * database is shown when something was said of it, this server uses it or it
 * holds something.
 */
static bool
is_shown(uint16 ns, const CcDeclaration *d, const char *database)
{
	bool		was;

	return d->version != 0 ||
		strcmp(cc_namespace(ns)->database, database) == 0 ||
		cc_namespace_used(cc_namespace(ns)->database, &was) ||
		has_entries(ns);
}

Datum
cachecluster_namespaces(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *database = get_database_name(MyDatabaseId);
	uint32		n;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NCOLS)
		elog(ERROR, "cache_namespaces has %d columns", NCOLS);

	/* so that it is there */
	(void) cc_args_find_namespace(CC_DEFAULT_NS);
	n = pg_atomic_read_u32(&cc.state->nnamespaces);
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcDeclaration d;
		Datum		values[NCOLS];
		bool		nulls[NCOLS];

		CHECK_FOR_INTERRUPTS();
		if (!cc_namespace_read((uint16) ns, &d) ||
			!is_shown((uint16) ns, &d, database))
			continue;
		form_namespace((uint16) ns, &d, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
