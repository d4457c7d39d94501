/*-------------------------------------------------------------------------
 *
 * extra.c
 *	  See extra.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/extra.h"

#include "cache/siblings.h"

static int64
get_i64(const char *p)
{
	CcReader	r;

	cc_reader_init(&r, p, sizeof(int64));
	return (int64) cc_read_u64(&r);
}

void
cc_extra_get(const char *from, CcExtra *x)
{
	x->system = (uint64) get_i64(from);
	x->lsn = (uint64) get_i64(from + 8);
	x->fresh = get_i64(from + 16);
	x->ttl_ms = get_i64(from + 24);
	x->cap = get_i64(from + 32);
}

void
cc_extra_strip(CcEntry *e, CcExtra *x)
{
	memset(x, 0, sizeof(*x));
	x->fresh = e->expires;
	cc_siblings_strip(e);
	if ((e->flags & CC_F_EXTRA) == 0 || e->type == CC_STUB)
		return;
	cc_extra_get(e->value, x);
	e->value += CC_EXTRA_VALUE;
	e->vallen -= CC_EXTRA_VALUE;
	e->flags &= ~CC_F_EXTRA;
}

void
cc_extra_put(char *to, const CcExtra *x)
{
	CcBuf		b = {.data = to, .len = 0, .cap = CC_EXTRA_VALUE};

	cc_buf_put_u64(&b, x->system);
	cc_buf_put_u64(&b, x->lsn);
	cc_buf_put_u64(&b, (uint64) x->fresh);
	cc_buf_put_u64(&b, (uint64) x->ttl_ms);
	cc_buf_put_u64(&b, (uint64) x->cap);
}

void
cc_extra_put_stub(char *to, uint64 system, uint64 lsn)
{
	CcBuf		b = {.data = to, .len = 0, .cap = CC_EXTRA_STUB};

	cc_buf_put_u64(&b, system);
	cc_buf_put_u64(&b, lsn);
}

/* Both kinds of blocks begin with it. */
static bool
get_invalidation(const char *from, uint64 *system, uint64 *lsn)
{
	*system = (uint64) get_i64(from);
	*lsn = (uint64) get_i64(from + 8);
	return *lsn != 0;
}

bool
cc_extra_invalidation(const CcEntry *e, uint64 *system, uint64 *lsn)
{
	return (e->flags & CC_F_EXTRA) != 0 &&
		get_invalidation(e->block != NULL ? e->block : e->value, system, lsn);
}

bool
cc_extra_stored_invalidation(CcPartitionShared *p, CcHeaderShared *h,
							 uint64 *system, uint64 *lsn)
{
	char		head[CC_EXTRA_STUB];

	if ((cc_header_flags(h) & CC_F_EXTRA) == 0)
		return false;
	cc_store_copy_head(p, h, head, sizeof(head));
	return get_invalidation(head, system, lsn);
}

int64
cc_extra_fresh(CcPartitionShared *p, CcHeaderShared *h)
{
	char		block[CC_EXTRA_VALUE];

	if (likely((cc_header_flags(h) & CC_F_EXTRA) == 0) ||
		cc_header_type(h) == CC_STUB)
		return h->expires;
	cc_store_copy_head(p, h, block, sizeof(block));
	return get_i64(block + 16);
}

int64
cc_extra_deadline(int64 fresh, int64 grace_ms)
{
	if (grace_ms <= 0)
		return fresh;
	return fresh > PG_INT64_MAX - grace_ms ? PG_INT64_MAX : fresh + grace_ms;
}

int64
cc_extra_slide(const CcExtra *x, int64 now)
{
	int64		to;

	if (x->ttl_ms <= 0 || x->fresh <= 0 || x->ttl_ms > PG_INT64_MAX - now)
		return 0;
	to = now + x->ttl_ms;
	if (x->cap != 0)
		to = Min(to, x->cap);
	/* not for less than a tenth of the TTL, which spares most writes */
	return to - x->fresh >= Max(x->ttl_ms / 10, 1) ? to : 0;
}
