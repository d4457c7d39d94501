/*-------------------------------------------------------------------------
 *
 * keylock.h
 *	  Who computes the value of a key that is missing: cache_get_or_lock.
 *
 * Of all callers on this node one at a time is told to compute; the others
 * wait until the key has been put, the computer has given up, or their time is
 * over.  A lock belongs to the node, not to the group, and to the key, not to
 * the transaction: it ends by a put or delete of the key by anybody here, when
 * the transaction that took it aborts, when the process of whoever took it
 * ends, and after its TTL.  The table is fixed; where its bucket is full the
 * caller computes without a lock, which is what all did without this.
 *
 * Locking: locks->lock, a leaf, held for a few instructions; waiting is on a
 * condition variable.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_KEYLOCK_H
#define CC_KEYLOCK_H

#include "base/port.h"

extern Size cc_keylock_size(void);
extern void cc_keylock_init(void *mem);
extern void cc_keylock_attach(void *mem);
extern CcLock *cc_keylock_lock(void);

/*
 * Takes the lock of a key (by both words of its hash) for ttl_ms > 0, or takes
 * it for longer where this transaction has it; false when another transaction
 * has it.  True without a lock where the table has no room.  Whoever took one
 * looks for the key again, as it may have been put in between.
 */
extern bool cc_keylock_take(const uint64 hash[2], int64 ttl_ms);

/* Ends the lock of a key where this transaction has it. */
extern void cc_keylock_give_up(const uint64 hash[2]);

/*
 * Ends the lock of a key, whoever has it, and wakes those who wait; called
 * after the key has changed.  A glance at one word when nobody in the node
 * holds any.  Raises no error.
 */
extern void cc_keylock_end(const uint64 hash[2]);

/* Same by the key, which is hashed only when somebody holds a lock. */
extern void cc_keylock_end_key(uint16 ns, const char *key, uint16 keylen);

/*
 * Waits until the lock of the key may have ended or ms have passed, at most a
 * tenth of a second; the caller looks again, as the value may have come from a
 * peer.  May be cancelled by the user.
 */
extern void cc_keylock_wait(const uint64 hash[2], int64 ms);

/* Registers with transactions; from _PG_init. */
extern void cc_keylock_install(void);

#endif							/* CC_KEYLOCK_H */
