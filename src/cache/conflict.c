/*-------------------------------------------------------------------------
 *
 * conflict.c
 *	  See conflict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/conflict.h"

int
cc_conflict_next(CcConflictWalk *w, uint16 ns, CcConflictKey *out, int max)
{
	return 0;
}

bool
cc_conflict_read(uint16 ns, const char *key, uint16 keylen, CcKeyState *ks,
				 CcBuf *buf)
{
	return false;
}

bool
cc_conflict_view(const CcEntry *original, int64 now, CcEntry *out)
{
	return false;
}

CcResult
cc_conflict_decide(uint16 ns, const char *key, uint16 keylen,
				   const CcKeyState *ks, const CcDecision *d)
{
	return CC_UNCHANGED;
}

void
cc_conflict_choose(const CcEntry *original, CcHow how, CcDecision *d)
{
	memset(d, 0, sizeof(*d));
	d->how = how;
}

void
cc_conflict_failed(uint16 ns, const char *key, uint16 keylen,
				   const CcKeyState *ks, const char *error, int64 retry_at)
{
}

void
cc_conflict_retry(uint16 ns)
{
}

uint64
cc_conflict_count(uint16 ns)
{
	return 0;
}
