/*-------------------------------------------------------------------------
 *
 * merger.c
 *	  Merge functions, as src/merge/merger.c runs them: what each is given it puts
 *	  together, so that the value tells what it was made from.  And people, who
 *	  decide, ask for another try, or change the policy.
 *
 *-------------------------------------------------------------------------
 */
#include "history.h"

/* The values of the originals, one behind the other, older ones first. */
static void
merge_values(const CcKeyState *ks, CcBuf *out, CcDecision *d)
{
	int64		now = cc_hlc_now_ms(&cc.state->hlc);
	bool		done[CC_MAX_ORIGINALS] = {false};
	bool		some = false;

	memset(d, 0, sizeof(*d));
	d->how = CC_HOW_MERGE;
	out->len = 0;
	for (int n = 0; n < ks->n; n++)
	{
		int			next = -1;
		CcEntry		e;
		uint32		len = 0;

		for (int i = 0; i < ks->n; i++)
		{
			if (!done[i] && (next < 0 || cc_cache_compare(&ks->original[i],
														  &ks->original[next]) < 0))
				next = i;
		}
		done[next] = true;
		if (!cc_conflict_view(&ks->original[next], now, &e))
			continue;
		/* "v12:v15:", without what fills it up */
		while (len < e.vallen && (e.value[len] == 'v' || e.value[len] == ':' ||
								  (e.value[len] >= '0' && e.value[len] <= '9')))
			len++;
		while (len > 0 && e.value[len - 1] != ':')
			len--;
		cc_buf_append(out, e.value, len);
		d->expires = !some || (d->expires != 0 && e.expires != 0) ?
			Max(d->expires, e.expires) : 0;
		some = true;
	}
	d->type = some ? CC_TEXT : CC_STUB;
	d->flags = some ? 0 : CC_F_TOMBSTONE;
	d->value = some ? out->data : NULL;
	d->vallen = some ? (uint32) out->len : 0;
	if (!some)
		d->expires = 0;
}

/* One key, when it is its turn. */
static void
merge_key(const CcConflictKey *key)
{
	CcKeyState *ks = cc_alloc(sizeof(CcKeyState));
	CcBuf		buf;
	CcBuf		out;
	CcDecision	d;

	cc_buf_init(&buf);
	cc_buf_init(&out);
	if (cc_heal_may_decide() &&
		cc_conflict_read(key->ns, key->key, key->keylen, ks, &buf) &&
		cc_siblings_pending(ks) && cc_heal_is_due(ks, cc_clock_ms()))
	{
		sim_sleep(sim_draw_time(sim.cfg.merge_time));
		if (!sim.quiet && sim_draw_unit() < sim.cfg.merge_fails)
			cc_conflict_failed(key->ns, key->key, key->keylen, ks,
							   "it does not want to",
							   cc_clock_ms() + 200 + (int64) (sim_draw() % 2000));
		else
		{
			merge_values(ks, &out, &d);
			(void) cc_conflict_decide(key->ns, key->key, key->keylen, ks, &d);
		}
	}
	cc_buf_free(&buf);
	cc_buf_free(&out);
	cc_free(ks);
}

static void
merge_all(void *arg)
{
	uint16		ns = *(uint16 *) arg;
	CcConflictWalk walk = {0};
	CcConflictKey *keys = cc_alloc(CC_CONFLICT_KEYS * sizeof(CcConflictKey));
	int			n;

	while ((n = cc_conflict_next(&walk, ns, keys,
								 CC_CONFLICT_KEYS)) > 0)
	{
		for (int i = 0; i < n; i++)
			merge_key(&keys[i]);
	}
	cc_free(keys);
}

static void
merger_main(void *arg)
{
	for (;;)
	{
		uint16		ns;

		sim_sleep(SIM_MS(20) + sim_draw_time(SIM_MS(60)));
		if (cc_state_phase() != CC_READY)
			continue;
		ns = sim_client_data(SIM_KEPT);
		if (cc_heal_merger_wanted(ns))
			(void) sim_try(merge_all, &ns);
	}
}

void
sim_merger_start(SimNode *node)
{
	if (sim.cfg.kept > 0)
		sim_fiber_start(node, "merger", node->life, merger_main, node);
}

/* ---- people ---- */

/* cache_resolve */
static void
resolve(SimNode *node, const SimAction *a)
{
	uint16		ns = sim_client_data(SIM_KEPT);
	char		name[16];
	uint16		len = sim_client_key(a->other, name);
	CcKeyState *ks = cc_alloc(sizeof(CcKeyState));
	CcBuf		buf;
	CcDecision	d;

	cc_buf_init(&buf);
	if (sim_client_sort(a->other) == SIM_KEPT &&
		cc_conflict_read(ns, name, len, ks, &buf) && cc_siblings_pending(ks))
	{
		int			i = (int) a->arg % 2 == 0 ? ks->served :
			(ks->served + 1) % ks->n;

		memset(&d, 0, sizeof(d));
		if (a->arg == 3)
		{
			d.type = CC_STUB;
			d.flags = CC_F_TOMBSTONE;
		}
		else
			cc_conflict_choose(&ks->original[i], CC_HOW_RESOLVE, &d);
		d.how = CC_HOW_RESOLVE;
		sim_trace("resolves %.*s", len, name);
		(void) cc_conflict_decide(ns, name, len, ks, &d);
	}
	cc_buf_free(&buf);
	cc_free(ks);
}

/* cache_namespace with another on_split */
static void
change_policy(const SimAction *a)
{
	uint16		ns = sim_client_data(SIM_KEPT);
	CcDeclaration *d = cc_alloc(sizeof(CcDeclaration));
	uint64		pos;

	if (cc_namespace_read(ns, d))
	{
		d->on_split = (uint8) a->arg;
		(void) cc_namespace_store(ns, d, &pos);
	}
	cc_free(d);
}

void
sim_people_act(SimNode *node, const SimAction *a)
{
	uint16		ns = sim_client_data(SIM_KEPT);
	CcNodeId	id;

	switch (a->kind)
	{
		case SIM_RESOLVE:
			resolve(node, a);
			break;
		case SIM_WINNER:
			if (sim.node[a->other].id < 0)
				break;
			id = sim.id[sim.node[a->other].id];
			if (cc_state_phase() == CC_READY)
				(void) cc_heal_winner(ns, &id);
			break;
		case SIM_RETRY:
			cc_heal_request(ns);
			break;
		default:
			change_policy(a);
	}
}
