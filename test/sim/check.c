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
 *	N-count		a namespace has not what is counted of it
 *	N-bound		it has more than its max_memory
 *	P4-undone	a delete or put was replaced by what nobody wrote after it
 *	C-*			of counters; see counter.c
 *	local		an entry of a local namespace has left its node
 *	L-*			what should have come to an end has not
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

uint64
sim_horizon(SimSort sort)
{
	uint16		ns = cc_state_find_namespace("postgres", sim_sort_name[sort]);

	return ns == CC_NO_NS ? 0 : pg_atomic_read_u64(&cc_namespace(ns)->horizon);
}

/* What the store holds of a key now, whoever has its lock. */
CcHeaderShared *
sim_stored(uint64 hash)
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

void
sim_stored_version(SimNode *node, CcHeaderShared *h, SimVersion *v)
{
	CcEntry		e;

	cc_store_describe(h, &e);
	sim_oracle_version(node, &e, v);
}

void
sim_version_raise(SimVersion *v, const SimVersion *to)
{
	if (sim_version_cmp(v, to) < 0)
		*v = *to;
}

/* ---- raises ---- */

/* Whether a node that is still there has taken the dot, as far as it knows. */
bool
sim_anybody_took(const SimDot *d)
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

	uint64		horizon = sim_horizon(sim.key_sort[d->key]);

	if (sim_history(d->key) != NULL)
	{
		sim_history_covered(node, origin, d, to, full);
		return;
	}
	/* I1: dots of namespaces that never leave their node are exempt */
	if (sim_version_cmp(g, &d->version) >= 0 ||
		sim.key_sort[d->key] == SIM_LOCAL ||
		(!system && horizon >= d->version.hlc))
		return;
	/* of a retired origin there may be dots that nobody has any more */
	if (to == CC_VV_INF && (!full || system || !sim_anybody_took(d)))
		return;
	if (!full || system)
		sim_violate(full ? "I1-full" : "I1",
					"%s raises VV to %s but never took %s (%s, hlc %s) nor anything newer",
					node->name, sim_dot_text(origin, to),
					sim_dot_text(origin, d->seq), sim_key_text(d->key),
					sim_hlc_text(d->version.hlc));

	/* a full comparison has taken away what is older */
	h = sim_stored(sim_key_hash(d->key));
	if (h != NULL && cc_header_type(h) != CC_STUB && h->hlc > horizon)
	{
		sim_stored_version(node, h, &v);
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

SimDot *
sim_oracle_known(int origin, uint64 seq)
{
	SimDot	   *d = sim_oracle_find(origin, seq);

	if (d == NULL)
		sim_violate("unknown", "%s handles %s, which was never written",
					sim.here->name, sim_dot_text(origin, seq));
	return d;
}

/* Whether the entry is what was written under its dot. */
void
sim_check_same(const char *what, const CcEntry *e, int origin, SimDot *d,
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
	SimDot	   *d;
	SimVersion	v;

	sim.stats.takes++;
	if (sim_history(key) != NULL)
	{
		sim_history_taken(node, key, e);
		return;
	}
	d = sim_oracle_known(origin, e->seq);
	sim_oracle_version(node, e, &v);
	sim_trace("takes %s %s hlc %s%s", sim_key_text(key),
			  sim_dot_text(origin, e->seq), sim_hlc_text(v.hlc),
			  e->type == CC_STUB ? " (stub)" : "");
	sim_check_same("takes", e, origin, d, &v);
	if (sim.key_sort[key] == SIM_LOCAL)
		sim_violate("local", "%s takes %s, which is local to another node",
					node->name, sim_key_text(key));
	if (e->type != CC_STUB && e->ns != CC_NS_SYSTEM &&
		sim_version_cmp(&node->ghost[key], &v) > 0)
		sim_violate("P2-resurrect",
					"%s takes %s %s of hlc %s although it had taken hlc %s",
					node->name, sim_key_text(key), sim_dot_text(origin, e->seq),
					sim_hlc_text(v.hlc), sim_hlc_text(node->ghost[key].hlc));
	if (e->type == CC_COUNTER && e->value != NULL)
		sim_counter_stored(node, key, e, false);
	sim_version_raise(&node->ghost[key], &v);
	d->taken |= 1u << node->no;
}

/* The newest write of a user; a touch is none. */
static void
note_last(int key, const CcEntry *e, const SimVersion *v)
{
	if (e->hlc != e->at || !sim_user_runs() ||
		sim_version_cmp(&sim.key_last[key], v) > 0)
		return;
	sim.key_last[key] = *v;
	sim.key_last_type[key] = e->type;
}

/* The value that is here, under a name or deadline that is new. */
static uint64
kept_value(const CcEntry *e)
{
	CcPartitionShared *p = cc_store_partition_of(e->hash);
	CcHeaderShared *h = sim_stored(e->hash);	/* e may have no key */
	char	   *value;
	uint64		hash;

	if (h == NULL)
		return 0;
	value = malloc(h->vallen + 1);
	cc_store_copy_value(p, h, value);
	hash = sim_oracle_value(cc_header_type(h), cc_header_flags(h), value,
							h->vallen);
	free(value);
	return hash;
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
	if (sim_history(key) != NULL)
	{
		sim_history_written(node, key, e);
		return;
	}
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

	if (e->value != NULL || e->type == CC_STUB || (e->flags & CC_F_NULL) != 0)
		value = sim_oracle_value(e->type, e->flags, e->value, e->vallen);
	else						/* what is there keeps its value */
		value = kept_value(e);
	d = sim_oracle_add(origin, e->seq);
	d->key = key;
	d->version = v;
	d->expires = e->expires;
	d->value = value;
	d->taken = 1u << node->no;
	note_last(key, e, &v);
	if (e->type == CC_COUNTER && e->value != NULL)
		sim_counter_stored(node, key, e, true);
	sim_version_raise(&node->ghost[key], &v);
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
	d = sim_oracle_known(origin, e->seq);
	sim_trace("loses %s %s%s", sim_key_text(d->key),
			  sim_dot_text(origin, e->seq),
			  e->type == CC_STUB ? " (stub)" : "");
	if (e->type != CC_STUB)
		d->evicted = true;
	if (sim_history(d->key) != NULL)
		sim_history_gone(node, d->key, e);
	if (e->type == CC_COUNTER)
		sim_counter_lost(d->key, "evicted");
	sim_counter_forgotten(e);
}

void
sim_check_race(const CcEntry *e)
{
	int			key = sim_oracle_key(e->hash, e->ns, e->key, e->keylen);

	if (sim_history(key) != NULL)
		sim_history_raced(sim.here, key, e);
}

/* ---- reads ---- */

void
sim_check_read_begin(SimNode *node, int key, SimRead *r)
{
	r->key = key;
	r->ghost = node->ghost[key];
	r->now_ms = cc_hlc_now_ms(&cc.state->hlc);
	r->horizon = sim_horizon(sim.key_sort[key]);
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
		h = sim_stored(sim_key_hash(key));
		if (h != NULL && cc_header_type(h) != CC_STUB && h->expires != 0 &&
			h->expires <= r->now_ms && cc_state_phase() == CC_READY)
		{
			sim_stored_version(node, h, &node->over[key]);
			node->over_at[key] = h->expires;
		}
		return;
	}
	sim_oracle_version(node, e, &v);
	if (sim_version_cmp(&v, &r->ghost) < 0)
		sim_violate("P2", "%s serves %s of hlc %s, but had taken hlc %s",
					node->name, sim_key_text(key), sim_hlc_text(v.hlc),
					sim_hlc_text(r->ghost.hlc));
	if (sim_history(key) != NULL)
		sim_history_read(node, key, e);
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
	sim_check_same("serves", e, sim_oracle_origin(node, e->origin),
			   sim_oracle_known(sim_oracle_origin(node, e->origin), e->seq), &v);
}
