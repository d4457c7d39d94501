/*-------------------------------------------------------------------------
 *
 * splits.c
 *	  Our split record: what opens and ends its intervals.  See splits.h.
 *
 * The record is an entry of the store, which is the truth: whoever changes it
 * reads it, and stores it in place of the version that he has read, or begins
 * again.  The replicator follows the component; whoever notes a new member adds
 * the meeting.
 *
 * Pruning.  When an interval has ended, VV is copied (members->mark).  Once C of
 * every member covers that copy all that was written in the interval is stable:
 * they have seen what we wrote, and what any of them wrote before that has come
 * here (PROTOCOL.md, causal stability).  Then nobody can meet it any more
 * without having it already.
 *
 * What is written here does not move our HLC up to the wall clock.  A node whose
 * clock is too far ahead is refused while what it writes is new; if the record
 * of that were new too, it would be refused for it, for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/splits.h"

#include "cache/apart.h"
#include "cluster/detector.h"
#include "cluster/entries.h"
#include "cluster/heal.h"

/* Ms between two tries of a link, about */
#define RETRY_MS	1000

typedef struct Span
{
	CcNodeId	peer;
	uint64		from;
	uint64		to;				/* 0: it is not over */
	uint64		incarnation;	/* see apart.h */
	uint64		seq;
} Span;

/* Our record, as it was read. */
typedef struct SplitRecord
{
	bool		there;
	uint64		version;
	int			n;
	Span		v[CC_MAX_INTERVALS];
} SplitRecord;

/* ------------------------------------------------------------------------
 * The record as an entry
 * ------------------------------------------------------------------------
 */

static void
parse_record(SplitRecord *r, const char *value, uint32 len)
{
	CcReader	in;
	int			n;

	cc_reader_init(&in, value, len);
	n = cc_read_u16(&in);
	for (int i = 0; i < n && i < CC_MAX_INTERVALS; i++)
	{
		Span   *v = &r->v[r->n];
		const char *id = cc_read_bytes(&in, CC_ID_LEN);

		v->from = cc_read_u64(&in);
		v->to = cc_read_u64(&in);
		v->incarnation = cc_read_u64(&in);
		v->seq = cc_read_u64(&in);
		if (in.bad)
			return;
		memcpy(v->peer.b, id, CC_ID_LEN);
		r->n++;
	}
}

static void
read_record(SplitRecord *r)
{
	char		key[CC_APART_KEY_LEN];
	CcBuf		buf;
	CcEntry		e;

	r->n = 0;
	r->version = 0;
	cc_buf_init(&buf);
	r->there = cc_entries_read(key, cc_apart_key(&cc.state->id, key), &e, &buf);
	if (r->there)
	{
		r->version = e.hlc;
		parse_record(r, e.value, e.vallen);
	}
	cc_buf_free(&buf);
}

/*
 * CC_UNCHANGED: it is another one by now.  It shall be on disk before any peer
 * asks for it, since before that it is not told in handshakes (proto.c).
 */
static CcResult
write_record(const SplitRecord *r)
{
	CcChange	c = {.op = CC_OP_PUT, .ns = CC_NS_SYSTEM, .type = CC_BYTEA};
	char		key[CC_APART_KEY_LEN];
	CcOutcome	o;
	CcBuf		b;

	cc_buf_init(&b);
	cc_buf_reserve(&b, 2 + (Size) r->n * sizeof(Span));
	cc_buf_put_u16(&b, (uint16) r->n);
	for (int i = 0; i < r->n; i++)
	{
		cc_buf_put(&b, r->v[i].peer.b, CC_ID_LEN);
		cc_buf_put_u64(&b, r->v[i].from);
		cc_buf_put_u64(&b, r->v[i].to);
		cc_buf_put_u64(&b, r->v[i].incarnation);
		cc_buf_put_u64(&b, r->v[i].seq);
	}
	c.key = key;
	c.keylen = cc_apart_key(&cc.state->id, key);
	c.value = b.data;
	c.vallen = (uint32) b.len;
	c.untimed = true;
	c.if_absent = !r->there;
	c.if_version = r->there ? r->version : 0;
	(void) cc_cache_change(&c, &o);
	cc_buf_free(&b);
	if (o.result == CC_DONE && cc.state->persist)
	{
		cc_atomic_raise(&cc.state->sync_wanted, o.pos + 1);
		cc_wake_writer();
	}
	return o.result;
}

/* ------------------------------------------------------------------------
 * Intervals
 * ------------------------------------------------------------------------
 */

/* Index of the last interval with a peer, -1 when there is none. */
static int
last_with(const SplitRecord *r, const CcNodeId *peer)
{
	for (int i = r->n - 1; i >= 0; i--)
	{
		if (cc_id_cmp(&r->v[i].peer, peer) == 0)
			return i;
	}
	return -1;
}

static void
remove_interval(SplitRecord *r, int i)
{
	memmove(&r->v[i], &r->v[i + 1], (r->n - i - 1) * sizeof(Span));
	r->n--;
}

/* The oldest that ended goes where there is no room for another. */
static void
make_room(SplitRecord *r)
{
	int			max = Min(CC_MAX_INTERVALS, (int) cc.apart->cap);

	for (int i = 0; i < r->n && r->n >= max;)
	{
		if (r->v[i].to != 0)
			remove_interval(r, i);
		else
			i++;
	}
}

/* What we have seen of the peer's own writes: of the last life that we know. */
static void
note_seen(Span *v)
{
	int			n = cc_state_norigins();

	v->incarnation = v->seq = 0;
	for (int o = 0; o < n; o++)
	{
		const CcOriginShared *origin = cc_origin(o);

		if (cc_id_cmp(&origin->node, &v->peer) != 0 || cc_state_vv(o) == 0 ||
			origin->incarnation < v->incarnation)
			continue;
		v->incarnation = origin->incarnation;
		v->seq = cc_state_vv(o);
	}
}

/*
 * Opens an interval, unless one is open.  One that reaches back into the last
 * one with that peer goes on with it: they mean the same.
 */
static bool
open_interval(SplitRecord *r, const CcNodeId *peer, uint64 from)
{
	int			last = last_with(r, peer);

	if (last >= 0 && r->v[last].to == 0)
		return false;
	if (last >= 0 && from <= r->v[last].to)
	{
		r->v[last].from = Min(r->v[last].from, from);
		r->v[last].to = 0;
		return true;
	}
	make_room(r);
	if (r->n >= CC_MAX_INTERVALS)
		return false;
	r->v[r->n].peer = *peer;
	r->v[r->n].from = from;
	r->v[r->n].to = 0;
	note_seen(&r->v[r->n]);
	r->n++;
	return true;
}

/* What was open when we stopped: our knowledge ends there. */
static bool
end_loaded(SplitRecord *r, uint64 loaded)
{
	bool		changed = false;

	for (int i = 0; i < r->n && loaded != 0; i++)
	{
		if (r->v[i].to != 0)
			continue;
		r->v[i].to = Max(loaded, r->v[i].from);
		changed = true;
	}
	return changed;
}

/* A change of the record; true when there is one. */
typedef bool (*EditFn) (SplitRecord *r, void *arg);

static void
edit_record(EditFn edit, void *arg)
{
	SplitRecord		r;
	CcResult	result;
	uint64		loaded;

	do
	{
		loaded = pg_atomic_read_u64(&cc.splits->loaded);
		read_record(&r);

		/* its meetings of this life come after that */
		if (loaded != 0 && end_loaded(&r, loaded))
		{
			result = write_record(&r);
			if (result == CC_DONE)
				pg_atomic_write_u64(&cc.splits->loaded, 0);
			if (result == CC_DONE || result == CC_UNCHANGED)
			{
				result = CC_UNCHANGED;
				continue;
			}
			return;
		}
		pg_atomic_write_u64(&cc.splits->loaded, 0);
		result = edit(&r, arg) ? write_record(&r) : CC_DONE;
	} while (result == CC_UNCHANGED);
}

/* ------------------------------------------------------------------------
 * Following the component
 * ------------------------------------------------------------------------
 */

/*
 * Since when a member is out of reach, at the latest: what was written just
 * before we noticed may not have come through any more.
 */
static uint64
began(const CcMemberShared *m, uint64 back, uint64 ready)
{
	if (m->reached_hlc <= back)
		return ready;
	return Max(m->reached_hlc - back, ready);
}

static void
name_member(char name[CC_NAME_LEN], const CcMemberShared *m)
{
	if (m->name[0] != '\0')
		strlcpy(name, m->name, CC_NAME_LEN);
	else if (m->address[0] != '\0')
		strlcpy(name, m->address, CC_NAME_LEN);
	else
		(void) cc_id_text(&m->id, name);
}

static void
collect_peers(CcSplitPeers *peers, int64 now, int64 peer_timeout,
			  int64 heartbeat)
{
	CcMembersShared *ms = cc.members;
	uint64		back = cc_hlc_from_ms(peer_timeout + 2 * heartbeat);
	uint64		ready = pg_atomic_read_u64(&cc.splits->ready);
	uint32		component = cc_reach_component();

	/* who is heard may yet be about to answer: a try takes its time */
	int64		half_open = 2 * peer_timeout + RETRY_MS;

	peers->n = 0;
	cc_lock_shared(&ms->lock);
	name_member(peers->own_name, &ms->member[ms->self]);
	/* PROTOCOL.md, split records: links by themselves only, without the rule */
	if (!cc_rule(path_records))
		component = ms->member[ms->self].link_reaches;
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		CcMemberShared *m = &ms->member[i];
		CcSplitPeer *p = &peers->peer[peers->n];
		int64		heard = (int64) pg_atomic_read_u64(&m->last_heard);

		if (!cc_membership_is_peer(m))
			continue;
		p->id = m->id;
		name_member(p->name, m);
		p->reached = (component & (1U << i)) != 0;
		p->from = began(m, back, ready);
		p->away_ms = now - Min(m->away_since, heard != 0 ? heard : now);
		p->out = ready != 0 && !p->reached &&
			(m->state == CC_PEER_DOWN ||
			 (m->away_since != 0 && now - m->away_since >= half_open));
		peers->n++;
	}
	cc_unlock(&ms->lock);
}

/* What a round does to the record. */
typedef struct Round
{
	CcSplitPeers *peers;
	int64		now;
	int64		peer_timeout;
	int64		heartbeat;
	uint64		closed;			/* HLC at which what is reached ends; 0: none
								 * drawn yet */
	uint32		opened;			/* out: bits of the peers whose interval begins */
	uint64		prune;			/* what ended up to here may go */
	uint64		ended;			/* out: latest end that is left, but 0 */
	bool		left;			/* out: something up to prune is left */
} Round;

static const CcSplitPeer *
find_peer(const CcSplitPeers *peers, const CcNodeId *id)
{
	for (int i = 0; i < peers->n; i++)
	{
		if (cc_id_cmp(&peers->peer[i].id, id) == 0)
			return &peers->peer[i];
	}
	return NULL;
}

/* Ends what is over, with the members that are no more as well. */
static bool
close_intervals(SplitRecord *r, Round *round)
{
	bool		changed = false;

	for (int i = 0; i < r->n; i++)
	{
		const CcSplitPeer *p;

		if (r->v[i].to != 0)
			continue;
		p = find_peer(round->peers, &r->v[i].peer);
		if (p != NULL && !p->reached)
			continue;
		if (round->closed == 0)
			round->closed = cc_hlc_next(&cc.state->hlc);
		r->v[i].to = Max(round->closed, r->v[i].from);
		changed = true;
	}
	return changed;
}

static bool
follow_peers(SplitRecord *r, void *arg)
{
	Round	   *round = arg;
	bool		changed;

	/*
	 * After the record was read: whom it names by now was noted before.  One
	 * who came in between would look like one who is no member any more, and
	 * his meeting would be over before it began.
	 */
	collect_peers(round->peers, round->now, round->peer_timeout,
				  round->heartbeat);
	changed = close_intervals(r, round);
	round->opened = 0;
	for (int i = 0; i < round->peers->n; i++)
	{
		const CcSplitPeer *p = &round->peers->peer[i];

		if (!p->out || !open_interval(r, &p->id, p->from))
			continue;
		round->opened |= 1U << i;
		changed = true;
	}
	round->ended = 0;
	round->left = false;
	for (int i = 0; i < r->n;)
	{
		const Span *v = &r->v[i];

		if (v->to != 0 && v->to <= round->prune &&
			v->to <= cc_heal_walked_all())
		{
			remove_interval(r, i);
			changed = true;
			continue;
		}
		round->ended = Max(round->ended, v->to);
		round->left |= v->to != 0 && v->to <= round->prune;
		i++;
	}
	return changed;
}

/* Pruning: what has been seen of a member's view by all. */
static bool
all_have_mark(void)
{
	CcMembersShared *ms = cc.members;
	int			n = cc_state_norigins();
	const uint64 *mark = (uint64 *) ((char *) ms + ms->mark);
	bool		all = true;

	cc_lock_shared(&ms->lock);
	for (uint32 i = 0; i < ms->nmembers && all; i++)
	{
		const CcMemberShared *m = &ms->member[i];
		const uint64 *c = cc_membership_row(ms->c, i);

		if (!cc_membership_is_peer(m))
			continue;
		all = m->c_known;
		for (int o = 0; o < n && all; o++)
			all = c[o] >= mark[o];
	}
	cc_unlock(&ms->lock);
	return all;
}

/* Whatever was written before the end of the intervals is below the mark. */
static void
set_mark(uint64 ended)
{
	CcMembersShared *ms = cc.members;
	uint64	   *mark = (uint64 *) ((char *) ms + ms->mark);
	CcVV		vv;

	cc_vv_init(&vv);
	cc_changelog_wait_published(cc_changelog_allocated());
	cc_state_copy_vv(&vv);
	cc_lock_exclusive(&ms->lock);
	for (uint32 o = 0; o < ms->origin_cap; o++)
		mark[o] = cc_vv_get(&vv, (int) o);
	cc_unlock(&ms->lock);
	cc_vv_free(&vv);
	cc.splits->marked = ended;
}

void
cc_splits_update(int64 now, int64 peer_timeout, int64 heartbeat)
{
	CcSplitPeers peers;
	Round		round = {
		.peers = &peers,
		.now = now,
		.peer_timeout = peer_timeout,
		.heartbeat = heartbeat
	};

	if (!cc_state_takes_writes() || cc.members->self >= CC_MAX_MEMBERS ||
		pg_atomic_read_u32(&cc.members->removed) != 0)
		return;
	collect_peers(&peers, now, peer_timeout, heartbeat);
	/* what waits for a decision is apart, and of islands, by these records */
	if (cc.splits->marked != 0 && cc_conflict_count(CC_NO_NS) == 0 &&
		all_have_mark())
		round.prune = cc.splits->marked;
	edit_record(follow_peers, &round);
	for (int i = 0; i < peers.n; i++)
	{
		if ((round.opened & (1U << i)) != 0)
			cc_reach_fence(&peers.peer[i].id);
	}
	if (round.prune != 0 && !round.left)
		cc.splits->marked = 0;
	if (cc.splits->marked == 0 && round.ended != 0)
		set_mark(round.ended);
	cc_splits_note(&peers);
	cc_splits_tell(now);
}

void
cc_splits_ready(void)
{
	if (pg_atomic_read_u64(&cc.splits->ready) == 0)
		pg_atomic_write_u64(&cc.splits->ready, cc_hlc_next(&cc.state->hlc));
}

static bool
add_meeting(SplitRecord *r, void *arg)
{
	return open_interval(r, arg, 0);
}

void
cc_splits_meet(const CcNodeId *peer)
{
	CcNodeId	id = *peer;
	char		name[CC_NAME_LEN];

	if (!cc_state_takes_writes())
		return;
	if (!cc_membership_name(&id, name))
		(void) cc_id_text(&id, name);
	edit_record(add_meeting, &id);
	cc_splits_note_meeting(&id, name);
}
