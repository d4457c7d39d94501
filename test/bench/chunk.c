/*-------------------------------------------------------------------------
 *
 * chunk.c
 *	  What a chunk size costs and gives: entries that a megabyte holds, puts
 *	  and hits a second of processor time, for values of several sizes.
 *
 * One process, the real C of the store and of the write path, linked without
 * PostgreSQL.  Built once for each size by chunk.pl with -DCC_CHUNK_SIZE=n;
 * prints one line of numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "base/port.h"

#include <time.h>

#include "cache/apart.h"
#include "cache/cache.h"
#include "cache/evict.h"
#include "cache/expire.h"

#define KEYLEN			17
#define STORE_MB		256
#define LOG_SLOTS		65536
#define SET_MB			32		/* of key and value that is worked on */
#define ROUND_MS		400

static char value[1024 * 1024];

/* What port.h asks for.  One process: a lock is never waited for. */

void
cc_lock_exclusive(CcLock *lock)
{
	(void) __atomic_exchange_n(&lock->exclusive, true, __ATOMIC_SEQ_CST);
}

void
cc_lock_shared(CcLock *lock)
{
	(void) __atomic_fetch_add(&lock->shared, 1, __ATOMIC_SEQ_CST);
}

void
cc_unlock(CcLock *lock)
{
	if (lock->exclusive)
		(void) __atomic_exchange_n(&lock->exclusive, false, __ATOMIC_SEQ_CST);
	else
		(void) __atomic_fetch_sub(&lock->shared, 1, __ATOMIC_SEQ_CST);
}

bool
cc_lock_held(CcLock *lock)
{
	return lock->exclusive || lock->shared > 0;
}

static int64
now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64
cc_clock_ms(void)
{
	return now_ms(CLOCK_REALTIME);
}

int64
cc_monotonic_ms(void)
{
	return now_ms(CLOCK_MONOTONIC);
}

static int64
cpu_ms(void)
{
	return now_ms(CLOCK_PROCESS_CPUTIME_ID);
}

void *
cc_alloc(Size size)
{
	return cc_realloc(NULL, size);
}

void *
cc_realloc(void *p, Size size)
{
	p = realloc(p, size);
	if (p == NULL)
		abort();
	return p;
}

void
cc_free(void *p)
{
	free(p);
}

void
cc_check_interrupts(void)
{
}

void
cc_pause(void)
{
}

void
cc_wake_writer(void)
{
}

void
cc_wake_replicator(void)
{
}

void
cc_event(int kind, const char *node, const char *fmt,...)
{
	(void) kind;
	(void) node;
	(void) fmt;
}

char *
cc_event_text(char *out, Size size, const char *text)
{
	(void) text;
	if (size > 0)
		out[0] = '\0';
	return out;
}

int64
cc_clock_coarse_ms(void)
{
	return cc_clock_ms();
}

bool
cc_wait_given_up(void)
{
	return false;
}

void
cc_wait_journal(void)
{
}

void
cc_log(CcLogLevel level, const char *fmt, ...)
{
	(void) level;
	(void) fmt;
}

/* The files are never marked: all that is written is stable here. */

CcFile *
cc_file_create(const char *name)
{
	(void) name;
	abort();
}

bool
cc_file_sync(CcFile *f)
{
	(void) f;
	abort();
}

void
cc_file_close(CcFile *f)
{
	(void) f;
	abort();
}

pg_crc32c
sim_crc32c(pg_crc32c crc, const void *data, Size len)
{
	(void) data;
	(void) len;
	return crc;
}

/* An empty cache, as shmem.c makes it, whose own writes are all stable. */
static void
fresh_cache(void)
{
	static char *mem[5];
	CcNodeId	id = {{1}};
	Size		bytes = (Size) STORE_MB * 1024 * 1024;

	for (int i = 0; i < 5; i++)
		free(mem[i]);
	cc_state_init(mem[0] = calloc(1, cc_state_size(64)), 64);
	cc.state->persist = false;
	mem[1] = calloc(1, cc_floor_size(CC_FLOOR_GENERATIONS, CC_FLOOR_BITS));
	cc_floor_init(mem[1], CC_FLOOR_GENERATIONS, CC_FLOOR_BITS);
	cc_changelog_init(mem[2] = calloc(1, cc_changelog_size(LOG_SLOTS)),
					  LOG_SLOTS);
	cc_apart_init(mem[4] = calloc(1, cc_apart_size(1)), 1);
	mem[3] = aligned_alloc(4096, bytes);
	memset(mem[3], 0, bytes);
	cc_store_init(mem[3], bytes, cc_store_partitions_for(bytes));
	if (!cc_state_set_self(&id, 1))
		abort();
	pg_atomic_write_u64(&cc_state_array(pg_atomic_uint64, stable)[cc_state_self()],
						PG_UINT64_MAX);
	cc_state_set_phase(CC_READY);
}

static uint64
next_random(uint64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
put(uint16 ns, uint64 i, uint32 vallen)
{
	char		key[KEYLEN + 1];
	CcChange	c = {.op = CC_OP_PUT, .type = CC_TEXT};
	CcOutcome	o;

	snprintf(key, sizeof(key), "key:%013" PRIu64, i);
	c.ns = ns;
	c.key = key;
	c.keylen = KEYLEN;
	c.value = value;
	c.vallen = vallen;
	c.ttl_ms = 24 * 3600 * 1000;
	if (cc_cache_change(&c, &o) != CC_DONE)
		abort();
}

static void
get(uint16 ns, uint64 i, CcBuf *buf)
{
	char		key[KEYLEN + 1];
	CcEntry		e;

	snprintf(key, sizeof(key), "key:%013" PRIu64, i);
	buf->len = 0;
	if (!cc_cache_get(ns, key, KEYLEN, &e, buf))
		abort();
}

static uint64
evictions(void)
{
	uint64		n = 0;

	for (uint32 i = 0; i < cc.store->npartitions; i++)
		n += cc_store_partition(i)->evictions;
	return n;
}

/*
 * One value size: entries a MB of the segment, k puts/s, k hits/s.  spread:
 * sizes are drawn evenly from half to one and a half of it.
 */
static void
measure(uint32 vallen, bool spread)
{
	uint16		ns;
	uint64		seed = UINT64CONST(88172645463325252);
	uint64		n = 0;
	uint64		set = (Size) SET_MB * 1024 * 1024 / (KEYLEN + vallen);
	uint64		done;
	int64		began;
	double		puts;
	CcBuf		buf;

#define LENGTH() (spread ? vallen / 2 + (uint32) (next_random(&seed) % vallen) : vallen)

	/* how many fit before something has to go */
	fresh_cache();
	ns = cc_state_namespace("postgres", "default");
	while (evictions() == 0)
		put(ns, n++, LENGTH());
	printf(" %7.0f", (double) (n - 1) / STORE_MB);

	fresh_cache();
	ns = cc_state_namespace("postgres", "default");
	for (n = 0; n < set; n++)
		put(ns, n, LENGTH());

	began = cpu_ms();
	for (done = 0; done % 256 != 0 || cpu_ms() - began < ROUND_MS; done++)
		put(ns, next_random(&seed) % set, LENGTH());
	puts = (double) done / (cpu_ms() - began);

	cc_buf_init(&buf);
	began = cpu_ms();
	for (done = 0; done % 256 != 0 || cpu_ms() - began < ROUND_MS; done++)
		get(ns, next_random(&seed) % set, &buf);
	printf(" %7.0f %7.0f", puts, (double) done / (cpu_ms() - began));
	cc_buf_free(&buf);
}

int
main(void)
{
	printf("%d", CC_CHUNK_SIZE);
	measure(100, false);
	measure(300, true);
	measure(1000, true);
	measure(10000, true);
	printf("\n");
	return 0;
}
