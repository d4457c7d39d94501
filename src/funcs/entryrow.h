/*-------------------------------------------------------------------------
 *
 * entryrow.h
 *	  Entries as rows of the composite type cache_entry.
 *
 * Locking: none held by the caller; members->lock for the names of nodes.  May
 * raise errors.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_ENTRYROW_H
#define CC_ENTRYROW_H

#include "postgres.h"

#include "cache/store.h"

/* Columns of cache_entry */
enum
{
	CC_ROW_NAMESPACE, CC_ROW_KEY, CC_ROW_VALUE, CC_ROW_VALUE_TYPE,
	CC_ROW_EXPIRES_AT, CC_ROW_VERSION, CC_ROW_ORIGIN, CC_ROW_WRITTEN_AT,
	CC_ROW_COLUMNS
};

/* Words of the types that a value can have, by CcType; NULL for CC_STUB. */
extern const char *const cc_entryrow_types[CC_LAST_TYPE + 1];

/*
 * The name of the node that an origin is of, or its id in hex where it has
 * none; palloc'd.
 */
extern char *cc_entryrow_node(uint16 origin);

/* A value as text, whatever its type; false when it cannot be shown. */
extern bool cc_entryrow_value(const CcEntry *e, Datum *value);

/*
 * The columns of an entry whose writer has this name; false when its key or
 * its value cannot be shown, as they are not text in this database.
 */
extern bool cc_entryrow_form(const CcEntry *e, const char *origin,
							 Datum *values, bool *nulls);

#endif							/* CC_ENTRYROW_H */
