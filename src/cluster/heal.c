/*-------------------------------------------------------------------------
 *
 * heal.c
 *	  The resolver; see heal.h.  What is walked for one-sided changes is in
 *	  walk.c.
 *
 * Promises: only the resolver decides, when the component and the key's
 * originals have been unchanged for the grace, and only what is the same then
 * (PROTOCOL.md, resolver).  A step ends after a bounded number of keys and a
 * bounded time, so that heartbeats are not late for it.  A namespace that
 * cannot be decided holds up no other.
 *
 * Locking: none held; see heal.h.
 *
 * May include: base/, cache/, cluster/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/heal.h"

#include "cluster/entries.h"

/* Keys of a step, those that are fetched at a time, and its time in ms */
#define STEP_KEYS		256
#define BATCH			32
#define STEP_MS			20

/* Between passes over what is pending, in ms */
#define PASS_MS			100
#define SLOW_PASS_MS	1000

/* A slow pass takes at most this part of the time, but for the longest pause */
#define SLOW_SHARE		100
#define LONGEST_PAUSE	(30 * 1000)

/* Keys that are asked about in a second (PROTOCOL.md, ask) */
#define ASKS			64

/* The longest that an attempt to merge is put off; beyond it a clock was set */
#define LONGEST_RETRY	(15 * 60 * 1000)

/* Keys that cc_heal_merger_wanted looks at, at a time */
#define LOOK_KEYS		1024

/* The log is told when so many ms have passed without a decision, or in all */
#define TALLY_QUIET		1000
#define TALLY_LONGEST	10000

StaticAssertDecl(BATCH >= CC_CONFLICT_KEYS, "a walk needs so much room");

/* What a step works with; too much for a stack */
typedef struct Job
{
	CcRoll		roll;
	CcKeyState	ks;
	CcBuf		buf;
	CcConflictKey key[BATCH];
} Job;

Size
cc_heal_size(void)
{
	return sizeof(CcHealShared);
}

void
cc_heal_init(void *mem)
{
	CcHealShared *h = mem;

	cc.heal = h;
	memset(mem, 0, sizeof(*h));
	for (int i = 0; i < CC_MAX_NAMESPACES; i++)
	{
		pg_atomic_init_u64(&h->walked[i], 0);
		pg_atomic_init_u64(&h->told[i], 0);
		pg_atomic_init_u64(&h->requested[i], 0);
		pg_atomic_init_u64(&h->heeded[i], 0);
		pg_atomic_init_u64(&h->stopped[i], 0);
		pg_atomic_init_u64(&h->failed[i], 0);
		pg_atomic_init_u64(&h->failed_until[i], 0);
	}
	pg_atomic_init_u64(&h->ripe, 0);
}

static Job *
begin_job(void)
{
	Job		   *job = cc_alloc(sizeof(Job));

	cc_buf_init(&job->buf);
	cc_policy_roll(&job->roll);
	return job;
}

static void
end_job(Job *job)
{
	cc_buf_free(&job->buf);
	cc_free(job);
}

static CcOnSplit
policy_of(uint16 ns)
{
	return pg_atomic_read_u32(&cc_namespace(ns)->on_split);
}

/* ------------------------------------------------------------------------
 * System entries
 * ------------------------------------------------------------------------
 */

uint16
cc_heal_key(uint16 ns, char letter, char key[CC_SYSTEM_KEY_MAX])
{
	const CcNamespaceShared *n = cc_namespace(ns);
	Size		dlen = strlen(n->database);
	Size		nlen = strlen(n->name);

	key[0] = letter;
	memcpy(key + 1, n->database, dlen + 1);
	memcpy(key + 2 + dlen, n->name, nlen);
	return (uint16) (2 + dlen + nlen);
}

/* The namespace that a key names; CC_NO_NS when it is malformed. */
static uint16
named(const char *key, uint16 keylen)
{
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	const char *zero = memchr(key + 1, '\0', keylen - 1);
	Size		dlen;
	Size		nlen;

	if (zero == NULL)
		return CC_NO_NS;
	dlen = zero - (key + 1);
	nlen = keylen - 2 - dlen;
	if (dlen >= CC_NAME_LEN || nlen == 0 || nlen >= CC_NAME_LEN ||
		memchr(zero + 1, '\0', nlen) != NULL)
		return CC_NO_NS;
	memcpy(database, key + 1, dlen + 1);
	memcpy(name, zero + 1, nlen);
	name[nlen] = '\0';
	return cc_state_namespace(database, name);
}

void
cc_heal_note(const char *key, uint16 keylen)
{
	CcBuf		buf;
	CcEntry		e;
	CcReader	r;
	uint64		walked;
	uint16		ns;

	if (keylen < 3 || (key[0] != 'w' && key[0] != 'q') ||
		(ns = named(key, keylen)) == CC_NO_NS)
		return;
	cc_buf_init(&buf);
	if (cc_entries_read(key, keylen, &e, &buf))
	{
		cc_reader_init(&r, e.value, e.vallen);
		if (key[0] == 'q')
			cc_atomic_raise(&cc.heal->requested[ns], e.hlc);
		else
		{
			walked = cc_read_u64(&r);
			cc_atomic_raise(&cc.heal->told[ns], walked);
			cc_atomic_raise(&cc.heal->walked[ns], walked);
		}
	}
	cc_buf_free(&buf);
}

void
cc_heal_request(uint16 ns)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	uint32		from = ns == CC_NO_NS ? CC_NS_SYSTEM + 1 : ns;
	uint32		to = ns == CC_NO_NS ? n : (uint32) ns + 1;

	for (uint32 i = from; i < to; i++)
	{
		char		key[CC_SYSTEM_KEY_MAX];
		uint16		len;

		if (ns == CC_NO_NS && !cc_namespace_has(i, CC_NS_KEEPS))
			continue;
		len = cc_heal_key((uint16) i, 'q', key);
		(void) cc_entries_write(key, len, NULL, 0);
	}
}

/*
 * HLC of the last word on the conflicts of a namespace: by cache_heal, or by a
 * declaration, as a new policy decides what waits.
 */
static uint64
last_word(uint16 ns)
{
	return Max(pg_atomic_read_u64(&cc.heal->requested[ns]),
			   pg_atomic_read_u64(&cc_namespace(ns)->version));
}

/*
 * What was asked for is tried again on all nodes: any may be the resolver.  A
 * word that comes meanwhile begins anew.  True when there is more to do at once.
 */
static bool
heed_requests(int64 now)
{
	CcHealShared *h = cc.heal;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint64		word = last_word((uint16) ns);

		if (pg_atomic_read_u64(&h->heeded[ns]) >= word)
			continue;
		if (h->heeding[ns] != word)
		{
			h->heeding[ns] = word;
			memset(&h->heed[ns], 0, sizeof(h->heed[ns]));
		}
		while (cc_conflict_retry(&h->heed[ns], (uint16) ns))
		{
			if (cc_monotonic_ms() - now >= STEP_MS)
				return true;
		}
		cc_atomic_raise(&h->heeded[ns], word);
	}
	return false;
}

/* ------------------------------------------------------------------------
 * What may be decided
 * ------------------------------------------------------------------------
 */

bool
cc_heal_may_decide(void)
{
	return cc_state_phase() == CC_READY && cc_reach_is_resolver() &&
		(!cc_rule(grace) ||
		 cc_monotonic_ms() - cc_reach_since() >= CC_HEAL_GRACE) &&
		!cc_reach_meets(cc_monotonic_ms());
}

/* A time that lies ahead although it cannot: the clock was set back. */
bool
cc_heal_is_due(const CcKeyState *ks, int64 now_ms)
{
	if (ks->retry_at == PG_INT64_MAX ||
		(ks->retry_at > now_ms && ks->retry_at <= now_ms + LONGEST_RETRY))
		return false;
	return !cc_rule(grace) || ks->since > now_ms ||
		now_ms - ks->since >= CC_HEAL_GRACE;
}

/* Whether nothing is left of any original. */
static bool
all_null(const CcKeyState *ks, int64 now)
{
	CcEntry		view;

	for (int i = 0; i < ks->n; i++)
	{
		if (cc_conflict_view(&ks->original[i], now, &view))
			return false;
	}
	return true;
}

/* The decision that is one of the originals, as it is now. */
static void
choose(const CcEntry *original, CcHow how, int64 now, CcDecision *d)
{
	static const CcEntry gone = {.type = CC_STUB};
	CcEntry		view;

	cc_conflict_choose(cc_conflict_view(original, now, &view) ? original : &gone,
					   how, d);
}

/* ------------------------------------------------------------------------
 * Decisions
 * ------------------------------------------------------------------------
 */

static void
count_decision(uint16 ns, int64 now, const CcKeyState *ks, int chosen,
			   const CcDecision *d)
{
	CcHealTally *t = &cc.heal->tally[ns];

	if (t->last == 0)
	{
		t->at = now;
		cc_log(CC_LOG, "conflicts in cache namespace \"%s\" of database \"%s\" "
			   "are being decided by policy %s: " UINT64_FORMAT " so far",
			   cc_namespace(ns)->name, cc_namespace(ns)->database,
			   cc_namespace_on_split[policy_of(ns)],
			   cc_conflict_count(ns) + 1);
	}
	t->last = Max(now, 1);
	if (d->type == CC_STUB)
		t->deleted++;
	else if (chosen == ks->served)
		t->ours++;
	else
		t->theirs++;
	cc.heal->tallied = true;
}

/* One line for many decisions. */
static void
tell_decisions(int64 now)
{
	CcHealShared *h = cc.heal;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	if (!h->tallied)
		return;
	h->tallied = false;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcHealTally *t = &h->tally[ns];

		if (t->last == 0)
			continue;
		if (now - t->last < TALLY_QUIET && now - t->at < TALLY_LONGEST)
		{
			h->tallied = true;
			continue;
		}
		cc_log(CC_LOG, "conflicts in cache namespace \"%s\" of database \"%s\" "
			   "were decided by policy %s: %u, of which %u keep what this node "
			   "had, %u take another node's value, %u are deleted",
			   cc_namespace(ns)->name, cc_namespace(ns)->database,
			   cc_namespace_on_split[policy_of((uint16) ns)],
			   t->ours + t->theirs + t->deleted,
			   t->ours, t->theirs, t->deleted);
		memset(t, 0, sizeof(*t));
	}
}

/* By the namespace's policy, or as there is nothing to choose from. */
static void
decide(const CcConflictKey *k, Job *job, int64 now)
{
	int64		ms = cc_hlc_now_ms(&cc.state->hlc);
	CcOnSplit	policy = policy_of(k->ns);
	CcPolicyFn	fn = cc_policy[policy];
	CcDecision	d;
	int			chosen = job->ks.served;
	CcResult	result;

	if (fn != NULL)
	{
		chosen = fn(&job->ks, &job->roll, ms);
		choose(&job->ks.original[chosen], (CcHow) policy, ms, &d);
	}
	else if (all_null(&job->ks, ms))
		choose(&job->ks.original[chosen], CC_HOW_LATEST, ms, &d);
	else
		return;
	result = cc_conflict_decide(k->ns, k->key, k->keylen, &job->ks, &d);
	if (result == CC_DONE)
		count_decision(k->ns, now, &job->ks, chosen, &d);
	else if (result == CC_TOO_LARGE)
		cc_conflict_failed(k->ns, k->key, k->keylen, &job->ks,
						   "there is no room for the decision",
						   cc_clock_ms() + 60 * 1000);
}

/*
 * PROTOCOL.md, ask: each time that a key has been pending for twice as long,
 * since what came as somebody's question may be older than all answers.
 */
static void
ask(const CcConflictKey *k, const CcKeyState *ks, int64 now)
{
	CcHealShared *h = cc.heal;
	CcChange	c = {.op = CC_OP_REDOT, .ask = true};
	CcOutcome	o;

	if (now - h->ask_second >= 1000)
	{
		h->ask_second = now;
		h->asked = 0;
	}
	if (h->asked >= ASKS)
		return;
	h->asked++;
	c.ns = k->ns;
	c.key = k->key;
	c.keylen = k->keylen;
	c.entry = &ks->original[ks->served];
	(void) cc_cache_change(&c, &o);
}

static void
look_at(const CcConflictKey *k, Job *job, int64 now, int64 peer_timeout,
		bool deciding)
{
	CcKeyState *ks = &job->ks;
	int64		ms = cc_clock_ms();

	if (!cc_conflict_read(k->ns, k->key, k->keylen, ks, &job->buf))
		return;
	if (!cc_siblings_pending(ks))
	{
		/* a horizon has left one of them: it is made what is stored, too */
		cc_conflict_failed(k->ns, k->key, k->keylen, NULL, NULL, 0);
		return;
	}
	if (deciding && cc_heal_is_due(ks, ms))
		decide(k, job, now);
	if (cc_rule(ask) &&
		ms - ks->since > 2 * peer_timeout << Min(ks->tries, 10))
		ask(k, ks, now);
}

/* ------------------------------------------------------------------------
 * Passes
 *
 * A quick pass looks at the namespaces whose conflicts this node decides by
 * itself.  A slow one looks at all: for those that wait for people or mergers
 * and of which nothing is left, and for what must be asked about.
 * ------------------------------------------------------------------------
 */

static bool
wants_pass(uint16 ns, bool slow, bool deciding)
{
	return cc_conflict_count(ns) > 0 &&
		(slow || (deciding && cc_policy[policy_of(ns)] != NULL));
}

/* Goes on to the next namespace; false when the pass is over. */
static bool
next_namespace(int64 now, bool deciding)
{
	CcHealShared *h = cc.heal;
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	memset(&h->pass, 0, sizeof(h->pass));
	while (++h->pass_ns < n)
	{
		if (wants_pass(h->pass_ns, h->pass_slow, deciding))
			return true;
	}
	h->pass_ns = CC_NS_SYSTEM;
	h->next_pass = now + PASS_MS;
	if (h->pass_slow)
		h->next_slow = now + Min(Max((now - h->pass_began) * SLOW_SHARE,
									 SLOW_PASS_MS), LONGEST_PAUSE);
	return false;
}

static bool
begin_pass(int64 now, bool deciding)
{
	CcHealShared *h = cc.heal;

	if (now < h->next_pass)
		return false;
	h->pass_slow = now >= h->next_slow;
	h->pass_began = now;
	return next_namespace(now, deciding);
}

/* Part of a pass; true when there is more to do at once. */
static bool
pass_some(int64 now, int64 peer_timeout)
{
	CcHealShared *h = cc.heal;
	bool		deciding = cc_heal_may_decide();
	int			left = STEP_KEYS;
	Job		   *job;

	if (h->pass_ns == CC_NS_SYSTEM && !begin_pass(now, deciding))
		return false;
	job = begin_job();
	while (left > 0 && cc_monotonic_ms() - now < STEP_MS)
	{
		int			n = cc_conflict_next(&h->pass, h->pass_ns, job->key, BATCH);

		for (int i = 0; i < n; i++)
			look_at(&job->key[i], job, now, peer_timeout, deciding);
		left -= n;
		if (n == 0 && !next_namespace(now, deciding))
			break;
	}
	end_job(job);
	return h->pass_ns != CC_NS_SYSTEM;
}

/*
 * The resolver may know that a namespace need not be walked any more, as what
 * ended did so under another policy, where others, who have started since or have
 * just learnt of the namespace, do not: they would wait for its word for ever.
 */
static void
say_walked(void)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	if (pg_atomic_read_u32(&cc.apart->any) == 0 || !cc_heal_may_decide())
		return;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		uint64		walked = pg_atomic_read_u64(&cc.heal->walked[ns]);
		CcOnSplit	policy = policy_of((uint16) ns);
		char		key[CC_SYSTEM_KEY_MAX];
		char		value[8];
		CcBuf		b = {.data = value, .len = 0, .cap = sizeof(value)};
		CcBuf		buf;
		CcEntry		e;
		CcReader	r;
		uint64		has = 0;
		uint16		len;

		if (cc.heal->said[ns] >= walked ||
			(policy != CC_SPLIT_OLDEST_ISLAND &&
			 policy != CC_SPLIT_LARGEST_ISLAND && !cc_heal_is_full((uint16) ns)))
			continue;
		cc_buf_init(&buf);
		len = cc_heal_key((uint16) ns, 'w', key);
		if (cc_entries_read(key, len, &e, &buf))
		{
			cc_reader_init(&r, e.value, e.vallen);
			has = cc_read_u64(&r);
		}
		cc_buf_free(&buf);
		cc_buf_put_u64(&b, walked);
		if (has < walked)
			(void) cc_entries_write(key, len, value, sizeof(value));
		cc.heal->said[ns] = walked;
	}
}

int64
cc_heal_step(int64 now, int64 peer_timeout)
{
	CcHealShared *h = cc.heal;
	bool		more;

	if (cc_state_phase() != CC_READY ||
		pg_atomic_read_u32(&cc.members->removed) != 0)
		return now + SLOW_PASS_MS;
	more = heed_requests(now);
	cc_heal_ripen(now, peer_timeout);
	more |= pass_some(now, peer_timeout);
	more |= cc_heal_walk_step();
	say_walked();
	tell_decisions(now);
	if (more)
		return now;
	return cc_conflict_count(CC_NO_NS) > 0 ? Max(h->next_pass, now + 1) :
		now + SLOW_PASS_MS;
}

/* ------------------------------------------------------------------------
 * Questions of others
 * ------------------------------------------------------------------------
 */

bool
cc_heal_has_stopped(uint16 ns)
{
	uint64		stopped = pg_atomic_read_u64(&cc.heal->stopped[ns]);

	return stopped != 0 &&
		last_word(ns) <= stopped &&
		pg_atomic_read_u64(&cc.heal->ripe) <= stopped;
}

bool
cc_heal_has_failed(uint16 ns)
{
	uint64		failed = pg_atomic_read_u64(&cc.heal->failed[ns]);

	return failed != 0 && last_word(ns) <= failed &&
		(uint64) cc_clock_ms() <
		pg_atomic_read_u64(&cc.heal->failed_until[ns]);
}

void
cc_heal_failed(uint16 ns, int64 until)
{
	pg_atomic_write_u64(&cc.heal->failed_until[ns], (uint64) until);
	pg_atomic_write_u64(&cc.heal->failed[ns], cc_namespace_now());
}

/* Whether one of the next pending keys of the namespace is due. */
static bool
finds_due(uint16 ns)
{
	Job		   *job = begin_job();
	CcConflictWalk *w = &cc.heal->look[ns];
	bool		found = false;

	for (int left = LOOK_KEYS; left > 0 && !found;)
	{
		int			n = cc_conflict_next(w, ns, job->key, BATCH);

		for (int i = 0; i < n && !found; i++)
		{
			const CcConflictKey *k = &job->key[i];

			found = cc_conflict_read(k->ns, k->key, k->keylen, &job->ks,
									 &job->buf) &&
				cc_siblings_pending(&job->ks) &&
				cc_heal_is_due(&job->ks, cc_clock_ms());
		}
		if (n == 0)
			break;
		left -= n;
	}
	end_job(job);
	return found;
}

bool
cc_heal_merger_wanted(uint16 ns)
{
	CcOneSidedWalk w;

	if (policy_of(ns) != CC_SPLIT_MERGE || !cc_heal_may_decide() ||
		cc_heal_has_stopped(ns))
		return false;
	if (cc_conflict_count(ns) > 0 && finds_due(ns))
		return true;
	return cc_heal_is_full(ns) && cc_heal_walk_begin(ns, &w);
}

/* The original of the winner's island, the newest of several; -1: none. */
static int
of_winner(const Job *job, const CcNodeId *winner)
{
	const CcKeyState *ks = &job->ks;
	int			best = -1;

	for (int i = 0; i < ks->n; i++)
	{
		const CcEntry *e = &ks->original[i];
		const CcNodeId *writer = &cc_origin(e->writer)->node;

		if (cc_id_cmp(writer, winner) != 0 &&
			(cc_apart_out_of_reach(writer, winner, e->hlc) ||
			 cc_apart_out_of_reach(winner, writer, e->hlc)))
			continue;
		if (best < 0 || cc_cache_compare(e, &ks->original[best]) > 0)
			best = i;
	}
	return best;
}

/* The next keys of the walk; false when it is over. */
static bool
win_some(uint16 ns, const CcNodeId *winner, CcConflictWalk *w, uint64 *decided)
{
	Job		   *job = begin_job();
	int			n = cc_conflict_next(w, ns, job->key, BATCH);

	for (int i = 0; i < n; i++)
	{
		const CcConflictKey *k = &job->key[i];
		CcDecision	d;
		int			chosen;

		if (!cc_conflict_read(k->ns, k->key, k->keylen, &job->ks, &job->buf) ||
			!cc_siblings_pending(&job->ks) ||
			(chosen = of_winner(job, winner)) < 0)
			continue;
		choose(&job->ks.original[chosen], CC_HOW_HEAL,
			   cc_hlc_now_ms(&cc.state->hlc), &d);
		if (cc_conflict_decide(k->ns, k->key, k->keylen, &job->ks,
							   &d) == CC_DONE)
			(*decided)++;
	}
	end_job(job);
	return n > 0;
}

uint64
cc_heal_winner(uint16 ns, const CcNodeId *winner)
{
	CcConflictWalk w = {0};
	uint64		decided = 0;

	while (win_some(ns, winner, &w, &decided))
		cc_check_interrupts();
	return decided;
}
