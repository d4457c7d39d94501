/*-------------------------------------------------------------------------
 *
 * port.h
 *	  All that the deciding layers know of the world around them.
 *
 * The same C of cache/ and cluster/ runs inside PostgreSQL and inside the
 * simulator (test/sim).  It reaches locks, memory, logging, files, the clock
 * and chance only through this header.  Inside PostgreSQL the functions are
 * in port.c; the simulator brings its own (test/sim/sim_port.h).
 *
 * Locking: cc_lock_* are LWLocks; the order in which they are taken stands
 * in shmem.h.  No function here but the cc_lock_* may be called with a lock
 * held, unless it says so.
 *
 * May include: PostgreSQL's headers, or the simulator's.  Nothing of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PORT_H
#define CC_PORT_H

#ifdef CC_SIM
#include "sim_port.h"
#else
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_crc32c.h"
#include "storage/lwlock.h"

typedef LWLock CcLock;

/* Rules of PROTOCOL.md can be switched off in the simulator only. */
#define cc_rule(name)	(true)

/* In the simulator another backend may run here; in PostgreSQL it just does. */
#define cc_yield()		((void) 0)

/* The state checks that only the simulator can make. */
#define cc_check_raise(origin, from, to, full) ((void) 0)
#define cc_check_take(entry)	((void) 0)
#define cc_check_write(entry)	((void) 0)
#define cc_check_evict(entry)	((void) 0)
#define cc_check_race(entry)	((void) 0)
#endif							/* CC_SIM */

/*
 * Locks.  Taking one may wait; none of our own may be held out of order.
 */
extern void cc_lock_exclusive(CcLock *lock);
extern void cc_lock_shared(CcLock *lock);
extern void cc_unlock(CcLock *lock);
extern bool cc_lock_held(CcLock *lock);

/* Wall clock in milliseconds since 1970.  May be called under a lock. */
extern int64 cc_clock_ms(void);

/*
 * The same from a clock that is cheap to read and at most CC_COARSE_MS behind.
 */
#define CC_COARSE_MS	20
extern int64 cc_clock_coarse_ms(void);

/* Monotonic clock in milliseconds, of no fixed origin.  Ditto. */
extern int64 cc_monotonic_ms(void);

/* The same in microseconds, for what is shown to people. */
extern int64 cc_monotonic_us(void);

/* Where a long walk may be cancelled: may raise an error; no lock is held. */
extern void cc_check_interrupts(void);

/* A short wait for another backend; the caller holds no lock. */
extern void cc_pause(void);

/*
 * Memory of this process.  Raises an error when there is none, so never under
 * a lock.  Sizes above 1 GB are allowed.
 */
extern void *cc_alloc(Size size);
extern void *cc_realloc(void *p, Size size);
extern void cc_free(void *p);

/* Fills buf with bytes from a strong random source. */
extern void cc_random(void *buf, Size len);

/* A number in [0, n), for jitter and grace only. */
extern uint32 cc_random_below(uint32 n);

/*
 * Messages for the server log.  CC_LOG for what an administrator may want to
 * see, CC_WARN for what he must do something about.  Not under a lock.
 */
typedef enum CcLogLevel
{
	CC_DEBUG,
	CC_LOG,
	CC_WARN
} CcLogLevel;

extern void cc_log(CcLogLevel level, const char *fmt, ...) pg_attribute_printf(2, 3);

/*
 * Tells of something that happened, for the view cache_events.  kind is a
 * CcEventKind (events.h), node the name of the node that it concerns (NULL:
 * this one).  fmt makes the members of a JSON object, and may be NULL; text
 * that was not made by us goes through cc_event_text first.  Neither allocates
 * nor fails; not under a lock of ours but members->lock.
 */
extern void cc_event(int kind, const char *node, const char *fmt, ...) pg_attribute_printf(3, 4);

/* text as a JSON string with its quotes, cut to size; returns out. */
extern char *cc_event_text(char *out, Size size, const char *text);

/*
 * Wakes the other processes after something was published.  Cheap when they
 * are awake; may be called under a lock.
 */
extern void cc_wake_writer(void);
extern void cc_wake_replicator(void);

/*
 * Waits until cc_announce_journal was called since, or some ms have passed;
 * the caller looks again.  Holds no lock.
 */
extern void cc_wait_journal(void);

/*
 * Whether the user wants to wait no longer, where that cannot be an error
 * since his transaction has committed already.
 */
extern bool cc_wait_given_up(void);
extern void cc_announce_journal(void);

/*
 * A peer is known to have more of what we wrote: whoever waits for that looks
 * again (wake.h).
 */
extern void cc_announce_acks(void);

/*
 * Files, by name inside the directory of the cache.  Every function returns
 * false (or -1) after having logged the cause, and never raises an error.
 *
 * A file is append-only: opened anew (truncated), appended to, fsynced,
 * closed, and given its final name by cc_file_rename, which is durable.
 */
typedef struct CcFile CcFile;

extern CcFile *cc_file_create(const char *name);
extern CcFile *cc_file_append(const char *name);	/* existing, at its end */
extern bool cc_file_write(CcFile *f, const void *data, Size len);
extern bool cc_file_sync(CcFile *f);
extern void cc_file_close(CcFile *f);
extern bool cc_file_rename(const char *from, const char *to);
extern bool cc_file_remove(const char *name);	/* true when it was not there */
extern bool cc_file_exists(const char *name);
extern bool cc_file_truncate(const char *name, uint64 len);

/* Opens for reading; NULL without a message when the file is not there. */
extern CcFile *cc_file_open(const char *name);
extern int64 cc_file_size(CcFile *f);

/* Reads exactly len bytes at the current place; false at the end or on error. */
extern bool cc_file_read(CcFile *f, void *data, Size len);

/*
 * Calls fn for each file of the directory.  False when it can't be read.
 */
extern bool cc_file_list(void (*fn) (const char *name, void *arg), void *arg);

/*
 * What makes this data directory this one and no copy of it: the inode and
 * the birth time of the named file.  False when it can't be told.
 */
extern bool cc_file_identity(const char *name, uint64 *inode, uint64 *born);

#endif							/* CC_PORT_H */
