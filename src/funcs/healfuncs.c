/*-------------------------------------------------------------------------
 *
 * healfuncs.c
 *	  SQL functions by which people decide conflicts: cache_heal, cache_resolve.
 *
 * Both act at once, whatever becomes of the transaction, and on any node: a
 * decision is over exactly the originals that were read, and travels like any
 * write.
 *
 * Locking: members->lock for a copy; none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"
#include "cache/conflict.h"
#include "cache/extra.h"
#include "cache/files.h"
#include "cluster/heal.h"
#include "cluster/membership.h"
#include "fmgr.h"
#include "funcs/args.h"
#include "funcs/nsfuncs.h"
#include "funcs/privileges.h"
#include "funcs/sync.h"
#include "funcs/value.h"
#include "funcs/write.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(cachecluster_heal);
PG_FUNCTION_INFO_V1(cachecluster_resolve);

/* Order of cache_resolve's arguments */
enum
{
	RESOLVE_KEY, RESOLVE_CHOICE, RESOLVE_VALUE, RESOLVE_NAMESPACE
};

typedef enum Choice
{
	CHOICE_OURS,
	CHOICE_THEIRS,
	CHOICE_WRITE,
	CHOICE_DELETE,
	NCHOICES
} Choice;

static const char *const choices[NCHOICES] = {
	[CHOICE_OURS] = "ours", [CHOICE_THEIRS] = "theirs",
	[CHOICE_WRITE] = "write", [CHOICE_DELETE] = "delete"
};

/* What was decided is written like any value, and waited for alike. */
static void
wait_for_decisions(uint16 ns)
{
	if (cc_journal_sync_mode == CC_SYNC_ALWAYS)
		cc_cache_wait_journal(cc_changelog_allocated() - 1, true);
	cc_sync_wait_all(ns);
}

/*
 * cache_heal
 */

/*
 * The node of that name or id.  One that was removed may have left values, but
 * gives way to a member of its name.
 */
static CcNodeId
find_node(const char *node)
{
	CcNodeId	id;
	int			members = 0;
	int			removed = 0;

	cc_lock_shared(&cc.members->lock);
	for (int i = 0; i < CC_MAX_MEMBERS; i++)
	{
		CcMemberShared *m = &cc.members->member[i];
		char		hex[CC_ID_TEXT_LEN];

		if (!m->used ||
			(pg_strcasecmp(cc_id_text(&m->id, hex), node) != 0 &&
			 strcmp(m->name, node) != 0))
			continue;
		if (!m->removed)
			members++;
		else if (members > 0)
			continue;
		else
			removed++;
		id = m->id;
	}
	cc_unlock(&cc.members->lock);

	if (members + removed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s\" is not a member", node),
				 errhint("Name this node, or one of "
						 "pg_stat_cachecluster_peers, by its node_name or "
						 "node_id; cache_conflicts shows who wrote what.")));
	if (members > 1 || (members == 0 && removed > 1))
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("there is more than one node \"%s\"", node),
				 errhint("Name it by its node_id.")));
	return id;
}

/* Returns how many were decided, or are pending. */
static uint64
heal_namespace(uint16 ns, const CcNodeId *winner)
{
	uint64		n;

	if (winner == NULL)
	{
		cc_heal_request(ns);
		return cc_conflict_count(ns);
	}
	n = cc_heal_winner(ns, winner);
	if (n > 0)
		wait_for_decisions(ns);
	return n;
}

/* Those of this database that the user owns and where conflicts are kept. */
static uint64
heal_all(const CcNodeId *winner)
{
	uint16		mine = cc_args_find_namespace(CC_DEFAULT_NS);
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	uint64		sum = 0;

	for (uint32 ns = CC_NS_SYSTEM + 1; mine != CC_NO_NS && ns < n; ns++)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(cc_namespace(ns)->database,
				   cc_namespace(mine)->database) == 0 &&
			cc_namespace_has(ns, CC_NS_DECLARED) &&
			(cc_namespace_has(ns, CC_NS_KEEPS) ||
			 cc_conflict_count((uint16) ns) > 0) &&
			cc_privileges_owns((uint16) ns))
			sum += heal_namespace((uint16) ns, winner);
	}
	return sum;
}

Datum
cachecluster_heal(PG_FUNCTION_ARGS)
{
	CcNodeId	id;
	CcNodeId   *winner = NULL;
	uint16		ns = CC_NO_NS;

	cc_args_require_loaded();
	cc_nsfuncs_forbid_merging();
	if (!PG_ARGISNULL(0))
	{
		ns = cc_args_namespace(fcinfo, 0, 0);
		cc_privileges_check_owner(ns);
	}
	if (!PG_ARGISNULL(1))
	{
		id = find_node(text_to_cstring(PG_GETARG_TEXT_PP(1)));
		winner = &id;
	}
	cc_write_check_ready();
	cc_write_check(false);
	PG_RETURN_INT64((int64) (ns == CC_NO_NS ? heal_all(winner) :
							 heal_namespace(ns, winner)));
}

/*
 * cache_resolve
 */

static Choice
read_choice(FunctionCallInfo fcinfo)
{
	char	   *word;

	if (PG_ARGISNULL(RESOLVE_CHOICE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("choice must not be null")));
	word = text_to_cstring(PG_GETARG_TEXT_PP(RESOLVE_CHOICE));
	for (int i = 0; i < NCHOICES; i++)
	{
		if (strcmp(word, choices[i]) == 0)
		{
			if (i != CHOICE_WRITE && !PG_ARGISNULL(RESOLVE_VALUE))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("choice \"%s\" takes no value", word),
						 errhint("To store a value use the choice write.")));
			return i;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid choice: \"%s\"", word),
			 errhint("It is one of ours, theirs, write, delete.")));
}

/*
 * What stands on the other side; as cache_conflicts shows them there may be
 * several, and the word does not say which.
 */
static const CcEntry *
theirs_of(const CcKey *k, const CcKeyState *ks)
{
	if (ks->n > 2)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("conflict of cache key \"%s\" has %d other values",
						pnstrdup(k->key, k->keylen), ks->n - 1),
				 errhint("Give the value itself with the choice write, or name "
						 "the node that wins with cache_heal(%s, winner => "
						 "...).",
						 quote_literal_cstr(cc_namespace(k->ns)->name))));
	return &ks->original[ks->served == 0 ? 1 : 0];
}

/* The one whose type, deadline and sliding a value that is written gets. */
static const CcEntry *
model_of(const CcKeyState *ks, int64 now)
{
	const CcEntry *best = &ks->original[ks->served];
	CcEntry		view;

	if (cc_conflict_view(best, now, &view))
		return best;
	best = NULL;
	for (int i = 0; i < ks->n; i++)
	{
		if (cc_conflict_view(&ks->original[i], now, &view) &&
			(best == NULL || cc_cache_compare(&ks->original[i], best) > 0))
			best = &ks->original[i];
	}
	return best;
}

/* A text as a value of the type; errors are those of the type's input. */
static void
read_value(text *value, uint8 type, StringInfo out)
{
	char	   *cstring = text_to_cstring(value);
	Datum		in = CStringGetDatum(cstring);

	if (type == CC_JSONB)
	{
		Jsonb	   *jb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, in));

		(void) JsonbToCString(out, &jb->root, VARSIZE(jb));
	}
	else if (type == CC_BYTEA)
	{
		bytea	   *bytes = DatumGetByteaPP(DirectFunctionCall1(byteain, in));

		appendBinaryStringInfo(out, VARDATA_ANY(bytes),
							   (int) VARSIZE_ANY_EXHDR(bytes));
	}
	else
		appendBinaryStringInfo(out, cstring, (int) strlen(cstring));
}

static void
write_value(FunctionCallInfo fcinfo, const CcKeyState *ks, int64 now,
			StringInfo out, CcDecision *d)
{
	const CcEntry *model = model_of(ks, now);
	Size		block = 0;

	d->type = model != NULL ? model->type : CC_TEXT;
	d->expires = model != NULL ? model->expires : 0;
	if (model != NULL && (model->flags & CC_F_EXTRA) != 0)
	{
		block = cc_extra_len(model->type, model->flags);
		appendBinaryStringInfo(out, model->value, (int) block);
		d->flags = CC_F_EXTRA;
	}
	if (PG_ARGISNULL(RESOLVE_VALUE))
		d->flags |= CC_F_NULL;
	else
		read_value(PG_GETARG_TEXT_PP(RESOLVE_VALUE), d->type, out);
	cc_write_check_size(out->len - block);
	d->value = out->data;
	d->vallen = (uint32) out->len;
}

static void
make_decision(FunctionCallInfo fcinfo, const CcKey *k, const CcKeyState *ks,
			  Choice choice, StringInfo out, CcDecision *d)
{
	int64		now = cc_hlc_now_ms(&cc.state->hlc);
	const CcEntry *chosen = NULL;
	CcEntry		view;

	memset(d, 0, sizeof(*d));
	d->how = CC_HOW_RESOLVE;
	resetStringInfo(out);
	if (choice == CHOICE_WRITE)
	{
		write_value(fcinfo, ks, now, out, d);
		return;
	}
	if (choice == CHOICE_OURS)
		chosen = &ks->original[ks->served];
	else if (choice == CHOICE_THEIRS)
		chosen = theirs_of(k, ks);
	if (chosen != NULL && cc_conflict_view(chosen, now, &view))
	{
		cc_conflict_choose(chosen, CC_HOW_RESOLVE, d);
		return;
	}
	d->type = CC_STUB;
	d->flags = CC_F_TOMBSTONE;
}

/* Again as long as others change it meanwhile, until it is decided. */
static bool
resolve(FunctionCallInfo fcinfo, const CcKey *k, Choice choice, CcBuf *buf)
{
	CcKeyState *ks = palloc(sizeof(CcKeyState));
	StringInfoData out;
	CcDecision	d;
	CcResult	result;

	initStringInfo(&out);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (!cc_conflict_read(k->ns, k->key, k->keylen, ks, buf) ||
			!cc_siblings_pending(ks))
			return false;
		make_decision(fcinfo, k, ks, choice, &out, &d);
		result = cc_conflict_decide(k->ns, k->key, k->keylen, ks, &d);
		if (result == CC_DONE)
			return true;
		if (result == CC_NOT_READY)
			cc_args_raise_not_ready();
		if (result == CC_TOO_LARGE)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("cache value of %u bytes is too large", d.vallen),
					 errhint("It must fit into the memory of its namespace "
							 "beside the values that it decides between.")));
	}
}

Datum
cachecluster_resolve(PG_FUNCTION_ARGS)
{
	CcKey		k;
	Choice		choice;
	CcBuf		buf;
	volatile bool resolved = false;

	cc_args_key(fcinfo, RESOLVE_NAMESPACE, CC_PRIV_WRITE, &k);
	choice = read_choice(fcinfo);
	cc_write_check_ready();
	cc_write_check(false);

	/* it lives in memory of its own, so it goes whatever happens */
	cc_buf_init(&buf);
	PG_TRY();
	{
		resolved = resolve(fcinfo, &k, choice, &buf);
	}
	PG_FINALLY();
	{
		cc_buf_free(&buf);
	}
	PG_END_TRY();
	if (resolved)
		wait_for_decisions(k.ns);
	PG_RETURN_BOOL(resolved);
}
