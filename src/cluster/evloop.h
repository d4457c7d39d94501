/*-------------------------------------------------------------------------
 *
 * evloop.h
 *	  The replicator's loop: libuv for the sockets, inside PostgreSQL's own
 *	  wait for latch and postmaster.
 *
 * A watch looks at one socket.  libuv's callbacks only note what is ready;
 * it is acted upon after uv_run has returned, where an ERROR may be raised.
 *
 * Locking: none; belongs to the replicator.
 *
 * May include: <uv.h> (no other file), PostgreSQL's headers, base/, cache/,
 * cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EVLOOP_H
#define CC_EVLOOP_H

#include "base/port.h"

/* Runs until the worker is asked to end. */
extern void cc_evloop_run(void);

/*
 * Called in every turn, now: monotonic ms; returns when it wants to be called
 * again, at the latest.  Set by the wiring.
 */
extern int64 (*cc_evloop_hook) (int64 now);

typedef struct CcWatch CcWatch;

#define CC_WATCH_READ	0x01
#define CC_WATCH_WRITE	0x02

/* NULL when the system has no room for it; the cause is in the log. */
extern CcWatch *cc_evloop_watch(int fd);

/* The events to look for from now on; 0: none. */
extern void cc_evloop_want(CcWatch *w, int events);

/* What was ready since the last call. */
extern int	cc_evloop_ready(CcWatch *w);

extern int	cc_evloop_fd(const CcWatch *w);

/*
 * Ends the watch.  Must come before its socket is closed: libuv aborts the
 * process, and with it the server, when it finds a closed descriptor.
 */
extern void cc_evloop_unwatch(CcWatch *w);

#endif							/* CC_EVLOOP_H */
