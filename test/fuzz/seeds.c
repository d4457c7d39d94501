/*-------------------------------------------------------------------------
 *
 * seeds.c
 *	  Writes the inputs from which the fuzz targets begin: whole sessions
 *	  between two nodes, as message.c reads them, slices of a floor, counters,
 *	  and the files of a server that stopped.  All kinds of entries are in
 *	  the sessions, so that mutations reach what each of them is read by.
 *
 *	  seeds DIRECTORY		(with message/, floor/, counter/ and file/ in it)
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#include "cache/counter.h"
#include "cache/namespace.h"
#include "cluster/splits.h"

#define A	0
#define B	1

static const CcSenderOptions options = {250, 3000, 800};

static void
write_file(const char *dir, const char *name, const void *data, Size len)
{
	char		path[1024];
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0)
	{
		perror(path);
		exit(1);
	}
}

static void
put(const char *key, CcOp op, uint8 type, const char *value, int64 ttl_ms)
{
	CcChange	c = {.op = op};
	CcOutcome	o;

	c.ns = cc_state_namespace("postgres", "default");
	c.key = key;
	c.keylen = (uint16) strlen(key);
	c.type = type;
	c.null = value == NULL;
	c.value = value;
	c.vallen = value != NULL ? (uint32) strlen(value) : 0;
	c.ttl_ms = ttl_ms;
	c.by = 5;
	cc_cache_change(&c, &o);
}

/* Everything that the system namespace has beside members. */
static void
declare(void)
{
	uint16		ns = cc_state_namespace("postgres", "sessions");
	CcDeclaration d;
	CcSystemChange s;
	CcOutcome	o;
	CcBuf		buf;
	uint64		pos;

	cc_namespace_defaults(ns, &d);
	d.ttl_ms = d.max_age_ms = d.grace_ms = 60000;
	d.max_memory = 1 << 20;
	d.require_ttl = d.sliding = true;
	strcpy(d.owner, "alice");
	d.nacl = 2;
	strcpy(d.acl[0].role, "bob");
	d.acl[0].privileges = CC_PRIV_READ;
	strcpy(d.acl[1].role, CC_PUBLIC);
	d.acl[1].privileges = CC_PRIV_ALL;
	cc_namespace_store(ns, &d, &pos);
	cc_namespace_bind(&s, "bob", 16384, 0, 0);
	cc_cache_change(&s.c, &o);
	cc_namespace_use(&s, "postgres", true);
	cc_cache_change(&s.c, &o);
	cc_cache_clear(ns);
	cc_cache_invalidate_all(ns, 77);

	ns = cc_state_namespace("postgres", "unsaved");
	cc_buf_init(&buf);
	cc_namespace_defaults(ns, &d);
	d.persist = false;
	cc_namespace_declare(&s, ns, &d, &buf);
	cc_cache_change(&s.c, &o);
	cc_buf_free(&buf);
	ns = cc_state_namespace("postgres", "dropped");
	cc_namespace_drop(&s, ns);
	cc_cache_change(&s.c, &o);
}

/* Entries with a block: sliding, in grace, invalidated. */
static void
put_blocks(void)
{
	CcChange	c = {.op = CC_OP_PUT, .type = CC_TEXT};
	CcOutcome	o;

	c.ns = cc_state_namespace("postgres", "sessions");
	c.key = c.value = "slides";
	c.keylen = 6;
	c.vallen = 6;
	c.ttl_ms = 60000;
	c.sliding = true;
	c.max_age_ms = 90000;
	cc_cache_change(&c, &o);
	c.key = "graced";
	c.sliding = false;
	c.grace_ms = 5000;
	cc_cache_change(&c, &o);
	c.op = CC_OP_DELETE;
	c.key = "row:42";
	c.lsn = 4711;
	cc_cache_change(&c, &o);
}

static void
fill(void)
{
	char		large[3000];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	declare();
	put_blocks();
	put("text", CC_OP_PUT, CC_TEXT, "a value", 0);
	put("json", CC_OP_PUT, CC_JSONB, "{\"a\": 1}", 60000);
	put("null", CC_OP_PUT, CC_BYTEA, NULL, 0);
	put("large", CC_OP_PUT, CC_TEXT, large, 0);
	put("counter", CC_OP_INCR, 0, NULL, 0);
	put("gone", CC_OP_DELETE, 0, NULL, 0);
	put("json", CC_OP_TOUCH, 0, NULL, 120000);
	put("ours", CC_OP_PUT, CC_TEXT, "theirs", 0);
	world_conflicts();
}

/* The digest of a range without entries; the first of a run will do. */
static bool
says_little(const char *data, Size len)
{
	return len < 160 && (data[7] & CC_MSG_F_FULL) != 0 &&
		(data[7] & (CC_MSG_F_FULL_BEGIN | CC_MSG_F_FULL_END)) == 0;
}

static void
add(CcBuf *session, char kind, const char *data, Size len)
{
	static bool little;

	if (kind == 'b')
	{
		bool		was_little = little;

		little = says_little(data, len);
		if (little && was_little)
			return;
	}
	cc_buf_reserve(session, 3 + len);
	cc_buf_put_u8(session, (uint8) kind);
	cc_buf_put_u16(session, (uint16) len);
	cc_buf_put(session, data, len);
}

/* A session of A to B; to: what B hears, replies: what A hears. */
static void
run(CcBuf *to, CcBuf *replies)
{
	CcSender   *s;
	CcReceiver	r;
	const char *data;
	Size		len;
	int64		now;
	int			more = 0;

	world_go(B);
	cc_receiver_init(&r);
	world_go(A);
	s = cc_sender_create(&options, true);
	now = cc_monotonic_ms();
	cc_sender_hello(s, now, &data, &len);
	add(to, 'h', data, len);
	world_go(B);
	cc_receive_hello(&r, now, data, len);
	for (int i = 0; i < 600; i++)
	{
		CcStatus	status;

		add(replies, 'r', r.reply.buf.data, r.reply.buf.len);
		world_go(A);
		now += 2;
		/* link states and split records are in what follows */
		(void) cc_reach_update(now);
		cc_splits_update(now, 3000, 250);
		status = cc_sender_reply(s, now, r.reply.buf.data, r.reply.buf.len);
		if (status != CC_OK)
		{
			fprintf(stderr, "session ended: %s\n", cc_status_text(status));
			exit(1);
		}
		if (!cc_sender_next(s, now, &data, &len))
		{
			now += 500;
			put("more", CC_OP_PUT, CC_TEXT, "later", 1000);
			if (++more > 3 || !cc_sender_next(s, now, &data, &len))
				break;
		}
		add(to, 'b', data, len);
		world_go(B);
		cc_receive_batch(&r, now, 3000, data, len);
	}
	world_go(A);
	cc_sender_free(s);
	world_go(B);
	cc_receiver_gone(&r);
	cc_receiver_free(&r);
}

static void
write_sessions(const char *dir, const char *name, bool full)
{
	CcBuf		to;
	CcBuf		replies;
	char		path[256];

	cc_buf_init(&to);
	cc_buf_init(&replies);
	world_make(B);
	put("ours", CC_OP_PUT, CC_TEXT, "value", 0);
	put("counter", CC_OP_INCR, 0, NULL, 0);
	world_make(A);
	fill();
	if (full)
	{
		/* something was forgotten that B has not seen */
		cc_state_raise_g(cc_state_self(), 3);
		cc_floor_add(UINT64CONST(0x123456789abcdef), 77);
	}
	run(&to, &replies);
	snprintf(path, sizeof(path), "message/%s.to", name);
	write_file(dir, path, to.data, to.len);
	snprintf(path, sizeof(path), "message/%s.replies", name);
	write_file(dir, path, replies.data, replies.len);
	cc_buf_free(&to);
	cc_buf_free(&replies);
}

static void
write_floors(const char *dir)
{
	char	   *bytes;
	char		name[64];

	world_make(A);
	bytes = malloc(cc_floor_max_bytes());
	for (int n = 0; n < 6; n++)
	{
		for (int i = 0; i < (1 << n); i++)
			cc_floor_add(UINT64CONST(0xD1B54A32D192ED03) * (n * 99 + i) >> 7,
						 (uint64) (n * 1000 + i));
		snprintf(name, sizeof(name), "floor/%d", n);
		write_file(dir, name, bytes, cc_floor_write(0, bytes));
	}
	free(bytes);
}

static void
write_counters(const char *dir)
{
	char		values[2 * (CC_COUNTER_HEAD + 3 * CC_COUNTER_PART) + 2];
	CcBuf		b = {.data = values, .len = 2, .cap = sizeof(values)};
	CcBuf		one = {.data = values + 2};
	CcNodeId	id = world_id(A);
	int64		number;

	/* two that are the same */
	values[0] = 2;
	one.cap = sizeof(values) - 2;
	cc_counter_begin(&one, 0, &id, 10);
	for (int i = 1; i <= 2; i++)
		cc_counter_add(&one, &id, i, 5, 100, &number);
	values[1] = (char) (one.len / 2);
	b.len = 2 + one.len;
	cc_buf_put(&b, one.data, one.len);
	write_file(dir, "counter/two", values, b.len);
	values[0] = 1;
	for (int i = 1; i < (int) sizeof(values); i++)
		values[i] = (char) (i * 37);
	write_file(dir, "counter/steps", values, sizeof(values));
}

/* file.c */
extern void file_seeds(void (*write) (const char *name, const void *data,
									  Size len));

static const char *directory;

static void
write_file_seed(const char *name, const void *data, Size len)
{
	char		path[256];

	snprintf(path, sizeof(path), "file/%s", name);
	write_file(directory, path, data, len);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fprintf(stderr, "usage: seeds DIRECTORY\n");
		return 2;
	}
	write_sessions(argv[1], "passes", false);
	write_sessions(argv[1], "full", true);
	write_floors(argv[1]);
	write_counters(argv[1]);
	directory = argv[1];
	file_seeds(write_file_seed);
	return 0;
}
