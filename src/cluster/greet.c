/*-------------------------------------------------------------------------
 *
 * greet.c
 *	  See greet.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/greet.h"

#include "base/events.h"
#include "cache/cache.h"
#include "cluster/membership.h"
#include "cluster/reach.h"

void
cc_greet_init(CcGreeting *g)
{
	memset(g, 0, sizeof(*g));
	cc_vv_init(&g->vv);
}

void
cc_greet_free(CcGreeting *g)
{
	cc_vv_free(&g->vv);
	if (g->clean != NULL)
		cc_free(g->clean);
	g->clean = NULL;
}

void
cc_greet_put(CcEncoder *enc)
{
	cc_proto_put_intro(enc);
	cc_proto_put_members(enc);
	cc_proto_put_heartbeat(enc);
}

void
cc_greet_put_status(CcEncoder *enc, CcStatus status, uint64 boot_known)
{
	cc_buf_reserve(&enc->buf, 18);
	cc_buf_put_u8(&enc->buf, 'X');
	cc_buf_put_u8(&enc->buf, status);
	cc_buf_put_u64(&enc->buf, boot_known);
	cc_buf_put_u64(&enc->buf, (uint64) cc_clock_ms());
}

bool
cc_greet_get_status(CcDecoder *dec, CcGreeting *g)
{
	g->status = cc_read_u8(&dec->r);
	g->boot_known = cc_read_u64(&dec->r);
	g->wall_ms = (int64) cc_read_u64(&dec->r);
	return !dec->r.bad;
}

static bool
take_clean(CcDecoder *dec, CcGreeting *g)
{
	if (g->clean == NULL)
		g->clean = cc_alloc(CC_MAX_ORIGINS * sizeof(uint16));
	return cc_proto_take_clean(dec, g->clean, CC_MAX_ORIGINS, &g->nclean,
							   &g->clean_hash);
}

/* The first pass: who it is.  Everything else is only stepped over. */
static bool
read_record(CcDecoder *dec, CcGreeting *g, char type, bool *have_intro)
{
	CcEntry		e;

	switch (type)
	{
		case 'I':
			*have_intro = true;
			return cc_proto_get_intro(dec, &g->intro);
		case 'X':
			return cc_greet_get_status(dec, g);
		case 'V':
			return cc_decode_vv(dec, &g->vv);
		case 'E':
			return cc_decode_entry(dec, &e);
		case 'C':
			return take_clean(dec, g);
		case 'J':
			return cc_reach_take(dec, false);
		case 'K':
			return cc_proto_take_third_hand(dec, false);
		default:
			return false;
	}
}

CcStatus
cc_greet_read(CcDecoder *dec, const CcMsgHead *head, CcGreeting *g)
{
	bool		have_intro = false;
	CcPhase		phase = cc_state_phase();
	char		type;

	/* or we were removed, and stay alone */
	if (phase == CC_STARTING || phase == CC_LOADING || phase == CC_CLOSED ||
		pg_atomic_read_u32(&cc.members->removed) != 0)
		return CC_REFUSED_NOT_READY;
	/* a stranger leaves nothing behind, not even names of origins */
	dec->only_look = true;
	while ((type = cc_decode_next(dec)) != 0)
	{
		if (!read_record(dec, g, type, &have_intro))
			return CC_REFUSED_BAD;
	}
	if (dec->error != NULL)
		return CC_REFUSED_BAD;
	if (g->status != CC_OK)
		return g->status;
	if (!have_intro || head->boot == 0)
		return CC_REFUSED_BAD;
	if (cc_hlc_too_far(head->hlc, cc.state->max_skew_ms))
		return CC_REFUSED_SKEW;
	return CC_OK;
}

static bool
is_removed(int slot)
{
	bool		removed;

	cc_lock_shared(&cc.members->lock);
	removed = cc.members->member[slot].removed;
	cc_unlock(&cc.members->lock);
	return removed;
}

CcStatus
cc_greet_meet(const CcMsgHead *head, const CcGreeting *g, bool ordered)
{
	int			slot;
	bool		same;

	same = cc_id_cmp(&g->intro.cluster, &cc.state->cluster_id) == 0 &&
		!cc_id_is_zero(&g->intro.cluster);
	if (cc_id_cmp(&head->node, &cc.state->id) == 0)
	{
		if (head->boot == cc.state->boot)
			return CC_REFUSED_SELF;
		/* a copy of us also has our group */
		if (same)
			cc_greet_twin(head->boot);
		return CC_REFUSED_TWIN;
	}
	slot = cc_membership_find(&head->node);
	if (slot >= 0 && is_removed(slot))
		return CC_REFUSED_REMOVED;

	if (slot < 0 && !ordered && !same)
		return CC_REFUSED_STRANGER;
	cc_hlc_observe(&cc.state->hlc, head->hlc);
	if (!same && !cc_id_is_zero(&g->intro.cluster))
		cc_membership_merge_cluster(&g->intro.cluster, g->intro.oldest);
	if (slot < 0 &&
		!cc_membership_meet(&head->node, g->intro.incarnation,
							g->intro.joined, g->intro.name, g->intro.address))
		return CC_REFUSED_FULL;
	return CC_OK;
}

static uint64
above(uint64 known)
{
	uint64		wall = (uint64) (cc_clock_ms() / 1000);

	return Max(wall, Min(known, CC_MAX_BOOT - 1) + 1);
}

void
cc_greet_outlive(uint64 boot_known)
{
	uint64		boot = above(boot_known);
	CcNodeId	id = cc.state->id;

	if (!cc_rule(new_origin))
		return;
	cc_lock_exclusive(&cc.state->lock);
	if (boot > cc.state->boot)
		cc.state->boot = boot;
	cc_unlock(&cc.state->lock);
	(void) cc_cache_new_origin(&id, Max(boot, cc.state->incarnation + 1));
	cc_membership_announce(NULL, NULL);
	cc_wake_writer();
}

void
cc_greet_twin(uint64 their_boot)
{
	CcNodeId	id;
	uint64		joined;
	char		name[CC_NAME_LEN];
	char		address[CC_ADDRESS_LEN];
	char		text[CC_ID_TEXT_LEN];

	if (their_boot >= cc.state->boot)
		return;
	cc_membership_self(&joined, name, address);
	cc_random(&id, sizeof(id));
	if (!cc_cache_new_origin(&id, 1))
		return;
	cc_membership_rebuild();
	cc_membership_announce(name, address);
	cc_wake_writer();
	cc_log(CC_WARN, "another running node has the same identity, as its data "
		   "directory was copied; this one goes on as %s",
		   cc_id_text(&id, text));
	cc_event(CC_EVENT_IDENTITY, NULL, "\"node_id\": \"%s\", \"why\": "
			 "\"another running node has the same\"", text);
}

void
cc_greet_learn(const CcMsgHead *head, const CcGreeting *g)
{
	uint16		self = cc_state_self();
	uint64		theirs = cc_vv_get(&g->vv, self);

	(void) cc_changelog_published();
	if (theirs > cc_state_vv(self))
		cc_greet_outlive(cc.state->boot);
	cc_membership_learn(&head->node, head->boot, &g->vv,
						g->have_clean ? g->clean : NULL, g->nclean,
						g->clean_hash);
}

/* A member entry of the handshake: taken as any entry, only sooner. */
static void
take_member(const CcMsgHead *head, const CcEntry *e)
{
	CcChange	c = {.op = CC_OP_TAKE};
	CcOutcome	o;

	if (e->ns != CC_NS_SYSTEM || e->at > head->hlc || e->hlc > e->at ||
		e->seq == 0)
		return;
	c.ns = e->ns;
	c.key = e->key;
	c.keylen = e->keylen;
	c.entry = e;
	(void) cc_cache_change(&c, &o);
}

/* One record of the second pass. */
static bool
take_record(CcDecoder *dec, const CcMsgHead *head, CcGreeting *g, char type)
{
	CcGreeting	again;
	CcEntry		e;
	bool		have_intro;

	switch (type)
	{
		case 'E':
			if (!cc_decode_entry(dec, &e))
				return false;
			take_member(head, &e);
			return true;
		case 'V':
			return cc_decode_vv(dec, &g->vv);
		case 'C':
			g->have_clean = true;
			return take_clean(dec, g);
		case 'J':
			return cc_reach_take(dec, true);
		case 'K':
			return cc_proto_take_third_hand(dec, true);
		default:
			/* 'I' and 'X', which are known */
			return read_record(dec, &again, type, &have_intro);
	}
}

CcStatus
cc_greet_take(const void *data, Size len, CcGreeting *g)
{
	CcDecoder	dec;
	CcMsgHead	head;
	CcStatus	status;
	char		type;

	cc_decoder_init(&dec, data, len);
	status = cc_proto_head(&dec, &head);
	while (status == CC_OK && (type = cc_decode_next(&dec)) != 0)
	{
		if (!take_record(&dec, &head, g, type))
			status = CC_REFUSED_BAD;
	}
	if (dec.error != NULL)
		status = dec.full ? CC_REFUSED_FULL : CC_REFUSED_BAD;
	cc_decoder_free(&dec);
	return status;
}
