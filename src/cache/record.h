/*-------------------------------------------------------------------------
 *
 * record.h
 *	  How entries and vectors are written, on the wire and in files alike.
 *
 * A message is a sequence of records, each one byte of type and a body:
 *
 *	'O'  u8 node[16], u64 incarnation
 *			the next origin of this message's dictionary (0, 1, ...)
 *	'N'  u8 dlen, database, u8 nlen, name
 *			the next namespace of its dictionary
 *	'E'  an entry:
 *			u8 kind (CcType | flags << 3), u8 bits, u16 ns, u16 origin,
 *			u16 writer, u64 hlc, u64 seq,
 *			u64 at, u16 at_node		if bits & 1
 *			u64 expires				if bits & 2
 *			u16 keylen, u32 vallen, key, value
 *			(the origins in a block of siblings are the dictionary's)
 *	'V'  u16 n, n times (u16 origin, u64 seq)		a VV
 *	'G'  likewise									the forgotten-vector
 *	'R'  likewise									a raise
 *	'F'  u8 slice, u32 len, a slice of the floor (floor.h)
 *	'U'  u16 ns, a namespace of which entries were left out (journal.h)
 *
 * and whatever the user of this file adds (proto.h, journal.h), with other
 * letters.  Dictionaries belong to one message.
 *
 * Locking: none of its own.  The encoder never allocates while it is given an
 * entry: the caller reserves CC_RECORD_ENTRY_MAX and what key and value need.
 *
 * May include: base/, state.h, store.h, floor.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_RECORD_H
#define CC_RECORD_H

#include "base/codec.h"
#include "cache/store.h"

/* Most that an entry and what it adds to dictionaries take, but key, value */
#define CC_RECORD_ENTRY_MAX	(3 * 25 + 3 + 2 * CC_NAME_LEN + 64)

/* And so much more where the entry has siblings (siblings.h) */
#define CC_RECORD_SIBLINGS_MAX	(160 * 25)

typedef struct CcEncoder
{
	CcBuf		buf;
	uint32		generation;		/* of the message; tags what is in the maps */
	uint32		norigins;
	uint32		nnamespaces;
	uint32	   *origin_tag;		/* [origin_cap] generation << 16 | index */
	uint32	   *ns_tag;			/* [CC_MAX_NAMESPACES] likewise */
} CcEncoder;

extern void cc_encoder_init(CcEncoder *enc);
extern void cc_encoder_free(CcEncoder *enc);

/* Begins a message: the buffer is empty, the dictionaries too. */
extern void cc_encoder_reset(CcEncoder *enc);

/* Index of an origin in this message, announced if new. */
extern uint16 cc_encode_origin(CcEncoder *enc, uint16 origin);

/* Room that an entry of the store needs. */
static inline Size
cc_record_room(const CcHeaderShared *h)
{
	return CC_RECORD_ENTRY_MAX + (Size) h->keylen + h->vallen +
		(unlikely((cc_header_flags(h) & CC_F_SIBLINGS) != 0) ?
		 CC_RECORD_SIBLINGS_MAX : 0);
}

/*
 * Adds an entry of the store; the partition is locked.  False (and nothing
 * added) when the reserved room does not suffice; *need is what would.
 */
extern bool cc_encode_stored(CcEncoder *enc, CcPartitionShared *p,
							 CcHeaderShared *h, Size *need);

/* Adds an entry; reserves what it needs. */
extern void cc_encode_entry(CcEncoder *enc, const CcEntry *e);

/* Adds a vector under the given letter; reserves. */
extern void cc_encode_vv(CcEncoder *enc, char type, const CcVV *v);

/* Adds a slice of the floor; takes the lock of its partition. */
extern void cc_encode_floor(CcEncoder *enc, int slice);

/*
 * Says of a namespace that entries of it were left out.  Takes less room than
 * CC_RECORD_ENTRY_MAX, which is reserved.
 */
extern void cc_encode_left_out(CcEncoder *enc, uint16 ns);

typedef struct CcDecoder
{
	CcReader	r;
	uint32		norigins;
	uint32		nnamespaces;
	uint16	   *origin;			/* message's index -> ours */
	uint16	   *ns;
	const char *error;			/* why the message is refused */

	uint64		latest;			/* highest HLC in the entry decoded last */
	CcBuf		block;			/* its value, where it has siblings */

	/*
	 * Only looks: origins and namespaces that we don't know are not added but
	 * read as CC_NO_ORIGIN and CC_NO_NS, and are left out of vectors.  For a
	 * caller of whom we don't know yet whether we want to hear him.
	 */
	bool		only_look;
	bool		full;			/* refused, as our tables have no room */
} CcDecoder;

extern void cc_decoder_init(CcDecoder *dec, const void *data, Size len);
extern void cc_decoder_free(CcDecoder *dec);

/*
 * Type of the next record; 0 at the end of the message or when it is bad
 * (then dec->error is set).  'O' and 'N' are taken in and not returned.
 */
extern char cc_decode_next(CcDecoder *dec);

/*
 * The body of the record that cc_decode_next has returned.  False when it is
 * bad.  Key and value of an entry point into the message, or, where it has
 * siblings, the value into the decoder, until the next one is decoded; a
 * CC_STUB has no value but its blocks; types, flags, lengths and indexes are
 * checked, hash is filled.
 */
extern bool cc_decode_entry(CcDecoder *dec, CcEntry *e);
extern bool cc_decode_vv(CcDecoder *dec, CcVV *v);
extern bool cc_decode_floor(CcDecoder *dec, int *slice, const char **data, Size *len);
extern bool cc_decode_left_out(CcDecoder *dec, uint16 *ns);

/* A dictionary's number to our index; sets the error and returns false. */
extern bool cc_decode_origin_ref(CcDecoder *dec, uint16 ref, uint16 *origin);

#endif							/* CC_RECORD_H */
