/*-------------------------------------------------------------------------
 *
 * floor.h
 *	  F: which keys of a slice were forgotten up to which HLC (PROTOCOL.md
 *	  section 1, the floor).
 *
 * Per slice a few generations of a Bloom filter of key hashes, each with the
 * highest HLC that went into it, and one HLC for the generations that have
 * gone.  It may say yes too often, which costs an entry, and never too
 * seldom.
 *
 * Sizes differ only between servers with little memory (one generation of a
 * quarter) and the others.  Bit numbers are taken modulo a power of two, so
 * a large filter folds into a small one and a small one is repeated to be
 * merged into a large one.
 *
 * Locking: a slice belongs to its partition and is changed and read under
 * that partition's lock.
 *
 * May include: base/, state.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_FLOOR_H
#define CC_FLOOR_H

#include "cache/state.h"

#define CC_FLOOR_GENERATIONS	4
#define CC_FLOOR_BITS			32768	/* of one generation of one slice */
#define CC_FLOOR_SMALL_BITS		8192

typedef struct CcFloorSliceShared
{
	uint64		gone;			/* highest HLC of the generations that have
								 * gone */
	uint64		hlc[CC_FLOOR_GENERATIONS];	/* highest HLC of each */
	uint32		set[CC_FLOOR_GENERATIONS];	/* bits set in each */
	uint32		current;		/* the generation that is filled */
	uint64		losses;			/* how often something unstable was forgotten
								 * here, or a comparison of somebody else took
								 * something away: a peer may hold it still */
	bool		dirty;			/* merged since the journal last wrote it;
								 * what our own forgetting adds need not be
								 * there before the next snapshot, as the
								 * files still hold what was forgotten */
} CcFloorSliceShared;

typedef struct CcFloorShared
{
	uint32		generations;
	uint32		bits;			/* of a generation; a power of two, >= 64 */
	CcFloorSliceShared slice[CC_SLICES];
	/* the bits follow: [slice][generation][bits / 64] of uint64 */
} CcFloorShared;

extern Size cc_floor_size(uint32 generations, uint32 bits);
extern void cc_floor_init(void *mem, uint32 generations, uint32 bits);

/* The slice of a key's hash. */
#define cc_floor_slice(hash)	((int) ((hash) >> 57))

/* Remembers that the key was forgotten, its version's HLC being hlc. */
extern void cc_floor_add(uint64 hash, uint64 hlc);

/* Highest HLC up to which the key may have been forgotten; 0: never was. */
extern uint64 cc_floor_get(uint64 hash);

/* Says yes to every key of the slice up to hlc (a partition was lost). */
extern void cc_floor_raise(int slice, uint64 hlc);

/*
 * A slice as bytes, for a comparison or a file.  cc_floor_write needs room
 * for cc_floor_max_bytes() and returns what it used; empty generations cost
 * next to nothing.
 */
extern Size cc_floor_max_bytes(void);
extern Size cc_floor_write(int slice, char *out);

/*
 * Reads what a node wrote (untrusted).  False when it is malformed.  They can
 * be asked about bytes that cc_floor_check has accepted.
 */
extern bool cc_floor_check(const char *data, Size len);
extern uint64 cc_floor_get_in(const char *data, Size len, uint64 hash);

/* Highest HLC in such bytes, for the test of the sender's clock. */
extern uint64 cc_floor_highest_in(const char *data, Size len);

/* Merges bytes that cc_floor_check has accepted into our own slice. */
extern void cc_floor_merge(int slice, const char *data, Size len);

#endif							/* CC_FLOOR_H */
