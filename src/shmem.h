/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  The one piece of shared memory: what is in it, and the order of locks.
 *
 * cachecluster.memory is all there is; it is cut, in this order, into
 *
 *		head			tranche numbers, where the parts begin (shmem.c)
 *		wake			latches of the workers (base/wake.h)
 *		stats			a slot per process (base/stats.h)
 *		events			what happened (base/events.h)
 *		key locks		who computes a missing value (cache/keylock.h)
 *		state			identity, origins, vectors (cache/state.h)
 *		floor			F of all slices (cache/floor.h)
 *		members			the members and their vectors (cluster/membership.h)
 *		apart			what was written out of reach (cache/apart.h)
 *		conflicts	those that were decided (cache/conflict.h)
 *		splits			splits and their history (cluster/splits.h)
 *		heal			where healing stands (cluster/heal.h)
 *		mergers			the processes that merge (merger.h)
 *		change log		about a 32nd of it (cache/changelog.h)
 *		store			the rest (cache/store.h)
 *
 * Everything is made when the server starts, and made anew when it restarts
 * after the crash of a backend: no process-local variable may say that it
 * has been done already.
 *
 * Lock order.  A lock is taken only while those held stand before it here:
 *
 *		1. members->lock
 *		2. partition->lock, several only in ascending index
 *		3. apart->lock
 *		4. state->lock
 *		5. log->lock
 *		6. stats->lock, events->lock, the lock of the key locks,
 *		   conflicts->lock, splits->lock: leaves
 *
 * Under 2 to 6 nothing allocates, logs, throws or waits for anything but the
 * locks that follow.  All belong to LWLock tranches CacheCluster*.
 *
 * May include: anything of ours below src/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SHMEM_H
#define CC_SHMEM_H

#include "base/port.h"

/* Hooks into the server's start; from _PG_init, while it preloads. */
extern void cc_shmem_install(void);

#endif							/* CC_SHMEM_H */
