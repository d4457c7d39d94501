/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Values of entries as SQL sees them.  See value.h.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/value.h"

#include "cache/counter.h"
#include "utils/builtins.h"

/* What was read stays allocated for the next call, up to this size. */
#define KEEP_BUF	(256 * 1024)

CcBuf *
cc_value_buffer(void)
{
	static CcBuf buf;

	if (buf.cap > KEEP_BUF)
	{
		cc_buf_free(&buf);
		cc_buf_init(&buf);
	}
	buf.len = 0;
	return &buf;
}

void
cc_value_raise_type(const CcKey *k, const char *is, const char *use)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of cache key \"%s\" is of type %s",
					pnstrdup(k->key, k->keylen), is),
			 errhint("Read it with %s.", use)));
}

/* A peer whose database has another encoding may have written it. */
void
cc_value_check_encoding(const CcKey *k, const CcEntry *e)
{
	if (unlikely(!cc_args_is_text(e->value, e->vallen)))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("value of cache key \"%s\" is not text in the "
						"encoding of this database",
						pnstrdup(k->key, k->keylen))));
}

int64
cc_value_counter(const CcKey *k, const CcEntry *e)
{
	int64		number;

	if (!cc_counter_value(e->value, e->vallen, &number))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("counter of cache key \"%s\" is malformed",
						pnstrdup(k->key, k->keylen))));
	return number;
}

bool
cc_value_is_text(const CcEntry *e)
{
	int64		number;

	if ((e->flags & CC_F_NULL) != 0)
		return true;
	if (e->type == CC_COUNTER)
		return cc_counter_value(e->value, e->vallen, &number);
	return e->type != CC_BYTEA && cc_args_is_text(e->value, e->vallen);
}

text *
cc_value_text(const CcKey *k, const CcEntry *e)
{
	if (e->type == CC_BYTEA)
		cc_value_raise_type(k, "bytea", "cache_get_bytea");
	if (e->type == CC_COUNTER)
		return cstring_to_text(psprintf(INT64_FORMAT,
										cc_value_counter(k, e)));
	cc_value_check_encoding(k, e);
	return cstring_to_text_with_len(e->value, (int) e->vallen);
}
