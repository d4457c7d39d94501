/*-------------------------------------------------------------------------
 *
 * take.c
 *	  The keys that a run of merges takes up.  See take.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "merge/take.h"

#include "funcs/args.h"
#include "merge/guard.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Names that are read at once, and bytes of values after which it is enough */
#define NAMES			64
#define TAKE_BYTES		(16 * 1024 * 1024)

StaticAssertDecl(NAMES >= CC_CONFLICT_KEYS, "a walk needs so much room");

/* A buffer stays allocated for the next key, up to this size. */
#define KEEP_BUF		(16 * 1024)

/* One process has one run at a time, so its items are made once. */
static CcMergeItem *all_items;

CcMergeRun *
cc_mergetake_begin(uint16 ns)
{
	MemoryContext memory;
	CcMergeRun *r;

	if (all_items == NULL)
	{
		all_items = cc_alloc(CC_MERGE_KEYS * sizeof(CcMergeItem));
		memset(all_items, 0, CC_MERGE_KEYS * sizeof(CcMergeItem));
	}
	memory = AllocSetContextCreate(TopMemoryContext, "cachecluster merge run",
								   ALLOCSET_DEFAULT_SIZES);
	r = MemoryContextAllocZero(memory, sizeof(CcMergeRun));
	r->ns = ns;
	r->memory = memory;
	r->item = all_items;
	r->clean = true;
	if (!cc_namespace_read(ns, &r->d) || r->d.on_split != CC_SPLIT_MERGE ||
		r->d.merge[0] == '\0')
	{
		MemoryContextDelete(memory);
		return NULL;
	}
	cc_mergecall_init(&r->call, ns, memory);
	return r;
}

void
cc_mergetake_end(CcMergeRun *r)
{
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(r->memory);
}

static bool
is_chosen(CcMergeRun *r, const CcConflictKey *name)
{
	uint64		hash[2];

	if (r->chosen == NULL)
		return true;
	cc_store_hash(r->ns, name->key, name->keylen, hash);
	return hash_search(r->chosen, hash, HASH_FIND, NULL) != NULL;
}

/* The item that is next, with an empty buffer. */
static CcMergeItem *
next_item(CcMergeRun *r, const CcConflictKey *name)
{
	CcMergeItem *item = &r->item[r->n];

	if (item->buf.cap > KEEP_BUF)
	{
		cc_buf_free(&item->buf);
		cc_buf_init(&item->buf);
	}
	item->buf.len = 0;
	item->name = *name;
	item->fate = CC_ITEM_OPEN;
	return item;
}

/* False: there is nothing to merge, now. */
static bool
take_pending(CcMergeRun *r, const CcConflictKey *name)
{
	CcMergeItem *item = next_item(r, name);
	CcKeyState *ks = &item->ks;

	item->one_sided = false;
	if (!cc_conflict_read(r->ns, item->name.key, item->name.keylen, ks,
						  &item->buf) ||
		!cc_siblings_pending(ks) || !cc_heal_is_due(ks, cc_clock_ms()))
		return false;
	if (is_chosen(r, name))
		return true;
	cc_conflict_failed(r->ns, item->name.key, item->name.keylen, ks,
					   "not among the keys of the fetcher", PG_INT64_MAX);
	return false;
}

int
cc_mergetake_pending(CcMergeRun *r, CcConflictWalk *walk)
{
	static CcConflictKey names[NAMES];
	Size		bytes = 0;
	int			got = 1;

	r->n = 0;
	while (!r->walked && r->n <= CC_MERGE_KEYS - NAMES && bytes < TAKE_BYTES &&
		   (got = cc_conflict_next(walk, r->ns, names, NAMES)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < got; i++)
		{
			if (take_pending(r, &names[i]))
				bytes += r->item[r->n++].buf.len;
		}
	}
	/* asked once more a walk would begin anew */
	r->walked = got == 0 && r->n > 0;
	return r->n;
}

/* An entry that has gone, or was written again, is no change any more. */
static bool
take_change(CcMergeRun *r, const CcOneSided *c)
{
	CcMergeItem *item = next_item(r, &c->key);

	item->one_sided = true;
	item->change = *c;
	item->ks.tries = 0;
	return is_chosen(r, &c->key) &&
		cc_cache_look(r->ns, item->name.key, item->name.keylen, &item->entry,
					  &item->buf) &&
		item->entry.hlc == c->written.hlc;
}

int
cc_mergetake_changes(CcMergeRun *r, CcOneSidedWalk *walk)
{
	static CcOneSided changes[NAMES];
	Size		bytes = 0;
	int			got = 1;

	r->n = 0;
	while (!r->walked && r->n <= CC_MERGE_KEYS - NAMES && bytes < TAKE_BYTES &&
		   (got = cc_heal_walk_next(r->ns, walk, changes, NAMES)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < got; i++)
		{
			if (take_change(r, &changes[i]))
				bytes += r->item[r->n++].buf.len;
		}
	}
	/* asked once more a walk would begin anew */
	r->walked = got == 0 && r->n > 0;
	return r->n;
}

void
cc_mergetake_choose_none(CcMergeRun *r)
{
	HASHCTL		ctl = {
		.keysize = 2 * sizeof(uint64),
		.entrysize = 2 * sizeof(uint64),
		.hcxt = r->memory
	};

	r->chosen = hash_create("cachecluster keys to merge", 1024, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
cc_mergetake_choose(CcMergeRun *r, const text *key)
{
	uint64		hash[2];

	if (hash_get_num_entries(r->chosen) >= CC_MERGE_MAX_CHOSEN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("fetcher returned more than %d keys",
						CC_MERGE_MAX_CHOSEN)));
	cc_store_hash(r->ns, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), hash);
	(void) hash_search(r->chosen, hash, HASH_ENTER, NULL);
}

Jsonb *
cc_mergetake_args(CcMergeRun *r)
{
	if (r->d.args[0] == '\0')
		return NULL;
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
											  CStringGetDatum(r->d.args)));
}

const char *
cc_mergetake_other_node(CcMergeRun *r)
{
	CcSplit		s;
	int64		last = 0;
	char	   *name = NULL;

	for (int i = 0; cc_splits_get(i, &s); i++)
	{
		if (s.healed_at < last || s.healed_at == 0)
			continue;
		last = s.healed_at;
		name = cc_args_name(s.peer_name);
	}
	return name != NULL ? name : "";
}
