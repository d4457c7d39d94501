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

#include "base/guc.h"
#include "cluster/receive.h"
#include "funcs/args.h"
#include "storage/ipc.h"

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

	PG_TRY();
	{
		if (hello)
			(void) cc_receive_hello(&receiver, cc_monotonic_ms(), data, len);
		else
			(void) cc_receive_batch(&receiver, cc_monotonic_ms(),
									cc_peer_timeout, data, len);
		result = reply();
	}
	PG_CATCH();
	{
		cc_receiver_gone(&receiver);
		PG_RE_THROW();
	}
	PG_END_TRY();
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
