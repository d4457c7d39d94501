/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  What a transaction has written and not yet committed, and what it missed.
 *
 * Puts, deletes, touches and clears wait in the memory of their backend, in
 * the order in which they were made, and take effect one after the other when
 * the transaction commits.  Until then reads of the same transaction see them
 * and nobody else does.  ROLLBACK, also to a savepoint, drops them.  What can
 * fail is checked when they are made and once more before the commit; at the
 * commit nothing raises an error or allocates.
 *
 * All SQL functions read and count through cc_xact_*, never through
 * cc_cache_*, so that there is one place where the two views meet.
 *
 * A change that acts at once (CC_OP_INCR, CC_OP_FETCH, `immediate`, a
 * namespace with synchronous writes) takes with it what waits for the same
 * key: cc_xact_now.
 *
 * Locking: none of its own; all is the backend's.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_XACT_H
#define CC_XACT_H

#include "cache/cache.h"

/* Registers with PostgreSQL's transactions; from _PG_init. */
extern void cc_xact_install(void);

/*
 * Called before a commit that has something waiting; may raise an error, which
 * aborts the transaction.  forced: all that waits are invalidations or
 * declarations, which no setting refuses.  Set by the wiring.
 */
extern void (*cc_xact_check_hook) (bool forced);

/*
 * Called there for each namespace and user of what waits and is not forced.
 * May raise an error too, as the namespace need not be the one any more that
 * it was at the call.  Set by the wiring.
 */
extern void (*cc_xact_allow_hook) (uint16 ns, Oid user);

/*
 * Whether changes of the namespace wait for commit: by the setting, unless
 * its writes are synchronous.
 */
extern bool cc_xact_defers(uint16 ns);

/*
 * Makes a change wait: CC_OP_PUT, CC_OP_DELETE, CC_OP_TOUCH.  Copies what c
 * points to.  Result and o->existed are what can be known now, by what this
 * transaction sees: CC_UNCHANGED when the condition of a put does not hold
 * (then nothing waits), else CC_DONE; conditions are asked once more at the
 * commit.  The other results of cc_cache_change too.  forced: see the hook.
 * A deadline counts from now, not from the commit.
 */
extern CcResult cc_xact_add(const CcChange *c, CcOutcome *o, bool forced);

/*
 * Makes a clear wait.  invalidates: it is the invalidation of all keys, which
 * no setting refuses and which waits for the commit in any case.
 */
extern void cc_xact_clear(uint16 ns, bool invalidates);

/*
 * Does it now, after what waits for the same key.  In place of
 * cc_cache_change for all that users do.
 */
extern CcResult cc_xact_now(const CcChange *c, CcOutcome *o);
extern CcResult cc_xact_clear_now(uint16 ns);

/*
 * As cc_cache_get, cc_cache_has, cc_cache_count, by what this transaction
 * sees.  An entry that waits has version 0 (e->hlc) and our origin.  cc_xact_get notes a miss; see
 * cc_xact_missed.
 */
extern bool cc_xact_get(uint16 ns, const char *key, uint16 keylen,
						CcEntry *e, CcBuf *buf);
extern bool cc_xact_has(uint16 ns, const char *key, uint16 keylen,
						int64 *expires);
extern uint64 cc_xact_count(uint16 ns);

/* As cc_cache_look, by what this transaction sees: notes no miss. */
extern bool cc_xact_peek(uint16 ns, const char *key, uint16 keylen,
						 CcEntry *e, CcBuf *buf);

/* Same with *stale for cc_cache_get_stale; what waits is never stale. */
extern bool cc_xact_get_stale(uint16 ns, const char *key, uint16 keylen,
							  CcEntry *e, CcBuf *buf, bool *stale);

/*
 * As cc_cache_scan, with what waits: each key at most once.  In no order.
 */
extern void cc_xact_scan(uint16 ns, CcScan *scan, CcEntryFn fn, void *arg);

/*
 * Notes that this transaction has looked for a key in the store and not found
 * it, so that its next put of it is a fill (see CcChange).  cc_xact_get does;
 * for whoever reads otherwise.  Not when a delete that waits hides the key.
 */
extern void cc_xact_missed(uint16 ns, const char *key, uint16 keylen);

#endif							/* CC_XACT_H */
