/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  What a seed draws, and how a run goes.
 *
 * A run: the nodes start and meet; then the actions, writes and faults, each
 * at its time; then quiescence, when links come up, servers start and nobody
 * writes, until nothing is left to be done; then the last checks.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

/* Until the first action the nodes have time to meet */
#define FIRST_ACTION	SIM_MS(1200)

/* How long the end may take */
#define LONGEST_END		SIM_MS(90000)

static const char *const action_names[SIM_NACTIONS] = {
	"put", "delete", "touch", "read", "incr", "clear",
	"cut", "cut one way", "mend", "isolate", "mend all", "reset",
	"crash", "power", "stop", "crash all", "join", "meet",
	"forget", "clock", "stall", "disk full", "rot", "roll back",
	"sweep"
};

const char *
sim_action_name(SimActionKind kind)
{
	return action_names[kind];
}

/* ---- what a seed draws ---- */

static uint64 stream;

static uint64
next_draw(void)
{
	return sim_hash(SIM_U_ACTIONS, stream++, 0, 0);
}

static int
below(int n)
{
	return (int) (next_draw() % (uint64) n);
}

static double
unit(void)
{
	return (next_draw() >> 11) * (1.0 / (UINT64CONST(1) << 53));
}

/* One of the values, by the seed and the place of the draw in the code */
#define DRAW(...) \
	(((const int64[]) {__VA_ARGS__})[sim_below(lengthof(((const int64[]) {__VA_ARGS__})), \
											   SIM_U_CONFIG, __LINE__, 0, 0)])

static void
draw_config(void)
{
	SimConfig  *c = &sim.cfg;
	int			memory;
	uint32		chunks;

	memset(c, 0, sizeof(*c));
	c->nodes = (int) DRAW(2, 3, 3, 4, 4, 5);
	c->keys = (int) DRAW(2, 3, 4, 5, 6);
	c->value_max = 200;
	c->partitions = (uint32) DRAW(1, 2, 4);
	/* more than twice the processes that write at once */
	c->ring = (uint32) DRAW(32, 64, 1024);
	if (c->ring == 32 && c->nodes > 3)
		c->ring = 64;
	c->clients = c->ring == 32 ? 5 : 12;
	c->floor_generations = (uint32) DRAW(1, 1, 2, 4);
	c->floor_bits = (uint32) DRAW(64, 64, 256, 1024);

	/* plenty; few entries; few stubs */
	memory = (int) DRAW(0, 1, 2);
	chunks = 160;
	if (memory == 1)
	{
		chunks = (uint32) DRAW(40, 48, 64);
		c->keys += 4;
		c->value_max = 1200;
	}
	else if (memory == 2)
	{
		chunks = (uint32) DRAW(32, 40);
		c->keys += 3;
		c->value_max = 60;
	}
	c->store_bytes = sim_store_bytes(c->partitions, chunks);

	c->end = SIM_MS(DRAW(3000, 6000, 10000));
	c->nactions = 20 + (int) sim_below(120, SIM_U_CONFIG, 1, 0, 0);
	c->skew_ms = DRAW(0, 300, 1200);
	c->max_skew_ms = 1500;
	c->latency = SIM_MS(DRAW(10, 50, 200));
	c->latency_tail = (double) DRAW(2, 15) / 100;
	c->disk_latency = SIM_MS(DRAW(1, 10, 150));
	c->sync = (CcJournalSync) DRAW(CC_SYNC_OFF, CC_SYNC_EVERYSEC, CC_SYNC_ALWAYS);
	c->heartbeat_ms = 250;
	c->peer_timeout_ms = DRAW(800, 2000);
	c->startup_timeout_ms = 1500;
	c->batch_bytes = (Size) DRAW(1000, 4000, 16000);
	c->writer_lazy = DRAW(0, 1);
	c->writer_pause = SIM_MS(DRAW(200, 800, 3000));
	c->sweep_pause = SIM_MS(DRAW(150, 400));
	c->writer_stall = (double) DRAW(0, 5, 30) / 100;
	/* seldom and long, or often and short: about 0.1 ms at each place */
	c->yield_max = DRAW(0, 200, 5000, 50000);
	c->yield_odds = c->yield_max == 0 ? 0 :
		(uint32) Min(6000, 65536 * INT64CONST(200) / c->yield_max);
	c->errors = (double) DRAW(0, 0, 1) / 500;
	c->groups = 1;
	if (sim_unit(SIM_U_CONFIG, 2, 0, 0) < 0.25)
	{
		c->groups = 2;
		c->first_group = 1 + (int) sim_below(c->nodes - 1, SIM_U_CONFIG, 3, 0, 0);
	}
	c->partial_end = sim_unit(SIM_U_CONFIG, 4, 0, 0) < 0.2;
	c->persist = true;

	/* so that a run sees many blocks, and snapshots in pieces */
	cc_files_limits.block_bytes = (Size) DRAW(200, 1000, 100000);
	cc_files_limits.piece_bytes = (uint64) DRAW(300, 2000);
	cc_files_limits.piece_buckets = (uint32) DRAW(6, 100);
	cc_files_limits.snapshot_bytes = (uint64) DRAW(1500, 6000, 100000);
}

/*
 * Weights of the actions.  What no protocol can repair in full - a disk that
 * takes nothing, forgets what it had kept, or is set back - happens on demand
 * only.
 */
typedef struct Weight
{
	double		weight;
	SimActionKind kind;
} Weight;

static Weight weights[] = {
	{44, SIM_PUT}, {14, SIM_TOUCH}, {14, SIM_DELETE}, {6, SIM_READ},
	{2, SIM_CLEAR}, {4, SIM_CUT}, {2, SIM_CUT_ONE_WAY}, {6, SIM_MEND},
	{2, SIM_ISOLATE}, {2, SIM_MEND_ALL}, {5, SIM_RESET}, {3, SIM_CRASH},
	{3, SIM_POWER}, {4, SIM_STOP}, {1, SIM_JOIN}, {0.7, SIM_FORGET},
	{1, SIM_CLOCK}, {8, SIM_SWEEP}, {0.5, SIM_CRASH_ALL}, {1, SIM_STALL},
	{0, SIM_DISK_FULL}, {0, SIM_ROT}, {0, SIM_ROLLBACK}
};

void
sim_schedule_with(SimActionKind kind, double weight)
{
	for (int i = 0; i < (int) lengthof(weights); i++)
	{
		if (weights[i].kind == kind)
			weights[i].weight = weight;
	}
}

static const int ttls[] = {100, 400, 1500, 4000};

static SimAction *
add_action(SimTime at, SimActionKind kind, int node)
{
	SimAction  *a;

	if (sim.nactions == SIM_MAX_ACTIONS)
		sim_violate("limit", "more than %d actions", SIM_MAX_ACTIONS);
	a = &sim.action[sim.nactions];
	memset(a, 0, sizeof(*a));
	a->id = sim.nactions++;
	a->at = at;
	a->kind = kind;
	a->node = node;
	return a;
}

static int
draw_key(void)
{
	int			k = 0;

	while (k < sim.cfg.keys - 1 && unit() < 0.55)
		k++;
	return k;
}

static void
add_write(SimTime at, SimActionKind kind, int node)
{
	int			key = draw_key();
	SimAction  *a = add_action(at, kind, node);
	double		with_ttl = kind == SIM_TOUCH ? 0.8 : 0.32;

	a->other = key;
	if ((kind == SIM_PUT || kind == SIM_TOUCH) && unit() < with_ttl)
		a->arg = ttls[below(lengthof(ttls))];
	if (unit() < 0.15 && kind != SIM_READ)
	{
		int			n = 1 + below(5);
		SimTime		step = 2000 + (SimTime) (unit() * SIM_MS(30));

		for (int i = 1; i <= n; i++)
			add_action(at + i * step, SIM_PUT, node)->other = key;
	}
}

/* What a drawn kind becomes; nodes: all that there are so far. */
static void
add_drawn(SimTime at, SimActionKind kind, int *nodes, bool *forgot)
{
	static const int down_ms[] = {10, 200, 1000, 3000};
	int			node = below(*nodes);
	int			other = below(*nodes);
	int			down = down_ms[below(lengthof(down_ms))];
	SimAction  *a;

	switch (kind)
	{
		case SIM_PUT:
		case SIM_TOUCH:
		case SIM_DELETE:
		case SIM_READ:
			add_write(at, kind, node);
			return;
		case SIM_CUT:
		case SIM_CUT_ONE_WAY:
		case SIM_MEND:
		case SIM_RESET:
			if (node != other)
				add_action(at, kind, node)->other = other;
			return;
		case SIM_FORGET:
			if (node == other || *forgot || *nodes < 3)
				return;
			*forgot = true;
			add_action(at, kind, node)->other = other;
			return;
		case SIM_JOIN:
			if (*nodes >= sim.cfg.nodes + 2 || *nodes == SIM_MAX_NODES)
				return;
			a = add_action(at, kind, (*nodes)++);
			a->other = node;
			return;
		case SIM_CLOCK:
			add_action(at, kind, node)->arg =
				(int64) ((unit() * 2 - 1) * sim.cfg.skew_ms);
			return;
		case SIM_STALL:
		case SIM_DISK_FULL:
			add_action(at, kind, node)->arg = 200 + below(3000);
			return;
		default:
			a = add_action(at, kind, node);
			a->arg = down;
	}
}

static int
by_time(const void *a, const void *b)
{
	const SimAction *x = a;
	const SimAction *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->id - y->id;
}

static void
draw_actions(void)
{
	double		total = 0;
	int			nodes = sim.cfg.nodes;
	bool		forgot = false;

	stream = 0;
	sim.nactions = 0;
	for (int i = 0; i < (int) lengthof(weights); i++)
		total += weights[i].weight;
	if (sim.cfg.groups == 2)
	{
		SimTime		at = (SimTime) (unit() * 0.8 * sim.cfg.end);
		int			a = below(sim.cfg.first_group);
		int			b = sim.cfg.first_group +
			below(sim.cfg.nodes - sim.cfg.first_group);

		add_action(FIRST_ACTION + at, SIM_MEET, a)->other = b;
	}
	for (int n = 0; n < sim.cfg.nactions; n++)
	{
		SimTime		at = FIRST_ACTION + (SimTime) (unit() * sim.cfg.end);
		double		w = unit() * total;
		int			i = 0;

		while (i < (int) lengthof(weights) - 1 && w >= weights[i].weight)
			w -= weights[i++].weight;
		add_drawn(at, weights[i].kind, &nodes, &forgot);
	}
	qsort(sim.action, sim.nactions, sizeof(SimAction), by_time);
}

/* ---- actions ---- */

static void
cut_both(SimNode *a, SimNode *b, uint64 draw)
{
	sim_net_cut(a, b, draw);
	sim_net_cut(b, a, draw);
}

static void
mend_all(void)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		for (int j = 0; j < SIM_MAX_NODES; j++)
			sim_net_mend(&sim.node[i], &sim.node[j]);
	}
}

static void
crash_all(const SimAction *a)
{
	bool		power = sim.cfg.sync != CC_SYNC_OFF &&
		sim_below(2, SIM_U_CRASH, a->id, 0, 1) == 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];

		if (!node->exists || !node->up || node->removed)
			continue;
		sim_node_crash(node, power);
		sim_node_restart_at(node, sim.now + SIM_MS(a->arg) +
							sim_below(SIM_MS(300), SIM_U_CRASH, a->id, i, 2));
	}
}

static void
turn_clock(SimNode *node, int64 by_ms)
{
	node->offset_ms = Max(-sim.cfg.skew_ms,
						  Min(sim.cfg.skew_ms, node->offset_ms + by_ms));
	sim_enter(node);
	sim_trace("clock is %+lld ms now", (long long) node->offset_ms);
}

/* Actions that need the node's server */
static void
act_on_server(SimNode *node, const SimAction *a)
{
	uint64		draw = sim_hash(SIM_U_CUT, a->id, 0, 0);

	sim_enter(node);
	switch (a->kind)
	{
		case SIM_CRASH:
		case SIM_POWER:
		case SIM_ROT:
			/* who never fsyncs asks for no promises after that */
			sim_node_crash(node, a->kind == SIM_POWER &&
						   sim.cfg.sync != CC_SYNC_OFF);
			if (a->kind == SIM_ROT)
				sim_disk_rot(node, draw);
			sim_node_restart_at(node, sim.now + SIM_MS(a->arg));
			break;
		case SIM_ROLLBACK:
			sim_node_crash(node, false);
			sim_disk_roll_back(node, draw % 2 == 0);
			/* the numbers of its next life are made from the clock's seconds */
			sim_node_restart_at(node, sim.now + SIM_MS(2100 + a->arg));
			break;
		case SIM_STOP:
			sim_node_stop(node, sim.now + SIM_MS(200 + a->arg));
			break;
		case SIM_SWEEP:
			sim_node_sweep(node);
			break;
		case SIM_STALL:
			node->stall_until = sim.now + SIM_MS(a->arg);
			break;
		case SIM_DISK_FULL:
			node->full_until = sim.now + SIM_MS(a->arg);
			break;
		default:
			sim_client_start(node, a);
	}
}

static void
act(void *arg, uint64 n)
{
	const SimAction *a = arg;
	SimNode    *node = &sim.node[a->node];
	SimNode    *other = &sim.node[a->other];
	uint64		draw = sim_hash(SIM_U_CUT, a->id, 0, 0);

	sim_enter(NULL);
	sim_trace("---- %d: %s n%c %d %lld", a->id, action_names[a->kind],
			  'A' + a->node, a->other, (long long) a->arg);
	switch (a->kind)
	{
		case SIM_CUT:
			cut_both(node, other, draw);
			return;
		case SIM_CUT_ONE_WAY:
			sim_net_cut(node, other, draw);
			return;
		case SIM_MEND:
			sim_net_mend(node, other);
			sim_net_mend(other, node);
			return;
		case SIM_ISOLATE:
			for (int i = 0; i < SIM_MAX_NODES; i++)
				cut_both(node, &sim.node[i], draw);
			return;
		case SIM_MEND_ALL:
			mend_all();
			return;
		case SIM_RESET:
			if (node->exists && node->up && node->peer[a->other].conn != NULL)
				sim_net_reset(node->peer[a->other].conn);
			return;
		case SIM_CRASH_ALL:
			crash_all(a);
			return;
		case SIM_CLOCK:
			if (node->exists)
				turn_clock(node, a->arg);
			return;
		case SIM_JOIN:
			if (!node->exists)
			{
				sim_node_create(a->node, 1u << a->other);
				sim_node_start(node);
			}
			return;
		default:
			if (a->kind == SIM_FORGET)
				sim.forgetting = true;
			if (node->exists && node->up && !node->removed)
				act_on_server(node, a);
	}
}

/* ---- the course of a run ---- */

static void
watch(void *arg, uint64 n)
{
	sim_check_stuck();
	for (int i = 0; i < SIM_MAX_NODES && sim.rolls_back; i++)
	{
		SimNode    *node = &sim.node[i];

		/* a copy of a clean stop is another matter: two lives with one mark */
		if (node->exists && node->up && !node->loading && !node->stopping)
			sim_disk_remember(node);
	}
	sim_at(sim.now + SIM_MS(1000), watch, NULL, 0);
}

static void
start_nodes(void)
{
	for (int i = 0; i < sim.cfg.nodes; i++)
	{
		bool		second = sim.cfg.groups == 2 && i >= sim.cfg.first_group;
		int			first = second ? sim.cfg.first_group : 0;

		sim_node_create(i, i == first ? 0 : 1u << first);
		sim_node_start(&sim.node[i]);
	}
}

/* Cuts all links but those of a random tree. */
static void
keep_tree(void)
{
	int			list[SIM_MAX_NODES];
	int			n = 0;
	bool		keep[SIM_MAX_NODES][SIM_MAX_NODES] = {{false}};

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && !sim.node[i].removed)
			list[n++] = i;
	}
	for (int i = 1; i < n; i++)
	{
		int			to = list[sim_below(i, SIM_U_END, i, 0, 0)];

		keep[list[i]][to] = keep[to][list[i]] = true;
	}
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (!keep[list[i]][list[j]])
				cut_both(&sim.node[list[i]], &sim.node[list[j]], 1);
		}
	}
}

/* The operator: joins again who lost its only acquaintance ... */
static void
join_all(void)
{
	uint32		all = 0;

	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && !sim.node[i].removed)
			all |= 1u << i;
	}
	for (int i = 0; i < SIM_MAX_NODES; i++)
		sim.node[i].setting_seeds |= all;
}

/* ... and forgets who is no more. */
static void
forget_strays(void)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];

		if (!node->exists || node->removed || !node->up)
			continue;
		sim_enter(node);
		for (uint32 m = 0; m < cc.members->nmembers; m++)
			sim_client_forget_stray(node, &cc.members->member[m]);
		return;
	}
}

static void
begin_end(void)
{
	bool		same = true;

	sim_enter(NULL);
	sim_trace("---- quiescence");
	sim.quiet = true;
	sim.cfg.yield_max /= 4;
	sim.cfg.errors = 0;
	mend_all();
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];

		node->full_until = node->stall_until = 0;
		if (!node->exists || node->removed)
			continue;
		if (node->up && !node->stopping)
		{
			sim_enter(node);
			same = same && sim_check_members(node);
		}
		else
			same = false;
		/* an old copy of a disk waits for its numbers to be new; see act */
		if (!node->up && !node->rolled_back)
			sim_node_start(node);
	}
	if (sim.cfg.groups == 2)
	{
		sim.node[0].setting_seeds |= 1u << sim.cfg.first_group;
		sim.node[sim.cfg.first_group].setting_seeds |= 1;
	}
	/* nobody who is about to go may be what holds the others together */
	sim.cfg.partial_end = sim.cfg.partial_end && same && !sim.forgetting;
	if (sim.cfg.partial_end)
		keep_tree();
}

static void
run(void)
{
	SimTime		began;
	const char *why = NULL;

	start_nodes();
	sim_at(SIM_MS(1000), watch, NULL, 0);
	for (int i = 0; i < sim.nactions; i++)
		sim.rolls_back |= sim.action[i].kind == SIM_ROLLBACK;
	for (int i = 0; i < sim.nactions; i++)
		sim_at(sim.action[i].at, act, &sim.action[i], 0);
	sim_run_until(FIRST_ACTION + sim.cfg.end + SIM_MS(10));
	if (sim.violated)
		return;

	begin_end();
	began = sim.now;
	sim_run_until(began + SIM_MS(1000 + 2 * sim.cfg.skew_ms));
	while (!sim.violated)
	{
		why = sim_check_settled();
		if (why == NULL || sim.now - began > LONGEST_END)
			break;
		if (sim.now - began > SIM_MS(6000))
		{
			if (!sim.cfg.partial_end)
				join_all();
			forget_strays();
		}
		sim_run_until(sim.now + SIM_MS(250));
	}
	if (!sim.violated)
		sim_check_final(why);
}

void
sim_schedule_draw(uint64 seed)
{
	sim.seed = seed;
	draw_config();
	draw_actions();
}

bool
sim_run(uint64 seed, const SimAction *actions, int nactions, bool tracing)
{
	sim_fibers_reset();
	sim_memory_reset();
	/* all but the large arrays, which begin empty by their counters */
	memset(&sim, 0, offsetof(Sim, action));
	memset(&sim.nactions, 0, sizeof(Sim) - offsetof(Sim, nactions));
	sim_net_begin();
	sim.tracing = tracing;
	sim_schedule_draw(seed);
	if (actions != NULL)
	{
		memcpy(sim.action, actions, nactions * sizeof(SimAction));
		sim.nactions = nactions;
	}
	sim_enter(NULL);
	sim_escape(run);
	return !sim.violated;
}
