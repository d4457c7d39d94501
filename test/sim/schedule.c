/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  What a seed draws: sizes, delays, faults and actions.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

static const char *const action_names[SIM_NACTIONS] = {
	"put", "delete", "touch", "read", "incr", "clear",
	"cut", "cut one way", "mend", "isolate", "mend all", "reset",
	"crash", "power", "stop", "crash all", "join", "meet",
	"forget", "clock", "stall", "disk full", "rot", "roll back",
	"sweep",
	"declare", "resolve", "winner", "retry", "policy", "snap",
	"mend one way"
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

int
sim_schedule_below(int n)
{
	return (int) (next_draw() % (uint64) n);
}

double
sim_schedule_unit(void)
{
	return (next_draw() >> 11) * (1.0 / (UINT64CONST(1) << 53));
}

/* Chance by the seed and a name, so that others do not move with it */
uint64
sim_schedule_by_name(const char *name)
{
	uint64		h = 0;

	for (; *name != '\0'; name++)
		h = h * 31 + *name;
	return sim_hash(SIM_U_CONFIG, h, 0, 0);
}

/* Short names for here */
#define below(n)		sim_schedule_below(n)
#define unit()			sim_schedule_unit()
#define by_name(name)	sim_schedule_by_name(name)
#define add_action(at, kind, node)	sim_schedule_add(at, kind, node)

static double
unit_by_name(const char *name)
{
	return (by_name(name) >> 11) * (1.0 / (UINT64CONST(1) << 53));
}

/* One of the values */
#define DRAW(name, ...) \
	(((const int64[]) {__VA_ARGS__})[by_name(name) % \
									 lengthof(((const int64[]) {__VA_ARGS__}))])

/* What all runs have instead of what is drawn; -1: nothing */
static int	all_kept = -1;

void
sim_schedule_kept(int kept)
{
	all_kept = kept;
}

/* Keys whose conflicts are kept, and by what they are decided */
static void
draw_kept(SimConfig *c)
{
	c->kept = (int) DRAW("kept", 0, 0, 1, 2);
	if (all_kept >= 0)
		c->kept = all_kept;
	c->on_split = (uint8) DRAW("on_split", CC_SPLIT_MERGE, CC_SPLIT_MERGE,
							   CC_SPLIT_MERGE, CC_SPLIT_LONGEST_TTL,
							   CC_SPLIT_OLDEST_ISLAND,
							   CC_SPLIT_LARGEST_ISLAND, CC_SPLIT_MANUAL);
	c->merge_fails = (double) DRAW("merge_fails", 0, 0, 10) / 100;
	c->merge_time = SIM_MS(DRAW("merge_time", 2, 40, 400));
	c->policy_changes = c->kept == 1 && DRAW("policy_changes", 0, 0, 0, 1);
	c->forward = !c->policy_changes && (c->on_split == CC_SPLIT_MERGE ||
										c->on_split == CC_SPLIT_LONGEST_TTL);
}

static void
draw_config(void)
{
	SimConfig  *c = &sim.cfg;
	int			memory;
	uint32		chunks;

	memset(c, 0, sizeof(*c));
	c->nodes = (int) DRAW("nodes", 2, 3, 3, 4, 4, 5);
	c->keys = (int) DRAW("keys", 2, 3, 4, 5, 6);
	c->value_max = 200;
	c->partitions = (uint32) DRAW("partitions", 1, 2, 4);
	/* more than twice the processes that write at once */
	c->ring = (uint32) DRAW("ring", 32, 64, 1024);
	if (c->ring == 32 && c->nodes > 3)
		c->ring = 64;
	c->clients = c->ring == 32 ? 5 : 12;
	c->floor_generations = (uint32) DRAW("floor_generations", 1, 1, 2, 4);
	c->floor_bits = (uint32) DRAW("floor_bits", 64, 64, 256, 1024);

	/* plenty; few entries; few stubs */
	memory = (int) DRAW("memory", 0, 1, 2);
	chunks = 160;
	if (memory == 1)
	{
		chunks = (uint32) DRAW("chunks", 40, 48, 64);
		c->keys += 4;
		c->value_max = 1200;
	}
	else if (memory == 2)
	{
		chunks = (uint32) DRAW("chunks", 32, 40);
		c->keys += 3;
		c->value_max = 60;
	}
	/* members and split records stay, whatever else has to go */
	if (memory != 0)
		chunks += 8 * (uint32) (c->nodes + 2) / c->partitions;
	c->store_bytes = sim_store_bytes(c->partitions, chunks);
	c->bound = (uint32) DRAW("bound", 0, 0, 0, 1, 4, 12);
	c->bound_from = (int) DRAW("bound_from", 0, 1, 1, 2);
	c->counters = (int) DRAW("counters", 0, 0, 1, 2);
	c->mixed = DRAW("mixed", 0, 0, 1);

	c->end = SIM_MS(DRAW("end", 3000, 6000, 10000));
	c->nactions = 20 + (int) (by_name("nactions") % 120);
	c->skew_ms = DRAW("skew_ms", 0, 300, 1200);
	c->max_skew_ms = 1500;
	c->latency = SIM_MS(DRAW("latency", 10, 50, 200));
	c->latency_tail = (double) DRAW("latency_tail", 2, 15) / 100;
	c->disk_latency = SIM_MS(DRAW("disk_latency", 1, 10, 150));
	c->sync = (CcJournalSync) DRAW("sync", CC_SYNC_OFF, CC_SYNC_EVERYSEC,
								   CC_SYNC_ALWAYS);
	c->heartbeat_ms = 250;
	c->peer_timeout_ms = DRAW("peer_timeout_ms", 800, 2000);
	c->startup_timeout_ms = 1500;
	c->batch_bytes = (Size) DRAW("batch_bytes", 1000, 4000, 16000);
	c->writer_lazy = DRAW("writer_lazy", 0, 1);
	c->writer_pause = SIM_MS(DRAW("writer_pause", 200, 800, 3000));
	c->sweep_pause = SIM_MS(DRAW("sweep_pause", 150, 400));
	c->writer_stall = (double) DRAW("writer_stall", 0, 5, 30) / 100;
	/* seldom and long, or often and short: about 0.1 ms at each place */
	c->yield_max = DRAW("yield_max", 0, 200, 5000, 50000);
	c->yield_odds = c->yield_max == 0 ? 0 :
		(uint32) Min(6000, 65536 * INT64CONST(200) / c->yield_max);
	c->errors = (double) DRAW("errors", 0, 0, 1) / 500;
	c->groups = 1;
	if (unit_by_name("groups") < 0.25)
	{
		c->groups = 2;
		c->first_group = 1 +
			(int) (by_name("first_group") % (uint64) (c->nodes - 1));
	}
	c->partial_end = unit_by_name("partial_end") < 0.2;
	c->persist = true;
	c->sorts = unit_by_name("sorts") < 0.5;
	draw_kept(c);

	/* so that a run sees many blocks, and snapshots in pieces */
	cc_files_limits.block_bytes = (Size) DRAW("block_bytes", 200, 1000, 100000);
	cc_files_limits.piece_bytes = (uint64) DRAW("piece_bytes", 300, 2000);
	cc_files_limits.piece_buckets = (uint32) DRAW("piece_buckets", 6, 100);
	cc_files_limits.snapshot_bytes = (uint64) DRAW("snapshot_bytes", 1500, 6000,
												   100000);
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

/* Where there are counters */
#define WEIGHT_INCR		35

static Weight weights[] = {
	{44, SIM_PUT}, {14, SIM_TOUCH}, {14, SIM_DELETE}, {6, SIM_READ},
	{2, SIM_CLEAR}, {4, SIM_CUT}, {2, SIM_CUT_ONE_WAY}, {6, SIM_MEND},
	{2, SIM_ISOLATE}, {2, SIM_MEND_ALL}, {5, SIM_RESET}, {3, SIM_CRASH},
	{3, SIM_POWER}, {4, SIM_STOP}, {1, SIM_JOIN}, {0.7, SIM_FORGET},
	{1, SIM_CLOCK}, {8, SIM_SWEEP}, {0.5, SIM_CRASH_ALL}, {1, SIM_STALL},
	{0, SIM_INCR}, {0, SIM_DISK_FULL}, {0, SIM_ROT}, {0, SIM_ROLLBACK},
	{0, SIM_RESOLVE}, {0, SIM_WINNER}, {0, SIM_RETRY}, {0, SIM_POLICY}
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

SimAction *
sim_schedule_add(SimTime at, SimActionKind kind, int node)
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

	if (kind == SIM_INCR && sim.cfg.counters > 0 &&
		(!sim.cfg.mixed || unit() < 0.5))
	{
		/* the second begins late, when something was forgotten already */
		key = sim.cfg.keys + below(sim.cfg.counters);
		if (at < SIM_FIRST_ACTION + sim.cfg.end / 2)
			key = sim.cfg.keys;
	}
	a->other = key;
	/* a counter is never a conflict */
	if (kind == SIM_INCR && sim_client_sort(key) == SIM_KEPT)
		a->kind = kind = SIM_PUT;
	if ((kind == SIM_PUT || kind == SIM_TOUCH ||
		 (kind == SIM_INCR && key < sim.cfg.keys)) && unit() < with_ttl)
		a->arg = ttls[below(lengthof(ttls))];
	if (unit() < 0.15 && kind != SIM_READ)
	{
		int			n = 1 + below(5);
		SimTime		step = 2000 + (SimTime) (unit() * SIM_MS(30));

		for (int i = 1; i <= n; i++)
			add_action(at + i * step, kind == SIM_INCR ? SIM_INCR : SIM_PUT,
					   node)->other = key;
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
		case SIM_INCR:
			add_write(at, kind, node);
			return;
		case SIM_CUT:
		case SIM_CUT_ONE_WAY:
		case SIM_MEND:
		case SIM_RESET:
			if (node != other)
				add_action(at, kind, node)->other = other;
			return;
		case SIM_CLEAR:
			/* it would take away what is to be counted */
			add_action(at, sim.cfg.counters > 0 && !sim.cfg.mixed ? SIM_SWEEP :
					   kind, node);
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
		case SIM_RESOLVE:
			a = add_action(at, kind, node);
			a->other = draw_key();
			a->arg = below(4);
			return;
		case SIM_WINNER:
			add_action(at, kind, node)->other = other;
			return;
		case SIM_POLICY:
			add_action(at, kind, node)->arg = below(CC_LAST_ON_SPLIT + 1);
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
	if (sim.cfg.counters > 0 || sim.cfg.mixed)
		sim_schedule_with(SIM_INCR, WEIGHT_INCR);
	else
		sim_schedule_with(SIM_INCR, 0);
	sim_schedule_with(SIM_RESOLVE, sim.cfg.kept > 0 ? 2 : 0);
	sim_schedule_with(SIM_WINNER, sim.cfg.kept > 0 ? 0.3 : 0);
	sim_schedule_with(SIM_RETRY, sim.cfg.kept > 0 ? 1 : 0);
	sim_schedule_with(SIM_POLICY, sim.cfg.policy_changes ? 1 : 0);
	if (sim.cfg.kept > 0)
	{
		add_action(SIM_FIRST_ACTION - SIM_MS(300), SIM_DECLARE, 0);
		if (sim.cfg.groups == 2)
			add_action(SIM_FIRST_ACTION - SIM_MS(250), SIM_DECLARE,
					   sim.cfg.first_group);
	}
	for (int i = 0; i < (int) lengthof(weights); i++)
		total += weights[i].weight;
	if (sim.cfg.groups == 2)
	{
		SimTime		at = (SimTime) (unit() * 0.8 * sim.cfg.end);
		int			a = below(sim.cfg.first_group);
		int			b = sim.cfg.first_group +
			below(sim.cfg.nodes - sim.cfg.first_group);

		add_action(SIM_FIRST_ACTION + at, SIM_MEET, a)->other = b;
	}
	for (int n = 0; n < sim.cfg.nactions; n++)
	{
		SimTime		at = SIM_FIRST_ACTION + (SimTime) (unit() * sim.cfg.end);
		double		w = unit() * total;
		int			i = 0;

		while (i < (int) lengthof(weights) - 1 && w >= weights[i].weight)
			w -= weights[i++].weight;
		add_drawn(at, weights[i].kind, &nodes, &forgot);
	}
}

void
sim_schedule_draw(uint64 seed)
{
	sim.seed = seed;
	draw_config();
	if (sim.cfg.kept == 2)
	{
		stream = 0;
		sim.nactions = 0;
		sim_schedule_heal();
	}
	else
		draw_actions();
	qsort(sim.action, sim.nactions, sizeof(SimAction), by_time);
}
