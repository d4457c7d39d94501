/*-------------------------------------------------------------------------
 *
 * vv.c
 *	  See vv.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/vv.h"

void
cc_vv_init(CcVV *v)
{
	v->n = 0;
	v->cap = 0;
	v->seq = NULL;
}

void
cc_vv_free(CcVV *v)
{
	if (v->seq != NULL)
		cc_free(v->seq);
	cc_vv_init(v);
}

void
cc_vv_clear(CcVV *v)
{
	v->n = 0;
}

void
cc_vv_set(CcVV *v, int origin, uint64 seq)
{
	if (origin >= v->cap)
	{
		int			cap = Max(16, v->cap);

		while (cap <= origin)
			cap *= 2;
		if (v->seq == NULL)
			v->seq = cc_alloc(cap * sizeof(uint64));
		else
			v->seq = cc_realloc(v->seq, cap * sizeof(uint64));
		v->cap = cap;
	}
	while (v->n <= origin)
		v->seq[v->n++] = 0;
	v->seq[origin] = seq;
}

void
cc_vv_raise(CcVV *v, int origin, uint64 seq)
{
	if (cc_vv_get(v, origin) < seq)
		cc_vv_set(v, origin, seq);
}

void
cc_vv_copy(CcVV *to, const CcVV *from)
{
	cc_vv_clear(to);
	if (from->n == 0)
		return;
	cc_vv_set(to, from->n - 1, 0);
	memcpy(to->seq, from->seq, from->n * sizeof(uint64));
}

void
cc_vv_join(CcVV *to, const CcVV *from)
{
	if (from->n > to->n)
		cc_vv_set(to, from->n - 1, 0);
	for (int i = 0; i < from->n; i++)
		to->seq[i] = Max(to->seq[i], from->seq[i]);
}

bool
cc_vv_covers(const CcVV *a, const CcVV *b)
{
	for (int i = 0; i < b->n; i++)
	{
		if (cc_vv_get(a, i) < b->seq[i])
			return false;
	}
	return true;
}

bool
cc_vv_equal(const CcVV *a, const CcVV *b)
{
	return cc_vv_covers(a, b) && cc_vv_covers(b, a);
}
