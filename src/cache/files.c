/*-------------------------------------------------------------------------
 *
 * files.c
 *	  What the writer does while it runs; see files.h.  How it begins stands in
 *	  start.c.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/files.h"

#include "base/events.h"
#include "base/stats.h"
#include "cache/files_private.h"
#include "cache/load.h"

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
void
cc_files_reserve_clock(CcFiles *f, int64 now)
{
	uint64		ahead = cc_hlc_from_ms(Max(cc.state->max_skew_ms / 4, 2));
	uint64		seen = pg_atomic_read_u64(&cc.state->hlc);

	if (!cc_rule(clock_bound_seen))
		seen = f->journal.own_hlc;
	else if (now - f->active_at < CLOCK_IDLE_MS)
		seen = Max(seen, cc_hlc_from_ms(cc_clock_ms()));
	seen = Max(seen, pg_atomic_read_u64(&cc.state->hlc_wanted));
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
void
cc_files_fail(CcFiles *f, int64 now)
{
	cc_snapshot_abort(&f->snapshot);
	cc_block_close(&f->journal.w);
	drop_gap_journal(f);
	f->gap = f->persist;
	f->retry_ms = Min(Max(2 * f->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
	f->retry_at = now + f->retry_ms;
	if (pg_atomic_read_u32(&cc.state->journal_failed) == 0)
	{
		cc_log(CC_WARN, "the journal cannot be written; the cache goes on in memory");
		cc_event(CC_EVENT_JOURNAL, NULL, "\"state\": \"failing\"");
	}
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
	cc_event(CC_EVENT_JOURNAL, NULL, "\"state\": \"working\"");
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

void
cc_files_fill_head(CcFiles *f, CcFileHead *head, uint8 kind, uint8 flags)
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

	cc_files_fill_head(f, &head, CC_FILE_JOURNAL, 0);
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
	f->rewriting = pg_atomic_read_u64(&cc.state->rewrite_wanted);
	if (!gap && !cc_journal_fsync(&f->journal))
		gap = true;
	if (!begin_journal(f, gap))
	{
		f->snapshot_at = now + RETRY_MAX_MS;
		if (gap)
			cc_files_fail(f, now);
		return false;
	}
	cc_files_fill_head(f, &head, CC_FILE_SNAPSHOT, 0);
	head.generation = f->newest;
	if (cc_snapshot_begin(&f->snapshot, &head, &f->journal.vv, f->journal.pos))
		return true;
	f->snapshot_at = now + RETRY_MAX_MS;
	if (gap)
		cc_files_fail(f, now);
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
	f->rewritten = f->rewriting;
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
		cc_files_fail(f, now);
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
	/* nothing of a namespace remains that has become unsaved */
	if (f->rewritten != pg_atomic_read_u64(&cc.state->rewrite_wanted))
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

	cc_files_fill_head(f, &head, CC_FILE_JOURNAL, CC_FILE_FIRST | CC_FILE_NO_DATA);
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
	cc_files_fail(f, now);
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
			cc_log(CC_DEBUG, "the writer fell off the change log");
			return begin_snapshot(f, now, true);
		case CC_CYCLE_FAILED:
			break;
	}
	cc_files_fail(f, now);
	return false;
}

static bool
sync_now(CcFiles *f, int64 now)
{
	if (!cc_journal_fsync(&f->journal))
	{
		cc_files_fail(f, now);
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
		pg_atomic_read_u64(&cc.state->sync_wanted) >
		pg_atomic_read_u64(&cc.state->synced) ||
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
	cc_files_reserve_clock(f, now);
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
