/*-------------------------------------------------------------------------
 *
 * links.h
 *	  Whom this node calls, and the replicator's regular duties.
 *
 * There is a link for each seed (of the settings and of cache_join) and for
 * each member's address.  Several of them may lead to one node, and a seed may
 * lead back to ourselves; of those only one has a session.
 *
 * Locking: links belong to the replicator.  Takes members->lock and
 * state->lock, one at a time; holds none on return.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_LINKS_H
#define CC_LINKS_H

#include "base/port.h"

extern void cc_links_init(int64 now);

/* The settings were read anew; what waits for another try has it at once. */
extern void cc_links_reload(int64 now);

/*
 * Does all that can be done now: every link one step, and the duties when
 * their time has come.
 */
extern void cc_links_step(int64 now);

/* Monotonic ms at which cc_links_step has something to do by itself. */
extern int64 cc_links_due(void);

/*
 * Whether something was given to us since cc_links_step began last: writes to
 * be sent, or another set of seeds.
 */
extern bool cc_links_pending(void);

/* Closes all connections; the worker ends. */
extern void cc_links_end(void);

#endif							/* CC_LINKS_H */
