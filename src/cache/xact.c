/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  Changes that wait for their transaction's commit.  See xact.h.
 *
 * Memory is taken when a change is made.  At the commit each is handed to
 * cc_cache_change, which for puts, deletes, touches and clears needs none and
 * raises no error (xact_make.c).  By then other sessions see the transaction's
 * rows already, and its row locks are still held, so that of two transactions
 * that wrote the same row the later one's changes come later.
 *
 * Locking: none of its own.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/xact_private.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/guc.h"
#include "base/stats.h"
#include "cache/files.h"
#include "cache/keylock.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* So many entries are fetched into the processor's cache before a commit */
#define PREFETCH	8

void		(*cc_xact_check_hook) (bool forced);
void		(*cc_xact_allow_hook) (uint16 ns, Oid user);

uint64		cc_xact_commit_lsn;

/*
 * Making changes wait
 */

bool
cc_xact_defers(uint16 ns)
{
	return cc_transactional && !cc_namespace_has(ns, CC_NS_SYNC);
}

/* The conditions of a put, by what this transaction sees of its own writes. */
static bool
holds(const CcChange *c, const CcXactView *v, bool live)
{
	if ((c->if_absent && live) || (c->if_present && !live))
		return false;
	/* what waits has no version yet */
	return c->if_version == 0;
}

/* A put that will be made whatever is there. */
static bool
asks_nothing(const CcChange *c)
{
	return c->op == CC_OP_PUT && !c->if_absent && !c->if_present &&
		c->if_version == 0 && c->fill == 0 && !c->keep_ttl;
}

/*
 * What a change would do now, by what this transaction sees.
 */
static CcResult
foresee(const CcChange *c, uint64 hash, CcOutcome *o)
{
	CcXactView	v;

	memset(o, 0, sizeof(*o));
	if ((o->result = cc_cache_check(c)) != CC_DONE || asks_nothing(c))
		return o->result;
	cc_xact_view(c->ns, hash, c->key, c->keylen, &v);
	/* a touch that waits changes neither value nor version */
	if (v.store || (v.live && v.put == NULL))
		return cc_cache_probe(c, o);
	o->existed = cc_xact_view_live(&v, c->ns, c->key, c->keylen);
	if ((c->op == CC_OP_PUT && !holds(c, &v, o->existed)) ||
		(c->op == CC_OP_TOUCH && !o->existed))
		return o->result = CC_UNCHANGED;
	return o->result = CC_DONE;
}

CcResult
cc_xact_add(const CcChange *c, CcOutcome *o, bool forced)
{
	CcChange	copy = *c;
	CcWait	   *older;
	uint64		hash[2];

	cc_store_hash(c->ns, c->key, c->keylen, hash);
	cc_store_prefetch(cc_store_partition_of(hash[0]), hash[0]);
	if (c->op == CC_OP_PUT)
		cc_missed_find(hash, &copy);
	if (foresee(&copy, hash[0], o) != CC_DONE)
	{
		/* whoever waits for this caller to compute need wait no longer */
		if (o->refused_fill)
			cc_keylock_end(hash);
		return o->result;
	}
	older = cc_xact_find(c->ns, hash[0], c->key, c->keylen);
	if (c->op == CC_OP_DELETE && c->lsn != 0 && older != NULL &&
		(older->bits & CC_WAIT_INVALIDATES) != 0)
		return o->result;		/* what waits does it */
	/* the deadline is what the caller means now, whenever he commits */
	if (copy.keep_ttl && o->existed && copy.ttl_ms >= 0)
		cc_xact_keep_deadline(&copy);
	if (copy.ttl_ms > 0 && copy.deadline == 0)
		copy.deadline = cc_hlc_now_ms(&cc.state->hlc) + copy.ttl_ms;
	cc_xact_push(&copy, hash[0], forced, older);
	return o->result;
}

void
cc_xact_clear(uint16 ns, bool invalidates)
{
	cc_xact_push_clear(ns, CC_WAIT_CLEAR |
					   (invalidates ? CC_WAIT_FORCED | CC_WAIT_INVALIDATES : 0));
}

/*
 * Making them so before the commit
 */

/*
 * All that waits for one key, the oldest first.  An invalidation goes on to
 * wait: before the commit it would be too early.
 */
static void
make_key_now(CcWait *newest, CcMade *made)
{
	CcWait	   *chain = NULL;
	CcWait	   *kept = NULL;
	CcWait	   *w = newest;

	/* what is taken apart here must not be seen half-way */
	HOLD_INTERRUPTS();
	cc_xact_set_newest(newest, NULL);
	while (w != NULL)
	{
		CcWait	   *older = w->older;

		w->older = chain;
		chain = w;
		w = older;
	}
	while ((w = chain) != NULL)
	{
		chain = w->older;
		if ((w->bits & CC_WAIT_INVALIDATES) != 0)
		{
			w->older = kept;
			kept = w;
			continue;
		}
		(void) cc_xact_make_waiting(w, made);
		*made = w->done;
		cc_xact_drop(w);
	}
	if (kept != NULL)
		cc_xact_set_newest(kept, kept);
	RESUME_INTERRUPTS();
}

/* Takes one change out, wherever it stands among those of its key. */
static void
drop_any(CcWait *w)
{
	CcWait	   *above = cc_xact_find(w->ns, w->hash, w->key, w->keylen);

	if (above == w)
	{
		cc_xact_drop_newest(w);
		return;
	}
	while (above->older != w)
		above = above->older;
	cc_xact_drop_below(above);
}

static bool
is_plain_clear(const CcWait *w, uint16 ns)
{
	return w->ns == ns && (w->bits & CC_WAIT_INVALIDATES) == 0;
}

/*
 * The newest clear of a namespace that waits.  It makes what waits before it
 * pointless, but for invalidations.
 */
static void
make_clear_now(uint16 ns)
{
	uint64		order = 0;
	CcWait	  **link = &cc_xact_last_clear;
	CcWait	   *next;

	for (CcWait *w = cc_xact_last_clear; w != NULL && order == 0; w = w->older)
		order = is_plain_clear(w, ns) ? w->order : 0;
	for (CcWait *w = cc_xact_first; w != NULL && w->order < order; w = next)
	{
		next = w->next;
		if (w->ns == ns &&
			(w->bits & (CC_WAIT_CLEAR | CC_WAIT_INVALIDATES)) == 0)
			drop_any(w);
	}
	HOLD_INTERRUPTS();
	while (*link != NULL)
	{
		CcWait	   *w = *link;

		if (!is_plain_clear(w, ns))
		{
			link = &w->older;
			continue;
		}
		*link = w->older;
		if (w->order == order)
			(void) cc_xact_make_waiting(w, NULL);
		cc_xact_drop(w);
	}
	RESUME_INTERRUPTS();
}

CcResult
cc_xact_now(const CcChange *c, CcOutcome *o)
{
	CcChange	copy = *c;
	uint64		hash[2];
	uint64		fill;
	CcWait	   *newest;
	CcMade		made = {0};

	cc_store_hash(c->ns, c->key, c->keylen, hash);
	cc_missed_find(hash, &copy);
	fill = copy.fill;
	if (c->op != CC_OP_PUT)
		copy.fill = 0;
	if (unlikely(cc_xact_first != NULL))
	{
		if (cc_xact_cleared(c->ns) != 0)
			make_clear_now(c->ns);
		newest = cc_xact_find(c->ns, hash[0], c->key, c->keylen);
		if (newest != NULL)
			make_key_now(newest, &made);
		/* also where nothing comes of c itself, a later put stands on that */
		if (made.made != 0 && fill != 0)
			cc_missed_wrote(hash, made.found, made.made);
	}
	copy.own_hlc = made.found < fill ? made.made : 0;
	(void) cc_xact_make(&copy, o);
	if (c->op == CC_OP_FETCH && !o->existed)
	{
		/* a miss, which saw what was made just before */
		cc_missed_note(hash);
		if (made.made != 0)
			cc_missed_wrote(hash, made.found, made.made);
	}
	else if (o->result == CC_DONE && fill != 0)
		cc_missed_wrote(hash, o->before == made.made ? made.found : o->before,
						o->hlc);
	return o->result;
}

CcResult
cc_xact_clear_now(uint16 ns)
{
	/* what waits is older than what is done now */
	if (cc_xact_first != NULL)
	{
		cc_xact_clear(ns, false);
		make_clear_now(ns);
		return CC_DONE;
	}
	return cc_cache_clear(ns);
}

/*
 * The transaction's end
 */

/*
 * Raises an error where what waits may not be made any more.  Forced is what
 * acts for others or is no user's: that was decided at the call.
 */
static void
check_waiting(void)
{
	const CcWait *asked = NULL;

	for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
	{
		if ((w->bits & CC_WAIT_FORCED) != 0 ||
			(asked != NULL && asked->ns == w->ns && asked->user == w->user))
			continue;
		asked = w;
		if (cc_xact_allow_hook != NULL)
			cc_xact_allow_hook(w->ns, w->user);
	}
	if (cc_xact_check_hook != NULL)
		cc_xact_check_hook(asked == NULL);
}

static void
before_commit(void)
{
	if (cc_xact_first == NULL)
		return;
	check_waiting();
	cc_xact_enter_commit();
	/* memory comes while the transaction commits */
	if (cc_xact_nwaiting <= PREFETCH)
	{
		for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
			cc_store_prefetch_entry(cc_store_partition_of(w->hash), w->hash);
	}
	/* here it can still be waited for with an error */
	cc_cache_wait_ticks(cc_xact_nwaiting);
	/* a transaction that has changed no row has no place in the WAL */
	cc_xact_commit_lsn = TransactionIdIsValid(GetTopTransactionIdIfAny()) ? 1 : 0;
}

static void
at_commit(void)
{
	uint64		pos = 0;

	if (cc_xact_first == NULL)
		return;
	if (cc_xact_commit_lsn != 0)
		cc_xact_commit_lsn = XactLastCommitEnd;
	/* from here on the newest that was made, which a fill looks for */
	cc_xact_last_clear = NULL;
	for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
	{
		uint64		done = cc_xact_make_waiting(w, w->older == NULL ? NULL :
										&w->older->done);

		pos = Max(pos, done);
		if ((w->bits & CC_WAIT_CLEAR) != 0)
			cc_xact_last_clear = w;
	}
	if (pos != 0 && cc_journal_sync_mode == CC_SYNC_ALWAYS)
		cc_cache_wait_journal(pos, true);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (cc.store == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (cc_xact_first != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to the cache"),
						 errhint("Write to the cache in another transaction, "
								 "or at once: with immediate => true, or "
								 "cachecluster.transactional switched off.")));
			break;
		case XACT_EVENT_COMMIT:
			at_commit();
			cc_xact_reset();
			cc_xact_leave_commit();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			cc_xact_reset();
			cc_xact_leave_commit();
			break;
		default:
			break;
	}
}

/*
 * Changes of a subtransaction are the last ones of the list.  When it commits
 * they become its parent's.
 */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (cc_xact_last != NULL && cc_xact_last->level >= level)
			cc_xact_drop_newest(cc_xact_last);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		CcWait	   *first = NULL;
		CcWait	   *next;

		for (CcWait *w = cc_xact_last; w != NULL && w->level >= level; w = w->prev)
		{
			w->level = level - 1;
			first = w;
		}
		/* forwards, as each frees what stands before it */
		for (CcWait *w = first; w != NULL; w = next)
		{
			next = w->next;
			if ((w->bits & CC_WAIT_CLEAR) == 0)
				cc_xact_supersede(w);
		}
	}
}

void
cc_xact_install(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}
