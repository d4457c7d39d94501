/*-------------------------------------------------------------------------
 *
 * pass.c
 *	  Passes over the change log for a peer (PROTOCOL.md section 3): over our
 *	  own positions, and to relay over all.
 *
 * Locking: one partition's lock in shared mode at a time.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/namespace.h"
#include "cache/siblings.h"
#include "cluster/sender.h"

void
cc_pass_begin(CcSender *s, CcSendPhase phase, uint64 pos)
{
	s->p = pos;
	s->last_own = 0;
	memset(s->ahead, 0, sizeof(s->ahead));
	s->phase = phase;
}

/* What the dots of an entry say of the position that is sent. */
typedef struct Dots
{
	const CcSender *s;
	const CcChangeRef *ref;
	bool		meant;			/* one is the position's */
	bool		later;			/* one of ours lies later in this same pass */
	bool		beyond;			/* one of ours lies beyond the pass */
} Dots;

static bool
look_at_dot(const CcEntry *e, void *arg)
{
	Dots	   *d = arg;

	if (e->origin == d->ref->origin && e->seq == d->ref->seq)
		d->meant = true;
	if (e->origin == cc_state_self())
	{
		d->later |= e->seq > d->ref->pos && e->seq < d->s->end;
		d->beyond |= e->seq >= d->s->end;
	}
	return true;
}

/*
 * Whether the entry, as it is now, goes out at the position: not where what
 * replaced it, or stands beside it, comes later in this same pass.
 */
static bool
goes_out(CcSender *s, CcPartitionShared *p, CcHeaderShared *h,
		 const CcChangeRef *ref, bool *beyond)
{
	Dots		d = {.s = s, .ref = ref};

	(void) cc_siblings_all(p, h, look_at_dot, &d);
	if (cc_rule(pass) ? d.later : !d.meant)
		return false;
	*beyond |= d.beyond;
	return true;
}

/*
 * Whether the peer needs nothing of an entry.  One that has beaten another has
 * its context, of what the other had replaced: who has seen the one may not have
 * that, as long as it has not seen the other's dot.
 */
static bool
needs_nothing(CcSender *s, CcPartitionShared *p, CcHeaderShared *h,
			  const CcChangeRef *ref)
{
	return cc_scan_seen(s, p, h) &&
		((cc_header_flags(h) & CC_F_SIBLINGS) == 0 ||
		 cc_sender_seen(s, ref->origin, ref->seq));
}

/*
 * Adds the entries of one position; false when the room does not suffice.
 *
 * A key that is overwritten all the time is beyond the pass whenever we look:
 * it goes out as it is.  That is newer than what any other position of this
 * pass meant by this hash, unless an entry of it was left for later, so those
 * positions need not send it again.
 */
static bool
put_position(CcSender *s, const CcChangeRef *ref, Size *need, uint64 *entries)
{
	CcPartitionShared *p = cc_store_partition_of(ref->hash);
	uint64	   *ahead = &s->ahead[ref->hash % CC_AHEAD];
	CcHeaderShared *h;
	bool		fits = true;
	bool		beyond = false;
	bool		left = false;

	if (s->phase == CC_SEND_PASS && *ahead == ref->hash && ref->hash != 0)
		return true;
	cc_store_lock(p, false);
	for (h = cc_store_first(p, cc_store_bucket(p, ref->hash));
		 h != NULL && fits; h = cc_store_next(p, h))
	{
		if (h->hash != ref->hash || needs_nothing(s, p, h, ref) ||
			!cc_namespace_travels(p, h))
			continue;
		if (!goes_out(s, p, h, ref, &beyond))
		{
			left = true;
			continue;
		}
		fits = cc_encode_stored(&s->out, p, h, need);
		*entries += fits;
	}
	cc_store_unlock(p);
	if (fits && beyond && !left)
		*ahead = ref->hash;
	return fits;
}

/*
 * PROTOCOL.md, pass: as much of [p, end) as fits into a batch.  False when
 * the ring no longer holds it.
 */
static bool
put_pass(CcSender *s, uint64 *entries)
{
	uint16		self = cc_state_self();
	bool		relay = s->phase == CC_SEND_RELAY;

	cc_buf_reserve(&s->out.buf, 2 * s->opt.batch_bytes);
	while (s->p < s->end && s->out.buf.len < s->full)
	{
		CcChangeRef ref;
		Size		need;

		if (!cc_changelog_read(s->p, &ref))
			return false;
		if (relay || (ref.own && ref.origin == self))
		{
			if (!put_position(s, &ref, &need, entries))
			{
				if (*entries > 0)
					return true;	/* it begins the next batch */
				cc_buf_reserve(&s->out.buf, need);
				continue;
			}
			if (!relay && ref.seq == ref.pos)
				s->last_own = ref.pos;
		}
		s->p++;
	}
	return true;
}

/* The raise that ends a pass, or none. */
static void
end_pass(CcSender *s)
{
	cc_vv_clear(&s->tmp);
	if (s->phase == CC_SEND_RELAY)
	{
		cc_vv_copy(&s->tmp, &s->v);
		s->pos_all = s->end;
		s->pos = Max(s->pos, s->end);
	}
	else
	{
		if (s->last_own > 0)
			cc_vv_set(&s->tmp, cc_state_self(), s->last_own);
		s->pos = s->end;
	}
	if (s->tmp.n > 0)
		cc_scan_put_raise(s, &s->tmp);
	s->sent_seq = Max(s->sent_seq, s->last_own);
	s->phase = CC_SEND_IDLE;
}

bool
cc_pass_batch(CcSender *s, uint64 *entries)
{
	cc_scan_put_seen(s);
	cc_scan_put_horizons(s, entries);
	if (!put_pass(s, entries))
	{
		cc_scan_begin(s, false);
		return false;
	}
	if (s->p < s->end)
	{
		if (!cc_rule(pass) && s->phase == CC_SEND_PASS && s->last_own > 0)
		{
			cc_vv_clear(&s->tmp);
			cc_vv_set(&s->tmp, cc_state_self(), s->last_own);
			cc_scan_put_raise(s, &s->tmp);
		}
		return true;
	}
	/* PROTOCOL.md, forgotten first */
	if (!cc_scan_covers_g(s))
	{
		cc_scan_begin(s, true);
		/* what is in the batch already is true all the same */
		return *entries > 0;
	}
	if (s->phase == CC_SEND_PASS && s->last_own == 0 && *entries == 0)
	{
		s->pos = s->end;
		s->phase = CC_SEND_IDLE;
		return false;
	}
	end_pass(s);
	return true;
}
