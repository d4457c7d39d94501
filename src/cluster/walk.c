/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  See heal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

bool
cc_heal_walk_begin(uint16 ns, CcOneSidedWalk *w)
{
	return false;
}

int
cc_heal_walk_next(uint16 ns, CcOneSidedWalk *w, CcOneSided *out, int max)
{
	return 0;
}

void
cc_heal_walk_end(uint16 ns, const CcOneSidedWalk *w)
{
}

CcResult
cc_heal_walk_apply(const CcOneSided *c, const CcDecision *d)
{
	return CC_UNCHANGED;
}
