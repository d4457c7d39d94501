/*-------------------------------------------------------------------------
 *
 * detector.h
 *	  Which peers are reachable, and when the node is ready.
 *
 * The rule, with what it does not promise:
 *	1. A peer is heard when any message or acknowledgement of it arrives.
 *	2. It is down when it was not heard for peer_timeout on our monotonic
 *	   clock.  TCP's opinion does not count, in either direction.
 *	3. A peer that is down stays a member, and is up again when it is heard.
 *	4. That A does not hear B says nothing of whether B hears A.
 *	5. Time in which we did not run ourselves is no silence of others.
 *
 * Locking: members->lock.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_DETECTOR_H
#define CC_DETECTOR_H

#include "cluster/membership.h"

/* A message or acknowledgement of the member came in at now (monotonic ms). */
extern void cc_detector_heard(int slot, int64 now);

/*
 * Judges all members at now; logs and notes who went down or came back.
 */
extern void cc_detector_check(int64 now, int64 peer_timeout);

/*
 * Whether the member counts as reachable: it was heard since our start and is
 * not down, or it is this node itself.
 */
extern bool cc_detector_reachable(int slot);

/* The same; members->lock is held by the caller. */
extern bool cc_detector_is_up(const CcMemberShared *m);

/*
 * Moves the phase on, JOINING, PENDING, READY: ready at once without seeds and
 * other members, or when we were removed; when our VV covers what some reachable peer had at its
 * hello; or when startup_timeout has passed since began.  To be called
 * after cc_membership_maintain, by the replicator.
 */
extern void cc_detector_phase(int64 now, int64 began, int64 startup_timeout,
							  bool have_seeds);

#endif							/* CC_DETECTOR_H */
