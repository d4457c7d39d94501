/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Walks of the store for a peer: scans and full comparisons (PROTOCOL.md
 *	  section 3); and the raise that ends them, as it ends a pass.
 *
 * The unit is a run of buckets, which is a range of hashes within one slice;
 * its entries and its digest are read under one hold of the partition's lock
 * as far as they fit, so that a digest is exact for its range.
 *
 * Locking: one partition's lock in shared mode at a time.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/apart.h"
#include "cache/namespace.h"
#include "cache/siblings.h"
#include "cluster/compare.h"
#include "cluster/sender.h"

/* Buckets that are walked under one hold of a lock, at most */
#define BUCKETS_A_TIME	128

/*
 * Slices after which a walk that finds little to send stops for breath:
 * whoever runs it has heartbeats to send and answers to read.
 */
#define SLICES_A_CALL	16

/* Room that a digest's record needs beside its keys and its floor */
#define DIGEST_HEAD		(1 + 8 + 8 + 4 + 4)

/* Keys in a digest that one entry makes, at most */
#define KEYS_OF_ENTRY	(1 + CC_MAX_ORIGINALS)

static bool
is_seen(const CcEntry *e, void *arg)
{
	return cc_sender_seen(arg, e->origin, e->seq);
}

bool
cc_scan_seen(CcSender *s, CcPartitionShared *p, CcHeaderShared *h)
{
	/*
	 * What does not exist here any more is not said to: beside what we have
	 * seen, and dropped for the horizon, it would look as if it had replaced
	 * that.
	 */
	if (cc_siblings_cleared(p, h))
		return true;
	if (likely((cc_header_flags(h) & CC_F_SIBLINGS) == 0))
		return cc_sender_seen(s, h->origin, h->seq);
	/* a dot in the context is seen like any: by it a question travels */
	return cc_siblings_all(p, h, is_seen, s) &&
		cc_siblings_covered(p, h, &s->hs);
}

void
cc_scan_put_seen(CcSender *s)
{
	Size		empty = s->out.buf.len;

	s->full = s->opt.batch_bytes;
	if (pg_atomic_read_u32(&cc.state->nkeeping) == 0 || !cc_rule(exact_seen))
		return;
	cc_state_copy_vv(&s->tmp);
	cc_encode_vv(&s->out, 'W', &s->tmp);
	/* however long it is, there are entries too */
	s->full += s->out.buf.len - empty;
}

bool
cc_scan_covers_g(CcSender *s)
{
	bool		covers = true;

	if (!cc_rule(forgotten_first))
		return true;
	/* it may have said more elsewhere than in this session */
	for (int o = 0; o < cc_state_norigins() && covers; o++)
		covers = cc_vv_get(&s->hs, o) >= cc_state_g(o);
	if (!covers && cc_membership_copy_k(s->slot, &s->tmp))
	{
		covers = true;
		for (int o = 0; o < cc_state_norigins() && covers; o++)
			covers = Max(cc_vv_get(&s->hs, o), cc_vv_get(&s->tmp, o)) >=
				cc_state_g(o);
	}
	return covers;
}

bool
cc_scan_owed(CcSender *s)
{
	bool		owed;

	cc_lock_shared(&cc.members->lock);
	owed = cc.members->member[s->slot].owe_full;
	cc_unlock(&cc.members->lock);
	return owed && cc_rule(owed_comparison);
}

void
cc_scan_settle(CcSender *s)
{
	cc_lock_exclusive(&cc.members->lock);
	cc.members->member[s->slot].owe_full = false;
	cc_unlock(&cc.members->lock);
	s->compared = false;
}

void
cc_scan_leave(CcSender *s)
{
	if (s->counted)
		cc.store->comparisons_out--;
	s->counted = false;
}

void
cc_scan_begin(CcSender *s, bool full)
{
	cc_scan_leave(s);
	if (full)
	{
		cc.store->comparisons_out++;
		s->counted = true;
	}
	/* PROTOCOL.md, scan: both at the start */
	s->start = cc_changelog_published();
	cc_state_copy_vv(&s->v);
	s->phase = full ? CC_SEND_FULL : CC_SEND_SCAN;
	s->partition = 0;
	s->bucket = 0;
	s->first_batch = true;
	memset(s->horizon, 0, sizeof(s->horizon));
	s->slice = 0;
	s->want_full = false;
	for (int i = 0; i < CC_SLICES; i++)
	{
		/*
		 * A further round needs digests only of the slices that lost
		 * something since the last one walked them.
		 */
		s->digested[i] = full &&
			(!s->again || cc.floor->slice[i].losses != s->losses[i]);
		s->losses[i] = cc.floor->slice[i].losses;
	}
	cc_log(CC_DEBUG, "%s begins, from position " UINT64_FORMAT,
		   full ? "full comparison" : "scan", s->start);
}

typedef struct DigestKeys
{
	CcSender   *s;
	uint64		hash[2];
} DigestKeys;

/*
 * Which namespaces are local here comes before any digest, which does not list
 * their keys: who has not heard of it yet would take that for a loss.  And which
 * keep conflicts comes before their entries: who has not heard of that would
 * settle as a race what others keep.
 */
static void
put_declarations(CcSender *s, uint64 *entries)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	CcBuf		buf;

	cc_buf_init(&buf);
	for (uint32 ns = 0; ns < n; ns++)
	{
		char		key[CC_SYSTEM_KEY_MAX];
		CcEntry		e;

		if (!cc_namespace_has(ns, CC_NS_LOCAL | CC_NS_KEEPS))
			continue;
		buf.len = 0;
		if (cc_cache_peek(CC_NS_SYSTEM, key,
						  cc_namespace_key((uint16) ns, key), &e, &buf) &&
			!cc_sender_seen(s, e.origin, e.seq))
		{
			cc_encode_entry(&s->out, &e);
			(*entries)++;
		}
	}
	cc_buf_free(&buf);
}

uint64
cc_scan_put_records(CcSender *s)
{
	CcNodeId	id[CC_MAX_MEMBERS];
	char		key[CC_APART_KEY_LEN];
	uint32		changes = pg_atomic_read_u32(&cc.apart->changes);
	uint32		keeping = pg_atomic_read_u32(&cc.state->nkeeping);
	uint64		told = 0;
	int			n;
	CcBuf		buf;

	if (keeping != s->keeping)
	{
		s->keeping = keeping;
		put_declarations(s, &told);
	}
	if (changes == s->records)
		return told;
	s->records = changes;
	n = cc_membership_list(id);
	cc_buf_init(&buf);
	for (int i = 0; i < n; i++)
	{
		CcEntry		e;

		buf.len = 0;
		if (!cc_cache_peek(CC_NS_SYSTEM, key, cc_apart_key(&id[i], key), &e,
						   &buf) ||
			cc_sender_seen(s, e.origin, e.seq))
			continue;
		cc_encode_entry(&s->out, &e);
		told++;
	}
	cc_buf_free(&buf);
	return told;
}

static bool
put_digest_key(const CcEntry *e, void *arg)
{
	DigestKeys *k = arg;
	CcBuf	   *b = &k->s->digest;

	cc_buf_put_u64(b, k->hash[0]);
	cc_buf_put_u64(b, k->hash[1]);
	cc_buf_put_u64(b, e->hlc);
	cc_buf_put_u16(b, cc_encode_origin(&k->s->out, e->writer));
	cc_buf_put_u64(b, e->at);
	cc_buf_put_u16(b, cc_encode_origin(&k->s->out, e->at_node));
	cc_buf_put_u8(b, e->type != CC_STUB);
	return true;
}

/*
 * The keys that an entry makes in the digest: one for itself and one for each
 * sibling.  False when they do not fit.
 */
static bool
put_digest_keys(CcSender *s, CcPartitionShared *p, CcHeaderShared *h, Size *need)
{
	bool		siblings = (cc_header_flags(h) & CC_F_SIBLINGS) != 0;
	Size		names = siblings ? CC_RECORD_SIBLINGS_MAX : CC_RECORD_ENTRY_MAX;
	char		key[CC_MAX_KEY];
	DigestKeys	k = {.s = s};

	/* also for the origins that they may add */
	if (cc_buf_room(&s->out.buf) < names ||
		cc_buf_room(&s->digest) < (siblings ? KEYS_OF_ENTRY : 1) * CC_DIGEST_KEY)
	{
		*need = names;
		return false;
	}
	cc_store_copy_key(p, h, key);
	cc_store_hash(h->ns, key, h->keylen, k.hash);
	return cc_siblings_all(p, h, put_digest_key, &k);
}

/*
 * One bucket.  False when it does not fit; the digest is then as it was, and
 * the entries too, or they are sent twice, which harms nobody.
 */
static bool
put_bucket(CcSender *s, CcPartitionShared *p, uint32 b, bool digest,
		   uint64 *entries, Size *need)
{
	Size		before = s->digest.len;
	Size		out_before = s->out.buf.len;
	uint64		entries_before = *entries;
	uint32		names = s->out.norigins + s->out.nnamespaces;
	CcHeaderShared *h;

	for (h = cc_store_first(p, b); h != NULL; h = cc_store_next(p, h))
	{
		bool		fits = true;

		if (!cc_namespace_travels(p, h))
			continue;
		/* what has beaten others carries what they had replaced (pass.c) */
		if ((cc_header_flags(h) & CC_F_SIBLINGS) != 0 || !cc_scan_seen(s, p, h))
		{
			fits = cc_encode_stored(&s->out, p, h, need);
			*entries += fits;
		}
		if (fits && digest && h->ns != CC_NS_SYSTEM)
			fits = put_digest_keys(s, p, h, need);
		if (!fits)
		{
			s->digest.len = before;
			/* unless names were announced here, which count from now on */
			if (names == s->out.norigins + s->out.nnamespaces)
			{
				s->out.buf.len = out_before;
				*entries = entries_before;
			}
			return false;
		}
	}
	return true;
}

/*
 * Walks from the sender's place to the end of the slice, of the run or of
 * the room.  Returns whether it got on at all.
 */
static bool
put_run(CcSender *s, CcPartitionShared *p, bool digest, uint64 *entries,
		Size *need)
{
	uint32		begin = s->bucket;
	int			slice = cc_floor_slice(cc_store_bucket_hash(s->partition, begin));
	uint32		end = Min(begin + BUCKETS_A_TIME, p->nbuckets);

	cc_store_lock(p, false);
	while (s->bucket < end && (s->bucket == begin ||
		   s->out.buf.len + s->digest.len < s->full) &&
		   cc_floor_slice(cc_store_bucket_hash(s->partition, s->bucket)) == slice &&
		   put_bucket(s, p, s->bucket, digest, entries, need))
		s->bucket++;
	cc_store_unlock(p);
	return s->bucket > begin;
}

/* The digest of [low, the sender's place), with F as it is now. */
static void
put_digest(CcSender *s, CcPartitionShared *p, uint64 low, bool *v_said)
{
	CcBuf	   *b = &s->out.buf;
	Size		floor_at;
	Size		floor_len;
	uint64		high;

	if (!*v_said)
		cc_encode_vv(&s->out, 'V', &s->v);
	*v_said = true;
	cc_buf_reserve(b, DIGEST_HEAD + cc_floor_max_bytes() + s->digest.len);
	if (s->bucket == p->nbuckets &&
		s->partition + 1 == (int) cc.store->npartitions)
		high = PG_UINT64_MAX;
	else
		high = (s->bucket == p->nbuckets ?
				cc_store_bucket_hash(s->partition + 1, 0) :
				cc_store_bucket_hash(s->partition, s->bucket)) - 1;
	cc_buf_put_u8(b, 'D');
	cc_buf_put_u64(b, low);
	cc_buf_put_u64(b, high);
	floor_at = b->len;
	cc_buf_put_u32(b, 0);
	cc_store_lock(p, false);
	floor_len = cc_floor_write(cc_floor_slice(low), b->data + b->len);
	cc_store_unlock(p);
	b->len += floor_len;
	cc_buf_set_u32(b, floor_at, (uint32) floor_len);
	cc_buf_put_u32(b, (uint32) (s->digest.len / CC_DIGEST_KEY));
	cc_buf_put(b, s->digest.data, s->digest.len);
}

/*
 * A piece of the walk, of one slice.  *v_said: V stands in the batch already.
 */
static void
put_walk(CcSender *s, uint64 *entries, bool *v_said)
{
	CcPartitionShared *p = cc_store_partition(s->partition);
	uint64		low = cc_store_bucket_hash(s->partition, s->bucket);
	bool		digest = s->digested[cc_floor_slice(low)];
	uint32		begin = s->bucket;

	s->digest.len = 0;
	cc_buf_reserve(&s->out.buf, 2 * s->opt.batch_bytes);
	if (digest)
		cc_buf_reserve(&s->digest, s->opt.batch_bytes);
	for (;;)
	{
		Size		need = 0;

		if (put_run(s, p, digest, entries, &need))
		{
			/* until the batch is full or the slice is over */
			if (need == 0 && s->bucket < p->nbuckets &&
				s->out.buf.len + s->digest.len < s->full &&
				cc_floor_slice(cc_store_bucket_hash(s->partition, s->bucket)) ==
				cc_floor_slice(low))
				continue;
			break;
		}
		if (need == 0 || s->bucket > begin)
			break;
		/* not even one bucket fits */
		cc_buf_reserve(&s->out.buf, s->out.buf.cap + need);
		if (digest)
			cc_buf_reserve(&s->digest,
						   s->digest.cap + KEYS_OF_ENTRY * CC_DIGEST_KEY);
	}
	if (digest)
		put_digest(s, p, low, v_said);
	if (s->bucket >= p->nbuckets)
	{
		s->partition++;
		s->bucket = 0;
	}
}

/*
 * Whether the peer may not have a horizon.  There are few, so of those of
 * retired origins each session sends all, once.
 */
static bool
lacks_horizon(const CcSender *s, uint32 ns, const CcEntry *e)
{
	return !cc_sender_seen(s, e->origin, e->seq) ||
		(cc_vv_get(&s->hs, e->origin) == CC_VV_INF &&
		 s->horizon[ns] < e->hlc);
}

/* Adds the namespace's horizon, unless the peer has it; returns whether. */
static bool
put_horizon(CcSender *s, uint32 ns)
{
	char		key[CC_SYSTEM_KEY_MAX];
	uint16		keylen = cc_cache_horizon_key((uint16) ns, key);
	bool		put = false;
	CcEntry		e;
	CcBuf		buf;

	cc_buf_init(&buf);
	if (cc_cache_peek(CC_NS_SYSTEM, key, keylen, &e, &buf))
	{
		put = lacks_horizon(s, ns, &e);
		if (put)
			cc_encode_entry(&s->out, &e);
		s->horizon[ns] = e.hlc;
	}
	cc_buf_free(&buf);
	return put;
}

/*
 * PROTOCOL.md, horizon first: adds the horizons that the peer has not seen,
 * and then the raise.
 */
void
cc_scan_put_raise(CcSender *s, const CcVV *raise)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = 0; ns < n && cc_rule(horizon_first); ns++)
	{
		if (pg_atomic_read_u64(&cc_namespace(ns)->horizon) == 0 ||
			cc_namespace_has(ns, CC_NS_LOCAL))
			continue;
		s->entries_sent += put_horizon(s, ns);
	}
	cc_encode_vv(&s->out, 'R', raise);
}

/*
 * Where conflicts are kept a horizon comes before the entries, too: what was
 * written over cleared ones has no context of them, so whoever does not know
 * of the clear would make a conflict of both.
 */
void
cc_scan_put_horizons(CcSender *s, uint64 *entries)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	if (pg_atomic_read_u32(&cc.state->nkeeping) == 0 ||
		!cc_rule(horizon_first))
		return;
	for (uint32 ns = 0; ns < n; ns++)
	{
		if (cc_namespace_has(ns, CC_NS_KEEPS) &&
			!cc_namespace_has(ns, CC_NS_LOCAL) &&
			pg_atomic_read_u64(&cc_namespace(ns)->horizon) > s->horizon[ns])
			*entries += put_horizon(s, ns);
	}
}

/* The last batch of a scan or comparison: G, raise V. */
static void
put_end(CcSender *s, bool full)
{
	if (full)
	{
		cc_state_copy_g(&s->tmp);
		cc_encode_vv(&s->out, 'G', &s->tmp);
	}
	if (!cc_rule(scan_start))
		cc_state_copy_vv(&s->v);
	cc_scan_put_raise(s, &s->v);

	/* it will have seen V when it acknowledges */
	cc_vv_join(&s->hs, &s->v);
	s->pos = Max(s->start, cc.log->first);
	s->pos_all = s->pos;
	s->sent_seq = Max(s->sent_seq, cc_vv_get(&s->v, cc_state_self()));
	s->phase = CC_SEND_IDLE;
	s->again = full;
	s->compared |= full;
	cc_scan_leave(s);
}

/* The floor goes in batches of its own, just before the end. */
static void
put_floor(CcSender *s)
{
	while (s->slice < CC_SLICES && s->out.buf.len < s->full)
		cc_encode_floor(&s->out, s->slice++);
}

bool
cc_scan_batch(CcSender *s, uint8 *flags, uint64 *entries)
{
	bool		full = s->phase != CC_SEND_SCAN;
	bool		v_said = false;
	Size		empty;

	cc_scan_put_seen(s);
	empty = s->out.buf.len;
	s->more = false;
	if (full)
		*flags |= CC_MSG_F_FULL;
	if (full && s->first_batch)
		*flags |= CC_MSG_F_FULL_BEGIN;
	if (s->first_batch)
		put_declarations(s, entries);
	cc_scan_put_horizons(s, entries);

	if (s->phase == CC_SEND_FLOOR)
	{
		if (s->slice < CC_SLICES)
		{
			put_floor(s);
			return true;
		}
		*flags |= CC_MSG_F_FULL_END;
		put_end(s, true);
		return true;
	}
	for (int i = 0; s->partition < (int) cc.store->npartitions; i++)
	{
		if (s->out.buf.len >= s->full || i >= SLICES_A_CALL)
		{
			s->more = s->out.buf.len == empty;
			s->first_batch = s->first_batch && s->more;
			return !s->more;
		}
		put_walk(s, entries, &v_said);
	}
	s->first_batch = false;
	if (full)
	{
		s->phase = CC_SEND_FLOOR;
		return true;
	}
	/* PROTOCOL.md, forgotten first */
	if (!cc_scan_covers_g(s))
	{
		cc_scan_begin(s, true);
		return *entries > 0;
	}
	put_end(s, false);
	return true;
}
