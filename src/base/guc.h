/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings, cachecluster.*.
 *
 * A variable holds its default where the library was not preloaded; then none
 * of them can be set.  Processes see a reload when they process it.
 *
 * Locking: none; the variables belong to the process.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_GUC_H
#define CC_GUC_H

#include "base/port.h"

#define CC_MEMORY_MIN_KB		(16 * 1024)
#define CC_MEMORY_SMALL_KB		(64 * 1024) /* below: few origins */
#define CC_VALUE_SIZE_MAX		(128 * 1024 * 1024)
#define CC_MIN_NODES_MAX		32

/* restart */
extern int	cc_memory;			/* kB */
extern char *cc_node_name;
extern char *cc_advertise;
extern bool cc_persist;

/* reload */
extern char *cc_peers;
extern char *cc_peer_conninfo;
extern int	cc_heartbeat_interval;	/* ms, as are all that follow */
extern int	cc_peer_timeout;
extern int	cc_min_nodes;
extern int	cc_startup_timeout;
extern int	cc_journal_sync_mode;	/* CcJournalSync; journal_sync */
extern int	cc_max_value_size;	/* bytes */
extern int	cc_max_clock_skew;
extern int	cc_merge_timeout;

/* user */
extern int	cc_sync_timeout;
extern bool cc_transactional;

/* Defines them; while the library is preloaded, and never else. */
extern void cc_guc_define(void);

/*
 * The name of this node for views and logs, and the conninfo (host and port)
 * by which peers reach it, from the settings or what stands in for them.
 * Both are cut to size bytes with their zero; return out.
 */
extern char *cc_guc_node_name(char *out, Size size);
extern char *cc_guc_address(char *out, Size size);

#endif							/* CC_GUC_H */
