/*-------------------------------------------------------------------------
 *
 * evict.c
 *	  See evict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/evict.h"

#include "cache/expire.h"

/* How far the hand looks for something stable before it takes what it has */
#define HAND_STEPS		64

/* How many of the oldest stubs are looked at for one that the journal holds */
#define STUB_STEPS		16

static bool
stable(CcHeaderShared *h)
{
	return cc_state_stable(h->origin, h->seq);
}

bool
cc_evict_settled(CcPartitionShared *p)
{
	return !cc.state->persist ||
		pg_atomic_read_u64(&cc.state->synced) > p->stripped;
}

/* Whether the files know the stub. */
static bool
journalled(CcPartitionShared *p, CcHeaderShared *h)
{
	return cc_state_vvj(h->origin) >= h->seq && cc_evict_settled(p);
}

/* Chunks that stubs may hold (PROTOCOL.md, bound). */
static uint32
stub_bound(CcPartitionShared *p)
{
	uint32		bound = Max(p->nchunks / 8, 1);

	return cc.store->comparisons_out > 0 ? bound * 2 : bound;
}

void
cc_evict_forget(CcPartitionShared *p, CcHeaderShared *h)
{
	CcFloorSliceShared *slice = &cc.floor->slice[cc_floor_slice(h->hash)];
	CcEntry		e;

	Assert(h->ns != CC_NS_SYSTEM);
	if (!stable(h))
	{
		slice->losses++;
		p->forgotten++;
	}
	cc_store_describe(h, &e);
	cc_check_evict(&e);

	/* PROTOCOL.md, what goes: first G and F, then the entry */
	cc_state_raise_g(h->origin, h->seq);
	cc_floor_add(h->hash, cc_rule(floor_version) ? h->hlc : h->at);
	cc_store_remove(p, h);
}

/* The oldest stub that may go now; NULL when there is none. */
static CcHeaderShared *
oldest_stub(CcPartitionShared *p, CcHeaderShared *keep, bool anything)
{
	uint32		c = p->list[CC_LIST_STUBS].oldest;

	for (int i = 0; i < STUB_STEPS && c != CC_NIL; i++)
	{
		CcHeaderShared *h = cc_store_header(p, c);

		if (h != keep && (anything || journalled(p, h)))
			return h;
		c = h->prev;
	}
	return NULL;
}

void
cc_evict_bound(CcPartitionShared *p)
{
	while (p->list[CC_LIST_STUBS].chunks > stub_bound(p))
	{
		CcHeaderShared *h = oldest_stub(p, NULL, false);

		if (h == NULL)
			break;
		cc_evict_forget(p, h);
	}
}

/*
 * The value that goes next: the first unvisited stable one within reach of
 * the hand; failing that the first unvisited one, counters last.
 */
static CcHeaderShared *
next_victim(CcPartitionShared *p, CcHeaderShared *keep)
{
	CcHeaderShared *unstable = NULL;
	CcHeaderShared *last = NULL;
	uint32		c = p->hand;
	uint32		steps = Min(HAND_STEPS, 2 * p->list[CC_LIST_VALUES].count);

	for (uint32 i = 0; i < steps; i++)
	{
		CcHeaderShared *h;

		if (c == CC_NIL)
			c = p->list[CC_LIST_VALUES].oldest;
		h = cc_store_header(p, c);
		c = h->prev;
		if (h == keep)
			continue;
		if (h->visited)
		{
			h->visited = 0;
			last = h;
			continue;
		}
		if (cc_header_type(h) == CC_COUNTER)
		{
			last = h;
			continue;
		}
		if (stable(h))
		{
			p->hand = c;
			return h;
		}
		if (unstable == NULL)
			unstable = h;
	}

	/* a long queue of unstable ones is not walked again for every put */
	p->hand = c;
	return unstable != NULL ? unstable : last;
}

/* Takes one value's memory: removes it, or leaves its stub. */
static void
evict_value(CcPartitionShared *p, CcHeaderShared *h)
{
	CcEntry		e;

	if (cc_expire_cleared(h->ns, h->hlc))
	{
		cc_store_remove(p, h);
		return;
	}
	p->evictions++;
	if (stable(h))
	{
		cc_evict_forget(p, h);
		return;
	}
	cc_store_describe(h, &e);
	cc_check_evict(&e);
	cc_store_make_stub(p, h);
}

bool
cc_evict_make_room(CcPartitionShared *p, uint32 need, CcHeaderShared *keep,
				   bool anything)
{
	CcHeaderShared *h;

	/* without files VVj is VV, and there is nothing to wait for */
	if (!anything)
		anything = pg_atomic_read_u32(&cc.state->file_marked) != 0 ||
			!cc.state->persist;

	while (p->nfree < need)
	{
		bool		over = p->list[CC_LIST_STUBS].chunks > stub_bound(p);

		/* past the bound no value becomes another stub, which frees nothing */
		if (!over && (h = next_victim(p, keep)) != NULL)
			evict_value(p, h);
		else if ((h = oldest_stub(p, keep, false)) != NULL ||
				 (h = oldest_stub(p, keep, anything)) != NULL)
			cc_evict_forget(p, h);
		else
			return false;
	}
	return true;
}
