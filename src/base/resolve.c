/*-------------------------------------------------------------------------
 *
 * resolve.c
 *	  Host names to addresses, without ever waiting for a name server.
 *
 * A thread must not call anything of PostgreSQL's: no palloc, no elog, no
 * lock.  Its request is malloc'd and belongs to it until it has put it on the
 * list of finished ones; from then on it belongs to the replicator.
 *
 * Locking: "mutex" protects "finished".
 *
 * May include: PostgreSQL's headers and the operating system's.
 *
 *-------------------------------------------------------------------------
 */
#include "base/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

/* Lookups that hang for long must not eat up the process's threads. */
#define MAX_THREADS		32
#define THREAD_STACK	(1024 * 1024)

struct CcResolve
{
	CcResolve  *next;			/* on the list of finished ones */
	bool		done;			/* replicator's: it was collected */
	bool		dropped;		/* replicator's: nobody waits for it */
	char	   *host;
	int			error;			/* of getaddrinfo */
	int			count;
	char		address[CC_RESOLVE_MAX][CC_RESOLVE_ADDR_LEN];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static CcResolve *finished = NULL;
static void (*wake_replicator) (void) = NULL;
static int	nthreads = 0;		/* replicator's: begun and not collected */

void
cc_resolve_init(void (*wake) (void))
{
	wake_replicator = wake;
}

bool
cc_resolve_is_numeric(const char *host)
{
	struct addrinfo hint = {.ai_flags = AI_NUMERICHOST};
	struct addrinfo *list = NULL;

	if (getaddrinfo(host, NULL, &hint, &list) != 0)
		return false;
	freeaddrinfo(list);
	return true;
}

static void
free_request(CcResolve *r)
{
	free(r->host);
	free(r);
}

/* Runs in the thread. */
static void
look_up(CcResolve *r)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;

	r->error = getaddrinfo(r->host, NULL, &hint, &list);
	if (r->error != 0)
		return;
	for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
	{
		if (r->count < CC_RESOLVE_MAX &&
			getnameinfo(a->ai_addr, a->ai_addrlen, r->address[r->count],
						CC_RESOLVE_ADDR_LEN, NULL, 0, NI_NUMERICHOST) == 0)
			r->count++;
	}
	freeaddrinfo(list);
}

static void *
thread_main(void *arg)
{
	CcResolve  *r = arg;

	look_up(r);
	pthread_mutex_lock(&mutex);
	r->next = finished;
	finished = r;
	pthread_mutex_unlock(&mutex);
	wake_replicator();
	return NULL;
}

/*
 * A new thread inherits the mask of signals, and PostgreSQL's handlers must
 * never run in it.
 */
static bool
start_thread(CcResolve *r)
{
	pthread_attr_t attr;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	before;
	bool		ok;

	if (pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
		pthread_attr_setstacksize(&attr, THREAD_STACK) == 0 &&
		pthread_create(&thread, &attr, thread_main, r) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return ok;
}

CcResolve *
cc_resolve_begin(const char *host)
{
	CcResolve  *r;

	if (nthreads >= MAX_THREADS)
		return NULL;
	r = calloc(1, sizeof(CcResolve));
	if (r == NULL)
		return NULL;
	r->host = strdup(host);
	if (r->host == NULL || !start_thread(r))
	{
		free_request(r);
		return NULL;
	}
	nthreads++;
	return r;
}

void
cc_resolve_collect(void)
{
	CcResolve  *r;

	pthread_mutex_lock(&mutex);
	r = finished;
	finished = NULL;
	pthread_mutex_unlock(&mutex);

	while (r != NULL)
	{
		CcResolve  *next = r->next;

		nthreads--;
		r->done = true;
		if (r->dropped)
			free_request(r);
		r = next;
	}
}

bool
cc_resolve_done(const CcResolve *r)
{
	return r->done;
}

int
cc_resolve_count(const CcResolve *r)
{
	return r->count;
}

const char *
cc_resolve_address(const CcResolve *r, int i)
{
	return r->address[i];
}

const char *
cc_resolve_error(const CcResolve *r)
{
	return r->error != 0 ? gai_strerror(r->error) : "it has no address";
}

void
cc_resolve_drop(CcResolve *r)
{
	if (r->done)
		free_request(r);
	else
		r->dropped = true;
}
