/*-------------------------------------------------------------------------
 *
 * splits.c
 *	  See splits.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/splits.h"

Size
cc_splits_size(int cap)
{
	return offsetof(CcSplitsShared, split) + (Size) cap * sizeof(CcSplit);
}

void
cc_splits_init(void *mem, int cap)
{
	cc.splits = mem;
	memset(mem, 0, cc_splits_size(cap));
	cc.splits->cap = cap;
}

void
cc_splits_load(void)
{
}

void
cc_splits_ready(void)
{
}

void
cc_splits_update(int64 now, int64 peer_timeout, int64 heartbeat)
{
}

void
cc_splits_meet(const CcNodeId *peer)
{
}

bool
cc_splits_get(int i, CcSplit *s)
{
	return false;
}

void
cc_splits_count_fate(const CcNodeId *writer, CcFate fate)
{
}

void
cc_splits_count_deferred(const CcNodeId *writer)
{
}
