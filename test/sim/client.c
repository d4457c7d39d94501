/*-------------------------------------------------------------------------
 *
 * client.c
 *	  What users do: one operation is one fiber.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

const char *const sim_sort_name[SIM_NSORTS] = {"default", "unsaved", "local",
	"kept"};

/* Keys take turns; the most used one is saved, and so are pure counters. */
SimSort
sim_client_sort(int no)
{
	if (no >= sim.cfg.keys)
		return SIM_SAVED;
	if (sim.cfg.kept == 2 || (sim.cfg.kept == 1 && no % 2 == 0))
		return SIM_KEPT;
	return sim.cfg.sorts ? (SimSort) (no % SIM_KEPT) : SIM_SAVED;
}

uint16
sim_client_namespace(void)
{
	uint16		ns = cc_state_namespace("postgres", "default");
	CcNamespaceShared *n = cc_namespace(ns);

	pg_atomic_write_u64(&n->max_chunks, sim.cfg.bound);
	if (sim.cfg.bound_from != 0 && pg_atomic_read_u32(&n->own_list) == 0 &&
		(sim.cfg.bound_from == 1 || sim.now > sim.cfg.end / 2))
	{
		/* as cache/namespace.c does */
		pg_atomic_write_u32(&cc.state->nown_lists, 1);
		pg_atomic_write_u64(&n->own_settled,
							pg_atomic_read_u64(&cc.state->sweep_cycle) + 2);
		pg_atomic_write_u32(&n->own_list, CC_LIST_OWN);
	}
	return ns;
}

uint16
sim_client_data(SimSort sort)
{
	if (sort == SIM_SAVED)
		return sim_client_namespace();
	return cc_state_namespace("postgres", sim_sort_name[sort]);
}

/*
 * cache_namespace, as users do before they write; false: not now.  Several
 * nodes may declare the same at once.
 */
bool
sim_client_declare(uint16 ns, SimSort sort)
{
	CcDeclaration d;
	uint64		pos;
	CcResult	result;

	if (sort == SIM_SAVED || cc_namespace_has(ns, CC_NS_DECLARED))
		return true;
	cc_namespace_defaults(ns, &d);
	d.persist = sort != SIM_UNSAVED;
	d.replicate = sort != SIM_LOCAL;
	if (sort == SIM_KEPT)
		d.on_split = sim.cfg.on_split;
	result = cc_namespace_store(ns, &d, &pos);
	return result == CC_DONE || result == CC_UNCHANGED;
}

uint16
sim_client_key(int no, char *key)
{
	/* the smallest floor takes c1:... for k0, which is deleted now and then */
	if (no >= sim.cfg.keys)
		return (uint16) sprintf(key, no == sim.cfg.keys ? "c0" : "c1:4244115");
	return (uint16) sprintf(key, "k%d", no);
}

static int
key_number(uint16 ns, int no)
{
	char		key[16];
	uint16		len = sim_client_key(no, key);
	uint64		hash[2];

	cc_store_hash(ns, key, len, hash);
	return sim_oracle_key(hash[0], ns, key, len);
}

bool
sim_client_ready(void)
{
	CcPhase		phase = cc_state_phase();

	return phase == CC_JOINING || phase == CC_PENDING || phase == CC_READY;
}

/* A text that tells which action wrote it, of the action's length */
static uint32
make_value(const SimAction *a, char *value)
{
	uint32		len = (uint32) sprintf(value, "v%d:", a->id);
	uint32		want = 0;

	/* what can be counted on from */
	if (sim.cfg.mixed && sim_client_sort(a->other) != SIM_KEPT && sim_below(2, SIM_U_VALUE, a->id, 3, 0) == 0)
		return (uint32) sprintf(value, "%d", a->id * 1000);
	if (sim_below(4, SIM_U_VALUE, a->id, 0, 0) == 0)
		want = sim_below(sim.cfg.value_max, SIM_U_VALUE, a->id, 1, 0);
	while (len < want)
	{
		value[len] = (char) ('a' + (a->id + len) % 26);
		len++;
	}
	return len;
}

/* The journal has it, and says so (setting always: the disk has it) */
static void
note_journaled(SimNode *node, int key, uint64 pos, uint64 hlc)
{
	SimVersion	v = node->ghost[key];
	uint32		step;
	int			origin = sim_counter_step(node, key, &step);

	cc_cache_wait_journal(pos, sim.cfg.sync == CC_SYNC_ALWAYS);
	if (pg_atomic_read_u32(&cc.state->journal_failed) != 0 ||
		cc_state_phase() == CC_CLOSED || !cc.state->persist ||
		pg_atomic_read_u64(&cc.state->journaled) <= pos)
		return;
	if (sim_history(key) != NULL)
		sim_history_journaled(node, key, hlc,
							  pg_atomic_read_u64(&cc.state->synced) > pos);
	if (v.hlc != hlc)
		return;					/* somebody was faster */
	sim_counter_journaled(node, key, origin, step,
						  pg_atomic_read_u64(&cc.state->synced) > pos);
	if (sim_version_cmp(&node->journaled[key], &v) < 0)
		node->journaled[key] = v;
	if (pg_atomic_read_u64(&cc.state->synced) > pos &&
		sim_version_cmp(&node->synced[key], &v) < 0)
		node->synced[key] = v;
}

static void
change(SimNode *node, const SimAction *a)
{
	char		name[16];
	char		value[4096];
	SimSort		sort = sim_client_sort(a->other);
	CcChange	c = {.ns = sim_client_data(sort)};
	CcOutcome	o;
	int			key = key_number(c.ns, a->other);

	if (!sim_client_declare(c.ns, sort))
		return;
	c.key = name;
	c.keylen = sim_client_key(a->other, name);
	c.type = CC_TEXT;
	c.ttl_ms = a->arg;
	switch (a->kind)
	{
		case SIM_PUT:
			c.op = CC_OP_PUT;
			c.value = value;
			c.vallen = make_value(a, value);
			break;
		case SIM_DELETE:
			c.op = CC_OP_DELETE;
			break;
		case SIM_TOUCH:
			c.op = CC_OP_TOUCH;
			break;
		default:
			c.op = CC_OP_INCR;
			c.by = 1;
			break;
	}
	if (cc_cache_change(&c, &o) == CC_DONE && o.pos != 0 &&
		sort != SIM_UNSAVED &&
		sim_below(2, SIM_U_VALUE, a->id, 2, 0) == 0)
		note_journaled(node, key, o.pos, o.hlc);
}

static void
read_key(SimNode *node, int no)
{
	uint16		ns = sim_client_data(sim_client_sort(no));
	int			key = key_number(ns, no);
	char		name[16];
	uint16		len = sim_client_key(no, name);
	SimRead		r;
	CcEntry		e;
	CcBuf		buf;
	bool		hit;

	cc_buf_init(&buf);
	sim_check_read_begin(node, key, &r);
	hit = cc_cache_get(ns, name, len, &e, &buf);
	sim_check_read_end(node, &r, hit ? &e : NULL);
	cc_buf_free(&buf);
}

/* cache_join */
static void
add_seed(const char *name)
{
	char	   *seeds = cc.state->seeds;

	cc_lock_exclusive(&cc.state->lock);
	if (strlen(seeds) + strlen(name) + 2 < CC_SEEDS_LEN)
	{
		if (seeds[0] != '\0')
			strcat(seeds, ";");
		strcat(seeds, name);
		pg_atomic_fetch_add_u32(&cc.state->seeds_version, 1);
	}
	cc_unlock(&cc.state->lock);
	cc_wake_writer();
	cc_wake_replicator();
}

/* cache_forget */
static void
forget(SimNode *node, SimNode *other)
{
	CcNodeId	id;
	int			slot;

	if (other->id < 0 || other->id == node->id)
		return;
	id = sim.id[other->id];
	slot = cc_membership_find(&id);
	if (slot < 0 || cc_membership_count(NULL) < 2)
		return;
	sim_trace("FORGETS MEMBER %s", other->name);
	if (cc_membership_forget(&id))
		cc_cache_wait_journal(cc_changelog_allocated() - 1, true);
}

static void
stray_main(void *arg)
{
	CcNodeId   *id = arg;

	if (cc_membership_forget(id))
		cc_cache_wait_journal(cc_changelog_allocated() - 1, true);
}

void
sim_client_forget_stray(SimNode *node, const CcMemberShared *m)
{
	int			id = sim_oracle_id(&m->id);
	CcNodeId   *copy;

	if (!m->used || m->removed || m->self)
		return;
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && !sim.node[i].removed && sim.node[i].id == id)
			return;
	}
	copy = sim_memory(sizeof(CcNodeId));
	*copy = m->id;
	sim_trace("forgets a stray member");
	sim_fiber_start(node, "client", UINT64CONST(1) << 32 | id, stray_main, copy);
}

static void
clear(const SimAction *a)
{
	SimSort		sort = SIM_SAVED;
	uint16		ns;

	if (sim.cfg.sorts)
		sort = (SimSort) sim_below(SIM_KEPT, SIM_U_VALUE, a->id, 3, 0);
	if (sim.cfg.kept == 2 || (sim.cfg.kept == 1 &&
							  sim_below(2, SIM_U_VALUE, a->id, 4, 0) == 0))
		sort = SIM_KEPT;
	ns = sim_client_data(sort);
	if (!sim_client_declare(ns, sort))
		return;
	for (int key = 0; key < sim.nkeys; key++)
		sim_counter_lost(key, "cleared");
	cc_cache_clear(ns);
}

static void
operate(void *arg)
{
	const SimAction *a = arg;
	SimNode    *node = &sim.node[a->node];

	switch (a->kind)
	{
		case SIM_READ:
			read_key(node, a->other);
			break;
		case SIM_CLEAR:
			clear(a);
			break;
		case SIM_MEET:
			add_seed(sim.node[a->other].name);
			break;
		case SIM_FORGET:
			forget(node, &sim.node[a->other]);
			break;
		case SIM_DECLARE:
			(void) sim_client_declare(sim_client_data(SIM_KEPT), SIM_KEPT);
			break;
		case SIM_RESOLVE:
		case SIM_WINNER:
		case SIM_RETRY:
		case SIM_POLICY:
			sim_people_act(node, a);
			break;
		default:
			change(node, a);
	}
}

static void
client_main(void *arg)
{
	const SimAction *a = arg;
	SimNode    *node = &sim.node[a->node];

	if (!sim_client_ready() || node->nclients >= sim.cfg.clients)
		return;
	node->nclients++;
	(void) sim_try(operate, arg);
	node->nclients--;
}

void
sim_client_start(SimNode *node, const SimAction *a)
{
	if (node->up)
		sim_fiber_start(node, "client", a->id, client_main, (void *) a);
}

/* Looks at everything now and then. */
static void
reader_main(void *arg)
{
	SimNode    *node = arg;

	for (;;)
	{
		sim_sleep(SIM_MS(sim.quiet ? 500 : 100) + sim_draw_time(SIM_MS(300)));
		if (!sim_client_ready())
			continue;
		for (int i = 0; i < sim.cfg.keys + sim.cfg.counters; i++)
			read_key(node, i);
	}
}

void
sim_client_reader(SimNode *node)
{
	sim_fiber_start(node, "reader", node->life, reader_main, node);
}
