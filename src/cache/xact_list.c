/*-------------------------------------------------------------------------
 *
 * xact_list.c
 *	  The list of changes that wait: made longer, searched, cut.  See
 *	  xact_private.h.
 *
 * Locking: none; all is the backend's.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/xact_private.h"

#include "access/xact.h"
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

CcWait	   *cc_xact_first;
CcWait	   *cc_xact_last;
CcWait	   *cc_xact_last_clear;

static MemoryContext context;
static keys_hash *keys;			/* when there are more than a few */
uint64		cc_xact_nwaiting;
static uint64 next_order = 1;

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
void
cc_xact_set_newest(CcWait *any, CcWait *w)
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
			cc_xact_set_newest(w, w);
	}
}

/* Takes a change out of the list and frees it. */
void
cc_xact_drop(CcWait *w)
{
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		cc_xact_first = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	else
		cc_xact_last = w->prev;
	cc_xact_nwaiting--;
	pfree(w);
}

/* ... the newest of its key or of the clears. */
void
cc_xact_drop_newest(CcWait *w)
{
	if ((w->bits & CC_WAIT_CLEAR) != 0)
	{
		Assert(cc_xact_last_clear == w);
		cc_xact_last_clear = w->older;
	}
	else
		cc_xact_set_newest(w, w->older);
	cc_xact_drop(w);
}

/* ... one that another of its key stands over. */
void
cc_xact_drop_below(CcWait *above)
{
	CcWait	   *w = above->older;

	above->older = w->older;
	cc_xact_drop(w);
}

void
cc_xact_reset(void)
{
	cc_missed_reset();
	if (cc_xact_first == NULL && keys == NULL)
		return;
	cc_xact_first = cc_xact_last = cc_xact_last_clear = NULL;
	keys = NULL;
	cc_xact_nwaiting = 0;
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
void
cc_xact_supersede(CcWait *w)
{
	while (supersedes(w))
	{
		if (w->op == CC_OP_PUT && w->older->rare != NULL &&
			w->older->rare->fill != 0 && w->rare != NULL &&
			w->rare->fill == 0)
		{
			w->rare->fill = w->older->rare->fill;
			w->rare->fill_lsn = w->older->rare->fill_lsn;
			w->rare->fill_bound = w->older->rare->fill_bound;
		}
		cc_xact_drop_below(w);
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
	w->user = GetUserId();
	w->next = NULL;
	w->prev = cc_xact_last;
	if (cc_xact_last != NULL)
		cc_xact_last->next = w;
	else
		cc_xact_first = w;
	cc_xact_last = w;
	cc_xact_nwaiting++;
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
void
cc_xact_push(const CcChange *c, uint64 hash, bool forced, CcWait *older)
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
	if (keys == NULL && cc_xact_nwaiting >= FEW)
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
		w->rare->fill_bound = c->fill_bound;
		w->rare->max_age_ms = c->max_age_ms;
		w->rare->grace_ms = c->grace_ms;
	}
	/* the last that may fail: the table may have to grow */
	cc_xact_set_newest(w, w);
	append(w);
	cc_xact_supersede(w);
}

void
cc_xact_push_clear(uint16 ns, uint16 bits)
{
	CcWait	   *w;

	make_context();
	w = MemoryContextAllocZero(context, sizeof(CcWait));
	w->ns = ns;
	w->bits = bits;
	w->older = cc_xact_last_clear;
	cc_xact_last_clear = w;
	append(w);
}
