/*-------------------------------------------------------------------------
 *
 * port.c
 *	  The rest of base/port.h: clock, memory, log, chance; and how a run
 *	  ends with a violation.
 *
 * Memory is that of the run: blocks of a few sizes from one arena, which is
 * taken back as a whole when the run is over, whatever its processes left.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

#include <setjmp.h>
#include <sys/mman.h>

/* What the clocks show when a run begins */
#define WALL_MS			INT64CONST(1700000000000)
#define MONOTONIC_MS	1000000

#define ARENA_SIZE		((Size) 4 << 30)	/* of addresses */
#define NCLASSES		48

Sim			sim;
bool		sim_rules[SIM_NRULES];

static char *arena;
static Size arena_used;

typedef struct Block
{
	struct Block *next;			/* while it is free */
	uint64		class;
} Block;

static Block *free_blocks[NCLASSES];
static jmp_buf *escape;

/* ---- clock ---- */

int64
cc_clock_ms(void)
{
	return WALL_MS + sim.now / 1000 + (sim.here != NULL ? sim.here->offset_ms : 0);
}

void
cc_check_interrupts(void)
{
	cc_yield();
}

int64
cc_monotonic_us(void)
{
	return (int64) MONOTONIC_MS * 1000 + sim.now;
}

int64
cc_monotonic_ms(void)
{
	return MONOTONIC_MS + sim.now / 1000;
}

/* ---- memory ---- */

static void *
take_arena(Size size)
{
	void	   *p;

	if (arena == NULL)
	{
		arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arena == MAP_FAILED)
		{
			perror("arena");
			exit(2);
		}
	}
	size = TYPEALIGN(16, size);
	if (arena_used + size > ARENA_SIZE)
		sim_violate("memory", "the processes of a run hold more than %zu bytes",
					(size_t) ARENA_SIZE);
	p = arena + arena_used;
	arena_used += size;
	return p;
}

void *
sim_memory(Size size)
{
	void	   *p = take_arena(size);

	memset(p, 0, size);
	return p;
}

void
sim_memory_reset(void)
{
	arena_used = 0;
	memset(free_blocks, 0, sizeof(free_blocks));
}

/* Classes go up by halves of a power of two. */
static Size
class_size(int class)
{
	Size		size = (Size) 64 << (class / 2);

	return class % 2 == 0 ? size : size + size / 2;
}

static int
class_of(Size size)
{
	int			class = 0;

	while (class_size(class) < size)
		class++;
	return class;
}

/*
 * SIM_GUARD=1: every allocation ends at a page that can't be touched, and
 * what was freed can't be either.  Slow, for one seed.
 */
static bool
guarded(void)
{
	static int	on = -1;

	if (on < 0)
		on = getenv("SIM_GUARD") != NULL;
	return on;
}

static Size
guarded_size(Size size)
{
	return TYPEALIGN(4096, TYPEALIGN(16, size) + sizeof(Block)) + 4096;
}

static void *
guarded_alloc(Size size)
{
	Size		all = guarded_size(size);
	char	   *m = mmap(NULL, all, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	Block	   *b = (Block *) (m + all - 4096 - TYPEALIGN(16, size)) - 1;

	mprotect(m + all - 4096, 4096, PROT_NONE);
	b->class = size;
	memset(b + 1, 0x7f, size);
	return b + 1;
}

void *
cc_alloc(Size size)
{
	int			class;
	Block	   *b;

	sim_check_unlocked("cc_alloc");
	/* what is small is always there */
	if (size >= 4096 && sim.cfg.errors > 0 && sim_may_raise() &&
		sim_draw_unit() < sim.cfg.errors)
		sim_raise();
	if (guarded())
		return guarded_alloc(size);
	class = class_of(Max(size, 1));
	b = free_blocks[class];
	if (b != NULL)
		free_blocks[class] = b->next;
	else
		b = take_arena(sizeof(Block) + class_size(class));
	b->class = class;
	/* nobody may rely on what is in it */
	memset(b + 1, 0x7f, Min(size, 64));
	return b + 1;
}

void
cc_free(void *p)
{
	Block	   *b = (Block *) p - 1;

	if (guarded())
	{
		Size		all = guarded_size(b->class);
		char	   *end = (char *) TYPEALIGN(4096, (char *) p + b->class);

		mprotect(end + 4096 - all, all, PROT_NONE);
		return;
	}
	Assert(b->class < NCLASSES);
	memset(p, 0x6f, 64);
	b->next = free_blocks[b->class];
	free_blocks[b->class] = b;
	b->class = NCLASSES;		/* freed twice is found */
}

void *
cc_realloc(void *p, Size size)
{
	Block	   *b = (Block *) p - 1;
	void	   *new;

	if (guarded())
	{
		new = cc_alloc(size);
		memcpy(new, p, Min(size, b->class));
		cc_free(p);
		return new;
	}
	Assert(b->class < NCLASSES);
	if (size <= class_size(b->class))
		return p;
	new = cc_alloc(size);
	memcpy(new, p, class_size(b->class));
	cc_free(p);
	return new;
}

/* ---- chance ---- */

uint64
sim_mix(uint64 x)
{
	x ^= x >> 30;
	x *= UINT64CONST(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64
sim_hash(SimPurpose purpose, uint64 a, uint64 b, uint64 c)
{
	uint64		h = sim_mix(sim.seed * UINT64CONST(0x9E3779B97F4A7C15) + purpose);

	h = sim_mix(h + a * UINT64CONST(0x9E3779B97F4A7C15));
	h = sim_mix(h + b * UINT64CONST(0xD1B54A32D192ED03));
	return sim_mix(h + c * UINT64CONST(0x8CB92BA72F3D8DD7));
}

double
sim_unit(SimPurpose purpose, uint64 a, uint64 b, uint64 c)
{
	return (sim_hash(purpose, a, b, c) >> 11) * (1.0 / (UINT64CONST(1) << 53));
}

uint32
sim_below(uint32 n, SimPurpose purpose, uint64 a, uint64 b, uint64 c)
{
	return sim_hash(purpose, a, b, c) % n;
}

void
cc_random(void *buf, Size len)
{
	SimNode    *node = sim.here;
	char	   *to = buf;

	while (len > 0)
	{
		uint64		r = sim_hash(SIM_U_RANDOM, node->no, node->nrandom++, 0);
		Size		n = Min(len, sizeof(r));

		memcpy(to, &r, n);
		to += n;
		len -= n;
	}
}

uint32
cc_random_below(uint32 n)
{
	if (n == 0)
		return 0;
	return (uint32) (sim.fiber != NULL ? sim_draw() % n :
					 sim_below(n, SIM_U_RANDOM, sim.here->no,
							   sim.here->nrandom++, 1));
}

/* ---- log ---- */

void
sim_print_trace(const char *fmt, ...)
{
	va_list		args;

	printf("%10.1f %-3s ", sim.now / 1000.0,
		   sim.here != NULL ? sim.here->name : "");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void
cc_log(CcLogLevel level, const char *fmt, ...)
{
	static const char *const prefix[] = {"debug", "log", "warning"};
	char		line[1024];
	va_list		args;

	sim_check_unlocked("cc_log");
	if (strncmp(fmt, "began a new group", 17) == 0)
		sim_counter_group();
	if (!sim.tracing)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	sim_trace("%s: %s", prefix[level], line);
}

/* ---- wake-ups ---- */

void
cc_wake_writer(void)
{
	sim_wake(sim.here->writer);
}

void
cc_wake_replicator(void)
{
	sim_wake(sim.here->replicator);
}

/* Nobody waits for acknowledgements here. */
void
cc_announce_acks(void)
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

/* ---- violations ---- */

bool
sim_escape(void (*fn) (void))
{
	jmp_buf		here;
	jmp_buf    *volatile outer = escape;

	escape = &here;
	if (_setjmp(here) == 0)
		fn();
	escape = outer;
	return !sim.violated;
}

void
sim_violate(const char *kind, const char *fmt, ...)
{
	va_list		args;

	if (!sim.violated)
	{
		sim.violated = true;
		snprintf(sim.kind, sizeof(sim.kind), "%s", kind);
		va_start(args, fmt);
		vsnprintf(sim.message, sizeof(sim.message), fmt, args);
		va_end(args);
		sim_trace("VIOLATION %s: %s", sim.kind, sim.message);
		if (getenv("SIM_ABORT") != NULL)
			abort();
	}
	if (sim.fiber != NULL)
		sim_leave_fiber();
	_longjmp(*escape, 1);
}

void
sim_assert_failed(const char *condition, const char *file, int line)
{
	const char *base = strrchr(file, '/');

	sim_violate("assert", "%s, %s:%d", condition, base ? base + 1 : file, line);
}

/* ---- CRC-32C ---- */

static uint32 crc_table[256];

static void
fill_crc_table(void)
{
	for (uint32 i = 0; i < 256; i++)
	{
		uint32		c = i;

		for (int k = 0; k < 8; k++)
			c = (c >> 1) ^ ((c & 1) ? 0x82F63B78 : 0);
		crc_table[i] = c;
	}
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32
crc_by_instruction(uint32 crc, const unsigned char *p, Size len)
{
	uint64		c = crc;

	for (; len >= 8; p += 8, len -= 8)
	{
		uint64		w;

		memcpy(&w, p, 8);
		c = __builtin_ia32_crc32di(c, w);
	}
	for (; len > 0; p++, len--)
		c = __builtin_ia32_crc32qi((uint32) c, *p);
	return (uint32) c;
}
#endif

pg_crc32c
sim_crc32c(pg_crc32c crc, const void *data, Size len)
{
	const unsigned char *p = data;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc_by_instruction(crc, p, len);
#endif
	if (crc_table[1] == 0)
		fill_crc_table();
	while (len-- > 0)
		crc = crc_table[(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return crc;
}
