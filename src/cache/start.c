/*-------------------------------------------------------------------------
 *
 * start.c
 *	  How the writer begins: who this node is, what of the files is believed,
 *	  and where the journal goes on; see files.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/events.h"
#include "base/stats.h"
#include "cache/files_private.h"
#include "cache/load.h"

static void
set_seeds(const CcLoad *l)
{
	cc_lock_exclusive(&cc.state->lock);
	memcpy(cc.state->seeds, l->seeds, CC_SEEDS_LEN);
	cc_unlock(&cc.state->lock);
	pg_atomic_fetch_add_u32(&cc.state->seeds_version, 1);
}

/* PROTOCOL.md, retire: nothing of the table of origins is kept. */
static void
forget_origins(void)
{
	for (uint32 i = 0; i < 2 * cc.state->origin_cap; i++)
		cc_state_array(uint16, hash)[i] = CC_NO_ORIGIN;
	pg_atomic_write_u32(&cc.state->norigins, 0);
}

/* PROTOCOL.md, journal order: after a load G is cut down to the VV loaded. */
static void
cut_g(void)
{
	for (int i = 0; i < cc_state_norigins(); i++)
	{
		pg_atomic_uint64 *g = &cc_state_array(pg_atomic_uint64, g)[i];

		if (pg_atomic_read_u64(g) > cc_state_vv(i))
			pg_atomic_write_u64(g, cc_state_vv(i));
	}
}

/* The vectors first: what the entries are judged by is in place then. */
static void
load_all(CcLoad *l)
{
	for (int i = 0; i < l->vv.n; i++)
	{
		cc_state_raise_vv(i, l->vv.seq[i]);
		cc_state_raise_vvj(i, l->vv.seq[i]);
	}
	for (int i = 0; i < l->g.n; i++)
		cc_state_raise_g(i, l->g.seq[i]);
	cut_g();
	cc_load_entries(l);
	cut_g();
	if (l->has_seeds)
		set_seeds(l);
}

/* Nothing can be written: a node of its own, as long as memory lives. */
static void
go_without(CcFiles *f)
{
	char		text[CC_ID_TEXT_LEN];

	cc_log(CC_WARN, "the files of the cache cannot be written; this node has a new identity, in memory only");
	cc_identity_invent(&f->identity);
	cc_event(CC_EVENT_IDENTITY, NULL, "\"node_id\": \"%s\", \"why\": "
			 "\"the files of the cache cannot be written\"",
			 cc_id_text(&f->identity.id, text));
	f->identity.boot = cc_identity_next(0);
	f->none = true;
	f->persist = cc.state->persist = false;
}

/*
 * Why the files are not loaded, or NULL, and whether they are those of this
 * node at all.
 */
static const char *
judge_files(CcFiles *f, CcLoad *l, CcIdentityFound found, bool *keep_id)
{
	bool		any = l->snapshots.n + l->journals.n > 0 || l->marked;

	*keep_id = false;

	if (found == CC_IDENTITY_COPY)
		return "they were copied from another data directory";
	if (found == CC_IDENTITY_BAD)
		return "the identity file is damaged";
	if (found == CC_IDENTITY_NONE)
		return any ? "there is no identity file" : NULL;
	cc_load_survey(l, &f->identity.id);
	if (cc_state_norigins() >= (int) cc.state->origin_cap)
	{
		forget_origins();
		return "they name too many origins";
	}
	*keep_id = true;
	if (l->marked)
		return "more had been forgotten than the journal could follow";
	if (!f->persist)
		return any && l->data ? "\"cachecluster.persist\" is off" : NULL;
	return NULL;
}

/*
 * Who we are in this life.  PROTOCOL.md, new origin: after an unclean stop
 * the incarnation rises, so that no dot is given twice.
 */
static void
choose_identity(CcFiles *f, CcLoad *l, CcIdentityFound found, bool keep_id,
				bool clean)
{
	CcIdentity *id = &f->identity;
	uint64		boot = id->boot;

	if (!keep_id)
	{
		char		text[CC_ID_TEXT_LEN];

		cc_identity_invent(id);
		if (found != CC_IDENTITY_NONE)
		{
			cc_log(CC_LOG, "this node has a new identity, %s",
				   cc_id_text(&id->id, text));
			cc_event(CC_EVENT_IDENTITY, NULL, "\"node_id\": \"%s\"",
					 cc_id_text(&id->id, text));
		}
	}
	else if (!clean && cc_rule(new_origin))
		id->incarnation = cc_identity_next(id->incarnation);
	id->boot = cc_identity_next(boot);
	id->clean = false;
	cc.state->unclean = keep_id && !clean;
	cc.state->owes_new = keep_id && !l->believing && l->forgot;
	cc.state->owes = cc.state->owes_new && l->unstable;
	cc.state->first_seq = 1;
	if (keep_id)
	{
		uint64		next = Max(l->next, id->next);

		/* nothing that a peer has seen may look as if it were in the ring */
		cc.state->first_seq = clean ? next :
			Max(next, 1) + (cc_rule(new_origin) ? 1 : 10);
	}
}

/* Puts what was chosen into the state; nobody else looks yet. */
static bool
publish_identity(CcFiles *f)
{
	CcStateShared *s = cc.state;

	cc_lock_exclusive(&s->lock);
	s->boot = f->identity.boot;
	cc_unlock(&s->lock);
	cc_changelog_start(s->first_seq);
	pg_atomic_write_u64(&s->journaled, s->first_seq);
	pg_atomic_write_u64(&s->synced, s->first_seq);
	f->journal.pos = s->first_seq;
	return cc_state_set_self(&f->identity.id, f->identity.incarnation);
}

/* Makes the identity durable, with the clock reserved above all seen. */
static bool
secure_identity(CcFiles *f, uint64 bound)
{
	CcStateShared *s = cc.state;
	int64		now = cc_monotonic_ms();

	/* PROTOCOL.md, clock bound: an unclean start begins there */
	if (cc_rule(clock_bound))
		cc_hlc_observe(&s->hlc, bound);
	f->active_at = f->synced_at = now;
	cc_files_reserve_clock(f, now);
	f->identity.bound = f->bound;
	if (!cc_identity_anchor(&f->identity) || !cc_identity_write(&f->identity))
		return false;
	cc_atomic_raise(&s->hlc_bound, f->bound);
	return true;
}

/*
 * Goes on with the chain, or begins one; where neither can be done the first
 * cc_files_work begins one behind a gap.
 */
static void
begin_chain(CcFiles *f, CcLoad *l, bool loaded)
{
	CcFileHead	head;

	f->newest = l->newest;
	if (!f->persist)
		return;
	cc_files_fill_head(f, &head, CC_FILE_JOURNAL, 0);
	if (loaded && l->data)
	{
		if (!l->whole)
		{
			f->base = l->base;
			f->gap = true;
			return;
		}
		f->base = head.base = l->base;
		f->snapshot_bytes = l->snapshot_bytes;
		f->older_bytes = l->bytes;
		head.previous = l->last_bytes;
	}
	else
	{
		cc_load_remove(l, PG_UINT64_MAX);
		head.flags = CC_FILE_FIRST;
	}
	cc_state_copy_vv(&f->journal.vv);
	if (cc_journal_create(&f->journal, &head, cc.state->first_seq))
		f->newest = head.generation;
	else
		cc_files_fail(f, cc_monotonic_ms());
}

/* why: they were not loaded. */
static void
report_load(CcLoad *l, int64 began, const char *why)
{
	int64		ms = cc_monotonic_ms() - began;
	char		text[100];

	pg_atomic_write_u32(&cc.state->bad_blocks, l->bad);
	if (cc.stats != NULL)
	{
		pg_atomic_write_u64(&cc.stats->load_ms, (uint64) ms);
		pg_atomic_write_u64(&cc.stats->snapshot_at, l->snapshot_at);
	}
	cc_log(CC_LOG, "loaded " UINT64_FORMAT " entries in " INT64_FORMAT " ms",
		   l->entries, ms);
	cc_event(CC_EVENT_STARTED, NULL, "\"entries\": " UINT64_FORMAT
			 ", \"ms\": " INT64_FORMAT ", \"damaged\": %u%s%s",
			 l->entries, ms, l->bad, why != NULL ? ", \"not_loaded\": " : "",
			 why != NULL ? cc_event_text(text, sizeof(text), why) : "");
}

/*
 * Files that are marked (PROTOCOL.md, bound) are not believed, but for what is
 * never forgotten: who belongs to the group, and what was cleared.  They stay,
 * with their mark, until a snapshot has taken their place.
 */
static void
load_marked(CcFiles *f, CcLoad *l)
{
	l->system_only = true;
	cc_load_entries(l);
	if (l->has_seeds)
		set_seeds(l);
	f->newest = l->newest;
	f->base = l->base;
	f->gap = true;
	f->marked_old = true;
	if (cc_file_exists(CC_MARKED_FILE))
		pg_atomic_write_u32(&cc.state->file_marked, 1);
}

/* The first writer of this life of the shared memory. */
static void
start_anew(CcFiles *f, uint64 system_id)
{
	CcLoad		l;
	int64		began = cc_monotonic_ms();
	CcIdentityFound found = cc_identity_read(&f->identity, system_id);
	const char *why;
	bool		keep_id;
	bool		clean;

	f->identity.system_id = system_id;
	cc_load_init(&l);
	(void) cc_load_list(&l);
	why = judge_files(f, &l, found, &keep_id);
	clean = f->identity.clean && f->persist && why == NULL && l.believing &&
		l.whole && l.next == f->identity.next;
	if (why != NULL)
		cc_log(CC_LOG, "the files of the cache are not loaded: %s", why);
	choose_identity(f, &l, found, keep_id, clean);

	if (!secure_identity(f, Max(l.bound, f->identity.bound)))
		go_without(f);
	if (!publish_identity(f))
		cc_log(CC_WARN, "there is no room for this node's own origin");
	if (!f->none && f->persist && keep_id && l.marked)
		load_marked(f, &l);
	else if (!f->none)
	{
		if (why != NULL)
		{
			/* the mark last: until then nothing of them is loaded */
			cc_load_remove(&l, PG_UINT64_MAX);
			(void) cc_file_remove(CC_MARKED_OLD_FILE);
			(void) cc_file_remove(CC_MARKED_FILE);
		}
		else if (f->persist)
		{
			cc_load_remove(&l, l.base);
			load_all(&l);
		}
		begin_chain(f, &l, why == NULL);
		/* what was not loaded shall not stay in the files either */
		f->rewritten = pg_atomic_read_u64(&cc.state->rewrite_wanted) -
			(l.dropped ? 1 : 0);
	}
	report_load(&l, began, why);
	cc_load_free(&l);
}

/*
 * Another writer was here and is gone, in the middle of anything; what it had
 * published as journalled is.
 */
static void
attach(CcFiles *f, uint64 system_id)
{
	CcLoad		l;

	if (cc_identity_read(&f->identity, system_id) != CC_IDENTITY_OURS ||
		cc_id_cmp(&f->identity.id, &cc.state->id) != 0)
	{
		/* keep_identity finds what is different */
		f->identity.system_id = system_id;
		f->none = !f->persist || !cc_identity_anchor(&f->identity);
	}
	cc_load_init(&l);
	if (!cc_load_list(&l))
		f->none = true;
	if (f->none)
		cc.state->persist = false;	/* nobody waits for what is not written */
	f->newest = l.newest;
	if (l.snapshots.n > 0)
		f->base = l.snapshots.gen[l.snapshots.n - 1];
	f->marked_old = l.marked;
	if (l.marked && cc_file_exists(CC_MARKED_FILE))
		pg_atomic_write_u32(&cc.state->file_marked, 1);
	cc_load_free(&l);
	f->gap = f->persist;
	f->active_at = cc_monotonic_ms();
	f->bound = pg_atomic_read_u64(&cc.state->hlc_bound);
}

CcFiles *
cc_files_start(uint64 system_id)
{
	CcFiles    *f = cc_alloc(sizeof(CcFiles));

	memset(f, 0, sizeof(*f));
	cc_journal_init(&f->journal);
	cc_snapshot_init(&f->snapshot);
	f->persist = cc.state->persist;
	f->mode = CC_SYNC_EVERYSEC;
	if (cc_state_phase() > CC_LOADING)
		attach(f, system_id);
	else
		start_anew(f, system_id);
	return f;
}
