/*-------------------------------------------------------------------------
 *
 * files.h
 *	  The writer's view of the files: load at start, journal, snapshot, clean
 *	  stop (PROTOCOL.md section 6).
 *
 *	pgsql_tmp.identity			who this node is (identity.h)
 *	pgsql_tmp.anchor			its inode is this data directory's (identity.h)
 *	pgsql_tmp.snapshot.<gen>	everything, as of a moment (snapshot.h)
 *	pgsql_tmp.journal.<gen>		what changed since generation gen began
 *								(journal.h)
 *	pgsql_tmp.marked			exists while the files must not be loaded after
 *								an unclean stop (PROTOCOL.md, bound)
 *	pgsql_tmp.marked.old		the same, set before the running snapshot began,
 *								which ends it
 *
 * Generations.  A generation begins at a moment: a copy of VV and the end of
 * the change log, up to which its predecessor has journalled.  Every start
 * begins one, for no journal is appended to by a later life, and every
 * snapshot does.  What is believed at a load is a chain: the newest snapshot
 * and the journals from its generation on, without a gap.  Files below the
 * newest snapshot go when it is complete.
 *
 * After a gap (a reader that fell off the ring, a disk that was full, a bad
 * block) the new generation rests on its own snapshot: until that is complete
 * the journal is written, but nothing counts as journalled, and VVj stays.
 *
 * Locking: only the writer calls these, and cc_cache_mark_file anybody.  They
 * take one partition's lock at a time, in shared mode, and never hold one
 * over a file operation.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_FILES_H
#define CC_FILES_H

#include "cache/record.h"

typedef enum CcJournalSync
{
	CC_SYNC_OFF,
	CC_SYNC_EVERYSEC,
	CC_SYNC_ALWAYS
} CcJournalSync;

#define CC_MARKED_FILE		"pgsql_tmp.marked"
#define CC_MARKED_OLD_FILE	"pgsql_tmp.marked.old"

/* Sizes that the simulator makes small */
typedef struct CcFilesLimits
{
	Size		block_bytes;	/* a block of a file is written at this length */
	uint64		piece_bytes;	/* of a snapshot in one cc_files_work, and ... */
	uint32		piece_buckets;	/* ... at most so many buckets */
	uint64		snapshot_bytes; /* of journals that make a snapshot due */
} CcFilesLimits;

extern CcFilesLimits cc_files_limits;

typedef struct CcFiles CcFiles; /* files.c */

/*
 * Where a writer has been before in this life of the shared memory (the phase
 * is past CC_LOADING), nothing is loaded: the new one goes on behind a gap.
 *
 * Otherwise loads identity, snapshot and journals (or begins anew), reserves the clock,
 * begins a new journal, and leaves the state ready for CC_PENDING: identity
 * and incarnation are durable, VV, G, F, horizons, seeds and own sequence are
 * set.  Where nothing can be written: a random id in memory only.  Does not
 * set the phase.  system_id: PostgreSQL's system identifier.
 */
extern CcFiles *cc_files_start(uint64 system_id);

/*
 * Does what is due: journals what was published since, fsyncs by mode, keeps
 * the clock reserved, goes on with a snapshot in pieces.  Returns the ms
 * until there is more to do without being woken.
 */
extern int64 cc_files_work(CcFiles *f, int64 now, CcJournalSync mode);

/*
 * Journals all that is published now, and returns true when it is on disk
 * (fsynced if sync).  Before a handshake is answered, before a removal.
 */
extern bool cc_files_flush(CcFiles *f, bool sync);

/* Clean stop: the phase is CC_CLOSED already.  Saves all, leaves the mark. */
extern void cc_files_stop(CcFiles *f);

extern void cc_files_free(CcFiles *f);

#endif							/* CC_FILES_H */
