/*-------------------------------------------------------------------------
 *
 * sync.h
 *	  Waiting until the peers have a write: namespaces with writes => 'sync'.
 *
 * What is waited for has been done, and stands whatever comes of the wait:
 * where acknowledgements do not come within cachecluster.sync_timeout there is
 * a WARNING, and a cancel is an error that says so in its detail.
 *
 * Locking: none held by the caller.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SYNC_H
#define CC_SYNC_H

#include "postgres.h"

/*
 * Waits until every peer that can be reached has acknowledged the change at
 * position pos, where writes of the namespace are synchronous; else returns at
 * once.  Of several changes in a row the last one's position stands for all.
 */
extern void cc_sync_wait(uint16 ns, uint64 pos);

/*
 * The same for a change whose position is not known, but which was made by
 * this process: all that was written before counts.
 */
extern void cc_sync_wait_all(uint16 ns);

#endif							/* CC_SYNC_H */
