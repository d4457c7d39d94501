/*-------------------------------------------------------------------------
 *
 * file.c
 *	  Fuzz target: the files from which a server starts.
 *
 * There is a directory as a stopped server left it; one of its files is
 * changed, and the server starts from it.  An input is
 *
 *	u8 which file, u8 how, and
 *		'r'		its bytes
 *		'b'		blocks behind its head, each u16 length, payload
 *		'a'		blocks behind all that it holds
 *
 * Blocks get sums that are right, so that what they hold is parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "world.h"

#include "cache/block.h"
#include "cache/files.h"

#define SYSTEM_ID	77
#define HEAD		56			/* bytes of a file's head; see block.h */
#define AT_SALT		48
#define MAX_BASE	16

typedef struct BaseFile
{
	char		name[64];
	char	   *data;
	Size		len;
} BaseFile;

static BaseFile base[MAX_BASE];
static int	nbase;

static void
remember(const char *name, void *arg)
{
	const char *data;

	(void) arg;
	Assert(nbase < MAX_BASE);
	strcpy(base[nbase].name, name);
	data = world_file_get(name, &base[nbase].len);
	base[nbase].data = malloc(base[nbase].len + 1);
	if (base[nbase].len > 0)
		memcpy(base[nbase].data, data, base[nbase].len);
	nbase++;
}

static void
put(int i, Size vallen)
{
	CcChange	c = {.op = CC_OP_PUT};
	CcOutcome	o;
	char		key[32];
	char		value[2000];

	snprintf(key, sizeof(key), "key %d", i);
	memset(value, 'v', sizeof(value));
	c.ns = cc_state_namespace("postgres", "default");
	c.key = key;
	c.keylen = (uint16) strlen(key);
	c.type = CC_TEXT;
	c.value = value;
	c.vallen = (uint32) vallen;
	c.ttl_ms = i % 2 == 0 ? 0 : 1000;
	cc_cache_change(&c, &o);
}

static CcFiles *
start(void)
{
	CcFiles    *f = cc_files_start(SYSTEM_ID);

	cc_membership_rebuild();
	cc_state_set_phase(CC_READY);
	return f;
}

static void
make_base(void)
{
	CcFiles    *f;

	world_make_fresh(0);
	cc_state_set_phase(CC_LOADING);
	world_save();
	world_files_clear();
	cc_files_limits.snapshot_bytes = 4000;
	f = start();
	cc_membership_announce("node", "host=localhost");
	world_conflicts();
	for (int i = 0; i < 12; i++)
	{
		put(i, (Size) i * 100);
		cc_files_work(f, cc_monotonic_ms(), CC_SYNC_OFF);
	}
	cc_files_flush(f, true);
	cc_files_free(f);

	/* again, so that there are a snapshot and two journals */
	world_restore();
	f = start();
	put(100, 10);
	cc_files_flush(f, true);
	cc_files_free(f);
	cc_file_list(remember, NULL);
}

static void
put_number(char *to, uint64 v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (char) (v >> (8 * i));
}

/* Adds a good block to what is in b. */
static void
add_block(CcBuf *b, const char *salt, const uint8_t *payload, Size len)
{
	char		head[CC_BLOCK_HEAD];

	memcpy(head, salt, 4);
	put_number(head + 4, len, 4);
	put_number(head + 8, b->len, 8);
	put_number(head + 16, cc_crc32c(payload, len), 4);
	put_number(head + 20, cc_crc32c(head, 20), 4);
	cc_buf_append(b, head, sizeof(head));
	cc_buf_append(b, payload, len);
}

static void
change_file(const BaseFile *f, uint8_t how, const uint8_t *data, Size len)
{
	CcBuf		b;

	if (how == 'r' || f->len < HEAD)
	{
		world_file_put(f->name, data, len);
		return;
	}
	cc_buf_init(&b);
	cc_buf_append(&b, f->data, how == 'a' ? f->len : HEAD);
	while (len >= 2)
	{
		Size		n = Min((Size) (data[0] | data[1] << 8), len - 2);

		add_block(&b, f->data + AT_SALT, data + 2, n);
		data += 2 + n;
		len -= 2 + n;
	}
	world_file_put(f->name, b.data, b.len);
	cc_buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CcFiles    *f;

	if (nbase == 0)
		make_base();
	if (size < 2)
		return 0;

	world_restore();
	world_files_clear();
	for (int i = 0; i < nbase; i++)
		world_file_put(base[i].name, base[i].data, base[i].len);
	change_file(&base[data[0] % nbase], data[1], data + 2, size - 2);

	f = start();
	world_check();
	put(7, 50);
	cc_files_work(f, cc_monotonic_ms(), CC_SYNC_ALWAYS);
	cc_membership_maintain();
	cc_files_free(f);
	world_check();
	return 0;
}

/* Inputs that leave every file as it is; for seeds.c. */
extern void file_seeds(void (*write) (const char *name, const void *data,
									  Size len));

void
file_seeds(void (*write) (const char *name, const void *data, Size len))
{
	make_base();
	for (int i = 0; i < nbase; i++)
	{
		const BaseFile *f = &base[i];
		char		name[80];
		Size		at = HEAD;
		CcBuf		b;

		cc_buf_init(&b);
		cc_buf_reserve(&b, 2);
		cc_buf_put_u8(&b, (uint8) i);
		cc_buf_put_u8(&b, 'r');
		cc_buf_append(&b, f->data, f->len);
		snprintf(name, sizeof(name), "%s.raw", f->name);
		write(name, b.data, b.len);

		b.len = 0;
		cc_buf_put_u8(&b, (uint8) i);
		cc_buf_put_u8(&b, 'b');
		while (at + CC_BLOCK_HEAD <= f->len)
		{
			uint32		len;

			memcpy(&len, f->data + at + 4, sizeof(len));
			if (len > f->len - at - CC_BLOCK_HEAD)
				break;
			cc_buf_reserve(&b, 2);
			cc_buf_put_u16(&b, (uint16) len);
			cc_buf_append(&b, f->data + at + CC_BLOCK_HEAD, len);
			at += CC_BLOCK_HEAD + len;
		}
		snprintf(name, sizeof(name), "%s.blocks", f->name);
		write(name, b.data, b.len);
		cc_buf_free(&b);
	}
}
