/*-------------------------------------------------------------------------
 *
 * events.c
 *	  See events.h.
 *
 * An event is made in memory of the process, so that the lock is held for a
 * copy only.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/events.h"

#include "base/compat.h"
#include "mb/pg_wchar.h"

static CcEventsShared *shared;

static const char *const kind_names[CC_NEVENT_KINDS] = {
	[CC_EVENT_STARTED] = "started",
	[CC_EVENT_PHASE] = "phase",
	[CC_EVENT_IDENTITY] = "identity",
	[CC_EVENT_GROUP] = "group",
	[CC_EVENT_PEER_UP] = "peer_up",
	[CC_EVENT_PEER_DOWN] = "peer_down",
	[CC_EVENT_MEMBER_JOINED] = "member_joined",
	[CC_EVENT_MEMBER_FORGOTTEN] = "member_forgotten",
	[CC_EVENT_REFUSED] = "refused",
	[CC_EVENT_NAMESPACE] = "namespace",
	[CC_EVENT_CLEARED] = "cleared",
	[CC_EVENT_DAMAGE] = "damage",
	[CC_EVENT_JOURNAL] = "journal",
	[CC_EVENT_SPLIT] = "split",
	[CC_EVENT_HEAL] = "heal"
};

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

const char *
cc_event_name(CcEventKind kind)
{
	return kind < CC_NEVENT_KINDS ? kind_names[kind] : "unknown";
}

/*
 * Length of the UTF-8 character at the start of text, 0 when there is no valid
 * one.
 */
static int
character_length(const char *text)
{
	const unsigned char *c = (const unsigned char *) text;
	int			len = pg_utf_mblen(c);

	/* the zero at the end is no part of a character */
	for (int i = 1; i < len; i++)
	{
		if (c[i] == '\0')
			return 0;
	}
	return pg_utf8_islegal(c, len) ? len : 0;
}

/* Writes one character as it stands in a JSON string; returns what it took. */
static int
escape_character(const char **text, char out[8])
{
	unsigned char c = (unsigned char) **text;
	int			len = character_length(*text);

	if (c == '"' || c == '\\')
		snprintf(out, 8, "\\%c", c);
	else if (c < 0x20)
		snprintf(out, 8, "\\u%04x", c);
	else if (len == 0)
		strcpy(out, "?");
	else
	{
		memcpy(out, *text, len);
		out[len] = '\0';
	}
	*text += Max(len, 1);
	return (int) strlen(out);
}

char *
cc_event_text(char *out, Size size, const char *text)
{
	Size		len = 0;

	Assert(size >= 3);
	out[len++] = '"';
	while (text != NULL && *text != '\0')
	{
		char		piece[8];
		int			n = escape_character(&text, piece);

		/* room for the quote and the zero */
		if (len + n + 2 > size)
			break;
		memcpy(out + len, piece, n);
		len += n;
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}

/* A name, cut between characters. */
static void
copy_name(char *out, Size size, const char *name)
{
	Size		len = 0;

	while (name[len] != '\0')
	{
		int			n = Max(character_length(name + len), 1);

		if (len + n + 1 > size)
			break;
		len += n;
	}
	memcpy(out, name, len);
	out[len] = '\0';
}

static void form_detail(char *out, Size size, const char *fmt, va_list args)
			pg_attribute_printf(3, 0);

/* The object; none where it does not fit, as half of it is no JSON. */
static void
form_detail(char *out, Size size, const char *fmt, va_list args)
{
	int			len;

	out[0] = '{';
	len = vsnprintf(out + 1, size - 2, fmt, args);
	if (len < 0 || len >= (int) size - 2)
	{
		out[0] = '\0';
		return;
	}
	out[len + 1] = '}';
	out[len + 2] = '\0';
}

void
cc_event(int kind, const char *node, const char *fmt,...)
{
	CcEventShared e;

	Assert(kind >= 0 && kind < CC_NEVENT_KINDS);
	if (shared == NULL || MyProc == NULL)
		return;
	memset(&e, 0, sizeof(e));
	e.kind = kind;
	if (node != NULL)
		copy_name(e.node, sizeof(e.node), node);
	if (fmt != NULL)
	{
		va_list		args;

		va_start(args, fmt);
		form_detail(e.detail, sizeof(e.detail), fmt, args);
		va_end(args);
	}

	cc_lock_exclusive(&shared->lock);
	e.id = shared->next++;
	e.at = cc_clock_ms();
	shared->ring[e.id % CC_EVENTS] = e;
	cc_unlock(&shared->lock);
}

uint64
cc_events_next(void)
{
	uint64		next;

	cc_lock_shared(&shared->lock);
	next = shared->next;
	cc_unlock(&shared->lock);
	return next;
}

bool
cc_events_get(uint64 id, CcEventShared *e)
{
	cc_lock_shared(&shared->lock);
	*e = shared->ring[id % CC_EVENTS];
	cc_unlock(&shared->lock);
	return id != 0 && e->id == id;
}
