/*-------------------------------------------------------------------------
 *
 * oracle.c
 *	  All writes that ever were, by whom and under which names.
 *
 * Nodes give origins and namespaces indexes of their own; here each node id,
 * each origin and each key has one, for all.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

static uint64 key_hash[SIM_MAX_KEYS];

/* -1: it has not been met */
static int
find_id(const CcNodeId *id)
{
	for (int i = 0; i < sim.nids; i++)
	{
		if (cc_id_cmp(&sim.id[i], id) == 0)
			return i;
	}
	return -1;
}

int
sim_oracle_id(const CcNodeId *id)
{
	int			known = find_id(id);

	if (known >= 0)
		return known;
	if (sim.nids == SIM_MAX_IDS)
		sim_violate("limit", "more than %d node ids", SIM_MAX_IDS);
	sim.id[sim.nids] = *id;
	return sim.nids++;
}

static int
find_origin(int id, uint64 incarnation)
{
	for (int i = 0; i < sim.norigins; i++)
	{
		if (sim.origin[i].id == id && sim.origin[i].incarnation == incarnation)
			return i;
	}
	if (sim.norigins == SIM_MAX_ORIGINS)
		sim_violate("limit", "more than %d origins", SIM_MAX_ORIGINS);
	sim.origin[sim.norigins].id = id;
	sim.origin[sim.norigins].incarnation = incarnation;
	sim.origin[sim.norigins].ndots = 0;
	sim.origin[sim.norigins].cap = 0;
	sim.origin[sim.norigins].dot = NULL;
	return sim.norigins++;
}

int
sim_oracle_origin(SimNode *node, int origin)
{
	Assert(origin >= 0 && origin < cc_state_norigins() &&
		   origin < SIM_MAX_ORIGINS);
	if (node->origin_map[origin] == 0)
		node->origin_map[origin] = 1 +
			find_origin(sim_oracle_id(&cc_origin(origin)->node),
						cc_origin(origin)->incarnation);
	return node->origin_map[origin] - 1;
}

/* Of a horizon, which is a system entry, that of its namespace */
static SimSort
key_sort(uint16 ns, const char *key, Size len)
{
	for (int i = 0; i < SIM_NSORTS; i++)
	{
		const char *name = sim_sort_name[i];
		Size		n = strlen(name);

		if (ns == CC_NS_SYSTEM ? key[0] == 'h' && len > n &&
			memcmp(key + len - n, name, n) == 0 :
			strcmp(cc_namespace(ns)->name, name) == 0)
			return (SimSort) i;
	}
	return SIM_SAVED;
}

/* The key of an entry: by its hash, as the key itself may not be at hand. */
int
sim_oracle_key(uint64 hash, uint16 ns, const char *key, Size len)
{
	for (int i = 0; i < sim.nkeys; i++)
	{
		if (key_hash[i] == hash)
			return i;
	}
	if (key == NULL)
		sim_violate("unknown", "%s handles a key that nobody ever wrote",
					sim.here->name);
	if (sim.nkeys == SIM_MAX_KEYS)
		sim_violate("limit", "more than %d keys", SIM_MAX_KEYS);
	key_hash[sim.nkeys] = hash;
	sim.key_system[sim.nkeys] = ns == CC_NS_SYSTEM;
	sim.key_sort[sim.nkeys] = key_sort(ns, key, len);
	sim.key_len[sim.nkeys] = Min(len, sizeof(sim.key_name[0]));
	memcpy(sim.key_name[sim.nkeys], key, sim.key_len[sim.nkeys]);
	memset(&sim.key_last[sim.nkeys], 0, sizeof(SimVersion));
	return sim.nkeys++;
}

uint64
sim_key_hash(int key)
{
	return key_hash[key];
}

void
sim_oracle_version(SimNode *node, const CcEntry *e, SimVersion *v)
{
	v->hlc = e->hlc;
	v->at = e->at;
	v->writer = sim.origin[sim_oracle_origin(node, e->writer)].id;
	v->at_node = sim.origin[sim_oracle_origin(node, e->at_node)].id;
}

int
sim_version_cmp(const SimVersion *a, const SimVersion *b)
{
	if (a->hlc != b->hlc)
		return a->hlc < b->hlc ? -1 : 1;
	if (a->hlc == 0)
		return 0;
	if (a->writer != b->writer)
		return cc_id_cmp(&sim.id[a->writer], &sim.id[b->writer]);
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	if (a->at_node != b->at_node)
		return cc_id_cmp(&sim.id[a->at_node], &sim.id[b->at_node]);
	return 0;
}

/* The first dot of the origin at or above seq, as an index. */
int
sim_oracle_first(int origin, uint64 seq)
{
	SimOrigin  *o = &sim.origin[origin];
	int			low = 0;
	int			high = o->ndots;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (o->dot[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

SimDot *
sim_oracle_find(int origin, uint64 seq)
{
	SimOrigin  *o = &sim.origin[origin];
	int			i = sim_oracle_first(origin, seq);

	return i < o->ndots && o->dot[i].seq == seq ? &o->dot[i] : NULL;
}

SimDot *
sim_oracle_add(int origin, uint64 seq)
{
	SimOrigin  *o = &sim.origin[origin];
	int			i = sim_oracle_first(origin, seq);

	if (o->ndots == o->cap)
	{
		SimDot	   *dot = sim_memory((Size) (o->cap * 2 + 32) * sizeof(SimDot));

		if (o->ndots > 0)
			memcpy(dot, o->dot, (Size) o->ndots * sizeof(SimDot));
		o->dot = dot;
		o->cap = o->cap * 2 + 32;
	}
	memmove(&o->dot[i + 1], &o->dot[i],
			(Size) (o->ndots - i) * sizeof(SimDot));
	o->ndots++;
	memset(&o->dot[i], 0, sizeof(SimDot));
	o->dot[i].seq = seq;
	return &o->dot[i];
}

/* The write of this version; of its names one with the value, if any has it. */
SimDot *
sim_oracle_written(int key, const SimVersion *v)
{
	SimDot	   *found = NULL;

	for (int i = 0; i < sim.norigins; i++)
	{
		SimOrigin  *o = &sim.origin[i];

		for (int d = 0; d < o->ndots; d++)
		{
			if (o->dot[d].key != key ||
				sim_version_cmp(&o->dot[d].version, v) != 0)
				continue;
			if (o->dot[d].value != 0)
				return &o->dot[d];
			found = &o->dot[d];
		}
	}
	return found;
}

/* Whether there was a newer write of the key, anywhere. */
bool
sim_oracle_superseded(int key, const SimVersion *v)
{
	for (int i = 0; i < sim.norigins; i++)
	{
		SimOrigin  *o = &sim.origin[i];

		for (int d = 0; d < o->ndots; d++)
		{
			if (o->dot[d].key == key &&
				sim_version_cmp(&o->dot[d].version, v) > 0)
				return true;
		}
	}
	return false;
}

/* Whether this write's value was lost anywhere, under any of its names. */
bool
sim_oracle_evicted(int key, const SimVersion *v)
{
	for (int i = 0; i < sim.norigins; i++)
	{
		SimOrigin  *o = &sim.origin[i];

		for (int d = 0; d < o->ndots; d++)
		{
			if (o->dot[d].evicted && o->dot[d].key == key &&
				sim_version_cmp(&o->dot[d].version, v) == 0)
				return true;
		}
	}
	return false;
}

uint64
sim_oracle_value(uint8 type, uint8 flags, const char *value, Size len)
{
	uint64		h[2];

	if (type == CC_STUB)
		return 0;
	cc_hash128(value, value == NULL ? 0 : len, type * 256 + flags, h);
	return h[0] | 1;
}

/* ---- names for traces ---- */

static char *
take_text(void)
{
	static char text[8][128];
	static int	n;

	return text[n++ % 8];
}

/* The node that has, or had, this id */
static const char *
id_name(int id)
{
	static char unknown[16];

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && sim.node[i].id == id)
			return sim.node[i].name;
	}
	snprintf(unknown, sizeof(unknown), "id%d", id);
	return unknown;
}

const char *
sim_dot_text(int origin, uint64 seq)
{
	char	   *t = take_text();

	if (seq == CC_VV_INF)
		snprintf(t, 128, "%s." UINT64_FORMAT ":inf",
				 id_name(sim.origin[origin].id),
				 sim.origin[origin].incarnation);
	else
		snprintf(t, 128, "%s." UINT64_FORMAT ":" UINT64_FORMAT,
				 id_name(sim.origin[origin].id),
				 sim.origin[origin].incarnation, seq);
	return t;
}

const char *
sim_hlc_text(uint64 hlc)
{
	char	   *t = take_text();

	snprintf(t, 128, "%lld.%u",
			 (long long) (cc_hlc_to_ms(hlc) - INT64CONST(1700000000000)),
			 (unsigned) (hlc & 0xffff));
	return t;
}

const char *
sim_key_text(int key)
{
	char	   *t = take_text();
	const char *k = sim.key_name[key];
	CcNodeId	id;

	if (!sim.key_system[key])
		snprintf(t, 128, "%s%.*s", sim.key_sort[key] == SIM_UNSAVED ? "u:" :
				 sim.key_sort[key] == SIM_LOCAL ? "l:" :
				 sim.key_sort[key] == SIM_KEPT ? "h:" : "",
				 (int) sim.key_len[key], k);
	else if (sim.key_len[key] == 1 + CC_ID_LEN && k[0] != 'h')
	{
		memcpy(id.b, k + 1, CC_ID_LEN);
		snprintf(t, 128, "%s %s",
				 k[0] == 'm' ? "member" : k[0] == 'r' ? "removal" :
				 k[0] == 's' ? "splits of" : "system",
				 id_name(find_id(&id)));
	}
	else
		snprintf(t, 128, "%s", k[0] == 'h' ? "horizon" :
				 k[0] == 'c' ? "cluster id" :
				 k[0] == 'w' ? "walked" : k[0] == 'q' ? "request" :
				 k[0] == 'n' ? "declaration" : "system");
	return t;
}
