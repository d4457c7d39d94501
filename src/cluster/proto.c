/*-------------------------------------------------------------------------
 *
 * proto.c
 *	  See proto.h.
 *
 * A record that refers to origins has them announced before it begins: an
 * announcement is a record too, and cannot stand inside another.
 *
 * Locking: nothing here is called with a lock held.  Takes members->lock, and
 * one partition's lock at a time.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/proto.h"

#include "cache/cache.h"
#include "cache/changelog.h"
#include "cluster/membership.h"
#include "cluster/reach.h"

/* Where things stand in a message's head */
#define AT_FLAGS		7
#define AT_HLC			(CC_MSG_HEAD_LEN - 8)

/* Closed origins that are told in one heartbeat; the others wait */
#define MAX_CLEAN		256

const char *
cc_status_text(CcStatus status)
{
	switch (status)
	{
		case CC_OK:
			return "ok";
		case CC_REFUSED_BAD:
			return "malformed message";
		case CC_REFUSED_VERSION:
			return "it speaks another version of the protocol";
		case CC_REFUSED_STRANGER:
			return "neither node has the other as seed or member";
		case CC_REFUSED_REMOVED:
			return "the caller was removed from the group by cache_forget";
		case CC_REFUSED_FENCED:
			return "a newer session has begun, or an earlier batch was refused";
		case CC_REFUSED_BUSY:
			return "a full comparison with another node is under way";
		case CC_REFUSED_SKEW:
			return "the clocks differ by more than cachecluster.max_clock_skew";
		case CC_REFUSED_NOT_READY:
			return "the node takes no part now: it loads its files, shuts down or was removed";
		case CC_REFUSED_SELF:
			return "the address leads to the node itself";
		case CC_REFUSED_TWIN:
			return "another running node has the same identity";
		case CC_REFUSED_FULL:
			return "no room for another member or origin";
	}
	return "unknown status";
}

/* Little-endian, over eight bytes that were put earlier. */
static void
set_u64(CcBuf *b, Size at, uint64 v)
{
	cc_buf_set_u32(b, at, (uint32) v);
	cc_buf_set_u32(b, at + 4, (uint32) (v >> 32));
}

void
cc_proto_begin(CcEncoder *enc, CcMsgType type, uint8 flags, uint64 session)
{
	CcBuf	   *b = &enc->buf;

	cc_encoder_reset(enc);
	cc_buf_reserve(b, CC_MSG_HEAD_LEN);
	cc_buf_put_u32(b, CC_PROTO_MAGIC);
	cc_buf_put_u16(b, CC_PROTO_VERSION);
	cc_buf_put_u8(b, (uint8) type);
	cc_buf_put_u8(b, flags);
	cc_buf_put(b, cc.state->id.b, CC_ID_LEN);
	cc_buf_put_u64(b, cc.state->boot);
	cc_buf_put_u64(b, session);
	cc_buf_put_u64(b, pg_atomic_read_u64(&cc.state->hlc));
	Assert(b->len == CC_MSG_HEAD_LEN);
}

void
cc_proto_finish(CcEncoder *enc, uint8 flags)
{
	Assert(enc->buf.len >= CC_MSG_HEAD_LEN);
	enc->buf.data[AT_FLAGS] = (char) flags;
	set_u64(&enc->buf, AT_HLC, pg_atomic_read_u64(&cc.state->hlc));
}

CcStatus
cc_proto_head(CcDecoder *dec, CcMsgHead *head)
{
	CcReader   *r = &dec->r;
	uint32		magic = cc_read_u32(r);
	uint16		version = cc_read_u16(r);
	const char *id;

	memset(head, 0, sizeof(*head));
	if (r->bad || magic != CC_PROTO_MAGIC)
		return CC_REFUSED_BAD;
	/* the rest of the head may be another in another version */
	if (version != CC_PROTO_VERSION)
		return CC_REFUSED_VERSION;

	head->type = cc_read_u8(r);
	head->flags = cc_read_u8(r);
	id = cc_read_bytes(r, CC_ID_LEN);
	head->boot = cc_read_u64(r);
	head->session = cc_read_u64(r);
	head->hlc = cc_read_u64(r);
	if (r->bad)
		return CC_REFUSED_BAD;
	memcpy(head->node.b, id, CC_ID_LEN);

	if (head->type != CC_MSG_HELLO && head->type != CC_MSG_HELLO_REPLY &&
		head->type != CC_MSG_BATCH && head->type != CC_MSG_ACK)
		return CC_REFUSED_BAD;
	if (cc_id_is_zero(&head->node) || head->boot > CC_MAX_BOOT ||
		cc_reader_left(r) > CC_MSG_MAX)
		return CC_REFUSED_BAD;
	return CC_OK;
}

void
cc_proto_put_intro(CcEncoder *enc)
{
	CcBuf	   *b = &enc->buf;
	CcNodeId	cluster;
	char		name[CC_NAME_LEN];
	char		address[CC_ADDRESS_LEN];
	uint64		oldest = cc_membership_oldest();
	uint64		joined;
	Size		len;

	cc_membership_self(&joined, name, address);
	cc_lock_shared(&cc.state->lock);
	cluster = cc.state->cluster_id;
	cc_unlock(&cc.state->lock);

	cc_buf_reserve(b, 1 + CC_ID_LEN + 3 * 8 + 2 + CC_NAME_LEN + CC_ADDRESS_LEN);
	cc_buf_put_u8(b, 'I');
	cc_buf_put(b, cluster.b, CC_ID_LEN);
	cc_buf_put_u64(b, cc.state->incarnation);
	cc_buf_put_u64(b, joined);
	cc_buf_put_u64(b, oldest);
	len = strlen(name);
	cc_buf_put_u8(b, (uint8) len);
	cc_buf_put(b, name, len);
	len = strlen(address);
	cc_buf_put_u8(b, (uint8) len);
	cc_buf_put(b, address, len);
}

/* A string of at most size - 1 bytes, without a zero inside. */
static bool
get_text(CcReader *r, char *to, Size size)
{
	uint8		len = cc_read_u8(r);
	const char *p = cc_read_bytes(r, len);

	if (p == NULL || len >= size || memchr(p, '\0', len) != NULL)
		return false;
	memcpy(to, p, len);
	to[len] = '\0';
	return true;
}

bool
cc_proto_get_intro(CcDecoder *dec, CcIntro *intro)
{
	CcReader   *r = &dec->r;
	const char *id = cc_read_bytes(r, CC_ID_LEN);

	memset(intro, 0, sizeof(*intro));
	if (id != NULL)
		memcpy(intro->cluster.b, id, CC_ID_LEN);
	intro->incarnation = cc_read_u64(r);
	intro->joined = cc_read_u64(r);
	intro->oldest = cc_read_u64(r);
	if (!get_text(r, intro->name, sizeof(intro->name)) ||
		!get_text(r, intro->address, sizeof(intro->address)) ||
		intro->incarnation == 0 || intro->incarnation > CC_MAX_BOOT)
	{
		dec->error = "the introduction is not valid";
		r->bad = true;
		return false;
	}
	return true;
}

/*
 * PROTOCOL.md, members are entries: whom we may have forgotten after a crash
 * must hold no dot of ours that we have forgotten too.
 */
static bool
may_tell(const CcEntry *e)
{
	CcStateShared *s = cc.state;

	return e->origin != cc_state_self() || !s->persist ||
		pg_atomic_read_u32(&s->journal_failed) != 0 ||
		pg_atomic_read_u64(&s->synced) > e->seq;
}

/* Adds a system entry, if we have it. */
static void
put_system(CcEncoder *enc, CcBuf *scratch, const char *key, uint16 keylen)
{
	CcEntry		e;

	scratch->len = 0;
	if (cc_cache_peek(CC_NS_SYSTEM, key, keylen, &e, scratch) && may_tell(&e))
		cc_encode_entry(enc, &e);
}

void
cc_proto_put_members(CcEncoder *enc)
{
	CcNodeId	id[CC_MAX_MEMBERS];
	int			n = cc_membership_list(id);
	char		key[1 + CC_ID_LEN];
	CcBuf		scratch;

	cc_buf_init(&scratch);
	for (int i = 0; i < n; i++)
	{
		memcpy(key + 1, id[i].b, CC_ID_LEN);
		key[0] = 'm';
		put_system(enc, &scratch, key, sizeof(key));
		key[0] = 'r';
		put_system(enc, &scratch, key, sizeof(key));
		/* PROTOCOL.md, split records: in the handshake, before data */
		key[0] = 's';
		put_system(enc, &scratch, key, sizeof(key));
	}
	put_system(enc, &scratch, "c", 1);
	cc_buf_free(&scratch);
}

/*
 * Which closed origins we are clean of, said of the very VV that stands
 * before it: an origin whose component has moved meanwhile is left out.
 */
static void
put_clean(CcEncoder *enc, const CcVV *vv)
{
	uint16		origin[MAX_CLEAN];
	uint16		ref[MAX_CLEAN];
	uint64		hash = cc_membership_hash();
	int			n = cc_membership_clean(origin, MAX_CLEAN);
	uint16		said = 0;

	for (int i = 0; i < n; i++)
	{
		if (cc_state_vv(origin[i]) == cc_vv_get(vv, origin[i]))
			ref[said++] = cc_encode_origin(enc, origin[i]);
	}

	cc_buf_reserve(&enc->buf, 1 + 8 + 2 + 2 * MAX_CLEAN);
	cc_buf_put_u8(&enc->buf, 'C');
	cc_buf_put_u64(&enc->buf, hash);
	cc_buf_put_u16(&enc->buf, said);
	for (uint16 i = 0; i < said; i++)
		cc_buf_put_u16(&enc->buf, ref[i]);
}

/*
 * PROTOCOL.md, causal stability: whoever sees what we have seen of others waits for
 * all that we had written until then.  A write may have its position and not be
 * published, while another one behind it is.
 */
static void
copy_claim(CcVV *vv)
{
	uint16		self = cc_state_self();

	cc_state_copy_vv(vv);
	if (self == CC_NO_ORIGIN)
		return;
	cc_changelog_wait_published(cc_changelog_allocated());
	cc_vv_raise(vv, self, cc_state_vv(self));
}

void
cc_proto_put_claim(CcEncoder *enc)
{
	CcVV		vv;

	cc_vv_init(&vv);
	copy_claim(&vv);
	cc_encode_vv(enc, 'V', &vv);
	cc_vv_free(&vv);
}

void
cc_proto_put_heartbeat(CcEncoder *enc)
{
	CcVV		vv;

	cc_vv_init(&vv);
	copy_claim(&vv);
	cc_yield();
	cc_encode_vv(enc, 'V', &vv);
	put_clean(enc, &vv);
	cc_reach_put(enc);
	cc_membership_gossip(enc);
	cc_vv_free(&vv);
}

/* A number of origins and as many references; those beyond max are dropped. */
static bool
get_origins(CcDecoder *dec, uint16 *out, int max, int *n)
{
	uint16		count = cc_read_u16(&dec->r);

	*n = 0;
	if (cc_reader_left(&dec->r) < 2 * (Size) count)
		dec->r.bad = true;
	for (uint16 i = 0; i < count; i++)
	{
		uint16		origin;

		if (!cc_decode_origin_ref(dec, cc_read_u16(&dec->r), &origin))
			return false;
		if (*n < max)
			out[(*n)++] = origin;
	}
	return !dec->r.bad;
}

bool
cc_proto_take_clean(CcDecoder *dec, uint16 *clean, int max, int *nclean,
					uint64 *hash)
{
	*hash = cc_read_u64(&dec->r);
	return get_origins(dec, clean, max, nclean);
}

/* The body of a 'K'. */
typedef struct ThirdHand
{
	CcNodeId	node;
	uint64		boot;
	uint64		hash;
	uint16		clean[MAX_CLEAN];
	int			nclean;
	CcVV		vv;
} ThirdHand;

static bool
get_third_hand(CcDecoder *dec, ThirdHand *t)
{
	const char *id = cc_read_bytes(&dec->r, CC_ID_LEN);

	t->boot = cc_read_u64(&dec->r);
	t->hash = cc_read_u64(&dec->r);
	if (id == NULL || t->boot > CC_MAX_BOOT ||
		!get_origins(dec, t->clean, MAX_CLEAN, &t->nclean))
		return false;
	memcpy(t->node.b, id, CC_ID_LEN);
	return cc_decode_vv(dec, &t->vv);
}

bool
cc_proto_take_third_hand(CcDecoder *dec, bool believe)
{
	ThirdHand	t;
	bool		ok;

	cc_vv_init(&t.vv);
	ok = get_third_hand(dec, &t);
	if (ok && believe)
		cc_membership_learn(&t.node, t.boot, &t.vv,
							t.hash != 0 ? t.clean : NULL, t.nclean, t.hash);
	cc_vv_free(&t.vv);
	return ok;
}
