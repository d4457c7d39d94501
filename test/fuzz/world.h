/*-------------------------------------------------------------------------
 *
 * world.h
 *	  What a fuzz target needs beside the code under test: base/port.h
 *	  without waiting, and nodes that can be put back to where they were.
 *
 * Everything is deterministic: clock and chance are counters, files are in
 * memory, locks only check that they are taken in pairs.
 *
 * May include: everything of the deciding layers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_FUZZ_WORLD_H
#define CC_FUZZ_WORLD_H

#include "cache/cache.h"
#include "cluster/detector.h"
#include "cluster/membership.h"
#include "cluster/receive.h"
#include "cluster/replicate.h"

#define WORLD_NODES		2
#define WORLD_WALL_MS	INT64CONST(1700000000000)
#define WORLD_SKEW_MS	5000

/* Makes a node anew, empty and ready, and goes to it. */
extern void world_make(int node);

/* The same without identity and phase: as the server's start leaves it. */
extern void world_make_fresh(int node);

/* Goes to a node that was made. */
extern void world_go(int node);

/* Remembers the node that one is at, or puts it back. */
extern void world_save(void);
extern void world_restore(void);

extern CcNodeId world_id(int node);

/*
 * Keys of all kinds in a namespace that keeps conflicts: pending, with deletes
 * and NULLs, decided, failed, with a context.
 */
extern void world_conflicts(void);

/* Aborts if the store's chains, lists and counts do not agree. */
extern void world_check(void);

/* Files; an empty directory, a file as it is, its bytes. */
extern void world_files_clear(void);
extern void world_file_put(const char *name, const void *data, Size len);
extern const char *world_file_get(const char *name, Size *len);

#endif							/* CC_FUZZ_WORLD_H */
