/*-------------------------------------------------------------------------
 *
 * reach.c
 *	  See reach.h.
 *
 * A state belongs to a node in one boot of it and has a number, which rises
 * with each change; whoever has an older one takes the newer.  So a node that
 * crashed and came back replaces what it said before, and late word of an
 * earlier state changes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/reach.h"

#include "cluster/detector.h"

/* Of a node and of a state in a 'J' (proto.h) */
#define STATE_LEN	(1 + 8 + 8 + 1 + 4)

/* ------------------------------------------------------------------------
 * Link states in messages
 * ------------------------------------------------------------------------
 */

/* Longest that a node waits for who is heard and not reached */
#define MEETING_MS		10000

/* What a state says of its node, bits */
#define LINK_READY		0x01
#define LINK_WAITS		0x02

void
cc_reach_put(CcEncoder *enc)
{
	CcMembersShared *ms = cc.members;
	CcBuf	   *b = &enc->buf;
	uint8		nstates = 0;

	cc_buf_reserve(b, 3 + CC_MAX_MEMBERS * (CC_ID_LEN + STATE_LEN));
	cc_buf_put_u8(b, 'J');
	cc_lock_shared(&ms->lock);
	cc_buf_put_u8(b, (uint8) ms->nmembers);
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		cc_buf_put(b, ms->member[i].id.b, CC_ID_LEN);
		nstates += ms->member[i].link_number != 0 && !ms->member[i].removed;
	}
	cc_buf_put_u8(b, nstates);
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		const CcMemberShared *m = &ms->member[i];

		if (m->link_number == 0 || m->removed)
			continue;
		cc_buf_put_u8(b, (uint8) i);
		cc_buf_put_u64(b, m->link_boot);
		cc_buf_put_u64(b, m->link_number);
		cc_buf_put_u8(b, (m->link_ready ? LINK_READY : 0) |
					  (m->link_waits ? LINK_WAITS : 0));
		cc_buf_put_u32(b, m->link_reaches);
	}
	cc_unlock(&ms->lock);
}

typedef struct LinkState
{
	CcNodeId	id;
	uint64		boot;
	uint64		number;
	bool		ready;
	bool		waits;
	int			n;
	CcNodeId	reaches[CC_MAX_MEMBERS];
} LinkState;

/* Slot of a member that counts, or -1.  Under the lock. */
static int
find_slot(const CcNodeId *id)
{
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		if (cc_id_cmp(&cc.members->member[i].id, id) == 0)
			return cc.members->member[i].removed ? -1 : (int) i;
	}
	return -1;
}

/* Whether it has a slot, removed or not.  Under the lock. */
static bool
is_known(const CcNodeId *id)
{
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		if (cc_id_cmp(&cc.members->member[i].id, id) == 0)
			return true;
	}
	return false;
}

/*
 * A state that is newer than the one that we know of that node, which must be
 * a peer: of our own links nobody knows better.  One that names a node of which
 * we have not heard yet is kept as an older one, so that it is taken again.
 */
static bool
take_state(const LinkState *s)
{
	CcMembersShared *ms = cc.members;
	CcMemberShared *m;
	bool		news = false;
	int			slot;

	cc_lock_exclusive(&ms->lock);
	slot = find_slot(&s->id);
	m = &ms->member[Max(slot, 0)];
	if (slot >= 0 && !m->self &&
		(s->boot > m->link_boot ||
		 (s->boot == m->link_boot && s->number > m->link_number)))
	{
		uint32		reaches = 0;
		bool		whole = true;

		for (int i = 0; i < s->n; i++)
		{
			int			to = find_slot(&s->reaches[i]);

			if (to >= 0)
				reaches |= 1U << to;
			whole = whole && is_known(&s->reaches[i]);
		}
		news = whole || m->link_boot != s->boot ||
			m->link_number != s->number - 1 || m->link_reaches != reaches;
		m->link_boot = s->boot;
		m->link_number = whole ? s->number : s->number - 1;
		m->link_ready = s->ready;
		m->link_waits = s->waits;
		m->link_reaches = reaches;
		if (news)
			pg_atomic_write_u32(&ms->link_news, 1);
	}
	cc_unlock(&ms->lock);
	return news;
}

bool
cc_reach_take(CcDecoder *dec, bool believe)
{
	CcReader   *r = &dec->r;
	uint8		n = cc_read_u8(r);
	const char *ids = cc_read_bytes(r, (Size) n * CC_ID_LEN);
	uint8		nstates = cc_read_u8(r);
	bool		news = false;

	if (r->bad || n > CC_MAX_MEMBERS || nstates > n)
		return false;
	for (int i = 0; i < nstates; i++)
	{
		LinkState	s;
		uint8		node = cc_read_u8(r);
		uint32		reaches;
		uint8		flags;

		s.boot = cc_read_u64(r);
		s.number = cc_read_u64(r);
		flags = cc_read_u8(r);
		s.ready = (flags & LINK_READY) != 0;
		s.waits = (flags & LINK_WAITS) != 0;
		reaches = cc_read_u32(r);
		if (r->bad || node >= n || s.boot > CC_MAX_BOOT || s.number == 0)
			return false;
		memcpy(s.id.b, ids + (Size) node * CC_ID_LEN, CC_ID_LEN);
		s.n = 0;
		for (int k = 0; k < n; k++)
		{
			if ((reaches & (1U << k)) != 0)
				memcpy(s.reaches[s.n++].b, ids + (Size) k * CC_ID_LEN,
					   CC_ID_LEN);
		}
		if (believe && take_state(&s))
			news = true;
	}
	if (news)
		cc_wake_replicator();
	return true;
}

/* ------------------------------------------------------------------------
 * Links and the component
 * ------------------------------------------------------------------------
 */

void
cc_reach_session(int slot, uint32 fences, bool established)
{
	CcMemberShared *m = &cc.members->member[slot];

	cc_lock_exclusive(&cc.members->lock);
	if (established)
		m->sessions++;
	else if (m->fences == fences && m->sessions > 0)
		m->sessions--;
	pg_atomic_write_u32(&cc.members->link_news, 1);
	cc_unlock(&cc.members->lock);
}

void
cc_reach_forget_sessions(void)
{
	cc_lock_exclusive(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers; i++)
		cc.members->member[i].sessions = 0;
	pg_atomic_write_u32(&cc.members->link_news, 1);
	cc_unlock(&cc.members->lock);
}

void
cc_reach_fence(const CcNodeId *id)
{
	CcMembersShared *ms = cc.members;
	int			slot;

	cc_lock_exclusive(&ms->lock);
	slot = find_slot(id);
	if (slot >= 0)
	{
		CcMemberShared *m = &ms->member[slot];

		m->fences++;
		m->sessions = 0;
		m->session_refused = true;
		if (ms->full_from == (uint32) slot + 1)
			ms->full_from = 0;
		pg_atomic_write_u32(&ms->link_news, 1);
	}
	cc_unlock(&ms->lock);
}

bool
cc_reach_is_news(void)
{
	return pg_atomic_read_u32(&cc.members->link_news) != 0;
}

/* Bits of the members to whom we have a link.  Under the lock. */
static uint32
own_links(void)
{
	uint32		bits = 0;

	/* a removed node is alone */
	if (pg_atomic_read_u32(&cc.members->removed) != 0)
		return 0;
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		const CcMemberShared *m = &cc.members->member[i];

		if (cc_membership_is_peer(m) && m->sessions > 0 &&
			cc_detector_is_up(m))
			bits |= 1U << i;
	}
	return bits;
}

/* Our own state, with a new number when it is another one.  Ditto. */
static void
state_own_links(uint32 links)
{
	CcMemberShared *m = &cc.members->member[cc.members->self];
	bool		ready = cc_state_phase() == CC_READY;
	bool		waits = pg_atomic_read_u32(&cc.state->heal_waits) != 0;

	if (m->link_number != 0 && m->link_boot == cc.state->boot &&
		m->link_reaches == links && m->link_ready == ready &&
		m->link_waits == waits)
		return;
	m->link_boot = cc.state->boot;
	m->link_number++;
	m->link_reaches = links;
	m->link_ready = ready;
	m->link_waits = waits;
}

/* All slots to which a path leads, the own one among them.  Ditto. */
static uint32
follow_paths(uint32 links)
{
	CcMembersShared *ms = cc.members;
	uint32		reached = links | 1U << ms->self;
	uint32		looked = 1U << ms->self;

	while (reached != looked)
	{
		for (uint32 i = 0; i < ms->nmembers; i++)
		{
			uint32		bit = 1U << i;

			if ((reached & bit) == 0 || (looked & bit) != 0)
				continue;
			looked |= bit;
			for (uint32 k = 0; k < ms->nmembers; k++)
			{
				if ((ms->member[i].link_reaches & (1U << k)) != 0 &&
					!ms->member[k].removed)
					reached |= 1U << k;
			}
		}
	}
	return reached;
}

bool
cc_reach_update(int64 now)
{
	CcMembersShared *ms = cc.members;
	uint32		component;
	bool		changed;
	uint64		reached;

	/* what is written from now on is later, also where nothing was for long */
	reached = Max(pg_atomic_read_u64(&cc.state->hlc),
				  cc_hlc_from_ms(cc_hlc_now_ms(&cc.state->hlc)));

	/* before we look: what comes meanwhile is seen the next time */
	pg_atomic_write_u32(&ms->link_news, 0);
	pg_memory_barrier();
	cc_lock_exclusive(&ms->lock);
	if (ms->self >= CC_MAX_MEMBERS)
	{
		cc_unlock(&ms->lock);
		return false;			/* we are not announced yet */
	}
	component = own_links();
	state_own_links(component);
	component = follow_paths(component);
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		CcMemberShared *m = &ms->member[i];

		if ((component & (1U << i)) != 0)
		{
			m->reached_hlc = reached;
			m->away_since = 0;
		}
		else if (m->away_since == 0)
			m->away_since = Max(now, 1);
	}
	changed = component != pg_atomic_read_u32(&ms->component);
	if (changed)
	{
		pg_atomic_write_u64(&ms->component_since, (uint64) now);
		pg_atomic_write_u32(&ms->component, component);
	}
	cc_unlock(&ms->lock);
	return changed;
}

uint32
cc_reach_component(void)
{
	uint32		component = pg_atomic_read_u32(&cc.members->component);

	if (component == 0 && cc.members->self < CC_MAX_MEMBERS)
		component = 1U << cc.members->self;
	return component;
}

int64
cc_reach_since(void)
{
	return (int64) pg_atomic_read_u64(&cc.members->component_since);
}

/*
 * PROTOCOL.md, resolver.  Whose state nobody has told us counts as ready: it
 * is of a group whose nodes we have only just met.
 */
int
cc_reach_resolver(void)
{
	CcMembersShared *ms = cc.members;
	uint32		component = cc_reach_component();
	int			oldest = -1;

	cc_lock_shared(&ms->lock);
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		const CcMemberShared *m = &ms->member[i];
		const CcMemberShared *o = &ms->member[Max(oldest, 0)];

		if ((component & (1U << i)) == 0 || m->removed)
			continue;
		if (m->self ? cc_state_phase() != CC_READY :
			m->link_number != 0 && !m->link_ready)
			continue;
		if (oldest < 0 || m->joined < o->joined ||
			(m->joined == o->joined && cc_id_cmp(&m->id, &o->id) < 0))
			oldest = (int) i;
	}
	cc_unlock(&ms->lock);
	return oldest;
}

bool
cc_reach_is_resolver(void)
{
	int			slot = cc_reach_resolver();

	return slot >= 0 && (uint32) slot == cc.members->self;
}

bool
cc_reach_meets(int64 now)
{
	uint32		component = cc_reach_component();
	pg_atomic_uint64 *since = &cc.members->meets_since;
	bool		meets = false;

	cc_lock_shared(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		const CcMemberShared *m = &cc.members->member[i];

		meets |= cc_membership_is_peer(m) && cc_detector_is_up(m) &&
			(component & (1U << i)) == 0;
	}
	cc_unlock(&cc.members->lock);
	if (!meets)
		pg_atomic_write_u64(since, 0);
	else if (pg_atomic_read_u64(since) == 0)
		pg_atomic_write_u64(since, (uint64) Max(now, 1));
	return meets &&
		now - (int64) pg_atomic_read_u64(since) <= MEETING_MS;
}
