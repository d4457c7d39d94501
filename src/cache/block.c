/*-------------------------------------------------------------------------
 *
 * block.c
 *	  See block.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/block.h"

#include "cache/files.h"

#define FILE_MAGIC		0x31464343	/* "CCF1" */
#define FILE_VERSION	2
#define FILE_HEAD		56

/* Where a block's head has what */
#define AT_LENGTH		4
#define AT_OFFSET		8
#define AT_CRC			16
#define AT_HEAD_CRC		20

/* A buffer longer than this is given back after its block was written. */
#define KEEP_BYTES		(4 * 1024 * 1024)

#define READ_BYTES		(256 * 1024)

void
cc_block_init(CcBlockWriter *w)
{
	memset(w, 0, sizeof(*w));
	cc_encoder_init(&w->enc);
}

void
cc_block_free(CcBlockWriter *w)
{
	cc_block_close(w);
	cc_encoder_free(&w->enc);
}

static void
encode_head(CcBuf *b, const CcFileHead *head)
{
	cc_buf_reserve(b, FILE_HEAD);
	cc_buf_put_u32(b, FILE_MAGIC);
	cc_buf_put_u16(b, FILE_VERSION);
	cc_buf_put_u8(b, head->kind);
	cc_buf_put_u8(b, head->flags);
	cc_buf_put(b, head->node.b, CC_ID_LEN);
	cc_buf_put_u64(b, head->generation);
	cc_buf_put_u64(b, head->base);
	cc_buf_put_u64(b, head->previous);
	cc_buf_put_u32(b, head->salt);
	cc_buf_put_u32(b, cc_crc32c(b->data, FILE_HEAD - 4));
}

bool
cc_block_create(CcBlockWriter *w, const char *name, const CcFileHead *head)
{
	CcFileHead	h = *head;
	CcBuf		b;
	bool		ok;

	cc_block_close(w);
	cc_random(&h.salt, sizeof(h.salt));
	w->file = cc_file_create(name);
	if (w->file == NULL)
		return false;
	cc_buf_init(&b);
	encode_head(&b, &h);
	ok = cc_file_write(w->file, b.data, b.len);
	cc_buf_free(&b);
	w->salt = h.salt;
	w->bytes = FILE_HEAD;
	memset(w->left_out, 0, sizeof(w->left_out));
	if (!ok)
		cc_block_close(w);
	return ok;
}

CcEncoder *
cc_block_encoder(CcBlockWriter *w)
{
	static const char zeros[CC_BLOCK_HEAD];

	if (w->enc.buf.len == 0)
	{
		cc_encoder_reset(&w->enc);
		cc_buf_reserve(&w->enc.buf,
					   cc_files_limits.block_bytes + CC_RECORD_ENTRY_MAX);
		cc_buf_put(&w->enc.buf, zeros, CC_BLOCK_HEAD);
	}
	return &w->enc;
}

static void
set_u64(CcBuf *b, Size at, uint64 v)
{
	cc_buf_set_u32(b, at, (uint32) v);
	cc_buf_set_u32(b, at + 4, (uint32) (v >> 32));
}

bool
cc_block_flush(CcBlockWriter *w)
{
	CcBuf	   *b = &w->enc.buf;
	bool		ok = true;

	if (b->len > CC_BLOCK_HEAD)
	{
		Size		len = b->len - CC_BLOCK_HEAD;

		cc_buf_set_u32(b, 0, w->salt);
		cc_buf_set_u32(b, AT_LENGTH, (uint32) len);
		set_u64(b, AT_OFFSET, w->bytes);
		cc_buf_set_u32(b, AT_CRC, cc_crc32c(b->data + CC_BLOCK_HEAD, len));
		cc_buf_set_u32(b, AT_HEAD_CRC, cc_crc32c(b->data, AT_HEAD_CRC));
		ok = w->file != NULL && cc_file_write(w->file, b->data, b->len);
		w->bytes += b->len;
	}
	b->len = 0;
	if (b->cap > KEEP_BYTES)
		cc_buf_free(b);
	if (!ok)
		cc_block_close(w);
	return ok;
}

bool
cc_block_flush_long(CcBlockWriter *w)
{
	return w->enc.buf.len < cc_files_limits.block_bytes || cc_block_flush(w);
}

bool
cc_block_sync(CcBlockWriter *w)
{
	if (w->file != NULL && cc_file_sync(w->file))
		return true;

	/* after a failed fsync nobody knows what the file holds */
	cc_block_close(w);
	return false;
}

void
cc_block_close(CcBlockWriter *w)
{
	w->enc.buf.len = 0;
	if (w->file != NULL)
		cc_file_close(w->file);
	w->file = NULL;
}

/*
 * Makes sure that n bytes from the current place on are in the buffer, as far
 * as the file goes; returns whether they are.
 */
static bool
fill(CcBlockReader *r, Size n)
{
	Size		want;

	if (r->have >= n)
		return true;
	if (r->size - r->at < n)
		return false;
	want = (Size) Min(r->size - r->at, (uint64) Max(n, READ_BYTES));
	if (want > r->cap)
	{
		char	   *buf = cc_alloc(want);

		memcpy(buf, r->buf, r->have);
		cc_free(r->buf);
		r->buf = buf;
		r->cap = want;
	}
	if (!cc_file_read(r->file, r->buf + r->have, want - r->have))
	{
		/* the file ends here for us, whatever it said of its size */
		r->size = r->at + r->have;
		return false;
	}
	r->have = want;
	return true;
}

static void
skip(CcBlockReader *r, Size n)
{
	r->have -= n;
	memmove(r->buf, r->buf + n, r->have);
	r->at += n;
}

bool
cc_block_open(CcBlockReader *r, const char *name)
{
	CcReader	in;

	memset(r, 0, sizeof(*r));
	r->file = cc_file_open(name);
	if (r->file == NULL)
		return false;
	r->size = (uint64) Max(cc_file_size(r->file), 0);
	r->cap = READ_BYTES;
	r->buf = cc_alloc(r->cap);
	if (!fill(r, FILE_HEAD))
		return true;

	cc_reader_init(&in, r->buf, FILE_HEAD);
	r->head_good = cc_read_u32(&in) == FILE_MAGIC;
	r->head_good &= cc_read_u16(&in) == FILE_VERSION;
	r->head.kind = cc_read_u8(&in);
	r->head.flags = cc_read_u8(&in);
	memcpy(r->head.node.b, cc_read_bytes(&in, CC_ID_LEN), CC_ID_LEN);
	r->head.generation = cc_read_u64(&in);
	r->head.base = cc_read_u64(&in);
	r->head.previous = cc_read_u64(&in);
	r->head.salt = cc_read_u32(&in);
	r->head_good &= cc_read_u32(&in) == cc_crc32c(r->buf, FILE_HEAD - 4);
	if (r->head_good)
	{
		skip(r, FILE_HEAD);
		r->good_end = FILE_HEAD;
	}
	return true;
}

/*
 * Whether a good block begins at byte "from" of the buffer, whose beginning
 * is at offset r->at.  Fills *len; the buffer may move.
 */
static bool
good_block(CcBlockReader *r, Size from, Size *len)
{
	CcReader	in;
	uint32		n;
	uint32		crc;

	if (!fill(r, from + CC_BLOCK_HEAD))
		return false;
	cc_reader_init(&in, r->buf + from, CC_BLOCK_HEAD);
	if (cc_read_u32(&in) != r->head.salt)
		return false;
	n = cc_read_u32(&in);
	if (cc_read_u64(&in) != r->at + from)
		return false;
	crc = cc_read_u32(&in);
	if (cc_read_u32(&in) != cc_crc32c(r->buf + from, AT_HEAD_CRC))
		return false;
	if (!fill(r, from + CC_BLOCK_HEAD + n))
		return false;
	*len = n;
	return cc_crc32c(r->buf + from + CC_BLOCK_HEAD, n) == crc;
}

/* Goes to the next good block behind one that is not; false: there is none. */
static bool
search_block(CcBlockReader *r, Size *len)
{
	uint32		salt = r->head.salt;

	r->bad++;
	skip(r, Min(r->have, 1));
	while (fill(r, CC_BLOCK_HEAD))
	{
		Size		last = r->have - CC_BLOCK_HEAD;
		Size		i;

		for (i = 0; i <= last; i++)
		{
			const uint8 *p = (const uint8 *) r->buf + i;

			if (p[0] == (uint8) salt && p[1] == (uint8) (salt >> 8) &&
				p[2] == (uint8) (salt >> 16) && p[3] == (uint8) (salt >> 24))
			{
				skip(r, i);
				if (good_block(r, 0, len))
					return true;
				i = 0;
				last = r->have - CC_BLOCK_HEAD;
			}
		}
		skip(r, last + 1);
	}
	r->bad_last = true;
	return false;
}

bool
cc_block_next(CcBlockReader *r, const char **payload, Size *len)
{
	/* the block that was returned last */
	if (r->good_end > r->at)
		skip(r, (Size) (r->good_end - r->at));
	if (!r->head_good || r->at >= r->size || r->bad_last)
		return false;
	if (!good_block(r, 0, len) && !search_block(r, len))
		return false;
	r->good_end = r->at + CC_BLOCK_HEAD + *len;
	*payload = r->buf + CC_BLOCK_HEAD;
	return true;
}

void
cc_block_done(CcBlockReader *r)
{
	if (r->file != NULL)
		cc_file_close(r->file);
	if (r->buf != NULL)
		cc_free(r->buf);
	r->file = NULL;
	r->buf = NULL;
}
