/*-------------------------------------------------------------------------
 *
 * peer.h
 *	  One outgoing connection: libpq, and a sender's messages over it.
 *
 *		WAITING -> RESOLVING -> CONNECTING -> LOOKUP -> HELLO -> STREAMING
 *		   ^____________|____________|___________|________|_________|
 *
 * Nothing here waits.  cc_peer_step does what can be done now; whoever owns
 * the peer calls it when its socket is ready, when cc_peer_due has come, and
 * when something was written to the change log.
 *
 * What goes wrong is of one of two kinds: "unreachable" is tried again within
 * a second, "refused" (authentication, privileges, a missing extension, a
 * stranger, rubbish) within five.  A cause is logged once, not at every try.
 * No message holds more of the connection's options than host and port.
 *
 * Locking: peers belong to the replicator.  Takes members->lock; holds none
 * on return.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PEER_H
#define CC_PEER_H

#include "cluster/membership.h"
#include "cluster/replicate.h"

typedef enum CcPeerStage
{
	CC_STAGE_WAITING,			/* for the next try */
	CC_STAGE_RESOLVING,			/* the host's name */
	CC_STAGE_CONNECTING,			/* libpq connects and logs in */
	CC_STAGE_LOOKUP,				/* who is there, where is the extension */
	CC_STAGE_HELLO,				/* hello sent */
	CC_STAGE_STREAMING				/* batches go */
} CcPeerStage;

typedef struct CcPeer CcPeer;

/* What a peer has done since it was asked last, and how it is. */
typedef struct CcPeerStats
{
	uint64		bytes_sent;
	uint64		sessions;		/* begun */
	double		rtt_ms;			/* of heartbeats, smoothed; 0: none yet */
	bool		skew_known;
	int64		skew_ms;		/* its clock minus ours */
} CcPeerStats;

/*
 * A peer to be reached by conninfo, a string or URI.  NULL when that can't be
 * read.  seed: it came from the settings or cache_join.  expected: whose
 * address it is, or NULL.
 */
extern CcPeer *cc_peer_create(const char *conninfo, bool seed,
							  const CcNodeId *expected);
extern void cc_peer_free(CcPeer *p);

/*
 * What holds for all peers: the senders' options, the connection options that
 * are added (cachecluster.peer_conninfo) and our name.  True when connections
 * must be made anew for it.  Called once before the first peer is created.
 */
extern bool cc_peer_configure(const CcSenderOptions *opt,
							  const char *conninfo, const char *node_name);

/* Whether it may connect; one that may not ends what it has. */
extern void cc_peer_set_held(CcPeer *p, int64 now, bool held);

/* Ends what it has; the next try comes after ms. */
extern void cc_peer_reset(CcPeer *p, int64 now, int64 ms);

extern void cc_peer_step(CcPeer *p, int64 now);

/* Monotonic ms at which cc_peer_step has something to do by itself. */
extern int64 cc_peer_due(CcPeer *p);

extern CcPeerStage cc_peer_stage(const CcPeer *p);

/* Who answers there; false while that is not known. */
extern bool cc_peer_id(const CcPeer *p, CcNodeId *id);

/* Whether this very server answers there. */
extern bool cc_peer_is_self(const CcPeer *p);

/*
 * Rises with every session that begins or ends, of any peer.
 */
extern uint64 cc_peer_changes(void);

/* NULL unless in a session */
extern CcSender *cc_peer_sender(CcPeer *p);

extern void cc_peer_take_stats(CcPeer *p, CcPeerStats *stats);

/*
 * Host and port of a conninfo, and nothing else of it, as a conninfo.  False
 * when it can't be read or names no single host.
 */
extern bool cc_peer_address(const char *conninfo, char *out, Size size);

#endif							/* CC_PEER_H */
