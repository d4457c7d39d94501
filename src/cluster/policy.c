/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  See policy.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/policy.h"

void
cc_policy_roll(CcRoll *roll)
{
	roll->n = 0;
}

const CcPolicyFn cc_policy[CC_LAST_ON_SPLIT + 1];

bool
cc_policy_side_wins(CcOnSplit policy, const CcRoll *roll,
					const CcNodeId *writer, uint64 hlc)
{
	return true;
}
