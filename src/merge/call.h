/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Calls of a namespace's merge function and fetcher, and what they return.
 *
 * What can be called is found anew for each transaction, since it may have been
 * dropped or replaced.  A function runs as the owner of the namespace in a
 * security-restricted operation; unless it sets another, its search_path is
 * pg_catalog, its own schema and that of the extension.
 *
 * Every function here may raise an error, in a transaction with a snapshot.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_CALL_H
#define CC_MERGE_CALL_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "cache/conflict.h"
#include "cache/namespace.h"
#include "fmgr.h"
#include "funcs/mergesig.h"
#include "utils/array.h"
#include "utils/jsonb.h"

typedef enum CcMergeVerdict
{
	CC_MERGE_DECIDED,
	CC_MERGE_KEPT,				/* of a one-sided change: it stays */
	CC_MERGE_DEFERRED,
	CC_MERGE_STOPPED
} CcMergeVerdict;

/* The calls of one transaction */
typedef struct CcMergeCall
{
	uint16		ns;
	CcMergeSignature sig;
	Oid			function;
	Oid			fetcher;		/* InvalidOid: none */
	FmgrInfo	fn;
	TupleDesc	entry;
	TupleDesc	result;
	Jsonb	   *state;			/* of the full form; NULL: null */

	char	  **names;			/* of the nodes of origins, by index; NULL until
								 * asked for */

	MemoryContext memory;		/* values of decisions; outlives the
								 * transaction, until the next begin */
	MemoryContext fn_memory;	/* of the function, likewise */
	MemoryContext key_memory;	/* of the calls for one key */
	MemoryContext state_memory[2];	/* the state, and the one to be */
	int			state_turn;

	Oid			saved_user;
	int			saved_context;
	int			guc_level;
} CcMergeCall;

/* Once; memory as children of parent. */
extern void cc_mergecall_init(CcMergeCall *m, uint16 ns, MemoryContext parent);

/*
 * Finds the functions of the declaration, with errors for what cannot be run,
 * and becomes the owner; state: where it goes on.  The end becomes who we were;
 * after an error the transaction's abort does.
 */
extern void cc_mergecall_begin(CcMergeCall *m, const CcDeclaration *d,
							   const Jsonb *state);
extern void cc_mergecall_end(CcMergeCall *m);

/* After an error that was rolled back by a subtransaction. */
extern void cc_mergecall_again(CcMergeCall *m);

/* The first call of the full form, which makes args the first state. */
extern CcMergeVerdict cc_mergecall_first(CcMergeCall *m, const Jsonb *args);

/* Decides over the originals of a pending key. */
extern CcMergeVerdict cc_mergecall_key(CcMergeCall *m, const CcKeyState *ks,
									   CcDecision *d);

/* Full form: an entry that one side alone has written; ours: that of ours. */
extern CcMergeVerdict cc_mergecall_change(CcMergeCall *m, const CcEntry *e,
										  bool ours, CcDecision *d);

/*
 * The next keys of the fetcher, a text[] in m->key_memory, which stays until
 * the next call; NULL: that was all.  *state, of palloc or NULL, goes in and
 * out.
 */
extern ArrayType *cc_mergecall_fetch(CcMergeCall *m, const char *node,
									 Jsonb **state);

#endif							/* CC_MERGE_CALL_H */
