/*-------------------------------------------------------------------------
 *
 * expire.h
 *	  Time to live, and the sweep that frees what is over.
 *
 * A deadline is checked by every read; the sweep only frees memory.  It walks
 * the buckets of all partitions in turn with a budget, and while it is there
 * it also removes stable stubs and entries below a horizon, gives new dots to
 * orphans (PROTOCOL.md, orphans), finds out of which closed origins this node
 * holds no entry beyond its VV (retire), and brings values into the list that
 * their namespace has got, and namespaces within a bound that was lowered.
 *
 * Locking: takes one partition's lock at a time, for a short run of buckets.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EXPIRE_H
#define CC_EXPIRE_H

#include "cache/store.h"

/*
 * Whether the entry is over at now_ms (from cc_hlc_now_ms).  If so our clock
 * moves up to its expiry (PROTOCOL.md, seen expired).
 */
extern bool cc_expire_over(int64 expires, int64 now_ms);

/*
 * Whether a deadline is so far off that a cheaper clock, which is behind, is
 * enough to see it.
 */
extern bool cc_expire_far_off(int64 expires);

/* Whether the entry lies at or below its namespace's horizon. */
extern bool cc_expire_cleared(uint16 ns, uint64 hlc);

/*
 * The process's place in its walk; zeroed at first.
 */
typedef struct CcSweep
{
	int			partition;
	uint32		bucket;
	uint64		cycle;			/* completed walks */
	int64		cycle_began_ms; /* monotonic */
	int64		oldest_over;	/* of the running walk: the longest time in ms
								 * that anything found had been over */
	int64		lag_ms;			/* of the last completed walk */

	/* by the clock that judges expiry, in ms; 0: there was none */
	int64		began;			/* of the running walk */
	int64		last_began;		/* of the last completed one */
} CcSweep;

/*
 * Visits about nbuckets buckets.  Returns how many entries it freed or made
 * stubs.  No lock may be held.
 */
extern uint32 cc_expire_sweep(CcSweep *s, uint32 nbuckets);

/*
 * How long, in ms, what is over stays in memory: the longest time that
 * anything had been over when the running walk or the last completed one found
 * it, but no longer than since the latter began, as it left nothing that was
 * over by then.  What the running walk has not reached yet may be over for
 * that long, or not at all.
 */
extern int64 cc_expire_lag(const CcSweep *s);

/*
 * Looks at all entries, for budget_ms at most: *over_ms is how long the most
 * overdue one has been over, 0 when there is none.  False when the time did
 * not suffice; *over_ms is then that of those it saw.  No lock may be held.
 */
extern bool cc_expire_look(int64 budget_ms, int64 *over_ms);

/*
 * True when a walk that began after the last entry beyond VV of this origin
 * was taken has found none (PROTOCOL.md, retire).
 */
extern bool cc_expire_clean(uint16 origin);

#endif							/* CC_EXPIRE_H */
