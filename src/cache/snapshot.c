/*-------------------------------------------------------------------------
 *
 * snapshot.c
 *	  See snapshot.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/snapshot.h"

#include <stdio.h>

#include "cache/cache.h"
#include "cache/files.h"

void
cc_snapshot_name(char *name, uint64 generation)
{
	snprintf(name, CC_FILE_NAME_LEN, "pgsql_tmp.snapshot." UINT64_FORMAT,
			 generation);
}

void
cc_snapshot_init(CcSnapshot *s)
{
	memset(s, 0, sizeof(*s));
	cc_block_init(&s->w);
	cc_vv_init(&s->vv);
}

void
cc_snapshot_free(CcSnapshot *s)
{
	cc_block_free(&s->w);
	cc_vv_free(&s->vv);
}

bool
cc_snapshot_begin(CcSnapshot *s, const CcFileHead *head, const CcVV *vv,
				  uint64 next)
{
	s->generation = head->generation;
	s->next = next;
	cc_vv_copy(&s->vv, vv);
	s->partition = 0;
	s->bucket = 0;
	s->running = cc_block_create(&s->w, CC_SNAPSHOT_TEMP, head);
	if (!s->running)
		(void) cc_file_remove(CC_SNAPSHOT_TEMP);
	return s->running;
}

void
cc_snapshot_abort(CcSnapshot *s)
{
	if (!s->running)
		return;
	s->running = false;
	cc_block_close(&s->w);
	(void) cc_file_remove(CC_SNAPSHOT_TEMP);
}

/*
 * G, F and horizons as they are now: what was forgotten or cleared during the
 * walk may be missing.
 */
static bool
put_end(CcSnapshot *s, uint64 bound)
{
	CcVV		g;
	bool		ok;

	if (!cc_journal_put_horizons(&s->w, NULL))
		return false;
	cc_vv_init(&g);
	cc_state_copy_g(&g);
	cc_journal_put_number(&s->w, 'T', (uint64) cc_clock_ms());
	ok = cc_journal_put_end(&s->w, &s->vv, &g, s->next, bound, true, true);
	cc_vv_free(&g);
	return ok;
}

static bool
finish(CcSnapshot *s, uint64 bound)
{
	char		name[CC_FILE_NAME_LEN];

	if (!put_end(s, bound) || !cc_block_sync(&s->w))
		return false;
	cc_block_close(&s->w);
	cc_snapshot_name(name, s->generation);
	return cc_file_rename(CC_SNAPSHOT_TEMP, name);
}

CcPiece
cc_snapshot_piece(CcSnapshot *s, uint64 bound)
{
	uint64		stop = s->w.bytes + cc_files_limits.piece_bytes;
	uint32		visited = 0;

	while (s->partition < (int) cc.store->npartitions)
	{
		CcPartitionShared *p = cc_store_partition(s->partition);

		if (s->bucket >= p->nbuckets)
		{
			s->partition++;
			s->bucket = 0;
			continue;
		}
		if (s->w.bytes >= stop || ++visited > cc_files_limits.piece_buckets)
			return CC_PIECE_MORE;
		if (!cc_journal_put_bucket(&s->w, p, s->bucket, NULL, NULL, NULL) ||
			!cc_block_flush_long(&s->w))
		{
			cc_snapshot_abort(s);
			return CC_PIECE_FAILED;
		}
		s->bucket++;
		cc_yield();
	}
	if (!finish(s, bound))
	{
		cc_snapshot_abort(s);
		return CC_PIECE_FAILED;
	}
	s->running = false;
	return CC_PIECE_COMPLETE;
}
