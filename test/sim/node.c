/*-------------------------------------------------------------------------
 *
 * node.c
 *	  A node's life: its shared memory, its two workers, how it starts, stops
 *	  and dies.  The workers do what src/worker.c and cluster/links.c do.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

#define SYSTEM_ID		UINT64CONST(7700000000000000077)
#define SIM_INTERVALS	32
#define SIM_SPLITS		8
#define SIM_CONFLICT_LOG	(sizeof(CcConflictsShared) + 8192)
#define ORIGIN_CAP		SIM_MAX_ORIGINS
#define STATS_SIZE		4096

/* Buckets that one sweep visits */
#define SWEEP_BUCKETS	512

/* ---- shared memory ---- */

typedef struct Layout
{
	Size		state;
	Size		floor;
	Size		members;
	Size		apart;
	Size		conflicts;
	Size		splits;
	Size		heal;
	Size		log;
	Size		store;
	Size		total;
} Layout;

static void
plan(Layout *l)
{
	Size		at = STATS_SIZE;

	l->state = at;
	at += TYPEALIGN(128, cc_state_size(ORIGIN_CAP));
	l->floor = at;
	at += TYPEALIGN(128, cc_floor_size(sim.cfg.floor_generations,
									   sim.cfg.floor_bits));
	l->members = at;
	at += TYPEALIGN(128, cc_membership_size(ORIGIN_CAP));
	l->apart = at;
	at += TYPEALIGN(128, cc_apart_size(SIM_INTERVALS));
	l->conflicts = at;
	at += TYPEALIGN(128, SIM_CONFLICT_LOG);
	l->splits = at;
	at += TYPEALIGN(128, cc_splits_size(SIM_SPLITS));
	l->heal = at;
	at += TYPEALIGN(128, cc_heal_size());
	l->log = at;
	at += TYPEALIGN(128, cc_changelog_size(sim.cfg.ring));
	l->store = at;
	at += sim.cfg.store_bytes;
	l->total = at;
}

Size
sim_store_bytes(uint32 partitions, uint32 chunks)
{
	Size		buckets = (Size) CC_SLICES / partitions * sizeof(uint32);

	return 256 + partitions * (TYPEALIGN(128, sizeof(CcPartitionShared)) +
							   buckets + 256 +
							   chunks * (CC_CHUNK_SIZE + sizeof(uint32)));
}

static void
make_memory(SimNode *node)
{
	Layout		l;
	char	   *m;

	plan(&l);
	if (node->memory == NULL)
		node->memory = sim_memory(l.total);
	m = node->memory;
	memset(m, 0, l.total);
	memset(&node->shared, 0, sizeof(node->shared));
	sim.here = NULL;
	sim_enter(node);
	cc.stats = (void *) m;
	cc_state_init(m + l.state, ORIGIN_CAP);
	cc.state->persist = sim.cfg.persist;
	cc.state->max_skew_ms = sim.cfg.max_skew_ms;
	cc_floor_init(m + l.floor, sim.cfg.floor_generations, sim.cfg.floor_bits);
	cc_membership_init(m + l.members, ORIGIN_CAP);
	cc_apart_init(m + l.apart, SIM_INTERVALS);
	cc_conflict_log_init(m + l.conflicts, SIM_CONFLICT_LOG);
	cc_splits_init(m + l.splits, SIM_SPLITS);
	cc_heal_init(m + l.heal);
	cc_changelog_init(m + l.log, sim.cfg.ring);
	cc_store_init(m + l.store, sim.cfg.store_bytes, sim.cfg.partitions);
	(void) sim_client_namespace();
	node->shared = cc;
}

/* ---- the writer ---- */

static void
finish_stop(void *arg, uint64 life)
{
	SimNode    *node = arg;

	if (!node->up || (uint64) node->life != life)
		return;
	sim_node_crash(node, false);
	node->was_clean = true;
	sim_node_restart_at(node, Max(node->restart_at, sim.now + SIM_MS(10)));
}

/* Somebody waits for the disk. */
static bool
writer_wanted(void)
{
	return pg_atomic_read_u64(&cc.state->sync_wanted) >
		pg_atomic_read_u64(&cc.state->synced) ||
		pg_atomic_read_u64(&cc.state->hlc_wanted) >
		pg_atomic_read_u64(&cc.state->hlc_bound);
}

/*
 * A lazy writer lets things come together, unless somebody waits.
 */
static SimTime
next_work(void)
{
	if (sim.quiet || !sim.cfg.writer_lazy)
		return 0;
	return sim.now + sim.cfg.writer_pause / 3 +
		sim_draw_time(sim.cfg.writer_pause);
}

/* A stalled one does nothing for anybody. */
static void
stall_writer(SimNode *node)
{
	SimTime		stall = Max(node->stall_until - sim.now, 0);

	if (sim_draw_unit() < sim.cfg.writer_stall)
		stall += sim_draw_time(sim.cfg.writer_pause);
	if (stall > 0 && !sim.quiet)
		sim_sleep(stall);
}

static void
writer_main(void *arg)
{
	SimNode    *node = arg;
	CcSweep		sweep;
	SimTime		next_sweep = 0;
	SimTime		work = 0;		/* not before */
	SimTime		due = 0;

	memset(&sweep, 0, sizeof(sweep));
	cc_state_set_phase(CC_LOADING);
	sim_check_boot(node);
	node->files = cc_files_start(SYSTEM_ID);
	sim_check_loaded(node);
	cc_membership_rebuild();
	cc_splits_load();
	cc_state_set_phase(CC_PENDING);

	for (;;)
	{
		SimTime		wait;

		if (node->stopping)
			break;
		if (sim.now >= work || writer_wanted() || sim.quiet)
		{
			int64		left = cc_files_work(node->files, cc_monotonic_ms(),
											 sim.cfg.sync);

			work = next_work();
			due = sim.now + SIM_MS(Max(left, 0));
		}
		cc_splits_save(cc_monotonic_ms(), false);
		if (sim.now >= next_sweep || node->sweep_now)
		{
			node->sweep_now = false;
			cc_expire_sweep(&sweep, SWEEP_BUCKETS);
			next_sweep = sim.now + sim.cfg.sweep_pause / 3 +
				sim_draw_time(sim.cfg.sweep_pause);
		}
		wait = Min(Max(due, work), next_sweep) - sim.now;
		if (sim_wait(Max(wait, 100)) && sim.now < work)
			sim_sleep(SIM_MS(5));
		stall_writer(node);
	}
	cc_state_set_phase(CC_CLOSED);
	cc_splits_save(cc_monotonic_ms(), true);
	cc_files_stop(node->files);
	cc_files_free(node->files);
	node->files = NULL;
	node->writer = NULL;
	sim_at(sim.now + sim_draw_time(SIM_MS(5)), finish_stop, node, node->life);
}

/* ---- the replicator ---- */

static int
node_by_name(const char *name, Size len)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		if (sim.node[i].exists && strlen(sim.node[i].name) == len &&
			memcmp(sim.node[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

/* Seeds of the settings and of cache_join, as bits of node numbers. */
static uint32
seeds(SimNode *node)
{
	uint32		bits = node->setting_seeds;
	static char text[CC_SEEDS_LEN];
	const char *p = text;

	cc_lock_shared(&cc.state->lock);
	strlcpy(text, cc.state->seeds, sizeof(text));
	cc_unlock(&cc.state->lock);
	while (*p != '\0')
	{
		Size		len = strcspn(p, ";");
		int			no = node_by_name(p, len);

		if (no >= 0)
			bits |= 1u << no;
		p += len + (p[len] == ';');
	}
	return bits & ~(1u << node->no);
}

/* Members' addresses; *others: there are any. */
static uint32
members(SimNode *node, bool *others)
{
	uint32		bits = 0;

	*others = false;
	cc_lock_shared(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		CcMemberShared *m = &cc.members->member[i];
		int			no;

		if (!m->used || m->self || m->removed)
			continue;
		*others = true;
		no = node_by_name(m->address, strlen(m->address));
		if (no >= 0)
			bits |= 1u << no;
	}
	cc_unlock(&cc.members->lock);
	return bits & ~(1u << node->no);
}

static bool
is_removed(const CcNodeId *id)
{
	int			slot = cc_membership_find(id);
	bool		removed;

	if (slot < 0)
		return false;
	cc_lock_shared(&cc.members->lock);
	removed = cc.members->member[slot].removed;
	cc_unlock(&cc.members->lock);
	return removed;
}

static void
drop_conn(SimPeer *p, int64 retry_ms)
{
	CcSender   *s = sim_net_sender(p->conn);

	sim_net_close(p->conn);
	cc_sender_free(s);
	p->conn = NULL;
	p->retry_at = sim.now + SIM_MS(Min(retry_ms, 1000)) / 2 +
		sim_draw_time(SIM_MS(Min(retry_ms, 1000)));
}

static void
open_conn(SimNode *node, int to, bool seed)
{
	CcSenderOptions opt = {
		.heartbeat_ms = sim.cfg.heartbeat_ms,
		.peer_timeout_ms = sim.cfg.peer_timeout_ms,
		.batch_bytes = sim.cfg.batch_bytes
	};
	SimPeer    *p = &node->peer[to];
	CcSender   *s = cc_sender_create(&opt, seed);
	SimConn    *c = sim_net_connect(node, &sim.node[to], s);
	const char *data;
	Size		len;

	if (c == NULL)
	{
		cc_sender_free(s);
		p->retry_at = sim.now + SIM_MS(100) + sim_draw_time(SIM_MS(400));
		return;
	}
	p->conn = c;
	cc_sender_hello(s, cc_monotonic_ms(), &data, &len);
	sim_trace("calls %s#" UINT64_FORMAT, sim.node[to].name, sim_net_number(c));
	sim_net_send(c, data, len);
}

static void
step_conn(SimNode *node, SimPeer *p)
{
	CcSender   *s = sim_net_sender(p->conn);
	const char *data;
	Size		len;

	while (sim_net_reply(p->conn, &data, &len))
	{
		CcSendPhase before = cc_sender_phase(s);
		CcStatus	status = cc_sender_reply(s, cc_monotonic_ms(), data, len);

		if (status != CC_OK)
		{
			drop_conn(p, cc_sender_retry_ms(status));
			return;
		}
		if (before == CC_SEND_HELLO)
			sim_trace("session #" UINT64_FORMAT " begins, phase %d",
					  sim_net_number(p->conn), cc_sender_phase(s));
	}
	if (sim_net_broken(p->conn) || cc_sender_timed_out(s, cc_monotonic_ms()))
	{
		drop_conn(p, 200);
		return;
	}
	while (cc_sender_next(s, cc_monotonic_ms(), &data, &len))
		sim_net_send(p->conn, data, len);
}

static void
drop_removed(SimNode *node)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		CcNodeId	id;

		if (node->peer[i].conn != NULL &&
			cc_sender_peer(sim_net_sender(node->peer[i].conn), &id) &&
			is_removed(&id))
			drop_conn(&node->peer[i], 5000);
	}
}

static void
follow_reach(void)
{
	int64		now = cc_monotonic_ms();

	(void) cc_reach_update(now);
	cc_splits_update(now, sim.cfg.peer_timeout_ms, sim.cfg.heartbeat_ms);
}

static void
do_duties(SimNode *node, uint32 seed_bits, bool others)
{
	int64		now = cc_monotonic_ms();
	CcNodeId	cluster;

	cc_membership_announce(node->name, node->name);
	cc_lock_shared(&cc.state->lock);
	cluster = cc.state->cluster_id;
	cc_unlock(&cc.state->lock);
	if (cc_id_is_zero(&cluster) &&
		((seed_bits == 0 && !others) ||
		 now - node->began >= sim.cfg.startup_timeout_ms))
		cc_membership_found();
	drop_removed(node);
	cc_membership_maintain();
	cc_detector_check(now, sim.cfg.peer_timeout_ms);
	cc_detector_phase(now, node->began, sim.cfg.startup_timeout_ms,
					  seed_bits != 0);
	cc_heal_tell_waiting(now);
	follow_reach();
}

static void
replicator_main(void *arg)
{
	SimNode    *node = arg;
	SimTime		next_round = 0;
	int64		heal_due = 0;
	uint32		seed_bits = 0;
	uint32		targets = 0;

	node->began = cc_monotonic_ms();
	while (cc_state_phase() <= CC_LOADING)
		sim_sleep(SIM_MS(5));
	for (;;)
	{
		int64		due;
		SimTime		wait;

		if (sim.now >= next_round)
		{
			bool		others;

			seed_bits = seeds(node);
			targets = members(node, &others) | seed_bits;
			do_duties(node, seed_bits, others);
			targets |= members(node, &others);
			next_round = sim.now + SIM_MS(sim.cfg.heartbeat_ms);
			heal_due = 0;
		}
		if (pg_atomic_read_u32(&cc.members->removed) != 0)
			sim_node_kill_removed(node);
		(void) cc_changelog_published();
		due = PG_INT64_MAX;
		for (int i = 0; i < SIM_MAX_NODES; i++)
		{
			SimPeer    *p = &node->peer[i];

			if (p->conn != NULL)
				step_conn(node, p);
			else if ((targets & (1u << i)) != 0 && sim.now >= p->retry_at)
				open_conn(node, i, (seed_bits & (1u << i)) != 0);
			if (p->conn != NULL)
				due = Min(due, cc_sender_due(sim_net_sender(p->conn)));
		}
		if (cc_reach_is_news())
			follow_reach();
		if (cc_monotonic_ms() >= heal_due)
			heal_due = cc_heal_step(cc_monotonic_ms(),
									sim.cfg.peer_timeout_ms);
		due = Min(due, heal_due);
		wait = next_round - sim.now;
		if (due != PG_INT64_MAX)
			wait = Min(wait, SIM_MS(due - cc_monotonic_ms()));
		for (int i = 0; i < SIM_MAX_NODES; i++)
		{
			if (node->peer[i].conn == NULL && (targets & (1u << i)) != 0)
				wait = Min(wait, node->peer[i].retry_at - sim.now);
		}
		/* a little, so that what comes together is handled together */
		if (!sim_wait(Max(wait, 1000)))
			continue;
		sim_sleep(100 + sim_draw_time(sim.quiet ? 1000 : 4000));
	}
}

/* ---- life and death ---- */

static void
start_event(void *arg, uint64 life)
{
	SimNode    *node = arg;

	if (!node->up && !node->removed && (uint64) node->life == life)
		sim_node_start(node);
}

void
sim_node_restart_at(SimNode *node, SimTime at)
{
	sim_at(at, start_event, node, node->life);
}

void
sim_node_create(int no, uint32 setting_seeds)
{
	SimNode    *node = &sim.node[no];

	node->no = no;
	node->exists = true;
	node->id = node->kept_id = -1;
	snprintf(node->name, sizeof(node->name), "n%c", 'A' + no);
	node->setting_seeds = setting_seeds;
	node->offset_ms = (int64) ((sim_unit(SIM_U_OFFSET, no, 0, 0) * 2 - 1) *
							   sim.cfg.skew_ms);
}

void
sim_node_start(SimNode *node)
{
	Assert(!node->up && sim.fiber == NULL);
	node->life++;
	node->up = true;
	node->stopping = false;
	node->sweep_now = false;
	node->nclients = 0;
	sim.stats.starts++;
	memset(node->peer, 0, sizeof(node->peer));
	make_memory(node);
	sim_trace("starts (life %d)", node->life);
	/* it cannot even write who it is, and takes another id */
	if (sim.now < node->full_until)
		node->disk_hurt = true;
	node->writer = sim_fiber_start(node, "writer", node->life, writer_main, node);
	node->replicator = sim_fiber_start(node, "replicator", node->life,
									   replicator_main, node);
	sim_client_reader(node);
	sim_merger_start(node);
}

/* The server stops at once; what its processes did not write is lost. */
void
sim_node_crash(SimNode *node, bool power)
{
	Assert(node->up && sim.fiber == NULL);
	sim_enter(node);
	sim_trace("%s", node->stopping ? "is down" :
			  power ? "LOSES POWER" : "CRASHES");
	/* who has stopped has saved all, if it could */
	if (node->writer != NULL || !cc.state->persist ||
		sim.now < node->full_until)
	{
		sim_counter_crashed(node);
		sim.stats.crashes++;
	}
	sim_net_node_gone(node);
	sim_fibers_drop(node);
	node->writer = node->replicator = NULL;
	node->files = NULL;
	node->up = false;
	node->was_clean = false;
	node->lost_power |= power;
	/* PROTOCOL.md, bound: then its files are not loaded */
	if (pg_atomic_read_u32(&cc.state->file_marked) != 0)
		node->disk_hurt = true;
	node->reserved = pg_atomic_read_u64(&cc.state->hlc_bound);
	sim_disk_crash(node, power);
}

void
sim_node_stop(SimNode *node, SimTime restart_at)
{
	if (!node->up || node->stopping)
		return;
	sim_trace("is stopped");
	node->stopping = true;
	node->restart_at = restart_at;
	sim_wake(node->writer);
}

void
sim_node_sweep(SimNode *node)
{
	node->sweep_now = true;
	sim_wake(node->writer);
}

static void
kill_event(void *arg, uint64 life)
{
	SimNode    *node = arg;

	if (!node->up || (uint64) node->life != life)
		return;
	sim_enter(node);
	sim_trace("learns that it was removed");
	sim_node_crash(node, false);
	node->removed = true;
}

void
sim_node_kill_removed(SimNode *node)
{
	sim_at(sim.now, kill_event, node, node->life);
}
