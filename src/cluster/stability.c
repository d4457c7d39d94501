/*-------------------------------------------------------------------------
 *
 * stability.c
 *	  What is known of each member, and what follows from it: what is stable,
 *	  which origins are closed, orphaned or retired (PROTOCOL.md section 5).
 *	  The second half of membership.h.
 *
 * Promises: what is called stable has been seen by our own journal and by
 * every member, and all that any of them wrote before seeing it has come to
 * us.  Word of a new boot takes that back at once.
 *
 * Locking: members->lock, exclusive to learn and to keep house.  Vectors of
 * the state are copied before it is taken, since copying may allocate; they
 * only rise, so an old copy errs on the safe side.
 *
 * May include: base/, cache/, membership.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/cache.h"
#include "cache/expire.h"
#include "cluster/membership.h"

/* Closed origins that are said, or retired, at a time; the others wait */
#define MAX_ORIGINS_A_TIME	256

void
cc_membership_unsettle(void)
{
	int			n = cc_state_norigins();

	Assert(cc_lock_held(&cc.members->lock));
	for (int o = 0; o < n; o++)
	{
		cc_state_set_stable(o, 0);
		pg_atomic_fetch_and_u32(cc_origin_flags(o), ~CC_ORIGIN_ORPHANED);
	}
}

/* The lock is held, the slot is a peer's: K begins anew. */
static void
reset_knowledge(int slot)
{
	CcMembersShared *ms = cc.members;
	CcMemberShared *m = &ms->member[slot];
	Size		len = ms->origin_cap * sizeof(uint64);

	memset(cc_membership_row(ms->k, slot), 0, len);
	memset(cc_membership_row(ms->c, slot), 0, len);
	memset(cc_membership_clean_row(slot), 0, ms->origin_cap);
	m->k_known = true;
	m->c_known = false;
	m->cand_valid = false;
	m->clean_hash = 0;
	cc_membership_unsettle();
}

/*
 * Joins what it said into K.  Where it knows more of an origin than we do,
 * entries of that origin beyond our VV are no orphans.
 */
static void
join_known(int slot, const CcVV *vv)
{
	uint64	   *k = cc_membership_row(cc.members->k, slot);
	int			n = Min(vv->n, (int) cc.members->origin_cap);

	for (int o = 0; o < n; o++)
	{
		k[o] = Max(k[o], vv->seq[o]);
		if (k[o] > cc_state_vv(o))
			pg_atomic_fetch_and_u32(cc_origin_flags(o), ~CC_ORIGIN_ORPHANED);
	}
}

void
cc_membership_learn(const CcNodeId *id, uint64 boot, const CcVV *vv,
					const uint16 *clean, int nclean, uint64 hash)
{
	CcMembersShared *ms = cc.members;
	CcMemberShared *m = NULL;
	int			slot;
	uint16		self = cc_state_self();
	uint64		had;
	bool		news;

	cc_lock_exclusive(&ms->lock);
	for (slot = 0; slot < (int) ms->nmembers; slot++)
	{
		m = &ms->member[slot];
		if (cc_id_cmp(&m->id, id) == 0)
			break;
	}
	if (slot == (int) ms->nmembers || !cc_membership_is_peer(m) ||
		boot < m->boot)
	{
		cc_unlock(&ms->lock);
		return;
	}

	/* PROTOCOL.md, new boot: a node that crashed knows less */
	if (!m->k_known || (boot > m->boot && cc_rule(new_boot)))
		reset_knowledge(slot);
	m->boot = boot;
	had = cc_membership_row(ms->k, slot)[self];
	join_known(slot, vv);
	news = cc_membership_row(ms->k, slot)[self] > had;

	if (clean != NULL)
	{
		uint8	   *row = cc_membership_clean_row(slot);
		uint64	   *k = cc_membership_row(ms->k, slot);

		/* it is clean of what goes beyond the VV with which it says so */
		memset(row, 0, ms->origin_cap);
		for (int i = 0; i < nclean; i++)
			row[clean[i]] = cc_vv_get(vv, clean[i]) == k[clean[i]];
		m->clean_hash = hash;
	}
	cc_unlock(&ms->lock);
	if (news)
		cc_announce_acks();
}

bool
cc_membership_copy_k(int slot, CcVV *to)
{
	int			n = cc_state_norigins();
	bool		known;

	cc_vv_clear(to);
	if (n > 0)
		cc_vv_set(to, n - 1, 0);	/* allocates */
	cc_lock_shared(&cc.members->lock);
	known = cc_membership_is_peer(&cc.members->member[slot]) &&
		cc.members->member[slot].k_known;
	if (known && n > 0)
		memcpy(to->seq, cc_membership_row(cc.members->k, slot),
			   n * sizeof(uint64));
	cc_unlock(&cc.members->lock);
	if (!known)
		cc_vv_clear(to);
	return known;
}

/*
 * PROTOCOL.md, retire: whether the origin is one that may be retired.  Those
 * of removed members stay as they are: what they wrote may still be under way
 * to us from a member that we do not hear.
 */
static bool
is_retirable(int origin)
{
	uint32		flags = pg_atomic_read_u32(cc_origin_flags(origin));

	return (flags & CC_ORIGIN_CLOSED) != 0 &&
		((flags & CC_ORIGIN_REMOVED) == 0 || !cc_rule(retire_removed)) &&
		origin != cc_state_self() && cc_state_vv(origin) != CC_VV_INF;
}

int
cc_membership_clean(uint16 *out, int max)
{
	int			norigins = cc_state_norigins();
	int			n = 0;

	for (int o = 0; o < norigins && n < max; o++)
	{
		if (is_retirable(o) && cc_expire_clean((uint16) o))
			out[n++] = (uint16) o;
	}
	return n;
}

/* What we say of one peer, copied out under the lock. */
typedef struct ThirdHand
{
	CcNodeId	id;
	uint64		boot;
	uint64		clean_hash;
	CcVV		k;
	uint16		clean[MAX_ORIGINS_A_TIME];
	int			nclean;
} ThirdHand;

/* False when there is nothing to say of that slot. */
static bool
copy_third_hand(int slot, ThirdHand *t)
{
	CcMembersShared *ms = cc.members;
	const CcMemberShared *m = &ms->member[slot];
	int			n = cc_state_norigins();
	bool		known;

	cc_vv_clear(&t->k);
	if (n > 0)
		cc_vv_set(&t->k, n - 1, 0); /* allocates */
	t->nclean = 0;

	cc_lock_shared(&ms->lock);
	known = cc_membership_is_peer(m) && m->k_known;
	if (known)
	{
		const uint64 *k = cc_membership_row(ms->k, slot);
		const uint8 *clean = cc_membership_clean_row(slot);

		t->id = m->id;
		t->boot = m->boot;
		t->clean_hash = m->clean_hash;
		for (int o = 0; o < n; o++)
		{
			t->k.seq[o] = k[o];
			if (clean[o] && t->nclean < MAX_ORIGINS_A_TIME)
				t->clean[t->nclean++] = (uint16) o;
		}
	}
	cc_unlock(&ms->lock);
	return known;
}

/* Writes a 'K' record (proto.h). */
static void
put_third_hand(CcEncoder *enc, const ThirdHand *t)
{
	CcBuf	   *b = &enc->buf;
	uint16		n = 0;

	/* announcements stand before the record */
	for (int i = 0; i < t->nclean; i++)
		cc_encode_origin(enc, t->clean[i]);
	for (int o = 0; o < t->k.n; o++)
	{
		if (t->k.seq[o] != 0)
		{
			cc_encode_origin(enc, (uint16) o);
			n++;
		}
	}

	cc_buf_reserve(b, 1 + CC_ID_LEN + 8 + 8 + 2 + 2 * (Size) t->nclean +
				   2 + 10 * (Size) n);
	cc_buf_put_u8(b, 'K');
	cc_buf_put(b, t->id.b, CC_ID_LEN);
	cc_buf_put_u64(b, t->boot);
	cc_buf_put_u64(b, t->clean_hash);
	cc_buf_put_u16(b, (uint16) t->nclean);
	for (int i = 0; i < t->nclean; i++)
		cc_buf_put_u16(b, cc_encode_origin(enc, t->clean[i]));
	cc_buf_put_u16(b, n);
	for (int o = 0; o < t->k.n; o++)
	{
		if (t->k.seq[o] != 0)
		{
			cc_buf_put_u16(b, cc_encode_origin(enc, (uint16) o));
			cc_buf_put_u64(b, t->k.seq[o]);
		}
	}
}

/*
 * PROTOCOL.md, third hand: so that a node knows the VVs of those that it
 * cannot reach.
 */
void
cc_membership_gossip(CcEncoder *enc)
{
	int			nmembers;
	ThirdHand	t;

	if (!cc_rule(third_hand))
		return;
	cc_lock_shared(&cc.members->lock);
	nmembers = (int) cc.members->nmembers;
	cc_unlock(&cc.members->lock);

	cc_vv_init(&t.k);
	for (int slot = 0; slot < nmembers; slot++)
	{
		if (copy_third_hand(slot, &t))
			put_third_hand(enc, &t);
	}
	cc_vv_free(&t.k);
}

static bool
row_covered(const CcVV *vv, const uint64 *row, int n)
{
	for (int o = 0; o < n; o++)
	{
		if (cc_vv_get(vv, o) < row[o])
			return false;
	}
	return true;
}

/*
 * PROTOCOL.md, causal stability.  Twice: once the old candidate has been
 * adopted, what has become of K since may be covered as well.
 */
static void
promote(int slot, const CcVV *vv, int n)
{
	CcMembersShared *ms = cc.members;
	CcMemberShared *m = &ms->member[slot];
	Size		len = n * sizeof(uint64);
	uint64	   *k = cc_membership_row(ms->k, slot);
	uint64	   *c = cc_membership_row(ms->c, slot);
	uint64	   *cand = cc_membership_row(ms->cand, slot);

	if (!cc_membership_is_peer(m) || !m->k_known)
		return;
	if (!cc_rule(causal_stability))
	{
		memcpy(c, k, len);
		m->c_known = true;
		return;
	}
	for (int i = 0; i < 2; i++)
	{
		if (!m->cand_valid)
		{
			memcpy(cand, k, len);
			m->cand_valid = true;
		}
		if (!row_covered(vv, cand, n))
			break;
		memcpy(c, cand, len);
		m->c_known = true;
		m->cand_valid = false;
	}
}

/*
 * PROTOCOL.md, stable: a dot covered by VVj and by C of every member but us.
 * Own VVj, because after a crash we may be the one who does not know.
 */
static void
compute_stable(const CcVV *vv, const CcVV *vvj, int n)
{
	CcMembersShared *ms = cc.members;
	bool		alone = true;

	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		if (cc_membership_is_peer(&ms->member[slot]))
			alone = false;
	}
	for (int o = 0; o < n; o++)
	{
		uint64		s = CC_VV_INF;

		if (cc_rule(vvj_stable))
			s = cc_vv_get(vvj, o);
		else if (alone)
			s = cc_vv_get(vv, o);
		for (uint32 slot = 0; slot < ms->nmembers; slot++)
		{
			const CcMemberShared *m = &ms->member[slot];

			if (cc_membership_is_peer(m))
				s = m->c_known ?
					Min(s, cc_membership_row(ms->c, slot)[o]) : 0;
		}
		cc_state_set_stable(o, s);
	}
}

/* PROTOCOL.md, retire: whether and why an origin is closed. */
static uint32
closed_flags(const CcOriginShared *origin)
{
	const CcMembersShared *ms = cc.members;

	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		const CcMemberShared *m = &ms->member[slot];
		uint64		incarnation = m->self ? cc.state->incarnation :
			m->incarnation;

		if (cc_id_cmp(&m->id, &origin->node) != 0)
			continue;
		if (m->removed)
			return CC_ORIGIN_CLOSED | CC_ORIGIN_REMOVED;
		return incarnation > origin->incarnation ? CC_ORIGIN_CLOSED : 0;
	}
	return 0;
}

/*
 * PROTOCOL.md, orphans: every member's VV is known, and none is higher there
 * than ours.
 */
static bool
nobody_beyond(int origin, uint64 seq)
{
	CcMembersShared *ms = cc.members;

	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		const CcMemberShared *m = &ms->member[slot];

		if (cc_membership_is_peer(m) &&
			(!m->k_known || cc_membership_row(ms->k, slot)[origin] > seq))
			return false;
	}
	return true;
}

static void
flag_origins(const CcVV *vv, int n)
{
	for (int o = 0; o < n; o++)
	{
		uint32		flags = closed_flags(cc_origin(o));

		if ((flags & CC_ORIGIN_CLOSED) != 0 && cc_rule(orphans) &&
			o != cc_state_self() && nobody_beyond(o, cc_vv_get(vv, o)))
			flags |= CC_ORIGIN_ORPHANED;
		if (pg_atomic_read_u32(cc_origin_flags(o)) != flags)
			pg_atomic_write_u32(cc_origin_flags(o), flags);
	}
}

/*
 * PROTOCOL.md, retire: all members say, with one list of members, that they
 * have equally much of it and hold nothing beyond.
 */
static bool
all_agree(int origin, uint64 seq, uint64 hash)
{
	CcMembersShared *ms = cc.members;
	int			peers = 0;

	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		const CcMemberShared *m = &ms->member[slot];

		if (!cc_membership_is_peer(m))
			continue;
		peers++;
		if (!m->k_known || m->clean_hash != hash ||
			cc_membership_clean_row(slot)[origin] == 0 ||
			cc_membership_row(ms->k, slot)[origin] != seq)
			return false;
	}

	/*
	 * A node that is alone may only have lost, with a disk that took nothing,
	 * what it knew of the others: it has nobody to ask.
	 */
	return peers > 0;
}

static int
find_agreed(const CcVV *vv, int n, uint16 *out, int max)
{
	uint64		hash = cc_membership_hash_locked();
	int			found = 0;

	for (int o = 0; o < n && found < max; o++)
	{
		if (is_retirable(o) && cc_expire_clean((uint16) o) &&
			all_agree(o, cc_vv_get(vv, o), hash))
			out[found++] = (uint16) o;
	}
	return found;
}

/*
 * Makes VV of the agreed origins infinite.  What we hold of them beyond VV
 * (there is nothing, unless it came just now) gets new dots before.
 */
static void
retire(const CcVV *vv, const uint16 *origins, int n)
{
	for (int i = 0; i < n; i++)
	{
		uint16		o = origins[i];
		char		text[CC_ID_TEXT_LEN];

		uint64		was = cc_vv_get(vv, o);

		if (!cc_expire_clean(o))
			cc_cache_redot_beyond(o, was);
		if (cc_state_vv(o) != was)
			continue;			/* we know more now; all must say so again */
		cc_check_raise(o, was, CC_VV_INF, false);
		cc_state_raise_vv(o, CC_VV_INF);
		if (!cc_expire_clean(o))
			cc_cache_redot_beyond(o, was);
		cc_log(CC_DEBUG, "retired incarnation " UINT64_FORMAT " of node %s",
			   cc_origin(o)->incarnation,
			   cc_id_text(&cc_origin(o)->node, text));
	}
}

static bool
all_retired(int origin)
{
	CcMembersShared *ms = cc.members;

	for (uint32 slot = 0; slot < ms->nmembers; slot++)
	{
		const CcMemberShared *m = &ms->member[slot];

		if (cc_membership_is_peer(m) &&
			(!m->k_known ||
			 cc_membership_row(ms->k, slot)[origin] != CC_VV_INF))
			return false;
	}
	return true;
}

/*
 * G of a retired origin becomes the mark once all members have an infinite VV
 * there: before that it would make those compare in full who have it all.
 */
static void
mark_forgotten(int n)
{
	for (int o = 0; o < n; o++)
	{
		uint64		g = cc_state_g(o);

		if (g == 0 || g == CC_VV_INF || cc_state_vv(o) != CC_VV_INF)
			continue;
		cc_lock_shared(&cc.members->lock);
		if (all_retired(o))
			cc_state_raise_g(o, CC_VV_INF);
		cc_unlock(&cc.members->lock);
	}
}

void
cc_membership_maintain(void)
{
	CcMembersShared *ms = cc.members;
	int			n;
	uint16		agreed[MAX_ORIGINS_A_TIME];
	int			nagreed;
	CcVV		vv;
	CcVV		vvj;

	cc_vv_init(&vv);
	cc_vv_init(&vvj);
	cc_state_copy_vvj(&vvj);
	cc_state_copy_vv(&vv);
	cc_yield();

	cc_lock_exclusive(&ms->lock);
	/* no row has anything in it beyond these; our copies may be shorter */
	n = cc_state_norigins();
	for (uint32 slot = 0; slot < ms->nmembers; slot++)
		promote((int) slot, &vv, n);
	compute_stable(&vv, &vvj, n);
	flag_origins(&vv, n);
	nagreed = find_agreed(&vv, n, agreed, MAX_ORIGINS_A_TIME);
	cc_unlock(&ms->lock);

	retire(&vv, agreed, nagreed);
	mark_forgotten(n);
	cc_vv_free(&vv);
	cc_vv_free(&vvj);
}
