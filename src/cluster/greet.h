/*-------------------------------------------------------------------------
 *
 * greet.h
 *	  The handshake, which is the same from both sides: who the other is,
 *	  whether we know it, what it has.
 *
 * A hello and its reply carry the same records: 'I', the member entries and
 * split records, VV, 'C', 'J' and 'K'.  First they are read, then the two nodes meet (membership,
 * cluster id, identity), and only then what the other has is believed.
 *
 * Locking: as membership.h; none is held on return.
 *
 * May include: base/, cache/, membership.h, proto.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_GREET_H
#define CC_GREET_H

#include "cluster/proto.h"

typedef struct CcGreeting
{
	CcIntro		intro;
	CcVV		vv;
	uint16	   *clean;
	int			nclean;
	uint64		clean_hash;
	bool		have_clean;
	CcStatus	status;			/* 'X', of a reply */
	uint64		boot_known;
	int64		wall_ms;
} CcGreeting;

extern void cc_greet_init(CcGreeting *g);
extern void cc_greet_free(CcGreeting *g);

/* All records of our own hello or reply. */
extern void cc_greet_put(CcEncoder *enc);

/* 'X': u8 status, u64 boot known, u64 wall clock in ms. */
extern void cc_greet_put_status(CcEncoder *enc, CcStatus status,
								uint64 boot_known);
extern bool cc_greet_get_status(CcDecoder *dec, CcGreeting *g);

/*
 * Reads a hello or a reply behind its head: clock, identity, and whether it
 * is somebody whom we may know at all.  Takes nothing in: the other may yet be
 * refused.
 */
extern CcStatus cc_greet_read(CcDecoder *dec, const CcMsgHead *head,
							  CcGreeting *g);

/*
 * The two nodes meet: refuses strangers, twins and the removed; merges the
 * groups when that was ordered; writes the member entry (PROTOCOL.md, members
 * are entries).  ordered: one has the other as a seed.
 */
extern CcStatus cc_greet_meet(const CcMsgHead *head, const CcGreeting *g,
							  bool ordered);

/*
 * Believes what the other has, after the fence was passed; takes a new origin
 * when it knows more of us than we do (PROTOCOL.md, ahead of myself).
 */
extern void cc_greet_learn(const CcMsgHead *head, const CcGreeting *g);

/*
 * The second pass over a hello or reply whose sender was accepted: takes its
 * member entries, what it has itself (into g), and what it knows of others.
 */
extern CcStatus cc_greet_take(const void *data, Size len, CcGreeting *g);

/*
 * Another live node has our id: the younger, who started later, takes a new
 * one.
 */
extern void cc_greet_twin(uint64 their_boot);

/* Takes a boot and an incarnation above what was said of us. */
extern void cc_greet_outlive(uint64 boot_known);

#endif							/* CC_GREET_H */
