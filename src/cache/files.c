/*-------------------------------------------------------------------------
 *
 * files.c
 *	  See files.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/files.h"

#include "base/stats.h"
#include "cache/identity.h"
#include "cache/load.h"
#include "cache/snapshot.h"

/* everysec: ms between two fsyncs */
#define SYNC_MS				1000

/* The longest wait without a look at what changed silently (G, VV) */
#define IDLE_MS				1000

/* Without a change for so long the clock is no longer reserved ahead */
#define CLOCK_IDLE_MS		10000

/* After a failure the next attempt comes after so many ms, doubled each time */
#define RETRY_MIN_MS		1000
#define RETRY_MAX_MS		30000

/* Between snapshots that are due for the mark alone, at least so many ms */
#define MARKED_MIN_MS		5000

/* A journal without entries begins anew at this length. */
#define CLOCK_BYTES			(1024 * 1024)

CcFilesLimits cc_files_limits = {
	.block_bytes = 256 * 1024,
	.piece_bytes = 2 * 1024 * 1024,
	.piece_buckets = 65536,
	.snapshot_bytes = 16 * 1024 * 1024
};

struct CcFiles
{
	bool		none;			/* nothing can be written: in memory only */
	bool		persist;		/* entries are kept, not the clock alone */
	CcJournalSync mode;
	CcIdentity	identity;		/* as it is on disk */
	int64		identity_at;	/* when it could not be written: not before */
	CcJournal	journal;		/* not open after a failure */
	CcSnapshot	snapshot;

	/* the chain; see files.h */
	uint64		newest;			/* the generation that began last */
	uint64		base;			/* newest complete snapshot; 0: none */
	bool		gap;			/* the journal rests on the running snapshot */
	uint64		gap_journal;	/* its generation, 0: none is written */
	uint64		older_bytes;	/* of the chain's journals before this one */
	uint64		snapshot_bytes; /* length of the newest complete snapshot */
	bool		marked_old;		/* CC_MARKED_OLD_FILE may be there */

	uint64		bound;			/* to which the clock shall be reserved */

	/* monotonic ms */
	int64		due_at;			/* when cc_files_work shall come again */
	int64		active_at;		/* it was woken, or wrote entries */
	int64		written_at;		/* the last cycle */
	int64		synced_at;		/* the last fsync */
	int64		snapshot_began;
	int64		snapshot_at;	/* after a failure: not before */
	int64		marked_at;		/* for the mark alone: not before */
	int64		retry_at;		/* the journal after a failure: not before */
	int64		retry_ms;
};

static bool
journal_open(CcFiles *f)
{
	return f->journal.w.file != NULL;
}

static void
set_gauges(CcFiles *f)
{
	if (cc.stats != NULL && f->persist)
		pg_atomic_write_u64(&cc.stats->journal_bytes,
							f->older_bytes + f->journal.w.bytes);
}

/*
 * PROTOCOL.md, clock bound: above all that was seen, not only above what was
 * written, by at most a quarter of max_clock_skew; renewed before half of it
 * is used.  While anything happens the wall clock counts as seen, so that
 * hardly a write has to wait for it.
 */
static void
reserve_clock(CcFiles *f, int64 now)
{
	uint64		ahead = cc_hlc_from_ms(Max(cc.state->max_skew_ms / 4, 2));
	uint64		seen = pg_atomic_read_u64(&cc.state->hlc);

	seen = Max(seen, pg_atomic_read_u64(&cc.state->hlc_wanted));
	if (!cc_rule(clock_bound_seen))
		seen = f->journal.own_hlc;
	else if (now - f->active_at < CLOCK_IDLE_MS)
		seen = Max(seen, cc_hlc_from_ms(cc_clock_ms()));
	if (seen + ahead / 2 > f->bound)
		f->bound = seen + ahead;
}

/*
 * Tells what is safe now.  VVj follows the fsync where there is one: what the
 * loss of power takes must not count as held (PROTOCOL.md, stable).  Behind a
 * gap only the clock counts, which is believed wherever it stands.
 */
static void
advance(CcFiles *f)
{
	CcStateShared *s = cc.state;
	CcJournal  *j = &f->journal;
	bool		safe = !j->unsynced || f->mode == CC_SYNC_OFF;
	bool		news = false;

	if (!journal_open(f))
		return;
	if (safe)
		news |= cc_atomic_raise(&s->hlc_bound, j->bound);
	if (f->persist && !f->gap)
	{
		for (int i = 0; safe && i < j->vv.n; i++)
			cc_state_raise_vvj(i, j->vv.seq[i]);
		news |= cc_atomic_raise(&s->journaled, j->pos);
		if (safe)
			news |= cc_atomic_raise(&s->synced, j->pos);
	}
	if (news)
		cc_announce_journal();
	set_gauges(f);
}

/* Without its snapshot it is worth nothing, and takes room. */
static void
drop_gap_journal(CcFiles *f)
{
	char		name[CC_FILE_NAME_LEN];

	if (f->gap_journal == 0)
		return;
	cc_journal_name(name, f->gap_journal);
	(void) cc_file_remove(name);
	f->gap_journal = 0;
}

/*
 * The journal cannot be written: nobody waits for it, and the cache goes on
 * in memory.  A file whose write or fsync has failed is not touched again;
 * the next attempt writes a new one from memory, behind a gap.
 */
static void
fail(CcFiles *f, int64 now)
{
	cc_snapshot_abort(&f->snapshot);
	cc_block_close(&f->journal.w);
	drop_gap_journal(f);
	f->gap = f->persist;
	f->retry_ms = Min(Max(2 * f->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
	f->retry_at = now + f->retry_ms;
	if (pg_atomic_read_u32(&cc.state->journal_failed) == 0)
		cc_log(CC_WARN, "the journal cannot be written; the cache goes on in memory");
	pg_atomic_write_u32(&cc.state->journal_failed, 1);
	cc_announce_journal();
}

static void
recovered(CcFiles *f)
{
	f->retry_ms = 0;
	if (pg_atomic_read_u32(&cc.state->journal_failed) == 0)
		return;
	pg_atomic_write_u32(&cc.state->journal_failed, 0);
	cc_log(CC_LOG, "the journal is written again");
}

/* Files of generations below this one go. */
static void
remove_below(uint64 generation)
{
	CcLoad		l;

	cc_load_init(&l);
	if (cc_load_list(&l))
		cc_load_remove(&l, generation);
	cc_load_free(&l);
}

/*
 * The mark goes with the snapshot that begins now; whoever has to forget
 * something beyond VVj from now on makes a new one.
 */
static void
age_mark(CcFiles *f)
{
	if (pg_atomic_read_u32(&cc.state->file_marked) == 0)
		return;
	f->marked_old = true;
	if (cc_file_exists(CC_MARKED_FILE) &&
		!cc_file_rename(CC_MARKED_FILE, CC_MARKED_OLD_FILE))
		return;					/* stays marked until the next one */
	pg_atomic_write_u32(&cc.state->file_marked, 0);
}

/*
 * Whoever sets the mark says so when its file is there; should he say so only
 * now that the file has been renamed, it is made again.
 */
static void
keep_mark(void)
{
	CcFile	   *mark;

	if (pg_atomic_read_u32(&cc.state->file_marked) == 0 ||
		cc_file_exists(CC_MARKED_FILE))
		return;
	mark = cc_file_create(CC_MARKED_FILE);
	if (mark == NULL)
		return;
	(void) cc_file_sync(mark);
	cc_file_close(mark);
}

static void
drop_mark(CcFiles *f)
{
	keep_mark();
	if (f->marked_old)
		f->marked_old = !cc_file_remove(CC_MARKED_OLD_FILE);
}

static void
fill_head(CcFiles *f, CcFileHead *head, uint8 kind, uint8 flags)
{
	memset(head, 0, sizeof(*head));
	head->kind = kind;
	head->flags = flags;
	head->node = f->identity.id;
	head->generation = f->newest + 1;
	head->base = f->base;
}

/*
 * Begins the journal of a new generation, where the old one ended, or, behind
 * a gap, now: PROTOCOL.md, journal order, with nothing written between.
 */
static bool
begin_journal(CcFiles *f, bool gap)
{
	CcJournal  *j = &f->journal;
	CcFileHead	head;
	uint64		pos = j->pos;
	uint64		bytes = journal_open(f) ? j->w.bytes : 0;

	fill_head(f, &head, CC_FILE_JOURNAL, 0);
	head.previous = bytes;
	if (gap)
	{
		head.previous = 0;
		head.base = head.generation;
		cc_block_close(&j->w);
		drop_gap_journal(f);
		cc_state_copy_vv(&j->vv);
		pos = cc_changelog_allocated();
		cc_changelog_wait_published(pos);
		if (!cc_rule(journal_order))
			cc_state_copy_vv(&j->vv);
	}
	if (!cc_journal_create(j, &head, pos))
		return false;
	f->newest = head.generation;
	f->older_bytes += bytes;
	if (gap)
	{
		f->gap = true;
		f->gap_journal = f->newest;
		f->older_bytes = 0;
	}
	return true;
}

/*
 * Begins a snapshot, and with it a generation.  All before must be on disk:
 * no power failure may leave the new file and take the end of the old one.
 */
static bool
begin_snapshot(CcFiles *f, int64 now, bool gap)
{
	CcFileHead	head;

	cc_snapshot_abort(&f->snapshot);
	age_mark(f);
	f->snapshot_began = now;
	if (!gap && !cc_journal_fsync(&f->journal))
		gap = true;
	if (!begin_journal(f, gap))
	{
		f->snapshot_at = now + RETRY_MAX_MS;
		if (gap)
			fail(f, now);
		return false;
	}
	fill_head(f, &head, CC_FILE_SNAPSHOT, 0);
	head.generation = f->newest;
	if (cc_snapshot_begin(&f->snapshot, &head, &f->journal.vv, f->journal.pos))
		return true;
	f->snapshot_at = now + RETRY_MAX_MS;
	if (gap)
		fail(f, now);
	return false;
}

/* The snapshot is complete, and what was before it can go. */
static void
end_snapshot(CcFiles *f, int64 now)
{
	f->base = f->snapshot.generation;
	f->snapshot_bytes = f->snapshot.w.bytes;
	f->older_bytes = 0;
	f->gap = false;
	f->gap_journal = 0;
	f->marked_at = now + Max(MARKED_MIN_MS, 4 * (now - f->snapshot_began));
	remove_below(f->base);
	drop_mark(f);
	recovered(f);
	if (cc.stats != NULL)
		pg_atomic_write_u64(&cc.stats->snapshot_at, (uint64) cc_clock_ms());
	advance(f);
}

/* Goes on with the running snapshot; false: there is none any more. */
static bool
continue_snapshot(CcFiles *f, int64 now)
{
	switch (cc_snapshot_piece(&f->snapshot, f->journal.bound))
	{
		case CC_PIECE_MORE:
			return true;
		case CC_PIECE_COMPLETE:
			end_snapshot(f, now);
			return false;
		case CC_PIECE_FAILED:
			break;
	}
	f->snapshot_at = now + RETRY_MAX_MS;
	if (f->gap)
		fail(f, now);
	return false;
}

static bool
snapshot_due(CcFiles *f, int64 now)
{
	uint64		bytes = f->older_bytes + f->journal.w.bytes;

	if (now < f->snapshot_at)
		return false;
	if (bytes > Max(cc_files_limits.snapshot_bytes, 2 * f->snapshot_bytes))
		return true;
	return now >= f->marked_at &&
		(f->marked_old || pg_atomic_read_u32(&cc.state->file_marked) != 0);
}

/*
 * A journal that keeps only the clock rests on nothing, and nothing is left
 * of what was there when entries were still kept.
 */
static bool
begin_clock(CcFiles *f, int64 now)
{
	CcFileHead	head;

	fill_head(f, &head, CC_FILE_JOURNAL, CC_FILE_FIRST | CC_FILE_NO_DATA);
	head.base = 0;
	if (cc_journal_create(&f->journal, &head, 0) &&
		cc_journal_bound(&f->journal, f->bound) == CC_CYCLE_DONE &&
		cc_journal_fsync(&f->journal))
	{
		f->newest = head.generation;
		remove_below(f->newest);
		recovered(f);
		return true;
	}
	fail(f, now);
	return false;
}

/* After a start or a failure; true when there is a journal to write to. */
static bool
open_journal(CcFiles *f, int64 now)
{
	if (journal_open(f))
		return true;
	if (now < f->retry_at)
		return false;
	return f->persist ? begin_snapshot(f, now, true) : begin_clock(f, now);
}

/* One cycle; false: there is no journal now. */
static bool
write_cycle(CcFiles *f, int64 now, bool lazy)
{
	uint64		pos = f->journal.pos;
	CcCycle		result = f->persist ?
		cc_journal_cycle(&f->journal, f->bound, lazy) :
		cc_journal_bound(&f->journal, f->bound);

	switch (result)
	{
		case CC_CYCLE_NOTHING:
			return true;
		case CC_CYCLE_DONE:
			f->written_at = now;
			if (f->journal.pos != pos)
				f->active_at = now;
			return true;
		case CC_CYCLE_LOST:
			return begin_snapshot(f, now, true);
		case CC_CYCLE_FAILED:
			break;
	}
	fail(f, now);
	return false;
}

static bool
sync_now(CcFiles *f, int64 now)
{
	if (!cc_journal_fsync(&f->journal))
	{
		fail(f, now);
		return false;
	}
	f->synced_at = now;
	return true;
}

/* The clock is waited for, so it is never late. */
static bool
sync_due(CcFiles *f, int64 now)
{
	if (!f->journal.unsynced || f->mode == CC_SYNC_OFF)
		return false;
	return f->mode == CC_SYNC_ALWAYS || now - f->synced_at >= SYNC_MS ||
		f->journal.bound > pg_atomic_read_u64(&cc.state->hlc_bound);
}

/*
 * The state has taken another incarnation, boot or id (PROTOCOL.md, ahead of
 * myself; the younger of two nodes with one id).  Files of another id are not
 * loaded, so then all is written anew.
 */
static void
keep_identity(CcFiles *f, int64 now)
{
	CcIdentity	id = f->identity;

	cc_lock_shared(&cc.state->lock);
	id.id = cc.state->id;
	id.boot = cc.state->boot;
	id.incarnation = cc.state->incarnation;
	cc_unlock(&cc.state->lock);
	if ((id.boot == f->identity.boot &&
		 id.incarnation == f->identity.incarnation &&
		 cc_id_cmp(&id.id, &f->identity.id) == 0) || now < f->identity_at)
		return;
	id.bound = f->bound;
	if (!cc_identity_write(&id))
	{
		f->identity_at = now + RETRY_MIN_MS;
		return;
	}
	if (cc_id_cmp(&id.id, &f->identity.id) != 0)
	{
		cc_snapshot_abort(&f->snapshot);
		cc_block_close(&f->journal.w);
		f->gap = f->persist;
		f->retry_at = now;
	}
	f->identity = id;
}

/* Ms until something is due by itself. */
static int64
next_due(CcFiles *f, int64 now)
{
	int64		wait = IDLE_MS;

	if (f->snapshot.running)
		return 0;
	if (!journal_open(f))
		wait = Min(wait, Max(f->retry_at - now, 1));
	else if (f->journal.unsynced && f->mode != CC_SYNC_OFF)
		wait = Min(wait, Max(f->synced_at + SYNC_MS - now, 1));
	if (now - f->active_at < CLOCK_IDLE_MS)
		wait = Min(wait, Max(cc.state->max_skew_ms / 16, 1));
	return wait;
}

int64
cc_files_work(CcFiles *f, int64 now, CcJournalSync mode)
{
	bool		ok;

	if (f->none)
		return IDLE_MS;
	f->mode = mode;
	if (now < f->due_at)
		f->active_at = now;
	keep_identity(f, now);
	reserve_clock(f, now);
	ok = open_journal(f, now) &&
		write_cycle(f, now, now - f->written_at < IDLE_MS);
	if (ok && sync_due(f, now))
		ok = sync_now(f, now);
	if (ok)
	{
		advance(f);
		keep_mark();
		if (f->snapshot.running)
			(void) continue_snapshot(f, now);
		else if (f->persist && snapshot_due(f, now))
			(void) begin_snapshot(f, now, f->gap);
		else if (!f->persist && f->journal.w.bytes > CLOCK_BYTES)
			(void) begin_clock(f, now);
	}
	f->due_at = now + next_due(f, now);
	return f->due_at - now;
}

bool
cc_files_flush(CcFiles *f, bool sync)
{
	int64		now = cc_monotonic_ms();
	uint64		upto = cc_changelog_allocated();

	if (f->none || !f->persist)
		return false;
	if (!open_journal(f, now) || !write_cycle(f, now, false))
		return false;
	while (f->gap && f->snapshot.running)
		(void) continue_snapshot(f, now);
	if (f->gap || !journal_open(f) || f->journal.pos < upto)
		return false;
	if (sync && !sync_now(f, now))
		return false;
	advance(f);
	return true;
}

/* All that is in memory, in one snapshot and an empty journal. */
static bool
save_all(CcFiles *f, int64 now)
{
	if (!cc_files_flush(f, true))
		return false;
	if (!f->snapshot.running)
		(void) begin_snapshot(f, now, false);
	while (f->snapshot.running)
		(void) continue_snapshot(f, now);

	/* even where the snapshot has failed, the chain is there */
	return cc_files_flush(f, true) && !f->marked_old &&
		pg_atomic_read_u32(&cc.state->file_marked) == 0;
}

void
cc_files_stop(CcFiles *f)
{
	int64		now = cc_monotonic_ms();
	CcIdentity	id;

	if (f->none)
		return;

	/* PROTOCOL.md, new origin: whoever came before the close is through */
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		cc_store_lock(cc_store_partition(i), true);
		cc_store_unlock(cc_store_partition(i));
	}
	keep_identity(f, now);
	f->retry_at = 0;
	id = f->identity;
	id.clean = f->persist && save_all(f, now);
	id.bound = id.clean ? pg_atomic_read_u64(&cc.state->hlc) + 1 : f->bound;
	id.next = cc_changelog_allocated();
	if (cc_identity_write(&id))
		f->identity = id;
	if (f->persist && !id.clean)
		cc_log(CC_WARN, "the cache could not be saved in full");
}

void
cc_files_free(CcFiles *f)
{
	cc_journal_free(&f->journal);
	cc_snapshot_free(&f->snapshot);
	cc_free(f);
}

/* ---- start ---- */

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
	cc_log(CC_WARN, "the files of the cache cannot be written; this node has a new identity, in memory only");
	cc_identity_invent(&f->identity);
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
			cc_log(CC_LOG, "this node has a new identity, %s",
				   cc_id_text(&id->id, text));
	}
	else if (!clean && cc_rule(new_origin))
		id->incarnation = cc_identity_next(id->incarnation);
	id->boot = cc_identity_next(boot);
	id->clean = false;
	cc.state->unclean = keep_id && !clean;
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
	reserve_clock(f, now);
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
	fill_head(f, &head, CC_FILE_JOURNAL, 0);
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
		fail(f, cc_monotonic_ms());
}

static void
report_load(CcLoad *l, int64 began)
{
	int64		ms = cc_monotonic_ms() - began;

	pg_atomic_write_u32(&cc.state->bad_blocks, l->bad);
	if (cc.stats != NULL)
		pg_atomic_write_u64(&cc.stats->load_ms, (uint64) ms);
	cc_log(CC_LOG, "loaded " UINT64_FORMAT " entries in " INT64_FORMAT " ms",
		   l->entries, ms);
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
	if (!f->none)
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
	}
	report_load(&l, began);
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
