/*-------------------------------------------------------------------------
 *
 * record.c
 *	  Entries and vectors as bytes; the way back is record_read.c.
 *
 * An entry refers to origins and namespaces by the numbers of its message's
 * dictionaries.  The encoder remembers for each of ours whether, and as what,
 * the running message has announced it: a map entry counts only while it
 * carries the message's generation, so that a new message costs nothing.
 *
 * Locking: see record.h; cc_encode_floor takes one partition's lock.
 *
 * May include: base/, state.h, store.h, floor.h, siblings.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/record_private.h"

#define MAX_GENERATION	0xffff

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
	Assert(cc_buf_room(&enc->buf) >= CC_ORIGIN_BYTES);
	*p++ = 'O';
	memcpy(p, o->node.b, CC_ID_LEN);
	cc_put64(p + CC_ID_LEN, o->incarnation);
	enc->buf.len += CC_ORIGIN_BYTES;

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
	cc_buf_reserve(&enc->buf, CC_ORIGIN_BYTES);
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
		bits |= CC_BIT_TOUCHED;
		at_node = origin_ref(enc, f->at_node);
	}
	if (f->expires != 0)
		bits |= CC_BIT_EXPIRES;

	/* the announcements are written; now the entry in one go */
	p = enc->buf.data + enc->buf.len;
	*p++ = 'E';
	*p++ = (char) f->kind;
	*p++ = (char) bits;
	p = cc_put16(p, ns);
	p = cc_put16(p, origin);
	p = cc_put16(p, writer);
	p = cc_put64(p, f->hlc);
	p = cc_put64(p, f->seq);
	if (bits & CC_BIT_TOUCHED)
	{
		p = cc_put64(p, f->at);
		p = cc_put16(p, at_node);
	}
	if (bits & CC_BIT_EXPIRES)
		p = cc_put64(p, (uint64) f->expires);
	p = cc_put16(p, f->keylen);
	return cc_put32(p, f->vallen);
}

bool
cc_encode_stored(CcEncoder *enc, CcPartitionShared *p, CcHeaderShared *h,
				 Size *need)
{
	Size		payload = (Size) h->keylen + h->vallen;
	bool		siblings = (cc_header_flags(h) & CC_F_SIBLINGS) != 0;
	EntryFields f;
	char	   *to;

	if (cc_buf_room(&enc->buf) < cc_record_room(h))
	{
		*need = cc_record_room(h);
		return false;
	}
	if (unlikely(siblings))
		cc_record_announce_stored(enc, p, h);

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
	if (unlikely(siblings))
		cc_record_number_block(enc, to + h->keylen, h->vallen);
	enc->buf.len = to + payload - enc->buf.data;
	return true;
}

void
cc_encode_entry(CcEncoder *enc, const CcEntry *e)
{
	bool		siblings = (e->flags & CC_F_SIBLINGS) != 0;
	EntryFields f;
	char	   *to;

	Assert(e->block == NULL && e->tail == NULL);
	cc_buf_reserve(&enc->buf, CC_RECORD_ENTRY_MAX +
				   (siblings ? CC_RECORD_SIBLINGS_MAX : 0) +
				   (Size) e->keylen + e->vallen);
	if (siblings)
		cc_record_announce_block(enc, e->value, e->vallen);
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
	if (siblings)
		cc_record_number_block(enc, to, e->vallen);
	enc->buf.len = to + e->vallen - enc->buf.data;
}

void
cc_encode_vv(CcEncoder *enc, char type, const CcVV *v)
{
	uint16		n = 0;
	char	   *p;

	Assert(v->n <= CC_MAX_ORIGINS);
	cc_buf_reserve(&enc->buf,
				   3 + (Size) v->n * (CC_ORIGIN_BYTES + CC_PAIR_BYTES));
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
	p = cc_put16(p, n);
	for (int i = 0; i < v->n; i++)
	{
		if (v->seq[i] != 0)
		{
			p = cc_put16(p, origin_ref(enc, (uint16) i));
			p = cc_put64(p, v->seq[i]);
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

	cc_put32(to, (uint32) len);
	enc->buf.len = to + 4 + len - enc->buf.data;
}

void
cc_encode_left_out(CcEncoder *enc, uint16 ns)
{
	uint16		ref = namespace_ref(enc, ns);

	cc_buf_put_u8(&enc->buf, 'U');
	cc_buf_put_u16(&enc->buf, ref);
}
