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
#include "cache/siblings.h"

/* Buckets that are read under one hold of a lock */
#define BUCKETS_A_TIME		32

/* Entries and originals that are collected at a time */
#define MAX_FOUND			8

typedef struct Beyond
{
	uint16		origin;
	uint64		beyond;
	CcPartitionShared *p;
	CcHeaderShared *h;			/* the entry that is looked at */
	int			n;
	CcEntry		found[MAX_FOUND];
	char		key[MAX_FOUND][CC_MAX_KEY];
} Beyond;

static bool
collect(const CcEntry *e, void *arg)
{
	Beyond	   *x = arg;

	if (e->origin != x->origin || e->seq <= x->beyond)
		return true;
	if (x->n == MAX_FOUND)
		return false;
	x->found[x->n] = *e;
	cc_store_copy_key(x->p, x->h, x->key[x->n]);
	x->found[x->n].key = x->key[x->n];
	x->n++;
	return true;
}

/*
 * Entries of the origin beyond a dot in a run of buckets, copied out.  A bucket
 * of which not all have room is looked at again.
 */
static void
collect_beyond(Beyond *x, uint32 *b)
{
	bool		room = true;
	uint32		end;

	x->n = 0;
	cc_store_lock(x->p, false);
	end = Min(*b + BUCKETS_A_TIME, x->p->nbuckets);
	while (*b < end && room)
	{
		for (x->h = cc_store_first(x->p, *b); x->h != NULL && room;
			 x->h = cc_store_next(x->p, x->h))
		{
			/* what is cleared would be left as it is, and found again */
			if (x->h->ns == CC_NS_SYSTEM || !cc_siblings_cleared(x->p, x->h))
				room = cc_siblings_all(x->p, x->h, collect, x);
		}
		*b += room;
	}
	cc_store_unlock(x->p);
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
	Beyond		x = {.origin = origin, .beyond = beyond};

	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		uint32		b = 0;

		x.p = cc_store_partition(i);
		while (b < x.p->nbuckets)
		{
			collect_beyond(&x, &b);
			for (int k = 0; k < x.n; k++)
				cc_cache_redot(&x.found[k]);
			/* closed meanwhile: they stay as they are */
			if (!cc_state_takes_writes())
				return;
		}
	}
}

/*
 * A dot of the new origin for one that the life now ending gave; false: it is
 * of another.  The slot is published.
 */
static bool
redot(CcHeaderShared *h, CcEntry *e, uint16 old, uint16 self)
{
	if (e->origin != old || e->seq < cc.state->first_seq)
		return false;
	e->origin = self;
	e->seq = cc_changelog_allocate();
	cc_check_write(e);
	cc_changelog_publish(e->seq, h->hash, self, e->seq);
	/* the end follows, so that no slot is overwritten unseen */
	if (e->seq % 4 == 0)
		(void) cc_changelog_published();
	return true;
}

static void
redot_siblings(CcPartitionShared *p, CcHeaderShared *h, uint16 old, uint16 self)
{
	CcEntry		sibling[CC_MAX_ORIGINALS];
	int			n = cc_siblings_heads(p, h, sibling, NULL);

	for (int i = 0; i < n; i++)
	{
		if (redot(h, &sibling[i], old, self))
			cc_siblings_rename(p, h, i, self, sibling[i].seq);
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
			CcEntry		e;

			cc_store_describe(h, &e);
			if (redot(h, &e, old, self))
			{
				h->origin = e.origin;
				h->seq = e.seq;
			}
			if (unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0))
				redot_siblings(p, h, old, self);
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
