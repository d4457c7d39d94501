/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calling one address, again and again.  See call.h.
 *
 * Before the hello the server there is asked who it is.  So two addresses that
 * lead to one server, or one that leads to ourselves, are recognised before a
 * second hello would fence the session of the first (PROTOCOL.md, fence).
 * They are looked at again now and then, and at once when that session ends.
 *
 * Locking: see call.h.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/call.h"

#include "base/events.h"
#include "base/resolve.h"
#include "cluster/membership.h"
#include "cluster/peer.h"
#include "cluster/trouble.h"

/* Waits between tries, in ms, before jitter */
#define RETRY_FIRST			100
#define RETRY_UNREACHABLE	1000
#define RETRY_REFUSED		5000
#define RETRY_DUPLICATE		60000	/* leads to a server that we have, or to us */

#define ATTEMPT_MIN			2000	/* least time for a try, in ms */
#define GOOD_SESSION		5000	/* a session of so many ms was a success */

/* Work for one call in one turn of the loop */
#define MAX_REPLIES			256
#define MAX_SEND_BYTES		(1024 * 1024)

#define LINE_LEN			(CC_PEER_LINE_LEN + CC_HOST_LEN + 64)

typedef enum Stage
{
	WAITING,					/* for the next try */
	RESOLVING,					/* the host's name */
	CONNECTING,					/* and asking who is there */
	HELLO,						/* hello sent */
	SESSION						/* batches go */
} Stage;

struct CcCall
{
	CcCall	   *next;			/* in "calls" */
	bool		seed;
	bool		held;
	bool		self;
	bool		id_known;
	CcNodeId	id;
	CcConninfo	info;

	Stage		stage;
	int64		due;			/* WAITING: next try; before SESSION: when this
								 * one is given up */
	int			failures;		/* in a row */
	unsigned	tries;			/* chooses among several places */
	const CcCall *same_as;		/* has the session with that server */

	/* of this try or session */
	CcPlace		place;
	CcResolve  *resolve;
	CcPeer	   *peer;
	CcServer	server;
	CcSender   *sender;
	int64		session_began;
	bool		more;			/* work is left that no event will announce */
	int64		drained_at;		/* the sender had nothing more to send; -1:
								 * it may have */

	/* what was said, and is not to be said again */
	CcTrouble	trouble;
	bool		said_connected;
	unsigned	sessions;		/* begun, and not yet told of */
};

static CcCall *calls = NULL;
static uint64 changes = 0;
static CcSenderOptions options;
static CcConninfo added;		/* connection options that all get */
static char *added_text = NULL;
static char *our_name = NULL;

/* ------------------------------------------------------------------------
 * Creation and settings
 * ------------------------------------------------------------------------
 */

static char *
copy_text(const char *text)
{
	return strcpy(cc_alloc(strlen(text) + 1), text);
}

bool
cc_call_configure(const CcSenderOptions *opt, const char *conninfo,
				  const char *node_name)
{
	bool		first = our_name == NULL;

	options = *opt;
	for (CcCall *c = calls; c != NULL; c = c->next)
	{
		if (c->sender != NULL)
			cc_sender_set_options(c->sender, opt);
	}
	if (!first && strcmp(our_name, node_name) == 0 &&
		strcmp(added_text, conninfo) == 0)
		return false;

	/* connections refer to the options, so they end first */
	for (CcCall *c = calls; c != NULL; c = c->next)
		cc_call_reset(c, cc_monotonic_ms(), 0);
	cc_conninfo_free(&added);
	if (!cc_peer_parse(conninfo, &added))
		cc_log(CC_WARN, "cachecluster.peer_conninfo is not a valid connection string and is not used");
	cc_free(added_text);
	cc_free(our_name);
	added_text = copy_text(conninfo);
	our_name = copy_text(node_name);
	return !first;
}

static bool
choose_place(CcCall *c)
{
	return cc_conninfo_place(&c->info, &added, c->tries, &c->place);
}

CcCall *
cc_call_create(const char *conninfo, bool seed, const CcNodeId *expected)
{
	CcCall	   *c = cc_alloc(sizeof(CcCall));

	memset(c, 0, sizeof(CcCall));
	if (!cc_peer_parse(conninfo, &c->info))
	{
		cc_free(c);
		return NULL;
	}
	c->seed = seed;
	c->stage = WAITING;
	if (expected != NULL)
	{
		c->id = *expected;
		c->id_known = true;
	}
	/* a name for messages that come before the first try */
	(void) choose_place(c);
	c->next = calls;
	calls = c;
	return c;
}

/* Another address of the server that we had a session with may be tried now. */
static void
release_duplicates(const CcCall *c, int64 now)
{
	for (CcCall *other = calls; other != NULL; other = other->next)
	{
		if (other->same_as != c)
			continue;
		other->same_as = NULL;
		if (other->stage == WAITING)
			other->due = now;
	}
}

/* Ends the try or session, if any. */
static void
finish(CcCall *c, int64 now)
{
	if (c->stage == SESSION)
		changes++;
	if (c->stage >= HELLO)
		release_duplicates(c, now);
	if (c->resolve != NULL)
		cc_resolve_drop(c->resolve);
	c->resolve = NULL;
	if (c->peer != NULL)
		cc_peer_close(c->peer);
	c->peer = NULL;
	if (c->sender != NULL)
		cc_sender_free(c->sender);
	c->sender = NULL;
	c->stage = WAITING;
	c->more = false;
}

void
cc_call_free(CcCall *c)
{
	CcCall	  **link = &calls;

	finish(c, cc_monotonic_ms());
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	cc_conninfo_free(&c->info);
	cc_free(c);
}

void
cc_call_reset(CcCall *c, int64 now, int64 ms)
{
	finish(c, now);
	c->failures = 0;
	c->due = now + ms;
}

void
cc_call_set_held(CcCall *c, int64 now, bool held)
{
	if (held == c->held)
		return;
	c->held = held;
	cc_call_reset(c, now, 0);
}

/* ------------------------------------------------------------------------
 * Failures
 * ------------------------------------------------------------------------
 */

static int64
with_jitter(int64 ms)
{
	return ms - ms / 4 + cc_random_below((uint32) (ms / 4 + 1));
}

/* Leaves the error where the views show it. */
static void
show_error(const CcCall *c, const char *text)
{
	CcMembersShared *ms = cc.members;
	int			slot = c->id_known ? cc_membership_find(&c->id) : -1;

	cc_lock_exclusive(&ms->lock);
	strlcpy(slot >= 0 ? ms->member[slot].last_error : ms->last_error, text,
			CC_ERROR_LEN);
	cc_unlock(&ms->lock);
}

/* What was wrong there is mended. */
static void
clear_error(const CcCall *c)
{
	CcMembersShared *ms = cc.members;
	char		prefix[LINE_LEN];

	snprintf(prefix, sizeof(prefix), "peer %s ", cc_conninfo_show(&c->place));
	cc_lock_exclusive(&ms->lock);
	if (strncmp(ms->last_error, prefix, strlen(prefix)) == 0)
		ms->last_error[0] = '\0';
	cc_unlock(&ms->lock);
}

/*
 * Says what is wrong, once, and tries again after ms.  Returns whether it had
 * not been said before.
 */
static bool
give_up(CcCall *c, int64 now, const char *verb, const char *text,
		const char *cure, int64 ms)
{
	char		said[LINE_LEN];
	bool		is_new;

	if (c->stage == SESSION && now - c->session_began >= GOOD_SESSION)
		c->failures = c->trouble.n = 0;
	snprintf(said, sizeof(said), "peer %s %s: %s", cc_conninfo_show(&c->place),
			 verb, text);
	show_error(c, said);
	is_new = cc_trouble_is_new(&c->trouble, said);
	if (is_new)
	{
		c->said_connected = false;
		cc_log(CC_LOG, "%s%s%s", said, cure[0] != '\0' ? ". " : "", cure);
	}
	finish(c, now);
	c->due = now + with_jitter(ms);
	return is_new;
}

/* Not more than a second apart. */
static void
unreachable(CcCall *c, int64 now, const char *text)
{
	int64		ms = RETRY_FIRST << Min(c->failures, 4);

	(void) give_up(c, now, "cannot be reached", text, "",
				   Min(ms, RETRY_UNREACHABLE));
	c->failures++;
}

static void
tell_refusal(const CcCall *c, const char *why)
{
	const char *place = cc_conninfo_show(&c->place);
	char		name[CC_NAME_LEN];
	char		address[100];
	char		text[160];

	cc_event(CC_EVENT_REFUSED,
			 c->id_known && cc_membership_name(&c->id, name) ? name : place,
			 "\"by\": \"peer\", \"address\": %s, \"why\": %s",
			 cc_event_text(address, sizeof(address), place),
			 cc_event_text(text, sizeof(text), why));
}

/* Somebody has to see to it: at most five seconds apart. */
static void
refused(CcCall *c, int64 now, const char *text, const char *cure, int64 ms)
{
	if (give_up(c, now, "refuses", text, cure, ms))
		tell_refusal(c, text);
	c->failures++;
}

static void
fail_peer(CcCall *c, int64 now)
{
	const CcPeerTrouble *t = cc_peer_trouble(c->peer);

	if (t->passes)
		unreachable(c, now, t->line);
	else
		refused(c, now, t->line, t->cure, RETRY_REFUSED);
}

/* The sender ends the session, by the status that a reply said. */
static void
end_session(CcCall *c, int64 now, CcStatus status)
{
	int64		ms = cc_sender_retry_ms(status);

	switch (status)
	{
		case CC_REFUSED_SELF:
			c->self = true;
			cc_call_reset(c, now, with_jitter(RETRY_DUPLICATE));
			break;
		case CC_REFUSED_BUSY:
		case CC_REFUSED_FENCED:
		case CC_REFUSED_NOT_READY:
			/* the normal course of things, not worth a line */
			show_error(c, cc_status_text(status));
			cc_call_reset(c, now, with_jitter(ms));
			break;
		default:
			refused(c, now, cc_status_text(status), "", ms);
			break;
	}
}

/* ------------------------------------------------------------------------
 * Tries
 * ------------------------------------------------------------------------
 */

static int64
attempt_time(void)
{
	return Max(options.peer_timeout_ms, ATTEMPT_MIN);
}

static void
connect_place(CcCall *c, int64 now)
{
	c->peer = cc_peer_open(&c->place, &c->info, &added, our_name,
						   attempt_time());
	if (c->peer == NULL)
		unreachable(c, now, "too many open files, or out of memory");
	else
		c->stage = CONNECTING;
}

static void
begin_try(CcCall *c, int64 now)
{
	c->self = false;
	c->same_as = NULL;
	c->due = now + attempt_time();
	if (cc_conninfo_get(&c->info, "service") != NULL)
		refused(c, now, "\"service\" is not supported", "", RETRY_REFUSED);
	else if (!choose_place(c))
		refused(c, now, "host or port is too long", "", RETRY_REFUSED);
	else if (c->place.hostaddr[0] != '\0' ||
			 cc_conninfo_is_path(c->place.host))
		connect_place(c, now);
	else if (strlen(c->place.host) < CC_HOSTADDR_LEN &&
			 cc_resolve_is_numeric(c->place.host))
	{
		strlcpy(c->place.hostaddr, c->place.host, CC_HOSTADDR_LEN);
		connect_place(c, now);
	}
	else
	{
		c->stage = RESOLVING;
		c->resolve = cc_resolve_begin(c->place.host);
		if (c->resolve == NULL)
			unreachable(c, now, "its name cannot be looked up now");
	}
	c->tries++;
}

static void
check_resolved(CcCall *c, int64 now)
{
	char		text[CC_PEER_LINE_LEN];
	int			n;

	if (!cc_resolve_done(c->resolve))
		return;
	n = cc_resolve_count(c->resolve);
	if (n == 0)
	{
		snprintf(text, sizeof(text), "its name cannot be resolved: %s",
				 cc_resolve_error(c->resolve));
		unreachable(c, now, text);
		return;
	}
	strlcpy(c->place.hostaddr, cc_resolve_address(c->resolve, c->tries % n),
			CC_HOSTADDR_LEN);
	cc_resolve_drop(c->resolve);
	c->resolve = NULL;
	connect_place(c, now);
}

static bool
same_server(const CcServer *a, const CcServer *b)
{
	return a->system == b->system && a->started == b->started;
}

/* The call that has, or asks for, the session with this server; or NULL. */
static const CcCall *
find_duplicate(const CcCall *c)
{
	for (const CcCall *other = calls; other != NULL; other = other->next)
	{
		if (other != c && other->stage >= HELLO &&
			same_server(&other->server, &c->server))
			return other;
	}
	return NULL;
}

static void
say_hello(CcCall *c, int64 now)
{
	const char *data;
	Size		len;

	c->stage = HELLO;
	c->sender = cc_sender_create(&options, c->seed);
	cc_sender_hello(c->sender, now, &data, &len);
	if (!cc_peer_hello(c->peer, data, len))
		fail_peer(c, now);
}

/* It is known who is there. */
static void
meet_server(CcCall *c, int64 now)
{
	const CcCall *other;
	CcServer	own;

	c->server = *cc_peer_server(c->peer);
	cc_peer_own_server(&own);
	c->self = same_server(&c->server, &own);
	other = find_duplicate(c);
	if (c->self || other != NULL)
	{
		clear_error(c);
		cc_call_reset(c, now, with_jitter(RETRY_DUPLICATE));
		c->same_as = other;
		if (other != NULL && other->id_known)
		{
			c->id = other->id;
			c->id_known = true;
		}
	}
	else if (!c->server.has_extension)
	{
		char		text[CC_PEER_LINE_LEN];

		snprintf(text, sizeof(text),
				 "extension cachecluster does not exist in its database \"%s\"",
				 c->server.database);
		refused(c, now, text,
				"Create it there, or name its database by dbname in cachecluster.peer_conninfo.",
				RETRY_REFUSED);
	}
	else
		say_hello(c, now);
}

/* ------------------------------------------------------------------------
 * Sessions
 * ------------------------------------------------------------------------
 */

/* The hello was answered well: batches may go. */
static void
begin_session(CcCall *c, int64 now)
{
	c->stage = SESSION;
	c->session_began = now;
	c->id_known = cc_sender_peer(c->sender, &c->id);
	c->drained_at = -1;
	c->sessions++;
	changes++;
	clear_error(c);
	if (!c->said_connected)
		cc_log(CC_LOG, "connected to peer %s", cc_conninfo_show(&c->place));
	c->said_connected = true;
}

static void
take_reply(CcCall *c, int64 now)
{
	const char *data;
	Size		len;
	CcStatus	status;

	cc_peer_reply(c->peer, &data, &len);
	status = cc_sender_reply(c->sender, now, data, len);
	if (status != CC_OK)
		end_session(c, now, status);
	else if (c->stage == HELLO)
		begin_session(c, now);
}

/*
 * Takes in what came, a bounded number of replies.  The call may have gone
 * back to WAITING after it.
 */
static void
take_events(CcCall *c, int64 now)
{
	for (int n = 0; c->peer != NULL; n++)
	{
		if (n >= MAX_REPLIES)
		{
			c->more = true;
			return;
		}
		switch (cc_peer_next(c->peer))
		{
			case CC_PEER_NOTHING:
				return;
			case CC_PEER_SERVER:
				meet_server(c, now);
				break;
			case CC_PEER_REPLY:
				take_reply(c, now);
				break;
			case CC_PEER_FAILED:
				fail_peer(c, now);
				break;
		}
	}
}

/*
 * Hands on batches while the sender has some and the socket takes them, a
 * bounded number of bytes.
 */
static void
send_batches(CcCall *c, int64 now)
{
	Size		bytes = 0;

	c->drained_at = -1;
	while (cc_peer_may_send(c->peer))
	{
		const char *data;
		Size		len;

		if (bytes >= MAX_SEND_BYTES)
		{
			c->more = true;
			return;
		}
		if (!cc_sender_next(c->sender, now, &data, &len))
		{
			c->drained_at = now;
			return;
		}
		if (!cc_peer_send(c->peer, data, len))
		{
			fail_peer(c, now);
			return;
		}
		bytes += len;
	}
}

void
cc_call_step(CcCall *c, int64 now)
{
	c->more = false;
	if (c->stage == WAITING)
	{
		if (!c->held && now >= c->due)
			begin_try(c, now);
		return;
	}
	if (c->stage == RESOLVING)
		check_resolved(c, now);
	if (c->peer != NULL)
	{
		cc_peer_work(c->peer);
		take_events(c, now);
	}
	if (c->stage == SESSION)
		send_batches(c, now);

	if (c->stage == SESSION)
	{
		if (cc_sender_timed_out(c->sender, now))
			unreachable(c, now, "it has fallen silent");
	}
	else if (c->stage != WAITING && now >= c->due)
		unreachable(c, now, "it does not answer");
}

int64
cc_call_due(const CcCall *c)
{
	int64		due = c->due;

	if (c->more)
		return 0;
	if (c->stage == WAITING && c->held)
		return PG_INT64_MAX;
	if (c->stage != SESSION)
		return due;

	/*
	 * Where the socket takes nothing, or the sender has something to do but
	 * does not do it, a reply or the socket will wake us.
	 */
	due = cc_sender_due(c->sender);
	return due > c->drained_at && c->drained_at >= 0 ? due : PG_INT64_MAX;
}

bool
cc_call_id(const CcCall *c, CcNodeId *id)
{
	*id = c->id;
	return c->id_known;
}

bool
cc_call_is_self(const CcCall *c)
{
	return c->self;
}

bool
cc_call_in_session(const CcCall *c)
{
	return c->stage == SESSION;
}

unsigned
cc_call_take_sessions(CcCall *c)
{
	unsigned	n = c->sessions;

	c->sessions = 0;
	return n;
}

uint64
cc_call_changes(void)
{
	return changes;
}
