/*-------------------------------------------------------------------------
 *
 * links.c
 *	  Whom this node calls, and the replicator's regular duties.
 *
 * The list of links is made anew at every round of duties from the seeds and
 * the table of members; what is still wanted keeps its connection.
 *
 *	- A link to a member is held back while another link has a session with
 *	  that node.  A seed's is not: it finds out by itself (call.h) and looks
 *	  again now and then, since the address may come to lead elsewhere.
 *	- A removed node has no links, and nobody calls it.
 *
 * Duties come once per heartbeat interval; once a second when there is nobody
 * to call.
 *
 * Locking: see links.h.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/links.h"

#include "base/guc.h"
#include "cache/changelog.h"
#include "cluster/call.h"
#include "cluster/detector.h"
#include "cluster/heal.h"
#include "cluster/membership.h"
#include "cluster/peer.h"
#include "cluster/splits.h"

#define MAX_LINKS		(2 * CC_MAX_MEMBERS)
#define CONNINFO_LEN	1024

/* Between rounds of duties, in ms: while loading, and when alone */
#define LOADING_ROUND	20
#define ALONE_ROUND		1000

/* What a removed member's address is tried again after, in ms */
#define RETRY_REMOVED	5000

typedef struct Link
{
	CcCall	   *call;
	bool		seed;
	bool		wanted;
	char	   *conninfo;
	CcNodeId	member;			/* unless a seed */
} Link;

/* What a round of duties has copied of the table of members. */
typedef struct Member
{
	CcNodeId	id;
	bool		removed;
	bool		self;
	char		address[CC_ADDRESS_LEN];
} Member;

static Link links[MAX_LINKS];
static int	nlinks = 0;
static Member members[CC_MAX_MEMBERS];
static int	nmembers = 0;

static bool loaded;				/* the files were, and we are announced */
static bool removed;			/* we were, for good */
static bool bad_seeds_told;
static int64 began;
static int64 next_round;
static int64 heal_due;			/* monotonic ms, as next_round */
static uint64 seen_changes;		/* of cc_call_changes */
static uint32 seen_members;		/* of members->nmembers */
static uint64 seen_position;	/* the published end when */
static uint32 seen_seeds;		/* we last looked, and version of seeds */
static CcNodeId our_id;
static uint64 our_boot;
static char our_name[CC_NAME_LEN];
static char our_address[CC_ADDRESS_LEN];
static bool had_session[CC_MAX_MEMBERS];

/* ------------------------------------------------------------------------
 * The list of links
 * ------------------------------------------------------------------------
 */

static void
drop_link(int i)
{
	cc_call_free(links[i].call);
	cc_free(links[i].conninfo);
	links[i] = links[--nlinks];
}

/*
 * The link with that conninfo (a seed) or to that member, made if it is not
 * there.  Returns false when the conninfo can't be used.
 */
static bool
want_link(const char *conninfo, const CcNodeId *member)
{
	Link	   *l;

	for (int i = 0; i < nlinks; i++)
	{
		l = &links[i];
		if (l->seed == (member == NULL) &&
			strcmp(l->conninfo, conninfo) == 0 &&
			(member == NULL || cc_id_cmp(&l->member, member) == 0))
		{
			l->wanted = true;
			return true;
		}
	}
	if (nlinks == MAX_LINKS)
		return false;
	l = &links[nlinks];
	l->call = cc_call_create(conninfo, member == NULL, member);
	if (l->call == NULL)
		return false;
	l->seed = member == NULL;
	l->wanted = true;
	if (member != NULL)
		l->member = *member;
	l->conninfo = cc_alloc(strlen(conninfo) + 1);
	strcpy(l->conninfo, conninfo);
	nlinks++;
	return true;
}

/*
 * Length of the first seed of a list.  A semicolon inside a value in quotes
 * separates nothing.
 */
static Size
seed_length(const char *list)
{
	bool		quoted = false;
	const char *c;

	for (c = list; *c != '\0' && (quoted || *c != ';'); c++)
	{
		if (quoted && *c == '\\' && c[1] != '\0')
			c++;
		else if (*c == '\'' && (quoted || (c > list && c[-1] == '=')))
			quoted = !quoted;
	}
	return c - list;
}

/* Links for all seeds of a list; what names none is told once. */
static void
want_seeds(const char *list, const char *whence)
{
	for (int n = 1; *list != '\0'; n++)
	{
		char		conninfo[CONNINFO_LEN];
		Size		len = seed_length(list);
		const char *from = list + strspn(list, " \t\r\n");
		const char *end = list + len;
		bool		ok = true;

		list = *end == ';' ? end + 1 : end;
		if (from >= end)
			continue;
		if (end - from < CONNINFO_LEN)
		{
			memcpy(conninfo, from, end - from);
			conninfo[end - from] = '\0';
			ok = want_link(conninfo, NULL);
		}
		if ((!ok || end - from >= CONNINFO_LEN) && !bad_seeds_told)
		{
			/* not the text: it may hold a password */
			cc_log(CC_WARN, "seed %d of %s is not a valid connection string, or one too many, and is not used",
				   n, whence);
			bad_seeds_told = true;
		}
	}
}

static void
copy_members(void)
{
	CcMembersShared *ms = cc.members;

	nmembers = 0;
	removed = pg_atomic_read_u32(&ms->removed) != 0;
	cc_lock_shared(&ms->lock);
	seen_members = ms->nmembers;
	for (uint32 i = 0; i < CC_MAX_MEMBERS; i++)
	{
		const CcMemberShared *m = &ms->member[i];
		Member	   *copy = &members[nmembers];

		if (!m->used)
			continue;
		copy->id = m->id;
		copy->removed = m->removed;
		copy->self = m->self;
		strlcpy(copy->address, m->address, CC_ADDRESS_LEN);
		nmembers++;
	}
	cc_unlock(&ms->lock);
}

static bool
is_removed(const CcNodeId *id)
{
	for (int i = 0; i < nmembers; i++)
	{
		if (cc_id_cmp(&members[i].id, id) == 0)
			return members[i].removed;
	}
	return false;
}

static void
refresh_links(int64 now)
{
	static char seeds[CC_SEEDS_LEN];

	for (int i = 0; i < nlinks; i++)
		links[i].wanted = false;
	if (!removed)
	{
		want_seeds(cc_peers, "cachecluster.peers");
		cc_lock_shared(&cc.state->lock);
		strlcpy(seeds, cc.state->seeds, CC_SEEDS_LEN);
		cc_unlock(&cc.state->lock);
		want_seeds(seeds, "cache_join");
		for (int i = 0; i < nmembers; i++)
		{
			if (!members[i].self && !members[i].removed &&
				members[i].address[0] != '\0')
				want_link(members[i].address, &members[i].id);
		}
	}
	for (int i = nlinks - 1; i >= 0; i--)
	{
		CcNodeId	id;

		if (!links[i].wanted)
			drop_link(i);
		else if (cc_call_in_session(links[i].call) &&
				 cc_call_id(links[i].call, &id) && is_removed(&id))
			cc_call_reset(links[i].call, now, RETRY_REMOVED);
	}
}

/* The link that has the session with a node, or NULL. */
static Link *
session_with(const CcNodeId *id)
{
	for (int i = 0; i < nlinks; i++)
	{
		CcNodeId	peer;

		if (cc_call_in_session(links[i].call) &&
			cc_call_id(links[i].call, &peer) && cc_id_cmp(&peer, id) == 0)
			return &links[i];
	}
	return NULL;
}

/* Never two connections to one node. */
static void
hold_links(int64 now)
{
	for (int i = 0; i < nlinks; i++)
	{
		const Link *session;

		if (links[i].seed)
			continue;
		session = session_with(&links[i].member);
		cc_call_set_held(links[i].call, now,
						 session != NULL && session != &links[i]);
	}
	seen_changes = cc_call_changes();
}

/* Seeds that are not ourselves. */
static bool
have_seeds(void)
{
	for (int i = 0; i < nlinks; i++)
	{
		if (links[i].seed && !cc_call_is_self(links[i].call))
			return true;
	}
	return false;
}

static bool
have_others(void)
{
	for (int i = 0; i < nmembers; i++)
	{
		if (!members[i].self && !members[i].removed)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Duties
 * ------------------------------------------------------------------------
 */

/* A node that has become another one begins all its sessions anew. */
static void
note_identity(int64 now)
{
	CcNodeId	id;
	uint64		boot;

	cc_lock_shared(&cc.state->lock);
	id = cc.state->id;
	boot = cc.state->boot;
	cc_unlock(&cc.state->lock);
	if (loaded && (boot != our_boot || cc_id_cmp(&id, &our_id) != 0))
	{
		for (int i = 0; i < nlinks; i++)
			cc_call_reset(links[i].call, now, 0);
	}
	our_id = id;
	our_boot = boot;
}

/*
 * What the views show of a session stands in the table by the sender's doing;
 * how many there were, and that there is none, by ours.
 */
static void
show_links(void)
{
	CcMembersShared *ms = cc.members;

	cc_lock_exclusive(&ms->lock);
	for (int slot = 0; slot < CC_MAX_MEMBERS; slot++)
	{
		CcMemberShared *m = &ms->member[slot];
		uint64		sessions = 0;

		if (!cc_membership_is_peer(m))
			continue;
		for (int i = 0; i < nlinks; i++)
		{
			CcNodeId	id;

			if (cc_call_id(links[i].call, &id) && cc_id_cmp(&id, &m->id) == 0)
				sessions += cc_call_take_sessions(links[i].call);
		}
		if (sessions > 0)
		{
			m->reconnects += had_session[slot] ? sessions : sessions - 1;
			had_session[slot] = true;
		}
		if (m->state != CC_PEER_DOWN && session_with(&m->id) == NULL)
			m->state = CC_PEER_CONNECTING;
	}
	cc_unlock(&ms->lock);
}

static void
found_cluster(int64 now)
{
	CcNodeId	cluster;

	cc_lock_shared(&cc.state->lock);
	cluster = cc.state->cluster_id;
	cc_unlock(&cc.state->lock);
	if (cc_id_is_zero(&cluster) &&
		((!have_seeds() && !have_others()) ||
		 now - began >= cc_startup_timeout))
		cc_membership_found();
}

/*
 * Time between two rounds.  The detector must look more often than a peer
 * could be silent.
 */
static int64
round_time(void)
{
	int64		ms = Min(cc_heartbeat_interval, Max(cc_peer_timeout / 3, 1));

	return nlinks > 0 ? ms : Max(ms, ALONE_ROUND);
}

/* Who can be reached has changed, or may have. */
static void
follow_reach(int64 now)
{
	(void) cc_reach_update(now);
	cc_splits_update(now, cc_peer_timeout, cc_heartbeat_interval);
}

/* Returns the time until the next round. */
static int64
do_duties(int64 now)
{
	if (cc_state_phase() <= CC_LOADING)
		return LOADING_ROUND;
	copy_members();
	note_identity(now);
	if (!removed)
		cc_membership_announce(our_name, our_address);
	loaded = true;
	seen_seeds = pg_atomic_read_u32(&cc.state->seeds_version);
	refresh_links(now);
	hold_links(now);
	if (!removed)
		found_cluster(now);
	cc_membership_maintain();
	cc_detector_check(now, cc_peer_timeout);
	show_links();
	cc_detector_phase(now, began, cc_startup_timeout, have_seeds());
	cc_heal_tell_waiting(now);
	follow_reach(now);
	return round_time();
}

/* ------------------------------------------------------------------------
 * Turns of the loop
 * ------------------------------------------------------------------------
 */

static bool
configure(void)
{
	CcSenderOptions opt = {
		.heartbeat_ms = cc_heartbeat_interval,
		.peer_timeout_ms = cc_peer_timeout,
		.batch_bytes = CC_BATCH_BYTES
	};

	bad_seeds_told = false;
	return cc_call_configure(&opt, cc_peer_conninfo, our_name);
}

void
cc_links_init(int64 now)
{
	char		advertised[CONNINFO_LEN];

	began = now;
	next_round = now;
	/* a predecessor that left by an error may have been comparing */
	cc.store->comparisons_out = 0;
	cc_reach_forget_sessions();
	cc_guc_node_name(our_name, sizeof(our_name));
	cc_guc_address(advertised, sizeof(advertised));
	if (!cc_peer_address(advertised, our_address, sizeof(our_address)))
		cc_log(CC_WARN, "cachecluster.advertise names no host; members cannot learn how to reach this node");
	configure();
}

/* Whoever has mended something and says so need not wait for the next try. */
void
cc_links_reload(int64 now)
{
	bool		anew = configure();

	for (int i = 0; i < nlinks; i++)
	{
		if (anew || !cc_call_in_session(links[i].call))
			cc_call_reset(links[i].call, now, 0);
	}
	next_round = now;
}

/*
 * Whether there is somebody new to call.  Members are only ever added, and
 * the word is read without the lock: at worst the next round sees it.
 */
static bool
is_news(void)
{
	return seen_seeds != pg_atomic_read_u32(&cc.state->seeds_version) ||
		seen_members != cc.members->nmembers;
}

void
cc_links_step(int64 now)
{
	if (now >= next_round || (loaded && is_news()))
	{
		next_round = now + do_duties(now);
		heal_due = now;			/* what came meanwhile is looked at, too */
	}
	if (!loaded)
		return;

	pg_atomic_write_u32(&cc.state->alone, nlinks == 0);
	pg_memory_barrier();		/* who does not see it is seen */

	/* before the peers look, so that what comes after is seen as pending */
	seen_position = cc_changelog_published();
	for (int i = 0; i < nlinks; i++)
		cc_call_step(links[i].call, now);
	if (seen_changes != cc_call_changes())
		hold_links(now);
	if (cc_reach_is_news())
		follow_reach(now);
	if (now >= heal_due)
		heal_due = cc_heal_step(now, cc_peer_timeout);
}

int64
cc_links_due(void)
{
	int64		due = Min(next_round, heal_due);

	for (int i = 0; i < nlinks; i++)
		due = Min(due, cc_call_due(links[i].call));
	return due;
}

bool
cc_links_pending(void)
{
	if (!loaded)
		return false;
	return (nlinks > 0 && seen_position != cc_changelog_published()) ||
		is_news();
}

void
cc_links_end(void)
{
	while (nlinks > 0)
		drop_link(nlinks - 1);
}
