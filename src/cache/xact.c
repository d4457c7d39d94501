/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  Changes that wait for their transaction's commit.  See xact.h.
 *
 * Memory is taken when a change is made.  At the commit each is handed to
 * cc_cache_change, which for puts, deletes, touches and clears needs none and
 * raises no error.  By then other sessions see the transaction's rows already, and its row locks are still
 * held, so that of two transactions that wrote the same row the later one's
 * changes come later.
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

/* So many waiting changes are searched one by one */
#define FEW			16

/* Where a block of the context begins and ends to grow */
#define FIRST_BLOCK	(8 * 1024)
#define MAX_BLOCK	(8 * 1024 * 1024)

typedef struct KeyElement
{
	CcWait	   *last;			/* newest change of the key */
	char		status;
} KeyElement;

#define SH_PREFIX		keys
#define SH_ELEMENT_TYPE	KeyElement
#define SH_KEY_TYPE		CcWait *
#define SH_KEY			last
#define SH_HASH_KEY(tb, w)	((uint32) ((w)->hash >> 32 ^ (w)->hash))
#define SH_EQUAL(tb, a, b)	same_key(a, b)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE

static bool
same_key(const CcWait *a, const CcWait *b)
{
	return a->hash == b->hash && a->ns == b->ns && a->keylen == b->keylen &&
		memcmp(a->key, b->key, a->keylen) == 0;
}

#include "lib/simplehash.h"

void		(*cc_xact_check_hook) (bool forced);

CcWait	   *cc_xact_first;
CcWait	   *cc_xact_last;
CcWait	   *cc_xact_last_clear;

static MemoryContext context;
static keys_hash *keys;			/* when there are more than a few */
static uint64 nwaiting;
static uint64 next_order = 1;

uint64		cc_xact_commit_lsn;

/*
 * The list
 */

CcWait *
cc_xact_find(uint16 ns, uint64 hash, const char *key, uint16 keylen)
{
	CcWait		probe = {.hash = hash, .ns = ns, .key = key, .keylen = keylen};

	if (keys != NULL)
	{
		KeyElement *e = keys_lookup(keys, &probe);

		return e == NULL ? NULL : e->last;
	}
	for (CcWait *w = cc_xact_last; w != NULL; w = w->prev)
	{
		if ((w->bits & CC_WAIT_CLEAR) == 0 && same_key(w, &probe))
			return w;
	}
	return NULL;
}

uint64
cc_xact_cleared(uint16 ns)
{
	for (CcWait *w = cc_xact_last_clear; w != NULL; w = w->older)
	{
		if (w->ns == ns)
			return w->order;
	}
	return 0;
}

/* The newest change of its key is now w; NULL: the key has none any more. */
static void
set_newest(CcWait *any, CcWait *w)
{
	KeyElement *e;
	bool		found;

	if (keys == NULL)
		return;
	if (w == NULL)
	{
		keys_delete(keys, any);
		return;
	}
	/* an insert may make the table grow, which an abort must not need */
	e = keys_lookup(keys, any);
	if (e == NULL)
		e = keys_insert(keys, any, &found);
	e->last = w;
}

/* Begins to keep the keys in a table. */
static void
begin_table(void)
{
	keys = keys_create(context, 4 * FEW, NULL);
	for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
	{
		if ((w->bits & CC_WAIT_CLEAR) == 0)
			set_newest(w, w);
	}
}

/* Takes a change out of the list and frees it. */
static void
drop(CcWait *w)
{
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		cc_xact_first = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		cc_xact_last = w->prev;
	nwaiting--;
	pfree(w);
}

/* ... the newest of its key or of the clears. */
static void
drop_newest(CcWait *w)
{
	if ((w->bits & CC_WAIT_CLEAR) != 0)
	{
		Assert(cc_xact_last_clear == w);
		cc_xact_last_clear = w->older;
	}
	else
		set_newest(w, w->older);
	drop(w);
}

/* ... one that another of its key stands over. */
static void
drop_below(CcWait *above)
{
	CcWait	   *w = above->older;

	above->older = w->older;
	drop(w);
}

static void
reset(void)
{
	cc_missed_reset();
	if (cc_xact_first == NULL && keys == NULL)
		return;
	cc_xact_first = cc_xact_last = cc_xact_last_clear = NULL;
	keys = NULL;
	nwaiting = 0;
	cc_xact_commit_lsn = 0;
	MemoryContextReset(context);
}

/*
 * Whether w makes what waits below it, of the same key, pointless: both belong
 * to the same subtransaction, and w asks for no condition.  An invalidation
 * stays, as it must be known to all whatever is put over it.
 */
static bool
supersedes(const CcWait *w)
{
	const CcWait *below = w->older;

	if (below == NULL || below->level != w->level ||
		below->order < cc_xact_cleared(w->ns))
		return false;
	if ((w->bits & (CC_WAIT_CONDITIONS | CC_WAIT_KEEP_TTL)) != 0 ||
		(w->rare != NULL && w->rare->if_version != 0) ||
		(below->bits & CC_WAIT_INVALIDATES) != 0)
		return false;
	return w->op == CC_OP_PUT || w->op == CC_OP_DELETE;
}

/* What waits below w goes, if it may.  What it was a fill of, w is too. */
static void
supersede(CcWait *w)
{
	while (supersedes(w))
	{
		if (w->op == CC_OP_PUT && w->older->rare != NULL &&
			w->older->rare->fill != 0 && w->rare != NULL &&
			w->rare->fill == 0)
		{
			w->rare->fill = w->older->rare->fill;
			w->rare->fill_lsn = w->older->rare->fill_lsn;
		}
		drop_below(w);
	}
}

static void
make_context(void)
{
	if (context == NULL)
		context = GenerationContextCreate(TopMemoryContext,
										  "cachecluster transaction",
										  0, FIRST_BLOCK, MAX_BLOCK);
}

static void
append(CcWait *w)
{
	w->order = next_order++;
	w->level = GetCurrentTransactionNestLevel();
	w->next = NULL;
	w->prev = cc_xact_last;
	if (cc_xact_last != NULL)
		cc_xact_last->next = w;
	else
		cc_xact_first = w;
	cc_xact_last = w;
	nwaiting++;
}

static uint16
bits_of(const CcChange *c, bool forced)
{
	uint16		bits = 0;

	bits |= c->null ? CC_WAIT_NULL : 0;
	bits |= c->keep_ttl ? CC_WAIT_KEEP_TTL : 0;
	bits |= c->if_absent ? CC_WAIT_IF_ABSENT : 0;
	bits |= c->if_present ? CC_WAIT_IF_PRESENT : 0;
	bits |= c->sliding ? CC_WAIT_SLIDING : 0;
	bits |= c->op == CC_OP_DELETE && c->lsn != 0 ? CC_WAIT_INVALIDATES : 0;
	bits |= forced ? CC_WAIT_FORCED : 0;
	return bits;
}

/* Copies a change behind all that wait. */
static void
push(const CcChange *c, uint64 hash, bool forced, CcWait *older)
{
	Size		vallen = c->op == CC_OP_PUT && !c->null ? c->vallen : 0;
	bool		rare = c->if_version != 0 || c->fill != 0 ||
		c->max_age_ms != 0 || c->grace_ms != 0 ||
		(older != NULL && older->rare != NULL);
	Size		head = MAXALIGN(sizeof(CcWait)) +
		(rare ? MAXALIGN(sizeof(CcWaitRare)) : 0);
	CcWait	   *w;
	char	   *data;

	make_context();
	if (keys == NULL && nwaiting >= FEW)
		begin_table();
	w = MemoryContextAllocHuge(context, head + c->keylen + vallen);
	data = (char *) w + head;
	memset(w, 0, head);
	memcpy(data, c->key, c->keylen);
	if (vallen > 0)
		memcpy(data + c->keylen, c->value, vallen);
	w->older = older;
	w->hash = hash;
	w->key = data;
	w->value = data + c->keylen;
	w->ttl_ms = c->ttl_ms;
	w->deadline = c->deadline;
	w->vallen = (uint32) vallen;
	w->keylen = c->keylen;
	w->ns = c->ns;
	w->bits = bits_of(c, forced);
	w->op = c->op;
	w->type = c->type;
	if (rare)
	{
		w->rare = (CcWaitRare *) ((char *) w + MAXALIGN(sizeof(CcWait)));
		w->rare->if_version = c->if_version;
		w->rare->fill = c->fill;
		w->rare->fill_lsn = c->fill_lsn;
		w->rare->max_age_ms = c->max_age_ms;
		w->rare->grace_ms = c->grace_ms;
	}
	/* the last that may fail: the table may have to grow */
	set_newest(w, w);
	append(w);
	supersede(w);
}

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

/*
 * What a change would do now, by what this transaction sees.
 */
static CcResult
foresee(const CcChange *c, uint64 hash, CcOutcome *o)
{
	CcXactView	v;
	CcChange	plain;

	cc_xact_view(c->ns, hash, c->key, c->keylen, &v);
	/* a touch that waits changes neither value nor version */
	if (v.store || (v.live && v.put == NULL))
		return cc_cache_probe(c, o);

	/* only what no view changes: is it ready, does it fit */
	plain = *c;
	plain.if_absent = plain.if_present = false;
	plain.if_version = plain.fill = 0;
	if (cc_cache_probe(&plain, o) == CC_NOT_READY || o->result == CC_TOO_LARGE)
		return o->result;
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
	if (c->op == CC_OP_PUT)
		cc_missed_find(hash, &copy.fill, &copy.fill_lsn);
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
	push(&copy, hash[0], forced, older);
	return o->result;
}

void
cc_xact_clear(uint16 ns, bool invalidates)
{
	CcWait	   *w;

	make_context();
	w = MemoryContextAllocZero(context, sizeof(CcWait));
	w->ns = ns;
	w->bits = CC_WAIT_CLEAR |
		(invalidates ? CC_WAIT_FORCED | CC_WAIT_INVALIDATES : 0);
	w->older = cc_xact_last_clear;
	cc_xact_last_clear = w;
	append(w);
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
	set_newest(newest, NULL);
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
		drop(w);
	}
	if (kept != NULL)
		set_newest(kept, kept);
	RESUME_INTERRUPTS();
}

/* Takes one change out, wherever it stands among those of its key. */
static void
drop_any(CcWait *w)
{
	CcWait	   *above = cc_xact_find(w->ns, w->hash, w->key, w->keylen);

	if (above == w)
	{
		drop_newest(w);
		return;
	}
	while (above->older != w)
		above = above->older;
	drop_below(above);
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
		drop(w);
	}
	RESUME_INTERRUPTS();
}

CcResult
cc_xact_now(const CcChange *c, CcOutcome *o)
{
	CcChange	copy = *c;
	uint64		hash[2];
	uint64		fill;
	uint64		lsn;
	CcWait	   *newest;
	CcMade		made = {0};

	cc_store_hash(c->ns, c->key, c->keylen, hash);
	cc_missed_find(hash, &fill, &lsn);
	if (c->op == CC_OP_PUT)
	{
		copy.fill = fill;
		copy.fill_lsn = lsn;
	}
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
	copy.own_hlc = made.found <= fill ? made.made : 0;
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

static void
before_commit(void)
{
	bool		forced = true;

	if (cc_xact_first == NULL)
		return;
	for (CcWait *w = cc_xact_first; w != NULL && forced; w = w->next)
		forced = (w->bits & CC_WAIT_FORCED) != 0;
	if (cc_xact_check_hook != NULL)
		cc_xact_check_hook(forced);
	cc_xact_enter_commit();
	/* here it can still be waited for with an error */
	cc_cache_wait_clock(Max(pg_atomic_read_u64(&cc.state->hlc) + nwaiting,
							cc_hlc_from_ms(cc_clock_ms())));
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
			reset();
			cc_xact_leave_commit();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			reset();
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
			drop_newest(cc_xact_last);
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
				supersede(w);
		}
	}
}

void
cc_xact_install(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}
