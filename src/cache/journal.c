/*-------------------------------------------------------------------------
 *
 * journal.c
 *	  See journal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/journal.h"

#include <stdio.h>

#include "cache/cache.h"
#include "cache/expire.h"
#include "cache/namespace.h"
#include "cache/siblings.h"

/* Positions between what is written and what is fetched meanwhile */
#define LOOK_AHEAD		8

/* The part of a cycle that is being written */
typedef struct Cycle
{
	CcJournal  *j;
	uint64		pos;			/* at which we are */
	uint64		end;			/* of the cycle */
	uint16		self;
	uint64		own_hlc;
	uint64		own_seq;		/* highest own dot of the entry looked at */
} Cycle;

void
cc_journal_name(char *name, uint64 generation)
{
	snprintf(name, CC_FILE_NAME_LEN, "pgsql_tmp.journal." UINT64_FORMAT,
			 generation);
}

void
cc_journal_init(CcJournal *j)
{
	memset(j, 0, sizeof(*j));
	cc_block_init(&j->w);
	cc_vv_init(&j->vv);
	cc_vv_init(&j->g);
	cc_vv_init(&j->copy);
	cc_vv_init(&j->copy_g);
}

void
cc_journal_free(CcJournal *j)
{
	cc_block_free(&j->w);
	cc_vv_free(&j->vv);
	cc_vv_free(&j->g);
	cc_vv_free(&j->copy);
	cc_vv_free(&j->copy_g);
}

bool
cc_journal_create(CcJournal *j, const CcFileHead *head, uint64 pos)
{
	char		name[CC_FILE_NAME_LEN];
	CcBlockWriter w;

	cc_block_init(&w);
	cc_journal_name(name, head->generation);
	if (!cc_block_create(&w, name, head) || !cc_block_sync(&w))
	{
		cc_block_free(&w);
		(void) cc_file_remove(name);
		return false;
	}
	cc_block_free(&j->w);
	j->w = w;
	j->generation = head->generation;
	j->pos = pos;
	j->unsynced = false;
	/* the new file holds none of what is written only when it changes */
	j->seeds_version = 0;
	memset(j->horizons, 0, sizeof(j->horizons));
	j->bound = 0;
	return true;
}

/*
 * Whether the entry is in no file, as its namespace is unsaved; the file says
 * so once.  What was cleared is not missed, and its horizon is saved.
 */
static bool
left_out(CcBlockWriter *w, CcPartitionShared *p, CcHeaderShared *h)
{
	if (likely(!cc_namespace_has(h->ns, CC_NS_UNSAVED)))
		return false;
	if (!w->left_out[h->ns] && !cc_siblings_cleared(p, h))
	{
		cc_encode_left_out(&w->enc, h->ns);
		w->left_out[h->ns] = true;
	}
	return true;
}

bool
cc_journal_put_bucket(CcBlockWriter *w, CcPartitionShared *p, uint32 bucket,
					  const uint64 *hash, CcSkipFn skip, void *arg)
{
	CcEncoder  *enc = cc_block_encoder(w);
	Size		need = 0;

	for (;;)
	{
		CcHeaderShared *h;

		cc_store_lock(p, false);
		need = 0;
		for (h = cc_store_first(p, bucket); h != NULL; h = cc_store_next(p, h))
		{
			if (hash == NULL || h->hash == *hash)
				need += cc_record_room(h);
		}
		if (need <= cc_buf_room(&enc->buf))
			break;
		cc_store_unlock(p);

		/* room for all of it, which may have become more until we are back */
		if (!cc_block_flush(w))
			return false;
		enc = cc_block_encoder(w);
		cc_buf_reserve(&enc->buf, need + need / 4);
	}
	if (need > 0)
	{
		CcHeaderShared *h;

		for (h = cc_store_first(p, bucket); h != NULL; h = cc_store_next(p, h))
		{
			if ((hash == NULL || h->hash == *hash) &&
				(skip == NULL || !skip(p, h, arg)) && !left_out(w, p, h))
				(void) cc_encode_stored(enc, p, h, &need);
		}
	}
	cc_store_unlock(p);
	return true;
}

/* Notes our own clock, and the highest of an entry's own dots. */
static bool
note_own(const CcEntry *e, void *arg)
{
	Cycle	   *c = arg;

	if (e->origin == c->self)
	{
		c->own_hlc = Max(c->own_hlc, e->at);
		c->own_seq = Max(c->own_seq, e->seq);
	}
	return true;
}

/*
 * An entry whose dot is ours and lies later in this same cycle comes there: a
 * hot key is written once a cycle.  Of a key with siblings the highest of our
 * dots says so, and all of it comes.
 */
static bool
comes_later(CcPartitionShared *p, CcHeaderShared *h, void *arg)
{
	Cycle	   *c = arg;

	c->own_seq = 0;
	if (likely((cc_header_flags(h) & CC_F_SIBLINGS) == 0))
	{
		if (h->origin != c->self)
			return false;
		c->own_hlc = Max(c->own_hlc, h->at);
		c->own_seq = h->seq;
	}
	else
		(void) cc_siblings_all(p, h, note_own, c);
	return c->own_seq > c->pos && c->own_seq < c->end;
}

/*
 * Fetches what will be written soon: a cycle visits the store in no order, and
 * waiting for memory would be most of its work.
 */
static void
look_ahead(uint64 pos, uint64 end)
{
	CcChangeRef ref;

	if (pos + LOOK_AHEAD < end && cc_changelog_read(pos + LOOK_AHEAD, &ref))
		cc_store_prefetch(cc_store_partition_of(ref.hash), ref.hash);
	if (pos + LOOK_AHEAD / 2 < end &&
		cc_changelog_read(pos + LOOK_AHEAD / 2, &ref))
		cc_store_prefetch_entry(cc_store_partition_of(ref.hash), ref.hash);
}

/* The entries of positions [j->pos, end), as they are now. */
static CcCycle
put_entries(CcJournal *j, uint64 end)
{
	Cycle		c = {.j = j, .end = end, .self = cc_state_self()};
	CcCycle		result = CC_CYCLE_DONE;

	for (c.pos = j->pos; c.pos < end; c.pos++)
	{
		CcChangeRef ref;
		CcPartitionShared *p;

		if (!cc_changelog_read(c.pos, &ref))
		{
			result = CC_CYCLE_LOST;
			break;
		}
		look_ahead(c.pos, end);
		p = cc_store_partition_of(ref.hash);
		if (!cc_journal_put_bucket(&j->w, p, cc_store_bucket(p, ref.hash),
								   &ref.hash, comes_later, &c) ||
			!cc_block_flush_long(&j->w))
		{
			result = CC_CYCLE_FAILED;
			break;
		}
		cc_yield();
	}
	j->own_hlc = Max(j->own_hlc, c.own_hlc);
	return result;
}

/* Whether the slice has been merged since it was last written. */
static bool
take_dirty(int slice)
{
	CcPartitionShared *p = cc_store_partition_of((uint64) slice << 57);
	bool		dirty;

	if (!cc.floor->slice[slice].dirty)
		return false;
	cc_store_lock(p, true);
	dirty = cc.floor->slice[slice].dirty;
	cc.floor->slice[slice].dirty = false;
	cc_store_unlock(p);
	return dirty;
}

static bool
any_dirty(void)
{
	for (int i = 0; i < CC_SLICES; i++)
	{
		if (cc.floor->slice[i].dirty)
			return true;
	}
	return false;
}

void
cc_journal_put_number(CcBlockWriter *w, char type, uint64 v)
{
	CcBuf	   *b = &cc_block_encoder(w)->buf;

	cc_buf_reserve(b, 9);
	cc_buf_put_u8(b, (uint8) type);
	cc_buf_put_u64(b, v);
}

static void
put_seeds(CcBlockWriter *w)
{
	char		seeds[CC_SEEDS_LEN];
	CcBuf	   *b = &cc_block_encoder(w)->buf;
	Size		len;

	cc_lock_shared(&cc.state->lock);
	memcpy(seeds, cc.state->seeds, sizeof(seeds));
	cc_unlock(&cc.state->lock);
	seeds[sizeof(seeds) - 1] = '\0';
	len = strlen(seeds);
	cc_buf_reserve(b, 5 + len);
	cc_buf_put_u8(b, 'S');
	cc_buf_put_u32(b, (uint32) len);
	cc_buf_put(b, seeds, len);
}

/* Whether a member may not have seen all that is forgotten here. */
static bool
unstable(const CcVV *g)
{
	for (int o = 0; o < g->n; o++)
	{
		if (!cc_state_stable(o, g->seq[o]))
			return true;
	}
	return false;
}

/* A system entry as it is now, if it is there. */
static void
put_system(CcBlockWriter *w, const char *key, uint16 keylen, CcBuf *buf)
{
	CcEntry		e;

	buf->len = 0;
	if (cc_cache_peek(CC_NS_SYSTEM, key, keylen, &e, buf))
		cc_encode_entry(cc_block_encoder(w), &e);
}

bool
cc_journal_put_horizons(CcBlockWriter *w, uint64 *seen)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	char		key[CC_SYSTEM_KEY_MAX];
	CcBuf		buf;
	bool		ok = true;

	cc_buf_init(&buf);
	for (uint32 ns = 0; ns < n && ok; ns++)
	{
		uint64		horizon = pg_atomic_read_u64(&cc_namespace(ns)->horizon);

		if (horizon == 0 || (seen != NULL && seen[ns] >= horizon))
			continue;
		if (seen != NULL)
			seen[ns] = horizon;
		/* whether it may leave this node is what the declaration says */
		put_system(w, key, cc_namespace_key((uint16) ns, key), &buf);
		put_system(w, key, cc_cache_horizon_key((uint16) ns, key), &buf);
		ok = cc_block_flush_long(w);
	}
	cc_buf_free(&buf);
	return ok;
}

bool
cc_journal_put_end(CcBlockWriter *w, const CcVV *vv, const CcVV *g, uint64 next,
				   uint64 bound, bool seeds, bool all_floors)
{
	for (int i = 0; i < CC_SLICES; i++)
	{
		/* a snapshot may yet fail, so only a journal has them written */
		if (!all_floors && !take_dirty(i))
			continue;
		cc_encode_floor(cc_block_encoder(w), i);
		if (!cc_block_flush_long(w))
			return false;
	}
	cc_encode_vv(cc_block_encoder(w), 'V', vv);
	cc_encode_vv(cc_block_encoder(w), 'G', g);
	if (unstable(g))
		cc_buf_append(&cc_block_encoder(w)->buf, "L", 1);
	if (seeds)
		put_seeds(w);
	cc_journal_put_number(w, 'P', next);
	cc_journal_put_number(w, 'B', bound);
	cc_buf_append(&cc_block_encoder(w)->buf, "Z", 1);
	return cc_block_flush(w);
}

/*
 * PROTOCOL.md, journal order: copy VV; then read the end of what has been
 * allocated, and wait until it is published; write the entries up to there,
 * then that copy, with G and F as they are then.  The VV on disk is never
 * newer than the entries.
 */
CcCycle
cc_journal_cycle(CcJournal *j, uint64 bound, bool lazy)
{
	uint64		end;
	uint32		seeds_version;
	CcCycle		result;

	if (j->w.file == NULL)
		return CC_CYCLE_FAILED;

	cc_state_copy_vv(&j->copy);
	cc_yield();
	end = cc_changelog_allocated();
	cc_changelog_wait_published(end);
	cc_state_copy_g(&j->copy_g);
	seeds_version = pg_atomic_read_u32(&cc.state->seeds_version);

	bound = Max(bound, j->bound);
	if (end == j->pos && bound == j->bound &&
		seeds_version == j->seeds_version && !any_dirty() &&
		cc_vv_equal(&j->copy, &j->vv) &&
		(lazy || cc_vv_equal(&j->copy_g, &j->g)))
		return CC_CYCLE_NOTHING;

	j->unsynced = true;
	result = put_entries(j, end);
	if (result != CC_CYCLE_DONE)
		return result;

	if (!cc_rule(journal_order))
		cc_state_copy_vv(&j->copy);
	cc_state_copy_g(&j->copy_g);
	/* what was cleared before it came here has left no trace but these */
	if (!cc_journal_put_horizons(&j->w, j->horizons))
		return CC_CYCLE_FAILED;
	if (!cc_journal_put_end(&j->w, &j->copy, &j->copy_g, end, bound,
							seeds_version != j->seeds_version, false))
		return CC_CYCLE_FAILED;

	j->pos = end;
	j->bound = bound;
	j->seeds_version = seeds_version;
	cc_vv_copy(&j->vv, &j->copy);
	cc_vv_copy(&j->g, &j->copy_g);
	return CC_CYCLE_DONE;
}

CcCycle
cc_journal_bound(CcJournal *j, uint64 bound)
{
	if (j->w.file == NULL)
		return CC_CYCLE_FAILED;
	if (bound <= j->bound)
		return CC_CYCLE_NOTHING;
	j->unsynced = true;
	cc_journal_put_number(&j->w, 'B', bound);
	if (!cc_block_flush(&j->w))
		return CC_CYCLE_FAILED;
	j->bound = bound;
	return CC_CYCLE_DONE;
}

bool
cc_journal_fsync(CcJournal *j)
{
	if (j->w.file == NULL)
		return false;
	if (j->unsynced && !cc_block_sync(&j->w))
		return false;
	j->unsynced = false;
	return true;
}
