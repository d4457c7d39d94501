/*-------------------------------------------------------------------------
 *
 * news.c
 *	  See news.h.
 *
 * Names and addresses are cut so that a detail always has room for them.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/news.h"

#include "base/events.h"
#include "cache/namespace.h"
#include "cluster/membership.h"

#define ADDRESS_TEXT	200		/* of an address as JSON */
#define NAME_TEXT		130		/* of a database or namespace */

StaticAssertDecl(CC_ID_TEXT_LEN <= CC_NAME_LEN, "an id can stand for a name");

/* A node without a name is called by its address. */
static const char *
name_or_address(const char *name, const char *address)
{
	return name[0] != '\0' ? name : address;
}

void
cc_news_peer_up(const char *name, const char *address, int64 away_ms)
{
	char		text[ADDRESS_TEXT];

	cc_event_text(text, sizeof(text), address);
	if (away_ms < 0)
		cc_event(CC_EVENT_PEER_UP, name_or_address(name, address),
				 "\"address\": %s", text);
	else
		cc_event(CC_EVENT_PEER_UP, name_or_address(name, address),
				 "\"address\": %s, \"away_ms\": " INT64_FORMAT, text, away_ms);
}

void
cc_news_peer_down(const char *name, const char *address, int64 silent_ms)
{
	char		text[ADDRESS_TEXT];

	cc_event_text(text, sizeof(text), address);
	if (silent_ms < 0)
		cc_event(CC_EVENT_PEER_DOWN, name_or_address(name, address),
				 "\"address\": %s, \"silent_ms\": null", text);
	else
		cc_event(CC_EVENT_PEER_DOWN, name_or_address(name, address),
				 "\"address\": %s, \"silent_ms\": " INT64_FORMAT, text,
				 silent_ms);
}

void
cc_news_joined(const char *name, const char *address)
{
	char		text[ADDRESS_TEXT];

	if (cc_state_phase() <= CC_LOADING)
		return;
	cc_event(CC_EVENT_MEMBER_JOINED, name_or_address(name, address),
			 "\"address\": %s", cc_event_text(text, sizeof(text), address));
}

void
cc_news_forgotten(const char *name)
{
	if (cc_state_phase() > CC_LOADING)
		cc_event(CC_EVENT_MEMBER_FORGOTTEN, name, NULL);
}

void
cc_news_group(const char *what, const CcNodeId *cluster_id)
{
	char		text[CC_ID_TEXT_LEN];

	cc_event(CC_EVENT_GROUP, NULL, "\"what\": \"%s\", \"cluster_id\": \"%s\"",
			 what, cc_id_text(cluster_id, text));
}

/* The name of the node that wrote something, NULL where it is this one. */
static const char *
writer_name(uint16 writer, char name[CC_NAME_LEN])
{
	const CcNodeId *id = &cc_origin(writer)->node;

	if (cc_id_cmp(id, &cc_origin(cc_state_self())->node) == 0)
		return NULL;
	if (!cc_membership_name(id, name))
		(void) cc_id_text(id, name);
	return name;
}

void
cc_news_namespace(const char *key, uint16 keylen)
{
	CcNamespaceNews news;
	char		by[CC_NAME_LEN];
	char		database[NAME_TEXT];
	char		name[NAME_TEXT];
	const char *node;

	if (keylen == 0 || (key[0] != 'n' && key[0] != 'h') ||
		!cc_namespace_take_news(&news))
		return;
	/* a removed node drops all it has, which is told in one event */
	if (pg_atomic_read_u32(&cc.members->removed) != 0)
		return;
	node = writer_name(news.writer, by);
	cc_event_text(database, sizeof(database), cc_namespace(news.ns)->database);
	cc_event_text(name, sizeof(name), cc_namespace(news.ns)->name);
	if (news.what == NULL)
		cc_event(CC_EVENT_CLEARED, node, "\"database\": %s, \"namespace\": %s",
				 database, name);
	else
		cc_event(CC_EVENT_NAMESPACE, node, "\"database\": %s, "
				 "\"namespace\": %s, \"what\": \"%s\"", database, name,
				 news.what);
}
