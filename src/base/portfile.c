/*-------------------------------------------------------------------------
 *
 * portfile.c
 *	  The files of port.h inside PostgreSQL: directory "cachecluster" of the
 *	  data directory.
 *
 * Nothing here raises an error: whatever fails is logged and reported by the
 * result, and the cache goes on in memory.  A cause that repeats itself, as a
 * full disk does, is logged once a minute.
 *
 * A file that stays open, as a journal does, is a bare descriptor that fd.c
 * is told of; virtual descriptors raise errors.
 *
 * Locking: none; belongs to the process.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/port.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compat.h"
#include "common/file_perm.h"
#include "storage/fd.h"

#define DIRECTORY		"cachecluster"

/* The same failure is logged again after so long. */
#define QUIET_MS		60000

/* Written pages are handed to the disk in such steps, so no fsync is long. */
#define FLUSH_BYTES		(1024 * 1024)

struct CcFile
{
	int			fd;
	bool		fresh;			/* its directory entry may not be durable */
	uint64		size;
	uint64		flushed;		/* handed to the disk up to here */
	char		path[MAXPGPATH];
};

/* Wait events: one for all that goes to the disk at once, fsyncs, reads */
static uint32 write_event;
static uint32 sync_event;
static uint32 read_event;

static void
make_path(char *path, const char *name)
{
	snprintf(path, MAXPGPATH, "%s/%s", DIRECTORY, name);
}

/* Says that something cannot be done to a file; errno tells why. */
static void
complain(const char *what, const char *path)
{
	static int	last_errno;
	static const char *last_what;
	static int64 last_time;
	int			cause = errno;
	int64		now = cc_monotonic_ms();

	if (cause == last_errno && what == last_what && now - last_time < QUIET_MS)
		return;
	last_errno = cause;
	last_what = what;
	last_time = now;
	cc_log(CC_WARN, "could not %s \"%s\": %s", what, path, strerror(cause));
}

static bool
make_directory(void)
{
	if (MakePGDirectory(DIRECTORY) == 0)
	{
		(void) fsync_fname_ext(".", true, false, LOG);
		return true;
	}
	if (errno == EEXIST)
		return true;
	complain("create directory", DIRECTORY);
	return false;
}

static CcFile *
open_file(const char *name, int flags)
{
	CcFile	   *f = malloc(sizeof(CcFile));
	bool		reading = (flags & O_ACCMODE) == O_RDONLY;
	struct stat st;

	if (f == NULL)
	{
		errno = ENOMEM;
		complain("open file", name);
		return NULL;
	}
	memset(f, 0, sizeof(*f));
	make_path(f->path, name);
	if (!AcquireExternalFD())
	{
		complain("open file", f->path);
		free(f);
		return NULL;
	}
	f->fd = BasicOpenFile(f->path, flags | PG_BINARY | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
	{
		if (!reading || errno != ENOENT)
			complain("open file", f->path);
		if (f->fd >= 0)
			close(f->fd);
		ReleaseExternalFD();
		free(f);
		return NULL;
	}
	f->size = (uint64) st.st_size;
	f->flushed = f->size;
	return f;
}

CcFile *
cc_file_create(const char *name)
{
	CcFile	   *f;

	if (!make_directory())
		return NULL;
	f = open_file(name, O_WRONLY | O_CREAT | O_TRUNC);
	if (f != NULL)
		f->fresh = true;
	return f;
}

CcFile *
cc_file_append(const char *name)
{
	return open_file(name, O_WRONLY | O_APPEND);
}

CcFile *
cc_file_open(const char *name)
{
	return open_file(name, O_RDONLY);
}

bool
cc_file_write(CcFile *f, const void *data, Size len)
{
	const char *p = data;

	while (len > 0)
	{
		ssize_t		n;

		pgstat_report_wait_start(cc_wait_event(write_event,
											   "CacheClusterFileWrite"));
		errno = 0;
		n = write(f->fd, p, len);
		pgstat_report_wait_end();
		if (n <= 0)
		{
			if (n < 0 && errno == EINTR)
				continue;
			/* nothing taken and no cause given: no space left */
			if (errno == 0)
				errno = ENOSPC;
			complain("write file", f->path);
			return false;
		}
		p += n;
		len -= n;
		f->size += n;
	}
	if (f->size - f->flushed >= FLUSH_BYTES)
	{
		pgstat_report_wait_start(cc_wait_event(write_event,
											   "CacheClusterFileWrite"));
		pg_flush_data(f->fd, (off_t) f->flushed, (off_t) (f->size - f->flushed));
		pgstat_report_wait_end();
		f->flushed = f->size;
	}
	return true;
}

bool
cc_file_sync(CcFile *f)
{
	bool		ok;

	pgstat_report_wait_start(cc_wait_event(sync_event,
										   "CacheClusterFileSync"));
	ok = pg_fdatasync(f->fd) == 0;
	if (!ok)
		complain("fsync file", f->path);
	else if (f->fresh)
		ok = fsync_fname_ext(DIRECTORY, true, false, LOG) == 0;
	pgstat_report_wait_end();
	if (ok)
		f->fresh = false;
	return ok;
}

void
cc_file_close(CcFile *f)
{
	if (close(f->fd) != 0)
		complain("close file", f->path);
	ReleaseExternalFD();
	free(f);
}

bool
cc_file_rename(const char *from, const char *to)
{
	char		old_path[MAXPGPATH];
	char		new_path[MAXPGPATH];
	bool		ok;

	make_path(old_path, from);
	make_path(new_path, to);
	pgstat_report_wait_start(cc_wait_event(sync_event,
										   "CacheClusterFileSync"));
	ok = durable_rename(old_path, new_path, LOG) == 0;
	pgstat_report_wait_end();
	return ok;
}

bool
cc_file_remove(const char *name)
{
	char		path[MAXPGPATH];

	make_path(path, name);
	if (unlink(path) == 0 || errno == ENOENT)
		return true;
	complain("remove file", path);
	return false;
}

bool
cc_file_exists(const char *name)
{
	char		path[MAXPGPATH];
	struct stat st;

	make_path(path, name);
	return stat(path, &st) == 0;
}

bool
cc_file_truncate(const char *name, uint64 len)
{
	char		path[MAXPGPATH];

	make_path(path, name);
	if (truncate(path, (off_t) len) == 0)
		return true;
	complain("truncate file", path);
	return false;
}

int64
cc_file_size(CcFile *f)
{
	struct stat st;

	if (fstat(f->fd, &st) == 0)
		return (int64) st.st_size;
	complain("stat file", f->path);
	return -1;
}

bool
cc_file_read(CcFile *f, void *data, Size len)
{
	char	   *p = data;

	while (len > 0)
	{
		ssize_t		n;

		pgstat_report_wait_start(cc_wait_event(read_event,
											   "CacheClusterFileRead"));
		n = read(f->fd, p, len);
		pgstat_report_wait_end();
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			complain("read file", f->path);
		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool
cc_file_list(void (*fn) (const char *name, void *arg), void *arg)
{
	DIR		   *dir = opendir(DIRECTORY);
	struct dirent *de;

	if (dir == NULL)
	{
		if (errno == ENOENT)
			return true;
		complain("open directory", DIRECTORY);
		return false;
	}
	while (errno = 0, (de = readdir(dir)) != NULL)
	{
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			fn(de->d_name, arg);
	}
	if (errno != 0)
	{
		complain("read directory", DIRECTORY);
		closedir(dir);
		return false;
	}
	closedir(dir);
	return true;
}

/*
 * Where the file system keeps no time of birth the inode alone must do.
 */
bool
cc_file_identity(const char *name, uint64 *inode, uint64 *born)
{
	char		path[MAXPGPATH];
#ifdef STATX_BTIME
	struct statx stx;

	make_path(path, name);
	if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &stx) == 0)
	{
		*inode = stx.stx_ino;
		*born = (stx.stx_mask & STATX_BTIME) == 0 ? 0 :
			(uint64) stx.stx_btime.tv_sec * 1000000000 + stx.stx_btime.tv_nsec;
		return true;
	}
#else
	struct stat st;

	make_path(path, name);
	if (stat(path, &st) == 0)
	{
		*inode = (uint64) st.st_ino;
		*born = 0;
		return true;
	}
#endif
	if (errno != ENOENT)
		complain("stat file", path);
	return false;
}
