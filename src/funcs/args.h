/*-------------------------------------------------------------------------
 *
 * args.h
 *	  What all SQL functions need: arguments checked, times converted, errors
 *	  worded.
 *
 * Every function here may raise an error, and none is called with a lock
 * held.  What a user gave is checked completely before the cache is touched.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_ARGS_H
#define CC_ARGS_H

#include "base/compat.h"
#include "cache/namespace.h"
#include "fmgr.h"
#include "utils/timestamp.h"

/* The key and namespace that a function was asked about. */
typedef struct CcKey
{
	uint16		ns;
	const char *key;			/* in memory of the call; no zero at its end */
	uint16		keylen;
} CcKey;

/* Error 55000 where the library was not preloaded. */
extern void cc_args_require_loaded(void);

/* The node's phase, as cache_status shows it. */
extern const char *cc_args_phase_name(void);

/* Error 55000 where nothing is stored: loading, or closed. */
extern void cc_args_raise_not_ready(void);

/*
 * Index of a namespace of this database that exists for users; CC_NO_NS when
 * there is none of this name.
 */
extern uint16 cc_args_find_namespace(const char *name);

/*
 * The namespace named by the argument; error 42704 when there is none, 42501
 * when the effective user lacks a privilege (CC_PRIV_*) there, 22004 when the
 * argument is NULL.
 */
extern uint16 cc_args_namespace(FunctionCallInfo fcinfo, int arg, uint8 need);

/* Whether a text can be a key: error 22023 or 54000. */
extern void cc_args_check_key(const text *key);

/* Key and namespace, for a function whose first argument is the key. */
extern void cc_args_key(FunctionCallInfo fcinfo, int ns_arg, uint8 need,
						CcKey *k);

/*
 * A time to live as CcChange wants it: ms, 0 for none (also when it is NULL),
 * -1 when it is zero or negative.  Error 22008 when it ends beyond all time.
 */
extern int64 cc_args_ttl(FunctionCallInfo fcinfo, int arg);

/* Same of an interval that is no argument. */
extern int64 cc_args_span(Interval *interval);

/* A timeout in ms, at least 0; for functions that wait. */
extern int64 cc_args_timeout(FunctionCallInfo fcinfo, int arg);

/*
 * Milliseconds since 1970, which may have come from a peer, as a timestamp;
 * beyond its range infinity.
 */
extern TimestampTz cc_args_timestamp(int64 ms);

/* Milliseconds as an interval of days and hours. */
extern Datum cc_args_interval(int64 ms);

/* Whether the bytes are text in the encoding of this database. */
extern bool cc_args_is_text(const char *data, Size len);

/* A name that came from a peer as text, NULL where it is empty or is not. */
extern char *cc_args_name(const char *name);

#endif							/* CC_ARGS_H */
