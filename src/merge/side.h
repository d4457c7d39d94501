/*-------------------------------------------------------------------------
 *
 * side.h
 *	  The two sides of a conflict as a merge function is given them, and what
 *	  it makes of them.
 *
 * All work in the memory context that is current, m->key_memory, but for the
 * values of decisions, which go to m->memory.  May raise errors.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_SIDE_H
#define CC_MERGE_SIDE_H

#include "cache/extra.h"
#include "merge/call.h"

/* Columns of cache_merge */
enum
{
	CC_MERGE_ACTION, CC_MERGE_VALUE, CC_MERGE_TTL, CC_MERGE_STATE,
	CC_MERGE_COLUMNS
};

typedef struct CcMergeSide
{
	bool		there;			/* false: NULL */
	const CcEntry *original;	/* it is this one, as it is; NULL: made */
	CcEntry		e;				/* as it is shown */
	bool		formed;
	Datum		row;

	/* of one that was made */
	int64		deadline;		/* in the header */
	bool		has_block;
	char		block[CC_EXTRA_VALUE];
} CcMergeSide;

/* The two arguments of a call */
typedef CcMergeSide *const CcMergeSides[2];

/* An original as a side. */
extern void cc_mergeside_see(const CcEntry *original, CcMergeSide *s);

/* Its row, of type cache_entry, where there is one. */
extern void cc_mergeside_form(CcMergeCall *m, CcMergeSide *s);

/* The columns of a row that the function has returned. */
extern void cc_mergeside_take_apart(CcMergeCall *m, Datum row, Datum *values,
									bool *nulls);

/*
 * The row that the simple form has returned.  An argument that comes back
 * unchanged is that original; of one that was changed what was not is kept.
 */
extern void cc_mergeside_read_entry(CcMergeCall *m, Datum row,
									CcMergeSides args, CcMergeSide *s);

/* `write` of the full form: as a put of the namespace would be. */
extern void cc_mergeside_read_write(CcMergeCall *m, Datum *values, bool *nulls,
									CcMergeSides args, CcMergeSide *s);

/* What the cache is told. */
extern void cc_mergeside_decide(CcMergeCall *m, const CcMergeSide *s,
								CcDecision *d);

#endif							/* CC_MERGE_SIDE_H */
