/*-------------------------------------------------------------------------
 *
 * counter.h
 *	  The value of an entry of type counter (PROTOCOL.md, counters join).
 *
 *	u64 base HLC, u8 base node[16], i64 start, u16 n, and n times
 *	(u8 node[16], u64 incarnation, u64 begun, u64 step, i64 sum)
 *
 * base is the version of what the first increment replaced, start the number
 * that stood there (or 0).  A part is what one origin added: begun is an HLC
 * above all that its node had seen when it began to, and not above the version
 * of its first increment; step counts its increments.  The counter's number is
 * start plus all sums.
 *
 * A part belongs to every base below its begun.  Where nothing is left of a
 * key each node has a base of its own, from its floor, which says only that
 * nothing older than that counts.  What a node forgot was stable: whoever
 * began without having seen it has been heard (PROTOCOL.md, causal stability),
 * and who had seen it began above it.  So parts that began apart add up,
 * whatever was forgotten meanwhile.
 *
 * Locking: works on copies.
 *
 * May include: base/, state.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_COUNTER_H
#define CC_COUNTER_H

#include "base/codec.h"
#include "cache/state.h"

#define CC_COUNTER_HEAD		(8 + CC_ID_LEN + 8 + 2)
#define CC_COUNTER_PART		(CC_ID_LEN + 8 + 8 + 8 + 8)

/* The number that the value stands for; false when it is malformed. */
extern bool cc_counter_value(const char *value, Size len, int64 *number);

/*
 * Begins a counter in out, which has room for CC_COUNTER_HEAD more bytes.
 */
extern void cc_counter_begin(CcBuf *out, uint64 base_hlc,
							 const CcNodeId *base_node, int64 start);

typedef enum CcCounterResult
{
	CC_COUNTER_OK,
	CC_COUNTER_BAD,				/* malformed */
	CC_COUNTER_OVERFLOW			/* beyond bigint; nothing was changed */
} CcCounterResult;

/*
 * Adds to the part of the origin in a counter that fills value->data; a new
 * part takes CC_COUNTER_PART bytes of room.  hlc is the clock before the
 * increment's version is drawn.
 */
extern CcCounterResult cc_counter_add(CcBuf *value, const CcNodeId *node,
									  uint64 incarnation, uint64 hlc,
									  int64 by, int64 *number);

/*
 * PROTOCOL.md, counters join (a PN-counter; Shapiro et al., "A comprehensive
 * study of convergent and commutative replicated data types", 2011): puts the
 * join of a and b into out, which has room for both: the newer base, and of
 * the parts that began above it origin by origin the later one.  False when
 * one is malformed.
 */
extern bool cc_counter_join(CcBuf *out, const char *a, Size alen,
							const char *b, Size blen);

/* Whether two counters are the same, in whatever order their parts stand. */
extern bool cc_counter_equal(const char *a, Size alen, const char *b, Size blen);

/* A decimal integer, with blanks around it as PostgreSQL takes them. */
extern bool cc_counter_parse(const char *text, Size len, int64 *number);

#endif							/* CC_COUNTER_H */
