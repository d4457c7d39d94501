/*-------------------------------------------------------------------------
 *
 * walked.c
 *	  What the resolver tells of namespaces that need not be walked; see heal.h.
 *
 * Locking: none held.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

#include "cluster/entries.h"

/*
 * The resolver may know that a namespace need not be walked any more, as what
 * ended did so under another policy, where others, who have started since or have
 * just learnt of the namespace, do not: they would wait for its word for ever.
 */
void
cc_heal_say_walked(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	if (pg_atomic_read_u32(&cc.apart->any) == 0 || !cc_heal_may_decide())
		return;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint64		walked = pg_atomic_read_u64(&cc.heal->walked[ns]);
		CcOnSplit	policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);
		char		key[CC_SYSTEM_KEY_MAX];
		char		value[8];
		CcBuf		b = {.data = value, .len = 0, .cap = sizeof(value)};
		CcBuf		buf;
		CcEntry		e;
		CcReader	r;
		uint64		has = 0;
		uint16		len;

		if (cc.heal->said[ns] >= walked ||
			(policy != CC_SPLIT_OLDEST_ISLAND &&
			 policy != CC_SPLIT_LARGEST_ISLAND &&
			 !cc_heal_is_full((uint16) ns)))
			continue;
		cc_buf_init(&buf);
		len = cc_heal_key((uint16) ns, 'w', key);
		if (cc_entries_read(key, len, &e, &buf))
		{
			cc_reader_init(&r, e.value, e.vallen);
			has = cc_read_u64(&r);
		}
		cc_buf_free(&buf);
		cc_buf_put_u64(&b, walked);
		if (has < walked)
			(void) cc_entries_write(key, len, value, sizeof(value));
		cc.heal->said[ns] = walked;
	}
}
