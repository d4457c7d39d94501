/*-------------------------------------------------------------------------
 *
 * xact_read.c
 *	  Reading what this transaction sees: what it has changed itself, and
 *	  below that the store.  See xact.h.
 *
 * Locking: as cache.h; none of its own.
 *
 * May include: PostgreSQL's headers, base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/xact_private.h"

void
cc_xact_view(uint16 ns, uint64 hash, const char *key, uint16 keylen,
			 CcXactView *v)
{
	uint64		cleared = cc_xact_cleared(ns);
	CcWait	   *w = cc_xact_find(ns, hash, key, keylen);

	memset(v, 0, sizeof(*v));
	for (; w != NULL && w->order > cleared; w = w->older)
	{
		if (w->op == CC_OP_DELETE || w->ttl_ms < 0 ||
			(v->touch == NULL && w->deadline != 0 &&
			 w->deadline <= cc_hlc_now_ms(&cc.state->hlc)))
		{
			v->live = false;
			return;
		}
		v->live = true;
		if (w->op == CC_OP_PUT)
		{
			v->put = w;
			return;
		}
		/* a touch: of what it left, the deadline of the newest counts */
		if (v->touch == NULL)
			v->touch = w;
	}
	v->store = cleared == 0;
	/* what was touched and then cleared is no more */
	v->live = v->live && v->store;
	if (v->live)
		v->store = false;
}

bool
cc_xact_view_live(const CcXactView *v, uint16 ns, const char *key,
				  uint16 keylen)
{
	int64		expires;

	if (v->store || (v->live && v->put == NULL))
		return cc_cache_has(ns, key, keylen, &expires);
	return v->live;
}

/* The deadline that a change gives, as far as can be told now. */
static int64
deadline(const CcWait *w)
{
	uint64		cleared = cc_xact_cleared(w->ns);
	int64		expires;

	while ((w->bits & CC_WAIT_KEEP_TTL) != 0)
	{
		const CcWait *older = w->older;

		if (older != NULL && older->order > cleared)
		{
			/* what was deleted has left no deadline to keep */
			if (older->op == CC_OP_DELETE || older->ttl_ms < 0)
				break;
			w = older;
			continue;
		}
		if (cleared == 0 && cc_cache_has(w->ns, w->key, w->keylen, &expires))
			return expires;
		break;
	}
	return w->deadline;
}

/* An entry whose value waits, with pointers into what waits. */
static void
describe(const CcXactView *v, CcEntry *e)
{
	const CcWait *w = v->put;

	memset(e, 0, sizeof(*e));
	e->ns = w->ns;
	e->hash = w->hash;
	e->origin = e->writer = e->at_node = cc_state_self();
	e->type = w->type;
	e->flags = (w->bits & CC_WAIT_NULL) != 0 ? CC_F_NULL : 0;
	e->key = w->key;
	e->keylen = w->keylen;
	e->value = w->value;
	e->vallen = w->vallen;
	e->expires = deadline(v->touch != NULL ? v->touch : w);
}

/* cc_cache_get or cc_cache_look */
typedef bool (*Reader) (uint16 ns, const char *key, uint16 keylen, CcEntry *e,
						CcBuf *buf);

/* Reads what the view shows of a key; buf as cc_cache_look's. */
static bool
read_view(const CcXactView *v, uint16 ns, const char *key, uint16 keylen,
		  Reader reader, CcEntry *e, CcBuf *buf)
{
	if (v->put != NULL)
	{
		Size		at;

		if (buf == NULL)
			return true;
		at = buf->len;
		describe(v, e);
		cc_buf_append(buf, e->key, e->keylen);
		cc_buf_append(buf, e->value, e->vallen);
		e->key = buf->data + at;
		e->value = e->key + e->keylen;
		return true;
	}
	if (!v->store && !v->live)
		return false;
	if (!reader(ns, key, keylen, e, buf))
		return false;
	if (v->touch != NULL && buf != NULL)
		e->expires = deadline(v->touch);
	return true;
}

/* What this transaction sees of a key when it has changed something. */
static void
look(uint16 ns, const char *key, uint16 keylen, uint64 hash[2], CcXactView *v)
{
	cc_store_hash(ns, key, keylen, hash);
	cc_xact_view(ns, hash[0], key, keylen, v);
}

void
cc_xact_missed(uint16 ns, const char *key, uint16 keylen)
{
	uint64		hash[2];

	cc_store_hash(ns, key, keylen, hash);
	cc_missed_note(hash);
}

static bool
read_key(uint16 ns, const char *key, uint16 keylen, Reader reader, CcEntry *e,
		 CcBuf *buf)
{
	uint64		hash[2];
	CcXactView	v;

	if (likely(cc_xact_first == NULL))
		return reader(ns, key, keylen, e, buf);
	look(ns, key, keylen, hash, &v);
	return read_view(&v, ns, key, keylen, reader, e, buf);
}

bool
cc_xact_peek(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	return read_key(ns, key, keylen, cc_cache_look, e, buf);
}

bool
cc_xact_get(uint16 ns, const char *key, uint16 keylen, CcEntry *e, CcBuf *buf)
{
	if (read_key(ns, key, keylen, cc_cache_get, e, buf))
		return true;
	cc_xact_missed(ns, key, keylen);
	return false;
}

bool
cc_xact_get_stale(uint16 ns, const char *key, uint16 keylen, CcEntry *e,
				  CcBuf *buf, bool *stale)
{
	uint64		hash[2];
	CcXactView	v;

	*stale = false;
	look(ns, key, keylen, hash, &v);
	if (v.store ?
		cc_cache_get_stale(ns, key, keylen, e, buf, stale) && !*stale :
		read_view(&v, ns, key, keylen, cc_cache_get, e, buf))
		return true;
	cc_missed_note(hash);
	return *stale;
}

bool
cc_xact_has(uint16 ns, const char *key, uint16 keylen, int64 *expires)
{
	uint64		hash[2];
	CcXactView	v;

	if (likely(cc_xact_first == NULL) &&
		cc_cache_has(ns, key, keylen, expires))
		return true;
	look(ns, key, keylen, hash, &v);
	if (v.put == NULL &&
		!((v.store || v.live) && cc_cache_has(ns, key, keylen, expires)))
	{
		cc_missed_note(hash);
		return false;
	}
	if (v.touch != NULL)
		*expires = deadline(v.touch);
	else if (v.put != NULL)
		*expires = deadline(v.put);
	return true;
}

void
cc_xact_keep_deadline(CcChange *c)
{
	int64		expires;

	if (!cc_xact_has(c->ns, c->key, c->keylen, &expires) || expires == 0)
		return;
	c->deadline = expires;
	c->ttl_ms = Max(expires - cc_hlc_now_ms(&cc.state->hlc), 1);
}

/* Whether w is the newest change of its key, and a key it is. */
static bool
is_newest(const CcWait *w)
{
	return (w->bits & CC_WAIT_CLEAR) == 0 &&
		cc_xact_find(w->ns, w->hash, w->key, w->keylen) == w;
}

uint64
cc_xact_count(uint16 ns)
{
	bool		cleared = cc_xact_cleared(ns) != 0;
	int64		n = cleared ? 0 : (int64) cc_cache_count(ns);

	for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
	{
		CcXactView	v;
		int64		expires;
		bool		stored;

		cc_check_interrupts();
		if (w->ns != ns || !is_newest(w))
			continue;
		cc_xact_view(ns, w->hash, w->key, w->keylen, &v);
		stored = !cleared && cc_cache_has(ns, w->key, w->keylen, &expires);
		n += (v.put != NULL || (v.live && stored)) - stored;
	}
	return (uint64) Max(n, 0);
}

/* A walk of the store that leaves out what waits. */
typedef struct Filter
{
	CcEntryFn	fn;
	void	   *arg;
} Filter;

static void
unless_waiting(const CcEntry *e, void *arg)
{
	Filter	   *f = arg;

	if (cc_xact_find(e->ns, e->hash, e->key, e->keylen) == NULL)
		f->fn(e, f->arg);
}

void
cc_xact_scan(uint16 ns, CcScan *scan, CcEntryFn fn, void *arg)
{
	Filter		f = {fn, arg};

	if (cc_xact_first == NULL)
	{
		cc_cache_scan(ns, scan, fn, arg);
		return;
	}
	if (cc_xact_cleared(ns) == 0)
		cc_cache_scan(ns, scan, unless_waiting, &f);
	for (CcWait *w = cc_xact_first; w != NULL; w = w->next)
	{
		CcXactView	v;
		CcEntry		e;

		if (w->ns != ns || !is_newest(w))
			continue;
		cc_xact_view(ns, w->hash, w->key, w->keylen, &v);
		scan->data.len = 0;
		if (read_view(&v, ns, w->key, w->keylen, cc_cache_look, &e,
					  &scan->data))
			fn(&e, arg);
	}
}
