/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Who waits for what: the latches of the two workers, and those who wait
 *	  for the journal or for the peers.
 *
 * cc_wake_writer, cc_wake_replicator, cc_wait_journal, cc_announce_journal and
 * cc_announce_acks of port.h stand in wake.c.  A worker says when it is about to
 * sleep; only then is its latch set, so a storm of writes wakes it once.
 *
 *		for (;;)
 *		{
 *			work();
 *			cc_wake_sleep(CC_WRITER);
 *			if (!work_left())
 *				WaitLatch(MyLatch, ...);
 *			cc_wake_awake(CC_WRITER);
 *			ResetLatch(MyLatch);
 *		}
 *
 * A process that makes many changes in a row, none of which is worth sending on
 * its own, holds back its wakes meanwhile:
 *
 *		cc_wake_hold();
 *		PG_TRY(); { ... } PG_FINALLY(); { cc_wake_release(); } PG_END_TRY();
 *
 * Locking: none; atomics.  A worker is remembered by the number of its
 * PGPROC, whose latch can be set at any time, even after it has gone.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_WAKE_H
#define CC_WAKE_H

#include "base/port.h"

typedef enum CcWorker
{
	CC_WRITER,
	CC_REPLICATOR,
	CC_NWORKERS
} CcWorker;

extern Size cc_wake_size(void);
extern void cc_wake_init(void *mem);
extern void cc_wake_attach(void *mem);

/* This process is that worker from now on, until it exits. */
extern void cc_wake_register(CcWorker worker);

/*
 * Until cc_wake_release this process wakes nobody, unless it waits for the
 * journal; then whoever was to be woken is, once.  Does not nest.
 */
extern void cc_wake_hold(void);
extern void cc_wake_release(void);

/*
 * For those who wait until peers have what they wrote: waits until
 * cc_announce_acks was called since cc_wake_acks_seen, or some ms have passed.
 * May be cancelled.
 */
extern uint64 cc_wake_acks_seen(void);
extern void cc_wake_wait_acks(uint64 seen, long ms);

/* Before the last look for work, and after the wait. */
extern void cc_wake_sleep(CcWorker worker);
extern void cc_wake_awake(CcWorker worker);

#endif							/* CC_WAKE_H */
