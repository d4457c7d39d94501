/*-------------------------------------------------------------------------
 *
 * membership.c
 *	  Who belongs to the group: the entries that say so, and the table that
 *	  follows them.  (What is known of each member is in stability.c.)
 *
 * Promises: a node that was removed once stays removed; an incarnation in the
 * table never goes back; a slot is never given to another node.
 *
 * Locking: members->lock for the table; state->lock, taken alone, for the
 * cluster id.  The store is never asked while members->lock is held.
 *
 * May include: base/, cache/, detector.h, entries.h, heal.h, news.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/membership.h"

#include "cache/cache.h"
#include "cluster/detector.h"
#include "cluster/entries.h"
#include "cluster/heal.h"
#include "cluster/news.h"
#include "cluster/splits.h"

Size
cc_membership_size(uint32 origin_cap)
{
	Size		rows = (Size) CC_MAX_MEMBERS * origin_cap;

	return MAXALIGN(sizeof(CcMembersShared)) + 3 * rows * sizeof(uint64) +
		MAXALIGN(rows) + origin_cap * sizeof(uint64);
}

void
cc_membership_init(void *mem, uint32 origin_cap)
{
	CcMembersShared *ms = mem;
	Size		rows = (Size) CC_MAX_MEMBERS * origin_cap;

	memset(mem, 0, cc_membership_size(origin_cap));
	cc.members = ms;
	ms->origin_cap = origin_cap;
	ms->self = CC_MAX_MEMBERS;
	ms->k = MAXALIGN(sizeof(CcMembersShared));
	ms->c = ms->k + rows * sizeof(uint64);
	ms->cand = ms->c + rows * sizeof(uint64);
	ms->clean = ms->cand + rows * sizeof(uint64);
	ms->mark = ms->clean + MAXALIGN(rows);
	pg_atomic_init_u64(&ms->full_epoch, 0);
	pg_atomic_init_u32(&ms->removed, 0);
	for (int i = 0; i < CC_REFUSALS; i++)
		pg_atomic_init_u64(&ms->refusal[i], 0);
	pg_atomic_init_u32(&ms->next_refusal, 0);
	pg_atomic_init_u32(&ms->component, 0);
	pg_atomic_init_u64(&ms->component_since, 0);
	pg_atomic_init_u32(&ms->link_news, 0);
	pg_atomic_init_u64(&ms->meets_since, 0);
}

/* Under the lock, in either mode. */
static int
find_slot(const CcNodeId *id)
{
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		if (cc_id_cmp(&cc.members->member[i].id, id) == 0)
			return (int) i;
	}
	return -1;
}

int
cc_membership_find(const CcNodeId *id)
{
	int			slot;

	cc_lock_shared(&cc.members->lock);
	slot = find_slot(id);
	cc_unlock(&cc.members->lock);
	return slot;
}

bool
cc_membership_name(const CcNodeId *id, char name[CC_NAME_LEN])
{
	int			slot;

	name[0] = '\0';
	cc_lock_shared(&cc.members->lock);
	slot = find_slot(id);
	if (slot >= 0)
		strlcpy(name, cc.members->member[slot].name, CC_NAME_LEN);
	cc_unlock(&cc.members->lock);
	return name[0] != '\0';
}

int
cc_membership_list(CcNodeId out[CC_MAX_MEMBERS])
{
	int			n;

	cc_lock_shared(&cc.members->lock);
	n = (int) cc.members->nmembers;
	for (int i = 0; i < n; i++)
		out[i] = cc.members->member[i].id;
	cc_unlock(&cc.members->lock);
	return n;
}

/* Under the exclusive lock.  -1 when the table is full. */
static int
find_or_add_slot(const CcNodeId *id)
{
	CcMembersShared *ms = cc.members;
	int			slot = find_slot(id);
	CcMemberShared *m;

	if (slot >= 0 || ms->nmembers >= CC_MAX_MEMBERS)
		return slot;

	/* never used before, so its rows are zero */
	slot = (int) ms->nmembers++;
	m = &ms->member[slot];
	memset(m, 0, sizeof(*m));
	pg_atomic_init_u64(&m->last_heard, 0);
	pg_atomic_init_u64(&m->entries_received, 0);
	pg_atomic_init_u64(&m->bytes_received, 0);
	pg_atomic_init_u64(&m->heartbeats, 0);
	m->used = true;
	m->id = *id;
	m->noted = cc_changelog_allocated();
	m->state = CC_PEER_CONNECTING;
	/* PROTOCOL.md, full comparison: after an unclean start, from everybody */
	m->want_full = cc.state->unclean;
	m->owe_full = cc.state->owes_new;
	m->self = cc_id_cmp(id, &cc.state->id) == 0;
	if (m->self)
		ms->self = (uint32) slot;

	/* it may know less than all that we took for known by everybody */
	cc_membership_unsettle();
	return slot;
}

static void
follow_member(const CcNodeId *id, const CcEntry *e)
{
	CcMemberEntry v;
	bool		added = false;
	int			slot;

	if (!cc_entries_parse_member(e, &v))
		return;
	cc_lock_exclusive(&cc.members->lock);
	slot = find_or_add_slot(id);
	if (slot >= 0)
	{
		CcMemberShared *m = &cc.members->member[slot];

		added = m->incarnation == 0 && !m->self && !m->removed;
		m->incarnation = Max(m->incarnation, v.incarnation);
		m->joined = v.joined;
		strlcpy(m->name, v.name, sizeof(m->name));
		strlcpy(m->address, v.address, sizeof(m->address));
	}
	cc_unlock(&cc.members->lock);

	if (slot < 0)
		cc_log(CC_WARN, "no room for \"%s\" (%s): a group has at most %d "
			   "members, removed ones included",
			   v.name, v.address, CC_MAX_MEMBERS);
	else if (added)
	{
		cc_log(CC_LOG, "\"%s\" (%s) is a member of the group", v.name,
			   v.address);
		cc_news_joined(v.name, v.address);
		/* whom our files name we have met in an earlier life */
		if (cc_state_phase() > CC_LOADING)
			cc_splits_meet(id);
	}
}

/* PROTOCOL.md, members are entries: a removed node drops its cache. */
static void
drop_cache(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
		(void) cc_cache_clear((uint16) ns);
}

/* ... and a removal is for good. */
static void
follow_removal(const CcNodeId *id)
{
	char		name[CC_NAME_LEN] = "";
	bool		news = false;
	bool		self = cc_id_cmp(id, &cc.state->id) == 0;
	int			slot;

	cc_lock_exclusive(&cc.members->lock);
	slot = find_or_add_slot(id);
	if (slot >= 0)
	{
		CcMemberShared *m = &cc.members->member[slot];

		news = !m->removed;
		m->removed = true;
		strlcpy(name, m->name, sizeof(name));
	}
	if (self)
		pg_atomic_write_u32(&cc.members->removed, 1);
	cc_unlock(&cc.members->lock);

	if (news && self)
	{
		cc_log(CC_WARN, "this node was removed from its group; it drops its "
			   "cache and stays alone");
		cc_news_forgotten(NULL);
		/* not again at every start: what our file holds came after that */
		if (cc_state_phase() > CC_LOADING)
			drop_cache();
	}
	else if (news && name[0] != '\0')
	{
		cc_log(CC_LOG, "\"%s\" was removed from the group", name);
		cc_news_forgotten(name);
	}
}

/* Kept as an entry, so that we know it after a restart too. */
void
cc_membership_cast_out(void)
{
	char		key[CC_ID_KEY_LEN];

	cc_entries_key(key, 'r', &cc.state->id);
	(void) cc_entries_write(key, sizeof(key), NULL, 0);
}

static void
follow_cluster(const CcEntry *e)
{
	CcNodeId	id;
	uint64		oldest;

	if (!cc_entries_parse_cluster(e, &id, &oldest))
		return;
	cc_lock_exclusive(&cc.state->lock);
	cc.state->cluster_id = id;
	cc_unlock(&cc.state->lock);
}

static void
follow(const char *key, uint16 keylen, const CcEntry *e)
{
	CcNodeId	id;

	if (keylen == 1 && key[0] == 'c')
		follow_cluster(e);
	if (keylen != CC_ID_KEY_LEN)
		return;
	memcpy(id.b, key + 1, CC_ID_LEN);
	if (key[0] == 'm')
		follow_member(&id, e);
	else if (key[0] == 'r')
		follow_removal(&id);
}

/*
 * The entry is read without members->lock, so another may have followed a
 * newer state of it meanwhile, and be overwritten by us.  Hence who has
 * followed looks again, until nothing is newer than what he followed: the
 * last to write the table has then seen the newest.
 */
void
cc_membership_note(const char *key, uint16 keylen)
{
	CcBuf		buf;
	CcEntry		e;
	CcEntry		followed;
	bool		first = true;

	cc_news_namespace(key, keylen);
	cc_heal_note(key, keylen);
	if (keylen == 0 || (key[0] != 'm' && key[0] != 'r' && key[0] != 'c'))
		return;					/* namespaces are the cache's own */

	cc_buf_init(&buf);
	while (cc_entries_read(key, keylen, &e, &buf) &&
		   (first || cc_cache_compare(&e, &followed) != 0))
	{
		first = false;
		followed = e;
		follow(key, keylen, &e);
		cc_yield();
	}
	cc_buf_free(&buf);
}

/* Copies the keys of the partition's system entries, each behind its length. */
static void
collect_system_keys(CcPartitionShared *p, CcBuf *keys)
{
	const CcListShared *list = &p->list[CC_LIST_SYSTEM];

	for (;;)
	{
		Size		need;
		uint32		chunk;

		cc_store_lock(p, false);
		need = (Size) list->count * (2 + CC_MAX_KEY);
		chunk = need <= cc_buf_room(keys) ? list->newest : CC_NIL;
		while (chunk != CC_NIL)
		{
			CcHeaderShared *h = cc_store_header(p, chunk);

			cc_buf_put_u16(keys, h->keylen);
			cc_store_copy_key(p, h, keys->data + keys->len);
			keys->len += h->keylen;
			chunk = h->next;
		}
		cc_store_unlock(p);
		if (need <= cc_buf_room(keys) || keys->len > 0)
			return;
		cc_buf_reserve(keys, need);
	}
}

void
cc_membership_rebuild(void)
{
	CcMembersShared *ms = cc.members;
	CcBuf		keys;

	cc_buf_init(&keys);
	for (uint32 i = 0; i < cc.store->npartitions; i++)
	{
		CcReader	r;

		keys.len = 0;
		collect_system_keys(cc_store_partition((int) i), &keys);
		cc_reader_init(&r, keys.data, keys.len);
		while (cc_reader_left(&r) > 0)
		{
			uint16		len = cc_read_u16(&r);

			cc_membership_note(cc_read_bytes(&r, len), len);
		}
	}
	cc_buf_free(&keys);

	/* what the slots said of us may have been of another identity */
	cc_lock_exclusive(&ms->lock);
	ms->self = CC_MAX_MEMBERS;
	for (uint32 i = 0; i < ms->nmembers; i++)
	{
		CcMemberShared *m = &ms->member[i];

		m->self = cc_id_cmp(&m->id, &cc.state->id) == 0;
		m->want_full = cc.state->unclean;
		/* the files name these; afterwards nobody knows who is which */
		m->owe_full = cc_state_phase() <= CC_LOADING ? cc.state->owes :
			cc.state->owes_new;
		if (m->self)
			ms->self = i;
	}
	cc_membership_unsettle();
	cc_unlock(&ms->lock);
}

void
cc_membership_self(uint64 *joined, char name[CC_NAME_LEN],
				   char address[CC_ADDRESS_LEN])
{
	*joined = 0;
	name[0] = '\0';
	address[0] = '\0';

	cc_lock_shared(&cc.members->lock);
	if (cc.members->self < CC_MAX_MEMBERS)
	{
		const CcMemberShared *m = &cc.members->member[cc.members->self];

		*joined = m->joined;
		strlcpy(name, m->name, CC_NAME_LEN);
		strlcpy(address, m->address, CC_ADDRESS_LEN);
	}
	cc_unlock(&cc.members->lock);
}

void
cc_membership_announce(const char *name, const char *address)
{
	char		key[CC_ID_KEY_LEN];
	CcMemberEntry v;
	CcBuf		buf;
	CcBuf		value;
	CcEntry		e;
	bool		there;

	if (pg_atomic_read_u32(&cc.members->removed) != 0)
		return;

	cc_buf_init(&buf);
	cc_buf_init(&value);
	memset(&v, 0, sizeof(v));
	cc_entries_key(key, 'm', &cc.state->id);
	there = cc_entries_read(key, sizeof(key), &e, &buf) &&
		cc_entries_parse_member(&e, &v);
	if (!there)
		v.joined = cc_hlc_tick(&cc.state->hlc);
	v.incarnation = cc.state->incarnation;
	if (name != NULL)
		cc_entries_text(v.name, sizeof(v.name), name, strlen(name));
	if (address != NULL)
		cc_entries_text(v.address, sizeof(v.address), address, strlen(address));

	cc_entries_build_member(&value, &v);
	if (!there || e.vallen != value.len ||
		memcmp(e.value, value.data, value.len) != 0)
		(void) cc_entries_write(key, sizeof(key), value.data, value.len);
	cc_buf_free(&value);
	cc_buf_free(&buf);
}

bool
cc_membership_meet(const CcNodeId *id, uint64 incarnation, uint64 joined,
				   const char *name, const char *address)
{
	char		key[CC_ID_KEY_LEN];
	CcMemberEntry v;
	CcBuf		buf;
	CcEntry		e;
	bool		there;
	bool		room;

	cc_lock_shared(&cc.members->lock);
	room = find_slot(id) >= 0 || cc.members->nmembers < CC_MAX_MEMBERS;
	cc_unlock(&cc.members->lock);
	if (!room)
		return false;

	cc_buf_init(&buf);
	cc_entries_key(key, 'r', id);
	there = cc_entries_read(key, sizeof(key), &e, &buf);
	key[0] = 'm';
	if (!there)
		there = cc_entries_read(key, sizeof(key), &e, &buf);
	if (!there)
	{
		v.incarnation = incarnation;
		v.joined = joined != 0 ? joined : cc_hlc_tick(&cc.state->hlc);
		cc_entries_text(v.name, sizeof(v.name), name, strlen(name));
		cc_entries_text(v.address, sizeof(v.address), address, strlen(address));
		cc_entries_build_member(&buf, &v);
		(void) cc_entries_write(key, sizeof(key), buf.data, buf.len);
	}
	else
		cc_membership_note(key, sizeof(key));	/* it is only just there */
	cc_buf_free(&buf);
	return cc_membership_find(id) >= 0;
}

static void
get_cluster_id(CcNodeId *id)
{
	cc_lock_shared(&cc.state->lock);
	*id = cc.state->cluster_id;
	cc_unlock(&cc.state->lock);
}

static void
write_cluster(const CcNodeId *id, uint64 oldest)
{
	CcBuf		b;

	cc_buf_init(&b);
	cc_entries_build_cluster(&b, id, oldest);
	(void) cc_entries_write("c", 1, b.data, b.len);
	cc_buf_free(&b);
}

/* All positions below it must be on disk; 0: no need. */
static uint64
noted(int slot)
{
	CcStateShared *s = cc.state;
	uint64		pos;

	cc_lock_shared(&cc.members->lock);
	pos = cc.members->member[slot].noted;
	cc_unlock(&cc.members->lock);
	if (!s->persist || pg_atomic_read_u32(&s->journal_failed) != 0 ||
		pg_atomic_read_u64(&s->synced) >= pos)
		return 0;
	return pos;
}

bool
cc_membership_kept(int slot)
{
	uint64		pos = noted(slot);

	if (pos == 0)
		return true;
	cc_atomic_raise(&cc.state->sync_wanted, pos);
	cc_wake_writer();
	return false;
}

void
cc_membership_keep(int slot)
{
	uint64		pos = noted(slot);

	if (pos > 0)
		cc_cache_wait_journal(pos - 1, true);
}

/* PROTOCOL.md, cluster id. */
void
cc_membership_found(void)
{
	CcNodeId	id;
	uint64		now = pg_atomic_read_u64(&cc.state->hlc);
	char		text[CC_ID_TEXT_LEN];

	get_cluster_id(&id);
	if (!cc_id_is_zero(&id) || pg_atomic_read_u32(&cc.members->removed) != 0)
		return;
	cc_random(&id, sizeof(id));
	write_cluster(&id, Min(cc_membership_oldest(), now));
	cc_log(CC_LOG, "began a new group, cluster id %s", cc_id_text(&id, text));
	cc_news_group("began", &id);
}

/*
 * Both sides of the meeting come to the same choice, as both compare the same
 * four numbers; so it does not matter which of their entries is the later.
 */
void
cc_membership_merge_cluster(const CcNodeId *theirs, uint64 their_oldest)
{
	CcNodeId	id;
	uint64		oldest;
	char		text[CC_ID_TEXT_LEN];

	get_cluster_id(&id);
	if (cc_id_is_zero(theirs) || cc_id_cmp(theirs, &id) == 0)
		return;
	oldest = cc_membership_oldest();
	if (cc_id_is_zero(&id) || their_oldest < oldest ||
		(their_oldest == oldest && cc_id_cmp(theirs, &id) < 0))
	{
		cc_log(CC_LOG, "joined the group with cluster id %s",
			   cc_id_text(theirs, text));
		cc_news_group("joined", theirs);
		id = *theirs;
		oldest = their_oldest;
	}
	/* ours too is written anew, so as to be later than what comes from them */
	write_cluster(&id, oldest);
}

uint64
cc_membership_oldest(void)
{
	CcBuf		buf;
	CcEntry		e;
	CcNodeId	id;
	uint64		oldest = PG_UINT64_MAX;
	bool		found;

	cc_buf_init(&buf);
	found = cc_entries_read("c", 1, &e, &buf) &&
		cc_entries_parse_cluster(&e, &id, &oldest);
	cc_buf_free(&buf);
	if (found)
		return oldest;

	oldest = PG_UINT64_MAX;
	cc_lock_shared(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		const CcMemberShared *m = &cc.members->member[i];

		if (!m->removed && m->joined != 0)
			oldest = Min(oldest, m->joined);
	}
	cc_unlock(&cc.members->lock);
	return oldest;
}

bool
cc_membership_forget(const CcNodeId *id)
{
	char		key[CC_ID_KEY_LEN];
	int			slot;
	bool		may = false;

	cc_lock_shared(&cc.members->lock);
	slot = find_slot(id);
	if (slot >= 0)
		may = cc_membership_is_peer(&cc.members->member[slot]);
	cc_unlock(&cc.members->lock);
	if (!may)
		return false;

	cc_entries_key(key, 'r', id);
	return cc_entries_write(key, sizeof(key), NULL, 0);
}

uint64
cc_membership_hash_locked(void)
{
	CcNodeId	id[CC_MAX_MEMBERS];
	int			n = 0;
	uint64		h[2];

	/* sorted by insertion: they are few */
	for (uint32 i = 0; i < cc.members->nmembers; i++)
	{
		const CcMemberShared *m = &cc.members->member[i];
		int			at = n;

		if (m->removed)
			continue;
		for (; at > 0 && cc_id_cmp(&id[at - 1], &m->id) > 0; at--)
			id[at] = id[at - 1];
		id[at] = m->id;
		n++;
	}
	cc_hash128(id, (Size) n * sizeof(CcNodeId), 0, h);
	return Max(h[0], 1);
}

uint64
cc_membership_hash(void)
{
	uint64		hash;

	cc_lock_shared(&cc.members->lock);
	hash = cc_membership_hash_locked();
	cc_unlock(&cc.members->lock);
	return hash;
}

int
cc_membership_count(int *reachable)
{
	int			members = 1;
	int			up = 1;
	bool		alone = pg_atomic_read_u32(&cc.members->removed) != 0;

	cc_lock_shared(&cc.members->lock);
	for (uint32 i = 0; i < cc.members->nmembers && !alone; i++)
	{
		if (!cc_membership_is_peer(&cc.members->member[i]))
			continue;
		members++;
		if (cc_detector_is_up(&cc.members->member[i]))
			up++;
	}
	cc_unlock(&cc.members->lock);
	if (reachable != NULL)
		*reachable = up;
	return members;
}
