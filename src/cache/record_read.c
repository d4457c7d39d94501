/*-------------------------------------------------------------------------
 *
 * record_read.c
 *	  Bytes as entries and vectors; see record.h.
 *
 * What is read here may come from a peer or from a damaged file: every length
 * and index is checked against the message, and nothing that is returned
 * points outside of it, or of what the decoder keeps.  A message that is
 * refused says why in dec->error.
 *
 * Locking: none.
 *
 * May include: base/, state.h, store.h, floor.h, counter.h, extra.h,
 * siblings.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/record_private.h"

#include "cache/counter.h"
#include "cache/extra.h"

void
cc_decoder_init(CcDecoder *dec, const void *data, Size len)
{
	memset(dec, 0, sizeof(*dec));
	cc_buf_init(&dec->block);
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
	cc_buf_free(&dec->block);
}

bool
cc_record_refuse(CcDecoder *dec, const char *why)
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
	const char *p = cc_read_bytes(&dec->r, CC_ORIGIN_BYTES - 1);
	CcNodeId	node;
	uint64		incarnation;
	uint16		origin;

	if (p == NULL)
		return cc_record_refuse(dec, "an origin is cut short");
	memcpy(node.b, p, CC_ID_LEN);
	incarnation = cc_get64(p + CC_ID_LEN);
	if (cc_id_is_zero(&node) || incarnation == 0)
		return cc_record_refuse(dec, "an origin is not valid");
	if (dec->norigins >= CC_MAX_ORIGINS)
		return cc_record_refuse(dec, "too many origins");
	if (dec->origin == NULL)
		dec->origin = cc_alloc(CC_MAX_ORIGINS * sizeof(uint16));

	origin = dec->only_look ? cc_state_find_origin(&node, incarnation) :
		cc_state_origin(&node, incarnation);
	if (origin == CC_NO_ORIGIN && !dec->only_look)
	{
		dec->full = true;
		return cc_record_refuse(dec, "no room for another origin");
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
		return cc_record_refuse(dec, "the name of a namespace is not valid");
	if (dec->nnamespaces >= CC_MAX_NAMESPACES)
		return cc_record_refuse(dec, "too many namespaces");
	if (dec->ns == NULL)
		dec->ns = cc_alloc(CC_MAX_NAMESPACES * sizeof(uint16));

	ns = dec->only_look ? cc_state_find_namespace(database, name) :
		cc_state_namespace(database, name);
	if (ns == CC_NO_NS && !dec->only_look)
	{
		dec->full = true;
		return cc_record_refuse(dec, "no room for another namespace");
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
			cc_record_refuse(dec, "the message is cut short");
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
			cc_record_refuse(dec, "a record has no type");
		else
			return type;
	}
}

bool
cc_decode_origin_ref(CcDecoder *dec, uint16 ref, uint16 *origin)
{
	if (dec->r.bad || ref >= dec->norigins)
		return cc_record_refuse(dec, "an origin was not announced");
	*origin = dec->origin[ref];
	return true;
}

bool
cc_record_is_sound(const CcEntry *e, uint32 own)
{
	uint32		extra = cc_extra_len(e->type, e->flags);

	if (e->type > CC_LAST_TYPE || e->flags & ~CC_F_ALL || own > CC_MAX_VALUE)
		return false;
	if ((e->flags & CC_F_TOMBSTONE) && e->type != CC_STUB)
		return false;
	if (own < extra ||
		((e->type == CC_STUB || e->flags & CC_F_NULL) && own != extra))
		return false;
	if ((e->flags & CC_F_EXTRA) && (e->type == CC_COUNTER ||
									(e->type == CC_STUB &&
									 !(e->flags & CC_F_TOMBSTONE))))
		return false;

	/* every VV covers sequence number 0, none but an infinite one the last */
	return e->seq > 0 && e->seq < CC_VV_INF && e->hlc > 0 &&
		e->at >= e->hlc && e->expires >= 0;
}

/* What an entry may hold, whatever its lengths and numbers are. */
static bool
entry_is_sound(const CcEntry *e, uint32 blocklen)
{
	int64		number;

	if (e->keylen < 1 || e->keylen > CC_MAX_KEY)
		return false;
	if (e->type == CC_COUNTER &&
		!cc_counter_value(e->value, e->vallen, &number))
		return false;
	return cc_record_is_sound(e, e->vallen - blocklen);
}

/*
 * The parts of an entry behind its head; p is where they begin, and behind
 * them are the key and the value.
 */
static bool
take_entry_rest(CcDecoder *dec, uint8 bits, CcEntry *e)
{
	Size		len = CC_ENTRY_LENGTHS;
	const char *p;
	Size		payload;

	if (bits & CC_BIT_TOUCHED)
		len += CC_ENTRY_TOUCHED;
	if (bits & CC_BIT_EXPIRES)
		len += CC_ENTRY_EXPIRES;
	if ((p = cc_read_bytes(&dec->r, len)) == NULL)
		return cc_record_refuse(dec, "an entry is cut short");

	e->at = e->hlc;
	e->at_node = e->writer;
	if (bits & CC_BIT_TOUCHED)
	{
		e->at = cc_get64(p);
		if (!cc_decode_origin_ref(dec, cc_get16(p + 8), &e->at_node))
			return false;
		p += CC_ENTRY_TOUCHED;
	}
	e->expires = 0;
	if (bits & CC_BIT_EXPIRES)
	{
		e->expires = (int64) cc_get64(p);
		p += CC_ENTRY_EXPIRES;
	}
	e->keylen = cc_get16(p);
	e->vallen = cc_get32(p + 2);

	payload = (Size) e->keylen + e->vallen;
	if ((e->key = cc_read_bytes(&dec->r, payload)) == NULL)
		return cc_record_refuse(dec, "an entry is cut short");
	e->value = e->key + e->keylen;
	e->block = e->tail = NULL;
	e->taillen = 0;
	return true;
}

bool
cc_decode_entry(CcDecoder *dec, CcEntry *e)
{
	const char *p = cc_read_bytes(&dec->r, CC_ENTRY_HEAD);
	uint8		bits;
	uint16		ns;
	uint64		hash[2];
	uint32		blocklen = 0;

	if (p == NULL)
		return cc_record_refuse(dec, "an entry is cut short");
	e->type = cc_kind_type((uint8) p[0]);
	e->flags = cc_kind_flags((uint8) p[0]);
	bits = (uint8) p[1];
	ns = cc_get16(p + 2);
	e->hlc = cc_get64(p + 8);
	e->seq = cc_get64(p + 16);

	if (bits & ~CC_BITS_ALL)
		return cc_record_refuse(dec, "an entry has unknown parts");
	if (ns >= dec->nnamespaces)
		return cc_record_refuse(dec, "a namespace was not announced");
	e->ns = dec->ns[ns];
	if (!cc_decode_origin_ref(dec, cc_get16(p + 4), &e->origin) ||
		!cc_decode_origin_ref(dec, cc_get16(p + 6), &e->writer) ||
		!take_entry_rest(dec, bits, e))
		return false;
	dec->latest = e->at;
	if ((e->flags & CC_F_SIBLINGS) && !cc_record_take_block(dec, e, &blocklen))
		return false;
	if (!entry_is_sound(e, blocklen))
		return cc_record_refuse(dec, "an entry is not valid");

	/* of a stub it does not matter what its value was */
	if (e->type == CC_STUB)
		e->flags &= CC_F_TOMBSTONE | CC_F_EXTRA | CC_F_SIBLINGS;
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
	const char *p = cc_read_bytes(&dec->r, (Size) n * CC_PAIR_BYTES);

	cc_vv_clear(v);
	if (p == NULL)
		return cc_record_refuse(dec, "a vector is cut short");
	for (uint16 i = 0; i < n; i++, p += CC_PAIR_BYTES)
	{
		uint16		origin;

		if (!cc_decode_origin_ref(dec, cc_get16(p), &origin))
			return false;
		if (origin != CC_NO_ORIGIN)
			cc_vv_raise(v, origin, cc_get64(p + 2));
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
		return cc_record_refuse(dec, "a slice of the floor is not valid");
	return true;
}

bool
cc_decode_left_out(CcDecoder *dec, uint16 *ns)
{
	uint16		ref = cc_read_u16(&dec->r);

	if (dec->r.bad || ref >= dec->nnamespaces)
		return cc_record_refuse(dec, "a namespace was not announced");
	*ns = dec->ns[ref];
	return true;
}
