/*-------------------------------------------------------------------------
 *
 * resolve.h
 *	  Host names to addresses, without ever waiting for a name server.
 *
 * libpq and libuv both look names up in ways that can block: libpq inside
 * PQconnectPoll, libuv in a pool whose threads are joined when the process
 * ends.  Here each lookup has a thread of its own, detached and with all
 * signals blocked, that calls getaddrinfo and nothing else and is left behind
 * when the process exits.
 *
 * A numeric address and the path of a socket need no lookup and no thread.
 *
 * Locking: one mutex for the list of what is done; never held across a call.
 *
 * May include: PostgreSQL's headers and the operating system's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_RESOLVE_H
#define CC_RESOLVE_H

#include "base/port.h"

#define CC_RESOLVE_MAX			8	/* addresses kept of one name */
#define CC_RESOLVE_ADDR_LEN		64	/* of a numeric address with a scope */

typedef struct CcResolve CcResolve;

/*
 * Called once, before anything else.  wake is called from the threads, when
 * cc_resolve_collect has something to do.
 */
extern void cc_resolve_init(void (*wake) (void));

/* Begins a lookup.  NULL when no more threads are to be had now. */
extern CcResolve *cc_resolve_begin(const char *host);

/* Takes in what the threads have finished; after a wake. */
extern void cc_resolve_collect(void);

extern bool cc_resolve_done(const CcResolve *r);

/* Of a finished lookup: number of addresses, each one, why there are none. */
extern int	cc_resolve_count(const CcResolve *r);
extern const char *cc_resolve_address(const CcResolve *r, int i);
extern const char *cc_resolve_error(const CcResolve *r);

/* Ends our interest in a lookup, finished or not. */
extern void cc_resolve_drop(CcResolve *r);

/* Whether the text is a numeric address already. */
extern bool cc_resolve_is_numeric(const char *host);

#endif							/* CC_RESOLVE_H */
