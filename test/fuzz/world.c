/*-------------------------------------------------------------------------
 *
 * world.c
 *	  See world.h.
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#include "cache/conflict.h"
#include "cache/exact_private.h"
#include "cache/namespace.h"
#include "cluster/heal.h"

#define ORIGINS			64
#define GENERATIONS		2
#define FLOOR_BITS		256
#define LOG_SLOTS		256
#define INTERVALS		32
#define SPLITS			8
#define CONFLICT_LOG	(sizeof(CcConflictsShared) + 8192)
#define STORE_BYTES		(1024 * 1024)

#define MAX_FILES		32

bool		sim_rules[SIM_NRULES];

typedef struct Node
{
	CcShared	shared;
	char	   *memory;
	Size		size;
} Node;

static Node nodes[WORLD_NODES];
static int	here;
static char *saved;
static uint64 chance;
static int64 now_ms;

/* ---- port.h ---- */

void
sim_assert_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}

static void
insist(bool condition, const char *what)
{
	if (!condition)
	{
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

void
sim_yield(void)
{
}

void
sim_check_raise(int origin, uint64 from, uint64 to, bool full)
{
	insist(from < to, "a raise goes up");
	(void) origin;
	(void) full;
}

void
sim_check_take(const struct CcEntry *e)
{
	(void) e;
}

void
sim_check_write(const struct CcEntry *e)
{
	(void) e;
}

void
sim_check_evict(const struct CcEntry *e)
{
	(void) e;
}

void
sim_check_race(const struct CcEntry *e)
{
	(void) e;
}

/* Bit by bit; the inputs are short. */
pg_crc32c
sim_crc32c(pg_crc32c crc, const void *data, Size len)
{
	const uint8 *p = data;

	while (len-- > 0)
	{
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1));
	}
	return crc;
}

void
cc_lock_exclusive(CcLock *lock)
{
	insist(!lock->exclusive && lock->shared == 0, "lock is free");
	lock->exclusive = true;
}

void
cc_lock_shared(CcLock *lock)
{
	insist(!lock->exclusive, "lock is free");
	lock->shared++;
}

void
cc_unlock(CcLock *lock)
{
	insist(lock->exclusive || lock->shared > 0, "lock is held");
	if (lock->exclusive)
		lock->exclusive = false;
	else
		lock->shared--;
}

bool
cc_lock_held(CcLock *lock)
{
	return lock->exclusive || lock->shared > 0;
}

int64
cc_clock_ms(void)
{
	return WORLD_WALL_MS + now_ms;
}

int64
cc_monotonic_ms(void)
{
	return 1000 + now_ms;
}

int64
cc_monotonic_us(void)
{
	return cc_monotonic_ms() * 1000;
}

void
cc_check_interrupts(void)
{
}

void
cc_pause(void)
{
	now_ms++;
}

/* So large a request is an answer to a length that was not checked. */
#define MEMORY_MAX		(64 * 1024 * 1024)

void *
cc_alloc(Size size)
{
	insist(size <= MEMORY_MAX, "a modest amount of memory");
	return malloc(Max(size, 1));
}

void *
cc_realloc(void *p, Size size)
{
	insist(size <= MEMORY_MAX, "a modest amount of memory");
	return realloc(p, Max(size, 1));
}

void
cc_free(void *p)
{
	free(p);
}

void
cc_random(void *buf, Size len)
{
	uint8	   *p = buf;

	while (len-- > 0)
	{
		chance = chance * UINT64CONST(6364136223846793005) + 1;
		*p++ = (uint8) (chance >> 56);
	}
}

uint32
cc_random_below(uint32 n)
{
	uint32		x;

	cc_random(&x, sizeof(x));
	return n == 0 ? 0 : x % n;
}

void
cc_log(CcLogLevel level, const char *fmt, ...)
{
	char		line[1024];
	va_list		args;

	/* formatted, so that sanitizers see what it reads */
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (getenv("FUZZ_LOG") != NULL)
		fprintf(stderr, "log %d: %s\n", level, line);
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
	now_ms++;
}

void
cc_announce_journal(void)
{
}

void
cc_announce_acks(void)
{
}

/* ---- files ---- */

typedef struct MemFile
{
	char		name[64];
	char	   *data;
	Size		len;
	bool		exists;
} MemFile;

struct CcFile
{
	MemFile    *f;
	Size		at;
};

static MemFile files[MAX_FILES];

static MemFile *
find_file(const char *name)
{
	for (int i = 0; i < MAX_FILES; i++)
	{
		if (files[i].exists && strcmp(files[i].name, name) == 0)
			return &files[i];
	}
	return NULL;
}

static void
drop_file(MemFile *f)
{
	free(f->data);
	memset(f, 0, sizeof(*f));
}

static MemFile *
make_file(const char *name)
{
	MemFile    *f = find_file(name);

	for (int i = 0; f == NULL && i < MAX_FILES; i++)
	{
		if (!files[i].exists)
			f = &files[i];
	}
	insist(f != NULL, "few files");
	drop_file(f);
	f->exists = true;
	strlcpy(f->name, name, sizeof(f->name));
	return f;
}

static void
append(MemFile *f, const void *data, Size len)
{
	insist(f->len + len <= MEMORY_MAX, "a modest file");
	f->data = realloc(f->data, f->len + len + 1);
	if (len > 0)
		memcpy(f->data + f->len, data, len);
	f->len += len;
}

void
world_files_clear(void)
{
	for (int i = 0; i < MAX_FILES; i++)
		drop_file(&files[i]);
}

void
world_file_put(const char *name, const void *data, Size len)
{
	append(make_file(name), data, len);
}

const char *
world_file_get(const char *name, Size *len)
{
	MemFile    *f = find_file(name);

	*len = f != NULL ? f->len : 0;
	return f != NULL ? f->data : NULL;
}

static CcFile *
handle(MemFile *f)
{
	CcFile	   *h;

	if (f == NULL)
		return NULL;
	h = malloc(sizeof(*h));
	h->f = f;
	h->at = 0;
	return h;
}

CcFile *
cc_file_create(const char *name)
{
	return handle(make_file(name));
}

CcFile *
cc_file_append(const char *name)
{
	return handle(find_file(name));
}

CcFile *
cc_file_open(const char *name)
{
	return handle(find_file(name));
}

bool
cc_file_write(CcFile *h, const void *data, Size len)
{
	append(h->f, data, len);
	return true;
}

bool
cc_file_sync(CcFile *h)
{
	(void) h;
	return true;
}

void
cc_file_close(CcFile *h)
{
	free(h);
}

bool
cc_file_rename(const char *from, const char *to)
{
	MemFile    *f = find_file(from);
	MemFile    *old = find_file(to);

	if (f == NULL)
		return false;
	if (old != NULL && old != f)
		drop_file(old);
	strlcpy(f->name, to, sizeof(f->name));
	return true;
}

bool
cc_file_remove(const char *name)
{
	MemFile    *f = find_file(name);

	if (f != NULL)
		drop_file(f);
	return true;
}

bool
cc_file_exists(const char *name)
{
	return find_file(name) != NULL;
}

bool
cc_file_truncate(const char *name, uint64 len)
{
	MemFile    *f = find_file(name);

	if (f == NULL)
		return false;
	f->len = Min(f->len, len);
	return true;
}

int64
cc_file_size(CcFile *h)
{
	return (int64) h->f->len;
}

bool
cc_file_read(CcFile *h, void *data, Size len)
{
	if (h->f->len - h->at < len)
		return false;
	if (len > 0)
		memcpy(data, h->f->data + h->at, len);
	h->at += len;
	return true;
}

bool
cc_file_list(void (*fn) (const char *name, void *arg), void *arg)
{
	/* of a copy of the names: fn may remove files */
	static char name[MAX_FILES][64];
	int			n = 0;

	for (int i = 0; i < MAX_FILES; i++)
	{
		if (files[i].exists)
			strcpy(name[n++], files[i].name);
	}
	for (int i = 0; i < n; i++)
		fn(name[i], arg);
	return true;
}

bool
cc_file_identity(const char *name, uint64 *inode, uint64 *born)
{
	*inode = 1;
	*born = 1;
	return find_file(name) != NULL;
}

/* ---- nodes ---- */

CcNodeId
world_id(int node)
{
	CcNodeId	id;

	memset(id.b, 'A' + node, CC_ID_LEN);
	return id;
}

void
world_go(int node)
{
	here = node;
	cc = nodes[node].shared;
}

void
world_make_fresh(int node)
{
	Node	   *n = &nodes[node];
	Size		at[10] = {0};
	int			part = 0;

	for (int i = 0; i < SIM_NRULES; i++)
		sim_rules[i] = true;
	chance = 1;
	now_ms = 0;
	at[1] = at[0] + MAXALIGN(cc_state_size(ORIGINS));
	at[2] = at[1] + MAXALIGN(cc_floor_size(GENERATIONS, FLOOR_BITS));
	at[3] = at[2] + MAXALIGN(cc_membership_size(ORIGINS));
	at[4] = at[3] + MAXALIGN(cc_changelog_size(LOG_SLOTS));
	at[5] = at[4] + MAXALIGN(cc_apart_size(INTERVALS));
	at[6] = at[5] + MAXALIGN(CONFLICT_LOG);
	at[7] = at[6] + MAXALIGN(cc_splits_size(SPLITS));
	at[8] = at[7] + MAXALIGN(cc_heal_size());
	at[9] = at[8] + STORE_BYTES;
	n->size = at[9];
	free(n->memory);
	n->memory = calloc(1, n->size);

	memset(&cc, 0, sizeof(cc));
	cc_state_init(n->memory + at[part++], ORIGINS);
	cc_floor_init(n->memory + at[part++], GENERATIONS, FLOOR_BITS);
	cc_membership_init(n->memory + at[part++], ORIGINS);
	cc_changelog_init(n->memory + at[part++], LOG_SLOTS);
	cc_apart_init(n->memory + at[part++], INTERVALS);
	cc_conflict_log_init(n->memory + at[part++], CONFLICT_LOG);
	cc_splits_init(n->memory + at[part++], SPLITS);
	cc_heal_init(n->memory + at[part++]);
	cc_store_init(n->memory + at[part], STORE_BYTES,
				  cc_store_partitions_for(STORE_BYTES));
	cc.state->max_skew_ms = WORLD_SKEW_MS;
	cc_cache_system_hook = cc_membership_note;
	n->shared = cc;
	here = node;
}

void
world_make(int node)
{
	CcNodeId	id = world_id(node);
	char		name[] = "node A";

	world_make_fresh(node);
	cc.state->persist = false;
	cc.state->boot = 1;
	cc_state_set_self(&id, 1);
	cc_changelog_start(1);
	cc_state_set_phase(CC_READY);
	name[5] += node;
	cc_membership_announce(name, "host=localhost port=5432");
}

void
world_save(void)
{
	free(saved);
	saved = malloc(nodes[here].size);
	memcpy(saved, nodes[here].memory, nodes[here].size);
}

void
world_restore(void)
{
	memcpy(nodes[here].memory, saved, nodes[here].size);
	chance = 1;
	now_ms = 0;
}

static CcEntry
stranger(uint64 seq, uint8 type, const char *value)
{
	CcNodeId	id;
	CcEntry		e = {0};

	memset(id.b, 'Z', CC_ID_LEN);
	e.ns = cc_state_namespace("postgres", "kept");
	e.origin = e.writer = e.at_node = cc_state_origin(&id, 1);
	e.seq = seq;
	e.hlc = e.at = cc_hlc_tick(&cc.state->hlc);
	e.type = type;
	e.flags = type == CC_STUB ? CC_F_TOMBSTONE : value == NULL ? CC_F_NULL : 0;
	e.value = value;
	e.vallen = value == NULL ? 0 : (uint32) strlen(value);
	return e;
}

static void
change(CcOp op, const char *key, const CcEntry *e, const char *value)
{
	CcChange	c = {.op = op, .ns = cc_state_namespace("postgres", "kept")};
	CcOutcome	o;

	c.key = key;
	c.keylen = (uint16) strlen(key);
	c.entry = e;
	c.type = CC_TEXT;
	c.value = value;
	c.vallen = value == NULL ? 0 : (uint32) strlen(value);
	cc_cache_change(&c, &o);
}

static void
decide(const char *key)
{
	CcBuf		buf;
	CcKeyState	ks;
	CcDecision	d = {.how = CC_HOW_MERGE, .type = CC_TEXT, .value = "both"};

	d.vallen = 4;
	cc_buf_init(&buf);
	if (cc_conflict_read(cc_state_namespace("postgres", "kept"), key,
						 (uint16) strlen(key), &ks, &buf))
		(void) cc_conflict_decide(cc_state_namespace("postgres", "kept"), key,
								  (uint16) strlen(key), &ks, &d);
	cc_buf_free(&buf);
}

void
world_conflicts(void)
{
	static const char *const key[] = {"pending", "deleted", "null", "decided",
	"failed", "settled"};
	uint16		ns = cc_state_namespace("postgres", "kept");
	CcDeclaration d;
	uint64		pos;

	cc_namespace_defaults(ns, &d);
	d.on_split = CC_SPLIT_MERGE;
	cc_namespace_store(ns, &d, &pos);
	sim_rules[SIM_RULE_races] = false;
	for (int i = 0; i < (int) lengthof(key); i++)
	{
		CcEntry		e = stranger(10 + i, i == 1 ? CC_STUB : CC_TEXT,
								 i == 1 || i == 2 ? NULL : "theirs");

		change(CC_OP_PUT, key[i], NULL, "ours");
		change(CC_OP_TAKE, key[i], &e, NULL);
	}
	decide("decided");
	cc_conflict_failed(ns, "failed", 6, NULL, "it raised an error", 77);
	change(CC_OP_PUT, "settled", NULL, "newer");
	sim_rules[SIM_RULE_races] = true;
	insist(cc_conflict_count(ns) == 4, "there are conflicts");
}

/* Chunks of an entry, found by its chain. */
static uint32
chain_length(CcPartitionShared *p, CcHeaderShared *h)
{
	uint32		n = 1;
	uint32		chunk = h->next_chunk;

	while (chunk != CC_NIL)
	{
		insist(chunk < p->nchunks && n < p->nchunks, "a chain of chunks");
		n++;
		chunk = cc_store_header(p, chunk)->next_chunk;
	}
	return n;
}

/* Values, and their chunks, that were found by namespace */
static uint64 found_entries[CC_MAX_NAMESPACES];
static uint64 found_chunks[CC_MAX_NAMESPACES];
static uint64 found_conflicts[CC_MAX_NAMESPACES];

static bool
check_origins(const CcEntry *e, void *arg)
{
	insist(e->origin < cc_state_norigins() && e->writer < cc_state_norigins() &&
		   e->at_node < cc_state_norigins(), "known origins of siblings");
	return true;
}

/* A block that can be read, and says the same both ways. */
static void
check_siblings(CcPartitionShared *p, CcHeaderShared *h)
{
	bool		pending = (cc_header_flags(h) & CC_F_PENDING) != 0;
	char	   *value = malloc(Max(h->vallen, 1));
	CcKeyState	ks;
	CcEntry		e;
	CcBuf		out;

	cc_store_describe(h, &e);
	cc_store_copy_value(p, h, value);
	e.value = value;
	insist(cc_siblings_parse(&e, &ks), "a block of siblings");
	for (int i = 0; i < ks.n; i++)
		insist(cc_exact_find_original(&ks, &ks.original[i]) == i,
			   "each original once");
	insist(cc_siblings_pending(&ks) == pending, "pending where it says so");
	(void) cc_siblings_all(p, h, check_origins, NULL);
	cc_buf_init(&out);
	cc_buf_reserve(&out, cc_siblings_room(&ks));
	cc_siblings_build(&ks, &out, &e);
	insist((e.flags & CC_F_SIBLINGS) == 0 ||
		   (e.vallen == h->vallen && memcmp(e.value, value, e.vallen) == 0),
		   "a block as it was built");
	cc_buf_free(&out);
	free(value);
}

static void
check_partition(CcPartitionShared *p)
{
	uint32		count[CC_NLISTS] = {0};
	uint32		chunks[CC_NLISTS] = {0};
	uint32		used = 0;
	uint32		values = 0;

	insist(p->mutating == 0, "nothing half-changed");
	insist(!cc_lock_held(&p->lock), "no lock is held");
	for (uint32 b = 0; b < p->nbuckets; b++)
	{
		for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
			 h = cc_store_next(p, h))
		{
			CcList		list = cc_header_list(h);
			uint32		n = chain_length(p, h);

			insist(list < CC_NLISTS && (list == CC_LIST_VALUES ||
						list == cc_store_list_of(h->ns, cc_header_type(h),
													 cc_header_flags(h))),
				   "in a list of its kind");
			insist(cc_list_of_values(list) ==
				   (h->ns != CC_NS_SYSTEM && cc_header_type(h) != CC_STUB &&
					(cc_header_flags(h) & CC_F_PENDING) == 0),
				   "values among values");
			if (cc_header_flags(h) & CC_F_SIBLINGS)
				check_siblings(p, h);
			insist(n == cc_store_chunks((Size) h->keylen + h->vallen),
				   "as many chunks as key and value need");
			insist(h->origin < cc_state_norigins() &&
				   h->writer < cc_state_norigins() &&
				   h->at_node < cc_state_norigins(), "known origins");
			if (cc_list_of_values(list) || list == CC_LIST_CONFLICTS)
			{
				found_entries[h->ns]++;
				found_chunks[h->ns] += n;
			}
			found_conflicts[h->ns] += list == CC_LIST_CONFLICTS;
			values += cc_list_of_values(list);
			count[list]++;
			chunks[list] += n;
			used += n;
		}
	}
	for (int i = 0; i < CC_NLISTS; i++)
		insist(count[i] == p->list[i].count && chunks[i] == p->list[i].chunks,
			   "the lists' counts");
	insist(values == p->values, "the count of values");
	insist(used + p->nfree == p->nchunks, "every chunk is used or free");
}

void
world_check(void)
{
	memset(found_entries, 0, sizeof(found_entries));
	memset(found_chunks, 0, sizeof(found_chunks));
	memset(found_conflicts, 0, sizeof(found_conflicts));
	for (uint32 i = 0; i < cc.store->npartitions; i++)
		check_partition(cc_store_partition((int) i));
	for (uint32 i = 0; i < CC_MAX_NAMESPACES; i++)
	{
		if (i < pg_atomic_read_u32(&cc.state->nnamespaces))
			insist(pg_atomic_read_u64(&cc_namespace(i)->entries) ==
				   found_entries[i] &&
				   pg_atomic_read_u64(&cc_namespace(i)->chunks) ==
				   found_chunks[i] &&
				   pg_atomic_read_u64(&cc_namespace(i)->conflicts) ==
				   found_conflicts[i], "the counts of the namespaces");
	}
	insist(!cc_lock_held(&cc.state->lock) && !cc_lock_held(&cc.log->lock) &&
		   !cc_lock_held(&cc.members->lock), "no lock is held");
}
