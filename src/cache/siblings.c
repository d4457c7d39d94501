/*-------------------------------------------------------------------------
 *
 * siblings.c
 *	  See siblings.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/siblings.h"

#include "cache/expire.h"
#include "cache/extra.h"

/* The head of a block as it lies in memory, read. */
typedef struct Head
{
	uint8		n;
	uint8		ninputs;
	uint8		ncontext;
	uint8		bits;
	uint8		how;
	uint8		tries;
	uint16		errlen;
	int64		since;
	int64		retry_at;
} Head;

static bool
read_head(CcReader *r, Head *head)
{
	head->n = cc_read_u8(r);
	head->ninputs = cc_read_u8(r);
	head->ncontext = cc_read_u8(r);
	head->bits = cc_read_u8(r);
	head->how = cc_read_u8(r);
	head->tries = cc_read_u8(r);
	head->errlen = cc_read_u16(r);
	head->since = (int64) cc_read_u64(r);
	head->retry_at = (int64) cc_read_u64(r);
	return !r->bad && head->n <= CC_MAX_ORIGINALS &&
		head->ninputs <= CC_MAX_INPUTS && head->ncontext <= CC_MAX_CONTEXT &&
		head->how <= CC_LAST_HOW && head->errlen <= CC_SIB_ERROR_LEN;
}

/* A sibling's head; key, hash and namespace are those of its entry. */
static void
read_sibling(CcReader *r, const CcEntry *of, CcEntry *e)
{
	uint8		kind = cc_read_u8(r);

	(void) cc_read_u8(r);
	e->hash = of->hash;
	e->key = of->key;
	e->keylen = of->keylen;
	e->ns = of->ns;
	e->value = NULL;
	e->block = NULL;
	e->tail = NULL;
	e->taillen = 0;
	e->type = cc_kind_type(kind);
	e->flags = cc_kind_flags(kind);
	e->origin = cc_read_u16(r);
	e->writer = cc_read_u16(r);
	e->at_node = cc_read_u16(r);
	e->hlc = cc_read_u64(r);
	e->at = cc_read_u64(r);
	e->seq = cc_read_u64(r);
	e->expires = (int64) cc_read_u64(r);
	e->vallen = cc_read_u32(r);
}

static uint32
get_u32(const char *p)
{
	CcReader	r;

	cc_reader_init(&r, p, sizeof(uint32));
	return cc_read_u32(&r);
}

bool
cc_siblings_same(const CcEntry *a, const CcEntry *b)
{
	return a->hlc == b->hlc &&
		(a->writer == b->writer ||
		 cc_id_cmp(&cc_origin(a->writer)->node,
				   &cc_origin(b->writer)->node) == 0);
}

/* Length of the block behind an entry's value in memory; 0: it is malformed. */
static uint32
block_len(const CcEntry *e)
{
	uint32		least = CC_SIB_HEAD + CC_SIB_TAIL +
		cc_extra_len(e->type, e->flags);
	uint32		len;

	if (e->vallen < least)
		return 0;
	len = get_u32(e->value + e->vallen - CC_SIB_TAIL);
	return len < CC_SIB_HEAD + CC_SIB_TAIL ||
		len > e->vallen - cc_extra_len(e->type, e->flags) ? 0 : len;
}

void
cc_siblings_strip(CcEntry *e)
{
	if ((e->flags & CC_F_SIBLINGS) != 0)
	{
		e->vallen -= block_len(e);
		if (e->vallen == 0)
			e->value = NULL;
	}
	e->flags &= ~(CC_F_SIBLINGS | CC_F_PENDING);
}

/* What follows the heads of the siblings. */
static bool
parse_rest(CcReader *r, const Head *head, CcKeyState *ks)
{
	ks->ninputs = head->ninputs;
	for (int i = 0; i < ks->ninputs; i++)
	{
		ks->input[i].writer = cc_read_u16(r);
		ks->input[i].hlc = cc_read_u64(r);
	}
	ks->ncontext = head->ncontext;
	for (int i = 0; i < ks->ncontext; i++)
	{
		ks->context[i].origin = cc_read_u16(r);
		ks->context[i].seq = cc_read_u64(r);
	}
	ks->errlen = head->errlen;
	ks->error = cc_read_bytes(r, head->errlen);
	return !r->bad;
}

bool
cc_siblings_parse(const CcEntry *e, CcKeyState *ks)
{
	CcReader	r;
	Head		head;
	CcEntry    *sibling;
	uint32		len;

	ks->n = 1;
	ks->served = 0;
	ks->resolved = ks->asked = false;
	ks->how = CC_HOW_LATEST;
	ks->since = ks->retry_at = ks->ninputs = ks->ncontext = ks->tries =
		ks->errlen = 0;
	ks->error = NULL;
	ks->original[0] = *e;
	if ((e->flags & CC_F_SIBLINGS) == 0)
		return true;

	if ((len = block_len(e)) == 0)
		return false;
	cc_reader_init(&r, e->value + e->vallen - len, len - CC_SIB_TAIL);
	if (!read_head(&r, &head))
		return false;
	ks->resolved = (head.bits & CC_SIB_RESOLVED) != 0;
	ks->asked = (head.bits & CC_SIB_ASKED) != 0;
	ks->how = head.how;
	ks->tries = head.tries;
	ks->since = head.since;
	ks->retry_at = head.retry_at;
	if (ks->resolved ? head.n < 1 : head.n >= CC_MAX_ORIGINALS)
		return false;

	sibling = ks->resolved ? ks->original : ks->original + 1;
	for (int i = 0; i < head.n; i++)
		read_sibling(&r, e, &sibling[i]);
	ks->n = head.n + (ks->resolved ? 0 : 1);
	if (!parse_rest(&r, &head, ks))
		return false;
	for (int i = 0; i < head.n; i++)
	{
		sibling[i].value = cc_read_bytes(&r, sibling[i].vallen);
		if (sibling[i].vallen == 0)
			sibling[i].value = NULL;
		if (sibling[i].vallen < cc_extra_len(sibling[i].type,
											 sibling[i].flags) ||
			(sibling[i].flags & CC_F_SIBLINGS) != 0)
			return false;
	}
	if (r.bad || cc_reader_left(&r) != 0)
		return false;
	if (ks->resolved)
	{
		ks->resolution = *e;
		cc_siblings_strip(&ks->resolution);
	}
	else
		cc_siblings_strip(&ks->original[0]);
	return true;
}

Size
cc_siblings_room(const CcKeyState *ks)
{
	int			n = ks->n - (ks->resolved ? 0 : 1);
	Size		room = ks->resolved ? ks->resolution.vallen : 0;

	for (int i = 0; i < ks->n; i++)
		room += ks->original[i].vallen;
	if (n == 0 && ks->ncontext == 0 && ks->ninputs == 0)
		return room;
	return room + CC_SIB_HEAD + n * CC_SIB_SIBLING +
		ks->ninputs * CC_SIB_INPUT + ks->ncontext * CC_SIB_DOT +
		ks->errlen + CC_SIB_TAIL;
}

static void
put_sibling(CcBuf *out, const CcEntry *e)
{
	cc_buf_put_u8(out, cc_kind(e->type, e->flags & CC_F_ALL & ~CC_F_SIBLINGS));
	cc_buf_put_u8(out, 0);
	cc_buf_put_u16(out, e->origin);
	cc_buf_put_u16(out, e->writer);
	cc_buf_put_u16(out, e->at_node);
	cc_buf_put_u64(out, e->hlc);
	cc_buf_put_u64(out, e->at);
	cc_buf_put_u64(out, e->seq);
	cc_buf_put_u64(out, (uint64) e->expires);
	cc_buf_put_u32(out, e->vallen);
}

/* The siblings of what is served, that original first which would be next. */
static int
order_siblings(const CcKeyState *ks, const CcEntry *sibling[CC_MAX_ORIGINALS])
{
	int			n = 0;

	if (ks->resolved)
		sibling[n++] = &ks->original[ks->served];
	for (int i = 0; i < ks->n; i++)
	{
		if (i != ks->served)
			sibling[n++] = &ks->original[i];
	}
	return n;
}

void
cc_siblings_build(const CcKeyState *ks, CcBuf *out, CcEntry *e)
{
	const CcEntry *sibling[CC_MAX_ORIGINALS];
	int			n = order_siblings(ks, sibling);
	Size		begin = out->len;
	Size		block;

	Assert(ks->n > 0 && ks->served < ks->n &&
		   cc_buf_room(out) >= cc_siblings_room(ks));
	*e = ks->resolved ? ks->resolution : ks->original[ks->served];
	if (n == 0 && ks->ncontext == 0 && ks->ninputs == 0)
		return;

	if (e->vallen > 0)
		cc_buf_put(out, e->value, e->vallen);
	block = out->len;
	cc_buf_put_u8(out, (uint8) n);
	cc_buf_put_u8(out, (uint8) ks->ninputs);
	cc_buf_put_u8(out, (uint8) ks->ncontext);
	cc_buf_put_u8(out, (ks->resolved ? CC_SIB_RESOLVED : 0) |
				  (ks->asked ? CC_SIB_ASKED : 0));
	cc_buf_put_u8(out, ks->how);
	cc_buf_put_u8(out, (uint8) Min(ks->tries, 255));
	cc_buf_put_u16(out, (uint16) ks->errlen);
	cc_buf_put_u64(out, (uint64) ks->since);
	cc_buf_put_u64(out, (uint64) ks->retry_at);
	for (int i = 0; i < n; i++)
		put_sibling(out, sibling[i]);
	for (int i = 0; i < ks->ninputs; i++)
	{
		cc_buf_put_u16(out, ks->input[i].writer);
		cc_buf_put_u64(out, ks->input[i].hlc);
	}
	for (int i = 0; i < ks->ncontext; i++)
	{
		cc_buf_put_u16(out, ks->context[i].origin);
		cc_buf_put_u64(out, ks->context[i].seq);
	}
	if (ks->errlen > 0)
		cc_buf_put(out, ks->error, ks->errlen);
	for (int i = 0; i < n; i++)
	{
		if (sibling[i]->vallen > 0)
			cc_buf_put(out, sibling[i]->value, sibling[i]->vallen);
	}
	cc_buf_put_u32(out, (uint32) (out->len - block + CC_SIB_TAIL));

	e->value = out->data + begin;
	e->vallen = (uint32) (out->len - begin);
	Assert(e->vallen == cc_siblings_room(ks));
	e->flags |= CC_F_SIBLINGS;
	if (cc_siblings_pending(ks))
		e->flags |= CC_F_PENDING;
}

/* ---- in the store ---- */

uint32
cc_siblings_len(CcPartitionShared *p, CcHeaderShared *h)
{
	char		tail[CC_SIB_TAIL];

	if ((cc_header_flags(h) & CC_F_SIBLINGS) == 0)
		return 0;
	cc_store_copy_at(p, h, h->vallen - CC_SIB_TAIL, tail, CC_SIB_TAIL);
	return get_u32(tail);
}

/* A block without its values; the reader stands behind its head. */
typedef struct Heads
{
	char		data[CC_SIB_HEADS_MAX + CC_SIB_TAIL];
	uint32		len;			/* of the whole block */
	uint32		heads;			/* of its part up to the error */
	Head		head;
	CcReader	r;
} Heads;

static bool
copy_heads(CcPartitionShared *p, CcHeaderShared *h, Heads *b)
{
	uint32		copy;

	b->len = cc_siblings_len(p, h);
	if (b->len == 0)
		return false;
	copy = Min(b->len - CC_SIB_TAIL, (uint32) CC_SIB_HEADS_MAX);
	cc_store_copy_at(p, h, h->vallen - b->len, b->data, copy);
	cc_reader_init(&b->r, b->data, copy);
	if (!read_head(&b->r, &b->head))
		return false;
	b->heads = CC_SIB_HEAD + b->head.n * CC_SIB_SIBLING +
		b->head.ninputs * CC_SIB_INPUT + b->head.ncontext * CC_SIB_DOT;
	return true;
}

int
cc_siblings_heads(CcPartitionShared *p, CcHeaderShared *h,
				  CcEntry out[CC_MAX_ORIGINALS], bool *resolved)
{
	Heads		b;
	CcEntry		e;

	if (resolved != NULL)
		*resolved = false;
	if (!copy_heads(p, h, &b))
		return 0;
	cc_store_describe(h, &e);
	for (int i = 0; i < b.head.n; i++)
		read_sibling(&b.r, &e, &out[i]);
	if (resolved != NULL)
		*resolved = (b.head.bits & CC_SIB_RESOLVED) != 0;
	return b.head.n;
}

bool
cc_siblings_all(CcPartitionShared *p, CcHeaderShared *h, CcSiblingFn fn,
				void *arg)
{
	CcEntry		e, sibling;
	Heads		b;

	cc_store_describe(h, &e);
	if (!fn(&e, arg))
		return false;
	if (likely((cc_header_flags(h) & CC_F_SIBLINGS) == 0) ||
		!copy_heads(p, h, &b))
		return true;
	for (int i = 0; i < b.head.n; i++)
	{
		read_sibling(&b.r, &e, &sibling);
		if (!fn(&sibling, arg))
			return false;
	}
	return true;
}

static bool
is_stable(const CcEntry *e, void *arg)
{
	return cc_state_stable(e->origin, e->seq);
}

/* A value of the store, cut; returns where the next one goes. */
static char *
peek_value(CcPartitionShared *p, CcHeaderShared *h, Size at, CcEntry *e,
		   char *to)
{
	e->vallen = Min(e->vallen, CC_SIB_PEEK);
	e->value = e->vallen > 0 ? to : NULL;
	if (e->vallen > 0)
		cc_store_copy_at(p, h, at, to, e->vallen);
	return to + e->vallen;
}

void
cc_siblings_peek(CcPartitionShared *p, CcHeaderShared *h, CcKeyState *ks,
				 char to[CC_SIB_PEEK_ROOM])
{
	Heads		b;
	CcEntry		e, *sibling;
	Size		at;

	cc_store_describe(h, &e);
	e.flags &= ~(CC_F_SIBLINGS | CC_F_PENDING);
	ks->n = 1;
	ks->served = 0;
	ks->resolved = ks->asked = false;
	ks->since = ks->retry_at = ks->ninputs = ks->ncontext = ks->tries =
		ks->errlen = 0;
	ks->how = CC_HOW_LATEST;
	ks->original[0] = e;
	if (!copy_heads(p, h, &b))
	{
		(void) peek_value(p, h, 0, &ks->original[0], to);
		return;
	}
	at = h->vallen - b.len + b.heads + b.head.errlen;
	e.vallen -= b.len;
	to = peek_value(p, h, 0, &e, to);
	ks->resolved = (b.head.bits & CC_SIB_RESOLVED) != 0;
	ks->since = b.head.since;
	ks->how = b.head.how;
	ks->original[0] = ks->resolution = e;
	sibling = ks->resolved ? ks->original : ks->original + 1;
	ks->n = b.head.n + (ks->resolved ? 0 : 1);
	for (int i = 0; i < b.head.n; i++)
	{
		Size		len;

		read_sibling(&b.r, &e, &sibling[i]);
		len = sibling[i].vallen;
		to = peek_value(p, h, at, &sibling[i], to);
		at += len;
	}
	(void) parse_rest(&b.r, &b.head, ks);
	ks->errlen = 0;
}

Size
cc_siblings_put_context(const CcKeyState *ks, char to[CC_SIB_CONTEXT_ROOM])
{
	CcBuf		out = {.data = to, .len = 0, .cap = CC_SIB_CONTEXT_ROOM};

	memset(to, 0, CC_SIB_HEAD);
	to[1] = (char) ks->ninputs;
	to[2] = (char) ks->ncontext;
	out.len = CC_SIB_HEAD;
	for (int i = 0; i < ks->ninputs; i++)
	{
		cc_buf_put_u16(&out, ks->input[i].writer);
		cc_buf_put_u64(&out, ks->input[i].hlc);
	}
	for (int i = 0; i < ks->ncontext; i++)
	{
		cc_buf_put_u16(&out, ks->context[i].origin);
		cc_buf_put_u64(&out, ks->context[i].seq);
	}
	cc_buf_put_u32(&out, (uint32) out.len + CC_SIB_TAIL);
	return out.len;
}

static bool
is_unnamed(const char *origin)
{
	return (uint8) origin[0] == (CC_NO_ORIGIN & 0xff) &&
		(uint8) origin[1] == (CC_NO_ORIGIN >> 8);
}

CcDotPlace
cc_siblings_unnamed(const CcEntry *e)
{
	char	   *block = (char *) e->value + e->vallen - block_len(e);
	char	   *at = block + CC_SIB_HEAD;
	CcDotPlace	place = {NULL, NULL};

	for (int i = 0; i < (uint8) block[0]; i++, at += CC_SIB_SIBLING)
	{
		if (is_unnamed(at + 2))
		{
			place.origin = at + 2;
			place.seq = at + 24;
			return place;
		}
	}
	at += (uint8) block[1] * CC_SIB_INPUT;
	for (int i = 0; i < (uint8) block[2]; i++, at += CC_SIB_DOT)
	{
		if (is_unnamed(at))
		{
			place.origin = at;
			place.seq = at + 2;
			break;
		}
	}
	return place;
}

void
cc_siblings_name(const CcDotPlace *place, uint16 origin, uint64 seq)
{
	CcBuf		out = {.data = place->origin, .cap = sizeof(uint16)};

	cc_buf_put_u16(&out, origin);
	out.data = place->seq;
	out.len = 0;
	out.cap = sizeof(uint64);
	cc_buf_put_u64(&out, seq);
}

/* The dots of a block's context. */
static void
read_context(Heads *b, CcReader *r)
{
	uint32		len = b->head.ncontext * CC_SIB_DOT;

	cc_reader_init(r, b->data + b->heads - len, len);
}

/* Whether no dot of a block's context has to travel any more. */
static bool
context_stable(Heads *b)
{
	CcReader	r;

	read_context(b, &r);
	for (int i = 0; i < b->head.ncontext; i++)
	{
		uint16		origin = cc_read_u16(&r);

		if (!cc_siblings_dot_done(origin, cc_read_u64(&r)))
			return false;
	}
	return true;
}

bool
cc_siblings_stable(CcPartitionShared *p, CcHeaderShared *h)
{
	Heads		b;

	if (!cc_siblings_all(p, h, is_stable, NULL))
		return false;
	return likely((cc_header_flags(h) & CC_F_SIBLINGS) == 0) ||
		!copy_heads(p, h, &b) || context_stable(&b);
}

static bool
is_covered(const CcEntry *e, void *arg)
{
	return cc_vv_get(arg, e->origin) >= e->seq;
}

bool
cc_siblings_covered(CcPartitionShared *p, CcHeaderShared *h, const CcVV *v)
{
	CcReader	r;
	Heads		b;

	if (!cc_siblings_all(p, h, is_covered, (void *) v))
		return false;
	if (likely((cc_header_flags(h) & CC_F_SIBLINGS) == 0) ||
		!copy_heads(p, h, &b))
		return true;
	read_context(&b, &r);
	for (int i = 0; i < b.head.ncontext; i++)
	{
		uint16		origin = cc_read_u16(&r);

		if (cc_read_u64(&r) > cc_vv_get(v, origin))
			return false;
	}
	return true;
}

static bool
is_cleared(const CcEntry *e, void *arg)
{
	bool	   *resolution = arg;

	if (*resolution)
	{
		*resolution = false;	/* that goes with what it was made from */
		return true;
	}
	return cc_expire_cleared(e->ns, e->hlc);
}

bool
cc_siblings_cleared(CcPartitionShared *p, CcHeaderShared *h)
{
	bool		resolution = false;
	Heads		b;

	if (unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0) &&
		copy_heads(p, h, &b))
		resolution = (b.head.bits & CC_SIB_RESOLVED) != 0;
	return cc_siblings_all(p, h, is_cleared, &resolution);
}

bool
cc_siblings_fold(CcPartitionShared *p, CcHeaderShared *h)
{
	Heads		b;

	if (!copy_heads(p, h, &b))
		return false;
	if (b.head.n > 0 && (b.head.bits & CC_SIB_RESOLVED) == 0)
		return false;

	/*
	 * What nobody has seen yet who may still say something of what it replaced;
	 * once all have, all that they said before is here (causal stability).
	 * What was cleared goes as a whole.
	 */
	if (!cc_siblings_stable(p, h) || cc_siblings_cleared(p, h))
		return false;
	cc_store_cut(p, h, h->vallen - b.len,
				 cc_header_flags(h) & ~(CC_F_SIBLINGS | CC_F_PENDING));
	return true;
}

/* Where a block's head has when it may be tried again */
#define AT_RETRY_AT		16

bool
cc_siblings_put_off(CcPartitionShared *p, CcHeaderShared *h)
{
	char		data[CC_SIB_HEAD];
	CcReader	r;
	Head		head;

	cc_store_copy_at(p, h, h->vallen - cc_siblings_len(p, h), data,
					 sizeof(data));
	cc_reader_init(&r, data, sizeof(data));
	return read_head(&r, &head) && head.errlen > 0 && head.retry_at != 0;
}

void
cc_siblings_retry(CcPartitionShared *p, CcHeaderShared *h)
{
	static const char never[sizeof(int64)] = {0};

	cc_store_write_at(p, h, h->vallen - cc_siblings_len(p, h) + AT_RETRY_AT,
					  never, sizeof(never));
}

void
cc_siblings_rename(CcPartitionShared *p, CcHeaderShared *h, int i, uint16 origin,
				   uint64 seq)
{
	Size		at = h->vallen - cc_siblings_len(p, h) + CC_SIB_HEAD +
		i * CC_SIB_SIBLING;
	char		head[CC_SIB_SIBLING];
	CcDotPlace	place = {head + 2, head + 24};

	cc_store_copy_at(p, h, at, head, sizeof(head));
	cc_siblings_name(&place, origin, seq);
	cc_store_write_at(p, h, at, head, sizeof(head));
}

void
cc_siblings_evict(CcPartitionShared *p, CcHeaderShared *h)
{
	Heads		b;
	CcBuf		out;
	CcEntry		e;

	if (!copy_heads(p, h, &b))
	{
		cc_store_make_stub(p, h);
		return;
	}
	/* the heads stay, each as that of a stub; error and values go */
	out.data = b.data;
	out.cap = sizeof(b.data);
	out.len = 6;
	cc_buf_put_u16(&out, 0);
	for (int i = 0; i < b.head.n; i++)
	{
		char	   *s = b.data + CC_SIB_HEAD + i * CC_SIB_SIBLING;

		s[0] = (char) cc_kind(CC_STUB, cc_kind_flags((uint8) s[0]) &
							  CC_F_TOMBSTONE);
		memset(s + CC_SIB_SIBLING - 12, 0, 12);	/* expires, vallen */
	}
	cc_store_describe(h, &e);
	e.type = CC_STUB;
	e.flags &= CC_F_TOMBSTONE | CC_F_SIBLINGS | CC_F_PENDING;
	e.expires = 0;
	out.len = b.heads;
	cc_buf_put_u32(&out, b.heads + CC_SIB_TAIL);
	e.value = b.data;
	e.vallen = (uint32) out.len;
	(void) cc_store_replace(p, h, &e);
}
