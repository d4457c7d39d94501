/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  LIKE patterns over keys.  See pattern.h.
 *
 * Bytes can be compared for characters here: in every encoding of a database
 * the bytes of a multibyte character have their high bit set, so none of them
 * is a wildcard or an escape, and two valid texts that begin with the same
 * bytes begin with the same characters.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/pattern.h"

#include "base/compat.h"
#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "funcs/args.h"
#include "utils/builtins.h"

/*
 * Copies the literal that the pattern begins with, escapes resolved; returns
 * where it ends.  *len may exceed the room, which holds the longest key.
 */
static Size
read_literal(const char *s, Size size, char *literal, Size *len)
{
	Size		i = 0;

	*len = 0;
	while (i < size && s[i] != '%' && s[i] != '_')
	{
		if (s[i] == '\\')
			i++;
		if (*len < CC_MAX_KEY)
			literal[*len] = s[i];
		i++;
		(*len)++;
	}
	return i;
}

static void
check_escapes(const char *s, Size size)
{
	for (Size i = 0; i < size; i++)
	{
		if (s[i] == '\\' && ++i == size)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
					 errmsg("LIKE pattern must not end with escape "
							"character")));
	}
}

void
cc_pattern_parse(const text *pattern, CcPattern *p)
{
	const char *s = VARDATA_ANY(pattern);
	Size		size = VARSIZE_ANY_EXHDR(pattern);
	Size		i;

	check_escapes(s, size);
	p->whole = p->key = NULL;
	i = read_literal(s, size, p->literal, &p->len);
	if (p->len > CC_MAX_KEY || size == 0)
	{
		p->kind = CC_PATTERN_NONE;
		return;
	}
	if (i == size)
	{
		p->kind = CC_PATTERN_EXACT;
		return;
	}
	while (i < size && s[i] == '%')
		i++;
	if (i == size)
	{
		p->kind = CC_PATTERN_PREFIX;
		return;
	}
	p->kind = CC_PATTERN_LIKE;
	p->whole = cstring_to_text_with_len(s, (int) size);
	p->key = palloc(VARHDRSZ + CC_MAX_KEY);
}

bool
cc_pattern_matches(CcPattern *p, const char *key, Size len)
{
	if (p->kind == CC_PATTERN_NONE || len < p->len ||
		memcmp(key, p->literal, p->len) != 0)
		return false;
	if (p->kind == CC_PATTERN_EXACT)
		return len == p->len;
	if (!cc_args_is_text(key, len))
		return false;
	if (p->kind == CC_PATTERN_PREFIX)
		return true;
	Assert(len <= CC_MAX_KEY);
	SET_VARSIZE(p->key, VARHDRSZ + len);
	memcpy(VARDATA(p->key), key, len);
	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
												PointerGetDatum(p->key),
												PointerGetDatum(p->whole)));
}
