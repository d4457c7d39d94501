/*-------------------------------------------------------------------------
 *
 * keylock.c
 *	  See keylock.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/keylock.h"

typedef struct CcKeyLocksShared
{
	CcLock		lock;
} CcKeyLocksShared;

static CcKeyLocksShared *shared;

Size
cc_keylock_size(void)
{
	return sizeof(CcKeyLocksShared);
}

void
cc_keylock_init(void *mem)
{
	cc_keylock_attach(mem);
}

void
cc_keylock_attach(void *mem)
{
	shared = mem;
}

CcLock *
cc_keylock_lock(void)
{
	return &shared->lock;
}

bool
cc_keylock_take(const uint64 hash[2], int64 ttl_ms)
{
	return true;
}

void
cc_keylock_end(const uint64 hash[2])
{
}

void
cc_keylock_wait(const uint64 hash[2], int64 ms)
{
}

void
cc_keylock_install(void)
{
}
