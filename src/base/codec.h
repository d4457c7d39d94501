/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Bytes: a growing buffer, a bounds-checked reader, the key hash.
 *
 * Numbers travel and are stored little-endian.  A reader never reads past
 * its end: the first attempt sets "bad", and everything after it reads as
 * zero, so a parser checks once, at the end or before it acts.
 *
 * Locking: none.  cc_buf_reserve may allocate, and so raise an error;
 * cc_buf_put_* only write into what was reserved, so that they can be called
 * under a lock.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_CODEC_H
#define CC_CODEC_H

#include "base/port.h"

typedef struct CcBuf
{
	char	   *data;
	Size		len;
	Size		cap;
} CcBuf;

extern void cc_buf_init(CcBuf *b);
extern void cc_buf_free(CcBuf *b);

/* Makes room for len more bytes. */
extern void cc_buf_reserve(CcBuf *b, Size len);

#define cc_buf_room(b)	((b)->cap - (b)->len)

static inline void
cc_buf_put(CcBuf *b, const void *data, Size len)
{
	Assert(cc_buf_room(b) >= len);
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void
cc_buf_put_u8(CcBuf *b, uint8 v)
{
	cc_buf_put(b, &v, 1);
}

extern void cc_buf_put_u16(CcBuf *b, uint16 v);
extern void cc_buf_put_u32(CcBuf *b, uint32 v);
extern void cc_buf_put_u64(CcBuf *b, uint64 v);

/* Overwrites four bytes that were put earlier, at offset at. */
extern void cc_buf_set_u32(CcBuf *b, Size at, uint32 v);

/* Reserves and puts. */
extern void cc_buf_append(CcBuf *b, const void *data, Size len);

typedef struct CcReader
{
	const char *p;
	const char *end;
	bool		bad;
} CcReader;

extern void cc_reader_init(CcReader *r, const void *data, Size len);

#define cc_reader_left(r)	((Size) ((r)->end - (r)->p))

extern uint8 cc_read_u8(CcReader *r);
extern uint16 cc_read_u16(CcReader *r);
extern uint32 cc_read_u32(CcReader *r);
extern uint64 cc_read_u64(CcReader *r);

/* Pointer to len bytes inside the message; NULL (and bad) when there are not. */
extern const char *cc_read_bytes(CcReader *r, Size len);

/*
 * 128-bit hash of bytes, the same on every machine (Appleby, MurmurHash3
 * x64_128).  out[0] places the key: its top 7 bits are the slice.
 */
extern void cc_hash128(const void *data, Size len, uint64 seed, uint64 out[2]);

/* CRC-32C of bytes. */
extern uint32 cc_crc32c(const void *data, Size len);

#endif							/* CC_CODEC_H */
