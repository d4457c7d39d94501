/*-------------------------------------------------------------------------
 *
 * load.h
 *	  Reads snapshot and journals at start.
 *
 * In two walks over the files.  The first finds out what can be believed: VV,
 * G and own position of the last complete cycle, the clock, the seeds.  The
 * second takes the entries, when the vectors are already in place.
 *
 * The files are a chain: a snapshot, the journal of its generation, and those
 * of the generations that follow without a gap.  A torn or bad block, a
 * missing file or a journal that began without its chain ends what is
 * believed (PROTOCOL.md, journal order): entries behind it are still taken.
 * They are beyond VV, which harms nobody.
 *
 * Unsaved namespaces.  Nothing of them is loaded, whatever an older file still
 * holds.  Where a file says that it left something out ('U' in journal.h) no
 * VV is believed from there on, as behind a torn block, so the start counts as
 * unclean: a node must not claim, and its raises not hide from others, what it
 * has lost.  Where an older file does hold something that is not loaded, no
 * VV is believed at all.
 *
 * Locking: only the writer, in phase CC_LOADING.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_LOAD_H
#define CC_LOAD_H

#include "cache/journal.h"

typedef struct CcGenerations
{
	int			n;
	int			cap;
	uint64	   *gen;
} CcGenerations;

typedef struct CcLoad
{
	/* what lies in the directory */
	CcGenerations snapshots;
	CcGenerations journals;
	uint64		newest;			/* highest generation of either */
	bool		marked;			/* PROTOCOL.md, bound */

	/* the chain */
	CcNodeId	id;
	uint64		base;			/* generation of the snapshot; 0: none */
	bool		data;			/* there is anything to load */
	bool		whole;			/* it can be gone on with */
	uint64		bytes;			/* of its journals */
	uint64		snapshot_bytes;
	uint64		snapshot_at;	/* wall clock ms when it was complete */
	uint64		last;			/* its last journal, and ... */
	uint64		last_bytes;		/* ... how long that is */
	uint32		bad;			/* blocks passed over, files missing */

	/* what is believed */
	bool		believing;		/* up to the end of the chain */
	CcVV		vv;
	CcVV		g;
	bool		forgot;			/* there was a G, believed or not ... */
	bool		unstable;		/* ... and not all members had seen what it
								 * stood for when it was written last */
	uint64		next;			/* 0: unknown */
	uint64		bound;
	bool		has_seeds;
	char		seeds[CC_SEEDS_LEN];

	/*
	 * Unsaved namespaces, of which nothing is loaded: those whose entries some
	 * file left out, and those whose newest declaration says so.
	 */
	bool	   *held;			/* by namespace: the files hold an entry */
	bool	   *left_out;		/* some file left one out */
	bool	   *unsaved;		/* nothing of it is loaded */
	uint64	   *declared;		/* HLC of the declaration that says so */
	bool		dropped;		/* there are entries that are not loaded */

	bool		system_only;	/* members, horizons and the cluster id, which
								 * are never forgotten */
	uint64		entries;		/* that were taken */
} CcLoad;

extern void cc_load_init(CcLoad *l);
extern void cc_load_free(CcLoad *l);

/* Lists the directory.  False when it can't be read. */
extern bool cc_load_list(CcLoad *l);

/* The first walk, over the files of node id. */
extern void cc_load_survey(CcLoad *l, const CcNodeId *id);

/* The second: entries and floor go into the cache. */
extern void cc_load_entries(CcLoad *l);

/* Removes snapshots and journals below a generation, and temporary files. */
extern void cc_load_remove(CcLoad *l, uint64 below);

#endif							/* CC_LOAD_H */
