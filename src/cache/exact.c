/*-------------------------------------------------------------------------
 *
 * exact.c
 *	  See exact.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/exact_private.h"

#include "cache/apart.h"
#include "cache/expire.h"
#include "cache/namespace.h"

/* What one side is known to have seen. */
typedef struct Side
{
	const CcKeyState *ks;
	const CcVV *vv;				/* NULL: ours */
	bool		known;			/* vv may be used at all */
} Side;

bool
cc_exact_wants(CcWork *w)
{
	const CcEntry *e = w->c->entry;
	bool		siblings = (e->flags & CC_F_SIBLINGS) != 0 ||
		(w->cur != NULL && (cc_header_flags(w->cur) & CC_F_SIBLINGS) != 0);

	if (w->c->ns == CC_NS_SYSTEM)
		return false;
	if (siblings)
		return true;
	/* counters join, and are never in conflict */
	return cc_namespace_has(w->c->ns, CC_NS_KEEPS) && e->type != CC_COUNTER &&
		!(w->cur != NULL && cc_header_type(w->cur) == CC_COUNTER);
}

/*
 * Room in scratch for `extra` bytes behind the whole of the current value,
 * which is copied there and parsed into w->ours.
 */
bool
cc_exact_read_ours(CcWork *w, Size extra)
{
	Size		len = w->cur == NULL ? 0 : w->cur->vallen;
	CcEntry		e;

	w->ours->n = 0;
	w->scratch->len = 0;
	if (cc_buf_room(w->scratch) < len + extra)
	{
		w->scratch_need = len + extra;
		return false;
	}
	if (w->cur == NULL)
		return true;
	cc_store_describe(w->cur, &e);
	e.key = w->c->key;
	e.value = w->scratch->data;
	if (len > 0)
		cc_store_copy_value(w->p, w->cur, w->scratch->data);
	w->scratch->len = len;
	if (!cc_siblings_parse(&e, w->ours))
		w->ours->n = 0;			/* a bug; better nothing than half of it */
	return true;
}

/* Most that building a state of what is here and `more` bytes can take. */
Size
cc_exact_most_room(CcWork *w, Size more)
{
	return (w->cur == NULL ? 0 : w->cur->vallen) + more + CC_SIB_HEADS_MAX +
		CC_SIB_ERROR_LEN + CC_SIB_TAIL;
}

/* Whether an entry says that this dot of its origin was before it, or is its own. */
static bool
dot_below(const CcEntry *e, uint16 origin, uint64 seq)
{
	return e->origin == origin && e->seq >= seq;
}

/*
 * Whether a side has seen an entry, by all that it says.  of: where it stands.
 * Whoever has replaced a decision has replaced all that it was made from
 * (PROTOCOL.md, settled), though it may have been folded there by then; and so has
 * who has folded it, whatever dots those have got since.
 */
static bool
seen(const Side *side, const CcEntry *e, const CcKeyState *of)
{
	const CcKeyState *ks = side->ks;
	uint16		origin = e->origin;
	uint64		seq = e->seq;

	if (side->known &&
		(side->vv == NULL ? cc_state_vv(origin) : cc_vv_get(side->vv, origin)) >= seq)
		return true;
	for (int i = 0; i < ks->n; i++)
	{
		if (dot_below(&ks->original[i], origin, seq))
			return true;
	}
	if (ks->n > 0 && ks->resolved && dot_below(&ks->resolution, origin, seq))
		return true;
	return ks->n > 0 && cc_rule(context) &&
		(cc_exact_is_input(ks, e) ||
		 (of->resolved && cc_exact_is_input(ks, &of->resolution)) ||
		 (of->resolved && cc_exact_is_input(of, e) &&
		  cc_exact_find_original(ks, &of->resolution) >= 0));
}

static bool
is_delete(const CcEntry *e)
{
	return e->type == CC_STUB && (e->flags & CC_F_TOMBSTONE) != 0;
}

/*
 * Whether a side that has seen a delete and has it no more has only forgotten it:
 * what it holds has come since, and is older.  Nothing has replaced the delete then,
 * and it goes on standing against that.
 */
static bool
forgot(const Side *side, const CcEntry *e)
{
	const CcKeyState *ks = side->ks;

	if (!is_delete(e) || ks->n == 0 || cc_exact_is_input(ks, e) ||
		(ks->resolved && cc_exact_newer(&ks->resolution, e)))
		return false;
	for (int i = 0; i < ks->n; i++)
	{
		if (cc_exact_newer(&ks->original[i], e))
			return false;
	}
	return true;
}

/* The same write came from both sides: the later touch, and a dot that is known. */
static void
join_same(CcEntry *ours, const CcEntry *theirs)
{
	int			cmp = cc_work_compare_version(ours->at, ours->at_node,
											  theirs->at, theirs->at_node);
	CcEntry		dot = *ours;

	if (cmp > 0)
		return;
	if (cmp == 0)
	{
		/* the same write under a name that its sender knows */
		if ((ours->origin == theirs->origin && ours->seq == theirs->seq) ||
			cc_state_vv(ours->origin) >= ours->seq ||
			cc_state_vv(theirs->origin) == CC_VV_INF)
			return;
		ours->origin = theirs->origin;
		ours->seq = theirs->seq;
		return;
	}
	/* touched: its deadline, but our value may have been evicted */
	*ours = *theirs;
	if (dot.type == CC_STUB)
	{
		cc_exact_make_stub(ours);
		ours->flags = dot.flags;
	}
}

/* Takes in what of theirs is new here, as far as it may be. */
static void
admit(CcWork *w, CcEntry *e)
{
	if (e->type == CC_STUB)
		return;
	if (cc_work_over(w, e->expires))
		cc_exact_make_stub(e);
	else if ((cc_rule(floor_version) ? e->hlc : e->at) <= cc_floor_get(w->hash))
	{
		cc_check_evict(e);
		cc_exact_make_stub(e);
	}
}

/*
 * Of an origin that was retired nobody's VV tells any more what was seen: where
 * nothing is here the versions and the floor do, and it gets a dot of ours.
 */
static bool
retired_news(const CcKeyState *ours, const CcEntry *e)
{
	return cc_state_vv(e->origin) == CC_VV_INF && ours->n == 0;
}

/*
 * PROTOCOL.md, ask: the other side waits for a decision over what was evicted and
 * forgotten here.  F says that it was, so it comes back without values.
 */
static bool
asked_news(const CcKeyState *ours, const CcKeyState *theirs)
{
	return ours->n == 0 && theirs->n > 1 && theirs->asked &&
		!theirs->resolved && cc_rule(ask);
}

/*
 * PROTOCOL.md, exact: into result, whose originals stay those of ours as far as
 * they do.  Returns whether they have forgotten one of those that stay.
 */
static bool
unite(CcWork *w, const Side *here, const Side *there, CcKeyState *result)
{
	const CcKeyState *ours = here->ks;
	const CcKeyState *theirs = there->ks;
	bool		forgotten = false;

	result->n = result->ninputs = result->ncontext = 0;
	result->served = -1;
	result->resolved = result->asked = false;
	result->how = CC_HOW_LATEST;
	for (int i = 0; i < ours->n; i++)
	{
		const CcEntry *e = &ours->original[i];
		int			same = cc_exact_find_original(theirs, e);

		if (same < 0 && seen(there, e, ours))
		{
			if (!forgot(there, e))
				continue;
			forgotten = true;
		}
		if (i == ours->served)
			result->served = result->n;
		result->original[result->n] = *e;
		if (same >= 0)
			join_same(&result->original[result->n], &theirs->original[same]);
		result->n++;
	}
	for (int i = 0; i < theirs->n; i++)
	{
		const CcEntry *e = &theirs->original[i];

		if (cc_exact_find_original(ours, e) >= 0 ||
			(seen(here, e, theirs) && !forgot(here, e) &&
			 !retired_news(ours, e) && !asked_news(ours, theirs)))
			continue;
		if (result->n == CC_MAX_ORIGINALS)
			break;
		result->original[result->n] = *e;
		admit(w, &result->original[result->n]);
		result->n++;
	}
	return forgotten;
}

/*
 * PROTOCOL.md, races: of two that are not apart the higher version stays.  In a
 * namespace that keeps no conflicts (any more), and where there is a counter,
 * the newest of all does: a total order that all share.  Of deletes, too:
 * whichever stays, the key is deleted.
 */
static void
settle_races(CcWork *w, CcKeyState *ks)
{
	bool		all = !cc_namespace_has(w->c->ns, CC_NS_KEEPS);
	bool		stays[CC_MAX_ORIGINALS] = {false};
	bool		lost[CC_MAX_ORIGINALS] = {false};

	if (ks->n < 2)
		return;
	for (int i = 0; i < ks->n; i++)
		all |= ks->original[i].type == CC_COUNTER;
	if (!all && !cc_rule(races))
		return;
	/* a node's later write has replaced its earlier ones, whatever it loses to */
	for (int i = 0; i < ks->n; i++)
	{
		for (int k = 0; k < ks->n; k++)
			lost[i] |= k != i &&
				cc_exact_newer(&ks->original[k], &ks->original[i]) &&
				cc_id_cmp(&cc_origin(ks->original[k].writer)->node,
						  &cc_origin(ks->original[i].writer)->node) == 0;
	}
	/* newest first: what has lost itself beats nobody */
	for (int turn = 0; turn < ks->n; turn++)
	{
		int			next = -1;

		for (int i = 0; i < ks->n; i++)
		{
			if (!stays[i] && !lost[i] &&
				(next < 0 || cc_exact_newer(&ks->original[i], &ks->original[next])))
				next = i;
		}
		if (next < 0)
			break;
		for (int i = 0; i < ks->n; i++)
			lost[next] |= stays[i] &&
				(all || (is_delete(&ks->original[i]) &&
						 is_delete(&ks->original[next])) ||
				 !cc_apart(&ks->original[i], &ks->original[next]));
		stays[next] = !lost[next];
	}
	for (int i = ks->n - 1; i >= 0; i--)
	{
		if (!lost[i])
			continue;
		cc_check_race(&ks->original[i]);
		cc_exact_add_input(ks, ks->original[i].writer, ks->original[i].hlc);
		/* that it lost is to be known until all have seen it, too */
		cc_exact_add_context(ks, ks->original[i].origin, ks->original[i].seq);
		cc_exact_remove_original(ks, i);
	}
}

static bool
valid(const CcKeyState *ks, const CcKeyState *from)
{
	if (from->n == 0 || !from->resolved)
		return false;
	for (int i = 0; i < ks->n; i++)
	{
		if (!cc_exact_is_input(from, &ks->original[i]))
			return false;
	}
	return true;
}

static void
take_resolution(CcKeyState *result, const CcKeyState *from)
{
	result->resolved = true;
	result->resolution = from->resolution;
	result->how = from->how;
}

/*
 * Whether a side's resolution is one of these originals: it is valid, and the
 * other side has it too or has never seen it.  Who has seen it and has it no
 * more knew of an original that it was not made from; that may be gone by now.
 * But who holds nothing of the key has folded and forgotten it.
 */
static bool
stands(const CcKeyState *result, const Side *side, const Side *other)
{
	const CcKeyState *ks = side->ks;

	if (!valid(result, ks))
		return false;
	return other->ks->n == 0 ||
		(other->ks->resolved &&
		 cc_siblings_same(&other->ks->resolution, &ks->resolution)) ||
		!seen(other, &ks->resolution, ks);
}

/* PROTOCOL.md, resolution: of two valid ones the higher version. */
static void
choose_resolution(CcWork *w, const Side *here, const Side *there,
				  CcKeyState *result)
{
	const CcKeyState *theirs = there->ks;

	if (stands(result, here, there))
		take_resolution(result, here->ks);
	if (!stands(result, there, here))
		return;
	if (result->resolved && cc_siblings_same(&result->resolution,
											 &theirs->resolution))
	{
		join_same(&result->resolution, &theirs->resolution);
		return;
	}
	if (result->resolved &&
		cc_exact_newer(&result->resolution, &theirs->resolution))
		return;
	take_resolution(result, theirs);
	admit(w, &result->resolution);
}

static bool
fits(CcWork *w, const CcKeyState *ks)
{
	return cc_store_fits(w->c->ns,
						 (Size) w->c->keylen + cc_siblings_room(ks));
}

/*
 * Values go where all of them do not fit, that which is served last: a peer's
 * partitions or bound may be larger than ours.
 */
static void
fit(CcWork *w, CcKeyState *ks)
{
	CcEntry    *last = ks->resolved ? &ks->resolution :
		&ks->original[ks->served];

	for (int i = 0; i < ks->n && !fits(w, ks); i++)
	{
		if (&ks->original[i] == last || ks->original[i].type == CC_STUB)
			continue;
		cc_check_evict(&ks->original[i]);
		cc_exact_make_stub(&ks->original[i]);
	}
	if (last->type == CC_STUB || fits(w, ks))
		return;
	cc_check_evict(last);
	cc_exact_make_stub(last);
}

static void
use_as_entry(CcWork *w, const CcEntry *e)
{
	w->e = *e;
	w->e.hash = w->hash;
	w->e.key = w->c->key;
	w->e.keylen = w->c->keylen;
	w->e.ns = w->c->ns;
}

/* Makes the state the entry that shall be. */
CcVerdict
cc_exact_store_state(CcWork *w, CcKeyState *ks)
{
	CcEntry		e;

	if (ks->served < 0)
		ks->served = cc_exact_newest_original(ks);
	fit(w, ks);
	cc_siblings_build(ks, w->scratch, &e);
	use_as_entry(w, &e);
	return CC_STORE;
}

CcVerdict
cc_exact_spread(CcWork *w, CcKeyState *ks)
{
	/* it takes the place of an earlier one */
	for (int i = ks->ncontext - 1; i >= 0; i--)
	{
		if (ks->context[i].origin == cc_state_self())
			ks->context[i] = ks->context[--ks->ncontext];
	}
	if (ks->ncontext == CC_MAX_CONTEXT)
		ks->ncontext--;
	ks->context[ks->ncontext].origin = CC_NO_ORIGIN;
	ks->context[ks->ncontext++].seq = 0;
	(void) cc_exact_store_state(w, ks);
	w->dot_at = cc_siblings_unnamed(&w->e);
	return CC_STORE;
}

/* A conflict that is none any more, for the log. */
static void
note_decision(CcWork *w, CcKeyState *ours, const CcKeyState *result)
{
	if (result->resolved && result->n > 1)
	{
		if (cc_exact_same_decision(ours, result) && ours->n > 1)
			return;
		*ours = *result;
		ours->resolved = false;
		w->decided = result->how;
	}
	else if (cc_siblings_pending(ours) && result->n == 1 && !result->resolved)
		w->decided = cc_exact_find_original(ours, &result->original[0]) < 0 ?
			CC_HOW_WRITE : CC_HOW_LATEST;
	else
		return;
	w->was_conflict = true;
}

/* A decision is above all that it was made from. */
static const CcEntry *
newest_of(const CcKeyState *ks)
{
	return ks->resolved ? &ks->resolution :
		&ks->original[cc_exact_newest_original(ks)];
}

/*
 * Nothing is left of either side, as each has seen what the other holds: what
 * races or decisions made of them was different.  The newest of all stays, in an
 * order that both share.  Where nothing was here it has been replaced and
 * forgotten; but a decision about it that we have not seen is news.
 */
static bool
nothing_left(CcWork *w, const CcKeyState *ours, const CcKeyState *theirs,
			 CcKeyState *result)
{
	if (ours->n == 0)
	{
		if (theirs->n == 0 || !theirs->resolved ||
			cc_state_vv(theirs->resolution.origin) >= theirs->resolution.seq ||
			!valid(theirs, theirs))
			return true;
		*result = *theirs;
		for (int i = 0; i < result->n; i++)
			admit(w, &result->original[i]);
		admit(w, &result->resolution);
		return false;
	}
	result->original[0] = *newest_of(ours);
	if (theirs->n > 0)
	{
		const CcEntry *e = newest_of(theirs);

		if (cc_exact_newer(e, &result->original[0]))
		{
			cc_check_race(&result->original[0]);
			result->original[0] = *e;
			admit(w, &result->original[0]);
		}
	}
	result->n = 1;
	result->served = 0;
	return false;
}

static bool
is_plain(const CcKeyState *ks)
{
	return ks->n == 0 || (ks->n == 1 && !ks->resolved);
}

/*
 * Where conflicts are kept no more the newest of all stays, a decision like any:
 * a total order that all share.  It gets a dot of ours, as who has seen all that
 * is here may have made something else of it when they were kept.
 */
static bool
collapse(CcWork *w, const CcKeyState *ours, const CcKeyState *theirs,
		 CcKeyState *result)
{
	CcEntry		best;

	if (cc_namespace_has(w->c->ns, CC_NS_KEEPS) ||
		(is_plain(ours) && is_plain(theirs)))
		return false;
	best = result->original[cc_exact_newest_original(result)];
	if (ours->n > 0 && ours->resolved && cc_exact_newer(&ours->resolution, &best))
		best = ours->resolution;
	if (theirs->n > 0 && theirs->resolved &&
		cc_exact_newer(&theirs->resolution, &best))
	{
		best = theirs->resolution;
		admit(w, &best);
	}
	for (int i = 0; i < result->n; i++)
	{
		if (cc_siblings_same(&result->original[i], &best))
			continue;
		cc_check_race(&result->original[i]);
		cc_exact_add_input(result, result->original[i].writer,
						   result->original[i].hlc);
	}
	result->original[0] = best;
	result->n = 1;
	result->served = 0;
	return true;
}

/*
 * Whether a decision that one side has is given up here: because of an original
 * that others may not count, as for them it has lost a race, or that is gone by
 * now.  They keep the decision until they hear of it.
 */
static bool
gives_up(const CcKeyState *side, const CcKeyState *result)
{
	if (side->n == 0 || !side->resolved ||
		cc_exact_find_original(result, &side->resolution) >= 0)
		return false;
	/* an older one in its place, which others may drop for it */
	if (result->resolved)
		return !valid(result, side) &&
			cc_exact_newer(&side->resolution, &result->resolution);
	return result->n > 1 || valid(result, side);
}

/* PROTOCOL.md, ask: whether we hold something else than the one who asks. */
static bool
answers(const CcKeyState *theirs, const CcKeyState *result)
{
	return theirs->asked && !cc_exact_same_originals(theirs, result) && cc_rule(ask);
}

/*
 * Nearly always both sides have one entry and no more, and one has seen the
 * other's: the same rules, without copying.  False: it is not that simple.
 */
static bool
take_plain(CcWork *w, CcVerdict *v)
{
	const CcEntry *e = w->c->entry;
	bool		know = cc_state_vv(e->origin) >= e->seq;
	CcEntry		cur;

	if ((e->flags & CC_F_SIBLINGS) != 0 || w->cur == NULL || !w->there ||
		(cc_header_flags(w->cur) & CC_F_SIBLINGS) != 0 ||
		!cc_namespace_has(w->c->ns, CC_NS_KEEPS) ||
		cc_expire_cleared(w->c->ns, e->hlc) ||
		cc_state_vv(e->origin) == CC_VV_INF)
		return false;
	cc_store_describe(w->cur, &cur);
	if (cc_siblings_same(&cur, e) ||
		(is_delete(&cur) && !cc_exact_newer(e, &cur)))
		return false;
	if (e->origin != cur.origin &&
		(w->c->seen == NULL || !cc_rule(exact_seen) ||
		 cc_vv_get(w->c->seen, cur.origin) < cur.seq))
	{
		*v = CC_LEAVE;
		return know;			/* they have not seen ours, we have theirs */
	}
	if (know || (e->origin == cur.origin && e->seq <= cur.seq))
		return false;
	/* they have seen ours */
	cc_hlc_observe(&cc.state->hlc, e->at);
	use_as_entry(w, e);
	admit(w, &w->e);
	if (!cc_store_fits(w->c->ns, (Size) e->keylen + w->e.vallen))
	{
		cc_check_evict(&w->e);
		cc_exact_make_stub(&w->e);
	}
	*v = CC_STORE;
	return true;
}

CcVerdict
cc_exact_take(CcWork *w)
{
	const CcEntry *e = w->c->entry;
	CcKeyState *ours = w->ours;
	CcVerdict	v;
	bool		answer;
	bool		forgotten;
	bool		collapsed = false;
	CcKeyState	theirs;
	CcKeyState	result;
	Side		here = {.ks = ours, .known = true};
	Side		there = {.ks = &theirs, .vv = w->c->seen};

	w->o->result = CC_UNCHANGED;
	there.known = w->c->seen != NULL && cc_rule(exact_seen);
	if (cc_namespace_has(w->c->ns, CC_NS_LOCAL))
		return CC_LEAVE;
	if (take_plain(w, &v))
		return v;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, e->vallen)))
		return CC_MORE_SCRATCH;
	if (!cc_siblings_parse(e, &theirs))
		return CC_LEAVE;
	cc_hlc_observe(&cc.state->hlc, e->at);
	for (int i = 0; i < theirs.n; i++)
		cc_hlc_observe(&cc.state->hlc, theirs.original[i].at);

	cc_exact_drop_cleared(ours);
	cc_exact_drop_cleared(&theirs);
	forgotten = unite(w, &here, &there, &result);
	if (result.n == 0)
	{
		if (nothing_left(w, ours, &theirs, &result))
			return CC_LEAVE;
	}
	else if (!(collapsed = collapse(w, ours, &theirs, &result)))
	{
		settle_races(w, &result);
		choose_resolution(w, &here, &there, &result);
	}
	cc_exact_join_inputs(&result, ours);
	cc_exact_join_inputs(&result, &theirs);
	cc_exact_join_context(&result, ours);
	cc_exact_join_context(&result, &theirs);
	/* what was asked about is these originals, not those that it becomes */
	result.asked = (ours->n > 0 && ours->asked &&
					cc_exact_same_originals(ours, &result)) ||
		(theirs.n > 0 && theirs.asked &&
		 cc_exact_same_originals(&theirs, &result));
	if (result.served < 0)
		result.served = cc_exact_newest_original(&result);

	answer = forgotten || answers(&theirs, &result);
	if (gives_up(ours, &result) || gives_up(&theirs, &result))
	{
		answer = true;
		result.asked = result.n > 1;
	}
	else if (answer)
		result.asked = false;
	else if (ours->n > 0 && cc_exact_unchanged(&result, ours))
		return CC_LEAVE;
	else
		w->new_dot = collapsed || (result.n == 1 && !result.resolved &&
								   cc_state_vv(result.original[0].origin) == CC_VV_INF);
	cc_exact_keep_own(ours, &result);
	note_decision(w, ours, &result);
	return answer ? cc_exact_spread(w, &result) :
		cc_exact_store_state(w, &result);
}
