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
 * An empty buffer for one read; what the last read left there is gone.  It
 * stays allocated for the next call, up to some size.
 */
extern CcBuf *cc_value_buffer(void);

/*
 * A value that is not NULL as text: jsonb as its text, a counter as number.
 * Error 22023 for bytea, 22021 for what is not text in this database.
 */
extern text *cc_value_text(const CcKey *k, const CcEntry *e);

/*
 * Whether a value is NULL, or cc_value_text raises no error.  Allocates and
 * raises nothing.
 */
extern bool cc_value_is_text(const CcEntry *e);

/* The number of a counter; error XX001 when it is malformed. */
extern int64 cc_value_counter(const CcKey *k, const CcEntry *e);

/* Error 22021 when a text is none in the encoding of this database. */
extern void cc_value_check_encoding(const CcKey *k, const CcEntry *e);

/* Error 22023: the value is of type `is`, and read with `use`. */
extern void cc_value_raise_type(const CcKey *k, const char *is,
								const char *use);

#endif							/* CC_VALUE_H */
