/*-------------------------------------------------------------------------
 *
 * listing.h
 *	  The keys of a namespace that match a pattern, in byte order.
 *
 * Begin walks the store and sorts the keys that match, on disk beyond
 * work_mem; next hands them out one at a time.  What the transaction sees at
 * the begin is listed; whoever wants the entries looks each up when its turn
 * comes, and it may be gone then.  Nothing is shared by two listings that run
 * at the same time.  A pattern that is one key needs no walk.
 *
 * Locking: none held by the caller; the walk takes one partition's lock at a
 * time for a run of buckets, and can be cancelled.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_LISTING_H
#define CC_LISTING_H

#include "postgres.h"

typedef struct CcListing CcListing;

/*
 * Its memory is a child of the current context, its temporary files are the
 * current resource owner's: after an error both are gone without an end.
 */
extern CcListing *cc_listing_begin(uint16 ns, const text *pattern);

/* The next key, good until the call after; false at the end. */
extern bool cc_listing_next(CcListing *l, const char **key, uint16 *keylen);

extern void cc_listing_end(CcListing *l);

#endif							/* CC_LISTING_H */
