/*-------------------------------------------------------------------------
 *
 * eventfuncs.c
 *	  SQL function behind the view cache_events.
 *
 * Goes once from the oldest event to the newest that there was at the call,
 * and copies one at a time.  What is overwritten meanwhile is left out.
 *
 * Locking: events->lock inside base/events.c, for one copy.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/events.h"
#include "base/guc.h"
#include "funcs/args.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(cachecluster_events);

/* Columns of cache_events */
enum
{
	EVENT_ID, EVENT_AT, EVENT_KIND, EVENT_NODE, EVENT_DETAIL, NEVENT
};

/*
 * The detail as jsonb.  Names in it may have come from a node whose databases
 * have another encoding; what is no text in ours is shown without the bytes
 * that are not ASCII.
 */
static Datum
parse_detail(char *detail)
{
	if (!cc_args_is_text(detail, strlen(detail)))
	{
		for (char *c = detail; *c != '\0'; c++)
		{
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
		}
	}
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(detail));
}

static void
form_event(CcEventShared *e, Datum *values, bool *nulls)
{
	char		own[CC_EVENT_NODE_LEN];
	char	   *node = e->node;

	if (node[0] == '\0')
		node = cc_guc_node_name(own, sizeof(own));
	node = cc_args_name(node);
	memset(nulls, 0, NEVENT * sizeof(bool));
	values[EVENT_ID] = Int64GetDatum((int64) e->id);
	values[EVENT_AT] = TimestampTzGetDatum(cc_args_timestamp(e->at));
	values[EVENT_KIND] = CStringGetTextDatum(cc_event_name(e->kind));
	nulls[EVENT_NODE] = node == NULL;
	if (node != NULL)
		values[EVENT_NODE] = CStringGetTextDatum(node);
	nulls[EVENT_DETAIL] = e->detail[0] == '\0';
	if (e->detail[0] != '\0')
		values[EVENT_DETAIL] = parse_detail(e->detail);
}

Datum
cachecluster_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64		next;

	cc_args_require_loaded();
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != NEVENT)
		elog(ERROR, "cache_events has %d columns", NEVENT);

	next = cc_events_next();
	for (uint64 id = next > CC_EVENTS ? next - CC_EVENTS : 1; id < next; id++)
	{
		CcEventShared e;
		Datum		values[NEVENT];
		bool		nulls[NEVENT];

		if (!cc_events_get(id, &e))
			continue;
		form_event(&e, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
