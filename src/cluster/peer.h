/*-------------------------------------------------------------------------
 *
 * peer.h
 *	  One connection to a peer's server: libpq, and nothing that waits.
 *
 *		OPENING -> ASKED -> GREETED
 *
 * It connects and logs in, asks the server who it is and where the extension
 * is, and then carries messages and their replies, in order.  Once it has
 * failed all that is left is to ask why and to close it.
 *
 * Locking: a connection belongs to the replicator; takes no lock of ours.
 *
 * May include: PostgreSQL's headers, base/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PEER_H
#define CC_PEER_H

#include "cluster/conninfo.h"

#define CC_PEER_LINE_LEN	512

typedef struct CcPeer CcPeer;

/* What happened on a connection. */
typedef enum CcPeerEvent
{
	CC_PEER_NOTHING,			/* nothing more for now */
	CC_PEER_SERVER,				/* it is known who is there */
	CC_PEER_REPLY,				/* to the oldest message under way */
	CC_PEER_FAILED				/* cc_peer_trouble says why */
} CcPeerEvent;

/* Who is there. */
typedef struct CcServer
{
	uint64		system;			/* system identifier */
	uint64		started;		/* when its postmaster did */
	bool		has_extension;	/* in that database */
	char		database[64];
} CcServer;

/* Why a connection failed. */
typedef struct CcPeerTrouble
{
	bool		passes;			/* may be over soon, by itself */
	char		line[CC_PEER_LINE_LEN];
	char		cure[CC_PEER_LINE_LEN]; /* or empty */
} CcPeerTrouble;

/* Reads a connection string or URI; info is empty when it can't be read. */
extern bool cc_peer_parse(const char *conninfo, CcConninfo *info);

/*
 * Host and port of a conninfo, and nothing else of it, as a conninfo.  False
 * when it can't be read or names no host.
 */
extern bool cc_peer_address(const char *conninfo, char *out, Size size);

/* The server that this process belongs to. */
extern void cc_peer_own_server(CcServer *server);

/*
 * Begins to connect to a place whose address is known.  Of an option in both,
 * that of info counts.  NULL when there are no descriptors or no memory.
 */
extern CcPeer *cc_peer_open(const CcPlace *place, const CcConninfo *info,
							const CcConninfo *added, const char *node_name,
							int64 timeout_ms);
extern void cc_peer_close(CcPeer *p);

/* Reads and writes what can be now; then cc_peer_next says what happened. */
extern void cc_peer_work(CcPeer *p);
extern CcPeerEvent cc_peer_next(CcPeer *p);

/* After CC_PEER_SERVER, CC_PEER_REPLY, CC_PEER_FAILED; till the next event. */
extern const CcServer *cc_peer_server(const CcPeer *p);
extern void cc_peer_reply(const CcPeer *p, const char **data, Size *len);
extern const CcPeerTrouble *cc_peer_trouble(const CcPeer *p);

/*
 * Sends the session's first message, and those that follow.  False when the
 * connection has failed.
 */
extern bool cc_peer_hello(CcPeer *p, const char *data, Size len);
extern bool cc_peer_send(CcPeer *p, const char *data, Size len);

/*
 * Whether more may be sent: the socket has taken all, and not too many
 * replies are due.  Waits for the socket where it has not.
 */
extern bool cc_peer_may_send(CcPeer *p);

#endif							/* CC_PEER_H */
