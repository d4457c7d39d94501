/*-------------------------------------------------------------------------
 *
 * replicate.h
 *	  The sending side of a session: what goes to a peer next (PROTOCOL.md
 *	  section 3).
 *
 * A sender is a state machine of bytes and time.  Whoever owns it (peer.c,
 * the simulator) carries its messages, brings the replies back in order, and
 * throws it away when the connection is lost or it says so.
 *
 *		HELLO --reply--> IDLE <--> PASS, RELAY
 *						  ^  \
 *						  |   v
 *						 SCAN, FULL
 *
 * Locking: a sender belongs to one process.  Takes one partition's lock in
 * shared mode at a time, and members->lock; holds none on return.
 *
 * May include: base/, cache/, membership.h, detector.h, proto.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_REPLICATE_H
#define CC_REPLICATE_H

#include "cluster/proto.h"

/* Bytes after which a batch is sent as it is */
#define CC_BATCH_BYTES		65536
#define CC_MAX_IN_FLIGHT	64	/* batches; the window in bytes is narrower */

typedef enum CcSendPhase
{
	CC_SEND_HELLO,				/* hello sent, no reply yet */
	CC_SEND_IDLE,				/* nothing to send but heartbeats */
	CC_SEND_PASS,				/* own positions [p, end) */
	CC_SEND_RELAY,				/* all positions [p, end) */
	CC_SEND_SCAN,				/* everything that the peer has not seen */
	CC_SEND_FULL,				/* and digests */
	CC_SEND_FLOOR				/* a full comparison's end: the floor */
} CcSendPhase;

typedef struct CcSenderOptions
{
	int64		heartbeat_ms;
	int64		peer_timeout_ms;
	Size		batch_bytes;	/* CC_BATCH_BYTES; the simulator's are small */
} CcSenderOptions;

typedef struct CcSender CcSender;	/* replicate.c */

/* seed: the address came from the settings or from cache_join. */
extern CcSender *cc_sender_create(const CcSenderOptions *opt, bool seed);
extern void cc_sender_free(CcSender *s);
extern void cc_sender_set_options(CcSender *s, const CcSenderOptions *opt);

/* The first message.  Good until the next call on this sender. */
extern void cc_sender_hello(CcSender *s, int64 now, const char **data, Size *len);

/*
 * A reply came in.  CC_OK: go on.  Otherwise the session is over; close the
 * connection, and open a new one after cc_sender_retry_ms.
 */
extern CcStatus cc_sender_reply(CcSender *s, int64 now, const void *data, Size len);

/*
 * The next batch, or false: nothing to send now, or too much is under way.
 * Call again after a reply, after cc_wake_replicator, and when
 * cc_sender_due says so.
 */
extern bool cc_sender_next(CcSender *s, int64 now, const char **data, Size *len);

/* Monotonic ms at which cc_sender_next has something to do by itself. */
extern int64 cc_sender_due(CcSender *s);

/*
 * Whether the session has been silent for too long: replies are due, or even
 * the hello's, and none came for peer_timeout.
 */
extern bool cc_sender_timed_out(CcSender *s, int64 now);

extern CcSendPhase cc_sender_phase(CcSender *s);

/* Who answered; false before the hello's reply. */
extern bool cc_sender_peer(CcSender *s, CcNodeId *id);

/* How long to wait before another try after this end, in ms, without jitter. */
extern int64 cc_sender_retry_ms(CcStatus status);

#endif							/* CC_REPLICATE_H */
