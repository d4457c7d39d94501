/*-------------------------------------------------------------------------
 *
 * evloop.c
 *	  The replicator's loop: libuv for the sockets, inside PostgreSQL's own
 *	  wait for latch and postmaster.
 *
 * One turn: wait for the latch, libuv's descriptor or the next time that
 * something is due; let libuv note what is ready; act.
 *
 * libuv keeps pointers to its stack while callbacks run, so no ERROR may
 * leave one: they only note.  It aborts on a descriptor that was closed under
 * a watch.  Its thread pool is not used: the library joins those threads when
 * the process exits.
 *
 * No wake-up is lost: who has work for us sets the latch once we have said
 * that we sleep, and we look for work once more after having said so.
 *
 * Locking: none of its own.
 *
 * May include: see evloop.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/evloop.h"

#include <uv.h>

#include "base/compat.h"
#include "base/guc.h"
#include "base/resolve.h"
#include "base/wake.h"
#include "cache/state.h"
#include "cluster/links.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Descriptors that a libuv loop holds by itself */
#define LOOP_FDS		6

/* Longest sleep, in ms; only so that a bug elsewhere cannot last for ever */
#define MAX_SLEEP		60000

struct CcWatch
{
	uv_poll_t	poll;			/* first: libuv gives us its address back */
	int			fd;
	int			want;
	int			ready;
};

int64		(*cc_evloop_hook) (int64 now) = NULL;

static int64 hook_due = PG_INT64_MAX;

static uv_loop_t loop;
static uv_async_t resolved;

/* ------------------------------------------------------------------------
 * Watches
 * ------------------------------------------------------------------------
 */

/*
 * libuv stops a watch whose descriptor has an error; it is then ready for
 * everything, so that libpq finds the error, and is wanted for nothing.
 */
static void
note_ready(uv_poll_t *handle, int status, int events)
{
	CcWatch    *w = (CcWatch *) handle;

	if (status < 0)
	{
		w->ready = CC_WATCH_READ | CC_WATCH_WRITE;
		w->want = 0;
		return;
	}
	if (events & UV_READABLE)
		w->ready |= CC_WATCH_READ;
	if (events & UV_WRITABLE)
		w->ready |= CC_WATCH_WRITE;
}

static void
free_watch(uv_handle_t *handle)
{
	free(handle);
}

CcWatch *
cc_evloop_watch(int fd)
{
	CcWatch    *w = calloc(1, sizeof(CcWatch));
	int			rc = w == NULL ? UV_ENOMEM : uv_poll_init(&loop, &w->poll, fd);

	if (rc != 0)
	{
		free(w);
		cc_log(CC_LOG, "could not watch a socket: %s", uv_strerror(rc));
		return NULL;
	}
	w->fd = fd;
	return w;
}

void
cc_evloop_want(CcWatch *w, int events)
{
	int			flags = 0;

	if (events == w->want)
		return;
	w->want = events;
	if (events & CC_WATCH_READ)
		flags |= UV_READABLE;
	if (events & CC_WATCH_WRITE)
		flags |= UV_WRITABLE;
	if (flags != 0)
		uv_poll_start(&w->poll, flags, note_ready);
	else
		uv_poll_stop(&w->poll);
}

int
cc_evloop_ready(CcWatch *w)
{
	int			ready = w->ready;

	w->ready = 0;
	return ready;
}

int
cc_evloop_fd(const CcWatch *w)
{
	return w->fd;
}

/* The memory is libuv's until it has called back. */
void
cc_evloop_unwatch(CcWatch *w)
{
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *) &w->poll, free_watch);
}

/* ------------------------------------------------------------------------
 * The loop
 * ------------------------------------------------------------------------
 */

/* Called from a lookup's thread; the only function of libuv that may be. */
static void
wake_loop(void)
{
	uv_async_send(&resolved);
}

static void
note_resolved(uv_async_t *handle)
{
	/* being woken is all; the loop looks at every turn */
}

static WaitEventSet *
start_loop(void)
{
	WaitEventSet *set;
	int			rc;

	for (int i = 0; i < LOOP_FDS; i++)
		ReserveExternalFD();
	rc = uv_loop_init(&loop);
	if (rc == 0)
		rc = uv_async_init(&loop, &resolved, note_resolved);
	if (rc != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start the event loop: %s",
						uv_strerror(rc))));
	cc_resolve_init(wake_loop);

	set = cc_create_wait_event_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, uv_backend_fd(&loop), NULL,
					  NULL);
	return set;
}

/* How long there is nothing to do unless somebody has something for us. */
static long
time_to_sleep(void)
{
	int64		ms = Min(cc_links_due(), hook_due) - cc_monotonic_ms();
	int			theirs = uv_backend_timeout(&loop);

	ms = Min(Max(ms, 0), MAX_SLEEP);
	if (theirs >= 0)
		ms = Min(ms, theirs);
	return (long) ms;
}

/*
 * The set latch alone may be reported although sockets are ready too, so
 * libuv is run whatever woke us.
 */
static void
wait_for_work(WaitEventSet *set)
{
	static uint32 wait_event = 0;
	WaitEvent	event;
	long		timeout;

	uv_update_time(&loop);
	cc_wake_sleep(CC_REPLICATOR);
	timeout = cc_links_pending() ? 0 : time_to_sleep();
	WaitEventSetWait(set, timeout, &event, 1,
					 cc_wait_event(wait_event, "CacheClusterReplicator"));
	cc_wake_awake(CC_REPLICATOR);
	ResetLatch(MyLatch);
}

void
cc_evloop_run(void)
{
	WaitEventSet *set = start_loop();

	cc_links_init(cc_monotonic_ms());
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (ShutdownRequestPending)
			break;
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			cc_links_reload(cc_monotonic_ms());
		}
		uv_run(&loop, UV_RUN_NOWAIT);
		cc_resolve_collect();
		cc_links_step(cc_monotonic_ms());
		if (cc_evloop_hook != NULL)
			hook_due = cc_evloop_hook(cc_monotonic_ms());
		wait_for_work(set);
	}
	cc_links_end();
}
