/*-------------------------------------------------------------------------
 *
 * heal.h
 *	  The resolver: when conflicts are decided, and by whom (PROTOCOL.md,
 *	  resolver, ask, one-sided changes).
 *
 * Conflicts of the built-in policies are decided by the replicator, a bounded
 * number in each step, when this node is the resolver, the component has been
 * unchanged for CC_HEAL_GRACE and the key's originals too.  Those of `merge`
 * are left to a merger, a process in the namespace's database (src/merge/merger.c),
 * which asks the same questions here.  `manual` ones wait for people.
 *
 * Whoever is not the resolver asks about what is pending for long.
 *
 * One-sided changes: once splits have ended and our VV covers what the others
 * had then, the resolver walks namespaces of the island policies, and the
 * merger those of full-form merge functions, for entries that were written
 * apart by one side alone.  Up to which end of splits (an HLC) a namespace was
 * walked is a system entry, so that the next resolver goes on:
 *
 *	key		'w' database \0 name	value	u64
 *
 * cache_heal() reaches the resolver as a system entry too:
 *
 *	key		'q' database \0 name	value	none; its version counts
 *
 * Locking: none of its own; takes what it calls.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_HEAL_H
#define CC_HEAL_H

#include "cluster/policy.h"
#include "cluster/reach.h"
#include "cluster/splits.h"

#define CC_HEAL_GRACE	250		/* ms */

/*
 * A one-sided change: an entry that one side wrote apart, and somebody of the
 * other side.  ours: by the side on which the resolver was.
 */
typedef struct CcOneSided
{
	CcConflictKey key;
	CcWritten	written;		/* hlc is its version */
	CcNodeId	other;
	bool		ours;
} CcOneSided;

typedef struct CcOneSidedWalk
{
	int			partition;
	uint32		bucket;
	uint64		after;			/* ends of splits that count: above this */
	uint64		upto;			/* and not above this */
} CcOneSidedWalk;

/* What was decided of a namespace's conflicts, for the log. */
typedef struct CcHealTally
{
	int64		at;				/* monotonic ms of the first ... */
	int64		last;			/* ... and the last; 0: there was none */
	uint32		ours;
	uint32		theirs;
	uint32		deleted;
} CcHealTally;

typedef struct CcHealShared
{
	/* by namespace: HLC of the end of splits up to which it was walked; HLC of
	 * the last request by cache_heal, and up to which it was heeded */
	pg_atomic_uint64 walked[CC_MAX_NAMESPACES];
	pg_atomic_uint64 told[CC_MAX_NAMESPACES];	/* what its entry says of it */
	pg_atomic_uint64 requested[CC_MAX_NAMESPACES];
	pg_atomic_uint64 heeded[CC_MAX_NAMESPACES];

	/* what is being heeded, and where that is; cc_heal_step's own */
	uint64		heeding[CC_MAX_NAMESPACES];
	CcConflictWalk heed[CC_MAX_NAMESPACES];

	/* the merger stopped by its function's word; no call until requested again
	 * or another split has ended */
	pg_atomic_uint64 stopped[CC_MAX_NAMESPACES];

	/* HLC at which the merger could not even begin, as there is no such
	 * function, say, and wall clock ms of its next try; 0: it could */
	pg_atomic_uint64 failed[CC_MAX_NAMESPACES];
	pg_atomic_uint64 failed_until[CC_MAX_NAMESPACES];

	/* HLC up to which the ends of splits may be walked, as our VV covers what
	 * the others had; 0: not yet.  Written by cc_heal_step */
	pg_atomic_uint64 ripe;

	/*
	 * Where cc_heal_step is; its own, but in shared memory, as the simulator
	 * has several nodes in a process, and a replicator that was started anew
	 * goes on.
	 */
	CcConflictWalk pass;		/* of the pending keys of pass_ns */
	uint16		pass_ns;		/* CC_NS_SYSTEM: no pass is under way */
	bool		pass_slow;		/* it looks at what waits for others, too */
	int64		pass_began;		/* monotonic ms, as the next ones */
	int64		next_pass;
	int64		next_slow;
	int64		ask_second;		/* in which so many were asked about */
	int			asked;
	int64		next_look;		/* monotonic ms; cc_heal_tell_waiting */
	CcConflictWalk look[CC_MAX_NAMESPACES]; /* cc_heal_merger_wanted */

	/* likewise, of the one-sided changes of an island policy's namespace */
	CcOneSidedWalk walk;
	uint16		walk_ns;		/* CC_NS_SYSTEM: no walk is under way */
	uint64		walk_deleted;

	/*
	 * What is to become ripe: the ends of splits up to ripe_hlc do once our VV
	 * covers `target`, what the members of the component had afterwards.
	 */
	uint64		ripe_hlc;		/* 0: there is nothing */
	uint32		ripe_component;
	int64		ripe_since;		/* monotonic ms */
	uint64		ripe_heartbeats[CC_MAX_MEMBERS];	/* at that time */
	bool		targeted;		/* what they had is known */
	uint32		ntarget;
	uint64		target[CC_MAX_ORIGINS];

	/* by namespace: what was found, or made, to be said of `walked` to all */
	uint64		said[CC_MAX_NAMESPACES];

	/* decisions by namespace that the log was not told of yet */
	CcHealTally tally[CC_MAX_NAMESPACES];
	bool		tallied;		/* there are some */
} CcHealShared;

extern Size cc_heal_size(void);
extern void cc_heal_init(void *mem);	/* makes it cc.heal */

/* A system entry was stored ('w', 'q'); from cc_membership_note. */
extern void cc_heal_note(const char *key, uint16 keylen);

/*
 * The replicator's part; now: monotonic ms.  Decides what is due, asks, walks.
 * Returns the monotonic ms at which it wants to be called again, at the
 * latest.
 */
extern int64 cc_heal_step(int64 now, int64 peer_timeout);

/*
 * Whether this node may decide now: it is the resolver, ready, and the
 * component has been the same for the grace.
 */
extern bool cc_heal_may_decide(void);

/* Whether a pending key is due: unchanged for the grace, not put off. */
extern bool cc_heal_is_due(const CcKeyState *ks, int64 now_ms);

/* Whether a merger has something to do in this namespace now. */
extern bool cc_heal_merger_wanted(uint16 ns);

/*
 * Whether a walk of the namespace is due, and its beginning; the next changes
 * (0: it is over); and its end, which is then written down.
 */
extern bool cc_heal_walk_begin(uint16 ns, CcOneSidedWalk *w);
extern int	cc_heal_walk_next(uint16 ns, CcOneSidedWalk *w, CcOneSided *out,
							  int max);
extern void cc_heal_walk_end(uint16 ns, const CcOneSidedWalk *w);

/*
 * As cc_heal_walk_next, for a caller that has other things to do: looks at so
 * many buckets; *n is how many changes there were.  False: it is over.
 */
extern bool cc_heal_walk_some(uint16 ns, CcOneSidedWalk *w, CcOneSided *out,
							  int max, uint32 buckets, int *n);

/* Deletes it or stores another value, if it still has this version. */
extern CcResult cc_heal_walk_apply(const CcOneSided *c, const CcDecision *d);

/*
 * HLC up to which neither a walk nor a conflict needs the records of splits any
 * more.
 */
extern uint64 cc_heal_walked_all(void);

/*
 * The replicator's part: finds out up to which ends of splits may be walked
 * (peer_timeout in ms), and walks for the island policies.  True when there is
 * more to walk at once.
 */
extern void cc_heal_ripen(int64 now, int64 peer_timeout);
extern bool cc_heal_walk_step(void);

/* Whether a walk of some namespace is due, or will be. */
extern bool cc_heal_walk_waiting(void);

/*
 * Whether the namespace's merge function has the full form, which sees what
 * one side alone has changed, too.
 */
extern bool cc_heal_is_full(uint16 ns);

/*
 * Whether the namespace has an island policy; and whether it is walked, for
 * that or a full form.
 */
extern bool cc_heal_is_island(uint16 ns);
extern bool cc_heal_is_walked(uint16 ns);

/*
 * Whether the merge function has said stop, and neither cache_heal nor the end
 * of another split has come since.
 */
extern bool cc_heal_has_stopped(uint16 ns);

/*
 * Whether nothing of the namespace could be merged, the next try is later, and
 * neither cache_heal nor another declaration has come since; and the word of
 * who tried.
 */
extern bool cc_heal_has_failed(uint16 ns);
extern void cc_heal_failed(uint16 ns, int64 until);

/* The key of a 'w' or 'q' entry; returns its length. */
extern uint16 cc_heal_key(uint16 ns, char letter, char key[CC_SYSTEM_KEY_MAX]);

/* cache_heal: asks for all of a namespace (CC_NO_NS: all) to be tried now. */
extern void cc_heal_request(uint16 ns);

/*
 * cache_heal with a winner, at once and by this node: of each pending key of
 * the namespace the original of the winner's island.  Returns how many were
 * decided.
 */
extern uint64 cc_heal_winner(uint16 ns, const CcNodeId *winner);

/*
 * Whether something waits for an automatic decision, as the resolver says: a
 * pending key of a policy other than manual that was not put off by an error,
 * or a walk; but nothing of a namespace whose function has stopped the heal or
 * cannot be run.
 */
extern bool cc_heal_waiting(void);

/*
 * Has our link state tell whether it does: once a round, before
 * cc_reach_update.  now: monotonic ms.
 */
extern void cc_heal_tell_waiting(int64 now);

#endif							/* CC_HEAL_H */
