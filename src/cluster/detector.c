/*-------------------------------------------------------------------------
 *
 * detector.c
 *	  See detector.h.
 *
 * last_heard is the only thing that changes with every message, and is an
 * atomic word; a peer's state is changed under members->lock, by the
 * replicator's round or by whoever hears it first after a silence.
 *
 * Locking: members->lock; nothing is logged while it is held.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/detector.h"

#include "cluster/news.h"
#include "cluster/splits.h"

/* A change of a peer, told to the log once the lock is given up. */
typedef struct News
{
	char		name[CC_NAME_LEN];
	char		address[CC_ADDRESS_LEN];
	int64		ms;				/* of silence; negative: never heard */
} News;

static void
note_news(News *news, const CcMemberShared *m, int64 ms)
{
	strlcpy(news->name, m->name, sizeof(news->name));
	strlcpy(news->address, m->address, sizeof(news->address));
	news->ms = ms;
}

bool
cc_detector_is_up(const CcMemberShared *m)
{
	if (m->self)
		return true;
	return m->used && !m->removed && m->state != CC_PEER_DOWN &&
		pg_atomic_read_u64(&((CcMemberShared *) m)->last_heard) != 0;
}

bool
cc_detector_reachable(int slot)
{
	bool		up;

	cc_lock_shared(&cc.members->lock);
	up = cc_detector_is_up(&cc.members->member[slot]);
	cc_unlock(&cc.members->lock);
	return up;
}

/*
 * It is heard for the first time since our start.  One who was declared down
 * meanwhile is back instead.
 */
static void
hear_first(CcMemberShared *m, int64 now)
{
	uint64		never = 0;
	News		news;
	bool		up;

	if (!pg_atomic_compare_exchange_u64(&m->last_heard, &never,
										(uint64) Max(now, 1)))
		return;
	cc_lock_shared(&cc.members->lock);
	up = cc_membership_is_peer(m) && m->state != CC_PEER_DOWN;
	note_news(&news, m, -1);
	cc_unlock(&cc.members->lock);
	if (up)
		cc_news_peer_up(news.name, news.address, -1);
}

/* Rule 3: it was down and is heard again. */
static void
revive(CcMemberShared *m)
{
	News		news;
	bool		back = false;

	cc_lock_exclusive(&cc.members->lock);
	if (m->state == CC_PEER_DOWN)
	{
		back = cc_membership_is_peer(m);
		note_news(&news, m, Max(cc_clock_ms() - m->down_since, 0));
		m->state = CC_PEER_CONNECTING;
		m->down_since = 0;
		pg_atomic_write_u32(&cc.members->link_news, 1);
	}
	cc_unlock(&cc.members->lock);

	if (back)
	{
		cc_log(CC_LOG, "peer \"%s\" (%s) is back after %.1f s", news.name,
			   news.address, news.ms / 1000.0);
		cc_news_peer_up(news.name, news.address, news.ms);
	}
}

void
cc_detector_heard(int slot, int64 now)
{
	CcMemberShared *m = &cc.members->member[slot];

	/* 0 means never */
	if (pg_atomic_read_u64(&m->last_heard) == 0)
		hear_first(m, now);
	cc_atomic_raise(&m->last_heard, (uint64) Max(now, 1));

	/*
	 * Looked at without the lock, since this is called for every message: if
	 * it has just been declared down, the next message revives it.
	 */
	if (m->state == CC_PEER_DOWN)
		revive(m);
}

/*
 * Rule 2.  Under the exclusive lock; true when the peer went down just now.
 */
static bool
judge(CcMemberShared *m, int64 now, int64 peer_timeout, News *news)
{
	int64		heard = (int64) pg_atomic_read_u64(&m->last_heard);
	int64		silent;

	if (m->watched == 0)
		m->watched = Max(now, 1);
	if (heard != 0)
		m->last_heard_wall = cc_clock_ms() - Max(now - heard, 0);

	silent = now - Max(heard, m->watched);
	if (m->state == CC_PEER_DOWN || silent < peer_timeout)
		return false;
	m->state = CC_PEER_DOWN;
	m->down_since = cc_clock_ms();
	pg_atomic_write_u32(&cc.members->link_news, 1);
	note_news(news, m, heard != 0 ? now - heard : -1);
	return true;
}

void
cc_detector_check(int64 now, int64 peer_timeout)
{
	CcMembersShared *ms = cc.members;
	News		news[CC_MAX_MEMBERS];
	int			nnews = 0;
	bool		slept;

	cc_lock_exclusive(&ms->lock);

	/* rule 5: what came in meanwhile has not been read yet */
	slept = ms->last_check != 0 && now - ms->last_check >= peer_timeout;
	ms->last_check = Max(now, 1);
	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		CcMemberShared *m = &ms->member[slot];

		if (!cc_membership_is_peer(m))
			continue;
		if (slept)
			m->watched = Max(now, 1);
		if (judge(m, now, peer_timeout, &news[nnews]))
			nnews++;
	}
	cc_unlock(&ms->lock);

	for (int i = 0; i < nnews; i++)
	{
		if (news[i].ms < 0)
			cc_log(CC_LOG, "peer \"%s\" (%s) is down: not heard since this "
				   "server's start", news[i].name, news[i].address);
		else
			cc_log(CC_LOG, "peer \"%s\" (%s) is down: silent for %.1f s",
				   news[i].name, news[i].address, news[i].ms / 1000.0);
		cc_news_peer_down(news[i].name, news[i].address, news[i].ms);
	}
}

/*
 * Whether our VV covers what some reachable peer had, at or after its hello
 * to this start of ours.
 *
 * That is what C says (PROTOCOL.md, causal stability): the candidate is the
 * VV that the peer named first, it stays until our own VV covers it, and then
 * C is known.  The newest K would not do: with writes going on it is always
 * a little ahead.
 */
static bool
caught_up(int *peers, int *reachable)
{
	bool		done = false;

	*peers = 0;
	*reachable = 0;
	cc_lock_shared(&cc.members->lock);
	for (uint32 slot = 0; slot < cc.members->nmembers; slot++)
	{
		const CcMemberShared *m = &cc.members->member[slot];

		if (!cc_membership_is_peer(m))
			continue;
		(*peers)++;
		if (!cc_detector_is_up(m))
			continue;
		(*reachable)++;
		done = done || m->c_known;
	}
	cc_unlock(&cc.members->lock);
	return done;
}

void
cc_detector_phase(int64 now, int64 began, int64 startup_timeout,
				  bool have_seeds)
{
	CcPhase		phase = cc_state_phase();
	int			peers;
	int			reachable;
	bool		ready;

	if (phase != CC_PENDING && phase != CC_JOINING)
		return;

	ready = caught_up(&peers, &reachable);
	if (!ready && ((peers == 0 && !have_seeds) ||
				   pg_atomic_read_u32(&cc.members->removed) != 0))
		ready = true;			/* alone, and by intention */
	if (!ready && now - began >= startup_timeout)
	{
		cc_log(CC_LOG, reachable > 0 ?
			   "not all data of the peers is here after %.1f s, serving what "
			   "is" :
			   "no peer was reached within %.1f s, serving what this server's "
			   "files hold", (now - began) / 1000.0);
		ready = true;
	}

	if (ready)
	{
		cc_splits_ready();
		cc_state_set_phase(CC_READY);
	}
	else
		cc_state_set_phase(reachable > 0 ? CC_JOINING : CC_PENDING);
}
