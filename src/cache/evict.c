/*-------------------------------------------------------------------------
 *
 * evict.c
 *	  See evict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/evict.h"

#include "cache/expire.h"
#include "cache/siblings.h"

/* How far the hand looks for something stable before it takes what it has */
#define HAND_STEPS		64

/* Lists that are asked for something stable before one gives what it has */
#define LISTS_ASKED		4

/* How many of the oldest stubs are looked at for one that the journal holds */
#define STUB_STEPS		16

/* Buckets and entries that it looks at for values outside its own list */
#define SEEK_LOOKS		1024

/* How many of the oldest conflicts are looked at for one with a value */
#define CONFLICT_STEPS	16

static bool
has_siblings(const CcHeaderShared *h)
{
	return unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0);
}

/* Whether all that is held of the key is stable. */
static bool
stable(CcPartitionShared *p, CcHeaderShared *h)
{
	return cc_state_stable(h->origin, h->seq) &&
		(!has_siblings(h) || cc_siblings_stable(p, h));
}

/* Whether all of it is below the horizon. */
static bool
cleared(CcPartitionShared *p, CcHeaderShared *h)
{
	return cc_expire_cleared(h->ns, h->hlc) &&
		(!has_siblings(h) || cc_siblings_cleared(p, h));
}

bool
cc_evict_settled(CcPartitionShared *p)
{
	return !cc.state->persist ||
		pg_atomic_read_u64(&cc.state->synced) > p->stripped;
}

static bool
is_journalled(const CcEntry *e, void *arg)
{
	return cc_state_vvj(e->origin) >= e->seq;
}

/* Whether the files know the stub, and all that stands beside it. */
static bool
journalled(CcPartitionShared *p, CcHeaderShared *h)
{
	return cc_evict_settled(p) &&
		(has_siblings(h) ? cc_siblings_all(p, h, is_journalled, NULL) :
		 cc_state_vvj(h->origin) >= h->seq);
}

/* Chunks that stubs may hold (PROTOCOL.md, bound). */
static uint32
stub_bound(CcPartitionShared *p)
{
	uint32		bound = Max(p->nchunks / 8, 1);

	return cc.store->comparisons_out > 0 ? bound * 2 : bound;
}

/* What an entry and its siblings are forgotten with. */
typedef struct Forget
{
	bool		local;			/* it never left this node */
	uint64		highest;		/* of what F goes by */
} Forget;

static bool
forget_one(const CcEntry *e, void *arg)
{
	Forget	   *f = arg;

	cc_check_evict(e);
	/* what never left this node need not make anybody compare in full */
	if (!f->local)
		cc_state_raise_g(e->origin, e->seq);
	f->highest = Max(f->highest, cc_rule(floor_version) ? e->hlc : e->at);
	return true;
}

void
cc_evict_forget(CcPartitionShared *p, CcHeaderShared *h)
{
	CcFloorSliceShared *slice = &cc.floor->slice[cc_floor_slice(h->hash)];
	Forget		f = {.local = cc_namespace_has(h->ns, CC_NS_LOCAL)};

	Assert(h->ns != CC_NS_SYSTEM);
	if (!stable(p, h))
	{
		slice->losses += !f.local;
		p->forgotten++;
		/* no file holds what was forgotten, so F has to be in one */
		if (cc_namespace_has(h->ns, CC_NS_UNSAVED))
			slice->dirty = true;
	}
	/* PROTOCOL.md, what goes: first G and F, then the entry */
	(void) cc_siblings_all(p, h, forget_one, &f);
	cc_floor_add(h->hash, f.highest);
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

/* How willingly a value goes, the lowest first. */
typedef enum Rank
{
	CLEARED,					/* below its horizon: it does not exist */
	STABLE,
	UNSTABLE,					/* leaves a stub */
	VISITED,
	COUNTER,
	VISITED_COUNTER,
	NOBODY
} Rank;

typedef struct Victim
{
	CcHeaderShared *h;
	Rank		rank;
} Victim;

/* The value's rank; whoever was visited is not the next time. */
static Rank
rank_value(CcPartitionShared *p, CcHeaderShared *h)
{
	bool		visited = cc_header_visited(h);

	h->place &= ~CC_VISITED;
	if (cleared(p, h))
		return CLEARED;
	if (cc_header_type(h) == CC_COUNTER)
		return visited ? VISITED_COUNTER : COUNTER;
	if (visited)
		return VISITED;
	return stable(p, h) ? STABLE : UNSTABLE;
}

/*
 * Moves the list's hand on to the first unvisited stable value within reach;
 * failing that v is the best that was met, counters last, if it is better than
 * what v was.
 */
static void
search_list(CcPartitionShared *p, CcList list, CcHeaderShared *keep, Victim *v)
{
	CcListShared *l = &p->list[list];
	uint32		c = l->hand;
	uint32		steps = Min(HAND_STEPS, 2 * l->count);

	for (uint32 i = 0; i < steps && v->rank > STABLE; i++)
	{
		CcHeaderShared *h;
		Rank		rank;

		if (c == CC_NIL)
			c = l->oldest;
		h = cc_store_header(p, c);
		c = h->prev;
		if (h == keep)
			continue;
		rank = rank_value(p, h);
		if (rank < v->rank)
		{
			v->h = h;
			v->rank = rank;
		}
	}

	/* a long queue of unstable ones is not walked again for every put */
	l->hand = c;
}

/* The list of values that follows this one in the round over them. */
static CcList
next_list(CcList list, uint32 nown)
{
	if (list == CC_LIST_VALUES)
		return CC_LIST_OWN;
	return list + 1 < CC_LIST_OWN + nown ? list + 1 : CC_LIST_VALUES;
}

/*
 * The list whose turn it is.  Each has as many turns as it has entries, evenly
 * spread (a Weyl sequence), so that of the memory that is taken each gives a
 * share in proportion to its chunks.
 */
static CcList
list_in_turn(CcPartitionShared *p, uint32 nown)
{
	CcList		list = CC_LIST_VALUES;
	uint32		at;

	p->turn += 2654435769u;		/* 2^32 / golden ratio */
	at = (uint32) (((uint64) p->turn * p->values) >> 32);
	for (uint32 i = 0; i < nown && at >= p->list[list].count; i++)
	{
		at -= p->list[list].count;
		list = next_list(list, nown);
	}
	return list;
}

/*
 * The value that goes next, when the partition needs room.  A list that has
 * nothing stable to give, or nothing at all, passes the turn on, a few times.
 */
static CcHeaderShared *
next_victim(CcPartitionShared *p, CcHeaderShared *keep)
{
	uint32		nown = pg_atomic_read_u32(&cc.state->nown_lists);
	Victim		v = {NULL, NOBODY};
	CcList		list = CC_LIST_VALUES;
	int			asked = 0;

	nown = Min(nown, CC_NLISTS - CC_LIST_OWN);
	if (nown > 0)
		list = list_in_turn(p, nown);
	for (uint32 i = 0; i <= nown && v.rank > STABLE; i++)
	{
		if (p->list[list].count > 0)
		{
			if (asked++ >= LISTS_ASKED && v.h != NULL)
				break;
			search_list(p, list, keep, &v);
		}
		list = next_list(list, nown);
	}
	return v.h;
}

static bool
check_evict(const CcEntry *e, void *arg)
{
	cc_check_evict(e);
	return true;
}

static bool
is_stub(const CcEntry *e, void *arg)
{
	return e->type == CC_STUB;
}

/* Takes one value's memory, or a conflict's: removes it, or leaves its stub. */
static void
evict_value(CcPartitionShared *p, CcHeaderShared *h)
{
	if (cleared(p, h))
	{
		cc_store_remove(p, h);
		return;
	}
	p->evictions++;
	pg_atomic_fetch_add_u64(&cc_namespace(h->ns)->evictions, 1);
	if (stable(p, h) || cc_siblings_all(p, h, is_stub, NULL))
	{
		cc_evict_forget(p, h);
		return;
	}
	(void) cc_siblings_all(p, h, check_evict, NULL);
	cc_siblings_evict(p, h);
}

/*
 * The conflict that goes next, of a namespace (CC_NO_NS: of any): the oldest
 * that has a value to give, else the oldest stub that may be forgotten, among
 * the first *steps.
 */
static CcHeaderShared *
oldest_conflict(CcPartitionShared *p, CcHeaderShared *keep, uint16 ns,
				bool anything, int *steps)
{
	uint32		c = p->list[CC_LIST_CONFLICTS].oldest;
	CcHeaderShared *found = NULL;

	for (; *steps > 0 && c != CC_NIL; (*steps)--)
	{
		CcHeaderShared *h = cc_store_header(p, c);

		c = h->prev;
		if (h == keep || (ns != CC_NO_NS && h->ns != ns))
			continue;
		if (!cc_siblings_all(p, h, is_stub, NULL) || stable(p, h) ||
			cleared(p, h))
			return h;
		if (found == NULL && (anything || journalled(p, h)))
			found = h;
	}
	return found;
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
		int			steps = CONFLICT_STEPS;

		/* past the bound no value becomes another stub, which frees nothing */
		if (!over && (h = next_victim(p, keep)) != NULL)
			evict_value(p, h);
		else if ((h = oldest_stub(p, keep, false)) != NULL ||
				 (h = oldest_stub(p, keep, anything)) != NULL)
			cc_evict_forget(p, h);
		else if (!anything && p->list[CC_LIST_STUBS].count > 0)
			return false;
		else if ((h = oldest_conflict(p, keep, CC_NO_NS, anything,
									  &steps)) != NULL)
			evict_value(p, h);
		else
			return false;
	}
	return true;
}

/* A namespace that gives what is beyond its bound. */
typedef struct Shrink
{
	uint16		ns;
	uint64		hash;			/* of the entry that was stored */
	uint32		chunks;			/* that it brought */
	uint32		gone;			/* values that went */
	uint32		most;			/* so many may */
	int			looks;			/* SEEK_LOOKS that are left */
	bool		conflicts;		/* no value is left: its conflicts go */
} Shrink;

/*
 * A value of the namespace that is in the common list, as the namespace has no
 * list of its own or has only got it: the next in the order of buckets that
 * was not visited.
 */
static CcHeaderShared *
seek_value(CcPartitionShared *p, Shrink *s, CcHeaderShared *keep)
{
	Victim		v = {NULL, NOBODY};
	int			more = HAND_STEPS;	/* buckets, for a better one */

	for (uint32 i = 0; i < p->nbuckets && s->looks > 0 && more > 0 &&
		 v.rank > UNSTABLE; i++)
	{
		uint32		bucket = p->seek < p->nbuckets ? p->seek : 0;

		s->looks--;
		more -= v.h != NULL;
		for (CcHeaderShared *h = cc_store_first(p, bucket); h != NULL;
			 h = cc_store_next(p, h), s->looks--)
		{
			Rank		rank;

			if (h->ns != s->ns || h == keep ||
				cc_header_list(h) != CC_LIST_VALUES)
				continue;
			rank = rank_value(p, h);
			if (rank < v.rank)
			{
				v.h = h;
				v.rank = rank;
			}
		}
		/* there may be more where one was found */
		if (v.rank > UNSTABLE)
			p->seek = bucket + 1;
	}
	return v.h;
}

/* What the namespace gives of a partition; NULL: nothing within reach. */
static CcHeaderShared *
namespace_victim(CcPartitionShared *p, Shrink *s, CcHeaderShared *keep)
{
	CcNamespaceShared *n = cc_namespace(s->ns);
	CcList		own = (CcList) pg_atomic_read_u32(&n->own_list);
	bool		settled = pg_atomic_read_u64(&cc.state->sweep_cycle) >=
		pg_atomic_read_u64(&n->own_settled);
	Victim		v = {NULL, NOBODY};

	if (s->conflicts)
		return oldest_conflict(p, keep, s->ns, false, &s->looks);

	/*
	 * What stands in the common list yet is older than what is in its own, and
	 * should go first.  As long as it is not found the namespace grows no
	 * further.
	 */
	if (own == CC_LIST_VALUES || !settled)
		v.h = seek_value(p, s, keep);
	if (v.h == NULL && own != CC_LIST_VALUES &&
		(settled || s->gone < s->chunks))
		search_list(p, own, keep, &v);
	return v.h;
}

/* The entry that has just been stored. */
static CcHeaderShared *
find_stored(CcPartitionShared *p, const Shrink *s)
{
	CcHeaderShared *h = cc_store_first(p, cc_store_bucket(p, s->hash));

	while (h != NULL && (h->hash != s->hash || h->ns != s->ns ||
						 cc_header_list(h) == CC_LIST_STUBS))
		h = cc_store_next(p, h);
	return h;
}

/*
 * A value goes.  It may have become a stub, so where there are too many stubs
 * two go for it, and their number comes down too.
 */
static void
shrink_by(CcPartitionShared *p, Shrink *s, CcHeaderShared *h)
{
	evict_value(p, h);
	s->gone++;
	for (int i = 0; i < 2; i++)
	{
		if (p->list[CC_LIST_STUBS].chunks <= stub_bound(p) ||
			(h = oldest_stub(p, NULL, false)) == NULL)
			break;
		cc_evict_forget(p, h);
	}
}

/* At most n values of a partition go. */
static void
shrink_partition(CcPartitionShared *p, Shrink *s, uint32 n)
{
	CcHeaderShared *keep = NULL;
	CcHeaderShared *h;

	cc_store_lock(p, true);
	if (p == cc_store_partition_of(s->hash))
		keep = find_stored(p, s);
	if (keep != NULL &&
		!cc_store_fits(s->ns, (Size) keep->keylen + keep->vallen))
	{
		/* to take the others first would be in vain */
		shrink_by(p, s, keep);
		keep = NULL;
	}
	for (; n > 0 && s->gone < s->most && cc_evict_over(s->ns); n--)
	{
		h = namespace_victim(p, s, keep);
		if (h == NULL)
			break;
		shrink_by(p, s, h);
	}
	cc_store_unlock(p);
}

void
cc_evict_namespace(uint16 ns, uint64 hash, uint32 chunks, uint32 more)
{
	pg_atomic_uint32 *turn = &cc_namespace(ns)->evict_turn;
	uint32		npartitions = cc.store->npartitions;
	Shrink		s = {.ns = ns, .hash = hash, .chunks = chunks};
	uint32		n;

	s.most = chunks + more;
	s.looks = SEEK_LOOKS + (int) more;
	n = Max(CC_EVICT_MORE, s.most / npartitions + 1);
	shrink_partition(cc_store_partition_of(hash), &s, n);
	/* where values do not suffice conflicts go too, in a second round */
	for (uint32 i = 0; i < 2 * npartitions && s.gone < s.most &&
		 cc_evict_over(ns); i++)
	{
		if (i == npartitions)
		{
			if (pg_atomic_read_u64(&cc_namespace(ns)->conflicts) == 0)
				break;
			s.conflicts = true;
			s.looks = SEEK_LOOKS + (int) more;
		}
		shrink_partition(cc_store_partition(pg_atomic_fetch_add_u32(turn, 1) %
											npartitions), &s, n);
	}
}
