/*-------------------------------------------------------------------------
 *
 * extra.h
 *	  What a few entries have beside key and value.
 *
 * An entry with the flag CC_F_EXTRA has a block before its value, inside what
 * vallen counts, so that files, wire and digests need not know of it:
 *
 *	of a stub	u64 system, u64 lsn
 *	of a value	u64 system, u64 lsn, i64 fresh, i64 ttl, i64 cap
 *												(wall clock ms, ms, ms)
 *
 * A value is fresh until `fresh` (0: for ever); what then follows until the
 * deadline in its header is its grace, in which only cache_get_or_lock sees
 * it.  With ttl it is sliding: a read moves fresh on to now + ttl, but not
 * beyond cap (0: no cap); the grace, deadline minus fresh, stays as long.
 *
 * A stub with a block is the tombstone of an invalidation: the transaction
 * that deleted the key ended at this position of that system's WAL.  A value
 * that replaces one before all members have seen it carries that on, as they
 * will see the value only (lsn 0: there is nothing to carry).
 *
 * Locking: works on copies, but for cc_extra_fresh: the partition is locked.
 *
 * May include: base/ and store.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EXTRA_H
#define CC_EXTRA_H

#include "cache/store.h"

#define CC_EXTRA_VALUE		40
#define CC_EXTRA_STUB		16

typedef struct CcExtra
{
	uint64		system;
	uint64		lsn;			/* 0: none */
	int64		fresh;			/* ms since 1970; 0: for ever */
	int64		ttl_ms;			/* 0: not sliding */
	int64		cap;			/* ms since 1970; 0: none */
} CcExtra;

/* Bytes of the block, by type and flags; 0: there is none. */
static inline uint32
cc_extra_len(uint8 type, uint8 flags)
{
	if ((flags & CC_F_EXTRA) == 0)
		return 0;
	return type == CC_STUB ? CC_EXTRA_STUB : CC_EXTRA_VALUE;
}

/*
 * Takes off a value what stands before and behind it (siblings.h): e->value and
 * vallen are the value's own then, and the flags are gone.  Where there is none x says so: fresh is the
 * deadline, and ttl_ms and cap are 0.
 */
extern void cc_extra_strip(CcEntry *e, CcExtra *x);

/* The invalidation that an entry tells of; false: none. */
extern bool cc_extra_invalidation(const CcEntry *e, uint64 *system,
								  uint64 *lsn);

/* Same of one that is stored. */
extern bool cc_extra_stored_invalidation(CcPartitionShared *p,
										 CcHeaderShared *h, uint64 *system,
										 uint64 *lsn);

/* Reads the block of a value at from. */
extern void cc_extra_get(const char *from, CcExtra *x);

/* Writes a block at to: of a value, of a tombstone. */
extern void cc_extra_put(char *to, const CcExtra *x);
extern void cc_extra_put_stub(char *to, uint64 system, uint64 lsn);

/* Until when the entry is fresh; 0: for ever. */
extern int64 cc_extra_fresh(CcPartitionShared *p, CcHeaderShared *h);

/*
 * The deadline in the header of an entry that is fresh so long and has such a
 * grace (none when it is negative); never beyond all time, whatever a peer
 * has sent.
 */
extern int64 cc_extra_deadline(int64 fresh, int64 grace_ms);

/*
 * Where a read at `now` moves the deadline of a sliding entry; 0 when it does
 * not, as less than a tenth of the TTL has gone.
 */
extern int64 cc_extra_slide(const CcExtra *x, int64 now);

#endif							/* CC_EXTRA_H */
