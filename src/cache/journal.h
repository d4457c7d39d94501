/*-------------------------------------------------------------------------
 *
 * journal.h
 *	  What changed, in the order of the change log, and the vectors that are
 *	  true of it.
 *
 * A journal is a file of blocks (block.h).  A cycle is one or more of them:
 * the entries of all positions since the last cycle, as they are now, and
 * then, in the records of its end, what is known of them:
 *
 *	'V'  VV, as it was before the cycle's end in the change log was read
 *	'G'  the forgotten-vector as it is now
 *	'F'  slices of the floor that were merged since they were last written
 *	'S'  u32 len, the seeds given by cache_join (when they have changed)
 *	'P'  u64 the next position of the change log
 *	'B'  u64 HLC up to which the clock is reserved
 *	'L'  G is not stable: something is forgotten that some member has not seen
 *	'T'  u64 wall clock, ms since 1970 (snapshots)
 *	'Z'  the cycle is complete; only then is its 'V' believed
 *
 * Unsaved namespaces.  Of a namespace that is declared with persist => false
 * no key, value or tombstone is in any file: neither journal nor snapshot
 * writes its entries.  A VV that covers what was left out is not true of the
 * file, so the first time that a file leaves out an entry of a namespace it
 * says so with a 'U' (record.h), which stands before the 'V' of that cycle.
 * What a load makes of it stands in load.h.
 *
 * Horizons, members and the cluster id are entries of the system namespace.
 *
 * Locking: belongs to the writer; takes one partition's lock at a time and
 * none over a file operation.
 *
 * May include: base/, block.h, changelog.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_JOURNAL_H
#define CC_JOURNAL_H

#include "cache/block.h"
#include "cache/changelog.h"

typedef struct CcJournal
{
	CcBlockWriter w;
	uint64		generation;
	uint64		pos;			/* the next position to be journalled */
	bool		unsynced;		/* something was written since the last fsync */

	/* as the last complete cycle wrote them */
	CcVV		vv;
	CcVV		g;
	uint64		bound;
	uint32		seeds_version;
	uint64		horizons[CC_MAX_NAMESPACES];

	/* highest HLC among our own writes that went out */
	uint64		own_hlc;

	CcVV		copy;			/* scratch */
	CcVV		copy_g;
} CcJournal;

typedef enum CcCycle
{
	CC_CYCLE_NOTHING,			/* there was nothing to write */
	CC_CYCLE_DONE,
	CC_CYCLE_LOST,				/* we fell off the ring */
	CC_CYCLE_FAILED				/* the file could not be written */
} CcCycle;

extern void cc_journal_init(CcJournal *j);
extern void cc_journal_free(CcJournal *j);

/*
 * Begins the file of a generation; what is before pos is not its business.
 * On failure the one that was open, if any, goes on.
 */
extern bool cc_journal_create(CcJournal *j, const CcFileHead *head, uint64 pos);

/*
 * Journals all that is allocated in the change log by now.  A bound above the
 * one written last is written too.  lazy: something changed that is not worth
 * a cycle of its own waits for the next one.
 */
extern CcCycle cc_journal_cycle(CcJournal *j, uint64 bound, bool lazy);

/* Only the bound, where no entries are kept. */
extern CcCycle cc_journal_bound(CcJournal *j, uint64 bound);

/* True as well where nothing was unsynced. */
extern bool cc_journal_fsync(CcJournal *j);

/*
 * Adds the horizons that are above those of seen, which follows, or all (NULL).
 */
extern bool cc_journal_put_horizons(CcBlockWriter *w, uint64 *seen);

/*
 * The records of an end, for journal and snapshot: dirty slices of the floor
 * or all, the rest as the arguments say (seeds: only where asked for).
 */
extern bool cc_journal_put_end(CcBlockWriter *w, const CcVV *vv, const CcVV *g,
							   uint64 next, uint64 bound, bool seeds,
							   bool all_floors);

/*
 * Where a key lies: adds the entries of a bucket, or of one hash of it, to a
 * writer's block.  skip tells which of them to leave out (NULL: none).  Takes
 * the partition's lock.  False when the file could not be written.
 */
typedef bool (*CcSkipFn) (CcPartitionShared *p, CcHeaderShared *h, void *arg);

extern bool cc_journal_put_bucket(CcBlockWriter *w, CcPartitionShared *p,
								  uint32 bucket, const uint64 *hash,
								  CcSkipFn skip, void *arg);

/* A record of a type and a number. */
extern void cc_journal_put_number(CcBlockWriter *w, char type, uint64 v);

extern void cc_journal_name(char *name, uint64 generation);

#endif							/* CC_JOURNAL_H */
