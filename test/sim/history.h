/*-------------------------------------------------------------------------
 *
 * history.h
 *	  Causal histories of the keys whose conflicts are kept.
 *
 * Of those keys no order of versions says what is to be in the end.  So of
 * each write that ever was made the simulator keeps its history: all that its
 * node had taken of the key by then, and so replaced.  A decision over a
 * conflict has those of its originals, and the leaves that are in its value:
 * values tell which writes of users they are made from, "v12:v15:".
 *
 * Writes of a key are numbered; sets of them are bits.
 *
 * Beside each node stands, by key, the set of what it has "seen": all that is
 * in the history of anything it has ever held.  After a crash it is what the
 * files held and what the VV that was loaded covers.
 *
 * May include: everything of the deciding layers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "sim.h"

#include "cache/conflict.h"
#include "cache/siblings.h"

#define SIM_MAX_WRITES	1024	/* of a key */
#define SIM_SET_WORDS	(SIM_MAX_WRITES / 64)

typedef struct SimSet
{
	uint64		word[SIM_SET_WORDS];
} SimSet;

static inline void
sim_set_add(SimSet *s, int i)
{
	s->word[i / 64] |= UINT64CONST(1) << (i % 64);
}

static inline bool
sim_set_has(const SimSet *s, int i)
{
	return (s->word[i / 64] >> (i % 64) & 1) != 0;
}

static inline void
sim_set_join(SimSet *s, const SimSet *with)
{
	for (int i = 0; i < SIM_SET_WORDS; i++)
		s->word[i] |= with->word[i];
}

/* Whether all of a is in b. */
static inline bool
sim_set_within(const SimSet *a, const SimSet *b)
{
	for (int i = 0; i < SIM_SET_WORDS; i++)
	{
		if ((a->word[i] & ~b->word[i]) != 0)
			return false;
	}
	return true;
}

/* One that is in both; -1: none. */
static inline int
sim_set_common(const SimSet *a, const SimSet *b)
{
	for (int i = 0; i < SIM_SET_WORDS; i++)
	{
		uint64		both = a->word[i] & b->word[i];

		if (both != 0)
			return i * 64 + __builtin_ctzll(both);
	}
	return -1;
}

static inline bool
sim_set_equal(const SimSet *a, const SimSet *b)
{
	return memcmp(a, b, sizeof(SimSet)) == 0;
}

typedef struct SimWrite
{
	uint64		hlc;			/* its version */
	int			writer;
	int			node;			/* who made it */
	SimTime		when;
	bool		decision;
	bool		deletes;		/* it has no value */
	bool		loose;			/* made where conflicts were not kept, or no more:
								 * it has no context, so who keeps them later
								 * may take what it replaced for its rival */
	uint8		how;			/* CcHow, of a decision */
	uint64		horizon;		/* up to where who decided was cleared, or who
								 * decided what it was made from */
	int			id;				/* the number in its value; -1: it has none */
	int			origin;			/* its first dot */
	uint64		seq;
	int64		over;			/* earliest deadline that it ever had; 0: none */
	SimSet		history;		/* itself included */
	SimSet		leaves;			/* users' writes that are in it */
	SimSet		inputs;			/* of a decision: the originals ... */
	SimSet		basis;			/* ... and all of their leaves */
} SimWrite;

/* What a node knows of the key. */
typedef struct SimSeen
{
	SimSet		seen;
	SimSet		kept;			/* of the id that it had; see kept_id */
	SimSet		loaded;			/* what its files held */
	SimSet		shown;			/* leaves of what it served last */
	SimSet		journaled;		/* what it said is written ... */
	SimSet		synced;			/* ... and fsynced */
	int			snap;			/* the write that it served when the islands
								 * were about to meet; -1: none */
} SimSeen;

typedef struct SimHistory
{
	int			n;
	SimWrite   *write[SIM_MAX_WRITES];
	SimSet		lost;			/* memory or a digest took the value */
	SimSet		raced;			/* lost a race */
	SimSet		forgotten;		/* forgotten before all had seen it */
	SimSet		stable;			/* forgotten once all had seen it ... */
	SimSet		back;			/* ... and back from files without their VV */
	SimSet		considered;		/* in the history of a decision */
	SimSet		crashed;		/* a node had seen it before a crash and not after */
	SimSeen		by[SIM_MAX_NODES];
} SimHistory;

/* The key's; NULL: it is none of those. */
extern SimHistory *sim_history(int key);
extern void sim_history_reset(void);

/* Number of the write that has this version; -1: there is none. */
extern int	sim_history_find(SimHistory *k, SimNode *node, const CcEntry *e);

/* What the node's store holds of the key; false: nothing. */
extern bool sim_history_stored(int key, CcKeyState *ks);

/* Entries of a state, the resolution last; their number. */
extern int	sim_history_members(const CcKeyState *ks,
								const CcEntry *out[CC_MAX_ORIGINALS + 1]);

/* The histories of all that a state holds. */
extern void sim_history_of_state(SimHistory *k, SimNode *node,
								 const CcKeyState *ks, SimSet *out);

/* "vA.1:5 v12" and the like, for traces */
extern const char *sim_write_text(SimHistory *k, int w);

/* ---- what the checkers of check.c hand on ---- */
extern void sim_history_written(SimNode *node, int key, const CcEntry *e);
extern void sim_history_taken(SimNode *node, int key, const CcEntry *e);
extern void sim_history_gone(SimNode *node, int key, const CcEntry *e);
extern void sim_history_raced(SimNode *node, int key, const CcEntry *e);
extern void sim_history_read(SimNode *node, int key, const CcEntry *e);

/* Whether some node may find that it has expired. */
extern bool sim_history_over(const SimWrite *x);

/* Whether any node has seen a write and not lost it since. */
extern bool sim_history_anybody_has(SimHistory *k, int w);
extern void sim_history_covered(SimNode *node, int origin, SimDot *d,
								uint64 to, bool full);
extern void sim_history_journaled(SimNode *node, int key, uint64 hlc,
								  bool synced);

/* After a load (check_start.c) */
extern void sim_history_load(SimNode *node, int key);
extern bool sim_history_has_loaded(SimNode *node, const SimDot *d);
extern void sim_history_loaded_dot(SimNode *node, int origin, SimDot *d,
								   bool retired, bool forgotten);
extern void sim_history_durable(SimNode *node, int key);
extern void sim_history_identity(SimNode *node, bool keep, bool back);
extern void sim_history_begin_load(SimNode *node);

/*
 * Whether a decision could not know that `by` had replaced what it was made from:
 * memory, files and a crash together have taken all that told of it, or what told
 * of it is a clear.
 */
extern bool sim_history_unaware(SimHistory *k, const SimWrite *value,
								   int replaced, int by);

/* ---- check_heal.c ---- */

/* What is left to be healed on the node that is entered; NULL: nothing. */
extern const char *sim_heal_left(SimNode *node);
extern const char *sim_heal_unequal(void);
extern void sim_heal_check_key(int key, uint64 horizon);
extern void sim_heal_check_decisions(void);

/* Notes what each node serves. */
extern void sim_heal_snap(void);

/* ---- merger.c ---- */
extern void sim_merger_start(SimNode *node);
extern void sim_people_act(SimNode *node, const SimAction *a);

/* ---- schedule_heal.c ---- */
extern void sim_schedule_heal(void);

#endif							/* SIM_HISTORY_H */
