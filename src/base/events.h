/*-------------------------------------------------------------------------
 *
 * events.h
 *	  A bounded ring of what happened to the cache of this node: cache_events.
 *
 * Filled by whoever notes something worth telling, on primaries and standbys
 * alike; gone with the server.  An event's id is its position since the
 * server's start: a reader asks for ids beyond the last one
 * that it has seen.
 *
 * Locking: events->lock, a leaf.  cc_event may not be called under a lock that
 * stands behind it in shmem.h, allocates nothing and never fails.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_EVENTS_H
#define CC_EVENTS_H

#include "base/port.h"

#define CC_EVENTS			1024
#define CC_EVENT_NODE_LEN	64
#define CC_EVENT_DETAIL_LEN	320

/*
 * What is told, with the members of its detail.  The node is the one that it
 * concerns, or that did it.
 */
typedef enum CcEventKind
{
	CC_EVENT_STARTED,			/* the files were looked at: entries, ms,
								 * damaged; not_loaded (why), if so */
	CC_EVENT_PHASE,				/* of this node: phase, was */
	CC_EVENT_IDENTITY,			/* this node has a new one: node_id; why, when
								 * it is not its files */
	CC_EVENT_GROUP,				/* began, or joined: cluster_id, what */
	CC_EVENT_PEER_UP,			/* is heard: address; away_ms, if it was down */
	CC_EVENT_PEER_DOWN,			/* address, silent_ms (null: never heard) */
	CC_EVENT_MEMBER_JOINED,		/* address */
	CC_EVENT_MEMBER_FORGOTTEN,	/* for good */
	CC_EVENT_REFUSED,			/* by ("this node", which does not let it in,
								 * or "peer", which does not let us in),
								 * address, why */
	CC_EVENT_NAMESPACE,			/* database, namespace, what: declared,
								 * changed, dropped */
	CC_EVENT_CLEARED,			/* database, namespace */
	CC_EVENT_DAMAGE,			/* of a file: file, what, and how many parts;
								 * of memory: what */
	CC_EVENT_JOURNAL,			/* state: failing, working */
	CC_EVENT_SPLIT,
	CC_EVENT_HEAL,
	CC_NEVENT_KINDS
} CcEventKind;

typedef struct CcEventShared
{
	uint64		id;				/* from 1 */
	int64		at;				/* wall clock ms */
	CcEventKind kind;
	char		node[CC_EVENT_NODE_LEN];	/* name; empty: this node */
	char		detail[CC_EVENT_DETAIL_LEN];	/* a JSON object, or empty */
} CcEventShared;

typedef struct CcEventsShared
{
	CcLock		lock;
	uint64		next;			/* id of the next one; under lock */
	CcEventShared ring[CC_EVENTS];	/* likewise */
} CcEventsShared;

extern Size cc_events_size(void);
extern void cc_events_init(void *mem);
extern void cc_events_attach(void *mem);

/* The lock, for shmem.c to initialise. */
extern CcLock *cc_events_lock(void);

/* Name of a kind, as the view shows it. */
extern const char *cc_event_name(CcEventKind kind);

/* Copies event id out; false when it is not (or no longer) there. */
extern bool cc_events_get(uint64 id, CcEventShared *e);
extern uint64 cc_events_next(void);

#endif							/* CC_EVENTS_H */
