/*-------------------------------------------------------------------------
 *
 * receive.h
 *	  The receiving side of a session (PROTOCOL.md section 4).
 *
 * Bytes in, bytes out.  The bytes are those of an authenticated peer, and
 * still every length and index in them is checked.
 *
 * Locking: takes members->lock and one partition's lock at a time; holds none
 * on return.  A reply's buffer is allocated before any lock is taken.
 *
 * May include: base/, cache/, membership.h, detector.h, proto.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_RECEIVE_H
#define CC_RECEIVE_H

#include "cluster/proto.h"

typedef struct CcReceiver
{
	/* of the session that this process serves; zero before a hello */
	CcNodeId	node;
	uint64		boot;
	uint64		session;
	int			slot;			/* of the peer; -1 before a hello */
	CcEncoder	reply;
} CcReceiver;

extern void cc_receiver_init(CcReceiver *r);
extern void cc_receiver_free(CcReceiver *r);

/*
 * Takes in one message and makes the reply, which is in r->reply.buf until
 * the next call.  Whatever is wrong with the message is said in the reply's
 * status, which is also returned.  An error that is raised (memory) must be
 * followed by cc_receiver_gone.
 */
extern CcStatus cc_receive_hello(CcReceiver *r, int64 now, const void *data, Size len);
extern CcStatus cc_receive_batch(CcReceiver *r, int64 now, int64 peer_timeout,
								 const void *data, Size len);

/* The connection is gone: whatever its session had begun is over. */
extern void cc_receiver_gone(CcReceiver *r);

#endif							/* CC_RECEIVE_H */
