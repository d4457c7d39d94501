/*-------------------------------------------------------------------------
 *
 * history.c
 *	  See history.h: what was written after what, and what must hold of it at
 *	  every step.
 *
 * Kinds of violations, beside those of check.c that mean the same here:
 *	H-state		a state that cannot be, or is malformed
 *	H-inputs	a resolution is over other originals than it was made from
 *	H-resurrect	a write is taken that something had replaced here
 *	H-backwards	a write is served that was replaced by what was served before
 *	H-double	a user's write is in a value twice
 *	H-remerge	a decision merges a value with one that has replaced it
 *	H-manual	a conflict that is for people was decided without them
 *	H-unfounded	a value that is made of nothing that was there
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

#include "cache/extra.h"

/* All values of a key's originals together */
#define STATE_MAX		(CC_MAX_ORIGINALS * 5000)
#define MAX_LEAVES		64

static SimHistory *history[SIM_MAX_KEYS];

void
sim_history_reset(void)
{
	memset(history, 0, sizeof(history));
}

SimHistory *
sim_history(int key)
{
	if (sim.key_system[key] || sim.key_sort[key] != SIM_KEPT)
		return NULL;
	if (history[key] == NULL)
	{
		history[key] = sim_memory(sizeof(SimHistory));
		for (int i = 0; i < SIM_MAX_NODES; i++)
			history[key]->by[i].snap = -1;
	}
	return history[key];
}

const char *
sim_write_text(SimHistory *k, int w)
{
	static char text[8][96];
	static int	n;
	char	   *t = text[n++ % 8];
	SimWrite   *x;

	if (w < 0)
		return "nothing";
	x = k->write[w];
	if (x->id >= 0)
		snprintf(t, 96, "%s v%d of hlc %s", sim.node[x->node].name, x->id,
				 sim_hlc_text(x->hlc));
	else
		snprintf(t, 96, "%s %s of hlc %s", sim.node[x->node].name,
				 x->decision ? "decision" : "delete", sim_hlc_text(x->hlc));
	return t;
}

/* ---- states ---- */

static char value_room[2][STATE_MAX];

/*
 * Reads an entry that is about to be stored; where it has no value at hand it
 * keeps the one that is stored.
 */
static void
parse(const CcEntry *e, CcKeyState *ks, char *room)
{
	CcEntry		c = *e;

	if (c.vallen > 0 && (c.tail != NULL || c.block != NULL))
	{
		uint32		block = c.block == NULL ? 0 : cc_extra_len(c.type, c.flags);
		uint32		own = c.vallen - c.taillen - block;

		if (block > 0)
			memcpy(room, c.block, block);
		if (own > 0)
			memcpy(room + block, c.value, own);
		if (c.taillen > 0)
			memcpy(room + block + own, c.tail, c.taillen);
		c.value = room;
		c.block = c.tail = NULL;
		c.taillen = 0;
	}
	else if (c.vallen > 0 && c.value == NULL)
	{
		CcHeaderShared *h = sim_stored(e->hash);

		if (h == NULL || h->vallen != c.vallen || h->vallen > STATE_MAX)
			sim_violate("H-state", "%s keeps a value that is not there",
						sim.here->name);
		cc_store_copy_value(cc_store_partition_of(e->hash), h, room);
		c.value = room;
	}
	if (!cc_siblings_parse(&c, ks))
		sim_violate("H-state", "%s has a malformed state of %s", sim.here->name,
					sim_key_text(sim_oracle_key(e->hash, e->ns, e->key,
												e->keylen)));
}

static bool
parse_stored(uint64 hash, CcKeyState *ks)
{
	CcHeaderShared *h = sim_stored(hash);
	CcEntry		e;

	if (h == NULL)
		return false;
	cc_store_describe(h, &e);
	e.value = NULL;
	parse(&e, ks, value_room[1]);
	return true;
}

bool
sim_history_stored(int key, CcKeyState *ks)
{
	return parse_stored(sim_key_hash(key), ks);
}

int
sim_history_members(const CcKeyState *ks,
					const CcEntry *out[CC_MAX_ORIGINALS + 1])
{
	int			n = 0;

	for (; n < ks->n; n++)
		out[n] = &ks->original[n];
	if (ks->resolved)
		out[n++] = &ks->resolution;
	return n;
}

static int
find_version(SimHistory *k, uint64 hlc, int writer)
{
	for (int i = k->n - 1; i >= 0; i--)
	{
		if (k->write[i]->hlc == hlc && k->write[i]->writer == writer)
			return i;
	}
	return -1;
}

int
sim_history_find(SimHistory *k, SimNode *node, const CcEntry *e)
{
	return find_version(k, e->hlc,
						sim.origin[sim_oracle_origin(node, e->writer)].id);
}

/* The same, of what must be there. */
static int
known(SimHistory *k, SimNode *node, const CcEntry *e)
{
	int			w = sim_history_find(k, node, e);

	if (w < 0)
		sim_violate("unknown", "%s handles hlc %s, which was never written",
					node->name, sim_hlc_text(e->hlc));
	return w;
}

void
sim_history_of_state(SimHistory *k, SimNode *node, const CcKeyState *ks,
					 SimSet *out)
{
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n = sim_history_members(ks, m);

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < n; i++)
	{
		int			w = sim_history_find(k, node, m[i]);

		if (w >= 0)
			sim_set_join(out, &k->write[w]->history);
	}
}

static void
trace_state(SimHistory *k, SimNode *node, const char *what, int key,
			const CcKeyState *ks)
{
	char		text[600] = "";
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n = sim_history_members(ks, m);

	if (!sim.tracing)
		return;
	for (int i = 0; i < n && strlen(text) < 420; i++)
	{
		int			w = sim_history_find(k, node, m[i]);
		Size		len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s (%s%s)%s",
				 i == 0 ? "" : m[i] == &ks->resolution ? " => " : " | ",
				 sim_dot_text(sim_oracle_origin(node, m[i]->origin), m[i]->seq),
				 w < 0 ? "new" : sim_write_text(k, w),
				 m[i]->type == CC_STUB ? ", stub" : "",
				 !ks->resolved && n > 1 && i == ks->served ? "*" : "");
	}
	for (int i = 0; i < ks->ninputs && strlen(text) < 540; i++)
	{
		Size		len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%.2s %s",
				 i == 0 ? "} over {" : ", ",
				 sim_dot_text(sim_oracle_origin(node, ks->input[i].writer), 0),
				 sim_hlc_text(ks->input[i].hlc));
	}
	sim_trace("%s %s {%s}%s", what, sim_key_text(key), text,
			  ks->asked ? " asked" : "");
}

/* ---- writes ---- */

/* The numbers that stand in a value. */
static int
leaf_ids(const CcEntry *e, int ids[MAX_LEAVES])
{
	const char *p = e->value;
	const char *end = p + e->vallen;
	int			n = 0;

	if (e->type != CC_TEXT || e->value == NULL)
		return 0;
	while (p < end && *p == 'v' && n < MAX_LEAVES)
	{
		int			id = 0;
		const char *q = p + 1;

		while (q < end && *q >= '0' && *q <= '9')
			id = id * 10 + (*q++ - '0');
		if (q == p + 1 || q == end || *q != ':')
			break;
		ids[n++] = id;
		p = q + 1;
	}
	return n;
}

static int
find_id(SimHistory *k, int id)
{
	for (int i = 0; i < k->n; i++)
	{
		if (k->write[i]->id == id)
			return i;
	}
	return -1;
}

static void
set_leaves(SimHistory *k, SimNode *node, int key, SimWrite *x, int w,
		   const CcEntry *e)
{
	int			ids[MAX_LEAVES];
	int			n = leaf_ids(e, ids);

	if (!x->decision)
	{
		x->id = n == 1 ? ids[0] : -1;
		sim_set_add(&x->leaves, w);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		int			leaf = find_id(k, ids[i]);

		if (leaf < 0)
			sim_violate("H-unfounded", "%s decides %s with v%d, which nobody wrote",
						node->name, sim_key_text(key), ids[i]);
		if (sim_set_has(&x->leaves, leaf))
			sim_violate("H-double", "%s decides %s with v%d in it twice",
						node->name, sim_key_text(key), ids[i]);
		sim_set_add(&x->leaves, leaf);
	}
}

/*
 * Whether by tells of having replaced w, and not only by what was made where
 * conflicts were not kept.
 */
static bool
proves(SimHistory *k, int by, int w)
{
	if (!sim_set_has(&k->write[by]->history, w))
		return false;
	for (int i = 0; i < k->n; i++)
	{
		if (i != w && k->write[i]->loose &&
			sim_set_has(&k->write[by]->history, i) &&
			sim_set_has(&k->write[i]->history, w))
			return false;
	}
	return true;
}

/*
 * PROTOCOL.md, section 8: where VVs were lost, or memory has forgotten what it
 * still needed, a value may be merged with one of its own inputs.
 */
static bool
is_exact(SimHistory *k)
{
	return sim.stats.crashes == 0 &&
		sim_set_common(&k->forgotten, &k->forgotten) < 0 &&
		sim_set_common(&k->lost, &k->lost) < 0;
}

/* What a decision was made from, and that it may be. */
static void
set_inputs(SimHistory *k, SimNode *node, int key, SimWrite *x,
		   const CcKeyState *ks)
{
	for (int i = 0; i < ks->n && ks->resolved; i++)
	{
		int			w = known(k, node, &ks->original[i]);

		sim_set_add(&x->inputs, w);
		/* a delete that was merged is in the value, too, though unseen */
		for (int d = 0; d < k->n && x->how == CC_HOW_MERGE; d++)
		{
			if (k->write[d]->deletes && !k->write[d]->decision &&
				sim_set_has(&k->write[w]->leaves, d))
				sim_set_add(&x->leaves, d);
		}
		sim_set_join(&x->basis, &k->write[w]->leaves);
	}
	for (int i = 0; i < k->n; i++)
	{
		for (int j = 0; j < k->n && x->how == CC_HOW_MERGE && is_exact(k); j++)
		{
			int			leaf;

			if (i == j || !sim_set_has(&x->inputs, i) ||
				!sim_set_has(&x->inputs, j))
				continue;
			leaf = sim_set_common(&k->write[i]->leaves, &k->write[j]->history);
			if (leaf >= 0 && proves(k, j, leaf))
				sim_violate("H-remerge", "%s merges %s of %s with %s, which has replaced %s",
							node->name, sim_key_text(key), sim_write_text(k, i),
							sim_write_text(k, j), sim_write_text(k, leaf));
		}
	}
}

/* A write that is new to all; before: what its node held of the key. */
static void
add_write(SimHistory *k, SimNode *node, int key, const CcEntry *e,
		  const CcKeyState *after, const CcKeyState *before)
{
	SimWrite   *x;
	SimSet		set;
	int			w = k->n++;

	if (w == SIM_MAX_WRITES)
		sim_violate("limit", "more than %d writes of a key", SIM_MAX_WRITES);
	x = k->write[w] = sim_memory(sizeof(SimWrite));
	x->hlc = e->hlc;
	x->writer = sim.origin[sim_oracle_origin(node, e->writer)].id;
	x->node = node->no;
	x->when = sim.now;
	x->id = -1;
	x->deletes = e->type == CC_STUB;
	x->origin = sim_oracle_origin(node, e->origin);
	x->seq = e->seq;
	x->loose = !cc_namespace_has(e->ns, CC_NS_KEEPS);
	x->decision = e == &after->resolution || !sim_user_runs();
	x->how = after->how;
	x->horizon = sim_horizon(SIM_KEPT);
	set_leaves(k, node, key, x, w, e);
	if (x->decision)
		set_inputs(k, node, key, x, after);
	for (int i = 0; i < w; i++)
	{
		if (sim_set_has(&x->inputs, i) && k->write[i]->decision)
			x->horizon = Min(x->horizon, k->write[i]->horizon);
	}
	sim_set_join(&x->history, &k->by[node->no].seen);
	if (before->n > 0)
	{
		sim_history_of_state(k, node, before, &set);
		sim_set_join(&x->history, &set);
	}
	if (x->decision)
		sim_set_join(&k->considered, &x->history);
	sim.stats.decided += x->decision;
	sim.stats.settled += !x->decision && cc_siblings_pending(before);
	if (x->decision && sim.cfg.on_split == CC_SPLIT_MANUAL &&
		!sim.cfg.policy_changes && !x->deletes &&
		x->how != CC_HOW_RESOLVE && x->how != CC_HOW_HEAL)
		sim_violate("H-manual", "%s decides %s, which is for people",
					node->name, sim_key_text(key));
	for (int i = 0; i < w; i++)
	{
		if (sim_set_has(&x->history, i) && k->write[i]->hlc >= x->hlc)
			sim_violate("P2-write", "%s writes %s with hlc %s, but had taken hlc %s",
						node->name, sim_key_text(key), sim_hlc_text(x->hlc),
						sim_hlc_text(k->write[i]->hlc));
	}
	/* what it was cleared of it is after, too */
	for (int i = 0; i < w; i++)
	{
		if (k->write[i]->hlc <= sim_horizon(SIM_KEPT))
			sim_set_add(&x->history, i);
	}
	sim_set_add(&x->history, w);
}

/* A dot of ours for a member of the state. */
static void
add_dot(SimHistory *k, SimNode *node, int key, const CcEntry *e)
{
	int			origin = sim_oracle_origin(node, e->origin);
	int			w = known(k, node, e);
	SimDot	   *d = sim_oracle_add(origin, e->seq);

	if (e->origin != cc_state_self())
		sim_violate("I0", "%s gives the dot %s of somebody else", node->name,
					sim_dot_text(origin, e->seq));
	d->key = key;
	sim_oracle_version(node, e, &d->version);
	d->expires = e->expires;
	d->value = sim_oracle_value(e->type, e->flags, e->value, e->vallen);
	d->taken = 1u << node->no;
	if (e->expires != 0 && (k->write[w]->over == 0 ||
							e->expires < k->write[w]->over))
		k->write[w]->over = e->expires;
}

/* ---- what the checkers of check.c hand on ---- */

/* What all have lost in crashes nobody has. */
bool
sim_history_anybody_has(SimHistory *k, int w)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && !sim.node[i].removed &&
			sim_set_has(&k->by[i].seen, w))
			return true;
	}
	return false;
}

/* The node holds this state from now on; before: what it did. */
static void
hold(SimHistory *k, SimNode *node, int key, const CcKeyState *ks)
{
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n = sim_history_members(ks, m);
	SimSet		all;

	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (known(k, node, m[i]) == known(k, node, m[j]))
				sim_violate("H-state", "%s holds %s of %s twice", node->name,
							sim_write_text(k, known(k, node, m[i])),
							sim_key_text(key));
		}
		sim_oracle_known(sim_oracle_origin(node, m[i]->origin),
						 m[i]->seq)->taken |= 1u << node->no;
	}
	if (ks->resolved)
	{
		SimWrite   *x = k->write[known(k, node, &ks->resolution)];

		for (int i = 0; i < ks->n; i++)
		{
			int			w = known(k, node, &ks->original[i]);

			if (x->decision && !sim_set_has(&x->inputs, w))
				sim_violate("H-inputs", "%s holds %s over %s of %s, from which it was not made",
							node->name, sim_write_text(k, known(k, node, &ks->resolution)),
							sim_write_text(k, w), sim_key_text(key));
		}
	}
	sim_history_of_state(k, node, ks, &all);
	sim_set_join(&k->by[node->no].seen, &all);

	/* its context says of others, too, that they were replaced */
	for (int i = 0; i < ks->ninputs; i++)
	{
		int			writer = sim.origin[sim_oracle_origin(node, ks->input[i].writer)].id;

		for (int w = 0; w < k->n; w++)
		{
			if (k->write[w]->writer == writer &&
				k->write[w]->hlc <= ks->input[i].hlc &&
				sim_history_anybody_has(k, w))
				sim_set_add(&k->by[node->no].seen, w);
		}
	}
}

void
sim_history_written(SimNode *node, int key, const CcEntry *e)
{
	static CcKeyState after;
	static CcKeyState before;
	SimHistory *k = sim_history(key);
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n;
	int			fresh = 0;

	parse(e, &after, value_room[0]);
	if (!parse_stored(e->hash, &before))
		before.n = 0;
	n = sim_history_members(&after, m);
	for (int i = 0; i < n; i++)
	{
		if (sim_oracle_find(sim_oracle_origin(node, m[i]->origin),
							m[i]->seq) != NULL)
			continue;
		if (sim_history_find(k, node, m[i]) < 0)
			add_write(k, node, key, m[i], &after, &before);
		add_dot(k, node, key, m[i]);
		fresh++;
	}
	trace_state(k, node, "writes", key, &after);
	/* a dot of ours that names nothing makes it travel (PROTOCOL.md, ask) */
	for (int i = 0; i < after.ncontext; i++)
		fresh += after.context[i].origin == cc_state_self();
	if (fresh == 0)
		sim_violate("I0", "%s writes %s, but with no new dot", node->name,
					sim_key_text(key));
	hold(k, node, key, &after);
}

/*
 * After a crash has taken from a node what replaced an entry, the older one that
 * it still has may be touched there or named anew (PROTOCOL.md, orphans, retire):
 * by that dot nobody has seen it.
 */
static bool
named_anew(SimHistory *k, SimNode *node, int w, const CcEntry *e, int by)
{
	return sim_set_has(&k->crashed, by) &&
		(e->seq != k->write[w]->seq ||
		 sim_oracle_origin(node, e->origin) != k->write[w]->origin);
}

/* Nothing comes in that something here had replaced. */
static void
check_not_replaced(SimHistory *k, SimNode *node, int key, int w,
				   const CcEntry *e)
{
	SimSeen    *s = &k->by[node->no];

	/* what was written while nothing was kept tells of nothing it replaced */
	if (e->type == CC_STUB || !sim_set_has(&s->seen, w) ||
		sim.cfg.policy_changes)
		return;
	for (int i = 0; i < k->n; i++)
	{
		if (i != w && sim_set_has(&s->seen, i) && !k->write[i]->decision &&
			proves(k, i, w) && !named_anew(k, node, w, e, i))
			sim_violate("H-resurrect", "%s takes %s of %s, although it had taken %s, which has replaced it",
						node->name, sim_write_text(k, w), sim_key_text(key),
						sim_write_text(k, i));
	}
}

void
sim_history_taken(SimNode *node, int key, const CcEntry *e)
{
	static CcKeyState after;
	static CcKeyState before;
	SimHistory *k = sim_history(key);
	const CcEntry *m[CC_MAX_ORIGINALS + 1];
	int			n;
	SimSet		had = {{0}};

	parse(e, &after, value_room[0]);
	if (parse_stored(e->hash, &before))
	{
		const CcEntry *b[CC_MAX_ORIGINALS + 1];

		n = sim_history_members(&before, b);
		for (int i = 0; i < n; i++)
			sim_set_add(&had, known(k, node, b[i]));
	}
	trace_state(k, node, "takes", key, &after);
	n = sim_history_members(&after, m);
	for (int i = 0; i < n; i++)
	{
		int			origin = sim_oracle_origin(node, m[i]->origin);
		int			w = known(k, node, m[i]);
		SimVersion	v;

		sim_oracle_version(node, m[i], &v);
		sim_check_same("takes", m[i], origin,
					   sim_oracle_known(origin, m[i]->seq), &v);
		if (!sim_set_has(&had, w))
			check_not_replaced(k, node, key, w, m[i]);
	}
	hold(k, node, key, &after);
}

/*
 * Something of a key goes.  What has been seen by all that a node knows of may be
 * news to others, where it has just been taken into a group and does not know
 * its members yet.
 */
void
sim_history_gone(SimNode *node, int key, const CcEntry *e)
{
	static CcKeyState ks;
	SimHistory *k = sim_history(key);
	int			w = sim_history_find(k, node, e);
	CcHeaderShared *h = sim_stored(sim_key_hash(key));
	SimSet		all = {{0}};

	if (w >= 0)
		all = k->write[w]->history;
	if (h != NULL && h->origin == e->origin && h->seq == e->seq)
	{
		SimSet		state;

		parse_stored(h->hash, &ks);
		sim_history_of_state(k, node, &ks, &state);
		sim_set_join(&all, &state);
	}
	if (e->type != CC_STUB)
		sim_set_join(&k->lost, &all);
	else if (!cc_state_stable(e->origin, e->seq) || cc.members->nmembers <= 1)
		sim_set_join(&k->forgotten, &all);
	else
		sim_set_join(&k->stable, &all);
}

void
sim_history_raced(SimNode *node, int key, const CcEntry *e)
{
	SimHistory *k = sim_history(key);
	int			w = known(k, node, e);

	sim_trace("drops %s of %s , which lost a race", sim_write_text(k, w),
			  sim_key_text(key));
	sim_set_join(&k->raced, &k->write[w]->history);
	sim_set_join(&k->by[node->no].seen, &k->write[w]->history);
}

/* What is served; e NULL: nothing. */
void
sim_history_read(SimNode *node, int key, const CcEntry *e)
{
	SimHistory *k = sim_history(key);
	SimSeen    *s = &k->by[node->no];
	SimWrite   *x = k->write[known(k, node, e)];

	for (int a = 0; a < k->n && sim.cfg.forward; a++)
	{
		if (!sim_set_has(&x->leaves, a) || sim_set_has(&s->shown, a))
			continue;
		for (int b = 0; b < k->n; b++)
		{
			if (sim_set_has(&s->shown, b) &&
				k->write[b]->hlc > sim_horizon(SIM_KEPT) &&
				!sim_set_has(&k->raced, b) &&
				sim_set_has(&k->write[b]->history, a) &&
				!sim_history_unaware(k, x, a, b))
				sim_violate("H-backwards", "%s serves %s of %s, but had served %s, which has replaced it",
							node->name, sim_write_text(k, a),
							sim_key_text(key), sim_write_text(k, b));
		}
	}
	s->shown = x->leaves;
}
