/*-------------------------------------------------------------------------
 *
 * sim_port.h
 *	  What base/port.h takes from PostgreSQL's headers, for the simulator.
 *
 * The names are PostgreSQL's, the meaning is that of one thread: fibers
 * change only inside the functions of port.h that may wait, and in
 * cc_yield(), so atomics are plain words.
 *
 * Locking: a CcLock of zeroes is free.
 *
 * May include: headers of C.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIM_PORT_H
#define SIM_PORT_H

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int8_t int8;
typedef int16_t int16;
typedef int32_t int32;
typedef int64_t int64;
typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef size_t Size;

#define PG_INT8_MIN			INT8_MIN
#define PG_INT8_MAX			INT8_MAX
#define PG_UINT8_MAX		UINT8_MAX
#define PG_INT16_MIN		INT16_MIN
#define PG_INT16_MAX		INT16_MAX
#define PG_UINT16_MAX		UINT16_MAX
#define PG_INT32_MIN		INT32_MIN
#define PG_INT32_MAX		INT32_MAX
#define PG_UINT32_MAX		UINT32_MAX
#define PG_INT64_MIN		INT64_MIN
#define PG_INT64_MAX		INT64_MAX
#define PG_UINT64_MAX		UINT64_MAX

#define INT64CONST(x)		INT64_C(x)
#define UINT64CONST(x)		UINT64_C(x)
#define INT64_FORMAT		"%" PRId64
#define UINT64_FORMAT		"%" PRIu64
#define INT64_MODIFIER		"l"

#define FLEXIBLE_ARRAY_MEMBER	/* empty */
#define pg_attribute_printf(f, a)	__attribute__((format(printf, f, a)))
#define pg_attribute_unused()		__attribute__((unused))
#define pg_attribute_noreturn()		__attribute__((noreturn))
#define pg_attribute_always_inline	__attribute__((always_inline)) inline
#define pg_noinline					__attribute__((noinline))
#define pg_nodiscard				__attribute__((warn_unused_result))
#define pg_unreachable()			__builtin_unreachable()
#define PG_USED_FOR_ASSERTS_ONLY	pg_attribute_unused()
#define PGDLLIMPORT
#define PGDLLEXPORT
#define likely(x)			__builtin_expect((x) != 0, 1)
#define unlikely(x)			__builtin_expect((x) != 0, 0)

#define lengthof(array)		(sizeof(array) / sizeof((array)[0]))
#define Max(x, y)			((x) > (y) ? (x) : (y))
#define Min(x, y)			((x) < (y) ? (x) : (y))
#define Abs(x)				((x) >= 0 ? (x) : -(x))
#define MemSet(p, v, n)		memset(p, v, n)
#define TYPEALIGN(a, n) \
	(((uintptr_t) (n) + ((a) - 1)) & ~((uintptr_t) ((a) - 1)))
#define TYPEALIGN_DOWN(a, n)	((uintptr_t) (n) & ~((uintptr_t) ((a) - 1)))
#define MAXIMUM_ALIGNOF		8
#define PG_CACHE_LINE_SIZE	128
#define MAXALIGN(n)			TYPEALIGN(MAXIMUM_ALIGNOF, n)
#define CACHELINEALIGN(n)	TYPEALIGN(PG_CACHE_LINE_SIZE, n)

/* Asserts are always on: a failure is a violation like any other. */
extern void sim_assert_failed(const char *condition, const char *file, int line)
			pg_attribute_noreturn();

#define USE_ASSERT_CHECKING 1
#define Assert(c) \
	((void) (likely(c) || (sim_assert_failed(#c, __FILE__, __LINE__), 0)))
#define AssertMacro(c)		Assert(c)
#define StaticAssertDecl(c, msg)	_Static_assert(c, msg)
#define StaticAssertStmt(c, msg)	do { _Static_assert(c, msg); } while (0)
#define StaticAssertExpr(c, msg)	((void) ({ StaticAssertStmt(c, msg); true; }))

static inline Size
sim_strlcpy(char *to, const char *from, Size size)
{
	Size		len = strlen(from);

	if (size > 0)
	{
		Size		n = Min(len, size - 1);

		memcpy(to, from, n);
		to[n] = '\0';
	}
	return len;
}

#define strlcpy(to, from, size) sim_strlcpy(to, from, size)

/* Barriers order what another processor sees; here there is none. */
#define pg_compiler_barrier()	__asm__ __volatile__("" ::: "memory")
#define pg_memory_barrier()		pg_compiler_barrier()
#define pg_read_barrier()		pg_compiler_barrier()
#define pg_write_barrier()		pg_compiler_barrier()

typedef struct pg_atomic_uint32
{
	uint32		value;
} pg_atomic_uint32;

typedef struct pg_atomic_uint64
{
	uint64		value;
} pg_atomic_uint64;

#define SIM_ATOMIC(type, bits) \
static inline void \
pg_atomic_init_u##bits(pg_atomic_##type *a, type v) \
{ \
	a->value = v; \
} \
static inline type \
pg_atomic_read_u##bits(const pg_atomic_##type *a) \
{ \
	return a->value; \
} \
static inline void \
pg_atomic_write_u##bits(pg_atomic_##type *a, type v) \
{ \
	a->value = v; \
} \
static inline type \
pg_atomic_exchange_u##bits(pg_atomic_##type *a, type v) \
{ \
	type		old = a->value; \
\
	a->value = v; \
	return old; \
} \
static inline bool \
pg_atomic_compare_exchange_u##bits(pg_atomic_##type *a, type *expected, \
								   type v) \
{ \
	if (a->value == *expected) \
	{ \
		a->value = v; \
		return true; \
	} \
	*expected = a->value; \
	return false; \
} \
static inline type \
pg_atomic_fetch_add_u##bits(pg_atomic_##type *a, type v) \
{ \
	type		old = a->value; \
\
	a->value += v; \
	return old; \
} \
static inline type \
pg_atomic_fetch_sub_u##bits(pg_atomic_##type *a, type v) \
{ \
	type		old = a->value; \
\
	a->value -= v; \
	return old; \
} \
static inline type \
pg_atomic_fetch_or_u##bits(pg_atomic_##type *a, type v) \
{ \
	type		old = a->value; \
\
	a->value |= v; \
	return old; \
} \
static inline type \
pg_atomic_fetch_and_u##bits(pg_atomic_##type *a, type v) \
{ \
	type		old = a->value; \
\
	a->value &= v; \
	return old; \
} \
static inline type \
pg_atomic_add_fetch_u##bits(pg_atomic_##type *a, type v) \
{ \
	return a->value += v; \
} \
static inline type \
pg_atomic_sub_fetch_u##bits(pg_atomic_##type *a, type v) \
{ \
	return a->value -= v; \
}

SIM_ATOMIC(uint32, 32)
SIM_ATOMIC(uint64, 64)

#define pg_atomic_unlocked_write_u32(a, v)	pg_atomic_write_u32(a, v)
#define pg_atomic_unlocked_write_u64(a, v)	pg_atomic_write_u64(a, v)

/* CRC-32C */
typedef uint32 pg_crc32c;

extern pg_crc32c sim_crc32c(pg_crc32c crc, const void *data, Size len);

#define INIT_CRC32C(crc)	((crc) = 0xFFFFFFFF)
#define COMP_CRC32C(crc, data, len) \
	((crc) = sim_crc32c((crc), (data), (len)))
#define FIN_CRC32C(crc)		((crc) ^= 0xFFFFFFFF)
#define EQ_CRC32C(a, b)		((a) == (b))

/* Who holds what stands in the fiber; see fiber.c. */
typedef struct CcLock
{
	uint32		shared;			/* number of holders */
	bool		exclusive;
	bool		wanted;			/* somebody waits */
} CcLock;

/*
 * The rules of PROTOCOL.md that can be switched off, by the name with which
 * the code asks for them: cc_rule(relay).
 */
#define SIM_RULES(X) \
	X(pass) \
	X(scan_start) \
	X(relay) \
	X(expired_on_arrival) \
	X(forgotten_first) \
	X(new_origin) \
	X(third_hand) \
	X(horizon_first) \
	X(new_boot) \
	X(journal_order) \
	X(full_comparison) \
	X(floor) \
	X(take_over_g) \
	X(session_rest) \
	X(orphans) \
	X(unstable_expiry) \
	X(vvj_stable) \
	X(clock_bound) \
	X(clock_bound_seen) \
	X(digest_older) \
	X(digest_stub) \
	X(one_at_a_time) \
	X(causal_stability) \
	X(floor_version) \
	X(retire_removed) \
	X(busy_ends) \
	X(counters_join) \
	X(counter_begun) \
	X(join_version) \
	X(left_out) \
	X(owed_comparison) \
	X(touch) \
	X(exact_seen) \
	X(context) \
	X(resolution) \
	X(unchanged) \
	X(grace) \
	X(ask) \
	X(path_records) \
	X(races)

typedef enum SimRule
{
#define SIM_RULE(name) SIM_RULE_##name,
	SIM_RULES(SIM_RULE)
#undef SIM_RULE
	SIM_NRULES
} SimRule;

extern bool sim_rules[SIM_NRULES];

#define cc_rule(name)		(sim_rules[SIM_RULE_##name])

/* Another fiber may run here. */
extern void sim_yield(void);

#define cc_yield()			sim_yield()

/*
 * What the checkers are told (check.c).  They never give way to another
 * fiber, so they can be called under any lock.
 */
struct CcEntry;

extern void sim_check_raise(int origin, uint64 from, uint64 to, bool full);
extern void sim_check_take(const struct CcEntry *e);
extern void sim_check_write(const struct CcEntry *e);
extern void sim_check_evict(const struct CcEntry *e);
extern void sim_check_race(const struct CcEntry *e);

/* VV of an origin goes up; full: at the end of a full comparison */
#define cc_check_raise(origin, from, to, full) \
	sim_check_raise(origin, from, to, full)

/* An entry of a peer or of our file is in the store now. */
#define cc_check_take(entry)	sim_check_take(entry)

/* A write of ours, or an entry with a new dot of ours, is in the store now. */
#define cc_check_write(entry)	sim_check_write(entry)

/* A value goes before its time: memory, the floor, a digest. */
#define cc_check_evict(entry)	sim_check_evict(entry)

/* An original has lost a race, or is one of too many: it is dropped. */
#define cc_check_race(entry)	sim_check_race(entry)

#endif							/* SIM_PORT_H */
