/*-------------------------------------------------------------------------
 *
 * sim.h
 *	  The simulator: several nodes in one process, over the real C of the
 *	  deciding layers.
 *
 *	main.c		arguments, many seeds, the table of rules
 *	shrink.c	the shortest schedule that still fails
 *	run.c		a run's course
 *	schedule.c	what a seed draws: sizes, faults, actions
 *	node.c		a node's life: start, workers, crash, clean stop
 *	client.c	what users do: puts, reads, deletes, ...
 *	net.c		connections, their delays and deaths
 *	disk.c		files that lose what was not synced
 *	fiber.c		fibers, time, locks
 *	port.c		the rest of base/port.h: clock, memory, log, chance
 *	oracle.c	all writes that ever were
 *	check.c		the invariant and the promises; check_start.c after a load,
 *				check_end.c in the end, counter.c of counters
 *	history.c	what was written after what, where conflicts are kept;
 *				history_vv.c and check_heal.c
 *	merger.c	merge functions, and people who decide; schedule_heal.c
 *
 * Everything random is a hash of the seed, a purpose and counters, so that a
 * run is repeated exactly, and taking one action out of its schedule changes
 * little of the rest.  Nothing reads the real time or depends on an address.
 *
 * May include: everything of the deciding layers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIM_H
#define SIM_H

#include "cache/cache.h"
#include "cache/expire.h"
#include "cache/files.h"
#include "cache/namespace.h"
#include "cluster/detector.h"
#include "cluster/heal.h"
#include "cluster/receive.h"
#include "cluster/replicate.h"

typedef int64 SimTime;			/* virtual microseconds since the run began */

#define SIM_MS(ms)			((SimTime) (ms) * 1000)
#define SIM_NEVER			PG_INT64_MAX

/* Until then the nodes have time to meet */
#define SIM_FIRST_ACTION	SIM_MS(1200)

#define SIM_MAX_NODES		8
#define SIM_MAX_KEYS		96		/* data and system keys of a run */
#define SIM_MAX_ORIGINS		256
#define SIM_MAX_IDS			32
#define SIM_MAX_HELD		16
#define SIM_MAX_COUNTERS	2		/* keys that are only incremented */

typedef struct SimNode SimNode;
typedef struct SimFiber SimFiber;
typedef struct SimConn SimConn;
typedef struct SimFile SimFile;

/* ---- the namespaces of data; see client.c ---- */
typedef enum SimSort
{
	SIM_SAVED,					/* "default" */
	SIM_UNSAVED,				/* declared with persist => false */
	SIM_LOCAL,					/* declared with replicate => false */
	SIM_KEPT,					/* declared with an on_split that keeps
								 * conflicts; see history.h */
	SIM_NSORTS
} SimSort;

extern const char *const sim_sort_name[SIM_NSORTS];

/* ---- what happens to whom; see schedule.c ---- */
typedef enum SimActionKind
{
	SIM_PUT, SIM_DELETE, SIM_TOUCH, SIM_READ, SIM_INCR, SIM_CLEAR,
	SIM_CUT, SIM_CUT_ONE_WAY, SIM_MEND, SIM_ISOLATE, SIM_MEND_ALL, SIM_RESET,
	SIM_CRASH, SIM_POWER, SIM_STOP, SIM_CRASH_ALL, SIM_JOIN, SIM_MEET,
	SIM_FORGET, SIM_CLOCK, SIM_STALL, SIM_DISK_FULL, SIM_ROT, SIM_ROLLBACK,
	SIM_SWEEP,
	SIM_DECLARE, SIM_RESOLVE, SIM_WINNER, SIM_RETRY, SIM_POLICY, SIM_SNAP,
	SIM_MEND_ONE_WAY,
	SIM_NACTIONS
} SimActionKind;

typedef struct SimAction
{
	SimTime		at;
	SimActionKind kind;
	int			id;				/* names it in hashes, also after shrinking */
	int			node;
	int			other;			/* a second node; or the key's number */
	int64		arg;			/* deadline, delay, offset: by kind */
} SimAction;

extern const char *sim_action_name(SimActionKind kind);

#define SIM_MAX_ACTIONS		1200

/* ---- order of writes ---- */
typedef struct SimVersion
{
	uint64		hlc;			/* 0: nothing */
	uint64		at;
	int			writer;			/* index of an id; see oracle.c */
	int			at_node;
} SimVersion;

/* A write, or an entry under a new name. */
typedef struct SimDot
{
	uint64		seq;
	SimVersion	version;
	int64		expires;
	uint64		value;			/* a hash of type and value; 0: none */
	int			key;
	uint32		taken;			/* bits: by which nodes, in what they know now */
	bool		evicted;		/* somebody lost its value before its time */
} SimDot;

typedef struct SimOrigin
{
	int			id;
	uint64		incarnation;
	SimDot	   *dot;			/* by seq */
	int			ndots;
	int			cap;
} SimOrigin;

/* ---- a node ---- */
typedef struct SimPeer
{
	SimConn    *conn;			/* our session to it; NULL: none */
	SimTime		retry_at;
	int			tries;
} SimPeer;

struct SimNode
{
	int			no;
	char		name[8];
	bool		exists;
	bool		up;				/* its server runs */
	bool		removed;		/* it knows, and is gone for good */
	bool		stopping;
	bool		sweep_now;
	bool		was_clean;		/* of the last stop */
	bool		lost_power;		/* and it lost what was not synced */
	bool		rolled_back;	/* its disk is an old copy */
	bool		disk_hurt;		/* a fault that may cost what was journalled */
	int			life;			/* counts its starts */
	int64		offset_ms;		/* of its clock */
	SimTime		restart_at;		/* after a clean stop */
	SimTime		stall_until;	/* its writer does nothing */
	SimTime		full_until;		/* its disk takes nothing */
	uint32		setting_seeds;	/* bits of node numbers: cachecluster.peers */

	CcShared	shared;
	char	   *memory;
	CcFiles    *files;
	SimFiber   *fibers;			/* all that run on it */
	SimFiber   *writer;
	SimFiber   *replicator;
	SimPeer		peer[SIM_MAX_NODES];
	uint64		nrandom;		/* cc_random's calls */
	int64		began;			/* monotonic ms */
	int			nclients;		/* operations under way */

	/* disk.c */
	SimFile    *disk;
	SimFile    *old_disk[6];	/* copies for SIM_ROLLBACK, oldest first */
	int			nold;
	uint64		ninodes;

	/* check.c */
	int			id;				/* index of its id; -1 before the first start */
	bool		loading;
	bool		in_memory;		/* its files can't be written */
	int			kept_id;		/* what it was before its files could not be
								 * written; -1: it is that */
	int			origin_map[SIM_MAX_ORIGINS];	/* its index -> ours, + 1 */
	SimVersion	ghost[SIM_MAX_KEYS];	/* the newest it has taken */
	SimVersion	kept_ghost[SIM_MAX_KEYS];	/* of kept_id */
	SimVersion	loaded[SIM_MAX_KEYS];	/* what its files held */
	SimVersion	over[SIM_MAX_KEYS];	/* what it has seen expired */
	int64		over_at[SIM_MAX_KEYS];	/* the deadline of that */
	uint64		reserved;		/* HLC on disk when it went down */
	SimVersion	journaled[SIM_MAX_KEYS];	/* what it said is written ... */
	SimVersion	synced[SIM_MAX_KEYS];	/* ... and fsynced */

	/* counter.c: by counter and origin, the steps it has */
	uint32		steps[SIM_MAX_COUNTERS][SIM_MAX_ORIGINS];
	uint32		steps_journaled[SIM_MAX_COUNTERS][SIM_MAX_ORIGINS];
	uint32		steps_synced[SIM_MAX_COUNTERS][SIM_MAX_ORIGINS];
};

/* ---- a run ---- */
typedef struct SimConfig
{
	int			nodes;
	int			keys;
	int			counters;		/* keys behind those, only incremented */
	bool		mixed;			/* the others are incremented, too */
	int			value_max;
	uint32		partitions;
	Size		store_bytes;
	uint32		bound;			/* chunks of the namespace's max_memory; 0: none */
	int			bound_from;		/* its own list: 0 never, 1 from the start, 2
								 * from the middle of the actions */
	uint32		ring;
	int			clients;		/* at once on a node; others are turned away */
	uint32		floor_generations;
	uint32		floor_bits;
	SimTime		end;			/* of the actions */
	int			nactions;
	int64		skew_ms;		/* clocks differ by at most twice that */
	int64		max_skew_ms;
	SimTime		latency;
	double		latency_tail;	/* probability of a very late message */
	SimTime		disk_latency;
	CcJournalSync sync;
	int64		heartbeat_ms;
	int64		peer_timeout_ms;
	int64		startup_timeout_ms;
	Size		batch_bytes;
	bool		writer_lazy;
	SimTime		writer_pause;	/* the writer's and the sweep's slowness */
	SimTime		sweep_pause;
	double		writer_stall;	/* probability of a long pause */
	uint32		yield_odds;		/* of 65536 */
	SimTime		yield_max;
	double		errors;			/* probability that an operation fails half-way */
	int			groups;			/* 1, or 2 that meet later */
	int			first_group;	/* nodes of the first */
	bool		partial_end;	/* some links stay down at the end */
	bool		persist;
	bool		sorts;			/* keys are of all three sorts */

	/* keys whose conflicts are kept */
	int			kept;			/* 0: none, 1: every second, 2: all */
	uint8		on_split;		/* CcOnSplit of their namespace */
	bool		policy_changes; /* it becomes another one */
	bool		forward;		/* by it no node goes back to a write that it
								 * has served a later one of */
	bool		exact;			/* no fault that may merge a value with one of
								 * its own inputs (PROTOCOL.md, section 8) */
	bool		once;			/* a clean cut and heal: each conflict is decided
								 * once */
	SimTime		clean_heal;		/* when its links begin to return; 0: not so */
	uint32		island[2];		/* bits: nodes of its islands */
	double		merge_fails;	/* probability that a merge function does */
	SimTime		merge_time;		/* that it takes at most */
} SimConfig;

typedef struct SimEvent
{
	SimTime		at;
	uint64		order;
	void		(*fn) (void *arg, uint64 n);
	void	   *arg;
	uint64		n;
} SimEvent;

typedef struct SimStats
{
	uint64		events;
	uint64		messages;
	uint64		switches;
	uint64		writes;
	uint64		takes;
	uint64		refused;
	uint64		starts;
	uint64		crashes;
	uint64		exact;			/* counters of which all increments were
								 * looked for in the end ... */
	uint64		counted;		/* ... and how many those were */
	uint64		decided;		/* conflicts */
	uint64		settled;		/* ... by a user's write */
	uint64		islands;		/* keys for which it was looked whether the
								 * island that won has */
} SimStats;

typedef struct Sim
{
	uint64		seed;
	SimConfig	cfg;
	SimTime		now;
	bool		tracing;
	bool		running;
	bool		rolls_back;		/* disks are copied now and then */
	bool		quiet;			/* the end: no more faults or writes */

	bool		violated;
	char		kind[32];
	char		message[1024];

	SimNode		node[SIM_MAX_NODES];
	bool		cut[SIM_MAX_NODES][SIM_MAX_NODES];	/* from, to */

	SimAction	action[SIM_MAX_ACTIONS];
	char		key_name[SIM_MAX_KEYS][80];	/* oracle.c */
	uint16		key_len[SIM_MAX_KEYS];
	bool		key_system[SIM_MAX_KEYS];
	SimVersion	key_last[SIM_MAX_KEYS]; /* the newest that a user wrote */
	uint8		key_last_type[SIM_MAX_KEYS];
	SimSort		key_sort[SIM_MAX_KEYS];
	SimOrigin	origin[SIM_MAX_ORIGINS];
	int			nactions;

	/* oracle.c */
	CcNodeId	id[SIM_MAX_IDS];
	int			nids;
	int			norigins;
	int			nkeys;
	uint64		nvalues;
	bool		forgetting;		/* somebody called cache_forget */
	uint32		winners;		/* bits: nodes of the island whose entries win */

	uint64		nconns;
	SimFiber   *fiber;			/* that runs now; NULL: the scheduler */
	SimNode    *here;			/* whose memory cc points to */
	SimStats	stats;
} Sim;

extern Sim	sim;

/* ---- chance ---- */
typedef enum SimPurpose
{
	SIM_U_CONFIG = 1, SIM_U_ACTIONS, SIM_U_FIBER, SIM_U_LATENCY, SIM_U_TAIL,
	SIM_U_ZOMBIE, SIM_U_ACK, SIM_U_ACK_TAIL, SIM_U_CRASH, SIM_U_RANDOM,
	SIM_U_END, SIM_U_OFFSET, SIM_U_START, SIM_U_CUT, SIM_U_VALUE, SIM_U_RETRY,
	SIM_U_PEOPLE
} SimPurpose;

extern uint64 sim_mix(uint64 x);
extern uint64 sim_hash(SimPurpose purpose, uint64 a, uint64 b, uint64 c);
extern double sim_unit(SimPurpose purpose, uint64 a, uint64 b, uint64 c);
extern uint32 sim_below(uint32 n, SimPurpose purpose, uint64 a, uint64 b,
						uint64 c);

/* The next number of the running fiber's own stream. */
extern uint64 sim_draw(void);
extern double sim_draw_unit(void);
extern SimTime sim_draw_time(SimTime max);

/* ---- time and fibers (fiber.c) ---- */
extern void sim_at(SimTime at, void (*fn) (void *, uint64), void *arg, uint64 n);

/* Runs until the time has come or a violation was found. */
extern void sim_run_until(SimTime until);

/*
 * Starts a fiber on a node; no names its stream of chance together with what.
 */
extern SimFiber *sim_fiber_start(SimNode *node, const char *what, uint64 no,
								 void (*fn) (void *), void *arg);

/* Drops all fibers of a node, as they are. */
extern void sim_fibers_drop(SimNode *node);

/* In a fiber: sleeps; waits for sim_wake at most so long. */
extern void sim_sleep(SimTime time);
extern bool sim_wait(SimTime time);
extern void sim_wake(SimFiber *f);
extern bool sim_fiber_alive(SimFiber *f);
extern void sim_fibers_reset(void);

/* Somebody has waited for a lock for too long. */
extern void sim_check_stuck(void);

/* Where an error might be raised; raises one; whether one may be. */
extern void sim_check_unlocked(const char *where);
extern void sim_raise(void) pg_attribute_noreturn();
extern bool sim_may_raise(void);

/* Runs fn; false when an error was raised in it, as PG_TRY would see it. */
extern bool sim_try(void (*fn) (void *), void *arg);

/* cc points to the node's memory (NULL: to nothing). */
extern void sim_enter(SimNode *node);

/* Whether the running fiber is a user's. */
extern bool sim_user_runs(void);

/* ---- port.c ---- */
extern void *sim_memory(Size size); /* of the run; zeroed, never freed */
extern void sim_memory_reset(void);
extern void sim_print_trace(const char *fmt, ...) pg_attribute_printf(1, 2);

#define sim_trace(...) \
	(sim.tracing ? sim_print_trace(__VA_ARGS__) : (void) 0)
extern void sim_violate(const char *kind, const char *fmt, ...)
			pg_attribute_printf(2, 3) pg_attribute_noreturn();
extern void sim_leave_fiber(void) pg_attribute_noreturn();
extern bool sim_escape(void (*fn) (void));

/* ---- disk.c ---- */
extern void sim_disk_crash(SimNode *node, bool power);
extern void sim_disk_rot(SimNode *node, uint64 draw);
extern void sim_disk_remember(SimNode *node);
extern bool sim_disk_roll_back(SimNode *node, bool copied);

/* ---- net.c ---- */

/* Opens a connection for a session; NULL when nobody answers. */
extern SimConn *sim_net_connect(SimNode *from, SimNode *to, CcSender *sender);
extern void sim_net_send(SimConn *c, const char *data, Size len);
extern CcSender *sim_net_sender(SimConn *c);
extern uint64 sim_net_number(SimConn *c);

/* The next reply that has come; false: none yet. */
extern bool sim_net_reply(SimConn *c, const char **data, Size *len);
extern bool sim_net_broken(SimConn *c);

/* The sender is done with it; it frees the CcSender itself. */
extern void sim_net_close(SimConn *c);

/* Links, and what goes with a node */
extern void sim_net_cut(SimNode *from, SimNode *to, uint64 draw);
extern void sim_net_mend(SimNode *from, SimNode *to);
extern void sim_net_reset(SimConn *c);
extern void sim_net_node_gone(SimNode *node);
extern void sim_net_begin(void);

/* ---- node.c ---- */
extern void sim_node_create(int no, uint32 setting_seeds);
extern void sim_node_start(SimNode *node);
extern void sim_node_crash(SimNode *node, bool power);
extern void sim_node_stop(SimNode *node, SimTime restart_at);
extern void sim_node_restart_at(SimNode *node, SimTime at);
extern void sim_node_sweep(SimNode *node);
extern void sim_node_kill_removed(SimNode *node);

/* Bytes of a store with so many chunks in each of its partitions. */
extern Size sim_store_bytes(uint32 partitions, uint32 chunks);

/* ---- client.c ---- */
extern void sim_client_start(SimNode *node, const SimAction *a);
extern void sim_client_reader(SimNode *node);

/* Forgets the member if it is no node that there is. */
extern void sim_client_forget_stray(SimNode *node, const CcMemberShared *m);
extern uint16 sim_client_key(int no, char *key);

/* The namespace of all data, with its bound, on the node that is entered. */
extern uint16 sim_client_namespace(void);

/* The namespace of a sort; and its declaration, as users make it. */
extern uint16 sim_client_data(SimSort sort);
extern bool sim_client_declare(uint16 ns, SimSort sort);
extern SimSort sim_client_sort(int no);
extern bool sim_client_ready(void);

/* ---- schedule.c, run.c ---- */
extern void sim_schedule_draw(uint64 seed);
extern void sim_schedule_with(SimActionKind kind, double weight);

/* All runs have so many keys whose conflicts are kept (SimConfig, kept). */
extern void sim_schedule_kept(int kept);

/* What schedule_heal.c draws with */
extern int	sim_schedule_below(int n);
extern double sim_schedule_unit(void);
extern uint64 sim_schedule_by_name(const char *name);
extern SimAction *sim_schedule_add(SimTime at, SimActionKind kind, int node);

/*
 * One run of the seed: of the schedule given, or (NULL) of its own.  True
 * when nothing was violated.
 */
extern bool sim_run(uint64 seed, const SimAction *actions, int nactions,
					bool tracing);

/* ---- shrink.c ---- */
extern int	sim_shrink(uint64 seed, SimAction *actions, int nactions,
					   const char *kind);

/* ---- oracle.c ---- */
extern int	sim_oracle_key(uint64 hash, uint16 ns, const char *key, Size len);
extern uint64 sim_key_hash(int key);
extern int	sim_oracle_first(int origin, uint64 seq);
extern int	sim_oracle_id(const CcNodeId *id);
extern int	sim_oracle_origin(SimNode *node, int origin);
extern void sim_oracle_version(SimNode *node, const CcEntry *e, SimVersion *v);
extern int	sim_version_cmp(const SimVersion *a, const SimVersion *b);
extern SimDot *sim_oracle_find(int origin, uint64 seq);
extern SimDot *sim_oracle_known(int origin, uint64 seq);
extern SimDot *sim_oracle_add(int origin, uint64 seq);
extern SimDot *sim_oracle_written(int key, const SimVersion *v);
extern bool sim_oracle_evicted(int key, const SimVersion *v);
extern bool sim_oracle_superseded(int key, const SimVersion *v);
extern uint64 sim_oracle_value(uint8 type, uint8 flags, const char *value,
							   Size len);
extern const char *sim_dot_text(int origin, uint64 seq);
extern const char *sim_hlc_text(uint64 hlc);
extern const char *sim_key_text(int key);

/* ---- check.c ---- */

/* The horizon of the namespace of that sort, on the node that we are at. */
extern uint64 sim_horizon(SimSort sort);

/* What its store holds of a key now, whoever has the lock; NULL: nothing. */
extern CcHeaderShared *sim_stored(uint64 hash);
extern void sim_stored_version(SimNode *node, CcHeaderShared *h, SimVersion *v);
extern void sim_version_raise(SimVersion *v, const SimVersion *to);
extern void sim_check_boot(SimNode *node);
extern void sim_check_loaded(SimNode *node);

/* Whether a node that is still there has taken the dot, as far as it knows. */
extern bool sim_anybody_took(const SimDot *d);

/* The entry is what was written under its dot. */
extern void sim_check_same(const char *what, const CcEntry *e, int origin,
						   SimDot *d, const SimVersion *v);

/* What held when a read began; and its end (e NULL: a miss). */
typedef struct SimRead
{
	int			key;
	SimVersion	ghost;
	SimVersion	over;
	int64		now_ms;
	uint64		horizon;		/* of its namespace */
} SimRead;

extern void sim_check_read_begin(SimNode *node, int key, SimRead *r);
extern void sim_check_read_end(SimNode *node, const SimRead *r,
							   const CcEntry *e);

/* Whether the node's members are the nodes that there are. */
extern bool sim_check_members(SimNode *node);

/* NULL when nothing is left to be done, else what is missing. */
extern const char *sim_check_settled(void);

/* What a node would answer for the key now; NULL: a miss. */
extern CcHeaderShared *sim_served(SimNode *node, int key);
extern void sim_check_final(const char *why);

/* ---- counter.c ---- */
extern void sim_counter_reset(void);

/* The entry, a counter, is about to be stored: written here or from a peer. */
extern void sim_counter_stored(SimNode *node, int key, const CcEntry *e,
							   bool written);

/* Its value was lost by a rule of PROTOCOL.md, which promises no more then. */
extern void sim_counter_lost(int key, const char *why);

/* An entry, of whatever key, is about to be forgotten, or its value is. */
extern void sim_counter_forgotten(const CcEntry *e);

/* Steps of the node's own part, and by which origin; those are on disk now. */
extern void sim_counter_group(void);

/*
 * Whether nodes were in groups that had not met: who was never a member of one's
 * group has not been waited for.
 */
extern bool sim_counter_strangers(void);
extern int	sim_counter_step(SimNode *node, int key, uint32 *step);
extern void sim_counter_journaled(SimNode *node, int key, int origin,
								  uint32 step, bool synced);
extern void sim_counter_loaded(SimNode *node);
extern void sim_counter_crashed(SimNode *node);
extern void sim_counter_final(void);

#endif							/* SIM_H */
