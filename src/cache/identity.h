/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  The file that says who this node is.
 *
 * A copy of a data directory must not become a second node of the same name.
 * So the file names the anchor, a file that is made once and never replaced,
 * by its inode and the time of its birth: a copy has another anchor, or none.
 * The identity itself is replaced by a rename whenever it changes, and so has
 * no lasting inode of its own.
 *
 *	offset	bytes
 *		 0	  4		magic "CCI1"
 *		 4	  4		version: 1
 *		 8	 16		node id
 *		24	  8		boot
 *		32	  8		incarnation
 *		40	  8		1: the last stop was clean
 *		48	  8		HLC reserved (PROTOCOL.md, clock bound)
 *		56	  8		PostgreSQL's system identifier
 *		64	  8		inode of the anchor
 *		72	  8		birth of the anchor
 *		80	  8		next position of the change log (clean stop)
 *		88	  4		CRC-32C of all that
 *
 * Locking: only the writer calls these.
 *
 * May include: base/, state.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_IDENTITY_H
#define CC_IDENTITY_H

#include "cache/state.h"

#define CC_IDENTITY_FILE	"pgsql_tmp.identity"
#define CC_IDENTITY_TEMP	"pgsql_tmp.identity.new"
#define CC_ANCHOR_FILE		"pgsql_tmp.anchor"

typedef struct CcIdentity
{
	CcNodeId	id;
	uint64		boot;
	uint64		incarnation;
	bool		clean;
	uint64		bound;
	uint64		system_id;
	uint64		inode;
	uint64		born;
	uint64		next;
} CcIdentity;

typedef enum CcIdentityFound
{
	CC_IDENTITY_NONE,			/* no file */
	CC_IDENTITY_BAD,			/* it can't be read, or makes no sense */
	CC_IDENTITY_COPY,			/* of another data directory */
	CC_IDENTITY_OURS
} CcIdentityFound;

/* Reads the file, and looks whether it belongs here. */
extern CcIdentityFound cc_identity_read(CcIdentity *id, uint64 system_id);

/* Makes the anchor where it is missing, and fills its fields. */
extern bool cc_identity_anchor(CcIdentity *id);

/* Writes the file, durably. */
extern bool cc_identity_write(const CcIdentity *id);

/* A new id; everything else is zero but the anchor and the system's. */
extern void cc_identity_invent(CcIdentity *id);

/*
 * PROTOCOL.md, new origin and ahead of myself: the number that follows old,
 * not to be had by a lost life.
 */
extern uint64 cc_identity_next(uint64 old);

#endif							/* CC_IDENTITY_H */
