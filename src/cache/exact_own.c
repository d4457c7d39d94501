/*-------------------------------------------------------------------------
 *
 * exact_own.c
 *	  What this node does with a key that has siblings: loads it, takes one of
 *	  them away, gives one a new name, decides it, writes over it.  See exact.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/exact_private.h"

#include "cache/expire.h"
#include "cache/namespace.h"

CcVerdict
cc_exact_load(CcWork *w)
{
	const CcEntry *e = w->c->entry;
	CcKeyState	state;

	w->o->result = CC_UNCHANGED;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, e->vallen)))
		return CC_MORE_SCRATCH;
	if (!cc_siblings_parse(e, &state))
		return CC_LEAVE;
	if (cc_rule(clock_bound) && cc_rule(clock_bound_seen))
		cc_hlc_observe(&cc.state->hlc, e->at);
	cc_exact_drop_cleared(&state);
	if (state.n == 0)
		return CC_LEAVE;
	return cc_exact_store_state(w, &state);
}

static bool
is_dot(const CcEntry *a, const CcEntry *b)
{
	return a->origin == b->origin && a->seq == b->seq && a->hlc == b->hlc &&
		a->writer == b->writer;
}

/*
 * The original or resolution with a dot; NULL: none has it.  A dot alone could
 * name two of them, if whoever gave it did wrong.
 */
static CcEntry *
find_dot(CcKeyState *ks, const CcEntry *e)
{
	for (int i = 0; i < ks->n; i++)
	{
		if (is_dot(&ks->original[i], e))
			return &ks->original[i];
	}
	if (ks->n > 0 && ks->resolved && is_dot(&ks->resolution, e))
		return &ks->resolution;
	return NULL;
}

/*
 * PROTOCOL.md, full comparison: of keys in conflict the digest carries all
 * dots; what is not among them and covered by V goes.
 */
CcVerdict
cc_exact_away(CcWork *w)
{
	CcKeyState *ks = w->ours;
	CcEntry    *e;

	w->o->result = CC_UNCHANGED;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, 0)))
		return CC_MORE_SCRATCH;
	/*
	 * What is cleared counts as none, or it would be all that a decision has.
	 * Where nothing else is here, what is condemned goes all the same: whoever
	 * condemned it looks again until it has.
	 */
	cc_exact_drop_cleared(ks);
	if (ks->n == 0)
		(void) cc_exact_read_ours(w, cc_exact_most_room(w, 0));
	e = find_dot(ks, w->c->entry);
	if (e == NULL)
		return CC_LEAVE;
	cc_check_evict(e);
	/* of what is gone altogether the newest is left, not what it was made from */
	if (e == &ks->resolution && w->c->gone &&
		!(ks->n == 1 && ks->original[0].type == CC_STUB))
		ks->resolved = false;
	else if (w->c->gone && ks->n > 1)
	{
		cc_exact_add_input(ks, e->writer, e->hlc);
		cc_exact_remove_original(ks, (int) (e - ks->original));
		ks->asked = false;
	}
	else
		cc_exact_make_stub(e);
	ks->since = cc_clock_ms();
	return cc_exact_store_state(w, ks);
}

CcVerdict
cc_exact_name(CcWork *w)
{
	CcKeyState *ks = w->ours;
	CcEntry    *e;
	CcEntry    *main;

	w->o->result = CC_UNCHANGED;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, 0)))
		return CC_MORE_SCRATCH;
	e = find_dot(ks, w->c->entry);
	if (e == NULL)
		return CC_LEAVE;
	if (w->c->ask)
	{
		ks->asked = true;
		ks->tries++;
		return cc_exact_spread(w, ks);
	}
	main = ks->resolved ? &ks->resolution : &ks->original[ks->served];
	w->new_dot = e == main;
	if (e != main)
	{
		/* commit finds the place by this */
		e->origin = CC_NO_ORIGIN;
		e->seq = 0;
	}
	(void) cc_exact_store_state(w, ks);
	if (e != main)
		w->dot_at = cc_siblings_unnamed(&w->e);
	return CC_STORE;
}

CcVerdict
cc_exact_resolve(CcWork *w)
{
	const CcDecision *d = w->c->decision;
	CcKeyState *ks = w->ours;
	CcKeyState	result;

	w->o->result = CC_UNCHANGED;
	if (w->cur == NULL ||
		((cc_header_flags(w->cur) & CC_F_PENDING) == 0 && cc_rule(unchanged)))
		return CC_LEAVE;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, d->vallen)))
		return CC_MORE_SCRATCH;
	/* PROTOCOL.md, resolver: only if the originals are still the same */
	cc_exact_drop_cleared(ks);
	if (ks->n == 0 || (ks->n < 2 && cc_rule(unchanged)) ||
		(cc_rule(unchanged) && !cc_exact_same_originals(ks, w->c->state)))
		return CC_LEAVE;
	if (!cc_store_fits(w->c->ns, (Size) w->c->keylen + d->vallen))
	{
		w->o->result = CC_TOO_LARGE;
		return CC_LEAVE;
	}
	(void) cc_work_store_new(w, d->type, d->flags, d->value, d->vallen,
							 d->expires);
	w->decided = d->how;
	w->was_conflict = true;
	if (!cc_rule(resolution))
		return CC_STORE;
	result = *ks;
	result.resolved = true;
	result.resolution = w->e;
	result.how = d->how;
	for (int i = 0; i < ks->n; i++)
		cc_exact_add_input(&result, ks->original[i].writer,
						   ks->original[i].hlc);
	result.since = cc_clock_ms();
	result.asked = false;
	result.tries = result.errlen = 0;
	result.retry_at = 0;
	return cc_exact_store_state(w, &result);
}

CcVerdict
cc_exact_failed(CcWork *w)
{
	CcKeyState *ks = w->ours;
	const char *error = w->c->error;

	w->o->result = CC_UNCHANGED;
	if (w->cur == NULL || (cc_header_flags(w->cur) & CC_F_PENDING) == 0)
		return CC_LEAVE;
	if (!cc_exact_read_ours(w, cc_exact_most_room(w, 0)))
		return CC_MORE_SCRATCH;
	if (w->c->state != NULL && !cc_exact_same_originals(ks, w->c->state))
		return CC_LEAVE;
	cc_exact_drop_cleared(ks);
	if (ks->n == 0)
		return CC_LEAVE;
	ks->retry_at = w->c->retry_at;
	if (error != NULL)
	{
		ks->tries++;
		ks->error = error;
		ks->errlen = (int) strnlen(error, CC_SIB_ERROR_LEN);
	}
	return cc_exact_store_state(w, ks);
}

/*
 * Whether nothing of what is there need go into a context, which is nearly
 * always so.  What a node wrote itself is never apart from what it writes now,
 * and nobody touches a tombstone.
 */
static bool
needs_no_context(CcWork *w)
{
	return (cc_header_flags(w->cur) & CC_F_SIBLINGS) == 0 &&
		(cc_id_cmp(&cc_origin(w->cur->writer)->node,
				   &cc_origin(cc_state_self())->node) == 0 ||
		 (cc_header_type(w->cur) == CC_STUB &&
		  cc_state_stable(w->cur->origin, w->cur->seq)));
}

void
cc_exact_settle(CcWork *w)
{
	static char values[CC_SIB_PEEK_ROOM];
	CcKeyState *ours = w->ours;
	CcKeyState	context;

	/* what is there may be of a time when conflicts were kept */
	if (w->cur == NULL || needs_no_context(w) ||
		(!cc_namespace_has(w->c->ns, CC_NS_KEEPS) &&
		 (cc_header_flags(w->cur) & CC_F_SIBLINGS) == 0) ||
		w->e.type == CC_COUNTER)
		return;
	cc_siblings_peek(w->p, w->cur, ours, values);
	if (cc_siblings_pending(ours))
	{
		w->was_conflict = true;
		w->decided = CC_HOW_WRITE;
	}
	context.ncontext = context.ninputs = 0;
	if (!cc_siblings_stable(w->p, w->cur))
		cc_exact_join_inputs(&context, ours);
	for (int i = 0; i < ours->n; i++)
		cc_exact_add_input(&context, ours->original[i].writer,
						   ours->original[i].hlc);
	if (ours->resolved)
		cc_exact_add_input(&context, ours->resolution.writer,
						   ours->resolution.hlc);
	if (context.ninputs == 0 || !cc_rule(context) ||
		!cc_store_fits(w->c->ns, (Size) w->e.keylen + w->e.vallen +
					   CC_SIB_CONTEXT_ROOM))
		return;
	w->e.tail = w->context;
	w->e.taillen = (uint32) cc_siblings_put_context(&context, w->context);
	w->e.vallen += w->e.taillen;
	w->e.flags |= CC_F_SIBLINGS;
}
