/*-------------------------------------------------------------------------
 *
 * hlc.h
 *	  Hybrid logical clock: 48 bits of milliseconds since 1970, 16 bits of
 *	  counter, in one atomic word.
 *
 * It never goes back, stays close to the wall clock, and every write drawn
 * after a message was heard is later than all that the message knew
 * (Kulkarni et al., "Logical physical clocks", 2014).
 *
 * Locking: none; one compare-and-swap.  All functions may be called under
 * any lock.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_HLC_H
#define CC_HLC_H

#include "base/port.h"

#define CC_HLC_SHIFT	16

#define cc_hlc_from_ms(ms)	((uint64) (ms) << CC_HLC_SHIFT)
#define cc_hlc_to_ms(h)		((int64) ((h) >> CC_HLC_SHIFT))

/* Rule tick: max(clock + 1, wall clock), which is also the new value. */
extern uint64 cc_hlc_tick(pg_atomic_uint64 *clock);

/*
 * The next value, however far behind the wall clock that is: for what is
 * ordered by the clock but not timed by it.
 */
extern uint64 cc_hlc_next(pg_atomic_uint64 *clock);

/* Raises the clock to h when it is behind. */
extern void cc_hlc_observe(pg_atomic_uint64 *clock, uint64 h);

/* The time by which expiry is judged: max(wall clock, HLC), in ms. */
extern int64 cc_hlc_now_ms(pg_atomic_uint64 *clock);

/* True when h is further ahead of our wall clock than max_skew_ms. */
extern bool cc_hlc_too_far(uint64 h, int64 max_skew_ms);

/*
 * An atomic word that only rises.  Returns true when it rose.
 */
extern bool cc_atomic_raise(pg_atomic_uint64 *word, uint64 to);

#endif							/* CC_HLC_H */
