/*-------------------------------------------------------------------------
 *
 * record_siblings.c
 *	  Blocks of siblings (siblings.h) in messages and files.
 *
 * A block is written as it lies in the store, but for the origins in it: in
 * memory they are our indexes, in a message numbers of its dictionary.  Both
 * have two bytes, so that a copy is translated in place.
 *
 * Locking: none of its own.
 *
 * May include: base/, state.h, store.h, siblings.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/record_private.h"

#include "cache/extra.h"

/* Where a block's head has what */
#define AT_NINPUTS		1
#define AT_NCONTEXT		2
#define AT_BITS			3
#define AT_HOW			4
#define AT_ERRLEN		6

/* And the head of a sibling */
#define AT_ORIGIN		2
#define AT_WRITER		4
#define AT_AT_NODE		6
#define AT_HLC			8
#define AT_AT			16
#define AT_SEQ			24
#define AT_EXPIRES		32
#define AT_VALLEN		40

#define BITS_ALL		(CC_SIB_RESOLVED | CC_SIB_ASKED)

StaticAssertDecl(CC_RECORD_SIBLINGS_MAX >=
				 (3 * CC_MAX_ORIGINALS + CC_MAX_INPUTS + CC_MAX_CONTEXT) *
				 CC_ORIGIN_BYTES,
				 "room for all origins that a block can name");

/* Bytes of a block up to its error, by its head. */
static Size
heads_len(const char *block)
{
	const uint8 *b = (const uint8 *) block;

	return CC_SIB_HEAD + b[0] * CC_SIB_SIBLING + b[AT_NINPUTS] * CC_SIB_INPUT +
		b[AT_NCONTEXT] * CC_SIB_DOT;
}

/* Calls fn with each place where the block names an origin. */
typedef bool (*OriginFn) (char *at, void *arg);

static bool
each_origin(char *block, OriginFn fn, void *arg)
{
	const uint8 *b = (const uint8 *) block;
	char	   *at = block + CC_SIB_HEAD;

	for (int i = 0; i < b[0]; i++, at += CC_SIB_SIBLING)
	{
		if (!fn(at + AT_ORIGIN, arg) || !fn(at + AT_WRITER, arg) ||
			!fn(at + AT_AT_NODE, arg))
			return false;
	}
	for (int i = 0; i < b[AT_NINPUTS]; i++, at += CC_SIB_INPUT)
	{
		if (!fn(at, arg))
			return false;
	}
	for (int i = 0; i < b[AT_NCONTEXT]; i++, at += CC_SIB_DOT)
	{
		if (!fn(at, arg))
			return false;
	}
	return true;
}

static bool
announce(char *at, void *arg)
{
	(void) cc_encode_origin(arg, cc_get16(at));
	return true;
}

static bool
number(char *at, void *arg)
{
	(void) cc_put16(at, cc_encode_origin(arg, cc_get16(at)));
	return true;
}

static bool
index_of(char *at, void *arg)
{
	uint16		origin;

	if (!cc_decode_origin_ref(arg, cc_get16(at), &origin))
		return false;
	(void) cc_put16(at, origin);
	return true;
}

/* The block at the end of a value of ours. */
static char *
block_of(char *value, uint32 vallen)
{
	return value + vallen - cc_get32(value + vallen - CC_SIB_TAIL);
}

void
cc_record_announce_stored(CcEncoder *enc, CcPartitionShared *p,
						  CcHeaderShared *h)
{
	char		block[CC_SIB_HEADS_MAX];
	uint32		offset = h->vallen - cc_siblings_len(p, h);

	cc_store_copy_at(p, h, offset, block, CC_SIB_HEAD);
	cc_store_copy_at(p, h, offset, block, heads_len(block));
	(void) each_origin(block, announce, enc);
}

void
cc_record_announce_block(CcEncoder *enc, const char *value, uint32 vallen)
{
	(void) each_origin(block_of((char *) value, vallen), announce, enc);
}

/* All are announced, so none is written now. */
void
cc_record_number_block(CcEncoder *enc, char *value, uint32 vallen)
{
	(void) each_origin(block_of(value, vallen), number, enc);
}

/*
 * One original's head; adds the length of its value to *values.  Of a stub it
 * does not matter what its value was.
 */
static bool
take_sibling(CcDecoder *dec, char *at, uint64 *values)
{
	CcEntry		e = {0};

	e.type = cc_kind_type((uint8) at[0]);
	e.flags = cc_kind_flags((uint8) at[0]);
	e.hlc = cc_get64(at + AT_HLC);
	e.at = cc_get64(at + AT_AT);
	e.seq = cc_get64(at + AT_SEQ);
	e.expires = (int64) cc_get64(at + AT_EXPIRES);
	e.vallen = cc_get32(at + AT_VALLEN);
	if (at[1] != 0 || e.type == CC_COUNTER || (e.flags & CC_F_SIBLINGS) ||
		!cc_record_is_sound(&e, e.vallen))
		return false;
	if (e.type == CC_STUB)
		at[0] = (char) cc_kind(CC_STUB,
							   e.flags & (CC_F_TOMBSTONE | CC_F_EXTRA));
	dec->latest = Max(dec->latest, e.at);
	*values += e.vallen;
	return true;
}

/* What stands behind the siblings' heads, but the error. */
static bool
take_inputs(CcDecoder *dec, const char *at, int ninputs, int ncontext)
{
	for (int i = 0; i < ninputs; i++, at += CC_SIB_INPUT)
	{
		uint64		hlc = cc_get64(at + 2);

		if (hlc == 0)
			return false;
		dec->latest = Max(dec->latest, hlc);
	}
	for (int i = 0; i < ncontext; i++, at += CC_SIB_DOT)
	{
		uint64		seq = cc_get64(at + 2);

		if (seq == 0 || seq >= CC_VV_INF)
			return false;
	}
	return true;
}

/* A block of so many bytes; origins in it are the message's numbers yet. */
static bool
block_is_sound(CcDecoder *dec, char *block, uint32 len)
{
	const uint8 *b = (const uint8 *) block;
	bool		resolved = (b[AT_BITS] & CC_SIB_RESOLVED) != 0;
	uint64		want;

	if (b[AT_BITS] & ~BITS_ALL || b[AT_HOW] > CC_LAST_HOW ||
		b[0] + (resolved ? 0 : 1) > CC_MAX_ORIGINALS ||
		b[AT_NINPUTS] > CC_MAX_INPUTS || b[AT_NCONTEXT] > CC_MAX_CONTEXT ||
		(resolved && b[0] == 0) ||
		cc_get16(block + AT_ERRLEN) > CC_SIB_ERROR_LEN)
		return false;
	want = heads_len(block) + cc_get16(block + AT_ERRLEN) + CC_SIB_TAIL;
	if (want > len)
		return false;
	for (int i = 0; i < b[0]; i++)
	{
		if (!take_sibling(dec, block + CC_SIB_HEAD + i * CC_SIB_SIBLING, &want))
			return false;
	}
	return want == len &&
		take_inputs(dec, block + CC_SIB_HEAD + b[0] * CC_SIB_SIBLING,
					b[AT_NINPUTS], b[AT_NCONTEXT]);
}

/*
 * Whether two of the originals are the same write.  What takes one of them away
 * would always find the other.  The origins are our indexes by now.
 */
static bool
says_one_twice(const CcEntry *e, const char *block)
{
	bool		resolved = (block[AT_BITS] & CC_SIB_RESOLVED) != 0;
	int			n = (uint8) block[0];
	CcEntry		original[CC_MAX_ORIGINALS + 1];

	for (int i = 0; i < n; i++)
	{
		const char *at = block + CC_SIB_HEAD + i * CC_SIB_SIBLING;

		original[i].hlc = cc_get64(at + AT_HLC);
		original[i].writer = cc_get16(at + AT_WRITER);
	}
	if (!resolved)
		original[n++] = *e;
	for (int i = 0; i < n; i++)
	{
		for (int k = i + 1; k < n; k++)
		{
			if (cc_siblings_same(&original[i], &original[k]))
				return true;
		}
	}
	return false;
}

bool
cc_record_take_block(CcDecoder *dec, CcEntry *e, uint32 *blocklen)
{
	uint32		len;
	char	   *value;

	/* system entries and counters are never in conflict */
	if (e->ns == CC_NS_SYSTEM || e->type == CC_COUNTER ||
		e->vallen < CC_SIB_HEAD + CC_SIB_TAIL)
		return cc_record_refuse(dec, "an entry is not valid");
	len = cc_get32(e->value + e->vallen - CC_SIB_TAIL);
	if (len < CC_SIB_HEAD + CC_SIB_TAIL || len > e->vallen)
		return cc_record_refuse(dec, "an entry is not valid");

	dec->block.len = 0;
	cc_buf_reserve(&dec->block, e->vallen);
	value = dec->block.data;
	memcpy(value, e->value, e->vallen);
	if (!block_is_sound(dec, value + e->vallen - len, len))
		return cc_record_refuse(dec, "an entry is not valid");
	if (!each_origin(value + e->vallen - len, index_of, dec))
		return false;
	/* who only looks knows no origins, and makes nothing of it */
	if (!dec->only_look && says_one_twice(e, value + e->vallen - len))
		return cc_record_refuse(dec, "an entry is not valid");
	e->value = value;
	*blocklen = len;
	return true;
}
