/*-------------------------------------------------------------------------
 *
 * block.h
 *	  Files of blocks: what a snapshot and a journal have in common.
 *
 *	offset	bytes	head of the file
 *		 0	  4		magic "CCF1"
 *		 4	  2		version: 1
 *		 6	  1		'S' snapshot, 'J' journal
 *		 7	  1		flags (CC_FILE_*)
 *		 8	 16		node id
 *		24	  8		generation
 *		32	  8		base: generation of the snapshot on which it rests, or 0
 *		40	  8		length of the file before it (journal), when it was left
 *		48	  4		salt, by which its blocks are known
 *		52	  4		CRC-32C of all that
 *
 *	then, one behind the other, blocks of
 *		 0	  4		magic: the salt
 *		 4	  4		length of the payload
 *		 8	  8		offset of this block in the file
 *		16	  4		CRC-32C of the payload
 *		20	  4		CRC-32C of the 20 bytes above
 *		24			payload: a message of records (record.h)
 *
 * A block is good if and only if both sums, the salt and its offset are
 * right.  Behind a bad one the next good one is searched for by its salt, so
 * a damaged length costs one block, and nothing inside of a value can pass
 * for a block.
 *
 * Locking: a writer or reader belongs to one process, and its functions are
 * called without any lock.
 *
 * May include: base/, record.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_BLOCK_H
#define CC_BLOCK_H

#include "cache/record.h"

#define CC_FILE_NAME_LEN	64
#define CC_BLOCK_HEAD		24

#define CC_FILE_SNAPSHOT	'S'
#define CC_FILE_JOURNAL		'J'

/* A journal that begins with an empty cache, so needs nothing before it */
#define CC_FILE_FIRST		0x01
/* A journal of a node that keeps no entries: the clock only */
#define CC_FILE_NO_DATA		0x02

typedef struct CcFileHead
{
	uint8		kind;
	uint8		flags;
	CcNodeId	node;
	uint64		generation;
	uint64		base;
	uint64		previous;
	uint32		salt;
} CcFileHead;

typedef struct CcBlockWriter
{
	CcFile	   *file;			/* NULL: not open, or a write has failed */
	uint32		salt;
	uint64		bytes;			/* of the file; where the next block begins */
	CcEncoder	enc;			/* the block that is being filled */
	bool		left_out[CC_MAX_NAMESPACES];	/* the file has its 'U' */
} CcBlockWriter;

extern void cc_block_init(CcBlockWriter *w);
extern void cc_block_free(CcBlockWriter *w);

/* Creates the file and writes its head; the salt is chosen here. */
extern bool cc_block_create(CcBlockWriter *w, const char *name,
							const CcFileHead *head);

/* The encoder to which records are added; begins a block where none is. */
extern CcEncoder *cc_block_encoder(CcBlockWriter *w);

/* Writes the block, if there is anything in it.  False: the file is closed. */
extern bool cc_block_flush(CcBlockWriter *w);

/* The same, where the block has become as long as it should be. */
extern bool cc_block_flush_long(CcBlockWriter *w);

extern bool cc_block_sync(CcBlockWriter *w);
extern void cc_block_close(CcBlockWriter *w);

typedef struct CcBlockReader
{
	CcFileHead	head;
	bool		head_good;
	CcFile	   *file;
	uint64		size;			/* of the file */
	uint64		at;				/* where the next block should be */
	uint64		good_end;		/* end of the last good block */
	uint32		bad;			/* runs of bytes that are no good block */
	bool		bad_last;		/* the last of them was followed by nothing */
	char	   *buf;
	Size		cap;
	Size		have;			/* bytes in buf, which begins at offset at */
} CcBlockReader;

/* False when the file can't be opened. */
extern bool cc_block_open(CcBlockReader *r, const char *name);

/*
 * The next good block; false at the end.  The payload is good until the next
 * call.  "bad" has risen when something was passed over.
 */
extern bool cc_block_next(CcBlockReader *r, const char **payload, Size *len);
extern void cc_block_done(CcBlockReader *r);

#endif							/* CC_BLOCK_H */
