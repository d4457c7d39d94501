/*-------------------------------------------------------------------------
 *
 * history_vv.c
 *	  See history.h: what VV and the journal say of the keys whose conflicts are
 *	  kept, at a raise and after a load.  What check.c and check_start.c do for
 *	  the others.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

/*
 * I1 for such a key: the write, or one that has it in its history.  A decision
 * that came too late for the originals that are here was dropped; and so was
 * what lost a race, there or anywhere, to a higher version.
 */
static bool
has_seen(SimHistory *k, const SimSet *seen, int w)
{
	bool		inputs = k->write[w]->decision;

	if (sim_set_has(seen, w) || k->write[w]->hlc <= sim_horizon(SIM_KEPT))
		return true;
	for (int i = 0; i < k->n && inputs; i++)
		inputs = !sim_set_has(&k->write[w]->inputs, i) || has_seen(k, seen, i);
	if (inputs)
		return true;
	for (int i = 0; i < k->n; i++)
	{
		/* what a node writes later is never apart from what it wrote before */
		if (i != w && sim_set_has(seen, i) &&
			k->write[i]->hlc >= k->write[w]->hlc &&
			(sim_set_has(&k->raced, w) || sim.cfg.policy_changes ||
			 k->write[i]->writer == k->write[w]->writer))
			return true;
	}
	return false;
}

/*
 * A decision is void once one of those that it was made from has lost a race or
 * was replaced, by what was seen; it is gone with what has replaced that.
 */
static bool
is_void(SimHistory *k, const SimSet *seen, int w)
{
	if (!k->write[w]->decision)
		return false;
	for (int in = 0; in < k->n; in++)
	{
		if (!sim_set_has(&k->write[w]->inputs, in))
			continue;
		if (sim_set_has(&k->raced, in))
			return true;
		for (int i = 0; i < k->n; i++)
		{
			if (i != in && sim_set_has(seen, i) && !k->write[i]->decision &&
				sim_set_has(&k->write[i]->history, in))
				return true;
		}
	}
	return false;
}

/*
 * A group that had not met the others forgets what is over or deleted once all of it
 * saw that, and its floor may take the value of what another group wrote; a decision
 * that was made from it is void where it is not known any more.
 */
static bool
gone_among_strangers(SimHistory *k, int w)
{
	if (!sim_counter_strangers())
		return false;
	if (sim_set_has(&k->lost, w) ||
		(sim_history_over(k->write[w]) &&
		 (sim_set_has(&k->stable, w) || sim_set_has(&k->forgotten, w))))
		return true;
	for (int i = 0; i < k->n; i++)
	{
		if (k->write[i]->deletes &&
			(sim_set_has(&k->write[i]->history, w) ||
			 (k->write[w]->decision && sim_set_has(&k->write[w]->inputs, i))))
			return true;
	}
	return false;
}

static int
write_of(SimHistory *k, const SimDot *d)
{
	for (int i = 0; i < k->n; i++)
	{
		if (k->write[i]->hlc == d->version.hlc &&
			k->write[i]->writer == d->version.writer)
			return i;
	}
	sim_violate("unknown", "a dot of a version that nobody wrote");
}

/* A value that is held although the write that is said to be seen replaced it */
static int
older_held(SimHistory *k, SimNode *node, int key, int w)
{
	static CcKeyState ks;
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n;

	if (!sim_history_stored(key, &ks))
		return -1;
	n = sim_history_members(&ks, m);
	for (int i = 0; i < n; i++)
	{
		int			x = sim_history_find(k, node, m[i]);

		if (x >= 0 && x != w && m[i]->type != CC_STUB &&
			m[i]->hlc > sim_horizon(SIM_KEPT) &&
			sim_set_has(&k->write[w]->history, x))
			return x;
	}
	return -1;
}

void
sim_history_covered(SimNode *node, int origin, SimDot *d, uint64 to, bool full)
{
	SimHistory *k = sim_history(d->key);
	SimSet	   *seen = &k->by[node->no].seen;
	int			w = write_of(k, d);
	int			older;

	if (has_seen(k, seen, w) || sim_horizon(SIM_KEPT) >= d->version.hlc ||
		gone_among_strangers(k, w))
		return;
	/* of a retired origin there may be dots that nobody has any more */
	if (to == CC_VV_INF && (!full || !sim_history_anybody_has(k, w)))
		return;
	if (!full)
		sim_violate("I1", "%s raises VV to %s but never took %s (%s, %s) nor what replaced it",
					node->name, sim_dot_text(origin, to),
					sim_dot_text(origin, d->seq), sim_key_text(d->key),
					sim_write_text(k, w));
	/* a full comparison has taken away what is older */
	older = older_held(k, node, d->key, w);
	if (older >= 0 && to != CC_VV_INF)
		sim_violate("I1-full", "%s raises VV to %s but still holds %s of %s, which %s has replaced",
					node->name, sim_dot_text(origin, to),
					sim_write_text(k, older), sim_key_text(d->key),
					sim_write_text(k, w));
	sim_set_join(seen, &k->write[w]->history);
	d->taken |= 1u << node->no;
}

/* The node says that its own write is in the journal. */
void
sim_history_journaled(SimNode *node, int key, uint64 hlc, bool synced)
{
	SimHistory *k = sim_history(key);
	SimSeen    *s = &k->by[node->no];

	for (int i = 0; i < k->n; i++)
	{
		if (k->write[i]->hlc != hlc || k->write[i]->writer != node->id)
			continue;
		sim_set_add(&s->journaled, i);
		if (synced)
			sim_set_add(&s->synced, i);
	}
}

/* ---- after a load ---- */

void
sim_history_begin_load(SimNode *node)
{
	for (int key = 0; key < sim.nkeys; key++)
	{
		SimHistory *k = sim_history(key);

		if (k == NULL)
			continue;
		memset(&k->by[node->no].loaded, 0, sizeof(SimSet));
		memset(&k->by[node->no].shown, 0, sizeof(SimSet));
	}
}

/* Its files held what is in the store now. */
void
sim_history_load(SimNode *node, int key)
{
	static CcKeyState ks;
	SimHistory *k = sim_history(key);
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n;

	if (!sim_history_stored(key, &ks))
		return;
	sim_history_of_state(k, node, &ks, &k->by[node->no].loaded);
	n = sim_history_members(&ks, m);
	for (int i = 0; i < n; i++)
	{
		int			w = sim_history_find(k, node, m[i]);

		if (w >= 0 && m[i]->type == CC_STUB && sim_set_has(&k->stable, w) &&
			cc_state_vv(m[i]->origin) < m[i]->seq)
			sim_set_add(&k->back, w);
	}
}

bool
sim_history_over(const SimWrite *x)
{
	return x->over != 0 &&
		x->over <= cc_clock_ms() + 2 * sim.cfg.max_skew_ms;
}

/*
 * PROTOCOL.md, section 8: a crash took what had replaced an original from one of
 * those who had seen it, before it was in its journal; and where memory took it
 * from the others, once all had seen it, the older one is decided anew.  The floor
 * keeps it from coming back, but not a new value that is made of it.  Nor does
 * anything tell, where no VV is believed, that a stub which all had forgotten and
 * a file brought back was seen by who wrote on.
 */
bool
sim_history_unaware(SimHistory *k, const SimWrite *value, int replaced,
					   int by)
{
	if (!value->decision)
		return false;
	/* a clear is no news for who decided before hearing of it */
	if (k->write[replaced]->hlc > value->horizon &&
		k->write[replaced]->hlc <= sim_horizon(SIM_KEPT))
		return true;
	return sim.stats.crashes > 0 &&
		(sim_set_has(&k->lost, by) || sim_set_has(&k->crashed, by) ||
		 sim_set_has(&k->back, replaced));
}

bool
sim_history_has_loaded(SimNode *node, const SimDot *d)
{
	SimHistory *k = sim_history(d->key);

	return sim_set_has(&k->by[node->no].loaded, write_of(k, d));
}

/*
 * A dot that the VV which was loaded covers.  `seen` is of the life before
 * until sim_history_durable.
 */
void
sim_history_loaded_dot(SimNode *node, int origin, SimDot *d, bool retired,
					   bool forgotten)
{
	SimHistory *k = sim_history(d->key);
	SimSeen    *s = &k->by[node->no];
	int			w = write_of(k, d);
	int			older;

	if (sim_horizon(SIM_KEPT) >= d->version.hlc ||
		(retired && (d->taken & (1u << node->no)) == 0))
		return;
	if (!has_seen(k, &s->seen, w) && !node->rolled_back &&
		!gone_among_strangers(k, w))
		sim_violate("I1-load", "%s starts with VV at %s but had never taken it",
					node->name, sim_dot_text(origin, d->seq));
	if (!retired && !has_seen(k, &s->loaded, w))
	{
		older = older_held(k, node, d->key, w);
		forgotten |= is_void(k, &s->seen, w);
		if (older >= 0 || (sim_stored(sim_key_hash(d->key)) == NULL && !forgotten))
			sim_violate("I1-load", "%s starts with VV at %s of %s but without it",
						node->name, sim_dot_text(origin, d->seq),
						sim_key_text(d->key));
	}
	sim_set_join(&s->loaded, &k->write[w]->history);
}

/* What was said to be on disk is there; and that is what it has seen now. */
void
sim_history_durable(SimNode *node, int key)
{
	SimHistory *k = sim_history(key);
	SimSeen    *s = &k->by[node->no];
	const SimSet *had = node->lost_power ? &s->synced : &s->journaled;

	for (int w = 0; w < k->n && !node->disk_hurt; w++)
	{
		bool		replaced = false;

		if (!sim_set_has(had, w) || has_seen(k, &s->loaded, w) ||
			k->write[w]->hlc <= sim_horizon(SIM_KEPT) ||
			sim_set_has(&k->lost, w) || sim_set_has(&k->raced, w))
			continue;
		/* no VV may be believed where a namespace is not saved */
		for (int i = 0; i < k->n && sim.cfg.sorts; i++)
			replaced |= i != w && sim_set_has(&k->write[i]->history, w);
		if (!replaced && (!sim.cfg.sorts || (k->write[w]->over == 0 &&
											 !k->write[w]->deletes)))
			sim_violate("P2-durable", "%s has lost %s of %s, which was on disk",
						node->name, sim_write_text(k, w), sim_key_text(key));
	}
	if (node->disk_hurt)
		memset(&s->synced, 0, sizeof(SimSet));
	if (node->disk_hurt || node->lost_power)
		s->journaled = s->synced;
	for (int w = 0; w < k->n; w++)
	{
		if (sim_set_has(&s->seen, w) && !sim_set_has(&s->loaded, w))
			sim_set_add(&k->crashed, w);
	}
	s->seen = s->loaded;
}

/* It goes on under another id: as nobody, or (back) as who it was once. */
void
sim_history_identity(SimNode *node, bool keep, bool back)
{
	for (int key = 0; key < sim.nkeys; key++)
	{
		SimHistory *k = sim_history(key);
		SimSeen    *s;

		if (k == NULL)
			continue;
		s = &k->by[node->no];
		if (keep)
			s->kept = s->seen;
		memset(&s->seen, 0, sizeof(SimSet));
		memset(&s->journaled, 0, sizeof(SimSet));
		memset(&s->synced, 0, sizeof(SimSet));
		if (back)
			s->seen = s->kept;
	}
}
