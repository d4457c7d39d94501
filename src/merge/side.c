/*-------------------------------------------------------------------------
 *
 * side.c
 *	  What merge functions are given and return.  See side.h.
 *
 *-------------------------------------------------------------------------
 */
#include "merge/side.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "funcs/args.h"
#include "funcs/entryrow.h"
#include "funcs/write.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* ------------------------------------------------------------------------
 * What a function is given
 * ------------------------------------------------------------------------
 */

void
cc_mergeside_see(const CcEntry *original, CcMergeSide *s)
{
	memset(s, 0, sizeof(*s));
	s->original = original;
	s->there = cc_conflict_view(original, cc_hlc_now_ms(&cc.state->hlc),
								&s->e);
}

static const char *
name_of(CcMergeCall *m, uint16 origin)
{
	if (m->names[origin] == NULL)
		m->names[origin] =
			MemoryContextStrdup(GetMemoryChunkContext(m->names),
								cc_entryrow_node(origin));
	return m->names[origin];
}

void
cc_mergeside_form(CcMergeCall *m, CcMergeSide *s)
{
	Datum		values[CC_ROW_COLUMNS];
	bool		nulls[CC_ROW_COLUMNS];

	if (s->formed || !s->there)
		return;
	if (!cc_entryrow_form(&s->e, name_of(m, s->e.writer), values, nulls))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("key or value is not text in the encoding of this "
						"database")));
	s->row = HeapTupleGetDatum(heap_form_tuple(m->entry, values, nulls));
	s->formed = true;
}

/* ------------------------------------------------------------------------
 * What it returns
 * ------------------------------------------------------------------------
 */

void
cc_mergeside_take_apart(CcMergeCall *m, Datum row, Datum *values, bool *nulls)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(row);
	HeapTupleData tuple;

	if (HeapTupleHeaderGetTypeId(header) != m->sig.result)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("merge function returned a row of another type")));
	memset(&tuple, 0, sizeof(tuple));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;
	ItemPointerSetInvalid(&tuple.t_self);
	heap_deform_tuple(&tuple, m->result, values, nulls);
}

static bool
is_text(Datum value, const char *data, Size len)
{
	text	   *t = DatumGetTextPP(value);

	return VARSIZE_ANY_EXHDR(t) == len &&
		memcmp(VARDATA_ANY(t), data, len) == 0;
}

/*
 * A text as a value of the type is stored.  It lies in m->memory; what is of
 * use on the way there only goes with the key, or a batch would touch many
 * times the memory that its values need.
 */
static void
convert(CcMergeCall *m, CcType type, Datum value, CcEntry *e)
{
	char	   *cstring = TextDatumGetCString(value);
	char	   *bytes = cstring;
	Size		len;

	if (type == CC_JSONB)
	{
		Jsonb	   *jb;

		jb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												CStringGetDatum(cstring)));
		bytes = JsonbToCString(NULL, &jb->root, VARSIZE(jb));
	}
	len = strlen(bytes);
	if (type == CC_BYTEA)
	{
		bytea	   *b;

		b = DatumGetByteaPP(DirectFunctionCall1(byteain,
												CStringGetDatum(cstring)));
		bytes = VARDATA_ANY(b);
		len = VARSIZE_ANY_EXHDR(b);
	}
	cc_write_check_size(len);
	e->value = memcpy(MemoryContextAlloc(m->memory, len), bytes, len);
	e->vallen = (uint32) len;
}

static bool
is_null(const CcEntry *e)
{
	return (e->flags & CC_F_NULL) != 0;
}

/* Makes the value of a side.  Whether it is that of `as`. */
static bool
make_value(CcMergeCall *m, CcEntry *e, CcType type, Datum value, bool isnull,
		   const CcMergeSide *as)
{
	bool		alike = as != NULL && as->e.type == type;

	e->type = type;
	e->flags = isnull ? CC_F_NULL : 0;
	e->value = NULL;
	e->vallen = 0;
	if (isnull)
		return alike && is_null(&as->e);
	alike = alike && !is_null(&as->e);
	if (alike && type != CC_BYTEA && is_text(value, as->e.value, as->e.vallen))
	{
		e->value = as->e.value;
		e->vallen = as->e.vallen;
		return true;
	}
	convert(m, type, value, e);
	return alike && as->e.vallen == e->vallen &&
		memcmp(as->e.value, e->value, e->vallen) == 0;
}

static CcType
read_type(Datum value, bool isnull, CcType otherwise)
{
	static const CcType types[] = {CC_TEXT, CC_JSONB, CC_BYTEA};

	if (isnull)
		return otherwise;
	for (int i = 0; i < lengthof(types); i++)
	{
		const char *word = cc_entryrow_types[types[i]];

		if (is_text(value, word, strlen(word)))
			return types[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("merge function returned value_type \"%s\"",
					TextDatumGetCString(value)),
			 errhint("It is one of text, jsonb, bytea.")));
	return CC_TEXT;
}

/* expires_at in ms since 1970; 0: never. */
static int64
read_deadline(Datum value, bool isnull)
{
	const int64 epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY * 1000;
	TimestampTz t = DatumGetTimestampTz(value);

	if (isnull || TIMESTAMP_IS_NOEND(t))
		return 0;
	if (t <= -epoch * 1000)
		return 1;
	return (t + 999) / 1000 + epoch;
}

/* A deadline that came back as it was is kept with all that belongs to it. */
static void
keep_timing(CcMergeSide *s, const CcMergeSide *as)
{
	const CcEntry *e = as->original;

	s->deadline = e != NULL ? e->expires : as->deadline;
	s->has_block = e != NULL ? (e->flags & CC_F_EXTRA) != 0 : as->has_block;
	if (s->has_block)
		memcpy(s->block, e != NULL ? e->value : as->block, CC_EXTRA_VALUE);
}

static void
check_name(Datum value, bool isnull, const char *name, Size len)
{
	if (!isnull && !is_text(value, name, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("merge function returned another key"),
				 errhint("It returns ours, theirs, a row made from them, or "
						 "null to delete the key.")));
}

/* The argument from which a row was made, by its version; NULL: none. */
static const CcMergeSide *
made_from(CcMergeSides args, Datum version, bool isnull)
{
	for (int i = 0; i < 2 && !isnull; i++)
	{
		if (args[i]->there && args[i]->e.hlc == (uint64) DatumGetInt64(version))
			return args[i];
	}
	return NULL;
}

/* As those of a variable that was never set are: it counts as NULL. */
static bool
all_null(const bool *nulls)
{
	for (int i = 0; i < CC_ROW_COLUMNS; i++)
	{
		if (!nulls[i])
			return false;
	}
	return true;
}

void
cc_mergeside_read_entry(CcMergeCall *m, Datum row, CcMergeSides args,
						CcMergeSide *s)
{
	const CcEntry *e = args[0]->there ? &args[0]->e : &args[1]->e;
	const char *ns = cc_namespace(m->ns)->name;
	Datum		values[CC_ROW_COLUMNS];
	bool		nulls[CC_ROW_COLUMNS];
	const CcMergeSide *as;
	bool		same;

	memset(s, 0, sizeof(*s));
	cc_mergeside_take_apart(m, row, values, nulls);
	if (all_null(nulls))
		return;
	check_name(values[CC_ROW_NAMESPACE], nulls[CC_ROW_NAMESPACE], ns,
			   strlen(ns));
	check_name(values[CC_ROW_KEY], nulls[CC_ROW_KEY], e->key, e->keylen);
	as = made_from(args, values[CC_ROW_VERSION], nulls[CC_ROW_VERSION]);
	s->e = as != NULL ? as->e : *e;
	s->there = true;
	s->row = row;
	s->formed = true;
	same = make_value(m, &s->e, read_type(values[CC_ROW_VALUE_TYPE],
										  nulls[CC_ROW_VALUE_TYPE],
										  s->e.type),
					  values[CC_ROW_VALUE], nulls[CC_ROW_VALUE], as);
	s->e.expires = read_deadline(values[CC_ROW_EXPIRES_AT],
								 nulls[CC_ROW_EXPIRES_AT]);
	s->deadline = s->e.expires;
	if (as == NULL || s->e.expires != as->e.expires)
		return;
	keep_timing(s, as);
	if (same)
		s->original = as->original;
}

void
cc_mergeside_read_write(CcMergeCall *m, Datum *values, bool *nulls,
						CcMergeSides args, CcMergeSide *s)
{
	const CcMergeSide *as = args[0]->there ? args[0] : args[1];
	CcChange	c = {.ns = m->ns};
	CcPutOptions o = {.have_ttl = !nulls[CC_MERGE_TTL]};
	CcExtra		x = {0};
	int64		now = cc_hlc_now_ms(&cc.state->hlc);

	if (o.have_ttl)
		o.ttl_ms = cc_args_span(DatumGetIntervalP(values[CC_MERGE_TTL]));
	cc_write_options(&c, &o);
	memset(s, 0, sizeof(*s));
	s->e = as->e;
	s->e.hlc = 0;
	s->e.expires = 0;
	s->e.writer = cc_state_self();
	s->there = c.ttl_ms >= 0;
	(void) make_value(m, &s->e, as->e.type, values[CC_MERGE_VALUE],
					  nulls[CC_MERGE_VALUE], NULL);
	if (c.ttl_ms <= 0)
		return;
	x.fresh = now + c.ttl_ms;
	if (c.sliding)
	{
		x.ttl_ms = c.ttl_ms;
		x.cap = c.max_age_ms > 0 ? now + c.max_age_ms : 0;
		if (x.cap != 0)
			x.fresh = Min(x.fresh, x.cap);
	}
	s->e.expires = x.fresh;
	s->deadline = cc_extra_deadline(x.fresh, c.grace_ms);
	s->has_block = x.ttl_ms != 0 || s->deadline != x.fresh;
	if (s->has_block)
		cc_extra_put(s->block, &x);
}

void
cc_mergeside_decide(CcMergeCall *m, const CcMergeSide *s, CcDecision *d)
{
	int64		now = cc_hlc_now_ms(&cc.state->hlc);

	memset(d, 0, sizeof(*d));
	d->how = CC_HOW_MERGE;
	if (!s->there || (s->original == NULL && s->e.expires != 0 &&
					  s->e.expires <= now))
	{
		d->type = CC_STUB;
		d->flags = CC_F_TOMBSTONE;
		return;
	}
	if (s->original != NULL)
	{
		cc_conflict_choose(s->original, CC_HOW_MERGE, d);
		return;
	}
	d->type = s->e.type;
	d->flags = s->e.flags & CC_F_NULL;
	d->value = s->e.value;
	d->vallen = s->e.vallen;
	d->expires = s->deadline;
	if (s->has_block)
	{
		char	   *whole = MemoryContextAlloc(m->memory, CC_EXTRA_VALUE +
											   (Size) s->e.vallen);

		memcpy(whole, s->block, CC_EXTRA_VALUE);
		if (s->e.vallen > 0)
			memcpy(whole + CC_EXTRA_VALUE, s->e.value, s->e.vallen);
		d->value = whole;
		d->vallen += CC_EXTRA_VALUE;
		d->flags |= CC_F_EXTRA;
	}
}
