/*-------------------------------------------------------------------------
 *
 * call.h
 *	  Calling one address, again and again: a sender's messages over a
 *	  connection.
 *
 *		WAITING -> RESOLVING -> CONNECTING -> HELLO -> SESSION
 *		   ^____________|____________|__________|_________|
 *
 * Nothing here waits.  cc_call_step does what can be done now; whoever owns
 * the call makes it when a socket is ready, when cc_call_due has come, and
 * when something was written to the change log.
 *
 * What goes wrong is of one of two kinds: "cannot be reached" is tried again
 * within a second, "refuses" (authentication, privileges, a missing extension,
 * a stranger, rubbish) within five.  A cause is logged once, not at every try.
 * No message holds more of a connection's options than host and port.
 *
 * Locking: calls belong to the replicator.  Takes members->lock; holds none
 * on return.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CALL_H
#define CC_CALL_H

#include "cluster/replicate.h"

typedef struct CcCall CcCall;

/*
 * What holds for all calls: the senders' options, the connection options that
 * are added (cachecluster.peer_conninfo) and our name.  True when connections
 * must be made anew for it.  Comes before the first call is created.
 */
extern bool cc_call_configure(const CcSenderOptions *opt,
							  const char *conninfo, const char *node_name);

/*
 * A call of what conninfo names, a string or URI.  NULL when that can't be
 * read.  seed: it came from the settings or cache_join.  expected: whose
 * address it is, or NULL.
 */
extern CcCall *cc_call_create(const char *conninfo, bool seed,
							  const CcNodeId *expected);
extern void cc_call_free(CcCall *c);

/* Whether it may connect; one that may not ends what it has. */
extern void cc_call_set_held(CcCall *c, int64 now, bool held);

/* Ends what it has; the next try comes after ms. */
extern void cc_call_reset(CcCall *c, int64 now, int64 ms);

extern void cc_call_step(CcCall *c, int64 now);

/* Monotonic ms at which cc_call_step has something to do by itself. */
extern int64 cc_call_due(const CcCall *c);

/* Who answers there; false while that is not known. */
extern bool cc_call_id(const CcCall *c, CcNodeId *id);

/* Whether this very server answers there. */
extern bool cc_call_is_self(const CcCall *c);

extern bool cc_call_in_session(const CcCall *c);

/* Sessions begun since the last call of this. */
extern unsigned cc_call_take_sessions(CcCall *c);

/* Rises with every session that begins or ends, of any call. */
extern uint64 cc_call_changes(void);

#endif							/* CC_CALL_H */
