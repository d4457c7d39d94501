/*-------------------------------------------------------------------------
 *
 * files_private.h
 *	  The writer's state, between files.c and start.c; nobody else's.
 *
 * Locking: belongs to the writer.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_FILES_PRIVATE_H
#define CC_FILES_PRIVATE_H

#include "cache/files.h"
#include "cache/identity.h"
#include "cache/snapshot.h"

struct CcFiles
{
	bool		none;			/* nothing can be written: in memory only */
	bool		persist;		/* entries are kept, not the clock alone */
	CcJournalSync mode;
	CcIdentity	identity;		/* as it is on disk */
	int64		identity_at;	/* when it could not be written: not before */
	CcJournal	journal;		/* not open after a failure */
	CcSnapshot	snapshot;

	/* the chain; see files.h */
	uint64		newest;			/* the generation that began last */
	uint64		base;			/* newest complete snapshot; 0: none */
	bool		gap;			/* the journal rests on the running snapshot */
	uint64		gap_journal;	/* its generation, 0: none is written */
	uint64		older_bytes;	/* of the chain's journals before this one */
	uint64		snapshot_bytes; /* length of the newest complete snapshot */
	bool		marked_old;		/* CC_MARKED_OLD_FILE may be there */
	uint64		rewriting;		/* state->rewrite_wanted as the running
								 * snapshot began, ... */
	uint64		rewritten;		/* ... and the last complete one */

	uint64		bound;			/* to which the clock shall be reserved */

	/* monotonic ms */
	int64		due_at;			/* when cc_files_work shall come again */
	int64		active_at;		/* it was woken, or wrote entries */
	int64		written_at;		/* the last cycle */
	int64		synced_at;		/* the last fsync */
	int64		snapshot_began;
	int64		snapshot_at;	/* after a failure: not before */
	int64		marked_at;		/* for the mark alone: not before */
	int64		retry_at;		/* the journal after a failure: not before */
	int64		retry_ms;
};

/* The head of a file of the generation that comes next. */
extern void cc_files_fill_head(CcFiles *f, CcFileHead *head, uint8 kind,
							   uint8 flags);

/* Moves the bound to which the clock shall be reserved. */
extern void cc_files_reserve_clock(CcFiles *f, int64 now);

/* The journal cannot be written; see files.c. */
extern void cc_files_fail(CcFiles *f, int64 now);

#endif							/* CC_FILES_PRIVATE_H */
