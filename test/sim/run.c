/*-------------------------------------------------------------------------
 *
 * run.c
 *	  The course of a run.
 *
 * The nodes start and meet; then the actions, writes and faults, each at its
 * time; then quiescence, when links come up, servers start and nobody writes,
 * until nothing is left to be done; then the last checks.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

/* How long the end may take */
#define LONGEST_END		SIM_MS(90000)

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
	sim_trace("---- %d: %s n%c %d %lld", a->id, sim_action_name(a->kind),
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
		case SIM_MEND_ONE_WAY:
			sim_net_mend(node, other);
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
		case SIM_SNAP:
			sim_heal_snap();
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
	/* a link that is up answers within peer_timeout, or splits never end */
	sim.cfg.latency_tail = 0;
	mend_all();
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		SimNode    *node = &sim.node[i];

		node->full_until = node->stall_until = 0;
		/* clocks too far apart would split the group for ever */
		node->offset_ms = Max(sim.cfg.skew_ms - sim.cfg.max_skew_ms / 2,
							  node->offset_ms);
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
	sim_run_until(SIM_FIRST_ACTION + sim.cfg.end + SIM_MS(10));
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

bool
sim_run(uint64 seed, const SimAction *actions, int nactions, bool tracing)
{
	sim_fibers_reset();
	sim_memory_reset();
	/* all but the large arrays, which begin empty by their counters */
	memset(&sim, 0, offsetof(Sim, action));
	memset(&sim.nactions, 0, sizeof(Sim) - offsetof(Sim, nactions));
	sim_net_begin();
	sim_counter_reset();
	sim_history_reset();
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
