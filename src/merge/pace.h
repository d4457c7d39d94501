/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How fast a merger goes while clients use the cache of this server.
 *
 * A decision costs its merger little, but each is journalled here and sent to,
 * taken in and journalled by every peer.  Where clients read and write, and
 * there are not processors enough for them and the merger, it works in short
 * turns and rests long in between, so that a get waits hardly longer than it
 * would without it.  When nobody is there, or processors are idle, it goes as
 * fast as it can.
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
