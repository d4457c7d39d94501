/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Everything that differs between PostgreSQL 15 and later ones.
 *
 * The rest of the code asks for no version.  Older servers than 15 are
 * refused here, newer ones than those known are tried.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers.  Nothing of ours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_COMPAT_H
#define CC_COMPAT_H

#include "postgres.h"

#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "cachecluster needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* The number of this process among all that have a PGPROC, from 0. */
#if PG_VERSION_NUM >= 170000
#define cc_my_proc_number()	((uint32) MyProcNumber)
#else
#define cc_my_proc_number()	((uint32) MyProc->pgprocno)
#endif

/* The latch of the process with such a number; good for ever. */
#define cc_proc_latch(n)	(&ProcGlobal->allProcs[n].procLatch)

/*
 * A wait event of ours.  The variable remembers it for this process; servers
 * before 17 know only one for all extensions.
 */
#if PG_VERSION_NUM >= 170000
#define cc_wait_event(variable, name) \
	((variable) != 0 ? (variable) : ((variable) = WaitEventExtensionNew(name)))
#else
#define cc_wait_event(variable, name)	((void) (variable), PG_WAIT_EXTENSION)
#endif

/* A WaitEventSet that lives as long as the process. */
#if PG_VERSION_NUM >= 170000
#define cc_create_wait_event_set(n)	CreateWaitEventSet(NULL, (n))
#else
#define cc_create_wait_event_set(n)	\
	CreateWaitEventSet(TopMemoryContext, (n))
#endif

/*
 * Rights on a database and on a function; the users include utils/acl.h and
 * catalog/pg_database.h, catalog/pg_proc.h.
 */
#if PG_VERSION_NUM >= 160000
#define cc_owns_database(db, role) \
	object_ownercheck(DatabaseRelationId, (db), (role))
#define cc_database_aclcheck(db, role, mode) \
	object_aclcheck(DatabaseRelationId, (db), (role), (mode))
#define cc_proc_aclcheck(proc, role, mode) \
	object_aclcheck(ProcedureRelationId, (proc), (role), (mode))
#else
#define cc_owns_database(db, role)	pg_database_ownercheck((db), (role))
#define cc_database_aclcheck(db, role, mode) \
	pg_database_aclcheck((db), (role), (mode))
#define cc_proc_aclcheck(proc, role, mode) \
	pg_proc_aclcheck((proc), (role), (mode))
#endif

/* Intervals can be infinite since 17. */
#if PG_VERSION_NUM >= 170000
#define cc_interval_is_infinite(i)	INTERVAL_NOT_FINITE(i)
#else
#define cc_interval_is_infinite(i)	((void) (i), false)
#endif

/*
 * The next datum of a sort, forward, as a copy in the current context.  Users
 * include utils/tuplesort.h.
 */
#if PG_VERSION_NUM >= 160000
#define cc_tuplesort_getdatum(sort, datum, isnull) \
	tuplesort_getdatum(sort, true, true, datum, isnull, NULL)
#else
#define cc_tuplesort_getdatum(sort, datum, isnull) \
	tuplesort_getdatum(sort, true, datum, isnull, NULL)
#endif

#endif							/* CC_COMPAT_H */
