/*-------------------------------------------------------------------------
 *
 * state.h
 *	  What this node is and knows: identity, clock, origins, namespaces, and
 *	  the vectors by origin (PROTOCOL.md section 1).
 *
 * Origins and namespaces get small local indexes, in the order in which this
 * node met them; an entry stores the index.  An index is never given twice
 * while the server runs, so a process may keep it.
 *
 * Locking: the vectors are atomic words that are read without a lock and only
 * rise; G rises before the entry goes, under the lock of its partition.  New
 * origins and namespaces are added under state->lock; what is published by
 * the counter (norigins, nnamespaces) is immutable but for atomic fields.
 * The identity is written under state->lock, by the writer before the phase
 * leaves LOADING, and by cc_state_new_origin with all partitions locked.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_STATE_H
#define CC_STATE_H

#include "base/hlc.h"
#include "base/port.h"
#include "base/vv.h"
#include "cache/replay.h"

#define CC_ID_LEN			16
#define CC_MAX_ORIGINS		4096	/* PROTOCOL.md, retire */
#define CC_MAX_NAMESPACES	1024
#define CC_KEPT_NAMESPACES	64	/* the last ones: for "default" of databases */
#define CC_NAME_LEN			64	/* of a database or namespace, with its zero */
#define CC_SLICES			128	/* PROTOCOL.md section 1, slice */
#define CC_SEEDS_LEN		4096
#define CC_NO_ORIGIN		UINT16_MAX
#define CC_NS_SYSTEM		0	/* members, horizons, cluster id */
#define CC_NO_NS			UINT16_MAX
#define CC_DEFAULT_NS		"default"	/* exists in every database */

/*
 * Words by key hash that remember up to which position of the WAL keys were
 * invalidated (see invalidated).
 */
#define CC_INVALIDATED		4096

typedef struct CcNodeId
{
	uint8		b[CC_ID_LEN];
} CcNodeId;

/* How far the node has come; shown by cache_status(). */
typedef enum CcPhase
{
	CC_STARTING,				/* shared memory is new, nobody has looked */
	CC_LOADING,					/* the writer reads the files */
	CC_JOINING,					/* a peer was reached, its data comes in */
	CC_PENDING,					/* waits for a peer: writes are taken, reads miss */
	CC_READY,
	CC_CLOSED					/* clean stop: no more writes are stored */
} CcPhase;

typedef struct CcOriginShared
{
	CcNodeId	node;
	uint64		incarnation;
} CcOriginShared;

/* An origin's flags; set by cluster/membership, read by cache/expire */
#define CC_ORIGIN_CLOSED	0x01	/* its node goes on under a higher
									 * incarnation, or was removed */
#define CC_ORIGIN_REMOVED	0x02	/* its node was removed */
#define CC_ORIGIN_ORPHANED	0x04	/* closed, and no member's VV is beyond
									 * ours: entries beyond get new dots */

/* A namespace's flags, as its declaration says (cache/namespace.h) */
#define CC_NS_DECLARED		0x0001
#define CC_NS_REQUIRE_TTL	0x0002
#define CC_NS_UNSAVED		0x0004	/* its entries are in no file */
#define CC_NS_LOCAL			0x0008	/* its entries never leave their node */
#define CC_NS_SYNC			0x0010	/* writes wait for the peers */
#define CC_NS_SLIDING		0x0020
#define CC_NS_PUBLIC_READ	0x0040	/* everybody may read it */
#define CC_NS_PUBLIC_WRITE	0x0080
#define CC_NS_KEEPS			0x0100	/* on_split is not latest: concurrent writes
									 * are kept until they are decided */
#define CC_NS_BUILTIN		(CC_NS_DECLARED | CC_NS_PUBLIC_READ | CC_NS_PUBLIC_WRITE)

typedef struct CcNamespaceShared
{
	/* constant */
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	uint64		seed;			/* of the hash of its keys */

	/*
	 * The horizon: entries at or below it do not exist.  Only rises.
	 */
	pg_atomic_uint64 horizon;

	/* As `invalidated` of the state, for all its keys: by its horizons. */
	pg_atomic_uint64 invalidated;

	/*
	 * What its declaration says, for those who must not look it up.  Written
	 * by cc_namespace_applied under the lock of the partition that holds the
	 * declaration, the version last; read word by word without a lock: a
	 * reader may see some settings of the old and some of the new one.
	 */
	pg_atomic_uint64 version;	/* HLC of the declaration; 0: none yet */
	pg_atomic_uint32 flags;		/* CC_NS_* */
	pg_atomic_uint32 on_split;	/* CcOnSplit */
	pg_atomic_uint64 ttl_ms;	/* 0: no default */
	pg_atomic_uint64 max_age_ms;	/* 0: none */
	pg_atomic_uint64 grace_ms;
	pg_atomic_uint64 max_chunks;	/* max_memory; 0: no bound of its own */

	/*
	 * Index of its own list of values in every partition, 0: it shares
	 * CC_LIST_VALUES.  Given once, under state->lock, and never taken back.
	 */
	pg_atomic_uint32 own_list;

	/*
	 * When it got that list: while sweep_cycle is below this there may be
	 * values of it in the common one still.
	 */
	pg_atomic_uint64 own_settled;

	/*
	 * Entries with a value or in conflict, their chunks, and how many of them
	 * are in conflict, counted by the store; what was cleared or is over counts
	 * until it is found.  In a cache line that no read needs.
	 */
	char		spare[64];
	pg_atomic_uint64 entries;
	pg_atomic_uint64 chunks;
	pg_atomic_uint64 conflicts;
	pg_atomic_uint32 evict_turn;	/* partition that is asked next to give */
	pg_atomic_uint64 evictions;
	pg_atomic_uint64 expirations;
} CcNamespaceShared;

typedef struct CcStateShared
{
	CcLock		lock;			/* see the file's head */

	/* identity; see the file's head */
	CcNodeId	id;
	CcNodeId	cluster_id;		/* all zero: none yet */
	uint64		boot;			/* rises with every start */
	uint64		incarnation;
	pg_atomic_uint32 self;		/* index of our own origin */
	uint64		first_seq;		/* first position of this start; sequence
								 * numbers of self below are of earlier ones */
	bool		unclean;		/* this start followed an unclean stop */

	/*
	 * This start does not know any more, but by F, what had been forgotten: it
	 * compares itself once with every member of whom the files did not say
	 * that he had seen all of it.  Before the phase leaves LOADING.
	 */
	bool		owes;			/* some of those that the files name had not */
	bool		owes_new;		/* nor has anybody that we meet later */

	pg_atomic_uint32 phase;		/* CcPhase */
	pg_atomic_uint32 was_ready; /* it has been CC_READY since the start */
	pg_atomic_uint32 alone;		/* the replicator has nobody to send to, so it is
								 * not woken for data; written by it alone */
	pg_atomic_uint32 closing;	/* no further commit may begin */
	pg_atomic_uint32 commits;	/* that have begun and are not through */
	pg_atomic_uint64 hlc;
	pg_atomic_uint64 hlc_bound; /* reserved on disk; raised by the writer */
	pg_atomic_uint64 hlc_wanted;	/* whoever waits for the bound raises it */
	pg_atomic_uint64 sync_wanted;	/* likewise: all positions below it shall
									 * be fsynced now, whatever the setting */
	pg_atomic_uint64 hlc_given_up;	/* the bound at which somebody has waited
									 * in vain for a higher one: nobody waits
									 * again before it moves */
	int64		max_skew_ms;	/* setting, for processes without GUCs */
	uint64		system;			/* identifier of the database system, which a
								 * standby has in common with its primary; by
								 * the writer before the phase leaves LOADING */

	/*
	 * Set when a stub beyond VVj had to be forgotten (PROTOCOL.md, bound):
	 * the files must not be loaded after an unclean stop until the next
	 * snapshot.  Set by cc_cache_mark_file, cleared by the writer.
	 */
	pg_atomic_uint32 file_marked;

	/*
	 * All positions below these are in the journal, and fsynced there.  While
	 * the journal cannot be written nobody waits for it.  Written by the
	 * writer, who calls cc_announce_journal then.
	 */
	pg_atomic_uint64 journaled;
	pg_atomic_uint64 synced;
	pg_atomic_uint32 journal_failed;
	pg_atomic_uint32 bad_blocks;	/* damage that this start has met */

	/*
	 * Rises when a namespace has become unsaved, or saved: the files shall be
	 * written anew.  By cc_namespace_applied; read by the writer.
	 */
	pg_atomic_uint64 rewrite_wanted;

	bool		persist;		/* fixed at start; false: VVj is VV */

	/*
	 * Seeds given by cache_join, separated by ';', remembered over restarts.
	 * Under lock; the version rises with each change.
	 */
	char		seeds[CC_SEEDS_LEN];
	pg_atomic_uint32 seeds_version;

	/* counts what the sweep has completed; see cc_expire_sweep */
	pg_atomic_uint64 sweep_cycle;

	/*
	 * By key hash, the highest position in our own system's WAL at which a
	 * transaction ended that had invalidated a key of this hash.  On a standby
	 * that may be ahead of what it has replayed; see cc_cache_change, fill.
	 * Only rises.
	 */
	pg_atomic_uint64 invalidated[CC_INVALIDATED];

	CcReplayShared replay;		/* of a standby; see its file */

	pg_atomic_uint64 bindings;	/* counts the changes of roles' bindings
								 * (namespace.h), for those who remember what
								 * followed from them */

	/*
	 * How often a namespace has begun to keep conflicts since the start; 0: no
	 * batch need say what its sender had seen.  By cc_namespace_applied.
	 */
	pg_atomic_uint32 nkeeping;

	/*
	 * As the resolver this node has something to decide (cluster/heal.h), which
	 * its link state tells (reach.h).
	 */
	pg_atomic_uint32 heal_waits;

	pg_atomic_uint32 nown_lists;	/* own_list that were given */
	uint32		origin_cap;
	pg_atomic_uint32 norigins;
	pg_atomic_uint32 nnamespaces;

	/* offsets from the start of this struct, of arrays of origin_cap */
	Size		origins;		/* CcOriginShared */
	Size		vv;				/* atomic u64; own component: see changelog.h */
	Size		vvj;			/* atomic u64; raised by the writer */
	Size		g;				/* atomic u64 */
	Size		stable;			/* atomic u64; written by membership */
	Size		flags;			/* atomic u32 CC_ORIGIN_* */
	Size		beyond;			/* atomic u64: sweep cycle in which an entry
								 * beyond VV was last taken or seen */
	Size		hash;			/* uint16[2 * origin_cap], CC_NO_ORIGIN empty */
	Size		namespaces;		/* CcNamespaceShared[CC_MAX_NAMESPACES] */
} CcStateShared;

/*
 * This process's pointers to all shared parts.  Set once by shmem.c; the
 * simulator sets them whenever it goes from one node to another.
 */
typedef struct CcShared
{
	CcStateShared *state;
	struct CcStoreShared *store;
	struct CcFloorShared *floor;
	struct CcChangelogShared *log;
	struct CcMembersShared *members;
	struct CcStatsShared *stats;
	struct CcApartShared *apart;
	struct CcConflictsShared *conflicts;
	struct CcSplitsShared *splits;
	struct CcHealShared *heal;
} CcShared;

extern CcShared cc;

/* Bytes for the state of a cache whose origins are at most origin_cap. */
extern Size cc_state_size(uint32 origin_cap);

/*
 * Formats fresh memory of cc_state_size bytes and makes it cc.state.  The
 * namespace CC_NS_SYSTEM exists after it, no origin does.
 */
extern void cc_state_init(void *mem, uint32 origin_cap);

/* Access to the arrays */
#define cc_state_array(type, field) \
	((type *) ((char *) cc.state + cc.state->field))
#define cc_origin(i)		(&cc_state_array(CcOriginShared, origins)[i])
#define cc_origin_flags(i)	(&cc_state_array(pg_atomic_uint32, flags)[i])
#define cc_namespace(i)		(&cc_state_array(CcNamespaceShared, namespaces)[i])
#define cc_namespace_has(i, flag) \
	((pg_atomic_read_u32(&cc_namespace(i)->flags) & (flag)) != 0)
#define cc_state_invalidated(hash) \
	(&cc.state->invalidated[(hash) % CC_INVALIDATED])

static inline uint64
cc_state_vv(int origin)
{
	return pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64, vv)[origin]);
}

static inline uint64
cc_state_vvj(int origin)
{
	/* without files there is nothing to be written first */
	if (!cc.state->persist)
		return cc_state_vv(origin);
	return pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64, vvj)[origin]);
}

static inline uint64
cc_state_g(int origin)
{
	return pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64, g)[origin]);
}

/*
 * Whether reads are answered: once the node is ready, and while it is closed
 * after that.
 */
static inline bool
cc_state_serves(void)
{
	CcPhase		phase = pg_atomic_read_u32(&cc.state->phase);

	return phase == CC_READY ||
		(phase == CC_CLOSED && pg_atomic_read_u32(&cc.state->was_ready) != 0);
}

/* Whether writes are stored at all (PROTOCOL.md, before). */
static inline bool
cc_state_takes_writes(void)
{
	CcPhase		phase = pg_atomic_read_u32(&cc.state->phase);

	return phase == CC_JOINING || phase == CC_PENDING || phase == CC_READY;
}

static inline int
cc_state_norigins(void)
{
	return pg_atomic_read_u32(&cc.state->norigins);
}

static inline uint16
cc_state_self(void)
{
	return pg_atomic_read_u32(&cc.state->self);
}

static inline CcPhase
cc_state_phase(void)
{
	return pg_atomic_read_u32(&cc.state->phase);
}

/* Rule stable: everybody is known to have seen the dot, and our journal too. */
static inline bool
cc_state_stable(int origin, uint64 seq)
{
	return pg_atomic_read_u64(&cc_state_array(pg_atomic_uint64, stable)[origin]) >= seq;
}

/* The name by which views and events show it. */
extern const char *cc_state_phase_name(CcPhase phase);

/*
 * CC_CLOSED is for good, until shared memory is made anew.  Told as an event;
 * no lock may be held.
 */
extern void cc_state_set_phase(CcPhase phase);

/*
 * Index of an origin, which is added when it is new.  CC_NO_ORIGIN when there
 * is no room.  Takes state->lock when it is new.
 */
extern uint16 cc_state_origin(const CcNodeId *node, uint64 incarnation);

/* Same, but CC_NO_ORIGIN when it is not known.  No lock. */
extern uint16 cc_state_find_origin(const CcNodeId *node, uint64 incarnation);

/*
 * Index of a namespace, which is added when it is new; CC_NO_NS when there is
 * no room or a name is too long.
 */
extern uint16 cc_state_namespace(const char *database, const char *name);

/* Same, but CC_NO_NS when it is not known.  No lock. */
extern uint16 cc_state_find_namespace(const char *database, const char *name);

/* Raises one component; returns true when it rose. */
extern bool cc_state_raise_vv(int origin, uint64 seq);
extern bool cc_state_raise_vvj(int origin, uint64 seq);
extern bool cc_state_raise_g(int origin, uint64 seq);
extern void cc_state_set_stable(int origin, uint64 seq);

/*
 * Copies of the vectors.  The own component of VV is read last: whoever has
 * seen it has seen all that it could depend on (PROTOCOL.md, under
 * concurrency).  May allocate.
 */
extern void cc_state_copy_vv(CcVV *to);
extern void cc_state_copy_vvj(CcVV *to);
extern void cc_state_copy_g(CcVV *to);

/*
 * Makes our own origin (id, incarnation) the one in which writes get their
 * dots.  False when the table of origins is full.
 */
extern bool cc_state_set_self(const CcNodeId *id, uint64 incarnation);

extern bool cc_id_is_zero(const CcNodeId *id);

static inline int
cc_id_cmp(const CcNodeId *a, const CcNodeId *b)
{
	return memcmp(a->b, b->b, CC_ID_LEN);
}

/* 32 hex digits and a zero */
#define CC_ID_TEXT_LEN		(2 * CC_ID_LEN + 1)
extern char *cc_id_text(const CcNodeId *id, char *out);

#endif							/* CC_STATE_H */
