/*-------------------------------------------------------------------------
 *
 * take.c
 *	  What is made of entries that come from elsewhere: from peers, from our
 *	  files, from a digest (PROTOCOL.md section 4).  See work.h.
 *
 * Locking: the partition is locked exclusively, or shared for a probe;
 * nothing here allocates, logs or throws.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/work.h"

#include "cache/counter.h"
#include "cache/exact_private.h"
#include "cache/expire.h"
#include "cache/namespace.h"

/* So many chunks of a partition system entries may have in any case */
#define FEW_CHUNKS			256

/*
 * PROTOCOL.md, counters join.  Sets *joined when the two make a third, which
 * gets a dot of ours.  Nobody has written anything by that: like a touch it
 * keeps the version of the newer one, so that it never beats a delete or a put
 * that did.  The result is put behind the current value.
 */
static CcVerdict
join_counters(CcWork *w, bool *joined)
{
	const CcEntry *e = w->c->entry;
	bool		newer = cc_work_compare_current(w) <= 0;
	Size		cur_len = w->cur->vallen;
	CcBuf		out;

	*joined = false;
	if (!cc_work_copy_current(w, cur_len + e->vallen))
		return CC_MORE_SCRATCH;
	out.data = w->scratch->data + cur_len;
	out.len = 0;
	out.cap = cur_len + e->vallen;
	if (!cc_counter_join(&out, w->scratch->data, cur_len, e->value, e->vallen))
		return CC_LEAVE;
	if (newer ? cc_counter_equal(out.data, out.len, e->value, e->vallen) :
		cc_counter_equal(out.data, out.len, w->scratch->data, cur_len))
		return CC_LEAVE;
	/* past the bound of a namespace it counts all the same, until it goes */
	if (!cc_store_fits(CC_NS_SYSTEM, (Size) w->e.keylen + out.len))
		return CC_LEAVE;
	*joined = true;
	(void) cc_work_store_new(w, CC_COUNTER, 0, out.data, (uint32) out.len,
							 newer ? e->expires : w->cur->expires);
	if (cc_rule(join_version))
	{
		w->new_version = false;
		w->e.hlc = newer ? e->hlc : w->cur->hlc;
		w->e.writer = newer ? e->writer : w->cur->writer;
	}
	return CC_STORE;
}

/* An entry that comes from elsewhere or from our file, as it is. */
static void
use_given(CcWork *w)
{
	const CcEntry *e = w->c->entry;

	w->e = *e;
	w->e.hash = w->hash;
	w->e.key = w->c->key;
	w->e.keylen = w->c->keylen;
	w->e.ns = w->c->ns;
}

static bool
same_dot(const CcHeaderShared *h, const CcEntry *e)
{
	return h->origin == e->origin && h->seq == e->seq;
}

static bool
has_siblings(CcWork *w)
{
	return w->cur != NULL &&
		(cc_header_flags(w->cur) & CC_F_SIBLINGS) != 0;
}

/*
 * System entries are never evicted, so what a peer may send of them is
 * bounded: each small, and all together a quarter of a partition.
 */
static bool
system_fits(CcWork *w)
{
	return w->c->entry->vallen <= CC_MAX_SYSTEM_VALUE &&
		w->p->list[CC_LIST_SYSTEM].chunks <=
		Max(w->p->nchunks / 4, FEW_CHUNKS);
}

/* PROTOCOL.md, take: the order of the tests is the rule's. */
CcVerdict
cc_take_sent(CcWork *w)
{
	const CcEntry *e = w->c->entry;
	bool		system = w->c->ns == CC_NS_SYSTEM;
	bool		retired;
	int			cmp;

	w->o->result = CC_UNCHANGED;
	if (cc_exact_wants(w))
		return cc_exact_take(w);
	cc_hlc_observe(&cc.state->hlc, e->at);
	if (!system && (cc_namespace_has(w->c->ns, CC_NS_LOCAL) ||
					cc_expire_cleared(w->c->ns, e->hlc)))
		return CC_LEAVE;
	if (e->type == CC_COUNTER && w->live &&
		cc_header_type(w->cur) == CC_COUNTER &&
		!cc_work_over(w, e->expires) && cc_rule(counters_join))
	{
		bool		joined;
		CcVerdict		v = join_counters(w, &joined);

		if (joined || v == CC_MORE_SCRATCH)
			return v;
	}
	retired = cc_state_vv(e->origin) == CC_VV_INF;
	if (!retired && cc_state_vv(e->origin) >= e->seq)
		return CC_LEAVE;
	cmp = w->there ? cc_work_compare_current(w) : -1;
	if (cmp > 0)
		return CC_LEAVE;
	if (cmp == 0)
	{
		if (retired || same_dot(w->cur, e) ||
			cc_state_vv(w->cur->origin) >= w->cur->seq)
			return CC_LEAVE;
		/* the same write under a name that its sender knows */
		cc_work_keep_current(w);
		w->e.origin = e->origin;
		w->e.seq = e->seq;
		return CC_RESTAMP;
	}
	use_given(w);

	/*
	 * It was under way when its origin was retired, and nobody's VV tells any
	 * more whether we have seen it.  The order of versions and the floor do;
	 * where they don't object it gets a dot of ours, as what we held beyond VV
	 * did (PROTOCOL.md, retire).
	 */
	w->new_dot = retired;
	if (system && !system_fits(w))
	{
		w->o->result = CC_TOO_LARGE;
		return CC_LEAVE;
	}
	if (w->e.type == CC_STUB || system)
		return CC_STORE;
	if (cc_work_over(w, e->expires))
	{
		if (!cc_rule(expired_on_arrival))
			return CC_LEAVE;
		cc_exact_make_stub(&w->e);
	}
	else if ((cc_rule(floor_version) ? e->hlc : e->at) <= cc_floor_get(w->hash) &&
			 !(w->there && cc_header_type(w->cur) != CC_STUB &&
			   cc_work_compare_version(w->cur->hlc, w->cur->writer, e->hlc,
									   e->writer) == 0))
	{
		cc_check_evict(&w->e);
		cc_exact_make_stub(&w->e);
	}
	else if (!cc_store_fits(w->c->ns, (Size) e->keylen + e->vallen))
	{
		/* the peer's partitions or bound are larger than ours */
		cc_check_evict(&w->e);
		cc_exact_make_stub(&w->e);
	}
	return CC_STORE;
}

/* What our own file holds: later in the file wins where versions are equal. */
CcVerdict
cc_take_loaded(CcWork *w)
{
	const CcEntry *e = w->c->entry;

	w->o->result = CC_UNCHANGED;
	if ((e->flags & CC_F_SIBLINGS) != 0 || has_siblings(w))
		return cc_exact_load(w);
	/* the clock's bound is above all this, unless the file is damaged */
	if (cc_rule(clock_bound) && cc_rule(clock_bound_seen))
		cc_hlc_observe(&cc.state->hlc, e->at);
	if (w->c->ns != CC_NS_SYSTEM && cc_expire_cleared(w->c->ns, e->hlc))
		return CC_LEAVE;
	if (w->there && cc_work_compare_current(w) > 0)
		return CC_LEAVE;
	use_given(w);
	if (e->type == CC_STUB)
		return CC_STORE;
	if (w->c->ns != CC_NS_SYSTEM && cc_work_over(w, e->expires))
		cc_exact_make_stub(&w->e);
	else if (!cc_store_fits(w->c->ns, (Size) e->keylen + e->vallen))
	{
		cc_check_evict(&w->e);
		cc_exact_make_stub(&w->e);
	}
	return CC_STORE;
}

CcVerdict
cc_take_away(CcWork *w)
{
	const CcEntry *e = w->c->entry;

	w->o->result = CC_UNCHANGED;
	if (has_siblings(w))
		return cc_exact_away(w);
	if (!w->there || !same_dot(w->cur, e) || w->cur->hlc != e->hlc)
		return CC_LEAVE;

	/*
	 * Its value had been evicted here, which is not in the journal: with the VV
	 * that follows the files must not give it back after a crash.
	 */
	if (cc_header_type(w->cur) == CC_STUB)
	{
		cc_work_keep_current(w);
		return CC_RESTAMP;
	}
	cc_store_describe(w->cur, &w->e);
	cc_check_evict(&w->e);
	w->e.key = w->c->key;
	cc_exact_make_stub(&w->e);
	return CC_STORE;
}

CcVerdict
cc_take_name(CcWork *w)
{
	w->o->result = CC_UNCHANGED;
	if (has_siblings(w))
		return cc_exact_name(w);
	if (!w->there || !same_dot(w->cur, w->c->entry))
		return CC_LEAVE;
	cc_work_keep_current(w);
	w->new_dot = true;
	return CC_RESTAMP;
}
