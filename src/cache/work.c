/*-------------------------------------------------------------------------
 *
 * work.c
 *	  What all decisions on a change have in common.  See work.h.
 *
 * Locking: the partition is locked exclusively, or shared for a probe;
 * nothing here allocates, logs or throws.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/work.h"

#include "cache/expire.h"
#include "cache/siblings.h"

static int
compare_node(uint16 a, uint16 b)
{
	return a == b ? 0 : cc_id_cmp(&cc_origin(a)->node, &cc_origin(b)->node);
}

int
cc_work_compare_version(uint64 ahlc, uint16 awriter, uint64 bhlc, uint16 bwriter)
{
	if (ahlc != bhlc)
		return ahlc < bhlc ? -1 : 1;
	return compare_node(awriter, bwriter);
}

int
cc_cache_compare(const CcEntry *a, const CcEntry *b)
{
	int			cmp = cc_work_compare_version(a->hlc, a->writer, b->hlc, b->writer);

	return cmp != 0 ? cmp :
		cc_work_compare_version(a->at, a->at_node, b->at, b->at_node);
}

int64
cc_work_now(CcWork *w)
{
	if (w->now == 0)
		w->now = cc_hlc_now_ms(&cc.state->hlc);
	return w->now;
}

bool
cc_work_over(CcWork *w, int64 expires)
{
	return expires != 0 && !cc_expire_far_off(expires) &&
		cc_expire_over(expires, cc_work_now(w));
}

CcVerdict
cc_work_store_new(CcWork *w, uint8 type, uint8 flags, const char *value, uint32 vallen,
				  int64 expires)
{
	w->e.type = type;
	w->e.flags = flags;
	w->e.value = value;
	w->e.vallen = vallen;
	w->e.expires = expires;
	w->new_dot = w->new_version = w->new_at = true;
	return CC_STORE;
}

int
cc_work_compare_current(CcWork *w)
{
	CcEntry		cur;

	cc_store_describe(w->cur, &cur);
	return cc_cache_compare(&cur, w->c->entry);
}

/* The whole of the current entry, with its value as it lies in scratch. */
bool
cc_work_copy_current(CcWork *w, Size extra)
{
	Size		len = w->cur->vallen;

	w->scratch->len = 0;
	if (cc_buf_room(w->scratch) < len + extra)
	{
		w->scratch_need = len + extra;
		return false;
	}
	cc_store_copy_value(w->p, w->cur, w->scratch->data);
	w->scratch->len = len - cc_siblings_len(w->p, w->cur);
	return true;
}

/* The current entry stays as it is but for what the caller changes. */
void
cc_work_keep_current(CcWork *w)
{
	const char *key = w->e.key;

	cc_store_describe(w->cur, &w->e);
	w->e.key = key;
}
