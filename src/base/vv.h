/*-------------------------------------------------------------------------
 *
 * vv.h
 *	  Version vectors: for each origin a sequence number.
 *
 * A vector is an array by local origin index (see cache/state.h); what lies
 * beyond its length is zero.  CC_VV_INF is the component of a retired origin
 * (PROTOCOL.md, retire): it covers everything.
 *
 * Locking: a CcVV belongs to one process.  Setting a component may allocate,
 * so it is not done under a lock; reading may.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_VV_H
#define CC_VV_H

#include "base/port.h"

#define CC_VV_INF	PG_UINT64_MAX

typedef struct CcVV
{
	int			n;				/* components in use */
	int			cap;			/* components allocated */
	uint64	   *seq;
} CcVV;

extern void cc_vv_init(CcVV *v);
extern void cc_vv_free(CcVV *v);
extern void cc_vv_clear(CcVV *v);

static inline uint64
cc_vv_get(const CcVV *v, int origin)
{
	return origin < v->n ? v->seq[origin] : 0;
}

extern void cc_vv_set(CcVV *v, int origin, uint64 seq);
extern void cc_vv_raise(CcVV *v, int origin, uint64 seq);
extern void cc_vv_copy(CcVV *to, const CcVV *from);
extern void cc_vv_join(CcVV *to, const CcVV *from);

/* True when every component of b is at most that of a. */
extern bool cc_vv_covers(const CcVV *a, const CcVV *b);
extern bool cc_vv_equal(const CcVV *a, const CcVV *b);

#endif							/* CC_VV_H */
