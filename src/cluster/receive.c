/*-------------------------------------------------------------------------
 *
 * receive.c
 *	  See receive.h.
 *
 * A message is taken record by record, in the order in which it was written:
 * entries, digest, G and F, and last the raise, which looks at the fence and
 * at busy once more (PROTOCOL.md, under concurrency).
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/receive.h"

#include "cache/cache.h"
#include "cluster/compare.h"
#include "cluster/detector.h"
#include "cluster/greet.h"
#include "cluster/membership.h"
#include "cluster/reach.h"

void
cc_receiver_init(CcReceiver *r)
{
	memset(r, 0, sizeof(*r));
	r->slot = -1;
	cc_encoder_init(&r->reply);
}

void
cc_receiver_free(CcReceiver *r)
{
	cc_encoder_free(&r->reply);
}

/* Begins the reply: head and status. */
static void
begin_reply(CcReceiver *r, CcMsgType type, uint8 flags, uint64 session,
			CcStatus status, uint64 boot_known)
{
	cc_proto_begin(&r->reply, type, flags, session);
	cc_greet_put_status(&r->reply, status, boot_known);
}

static CcStatus
refuse(CcReceiver *r, CcMsgType type, uint64 session, CcStatus status,
	   uint64 boot_known)
{
	begin_reply(r, type, 0, session, status, boot_known);
	return status;
}

/*
 * PROTOCOL.md, fence: a hello makes its session the newest of that peer, if
 * it is newer.  Whatever the older one had begun is over.
 */
static CcStatus
open_session(CcReceiver *r, const CcMsgHead *head, uint64 *boot_known,
			 bool *want_full)
{
	CcMemberShared *m;
	CcStatus	status = CC_OK;

	cc_lock_exclusive(&cc.members->lock);
	m = &cc.members->member[r->slot];
	*boot_known = Max(m->boot, m->session_boot);
	if (m->removed)
		status = CC_REFUSED_REMOVED;
	else if (head->boot < *boot_known ||
			 (head->boot == m->session_boot && head->session <= m->session))
		status = CC_REFUSED_FENCED;
	else
	{
		m->session_boot = head->boot;
		m->session = head->session;
		m->session_refused = false;
		if (cc.members->full_from == (uint32) r->slot + 1)
			cc.members->full_from = 0;
		*want_full = m->want_full;
	}
	cc_unlock(&cc.members->lock);
	return status;
}

CcStatus
cc_receive_hello(CcReceiver *r, int64 now, const void *data, Size len)
{
	CcDecoder	dec;
	CcMsgHead	head;
	CcGreeting	g;
	CcStatus	status;
	uint64		boot_known = 0;
	bool		want_full = false;

	cc_receiver_gone(r);
	cc_decoder_init(&dec, data, len);
	memset(&head, 0, sizeof(head));
	status = cc_proto_head(&dec, &head);
	cc_greet_init(&g);
	if (status == CC_OK && head.type != CC_MSG_HELLO)
		status = CC_REFUSED_BAD;
	if (status == CC_OK)
		status = cc_greet_read(&dec, &head, &g);
	if (status == CC_OK)
		status = cc_greet_meet(&head, &g, (head.flags & CC_MSG_F_SEED) != 0);
	if (status == CC_OK)
	{
		r->slot = cc_membership_find(&head.node);
		status = r->slot < 0 ? CC_REFUSED_FULL :
			open_session(r, &head, &boot_known, &want_full);
	}
	if (status == CC_OK)
		status = cc_greet_take(data, len, &g);
	if (status == CC_OK)
	{
		r->node = head.node;
		r->boot = head.boot;
		r->session = head.session;
		cc_greet_learn(&head, &g);
		cc_membership_keep(r->slot);
		cc_detector_heard(r->slot, now);
		begin_reply(r, CC_MSG_HELLO_REPLY, want_full ? CC_MSG_F_WANT_FULL : 0,
					head.session, CC_OK, boot_known);
		cc_greet_put(&r->reply);
		cc_proto_finish(&r->reply, want_full ? CC_MSG_F_WANT_FULL : 0);
	}
	else
	{
		r->slot = -1;
		(void) refuse(r, CC_MSG_HELLO_REPLY, head.session, status, boot_known);
	}
	cc_greet_free(&g);
	cc_decoder_free(&dec);
	return status;
}

/*
 * Whether the session is the newest of its peer and nothing of it was refused.
 * A later boot counts from whomever we heard of it: what the older one had
 * under way must not come in after others have judged what became of it.
 */
static bool
session_holds(const CcReceiver *r)
{
	const CcMemberShared *m = &cc.members->member[r->slot];

	return !m->removed && m->boot <= r->boot &&
		m->session_boot == r->boot && m->session == r->session &&
		!(m->session_refused && cc_rule(session_rest));
}

/*
 * PROTOCOL.md, one at a time.  Under members->lock.
 */
static CcStatus
enter_full(CcReceiver *r, int64 now, int64 peer_timeout, uint8 flags)
{
	CcMembersShared *ms = cc.members;
	uint32		me = (uint32) r->slot + 1;

	if ((flags & CC_MSG_F_DATA) == 0 || !cc_rule(one_at_a_time))
		return CC_OK;
	if (ms->full_from != 0 && ms->full_from != me)
	{
		if (now - ms->full_heard <= peer_timeout)
			return CC_REFUSED_BUSY;
		/* silent for too long: its session is fenced */
		ms->member[ms->full_from - 1].session_refused = true;
		ms->full_from = 0;
	}
	if ((flags & CC_MSG_F_FULL_BEGIN) != 0)
	{
		ms->full_from = me;

		/*
		 * Batches of others that are under way are refused at their next
		 * entry: what they brought before is judged by our digest.
		 */
		pg_atomic_fetch_add_u64(&ms->full_epoch, 1);
	}
	else if ((flags & CC_MSG_F_FULL) != 0 && ms->full_from != me)
		return CC_REFUSED_FENCED;
	if (ms->full_from == me)
		ms->full_heard = now;
	return CC_OK;
}

/* Fence and busy, for a batch that comes in. */
static CcStatus
admit(CcReceiver *r, const CcMsgHead *head, int64 now, int64 peer_timeout,
	  uint64 *epoch)
{
	CcStatus	status;

	if (r->slot < 0 || cc_id_cmp(&head->node, &r->node) != 0 ||
		head->boot != r->boot || head->session != r->session)
		return CC_REFUSED_FENCED;
	/*
	 * We were removed, and the caller has not heard of it: we stay alone.  Not
	 * CC_REFUSED_REMOVED, which would tell him that he was.
	 */
	if (pg_atomic_read_u32(&cc.members->removed) != 0)
		return CC_REFUSED_NOT_READY;
	cc_lock_exclusive(&cc.members->lock);
	if (cc.members->member[r->slot].removed)
		status = CC_REFUSED_REMOVED;
	else if (!session_holds(r))
		status = CC_REFUSED_FENCED;
	else
		status = enter_full(r, now, peer_timeout, head->flags);
	*epoch = pg_atomic_read_u64(&cc.members->full_epoch);
	cc_unlock(&cc.members->lock);
	if (status == CC_OK && cc_hlc_too_far(head->hlc, cc.state->max_skew_ms))
		status = CC_REFUSED_SKEW;
	return status;
}

/* PROTOCOL.md, fence: the rest of the session is refused too. */
static void
end_session(CcReceiver *r, CcStatus status)
{
	CcMemberShared *m;

	if (r->slot < 0 || (status == CC_REFUSED_BUSY && !cc_rule(busy_ends)))
		return;
	cc_lock_exclusive(&cc.members->lock);
	m = &cc.members->member[r->slot];
	if (m->session_boot == r->boot && m->session == r->session)
	{
		m->session_refused = true;
		if (cc.members->full_from == (uint32) r->slot + 1)
			cc.members->full_from = 0;
	}
	cc_unlock(&cc.members->lock);
}

void
cc_receiver_gone(CcReceiver *r)
{
	end_session(r, CC_REFUSED_FENCED);
	r->slot = -1;
}

/*
 * PROTOCOL.md, retire: before a raise makes VV infinite, entries beyond get
 * new dots.  Notes for each such origin where VV stood, plus one.
 */
static void
redot_retired(const CcVV *to, uint16 self, CcVV *before)
{
	for (int o = 0; o < to->n; o++)
	{
		uint64		vv = cc_state_vv(o);

		if (to->seq[o] != CC_VV_INF || o == self || vv == CC_VV_INF)
			continue;
		cc_vv_set(before, o, vv + 1);
		cc_cache_redot_beyond((uint16) o, vv);
	}
}

/*
 * PROTOCOL.md, raise last: VV rises when all entries are in, only forward,
 * only by what the sender said.
 */
static CcStatus
raise_vv(CcReceiver *r, const CcVV *to, bool full, uint64 epoch)
{
	CcStatus	status = CC_OK;
	uint16		self = cc_state_self();
	CcVV		before;

	cc_vv_init(&before);
	redot_retired(to, self, &before);
	cc_lock_exclusive(&cc.members->lock);
	if (!session_holds(r))
		status = CC_REFUSED_FENCED;
	else if (cc_rule(one_at_a_time) &&
			 (pg_atomic_read_u64(&cc.members->full_epoch) != epoch ||
			  (cc.members->full_from != 0 &&
			   cc.members->full_from != (uint32) r->slot + 1)))
		status = CC_REFUSED_BUSY;
	else
	{
		for (int o = 0; o < to->n; o++)
		{
			uint64		from = cc_state_vv(o);

			/* of our own writes nobody knows better */
			if (o == self || to->seq[o] <= from)
				continue;
			cc_check_raise(o, from, to->seq[o], full);
			cc_state_raise_vv(o, to->seq[o]);
		}
	}
	cc_unlock(&cc.members->lock);
	for (int o = 0; status == CC_OK && o < before.n; o++)
	{
		if (before.seq[o] != 0)
			cc_cache_redot_beyond((uint16) o, before.seq[o] - 1);
	}
	cc_vv_free(&before);
	return status;
}

/* A full comparison has come to its end. */
static void
leave_full(CcReceiver *r)
{
	cc_lock_exclusive(&cc.members->lock);
	if (cc.members->full_from == (uint32) r->slot + 1)
		cc.members->full_from = 0;
	cc.members->member[r->slot].want_full = false;
	cc_unlock(&cc.members->lock);
}

/* What a batch brings, record by record. */
typedef struct Batch
{
	CcMsgHead	head;
	uint64		epoch;
	CcVV		v;				/* 'V': the sender's VV */
	CcVV		vec;			/* 'G', 'R' */
	CcVV		seen;			/* 'W': what it had seen before it read entries */
	bool		has_seen;
	uint16	   *clean;
	int			nclean;
	uint64		clean_hash;
	bool		have_clean;
	uint64		entries;
} Batch;

static CcStatus
take_entry(const Batch *b, const CcEntry *e, uint64 latest)
{
	CcChange	c = {.op = CC_OP_TAKE};
	CcOutcome	o;

	/* no HLC of the entry or its siblings is above the message's */
	if (latest > b->head.hlc)
		return CC_REFUSED_BAD;
	c.ns = e->ns;
	c.key = e->key;
	c.keylen = e->keylen;
	c.entry = e;
	c.seen = b->has_seen ? &b->seen : NULL;
	if (cc_rule(one_at_a_time))
	{
		c.guard = &cc.members->full_epoch;
		c.guard_value = b->epoch;
	}
	switch (cc_cache_change(&c, &o))
	{
		case CC_NOT_READY:
			return CC_REFUSED_NOT_READY;
		case CC_FENCED:
			return CC_REFUSED_BUSY;
		case CC_TOO_LARGE:
			return CC_REFUSED_BAD;
		default:
			return CC_OK;
	}
}

static CcStatus
take_vector(CcReceiver *r, CcDecoder *dec, Batch *b, char type)
{
	bool		full = (b->head.flags & CC_MSG_F_FULL) != 0;

	if (!cc_decode_vv(dec, type == 'V' ? &b->v : &b->vec))
		return CC_REFUSED_BAD;
	if (type == 'G' && cc_rule(take_over_g))
	{
		for (int o = 0; o < b->vec.n; o++)
			cc_state_raise_g(o, b->vec.seq[o]);
	}
	if (type == 'R')
		return raise_vv(r, &b->vec, full, b->epoch);
	return CC_OK;
}

static CcStatus
take_floor(CcDecoder *dec, Batch *b)
{
	int			slice;
	const char *data;
	Size		len;
	CcPartitionShared *p;

	if (!cc_decode_floor(dec, &slice, &data, &len) ||
		cc_floor_highest_in(data, len) > b->head.hlc)
		return CC_REFUSED_BAD;
	p = cc_store_partition_of((uint64) slice << 57);
	cc_store_lock(p, true);
	cc_floor_merge(slice, data, len);
	cc_store_unlock(p);
	return CC_OK;
}

/*
 * Data comes only in a batch that says so, since that is what fence and busy
 * go by; a digest, G and the floor only in a full comparison.
 */
static bool
is_allowed(uint8 flags, char type)
{
	if (strchr("EDFGRW", type) != NULL && (flags & CC_MSG_F_DATA) == 0)
		return false;
	return strchr("DFG", type) == NULL || (flags & CC_MSG_F_FULL) != 0;
}

static CcStatus
take_record(CcReceiver *r, CcDecoder *dec, Batch *b, char type)
{
	CcEntry		e;

	if (!is_allowed(b->head.flags, type))
		return CC_REFUSED_BAD;
	switch (type)
	{
		case 'E':
			if (!cc_decode_entry(dec, &e))
				return CC_REFUSED_BAD;
			b->entries++;
			return take_entry(b, &e, dec->latest);
		case 'D':
			return cc_compare_digest(dec, &b->v, b->epoch);
		case 'F':
			return take_floor(dec, b);
		case 'W':
			b->has_seen = cc_decode_vv(dec, &b->seen);
			return b->has_seen ? CC_OK : CC_REFUSED_BAD;
		case 'V':
		case 'G':
		case 'R':
			return take_vector(r, dec, b, type);
		case 'C':
			if (b->clean == NULL)
				b->clean = cc_alloc(CC_MAX_ORIGINS * sizeof(uint16));
			b->have_clean = true;
			return cc_proto_take_clean(dec, b->clean, CC_MAX_ORIGINS,
									   &b->nclean, &b->clean_hash) ?
				CC_OK : CC_REFUSED_BAD;
		case 'J':
			return cc_reach_take(dec, true) ? CC_OK : CC_REFUSED_BAD;
		case 'K':
			return cc_proto_take_third_hand(dec, true) ? CC_OK : CC_REFUSED_BAD;
		default:
			return CC_REFUSED_BAD;
	}
}

/* All records of an admitted batch. */
static CcStatus
take_batch(CcReceiver *r, CcDecoder *dec, Batch *b)
{
	CcStatus	status = CC_OK;
	char		type;

	/* PROTOCOL.md, clock bound: above all that was seen */
	if (cc_rule(clock_bound_seen))
		cc_cache_wait_clock(b->head.hlc);
	cc_hlc_observe(&cc.state->hlc, b->head.hlc);
	while (status == CC_OK && (type = cc_decode_next(dec)) != 0)
		status = take_record(r, dec, b, type);
	if (dec->error != NULL)
		status = dec->full ? CC_REFUSED_FULL : CC_REFUSED_BAD;
	if (status == CC_OK && (b->head.flags & CC_MSG_F_FULL_END) != 0)
		leave_full(r);
	if (status == CC_OK && (b->head.flags & CC_MSG_F_HEARTBEAT) != 0)
	{
		cc_membership_learn(&r->node, r->boot, &b->v,
							b->have_clean ? b->clean : NULL, b->nclean,
							b->clean_hash);
		pg_atomic_fetch_add_u64(&cc.members->member[r->slot].heartbeats, 1);
	}
	return status;
}

/* PROTOCOL.md, acknowledge: our VV and HLC. */
static void
acknowledge(CcReceiver *r, const Batch *b)
{
	uint8		flags = b->head.flags & CC_MSG_F_HEARTBEAT;

	begin_reply(r, CC_MSG_ACK, flags, r->session, CC_OK, r->boot);
	if (flags != 0)
		cc_proto_put_heartbeat(&r->reply);
	else
		cc_proto_put_claim(&r->reply);
	cc_proto_finish(&r->reply, flags);
}

CcStatus
cc_receive_batch(CcReceiver *r, int64 now, int64 peer_timeout,
				 const void *data, Size len)
{
	CcDecoder	dec;
	Batch		b;
	CcStatus	status;

	memset(&b, 0, sizeof(b));
	cc_vv_init(&b.v);
	cc_vv_init(&b.vec);
	cc_vv_init(&b.seen);
	cc_decoder_init(&dec, data, len);
	status = cc_proto_head(&dec, &b.head);
	if (status == CC_OK && b.head.type != CC_MSG_BATCH)
		status = CC_REFUSED_BAD;
	if (status == CC_OK)
		status = admit(r, &b.head, now, peer_timeout, &b.epoch);
	if (status == CC_OK)
	{
		CcMemberShared *m = &cc.members->member[r->slot];

		cc_detector_heard(r->slot, now);
		status = take_batch(r, &dec, &b);
		pg_atomic_fetch_add_u64(&m->entries_received, b.entries);
		pg_atomic_fetch_add_u64(&m->bytes_received, len);
	}
	if (status == CC_OK)
		acknowledge(r, &b);
	else
	{
		end_session(r, status);
		(void) refuse(r, CC_MSG_ACK, b.head.session, status, 0);
	}
	if (b.clean != NULL)
		cc_free(b.clean);
	cc_vv_free(&b.v);
	cc_vv_free(&b.vec);
	cc_vv_free(&b.seen);
	cc_decoder_free(&dec);
	return status;
}
