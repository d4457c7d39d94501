/*-------------------------------------------------------------------------
 *
 * peer.c
 *	  One connection to a peer's server: libpq, and nothing that waits.
 *
 * Of libpq only what cannot block is used: the address is given, GSS
 * encryption is off, and the connection is non-blocking and in pipeline mode
 * from its first query on.  Each message is one query and one sync, so an
 * error ends that message alone.  Nothing is handed to libpq while the socket
 * takes nothing, so its buffer holds one batch at most.
 *
 * libpq may close its socket and open another whenever its connection state
 * machine is called: the watch is stopped before and set up anew after.  It is
 * ended before PQfinish.
 *
 * Locking: see peer.h.
 *
 * May include: <libpq-fe.h> (no other file), PostgreSQL's headers, base/,
 * cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/peer.h"

#include <sys/socket.h>

#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "cluster/evloop.h"
#include "cluster/trouble.h"
#include "libpq-fe.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#define MAX_PARAMS		(2 * CC_CONNINFO_MAX)
#define MAX_IN_FLIGHT	128		/* messages; who sends has a limit of its own */

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

/* Functions of the peer protocol, and the statements prepared of them */
#define HELLO			"cachecluster_hello"
#define APPLY			"cachecluster_apply"

/* Options that are set by us, whatever is configured, or not at all */
static const char *const own_options[] = {
	"host", "hostaddr", "port", "dbname", "options", "gssencmode",
	"application_name", "keepalives", "keepalives_idle",
	"keepalives_interval", "keepalives_count", "tcp_user_timeout",
	"replication", "service", "connect_timeout", NULL
};

/*
 * The server's environment must not lead a connection elsewhere, nor make
 * libpq look up a name.
 */
static const char *const foreign_environment[] = {
	"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGOPTIONS",
	"PGCLIENTENCODING", "PGTARGETSESSIONATTRS", "PGDATESTYLE", "PGTZ",
	"PGGEQO", NULL
};

typedef enum Step
{
	OPENING,					/* libpq connects and logs in */
	ASKED,						/* who is there */
	GREETED						/* hello sent; messages may follow its reply */
} Step;

struct CcPeer
{
	Step		step;
	PGconn	   *conn;
	CcWatch    *watch;
	const CcConninfo *info;		/* for their secrets, see message_line */
	const CcConninfo *added;
	bool		saw_bytes;		/* the last look at the socket found some */
	bool		lost;			/* nothing more can be read */
	bool		failed;
	CcServer	server;
	char		schema[2 * NAMEDATALEN + 3];	/* of the extension; quoted */
	unsigned	nsent;			/* queries sent */
	unsigned	nback;			/* of which have ended */
	PGresult   *reply;			/* shown last */
	CcPeerTrouble trouble;
	char		notice[CC_PEER_LINE_LEN];	/* the last that belongs to no
											 * query */
};

/* ------------------------------------------------------------------------
 * Connection strings
 * ------------------------------------------------------------------------
 */

/* libpq's message is not kept: it may quote what must not be seen. */
bool
cc_peer_parse(const char *conninfo, CcConninfo *info)
{
	char	   *message = NULL;
	PQconninfoOption *opts = PQconninfoParse(conninfo, &message);

	info->n = 0;
	if (message != NULL)
		PQfreemem(message);
	if (opts == NULL)
		return false;
	for (PQconninfoOption *o = opts; o->keyword != NULL; o++)
		cc_conninfo_add(info, o->keyword, o->val, o->dispchar[0] == '*');
	PQconninfoFree(opts);
	return true;
}

bool
cc_peer_address(const char *conninfo, char *out, Size size)
{
	CcConninfo	info;
	bool		ok;

	out[0] = '\0';
	ok = cc_peer_parse(conninfo, &info) &&
		cc_conninfo_address(&info, out, size);
	cc_conninfo_free(&info);
	return ok;
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

typedef struct Params
{
	const char *keyword[MAX_PARAMS];
	const char *value[MAX_PARAMS];
	int			n;
} Params;

static void
add_param(Params *a, const char *keyword, const char *value)
{
	if (a->n < MAX_PARAMS - 1 && value[0] != '\0')
	{
		a->keyword[a->n] = keyword;
		a->value[a->n++] = value;
	}
}

static void
add_options(Params *a, const CcConninfo *info)
{
	for (int i = 0; i < info->n; i++)
	{
		if (!is_own_option(info->option[i].keyword))
			add_param(a, info->option[i].keyword, info->option[i].value);
	}
}

static const char *
either(const CcConninfo *info, const CcConninfo *added, const char *keyword,
	   const char *other)
{
	const char *value = cc_conninfo_get(info, keyword);

	if (value == NULL)
		value = cc_conninfo_get(added, keyword);
	return value != NULL ? value : other;
}

/* Gives libpq all it needs, so that nothing is left for it to wait for. */
static PGconn *
start_libpq(const CcPlace *place, const CcConninfo *info,
			const CcConninfo *added, const char *node_name, int64 timeout_ms)
{
	Params		a = {.n = 0};
	char		options[1024];
	char		name[NAMEDATALEN + 16];
	char		timeout[16];

	snprintf(options, sizeof(options), "%s %s",
			 either(info, added, "options", ""), SESSION_OPTIONS);
	snprintf(name, sizeof(name), "cachecluster/%s", node_name);
	snprintf(timeout, sizeof(timeout), "%d", (int) timeout_ms);

	/* of an option that comes twice libpq takes the later one */
	add_options(&a, added);
	add_options(&a, info);
	add_param(&a, "host", place->host);
	add_param(&a, "hostaddr", place->hostaddr);
	add_param(&a, "port", place->port);
	add_param(&a, "dbname", either(info, added, "dbname", "postgres"));
	add_param(&a, "options", options);
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

void
cc_peer_own_server(CcServer *server)
{
	memset(server, 0, sizeof(*server));
	server->system = GetSystemIdentifier();
	server->started = (uint64) PgStartTime;
}

/* ------------------------------------------------------------------------
 * Failures
 * ------------------------------------------------------------------------
 */

/* A line of libpq's message; libpq is not known to quote passwords in one. */
static void
message_line(const CcPeer *p, const char *message, char *line)
{
	if (cc_conninfo_leaks(p->info, message) ||
		cc_conninfo_leaks(p->added, message))
		message = "the connection failed";
	cc_trouble_line(message, line, CC_PEER_LINE_LEN);
}

static void
fail(CcPeer *p, bool passes, const char *message, const char *cure)
{
	if (p->failed)
		return;
	p->failed = true;
	p->trouble.passes = passes;
	message_line(p, message, p->trouble.line);
	strlcpy(p->trouble.cure, cure != NULL ? cure : "",
			sizeof(p->trouble.cure));
}

/*
 * The connection could not be made.  Without an error from the server it
 * could not be reached or has gone; unless bytes came that libpq could do
 * nothing with.
 */
static void
fail_opening(CcPeer *p)
{
	const char *message = PQerrorMessage(p->conn);
	char		sqlstate[6] = "";
	const char *text = cc_trouble_sqlstate(message, sqlstate);

	if (text != NULL)
		fail(p, cc_trouble_passes(sqlstate), text, cc_trouble_cure(sqlstate));
	else if (p->saw_bytes)
		fail(p, false, message,
			 "Is it a PostgreSQL server, and do authentication and sslmode agree?");
	else
		fail(p, true, message, NULL);
}

/* An established connection is lost; a last notice says why better. */
static void
fail_lost(CcPeer *p)
{
	const char *message = p->notice[0] != '\0' ? p->notice :
		PQerrorMessage(p->conn);

	fail(p, true, message[0] != '\0' ? message : "the connection was closed",
		 NULL);
}

/* The server answered a query with an error. */
static void
fail_sql(CcPeer *p, const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *cure;

	if (sqlstate == NULL || primary == NULL)
	{
		fail_lost(p);
		return;
	}
	cure = cc_trouble_cure(sqlstate);
	if (cure == NULL)
		cure = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	fail(p, cc_trouble_passes(sqlstate), primary, cure);
}

static void
fail_rubbish(CcPeer *p)
{
	fail(p, false, "what it answers is not understood",
		 "Is the extension there of the same version?");
}

/* libpq calls this with messages that belong to no query. */
static void
note_notice(void *arg, const char *message)
{
	CcPeer	   *p = arg;

	strlcpy(p->notice, message, sizeof(p->notice));
}

/* ------------------------------------------------------------------------
 * Opening and closing
 * ------------------------------------------------------------------------
 */

/*
 * Looks at the events for libpq's socket as it is now.  The old watch, if
 * any, is stopped already.
 */
static void
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
	if (p->watch != NULL)
		cc_evloop_want(p->watch, events);
	else
		fail(p, true, "its socket cannot be watched", NULL);
}

static void
forget_environment(void)
{
	static bool forgotten = false;

	for (int i = 0; !forgotten && foreign_environment[i] != NULL; i++)
		unsetenv(foreign_environment[i]);
	forgotten = true;
}

CcPeer *
cc_peer_open(const CcPlace *place, const CcConninfo *info,
			 const CcConninfo *added, const char *node_name,
			 int64 timeout_ms)
{
	CcPeer	   *p = cc_alloc(sizeof(CcPeer));

	memset(p, 0, sizeof(CcPeer));
	p->info = info;
	p->added = added;
	forget_environment();
	if (!AcquireExternalFD())
	{
		cc_free(p);
		return NULL;
	}
	p->conn = start_libpq(place, info, added, node_name, timeout_ms);
	if (p->conn == NULL)
	{
		ReleaseExternalFD();
		cc_free(p);
		return NULL;
	}
	PQsetNoticeProcessor(p->conn, note_notice, p);

	/* the SQLSTATE of a refused login is to be had in no other way */
	PQsetErrorVerbosity(p->conn, PQERRORS_VERBOSE);
	if (PQstatus(p->conn) == CONNECTION_BAD)
		fail_opening(p);
	else
		watch_socket(p, CC_WATCH_WRITE);
	return p;
}

void
cc_peer_close(CcPeer *p)
{
	if (p->reply != NULL)
		PQclear(p->reply);
	if (p->watch != NULL)
		cc_evloop_unwatch(p->watch);
	PQfinish(p->conn);
	ReleaseExternalFD();
	cc_free(p);
}

static bool
send_sync(CcPeer *p)
{
	p->nsent++;
	return PQpipelineSync(p->conn) == 1;
}

static void
ask_server(CcPeer *p)
{
	p->step = ASKED;
	PQsetErrorVerbosity(p->conn, PQERRORS_DEFAULT);
	if (PQsetnonblocking(p->conn, 1) != 0 ||
		!PQenterPipelineMode(p->conn) ||
		!PQsendQueryParams(p->conn, LOOKUP_QUERY, 0, NULL, NULL, NULL, NULL,
						   1) ||
		!send_sync(p))
		fail_lost(p);
}

static void
go_on_opening(CcPeer *p)
{
	PostgresPollingStatusType result;
	char		byte;

	if (cc_evloop_ready(p->watch) == 0)
		return;

	/* not before it is connected: that would take away connect's error */
	p->saw_bytes = PQstatus(p->conn) != CONNECTION_STARTED &&
		recv(PQsocket(p->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	cc_evloop_want(p->watch, 0);
	result = PQconnectPoll(p->conn);
	if (result == PGRES_POLLING_FAILED)
	{
		fail_opening(p);
		return;
	}
	watch_socket(p, result == PGRES_POLLING_WRITING ? CC_WATCH_WRITE :
				 CC_WATCH_READ);
	if (result == PGRES_POLLING_OK && !p->failed)
		ask_server(p);
}

/* ------------------------------------------------------------------------
 * Messages and replies
 * ------------------------------------------------------------------------
 */

/* True when all that was sent has been taken by the socket. */
static bool
flush(CcPeer *p)
{
	int			left = PQflush(p->conn);

	if (left < 0)
		p->lost = true;
	if (!p->lost)
		cc_evloop_want(p->watch, CC_WATCH_READ |
					   (left > 0 ? CC_WATCH_WRITE : 0));
	return left == 0;
}

void
cc_peer_work(CcPeer *p)
{
	if (p->failed)
		return;
	if (p->step == OPENING)
		go_on_opening(p);
	if (p->failed || p->step == OPENING)
		return;
	if ((cc_evloop_ready(p->watch) & CC_WATCH_READ) != 0 &&
		PQconsumeInput(p->conn) == 0)
		p->lost = true;
	(void) flush(p);
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

static CcPeerEvent
take_server(CcPeer *p, const PGresult *res)
{
	if (PQnfields(res) != 3 || !get_int64(res, 1, &p->server.system) ||
		!get_int64(res, 2, &p->server.started))
	{
		fail_rubbish(p);
		return CC_PEER_FAILED;
	}
	p->server.has_extension = !PQgetisnull(res, 0, 0);
	strlcpy(p->schema, PQgetvalue(res, 0, 0), sizeof(p->schema));
	strlcpy(p->server.database, PQdb(p->conn), sizeof(p->server.database));
	return CC_PEER_SERVER;
}

/* What a result means; the result is kept while it is shown as a reply. */
static CcPeerEvent
take_result(CcPeer *p, PGresult *res)
{
	p->reply = res;
	switch (PQresultStatus(res))
	{
		case PGRES_COMMAND_OK:	/* a statement was prepared */
		case PGRES_PIPELINE_ABORTED:
			return CC_PEER_NOTHING;
		case PGRES_PIPELINE_SYNC:
			p->nback++;
			return CC_PEER_NOTHING;
		case PGRES_TUPLES_OK:
			if (PQntuples(res) == 1 && p->step == ASKED)
				return take_server(p, res);
			if (PQntuples(res) == 1 && !PQgetisnull(res, 0, 0))
				return CC_PEER_REPLY;
			fail_rubbish(p);
			return CC_PEER_FAILED;
		default:
			fail_sql(p, res);
			return CC_PEER_FAILED;
	}
}

/*
 * Even of a lost connection the last results are worth reading: they may say
 * why.  A NULL ends the results of one query; two in a row mean that there
 * are no more for now.
 */
CcPeerEvent
cc_peer_next(CcPeer *p)
{
	int			nulls = 0;

	while (!p->failed && p->step != OPENING && nulls < 2 &&
		   p->nback != p->nsent && !PQisBusy(p->conn))
	{
		CcPeerEvent event;
		PGresult   *res = PQgetResult(p->conn);

		if (res == NULL)
		{
			nulls++;
			continue;
		}
		nulls = 0;
		PQclear(p->reply);
		event = take_result(p, res);
		if (event != CC_PEER_NOTHING)
			return event;
	}
	if (!p->failed && p->step != OPENING &&
		(p->lost || PQstatus(p->conn) == CONNECTION_BAD))
		fail_lost(p);
	return p->failed ? CC_PEER_FAILED : CC_PEER_NOTHING;
}

const CcServer *
cc_peer_server(const CcPeer *p)
{
	return &p->server;
}

void
cc_peer_reply(const CcPeer *p, const char **data, Size *len)
{
	*data = PQgetvalue(p->reply, 0, 0);
	*len = PQgetlength(p->reply, 0, 0);
}

const CcPeerTrouble *
cc_peer_trouble(const CcPeer *p)
{
	return &p->trouble;
}

static bool
prepare(CcPeer *p, const char *function)
{
	static const Oid types[1] = {BYTEAOID};
	char		query[sizeof(p->schema) + 64];

	snprintf(query, sizeof(query), "SELECT %s.%s($1)", p->schema, function);
	return PQsendPrepare(p->conn, function, query, 1, types) == 1;
}

static bool
send_message(CcPeer *p, const char *function, const char *data, Size len)
{
	const char *values[1] = {data};
	int			lengths[1] = {(int) len};
	static const int formats[1] = {1};
	bool		ok;

	ok = PQsendQueryPrepared(p->conn, function, 1, values, lengths, formats,
							 1) == 1 && send_sync(p);
	if (!ok)
		fail_lost(p);
	return ok;
}

/* One round trip for both statements and the hello. */
bool
cc_peer_hello(CcPeer *p, const char *data, Size len)
{
	p->step = GREETED;
	if (prepare(p, HELLO) && prepare(p, APPLY))
		return send_message(p, HELLO, data, len);
	fail_lost(p);
	return false;
}

bool
cc_peer_send(CcPeer *p, const char *data, Size len)
{
	return send_message(p, APPLY, data, len);
}

bool
cc_peer_may_send(CcPeer *p)
{
	return flush(p) && !p->failed && p->nsent - p->nback < MAX_IN_FLIGHT;
}
