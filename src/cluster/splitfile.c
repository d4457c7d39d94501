/*-------------------------------------------------------------------------
 *
 * splitfile.c
 *	  The file in which the history of splits outlives a restart.  See splits.h.
 *
 * A file that is damaged, or of another node, is not used, and stops nothing.
 * All functions are the writer's.
 *
 *-------------------------------------------------------------------------
 */
#include "base/codec.h"
#include "cluster/splits.h"

#define SPLITS_MAGIC	0x31534343	/* "CCS1" */
#define SPLITS_VERSION	1
#define FILE_MAX		(1024 * 1024)
#define ROW_MAX			(8 + CC_ID_LEN + 1 + CC_NAME_LEN + 3 + \
						 2 * (CC_ISLAND_LEN + 2) + 9 * 8)

/* Between two writes of the file, in ms */
#define SAVE_MS			1000

static void
encode_text(CcBuf *b, const char *text)
{
	Size		len = strlen(text);

	cc_buf_put_u16(b, (uint16) len);
	cc_buf_put(b, text, len);
}

static void
encode_row(CcBuf *b, const CcSplit *row)
{
	cc_buf_reserve(b, ROW_MAX);
	cc_buf_put_u64(b, row->id);
	cc_buf_put(b, row->peer.b, CC_ID_LEN);
	cc_buf_put_u8(b, row->meeting);
	encode_text(b, row->peer_name);
	encode_text(b, row->island[0]);
	encode_text(b, row->island[1]);
	cc_buf_put_u64(b, (uint64) row->began_at);
	cc_buf_put_u64(b, (uint64) row->detected_at);
	cc_buf_put_u64(b, (uint64) row->healed_at);
	cc_buf_put_u64(b, row->conflicts);
	cc_buf_put_u64(b, row->kept_ours);
	cc_buf_put_u64(b, row->kept_theirs);
	cc_buf_put_u64(b, row->merged);
	cc_buf_put_u64(b, row->deleted);
	cc_buf_put_u64(b, row->deferred);
}

static bool
decode_text(CcReader *r, char *to, Size size)
{
	uint16		len = cc_read_u16(r);
	const char *text = cc_read_bytes(r, len);

	if (text == NULL || len >= size || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(to, text, len);
	to[len] = '\0';
	return true;
}

static bool
decode_row(CcReader *r, CcSplit *row)
{
	const char *peer;

	memset(row, 0, sizeof(*row));
	row->id = cc_read_u64(r);
	peer = cc_read_bytes(r, CC_ID_LEN);
	row->meeting = cc_read_u8(r) != 0;
	if (peer == NULL ||
		!decode_text(r, row->peer_name, sizeof(row->peer_name)) ||
		!decode_text(r, row->island[0], sizeof(row->island[0])) ||
		!decode_text(r, row->island[1], sizeof(row->island[1])))
		return false;
	memcpy(row->peer.b, peer, CC_ID_LEN);
	row->began_at = (int64) cc_read_u64(r);
	row->detected_at = (int64) cc_read_u64(r);
	row->healed_at = (int64) cc_read_u64(r);
	row->conflicts = cc_read_u64(r);
	row->kept_ours = cc_read_u64(r);
	row->kept_theirs = cc_read_u64(r);
	row->merged = cc_read_u64(r);
	row->deleted = cc_read_u64(r);
	row->deferred = cc_read_u64(r);
	return !r->bad && (row->meeting || row->id != 0);
}

/* Fills the history; returns what is wrong with the file, or NULL. */
static const char *
decode_file(const char *data, Size len)
{
	CcSplitsShared *s = cc.splits;
	CcReader	r;
	const char *node;
	uint64		next_id;
	uint32		n;

	if (len < 4)
		return "it is too short";
	cc_reader_init(&r, data + len - 4, 4);
	if (cc_read_u32(&r) != cc_crc32c(data, len - 4))
		return "its checksum is wrong";
	cc_reader_init(&r, data, len - 4);
	if (cc_read_u32(&r) != SPLITS_MAGIC || cc_read_u32(&r) != SPLITS_VERSION)
		return "it is of another version";
	node = cc_read_bytes(&r, CC_ID_LEN);
	next_id = cc_read_u64(&r);
	n = cc_read_u32(&r);
	if (r.bad)
		return "it is too short";
	if (memcmp(node, cc.state->id.b, CC_ID_LEN) != 0)
		return "it is of another node";
	s->n = 0;
	for (uint32 i = 0; i < n; i++)
	{
		CcSplit		row;

		if (!decode_row(&r, &row))
		{
			s->n = 0;
			return "a row of it makes no sense";
		}
		s->next_id = Max(s->next_id, row.id + 1);
		if (cc_splits_make_room())
			s->split[s->n++] = row;
	}
	s->next_id = Max(s->next_id, next_id);
	s->logged = s->next_id - 1;
	return NULL;
}

/* NULL without a message: there is none. */
static const char *
load_file(void)
{
	CcFile	   *f = cc_file_open(CC_SPLITS_FILE);
	int64		size;
	char	   *data;
	const char *why = NULL;

	if (f == NULL)
		return NULL;
	size = cc_file_size(f);
	if (size < 0 || size > FILE_MAX)
		why = "it is too long";
	else
	{
		data = cc_alloc((Size) size + 1);
		if (!cc_file_read(f, data, (Size) size))
			why = "it cannot be read";
		else
		{
			cc_lock_exclusive(&cc.splits->lock);
			why = decode_file(data, (Size) size);
			cc_unlock(&cc.splits->lock);
		}
		cc_free(data);
	}
	cc_file_close(f);
	return why;
}

void
cc_splits_load(void)
{
	const char *why = cc.state->persist ? load_file() : NULL;

	if (why != NULL)
		cc_log(CC_WARN, "the history of splits in \"" CC_SPLITS_FILE "\" is "
			   "not used: %s", why);

	/* PROTOCOL.md, clock bound: the clock began there, or above */
	pg_atomic_write_u64(&cc.splits->loaded,
						pg_atomic_read_u64(&cc.state->hlc));
}

static void
encode_file(CcBuf *b)
{
	CcSplitsShared *s = cc.splits;

	cc_buf_reserve(b, 64 + (Size) s->cap * ROW_MAX);
	cc_buf_put_u32(b, SPLITS_MAGIC);
	cc_buf_put_u32(b, SPLITS_VERSION);
	cc_buf_put(b, cc.state->id.b, CC_ID_LEN);
	cc_lock_shared(&s->lock);
	cc_buf_put_u64(b, s->next_id);
	cc_buf_put_u32(b, (uint32) s->n);
	for (int i = 0; i < s->n; i++)
		encode_row(b, &s->split[i]);
	cc_unlock(&s->lock);
	cc_buf_put_u32(b, cc_crc32c(b->data, b->len));
}

void
cc_splits_save(int64 now, bool at_once)
{
	CcSplitsShared *s = cc.splits;
	CcFile	   *f;
	CcBuf		b;
	bool		ok;

	if (pg_atomic_read_u32(&s->dirty) == 0 || !cc.state->persist ||
		(!at_once && now - s->saved_at < SAVE_MS && s->saved_at != 0))
		return;
	s->saved_at = Max(now, 1);
	pg_atomic_write_u32(&s->dirty, 0);
	f = cc_file_create(CC_SPLITS_TEMP);
	if (f == NULL)
		return;
	cc_buf_init(&b);
	encode_file(&b);
	ok = cc_file_write(f, b.data, b.len) && cc_file_sync(f);
	cc_file_close(f);
	cc_buf_free(&b);
	if (ok)
		ok = cc_file_rename(CC_SPLITS_TEMP, CC_SPLITS_FILE);
	else
		(void) cc_file_remove(CC_SPLITS_TEMP);
	/* it decides nothing; the next change writes it anew */
	if (!ok)
		pg_atomic_write_u32(&s->dirty, 1);
}
