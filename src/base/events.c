/*-------------------------------------------------------------------------
 *
 * events.c
 *	  See events.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/events.h"

static CcEventsShared *shared;

Size
cc_events_size(void)
{
	return sizeof(CcEventsShared);
}

void
cc_events_init(void *mem)
{
	cc_events_attach(mem);
	memset(shared, 0, sizeof(*shared));
	shared->next = 1;
}

void
cc_events_attach(void *mem)
{
	shared = mem;
}

CcLock *
cc_events_lock(void)
{
	return &shared->lock;
}

void
cc_event(int kind, const char *node, const char *fmt,...)
{
}

char *
cc_event_text(char *out, Size size, const char *text)
{
	snprintf(out, size, "\"\"");
	return out;
}
