/*-------------------------------------------------------------------------
 *
 * missed.c
 *	  What this transaction has looked for and not found.
 *
 * A reader who misses a key, loads it from tables and puts it stores what his
 * snapshot saw.  If the key was invalidated meanwhile that is old, and must
 * not be stored: so his put is a fill, and carries a token, an HLC that is not
 * later than the snapshot (cache.h, CcChange.fill).  What is known of the
 * snapshot is when the statement (READ COMMITTED) or transaction began; in a
 * cursor it is when that was opened.  A later miss of the same key has a later
 * token, since he loads it again.
 *
 * A miss counts until the end of the transaction, whatever is put, refused or
 * rolled back after it: what the transaction knows of the key is no newer.
 *
 * Locking: none; all is the backend's.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/xact_private.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/timestamp.h"

/* So many misses are searched one by one */
#define FEW			8

/* 1970 to 2000, in microseconds */
#define EPOCH_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct Miss
{
	uint64		hash[2];
	uint64		token;
	uint64		lsn;
	uint64		bound;
	char		status;
} Miss;

#define SH_PREFIX		misses
#define SH_ELEMENT_TYPE	Miss
#define SH_KEY_TYPE		uint64
#define SH_KEY			hash[0]
#define SH_HASH_KEY(tb, key)	((uint32) ((key) >> 32 ^ (key)))
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static Miss few[FEW];
static int	nfew;

/* All of them, when they are more than a few.  Lives in TopTransactionContext. */
static misses_hash *many;

/*
 * Two keys of one first word are taken for one: the other's put is then a fill
 * too, which can only be too careful.
 */
static Miss *
find(const uint64 hash[2])
{
	if (many != NULL)
		return misses_lookup(many, hash[0]);
	for (int i = 0; i < nfew; i++)
	{
		if (few[i].hash[0] == hash[0])
			return &few[i];
	}
	return NULL;
}

/* When the snapshot that reads use now was not taken yet, in ms since 1970. */
static int64
before_snapshot(void)
{
	TimestampTz t = GetCurrentTransactionStartTimestamp();

	if (!IsolationUsesXactSnapshot())
	{
		TimestampTz statement = GetCurrentStatementStartTimestamp();

		/* a cursor sees what there was when it was opened, or bound */
		if (ActivePortal != NULL)
			statement = Min(statement, ActivePortal->creation_time);
		t = Max(t, statement);
	}
	return (t + EPOCH_US) / 1000;
}

static Miss *
add(const uint64 hash[2])
{
	Miss	   *m;
	bool		found;

	if (many == NULL && nfew < FEW)
	{
		m = &few[nfew++];
		memcpy(m->hash, hash, sizeof(m->hash));
		return m;
	}
	if (many == NULL)
	{
		many = misses_create(TopTransactionContext, 4 * FEW, NULL);
		for (int i = 0; i < nfew; i++)
		{
			m = misses_insert(many, few[i].hash[0], &found);
			few[i].status = m->status;
			*m = few[i];
		}
	}
	m = misses_insert(many, hash[0], &found);
	m->hash[1] = hash[1];
	return m;
}

void
cc_missed_note(const uint64 hash[2])
{
	Miss	   *m = find(hash);
	int64		ms = before_snapshot();

	if (m == NULL)
		m = add(hash);
	/* what happened within that millisecond may have happened after it began */
	m->token = cc_hlc_from_ms(ms) - 1;
	m->lsn = m->bound = PG_UINT64_MAX;
	if (RecoveryInProgress())
	{
		int64		sent;

		m->lsn = cc_replay_at(&cc.state->replay, ms, &sent);
		m->bound = cc_hlc_from_ms(sent);
	}
}

void
cc_missed_find(const uint64 hash[2], CcChange *c)
{
	Miss	   *m = find(hash);

	c->fill = m == NULL ? 0 : m->token;
	c->fill_lsn = m == NULL ? 0 : m->lsn;
	c->fill_bound = m == NULL ? 0 : m->bound;
}

void
cc_missed_wrote(const uint64 hash[2], uint64 before, uint64 hlc)
{
	Miss	   *m = find(hash);

	/* a fill over it has the version of its token, which must be above */
	if (m != NULL && before < m->token)
		m->token = hlc + 1;
}

void
cc_missed_reset(void)
{
	nfew = 0;
	many = NULL;
}
