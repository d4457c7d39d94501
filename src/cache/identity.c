/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  See identity.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/identity.h"

#include "base/codec.h"

#define IDENTITY_MAGIC		0x31494343	/* "CCI1" */
#define IDENTITY_VERSION	1
#define IDENTITY_LEN		92

static bool
decode(CcIdentity *id, const char *data)
{
	CcReader	in;
	bool		good;

	memset(id, 0, sizeof(*id));
	cc_reader_init(&in, data, IDENTITY_LEN);
	good = cc_read_u32(&in) == IDENTITY_MAGIC;
	good &= cc_read_u32(&in) == IDENTITY_VERSION;
	memcpy(id->id.b, cc_read_bytes(&in, CC_ID_LEN), CC_ID_LEN);
	id->boot = cc_read_u64(&in);
	id->incarnation = cc_read_u64(&in);
	id->clean = cc_read_u64(&in) == 1;
	id->bound = cc_read_u64(&in);
	id->system_id = cc_read_u64(&in);
	id->inode = cc_read_u64(&in);
	id->born = cc_read_u64(&in);
	id->next = cc_read_u64(&in);
	good &= cc_read_u32(&in) == cc_crc32c(data, IDENTITY_LEN - 4);
	return good && !cc_id_is_zero(&id->id) && id->incarnation > 0;
}

CcIdentityFound
cc_identity_read(CcIdentity *id, uint64 system_id)
{
	CcFile	   *f = cc_file_open(CC_IDENTITY_FILE);
	char		data[IDENTITY_LEN];
	uint64		inode;
	uint64		born;
	bool		good;

	memset(id, 0, sizeof(*id));
	if (f == NULL)
		return cc_file_exists(CC_IDENTITY_FILE) ?
			CC_IDENTITY_BAD : CC_IDENTITY_NONE;
	good = cc_file_read(f, data, IDENTITY_LEN) && decode(id, data);
	cc_file_close(f);
	if (!good)
	{
		memset(id, 0, sizeof(*id));
		return CC_IDENTITY_BAD;
	}
	if (id->system_id != system_id ||
		!cc_file_identity(CC_ANCHOR_FILE, &inode, &born) ||
		id->inode != inode || id->born != born)
		return CC_IDENTITY_COPY;
	return CC_IDENTITY_OURS;
}

bool
cc_identity_anchor(CcIdentity *id)
{
	CcFile	   *f;
	bool		ok;

	if (cc_file_identity(CC_ANCHOR_FILE, &id->inode, &id->born))
		return true;
	f = cc_file_create(CC_ANCHOR_FILE);
	if (f == NULL)
		return false;
	ok = cc_file_sync(f);
	cc_file_close(f);
	return ok && cc_file_identity(CC_ANCHOR_FILE, &id->inode, &id->born);
}

bool
cc_identity_write(const CcIdentity *id)
{
	CcFile	   *f = cc_file_create(CC_IDENTITY_TEMP);
	CcBuf		b;
	bool		ok;

	if (f == NULL)
		return false;
	cc_buf_init(&b);
	cc_buf_reserve(&b, IDENTITY_LEN);
	cc_buf_put_u32(&b, IDENTITY_MAGIC);
	cc_buf_put_u32(&b, IDENTITY_VERSION);
	cc_buf_put(&b, id->id.b, CC_ID_LEN);
	cc_buf_put_u64(&b, id->boot);
	cc_buf_put_u64(&b, id->incarnation);
	cc_buf_put_u64(&b, id->clean ? 1 : 0);
	cc_buf_put_u64(&b, id->bound);
	cc_buf_put_u64(&b, id->system_id);
	cc_buf_put_u64(&b, id->inode);
	cc_buf_put_u64(&b, id->born);
	cc_buf_put_u64(&b, id->next);
	cc_buf_put_u32(&b, cc_crc32c(b.data, b.len));
	Assert(b.len == IDENTITY_LEN);

	ok = cc_file_write(f, b.data, b.len) && cc_file_sync(f);
	cc_file_close(f);
	cc_buf_free(&b);
	if (ok)
		ok = cc_file_rename(CC_IDENTITY_TEMP, CC_IDENTITY_FILE);
	else
		(void) cc_file_remove(CC_IDENTITY_TEMP);
	return ok;
}

void
cc_identity_invent(CcIdentity *id)
{
	uint64		system_id = id->system_id;

	memset(id, 0, sizeof(*id));
	id->system_id = system_id;
	do
		cc_random(id->id.b, CC_ID_LEN);
	while (cc_id_is_zero(&id->id));
	id->incarnation = 1;
}

uint64
cc_identity_next(uint64 old)
{
	return Max(old + 1, (uint64) Max(cc_clock_ms() / 1000, 0));
}
