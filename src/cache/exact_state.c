/*-------------------------------------------------------------------------
 *
 * exact_state.c
 *	  What can be said of, and done to, the state of a key in memory.  See
 *	  exact_private.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/exact_private.h"

#include "cache/expire.h"

int
cc_exact_find_original(const CcKeyState *ks, const CcEntry *e)
{
	for (int i = 0; i < ks->n; i++)
	{
		if (cc_siblings_same(&ks->original[i], e))
			return i;
	}
	return -1;
}

void
cc_exact_remove_original(CcKeyState *ks, int i)
{
	if (ks->served == i)
		ks->served = -1;
	ks->n--;
	if (i < ks->n)
	{
		ks->original[i] = ks->original[ks->n];
		if (ks->served == ks->n)
			ks->served = i;
	}
}

bool
cc_exact_newer(const CcEntry *a, const CcEntry *b)
{
	return cc_work_compare_version(a->hlc, a->writer, b->hlc, b->writer) > 0;
}

int
cc_exact_newest_original(const CcKeyState *ks)
{
	int			best = 0;

	for (int i = 1; i < ks->n; i++)
	{
		if (cc_exact_newer(&ks->original[i], &ks->original[best]))
			best = i;
	}
	return best;
}

void
cc_exact_make_stub(CcEntry *e)
{
	e->type = CC_STUB;
	e->flags = 0;
	e->value = e->block = e->tail = NULL;
	e->taillen = 0;
	e->vallen = 0;
	e->expires = 0;
}

static bool
same_node(uint16 a, uint16 b)
{
	return a == b || cc_id_cmp(&cc_origin(a)->node, &cc_origin(b)->node) == 0;
}

bool
cc_exact_is_input(const CcKeyState *of, const CcEntry *e)
{
	for (int i = 0; i < of->ninputs; i++)
	{
		if (of->input[i].hlc >= e->hlc &&
			same_node(of->input[i].writer, e->writer))
			return true;
	}
	return false;
}

/*
 * A node's later write of a key has replaced its earlier ones, so the highest
 * of each writer says it all.
 */
void
cc_exact_add_input(CcKeyState *ks, uint16 writer, uint64 hlc)
{
	for (int i = 0; i < ks->ninputs; i++)
	{
		if (same_node(ks->input[i].writer, writer))
		{
			ks->input[i].hlc = Max(ks->input[i].hlc, hlc);
			return;
		}
	}
	if (ks->ninputs < CC_MAX_INPUTS)
	{
		ks->input[ks->ninputs].writer = writer;
		ks->input[ks->ninputs++].hlc = hlc;
	}
}

void
cc_exact_join_inputs(CcKeyState *to, const CcKeyState *from)
{
	for (int i = 0; from->n > 0 && i < from->ninputs; i++)
		cc_exact_add_input(to, from->input[i].writer, from->input[i].hlc);
}

/*
 * A decision goes with all that it was made from, though it may have been made
 * after the horizon by a node that did not know of it yet: whoever held one more
 * original has dropped it.  Where it has been folded the horizon was known, as
 * all had seen it (causal stability).
 */
void
cc_exact_drop_cleared(CcKeyState *ks)
{
	for (int i = ks->n - 1; i >= 0; i--)
	{
		if (cc_expire_cleared(ks->original[i].ns, ks->original[i].hlc))
			cc_exact_remove_original(ks, i);
	}
	if (ks->n == 0)
		ks->resolved = false;
	else if (ks->served < 0)
		ks->served = cc_exact_newest_original(ks);
	if (ks->resolved &&
		cc_expire_cleared(ks->resolution.ns, ks->resolution.hlc))
		ks->resolved = false;
}

void
cc_exact_add_context(CcKeyState *ks, uint16 origin, uint64 seq)
{
	if (cc_siblings_dot_done(origin, seq))
		return;
	for (int i = 0; i < ks->ncontext; i++)
	{
		if (ks->context[i].origin == origin)
		{
			ks->context[i].seq = Max(ks->context[i].seq, seq);
			return;
		}
	}
	if (ks->ncontext < CC_MAX_CONTEXT)
	{
		ks->context[ks->ncontext].origin = origin;
		ks->context[ks->ncontext++].seq = seq;
	}
}

void
cc_exact_join_context(CcKeyState *to, const CcKeyState *from)
{
	for (int i = 0; from->n > 0 && i < from->ncontext; i++)
		cc_exact_add_context(to, from->context[i].origin, from->context[i].seq);
}

bool
cc_exact_same_originals(const CcKeyState *a, const CcKeyState *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		if (cc_exact_find_original(b, &a->original[i]) < 0)
			return false;
	}
	return true;
}

bool
cc_exact_same_decision(const CcKeyState *a, const CcKeyState *b)
{
	return a->resolved == b->resolved &&
		(!a->resolved || cc_siblings_same(&a->resolution, &b->resolution));
}

static bool
same_entry(const CcEntry *a, const CcEntry *b)
{
	return cc_siblings_same(a, b) && a->at == b->at && a->origin == b->origin &&
		a->seq == b->seq && a->type == b->type;
}

/* Whether a context says nothing that another one does not. */
static bool
within_context(const CcKeyState *a, const CcKeyState *b)
{
	for (int i = 0; i < a->ninputs; i++)
	{
		CcEntry		input = {.hlc = a->input[i].hlc,
			.writer = a->input[i].writer};

		if (!cc_exact_is_input(b, &input))
			return false;
	}
	for (int i = 0; i < a->ncontext; i++)
	{
		int			k = 0;

		while (k < b->ncontext && (b->context[k].origin != a->context[i].origin ||
								   b->context[k].seq < a->context[i].seq))
			k++;
		if (k == b->ncontext)
			return false;
	}
	return true;
}

bool
cc_exact_unchanged(const CcKeyState *a, const CcKeyState *b)
{
	if (!cc_exact_same_originals(a, b) || !cc_exact_same_decision(a, b) ||
		!within_context(a, b) || a->served != b->served)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		int			k = cc_exact_find_original(b, &a->original[i]);

		if (!same_entry(&a->original[i], &b->original[k]))
			return false;
	}
	return !a->resolved || same_entry(&a->resolution, &b->resolution);
}

void
cc_exact_keep_own(const CcKeyState *ours, CcKeyState *result)
{
	if (ours->n > 0 && cc_exact_same_originals(ours, result) &&
		cc_exact_same_decision(ours, result) && ours->since != 0)
	{
		result->since = ours->since;
		result->retry_at = ours->retry_at;
		result->tries = ours->tries;
		result->errlen = ours->errlen;
		result->error = ours->error;
		return;
	}
	result->since = result->n > 1 ? cc_clock_ms() : 0;
	result->retry_at = 0;
	result->tries = result->errlen = 0;
	result->error = NULL;
}
