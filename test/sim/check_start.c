/*-------------------------------------------------------------------------
 *
 * check_start.c
 *	  What must hold when a node has loaded its files.
 *
 * Its ghost (check.c) becomes what the files held and what the VV that was
 * loaded covers.  What VV covers must be there, or be known as forgotten; what
 * was said to be on disk must be there.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

void
sim_check_boot(SimNode *node)
{
	node->loading = true;
	memset(node->origin_map, 0, sizeof(node->origin_map));
	memset(node->loaded, 0, sizeof(node->loaded));
	sim_history_begin_load(node);
}

static void
note_loaded(SimNode *node)
{
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);

		for (uint32 b = 0; b < p->nbuckets; b++)
		{
			for (CcHeaderShared *h = cc_store_first(p, b); h != NULL;
				 h = cc_store_next(p, h))
			{
				SimDot	   *d = sim_oracle_known(sim_oracle_origin(node, h->origin),
										  h->seq);

				if (sim_history(d->key) != NULL)
					sim_history_load(node, d->key);
				else
					sim_stored_version(node, h, &node->loaded[d->key]);
				sim_trace("has %s %s%s in its files", sim_key_text(d->key),
						  sim_dot_text(sim_oracle_origin(node, h->origin), h->seq),
						  cc_header_type(h) == CC_STUB ? " (stub)" : "");
			}
		}
	}
}

/* Whether G says that this write or a newer one of the key was forgotten. */
static bool
forgotten(SimNode *node, int key, const SimVersion *v)
{
	for (int i = 0; i < cc_state_norigins(); i++)
	{
		SimOrigin  *o = &sim.origin[sim_oracle_origin(node, i)];
		uint64		g = cc_state_g(i);

		/* beyond VV G is cut, so nothing is known of it */
		for (int d = 0; d < o->ndots; d++)
		{
			if ((o->dot[d].seq <= g || o->dot[d].seq > cc_state_vv(i)) &&
				o->dot[d].key == key &&
				sim_version_cmp(&o->dot[d].version, v) >= 0)
				return true;
		}
	}
	return false;
}

/* A dot that the VV which was loaded covers. */
static void
check_loaded_dot(SimNode *node, SimVersion *before, int origin, SimDot *d,
				 bool retired)
{
	SimVersion *loaded = &node->loaded[d->key];
	bool		system = sim.key_system[d->key];
	uint64		horizon = sim_horizon(sim.key_sort[d->key]);
	CcHeaderShared *h;

	if (sim_history(d->key) != NULL)
	{
		sim_history_loaded_dot(node, origin, d, retired,
							   forgotten(node, d->key, &d->version));
		return;
	}
	if (!system && horizon >= d->version.hlc)
		return;
	/* I1: dots of namespaces that never leave their node are exempt */
	if (sim.key_sort[d->key] == SIM_LOCAL)
		return;
	if (retired && (d->taken & (1u << node->no)) == 0)
		return;
	/* what an old copy of the disk held it had taken once */
	if (sim_version_cmp(&before[d->key], &d->version) < 0 && !node->rolled_back)
		sim_violate("I1-load", "%s starts with VV at %s but had never taken it",
					node->name, sim_dot_text(origin, d->seq));
	sim_version_raise(&node->ghost[d->key], &d->version);
	if (retired || sim_version_cmp(loaded, &d->version) >= 0)
		return;
	h = sim_stored(sim_key_hash(d->key));
	if ((h != NULL && cc_header_type(h) != CC_STUB && h->hlc > horizon) ||
		(h == NULL && !forgotten(node, d->key, &d->version)))
		sim_violate("I1-load", "%s starts with VV at %s of %s but without it",
					node->name, sim_dot_text(origin, d->seq),
					sim_key_text(d->key));
}

/* What it had taken and has not any more, it may take again. */
static void
forget_untaken(SimNode *node)
{
	static uint64 vv[SIM_MAX_ORIGINS];

	memset(vv, 0, sizeof(vv));
	for (int i = 0; i < cc_state_norigins(); i++)
		vv[sim_oracle_origin(node, i)] = cc_state_vv(i);
	for (int i = 0; i < sim.norigins; i++)
	{
		SimOrigin  *o = &sim.origin[i];

		for (int d = 0; d < o->ndots; d++)
		{
			if (o->dot[d].seq > vv[i] &&
				(sim_history(o->dot[d].key) != NULL ?
				 !sim_history_has_loaded(node, &o->dot[d]) :
				 sim_version_cmp(&node->loaded[o->dot[d].key],
								 &o->dot[d].version) != 0))
				o->dot[d].taken &= ~(1u << node->no);
		}
	}
}

/*
 * After a crash the clock begins at what was reserved.  What was seen expired
 * by a later time, while a slow disk kept the reservation behind, may come
 * alive once more.
 */
static void
forget_over(SimNode *node)
{
	for (int key = 0; key < sim.nkeys; key++)
	{
		if (node->over_at[key] > cc_hlc_to_ms(node->reserved))
			memset(&node->over[key], 0, sizeof(SimVersion));
	}
}

/*
 * Whether the store lacks what was on disk.  Where no VV is believed since the
 * files left out an unsaved namespace, nothing says any more that a delete was
 * seen and forgotten; but what is older must be gone all the same.
 */
static bool
lost(SimNode *node, int key, const SimVersion *had)
{
	CcHeaderShared *h = sim_stored(sim_key_hash(key));
	SimDot	   *d = sim_oracle_written(key, had);

	if (sim_version_cmp(&node->ghost[key], had) >= 0 || node->disk_hurt ||
		sim_horizon(sim.key_sort[key]) >= had->hlc)
		return false;
	if (!sim.cfg.sorts || d == NULL)
		return true;
	if (h != NULL && cc_header_type(h) != CC_STUB)
		return true;
	return d->value != 0 && d->expires == 0 &&
		!sim_oracle_evicted(key, had) && !sim_oracle_superseded(key, had);
}

static void
check_durable(SimNode *node, int key)
{
	SimVersion *journaled = &node->journaled[key];
	SimVersion *synced = &node->synced[key];
	SimVersion *had = node->lost_power ? synced : journaled;

	if (sim_history(key) != NULL)
	{
		sim_history_durable(node, key);
		return;
	}
	if (lost(node, key, had))
		sim_violate("P2-durable", "%s has lost %s of hlc %s, which was on disk",
					node->name, sim_key_text(key), sim_hlc_text(had->hlc));
	if (node->disk_hurt)
		memset(synced, 0, sizeof(SimVersion));
	if (sim_version_cmp(&node->ghost[key], journaled) < 0 &&
		(node->lost_power || node->disk_hurt))
		*journaled = *synced;
}

/*
 * It starts as another node than it was: for as long as its files can't be
 * written, or for ever because they are not its own or damaged.
 */
static void
change_identity(SimNode *node, int id)
{
	bool		back = id == node->kept_id;
	bool		keep = !cc.state->persist && sim.cfg.persist &&
		node->kept_id < 0;

	if (node->id >= 0 && !back && !node->disk_hurt && !node->in_memory &&
		cc.state->persist)
		sim_violate("identity", "%s starts under another id", node->name);
	if (keep)
	{
		node->kept_id = node->id;
		memcpy(node->kept_ghost, node->ghost, sizeof(node->ghost));
	}
	memset(node->over, 0, sizeof(node->over));
	memset(node->journaled, 0, sizeof(node->journaled));
	memset(node->synced, 0, sizeof(node->synced));
	memset(node->steps_journaled, 0, sizeof(node->steps_journaled));
	memset(node->steps_synced, 0, sizeof(node->steps_synced));
	memset(node->ghost, 0, sizeof(node->ghost));
	sim_history_identity(node, keep, back);
	if (back)
		memcpy(node->ghost, node->kept_ghost, sizeof(node->ghost));
	if (back)
		node->kept_id = -1;
	node->id = id;
}

void
sim_check_loaded(SimNode *node)
{
	static SimVersion before[SIM_MAX_KEYS];
	int			id = sim_oracle_id(&cc.state->id);

	if (id != node->id)
		change_identity(node, id);
	node->in_memory = !cc.state->persist;
	note_loaded(node);
	memcpy(before, node->ghost, sizeof(before));
	memcpy(node->ghost, node->loaded, sizeof(node->ghost));
	for (int i = 0; i < cc_state_norigins(); i++)
	{
		int			origin = sim_oracle_origin(node, i);
		SimOrigin  *o = &sim.origin[origin];
		uint64		vv = cc_state_vv(i);

		for (int d = 0; d < o->ndots && o->dot[d].seq <= vv; d++)
			check_loaded_dot(node, before, origin, &o->dot[d], vv == CC_VV_INF);
	}
	for (int key = 0; key < sim.nkeys; key++)
	{
		if (!sim.key_system[key])
			check_durable(node, key);
	}
	sim_counter_loaded(node);
	forget_untaken(node);
	forget_over(node);
	node->loading = false;
	node->disk_hurt = node->lost_power = node->rolled_back = false;
	sim_trace("has loaded its files, boot " UINT64_FORMAT " incarnation "
			  UINT64_FORMAT "%s", cc.state->boot, cc.state->incarnation,
			  cc.state->unclean ? " (unclean)" : "");
}
