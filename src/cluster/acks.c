/*-------------------------------------------------------------------------
 *
 * acks.c
 *	  See acks.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/acks.h"

#include "cluster/detector.h"
#include "cluster/membership.h"

void
cc_acks_count(uint16 origin, uint64 pos, CcAcks *a)
{
	CcMembersShared *ms = cc.members;

	a->reachable = a->acked = 0;
	cc_lock_shared(&ms->lock);
	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		const CcMemberShared *m = &ms->member[slot];

		if (!cc_membership_is_peer(m) || !cc_detector_is_up(m))
			continue;
		a->reachable++;
		a->acked += m->k_known &&
			cc_membership_row(ms->k, (int) slot)[origin] >= pos;
	}
	cc_unlock(&ms->lock);
}
