/*-------------------------------------------------------------------------
 *
 * record_private.h
 *	  The inside of records, for record.c, record_read.c and
 *	  record_siblings.c only.
 *
 * Locking: see record.h.
 *
 * May include: record.h, siblings.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_RECORD_PRIVATE_H
#define CC_RECORD_PRIVATE_H

#include "cache/record.h"
#include "cache/siblings.h"

#define CC_ORIGIN_BYTES	(1 + CC_ID_LEN + 8)
#define CC_PAIR_BYTES		(2 + 8) /* origin and sequence number in a vector */

/* Lengths of an entry's parts behind its type */
#define CC_ENTRY_HEAD		(1 + 1 + 2 + 2 + 2 + 8 + 8)
#define CC_ENTRY_TOUCHED	(8 + 2)
#define CC_ENTRY_EXPIRES	8
#define CC_ENTRY_LENGTHS	(2 + 4)

/* The entry's bits: which optional parts it has */
#define CC_BIT_TOUCHED		0x01
#define CC_BIT_EXPIRES		0x02
#define CC_BITS_ALL		0x03

#define CC_MAX_VALUE	(1024 * 1024 * 1024)

static inline char *
cc_put16(char *p, uint16 v)
{
	p[0] = (char) v;
	p[1] = (char) (v >> 8);
	return p + 2;
}

static inline char *
cc_put32(char *p, uint32 v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char) (v >> (8 * i));
	return p + 4;
}

static inline char *
cc_put64(char *p, uint64 v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char) (v >> (8 * i));
	return p + 8;
}

static inline uint16
cc_get16(const char *p)
{
	return (uint16) ((uint8) p[0] | (uint8) p[1] << 8);
}

static inline uint32
cc_get32(const char *p)
{
	uint32		v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32) (uint8) p[i] << (8 * i);
	return v;
}

static inline uint64
cc_get64(const char *p)
{
	uint64		v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64) (uint8) p[i] << (8 * i);
	return v;
}

/* Refuses the message; the first reason stands.  Returns false. */
extern bool cc_record_refuse(CcDecoder *dec, const char *why);

/*
 * record_siblings.c
 */

/*
 * Announces the origins that a block refers to (CC_F_SIBLINGS), of an entry
 * in the store or of a value in memory.  CC_RECORD_SIBLINGS_MAX is reserved.
 */
extern void cc_record_announce_stored(CcEncoder *enc, CcPartitionShared *p,
									  CcHeaderShared *h);
extern void cc_record_announce_block(CcEncoder *enc, const char *value,
									 uint32 vallen);

/* Makes our indexes in a block that was copied the message's numbers. */
extern void cc_record_number_block(CcEncoder *enc, char *value, uint32 vallen);

/*
 * Checks the block of a message's entry, whose head is read, and gives it a
 * value in the decoder's memory in which origins are our indexes.  *blocklen
 * is the block's length.  False when it is refused.
 */
extern bool cc_record_take_block(CcDecoder *dec, CcEntry *e, uint32 *blocklen);

/*
 * What an entry or original may be, by its numbers; own is the length of its
 * own value, which does not include a block behind it.
 */
extern bool cc_record_is_sound(const CcEntry *e, uint32 own);

#endif							/* CC_RECORD_PRIVATE_H */
