/*-------------------------------------------------------------------------
 *
 * peerfuncs.c
 *	  SQL functions of the peer protocol: cachecluster_hello and
 *	  cachecluster_apply.
 *
 * A peer's connection is an ordinary backend that serves one session.  Only
 * roles that were granted EXECUTE get here, but what they send is checked as
 * if it came from anybody (cluster/receive.h).  What is wrong with a message
 * is said in the reply, not by an error.
 *
 * Locking: none here.  When an error is raised all the same, or the backend
 * exits, what the session had begun is ended (cc_receiver_gone).
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/events.h"
#include "base/guc.h"
#include "base/wake.h"
#include "cluster/membership.h"
#include "cluster/receive.h"
#include "funcs/args.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

/* A refusal that goes on is told to the log again after so long */
#define TELL_AGAIN_MS	(60 * 60 * 1000)

PG_FUNCTION_INFO_V1(cachecluster_hello);
PG_FUNCTION_INFO_V1(cachecluster_apply);

/* Of this backend; made by its first message */
static CcReceiver receiver;
static bool have_receiver = false;

static void
end_session(int code, Datum arg)
{
	cc_receiver_gone(&receiver);
}

static void
ensure_receiver(void)
{
	cc_args_require_loaded();
	if (have_receiver)
		return;
	cc_receiver_init(&receiver);
	before_shmem_exit(end_session, (Datum) 0);
	have_receiver = true;
}

/* What the one who calls may not know, or may not see, of himself */
static bool
worth_telling(CcStatus status)
{
	switch (status)
	{
		case CC_REFUSED_BAD:
		case CC_REFUSED_VERSION:
		case CC_REFUSED_STRANGER:
		case CC_REFUSED_REMOVED:
		case CC_REFUSED_SKEW:
		case CC_REFUSED_TWIN:
		case CC_REFUSED_FULL:
			return true;
		default:
			return false;
	}
}

/* Where the caller is; a function of PostgreSQL's knows. */
static const char *
caller_address(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		addr;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	addr = inet_client_addr(fcinfo);
	if (fcinfo->isnull)
		return "a local socket";
	return DatumGetCString(DirectFunctionCall1(inet_out, addr));
}

/* What a node calls itself; who is none is called by what he says he is. */
static const char *
caller_name(void)
{
	static const char prefix[] = "cachecluster/";

	if (strncmp(application_name, prefix, sizeof(prefix) - 1) == 0 &&
		application_name[sizeof(prefix) - 1] != '\0')
		return application_name + sizeof(prefix) - 1;
	return application_name[0] != '\0' ? application_name : "unknown";
}

/* One line for each caller and cause, and hour: it goes on calling. */
static void
tell_refusal(CcStatus status)
{
	CcMembersShared *ms = cc.members;
	const char *host;
	char		key[256];
	char		address[100];
	char		why[160];
	uint64		hash[2];

	if (!worth_telling(status))
		return;
	host = caller_address();
	snprintf(key, sizeof(key), "%s %s %d " INT64_FORMAT, host,
			 application_name, (int) status, cc_clock_ms() / TELL_AGAIN_MS);
	cc_hash128(key, strlen(key), 0, hash);
	for (int i = 0; i < CC_REFUSALS; i++)
	{
		if (pg_atomic_read_u64(&ms->refusal[i]) == hash[0])
			return;
	}
	pg_atomic_write_u64(&ms->refusal[pg_atomic_fetch_add_u32(&ms->next_refusal, 1) %
									 CC_REFUSALS], hash[0]);
	cc_log(CC_LOG, "refused \"%s\" from %s: %s", application_name, host,
		   cc_status_text(status));
	cc_event(CC_EVENT_REFUSED, caller_name(),
			 "\"by\": \"this node\", \"address\": %s, \"why\": %s",
			 cc_event_text(address, sizeof(address), host),
			 cc_event_text(why, sizeof(why), cc_status_text(status)));
}

static bytea *
reply(void)
{
	const CcBuf *buf = &receiver.reply.buf;
	bytea	   *result = palloc(VARHDRSZ + buf->len);

	SET_VARSIZE(result, VARHDRSZ + buf->len);
	memcpy(VARDATA(result), buf->data, buf->len);
	return result;
}

static bytea *
receive(bytea *message, bool hello)
{
	const char *data = VARDATA_ANY(message);
	Size		len = VARSIZE_ANY_EXHDR(message);
	bytea	   *result = NULL;
	CcStatus	status;

	cc_wake_hold();
	PG_TRY();
	{
		if (hello)
			status = cc_receive_hello(&receiver, cc_monotonic_ms(), data, len);
		else
			status = cc_receive_batch(&receiver, cc_monotonic_ms(),
									  cc_peer_timeout, data, len);
		if (unlikely(status != CC_OK))
			tell_refusal(status);
		result = reply();
	}
	PG_CATCH();
	{
		cc_wake_release();
		cc_receiver_gone(&receiver);
		PG_RE_THROW();
	}
	PG_END_TRY();
	cc_wake_release();
	return result;
}

Datum
cachecluster_hello(PG_FUNCTION_ARGS)
{
	ensure_receiver();
	PG_RETURN_BYTEA_P(receive(PG_GETARG_BYTEA_PP(0), true));
}

Datum
cachecluster_apply(PG_FUNCTION_ARGS)
{
	ensure_receiver();
	PG_RETURN_BYTEA_P(receive(PG_GETARG_BYTEA_PP(0), false));
}
