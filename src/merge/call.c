/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calls of a namespace's functions.  See call.h.
 *
 *-------------------------------------------------------------------------
 */
#include "merge/call.h"

#include "cache/work.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcs/entryrow.h"
#include "merge/guard.h"
#include "merge/side.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

/* ------------------------------------------------------------------------
 * What can be called
 * ------------------------------------------------------------------------
 */

void
cc_mergecall_init(CcMergeCall *m, uint16 ns, MemoryContext parent)
{
	MemoryContext *contexts[] = {
		&m->memory, &m->fn_memory, &m->key_memory,
		&m->state_memory[0], &m->state_memory[1]
	};

	memset(m, 0, sizeof(*m));
	m->ns = ns;
	for (int i = 0; i < lengthof(contexts); i++)
		*contexts[i] = AllocSetContextCreate(parent, "cachecluster merge",
											 ALLOCSET_DEFAULT_SIZES);
	m->names = MemoryContextAllocZero(parent, CC_MAX_ORIGINS * sizeof(char *));
}

/* The columns of a type; error when it is not as we have made it. */
static TupleDesc
columns_of(CcMergeCall *m, Oid type, int n)
{
	MemoryContext old = MemoryContextSwitchTo(m->memory);
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, -1);

	MemoryContextSwitchTo(old);
	if (desc->natts != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s has not %d columns", format_type_be(type),
						n)));
	return desc;
}

static void
look_up_function(CcMergeCall *m)
{
	fmgr_info_cxt(m->function, &m->fn, m->fn_memory);
}

/* The slot that the state is not in becomes its own. */
static void
set_state(CcMergeCall *m, const Jsonb *state)
{
	Jsonb	   *copy = NULL;

	m->state_turn = 1 - m->state_turn;
	MemoryContextReset(m->state_memory[m->state_turn]);
	if (state != NULL)
	{
		copy = MemoryContextAlloc(m->state_memory[m->state_turn],
								  VARSIZE(state));
		memcpy(copy, state, VARSIZE(state));
	}
	m->state = copy;
}

static void
become_owner(CcMergeCall *m, Oid owner)
{
	GetUserIdAndSecContext(&m->saved_user, &m->saved_context);
	SetUserIdAndSecContext(owner, m->saved_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	m->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * What stands beside the function, and the extension's types, can be named as
 * where it was made.  Whoever can create there could change the function's
 * surroundings anyway; pg_catalog comes first.
 */
static void
set_search_path(CcMergeCall *m)
{
	char	   *beside = get_namespace_name(get_func_namespace(m->function));
	char	   *types =
		get_namespace_name(get_rel_namespace(get_typ_typrelid(m->sig.entry)));
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, "pg_catalog");
	if (beside != NULL)
		appendStringInfo(&path, ", %s", quote_identifier(beside));
	if (types != NULL && (beside == NULL || strcmp(beside, types) != 0))
		appendStringInfo(&path, ", %s", quote_identifier(types));
	appendStringInfoString(&path, ", pg_temp");
	(void) set_config_option("search_path", path.data, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
cc_mergecall_begin(CcMergeCall *m, const CcDeclaration *d, const Jsonb *state)
{
	Oid			owner = cc_mergesig_owner(m->ns, d);

	MemoryContextReset(m->memory);
	MemoryContextReset(m->fn_memory);
	MemoryContextReset(m->key_memory);
	become_owner(m, owner);

	m->function = cc_mergesig_find(d->merge);
	cc_mergesig_check(m->function, &m->sig);
	cc_mergesig_check_execute(m->function, owner);
	set_search_path(m);
	m->fetcher = InvalidOid;
	if (d->fetcher[0] != '\0')
	{
		m->fetcher = cc_mergesig_find(d->fetcher);
		cc_mergesig_check_fetcher(m->fetcher);
		cc_mergesig_check_execute(m->fetcher, owner);
	}
	m->entry = columns_of(m, m->sig.entry, CC_ROW_COLUMNS);
	m->result = m->sig.full ? columns_of(m, m->sig.result, CC_MERGE_COLUMNS) :
		m->entry;
	look_up_function(m);
	set_state(m, state);
}

void
cc_mergecall_end(CcMergeCall *m)
{
	AtEOXact_GUC(false, m->guc_level);
	SetUserIdAndSecContext(m->saved_user, m->saved_context);
}

void
cc_mergecall_again(CcMergeCall *m)
{
	MemoryContextReset(m->key_memory);
	MemoryContextReset(m->fn_memory);
	look_up_function(m);
}

/* ------------------------------------------------------------------------
 * Calling
 * ------------------------------------------------------------------------
 */

static void
set_argument(FunctionCallInfo fcinfo, int arg, Datum value, bool isnull)
{
	fcinfo->args[arg].value = value;
	fcinfo->args[arg].isnull = isnull;
}

/*
 * Calls the function; what it returns is in the current context, which is
 * key_memory.  False: NULL.
 */
static bool
call(CcMergeCall *m, CcMergeSide *ours, CcMergeSide *theirs, Datum *result)
{
	LOCAL_FCINFO(fcinfo, 3);
	PgStat_FunctionCallUsage usage;
	const CcEntry *e = ours->there ? &ours->e : &theirs->e;

	InitFunctionCallInfoData(*fcinfo, &m->fn, m->sig.full ? 3 : 2, InvalidOid,
							 NULL, NULL);
	cc_mergeside_form(m, ours);
	cc_mergeside_form(m, theirs);
	set_argument(fcinfo, 0, ours->row, !ours->there);
	set_argument(fcinfo, 1, theirs->row, !theirs->there);
	set_argument(fcinfo, 2, PointerGetDatum(m->state), m->state == NULL);

	cc_mergeguard_begin(m->ns, e->key, e->keylen);
	pgstat_init_function_usage(fcinfo, &usage);
	*result = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	cc_mergeguard_end();
	return !fcinfo->isnull;
}

static const char *
text_of(Datum *values, bool *nulls, int col)
{
	return nulls[col] ? "" : TextDatumGetCString(values[col]);
}

/* What the full form has returned; s: what is to be, where that is decided. */
static CcMergeVerdict
read_merge(CcMergeCall *m, Datum row, CcMergeSides args, CcMergeSide *s)
{
	Datum		values[CC_MERGE_COLUMNS];
	bool		nulls[CC_MERGE_COLUMNS];
	CcMergeVerdict verdict = CC_MERGE_DECIDED;
	const char *action;

	cc_mergeside_take_apart(m, row, values, nulls);
	action = text_of(values, nulls, CC_MERGE_ACTION);
	memset(s, 0, sizeof(*s));
	if (strcmp(action, "ours") == 0)
		*s = *args[0];
	else if (strcmp(action, "theirs") == 0)
		*s = *args[1];
	else if (strcmp(action, "write") == 0)
		cc_mergeside_read_write(m, values, nulls, args, s);
	else if (strcmp(action, "defer") == 0)
		verdict = CC_MERGE_DEFERRED;
	else if (strcmp(action, "stop") == 0)
		verdict = CC_MERGE_STOPPED;
	else if (strcmp(action, "delete") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("merge function returned action \"%s\"", action),
				 errhint("It is one of ours, theirs, write, delete, defer, "
						 "stop.")));
	set_state(m, nulls[CC_MERGE_STATE] ? NULL :
			  DatumGetJsonbP(values[CC_MERGE_STATE]));
	return verdict;
}

/* One call about two sides. */
static CcMergeVerdict
merge(CcMergeCall *m, CcMergeSide *ours, CcMergeSide *theirs, CcMergeSide *s)
{
	CcMergeSides args = {ours, theirs};
	Datum		row;

	if (!call(m, ours, theirs, &row))
	{
		if (m->sig.full)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("merge function returned null"),
					 errhint("To delete the key it returns the action "
							 "delete.")));
		memset(s, 0, sizeof(*s));
		return CC_MERGE_DECIDED;
	}
	if (m->sig.full)
		return read_merge(m, row, args, s);
	cc_mergeside_read_entry(m, row, args, s);
	return CC_MERGE_DECIDED;
}

/* ------------------------------------------------------------------------
 * Keys
 * ------------------------------------------------------------------------
 */

/* With key_memory, emptied, as the current context. */
static CcMergeVerdict
call_first(CcMergeCall *m)
{
	CcMergeSide none = {0};
	Datum		values[CC_MERGE_COLUMNS];
	bool		nulls[CC_MERGE_COLUMNS];
	Datum		row;

	if (!call(m, &none, &none, &row))
	{
		set_state(m, NULL);
		return CC_MERGE_DECIDED;
	}
	cc_mergeside_take_apart(m, row, values, nulls);
	set_state(m, nulls[CC_MERGE_STATE] ? NULL :
			  DatumGetJsonbP(values[CC_MERGE_STATE]));
	return strcmp(text_of(values, nulls, CC_MERGE_ACTION), "stop") == 0 ?
		CC_MERGE_STOPPED : CC_MERGE_DECIDED;
}

/*
 * Indexes of the originals in the order in which they are merged: what is
 * served here first, then by version.
 */
static void
order_originals(const CcKeyState *ks, int order[CC_MAX_ORIGINALS])
{
	int			n = 0;

	order[n++] = ks->served;
	for (int i = 0; i < ks->n; i++)
	{
		const CcEntry *e = &ks->original[i];
		int			j = n;

		if (i == ks->served)
			continue;
		for (; j > 1; j--)
		{
			const CcEntry *b = &ks->original[order[j - 1]];

			if (cc_work_compare_version(b->hlc, b->writer, e->hlc,
										e->writer) <= 0)
				break;
			order[j] = order[j - 1];
		}
		order[j] = i;
		n++;
	}
}

/*
 * Of more than two originals the result of the first two is ours of the next
 * call, and so on.  Where both sides are NULL there is nothing to ask about.
 */
static CcMergeVerdict
merge_key(CcMergeCall *m, const CcKeyState *ks, CcDecision *d)
{
	int			order[CC_MAX_ORIGINALS];
	CcMergeSide ours;

	order_originals(ks, order);
	cc_mergeside_see(&ks->original[order[0]], &ours);
	for (int i = 1; i < ks->n; i++)
	{
		CcMergeVerdict verdict;
		CcMergeSide theirs;
		CcMergeSide made;

		cc_mergeside_see(&ks->original[order[i]], &theirs);
		if (!ours.there && !theirs.there)
			continue;
		verdict = merge(m, &ours, &theirs, &made);
		if (verdict != CC_MERGE_DECIDED)
			return verdict;
		ours = made;
	}
	cc_mergeside_decide(m, &ours, d);
	return CC_MERGE_DECIDED;
}

static CcMergeVerdict
merge_change(CcMergeCall *m, const CcEntry *e, bool ours, CcDecision *d)
{
	CcMergeSide none = {0};
	CcMergeSide made;
	CcMergeSide s = {.there = true, .original = e, .e = *e};
	CcMergeVerdict verdict;

	verdict = merge(m, ours ? &s : &none, ours ? &none : &s, &made);
	if (verdict != CC_MERGE_DECIDED)
		return verdict;
	if (made.there && made.original == e)
		return CC_MERGE_KEPT;
	cc_mergeside_decide(m, &made, d);
	return CC_MERGE_DECIDED;
}

static MemoryContext
begin_key(CcMergeCall *m)
{
	MemoryContextReset(m->key_memory);
	return MemoryContextSwitchTo(m->key_memory);
}

CcMergeVerdict
cc_mergecall_first(CcMergeCall *m, const Jsonb *args)
{
	MemoryContext old = begin_key(m);
	CcMergeVerdict verdict;

	set_state(m, args);
	verdict = call_first(m);
	MemoryContextSwitchTo(old);
	return verdict;
}

CcMergeVerdict
cc_mergecall_key(CcMergeCall *m, const CcKeyState *ks, CcDecision *d)
{
	MemoryContext old = begin_key(m);
	CcMergeVerdict verdict = merge_key(m, ks, d);

	MemoryContextSwitchTo(old);
	return verdict;
}

CcMergeVerdict
cc_mergecall_change(CcMergeCall *m, const CcEntry *e, bool ours, CcDecision *d)
{
	MemoryContext old = begin_key(m);
	CcMergeVerdict verdict = merge_change(m, e, ours, d);

	MemoryContextSwitchTo(old);
	return verdict;
}

/*
 * The first row of what SPI has read.  A fetcher may be called very often, so
 * nothing of one call is kept for the next but the state.
 */
static ArrayType *
copy_keys(CcMergeCall *m, Jsonb **state)
{
	MemoryContext old = MemoryContextSwitchTo(m->key_memory);
	HeapTuple	tuple = SPI_tuptable->vals[0];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	ArrayType  *keys = NULL;
	Datum		datum;
	bool		isnull;

	datum = SPI_getbinval(tuple, desc, 1, &isnull);
	if (!isnull)
		keys = DatumGetArrayTypePCopy(datum);
	datum = SPI_getbinval(tuple, desc, 2, &isnull);
	if (*state != NULL)
		pfree(*state);
	MemoryContextSwitchTo(m->memory);
	*state = isnull ? NULL : DatumGetJsonbPCopy(datum);
	MemoryContextSwitchTo(old);
	return keys;
}

ArrayType *
cc_mergecall_fetch(CcMergeCall *m, const char *node, Jsonb **state)
{
	Oid			types[3] = {TEXTOID, TEXTOID, JSONBOID};
	Datum		values[3];
	char		nulls[4] = "   ";
	MemoryContext old = begin_key(m);
	ArrayType  *keys = NULL;
	char	   *command;

	command = psprintf("SELECT f.* FROM %s($1, $2, $3) f",
					   quote_qualified_identifier(
							get_namespace_name(get_func_namespace(m->fetcher)),
							get_func_name(m->fetcher)));
	values[0] = CStringGetTextDatum(cc_namespace(m->ns)->name);
	values[1] = CStringGetTextDatum(node);
	values[2] = PointerGetDatum(*state);
	if (*state == NULL)
		nulls[2] = 'n';

	SPI_connect();
	cc_mergeguard_begin(m->ns, NULL, 0);
	if (SPI_execute_with_args(command, 3, types, values, nulls, false,
							  2) != SPI_OK_SELECT)
		elog(ERROR, "could not call the fetcher");
	cc_mergeguard_end();
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("fetcher returned more than one row")));
	if (SPI_processed == 1)
		keys = copy_keys(m, state);
	SPI_finish();
	MemoryContextSwitchTo(old);
	return keys;
}
