/*-------------------------------------------------------------------------
 *
 * membership.h
 *	  Who belongs to the group, and what is known of each member.
 *
 * Members are entries of the system namespace (PROTOCOL.md, members are
 * entries): "m" id holds incarnation, join time, name and address of a
 * member, "r" id its removal, "c" the cluster id.  The store is the truth;
 * the table here follows it through cc_membership_note, which re-reads the
 * entry, so that the order in which two changes are noted does not matter.
 *
 * Beside each member stand its vectors: K, the last VV that it said it has;
 * the candidate; and C, the newest K that our own VV covered when we looked
 * (PROTOCOL.md, causal stability).  Entries and table are membership.c's, the
 * vectors and what follows from them stability.c's.
 *
 * Locking: everything in CcMembersShared under its lock, shared for reading
 * and exclusive for changing, but for atomics.  It is taken before any
 * partition's lock and never while one is held.
 *
 * May include: base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_MEMBERSHIP_H
#define CC_MEMBERSHIP_H

#include "cache/record.h"

#define CC_MAX_MEMBERS		32
#define CC_ADDRESS_LEN		256
#define CC_ERROR_LEN		160
#define CC_REFUSALS			8

/* State of the link to a peer, as pg_stat_cachecluster_peers shows it. */
typedef enum CcLinkState
{
	CC_PEER_CONNECTING,			/* no session yet since start or loss */
	CC_PEER_SYNCING,			/* a scan or full comparison goes out */
	CC_PEER_STREAMING,			/* passes follow the change log */
	CC_PEER_DOWN				/* silent for peer_timeout */
} CcLinkState;

typedef struct CcMemberShared
{
	bool		used;
	bool		removed;		/* by cache_forget; stays in the table */
	bool		self;
	CcNodeId	id;
	uint64		incarnation;
	uint64		joined;			/* HLC at which it first joined */
	uint64		noted;			/* all positions below it were allocated when
								 * it came into the table: its entry is there */
	char		name[CC_NAME_LEN];
	char		address[CC_ADDRESS_LEN];	/* conninfo: host and port only */

	/* what it said it has; written by cc_membership_learn alone */
	uint64		boot;			/* highest that we heard of; 0: none */
	bool		k_known;
	bool		c_known;		/* our VV has covered a candidate since K began
								 * or was replaced; while it has not, nothing
								 * is stable */
	bool		cand_valid;
	uint64		clean_hash;		/* its list of members, when it last said
								 * which closed origins it is clean of */

	/* PROTOCOL.md, fence: sessions in which it sends to us */
	uint64		session_boot;
	uint64		session;		/* the newest; older ones are refused */
	bool		session_refused;	/* rest of the session is refused too */
	bool		want_full;		/* after our unclean start: a full comparison
								 * from it, once */
	bool		owe_full;		/* after a start that lost G: one to it, once;
								 * see state->owes */

	/* detector.h; monotonic ms, 0: never since our start */
	pg_atomic_uint64 last_heard;	/* whatever it sent or acknowledged */
	CcLinkState state;
	int64		down_since;		/* wall clock ms; 0: not down */
	int64		watched;		/* silence counts from here; 0: not yet.
								 * Written by cc_detector_check */

	uint32		fences;			/* rises when all sessions with it shall end;
								 * see cc_reach_fence */

	/* reach.h: whom it reaches over links of its own, as we heard last */
	uint64		link_boot;
	uint64		link_number;	/* rises with each change in a boot; 0: never
								 * heard */
	uint32		link_reaches;	/* bits by slot */
	bool		link_ready;
	bool		link_waits;		/* as the resolver it has something to decide */
	uint32		sessions;		/* of ours to it that are established */
	uint64		reached_hlc;	/* our HLC when a path last led there; 0: none
								 * since our start */
	int64		away_since;		/* monotonic ms since when none does; 0: one
								 * does, or nobody has looked */

	/* for the views; written by the replicator */
	int64		last_heard_wall;
	double		rtt_ms;
	int64		clock_skew_ms;
	uint64		sent_seq;
	uint64		acked_seq;
	int64		acked_at;		/* wall clock ms when nothing was left unsent */
	uint64		entries_sent;
	uint64		bytes_sent;
	uint64		reconnects;
	char		last_error[CC_ERROR_LEN];

	/* written by its inbound backend, with atomics */
	pg_atomic_uint64 entries_received;
	pg_atomic_uint64 bytes_received;
	pg_atomic_uint64 heartbeats;	/* rounds of its heartbeats taken in, from
									 * either direction; see converged */
} CcMemberShared;

typedef struct CcMembersShared
{
	CcLock		lock;
	uint32		origin_cap;
	uint32		nmembers;		/* slots in use, removed ones included */
	uint32		self;			/* slot of this node, or CC_MAX_MEMBERS */

	/*
	 * PROTOCOL.md, one at a time: the full comparison that comes in.  The
	 * epoch rises when one begins; a batch of somebody else that began before
	 * is refused at its next entry (CcChange.guard).
	 */
	pg_atomic_uint64 full_epoch;
	uint32		full_from;		/* slot + 1; 0: none */
	int64		full_heard;		/* monotonic ms of its last batch */
	uint64		next_session;	/* numbers our outgoing sessions */
	char		last_error[CC_ERROR_LEN];

	/*
	 * Refusals that the log was told of lately: hashes of whom, why and when,
	 * each place overwritten in turn.  Two processes that find the same one
	 * missing tell it twice, which harms nobody.
	 */
	pg_atomic_uint64 refusal[CC_REFUSALS];
	pg_atomic_uint32 next_refusal;

	/*
	 * This node itself was removed: it has dropped its cache, and stays
	 * alone.  Set by cc_membership_note, never cleared.
	 */
	pg_atomic_uint32 removed;

	pg_atomic_uint64 meets_since;	/* see cc_reach_meets; 0: it is not so */
	int64		last_check;		/* monotonic ms of cc_detector_check's last
								 * round */

	/* reach.h; written by cc_reach_update */
	pg_atomic_uint32 component; /* slots to which a path leads, as bits */
	pg_atomic_uint64 component_since;	/* monotonic ms */
	pg_atomic_uint32 link_news; /* something has changed that it looks at */

	CcMemberShared member[CC_MAX_MEMBERS];

	/* offsets of [CC_MAX_MEMBERS][origin_cap] arrays from this struct */
	Size		k;				/* uint64 */
	Size		c;				/* uint64 */
	Size		cand;			/* uint64 */
	Size		clean;			/* uint8: clean of this closed origin */

	/* offset of a uint64[origin_cap]; see splits.c, pruning */
	Size		mark;
} CcMembersShared;

extern Size cc_membership_size(uint32 origin_cap);
extern void cc_membership_init(void *mem, uint32 origin_cap);

/* The row of a slot in one of those arrays; under the lock. */
static inline uint64 *
cc_membership_row(Size array, int slot)
{
	return (uint64 *) ((char *) cc.members + array) +
		(Size) slot * cc.members->origin_cap;
}

static inline uint8 *
cc_membership_clean_row(int slot)
{
	return (uint8 *) cc.members + cc.members->clean +
		(Size) slot * cc.members->origin_cap;
}

/* Another node that counts: used, neither removed nor we ourselves. */
#define cc_membership_is_peer(m)	((m)->used && !(m)->removed && !(m)->self)

/*
 * Fills the table from the store: after the files were loaded, and after this
 * node has taken another id.
 */
extern void cc_membership_rebuild(void);

/* Follows a change of a system entry; set as cc_cache_system_hook. */
extern void cc_membership_note(const char *key, uint16 keylen);

/*
 * Slot of a node, or -1.  The index stays valid; what it holds is read under
 * the lock.
 */
extern int	cc_membership_find(const CcNodeId *id);

/* Name of a member; false when it is none, or has none. */
extern bool cc_membership_name(const CcNodeId *id, char name[CC_NAME_LEN]);

/* Ids of all nodes in the table, removed ones too; returns their number. */
extern int	cc_membership_list(CcNodeId out[CC_MAX_MEMBERS]);

/* What our own member entry says; zero and empty while there is none. */
extern void cc_membership_self(uint64 *joined, char name[CC_NAME_LEN],
							   char address[CC_ADDRESS_LEN]);

/*
 * Writes our own member entry where it is missing or says something else
 * (incarnation, name, address).  Name and address are cut to their room.  To
 * be called again now and then: a peer that met us may have written an older
 * state of it at the same time.
 */
extern void cc_membership_announce(const char *name, const char *address);

/*
 * We meet a node: writes its member entry when we have none.  False when the
 * table is full.
 */
extern bool cc_membership_meet(const CcNodeId *id, uint64 incarnation,
							   uint64 joined, const char *name,
							   const char *address);

/*
 * PROTOCOL.md, members are entries: nothing is said to a member before its
 * entry is on disk.  Whether it is; asks the writer for it when it is not.
 */
extern bool cc_membership_kept(int slot);

/* Waits for it; no lock may be held. */
extern void cc_membership_keep(int slot);

/* Makes a cluster id if there is none; a node without seeds, or too late. */
extern void cc_membership_found(void);

/*
 * Two groups meet by order (PROTOCOL.md, cluster id): the id of the group
 * with the oldest member stays.  Takes theirs, or keeps ours.
 */
extern void cc_membership_merge_cluster(const CcNodeId *theirs,
										uint64 their_oldest);

/*
 * Join time of our group's oldest member, as the cluster id was made or taken
 * with; without one, of the oldest in the table.
 */
extern uint64 cc_membership_oldest(void);

/* A member told us that we were removed: as if its entry had come to us. */
extern void cc_membership_cast_out(void);

/*
 * Removes a member for good.  It counts no more here at once; the caller waits
 * until that is on disk (PROTOCOL.md, members are entries).  A crash before
 * then brings back a node that still counts the member, and with it, from the
 * same files, all that was forgotten since.  False when there is no such
 * member, or it is we.
 */
extern bool cc_membership_forget(const CcNodeId *id);

/*
 * What node id, running boot, has seen (PROTOCOL.md, new boot).  clean: the
 * closed origins that it holds nothing of beyond its VV (NULL: not said),
 * n of them, its member list's hash being hash.
 */
extern void cc_membership_learn(const CcNodeId *id, uint64 boot, const CcVV *vv,
								const uint16 *clean, int nclean, uint64 hash);

/* A hash of the list of members, equal where the lists are; never 0. */
extern uint64 cc_membership_hash(void);

/* The same; members->lock is held by the caller. */
extern uint64 cc_membership_hash_locked(void);

/*
 * Nothing counts as stable any more, and nothing as an orphan, until
 * cc_membership_maintain has looked again: there is somebody who may know
 * less, or more.  members->lock is held exclusively by the caller.
 */
extern void cc_membership_unsettle(void);

/* Closed origins that we are clean of; returns their number, at most max. */
extern int	cc_membership_clean(uint16 *out, int max);

/*
 * Adds what is heard of all peers to a message, as 'K' records (proto.h):
 * third hand.
 */
extern void cc_membership_gossip(CcEncoder *enc);

/*
 * Housekeeping, every heartbeat interval or so: promotes candidates, computes
 * what is stable, flags closed and orphaned origins, retires.
 */
extern void cc_membership_maintain(void);

/* Number of members, and of those heard from lately, this node counted. */
extern int	cc_membership_count(int *reachable);

/* Whether K of the member is known; copies it. */
extern bool cc_membership_copy_k(int slot, CcVV *to);

#endif							/* CC_MEMBERSHIP_H */
