/*-------------------------------------------------------------------------
 *
 * redot.c
 *	  New dots for entries that are here already (cache.h): orphans, what is
 *	  left of a retired origin, and all of a life that was not ours alone.
 *
 * Versions and values stay as they are; only the name under which the entry
 * travels changes.
 *
 * Locking: one partition's lock at a time; cc_cache_new_origin takes all, in
 * ascending order.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/cache.h"

/* Buckets that are read under one hold of a lock */
#define BUCKETS_A_TIME		32

/* Entries of the origin beyond a dot in a run of buckets, copied out. */
static int
collect_beyond(CcPartitionShared *p, uint32 *b, uint16 origin, uint64 beyond,
			   CcEntry *out, char (*keys)[CC_MAX_KEY], int max)
{
	int			n = 0;
	uint32		end;

	cc_store_lock(p, false);
	end = Min(*b + BUCKETS_A_TIME, p->nbuckets);
	for (; *b < end && n < max; (*b)++)
	{
		for (CcHeaderShared *h = cc_store_first(p, *b); h != NULL && n < max;
			 h = cc_store_next(p, h))
		{
			if (h->origin != origin || h->seq <= beyond)
				continue;
			cc_store_describe(h, &out[n]);
			cc_store_copy_key(p, h, keys[n]);
			out[n].key = keys[n];
			n++;
		}
	}
	/* a full collection: the last bucket may hold more of them */
	if (n == max && *b > 0)
		(*b)--;
	cc_store_unlock(p);
	return n;
}

void
cc_cache_redot(const CcEntry *e)
{
	CcChange	c = {.op = CC_OP_REDOT};
	CcOutcome	o;

	c.ns = e->ns;
	c.key = e->key;
	c.keylen = e->keylen;
	c.entry = e;
	cc_cache_change(&c, &o);
}

void
cc_cache_redot_beyond(uint16 origin, uint64 beyond)
{
	CcEntry		found[8];
	char		keys[8][CC_MAX_KEY];

	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);
		uint32		b = 0;

		while (b < p->nbuckets)
		{
			int			n = collect_beyond(p, &b, origin, beyond, found, keys,
									   8);

			for (int k = 0; k < n; k++)
				cc_cache_redot(&found[k]);
		}
	}
}

/*
 * All entries that the life now ending gave dots to; the partitions are
 * locked.  Each stays where it is and gets a dot of the new origin.
 */
static void
redot_partition(CcPartitionShared *p, uint16 old, uint16 self)
{
	for (uint32 b = 0; b < p->nbuckets; b++)
	{
		for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
			 h = cc_store_next(p, h))
		{
			uint64		pos;
			CcEntry		e;

			if (h->origin != old || h->seq < cc.state->first_seq)
				continue;
			pos = cc_changelog_allocate();
			h->origin = self;
			h->seq = pos;
			cc_store_describe(h, &e);
			cc_check_write(&e);
			cc_changelog_publish(pos, h->hash, self, pos);
			/* the end follows, so that no slot is overwritten unseen */
			if (pos % 4 == 0)
				(void) cc_changelog_published();
		}
	}
}

bool
cc_cache_new_origin(const CcNodeId *id, uint64 incarnation)
{
	uint16		old = cc_state_self();
	uint16		self;
	bool		done = false;

	self = cc_state_origin(id, incarnation);
	if (self == CC_NO_ORIGIN)
		return false;
	cc_changelog_wait_published(cc_changelog_allocated());
	for (uint32 i = 0; i < cc.store->npartitions; i++)
		cc_store_lock(cc_store_partition(i), true);
	if (cc_state_self() == old && self != old)
	{
		/* the ring may overflow here; its readers scan then */
		(void) cc_state_set_self(id, incarnation);
		for (uint32 i = 0; i < cc.store->npartitions; i++)
			redot_partition(cc_store_partition(i), old, self);
		/* what we said we had of the old origin was of this life */
		pg_atomic_write_u64(&cc_state_array(pg_atomic_uint64, vv)[old],
							cc.state->first_seq - 1);
		done = true;
	}
	for (uint32 i = cc.store->npartitions; i > 0; i--)
		cc_store_unlock(cc_store_partition(i - 1));
	return done;
}
