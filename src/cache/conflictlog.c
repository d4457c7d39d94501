/*-------------------------------------------------------------------------
 *
 * conflictlog.c
 *	  See conflict.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/conflict.h"

CcConflictFateHook cc_conflict_fate_hook = NULL;

Size
cc_conflict_log_size(Size memory)
{
	return sizeof(CcConflictsShared);
}

void
cc_conflict_log_init(void *mem, Size bytes)
{
	cc.conflicts = mem;
	memset(mem, 0, bytes);
}

void
cc_conflict_log(const CcKeyState *before, const CcEntry *after, CcHow how)
{
}

bool
cc_conflict_row(uint64 id, CcConflictRow *row)
{
	return false;
}
