/*-------------------------------------------------------------------------
 *
 * mergesig.h
 *	  Which functions can merge, and on whose behalf.
 *
 * Asked when a function is set for a namespace, and again by each batch of
 * calls, as it may have been replaced, and is another object on other nodes.
 *
 * Locking: none; may raise errors, in a transaction.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGESIG_H
#define CC_MERGESIG_H

#include "postgres.h"

#include "cache/namespace.h"

typedef struct CcMergeSignature
{
	bool		full;			/* it takes and returns a state */
	Oid			entry;			/* the type cache_entry */
	Oid			result;			/* that or cache_merge */
} CcMergeSignature;

/*
 * The form of a merge function; error 42P13 when it has neither of the two,
 * 42883 when there is none of this OID.
 */
extern void cc_mergesig_check(Oid function, CcMergeSignature *sig);

/* Likewise of a fetcher. */
extern void cc_mergesig_check_fetcher(Oid function);

/* Error 42501 when the role may not execute it. */
extern void cc_mergesig_check_execute(Oid function, Oid role);

/*
 * The role that owns the namespace on this system, as which its functions run;
 * error 42704 when there is none.
 */
extern Oid	cc_mergesig_owner(uint16 ns, const CcDeclaration *d);

/*
 * The function of a name as it was remembered; error 42883 when there is
 * none.
 */
extern Oid	cc_mergesig_find(const char *name);

#endif							/* CC_MERGESIG_H */
