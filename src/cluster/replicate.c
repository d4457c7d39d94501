/*-------------------------------------------------------------------------
 *
 * replicate.c
 *	  See replicate.h.
 *
 * What a batch holds is made in scan.c (walks of the store), pass.c (passes over
 * the change log) and here (heartbeats).
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/replicate.h"

#include "cache/changelog.h"
#include "cluster/detector.h"
#include "cluster/greet.h"
#include "cluster/reach.h"
#include "cluster/sender.h"

/* Heartbeats during which a peer lags for third origins without moving */
#define RELAY_HEARTBEATS	3

/* With so many batches under way a new pass waits, to fill its batches */
#define BUSY_BATCHES		2

/* Ms between two looks whether the peer's member entry is on disk */
#define KEEP_MS				5

/* No relay is due */
#define NEVER				PG_INT64_MAX

CcSender *
cc_sender_create(const CcSenderOptions *opt, bool seed)
{
	CcSender   *s = cc_alloc(sizeof(CcSender));

	memset(s, 0, sizeof(*s));
	s->opt = *opt;
	s->seed = seed;
	s->slot = -1;
	s->phase = CC_SEND_HELLO;
	s->relay_at = NEVER;
	cc_encoder_init(&s->out);
	cc_buf_init(&s->digest);
	cc_vv_init(&s->hs);
	cc_vv_init(&s->v);
	cc_vv_init(&s->lag);
	cc_vv_init(&s->tmp);
	return s;
}

void
cc_sender_free(CcSender *s)
{
	cc_scan_leave(s);
	if (s->slot >= 0)
		cc_reach_session(s->slot, s->fences, false);
	cc_encoder_free(&s->out);
	cc_buf_free(&s->digest);
	cc_vv_free(&s->hs);
	cc_vv_free(&s->v);
	cc_vv_free(&s->lag);
	cc_vv_free(&s->tmp);
	cc_free(s);
}

void
cc_sender_set_options(CcSender *s, const CcSenderOptions *opt)
{
	s->opt = *opt;
}

CcSendPhase
cc_sender_phase(CcSender *s)
{
	return s->phase;
}

bool
cc_sender_peer(CcSender *s, CcNodeId *id)
{
	if (s->slot < 0)
		return false;
	*id = s->peer;
	return true;
}

int64
cc_sender_retry_ms(CcStatus status)
{
	switch (status)
	{
		case CC_OK:
		case CC_REFUSED_BUSY:
		case CC_REFUSED_FENCED:
		case CC_REFUSED_NOT_READY:
			return 250;
		default:
			return 5000;
	}
}

/* A message goes out: notes its size for the window. */
static void
count_out(CcSender *s, int64 now, uint64 entries)
{
	int			slot = (s->first_out + s->nout) % CC_MAX_IN_FLIGHT;

	Assert(s->nout < CC_MAX_IN_FLIGHT);
	s->out_size[slot] = s->out.buf.len;
	s->out_at[slot] = cc_monotonic_us();
	s->nout++;
	s->in_flight += s->out.buf.len;
	if (s->nout == 1)
		s->waiting_since = now;
	s->entries_sent += entries;
	s->bytes_sent += s->out.buf.len;
}

void
cc_sender_hello(CcSender *s, int64 now, const char **data, Size *len)
{
	uint8		flags = s->seed ? CC_MSG_F_SEED : 0;

	cc_lock_exclusive(&cc.members->lock);
	s->session = ++cc.members->next_session;
	cc_unlock(&cc.members->lock);
	s->boot = cc.state->boot;
	(void) cc_changelog_published();
	cc_proto_begin(&s->out, CC_MSG_HELLO, flags, s->session);
	cc_greet_put(&s->out);
	cc_proto_finish(&s->out, flags);
	count_out(s, now, 0);
	*data = s->out.buf.data;
	*len = s->out.buf.len;
}

/* The session's view of the peer in the members table. */
static void
publish(CcSender *s, int64 now)
{
	CcMemberShared *m;
	uint64		own = cc_state_vv(cc_state_self());

	cc_lock_exclusive(&cc.members->lock);
	m = &cc.members->member[s->slot];
	/* it is up again when it is heard, and not by what we send */
	if (m->state != CC_PEER_DOWN)
		m->state = s->phase == CC_SEND_SCAN || s->phase == CC_SEND_FULL ||
			s->phase == CC_SEND_FLOOR ? CC_PEER_SYNCING : CC_PEER_STREAMING;
	m->rtt_ms = s->rtt_ms;
	m->clock_skew_ms = s->skew_ms;
	m->sent_seq = s->sent_seq;
	m->acked_seq = s->acked_seq;
	if (m->acked_seq >= own)
		m->acked_at = cc_clock_ms();
	m->entries_sent += s->entries_sent;
	m->bytes_sent += s->bytes_sent;
	m->last_error[0] = '\0';
	cc_unlock(&cc.members->lock);
	s->entries_sent = s->bytes_sent = 0;
	s->published_at = now;
}

/* PROTOCOL.md, handshake: where streaming begins, or what comes before it. */
static void
begin_streaming(CcSender *s)
{
	uint16		self = cc_state_self();
	uint64		have = cc_vv_get(&s->hs, self);

	s->pos = have + 1;
	s->pos_all = 0;
	if (s->want_full || cc_scan_owed(s) || !cc_scan_covers_g(s))
		cc_scan_begin(s, true);
	else if (have < cc_state_vv(self) && !cc_changelog_holds(s->pos))
		cc_scan_begin(s, false);
	else
	{
		s->pos = Max(s->pos, cc.log->first);
		s->phase = CC_SEND_IDLE;
	}
}

static CcStatus
hello_reply(CcSender *s, int64 now, CcDecoder *dec, const CcMsgHead *head,
			const void *data, Size len)
{
	CcGreeting	g;
	CcStatus	status;
	int			slot;
	bool		known;

	cc_greet_init(&g);
	status = head->type != CC_MSG_HELLO_REPLY || head->session != s->session ?
		CC_REFUSED_BAD : cc_greet_read(dec, head, &g);
	if (status == CC_REFUSED_FENCED)
	{
		/* PROTOCOL.md, ahead of myself: a life of ours that we don't know */
		if (g.boot_known > cc.state->boot)
			cc_greet_outlive(g.boot_known);
	}
	if (status == CC_REFUSED_REMOVED)
		cc_membership_cast_out();
	if (status == CC_REFUSED_TWIN)
		cc_greet_twin(head->boot);
	if (status == CC_OK)
		status = cc_greet_meet(head, &g, s->seed);
	if (status == CC_OK)
	{
		slot = cc_membership_find(&head->node);
		if (slot < 0)
			status = CC_REFUSED_FULL;
		else
		{
			/* word of an older boot is late */
			cc_lock_shared(&cc.members->lock);
			known = cc.members->member[slot].boot <= head->boot;
			cc_unlock(&cc.members->lock);
			if (!known)
				status = CC_REFUSED_FENCED;
		}
	}
	if (status == CC_OK)
		status = cc_greet_take(data, len, &g);
	if (status == CC_OK)
	{
		s->slot = slot;
		s->peer = head->node;
		s->peer_boot = head->boot;
		s->want_full = (head->flags & CC_MSG_F_WANT_FULL) != 0;
		cc_vv_copy(&s->hs, &g.vv);
		s->acked_seq = cc_vv_get(&g.vv, cc_state_self());
		cc_greet_learn(head, &g);
		s->skew_ms = g.wall_ms - cc_clock_ms();
		s->next_heartbeat = now;
		cc_detector_heard(slot, now);
		s->fences = cc.members->member[slot].fences;
		cc_reach_session(slot, s->fences, true);
		begin_streaming(s);
		publish(s, now);
	}
	cc_greet_free(&g);
	return status;
}

/*
 * PROTOCOL.md, relay: whether the peer lags behind us for a third origin
 * without having moved there since we looked last.  That others move says
 * nothing of this one.
 */
static bool
is_stuck(CcSender *s)
{
	uint16		self = cc_state_self();

	for (int o = 0; o < cc_state_norigins(); o++)
	{
		uint64		have = cc_vv_get(&s->hs, o);

		if (o != self && have < cc_state_vv(o) &&
			have == cc_vv_get(&s->lag, o))
			return true;
	}
	return false;
}

static void
look_for_lag(CcSender *s, int64 now)
{
	if (!is_stuck(s))
	{
		s->lag_count = 0;
		s->relay_at = NEVER;
	}
	else if (++s->lag_count >= RELAY_HEARTBEATS && s->relay_at == NEVER)
		s->relay_at = now + cc_random_below((uint32) (4 * s->opt.heartbeat_ms));
	cc_vv_copy(&s->lag, &s->hs);
}

static bool
take_ack_record(CcSender *s, CcDecoder *dec, CcGreeting *g, char type)
{
	switch (type)
	{
		case 'X':
			return cc_greet_get_status(dec, g);
		case 'V':
			return cc_decode_vv(dec, &g->vv);
		case 'C':
			if (g->clean == NULL)
				g->clean = cc_alloc(CC_MAX_ORIGINS * sizeof(uint16));
			g->have_clean = true;
			return cc_proto_take_clean(dec, g->clean, CC_MAX_ORIGINS,
									   &g->nclean, &g->clean_hash);
		case 'J':
			return cc_reach_take(dec, s->slot >= 0);
		case 'K':
			return cc_proto_take_third_hand(dec, s->slot >= 0);
		default:
			return false;
	}
}

static CcStatus
ack(CcSender *s, int64 now, CcDecoder *dec, const CcMsgHead *head)
{
	CcGreeting	g;
	CcStatus	status = CC_OK;
	char		type;

	if (head->type != CC_MSG_ACK || head->session != s->session)
		return CC_REFUSED_BAD;
	if (cc_id_cmp(&head->node, &s->peer) != 0 || head->boot != s->peer_boot)
		return CC_REFUSED_FENCED;
	if (cc_hlc_too_far(head->hlc, cc.state->max_skew_ms))
		return CC_REFUSED_SKEW;
	cc_greet_init(&g);
	while (status == CC_OK && (type = cc_decode_next(dec)) != 0)
	{
		if (!take_ack_record(s, dec, &g, type))
			status = CC_REFUSED_BAD;
	}
	if (dec->error != NULL)
		status = CC_REFUSED_BAD;
	if (status == CC_OK)
		status = g.status;
	if (status == CC_REFUSED_REMOVED)
		cc_membership_cast_out();
	if (status == CC_REFUSED_BUSY && !cc_rule(busy_ends))
		status = CC_OK;
	else if (status == CC_OK)
	{
		cc_hlc_observe(&cc.state->hlc, head->hlc);
		cc_vv_join(&s->hs, &g.vv);
		s->acked_seq = Max(s->acked_seq,
						   cc_vv_get(&g.vv, cc_state_self()));
		cc_membership_learn(&s->peer, s->peer_boot, &g.vv,
							g.have_clean ? g.clean : NULL, g.nclean,
							g.clean_hash);
		s->skew_ms = g.wall_ms - cc_clock_ms();
		cc_detector_heard(s->slot, now);
		if (s->compared && s->nout == 0)
			cc_scan_settle(s);
		if ((head->flags & CC_MSG_F_HEARTBEAT) != 0)
		{
			pg_atomic_fetch_add_u64(&cc.members->member[s->slot].heartbeats, 1);
			look_for_lag(s, now);
			publish(s, now);
		}
	}
	cc_greet_free(&g);
	return status;
}

/* The oldest message under way was answered: window and round trip. */
static bool
count_in(CcSender *s, int64 now)
{
	double		rtt;

	if (s->nout == 0)
		return false;
	rtt = (double) (cc_monotonic_us() - s->out_at[s->first_out]) / 1000;
	s->rtt_ms = s->rtt_ms == 0 ? rtt : s->rtt_ms * 0.8 + rtt * 0.2;
	s->in_flight -= s->out_size[s->first_out];
	s->acked_now += s->out_size[s->first_out];
	s->first_out = (s->first_out + 1) % CC_MAX_IN_FLIGHT;
	s->nout--;
	s->waiting_since = now;
	if (now - s->interval_began >= s->opt.heartbeat_ms)
	{
		s->acked_before = s->acked_now;
		s->acked_now = 0;
		s->interval_began = now;
	}
	return true;
}

CcStatus
cc_sender_reply(CcSender *s, int64 now, const void *data, Size len)
{
	CcDecoder	dec;
	CcMsgHead	head;
	CcStatus	status;

	if (!count_in(s, now))
		return CC_REFUSED_BAD;
	cc_decoder_init(&dec, data, len);
	status = cc_proto_head(&dec, &head);
	if (status == CC_OK)
		status = s->phase == CC_SEND_HELLO ?
			hello_reply(s, now, &dec, &head, data, len) :
			ack(s, now, &dec, &head);
	cc_decoder_free(&dec);
	return status;
}

/*
 * We were removed: what we write from now on, above all the horizons by which
 * we drop our cache, concerns nobody else.
 */
static bool
cast_out(void)
{
	return pg_atomic_read_u32(&cc.members->removed) != 0;
}

bool
cc_sender_timed_out(CcSender *s, int64 now)
{
	/* we became somebody else: what was agreed does not hold */
	if ((s->boot != 0 && s->boot != cc.state->boot) || cast_out())
		return true;

	/* PROTOCOL.md, split records: in the handshake, before data */
	if (s->slot >= 0 && cc.members->member[s->slot].fences != s->fences)
		return true;
	return s->nout > 0 && now - s->waiting_since > s->opt.peer_timeout_ms;
}

/*
 * Bytes in flight are bounded by what the peer acknowledged in the last
 * heartbeat interval; a few batches may always be, so that a link that has
 * been idle fills again.
 */
static bool
window_open(CcSender *s)
{
	Size		window = Max(s->acked_before, s->acked_now);

	window = Max(window, 4 * s->opt.batch_bytes);
	return s->nout < CC_MAX_IN_FLIGHT - 2 &&
		(s->nout == 0 || s->in_flight < window);
}

static void
begin_relay(CcSender *s)
{
	s->relay_at = NEVER;
	s->lag_count = 0;
	/* another look: somebody else may have done it */
	if (!is_stuck(s) || !cc_rule(relay))
		return;
	if (s->pos_all == 0 || !cc_changelog_holds(s->pos_all))
	{
		cc_scan_begin(s, false);
		return;
	}
	cc_state_copy_vv(&s->v);
	s->end = cc_changelog_allocated();
	cc_changelog_wait_published(s->end);
	cc_pass_begin(s, CC_SEND_RELAY, s->pos_all);
}

/* What an idle sender begins next, if anything. */
static void
leave_idle(CcSender *s, int64 now)
{
	if (!cc_scan_covers_g(s))
		cc_scan_begin(s, true);
	else if (now >= s->relay_at)
		begin_relay(s);
	if (s->phase != CC_SEND_IDLE || s->nout >= BUSY_BATCHES)
		return;
	s->end = cc_changelog_published();
	if (s->pos >= s->end)
		return;
	if (!cc_changelog_holds(s->pos))
		cc_scan_begin(s, false);
	else
		cc_pass_begin(s, CC_SEND_PASS, s->pos);
}

static void
heartbeat_batch(CcSender *s, int64 now)
{
	cc_proto_begin(&s->out, CC_MSG_BATCH, CC_MSG_F_HEARTBEAT, s->session);
	cc_proto_put_heartbeat(&s->out);
	cc_proto_finish(&s->out, CC_MSG_F_HEARTBEAT);
	s->next_heartbeat = now + s->opt.heartbeat_ms;
}

/* One batch of data, by the phase; false when there is none. */
static bool
data_batch(CcSender *s, uint64 *entries)
{
	uint8		flags = CC_MSG_F_DATA;
	bool		send;

	cc_proto_begin(&s->out, CC_MSG_BATCH, flags, s->session);
	*entries = cc_scan_put_records(s);
	if (*entries > 0)
	{
		cc_proto_finish(&s->out, flags);
		return true;
	}
	if (s->phase == CC_SEND_PASS || s->phase == CC_SEND_RELAY)
		send = cc_pass_batch(s, entries);
	else
		send = cc_scan_batch(s, &flags, entries);
	if (send)
		cc_proto_finish(&s->out, flags);
	return send;
}

bool
cc_sender_next(CcSender *s, int64 now, const char **data, Size *len)
{
	uint64		entries = 0;
	bool		send = false;

	if (s->phase == CC_SEND_HELLO || s->nout >= CC_MAX_IN_FLIGHT || cast_out())
		return false;
	if (s->boot != cc.state->boot)
		return false;
	if (now >= s->next_heartbeat)
	{
		heartbeat_batch(s, now);
		send = true;
	}
	if (!s->kept && !(s->kept = cc_membership_kept(s->slot)))
		s->look_at = now + KEEP_MS;
	/* a phase may end without a batch, and another begin */
	for (int i = 0; i < 4 && !send && s->kept && window_open(s); i++)
	{
		if (s->phase == CC_SEND_IDLE)
			leave_idle(s, now);
		if (s->phase == CC_SEND_IDLE)
			break;
		send = data_batch(s, &entries);
		if (s->more && !send)
			break;
	}
	/* looked at again: the flag was there before anything that we then wrote */
	if (!send || cast_out())
		return false;
	count_out(s, now, entries);
	if (s->phase != s->published_phase)
	{
		s->published_phase = s->phase;
		publish(s, now);
	}
	*data = s->out.buf.data;
	*len = s->out.buf.len;
	return true;
}

int64
cc_sender_due(CcSender *s)
{
	if (s->phase == CC_SEND_HELLO)
		return s->waiting_since + s->opt.peer_timeout_ms;
	if (s->more && window_open(s))
		return 0;
	if (!s->kept)
		return Min(s->next_heartbeat, s->look_at);
	return Min(s->next_heartbeat, s->relay_at);
}
