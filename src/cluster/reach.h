/*-------------------------------------------------------------------------
 *
 * reach.h
 *	  To whom a path leads, over any number of links; and who decides conflicts.
 *
 * Heartbeats and handshakes carry link states: for every node that the sender
 * knows of, whom it reaches over links of its own, and whether it is ready.
 * A link counts when its node says so of an established session in its own
 * direction and the other is not down.  What is reached over such links from
 * here is this node's component.
 *
 * PROTOCOL.md, resolver: the oldest ready member (join time, then id) among
 * those that can be reached.
 *
 * Locking: members->lock.  The component is also kept as atomics, to be read
 * without it.
 *
 * May include: base/, cache/, membership.h, proto.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_REACH_H
#define CC_REACH_H

#include "cluster/membership.h"
#include "cluster/proto.h"

/* Adds the link states, ours and those heard of, as a 'J' record (proto.h). */
extern void cc_reach_put(CcEncoder *enc);

/*
 * Reads one; newer states replace those known of other nodes.  believe: else
 * it is only checked and stepped over.  False when it is malformed.
 */
extern bool cc_reach_take(CcDecoder *dec, bool believe);

/*
 * A session of ours with a member was established or has ended; fences: the
 * member's as it was established, since those of before count no more.  A
 * replicator that begins has none, whatever its predecessor left behind.
 */
extern void cc_reach_session(int slot, uint32 fences, bool established);
extern void cc_reach_forget_sessions(void);

/*
 * Ends the sessions in both directions: what comes next from either side begins
 * with a handshake, and with it the split records (PROTOCOL.md, split records);
 * what is still under way is refused.
 */
extern void cc_reach_fence(const CcNodeId *id);

/* Whether cc_reach_update has something new to look at.  No lock. */
extern bool cc_reach_is_news(void);

/*
 * Our own links and the component, looked at again: every detector round and
 * after word of a link.  now: monotonic ms.  Returns whether the component is
 * another one.
 */
extern bool cc_reach_update(int64 now);

/*
 * Slots of the component as bits; always has our own, once we are announced.
 * No lock.
 */
extern uint32 cc_reach_component(void);

/* Monotonic ms since when the component is what it is.  No lock. */
extern int64 cc_reach_since(void);

/* Slot of the resolver; -1 when nobody that can be reached is ready. */
extern int	cc_reach_resolver(void);

/*
 * Whether a member is heard to which no path leads yet: the component is about
 * to become another one.  Not for longer than it takes both sides to call each
 * other: a link may stay half open.  now: monotonic ms.
 */
extern bool cc_reach_meets(int64 now);

/* Whether we are it. */
extern bool cc_reach_is_resolver(void);

#endif							/* CC_REACH_H */
