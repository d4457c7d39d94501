/*-------------------------------------------------------------------------
 *
 * conflictlog.c
 *	  The log of conflicts that were decided; see conflict.h.
 *
 * Rows lie one behind the other in a ring of bytes, each a head, the key and
 * the two values, cut; a row may begin at the end of the ring and go on at its
 * beginning.  The oldest go to make room.
 *
 * Locking: conflicts->lock, a leaf.  cc_conflict_log runs under a partition's
 * lock: it copies a bounded number of bytes and neither allocates nor throws.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/conflict.h"

#define MIN_BYTES	((Size) 64 * 1024)
#define MAX_BYTES	((Size) 4 * 1024 * 1024)

CcConflictFateHook cc_conflict_fate_hook = NULL;

/* One side as it lies in the ring */
typedef struct Side
{
	uint64		hlc;
	CcNodeId	node;
	uint32		len;
	uint8		there;
	uint8		type;
	uint8		null;
} Side;

typedef struct Head
{
	uint64		id;
	uint32		bytes;			/* of the row, with this head */
	uint16		ns;
	uint16		keylen;
	int64		at;
	int64		decided_at;
	CcNodeId	decider;
	uint8		how;
	uint8		fate;
	Side		side[2];		/* ours, theirs */
} Head;

/* An original as it is logged, its value in the memory of the process. */
typedef struct Seen
{
	CcEntry		e;				/* its own value, with no block before it */
	bool		there;
} Seen;

Size
cc_conflict_log_size(Size memory)
{
	return sizeof(CcConflictsShared) +
		Min(Max(memory / 64, MIN_BYTES), MAX_BYTES);
}

void
cc_conflict_log_init(void *mem, Size bytes)
{
	CcConflictsShared *c = mem;

	memset(mem, 0, sizeof(*c));
	cc.conflicts = c;
	c->first = c->next = 1;
	c->bytes = bytes - sizeof(*c);
	for (int i = 0; i < CC_MAX_NAMESPACES; i++)
		pg_atomic_init_u64(&c->decided[i], 0);
}

static char *
ring(void)
{
	return (char *) (cc.conflicts + 1);
}

/* Copies into the ring at *at, which moves on. */
static void
put(Size *at, const void *from, Size len)
{
	Size		size = cc.conflicts->bytes;
	Size		part = Min(len, size - *at);

	/* what has no bytes is nowhere */
	if (len == 0)
		return;
	memcpy(ring() + *at, from, part);
	memcpy(ring(), (const char *) from + part, len - part);
	*at = (*at + len) % size;
}

static void
get(Size *at, void *to, Size len)
{
	Size		size = cc.conflicts->bytes;
	Size		part = Min(len, size - *at);

	memcpy(to, ring() + *at, part);
	memcpy((char *) to + part, ring(), len - part);
	*at = (*at + len) % size;
}

/* Bytes in use; the ring is never filled to its last byte. */
static Size
used(void)
{
	const CcConflictsShared *c = cc.conflicts;

	return (c->head + c->bytes - c->tail) % c->bytes;
}

static void
drop_oldest(void)
{
	CcConflictsShared *c = cc.conflicts;
	Size		at = c->tail;
	Head		h;

	get(&at, &h, sizeof(h));
	c->tail = (c->tail + h.bytes) % c->bytes;
	c->first++;
}

static void
note_side(Side *s, const Seen *seen)
{
	memset(s, 0, sizeof(*s));
	s->hlc = seen->e.hlc;
	s->node = cc_origin(seen->e.writer)->node;
	s->there = seen->there;
	if (!seen->there)
		return;
	s->type = seen->e.type;
	s->null = (seen->e.flags & CC_F_NULL) != 0;
	s->len = Min(seen->e.vallen, CC_CONFLICT_TEXT);
}

static void
see(Seen *seen, const CcEntry *e, int64 now)
{
	seen->there = cc_conflict_view(e, now, &seen->e);
	if (!seen->there)
		seen->e = *e;
}

static bool
same_value(const Seen *a, const Seen *b)
{
	return a->there && b->there && a->e.type == b->e.type &&
		((a->e.flags ^ b->e.flags) & CC_F_NULL) == 0 &&
		a->e.vallen == b->e.vallen &&
		(a->e.vallen == 0 ||
		 memcmp(a->e.value, b->e.value, a->e.vallen) == 0);
}

static CcFate
fate_of(const Seen *ours, const Seen *theirs, const Seen *after)
{
	if (!after->there)
		return CC_FATE_DELETED;
	if (same_value(ours, after))
		return CC_FATE_OURS;
	return same_value(theirs, after) ? CC_FATE_THEIRS : CC_FATE_MERGED;
}

static void
append(Head *h, const char *key, const Seen *ours, const Seen *theirs)
{
	CcConflictsShared *c = cc.conflicts;
	Size		at;

	note_side(&h->side[0], ours);
	note_side(&h->side[1], theirs);
	h->bytes = sizeof(*h) + h->keylen + h->side[0].len + h->side[1].len;

	cc_lock_exclusive(&c->lock);
	if (h->bytes < c->bytes)
	{
		while (c->bytes - used() <= h->bytes)
			drop_oldest();
		h->id = c->next++;
		at = c->head;
		put(&at, h, sizeof(*h));
		put(&at, key, h->keylen);
		put(&at, ours->e.value, h->side[0].len);
		put(&at, theirs->e.value, h->side[1].len);
		c->head = at;
	}
	cc_unlock(&c->lock);
}

void
cc_conflict_log(const CcKeyState *before, const CcEntry *after, CcHow how)
{
	const CcEntry *served = &before->original[before->served];
	int64		now = cc_hlc_now_ms(&cc.state->hlc);
	Head		h = {0};
	Seen		ours;
	Seen		theirs;
	Seen		result;

	if (before->n < 2)
		return;
	pg_atomic_fetch_add_u64(&cc.conflicts->decided[served->ns], 1);
	see(&ours, served, now);
	see(&result, after, now);
	h.ns = served->ns;
	h.keylen = served->keylen;
	h.at = before->since != 0 ? before->since : cc_clock_ms();
	h.decided_at = cc_clock_ms();
	h.decider = cc_origin(after->writer)->node;
	h.how = how;
	for (int i = 0; i < before->n; i++)
	{
		CcFate		fate;

		if (i == before->served)
			continue;
		see(&theirs, &before->original[i], now);
		fate = fate_of(&ours, &theirs, &result);
		h.fate = fate;
		append(&h, after->key, &ours, &theirs);
		if (cc_conflict_fate_hook != NULL)
			cc_conflict_fate_hook(&cc_origin(theirs.e.writer)->node, fate);
	}
}

/*
 * Where the row of an id lies, under the lock.  Whoever reads row after row
 * finds the next one where the last one ended: what is remembered is asked
 * whether it is that row still.
 */
static Size
locate(uint64 id, Head *h)
{
	static const CcConflictsShared *hint_of;
	static uint64 hint_id;
	static Size hint_at;
	CcConflictsShared *c = cc.conflicts;
	Size		at = c->tail;
	Size		next;

	if (hint_of == c && hint_id == id)
	{
		next = hint_at;
		get(&next, h, sizeof(*h));
		if (h->id == id)
			at = hint_at;
	}
	for (;;)
	{
		next = at;
		get(&next, h, sizeof(*h));
		if (h->id >= id)
			break;
		at = (at + h->bytes) % c->bytes;
	}
	hint_of = c;
	hint_id = id + 1;
	hint_at = (at + h->bytes) % c->bytes;
	return at;
}

static void
get_side(Size *at, const Side *from, CcConflictSide *to)
{
	to->there = from->there;
	to->type = from->type;
	to->null = from->null;
	to->hlc = from->hlc;
	to->node = from->node;
	to->len = from->len;
	get(at, to->value, from->len);
}

bool
cc_conflict_row(uint64 id, CcConflictRow *row)
{
	CcConflictsShared *c = cc.conflicts;
	Head		h;
	Size		at;
	bool		found;

	cc_lock_shared(&c->lock);
	id = Max(id, c->first);
	found = id < c->next;
	if (found)
	{
		at = locate(id, &h);
		row->id = h.id;
		row->ns = h.ns;
		row->keylen = h.keylen;
		row->at = h.at;
		row->decided_at = h.decided_at;
		row->decider = h.decider;
		row->how = h.how;
		row->fate = h.fate;
		at = (at + sizeof(h)) % c->bytes;
		get(&at, row->key, h.keylen);
		get_side(&at, &h.side[0], &row->ours);
		get_side(&at, &h.side[1], &row->theirs);
	}
	cc_unlock(&c->lock);
	return found;
}
