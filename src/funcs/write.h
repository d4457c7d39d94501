/*-------------------------------------------------------------------------
 *
 * write.h
 *	  How SQL functions write: settings of the namespace applied, refusals
 *	  worded, the change made now or at commit, waits done.
 *
 * Everything that a user writes goes through cc_write or cc_write_clear.
 *
 * Locking: none held by the caller; may raise errors, and nothing has been
 * done then but where a wait was cancelled.
 *
 * May include: PostgreSQL's headers, base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_WRITE_H
#define CC_WRITE_H

#include "postgres.h"

#include "cache/xact.h"

/* What a put was given, before the namespace's settings fill the gaps. */
typedef struct CcPutOptions
{
	bool		have_ttl;
	int64		ttl_ms;			/* as CcChange's */
	bool		have_sliding;
	bool		sliding;
	bool		have_grace;
	int64		grace_ms;
} CcPutOptions;

/*
 * Sets TTL, sliding, max_age and grace of a put from what was given and what
 * the namespace says.  Error 22023 where the namespace requires a TTL and
 * there is none, or a sliding put has none.
 */
extern void cc_write_options(CcChange *c, const CcPutOptions *o);

/* Error 54000 for a value that is larger than cachecluster.max_value_size. */
extern void cc_write_check_size(Size len);

/*
 * Makes a user's change of c->ns, which he may write: at commit, or at once
 * with `immediate`, where the setting or the namespace says so, and for
 * operations that always act at once.  Result CC_DONE or CC_UNCHANGED, by what
 * can be known (xact.h); everything else is an error, and counted as
 * rejected.  Returns what a put or delete counts for; see xact.h.
 */
extern CcResult cc_write(CcChange *c, bool immediate, CcOutcome *o);

/*
 * For a call that makes many changes of one namespace: cc_write_probe for each
 * of them raises the error that cc_write would raise; cc_write_part is cc_write
 * without what is waited for after the change; and cc_write_wait, once, with
 * the outcome of the last one that was CC_DONE, waits for all.
 */
extern void cc_write_probe(const CcChange *c);
extern CcResult cc_write_part(CcChange *c, bool immediate, CcOutcome *o);
extern void cc_write_wait(uint16 ns, const CcOutcome *last);

/*
 * Error 55000 while the cache stores nothing, for what names no entry that
 * could be asked about: else it would wait for the commit and be lost there,
 * or find nothing to do.
 */
extern void cc_write_check_ready(void);

/* As cc_write: empties the namespace. */
extern void cc_write_clear(uint16 ns);

/*
 * A delete by cache_invalidate: at commit, not refused by min_nodes, and
 * marked with the commit's place in the WAL.
 */
extern void cc_write_invalidate(uint16 ns, const char *key, uint16 keylen);

/* Likewise: empties the namespace at commit. */
extern void cc_write_invalidate_all(uint16 ns);

/*
 * The hook of cache/xact.h: error 55000 while fewer than min_nodes members
 * can be reached.
 */
extern void cc_write_check(bool forced);

#endif							/* CC_WRITE_H */
