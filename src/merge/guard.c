/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  The time that a call may take.  See guard.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "merge/guard.h"

#include "base/guc.h"
#include "merge/merger.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timeout.h"

/* A function that swallows the first word has at least so long for it, in ms */
#define LEAST_RESPITE	100

#define FIRST_RETRY		1000
#define LONGEST_RETRY	(300 * 1000)

static TimeoutId soft_timeout;
static TimeoutId hard_timeout;

/* Set by the signal handler, taken back around calls */
static volatile sig_atomic_t time_over;
static volatile sig_atomic_t ended;

/* The call under way */
static bool calling = false;
static uint16 call_ns;
static const char *call_key;
static uint16 call_keylen;

/* What pg_cancel_backend does */
static void
cancel_call(void)
{
	time_over = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* What pg_terminate_backend does */
static void
end_process(void)
{
	ended = true;
	ProcDiePending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
note_failed_key(const char *error)
{
	CcKeyState *ks = cc_alloc(sizeof(CcKeyState));
	CcBuf		buf;

	cc_buf_init(&buf);
	if (cc_conflict_read(call_ns, call_key, call_keylen, ks, &buf))
		cc_conflict_failed(call_ns, call_key, call_keylen, ks, error,
						   cc_mergeguard_retry_at(ks->tries));
}

/*
 * The process exits.  Transactions and locks are gone by now.  Whoever ended it
 * during a call, the key may be the reason, and has its pause.
 */
static void
leave(int code, Datum arg)
{
	const char *error = ended ?
		"merge function did not stop when merge_timeout was over" :
		"merger was ended during the call of the merge function";

	if (!calling || !cc_state_takes_writes())
		return;
	calling = false;
	if (call_key != NULL)
		note_failed_key(error);
	else
		cc_merger_put_off(call_ns);
	cc_merger_progress();
	ereport(WARNING,
			(errmsg("%s of cache namespace \"%s\" in database \"%s\" has "
					"ended its process",
					call_key != NULL ? "merge function" :
					"merge function or fetcher",
					cc_namespace(call_ns)->name,
					cc_namespace(call_ns)->database),
			 call_key != NULL ?
			 errdetail("Key \"%s\": %s.", pnstrdup(call_key, call_keylen),
					   error) : 0,
			 ended ?
			 errhint("A merge function must not catch query_canceled.") : 0));
}

void
cc_mergeguard_install(void)
{
	before_shmem_exit(leave, (Datum) 0);
}

void
cc_mergeguard_connected(void)
{
	soft_timeout = RegisterTimeout(USER_TIMEOUT, cancel_call);
	hard_timeout = RegisterTimeout(USER_TIMEOUT, end_process);
}

void
cc_mergeguard_begin(uint16 ns, const char *key, uint16 keylen)
{
	EnableTimeoutParams set[2] = {
		{.id = soft_timeout, .type = TMPARAM_AFTER},
		{.id = hard_timeout, .type = TMPARAM_AFTER}
	};

	call_ns = ns;
	call_key = key;
	call_keylen = keylen;
	calling = true;
	time_over = false;
	set[0].delay_ms = cc_merge_timeout;
	set[1].delay_ms = cc_merge_timeout > PG_INT32_MAX / 2 ? PG_INT32_MAX :
		cc_merge_timeout + Max(cc_merge_timeout, LEAST_RESPITE);
	enable_timeouts(set, 2);
}

static void
stop_watching(void)
{
	DisableTimeoutParams clear[2] = {
		{.id = soft_timeout, .keep_indicator = false},
		{.id = hard_timeout, .keep_indicator = false}
	};

	disable_timeouts(clear, 2);
	calling = false;

	/* it has come when there was nothing left to cancel */
	if (time_over)
		QueryCancelPending = false;
}

void
cc_mergeguard_end(void)
{
	stop_watching();
	if (unlikely(time_over))
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("merge function took longer than merge_timeout")));
}

bool
cc_mergeguard_caught(void)
{
	if (!calling)
		return false;
	stop_watching();
	return time_over;
}

int64
cc_mergeguard_retry_at(int tries)
{
	int64		pause = FIRST_RETRY;

	while (tries-- > 0 && pause < LONGEST_RETRY)
		pause *= 2;
	return cc_clock_ms() + Min(pause, LONGEST_RETRY);
}
