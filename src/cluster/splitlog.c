/*-------------------------------------------------------------------------
 *
 * splitlog.c
 *	  The history of splits: what people are told.  It decides nothing.  See
 *	  splits.h.
 *
 * A row stands for one member that could not be reached.  It begins when that
 * is noticed and ends when the member is reached again, or is no member any
 * more; a restart of ours in between changes neither.
 *
 * A first meeting has a row too, so that conflicts which come of it are shown;
 * until there are some nobody sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "base/events.h"
#include "cache/namespace.h"
#include "cluster/heal.h"
#include "cluster/splits.h"

/* What came of a split is told so long after it ended, in ms */
#define TELL_FIRST		2000
#define TELL_LAST		60000
#define TELL_AGAIN		1000

#define ISLAND_TEXT		110		/* of an island in an event */
#define LINE_LEN		400
#define TELL_NAMESPACES	5

Size
cc_splits_size(int cap)
{
	return offsetof(CcSplitsShared, split) + (Size) cap * sizeof(CcSplit);
}

void
cc_splits_init(void *mem, int cap)
{
	cc.splits = mem;
	memset(mem, 0, cc_splits_size(cap));
	pg_atomic_init_u64(&cc.splits->loaded, 0);
	pg_atomic_init_u64(&cc.splits->ready, 0);
	pg_atomic_init_u32(&cc.splits->dirty, 0);
	cc.splits->cap = cap;
	cc.splits->next_id = 1;
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

static void
change_dirty(void)
{
	pg_atomic_write_u32(&cc.splits->dirty, 1);
}

/* The newest row with a peer, or NULL.  Under the lock, as all of these. */
static CcSplit *
newest_with(const CcNodeId *peer)
{
	for (int i = cc.splits->n - 1; i >= 0; i--)
	{
		if (cc_id_cmp(&cc.splits->split[i].peer, peer) == 0)
			return &cc.splits->split[i];
	}
	return NULL;
}

static void
remove_row(int i)
{
	CcSplitsShared *s = cc.splits;

	memmove(&s->split[i], &s->split[i + 1], (s->n - i - 1) * sizeof(CcSplit));
	s->n--;
}

/* Removes the oldest row that ended, of those that nobody sees or of all. */
static bool
remove_oldest(bool unseen)
{
	for (int i = 0; i < cc.splits->n; i++)
	{
		const CcSplit *row = &cc.splits->split[i];

		if (row->healed_at != 0 && (!unseen || row->id == 0))
		{
			remove_row(i);
			return true;
		}
	}
	return false;
}

bool
cc_splits_make_room(void)
{
	return cc.splits->n < cc.splits->cap || remove_oldest(true) ||
		remove_oldest(false);
}

/* All that are open, and the last ones that ended. */
static void
trim_rows(void)
{
	CcSplitsShared *s = cc.splits;
	int			max = s->cap > CC_MAX_MEMBERS + 4 ?
		s->cap - CC_MAX_MEMBERS : s->cap / 2;
	int			ended = 0;

	for (int i = 0; i < s->n; i++)
		ended += s->split[i].healed_at != 0 && s->split[i].id != 0;
	for (; ended > max; ended--)
	{
		for (int i = 0; i < s->n; i++)
		{
			if (s->split[i].healed_at == 0 || s->split[i].id == 0)
				continue;
			remove_row(i);
			break;
		}
	}
}

/* NULL when all rows are of splits that are open. */
static CcSplit *
add_row(const CcSplit *row)
{
	CcSplitsShared *s = cc.splits;

	if (!cc_splits_make_room())
		return NULL;
	s->split[s->n] = *row;
	if (!row->meeting)
		s->split[s->n].id = s->next_id++;
	change_dirty();
	return &s->split[s->n++];
}

/* ------------------------------------------------------------------------
 * Islands
 * ------------------------------------------------------------------------
 */

static bool
has_name(const char *island, const char *name)
{
	Size		len = strlen(name);

	while (*island != '\0')
	{
		Size		n = strcspn(island, "\n");

		if (n == len && memcmp(island, name, n) == 0)
			return true;
		island += n + (island[n] == '\n');
	}
	return false;
}

/* A name of an island; left out where there is no room for it any more. */
static void
add_name(char island[CC_ISLAND_LEN], const char *name)
{
	Size		len = strlen(island);

	if (len + strlen(name) + 2 <= CC_ISLAND_LEN)
		snprintf(island + len, CC_ISLAND_LEN - len, "%s\n", name);
}

static void
fill_islands(CcSplit *row, const CcSplitPeers *peers)
{
	add_name(row->island[0], peers->own_name);
	for (int i = 0; i < peers->n; i++)
	{
		const CcSplitPeer *p = &peers->peer[i];

		add_name(row->island[p->reached ? 0 : 1], p->name);
	}
}

/* As a line of the log shows it. */
static void
list_island(char *to, Size size, const char *island)
{
	Size		len = 0;

	to[0] = '\0';
	while (*island != '\0')
	{
		Size		n = strcspn(island, "\n");

		if (len + n + 5 > size)
			break;
		len += snprintf(to + len, size - len, "%s\"%.*s\"",
						len > 0 ? ", " : "", (int) n, island);
		island += n + (island[n] == '\n');
	}
}

/* As an event has it: what stands between the brackets of an array. */
static void
event_island(char to[ISLAND_TEXT], const char *island)
{
	Size		len = 0;

	to[0] = '\0';
	while (*island != '\0')
	{
		char		name[CC_NAME_LEN];
		char		text[2 * CC_NAME_LEN];
		Size		n = strcspn(island, "\n");

		if (n >= sizeof(name))
			break;
		memcpy(name, island, n);
		name[n] = '\0';
		cc_event_text(text, sizeof(text), name);
		if (len + strlen(text) + 3 > ISLAND_TEXT)
			break;
		len += snprintf(to + len, ISLAND_TEXT - len, "%s%s",
						len > 0 ? ", " : "", text);
		island += n + (island[n] == '\n');
	}
}

/* ------------------------------------------------------------------------
 * Beginnings and ends
 * ------------------------------------------------------------------------
 */

/* What a look has found, told once the lock is given up. */
typedef struct Findings
{
	int			nbegun;
	int			nended;
	CcSplit		begun[CC_MAX_MEMBERS];
	CcSplit		ended[CC_MAX_MEMBERS];
} Findings;

static const CcSplitPeer *
find_peer(const CcSplitPeers *peers, const CcNodeId *id)
{
	for (int i = 0; i < peers->n; i++)
	{
		if (cc_id_cmp(&peers->peer[i].id, id) == 0)
			return &peers->peer[i];
	}
	return NULL;
}

static void
end_rows(const CcSplitPeers *peers, Findings *f)
{
	CcSplitsShared *s = cc.splits;

	for (int i = 0; i < s->n; i++)
	{
		CcSplit    *row = &s->split[i];
		const CcSplitPeer *p = find_peer(peers, &row->peer);

		if (row->healed_at != 0 || (p != NULL && !p->reached))
			continue;
		row->healed_at = Max(cc_clock_ms(), 1);
		if (p != NULL)
			strlcpy(row->peer_name, p->name, CC_NAME_LEN);
		change_dirty();
		/* of who is no member any more that has been told */
		if (!row->meeting && p != NULL && f->nended < CC_MAX_MEMBERS)
			f->ended[f->nended++] = *row;
	}
	trim_rows();
}

static void
begin_rows(const CcSplitPeers *peers, Findings *f)
{
	CcSplit		row;

	for (int i = 0; i < peers->n; i++)
	{
		const CcSplitPeer *p = &peers->peer[i];
		const CcSplit *last;

		if (!p->out)
			continue;
		last = newest_with(&p->id);
		if (last != NULL && last->healed_at == 0)
			continue;
		memset(&row, 0, sizeof(row));
		row.peer = p->id;
		strlcpy(row.peer_name, p->name, CC_NAME_LEN);
		fill_islands(&row, peers);
		row.detected_at = Max(cc_clock_ms(), 1);
		row.began_at = Max(row.detected_at - Max(p->away_ms, 0), 1);
		last = add_row(&row);
		if (last != NULL && f->nbegun < CC_MAX_MEMBERS)
			f->begun[f->nbegun++] = *last;
	}
}

static void
tell_begun(const Findings *f)
{
	for (int i = 0; i < f->nbegun; i++)
	{
		char		island[2][ISLAND_TEXT];

		event_island(island[0], f->begun[i].island[0]);
		event_island(island[1], f->begun[i].island[1]);
		cc_event(CC_EVENT_SPLIT, f->begun[i].peer_name,
				 "\"split\": " UINT64_FORMAT ", \"island_a\": [%s], "
				 "\"island_b\": [%s]", f->begun[i].id, island[0], island[1]);
	}
}

/*
 * One line for the log for all that were lost at about the same time: once of
 * everybody who cannot be reached now that has been noticed, or some have come
 * back.
 */
static void
log_begun(const CcSplitPeers *peers)
{
	CcSplitsShared *s = cc.splits;
	CcSplit		row;
	char		a[LINE_LEN];
	char		b[LINE_LEN];

	for (int i = 0; i < peers->n; i++)
	{
		if (!peers->peer[i].reached && !peers->peer[i].out)
			return;
	}
	memset(&row, 0, sizeof(row));
	cc_lock_exclusive(&s->lock);
	for (int i = 0; i < s->n; i++)
	{
		/* the last one knows best who is on which side */
		if (!s->split[i].meeting && s->split[i].id > s->logged)
			row = s->split[i];
	}
	s->logged = s->next_id - 1;
	cc_unlock(&s->lock);
	if (row.id == 0)
		return;
	list_island(a, sizeof(a), row.island[0]);
	list_island(b, sizeof(b), row.island[1]);
	cc_log(CC_WARN, "the group is split: %s here, %s out of reach, since about "
		   "%.1f s ago; both sides go on, and what both change is decided by "
		   "on_split of its namespace when they meet again", a, b,
		   (row.detected_at - row.began_at) / 1000.0);
}

/* How many namespaces of each policy there are; "" when all are latest. */
static void
list_policies(char *to, Size size)
{
	uint32		count[CC_LAST_ON_SPLIT + 1] = {0};
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	Size		len = 0;

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint32		policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);

		if (cc_namespace_has(ns, CC_NS_DECLARED) && policy <= CC_LAST_ON_SPLIT)
			count[policy]++;
	}
	to[0] = '\0';
	for (int p = 0; p <= CC_LAST_ON_SPLIT; p++)
	{
		if (count[p] == 0 || p == CC_SPLIT_LATEST)
			continue;
		len += snprintf(to + len, size - len, "%s%s in %u",
						len > 0 ? ", " : "", cc_namespace_on_split[p],
						count[p]);
	}
}

static void
tell_ended(const Findings *f)
{
	char		policies[LINE_LEN];

	list_policies(policies, sizeof(policies));
	for (int i = 0; i < f->nended; i++)
	{
		const CcSplit *row = &f->ended[i];
		int64		ms = Max(row->healed_at - row->began_at, 0);

		cc_log(CC_LOG, "the split from \"%s\" is over after %.1f s; what both "
			   "sides wrote is compared now, and conflicts are decided by "
			   "on_split: %s%slatest in all other namespaces",
			   row->peer_name, ms / 1000.0, policies,
			   policies[0] != '\0' ? ", " : "");
		cc_event(CC_EVENT_HEAL, row->peer_name,
				 "\"split\": " UINT64_FORMAT ", \"lasted_ms\": " INT64_FORMAT,
				 row->id, ms);
	}
}

void
cc_splits_note(const CcSplitPeers *peers)
{
	CcSplitsShared *s = cc.splits;
	Findings   *f;
	bool		news = false;

	/* nearly always there is nothing to be done */
	cc_lock_shared(&s->lock);
	news = s->logged + 1 < s->next_id;
	for (int i = 0; i < s->n && !news; i++)
		news = s->split[i].healed_at == 0;
	cc_unlock(&s->lock);
	for (int i = 0; i < peers->n && !news; i++)
		news = peers->peer[i].out;
	if (!news)
		return;

	f = cc_alloc(sizeof(Findings));
	f->nbegun = f->nended = 0;
	cc_lock_exclusive(&s->lock);
	end_rows(peers, f);
	begin_rows(peers, f);
	cc_unlock(&s->lock);
	if (f->nended > 0)
	{
		if (s->tell_at == 0)
			s->ended_at = f->ended[0].healed_at;
		s->tell_at = cc_monotonic_ms() + TELL_FIRST;
		tell_ended(f);
	}
	tell_begun(f);
	log_begun(peers);
	cc_free(f);
}

void
cc_splits_note_meeting(const CcNodeId *peer, const char *name)
{
	CcSplit		row;
	const CcSplit *last;

	memset(&row, 0, sizeof(row));
	row.peer = *peer;
	row.meeting = true;
	strlcpy(row.peer_name, name, CC_NAME_LEN);
	row.detected_at = Max(cc_clock_ms(), 1);
	cc_lock_exclusive(&cc.splits->lock);
	last = newest_with(peer);
	if (last == NULL || last->healed_at != 0)
		(void) add_row(&row);
	cc_unlock(&cc.splits->lock);
}

/* ------------------------------------------------------------------------
 * What came of them
 * ------------------------------------------------------------------------
 */

/* Row of the last split from who wrote something.  Under the lock. */
static CcSplit *
row_of_writer(const CcNodeId *writer)
{
	CcSplit    *row = newest_with(writer);

	if (row != NULL)
	{
		if (row->id == 0)
			row->id = cc.splits->next_id++;
		change_dirty();
	}
	return row;
}

void
cc_splits_count_fate(const CcNodeId *writer, CcFate fate)
{
	CcSplit    *row;

	cc_lock_exclusive(&cc.splits->lock);
	row = row_of_writer(writer);
	if (row != NULL)
	{
		row->conflicts++;
		row->kept_ours += fate == CC_FATE_OURS;
		row->kept_theirs += fate == CC_FATE_THEIRS;
		row->merged += fate == CC_FATE_MERGED;
		row->deleted += fate == CC_FATE_DELETED;
	}
	cc_unlock(&cc.splits->lock);
}

void
cc_splits_count_deferred(const CcNodeId *writer)
{
	CcSplit    *row;

	cc_lock_exclusive(&cc.splits->lock);
	row = row_of_writer(writer);
	if (row != NULL)
		row->deferred++;
	cc_unlock(&cc.splits->lock);
}

void
cc_splits_show(const CcNodeId *writer)
{
	const CcSplit *row;
	bool		unseen;

	cc_lock_shared(&cc.splits->lock);
	row = newest_with(writer);
	unseen = row != NULL && row->id == 0;
	cc_unlock(&cc.splits->lock);
	if (!unseen)
		return;
	cc_lock_exclusive(&cc.splits->lock);
	(void) row_of_writer(writer);
	cc_unlock(&cc.splits->lock);
}

bool
cc_splits_get(int i, CcSplit *s)
{
	bool		found = false;

	cc_lock_shared(&cc.splits->lock);
	for (int k = 0; k < cc.splits->n && !found; k++)
	{
		if (cc.splits->split[k].id == 0 || i-- > 0)
			continue;
		*s = cc.splits->split[k];
		found = true;
	}
	cc_unlock(&cc.splits->lock);
	return found;
}

/* A name as a literal of SQL: people copy the statements that we log. */
static const char *
quote(const char *name, char to[2 * CC_NAME_LEN])
{
	char	   *p = to;

	for (; *name != '\0' && p < to + 2 * CC_NAME_LEN - 2; name++)
	{
		if (*name == '\'')
			*p++ = *name;
		*p++ = *name;
	}
	*p = '\0';
	return to;
}

/* Who knows why something was not decided. */
static const char *
resolver_name(char name[CC_NAME_LEN])
{
	int			resolver = cc_reach_resolver();

	name[0] = '\0';
	cc_lock_shared(&cc.members->lock);
	if (resolver >= 0)
		strlcpy(name, cc.members->member[resolver].name, CC_NAME_LEN);
	cc_unlock(&cc.members->lock);
	return name;
}

/* A namespace in which conflicts wait, with what can be done about it. */
static void
tell_waiting(uint16 ns, uint64 waiting)
{
	const CcNamespaceShared *n = cc_namespace(ns);
	uint32		policy = pg_atomic_read_u32(&cc_namespace(ns)->on_split);
	char		literal[2 * CC_NAME_LEN];
	char		resolver[CC_NAME_LEN];

	quote(n->name, literal);
	if (policy == CC_SPLIT_MANUAL)
		cc_log(CC_WARN, UINT64_FORMAT " conflicts wait in namespace \"%s\" of "
			   "database \"%s\", whose on_split is manual. To let the entries "
			   "of one node win run there: SELECT cache_heal('%s', winner => "
			   "'<node name>'); to decide key by key see cache_conflicts and "
			   "use cache_resolve", waiting, n->name, n->database, literal);
	else
		cc_log(CC_WARN, UINT64_FORMAT " conflicts still wait in namespace "
			   "\"%s\" of database \"%s\", whose on_split is %s. The column "
			   "error of the view cache_conflicts there says why, on node "
			   "\"%s\", which decides; once that is mended run: SELECT "
			   "cache_heal('%s')", waiting, n->name, n->database,
			   policy <= CC_LAST_ON_SPLIT ? cc_namespace_on_split[policy] : "?",
			   resolver_name(resolver), literal);
}

static void
tell_all_waiting(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	int			told = 0;

	if (cc_conflict_count(CC_NO_NS) == 0)
		return;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint64		waiting = cc_conflict_count((uint16) ns);

		if (waiting == 0)
			continue;
		if (told++ == TELL_NAMESPACES)
		{
			cc_log(CC_WARN, "conflicts wait in further namespaces, see "
				   "cache_conflicts of each database");
			break;
		}
		tell_waiting((uint16) ns, waiting);
	}
}

static void
sum_ended(int64 since, CcSplit *sum)
{
	memset(sum, 0, sizeof(*sum));
	cc_lock_shared(&cc.splits->lock);
	for (int i = 0; i < cc.splits->n; i++)
	{
		const CcSplit *row = &cc.splits->split[i];

		if (row->id == 0 || row->healed_at < since)
			continue;
		if (!has_name(sum->island[1], row->peer_name))
			add_name(sum->island[1], row->peer_name);
		sum->conflicts += row->conflicts;
		sum->kept_ours += row->kept_ours;
		sum->kept_theirs += row->kept_theirs;
		sum->merged += row->merged;
		sum->deleted += row->deleted;
		sum->deferred += row->deferred;
	}
	cc_unlock(&cc.splits->lock);
}

void
cc_splits_tell(int64 now)
{
	CcSplitsShared *s = cc.splits;
	CcSplit		sum;
	char		names[LINE_LEN];

	if (s->tell_at == 0 || now < s->tell_at)
		return;
	if (cc_heal_waiting() && cc_clock_ms() - s->ended_at < TELL_LAST)
	{
		s->tell_at = now + TELL_AGAIN;
		return;
	}
	s->tell_at = 0;
	sum_ended(s->ended_at, &sum);
	list_island(names, sizeof(names), sum.island[1]);
	if (sum.conflicts == 0 && sum.deferred == 0)
		cc_log(CC_LOG, "after the split from %s: no conflict has been decided "
			   "here", names);
	else
		cc_log(CC_LOG, "after the split from %s: " UINT64_FORMAT " conflicts "
			   "were decided (" UINT64_FORMAT " kept ours, " UINT64_FORMAT
			   " theirs, " UINT64_FORMAT " merged, " UINT64_FORMAT " deleted), "
			   UINT64_FORMAT " deferred; see cache_splits and cache_conflicts",
			   names, sum.conflicts, sum.kept_ours, sum.kept_theirs,
			   sum.merged, sum.deleted, sum.deferred);
	tell_all_waiting();
}
