/*-------------------------------------------------------------------------
 *
 * check.c
 *	  The invariant at every raise of a version vector, the promises at every
 *	  step, and what must hold in the end.
 *
 * Beside each node stands its "ghost": per key the newest write that the node
 * has ever taken.  It knows nothing of memory, floors and stubs, so it is
 * what the node must not fall behind.  After a crash it is what the files
 * held and what the VV that was loaded covers.
 *
 * Kinds of violations:
 *	I0			a dot was given twice, or means two things
 *	I1			VV covers a dot that was never taken, nor anything newer
 *	I1-full		likewise after a full comparison: something older lives on
 *	I1-load		likewise after a start: the files' VV is newer than they are
 *	P0			a value that nobody ever wrote under this version
 *	P1			an expired entry is served
 *	P2			a value is served that is older than what the node had taken
 *	P2-resurrect	... or comes in from a peer
 *	P2-write	a write is given a version older than what was there
 *	P2-durable	what was journalled is gone
 *	P3-*		in the end nodes differ, or hold something else than the newest
 *	P4-cleared	an entry below its horizon is served
 *	L-*			what should have come to an end has not
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

/* The highest horizon of data here. */
static uint64
horizon(void)
{
	uint64		h = 0;

	for (uint32 i = 1; i < pg_atomic_read_u32(&cc.state->nnamespaces); i++)
		h = Max(h, pg_atomic_read_u64(&cc_namespace(i)->horizon));
	return h;
}

/* What the store holds of a key now, whoever has its lock. */
static CcHeaderShared *
find_stored(uint64 hash)
{
	CcPartitionShared *p = cc_store_partition_of(hash);
	CcHeaderShared *h;

	if (p->mutating)
		return NULL;
	for (h = cc_store_first(p, cc_store_bucket(p, hash)); h != NULL;
		 h = cc_store_next(p, h))
	{
		if (h->hash == hash)
			return h;
	}
	return NULL;
}

static void
version_of(SimNode *node, CcHeaderShared *h, SimVersion *v)
{
	CcEntry		e;

	cc_store_describe(h, &e);
	sim_oracle_version(node, &e, v);
}

static void
raise_version(SimVersion *v, const SimVersion *to)
{
	if (sim_version_cmp(v, to) < 0)
		*v = *to;
}

/* ---- raises ---- */

/* Whether a node that is still there has taken the dot, as far as it knows. */
static bool
anybody_took(const SimDot *d)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && !sim.node[i].removed &&
			(d->taken & (1u << i)) != 0)
			return true;
	}
	return false;
}

/* One dot that VV covers from now on. */
static void
check_covered(SimNode *node, int origin, SimDot *d, uint64 to, bool full)
{
	SimVersion *g = &node->ghost[d->key];
	bool		system = sim.key_system[d->key];
	CcHeaderShared *h;
	SimVersion	v;

	if (sim_version_cmp(g, &d->version) >= 0 ||
		(!system && horizon() >= d->version.hlc))
		return;
	/* of a retired origin there may be dots that nobody has any more */
	if (to == CC_VV_INF && (!full || system || !anybody_took(d)))
		return;
	if (!full || system)
		sim_violate(full ? "I1-full" : "I1",
					"%s raises VV to %s but never took %s (%s, hlc %s) nor anything newer",
					node->name, sim_dot_text(origin, to),
					sim_dot_text(origin, d->seq), sim_key_text(d->key),
					sim_hlc_text(d->version.hlc));

	/* a full comparison has taken away what is older */
	h = find_stored(sim_key_hash(d->key));
	if (h != NULL && cc_header_type(h) != CC_STUB && h->hlc > horizon())
	{
		version_of(node, h, &v);
		if (sim_version_cmp(&v, &d->version) < 0 && to == CC_VV_INF)
			return;
		if (sim_version_cmp(&v, &d->version) < 0)
			sim_violate("I1-full",
						"%s raises VV to %s but still holds %s of hlc %s, older than %s of hlc %s",
						node->name, sim_dot_text(origin, to),
						sim_key_text(d->key), sim_hlc_text(v.hlc),
						sim_dot_text(origin, d->seq),
						sim_hlc_text(d->version.hlc));
	}
	*g = d->version;
	d->taken |= 1u << node->no;
}

void
sim_check_raise(int local, uint64 from, uint64 to, bool full)
{
	SimNode    *node = sim.here;
	int			origin = sim_oracle_origin(node, local);
	SimOrigin  *o = &sim.origin[origin];

	if (to <= from)
		return;
	sim_trace("raises VV to %s from " UINT64_FORMAT "%s",
			  sim_dot_text(origin, to), from, full ? " (full)" : "");
	for (int i = sim_oracle_first(origin, from + 1);
		 i < o->ndots && o->dot[i].seq <= to; i++)
		check_covered(node, origin, &o->dot[i], to, full);
}

/* ---- entries ---- */

static SimDot *
known_dot(int origin, uint64 seq)
{
	SimDot	   *d = sim_oracle_find(origin, seq);

	if (d == NULL)
		sim_violate("unknown", "%s handles %s, which was never written",
					sim.here->name, sim_dot_text(origin, seq));
	return d;
}

/* Whether the entry is what was written under its dot. */
static void
check_same(const char *what, const CcEntry *e, int origin, SimDot *d,
		   const SimVersion *v)
{
	if (sim_version_cmp(&d->version, v) != 0)
		sim_violate("I0", "%s %s %s of hlc %s, which was hlc %s when it was written",
					sim.here->name, what, sim_dot_text(origin, d->seq),
					sim_hlc_text(v->hlc), sim_hlc_text(d->version.hlc));
	if (e->type == CC_STUB || e->value == NULL)
		return;
	/* the name may have been given to a stub of it */
	if (d->value == 0)
		d = sim_oracle_written(d->key, v);
	if (sim_oracle_value(e->type, e->flags, e->value, e->vallen) != d->value ||
		e->expires != d->expires)
		sim_violate("P0", "%s %s %s %s with a value or deadline that was not written",
					sim.here->name, what, sim_key_text(d->key),
					sim_dot_text(origin, d->seq));
}

void
sim_check_take(const CcEntry *e)
{
	SimNode    *node = sim.here;
	int			key = sim_oracle_key(e->hash, e->ns, e->key, e->keylen);
	int			origin = sim_oracle_origin(node, e->origin);
	SimDot	   *d = known_dot(origin, e->seq);
	SimVersion	v;

	sim.stats.takes++;
	sim_oracle_version(node, e, &v);
	sim_trace("takes %s %s hlc %s%s", sim_key_text(key),
			  sim_dot_text(origin, e->seq), sim_hlc_text(v.hlc),
			  e->type == CC_STUB ? " (stub)" : "");
	check_same("takes", e, origin, d, &v);
	if (e->type != CC_STUB && e->ns != CC_NS_SYSTEM &&
		sim_version_cmp(&node->ghost[key], &v) > 0)
		sim_violate("P2-resurrect",
					"%s takes %s %s of hlc %s although it had taken hlc %s",
					node->name, sim_key_text(key), sim_dot_text(origin, e->seq),
					sim_hlc_text(v.hlc), sim_hlc_text(node->ghost[key].hlc));
	raise_version(&node->ghost[key], &v);
	d->taken |= 1u << node->no;
}

void
sim_check_write(const CcEntry *e)
{
	SimNode    *node = sim.here;
	int			key = sim_oracle_key(e->hash, e->ns, e->key, e->keylen);
	int			origin = sim_oracle_origin(node, e->origin);
	SimDot	   *before;
	SimDot	   *d;
	SimVersion	v;
	uint64		value = 0;

	sim.stats.writes++;
	sim_oracle_version(node, e, &v);
	sim_trace("writes %s %s hlc %s%s expires %s", sim_key_text(key),
			  sim_dot_text(origin, e->seq), sim_hlc_text(v.hlc),
			  e->type == CC_STUB ? " (stub)" : "",
			  e->expires == 0 ? "never" :
			  sim_hlc_text(cc_hlc_from_ms(e->expires)));
	if (sim_oracle_find(origin, e->seq) != NULL)
		sim_violate("I0", "%s gives the dot %s a second time", node->name,
					sim_dot_text(origin, e->seq));
	before = sim_oracle_written(key, &v);
	/* a stub of what was refused as forgotten gets a new name, too */
	if (sim_version_cmp(&v, &node->ghost[key]) < 0 &&
		(before == NULL || e->type != CC_STUB))
		sim_violate("P2-write", "%s writes %s with hlc %s, but had taken hlc %s",
					node->name, sim_key_text(key), sim_hlc_text(v.hlc),
					sim_hlc_text(node->ghost[key].hlc));

	if (before != NULL)
		value = before->value;
	if (e->value != NULL || e->type == CC_STUB || (e->flags & CC_F_NULL) != 0)
		value = sim_oracle_value(e->type, e->flags, e->value, e->vallen);
	d = sim_oracle_add(origin, e->seq);
	d->key = key;
	d->version = v;
	d->expires = e->expires;
	d->value = value;
	d->taken = 1u << node->no;
	raise_version(&node->ghost[key], &v);
}

void
sim_check_evict(const CcEntry *e)
{
	SimNode    *node = sim.here;
	int			origin;
	SimDot	   *d;

	if (e->ns == CC_NS_SYSTEM)
		return;
	origin = sim_oracle_origin(node, e->origin);
	d = known_dot(origin, e->seq);
	sim_trace("loses %s %s%s", sim_key_text(d->key),
			  sim_dot_text(origin, e->seq),
			  e->type == CC_STUB ? " (stub)" : "");
	if (e->type != CC_STUB)
		d->evicted = true;
}

/* ---- starts ---- */

void
sim_check_boot(SimNode *node)
{
	node->loading = true;
	memset(node->origin_map, 0, sizeof(node->origin_map));
	memset(node->loaded, 0, sizeof(node->loaded));
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
				SimDot	   *d = known_dot(sim_oracle_origin(node, h->origin),
										  h->seq);

				version_of(node, h, &node->loaded[d->key]);
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
	CcHeaderShared *h;

	if (!system && horizon() >= d->version.hlc)
		return;
	if (retired && (d->taken & (1u << node->no)) == 0)
		return;
	/* what an old copy of the disk held it had taken once */
	if (sim_version_cmp(&before[d->key], &d->version) < 0 && !node->rolled_back)
		sim_violate("I1-load", "%s starts with VV at %s but had never taken it",
					node->name, sim_dot_text(origin, d->seq));
	raise_version(&node->ghost[d->key], &d->version);
	if (retired || sim_version_cmp(loaded, &d->version) >= 0)
		return;
	h = find_stored(sim_key_hash(d->key));
	if ((h != NULL && cc_header_type(h) != CC_STUB && h->hlc > horizon()) ||
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
				sim_version_cmp(&node->loaded[o->dot[d].key],
								&o->dot[d].version) != 0)
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

static void
check_durable(SimNode *node, int key)
{
	SimVersion *had = node->lost_power ? &node->synced[key] :
		&node->journaled[key];

	if (sim_version_cmp(&node->ghost[key], had) < 0 && !node->disk_hurt &&
		horizon() < had->hlc)
		sim_violate("P2-durable", "%s has lost %s of hlc %s, which was on disk",
					node->name, sim_key_text(key), sim_hlc_text(had->hlc));
	if (sim_version_cmp(&node->ghost[key], &node->journaled[key]) < 0)
		memset(&node->journaled[key], 0, sizeof(SimVersion));
	if (sim_version_cmp(&node->ghost[key], &node->synced[key]) < 0)
		memset(&node->synced[key], 0, sizeof(SimVersion));
}

/*
 * It starts as another node than it was: for as long as its files can't be
 * written, or for ever because they are not its own or damaged.
 */
static void
change_identity(SimNode *node, int id)
{
	bool		back = id == node->kept_id;

	if (node->id >= 0 && !back && !node->disk_hurt && !node->in_memory &&
		cc.state->persist)
		sim_violate("identity", "%s starts under another id", node->name);
	if (!cc.state->persist && sim.cfg.persist && node->kept_id < 0)
	{
		node->kept_id = node->id;
		memcpy(node->kept_ghost, node->ghost, sizeof(node->ghost));
	}
	memset(node->over, 0, sizeof(node->over));
	memset(node->journaled, 0, sizeof(node->journaled));
	memset(node->synced, 0, sizeof(node->synced));
	memset(node->ghost, 0, sizeof(node->ghost));
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
	forget_untaken(node);
	forget_over(node);
	node->loading = false;
	node->disk_hurt = node->lost_power = node->rolled_back = false;
	sim_trace("has loaded its files, boot " UINT64_FORMAT " incarnation "
			  UINT64_FORMAT "%s", cc.state->boot, cc.state->incarnation,
			  cc.state->unclean ? " (unclean)" : "");
}

/* ---- reads ---- */

void
sim_check_read_begin(SimNode *node, int key, SimRead *r)
{
	r->key = key;
	r->ghost = node->ghost[key];
	r->now_ms = cc_hlc_now_ms(&cc.state->hlc);
	r->horizon = horizon();
	r->over = node->over[key];
}

void
sim_check_read_end(SimNode *node, const SimRead *r, const CcEntry *e)
{
	int			key = r->key;
	SimVersion	v;
	CcHeaderShared *h;

	if (e == NULL)
	{
		/* an entry that is over has been seen to be */
		h = find_stored(sim_key_hash(key));
		if (h != NULL && cc_header_type(h) != CC_STUB && h->expires != 0 &&
			h->expires <= r->now_ms && cc_state_phase() == CC_READY)
		{
			version_of(node, h, &node->over[key]);
			node->over_at[key] = h->expires;
		}
		return;
	}
	sim_oracle_version(node, e, &v);
	if (sim_version_cmp(&v, &r->ghost) < 0)
		sim_violate("P2", "%s serves %s of hlc %s, but had taken hlc %s",
					node->name, sim_key_text(key), sim_hlc_text(v.hlc),
					sim_hlc_text(r->ghost.hlc));
	if (e->expires != 0 && r->now_ms >= e->expires)
		sim_violate("P1", "%s serves %s, which is over since %lld ms",
					node->name, sim_key_text(key),
					(long long) (r->now_ms - e->expires));
	if (e->expires != 0 && sim_version_cmp(&v, &r->over) == 0)
		sim_violate("P1", "%s serves %s, which it had seen expired",
					node->name, sim_key_text(key));
	if (e->hlc <= r->horizon)
		sim_violate("P4-cleared", "%s serves %s of hlc %s below its horizon",
					node->name, sim_key_text(key), sim_hlc_text(v.hlc));
	check_same("serves", e, sim_oracle_origin(node, e->origin),
			   known_dot(sim_oracle_origin(node, e->origin), e->seq), &v);
}

/* ---- the end ---- */

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
				if (h->ns == CC_NS_SYSTEM || cc_header_type(h) != CC_STUB)
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

	for (int step = 0; step < 4 && why == NULL; step++)
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
				why = stub_left(node);
		}
	}
	return why;
}

/* What a node would answer for the key now; NULL: a miss. */
static CcHeaderShared *
served(SimNode *node, int key)
{
	CcHeaderShared *h;

	sim_enter(node);
	h = find_stored(sim_key_hash(key));
	if (h == NULL || cc_header_type(h) == CC_STUB || h->hlc <= horizon() ||
		(h->expires != 0 && cc_hlc_now_ms(&cc.state->hlc) >= h->expires))
		return NULL;
	return h;
}

static void
check_key(int key, uint64 highest_horizon, const char *why)
{
	SimVersion	newest = {0};
	SimDot	   *d;
	char		lack[64] = "";
	bool		some = false;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (active(&sim.node[i]))
			raise_version(&newest, &sim.node[i].ghost[key]);
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
		h = served(node, key);
		if (h == NULL)
		{
			strcat(strcat(lack, " "), node->name);
			continue;
		}
		some = true;
		version_of(node, h, &v);
		if (sim_version_cmp(&v, &newest) != 0)
			sim_violate("P3-old", "%s serves %s %s of hlc %s for ever, the newest write was hlc %s (%s); %s",
						node->name, sim_key_text(key),
						sim_dot_text(sim_oracle_origin(node, h->origin), h->seq),
						sim_hlc_text(h->hlc), sim_hlc_text(newest.hlc),
						d->value == 0 ? "a delete" : "a value",
						why ? why : "settled");
	}
	if (lack[0] != '\0' && d->value != 0 && d->expires == 0 &&
		newest.hlc > highest_horizon && !sim_oracle_evicted(key, &newest))
		sim_violate("P3-miss", "%s of hlc %s, which nobody evicted, is missing on%s%s; %s",
					sim_key_text(key), sim_hlc_text(newest.hlc), lack,
					some ? "" : " (all)", why ? why : "settled");
}

void
sim_check_final(const char *why)
{
	uint64		highest = 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (active(&sim.node[i]) && sim.node[i].up)
		{
			sim_enter(&sim.node[i]);
			highest = Max(highest, horizon());
		}
	}
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (!active(&sim.node[i]) || !sim.node[i].up)
			continue;
		sim_enter(&sim.node[i]);
		if (horizon() != highest)
			sim_violate("P3-horizon", "%s has the horizon %s, others %s",
						sim.node[i].name, sim_hlc_text(horizon()),
						sim_hlc_text(highest));
	}
	for (int key = 0; key < sim.nkeys; key++)
	{
		if (!sim.key_system[key])
			check_key(key, highest, why);
	}
	if (why != NULL)
		sim_violate(strncmp(why, "tombstone", 9) == 0 ? "L-tomb" :
					strncmp(why, "VV", 2) == 0 ? "L-vv" :
					strncmp(why, "members", 7) == 0 ? "L-members" : "L-ready",
					"%s", why);
}
