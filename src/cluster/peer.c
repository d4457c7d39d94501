/*-------------------------------------------------------------------------
 *
 * peer.c
 *	  One outgoing connection: libpq, and a sender's messages over it.
 *
 * Of libpq only what cannot block is used: a name is resolved before
 * (resolve.h) and its address given as hostaddr, GSS encryption is off, the
 * connection is non-blocking from its first query on and in pipeline mode.
 * Each message is one query and one sync, so that an error ends that message
 * alone; bytes under way are bounded by the sender, and nothing more is handed
 * to libpq while the socket takes nothing.
 *
 * Before the hello the peer's server is asked for its system identifier and
 * start time.  So two addresses that lead to one server, or one that leads to
 * ourselves, are recognised before a second hello would fence the session of
 * the first (PROTOCOL.md, fence).
 *
 * The socket may change whenever libpq's connection state machine is called:
 * the watch is stopped before and set up anew after, and ended before
 * PQfinish.
 *
 * Locking: see peer.h.
 *
 * May include: <libpq-fe.h> (no other file), PostgreSQL's headers, base/,
 * cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/peer.h"

#include <sys/socket.h>

#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "cluster/evloop.h"
#include "cluster/resolve.h"
#include "libpq-fe.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

/* Waits between tries, in ms, before jitter */
#define RETRY_FIRST		100
#define RETRY_UNREACHABLE 1000
#define RETRY_REFUSED	5000
#define RETRY_DUPLICATE 60000	/* leads to a server that we have, or to us */

#define ATTEMPT_MIN		2000	/* least time for a try, in ms */
#define GOOD_SESSION	5000	/* a session of this many ms was a success */

/* Work for one peer in one turn of the loop */
#define MAX_RESULTS		256
#define MAX_SEND_BYTES	(1024 * 1024)

#define MAX_FLIGHT		(CC_MAX_IN_FLIGHT + 2)

/* Where a message has its flags (proto.h): after magic, version and type */
#define MSG_FLAGS_AT	(4 + 2 + 1)
#define MAX_CAUSES		4

#define HOST_LEN		256
#define PORT_LEN		16
#define TEXT_LEN		512

/* Not ours to be set by who configures a peer, or set by us. */
static const char *const own_options[] = {
	"host", "hostaddr", "port", "dbname", "options", "gssencmode",
	"application_name", "keepalives", "keepalives_idle",
	"keepalives_interval", "keepalives_count", "tcp_user_timeout",
	"replication", "service", "connect_timeout", NULL
};

/*
 * The server's environment must not lead a peer's connection elsewhere, nor
 * make libpq look up a name.
 */
static const char *const foreign_environment[] = {
	"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGOPTIONS",
	"PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGDATESTYLE", "PGTZ",
	"PGGEQO", NULL
};

/* No limit of the peer's role or database may end a session or slow it. */
#define SESSION_OPTIONS \
	"-c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0" \
	" -c idle_in_transaction_session_timeout=0 -c jit=off" \
	" -c synchronous_commit=off -c search_path=pg_catalog"

#define LOOKUP_QUERY \
	"SELECT (SELECT pg_catalog.quote_ident(n.nspname)" \
	"  FROM pg_catalog.pg_extension e" \
	"  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace" \
	"  WHERE e.extname = 'cachecluster')," \
	" (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s)," \
	" pg_catalog.pg_postmaster_start_time()"

/* Prepared statements: a batch, and one that also asks for the time */
#define STMT_HELLO		"cachecluster_hello"
#define STMT_BATCH		"cachecluster_batch"
#define STMT_BEAT		"cachecluster_beat"

typedef enum FailKind
{
	FAIL_UNREACHABLE,
	FAIL_REFUSED,
	FAIL_STATUS					/* the sender says how long to wait */
} FailKind;

/* A query that waits for its result. */
typedef struct Flight
{
	uint64		usec;			/* when it was sent */
	int64		wall_ms;
	bool		beat;
} Flight;

struct CcPeer
{
	CcPeer	   *next;			/* in "peers" */
	bool		seed;
	bool		held;
	bool		self;
	bool		id_known;
	CcNodeId	id;
	PQconninfoOption *opts;		/* its conninfo, parsed */

	CcPeerStage stage;
	int64		due;			/* WAITING: next try; before STREAMING: when
								 * this one is given up */
	int			failures;		/* in a row */
	unsigned	tries;			/* chooses among several addresses */
	const CcPeer *same_as;		/* the peer that has the session with that
								 * server, only to be compared */

	/* of this try or session */
	char		host[HOST_LEN];
	char		hostaddr[CC_RESOLVE_ADDR_LEN];
	char		port[PORT_LEN];
	CcResolve  *resolve;
	PGconn	   *conn;
	CcWatch    *watch;
	bool		saw_bytes;		/* the last look at the socket found some */
	bool		more;			/* work is left that no event will announce */
	bool		blocked;		/* the socket takes nothing for now */
	bool		drained;		/* the sender had nothing more to send */
	char		schema[2 * NAMEDATALEN + 3];	/* quoted */
	uint64		system;			/* identifier and start time of its server */
	uint64		started;
	CcSender   *sender;
	int64		session_began;
	Flight		flight[MAX_FLIGHT];
	unsigned	nsent;			/* queries sent; Flight is a ring */
	unsigned	nback;			/* of which have been answered */

	/* what was said last, and not to be said again */
	char		notice[TEXT_LEN];
	uint32		cause[MAX_CAUSES];
	unsigned	ncauses;
	bool		said_connected;

	CcPeerStats stats;
};

static CcPeer *peers = NULL;
static uint64 changes = 0;
static CcSenderOptions sender_options;
static PQconninfoOption *added_options = NULL;
static char *added_text = NULL;
static char *our_name = NULL;

static void fail(CcPeer *p, int64 now, FailKind kind, int64 ms,
				 const char *text, const char *hint);

/* ------------------------------------------------------------------------
 * Connection strings
 * ------------------------------------------------------------------------
 */

static const char *
option_value(const PQconninfoOption *opts, const char *keyword)
{
	for (; opts != NULL && opts->keyword != NULL; opts++)
	{
		if (strcmp(opts->keyword, keyword) == 0)
			return opts->val != NULL && opts->val[0] != '\0' ? opts->val : NULL;
	}
	return NULL;
}

/* The peer's own options come before those that are added to every peer's. */
static const char *
peer_option(const CcPeer *p, const char *keyword)
{
	const char *value = option_value(p->opts, keyword);

	return value != NULL ? value : option_value(added_options, keyword);
}

/* libpq's message is not kept: it may quote what should not be seen. */
static PQconninfoOption *
parse_conninfo(const char *conninfo)
{
	char	   *message = NULL;
	PQconninfoOption *opts = PQconninfoParse(conninfo, &message);

	if (message != NULL)
		PQfreemem(message);
	return opts;
}

static unsigned
count_items(const char *list)
{
	unsigned	n = 1;

	if (list == NULL)
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Copies the i-th item of a comma-separated list; false when it is too long. */
static bool
copy_item(const char *list, unsigned i, char *out, Size size)
{
	Size		len;

	out[0] = '\0';
	if (list == NULL)
		return true;
	while (i-- > 0)
		list = strchr(list, ',') + 1;
	len = strcspn(list, ",");
	if (len >= size)
		return false;
	memcpy(out, list, len);
	out[len] = '\0';
	return true;
}

/* Chooses host, address and port of the next try from the lists there are. */
static bool
choose_host(CcPeer *p)
{
	const char *host = option_value(p->opts, "host");
	const char *hostaddr = option_value(p->opts, "hostaddr");
	const char *port = peer_option(p, "port");
	unsigned	n;
	unsigned	i;

	if (host == NULL && hostaddr == NULL)
	{
		host = option_value(added_options, "host");
		hostaddr = option_value(added_options, "hostaddr");
	}
	n = Max(count_items(host), count_items(hostaddr));
	i = n > 0 ? p->tries % n : 0;
	if (count_items(host) > i)
	{
		if (!copy_item(host, i, p->host, HOST_LEN))
			return false;
	}
	else
		p->host[0] = '\0';
	if (!copy_item(count_items(hostaddr) > i ? hostaddr : NULL, i,
				   p->hostaddr, CC_RESOLVE_ADDR_LEN) ||
		!copy_item(port, count_items(port) > i ? i : 0, p->port, PORT_LEN))
		return false;
	if (p->host[0] == '\0')
		strlcpy(p->host, p->hostaddr[0] != '\0' ? p->hostaddr :
				DEFAULT_PGSOCKET_DIR, HOST_LEN);
	if (p->port[0] == '\0')
		strlcpy(p->port, DEF_PGPORT_STR, PORT_LEN);
	return true;
}

static bool
is_socket_path(const char *host)
{
	return host[0] == '/' || host[0] == '@';
}

/* How a peer is called in messages: all of its options that may be shown. */
static const char *
peer_name(const CcPeer *p)
{
	static char name[HOST_LEN + PORT_LEN + 4];

	if (strchr(p->host, ':') != NULL)
		snprintf(name, sizeof(name), "[%s]:%s", p->host, p->port);
	else
		snprintf(name, sizeof(name), "%s:%s", p->host, p->port);
	return name;
}

/* Appends keyword='value' to a conninfo. */
static bool
append_option(char *out, Size size, const char *keyword, const char *value)
{
	Size		len = strlen(out);
	bool		plain = strspn(value, "abcdefghijklmnopqrstuvwxyz"
							   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							   "0123456789.:_-/%@") == strlen(value);

	len += snprintf(out + len, size - len, "%s%s=%s", len > 0 ? " " : "",
					keyword, plain ? value : "'");
	if (plain)
		return len < size;
	for (; len + 3 < size && *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			out[len++] = '\\';
		out[len++] = *value;
	}
	if (len + 2 > size)
		return false;
	out[len++] = '\'';
	out[len] = '\0';
	return *value == '\0';
}

bool
cc_peer_address(const char *conninfo, char *out, Size size)
{
	PQconninfoOption *opts = parse_conninfo(conninfo);
	const char *keyword = "host";
	const char *host = option_value(opts, "host");
	const char *port = option_value(opts, "port");
	bool		ok = false;

	out[0] = '\0';
	if (host == NULL)
	{
		keyword = "hostaddr";
		host = option_value(opts, "hostaddr");
	}
	if (host != NULL)
		ok = append_option(out, size, keyword, host) &&
			append_option(out, size, "port",
						  port != NULL ? port : DEF_PGPORT_STR);
	if (opts != NULL)
		PQconninfoFree(opts);
	return ok;
}

/* ------------------------------------------------------------------------
 * Creation and settings
 * ------------------------------------------------------------------------
 */

static bool
same_text(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

bool
cc_peer_configure(const CcSenderOptions *opt, const char *conninfo,
				  const char *node_name)
{
	bool		first = our_name == NULL;
	PQconninfoOption *opts;

	sender_options = *opt;
	for (CcPeer *p = peers; p != NULL; p = p->next)
	{
		if (p->sender != NULL)
			cc_sender_set_options(p->sender, opt);
	}
	if (same_text(our_name, node_name) && same_text(added_text, conninfo))
		return false;

	if (first)
	{
		for (int i = 0; foreign_environment[i] != NULL; i++)
			unsetenv(foreign_environment[i]);
	}
	opts = parse_conninfo(conninfo);
	if (opts == NULL)
		cc_log(CC_WARN, "cachecluster.peer_conninfo is not a valid connection string and is not used");
	if (added_options != NULL)
		PQconninfoFree(added_options);
	added_options = opts;
	free(added_text);
	free(our_name);
	added_text = strdup(conninfo);
	our_name = strdup(node_name);
	return !first;
}

CcPeer *
cc_peer_create(const char *conninfo, bool seed, const CcNodeId *expected)
{
	PQconninfoOption *opts = parse_conninfo(conninfo);
	CcPeer	   *p;

	if (opts == NULL)
		return NULL;
	p = calloc(1, sizeof(CcPeer));
	if (p == NULL)
	{
		PQconninfoFree(opts);
		return NULL;
	}
	p->seed = seed;
	p->opts = opts;
	p->stage = CC_STAGE_WAITING;
	if (expected != NULL)
	{
		p->id = *expected;
		p->id_known = true;
	}
	/* a name for messages that come before the first try */
	if (!choose_host(p))
		strlcpy(p->host, "?", HOST_LEN);
	p->next = peers;
	peers = p;
	return p;
}

/*
 * Ends the try or session, if any.  The watch goes before libpq closes the
 * socket.
 */
static void
finish(CcPeer *p, int64 now)
{
	if (p->stage == CC_STAGE_STREAMING)
		changes++;
	if (p->stage >= CC_STAGE_HELLO)
	{
		/* another address of this server may be tried now */
		for (CcPeer *q = peers; q != NULL; q = q->next)
		{
			if (q->same_as != p)
				continue;
			q->same_as = NULL;
			if (q->stage == CC_STAGE_WAITING)
				q->due = now;
		}
	}
	if (p->resolve != NULL)
		cc_resolve_drop(p->resolve);
	p->resolve = NULL;
	if (p->watch != NULL)
		cc_evloop_unwatch(p->watch);
	p->watch = NULL;
	if (p->conn != NULL)
	{
		PQfinish(p->conn);
		ReleaseExternalFD();
	}
	p->conn = NULL;
	if (p->sender != NULL)
		cc_sender_free(p->sender);
	p->sender = NULL;
	p->stage = CC_STAGE_WAITING;
	p->nsent = p->nback = 0;
	p->more = p->blocked = p->drained = false;
	p->notice[0] = '\0';
}

void
cc_peer_free(CcPeer *p)
{
	CcPeer	  **link = &peers;

	finish(p, cc_monotonic_ms());
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	PQconninfoFree(p->opts);
	free(p);
}

void
cc_peer_reset(CcPeer *p, int64 now, int64 ms)
{
	finish(p, now);
	p->failures = 0;
	p->due = now + ms;
}

void
cc_peer_set_held(CcPeer *p, int64 now, bool held)
{
	if (held == p->held)
		return;
	p->held = held;
	cc_peer_reset(p, now, 0);
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

/* Whether this cause has been logged already since the last good session. */
static bool
is_known_cause(CcPeer *p, const char *text)
{
	uint32		hash = 2166136261u;

	for (const char *c = text; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	for (unsigned i = 0; i < Min(p->ncauses, MAX_CAUSES); i++)
	{
		if (p->cause[i] == hash)
			return true;
	}
	p->cause[p->ncauses++ % MAX_CAUSES] = hash;
	return false;
}

/* Leaves the error where the views show it. */
static void
show_error(const CcPeer *p, const char *text)
{
	CcMembersShared *ms = cc.members;
	int			slot = p->id_known ? cc_membership_find(&p->id) : -1;

	cc_lock_exclusive(&ms->lock);
	strlcpy(slot >= 0 ? ms->member[slot].last_error : ms->last_error, text,
			CC_ERROR_LEN);
	cc_unlock(&ms->lock);
}

static void
fail(CcPeer *p, int64 now, FailKind kind, int64 ms, const char *text,
	 const char *hint)
{
	bool		was_good = p->stage == CC_STAGE_STREAMING &&
		now - p->session_began >= GOOD_SESSION;
	char		said[TEXT_LEN + HOST_LEN];

	if (was_good)
		p->failures = p->ncauses = 0;
	if (kind == FAIL_UNREACHABLE)
	{
		snprintf(said, sizeof(said), "peer %s cannot be reached: %s",
				 peer_name(p), text);
		ms = Min(RETRY_FIRST << Min(p->failures, 4), RETRY_UNREACHABLE);
	}
	else
		snprintf(said, sizeof(said), "peer %s refuses: %s", peer_name(p),
				 text);
	if (kind == FAIL_REFUSED)
		ms = RETRY_REFUSED;

	show_error(p, said);
	if (!is_known_cause(p, said))
	{
		p->said_connected = false;
		ereport(LOG,
				(errmsg("cachecluster: %s", said),
				 hint != NULL ? errhint("%s", hint) : 0));
	}
	finish(p, now);
	p->failures++;
	p->due = now + with_jitter(ms);
}

/*
 * A problem of ours or the peer's that will pass soon, against one that
 * somebody must see to.
 */
static bool
will_pass(const char *sqlstate)
{
	return strncmp(sqlstate, "08", 2) == 0 ||	/* connection */
		strncmp(sqlstate, "40", 2) == 0 ||	/* rollback */
		strncmp(sqlstate, "57", 2) == 0;	/* shutdown, start, cancel */
}

/* What to do about an error that a peer's server has raised. */
static const char *
cure_for(const char *sqlstate)
{
	if (strncmp(sqlstate, "28", 2) == 0)
		return "Check user and passfile in cachecluster.peer_conninfo, the role there and pg_hba.conf.";
	if (strcmp(sqlstate, "42501") == 0)
		return "Grant EXECUTE on functions cachecluster_hello(bytea) and cachecluster_apply(bytea) there to the role by which peers connect.";
	if (strcmp(sqlstate, "42883") == 0)
		return "Update the extension cachecluster there.";
	if (strcmp(sqlstate, "3D000") == 0)
		return "Name a database that exists there by dbname in cachecluster.peer_conninfo.";
	if (strcmp(sqlstate, "53300") == 0)
		return "Each node needs one connection from each of the others: raise max_connections there, or the role's limit.";
	return NULL;
}

/*
 * Finds the SQLSTATE in libpq's message of a failed connection, which says it
 * when it is verbose: "SEVERITY:  XXXXX: text".  Returns the text, or NULL.
 */
static const char *
find_sqlstate(const char *message, char sqlstate[6])
{
	const char *found = NULL;

	for (const char *c = strstr(message, ":  "); c != NULL;
		 c = strstr(c + 1, ":  "))
	{
		if (strspn(c + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			c[8] == ':' && c[9] == ' ')
		{
			memcpy(sqlstate, c + 3, 5);
			sqlstate[5] = '\0';
			found = c + 10;
		}
	}
	return found;
}

/* Whether a message quotes a password; libpq is not known to. */
static bool
tells_secret(const CcPeer *p, const char *message)
{
	const PQconninfoOption *all[2] = {p->opts, added_options};

	for (int i = 0; i < 2; i++)
	{
		for (const PQconninfoOption *o = all[i];
			 o != NULL && o->keyword != NULL; o++)
		{
			if (o->dispchar[0] == '*' && o->val != NULL &&
				strlen(o->val) > 3 && strstr(message, o->val) != NULL)
				return true;
		}
	}
	return false;
}

/* Copies the first line of a message, without libpq's "connection to ...". */
static void
first_line(const CcPeer *p, const char *message, char *out)
{
	const char *prefix = "connection to server ";
	const char *from;
	Size		len;

	if (tells_secret(p, message))
		message = "the connection failed";
	if (strncmp(message, prefix, strlen(prefix)) == 0 &&
		(from = strstr(message, "failed: ")) != NULL)
		message = from + strlen("failed: ");
	len = Min(strcspn(message, "\n"), TEXT_LEN - 1);
	memcpy(out, message, len);
	out[len] = '\0';
}

/* The connection could not be made. */
static void
fail_connecting(CcPeer *p, int64 now)
{
	const char *message = PQerrorMessage(p->conn);
	char		sqlstate[6] = "";
	const char *text = find_sqlstate(message, sqlstate);
	char		line[TEXT_LEN];

	if (text != NULL)
	{
		first_line(p, text, line);
		fail(p, now, will_pass(sqlstate) ? FAIL_UNREACHABLE : FAIL_REFUSED, 0,
			 line, cure_for(sqlstate));
		return;
	}

	/*
	 * Without an error from the server: it could not be reached, or has gone;
	 * unless bytes came that libpq could do nothing with.
	 */
	first_line(p, message, line);
	if (p->saw_bytes)
		fail(p, now, FAIL_REFUSED, 0, line,
			 "Is it a PostgreSQL server, and do authentication and sslmode agree?");
	else
		fail(p, now, FAIL_UNREACHABLE, 0, line, NULL);
}

/* An established connection is lost; a last notice says why better. */
static void
fail_lost(CcPeer *p, int64 now)
{
	char		line[TEXT_LEN];

	first_line(p, p->notice[0] != '\0' ? p->notice :
			   PQerrorMessage(p->conn), line);
	if (line[0] == '\0')
		strlcpy(line, "the connection was closed", sizeof(line));
	fail(p, now, FAIL_UNREACHABLE, 0, line, NULL);
}

/* The peer's server answered a query with an error. */
static void
fail_sql(CcPeer *p, int64 now, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	char		line[TEXT_LEN];
	char		cure[TEXT_LEN];

	if (state == NULL || primary == NULL)
	{
		fail_lost(p, now);
		return;
	}
	first_line(p, primary, line);
	if (cure_for(state) != NULL)
		hint = cure_for(state);
	if (hint != NULL)
		strlcpy(cure, hint, sizeof(cure));
	fail(p, now, will_pass(state) ? FAIL_UNREACHABLE : FAIL_REFUSED, 0, line,
		 hint != NULL ? cure : NULL);
}

static void
fail_rubbish(CcPeer *p, int64 now)
{
	fail(p, now, FAIL_REFUSED, 0, "what it answers is not understood",
		 "Is the extension there of the same version?");
}

/* The sender ends the session, with the status that a reply said. */
static void
fail_status(CcPeer *p, int64 now, CcStatus status)
{
	int64		ms = cc_sender_retry_ms(status);

	switch (status)
	{
		case CC_REFUSED_SELF:
			p->self = true;
			cc_peer_reset(p, now, with_jitter(RETRY_DUPLICATE));
			break;
		case CC_REFUSED_BUSY:
		case CC_REFUSED_FENCED:
		case CC_REFUSED_NOT_READY:
			/* the normal course of things, not worth a line */
			finish(p, now);
			p->due = now + with_jitter(ms);
			break;
		default:
			fail(p, now, FAIL_STATUS, ms, cc_status_text(status), NULL);
			break;
	}
}

/* ------------------------------------------------------------------------
 * Connecting
 * ------------------------------------------------------------------------
 */

/* libpq calls this with messages that belong to no query. */
static void
note_notice(void *arg, const char *message)
{
	CcPeer	   *p = arg;

	strlcpy(p->notice, message, sizeof(p->notice));
}

static bool
is_own_option(const char *keyword)
{
	for (int i = 0; own_options[i] != NULL; i++)
	{
		if (strcmp(own_options[i], keyword) == 0)
			return true;
	}
	return false;
}

#define MAX_PARAMS	80

typedef struct Params
{
	const char *keyword[MAX_PARAMS];
	const char *value[MAX_PARAMS];
	int			n;
} Params;

static void
add_param(Params *a, const char *keyword, const char *value)
{
	if (a->n < MAX_PARAMS - 1)
	{
		a->keyword[a->n] = keyword;
		a->value[a->n++] = value;
	}
}

/* Gives libpq all it needs, so that nothing is left for it to wait for. */
static PGconn *
start_libpq(CcPeer *p)
{
	Params		a = {.n = 0};
	const char *dbname = peer_option(p, "dbname");
	const char *options = peer_option(p, "options");
	char		all_options[1024];
	char		name[NAMEDATALEN + 16];
	char		timeout[16];

	snprintf(all_options, sizeof(all_options), "%s %s",
			 options != NULL ? options : "", SESSION_OPTIONS);
	snprintf(name, sizeof(name), "cachecluster/%s", our_name);
	snprintf(timeout, sizeof(timeout), "%d",
			 (int) Max(sender_options.peer_timeout_ms, ATTEMPT_MIN));

	for (const PQconninfoOption *o = p->opts; o->keyword != NULL; o++)
	{
		const char *value = peer_option(p, o->keyword);

		if (value != NULL && !is_own_option(o->keyword))
			add_param(&a, o->keyword, value);
	}
	add_param(&a, "host", p->host);
	if (p->hostaddr[0] != '\0')
		add_param(&a, "hostaddr", p->hostaddr);
	add_param(&a, "port", p->port);
	add_param(&a, "dbname", dbname != NULL ? dbname : "postgres");
	add_param(&a, "options", all_options);
	add_param(&a, "application_name", name);
	add_param(&a, "gssencmode", "disable");
	add_param(&a, "keepalives", "1");
	add_param(&a, "keepalives_idle", "5");
	add_param(&a, "keepalives_interval", "2");
	add_param(&a, "keepalives_count", "3");
	add_param(&a, "tcp_user_timeout", timeout);
	a.keyword[a.n] = a.value[a.n] = NULL;
	return PQconnectStartParams(a.keyword, a.value, 0);
}

/*
 * Looks at the events for libpq's socket as it is now.  The old watch, if
 * any, is stopped already.
 */
static bool
watch_socket(CcPeer *p, int events)
{
	int			fd = PQsocket(p->conn);

	if (p->watch != NULL && cc_evloop_fd(p->watch) != fd)
	{
		cc_evloop_unwatch(p->watch);
		p->watch = NULL;
	}
	if (p->watch == NULL && fd >= 0)
		p->watch = cc_evloop_watch(fd);
	if (p->watch == NULL)
		return false;
	cc_evloop_want(p->watch, events);
	return true;
}

static void
open_connection(CcPeer *p, int64 now)
{
	if (!AcquireExternalFD())
	{
		fail(p, now, FAIL_UNREACHABLE, 0, "too many open files", NULL);
		return;
	}
	p->conn = start_libpq(p);
	if (p->conn == NULL)
	{
		ReleaseExternalFD();
		fail(p, now, FAIL_UNREACHABLE, 0, "out of memory", NULL);
		return;
	}
	p->stage = CC_STAGE_CONNECTING;
	p->saw_bytes = false;
	PQsetNoticeProcessor(p->conn, note_notice, p);
	PQsetErrorVerbosity(p->conn, PQERRORS_VERBOSE);
	if (PQstatus(p->conn) == CONNECTION_BAD)
		fail_connecting(p, now);
	else if (!watch_socket(p, CC_WATCH_WRITE))
		fail(p, now, FAIL_UNREACHABLE, 0, "its socket cannot be watched", NULL);
}

static void
begin_try(CcPeer *p, int64 now)
{
	p->self = false;
	p->same_as = NULL;
	p->due = now + Max(sender_options.peer_timeout_ms, ATTEMPT_MIN);
	if (peer_option(p, "service") != NULL)
		fail(p, now, FAIL_REFUSED, 0, "\"service\" is not supported", NULL);
	else if (!choose_host(p))
		fail(p, now, FAIL_REFUSED, 0, "host or port is too long", NULL);
	else if (p->hostaddr[0] != '\0' || is_socket_path(p->host))
		open_connection(p, now);
	else if (strlen(p->host) < CC_RESOLVE_ADDR_LEN &&
			 cc_resolve_is_numeric(p->host))
	{
		strlcpy(p->hostaddr, p->host, sizeof(p->hostaddr));
		open_connection(p, now);
	}
	else
	{
		p->stage = CC_STAGE_RESOLVING;
		p->resolve = cc_resolve_begin(p->host);
		if (p->resolve == NULL)
			fail(p, now, FAIL_UNREACHABLE, 0,
				 "its name cannot be looked up now", NULL);
	}
	p->tries++;
}

static void
check_resolved(CcPeer *p, int64 now)
{
	int			n;

	if (!cc_resolve_done(p->resolve))
		return;
	n = cc_resolve_count(p->resolve);
	if (n == 0)
	{
		char		text[TEXT_LEN];

		snprintf(text, sizeof(text), "its name cannot be resolved: %s",
				 cc_resolve_error(p->resolve));
		fail(p, now, FAIL_UNREACHABLE, 0, text, NULL);
		return;
	}
	strlcpy(p->hostaddr, cc_resolve_address(p->resolve, p->tries % n),
			sizeof(p->hostaddr));
	cc_resolve_drop(p->resolve);
	p->resolve = NULL;
	open_connection(p, now);
}

static bool
send_sync(CcPeer *p, bool beat)
{
	Flight	   *f = &p->flight[p->nsent++ % MAX_FLIGHT];

	f->usec = cc_evloop_usec();
	f->wall_ms = cc_clock_ms();
	f->beat = beat;
	return PQpipelineSync(p->conn) == 1;
}

static void
send_lookup(CcPeer *p, int64 now)
{
	PQsetErrorVerbosity(p->conn, PQERRORS_DEFAULT);
	p->stage = CC_STAGE_LOOKUP;
	if (PQsetnonblocking(p->conn, 1) != 0 ||
		!PQenterPipelineMode(p->conn) ||
		!PQsendQueryParams(p->conn, LOOKUP_QUERY, 0, NULL, NULL, NULL, NULL, 1) ||
		!send_sync(p, false))
		fail_lost(p, now);
	else
		p->more = true;
}

static void
go_on_connecting(CcPeer *p, int64 now)
{
	PostgresPollingStatusType result;
	char		byte;

	if (cc_evloop_ready(p->watch) == 0)
		return;
	p->saw_bytes = recv(PQsocket(p->conn), &byte, 1,
						MSG_PEEK | MSG_DONTWAIT) > 0;
	cc_evloop_want(p->watch, 0);
	result = PQconnectPoll(p->conn);
	if (result == PGRES_POLLING_FAILED)
		fail_connecting(p, now);
	else if (!watch_socket(p, result == PGRES_POLLING_WRITING ?
						   CC_WATCH_WRITE : CC_WATCH_READ))
		fail(p, now, FAIL_UNREACHABLE, 0, "its socket cannot be watched", NULL);
	else if (result == PGRES_POLLING_OK)
		send_lookup(p, now);
}

/* ------------------------------------------------------------------------
 * The session
 * ------------------------------------------------------------------------
 */

static bool
prepare(CcPeer *p, const char *name, const char *function, const char *more)
{
	static const Oid types[1] = {BYTEAOID};
	char		query[sizeof(p->schema) + 128];

	snprintf(query, sizeof(query), "SELECT %s.%s($1)%s", p->schema, function,
			 more);
	return PQsendPrepare(p->conn, name, query, 1, types) == 1;
}

static bool
send_message(CcPeer *p, const char *statement, const char *data, Size len)
{
	const char *values[1] = {data};
	int			lengths[1] = {(int) len};
	static const int formats[1] = {1};

	p->stats.bytes_sent += len;
	return PQsendQueryPrepared(p->conn, statement, 1, values, lengths,
							   formats, 1) == 1 &&
		send_sync(p, strcmp(statement, STMT_BEAT) == 0);
}

static void
send_hello(CcPeer *p, int64 now)
{
	const char *data;
	Size		len;

	p->stage = CC_STAGE_HELLO;
	p->sender = cc_sender_create(&sender_options, p->seed);
	cc_sender_hello(p->sender, now, &data, &len);
	if (!prepare(p, STMT_HELLO, "cachecluster_hello", "") ||
		!prepare(p, STMT_BATCH, "cachecluster_apply", "") ||
		!prepare(p, STMT_BEAT, "cachecluster_apply",
				 ", pg_catalog.clock_timestamp()") ||
		!send_message(p, STMT_HELLO, data, len))
		fail_lost(p, now);
}

/* A column of eight bytes, big-endian as all of PostgreSQL's protocol. */
static bool
get_int64(const PGresult *res, int column, uint64 *value)
{
	if (PQgetisnull(res, 0, column) || PQgetlength(res, 0, column) != 8)
		return false;
	memcpy(value, PQgetvalue(res, 0, column), 8);
	*value = pg_ntoh64(*value);
	return true;
}

/* Whether another peer has, or asks for, the session with this server. */
static const CcPeer *
find_same_server(const CcPeer *p)
{
	for (const CcPeer *q = peers; q != NULL; q = q->next)
	{
		if (q != p && q->stage >= CC_STAGE_HELLO &&
			q->system == p->system && q->started == p->started)
			return q;
	}
	return NULL;
}

static void
take_lookup(CcPeer *p, int64 now, const PGresult *res)
{
	const CcPeer *other;

	if (PQnfields(res) != 3 || !get_int64(res, 1, &p->system) ||
		!get_int64(res, 2, &p->started))
	{
		fail_rubbish(p, now);
		return;
	}
	other = find_same_server(p);
	p->self = p->system == GetSystemIdentifier() &&
		p->started == (uint64) PgStartTime;
	if (p->self || other != NULL)
	{
		cc_peer_reset(p, now, with_jitter(RETRY_DUPLICATE));
		p->same_as = other;
		if (other != NULL && other->id_known)
		{
			p->id = other->id;
			p->id_known = true;
		}
		return;
	}
	if (PQgetisnull(res, 0, 0))
	{
		char		text[TEXT_LEN];

		snprintf(text, sizeof(text),
				 "extension cachecluster does not exist in database \"%s\"",
				 PQdb(p->conn));
		fail(p, now, FAIL_REFUSED, 0, text,
			 "CREATE EXTENSION cachecluster there, or name its database by dbname in cachecluster.peer_conninfo.");
		return;
	}
	strlcpy(p->schema, PQgetvalue(res, 0, 0), sizeof(p->schema));
	send_hello(p, now);
}

/* The hello was answered well: batches may go. */
static void
begin_session(CcPeer *p, int64 now)
{
	p->stage = CC_STAGE_STREAMING;
	p->session_began = now;
	p->id_known = cc_sender_peer(p->sender, &p->id);
	p->stats.sessions++;
	changes++;
	if (!p->said_connected)
		cc_log(CC_LOG, "connected to peer %s", peer_name(p));
	p->said_connected = true;
}

/* The time of a round trip, and the peer's clock in the middle of it. */
static void
take_times(CcPeer *p, const PGresult *res)
{
	const int64 epoch_ms = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		(int64) 86400000;
	const Flight *f = &p->flight[p->nback % MAX_FLIGHT];
	double		rtt = (cc_evloop_usec() - f->usec) / 1000.0;
	uint64		theirs;

	if (!f->beat)
		return;
	p->stats.rtt_ms = p->stats.rtt_ms == 0 ? rtt :
		0.875 * p->stats.rtt_ms + 0.125 * rtt;
	if (PQnfields(res) == 2 && get_int64(res, 1, &theirs))
	{
		p->stats.skew_known = true;
		p->stats.skew_ms = (int64) theirs / 1000 + epoch_ms -
			(f->wall_ms + cc_clock_ms()) / 2;
	}
}

static void
take_reply(CcPeer *p, int64 now, const PGresult *res)
{
	CcStatus	status;

	if (PQgetisnull(res, 0, 0))
	{
		fail_rubbish(p, now);
		return;
	}
	take_times(p, res);
	status = cc_sender_reply(p->sender, now, PQgetvalue(res, 0, 0),
							 PQgetlength(res, 0, 0));
	if (status != CC_OK)
		fail_status(p, now, status);
	else if (p->stage == CC_STAGE_HELLO)
		begin_session(p, now);
}

/* One result of libpq's; the peer may have failed after it. */
static void
take_result(CcPeer *p, int64 now, const PGresult *res)
{
	switch (PQresultStatus(res))
	{
		case PGRES_COMMAND_OK:	/* a statement was prepared */
		case PGRES_PIPELINE_ABORTED:
			break;
		case PGRES_PIPELINE_SYNC:
			p->nback++;
			break;
		case PGRES_TUPLES_OK:
			if (PQntuples(res) != 1)
				fail_rubbish(p, now);
			else if (p->stage == CC_STAGE_LOOKUP)
				take_lookup(p, now, res);
			else
				take_reply(p, now, res);
			break;
		default:
			fail_sql(p, now, res);
			break;
	}
}

/*
 * Takes in what has been read, a bounded number of results.  NULL ends the
 * results of one query; two in a row mean that there are no more.
 */
static void
take_results(CcPeer *p, int64 now)
{
	int			nulls = 0;
	int			n = 0;

	while (nulls < 2 && p->nback != p->nsent && !PQisBusy(p->conn))
	{
		PGresult   *res;

		if (n++ >= MAX_RESULTS)
		{
			p->more = true;
			return;
		}
		res = PQgetResult(p->conn);
		if (res == NULL)
		{
			nulls++;
			continue;
		}
		nulls = 0;
		take_result(p, now, res);
		PQclear(res);
		if (p->conn == NULL)
			return;
	}
}

/*
 * Hands batches to libpq while the sender has some and the socket takes them,
 * a bounded number of bytes.
 */
static void
send_batches(CcPeer *p, int64 now)
{
	Size		bytes = 0;

	p->drained = false;
	while (p->nsent - p->nback < MAX_FLIGHT)
	{
		const char *data;
		Size		len;
		bool		beat;
		int			unsent = PQflush(p->conn);

		if (unsent < 0)
		{
			fail_lost(p, now);
			return;
		}
		if (unsent > 0)
			return;
		if (bytes >= MAX_SEND_BYTES)
		{
			p->more = true;
			return;
		}
		if (!cc_sender_next(p->sender, now, &data, &len))
		{
			p->drained = true;
			return;
		}
		beat = (data[MSG_FLAGS_AT] & CC_MSG_F_HEARTBEAT) != 0;
		if (!send_message(p, beat ? STMT_BEAT : STMT_BATCH, data, len))
		{
			fail_lost(p, now);
			return;
		}
		bytes += len;
	}
}

/* Reads, acts and writes on an established connection. */
static void
exchange(CcPeer *p, int64 now)
{
	int			ready = cc_evloop_ready(p->watch);
	bool		alive = true;
	int			unsent;

	p->more = false;
	if (ready & CC_WATCH_READ)
		alive = PQconsumeInput(p->conn) == 1;

	/* even of a lost connection the last results are worth reading */
	take_results(p, now);
	if (p->conn == NULL)
		return;
	if (!alive || PQstatus(p->conn) == CONNECTION_BAD)
	{
		fail_lost(p, now);
		return;
	}
	if (p->stage == CC_STAGE_STREAMING)
		send_batches(p, now);
	if (p->conn == NULL)
		return;
	unsent = PQflush(p->conn);
	if (unsent < 0)
	{
		fail_lost(p, now);
		return;
	}
	p->blocked = unsent > 0;
	cc_evloop_want(p->watch, CC_WATCH_READ |
				   (p->blocked ? CC_WATCH_WRITE : 0));
}

void
cc_peer_step(CcPeer *p, int64 now)
{
	if (p->stage == CC_STAGE_WAITING)
	{
		if (!p->held && now >= p->due)
			begin_try(p, now);
		return;
	}
	if (p->stage == CC_STAGE_RESOLVING)
		check_resolved(p, now);
	if (p->stage == CC_STAGE_CONNECTING)
		go_on_connecting(p, now);
	if (p->stage >= CC_STAGE_LOOKUP)
		exchange(p, now);

	if (p->stage == CC_STAGE_STREAMING)
	{
		if (cc_sender_timed_out(p->sender, now))
			fail(p, now, FAIL_UNREACHABLE, 0, "it has fallen silent", NULL);
	}
	else if (p->stage != CC_STAGE_WAITING && now >= p->due)
		fail(p, now, FAIL_UNREACHABLE, 0, "it does not answer", NULL);
}

int64
cc_peer_due(CcPeer *p)
{
	if (p->stage == CC_STAGE_WAITING)
		return p->held ? PG_INT64_MAX : p->due;
	if (p->more)
		return 0;
	if (p->stage != CC_STAGE_STREAMING)
		return p->due;

	/* the socket or a reply will wake us, and the duties look at the clock */
	if (p->blocked || !p->drained)
		return PG_INT64_MAX;
	return cc_sender_due(p->sender);
}

CcPeerStage
cc_peer_stage(const CcPeer *p)
{
	return p->stage;
}

bool
cc_peer_id(const CcPeer *p, CcNodeId *id)
{
	*id = p->id;
	return p->id_known;
}

bool
cc_peer_is_self(const CcPeer *p)
{
	return p->self;
}

uint64
cc_peer_changes(void)
{
	return changes;
}

CcSender *
cc_peer_sender(CcPeer *p)
{
	return p->stage == CC_STAGE_STREAMING ? p->sender : NULL;
}

void
cc_peer_take_stats(CcPeer *p, CcPeerStats *stats)
{
	*stats = p->stats;
	p->stats.bytes_sent = p->stats.sessions = 0;
}
