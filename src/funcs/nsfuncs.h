/*-------------------------------------------------------------------------
 *
 * nsfuncs.h
 *	  Declarations of namespaces, for other functions that change one.
 *
 * Locking: none held by the caller; may raise errors.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_NSFUNCS_H
#define CC_NSFUNCS_H

#include "funcs/args.h"

/*
 * The namespace that the first argument names; error where there is none, or
 * while this node is not ready.
 */
extern uint16 cc_nsfuncs_existing(FunctionCallInfo fcinfo);

/*
 * Stores a declaration in place of the one that it was made from, and waits
 * until that is in the journal.  False when another came first: it is to be
 * made again from that.
 */
extern bool cc_nsfuncs_store(uint16 ns, CcDeclaration *d);

/*
 * This process calls merge functions.  What has failed is tried again when its
 * namespace is declared anew or cache_heal is called; so a function that did
 * that itself would be called for ever, without a pause.
 */
extern bool cc_nsfuncs_merging;

extern void cc_nsfuncs_forbid_merging(void);

#endif							/* CC_NSFUNCS_H */
