/*-------------------------------------------------------------------------
 *
 * load.c
 *	  See load.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/load.h"

#include <stdlib.h>

#include "base/events.h"
#include "cache/cache.h"
#include "cache/files.h"
#include "cache/identity.h"
#include "cache/namespace.h"
#include "cache/snapshot.h"

/* What a cycle's end says, until its 'Z' is there */
typedef struct End
{
	CcVV		vv;
	CcVV		g;
	uint64		next;
	bool		has_vv;
	bool		unstable;		/* 'L' */
	bool		complete;		/* the file's last record is a 'Z' */
} End;

static void
add_generation(CcGenerations *g, uint64 gen)
{
	int			i;

	if (g->n == g->cap)
	{
		g->cap = Max(16, 2 * g->cap);
		g->gen = g->gen == NULL ? cc_alloc(g->cap * sizeof(uint64)) :
			cc_realloc(g->gen, g->cap * sizeof(uint64));
	}
	for (i = g->n++; i > 0 && g->gen[i - 1] > gen; i--)
		g->gen[i] = g->gen[i - 1];
	g->gen[i] = gen;
}

/* The number behind a prefix; 0 when the name is another. */
static uint64
generation_of(const char *name, const char *prefix)
{
	Size		len = strlen(prefix);
	char	   *end;
	uint64		gen;

	if (strncmp(name, prefix, len) != 0 ||
		name[len] < '1' || name[len] > '9' || strlen(name + len) > 18)
		return 0;
	gen = strtoull(name + len, &end, 10);
	return *end == '\0' ? gen : 0;
}

static void
note_file(const char *name, void *arg)
{
	CcLoad	   *l = arg;
	uint64		gen;

	if ((gen = generation_of(name, "pgsql_tmp.snapshot.")) != 0)
		add_generation(&l->snapshots, gen);
	else if ((gen = generation_of(name, "pgsql_tmp.journal.")) != 0)
		add_generation(&l->journals, gen);
	else if (strcmp(name, CC_MARKED_FILE) == 0 ||
			 strcmp(name, CC_MARKED_OLD_FILE) == 0)
		l->marked = true;
	l->newest = Max(l->newest, gen);
}

void
cc_load_init(CcLoad *l)
{
	memset(l, 0, sizeof(*l));
	cc_vv_init(&l->vv);
	cc_vv_init(&l->g);
	l->held = cc_alloc(CC_MAX_NAMESPACES * sizeof(bool));
	l->unsaved = cc_alloc(CC_MAX_NAMESPACES * sizeof(bool));
	l->left_out = cc_alloc(CC_MAX_NAMESPACES * sizeof(bool));
	l->declared = cc_alloc(CC_MAX_NAMESPACES * sizeof(uint64));
	memset(l->held, 0, CC_MAX_NAMESPACES * sizeof(bool));
	memset(l->unsaved, 0, CC_MAX_NAMESPACES * sizeof(bool));
	memset(l->left_out, 0, CC_MAX_NAMESPACES * sizeof(bool));
	memset(l->declared, 0, CC_MAX_NAMESPACES * sizeof(uint64));
}

void
cc_load_free(CcLoad *l)
{
	cc_vv_free(&l->vv);
	cc_vv_free(&l->g);
	cc_free(l->held);
	cc_free(l->unsaved);
	cc_free(l->left_out);
	cc_free(l->declared);
	if (l->snapshots.gen != NULL)
		cc_free(l->snapshots.gen);
	if (l->journals.gen != NULL)
		cc_free(l->journals.gen);
}

bool
cc_load_list(CcLoad *l)
{
	return cc_file_list(note_file, l);
}

void
cc_load_remove(CcLoad *l, uint64 below)
{
	char		name[CC_FILE_NAME_LEN];

	for (int i = 0; i < l->snapshots.n; i++)
	{
		cc_snapshot_name(name, l->snapshots.gen[i]);
		if (l->snapshots.gen[i] < below)
			(void) cc_file_remove(name);
	}
	for (int i = 0; i < l->journals.n; i++)
	{
		cc_journal_name(name, l->journals.gen[i]);
		if (l->journals.gen[i] < below)
			(void) cc_file_remove(name);
	}
	(void) cc_file_remove(CC_SNAPSHOT_TEMP);
	(void) cc_file_remove(CC_IDENTITY_TEMP);
}

static void
take_seeds(CcLoad *l, CcDecoder *dec)
{
	uint32		len = cc_read_u32(&dec->r);
	const char *p = cc_read_bytes(&dec->r, len);

	if (p == NULL || len >= CC_SEEDS_LEN)
		return;
	memcpy(l->seeds, p, len);
	l->seeds[len] = '\0';
	l->has_seeds = true;
}

/* A cycle is complete; only now is what it says believed. */
static void
believe(CcLoad *l, End *end)
{
	if (l->believing && end->has_vv)
	{
		cc_vv_copy(&l->vv, &end->vv);
		/* a snapshot's end is later than the first cycles of its journal */
		cc_vv_join(&l->g, &end->g);
	}
	/* of positions the highest, believed or not: none is given twice */
	l->next = Max(l->next, end->next);
	l->unstable = end->unstable;
	for (int o = 0; o < end->g.n; o++)
		l->forgot |= end->g.seq[o] != 0;
	end->has_vv = end->unstable = false;
	end->complete = true;
}

/* From here on nothing is believed. */
static void
doubt(CcLoad *l, End *end)
{
	l->believing = false;
	end->has_vv = false;
}

/* Which namespaces the files hold, and what the newest declaration says. */
static void
note_entry(CcLoad *l, const CcEntry *e)
{
	uint32		flags;
	uint16		ns;

	if (e->ns != CC_NS_SYSTEM)
	{
		l->held[e->ns] = true;
		return;
	}
	ns = cc_namespace_declared(e, &flags);
	if (ns == CC_NO_NS || e->hlc < l->declared[ns])
		return;
	l->declared[ns] = e->hlc;
	l->unsaved[ns] = (flags & CC_NS_UNSAVED) != 0;
}

/*
 * A VV from here on covers what the file left out.  Entries that an earlier
 * file holds of the namespace may be older than what is missing.
 */
static void
note_left_out(CcLoad *l, CcDecoder *dec, End *end)
{
	uint16		ns;

	if (!cc_decode_left_out(dec, &ns))
		return;
	l->left_out[ns] = true;
	if (cc_rule(left_out))
		doubt(l, end);
}

/*
 * Nothing of an unsaved namespace is loaded.  Where an older file still holds
 * something of one, its VV covers what we shall not have.
 */
static void
judge_unsaved(CcLoad *l)
{
	int			n = (int) pg_atomic_read_u32(&cc.state->nnamespaces);

	for (int ns = 0; ns < n; ns++)
	{
		l->unsaved[ns] |= l->left_out[ns];
		l->dropped |= l->unsaved[ns] && l->held[ns];
	}
	if (!l->dropped)
		return;
	l->believing = false;
	cc_vv_clear(&l->vv);
	cc_vv_clear(&l->g);
}

/* False: the block makes no sense, for all its sums are right. */
static bool
survey_block(CcLoad *l, End *end, const char *payload, Size len)
{
	CcDecoder	dec;
	CcEntry		e;
	char		type;
	bool		ok;

	end->complete = false;
	cc_decoder_init(&dec, payload, len);
	while ((type = cc_decode_next(&dec)) != 0)
	{
		int			slice;
		const char *data;
		Size		n;

		if (type == 'E')
		{
			if (cc_decode_entry(&dec, &e))
				note_entry(l, &e);
		}
		else if (type == 'U')
			note_left_out(l, &dec, end);
		else if (type == 'F')
			(void) cc_decode_floor(&dec, &slice, &data, &n);
		else if (type == 'V')
			end->has_vv = cc_decode_vv(&dec, &end->vv);
		else if (type == 'G')
			(void) cc_decode_vv(&dec, &end->g);
		else if (type == 'L')
			end->unstable = true;
		else if (type == 'S')
			take_seeds(l, &dec);
		else if (type == 'P')
			end->next = cc_read_u64(&dec.r);
		else if (type == 'B')
		{
			uint64		bound = cc_read_u64(&dec.r);

			l->bound = Max(l->bound, bound);
		}
		else if (type == 'T')
			l->snapshot_at = cc_read_u64(&dec.r);
		else if (type == 'Z')
			believe(l, end);
		else
			dec.r.bad = true;
	}
	ok = dec.error == NULL;
	cc_decoder_free(&dec);
	return ok;
}

/* In a name there is nothing that JSON would have to escape. */
static void
tell_damage(const char *kind, uint64 gen, const char *what)
{
	cc_event(CC_EVENT_DAMAGE, NULL, "\"file\": \"pgsql_tmp.%s." UINT64_FORMAT
			 "\", \"what\": \"%s\"", kind, gen, what);
}

/* Whether the file is what its name says, and follows on what came before. */
static bool
fits(CcLoad *l, const CcBlockReader *r, char kind, uint64 gen, uint64 expected)
{
	const char *name = kind == CC_FILE_JOURNAL ? "journal" : "snapshot";

	if (!r->head_good || r->head.kind != kind || r->head.generation != gen ||
		cc_id_cmp(&r->head.node, &l->id) != 0)
	{
		cc_log(CC_WARN, "the head of file \"pgsql_tmp.%s." UINT64_FORMAT
			   "\" is bad", name, gen);
		tell_damage(name, gen, "its head is bad");
		l->bad++;
		return false;
	}
	if (kind == CC_FILE_SNAPSHOT)
		return true;

	/* begun behind a gap that its snapshot was to close */
	if (r->head.base > l->base)
		return false;
	/* the only kind that may stand alone */
	if (expected == 0)
	{
		if (r->head.flags & CC_FILE_NO_DATA)
			return false;
		if (r->head.flags & CC_FILE_FIRST)
			return true;
	}
	/* what was before the snapshot's own journal is gone */
	if (expected == gen &&
		(gen == l->base || r->head.previous <= l->last_bytes))
		return true;
	cc_log(CC_WARN, "the file before \"pgsql_tmp.journal." UINT64_FORMAT
		   "\" is missing or cut short", gen);
	tell_damage(name, gen, "the file before it is missing or cut short");
	l->bad++;
	return false;
}

static void
report_bad(CcLoad *l, const char *name, uint32 bad)
{
	char		text[100];

	l->bad += bad;
	cc_log(CC_WARN, "%u damaged %s in file \"%s\", passed over", bad,
		   bad == 1 ? "part" : "parts", name);
	cc_event(CC_EVENT_DAMAGE, NULL, "\"file\": %s, \"what\": "
			 "\"damaged parts\", \"parts\": %u",
			 cc_event_text(text, sizeof(text), name), bad);
}

/*
 * A torn tail of the last journal is cut off, so that the chain is whole
 * again: what was written last is lost, and nothing is behind it.
 */
static void
cut_tail(CcLoad *l, const char *name, const CcBlockReader *r)
{
	CcFile	   *f;

	l->last_bytes = r->good_end;
	if (r->good_end < r->size && !cc_file_truncate(name, r->good_end))
		l->whole = false;

	/*
	 * What comes next stands in another file, and must not reach the disk
	 * before this one has.
	 */
	f = cc_file_append(name);
	if (f == NULL || !cc_file_sync(f))
		l->whole = false;
	if (f != NULL)
		cc_file_close(f);
}

/* First walk over one file. */
static void
survey_file(CcLoad *l, const char *name, char kind, uint64 gen,
			uint64 expected, bool is_last)
{
	CcBlockReader r;
	End			end;
	const char *payload;
	Size		len;
	bool		fit;

	memset(&end, 0, sizeof(end));
	if (!cc_block_open(&r, name))
	{
		report_bad(l, name, 1);
		l->believing = l->whole = false;
		return;
	}
	cc_vv_init(&end.vv);
	cc_vv_init(&end.g);
	fit = fits(l, &r, kind, gen, expected);
	if (!fit)
	{
		doubt(l, &end);
		l->whole = false;
	}
	while (cc_block_next(&r, &payload, &len))
	{
		if (r.bad > 0)
			doubt(l, &end);
		if (!survey_block(l, &end, payload, len))
		{
			doubt(l, &end);
			r.bad++;
		}
	}
	if (kind == CC_FILE_SNAPSHOT && fit && r.bad == 0 && !end.complete)
		r.bad++;
	if (r.bad > 0)
	{
		report_bad(l, name, r.bad);
		l->believing = false;
		if (!is_last || r.bad > 1 || !r.bad_last)
			l->whole = false;
	}
	if (kind == CC_FILE_SNAPSHOT)
		l->snapshot_bytes = r.size;
	else
	{
		l->last = gen;
		l->last_bytes = r.good_end;
		l->bytes += r.size;
		if (is_last && l->whole)
			cut_tail(l, name, &r);
	}
	l->data |= (r.head.flags & CC_FILE_NO_DATA) == 0;
	cc_block_done(&r);
	cc_vv_free(&end.vv);
	cc_vv_free(&end.g);
}

/* Calls for each file of the chain, in order; entries: the second walk. */
static void load_file(CcLoad *l, const char *name);

static void
walk(CcLoad *l, bool entries)
{
	char		name[CC_FILE_NAME_LEN];
	uint64		expected = l->base;

	if (l->base > 0)
	{
		cc_snapshot_name(name, l->base);
		if (entries)
			load_file(l, name);
		else
			survey_file(l, name, CC_FILE_SNAPSHOT, l->base, 0, false);
	}
	for (int i = 0; i < l->journals.n; i++)
	{
		uint64		gen = l->journals.gen[i];

		if (gen < l->base)
			continue;
		cc_journal_name(name, gen);
		if (entries)
			load_file(l, name);
		else
			survey_file(l, name, CC_FILE_JOURNAL, gen, expected,
						i == l->journals.n - 1);
		expected = gen + 1;
	}
}

void
cc_load_survey(CcLoad *l, const CcNodeId *id)
{
	l->id = *id;
	if (l->snapshots.n > 0)
		l->base = l->snapshots.gen[l->snapshots.n - 1];
	l->believing = l->whole = true;
	walk(l, false);
	/* a snapshot without its journal holds newer entries than its VV */
	if (l->last < l->base)
		l->believing = l->whole = false;
	judge_unsaved(l);
}

static void
load_block(CcLoad *l, const char *payload, Size len)
{
	CcDecoder	dec;
	CcChange	c = {.op = CC_OP_LOAD};
	CcOutcome	o;
	CcEntry		e;
	CcVV		v;
	char		type;

	cc_vv_init(&v);
	cc_decoder_init(&dec, payload, len);
	while ((type = cc_decode_next(&dec)) != 0)
	{
		int			slice;
		const char *data;
		Size		n;

		if (type == 'E')
		{
			if (!cc_decode_entry(&dec, &e) ||
				(l->system_only && e.ns != CC_NS_SYSTEM) || l->unsaved[e.ns])
				continue;
			c.ns = e.ns;
			c.key = e.key;
			c.keylen = e.keylen;
			c.entry = &e;
			(void) cc_cache_change(&c, &o);
			l->entries++;
		}
		else if (type == 'F')
		{
			if (cc_decode_floor(&dec, &slice, &data, &n) && !l->system_only)
			{
				CcPartitionShared *p;

				p = cc_store_partition_of((uint64) slice << 57);
				cc_store_lock(p, true);
				cc_floor_merge(slice, data, n);
				cc.floor->slice[slice].dirty = false;
				cc_store_unlock(p);
			}
		}
		else if (type == 'V' || type == 'G')
			(void) cc_decode_vv(&dec, &v);
		else if (type == 'S')
			(void) cc_read_bytes(&dec.r, cc_read_u32(&dec.r));
		else if (type == 'P' || type == 'B' || type == 'T')
			(void) cc_read_u64(&dec.r);
		else if (type == 'U')
			(void) cc_decode_left_out(&dec, &e.ns);
		else if (type != 'Z' && type != 'L')
			dec.r.bad = true;
	}
	cc_decoder_free(&dec);
	cc_vv_free(&v);
}

static void
load_file(CcLoad *l, const char *name)
{
	CcBlockReader r;
	const char *payload;
	Size		len;

	if (!cc_block_open(&r, name))
		return;
	if (r.head_good && cc_id_cmp(&r.head.node, &l->id) == 0)
	{
		while (cc_block_next(&r, &payload, &len))
			load_block(l, payload, len);
	}
	cc_block_done(&r);
}

void
cc_load_entries(CcLoad *l)
{
	walk(l, true);
}
