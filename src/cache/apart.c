/*-------------------------------------------------------------------------
 *
 * apart.c
 *	  See apart.h.
 *
 * A node's place in the table is free again when it has no record and no
 * record names it, so that nodes that have gone use up no room.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/apart.h"

#include "base/codec.h"

#define NOBODY			(-1)
#define INTERVAL_LEN	(CC_ID_LEN + 4 * 8)

Size
cc_apart_size(uint32 cap)
{
	return offsetof(CcApartShared, interval) +
		(Size) CC_APART_NODES * cap * sizeof(CcInterval);
}

void
cc_apart_init(void *mem, uint32 cap)
{
	cc.apart = mem;
	memset(mem, 0, cc_apart_size(cap));
	cc.apart->cap = cap;
	pg_atomic_init_u32(&cc.apart->any, 0);
	pg_atomic_init_u32(&cc.apart->changes, 0);
}

uint16
cc_apart_key(const CcNodeId *node, char key[CC_APART_KEY_LEN])
{
	key[0] = 's';
	memcpy(key + 1, node->b, CC_ID_LEN);
	return CC_APART_KEY_LEN;
}

static inline CcInterval *
record_of(int node)
{
	return cc.apart->interval + (Size) node * cc.apart->cap;
}

/* All of these are under the lock. */
static int
find_node(const CcNodeId *id)
{
	for (uint32 i = 0; i < cc.apart->nnodes; i++)
	{
		if (cc_id_cmp(&cc.apart->node[i], id) == 0)
			return (int) i;
	}
	return NOBODY;
}

static bool
is_named(int node)
{
	for (uint32 i = 0; i < cc.apart->nnodes; i++)
	{
		for (int k = 0; k < cc.apart->n[i]; k++)
		{
			if (record_of(i)[k].peer == node)
				return true;
		}
	}
	return false;
}

/* spared: somebody who has no record yet but is to get one. */
static int
find_or_add_node(const CcNodeId *id, int spared)
{
	CcApartShared *a = cc.apart;
	int			node = find_node(id);

	if (node != NOBODY)
		return node;
	if (a->nnodes < CC_APART_NODES)
		node = (int) a->nnodes++;
	for (int i = 0; i < CC_APART_NODES && node == NOBODY; i++)
	{
		if (i != spared && a->n[i] == 0 && !is_named(i))
			node = i;
	}
	if (node != NOBODY)
		a->node[node] = *id;
	return node;
}

/*
 * The number of intervals that a record's value holds, -1 when it is none.
 * An interval that ends before it begins makes the record none at all.
 */
static int
check_record(const char *value, uint32 len)
{
	CcReader	r;
	int			n;

	cc_reader_init(&r, value, len);
	n = cc_read_u16(&r);
	if (r.bad || cc_reader_left(&r) != (Size) n * INTERVAL_LEN)
		return -1;
	for (int i = 0; i < n; i++)
	{
		uint64		from;
		uint64		to;

		(void) cc_read_bytes(&r, CC_ID_LEN);
		from = cc_read_u64(&r);
		to = cc_read_u64(&r);
		(void) cc_read_bytes(&r, 16);
		if (to != 0 && to < from)
			return -1;
	}
	return n;
}

/* Puts a record in place of the one that a node has here. */
static void
set_record(const CcNodeId *owner, const char *value, uint32 len, int n)
{
	CcApartShared *a = cc.apart;
	int			node = n > 0 ? find_or_add_node(owner, NOBODY) :
		find_node(owner);
	CcReader	r;
	uint16		before;

	if (node == NOBODY)
		return;
	before = a->n[node];
	a->n[node] = 0;
	cc_reader_init(&r, value, len);
	(void) cc_read_u16(&r);
	for (int i = 0; i < n; i++)
	{
		const char *id = cc_read_bytes(&r, CC_ID_LEN);
		uint64		from = cc_read_u64(&r);
		uint64		to = cc_read_u64(&r);
		uint64		incarnation = cc_read_u64(&r);
		uint64		seq = cc_read_u64(&r);
		CcInterval *v = &record_of(node)[a->n[node]];
		CcNodeId	peer;
		int			at;

		/* the newest, which come last, where there is no room for all */
		if (n - i > (int) a->cap)
			continue;
		memcpy(peer.b, id, CC_ID_LEN);
		at = find_or_add_node(&peer, node);
		if (at == NOBODY)
			continue;
		v->peer = (uint16) at;
		v->from = from;
		v->to = to;
		v->incarnation = incarnation;
		v->seq = seq;
		a->n[node]++;
	}
	/* at once: who reads it without the lock never finds less than there is */
	pg_atomic_write_u32(&a->any,
						pg_atomic_read_u32(&a->any) - before + a->n[node]);
}

void
cc_apart_applied(const CcEntry *e)
{
	CcNodeId	owner;
	int			n = 0;

	if (e->keylen != CC_APART_KEY_LEN || e->key[0] != 's')
		return;
	memcpy(owner.b, e->key + 1, CC_ID_LEN);
	if (e->type != CC_STUB && (e->flags & (CC_F_NULL | CC_F_EXTRA)) == 0)
		n = Max(check_record(e->value, e->vallen), 0);

	cc_lock_exclusive(&cc.apart->lock);
	set_record(&owner, n > 0 ? e->value : NULL, n > 0 ? e->vallen : 0, n);
	cc_unlock(&cc.apart->lock);
	pg_atomic_fetch_add_u32(&cc.apart->changes, 1);
}

/* Under the lock. */
static bool
not_seen(int node, int peer, uint64 hlc, uint64 incarnation, uint64 seq)
{
	if (node == NOBODY || peer == NOBODY || node == peer)
		return false;
	for (int i = 0; i < cc.apart->n[node]; i++)
	{
		const CcInterval *v = &record_of(node)[i];

		if (v->peer == peer && v->from <= hlc &&
			(v->to == 0 || hlc <= v->to) &&
			cc_apart_unseen(v, incarnation, seq))
			return true;
	}
	return false;
}

static inline bool
out_of_reach(int node, int peer, uint64 hlc)
{
	return not_seen(node, peer, hlc, PG_UINT64_MAX, 0);
}

static inline bool
is_empty(void)
{
	return pg_atomic_read_u32(&cc.apart->any) == 0;
}

bool
cc_apart_not_seen(const CcNodeId *node, const CcNodeId *peer, uint64 hlc,
				  uint64 incarnation, uint64 seq)
{
	bool		unseen;

	if (is_empty())
		return false;
	cc_lock_shared(&cc.apart->lock);
	unseen = not_seen(find_node(node), find_node(peer), hlc, incarnation, seq);
	cc_unlock(&cc.apart->lock);
	return unseen;
}

bool
cc_apart_out_of_reach(const CcNodeId *node, const CcNodeId *peer, uint64 hlc)
{
	return cc_apart_not_seen(node, peer, hlc, PG_UINT64_MAX, 0);
}

/*
 * A touch gives an old value a name that the other side has not seen, but is no
 * change: what was written over the value in reach of its writer, or after it
 * had come, follows it.  So where the older of two was touched it must itself
 * have been written apart.  Under the lock.
 */
static bool
touched_only(const CcEntry *old, int on, int nn, int we)
{
	return old->at > old->hlc && !out_of_reach(on, nn, old->hlc) &&
		!out_of_reach(nn, on, old->hlc) && !out_of_reach(we, on, old->hlc);
}

bool
cc_apart(const CcEntry *a, const CcEntry *b)
{
	const CcNodeId *a_id = &cc_origin(a->writer)->node;
	const CcNodeId *b_id = &cc_origin(b->writer)->node;
	int			an;
	int			bn;
	int			we;
	bool		apart;

	/* PROTOCOL.md, apart: two incarnations of a node are one writer */
	if (is_empty() || a->writer == b->writer || cc_id_cmp(a_id, b_id) == 0)
		return false;
	cc_lock_shared(&cc.apart->lock);
	an = find_node(a_id);
	bn = find_node(b_id);
	we = find_node(&cc.state->id);
	apart = out_of_reach(an, bn, a->hlc) || out_of_reach(bn, an, b->hlc) ||
		out_of_reach(we, an, a->hlc) != out_of_reach(we, bn, b->hlc);
	if (apart)
		apart = a->hlc < b->hlc ? !touched_only(a, an, bn, we) :
			!touched_only(b, bn, an, we);
	cc_unlock(&cc.apart->lock);
	return apart;
}

uint32
cc_apart_island(const CcNodeId *nodes, int n, int self, uint64 hlc)
{
	uint32		island = 1U << self;
	int			node;

	cc_lock_shared(&cc.apart->lock);
	node = find_node(&nodes[self]);
	for (int i = 0; i < n; i++)
	{
		int			peer = find_node(&nodes[i]);

		if (!out_of_reach(node, peer, hlc) && !out_of_reach(peer, node, hlc))
			island |= 1U << i;
	}
	cc_unlock(&cc.apart->lock);
	return island;
}
