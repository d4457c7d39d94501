/*-------------------------------------------------------------------------
 *
 * exact_private.h
 *	  What exact.c, exact_own.c and exact_state.c share, and take.c uses.
 *
 * Locking: as exact.h.
 *
 * May include: exact.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EXACT_PRIVATE_H
#define CC_EXACT_PRIVATE_H

#include "cache/exact.h"

/*
 * Copies the whole of the current value to scratch and parses it into w->ours
 * (n = 0: nothing is there), with room for `extra` bytes behind it.  False:
 * scratch is too short.
 */
extern bool cc_exact_read_ours(CcWork *w, Size extra);

/* Most that building a state of what is here and `more` bytes can take. */
extern Size cc_exact_most_room(CcWork *w, Size more);

/* Index of the original that is the same write; -1: none is. */
extern int	cc_exact_find_original(const CcKeyState *ks, const CcEntry *e);

/* Takes one out; `served` is -1 when it was that one. */
extern void cc_exact_remove_original(CcKeyState *ks, int i);
extern int	cc_exact_newest_original(const CcKeyState *ks);

/* It has lost its value. */
extern void cc_exact_make_stub(CcEntry *e);

/* Takes out what is at or below the horizon. */
extern void cc_exact_drop_cleared(CcKeyState *ks);

/*
 * Notes that what is held has replaced a version, or was made from it; and all
 * that another state says so of.
 */
extern void cc_exact_add_input(CcKeyState *ks, uint16 writer, uint64 hlc);
extern void cc_exact_join_inputs(CcKeyState *to, const CcKeyState *from);

/* Adds to a context, unless it is stable. */
extern void cc_exact_add_context(CcKeyState *ks, uint16 origin, uint64 seq);
extern void cc_exact_join_context(CcKeyState *to, const CcKeyState *from);

/* Whether a's version is the higher one. */
extern bool cc_exact_newer(const CcEntry *a, const CcEntry *b);

/*
 * Whether what a state holds has replaced this entry, or its resolution was made
 * from it.
 */
extern bool cc_exact_is_input(const CcKeyState *of, const CcEntry *e);

extern bool cc_exact_same_originals(const CcKeyState *a, const CcKeyState *b);
extern bool cc_exact_same_decision(const CcKeyState *a, const CcKeyState *b);

/*
 * Whether b says all that a does, so that nothing would be different but what is
 * this node's own.
 */
extern bool cc_exact_unchanged(const CcKeyState *a, const CcKeyState *b);

/*
 * The same for a state that is to travel to all, though nothing in it is new: a
 * dot of ours in its context carries it.
 */
extern CcVerdict cc_exact_spread(CcWork *w, CcKeyState *ks);

/* What is this node's own goes on: for how long it is so, what was tried. */
extern void cc_exact_keep_own(const CcKeyState *ours, CcKeyState *result);

/* Makes the state the entry that shall be; values go where they do not fit. */
extern CcVerdict cc_exact_store_state(CcWork *w, CcKeyState *ks);

#endif							/* CC_EXACT_PRIVATE_H */
