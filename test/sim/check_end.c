/*-------------------------------------------------------------------------
 *
 * check_end.c
 *	  What must hold in the end, and whether it has come.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

#include "cache/evict.h"
#include "cache/store_private.h"

static bool
active(SimNode *node)
{
	return node->exists && !node->removed;
}

static const char *
members_missing(SimNode *node)
{
	static char text[256];
	uint32		want = 0;
	uint32		have = 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (active(&sim.node[i]))
			want |= 1u << sim.node[i].id;
	}
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		CcMemberShared *m = &cc.members->member[i];

		if (m->used && !m->removed)
			have |= 1u << sim_oracle_id(&m->id);
	}
	if (want == have)
		return NULL;
	snprintf(text, sizeof(text), "members of %s: %x instead of %x", node->name,
			 have, want);
	return text;
}

bool
sim_check_members(SimNode *node)
{
	return members_missing(node) == NULL;
}

static const char *
vv_missing(SimNode *node, SimNode *first, uint64 *vv)
{
	static char text[256];
	static uint64 mine[SIM_MAX_ORIGINS];

	memset(mine, 0, sizeof(mine));
	for (int i = 0; i < cc_state_norigins(); i++)
		mine[sim_oracle_origin(node, i)] = cc_state_vv(i);
	for (int i = 0; i < sim.norigins && node != first; i++)
	{
		if (mine[i] == vv[i])
			continue;
		snprintf(text, sizeof(text), "VV of %s has %s, that of %s " UINT64_FORMAT,
				 node->name, sim_dot_text(i, mine[i]), first->name, vv[i]);
		return text;
	}
	memcpy(vv, mine, sizeof(mine));
	return NULL;
}

/* A stub that should be gone, or an orphan that should have a new dot. */
static const char *
stub_left(SimNode *node)
{
	static char text[256];

	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);

		for (uint32 b = 0; b < p->nbuckets; b++)
		{
			for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
				 h = cc_store_next(p, h))
			{
				if (h->seq > cc_state_vv(h->origin))
				{
					snprintf(text, sizeof(text),
							 "VV of %s does not cover its own %s %s", node->name,
							 sim_key_text(sim_oracle_key(h->hash, h->ns, NULL, 0)),
							 sim_dot_text(sim_oracle_origin(node, h->origin),
										  h->seq));
					return text;
				}
				if (h->ns == CC_NS_SYSTEM || cc_header_type(h) != CC_STUB ||
					(cc_header_flags(h) & CC_F_PENDING) != 0)
					continue;
				snprintf(text, sizeof(text),
						 "tombstone left on %s: %s %s, VV " UINT64_FORMAT
						 ", VVj " UINT64_FORMAT ", stable " UINT64_FORMAT,
						 node->name,
						 sim_key_text(sim_oracle_key(h->hash, h->ns, NULL, 0)),
						 sim_dot_text(sim_oracle_origin(node, h->origin), h->seq),
						 cc_state_vv(h->origin), cc_state_vvj(h->origin),
						 pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64,
															stable)[h->origin]));
				return text;
			}
		}
	}
	return NULL;
}

const char *
sim_check_settled(void)
{
	static uint64 vv[SIM_MAX_ORIGINS];
	SimNode    *first = NULL;
	const char *why = NULL;

	for (int step = 0; step < 5 && why == NULL; step++)
	{
		for (int i = 0; i < SIM_MAX_NODES && why == NULL; i++)
		{
			SimNode    *node = &sim.node[i];

			if (!active(node))
				continue;
			if (!node->up || node->loading)
				return "some server is down";
			sim_enter(node);
			if (first == NULL)
				first = node;
			if (step == 0 && cc_state_phase() != CC_READY)
				why = "some server is not ready";
			else if (step == 1)
				why = members_missing(node);
			else if (step == 2)
				why = vv_missing(node, first, vv);
			else if (step == 3)
				why = sim_heal_left(node);
			else if (step == 4)
				why = stub_left(node);
		}
	}
	return why != NULL ? why : sim_heal_unequal();
}

CcHeaderShared *
sim_served(SimNode *node, int key)
{
	CcHeaderShared *h;

	sim_enter(node);
	h = sim_stored(sim_key_hash(key));
	if (h == NULL || cc_header_type(h) == CC_STUB ||
		h->hlc <= sim_horizon(sim.key_sort[key]) ||
		(h->expires != 0 && cc_hlc_now_ms(&cc.state->hlc) >= h->expires))
		return NULL;
	return h;
}

/*
 * Whether a user wrote last something else than an increment, and a node that
 * is still there knows of it: then nothing newer can be there.
 */
static bool
written_last(int key, const SimVersion *v)
{
	const SimVersion *last = &sim.key_last[key];
	SimDot	   *d;

	if (last->hlc == 0 || sim.key_last_type[key] == CC_COUNTER ||
		v->hlc <= last->hlc)
		return false;
	d = sim_oracle_written(key, last);
	for (int i = 0; i < SIM_MAX_NODES && d != NULL; i++)
	{
		if (active(&sim.node[i]) && (d->taken & (1u << i)) != 0)
			return true;
	}
	return false;
}

/*
 * Whether it is gone everywhere, and with it whatever had replaced it, as may
 * happen to an unsaved key when all that held it have crashed.
 */
static bool
lost_with_newer(int key, const SimVersion *v)
{
	return sim.key_sort[key] == SIM_UNSAVED && sim_oracle_superseded(key, v);
}

static void
check_key(int key, uint64 highest_horizon, const char *why)
{
	SimVersion	newest = {0};
	SimDot	   *d;
	char		lack[64] = "";
	bool		some = false;
	SimVersion	disk = {0};
	bool		forgotten = false;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];

		if (!active(node))
			continue;
		sim_version_raise(&newest, &node->ghost[key]);
		sim_version_raise(&disk, &node->journaled[key]);
	}
	/* what was on disk is not undone, though the node may not know it now */
	if (sim_version_cmp(&newest, &disk) < 0)
	{
		newest = disk;
		forgotten = true;
	}
	if (newest.hlc == 0 || (d = sim_oracle_written(key, &newest)) == NULL)
		return;
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];
		CcHeaderShared *h;
		SimVersion	v;

		if (!active(node))
			continue;
		h = sim_served(node, key);
		if (h == NULL)
		{
			strcat(strcat(lack, " "), node->name);
			continue;
		}
		some = true;
		sim_stored_version(node, h, &v);
		if (written_last(key, &v))
			sim_violate("P4-undone", "%s serves %s of hlc %s, but hlc %s was the last that a user wrote",
						node->name, sim_key_text(key), sim_hlc_text(v.hlc),
						sim_hlc_text(sim.key_last[key].hlc));
		if (sim_version_cmp(&v, &newest) != 0)
			sim_violate("P3-old", "%s serves %s %s of hlc %s for ever, the newest write was hlc %s (%s); %s",
						node->name, sim_key_text(key),
						sim_dot_text(sim_oracle_origin(node, h->origin), h->seq),
						sim_hlc_text(h->hlc), sim_hlc_text(newest.hlc),
						d->value == 0 ? "a delete" : "a value",
						why ? why : "settled");
	}
	if (lack[0] != '\0' && !forgotten &&
		(some || !lost_with_newer(key, &newest)) &&
		d->value != 0 && d->expires == 0 &&
		newest.hlc > highest_horizon && !sim_oracle_evicted(key, &newest))
		sim_violate("P3-miss", "%s of hlc %s, which nobody evicted, is missing on%s%s; %s",
					sim_key_text(key), sim_hlc_text(newest.hlc), lack,
					some ? "" : " (all)", why ? why : "settled");
}

/* What is counted by namespace is there, and within its bound. */
static void
check_counts(SimNode *node)
{
	uint64		entries[CC_MAX_NAMESPACES] = {0};
	uint64		chunks[CC_MAX_NAMESPACES] = {0};

	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);

		for (uint32 b = 0; b < p->nbuckets; b++)
		{
			for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
				 h = cc_store_next(p, h))
			{
				if (h->ns == CC_NS_SYSTEM || !cc_list_is_counted(cc_header_list(h)))
					continue;
				entries[h->ns]++;
				chunks[h->ns] += cc_store_chunks((Size) h->keylen + h->vallen);
			}
		}
	}
	for (uint32 i = 0; i < pg_atomic_read_u32(&cc.state->nnamespaces); i++)
	{
		CcNamespaceShared *n = cc_namespace(i);

		if (pg_atomic_read_u64(&n->entries) != entries[i] ||
			pg_atomic_read_u64(&n->chunks) != chunks[i])
			sim_violate("N-count", "%s counts " UINT64_FORMAT " entries in "
						UINT64_FORMAT " chunks where there are " UINT64_FORMAT
						" in " UINT64_FORMAT, node->name,
						pg_atomic_read_u64(&n->entries),
						pg_atomic_read_u64(&n->chunks), entries[i], chunks[i]);
		if (cc_evict_over((uint16) i))
			sim_violate("N-bound", "%s has " UINT64_FORMAT " chunks of at most "
						UINT64_FORMAT, node->name, chunks[i],
						pg_atomic_read_u64(&n->max_chunks));
	}
}

/*
 * A key of a local namespace, of which each node has its own: what it had
 * taken last it serves, whatever the others did.
 */
static void
check_local_key(int key)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];
		SimVersion *own = &node->ghost[key];
		CcHeaderShared *h;
		SimDot	   *d;
		SimVersion	v = {0};

		if (!active(node) || !node->up || own->hlc == 0 ||
			(d = sim_oracle_written(key, own)) == NULL)
			continue;
		h = sim_served(node, key);
		if (h != NULL)
			sim_stored_version(node, h, &v);
		if (h != NULL && sim_version_cmp(&v, own) != 0)
			sim_violate("local", "%s serves %s of hlc %s, but its own newest write was hlc %s",
						node->name, sim_key_text(key), sim_hlc_text(v.hlc),
						sim_hlc_text(own->hlc));
		if (h == NULL && d->value != 0 && d->expires == 0 &&
			own->hlc > sim_horizon(SIM_LOCAL) && !sim_oracle_evicted(key, own))
			sim_violate("local", "%s has lost its own %s of hlc %s", node->name,
						sim_key_text(key), sim_hlc_text(own->hlc));
	}
}

/* The highest horizon of a sort; all nodes must have it. */
static uint64
check_horizon(SimSort sort)
{
	uint64		highest = 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (active(&sim.node[i]) && sim.node[i].up)
		{
			sim_enter(&sim.node[i]);
			highest = Max(highest, sim_horizon(sort));
		}
	}
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (!active(&sim.node[i]) || !sim.node[i].up)
			continue;
		sim_enter(&sim.node[i]);
		if (sim_horizon(sort) != highest)
			sim_violate("P3-horizon", "%s has the horizon %s of \"%s\", others %s",
						sim.node[i].name, sim_hlc_text(sim_horizon(sort)),
						sim_sort_name[sort], sim_hlc_text(highest));
	}
	return highest;
}

void
sim_check_final(const char *why)
{
	uint64		horizon[SIM_NSORTS] = {0};

	horizon[SIM_SAVED] = check_horizon(SIM_SAVED);
	horizon[SIM_UNSAVED] = check_horizon(SIM_UNSAVED);
	horizon[SIM_KEPT] = check_horizon(SIM_KEPT);
	for (int i = 0; i < SIM_MAX_NODES && why == NULL; i++)
	{
		if (!active(&sim.node[i]) || !sim.node[i].up)
			continue;
		sim_enter(&sim.node[i]);
		check_counts(&sim.node[i]);
	}
	for (int key = 0; key < sim.nkeys; key++)
	{
		SimSort		sort = sim.key_sort[key];

		if (sim.key_system[key])
			continue;
		if (sort == SIM_LOCAL)
			check_local_key(key);
		else if (sort == SIM_KEPT)
			sim_heal_check_key(key, horizon[sort]);
		else
			check_key(key, horizon[sort], why);
	}
	sim_counter_final();
	sim_heal_check_decisions();
	if (why != NULL)
		sim_violate(strncmp(why, "pending", 7) == 0 ? "L-pending" :
					strncmp(why, "unfolded", 8) == 0 ? "L-fold" :
					strncmp(why, "tombstone", 9) == 0 ? "L-tomb" :
					strncmp(why, "VV", 2) == 0 ? "L-vv" :
					strncmp(why, "members", 7) == 0 ? "L-members" : "L-ready",
					"%s", why);
}
