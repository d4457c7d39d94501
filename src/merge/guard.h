/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  How long a call of a user's merge function may take, and what becomes of
 *	  its key when the process does not survive it.
 *
 * After cachecluster.merge_timeout the call is cancelled as a query is, which
 * EXCEPTION WHEN OTHERS does not catch.  A function that swallows even that
 * (WHEN query_canceled, or an eval of PL/Perl) has as long again; then the
 * merger is ended by a FATAL error, which nothing can catch, and the key is
 * noted as failed, so that the next merger does not begin with it.  Code that
 * never checks for interrupts, as only C can, is waited for.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_GUARD_H
#define CC_MERGE_GUARD_H

#include "cache/conflict.h"

/* Before the process connects to its database, so that it is the last to go. */
extern void cc_mergeguard_install(void);

/* Once it has connected. */
extern void cc_mergeguard_connected(void);

/*
 * Around a call.  key: whose conflict it is about (NULL: none), to stay valid
 * until the end.  The end raises an error when the time was over although the
 * function has returned.
 */
extern void cc_mergeguard_begin(uint16 ns, const char *key, uint16 keylen);
extern void cc_mergeguard_end(void);

/*
 * In place of the end where an error was caught: whether it was, or hides,
 * that the time was over.
 */
extern bool cc_mergeguard_caught(void);

/* Wall clock ms at which a key that failed so often is tried again. */
extern int64 cc_mergeguard_retry_at(int tries);

#endif							/* CC_MERGE_GUARD_H */
