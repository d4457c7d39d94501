/*-------------------------------------------------------------------------
 *
 * entries.h
 *	  The system entries that say who belongs to the group.
 *
 * PROTOCOL.md, members are entries.  All three kinds live in the system
 * namespace, are of type bytea and replicate like any entry:
 *
 *	key					value
 *	'm' u8 node[16]		u64 incarnation, u64 joined, u8 len, name,
 *						u8 len, address
 *	'r' u8 node[16]		no bytes: the node was removed, for good
 *	'c'					u8 cluster[16], u64 oldest: join time of the oldest
 *						member of the group that made the id
 *
 * A value that is malformed is treated like one that is not there.
 *
 * Locking: as cache.h; no lock may be held by the caller.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_ENTRIES_H
#define CC_ENTRIES_H

#include "cache/cache.h"
#include "cluster/membership.h"

#define CC_ID_KEY_LEN	(1 + CC_ID_LEN)

/* The value of an 'm', taken apart. */
typedef struct CcMemberEntry
{
	uint64		incarnation;
	uint64		joined;			/* HLC */
	char		name[CC_NAME_LEN];
	char		address[CC_ADDRESS_LEN];
} CcMemberEntry;

/* The key of an 'm' or 'r'. */
extern void cc_entries_key(char key[CC_ID_KEY_LEN], char kind,
						   const CcNodeId *id);

/*
 * Copies a text that will stand in log lines and views: cut to size - 1
 * bytes, between characters of UTF-8, without control characters.
 */
extern void cc_entries_text(char *to, Size size, const char *from, Size len);

/* Builds a value in b, in place of what is there; grows it. */
extern void cc_entries_build_member(CcBuf *b, const CcMemberEntry *m);
extern void cc_entries_build_cluster(CcBuf *b, const CcNodeId *id,
									 uint64 oldest);

/* Takes a value apart; false when it is malformed. */
extern bool cc_entries_parse_member(const CcEntry *e, CcMemberEntry *m);
extern bool cc_entries_parse_cluster(const CcEntry *e, CcNodeId *id,
									 uint64 *oldest);

/*
 * Reads an entry into buf, in place of what is there.  False when there is
 * none or it is a stub.
 */
extern bool cc_entries_read(const char *key, uint16 keylen, CcEntry *e,
							CcBuf *buf);

/* Writes one; false when nothing is stored now (loading, closed). */
extern bool cc_entries_write(const char *key, uint16 keylen,
							 const char *value, Size len);

#endif							/* CC_ENTRIES_H */
