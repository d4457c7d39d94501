/*-------------------------------------------------------------------------
 *
 * listing.c
 *	  The keys of a namespace that match a pattern.  See listing.h.
 *
 * Locking: none here.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/listing.h"

#include "base/compat.h"
#include "cache/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "funcs/pattern.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

struct CcListing
{
	MemoryContext context;		/* of all that is here */
	MemoryContextCallback freed;
	CcPattern	pattern;
	CcScan		scan;			/* not in context: see free_scan */
	Tuplesortstate *sort;		/* NULL: pattern is one key, or none */
	bool		exact;			/* that key has not been handed out yet */
	text	   *key;			/* room for one key */
};

/* Buffers of the cache live in memory of their own, also after an error. */
static void
free_scan(void *arg)
{
	CcListing  *l = arg;

	cc_buf_free(&l->scan.entries);
	cc_buf_free(&l->scan.data);
}

static void
add_key(const CcEntry *e, void *arg)
{
	CcListing  *l = arg;

	CHECK_FOR_INTERRUPTS();
	if (!cc_pattern_matches(&l->pattern, e->key, e->keylen))
		return;
	SET_VARSIZE(l->key, VARHDRSZ + e->keylen);
	memcpy(VARDATA(l->key), e->key, e->keylen);
	tuplesort_putdatum(l->sort, PointerGetDatum(l->key), false);
}

static void
collect(CcListing *l, uint16 ns)
{
	TypeCacheEntry *type = lookup_type_cache(TEXTOID, TYPECACHE_LT_OPR);

	l->sort = tuplesort_begin_datum(TEXTOID, type->lt_opr, C_COLLATION_OID,
									false, work_mem, NULL, TUPLESORT_NONE);
	cc_xact_scan(ns, &l->scan, add_key, l);
	free_scan(l);
	tuplesort_performsort(l->sort);
}

CcListing *
cc_listing_begin(uint16 ns, const text *pattern)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "cachecluster listing",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CcListing  *l = palloc0(sizeof(CcListing));

	l->context = context;
	cc_buf_init(&l->scan.entries);
	cc_buf_init(&l->scan.data);
	l->freed.func = free_scan;
	l->freed.arg = l;
	MemoryContextRegisterResetCallback(context, &l->freed);

	cc_pattern_parse(pattern, &l->pattern);
	if (l->pattern.kind == CC_PATTERN_EXACT)
		l->exact = true;
	else if (l->pattern.kind != CC_PATTERN_NONE)
	{
		l->key = palloc(VARHDRSZ + CC_MAX_KEY);
		collect(l, ns);
	}
	MemoryContextSwitchTo(old);
	return l;
}

bool
cc_listing_next(CcListing *l, const char **key, uint16 *keylen)
{
	Datum		datum;
	bool		isnull;
	text	   *next;

	CHECK_FOR_INTERRUPTS();
	if (l->exact)
	{
		l->exact = false;
		*key = l->pattern.literal;
		*keylen = (uint16) l->pattern.len;
		return true;
	}
	if (l->sort == NULL ||
		!cc_tuplesort_getdatum(l->sort, &datum, &isnull))
		return false;
	next = (text *) DatumGetPointer(datum);
	*key = VARDATA(l->key);
	*keylen = (uint16) VARSIZE_ANY_EXHDR(next);
	memcpy(VARDATA(l->key), VARDATA_ANY(next), *keylen);
	pfree(next);
	return true;
}

void
cc_listing_end(CcListing *l)
{
	if (l->sort != NULL)
		tuplesort_end(l->sort);
	MemoryContextDelete(l->context);
}
