/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How fast a merger goes while clients use the cache of this server.
 *
 * A decision costs its merger little, but each is journalled here and sent to,
 * taken in and journalled by every peer.  So while clients read and write, the
 * merger works in short turns and rests in between, so that a merge takes a
 * small part of the machine and a get waits for it no longer than it would
 * otherwise.  When nobody is there it goes as fast as it can.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers and anything of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MERGE_PACE_H
#define CC_MERGE_PACE_H

#include "base/port.h"

/* Longest turn, in ms: of calls in one transaction. */
extern int64 cc_mergepace_turn(void);

/*
 * A turn is over that began at this time (monotonic ms): looks whether clients
 * are there, and rests.  Can be cancelled; no transaction may be open.
 */
extern void cc_mergepace_rest(int64 began);

#endif							/* CC_MERGE_PACE_H */
