/*-------------------------------------------------------------------------
 *
 * namespace.c
 *	  See namespace.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/namespace.h"

#define FORMAT			1

#define BIT_REQUIRE_TTL	0x01
#define BIT_UNSAVED		0x02
#define BIT_LOCAL		0x04
#define BIT_SYNC		0x08
#define BIT_SLIDING		0x10

/* The shared words of a declaration's head, which has a fixed length */
#define HEAD_LEN		(4 + 4 * 8)

/* Lists of values that partitions have beside the common ones */
#define OWN_LISTS		(CC_NLISTS - CC_LIST_OWN)

const char *const cc_namespace_on_split[CC_LAST_ON_SPLIT + 1] = {
	[CC_SPLIT_LATEST] = "latest",
	[CC_SPLIT_OLDEST_ISLAND] = "oldest_island",
	[CC_SPLIT_LARGEST_ISLAND] = "largest_island",
	[CC_SPLIT_LONGEST_TTL] = "longest_ttl",
	[CC_SPLIT_MERGE] = "merge",
	[CC_SPLIT_MANUAL] = "manual"
};

/* Splits a key that begins with a letter into database and name. */
static bool
split_key(const char *key, Size keylen, char *database, char *name)
{
	const char *zero;
	Size		dlen;
	Size		nlen;

	if (keylen < 3)
		return false;
	zero = memchr(key + 1, '\0', keylen - 1);
	if (zero == NULL)
		return false;
	dlen = zero - (key + 1);
	nlen = keylen - 2 - dlen;
	if (dlen >= CC_NAME_LEN || nlen >= CC_NAME_LEN || nlen == 0 ||
		memchr(zero + 1, '\0', nlen) != NULL)
		return false;
	memcpy(database, key + 1, dlen);
	database[dlen] = '\0';
	memcpy(name, zero + 1, nlen);
	name[nlen] = '\0';
	return true;
}

static uint16
build_key(uint16 ns, char letter, char *key)
{
	const CcNamespaceShared *n = cc_namespace(ns);
	Size		dlen = strlen(n->database);
	Size		nlen = strlen(n->name);

	key[0] = letter;
	memcpy(key + 1, n->database, dlen + 1);
	memcpy(key + 2 + dlen, n->name, nlen);
	return (uint16) (2 + dlen + nlen);
}

uint16
cc_cache_horizon_key(uint16 ns, char *key)
{
	return build_key(ns, 'h', key);
}

uint16
cc_namespace_key(uint16 ns, char *key)
{
	return build_key(ns, 'n', key);
}

void
cc_namespace_defaults(uint16 ns, CcDeclaration *d)
{
	memset(d, 0, sizeof(*d));
	d->persist = d->replicate = true;
	if (strcmp(cc_namespace(ns)->name, CC_DEFAULT_NS) == 0)
	{
		d->nacl = 1;
		strcpy(d->acl[0].role, CC_PUBLIC);
		d->acl[0].privileges = CC_PRIV_ALL;
	}
}

static void
put_text8(CcBuf *b, const char *text)
{
	Size		len = strlen(text);

	cc_buf_put_u8(b, (uint8) len);
	cc_buf_put(b, text, len);
}

static void
put_text16(CcBuf *b, const char *text)
{
	Size		len = strlen(text);

	cc_buf_put_u16(b, (uint16) len);
	cc_buf_put(b, text, len);
}

void
cc_namespace_encode(CcBuf *b, const CcDeclaration *d)
{
	uint8		bits = 0;

	bits |= d->require_ttl ? BIT_REQUIRE_TTL : 0;
	bits |= d->persist ? 0 : BIT_UNSAVED;
	bits |= d->replicate ? 0 : BIT_LOCAL;
	bits |= d->sync ? BIT_SYNC : 0;
	bits |= d->sliding ? BIT_SLIDING : 0;
	b->len = 0;
	cc_buf_reserve(b, HEAD_LEN + (CC_NAME_LEN + 10) * (Size) (d->nacl + 1) +
				   3 * (2 + CC_MAX_MERGE_TEXT));
	cc_buf_put_u8(b, FORMAT);
	cc_buf_put_u8(b, bits);
	cc_buf_put_u8(b, d->on_split);
	cc_buf_put_u8(b, 0);
	cc_buf_put_u64(b, (uint64) d->ttl_ms);
	cc_buf_put_u64(b, (uint64) d->max_age_ms);
	cc_buf_put_u64(b, (uint64) d->grace_ms);
	cc_buf_put_u64(b, d->max_memory);
	put_text8(b, d->owner);
	cc_buf_put_u64(b, d->owner_since);
	cc_buf_put_u8(b, (uint8) d->nacl);
	for (int i = 0; i < d->nacl; i++)
	{
		put_text8(b, d->acl[i].role);
		cc_buf_put_u8(b, d->acl[i].privileges);
		cc_buf_put_u64(b, d->acl[i].since);
	}
	put_text16(b, d->merge);
	put_text16(b, d->args);
	put_text16(b, d->fetcher);
}

static bool
read_text(CcReader *r, Size len, char *to, Size size)
{
	const char *p = cc_read_bytes(r, len);

	if (p == NULL || len >= size || memchr(p, '\0', len) != NULL)
		return false;
	memcpy(to, p, len);
	to[len] = '\0';
	return true;
}

/* The head; false when it is malformed. */
static bool
read_head(CcReader *r, CcDeclaration *d)
{
	uint8		format = cc_read_u8(r);
	uint8		bits = cc_read_u8(r);

	d->require_ttl = (bits & BIT_REQUIRE_TTL) != 0;
	d->persist = (bits & BIT_UNSAVED) == 0;
	d->replicate = (bits & BIT_LOCAL) == 0;
	d->sync = (bits & BIT_SYNC) != 0;
	d->sliding = (bits & BIT_SLIDING) != 0;
	d->on_split = cc_read_u8(r);
	(void) cc_read_u8(r);
	d->ttl_ms = (int64) cc_read_u64(r);
	d->max_age_ms = (int64) cc_read_u64(r);
	d->grace_ms = (int64) cc_read_u64(r);
	d->max_memory = cc_read_u64(r);
	return !r->bad && format == FORMAT && d->on_split <= CC_LAST_ON_SPLIT &&
		d->ttl_ms >= 0 && d->max_age_ms >= 0 && d->grace_ms >= 0;
}

bool
cc_namespace_decode(const char *value, Size len, CcDeclaration *d)
{
	CcReader	r;

	memset(d, 0, sizeof(*d));
	cc_reader_init(&r, value, len);
	if (!read_head(&r, d) ||
		!read_text(&r, cc_read_u8(&r), d->owner, sizeof(d->owner)))
		return false;
	d->owner_since = cc_read_u64(&r);
	d->nacl = cc_read_u8(&r);
	if (d->nacl > CC_MAX_ACL)
		return false;
	for (int i = 0; i < d->nacl; i++)
	{
		CcAclItem  *a = &d->acl[i];

		if (!read_text(&r, cc_read_u8(&r), a->role, sizeof(a->role)))
			return false;
		a->privileges = cc_read_u8(&r) & CC_PRIV_ALL;
		a->since = cc_read_u64(&r);
	}
	return read_text(&r, cc_read_u16(&r), d->merge, sizeof(d->merge)) &&
		read_text(&r, cc_read_u16(&r), d->args, sizeof(d->args)) &&
		read_text(&r, cc_read_u16(&r), d->fetcher, sizeof(d->fetcher)) &&
		!r.bad;
}

bool
cc_namespace_read(uint16 ns, CcDeclaration *d)
{
	char		key[CC_SYSTEM_KEY_MAX];
	uint16		keylen = cc_namespace_key(ns, key);
	CcEntry		e;
	CcBuf		buf;
	bool		found = false;
	uint64		version = 0;

	cc_buf_init(&buf);
	if (cc_cache_peek(CC_NS_SYSTEM, key, keylen, &e, &buf) && e.type != CC_STUB)
	{
		version = e.hlc;
		found = cc_namespace_decode(e.value, e.vallen, d);
	}
	cc_buf_free(&buf);
	if (!found)
		cc_namespace_defaults(ns, d);
	d->version = version;
	return found || strcmp(cc_namespace(ns)->name, CC_DEFAULT_NS) == 0;
}

uint64
cc_namespace_now(void)
{
	return Max(pg_atomic_read_u64(&cc.state->hlc),
			   cc_hlc_from_ms(cc_clock_ms()));
}

static void
begin_change(CcSystemChange *s, CcOp op)
{
	memset(&s->c, 0, sizeof(s->c));
	s->c.op = op;
	s->c.ns = CC_NS_SYSTEM;
	s->c.type = CC_BYTEA;
	s->c.key = s->key;
	s->c.value = s->value;
}

void
cc_namespace_declare(CcSystemChange *s, uint16 ns, const CcDeclaration *d,
					 CcBuf *buf)
{
	begin_change(s, CC_OP_PUT);
	s->c.keylen = cc_namespace_key(ns, s->key);
	cc_namespace_encode(buf, d);
	s->c.value = buf->data;
	s->c.vallen = (uint32) buf->len;
}

CcResult
cc_namespace_store(uint16 ns, CcDeclaration *d, uint64 *pos)
{
	CcSystemChange s;
	CcOutcome	o;
	CcBuf		buf;
	uint64		now = cc_namespace_now();

	if (d->owner_since == 0)
		d->owner_since = now;
	for (int i = 0; i < d->nacl; i++)
	{
		if (d->acl[i].since == 0)
			d->acl[i].since = now;
	}
	cc_buf_init(&buf);
	cc_namespace_declare(&s, ns, d, &buf);
	s.c.if_absent = d->version == 0;
	s.c.if_version = d->version;
	if (buf.len > CC_MAX_SYSTEM_VALUE)
		o.result = CC_TOO_LARGE;
	else if (cc_cache_change(&s.c, &o) == CC_DONE)
	{
		d->version = o.hlc;
		*pos = o.pos;
	}
	cc_buf_free(&buf);
	return o.result;
}

/* Of this process; see cc_namespace_take_news. */
static CcNamespaceNews news;
static bool have_news;

/* What files hold is no news, nor is what only got another dot. */
static void
note_news(uint16 ns, const CcEntry *e, const char *what)
{
	if (cc_state_phase() <= CC_LOADING)
		return;
	news.ns = ns;
	news.writer = e->writer;
	news.what = what;
	have_news = true;
}

bool
cc_namespace_take_news(CcNamespaceNews *to)
{
	bool		had = have_news;

	*to = news;
	have_news = false;
	return had;
}

bool
cc_namespace_was_dropped(uint16 ns)
{
	char		key[CC_SYSTEM_KEY_MAX];
	CcEntry		e;
	CcBuf		buf;
	bool		dropped;

	cc_buf_init(&buf);
	dropped = cc_cache_peek(CC_NS_SYSTEM, key, cc_namespace_key(ns, key), &e,
							&buf) && e.type == CC_STUB;
	cc_buf_free(&buf);
	return dropped;
}

/*
 * PROTOCOL.md, horizon: raised under the lock that stores its entry.  Its
 * value, where it has one, is that of an invalidation: u64 system, u64 lsn.
 */
static void
apply_horizon(uint16 ns, const CcEntry *e)
{
	CcReader	r;
	uint64		system;
	uint64		lsn;

	cc_reader_init(&r, e->value, e->vallen);
	system = cc_read_u64(&r);
	lsn = cc_read_u64(&r);
	if (!r.bad && system == cc.state->system)
		cc_atomic_raise(&cc_namespace(ns)->invalidated, lsn);
	if (cc_atomic_raise(&cc_namespace(ns)->horizon, e->hlc))
		note_news(ns, e, NULL);
}

/*
 * A list of its own, so that what is evicted for its sake is its own.  Later
 * namespaces share the common list when there are too many.
 */
static void
give_own_list(CcNamespaceShared *n)
{
	uint32		given;

	if (pg_atomic_read_u32(&n->own_list) != 0)
		return;
	given = pg_atomic_fetch_add_u32(&cc.state->nown_lists, 1);
	if (given < OWN_LISTS)
	{
		/* the walk that is under way may have passed some, the next does not */
		if (pg_atomic_read_u64(&n->entries) > 0)
			pg_atomic_write_u64(&n->own_settled,
								pg_atomic_read_u64(&cc.state->sweep_cycle) + 2);
		pg_write_barrier();
		pg_atomic_write_u32(&n->own_list, CC_LIST_OWN + given);
	}
	else
		pg_atomic_write_u32(&cc.state->nown_lists, OWN_LISTS);
}

/* The flags that a declaration stands for. */
static uint32
flags_of(const CcDeclaration *d)
{
	uint32		flags = CC_NS_DECLARED;

	flags |= d->require_ttl ? CC_NS_REQUIRE_TTL : 0;
	flags |= d->persist ? 0 : CC_NS_UNSAVED;
	flags |= d->replicate ? 0 : CC_NS_LOCAL;
	flags |= d->sync ? CC_NS_SYNC : 0;
	flags |= d->sliding ? CC_NS_SLIDING : 0;
	flags |= d->on_split != CC_SPLIT_LATEST ? CC_NS_KEEPS : 0;
	for (int i = 0; i < d->nacl; i++)
	{
		if (strcmp(d->acl[i].role, CC_PUBLIC) != 0)
			continue;
		flags |= (d->acl[i].privileges & CC_PRIV_READ) ? CC_NS_PUBLIC_READ : 0;
		flags |= (d->acl[i].privileges & CC_PRIV_WRITE) ? CC_NS_PUBLIC_WRITE : 0;
	}
	return flags;
}

static void
apply_declaration(uint16 ns, const CcEntry *e)
{
	CcNamespaceShared *n = cc_namespace(ns);
	CcDeclaration d;
	uint32		flags = 0;
	uint32		before = pg_atomic_read_u32(&n->flags);

	if (e->hlc != pg_atomic_read_u64(&n->version))
		note_news(ns, e, e->type == CC_STUB ? "dropped" :
				  cc_namespace_has(ns, CC_NS_DECLARED) ? "changed" :
				  "declared");
	if (e->type != CC_STUB && cc_namespace_decode(e->value, e->vallen, &d))
		flags = flags_of(&d);
	else
	{
		memset(&d, 0, sizeof(d));
		/* what a local namespace leaves behind still leaves the node never */
		flags = pg_atomic_read_u32(&n->flags) & CC_NS_LOCAL;
		if (strcmp(n->name, CC_DEFAULT_NS) == 0)
			flags = CC_NS_BUILTIN;
	}
	pg_atomic_write_u64(&n->ttl_ms, (uint64) d.ttl_ms);
	pg_atomic_write_u64(&n->max_age_ms, (uint64) d.max_age_ms);
	pg_atomic_write_u64(&n->grace_ms, (uint64) d.grace_ms);
	pg_atomic_write_u64(&n->max_chunks, d.max_memory == 0 ? 0 :
						Max(d.max_memory / CC_CHUNK_SIZE, 1));
	pg_atomic_write_u32(&n->on_split, d.on_split);
	if (d.max_memory != 0)
		give_own_list(n);
	/* before anything is kept as its flag says */
	if (flags & ~before & CC_NS_KEEPS)
		pg_atomic_fetch_add_u32(&cc.state->nkeeping, 1);
	pg_atomic_write_u32(&n->flags, flags);
	if ((before ^ flags) & CC_NS_UNSAVED)
		pg_atomic_fetch_add_u64(&cc.state->rewrite_wanted, 1);
	pg_write_barrier();
	pg_atomic_write_u64(&n->version, e->hlc);
}

uint16
cc_namespace_declared(const CcEntry *e, uint32 *flags)
{
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	CcDeclaration d;

	if (e->keylen == 0 || e->key[0] != 'n' ||
		!split_key(e->key, e->keylen, database, name))
		return CC_NO_NS;
	*flags = e->type != CC_STUB &&
		cc_namespace_decode(e->value, e->vallen, &d) ? flags_of(&d) : 0;
	return cc_state_namespace(database, name);
}

void
cc_namespace_applied(const CcEntry *e)
{
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	uint16		ns;

	if (e->keylen > 0 && e->key[0] == 'o')
		pg_atomic_fetch_add_u64(&cc.state->bindings, 1);
	if (e->keylen == 0 || (e->key[0] != 'h' && e->key[0] != 'n') ||
		!split_key(e->key, e->keylen, database, name))
		return;
	ns = cc_state_namespace(database, name);
	if (ns == CC_NO_NS || ns == CC_NS_SYSTEM)
		return;
	if (e->key[0] == 'h')
		apply_horizon(ns, e);
	else
		apply_declaration(ns, e);
}

bool
cc_namespace_travels(CcPartitionShared *p, CcHeaderShared *h)
{
	char		key[CC_MAX_KEY];
	char		database[CC_NAME_LEN];
	char		name[CC_NAME_LEN];
	uint16		ns;

	if (h->ns != CC_NS_SYSTEM)
		return !cc_namespace_has(h->ns, CC_NS_LOCAL);
	cc_store_copy_key(p, h, key);
	if (key[0] != 'h' || !split_key(key, h->keylen, database, name))
		return true;
	ns = cc_state_find_namespace(database, name);

	/* one that was dropped was so on all nodes */
	return ns == CC_NO_NS || !cc_namespace_has(ns, CC_NS_LOCAL) ||
		!cc_namespace_has(ns, CC_NS_DECLARED);
}

/* The key of what this system says of a role or database. */
static uint16
build_own_key(char letter, const char *name, char *key)
{
	CcBuf		b = {.data = key, .len = 0, .cap = CC_SYSTEM_KEY_MAX};

	cc_buf_put_u8(&b, (uint8) letter);
	cc_buf_put_u64(&b, cc.state->system);
	cc_buf_put(&b, name, Min(strlen(name), CC_NAME_LEN - 1));
	return (uint16) b.len;
}

bool
cc_namespace_read_binding(const char *role, CcBinding *b)
{
	char		key[CC_SYSTEM_KEY_MAX];
	CcEntry		e;
	CcBuf		buf;
	CcReader	r;
	bool		found;

	cc_buf_init(&buf);
	found = cc_cache_peek(CC_NS_SYSTEM, key, build_own_key('o', role, key),
						  &e, &buf) && e.type != CC_STUB;
	if (found)
	{
		cc_reader_init(&r, e.value, e.vallen);
		b->oid = cc_read_u32(&r);
		b->since = cc_read_u64(&r);
		b->version = e.hlc;
		/* what cannot be read gives nobody a right */
		if (b->oid == 0 || r.bad)
		{
			b->oid = 0;
			b->since = Max(b->since, e.hlc);
		}
	}
	cc_buf_free(&buf);
	return found;
}

void
cc_namespace_bind(CcSystemChange *s, const char *role, uint32 oid,
				  uint64 since, uint64 version)
{
	CcBuf		b = {.data = s->value, .len = 0, .cap = sizeof(s->value)};

	begin_change(s, CC_OP_PUT);
	s->c.keylen = build_own_key('o', role, s->key);
	cc_buf_put_u32(&b, oid);
	cc_buf_put_u64(&b, since);
	s->c.vallen = (uint32) b.len;
	s->c.if_absent = version == 0;
	s->c.if_version = version;
}

void
cc_namespace_clear(CcSystemChange *s, uint16 ns)
{
	begin_change(s, CC_OP_PUT);
	s->c.keylen = cc_cache_horizon_key(ns, s->key);
}

void
cc_namespace_drop(CcSystemChange *s, uint16 ns)
{
	begin_change(s, CC_OP_DELETE);
	s->c.keylen = cc_namespace_key(ns, s->key);
}

void
cc_namespace_use(CcSystemChange *s, const char *database, bool use)
{
	begin_change(s, use ? CC_OP_PUT : CC_OP_DELETE);
	s->c.keylen = build_own_key('d', database, s->key);
}

bool
cc_namespace_used(const char *database, bool *was)
{
	char		key[CC_SYSTEM_KEY_MAX];
	CcEntry		e;
	CcBuf		buf;
	bool		found;

	cc_buf_init(&buf);
	found = cc_cache_peek(CC_NS_SYSTEM, key,
						  build_own_key('d', database, key), &e, &buf);
	*was = found && e.type == CC_STUB;
	cc_buf_free(&buf);
	return found && !*was;
}

typedef struct Search
{
	char		key[CC_SYSTEM_KEY_MAX];
	uint16		keylen;
	bool		found;
} Search;

/* Another system's entry for the same database. */
static void
look_elsewhere(const CcEntry *e, void *arg)
{
	Search	   *s = arg;
	Size		head = 1 + sizeof(uint64);

	if (e->keylen == s->keylen && e->key[0] == 'd' &&
		memcmp(e->key + head, s->key + head, e->keylen - head) == 0 &&
		memcmp(e->key, s->key, head) != 0)
		s->found = true;
}

bool
cc_namespace_used_elsewhere(const char *database)
{
	Search		s = {.found = false};
	CcScan		scan = {0};

	if (!cc_state_serves())
		return true;
	s.keylen = build_own_key('d', database, s.key);
	cc_cache_scan(CC_NS_SYSTEM, &scan, look_elsewhere, &s);
	cc_buf_free(&scan.entries);
	cc_buf_free(&scan.data);
	return s.found;
}
