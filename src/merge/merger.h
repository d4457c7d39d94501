/*-------------------------------------------------------------------------
 *
 * merger.h
 *	  The merger: a process that runs the merge functions of the namespaces of
 *	  one database, while this node is the resolver and conflicts wait for them
 *	  (PROTOCOL.md, resolver).
 *
 * The replicator starts one for each database that has something to merge, as
 * a dynamic background worker; there are never two for one database.  It ends
 * when nothing has been left to do for a second, when this node is not the
 * resolver any more, and after whatever error is not a function's own.  Where
 * one did not end in order the next one waits, twice as long each time.
 *
 * A namespace whose function cannot be run at all is put off as a whole: for a
 * while, or until it is declared anew, or cache_heal asks for it.
 *
 *	merger.c		this file: who starts when, and the process
 *	run.c			a run over one namespace: transactions, failures
 *	take.c			the keys that it takes up
 *	call.c			calls of the functions
 *	side.c			what they are given, and what they return
 *	pace.c			how fast it goes while clients are there
 *	guard.c			the time that a call may take
 *
 * Locking: none; atomics, and what only the replicator writes.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGER_H
#define CC_MERGER_H

#include "base/port.h"

extern Size cc_merger_size(void);
extern void cc_merger_init(void *mem);
extern void cc_merger_attach(void *mem);

/*
 * By the replicator: starts what is wanted.  now: monotonic ms.  Returns when
 * it wants to be called again, at the latest.
 */
extern int64 cc_merger_launch(int64 now);

/* The namespace's function cannot be run; and it has run again. */
extern void cc_merger_put_off(uint16 ns);
extern void cc_merger_put_on(uint16 ns);

/* Reads the settings anew where that was asked for. */
extern void cc_merger_reload(void);

/* What this merger has done counts, even if it does not end in order. */
extern void cc_merger_progress(void);

/*
 * Whether an error of this SQLSTATE is news for the namespace: it was not told
 * since all was merged, or since cache_heal was asked.
 */
extern bool cc_merger_is_news(uint16 ns, int sqlstate);

#endif							/* CC_MERGER_H */
