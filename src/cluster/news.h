/*-------------------------------------------------------------------------
 *
 * news.h
 *	  What is told of peers, members and namespaces as events (cache_events).
 *
 * Nothing here allocates or fails.  What our files say is no news: while the
 * node loads them, nothing is told of members and namespaces.
 *
 * Locking: members->lock for the name of a member; no lock of ours may be
 * held by the caller.
 *
 * May include: base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_NEWS_H
#define CC_NEWS_H

#include "cache/state.h"

/* away_ms: for how long it was down; negative: heard for the first time. */
extern void cc_news_peer_up(const char *name, const char *address,
							int64 away_ms);

/* silent_ms: negative when it was never heard. */
extern void cc_news_peer_down(const char *name, const char *address,
							  int64 silent_ms);

extern void cc_news_joined(const char *name, const char *address);

/* NULL: this node itself. */
extern void cc_news_forgotten(const char *name);

/* what: "began", "joined" */
extern void cc_news_group(const char *what, const CcNodeId *cluster_id);

/*
 * A system entry with this key was stored by this process just now: tells of
 * it when it is a namespace's.
 */
extern void cc_news_namespace(const char *key, uint16 keylen);

#endif							/* CC_NEWS_H */
