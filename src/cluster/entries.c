/*-------------------------------------------------------------------------
 *
 * entries.c
 *	  See entries.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/entries.h"

/* Longest value of a member entry */
#define MEMBER_LEN		(8 + 8 + 1 + CC_NAME_LEN + 1 + CC_ADDRESS_LEN)

void
cc_entries_key(char key[CC_ID_KEY_LEN], char kind, const CcNodeId *id)
{
	key[0] = kind;
	memcpy(key + 1, id->b, CC_ID_LEN);
}

void
cc_entries_text(char *to, Size size, const char *from, Size len)
{
	if (len > size - 1)
	{
		len = size - 1;
		while (len > 0 && ((uint8) from[len] & 0xc0) == 0x80)
			len--;
	}
	for (Size i = 0; i < len; i++)
		to[i] = (uint8) from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
	to[len] = '\0';
}

static bool
read_text(CcReader *r, char *to, Size size)
{
	uint8		len = cc_read_u8(r);
	const char *p = cc_read_bytes(r, len);

	if (p == NULL)
		return false;
	cc_entries_text(to, size, p, len);
	return true;
}

bool
cc_entries_parse_member(const CcEntry *e, CcMemberEntry *v)
{
	CcReader	r;

	cc_reader_init(&r, e->value, e->vallen);
	v->incarnation = cc_read_u64(&r);
	v->joined = cc_read_u64(&r);
	return read_text(&r, v->name, sizeof(v->name)) &&
		read_text(&r, v->address, sizeof(v->address)) &&
		v->incarnation != 0;
}

void
cc_entries_build_member(CcBuf *b, const CcMemberEntry *v)
{
	Size		len;

	b->len = 0;
	cc_buf_reserve(b, MEMBER_LEN);
	cc_buf_put_u64(b, v->incarnation);
	cc_buf_put_u64(b, v->joined);
	len = strlen(v->name);
	cc_buf_put_u8(b, (uint8) len);
	cc_buf_put(b, v->name, len);
	len = strlen(v->address);
	cc_buf_put_u8(b, (uint8) len);
	cc_buf_put(b, v->address, len);
}

void
cc_entries_build_cluster(CcBuf *b, const CcNodeId *id, uint64 oldest)
{
	b->len = 0;
	cc_buf_reserve(b, CC_ID_LEN + 8);
	cc_buf_put(b, id->b, CC_ID_LEN);
	cc_buf_put_u64(b, oldest);
}

bool
cc_entries_parse_cluster(const CcEntry *e, CcNodeId *id, uint64 *oldest)
{
	CcReader	r;
	const char *p;

	cc_reader_init(&r, e->value, e->vallen);
	p = cc_read_bytes(&r, CC_ID_LEN);
	*oldest = cc_read_u64(&r);
	if (r.bad)
		return false;
	memcpy(id->b, p, CC_ID_LEN);
	return true;
}

bool
cc_entries_read(const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	buf->len = 0;
	return cc_cache_peek(CC_NS_SYSTEM, key, keylen, e, buf) &&
		e->type != CC_STUB;
}

bool
cc_entries_write(const char *key, uint16 keylen, const char *value, Size len)
{
	CcChange	c = {.op = CC_OP_PUT};
	CcOutcome	o;

	c.ns = CC_NS_SYSTEM;
	c.key = key;
	c.keylen = keylen;
	c.type = CC_BYTEA;
	c.value = value;
	c.vallen = (uint32) len;
	return cc_cache_change(&c, &o) == CC_DONE;
}
