/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Values of entries as SQL sees them, and what it is told when it can't.
 *
 * Locking: none; works on copies.  May raise errors.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_VALUE_H
#define CC_VALUE_H

#include "funcs/args.h"

/*
 * A value that is not NULL as text: jsonb as its text, a counter as number.
 * Error 22023 for bytea, 22021 for what is not text in this database.
 */
extern text *cc_value_text(const CcKey *k, const CcEntry *e);

/* The number of a counter; error XX001 when it is malformed. */
extern int64 cc_value_counter(const CcKey *k, const CcEntry *e);

/* Error 22021 when a text is none in the encoding of this database. */
extern void cc_value_check_encoding(const CcKey *k, const CcEntry *e);

/* Error 22023: the value is of type `is`, and read with `use`. */
extern void cc_value_raise_type(const CcKey *k, const char *is,
								const char *use);

#endif							/* CC_VALUE_H */
