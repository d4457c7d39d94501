/*-------------------------------------------------------------------------
 *
 * reach.c
 *	  See reach.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/reach.h"

void
cc_reach_put(CcEncoder *enc)
{
}

bool
cc_reach_take(CcDecoder *dec, bool believe)
{
	return false;
}

bool
cc_reach_update(int64 now)
{
	return false;
}

uint32
cc_reach_component(void)
{
	return 1;
}

int64
cc_reach_since(void)
{
	return 0;
}

int
cc_reach_resolver(void)
{
	return -1;
}

bool
cc_reach_is_resolver(void)
{
	return false;
}
