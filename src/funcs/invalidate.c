/*-------------------------------------------------------------------------
 *
 * invalidate.c
 *	  The trigger cache_invalidate: what is cached of a table's rows goes when
 *	  they change.
 *
 * Its arguments are a namespace and templates of keys, 'user:{id}'.  The keys
 * that the old and the new row make are deleted at the commit, on all nodes.
 * A row that makes no key (a column is NULL, the key is empty or too long)
 * needs nothing, as nothing can be cached under it.
 *
 * Where the rows are not at hand (TRUNCATE, a statement-level trigger without
 * the transition tables of its event) a template with columns empties the
 * whole namespace.  To look for the keys that match it would be too little: a
 * key may be held by another node only, or be under way to the cache in a
 * session that has read an old row.  What was taken in vain is a miss.
 *
 * It acts for the owner of the table, as the actions of foreign keys do: who
 * changes a row needs no privilege for the namespace.
 *
 * What can be prepared is kept for the statement, in fn_extra: a trigger's
 * FmgrInfo belongs to one trigger of one relation in one query.
 *
 * Locking: none here, and none is held when an error is raised.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cache/store.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "funcs/args.h"
#include "funcs/privileges.h"
#include "funcs/write.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(cachecluster_invalidate);

/* A run of literal bytes, or a column. */
typedef struct Piece
{
	AttrNumber	attnum;			/* 0: literal */
	char	   *text;
	int			len;
	FmgrInfo	out;			/* the column's output function */
} Piece;

typedef struct Template
{
	int			npieces;
	bool		has_column;
	Piece	   *pieces;
} Template;

/* Of one trigger, for the rows of one tuple descriptor. */
typedef struct Recipe
{
	Oid			relid;
	TupleDesc	desc;			/* only compared, never followed */
	uint16		ns;
	int			ntemplates;
	Template   *templates;
} Recipe;

/* A key as it is made; len 0: there is none. */
typedef struct Key
{
	int			len;
	char		data[CC_MAX_KEY];
} Key;

/*
 * Templates
 */

static void
raise_template(const char *template, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cache key template \"%s\" is malformed", template),
			 errdetail("%s", detail),
			 errhint("Write a column as {name}, and braces of the key "
					 "itself twice.")));
}

/* Adds bytes to the literal that the template ends with. */
static void
add_literal(Template *t, const char *text, int len)
{
	Piece	   *p = t->npieces > 0 ? &t->pieces[t->npieces - 1] : NULL;

	if (p == NULL || p->attnum != 0)
	{
		p = &t->pieces[t->npieces++];
		p->text = palloc(strlen(text) + 1);
	}
	memcpy(p->text + p->len, text, len);
	p->len += len;
}

static void
add_column(Template *t, Relation rel, const char *name, int len)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Piece	   *p = &t->pieces[t->npieces++];

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Oid			output;
		bool		is_varlena;

		if (att->attisdropped || strlen(NameStr(att->attname)) != len ||
			memcmp(NameStr(att->attname), name, len) != 0)
			continue;
		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		fmgr_info(output, &p->out);
		p->attnum = att->attnum;
		t->has_column = true;
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%.*s\" of relation \"%s\" does not exist",
					len, name, RelationGetRelationName(rel)),
			 errdetail("It is named by a template of cache_invalidate."),
			 errhint("A template names columns as they are spelt in the "
					 "table, capitals included.")));
}

/* The braces are ASCII, and no server encoding has them inside a character. */
static void
parse_template(Template *t, Relation rel, const char *template)
{
	const char *s = template;

	/* no more than one piece for each byte */
	t->pieces = palloc0((strlen(s) + 1) * sizeof(Piece));
	while (*s != '\0')
	{
		int			run = (int) strcspn(s, "{}");

		if (run > 0)
			add_literal(t, s, run);
		else if (s[0] == s[1])
		{
			add_literal(t, s, 1);
			run = 2;
		}
		else if (s[0] == '}')
			raise_template(template, "A closing brace has no opening one.");
		else
		{
			run = (int) strcspn(s, "}");
			if (s[run] == '\0')
				raise_template(template,
							   "An opening brace has no closing one.");
			if (run == 1)
				raise_template(template, "A name of a column is empty.");
			add_column(t, rel, s + 1, run - 1);
			run++;
		}
		s += run;
	}
	if (t->npieces == 0)
		raise_template(template, "A key must not be empty.");
}

/*
 * Preparation
 */

static void
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("cache_invalidate was not called as a trigger")));
	if (!TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" cannot invalidate before the change",
						data->tg_trigger->tgname),
				 errdetail("What is cached can be told only from the row as "
						   "it is stored."),
				 errhint("Create it as an AFTER trigger.")));
	cc_args_require_loaded();
}

static uint16
find_namespace(Trigger *trigger)
{
	uint16		ns;

	if (trigger->tgnargs < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" names no cache key", trigger->tgname),
				 errhint("The arguments of cache_invalidate are a namespace "
						 "and one or more templates of keys.")));
	ns = cc_args_find_namespace(trigger->tgargs[0]);
	if (ns == CC_NO_NS)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("cache namespace \"%s\" does not exist",
						trigger->tgargs[0]),
				 errdetail("It is the first argument of trigger \"%s\".",
						   trigger->tgname),
				 errhint("Declare it with cache_namespace(%s).",
						 quote_literal_cstr(trigger->tgargs[0]))));
	return ns;
}

/* After an error the end of the (sub)transaction gives the user back. */
static void
check_owner(uint16 ns, Relation rel)
{
	Oid			owner = rel->rd_rel->relowner;
	Oid			user;
	int			context;
	bool		may;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	may = cc_privileges_has(ns, CC_PRIV_WRITE);
	SetUserIdAndSecContext(user, context);
	if (!may)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for cache namespace \"%s\"",
						cc_namespace(ns)->name),
				 errdetail("cache_invalidate acts for the owner of table "
						   "\"%s\", role \"%s\", who may not write it.",
						   RelationGetRelationName(rel),
						   GetUserNameFromId(owner, false)),
				 errhint("Its owner can grant it with cache_grant(%s, %s, "
						 "'write').",
						 quote_literal_cstr(cc_namespace(ns)->name),
						 quote_literal_cstr(GetUserNameFromId(owner, false)))));
}

/* Everything that a user can do wrong is said here, at the first firing. */
static Recipe *
prepare(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Relation	rel = data->tg_relation;
	Trigger    *trigger = data->tg_trigger;
	Recipe	   *recipe = fcinfo->flinfo->fn_extra;
	MemoryContext old;
	uint16		ns;

	if (recipe != NULL && recipe->relid == RelationGetRelid(rel) &&
		recipe->desc == RelationGetDescr(rel))
		return recipe;
	check_call(fcinfo);
	ns = find_namespace(trigger);
	check_owner(ns, rel);

	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	recipe = palloc0(sizeof(Recipe));
	recipe->relid = RelationGetRelid(rel);
	recipe->desc = RelationGetDescr(rel);
	recipe->ns = ns;
	recipe->ntemplates = trigger->tgnargs - 1;
	recipe->templates = palloc0(recipe->ntemplates * sizeof(Template));
	for (int i = 0; i < recipe->ntemplates; i++)
		parse_template(&recipe->templates[i], rel, trigger->tgargs[i + 1]);
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = recipe;
	return recipe;
}

/*
 * Keys
 */

static bool
append(Key *key, const char *text, Size len)
{
	if (len > CC_MAX_KEY - (Size) key->len)
		return false;
	memcpy(key->data + key->len, text, len);
	key->len += (int) len;
	return true;
}

/* The key of a row.  No slot is needed where there is no column. */
static void
make_key(Template *t, TupleTableSlot *slot, Key *key)
{
	key->len = 0;
	for (int i = 0; i < t->npieces; i++)
	{
		Piece	   *p = &t->pieces[i];
		const char *text = p->text;
		Size		len = p->len;

		if (p->attnum != 0)
		{
			bool		null;
			Datum		value = slot_getattr(slot, p->attnum, &null);

			text = null ? NULL : OutputFunctionCall(&p->out, value);
			len = null ? 0 : strlen(text);
		}
		if (text == NULL || !append(key, text, len))
		{
			key->len = 0;
			return;
		}
	}
}

static void
delete_key(const Recipe *recipe, const Key *key)
{
	if (key->len > 0)
		cc_write_invalidate(recipe->ns, key->data, (uint16) key->len);
}

/* One row, or the two of an update; either slot may be NULL. */
static void
invalidate_row(Recipe *recipe, TupleTableSlot *before, TupleTableSlot *after)
{
	Key			old_key;
	Key			new_key;

	old_key.len = new_key.len = 0;
	for (int i = 0; i < recipe->ntemplates; i++)
	{
		if (before != NULL)
			make_key(&recipe->templates[i], before, &old_key);
		if (after != NULL)
			make_key(&recipe->templates[i], after, &new_key);
		delete_key(recipe, &old_key);
		if (new_key.len != old_key.len ||
			memcmp(new_key.data, old_key.data, new_key.len) != 0)
			delete_key(recipe, &new_key);
	}
}

/* The rows of a transition table; others read it too, each from its start. */
static void
invalidate_table(Recipe *recipe, Relation rel, Tuplestorestate *rows)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext,
											  "cache_invalidate row",
											  ALLOCSET_DEFAULT_SIZES);
	int			pointer = tuplestore_alloc_read_pointer(rows,
														EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row);

		CHECK_FOR_INTERRUPTS();
		invalidate_row(recipe, slot, NULL);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row);
	}
	MemoryContextDelete(row);
	ExecDropSingleTupleTableSlot(slot);
}

/* Whatever rows there were. */
static void
invalidate_all(Recipe *recipe)
{
	for (int i = 0; i < recipe->ntemplates; i++)
	{
		if (recipe->templates[i].has_column)
		{
			cc_write_invalidate_all(recipe->ns);
			break;
		}
	}
	for (int i = 0; i < recipe->ntemplates; i++)
	{
		Key			key;

		if (recipe->templates[i].has_column)
			continue;
		make_key(&recipe->templates[i], NULL, &key);
		delete_key(recipe, &key);
	}
}

static void
invalidate_statement(Recipe *recipe, TriggerData *data)
{
	bool		insert = TRIGGER_FIRED_BY_INSERT(data->tg_event);
	bool		delete = TRIGGER_FIRED_BY_DELETE(data->tg_event);

	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) ||
		(!insert && data->tg_oldtable == NULL) ||
		(!delete && data->tg_newtable == NULL))
	{
		invalidate_all(recipe);
		return;
	}
	if (!insert)
		invalidate_table(recipe, data->tg_relation, data->tg_oldtable);
	if (!delete)
		invalidate_table(recipe, data->tg_relation, data->tg_newtable);
}

Datum
cachecluster_invalidate(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Recipe	   *recipe;

	if (!CALLED_AS_TRIGGER(fcinfo))
		check_call(fcinfo);
	recipe = prepare(fcinfo);
	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		invalidate_statement(recipe, data);
	else if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		invalidate_row(recipe, NULL, data->tg_trigslot);
	else if (TRIGGER_FIRED_BY_DELETE(data->tg_event))
		invalidate_row(recipe, data->tg_trigslot, NULL);
	else
		invalidate_row(recipe, data->tg_trigslot, data->tg_newslot);
	return PointerGetDatum(NULL);
}
