/*-------------------------------------------------------------------------
 *
 * disk.c
 *	  The files of base/port.h on a disk that forgets.
 *
 * What was written and not fsynced survives the crash of a server, and is
 * lost with the power: a random rest of each file, sometimes all of it and
 * the file's name, and sometimes a part of it comes back as zeros.  A rename
 * is durable, and so is what the file held then.
 *
 * Faults: a full disk takes a part of a write and fails; a byte of a file
 * turns over while the server is down; the whole disk is set back to an old
 * copy of it.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

struct SimFile
{
	SimFile    *next;
	char		name[64];
	char	   *data;
	Size		len;
	Size		cap;
	Size		synced;			/* so much of it survives */
	bool		named;			/* and its name */
	uint64		inode;
	uint64		born;
};

struct CcFile
{
	SimFile    *file;
	Size		at;
	bool		writes;
};

static SimFile *
find(SimNode *node, const char *name)
{
	for (SimFile *f = node->disk; f != NULL; f = f->next)
	{
		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static void
drop(SimNode *node, SimFile *file)
{
	SimFile   **at = &node->disk;

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
}

static void
reserve(SimFile *f, Size len)
{
	char	   *data;

	if (len <= f->cap)
		return;
	f->cap = Max(len, Max(f->cap * 2, 4096));
	data = sim_memory(f->cap);
	memcpy(data, f->data, f->len);
	f->data = data;
}

/* Each call of the system may wait, and holds up nobody else. */
static void
enter_system(const char *what)
{
	sim_check_unlocked(what);
	sim_yield();
}

static CcFile *
open_file(SimFile *f, Size at, bool writes)
{
	CcFile	   *file = sim_memory(sizeof(CcFile));

	file->file = f;
	file->at = at;
	file->writes = writes;
	return file;
}

CcFile *
cc_file_create(const char *name)
{
	SimNode    *node = sim.here;
	SimFile    *f = find(node, name);

	enter_system("cc_file_create");
	if (sim.now < node->full_until)
	{
		cc_log(CC_WARN, "could not create file \"%s\": disk full", name);
		return NULL;
	}
	f = find(node, name);
	if (f == NULL)
	{
		f = sim_memory(sizeof(SimFile));
		Assert(strlen(name) < sizeof(f->name));
		strlcpy(f->name, name, sizeof(f->name));
		f->inode = 100 + node->ninodes++;
		f->born = sim.now + 1;
		f->next = node->disk;
		node->disk = f;
	}
	f->len = f->synced = 0;
	return open_file(f, 0, true);
}

CcFile *
cc_file_append(const char *name)
{
	SimFile    *f;

	enter_system("cc_file_append");
	f = find(sim.here, name);
	return f == NULL ? NULL : open_file(f, f->len, true);
}

bool
cc_file_write(CcFile *f, const void *data, Size len)
{
	SimNode    *node = sim.here;
	bool		full;

	enter_system("cc_file_write");
	if (sim.fiber != NULL && sim_draw() % 4 == 0)
		sim_sleep(sim_draw_time(sim.cfg.disk_latency));
	Assert(f->writes);
	full = sim.now < node->full_until;
	if (full)
		len = sim_draw() % (len + 1);
	reserve(f->file, f->file->len + len);
	memcpy(f->file->data + f->file->len, data, len);
	f->file->len += len;
	if (full)
	{
		node->disk_hurt = true;
		cc_log(CC_WARN, "could not write file \"%s\": disk full", f->file->name);
	}
	return !full;
}

bool
cc_file_sync(CcFile *f)
{
	Size		len = f->file->len;
	SimFile    *file = f->file;

	enter_system("cc_file_sync");
	if (sim.fiber != NULL)
		sim_sleep(sim_draw_time(sim.cfg.disk_latency));
	file->synced = Max(file->synced, Min(len, file->len));
	file->named = true;
	return true;
}

void
cc_file_close(CcFile *f)
{
	f->file = NULL;
}

bool
cc_file_rename(const char *from, const char *to)
{
	SimNode    *node = sim.here;
	SimFile    *f;
	SimFile    *old;

	enter_system("cc_file_rename");
	if (sim.fiber != NULL)
		sim_sleep(sim_draw_time(sim.cfg.disk_latency));
	f = find(node, from);
	if (f == NULL)
	{
		cc_log(CC_WARN, "could not rename file \"%s\"", from);
		return false;
	}
	old = find(node, to);
	if (old != NULL && old != f)
		drop(node, old);
	strlcpy(f->name, to, sizeof(f->name));
	f->synced = f->len;
	/* the directory is fsynced with it */
	for (f = node->disk; f != NULL; f = f->next)
		f->named = true;
	return true;
}

bool
cc_file_remove(const char *name)
{
	SimFile    *f;

	enter_system("cc_file_remove");
	f = find(sim.here, name);
	if (f != NULL)
		drop(sim.here, f);
	return true;
}

bool
cc_file_exists(const char *name)
{
	return find(sim.here, name) != NULL;
}

bool
cc_file_truncate(const char *name, uint64 len)
{
	SimFile    *f;

	enter_system("cc_file_truncate");
	f = find(sim.here, name);
	if (f == NULL)
		return false;
	f->len = Min(f->len, len);
	f->synced = Min(f->synced, f->len);
	return true;
}

CcFile *
cc_file_open(const char *name)
{
	SimFile    *f;

	enter_system("cc_file_open");
	f = find(sim.here, name);
	return f == NULL ? NULL : open_file(f, 0, false);
}

int64
cc_file_size(CcFile *f)
{
	return (int64) f->file->len;
}

bool
cc_file_read(CcFile *f, void *data, Size len)
{
	enter_system("cc_file_read");
	if (f->file->len < f->at || f->file->len - f->at < len)
		return false;
	memcpy(data, f->file->data + f->at, len);
	f->at += len;
	return true;
}

bool
cc_file_list(void (*fn) (const char *name, void *arg), void *arg)
{
	SimFile    *next;

	enter_system("cc_file_list");
	for (SimFile *f = sim.here->disk; f != NULL; f = next)
	{
		char		name[64];

		next = f->next;
		strlcpy(name, f->name, sizeof(name));
		fn(name, arg);
	}
	return true;
}

bool
cc_file_identity(const char *name, uint64 *inode, uint64 *born)
{
	SimFile    *f = find(sim.here, name);

	if (f == NULL)
		return false;
	*inode = f->inode;
	*born = f->born;
	return true;
}

/* ---- faults ---- */

/* What a file keeps when the power goes. */
static void
lose_rest(SimFile *f, uint64 draw)
{
	Size		lost = f->len - f->synced;
	Size		kept = lost == 0 ? 0 : (draw >> 8) % (lost + 1);

	if (draw % 4 == 0)
		kept = 0;
	/* the file had grown on disk, and its new blocks were not written */
	if (draw % 8 == 1)
		memset(f->data + f->synced + kept, 0, lost - kept);
	else
		f->len = f->synced + kept;
	f->synced = f->len;
	f->named = true;
}

void
sim_disk_crash(SimNode *node, bool power)
{
	SimFile    *next;
	uint64		n = 0;

	if (!power)
		return;
	for (SimFile *f = node->disk; f != NULL; f = next)
	{
		uint64		draw = sim_hash(SIM_U_CRASH, node->no, node->life, n++);

		next = f->next;
		if (!f->named && draw % 3 == 0)
			drop(node, f);
		else
			lose_rest(f, draw);
	}
}

void
sim_disk_rot(SimNode *node, uint64 draw)
{
	SimFile    *file = NULL;
	uint64		n = 0;

	for (SimFile *f = node->disk; f != NULL; f = f->next)
	{
		if (f->len == 0)
			continue;
		n++;
		if (sim_hash(SIM_U_CRASH, draw, n, 2) % n == 0)
			file = f;
	}
	if (file == NULL)
		return;
	file->data[(draw >> 8) % file->len] ^= 1 << (draw & 7);
	node->disk_hurt = true;
	sim_trace("a bit of \"%s\" turns over", file->name);
}

static SimFile *
copy_disk(SimFile *from)
{
	SimFile    *to;

	if (from == NULL)
		return NULL;
	to = sim_memory(sizeof(SimFile));
	*to = *from;
	to->cap = to->len;
	to->data = sim_memory(Max(to->len, 1));
	memcpy(to->data, from->data, to->len);
	to->synced = to->len;
	to->named = true;
	to->next = copy_disk(from->next);
	return to;
}

void
sim_disk_remember(SimNode *node)
{
	if (node->nold == lengthof(node->old_disk))
	{
		memmove(&node->old_disk[0], &node->old_disk[1],
				sizeof(node->old_disk) - sizeof(node->old_disk[0]));
		node->nold--;
	}
	node->old_disk[node->nold++] = copy_disk(node->disk);
}

bool
sim_disk_roll_back(SimNode *node, bool copied)
{
	if (node->nold == 0)
		return false;
	node->disk = copy_disk(node->old_disk[0]);
	node->disk_hurt = node->rolled_back = true;
	if (copied)
	{
		for (SimFile *f = node->disk; f != NULL; f = f->next)
			f->inode = 1000 + node->ninodes++;
	}
	return true;
}
