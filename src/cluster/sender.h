/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  The inside of a CcSender, for replicate.c, pass.c and scan.c only.
 *
 * Locking: a sender belongs to one process.
 *
 * May include: base/, cache/, replicate.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SENDER_H
#define CC_SENDER_H

#include "cluster/membership.h"
#include "cluster/replicate.h"

/* Hot keys that a pass remembers, see put_position of pass.c */
#define CC_AHEAD	256

struct CcSender
{
	CcSenderOptions opt;
	bool		seed;
	CcSendPhase phase;
	CcEncoder	out;			/* the message that goes out next */

	/* who answered the hello */
	int			slot;
	CcNodeId	peer;
	uint64		peer_boot;
	uint64		boot;			/* ours, when the hello went out */
	uint64		session;
	uint32		fences;			/* the peer's, as the session began */
	bool		want_full;		/* it wants a full comparison */
	bool		kept;			/* its member entry is on our disk */
	int64		look_at;		/* not yet: looks again then */

	CcVV		hs;				/* what the peer is known to have seen */
	uint64		horizon[CC_MAX_NAMESPACES]; /* HLC of those that this session
											 * has sent */

	Size		full;			/* bytes after which the running batch is sent */

	/* passes */
	uint64		pos;			/* where the next pass begins */
	uint64		pos_all;		/* where the next relay pass begins: the last
								 * position before which this session sent
								 * everything; 0: it never did */
	uint64		p;				/* of the running pass, [p, end) */
	uint64		end;
	uint64		last_own;		/* highest own position of it so far */
	uint64		ahead[CC_AHEAD];	/* hashes whose entries went out as they
									 * are beyond the pass; 0: none */

	/* scans and full comparisons */
	CcVV		v;				/* VV as it began; also a relay's */
	uint64		start;			/* published end as it began */
	int			partition;
	uint32		bucket;
	bool		first_batch;
	bool		counted;		/* in store->comparisons_out */
	bool		again;			/* a further round of the same comparison */
	bool		compared;		/* one has been sent to its end */
	bool		more;			/* the walk has stopped for breath and has
								 * nothing to send yet */
	int			slice;			/* next slice of the floor to send */
	CcBuf		digest;
	uint64		losses[CC_SLICES];	/* CcFloorSliceShared.losses when the
									 * slice's walk began */
	bool		digested[CC_SLICES];	/* the slice goes with a digest */

	uint32		keeping;		/* nkeeping as declarations were last sent */
	uint32		records;		/* apart->changes as split records were last
								 * told */

	/* relay */
	CcVV		lag;			/* hs when we looked last */
	int			lag_count;
	int64		relay_at;

	/* messages under way, in order */
	Size		out_size[CC_MAX_IN_FLIGHT];
	int64		out_at[CC_MAX_IN_FLIGHT];	/* monotonic us */
	int			first_out;
	int			nout;
	Size		in_flight;		/* their bytes */
	Size		acked_now;		/* in the running heartbeat interval */
	Size		acked_before;	/* in the one before */
	int64		interval_began;
	int64		waiting_since;	/* the last answer, or the message after it */
	int64		next_heartbeat;

	/* for the views, see publish */
	CcSendPhase published_phase;
	int64		published_at;
	double		rtt_ms;
	int64		skew_ms;
	uint64		sent_seq;
	uint64		acked_seq;
	uint64		entries_sent;
	uint64		bytes_sent;

	CcVV		tmp;
};

/*
 * Whether the peer is known to have seen a dot.  An infinite VV says so only
 * where ours is infinite too: its group may have retired the origin without
 * ever having seen what we hold of it (PROTOCOL.md, retire).
 */
static inline bool
cc_sender_seen(const CcSender *s, uint16 origin, uint64 seq)
{
	uint64		has = cc_vv_get(&s->hs, origin);

	return has >= seq &&
		(likely(has != CC_VV_INF) || cc_state_vv(origin) == CC_VV_INF);
}

/*
 * scan.c
 */

/* Adds horizons that the peer has not seen, and the raise. */
extern void cc_scan_put_raise(CcSender *s, const CcVV *raise);

/* Whether the peer is known to have seen all that is held of a key. */
extern bool cc_scan_seen(CcSender *s, CcPartitionShared *p, CcHeaderShared *h);

/*
 * PROTOCOL.md, exact: begins a batch of entries with what we had seen before
 * any of them was read, where it may matter.
 */
extern void cc_scan_put_seen(CcSender *s);

/*
 * Adds horizons that the peer has not seen, of namespaces that keep conflicts,
 * before their entries.
 */
extern void cc_scan_put_horizons(CcSender *s, uint64 *entries);

/*
 * PROTOCOL.md, split records: before data; and which namespaces keep conflicts.
 * Adds those that the peer has not seen when there are others than this session
 * has told of, for a batch of their own.  Returns how many.
 */
extern uint64 cc_scan_put_records(CcSender *s);

/* PROTOCOL.md, forgotten first: whether the peer has seen all that is gone. */
extern bool cc_scan_covers_g(CcSender *s);

/*
 * Whether our start lost a G that this peer may not have covered, so that it
 * is owed a full comparison; and when it has taken one in.
 */
extern bool cc_scan_owed(CcSender *s);
extern void cc_scan_settle(CcSender *s);

extern void cc_scan_begin(CcSender *s, bool full);

/* The next batch of a scan or comparison; false: none, the phase changed. */
extern bool cc_scan_batch(CcSender *s, uint8 *flags, uint64 *entries);

/* The sender no longer compares: the bound on stubs is what it was. */
extern void cc_scan_leave(CcSender *s);

/*
 * pass.c
 */

/* Begins a pass of the phase over [pos, s->end). */
extern void cc_pass_begin(CcSender *s, CcSendPhase phase, uint64 pos);

/* The next batch of it; false: there is nothing to send after all. */
extern bool cc_pass_batch(CcSender *s, uint64 *entries);

#endif							/* CC_SENDER_H */
