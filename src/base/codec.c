/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  See codec.h.
 *
 * Numbers are put together from bytes by shifts, so nothing here depends on
 * the machine's byte order or on alignment; compilers make single loads and
 * stores of them.
 *
 * Locking: none.
 *
 * May include: port.h.
 *
 *-------------------------------------------------------------------------
 */
#include "base/codec.h"

#define CC_BUF_FIRST	1024	/* bytes of a buffer's first allocation */

void
cc_buf_init(CcBuf *b)
{
	b->data = NULL;
	b->len = 0;
	b->cap = 0;
}

void
cc_buf_free(CcBuf *b)
{
	if (b->data != NULL)
		cc_free(b->data);
	cc_buf_init(b);
}

void
cc_buf_reserve(CcBuf *b, Size len)
{
	Size		need = b->len + len;
	Size		cap = Max(b->cap, CC_BUF_FIRST);

	if (need >= len && need <= b->cap)
		return;

	/* A sum that wrapped asks for more than there is: cc_alloc says so. */
	if (need < len)
		cap = need = SIZE_MAX;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;

	if (b->data == NULL)
		b->data = cc_alloc(cap);
	else
		b->data = cc_realloc(b->data, cap);
	b->cap = cap;
}

static inline void
set_bytes(char *to, uint64 v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (char) (v >> (8 * i));
}

static inline uint64
get_bytes(const char *from, int n)
{
	uint64		v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64) (uint8) from[i] << (8 * i);
	return v;
}

void
cc_buf_put_u16(CcBuf *b, uint16 v)
{
	Assert(cc_buf_room(b) >= 2);
	set_bytes(b->data + b->len, v, 2);
	b->len += 2;
}

void
cc_buf_put_u32(CcBuf *b, uint32 v)
{
	Assert(cc_buf_room(b) >= 4);
	set_bytes(b->data + b->len, v, 4);
	b->len += 4;
}

void
cc_buf_put_u64(CcBuf *b, uint64 v)
{
	Assert(cc_buf_room(b) >= 8);
	set_bytes(b->data + b->len, v, 8);
	b->len += 8;
}

void
cc_buf_set_u32(CcBuf *b, Size at, uint32 v)
{
	Assert(at <= b->len && b->len - at >= 4);
	set_bytes(b->data + at, v, 4);
}

void
cc_buf_append(CcBuf *b, const void *data, Size len)
{
	cc_buf_reserve(b, len);
	cc_buf_put(b, data, len);
}

void
cc_reader_init(CcReader *r, const void *data, Size len)
{
	/* a message of no bytes may have no address */
	r->p = len > 0 ? data : "";
	r->end = r->p + len;
	r->bad = false;
}

/*
 * The next len bytes, or NULL.  A reader that has failed once stays at its
 * end, so that whatever is read afterwards fails as well.
 */
const char *
cc_read_bytes(CcReader *r, Size len)
{
	const char *p = r->p;

	if (r->bad || cc_reader_left(r) < len)
	{
		r->bad = true;
		r->p = r->end;
		return NULL;
	}
	r->p += len;
	return p;
}

uint8
cc_read_u8(CcReader *r)
{
	const char *p = cc_read_bytes(r, 1);

	return p != NULL ? (uint8) *p : 0;
}

uint16
cc_read_u16(CcReader *r)
{
	const char *p = cc_read_bytes(r, 2);

	return p != NULL ? (uint16) get_bytes(p, 2) : 0;
}

uint32
cc_read_u32(CcReader *r)
{
	const char *p = cc_read_bytes(r, 4);

	return p != NULL ? (uint32) get_bytes(p, 4) : 0;
}

uint64
cc_read_u64(CcReader *r)
{
	const char *p = cc_read_bytes(r, 8);

	return p != NULL ? get_bytes(p, 8) : 0;
}

static inline uint64
rotate_left(uint64 x, int n)
{
	return (x << n) | (x >> (64 - n));
}

/* Forces all bits of a hash block to avalanche. */
static inline uint64
final_mix(uint64 k)
{
	k ^= k >> 33;
	k *= UINT64CONST(0xff51afd7ed558ccd);
	k ^= k >> 33;
	k *= UINT64CONST(0xc4ceb9fe1a85ec53);
	k ^= k >> 33;
	return k;
}

/*
 * MurmurHash3, the 128-bit variant for 64-bit machines.  Its seed is widened
 * to 64 bits; for seeds below 2^32 the result is that of the reference.
 */
void
cc_hash128(const void *data, Size len, uint64 seed, uint64 out[2])
{
	const uint64 c1 = UINT64CONST(0x87c37b91114253d5);
	const uint64 c2 = UINT64CONST(0x4cf5ad432745937f);
	const char *p = data;
	Size		left = len;
	uint64		h1 = seed;
	uint64		h2 = seed;
	uint64		k1;
	uint64		k2;

	for (; left >= 16; left -= 16, p += 16)
	{
		k1 = get_bytes(p, 8);
		k2 = get_bytes(p + 8, 8);

		h1 ^= rotate_left(k1 * c1, 31) * c2;
		h1 = (rotate_left(h1, 27) + h2) * 5 + 0x52dce729;
		h2 ^= rotate_left(k2 * c2, 33) * c1;
		h2 = (rotate_left(h2, 31) + h1) * 5 + 0x38495ab5;
	}

	if (left > 8)
	{
		k2 = get_bytes(p + 8, (int) left - 8);
		h2 ^= rotate_left(k2 * c2, 33) * c1;
	}
	if (left > 0)
	{
		k1 = get_bytes(p, (int) Min(left, 8));
		h1 ^= rotate_left(k1 * c1, 31) * c2;
	}

	h1 ^= len;
	h2 ^= len;
	h1 += h2;
	h2 += h1;
	h1 = final_mix(h1);
	h2 = final_mix(h2);
	h1 += h2;
	h2 += h1;
	out[0] = h1;
	out[1] = h2;
}

uint32
cc_crc32c(const void *data, Size len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}
