/*-------------------------------------------------------------------------
 *
 * snapshot.h
 *	  Everything, as of a moment, in a file of its own.
 *
 * A snapshot is a file of blocks (block.h) that holds every entry, the whole
 * of the floor, and the records of a journal's end (journal.h) with the VV
 * that was copied when it began.  It is made in pieces, so that the journal
 * goes on meanwhile: it may hold newer entries than that VV covers, and what
 * it holds too old stands in the journal of the same generation, which began
 * at the same moment.  It gets its name when it is complete and on disk.
 *
 * Locking: belongs to the writer; takes one partition's lock at a time.
 *
 * May include: base/, block.h, journal.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_SNAPSHOT_H
#define CC_SNAPSHOT_H

#include "cache/journal.h"

#define CC_SNAPSHOT_TEMP	"pgsql_tmp.snapshot.new"

typedef struct CcSnapshot
{
	bool		running;
	CcBlockWriter w;
	uint64		generation;
	CcVV		vv;				/* of the moment when it began */
	uint64		next;			/* position of that moment */
	int			partition;		/* where the walk is */
	uint32		bucket;
} CcSnapshot;

typedef enum CcPiece
{
	CC_PIECE_MORE,
	CC_PIECE_COMPLETE,			/* it has its name now */
	CC_PIECE_FAILED				/* and is gone */
} CcPiece;

extern void cc_snapshot_init(CcSnapshot *s);
extern void cc_snapshot_free(CcSnapshot *s);

/* vv and next are those with which the journal of the generation begins. */
extern bool cc_snapshot_begin(CcSnapshot *s, const CcFileHead *head,
							  const CcVV *vv, uint64 next);

/* The next piece.  bound: the HLC that is reserved. */
extern CcPiece cc_snapshot_piece(CcSnapshot *s, uint64 bound);

/* Gives it up. */
extern void cc_snapshot_abort(CcSnapshot *s);

extern void cc_snapshot_name(char *name, uint64 generation);

#endif							/* CC_SNAPSHOT_H */
