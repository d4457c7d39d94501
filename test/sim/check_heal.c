/*-------------------------------------------------------------------------
 *
 * check_heal.c
 *	  What must hold in the end of keys whose conflicts are kept.
 *
 * All nodes hold the same; nothing waits that nobody is asked about; of what
 * was ever written nothing is gone that was not replaced, considered by a
 * decision, beaten in a race, over, cleared, or taken by memory.
 *
 * Kinds of violations:
 *	P3-differ	nodes serve different values of a key
 *	H-pending	nodes have different originals of a conflict
 *	H-lost		a write is gone, and nothing tells of it
 *	H-stale		a value is made of a write that was replaced
 *	H-island	after a clean heal somebody serves other than the island that won
 *	H-twice		in a clean run a conflict was decided twice
 *	L-pending	a conflict waits for ever
 *	L-fold		originals of a decision that are stable are still there
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

#include "cache/apart.h"

static bool
active(SimNode *node)
{
	return node->exists && !node->removed && node->up;
}

static bool
manual(uint16 ns)
{
	return pg_atomic_read_u32(&cc_namespace(ns)->on_split) == CC_SPLIT_MANUAL;
}

/* What is left of the key, if it has anything beside its entry */
static const char *
left_of(SimNode *node, CcHeaderShared *h)
{
	static char text[256];
	int			key = sim_oracle_key(h->hash, h->ns, NULL, 0);
	uint8		flags = cc_header_flags(h);

	if ((flags & CC_F_SIBLINGS) == 0 ||
		((flags & CC_F_PENDING) != 0 && manual(h->ns)))
		return NULL;
	snprintf(text, sizeof(text), "%s: %s of %s %s",
			 (flags & CC_F_PENDING) != 0 ? "pending" : "unfolded",
			 sim_key_text(key), node->name,
			 sim_dot_text(sim_oracle_origin(node, h->origin), h->seq));
	return text;
}

/* What a node says of the key in the end. */
typedef struct Answer
{
	SimNode    *node;
	int			served;			/* a write; -1: nothing */
	bool		there;			/* it holds anything */
	bool		pending;
	SimSet		originals;
	SimSet		history;
} Answer;

static void
ask(SimHistory *k, SimNode *node, int key, Answer *a)
{
	static CcKeyState ks;
	CcHeaderShared *h = sim_served(node, key);
	CcEntry		e;

	memset(a, 0, sizeof(*a));
	a->node = node;
	a->served = -1;
	if (h != NULL)
	{
		cc_store_describe(h, &e);
		a->served = sim_history_find(k, node, &e);
	}
	if (!sim_history_stored(key, &ks))
		return;
	a->there = true;
	a->pending = cc_siblings_pending(&ks);
	sim_history_of_state(k, node, &ks, &a->history);
	for (int i = 0; i < ks.n; i++)
	{
		int			w = sim_history_find(k, node, &ks.original[i]);

		if (w >= 0)
			sim_set_add(&a->originals, w);
	}
}

/*
 * Whether two nodes wait for people to decide the same, or neither does.  Where
 * memory has taken what it needs for that one of them may have nothing.
 */
static bool
wait_for_same(SimHistory *k, const Answer *a, const Answer *b)
{
	SimSet		all = a->originals;

	sim_set_join(&all, &b->originals);
	if (sim_set_common(&all, &k->lost) >= 0)
		return true;
	return a->pending == b->pending &&
		(!a->pending || sim_set_equal(&a->originals, &b->originals));
}

/* Originals that wait for people are to be the same ones everywhere. */
const char *
sim_heal_unequal(void)
{
	static char text[128];
	static Answer first;
	static Answer a;

	for (int key = 0; key < sim.nkeys && sim.cfg.kept > 0; key++)
	{
		SimHistory *k = sim_history(key);

		first.node = NULL;
		for (int i = 0; i < SIM_MAX_NODES && k != NULL; i++)
		{
			if (!active(&sim.node[i]))
				continue;
			ask(k, &sim.node[i], key, first.node == NULL ? &first : &a);
			if (first.node == &sim.node[i] || wait_for_same(k, &first, &a))
				continue;
			snprintf(text, sizeof(text), "pending: %s of %s and %s differs",
					 sim_key_text(key), first.node->name, a.node->name);
			return text;
		}
	}
	return NULL;
}

const char *
sim_heal_left(SimNode *node)
{
	const char *why = NULL;

	if (sim.cfg.kept == 0)
		return NULL;
	for (uint32 i = 0; i < cc.store->npartitions && why == NULL; i++)
	{
		CcPartitionShared *p = cc_store_partition(i);

		for (uint32 b = 0; b < p->nbuckets && why == NULL; b++)
		{
			for (CcHeaderShared *h = cc_store_first(p, b);
				 h != NULL && why == NULL; h = cc_store_next(p, h))
			{
				if (h->ns != CC_NS_SYSTEM)
					why = left_of(node, h);
			}
		}
	}
	if (why == NULL && cc_heal_waiting())
		why = "pending: something waits for a decision";
	return why;
}

/* Whether nobody need have it any more. */
static bool
excused(SimHistory *k, int w, uint64 horizon)
{
	SimWrite   *x = k->write[w];

	for (int i = 0; i < k->n; i++)
	{
		/* of the same node the later one stays, of none that are kept, too */
		if (k->write[i]->hlc > x->hlc && (sim.cfg.policy_changes ||
			(k->write[i]->writer == x->writer && !k->write[i]->decision)))
			return true;

		/* nor what its node had lost in a crash when it decided anew */
		if (k->write[i]->hlc > x->hlc && k->write[i]->writer == x->writer &&
			sim_set_has(&k->crashed, w))
			return true;
	}
	return x->hlc <= horizon || sim_history_over(x) ||
		sim_set_has(&k->lost, w) || sim_set_has(&k->raced, w) ||
		sim_set_has(&k->forgotten, w);
}

/* Whether a decision that has it in its history is over by now. */
static bool
decided_and_over(SimHistory *k, int w)
{
	for (int i = 0; i < k->n; i++)
	{
		if (k->write[i]->decision && sim_history_over(k->write[i]) &&
			sim_set_has(&k->write[i]->history, w))
			return true;
	}
	return false;
}

static bool
same_value(SimHistory *k, int a, int b)
{
	if (a == b)
		return true;
	return a >= 0 && b >= 0 && k->write[a]->id >= 0 &&
		k->write[a]->id == k->write[b]->id;
}

static void
check_equal(SimHistory *k, int key, const Answer *a, int n, uint64 horizon)
{
	for (int i = 1; i < n; i++)
	{
		bool		held = a[0].served >= 0 && a[i].served >= 0;
		int			w = Max(a[0].served, a[i].served);

		if (!wait_for_same(k, &a[0], &a[i]))
			sim_violate("H-pending", "%s and %s have different conflicts of %s, or one of them none",
						a[0].node->name, a[i].node->name, sim_key_text(key));
		if (a[0].pending || a[i].pending || a[0].served == a[i].served ||
			(!held && excused(k, w, horizon)))
			continue;
		sim_violate("P3-differ", "%s serves %s of %s, %s %s", a[0].node->name,
					sim_write_text(k, a[0].served), sim_key_text(key),
					a[i].node->name, sim_write_text(k, a[i].served));
	}
}

/* A node that counts knows of it. */
static void
known_to_all(SimHistory *k, SimSet *known)
{
	memset(known, 0, sizeof(*known));
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (active(&sim.node[i]))
			sim_set_join(known, &k->by[i].seen);
	}
}

/* Whether something that is known has replaced it. */
static int
replaced_by(SimHistory *k, const SimSet *known, int w)
{
	for (int i = 0; i < k->n; i++)
	{
		if (i != w && sim_set_has(known, i) && !k->write[i]->decision &&
			sim_set_has(&k->write[i]->history, w))
			return i;
	}
	return -1;
}

static void
check_lost(SimHistory *k, int key, const Answer *a, uint64 horizon)
{
	SimSet		known;

	/* a group that had not met the others forgets what all of it has seen */
	bool		strangers = sim_counter_strangers();

	known_to_all(k, &known);
	for (int w = 0; w < k->n; w++)
	{
		SimWrite   *x = k->write[w];

		if (!sim_set_has(&known, w) || x->decision ||
			sim_set_has(&a->history, w) || excused(k, w, horizon) ||
			(x->deletes && (strangers || !a->there)) ||
			replaced_by(k, &known, w) >= 0 || decided_and_over(k, w) ||
			(sim_set_has(&k->considered, w) && (!a->there || strangers)))
			continue;
		sim_violate("H-lost", "%s of %s is gone; %s serves %s",
					sim_write_text(k, w), sim_key_text(key), a->node->name,
					sim_write_text(k, a->served));
	}
}

/* No value holds what was replaced, by what is known here. */
static void
check_stale(SimHistory *k, int key, const Answer *a)
{
	SimSet		known;

	if (a->served < 0 || a->pending || !sim.cfg.forward)
		return;
	known_to_all(k, &known);
	for (int w = 0; w < k->n; w++)
	{
		int			by;
		bool		with_it = false;

		if (!sim_set_has(&k->write[a->served]->leaves, w) ||
			(by = replaced_by(k, &known, w)) < 0)
			continue;

		/* both may be in it where one had built upon the other */
		for (int i = 0; i < k->n; i++)
			with_it |= i != w && sim_set_has(&k->write[a->served]->leaves, i) &&
				sim_set_has(&k->write[i]->history, w);
		/* a clear is no news for who decided before hearing of it */
		if (!with_it && !sim_set_has(&k->raced, by) &&
			k->write[by]->hlc > sim_horizon(SIM_KEPT) &&
			!sim_history_unaware(k, k->write[a->served], w, by))
			sim_violate("H-stale", "%s serves %s of %s, made of %s, which %s has replaced",
						a->node->name, sim_write_text(k, a->served),
						sim_key_text(key), sim_write_text(k, w),
						sim_write_text(k, by));
	}
}

/* After a clean heal by an island policy */
static void
check_island(SimHistory *k, int key, const Answer *a, int n, uint64 horizon)
{
	int			won = -1;
	int			no = 0;

	if (sim.winners == 0 || sim_set_common(&k->lost, &k->lost) >= 0)
		return;
	/* within the island some may not have had yet what others had */
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		int			had = k->by[i].snap;

		if ((sim.winners >> i & 1) == 0)
			continue;
		if (won < 0 || (had >= 0 && sim_set_has(&k->write[had]->history, won)))
		{
			won = had;
			no = i;
		}
	}
	if (won >= 0 && excused(k, won, horizon))
		return;
	for (int w = 0; w < k->n; w++)
	{
		/* a write of later on */
		if (!k->write[w]->decision && k->write[w]->when >= sim.cfg.clean_heal)
			return;
	}
	sim.stats.islands++;
	for (int i = 0; i < n; i++)
	{
		int			has = a[i].served;
		bool		same = same_value(k, has, won) ||
			(has >= 0 && won >= 0 &&
			 sim_set_equal(&k->write[has]->leaves, &k->write[won]->leaves));

		/* what only the other side changed may be gone: a miss is safe */
		for (int w = 0; w < k->n && !same && has < 0; w++)
			same = won >= 0 && sim_set_has(&k->write[w]->history, won) &&
				(sim.winners >> k->write[w]->node & 1) == 0;
		if (!same)
			sim_violate("H-island", "%s serves %s of %s, but %s of the island that won had %s",
						a[i].node->name, sim_write_text(k, has),
						sim_key_text(key), sim.node[no].name,
						sim_write_text(k, won));
	}
}

void
sim_heal_check_key(int key, uint64 horizon)
{
	SimHistory *k = sim_history(key);
	static Answer a[SIM_MAX_NODES];
	int			n = 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (!active(&sim.node[i]))
			continue;
		ask(k, &sim.node[i], key, &a[n++]);
	}
	if (n == 0)
		return;
	check_equal(k, key, a, n, horizon);
	for (int i = 0; i < n; i++)
	{
		sim_enter(a[i].node);
		check_lost(k, key, &a[i], horizon);
		check_stale(k, key, &a[i]);
	}
	check_island(k, key, a, n, horizon);
}

void
sim_heal_check_decisions(void)
{
	for (int key = 0; key < sim.nkeys && sim.cfg.once; key++)
	{
		SimHistory *k = sim_history(key);

		for (int i = 0; k != NULL && i < k->n; i++)
		{
			for (int j = 0; j < i; j++)
			{
				/* two people may be of two minds */
				if (k->write[i]->decision && k->write[j]->decision &&
					k->write[i]->how != CC_HOW_RESOLVE &&
					k->write[j]->how != CC_HOW_RESOLVE &&
					k->write[i]->how != CC_HOW_HEAL &&
					k->write[j]->how != CC_HOW_HEAL &&
					sim_set_common(&k->write[i]->inputs,
								   &k->write[i]->inputs) >= 0 &&
					sim_set_equal(&k->write[i]->basis, &k->write[j]->basis))
					sim_violate("H-twice", "%s and %s were made from the same of %s",
								sim_write_text(k, i), sim_write_text(k, j),
								sim_key_text(key));
			}
		}
	}
}

/* The side that wins by the island policies, as any node's members say. */
static uint32
winner(void)
{
	int			oldest = -1;
	CcMemberShared *best = NULL;
	int			n[2] = {0, 0};

	if (sim.cfg.on_split != CC_SPLIT_OLDEST_ISLAND &&
		sim.cfg.on_split != CC_SPLIT_LARGEST_ISLAND)
		return 0;
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		CcMemberShared *m = &cc.members->member[i];

		for (int no = 0; no < SIM_MAX_NODES && m->used; no++)
		{
			if (!sim.node[no].exists ||
				sim.node[no].id != sim_oracle_id(&m->id))
				continue;
			n[(sim.cfg.island[1] >> no & 1) != 0]++;
			if (best == NULL || m->joined < best->joined ||
				(m->joined == best->joined && cc_id_cmp(&m->id, &best->id) < 0))
			{
				best = m;
				oldest = no;
			}
		}
	}
	if (oldest < 0)
		return 0;
	if (sim.cfg.on_split == CC_SPLIT_LARGEST_ISLAND && n[0] != n[1])
		return sim.cfg.island[n[1] > n[0]];
	return sim.cfg.island[sim.cfg.island[1] >> oldest & 1];
}

/*
 * Whether all nodes of the two islands say that they are split.  A packet that
 * comes late makes of one split two that are too short to be any.
 */
static bool
all_say_split(void)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		for (int j = 0; j < SIM_MAX_NODES; j++)
		{
			if (!active(&sim.node[i]) || !active(&sim.node[j]) ||
				(sim.cfg.island[1] >> i & 1) == (sim.cfg.island[1] >> j & 1))
				continue;
			sim_enter(&sim.node[i]);
			if (!cc_apart_out_of_reach(&sim.id[sim.node[i].id],
									   &sim.id[sim.node[j].id],
									   pg_atomic_read_u64(&cc.state->hlc)))
				return false;
		}
	}
	return true;
}

void
sim_heal_snap(void)
{
	if (sim.node[0].up)
	{
		sim_enter(&sim.node[0]);
		sim.winners = winner();
		if (sim.winners != 0 && !all_say_split())
			sim.winners = 0;
	}
	for (int key = 0; key < sim.nkeys; key++)
	{
		SimHistory *k = sim_history(key);

		for (int i = 0; i < SIM_MAX_NODES && k != NULL; i++)
		{
			CcHeaderShared *h;
			CcEntry		e;

			k->by[i].snap = -1;
			if (!active(&sim.node[i]) ||
				(h = sim_served(&sim.node[i], key)) == NULL)
				continue;
			cc_store_describe(h, &e);
			k->by[i].snap = sim_history_find(k, &sim.node[i], &e);
		}
	}
	sim_enter(NULL);
}
