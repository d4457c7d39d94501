/*-------------------------------------------------------------------------
 *
 * schedule_heal.c
 *	  Schedules made for healing: keys that are all of the sort whose conflicts
 *	  are kept, islands that are cut and meet again in one of several ways.
 *
 *	once		a clean cut; all links are back within the grace
 *	clean		a clean cut; all links are back within a second, nobody writes then
 *	cross		two or three islands; links come back one by one
 *	half_open	links come back one direction at a time
 *	race		many writes while the islands meet
 *	leader		the oldest nodes crash while they meet
 *	partial		the mesh stays incomplete
 *	storm		several splits in a row, some during a heal
 *	meet		two groups that never met, each with its own keys
 *	people		decisions by hand, other policies, while conflicts wait
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

#define below(n)		sim_schedule_below(n)
#define unit()			sim_schedule_unit()
#define by_name(name)	sim_schedule_by_name(name)
#define add(at, kind, node)	sim_schedule_add(at, kind, node)

typedef enum Shape
{
	ONCE, CLEAN, CROSS, HALF_OPEN, RACE, LEADER, PARTIAL, STORM, MEET, PEOPLE,
	NSHAPES
} Shape;

static Shape shape;
static int	side[SIM_MAX_NODES];	/* island of each node */
static int	nsides;

static SimTime
between(int64 low_ms, int64 high_ms)
{
	return SIM_MS(low_ms) + (SimTime) (unit() * SIM_MS(high_ms - low_ms));
}

/* A write or what else a user does */
static void
operate(SimTime at, int node)
{
	static const int ttls[] = {400, 1500, 4000, 9000};
	double		x = unit();
	bool		plain = shape == ONCE || shape == CLEAN;
	SimAction  *a;

	if (x < 0.18)
		a = add(at, SIM_DELETE, node);
	else if (x < 0.26 && !plain)
	{
		a = add(at, SIM_TOUCH, node);
		a->arg = ttls[below(4)];
	}
	else if (x < 0.28 && !plain)
		a = add(at, SIM_SWEEP, node);
	else if (x < 0.285 && !plain)
		a = add(at, SIM_CLEAR, node);
	else
	{
		a = add(at, SIM_PUT, node);
		if (sim.cfg.on_split == CC_SPLIT_LONGEST_TTL)
			a->arg = 100000 + below(50000);
		else if (!plain && unit() < 0.2)
			a->arg = ttls[below(4)];
	}
	a->other = below(sim.cfg.keys);
}

static void
writes(int n, SimTime from, SimTime to)
{
	for (int i = 0; i < n; i++)
		operate(from + (SimTime) (unit() * (to - from)), below(sim.cfg.nodes));
}

static void
draw_sides(int n)
{
	nsides = n;
	for (int i = 0; i < sim.cfg.nodes; i++)
		side[i] = i < n ? i : below(n);
	for (int i = sim.cfg.nodes - 1; i > 0; i--)
	{
		int			j = below(i + 1);
		int			s = side[i];

		side[i] = side[j];
		side[j] = s;
	}
}

static void
cut_sides(SimTime at)
{
	for (int i = 0; i < sim.cfg.nodes; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (side[i] != side[j])
				add(at, SIM_CUT, i)->other = j;
		}
	}
}

/* All links come back within the time, each at its own. */
static void
mend_sides(SimTime at, int64 within_ms)
{
	for (int i = 0; i < sim.cfg.nodes; i++)
	{
		for (int j = 0; j < i; j++)
		{
			SimTime		when = at + between(0, within_ms);

			if (side[i] == side[j])
				continue;
			if (shape != HALF_OPEN)
			{
				add(when, SIM_MEND, i)->other = j;
				continue;
			}
			add(when, SIM_MEND_ONE_WAY, i)->other = j;
			add(at + between(0, within_ms), SIM_MEND_ONE_WAY, j)->other = i;
		}
	}
}

/* Long enough to be noticed, or (seldom) not quite. */
static SimTime
split_time(void)
{
	int64		noticed = sim.cfg.peer_timeout_ms + 2 * sim.cfg.heartbeat_ms;

	if (shape != ONCE && shape != CLEAN && unit() < 0.2)
		return between(noticed / 3, noticed);
	return between(noticed + 300, noticed + 2000);
}

static void
crash_some(SimTime from, SimTime to, int n)
{
	static const int down_ms[] = {20, 300, 1500, 3000};

	for (int i = 0; i < n; i++)
		add(from + (SimTime) (unit() * (to - from)), unit() < 0.3 ? SIM_POWER :
			unit() < 0.2 ? SIM_STOP : SIM_CRASH,
			shape == LEADER ? below(2) : below(sim.cfg.nodes))->arg =
			down_ms[below(4)];
}

/* Splits, one after another; returns when the last one is over. */
static SimTime
splits(SimTime at)
{
	int			n = shape == STORM ? 2 + below(3) : 1;
	SimTime		end = at;

	for (int i = 0; i < n; i++)
	{
		static const int within_ms[] = {5, 200, 1000, 3000};
		static const int pauses[] = {50, 300, 2000};
		SimTime		cut = split_time();
		int64		within = within_ms[below(4)];
		bool		plain = shape == ONCE || shape == CLEAN;

		if (plain)
			within = shape == ONCE ? 50 : within_ms[below(3)];
		draw_sides(!plain && sim.cfg.nodes > 2 && unit() < 0.4 ? 3 : 2);
		cut_sides(end);
		writes(plain ? 2 + below(5) : 2 + below(8), end + SIM_MS(50),
			   end + cut - (plain ? SIM_MS(300) : 0));
		end += cut;
		if (shape == CLEAN)
		{
			sim.cfg.clean_heal = end;
			for (int k = 0; k < sim.cfg.nodes; k++)
				sim.cfg.island[side[k]] |= 1u << k;
			add(end - SIM_MS(5), SIM_SNAP, 0);
		}
		mend_sides(end, within);
		if (shape != CLEAN)
			writes(shape == RACE ? 10 + below(20) : below(5), end - SIM_MS(50),
				   end + SIM_MS(within) + SIM_MS(700));
		if (shape == LEADER || (shape == STORM && unit() < 0.3))
			crash_some(end, end + SIM_MS(within) + SIM_MS(900), 1 + below(3));
		if (shape == STORM)
			within = pauses[below(3)];
		end += SIM_MS(within);
	}
	return end;
}

/* What people do while conflicts wait */
static void
meddle(SimTime from, SimTime to)
{
	int			n = 2 + below(8);

	for (int i = 0; i < n; i++)
	{
		SimTime		at = from + (SimTime) (unit() * (to - from));
		double		x = unit();
		SimAction  *a;

		if (x < 0.6)
		{
			a = add(at, SIM_RESOLVE, below(sim.cfg.nodes));
			a->other = below(sim.cfg.keys);
			a->arg = below(4);
		}
		else if (x < 0.75)
			add(at, SIM_WINNER, below(sim.cfg.nodes))->other =
				below(sim.cfg.nodes);
		else if (x < 0.9 || !sim.cfg.policy_changes)
			add(at, SIM_RETRY, below(sim.cfg.nodes));
		else
			add(at, SIM_POLICY, below(sim.cfg.nodes))->arg =
				below(CC_LAST_ON_SPLIT + 1);
	}
}

/* Sizes as they are drawn for all runs, but for what would hide the rest */
static void
draw_sizes(SimConfig *c)
{
	bool		plain = shape == ONCE || shape == CLEAN;

	c->keys = 1 + below(4);
	c->counters = 0;
	c->mixed = c->sorts = false;
	c->peer_timeout_ms = 800;
	if (plain || unit() < 0.7)
	{
		c->store_bytes = sim_store_bytes(c->partitions, 320);
		c->value_max = 100;
		c->bound = 0;
		c->errors = 0;
	}
	if (c->groups == 2 && shape != MEET)
		c->groups = 1;
	if (shape == MEET)
	{
		c->groups = 2;
		c->first_group = 1 + below(c->nodes - 1);
	}
	if (shape == PEOPLE)
		c->policy_changes = unit() < 0.5;
	c->forward &= !c->policy_changes && shape != PEOPLE;
	c->exact = shape != HALF_OPEN && shape != LEADER && shape != STORM;
	c->partial_end &= !plain;
	if (!plain)
		return;
	c->once = shape == ONCE;
	c->latency = SIM_MS(10);
	c->latency_tail = 0;
	c->writer_stall = 0;
	c->disk_latency = SIM_MS(1);
	c->yield_max = Min(c->yield_max, 200);
	c->merge_fails = 0;
	c->merge_time = SIM_MS(40);
	c->skew_ms = Min(c->skew_ms, 300);
}

void
sim_schedule_heal(void)
{
	SimConfig  *c = &sim.cfg;
	SimTime		at = SIM_FIRST_ACTION;
	SimTime		end;

	shape = (Shape) (by_name("shape") % NSHAPES);
	draw_sizes(c);
	add(at - SIM_MS(300), SIM_DECLARE, 0);
	if (shape == MEET)
	{
		add(at - SIM_MS(250), SIM_DECLARE, c->first_group);
		writes(2 + below(8), at, at + SIM_MS(2500));
		add(at + between(300, 2800), SIM_MEET, below(c->first_group))->other =
			c->first_group + below(c->nodes - c->first_group);
		end = at + SIM_MS(3000);
		writes(below(6), at + SIM_MS(1500), end + SIM_MS(500));
	}
	else
	{
		writes(1 + below(5), at, at + SIM_MS(600));
		end = splits(at + SIM_MS(1200));
	}
	if (shape == PARTIAL && c->nodes > 2)
	{
		c->partial_end = true;
		for (int i = 0; i < c->nodes; i++)
		{
			if (unit() < 0.5)
				add(end + between(-500, 500), SIM_CUT, i)->other =
					(i + 1 + below(c->nodes - 1)) % c->nodes;
		}
	}
	if (shape == PEOPLE || c->on_split == CC_SPLIT_MANUAL)
		meddle(end, end + SIM_MS(2500));
	c->end = end + SIM_MS(shape == PEOPLE ? 3000 : 1500) - SIM_FIRST_ACTION;
	c->nactions = sim.nactions;
}
