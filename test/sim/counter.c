/*-------------------------------------------------------------------------
 *
 * counter.c
 *	  What must hold of counters (PROTOCOL.md, counters join).
 *
 * Of every counter, whatever else happens to its key: where one takes
 * another's place nothing that counts gets lost, so a node's number never goes
 * back while nothing but increments happens there.
 *
 * Some keys ("c0", "c1") are only ever incremented, by one.  Where no rule
 * took any of it away, all nodes have in the end, of each origin, exactly what
 * it added; of an origin that ended with a crash at least what any node had of
 * it, and what it had said is on disk, and at most all.
 *
 * Kinds of violations:
 *	C-back		a counter has taken another's place and lacks what that had
 *	C-durable	increments that were on disk are gone after a start
 *	C-sum		in the end increments are missing, or count twice
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

#include "cache/counter.h"

#define VALUE_MAX	(CC_COUNTER_HEAD + SIM_MAX_ORIGINS * CC_COUNTER_PART)

typedef struct Part
{
	int			origin;
	uint64		begun;
	uint64		step;
	int64		sum;
} Part;

typedef struct Counter
{
	uint64		base;
	CcNodeId	base_node;
	int64		start;
	int			nparts;
	Part		part[SIM_MAX_ORIGINS];
} Counter;

static uint32 made[SIM_MAX_COUNTERS][SIM_MAX_ORIGINS];
static const char *lost[SIM_MAX_COUNTERS];
static bool based[SIM_MAX_COUNTERS];	/* it began above something */
static bool crashed[SIM_MAX_ORIGINS];
static bool forgot_unstable;
static int	ngroups;			/* cluster ids that were made */

void
sim_counter_reset(void)
{
	memset(made, 0, sizeof(made));
	memset(lost, 0, sizeof(lost));
	memset(based, 0, sizeof(based));
	memset(crashed, 0, sizeof(crashed));
	forgot_unstable = false;
	ngroups = 0;
}

/* The number of a key that is only incremented, or -1. */
static int
number_of(int key)
{
	return !sim.key_system[key] && sim.key_name[key][0] == 'c' ?
		sim.key_name[key][1] - '0' : -1;
}

static int
origin_of(const CcNodeId *id, uint64 incarnation)
{
	int			i = sim_oracle_id(id);

	for (int o = 0; o < sim.norigins; o++)
	{
		if (sim.origin[o].id == i && sim.origin[o].incarnation == incarnation)
			return o;
	}
	sim_violate("unknown", "%s has a counter of an origin that never was",
				sim.here->name);
}

static void
parse(const char *value, Size len, Counter *c)
{
	CcReader	r;

	cc_reader_init(&r, value, len);
	c->base = cc_read_u64(&r);
	memcpy(c->base_node.b, cc_read_bytes(&r, CC_ID_LEN), CC_ID_LEN);
	c->start = (int64) cc_read_u64(&r);
	c->nparts = cc_read_u16(&r);
	if (c->nparts > SIM_MAX_ORIGINS ||
		cc_reader_left(&r) != (Size) c->nparts * CC_COUNTER_PART)
		sim_violate("unknown", "%s has a malformed counter", sim.here->name);
	for (int i = 0; i < c->nparts; i++)
	{
		Part	   *p = &c->part[i];
		CcNodeId	id;

		memcpy(id.b, cc_read_bytes(&r, CC_ID_LEN), CC_ID_LEN);
		p->origin = origin_of(&id, cc_read_u64(&r));
		p->begun = cc_read_u64(&r);
		p->step = cc_read_u64(&r);
		p->sum = (int64) cc_read_u64(&r);
		for (int k = 0; k < i; k++)
		{
			if (c->part[k].origin == p->origin)
				sim_violate("C-sum", "%s has a counter with two parts of one origin",
							sim.here->name);
		}
	}
}

/* The counter that the store holds now; false: none that is alive. */
static bool
parse_stored(uint64 hash, Counter *c)
{
	static char value[VALUE_MAX];
	CcHeaderShared *h = sim_stored(hash);

	if (h == NULL || cc_header_type(h) != CC_COUNTER ||
		h->hlc <= pg_atomic_read_u64(&cc_namespace(h->ns)->horizon) ||
		h->vallen > VALUE_MAX ||
		(h->expires != 0 && cc_hlc_now_ms(&cc.state->hlc) >= h->expires))
		return false;
	cc_store_copy_value(cc_store_partition_of(hash), h, value);
	parse(value, h->vallen, c);
	return true;
}

static const Part *
find_part(const Counter *c, int origin)
{
	for (int i = 0; i < c->nparts; i++)
	{
		if (c->part[i].origin == origin)
			return &c->part[i];
	}
	return NULL;
}

static void
check_grows(SimNode *node, int key, const Counter *old, const Counter *new)
{
	if (new->base < old->base)
		sim_violate("C-back", "%s: the base of %s goes back from %s to %s",
					node->name, sim_key_text(key), sim_hlc_text(old->base),
					sim_hlc_text(new->base));
	for (int i = 0; i < old->nparts; i++)
	{
		const Part *p = &old->part[i];
		const Part *q = find_part(new, p->origin);

		if (p->begun <= new->base)
			continue;
		if (q == NULL || q->begun < p->begun ||
			(q->begun == p->begun && q->step < p->step))
			sim_violate("C-back", "%s: %s had " UINT64_FORMAT " increments of %s and now " UINT64_FORMAT,
						node->name, sim_key_text(key), p->step,
						sim_dot_text(p->origin, 0), q ? q->step : 0);
	}
}

static void
note_steps(SimNode *node, int k, const Counter *c)
{
	for (int i = 0; i < c->nparts; i++)
		node->steps[k][c->part[i].origin] = (uint32) c->part[i].step;
}

void
sim_counter_stored(SimNode *node, int key, const CcEntry *e, bool written)
{
	static Counter old;
	static Counter new;
	int			k = number_of(key);

	parse(e->value, e->vallen, &new);
	if (parse_stored(e->hash, &old))
	{
		Size		both = CC_COUNTER_HEAD +
			(Size) (old.nparts + new.nparts) * CC_COUNTER_PART;

		/* what is beyond the namespace's memory is not joined */
		if (cc_store_fits(e->ns, e->keylen + both))
			check_grows(node, key, &old, &new);
		else
			sim_counter_lost(key, "too large");
	}
	if (sim.tracing)
	{
		int64		sum;

		cc_counter_value(e->value, e->vallen, &sum);
		sim_trace("  counts %lld in %d parts above %s", (long long) sum,
				  new.nparts, sim_hlc_text(new.base));
	}
	if (k < 0)
		return;
	based[k] |= new.base != 0;
	note_steps(node, k, &new);
	if (written && sim_user_runs())
		made[k][sim_oracle_origin(node, cc_state_self())]++;
}

void
sim_counter_lost(int key, const char *why)
{
	int			k = number_of(key);

	if (k >= 0)
		lost[k] = why;
}

/*
 * Forgotten unstable: then a floor may be above the beginning of a part that
 * was never heard of.
 */
void
sim_counter_forgotten(const CcEntry *e)
{
	forgot_unstable |= !cc_state_stable(e->origin, e->seq);
}

/* A node that found no peer in time has begun a group of its own. */
void
sim_counter_group(void)
{
	ngroups++;
}

bool
sim_counter_strangers(void)
{
	return sim.cfg.groups > 1 || ngroups > 1 || sim.nids > sim.cfg.nodes;
}

int
sim_counter_step(SimNode *node, int key, uint32 *step)
{
	int			k = number_of(key);
	int			origin = sim_oracle_origin(node, cc_state_self());

	*step = k < 0 ? 0 : node->steps[k][origin];
	return origin;
}

void
sim_counter_journaled(SimNode *node, int key, int origin, uint32 step,
					  bool synced)
{
	int			k = number_of(key);

	if (k < 0)
		return;
	node->steps_journaled[k][origin] =
		Max(node->steps_journaled[k][origin], step);
	if (synced)
		node->steps_synced[k][origin] = Max(node->steps_synced[k][origin], step);
}

/* After a load: what is in the store is what it has. */
void
sim_counter_loaded(SimNode *node)
{
	static Counter c;

	memset(node->steps, 0, sizeof(node->steps));
	for (int key = 0; key < sim.nkeys; key++)
	{
		int			k = number_of(key);

		if (k < 0)
			continue;
		if (parse_stored(sim_key_hash(key), &c))
			note_steps(node, k, &c);
		for (int o = 0; o < sim.norigins; o++)
		{
			uint32		had = node->lost_power ? node->steps_synced[k][o] :
				node->steps_journaled[k][o];

			if (node->steps[k][o] < had && lost[k] == NULL &&
				!(based[k] && sim_counter_strangers()) &&
				!node->disk_hurt && !node->rolled_back)
				sim_violate("C-durable", "%s starts with %u of %u increments of %s that were on disk",
							node->name, node->steps[k][o], had, sim_key_text(key));
			node->steps_journaled[k][o] = Min(node->steps_journaled[k][o],
											  node->steps[k][o]);
			node->steps_synced[k][o] = Min(node->steps_synced[k][o],
										   node->steps[k][o]);
		}
	}
}

/* What this life of the node added may be gone. */
void
sim_counter_crashed(SimNode *node)
{
	if (!node->loading)
		crashed[sim_oracle_origin(node, cc_state_self())] = true;
}

static bool
active(SimNode *node)
{
	return node->exists && !node->removed;
}

/* A node that was removed takes with it what it alone had. */
static bool
was_removed(int origin)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].removed && sim.node[i].id == sim.origin[origin].id)
			return true;
	}
	return false;
}

static void
check_sum(SimNode *node, int key, int k)
{
	static Counter c;

	sim_enter(node);
	c.nparts = 0;
	if (!parse_stored(sim_key_hash(key), &c))
		c.nparts = 0;
	for (int o = 0; o < sim.norigins; o++)
	{
		const Part *p = find_part(&c, o);
		uint64		has = p == NULL ? 0 : p->step;
		uint32		least = crashed[o] || was_removed(o) ? 0 : made[k][o];

		for (int i = 0; i < SIM_MAX_NODES; i++)
		{
			if (active(&sim.node[i]))
				least = Max(least, sim.node[i].steps[k][o]);
		}
		if (has < least || has > made[k][o] || (p != NULL && p->sum != (int64) p->step))
			sim_violate("C-sum", "%s has " UINT64_FORMAT " of %u (at least %u) increments of %s by %s",
						node->name, has, made[k][o], least, sim_key_text(key),
						sim_dot_text(o, 0));
	}
}

void
sim_counter_final(void)
{
	/* a life that is not remembered may have counted under the same origin */
	if (sim.rolls_back)
		return;

	bool		strangers = sim_counter_strangers();

	for (int key = 0; key < sim.nkeys; key++)
	{
		int			k = number_of(key);

		if (k < 0 || lost[k] != NULL ||
			(based[k] && (forgot_unstable || strangers)))
			continue;
		sim.stats.exact++;
		for (int o = 0; o < sim.norigins; o++)
			sim.stats.counted += made[k][o];
		for (int i = 0; i < SIM_MAX_NODES; i++)
		{
			if (active(&sim.node[i]) && sim.node[i].up)
				check_sum(&sim.node[i], key, k);
		}
	}
}
