/*-------------------------------------------------------------------------
 *
 * proto.h
 *	  What nodes say to each other.
 *
 * A node calls cachecluster_hello(bytea) once a session and then, in a
 * pipeline, cachecluster_apply(bytea) for each batch.  Both return bytea.
 * Every message begins with
 *
 *	u32 magic "CCP1", u16 version, u8 type, u8 flags,
 *	u8 node[16], u64 boot, u64 session, u64 hlc
 *
 * followed by records (cache/record.h) and, of its own:
 *
 *	'I'  who we are (hello and its reply):
 *			u8 cluster[16], u64 incarnation, u64 joined, u64 oldest,
 *			u8 len, name, u8 len, address
 *	'D'  digest of a range of hashes (full comparison):
 *			u64 low, u64 high (both within), u32 flen, slice of the floor,
 *			u32 n, n times (u64 hash[2], u64 hlc, u16 writer, u64 at,
 *			u16 at_node, u8 has_value)
 *			V of the comparison stands before it as 'V'.  Of a key with siblings
 *			there is one for each original and one for the resolution
 *	'W'  like a 'V': what the sender had seen before it read any of the entries
 *			that follow in this batch.  Where a namespace keeps conflicts
 *	'K'  third hand: u8 node[16], u64 boot, u64 members' hash,
 *			u16 n, n origins it is clean of, u16 n, n (origin, seq)
 *	'C'  closed origins that we are clean of: u64 members' hash, u16 n, n
 *			origins
 *	'J'  link states (reach.h): u8 n, n times u8 node[16]; u8 m, m times
 *			(u8 which of the n, u64 boot, u64 number, u8 bits (ready, waits),
 *			u32 whom of the n it reaches, as bits)
 *	'X'  a reply's status: u8 CcStatus, u64 boot known of the caller
 *
 * Order within a batch is order of processing: entries, digest, G, F, raise.
 * Versions: 1 is the first; 2 has siblings and 'W'.  A node of another version
 * is refused.
 *
 * Locking: none.
 *
 * May include: base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PROTO_H
#define CC_PROTO_H

#include "cache/record.h"

#define CC_PROTO_MAGIC		0x31504343	/* "CCP1" */
#define CC_PROTO_VERSION	2
#define CC_MSG_MAX			(256 * 1024 * 1024) /* refused when longer */

/*
 * Boots and incarnations are seconds since 1970, or a little more; what is
 * beyond this is refused, so that there is always room above a known one.
 */
#define CC_MAX_BOOT			(UINT64CONST(1) << 60)

typedef enum CcMsgType
{
	CC_MSG_HELLO = 'h',
	CC_MSG_HELLO_REPLY = 'H',
	CC_MSG_BATCH = 'b',
	CC_MSG_ACK = 'a'
} CcMsgType;

/* Flags of a hello, hello reply or batch */
#define CC_MSG_F_SEED		0x01	/* hello: you are a seed of mine */
#define CC_MSG_F_WANT_FULL	0x02	/* reply: compare in full with me */
#define CC_MSG_F_DATA		0x04	/* batch: entries, a digest or a raise */
#define CC_MSG_F_FULL		0x08	/* batch: part of a full comparison */
#define CC_MSG_F_FULL_BEGIN 0x10	/* batch: its first */
#define CC_MSG_F_FULL_END	0x20	/* batch: its last */
#define CC_MSG_F_HEARTBEAT	0x40	/* batch, ack: VV, third hand, clean */

typedef enum CcStatus
{
	CC_OK = 0,
	CC_REFUSED_BAD,				/* malformed */
	CC_REFUSED_VERSION,			/* another protocol version */
	CC_REFUSED_STRANGER,		/* neither side has the other as seed or member */
	CC_REFUSED_REMOVED,			/* you were removed: drop your cache, stay alone */
	CC_REFUSED_FENCED,			/* an older boot or session, or its rest */
	CC_REFUSED_BUSY,			/* a full comparison comes in from another */
	CC_REFUSED_SKEW,			/* your clock is too far ahead of mine */
	CC_REFUSED_NOT_READY,		/* loading, or closed */
	CC_REFUSED_SELF,			/* you are talking to yourself */
	CC_REFUSED_TWIN,			/* another live node has your id */
	CC_REFUSED_FULL				/* no room for your origins or for you */
} CcStatus;

/* One line for the log and the views. */
extern const char *cc_status_text(CcStatus status);

typedef struct CcMsgHead
{
	uint8		type;
	uint8		flags;
	CcNodeId	node;
	uint64		boot;
	uint64		session;
	uint64		hlc;
} CcMsgHead;

#define CC_MSG_HEAD_LEN		(4 + 2 + 1 + 1 + CC_ID_LEN + 3 * 8)

/* Begins a message in enc, from us, with our HLC as it is now. */
extern void cc_proto_begin(CcEncoder *enc, CcMsgType type, uint8 flags,
						   uint64 session);

/*
 * Replaces the flags and refreshes the HLC, which must be that of the end:
 * no entry of the message is above it.
 */
extern void cc_proto_finish(CcEncoder *enc, uint8 flags);

/* Reads the head; CC_OK, CC_REFUSED_BAD or CC_REFUSED_VERSION. */
extern CcStatus cc_proto_head(CcDecoder *dec, CcMsgHead *head);

/* 'I' */
typedef struct CcIntro
{
	CcNodeId	cluster;
	uint64		incarnation;
	uint64		joined;
	uint64		oldest;			/* join time of its group's oldest member */
	char		name[CC_NAME_LEN];
	char		address[256];
} CcIntro;

extern void cc_proto_put_intro(CcEncoder *enc);
extern bool cc_proto_get_intro(CcDecoder *dec, CcIntro *intro);

/*
 * All member entries, removals, split records and the cluster id, as 'E'
 * records.
 */
extern void cc_proto_put_members(CcEncoder *enc);

/*
 * Our VV, as what others may count on; waits until all that has a position is
 * published.  No lock may be held.
 */
extern void cc_proto_put_claim(CcEncoder *enc);

/*
 * That, 'C', link states, and what is known of others: the body of a heartbeat.
 */
extern void cc_proto_put_heartbeat(CcEncoder *enc);

/*
 * 'C' and 'K'.  What is said of third nodes is learnt if we believe the sender;
 * otherwise the record is only checked and stepped over.
 */
extern bool cc_proto_take_clean(CcDecoder *dec, uint16 *clean, int max,
								int *nclean, uint64 *hash);
extern bool cc_proto_take_third_hand(CcDecoder *dec, bool believe);

#endif							/* CC_PROTO_H */
