/*-------------------------------------------------------------------------
 *
 * mergesig.c
 *	  Which functions can merge.  See mergesig.h.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/mergesig.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "catalog/dependency.h"
#include "catalog/pg_database.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/privileges.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#define SIMPLE_FORM \
	"f(ours cache_entry, theirs cache_entry) RETURNS cache_entry"
#define FULL_FORM \
	"f(ours cache_entry, theirs cache_entry, state jsonb) RETURNS cache_merge"
/* Whether it is the extension's type of this name, in whichever schema. */
static bool
is_our_type(Oid type, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return false;
	same = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname),
				  name) == 0;
	ReleaseSysCache(tuple);
	return same && getExtensionOfObject(TypeRelationId, type) ==
		get_extension_oid("cachecluster", false);
}

static HeapTuple
function_tuple(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	return tuple;
}

static bool
has_merge_form(Form_pg_proc proc, CcMergeSignature *sig)
{
	sig->full = proc->pronargs == 3;
	sig->entry = proc->pronargs > 0 ? proc->proargtypes.values[0] : InvalidOid;
	sig->result = proc->prorettype;
	return proc->prokind == PROKIND_FUNCTION && !proc->proretset &&
		(proc->pronargs == 2 || proc->pronargs == 3) &&
		proc->proargtypes.values[1] == sig->entry &&
		(!sig->full || proc->proargtypes.values[2] == JSONBOID) &&
		(sig->full || sig->result == sig->entry) &&
		is_our_type(sig->entry, "cache_entry") &&
		(!sig->full || is_our_type(sig->result, "cache_merge"));
}

/*
 * One that is STRICT is not called where a side deleted the key, and its NULL
 * would delete it on the other side too; the full form is called with NULLs
 * first.
 */
void
cc_mergesig_check(Oid function, CcMergeSignature *sig)
{
	HeapTuple	tuple = function_tuple(function);
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	bool		fits = has_merge_form(proc, sig);
	bool		strict = proc->proisstrict;

	ReleaseSysCache(tuple);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot merge",
						format_procedure(function)),
				 errhint("A merge function is " SIMPLE_FORM ", or "
						 FULL_FORM ".")));
	if (strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("merge function %s must not be strict",
						format_procedure(function)),
				 errdetail("An argument is null where that side deleted the "
						   "key."),
				 errhint("Declare it CALLED ON NULL INPUT.")));
}

static bool
returns_keys(Oid function)
{
	TupleDesc	desc;

	return get_func_result_type(function, NULL, &desc) == TYPEFUNC_COMPOSITE &&
		desc->natts == 2 &&
		!TupleDescAttr(desc, 0)->attisdropped &&
		!TupleDescAttr(desc, 1)->attisdropped &&
		TupleDescAttr(desc, 0)->atttypid == TEXTARRAYOID &&
		TupleDescAttr(desc, 1)->atttypid == JSONBOID;
}

void
cc_mergesig_check_fetcher(Oid function)
{
	HeapTuple	tuple = function_tuple(function);
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	bool		fits = proc->prokind == PROKIND_FUNCTION &&
		proc->pronargs == 3 &&
		proc->proargtypes.values[0] == TEXTOID &&
		proc->proargtypes.values[1] == TEXTOID &&
		proc->proargtypes.values[2] == JSONBOID;

	ReleaseSysCache(tuple);
	if (!fits || !returns_keys(function))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot fetch keys to merge",
						format_procedure(function)),
				 errhint("A fetcher is f(text, text, jsonb), given namespace, "
						 "node and state, and returns a row of text[] and "
						 "jsonb, the keys and the next state.")));
}

void
cc_mergesig_check_execute(Oid function, Oid role)
{
	if (cc_proc_aclcheck(function, role, ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute function %s",
						GetUserNameFromId(role, false),
						format_procedure(function)),
				 errhint("Merge functions run as the owner of the cache "
						 "namespace, who needs the privilege EXECUTE.")));
}

static Oid
database_owner(const char *database)
{
	Oid			oid = get_database_oid(database, false);
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", oid);
	owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
cc_mergesig_owner(uint16 ns, const CcDeclaration *d)
{
	Oid			owner;

	if (d->owner[0] == '\0')
		return database_owner(cc_namespace(ns)->database);
	if (!cc_privileges_counts(d->owner, d->owner_since, &owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", which owns cache namespace \"%s\", does "
						"not exist here", d->owner, cc_namespace(ns)->name),
				 errhint("Merge functions run as the owner of the cache "
						 "namespace.")));
	return owner;
}

Oid
cc_mergesig_find(const char *name)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		found = (Datum) 0;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	if (cc_args_is_text(name, strlen(name)))
	{
		fcinfo->args[0].value = CStringGetTextDatum(name);
		fcinfo->args[0].isnull = false;
		found = to_regprocedure(fcinfo);
	}
	else
		fcinfo->isnull = true;
	if (fcinfo->isnull || !OidIsValid(DatumGetObjectId(found)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s does not exist",
						cc_args_is_text(name, strlen(name)) ? name : "?")));
	return DatumGetObjectId(found);
}
