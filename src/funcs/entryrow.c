/*-------------------------------------------------------------------------
 *
 * entryrow.c
 *	  Entries as rows.  See entryrow.h.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/entryrow.h"

#include "cache/counter.h"
#include "cluster/membership.h"
#include "funcs/args.h"
#include "utils/builtins.h"

const char *const cc_entryrow_types[CC_LAST_TYPE + 1] = {
	[CC_TEXT] = "text", [CC_JSONB] = "jsonb", [CC_BYTEA] = "bytea",
	[CC_COUNTER] = "counter"
};

char *
cc_entryrow_node(uint16 origin)
{
	const CcNodeId *id = &cc_origin(origin)->node;
	int			slot = cc_membership_find(id);
	char		name[CC_NAME_LEN];
	char		hex[CC_ID_TEXT_LEN];
	char	   *text;

	name[0] = '\0';
	if (slot >= 0)
	{
		cc_lock_shared(&cc.members->lock);
		strlcpy(name, cc.members->member[slot].name, sizeof(name));
		cc_unlock(&cc.members->lock);
	}
	text = cc_args_name(name);
	return text != NULL ? text : pstrdup(cc_id_text(id, hex));
}

bool
cc_entryrow_value(const CcEntry *e, Datum *value)
{
	int64		number;

	if (e->type == CC_BYTEA)
	{
		char	   *hex = palloc((Size) e->vallen * 2 + 3);

		memcpy(hex, "\\x", 2);
		hex[2 + hex_encode(e->value, e->vallen, hex + 2)] = '\0';
		*value = CStringGetTextDatum(hex);
		return true;
	}
	if (e->type == CC_COUNTER)
	{
		if (!cc_counter_value(e->value, e->vallen, &number))
			return false;
		*value = CStringGetTextDatum(psprintf(INT64_FORMAT, number));
		return true;
	}
	if (!cc_args_is_text(e->value, e->vallen))
		return false;
	*value = PointerGetDatum(cstring_to_text_with_len(e->value, e->vallen));
	return true;
}

bool
cc_entryrow_form(const CcEntry *e, const char *origin, Datum *values,
				 bool *nulls)
{
	memset(nulls, 0, CC_ROW_COLUMNS * sizeof(bool));
	if (!cc_args_is_text(e->key, e->keylen))
		return false;
	nulls[CC_ROW_VALUE] = (e->flags & CC_F_NULL) != 0;
	if (!nulls[CC_ROW_VALUE] && !cc_entryrow_value(e, &values[CC_ROW_VALUE]))
		return false;

	values[CC_ROW_NAMESPACE] = CStringGetTextDatum(cc_namespace(e->ns)->name);
	values[CC_ROW_KEY] =
		PointerGetDatum(cstring_to_text_with_len(e->key, e->keylen));
	values[CC_ROW_VALUE_TYPE] =
		CStringGetTextDatum(cc_entryrow_types[e->type]);
	nulls[CC_ROW_EXPIRES_AT] = e->expires == 0;
	values[CC_ROW_EXPIRES_AT] =
		TimestampTzGetDatum(cc_args_timestamp(e->expires));
	/* one that waits for commit has no version and was not written yet */
	values[CC_ROW_VERSION] = Int64GetDatum((int64) e->hlc);
	nulls[CC_ROW_WRITTEN_AT] = e->hlc == 0;
	values[CC_ROW_ORIGIN] = CStringGetTextDatum(origin);
	values[CC_ROW_WRITTEN_AT] =
		TimestampTzGetDatum(cc_args_timestamp(cc_hlc_to_ms(e->hlc)));
	return true;
}
