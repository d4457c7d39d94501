/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  LIKE patterns over keys: PostgreSQL's own, with two kinds that need no
 *	  matcher.
 *
 * A pattern without a wildcard is one key, and one whose only wildcards are
 * '%' at its end is a prefix; both are found by comparing bytes, also when
 * they have escapes.  What else there is goes through PostgreSQL's matcher
 * once its literal beginning fits.
 *
 * Locking: none; works on memory of the process.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PATTERN_H
#define CC_PATTERN_H

#include "postgres.h"

#include "cache/store.h"

typedef enum CcPatternKind
{
	CC_PATTERN_NONE,			/* no key can match */
	CC_PATTERN_EXACT,			/* the literal itself */
	CC_PATTERN_PREFIX,			/* the literal and what follows */
	CC_PATTERN_LIKE				/* begins with the literal; ask the matcher */
} CcPatternKind;

typedef struct CcPattern
{
	CcPatternKind kind;
	char		literal[CC_MAX_KEY];	/* without escapes */
	Size		len;
	text	   *whole;			/* the pattern, for the matcher */
	text	   *key;			/* room for the key that it is shown */
} CcPattern;

/*
 * Reads a pattern; what is remembered of it is allocated in the current
 * context.  Error 22025 for an escape character at its end, whatever keys
 * there are.
 */
extern void cc_pattern_parse(const text *pattern, CcPattern *p);

/*
 * Whether a key matches, and is text in the encoding of this database: others
 * (a peer's database may have another) match nothing.
 */
extern bool cc_pattern_matches(CcPattern *p, const char *key, Size len);

#endif							/* CC_PATTERN_H */
