/*-------------------------------------------------------------------------
 *
 * record.c
 *	  Entries and vectors as bytes, and back.
 *
 * What is read here may come from a peer or from a damaged file: every length
 * and index is checked against the message, and nothing that is returned
 * points outside of it.  A message that is refused says why in dec->error.
 *
 * An entry refers to origins and namespaces by the numbers of its message's
 * dictionaries.  The encoder remembers for each of ours whether, and as what,
 * the running message has announced it: a map entry counts only while it
 * carries the message's generation, so that a new message costs nothing.
 *
 * Locking: see record.h; cc_encode_floor takes one partition's lock.
 *
 * May include: base/, state.h, store.h, floor.h, counter.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/record.h"

#include "cache/counter.h"
#include "cache/extra.h"

#define ORIGIN_BYTES	(1 + CC_ID_LEN + 8)
#define PAIR_BYTES		(2 + 8) /* origin and sequence number in a vector */
#define MAX_GENERATION	0xffff

/* Lengths of an entry's parts behind its type */
#define ENTRY_HEAD		(1 + 1 + 2 + 2 + 2 + 8 + 8)
#define ENTRY_TOUCHED	(8 + 2)
#define ENTRY_EXPIRES	8
#define ENTRY_LENGTHS	(2 + 4)

/* The entry's bits: which optional parts it has */
#define BIT_TOUCHED		0x01
#define BIT_EXPIRES		0x02
#define BITS_ALL		0x03

#define MAX_VALUE		(1024 * 1024 * 1024)

static inline char *
put16(char *p, uint16 v)
{
	p[0] = (char) v;
	p[1] = (char) (v >> 8);
	return p + 2;
}

static inline char *
put32(char *p, uint32 v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char) (v >> (8 * i));
	return p + 4;
}

static inline char *
put64(char *p, uint64 v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char) (v >> (8 * i));
	return p + 8;
}

static inline uint16
get16(const char *p)
{
	return (uint16) ((uint8) p[0] | (uint8) p[1] << 8);
}

static inline uint32
get32(const char *p)
{
	uint32		v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32) (uint8) p[i] << (8 * i);
	return v;
}

static inline uint64
get64(const char *p)
{
	uint64		v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64) (uint8) p[i] << (8 * i);
	return v;
}

void
cc_encoder_init(CcEncoder *enc)
{
	Size		origins = cc.state->origin_cap * sizeof(uint32);
	Size		namespaces = CC_MAX_NAMESPACES * sizeof(uint32);

	memset(enc, 0, sizeof(*enc));
	cc_buf_init(&enc->buf);
	enc->origin_tag = cc_alloc(origins);
	memset(enc->origin_tag, 0, origins);
	enc->ns_tag = cc_alloc(namespaces);
	memset(enc->ns_tag, 0, namespaces);
	cc_encoder_reset(enc);
}

void
cc_encoder_free(CcEncoder *enc)
{
	cc_buf_free(&enc->buf);
	if (enc->origin_tag != NULL)
		cc_free(enc->origin_tag);
	if (enc->ns_tag != NULL)
		cc_free(enc->ns_tag);
	memset(enc, 0, sizeof(*enc));
}

void
cc_encoder_reset(CcEncoder *enc)
{
	enc->buf.len = 0;
	enc->norigins = 0;
	enc->nnamespaces = 0;
	if (++enc->generation > MAX_GENERATION)
	{
		memset(enc->origin_tag, 0, cc.state->origin_cap * sizeof(uint32));
		memset(enc->ns_tag, 0, CC_MAX_NAMESPACES * sizeof(uint32));
		enc->generation = 1;
	}
}

/* Announces an origin; the room is reserved. */
static uint16
announce_origin(CcEncoder *enc, uint16 origin)
{
	CcOriginShared *o = cc_origin(origin);
	char	   *p = enc->buf.data + enc->buf.len;

	Assert(origin < cc.state->origin_cap);
	Assert(cc_buf_room(&enc->buf) >= ORIGIN_BYTES);
	*p++ = 'O';
	memcpy(p, o->node.b, CC_ID_LEN);
	put64(p + CC_ID_LEN, o->incarnation);
	enc->buf.len += ORIGIN_BYTES;

	enc->origin_tag[origin] = enc->generation << 16 | enc->norigins;
	return (uint16) enc->norigins++;
}

/* Ditto for a namespace. */
static uint16
announce_namespace(CcEncoder *enc, uint16 ns)
{
	CcNamespaceShared *n = cc_namespace(ns);
	Size		dlen = strlen(n->database);
	Size		nlen = strlen(n->name);
	char	   *p = enc->buf.data + enc->buf.len;

	Assert(cc_buf_room(&enc->buf) >= 3 + dlen + nlen);
	*p++ = 'N';
	*p++ = (char) dlen;
	memcpy(p, n->database, dlen);
	p += dlen;
	*p++ = (char) nlen;
	memcpy(p, n->name, nlen);
	enc->buf.len += 3 + dlen + nlen;

	enc->ns_tag[ns] = enc->generation << 16 | enc->nnamespaces;
	return (uint16) enc->nnamespaces++;
}

static inline uint16
origin_ref(CcEncoder *enc, uint16 origin)
{
	uint32		tag = enc->origin_tag[origin];

	if (tag >> 16 == enc->generation)
		return (uint16) tag;
	return announce_origin(enc, origin);
}

static inline uint16
namespace_ref(CcEncoder *enc, uint16 ns)
{
	uint32		tag = enc->ns_tag[ns];

	if (tag >> 16 == enc->generation)
		return (uint16) tag;
	return announce_namespace(enc, ns);
}

/*
 * Between records only: an announcement is a record of its own.  Whoever
 * writes a record that refers to origins asks for all of them first.
 */
uint16
cc_encode_origin(CcEncoder *enc, uint16 origin)
{
	cc_buf_reserve(&enc->buf, ORIGIN_BYTES);
	return origin_ref(enc, origin);
}

/* What an entry's record needs to know beside key and value. */
typedef struct EntryFields
{
	uint64		hlc;
	uint64		at;
	uint64		seq;
	int64		expires;
	uint32		vallen;
	uint16		keylen;
	uint16		ns;
	uint16		origin;
	uint16		writer;
	uint16		at_node;
	uint8		kind;
} EntryFields;

/*
 * Writes everything up to the key, and returns where the key goes.  The room
 * is reserved; the buffer's length is the caller's to raise.
 */
static inline char *
put_entry_head(CcEncoder *enc, const EntryFields *f)
{
	uint16		ns = namespace_ref(enc, f->ns);
	uint16		origin = origin_ref(enc, f->origin);
	uint16		writer = origin_ref(enc, f->writer);
	uint16		at_node = 0;
	uint8		bits = 0;
	char	   *p;

	if (f->at != f->hlc || f->at_node != f->writer)
	{
		bits |= BIT_TOUCHED;
		at_node = origin_ref(enc, f->at_node);
	}
	if (f->expires != 0)
		bits |= BIT_EXPIRES;

	/* the announcements are written; now the entry in one go */
	p = enc->buf.data + enc->buf.len;
	*p++ = 'E';
	*p++ = (char) f->kind;
	*p++ = (char) bits;
	p = put16(p, ns);
	p = put16(p, origin);
	p = put16(p, writer);
	p = put64(p, f->hlc);
	p = put64(p, f->seq);
	if (bits & BIT_TOUCHED)
	{
		p = put64(p, f->at);
		p = put16(p, at_node);
	}
	if (bits & BIT_EXPIRES)
		p = put64(p, (uint64) f->expires);
	p = put16(p, f->keylen);
	return put32(p, f->vallen);
}

bool
cc_encode_stored(CcEncoder *enc, CcPartitionShared *p, CcHeaderShared *h,
				 Size *need)
{
	Size		payload = (Size) h->keylen + h->vallen;
	EntryFields f;
	char	   *to;

	if (cc_buf_room(&enc->buf) < CC_RECORD_ENTRY_MAX + payload)
	{
		*need = CC_RECORD_ENTRY_MAX + payload;
		return false;
	}

	f.hlc = h->hlc;
	f.at = h->at;
	f.seq = h->seq;
	f.expires = h->expires;
	f.vallen = h->vallen;
	f.keylen = h->keylen;
	f.ns = h->ns;
	f.origin = h->origin;
	f.writer = h->writer;
	f.at_node = h->at_node;
	f.kind = cc_kind(cc_header_type(h), cc_header_flags(h) & CC_F_ALL);
	to = put_entry_head(enc, &f);

	/* key and value follow the header; most entries are in one piece */
	if (payload <= CC_FIRST_PAYLOAD)
		memcpy(to, (char *) h + CC_HEADER_SIZE, payload);
	else
	{
		cc_store_copy_key(p, h, to);
		cc_store_copy_value(p, h, to + h->keylen);
	}
	enc->buf.len = to + payload - enc->buf.data;
	return true;
}

void
cc_encode_entry(CcEncoder *enc, const CcEntry *e)
{
	EntryFields f;
	char	   *to;

	cc_buf_reserve(&enc->buf,
				   CC_RECORD_ENTRY_MAX + (Size) e->keylen + e->vallen);
	f.hlc = e->hlc;
	f.at = e->at;
	f.seq = e->seq;
	f.expires = e->expires;
	f.vallen = e->vallen;
	f.keylen = e->keylen;
	f.ns = e->ns;
	f.origin = e->origin;
	f.writer = e->writer;
	f.at_node = e->at_node;
	f.kind = cc_kind(e->type, e->flags & CC_F_ALL);
	to = put_entry_head(enc, &f);
	memcpy(to, e->key, e->keylen);
	to += e->keylen;
	if (e->vallen > 0)
		memcpy(to, e->value, e->vallen);
	enc->buf.len = to + e->vallen - enc->buf.data;
}

void
cc_encode_vv(CcEncoder *enc, char type, const CcVV *v)
{
	uint16		n = 0;
	char	   *p;

	Assert(v->n <= CC_MAX_ORIGINS);
	cc_buf_reserve(&enc->buf, 3 + (Size) v->n * (ORIGIN_BYTES + PAIR_BYTES));
	for (int i = 0; i < v->n; i++)
	{
		if (v->seq[i] != 0)
		{
			origin_ref(enc, (uint16) i);
			n++;
		}
	}

	p = enc->buf.data + enc->buf.len;
	*p++ = type;
	p = put16(p, n);
	for (int i = 0; i < v->n; i++)
	{
		if (v->seq[i] != 0)
		{
			p = put16(p, origin_ref(enc, (uint16) i));
			p = put64(p, v->seq[i]);
		}
	}
	enc->buf.len = p - enc->buf.data;
}

void
cc_encode_floor(CcEncoder *enc, int slice)
{
	CcPartitionShared *p = cc_store_partition_of((uint64) slice << 57);
	char	   *to;
	Size		len;

	cc_buf_reserve(&enc->buf, 1 + 1 + 4 + cc_floor_max_bytes());
	to = enc->buf.data + enc->buf.len;
	*to++ = 'F';
	*to++ = (char) slice;

	cc_store_lock(p, false);
	len = cc_floor_write(slice, to + 4);
	cc_store_unlock(p);

	put32(to, (uint32) len);
	enc->buf.len = to + 4 + len - enc->buf.data;
}

void
cc_encode_left_out(CcEncoder *enc, uint16 ns)
{
	uint16		ref = namespace_ref(enc, ns);

	cc_buf_put_u8(&enc->buf, 'U');
	cc_buf_put_u16(&enc->buf, ref);
}

void
cc_decoder_init(CcDecoder *dec, const void *data, Size len)
{
	memset(dec, 0, sizeof(*dec));
	cc_reader_init(&dec->r, data, len);
}

void
cc_decoder_free(CcDecoder *dec)
{
	if (dec->origin != NULL)
		cc_free(dec->origin);
	if (dec->ns != NULL)
		cc_free(dec->ns);
	dec->origin = NULL;
	dec->ns = NULL;
}

/* Refuses the message; the first reason stands. */
static bool
refuse(CcDecoder *dec, const char *why)
{
	if (dec->error == NULL)
		dec->error = why;
	dec->r.bad = true;
	dec->r.p = dec->r.end;
	return false;
}

static bool
take_origin(CcDecoder *dec)
{
	const char *p = cc_read_bytes(&dec->r, ORIGIN_BYTES - 1);
	CcNodeId	node;
	uint64		incarnation;
	uint16		origin;

	if (p == NULL)
		return refuse(dec, "an origin is cut short");
	memcpy(node.b, p, CC_ID_LEN);
	incarnation = get64(p + CC_ID_LEN);
	if (cc_id_is_zero(&node) || incarnation == 0)
		return refuse(dec, "an origin is not valid");
	if (dec->norigins >= CC_MAX_ORIGINS)
		return refuse(dec, "too many origins");
	if (dec->origin == NULL)
		dec->origin = cc_alloc(CC_MAX_ORIGINS * sizeof(uint16));

	origin = dec->only_look ? cc_state_find_origin(&node, incarnation) :
		cc_state_origin(&node, incarnation);
	if (origin == CC_NO_ORIGIN && !dec->only_look)
	{
		dec->full = true;
		return refuse(dec, "no room for another origin");
	}
	dec->origin[dec->norigins++] = origin;
	return true;
}

/* Reads a name of a database or namespace into to. */
static bool
take_name(CcDecoder *dec, char to[CC_NAME_LEN])
{
	uint8		len = cc_read_u8(&dec->r);
	const char *p = cc_read_bytes(&dec->r, len);

	if (p == NULL || len >= CC_NAME_LEN || memchr(p, '\0', len) != NULL)
		return false;
	memcpy(to, p, len);
	to[len] = '\0';
	return true;
}

static bool
take_namespace(CcDecoder *dec)
{
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	uint16		ns;

	if (!take_name(dec, database) || !take_name(dec, name))
		return refuse(dec, "the name of a namespace is not valid");
	if (dec->nnamespaces >= CC_MAX_NAMESPACES)
		return refuse(dec, "too many namespaces");
	if (dec->ns == NULL)
		dec->ns = cc_alloc(CC_MAX_NAMESPACES * sizeof(uint16));

	ns = dec->only_look ? cc_state_find_namespace(database, name) :
		cc_state_namespace(database, name);
	if (ns == CC_NO_NS && !dec->only_look)
	{
		dec->full = true;
		return refuse(dec, "no room for another namespace");
	}
	dec->ns[dec->nnamespaces++] = ns;
	return true;
}

char
cc_decode_next(CcDecoder *dec)
{
	for (;;)
	{
		char		type;

		if (dec->r.bad)
		{
			refuse(dec, "the message is cut short");
			return 0;
		}
		if (cc_reader_left(&dec->r) == 0)
			return 0;

		type = (char) cc_read_u8(&dec->r);
		if (type == 'O')
			take_origin(dec);
		else if (type == 'N')
			take_namespace(dec);
		else if (type == 0)
			refuse(dec, "a record has no type");
		else
			return type;
	}
}

bool
cc_decode_origin_ref(CcDecoder *dec, uint16 ref, uint16 *origin)
{
	if (dec->r.bad || ref >= dec->norigins)
		return refuse(dec, "an origin was not announced");
	*origin = dec->origin[ref];
	return true;
}

/* What an entry may hold, whatever its lengths and numbers are. */
static bool
entry_is_sound(const CcEntry *e)
{
	int64		number;
	uint32		extra = cc_extra_len(e->type, e->flags);

	if (e->type > CC_LAST_TYPE || e->flags & ~CC_F_ALL)
		return false;
	if (e->keylen < 1 || e->keylen > CC_MAX_KEY || e->vallen > MAX_VALUE)
		return false;
	if ((e->flags & CC_F_TOMBSTONE) && e->type != CC_STUB)
		return false;
	if (e->vallen < extra || ((e->type == CC_STUB || e->flags & CC_F_NULL) &&
							  e->vallen != extra))
		return false;
	if ((e->flags & CC_F_EXTRA) && (e->type == CC_COUNTER ||
									(e->type == CC_STUB &&
									 !(e->flags & CC_F_TOMBSTONE))))
		return false;
	if (e->type == CC_COUNTER &&
		!cc_counter_value(e->value, e->vallen, &number))
		return false;

	/* every VV covers sequence number 0, none but an infinite one the last */
	return e->seq > 0 && e->seq < CC_VV_INF && e->hlc > 0 &&
		e->at >= e->hlc && e->expires >= 0;
}

/*
 * The parts of an entry behind its head; p is where they begin, and behind
 * them are the key and the value.
 */
static bool
take_entry_rest(CcDecoder *dec, uint8 bits, CcEntry *e)
{
	Size		len = ENTRY_LENGTHS;
	const char *p;
	Size		payload;

	if (bits & BIT_TOUCHED)
		len += ENTRY_TOUCHED;
	if (bits & BIT_EXPIRES)
		len += ENTRY_EXPIRES;
	if ((p = cc_read_bytes(&dec->r, len)) == NULL)
		return refuse(dec, "an entry is cut short");

	e->at = e->hlc;
	e->at_node = e->writer;
	if (bits & BIT_TOUCHED)
	{
		e->at = get64(p);
		if (!cc_decode_origin_ref(dec, get16(p + 8), &e->at_node))
			return false;
		p += ENTRY_TOUCHED;
	}
	e->expires = 0;
	if (bits & BIT_EXPIRES)
	{
		e->expires = (int64) get64(p);
		p += ENTRY_EXPIRES;
	}
	e->keylen = get16(p);
	e->vallen = get32(p + 2);

	payload = (Size) e->keylen + e->vallen;
	if ((e->key = cc_read_bytes(&dec->r, payload)) == NULL)
		return refuse(dec, "an entry is cut short");
	e->value = e->key + e->keylen;
	e->block = e->tail = NULL;
	e->taillen = 0;
	return true;
}

bool
cc_decode_entry(CcDecoder *dec, CcEntry *e)
{
	const char *p = cc_read_bytes(&dec->r, ENTRY_HEAD);
	uint8		bits;
	uint16		ns;
	uint64		hash[2];

	if (p == NULL)
		return refuse(dec, "an entry is cut short");
	e->type = cc_kind_type((uint8) p[0]);
	e->flags = cc_kind_flags((uint8) p[0]);
	bits = (uint8) p[1];
	ns = get16(p + 2);
	e->hlc = get64(p + 8);
	e->seq = get64(p + 16);

	if (bits & ~BITS_ALL)
		return refuse(dec, "an entry has unknown parts");
	if (ns >= dec->nnamespaces)
		return refuse(dec, "a namespace was not announced");
	e->ns = dec->ns[ns];
	if (!cc_decode_origin_ref(dec, get16(p + 4), &e->origin) ||
		!cc_decode_origin_ref(dec, get16(p + 6), &e->writer) ||
		!take_entry_rest(dec, bits, e))
		return false;
	if (!entry_is_sound(e))
		return refuse(dec, "an entry is not valid");

	/* of a stub it does not matter what its value was */
	if (e->type == CC_STUB)
		e->flags &= CC_F_TOMBSTONE | CC_F_EXTRA;
	if (e->vallen == 0)
		e->value = NULL;
	if (e->ns == CC_NO_NS)
		return true;
	cc_store_hash(e->ns, e->key, e->keylen, hash);
	e->hash = hash[0];
	return true;
}

bool
cc_decode_vv(CcDecoder *dec, CcVV *v)
{
	uint16		n = cc_read_u16(&dec->r);
	const char *p = cc_read_bytes(&dec->r, (Size) n * PAIR_BYTES);

	cc_vv_clear(v);
	if (p == NULL)
		return refuse(dec, "a vector is cut short");
	for (uint16 i = 0; i < n; i++, p += PAIR_BYTES)
	{
		uint16		origin;

		if (!cc_decode_origin_ref(dec, get16(p), &origin))
			return false;
		if (origin != CC_NO_ORIGIN)
			cc_vv_raise(v, origin, get64(p + 2));
	}
	return true;
}

bool
cc_decode_floor(CcDecoder *dec, int *slice, const char **data, Size *len)
{
	*slice = cc_read_u8(&dec->r);
	*len = cc_read_u32(&dec->r);
	*data = cc_read_bytes(&dec->r, *len);
	if (*data == NULL || *slice >= CC_SLICES || !cc_floor_check(*data, *len))
		return refuse(dec, "a slice of the floor is not valid");
	return true;
}

bool
cc_decode_left_out(CcDecoder *dec, uint16 *ns)
{
	uint16		ref = cc_read_u16(&dec->r);

	if (dec->r.bad || ref >= dec->nnamespaces)
		return refuse(dec, "a namespace was not announced");
	*ns = dec->ns[ref];
	return true;
}
