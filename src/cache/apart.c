/*-------------------------------------------------------------------------
 *
 * apart.c
 *	  See apart.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/apart.h"

Size
cc_apart_size(uint32 cap)
{
	return offsetof(CcApartShared, interval) +
		(Size) CC_APART_NODES * cap * sizeof(CcInterval);
}

void
cc_apart_init(void *mem, uint32 cap)
{
	cc.apart = mem;
	memset(mem, 0, cc_apart_size(cap));
	cc.apart->cap = cap;
	pg_atomic_init_u32(&cc.apart->any, 0);
}

void
cc_apart_applied(const CcEntry *e)
{
}

uint16
cc_apart_key(const CcNodeId *node, char key[CC_APART_KEY_LEN])
{
	key[0] = 's';
	memcpy(key + 1, node->b, CC_ID_LEN);
	return CC_APART_KEY_LEN;
}

bool
cc_apart_out_of_reach(const CcNodeId *node, const CcNodeId *peer, uint64 hlc)
{
	return false;
}

bool
cc_apart(const CcEntry *a, const CcEntry *b)
{
	return false;
}

uint32
cc_apart_island(const CcNodeId *nodes, int n, int self, uint64 hlc)
{
	return 1U << self;
}
