/*-------------------------------------------------------------------------
 *
 * take.h
 *	  The state of a run of merges (run.h), and the keys that it takes up.
 *
 * Locking: none on return.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_TAKE_H
#define CC_MERGE_TAKE_H

#include "cluster/heal.h"
#include "merge/call.h"
#include "utils/hsearch.h"

#define CC_MERGE_KEYS			1000	/* taken up at once */
#define CC_MERGE_CONTEXT_LEN	400 /* of the context of an error, for the log */
#define CC_MERGE_MAX_FETCHES	100000
#define CC_MERGE_MAX_CHOSEN		10000000	/* keys of a fetcher */

typedef enum CcItemFate
{
	CC_ITEM_OPEN,				/* not called, or it does not count */
	CC_ITEM_DECIDED,
	CC_ITEM_KEPT,
	CC_ITEM_DEFERRED,
	CC_ITEM_FAILED
} CcItemFate;

/* A key that is taken up */
typedef struct CcMergeItem
{
	CcConflictKey name;
	bool		one_sided;
	CcKeyState	ks;				/* of a conflict */
	CcOneSided	change;			/* one-sided: what, and the entry */
	CcEntry		entry;
	CcBuf		buf;			/* where the values are */

	CcItemFate	fate;
	CcDecision	d;
	int			sqlstate;
	char		error[CC_SIB_ERROR_LEN];
	char		context[CC_MERGE_CONTEXT_LEN];
} CcMergeItem;

typedef struct CcMergeRun
{
	uint16		ns;
	CcDeclaration d;
	MemoryContext memory;		/* lives as long as the run */
	CcMergeCall call;
	Jsonb	   *state;			/* of the full form, as of the last commit */
	HTAB	   *chosen;			/* keys of the fetcher; NULL: there is none */

	bool		full;
	bool		stopped;		/* by the function */
	bool		clean;			/* nothing has failed */
	bool		progress;		/* something was decided */

	bool		walked;			/* the walk has come to its end; false before
								 * another one begins */
	int			n;
	CcMergeItem *item;			/* [CC_MERGE_KEYS] */
	int			from;			/* those before it are done */
	int			at;				/* the one that is called */
	bool		single;			/* each in a subtransaction */
	bool		opened;			/* the transaction has found its functions */
	bool		changed;		/* ... but they are of another form */

	int			sqlstate;		/* of the last error */
	char		error[CC_SIB_ERROR_LEN];
	char		context[CC_MERGE_CONTEXT_LEN];	/* where it was raised, or "" */
} CcMergeRun;

/* NULL when the namespace is none any more whose conflicts are merged. */
extern CcMergeRun *cc_mergetake_begin(uint16 ns);
extern void cc_mergetake_end(CcMergeRun *r);

/*
 * The next pending keys that are due, as items; their number, 0 at the end of
 * the walk.  Those that are not the fetcher's are put off.
 */
extern int	cc_mergetake_pending(CcMergeRun *r, CcConflictWalk *walk);

/* Likewise the next one-sided changes. */
extern int	cc_mergetake_changes(CcMergeRun *r, CcOneSidedWalk *walk);

/* From now on only keys that are chosen are taken up. */
extern void cc_mergetake_choose_none(CcMergeRun *r);
extern void cc_mergetake_choose(CcMergeRun *r, const text *key);

/* args of the declaration; NULL: none. */
extern Jsonb *cc_mergetake_args(CcMergeRun *r);

/* The node that a fetcher is told: whom the last split was from. */
extern const char *cc_mergetake_other_node(CcMergeRun *r);

#endif							/* CC_MERGE_TAKE_H */
