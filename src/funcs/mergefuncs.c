/*-------------------------------------------------------------------------
 *
 * mergefuncs.c
 *	  SQL function cache_set_merge.
 *
 * The functions are checked here and now, and remembered by their names with
 * the types of their arguments: OIDs differ from node to node.
 *
 * Locking: none here, and none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcs/mergesig.h"
#include "funcs/nsfuncs.h"
#include "funcs/privileges.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/regproc.h"

PG_FUNCTION_INFO_V1(cachecluster_set_merge);

/* Order of its arguments */
enum
{
	ARG_NAMESPACE, ARG_MERGE, ARG_ARGS, ARG_FETCHER
};

/* What is to be remembered; NULL: nothing. */
typedef struct Functions
{
	Oid			merge;
	Oid			fetcher;
	char	   *merge_name;
	char	   *args;
	char	   *fetcher_name;
} Functions;

static char *
jsonb_text(Jsonb *jb)
{
	return JsonbToCString(NULL, &jb->root, VARSIZE(jb));
}

static Size
length(const char *text)
{
	return text == NULL ? 0 : strlen(text);
}

static void
read_functions(FunctionCallInfo fcinfo, Functions *f)
{
	CcMergeSignature sig;

	memset(f, 0, sizeof(*f));
	if (PG_ARGISNULL(ARG_MERGE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("merge function must not be null"),
				 errhint("To decide conflicts without one, set another policy "
						 "with cache_namespace(..., on_split => ...).")));
	f->merge = PG_GETARG_OID(ARG_MERGE);
	cc_mergesig_check(f->merge, &sig);
	cc_mergesig_check_execute(f->merge, GetUserId());
	f->merge_name = format_procedure_qualified(f->merge);
	if (!PG_ARGISNULL(ARG_ARGS))
		f->args = jsonb_text(PG_GETARG_JSONB_P(ARG_ARGS));
	if (!PG_ARGISNULL(ARG_FETCHER))
	{
		f->fetcher = PG_GETARG_OID(ARG_FETCHER);
		cc_mergesig_check_fetcher(f->fetcher);
		cc_mergesig_check_execute(f->fetcher, GetUserId());
		f->fetcher_name = format_procedure_qualified(f->fetcher);
	}
	if (length(f->merge_name) + length(f->args) + length(f->fetcher_name) >
		CC_MAX_MERGE_TEXT - 3)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("merge function and its arguments are too long"),
				 errhint("The names of the functions and args have at most %d "
						 "bytes together.", CC_MAX_MERGE_TEXT - 3)));
}

/* An empty text is none. */
static void
remember(char to[CC_MAX_MERGE_TEXT], const char *text)
{
	memset(to, 0, CC_MAX_MERGE_TEXT);
	if (text != NULL)
		strlcpy(to, text, CC_MAX_MERGE_TEXT);
}

/* One try; false when another declaration came first. */
static bool
set_merge(uint16 ns, const Functions *f)
{
	CcDeclaration d;
	CcDeclaration old;
	Oid			owner;

	memset(&d, 0, sizeof(d));
	if (!cc_namespace_read(ns, &d))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache namespace \"%s\" does not exist",
						cc_namespace(ns)->name)));
	cc_privileges_check_owner(ns);
	owner = cc_mergesig_owner(ns, &d);
	cc_mergesig_check_execute(f->merge, owner);
	if (OidIsValid(f->fetcher))
		cc_mergesig_check_execute(f->fetcher, owner);
	memcpy(&old, &d, sizeof(d));
	d.on_split = CC_SPLIT_MERGE;
	remember(d.merge, f->merge_name);
	remember(d.args, f->args);
	remember(d.fetcher, f->fetcher_name);
	if (memcmp(&old, &d, sizeof(d)) == 0)
		return true;
	return cc_nsfuncs_store(ns, &d);
}

Datum
cachecluster_set_merge(PG_FUNCTION_ARGS)
{
	uint16		ns = cc_nsfuncs_existing(fcinfo);
	Functions	f;

	cc_privileges_check_owner(ns);
	read_functions(fcinfo, &f);
	while (!set_merge(ns, &f))
		CHECK_FOR_INTERRUPTS();
	PG_RETURN_VOID();
}
