/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A run over the conflicts of one namespace.  See run.h.
 *
 * A heal of the full form is one run: its first call, the keys in conflict,
 * the one-sided changes.  Whatever ends a run before its end (another
 * declaration, another resolver, a function of another form) leaves the rest
 * to the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "merge/run.h"

#include "access/xact.h"
#include "base/wake.h"
#include "catalog/pg_type.h"
#include "cluster/heal.h"
#include "mb/pg_wchar.h"
#include "merge/call.h"
#include "merge/guard.h"
#include "merge/pace.h"
#include "merge/take.h"
#include "merge/merger.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* What one transaction does at most beside pace.h, in bytes of decisions */
#define BATCH_BYTES		(16 * 1024 * 1024)

/* ------------------------------------------------------------------------
 * Errors
 * ------------------------------------------------------------------------
 */

static void
keep_text(char *to, Size size, const char *text)
{
	int			len = pg_mbcliplen(text, strlen(text), size - 1);

	memcpy(to, text, len);
	to[len] = '\0';
}

/* What went wrong, out of the error stack; the current context is memory. */
static void
catch_error(CcMergeRun *r)
{
	bool		over = cc_mergeguard_caught();
	ErrorData  *e;

	MemoryContextSwitchTo(r->memory);
	e = CopyErrorData();
	FlushErrorState();
	keep_text(r->error, sizeof(r->error),
			  over ? "merge function took longer than merge_timeout" :
			  e->message != NULL ? e->message : "unknown error");
	keep_text(r->context, sizeof(r->context),
			  e->context != NULL ? e->context : "");
	r->sqlstate = over ? ERRCODE_QUERY_CANCELED : e->sqlerrcode;
	FreeErrorData(e);
}

/*
 * What a function does not find is often only not in the search_path.  What we
 * do not find ourselves, the function or its owner, is not there.
 */
static bool
is_not_found(const CcMergeRun *r)
{
	return r->opened &&
		(r->sqlstate == ERRCODE_UNDEFINED_TABLE ||
		 r->sqlstate == ERRCODE_UNDEFINED_OBJECT ||
		 r->sqlstate == ERRCODE_UNDEFINED_FUNCTION);
}

/* The server's log is told of each kind of error once. */
static void
tell(CcMergeRun *r, const CcMergeItem *item)
{
	const CcNamespaceShared *ns = cc_namespace(r->ns);

	if (!cc_merger_is_news(r->ns, r->sqlstate))
		return;
	ereport(WARNING,
			(errcode(r->sqlstate),
			 errmsg("conflicts of cache namespace \"%s\" in database \"%s\" "
					"cannot be merged: %s", ns->name, ns->database, r->error),
			 item != NULL ?
			 errdetail("Key \"%s\", merge function %s; others are merged.",
					   pnstrdup(item->name.key, item->name.keylen),
					   r->d.merge) :
			 r->d.fetcher[0] != '\0' ?
			 errdetail("Merge function %s, fetcher %s.", r->d.merge,
					   r->d.fetcher) :
			 errdetail("Merge function %s.", r->d.merge),
			 errhint("What could not be merged is in cache_conflicts and is "
					 "tried again with pauses of up to five minutes. When the "
					 "cause is mended: SELECT cache_heal(%s).%s",
					 quote_literal_cstr(ns->name),
					 is_not_found(r) ? " The search_path of merge functions "
					 "has their own schema and the extension's unless they "
					 "set another: name the rest with its schema." : ""),
			 r->context[0] != '\0' ? errcontext("%s", r->context) : 0));
}

/* Nothing of the namespace can be merged: all that is due has the error. */
static void
fail_all(CcMergeRun *r)
{
	CcConflictWalk walk = {0};

	tell(r, NULL);

	/* a fetcher that has failed has not said what is to be left out */
	r->chosen = NULL;
	r->clean = false;
	r->walked = false;
	while (cc_mergetake_pending(r, &walk) > 0)
	{
		for (int i = 0; i < r->n; i++)
		{
			CcMergeItem *item = &r->item[i];

			cc_conflict_failed(r->ns, item->name.key, item->name.keylen,
							   &item->ks, r->error,
							   cc_mergeguard_retry_at(item->ks.tries));
		}
		CHECK_FOR_INTERRUPTS();
	}
	cc_merger_put_off(r->ns);
}

/* ------------------------------------------------------------------------
 * Transactions
 * ------------------------------------------------------------------------
 */

static void
keep_state(CcMergeRun *r)
{
	const Jsonb *state = r->call.state;

	if (r->state != NULL)
		pfree(r->state);
	r->state = NULL;
	if (state == NULL)
		return;
	r->state = MemoryContextAlloc(r->memory, VARSIZE(state));
	memcpy(r->state, state, VARSIZE(state));
}

/*
 * Work in a transaction of its own, as the owner.  False after an error, which
 * r describes; r->opened says whether the functions had been found by then.
 */
static bool
run_transaction(CcMergeRun *r, void (*work) (CcMergeRun *r))
{
	volatile bool done = false;

	r->opened = false;
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		cc_mergecall_begin(&r->call, &r->d, r->state);
		r->opened = true;
		work(r);
		cc_mergecall_end(&r->call);
		PopActiveSnapshot();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		catch_error(r);
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(r->memory);
	if (done)
		keep_state(r);
	return done;
}

/* Leaves nothing behind in the current memory context. */
static void
choose_keys(CcMergeRun *r, ArrayType *keys)
{
	MemoryContext old = MemoryContextSwitchTo(r->call.key_memory);
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(keys, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			cc_mergetake_choose(r, DatumGetTextPP(elems[i]));
	}
	MemoryContextSwitchTo(old);
}

/* The keys of the fetcher, all of them. */
static void
fetch_keys(CcMergeRun *r)
{
	Jsonb	   *state = cc_mergetake_args(r);
	const char *node = cc_mergetake_other_node(r);
	ArrayType  *keys;

	cc_mergetake_choose_none(r);
	for (int i = 0; (keys = cc_mergecall_fetch(&r->call, node, &state)) != NULL;
		 i++)
	{
		if (i >= CC_MERGE_MAX_FETCHES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("fetcher did not return null for its keys"),
					 errhint("It is called until it does, %d times at most.",
							 CC_MERGE_MAX_FETCHES)));
		choose_keys(r, keys);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The beginning of a heal. */
static void
open_heal(CcMergeRun *r)
{
	r->full = r->call.sig.full;
	if (r->full)
		r->stopped = cc_mergecall_first(&r->call, cc_mergetake_args(r)) == CC_MERGE_STOPPED;
	if (!r->stopped && OidIsValid(r->call.fetcher))
		fetch_keys(r);
}

static void
call_item(CcMergeRun *r, CcMergeItem *item)
{
	static const CcItemFate fates[] = {
		[CC_MERGE_DECIDED] = CC_ITEM_DECIDED,
		[CC_MERGE_KEPT] = CC_ITEM_KEPT,
		[CC_MERGE_DEFERRED] = CC_ITEM_DEFERRED,
		[CC_MERGE_STOPPED] = CC_ITEM_OPEN
	};
	CcMergeVerdict verdict = item->one_sided ?
		cc_mergecall_change(&r->call, &item->entry, item->change.ours,
							&item->d) :
		cc_mergecall_key(&r->call, &item->ks, &item->d);

	item->fate = fates[verdict];
	r->stopped = verdict == CC_MERGE_STOPPED;
}

static void
fail_item(CcMergeRun *r, CcMergeItem *item)
{
	item->fate = CC_ITEM_FAILED;
	item->sqlstate = r->sqlstate;
	strlcpy(item->error, r->error, sizeof(item->error));
	strlcpy(item->context, r->context, sizeof(item->context));
}

/* In a subtransaction, so that an error is this key's alone. */
static void
call_item_alone(CcMergeRun *r, CcMergeItem *item)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		call_item(r, item);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		catch_error(r);
		RollbackAndReleaseCurrentSubTransaction();
		cc_mergecall_again(&r->call);
		fail_item(r, item);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* From r->from on, as far as one transaction goes; r->at says how far. */
static void
call_batch(CcMergeRun *r)
{
	int64		began = cc_monotonic_ms();
	int64		turn = cc_mergepace_turn();

	r->changed = r->call.sig.full != r->full;
	for (r->at = r->from; r->at < r->n && !r->changed; r->at++)
	{
		CcMergeItem *item = &r->item[r->at];

		if (r->at > r->from &&
			(cc_monotonic_ms() - began > turn ||
			 MemoryContextMemAllocated(r->call.memory, true) > BATCH_BYTES))
			break;
		if (r->single)
			call_item_alone(r, item);
		else
			call_item(r, item);
		if (r->stopped)
			break;
		CHECK_FOR_INTERRUPTS();
	}
}

/* ------------------------------------------------------------------------
 * What was decided
 * ------------------------------------------------------------------------
 */

/* How many of the others were deferred is shown by split. */
static void
count_deferred(const CcMergeItem *item)
{
	if (item->one_sided)
		cc_splits_count_deferred(&item->change.written.writer);
	for (int i = 0; !item->one_sided && i < item->ks.n; i++)
	{
		if (i != item->ks.served)
			cc_splits_count_deferred(
						&cc_origin(item->ks.original[i].writer)->node);
	}
}

/* A one-sided change stays as it is, and nothing is noted beside it. */
static void
note_failed(CcMergeRun *r, CcMergeItem *item, const char *error,
			int64 retry_at)
{
	if (!item->one_sided)
		cc_conflict_failed(r->ns, item->name.key, item->name.keylen, &item->ks,
						   error, retry_at);
}

static void
apply_failure(CcMergeRun *r, CcMergeItem *item)
{
	r->clean = false;
	r->sqlstate = item->sqlstate;
	strlcpy(r->error, item->error, sizeof(r->error));
	strlcpy(r->context, item->context, sizeof(r->context));
	tell(r, item);
	note_failed(r, item, item->error, cc_mergeguard_retry_at(item->ks.tries));
}

static void
apply_item(CcMergeRun *r, CcMergeItem *item)
{
	CcResult	result = CC_DONE;

	if (item->fate == CC_ITEM_DECIDED)
		result = item->one_sided ?
			cc_heal_walk_apply(&item->change, &item->d) :
			cc_conflict_decide(r->ns, item->name.key, item->name.keylen,
							   &item->ks, &item->d);
	if (result == CC_TOO_LARGE)
	{
		r->sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		snprintf(r->error, sizeof(r->error),
				 "merged value of %u bytes is too large", item->d.vallen);
		r->context[0] = '\0';
		fail_item(r, item);
	}
	if (item->fate == CC_ITEM_FAILED)
		apply_failure(r, item);
	else if (item->fate == CC_ITEM_DEFERRED)
	{
		count_deferred(item);
		note_failed(r, item, "deferred by the merge function", PG_INT64_MAX);
	}
	r->progress |= item->fate != CC_ITEM_OPEN && result != CC_UNCHANGED;
}

static void
apply_items(CcMergeRun *r, int end)
{
	cc_wake_hold();
	PG_TRY();
	{
		for (; r->from < end; r->from++)
			apply_item(r, &r->item[r->from]);
	}
	PG_FINALLY();
	{
		cc_wake_release();
	}
	PG_END_TRY();
	cc_merger_progress();
}

/* A batch that was rolled back, or could not commit, begins with. */
static void
reset_items(CcMergeRun *r)
{
	for (int i = r->from; i < r->n; i++)
		r->item[i].fate = CC_ITEM_OPEN;
}

/* Whether the run may go on. */
static bool
may_go_on(CcMergeRun *r)
{
	cc_merger_reload();
	return cc_heal_may_decide() &&
		pg_atomic_read_u64(&cc_namespace(r->ns)->version) == r->d.version;
}

/* Calls for all items, and does as was decided.  False: the run has ended. */
static bool
work_off(CcMergeRun *r)
{
	r->from = 0;
	r->single = false;
	while (r->from < r->n)
	{
		int64		began = cc_monotonic_ms();

		if (r->stopped || !may_go_on(r))
			return false;
		reset_items(r);
		if (run_transaction(r, call_batch))
		{
			if (r->changed)
				return false;
			apply_items(r, r->at);
		}
		else if (!r->opened)
		{
			fail_all(r);
			return false;
		}
		else if (!r->single)
			r->single = true;
		else
		{
			/* what failed is the transaction, after the calls */
			int			end = Max(r->at, r->from + 1);

			for (int i = r->from; i < end; i++)
				fail_item(r, &r->item[i]);
			apply_items(r, end);
		}
		cc_mergepace_rest(began);
	}
	return !r->stopped;
}

/* ------------------------------------------------------------------------
 * The run
 * ------------------------------------------------------------------------
 */

/* Until a look at all of them finds none that is due. */
static bool
merge_pending(CcMergeRun *r)
{
	do
	{
		CcConflictWalk walk = {0};

		r->progress = false;
		r->walked = false;
		while (cc_mergetake_pending(r, &walk) > 0)
		{
			if (!work_off(r))
				return false;
		}
	} while (r->progress);
	return true;
}

/*
 * PROTOCOL.md, one-sided changes.  The simple form is not asked about them, so
 * they stand.
 */
static bool
merge_changes(CcMergeRun *r)
{
	CcOneSidedWalk walk;

	if (!cc_heal_walk_begin(r->ns, &walk))
		return true;
	r->walked = false;
	while (r->full && cc_mergetake_changes(r, &walk) > 0)
	{
		if (!work_off(r))
			return false;
	}
	cc_heal_walk_end(r->ns, &walk);
	return true;
}

/* No more calls, for whatever is left. */
static void
stop(CcMergeRun *r)
{
	const CcNamespaceShared *ns = cc_namespace(r->ns);
	uint64		left = cc_conflict_count(r->ns);

	pg_atomic_write_u64(&cc.heal->stopped[r->ns], cc_namespace_now());
	if (left == 0)
		return;
	ereport(WARNING,
			(errmsg("merge function %s of cache namespace \"%s\" in database "
					"\"%s\" has stopped the heal", r->d.merge, ns->name,
					ns->database),
			 errdetail("Conflicts that wait there: " UINT64_FORMAT ".", left),
			 errhint("They are tried again when the next split has ended. To "
					 "begin anew at once: SELECT cache_heal(%s).",
					 quote_literal_cstr(ns->name))));
}

static void
run(CcMergeRun *r)
{
	if (!run_transaction(r, open_heal))
	{
		fail_all(r);
		return;
	}
	pg_atomic_write_u64(&cc.heal->failed[r->ns], 0);
	if (!r->stopped && merge_pending(r) && merge_changes(r) && r->clean)
		cc_merger_put_on(r->ns);
	if (r->stopped)
		stop(r);
}

void
cc_mergerun(uint16 ns)
{
	CcMergeRun *r = cc_mergetake_begin(ns);
	char		what[NAMEDATALEN * 2];

	if (r == NULL)
		return;
	snprintf(what, sizeof(what), "merging cache namespace %s",
			 cc_namespace(ns)->name);
	pgstat_report_activity(STATE_RUNNING, what);
	run(r);
	cc_mergetake_end(r);
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(false);
}
