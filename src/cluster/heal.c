/*-------------------------------------------------------------------------
 *
 * heal.c
 *	  See heal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

Size
cc_heal_size(void)
{
	return sizeof(CcHealShared);
}

void
cc_heal_init(void *mem)
{
	cc.heal = mem;
	memset(mem, 0, sizeof(CcHealShared));
}

void
cc_heal_note(const char *key, uint16 keylen)
{
}

int64
cc_heal_step(int64 now, int64 peer_timeout)
{
	return now + 60000;
}

bool
cc_heal_may_decide(void)
{
	return false;
}

bool
cc_heal_is_due(const CcKeyState *ks, int64 now_ms)
{
	return false;
}

bool
cc_heal_merger_wanted(uint16 ns)
{
	return false;
}

uint64
cc_heal_walked_all(void)
{
	return PG_UINT64_MAX;
}

void
cc_heal_request(uint16 ns)
{
}

uint64
cc_heal_winner(uint16 ns, const CcNodeId *winner)
{
	return 0;
}

bool
cc_heal_waiting(void)
{
	return false;
}
