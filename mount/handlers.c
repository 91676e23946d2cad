/*
 * handlers: thin translations between libfuse's low-level requests and fs/.
 *
 * Each finds nothing and decides nothing: it calls fs/ once and replies once.
 * What may wait for a commit is replied to from fs/'s thread through a struct
 * pending, so that no worker of the session is ever held up.
 */
#include "mount/handlers.h"
#include "fs/fs.h"
#include "mount/folders.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel may remember: all of it, since it is told of every change. */
#define FOREVER 86400.0
#define REQUEST_MAX (1u << 20)

/* A request that is answered later. */
struct pending {
	struct fs_done done;
	fuse_req_t req;
	struct stat st; /* SETATTR */
};

static struct handlers *handlers_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct fs *fs_of(fuse_req_t req)
{
	return handlers_of(req)->fs;
}

static void reply_code(struct fs_done *done, int result)
{
	struct pending *pending = (struct pending *)done;
	fuse_reply_err(pending->req, -result);
	free(pending);
}

static void reply_attr(struct fs_done *done, int result)
{
	struct pending *pending = (struct pending *)done;
	if (result)
		fuse_reply_err(pending->req, -result);
	else
		fuse_reply_attr(pending->req, &pending->st, FOREVER);
	free(pending);
}

/* NULL after having replied ENOMEM. */
static struct pending *pending_new(fuse_req_t req, void (*fn)(struct fs_done *, int))
{
	struct pending *pending = calloc(1, sizeof(*pending));
	if (!pending) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	pending->done.fn = fn;
	pending->req = req;
	return pending;
}

static void reply_entry(fuse_req_t req, int code, const struct stat *st)
{
	struct fuse_entry_param entry = {
		.attr_timeout = FOREVER, .entry_timeout = FOREVER};
	if (code) {
		fuse_reply_err(req, -code);
		return;
	}
	entry.ino = st->st_ino;
	entry.attr = *st;
	if (fuse_reply_entry(req, &entry))
		fs_forget(fs_of(req), st->st_ino, 1);
}

static struct fuse_file_info file_info(const struct fs_file *file)
{
	return (struct fuse_file_info){
		.fh = file->handle,
		.keep_cache = file->keep_cache,
		.direct_io = file->direct,
	};
}

/* Replies: an entry; ENOENT, in a read-only mount as an entry that the kernel keeps. */
static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;
	int code = fs_lookup(fs_of(req), parent, name, &st);
	struct fuse_entry_param none = {.entry_timeout = FOREVER};

	if (code == -ENOENT && handlers_of(req)->readonly)
		fuse_reply_entry(req, &none);
	else
		reply_entry(req, code, &st);
}

/* Replies: none. */
static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	fs_forget(fs_of(req), ino, n);
	fuse_reply_none(req);
}

/* Replies: none. */
static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *all)
{
	for (size_t i = 0; i < count; i++)
		fs_forget(fs_of(req), all[i].ino, all[i].nlookup);
	fuse_reply_none(req);
}

/* Replies: attributes; ENOENT, EIO. */
static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	(void)fi;
	int code = fs_getattr(fs_of(req), ino, &st);
	if (code)
		fuse_reply_err(req, -code);
	else
		fuse_reply_attr(req, &st, FOREVER);
}

static unsigned set_flags(int to_set)
{
	static const struct {
		int kernel;
		unsigned ours;
	} flags[] = {
		{FUSE_SET_ATTR_MODE, FS_SET_MODE},
		{FUSE_SET_ATTR_UID, FS_SET_UID},
		{FUSE_SET_ATTR_GID, FS_SET_GID},
		{FUSE_SET_ATTR_SIZE, FS_SET_SIZE},
		{FUSE_SET_ATTR_ATIME, FS_SET_ATIME},
		{FUSE_SET_ATTR_MTIME, FS_SET_MTIME},
		{FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW},
		{FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW},
	};
	unsigned set = 0;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (to_set & flags[i].kernel)
			set |= flags[i].ours;
	return set;
}

/* Replies: attributes; EINVAL for a refused size, EROFS, EPERM, what a commit says. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *in, int to_set,
	struct fuse_file_info *fi)
{
	struct pending *pending = pending_new(req, reply_attr);
	if (pending)
		fs_setattr(fs_of(req), ino, fi ? fi->fh : 0, in, set_flags(to_set),
			&pending->st, &pending->done);
}

/* Replies: the target; EINVAL. */
static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[4096];
	int code = fs_readlink(fs_of(req), ino, target, sizeof(target));
	if (code)
		fuse_reply_err(req, -code);
	else
		fuse_reply_readlink(req, target);
}

/* Replies: an entry; EROFS, EEXIST, EPERM, what check() says. */
static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct stat st;
	int code = fs_mkdir(fs_of(req), parent, name, mode, &st);
	reply_entry(req, code, &st);
}

/* Replies: an entry; EROFS, EEXIST. */
static void on_symlink(
	fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct stat st;
	int code = fs_symlink(fs_of(req), parent, name, target, &st);
	reply_entry(req, code, &st);
}

/* Replies: EPERM always, as file systems without hard links do. */
static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

/* Replies: EPERM always: there are no devices, pipes and sockets here. */
static void on_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)parent, (void)name, (void)mode, (void)device;
	fuse_reply_err(req, EPERM);
}

/* Replies: success; ENOENT, EROFS, EOPNOTSUPP. */
static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pending *pending = pending_new(req, reply_code);
	if (pending)
		fs_unlink(fs_of(req), parent, name, &pending->done);
}

/* Replies: success; ENOTEMPTY, ENOENT, EROFS, EOPNOTSUPP. */
static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pending *pending = pending_new(req, reply_code);
	if (pending)
		fs_rmdir(fs_of(req), parent, name, &pending->done);
}

/* Replies: success; EINVAL for refused content, EOPNOTSUPP, EROFS, what a commit says. */
static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct pending *pending = pending_new(req, reply_code);
	if (pending)
		fs_rename(fs_of(req), parent, name, new_parent, new_name, flags,
			&pending->done);
}

/* Replies: an open file; EROFS, EACCES, EIO. */
static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_file file = {0};
	int code = fs_open_file(fs_of(req), ino, fi->flags, &file);
	if (code) {
		fuse_reply_err(req, -code);
		return;
	}
	struct fuse_file_info out = file_info(&file);
	/* A reader has nothing to save: its close() need not ask. */
	out.noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	if (fuse_reply_open(req, &out))
		fs_release(fs_of(req), ino, file.handle, NULL);
}

/* Replies: ENOSYS: in a read-only mount the kernel opens and closes by itself. */
static void on_open_never(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* Replies: an entry and an open file; EROFS, ENOSPC, EEXIST. */
static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fs_file file = {0};
	struct stat st;
	int code = fs_create(fs_of(req), parent, name, mode, fi->flags, &st, &file);
	if (code) {
		fuse_reply_err(req, -code);
		return;
	}
	struct fuse_entry_param entry = {.ino = st.st_ino,
		.attr = st,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER};
	struct fuse_file_info out = file_info(&file);
	if (fuse_reply_create(req, &entry, &out)) {
		fs_release(fs_of(req), st.st_ino, file.handle, NULL);
		fs_forget(fs_of(req), st.st_ino, 1);
	}
}

/* Replies: bytes, fewer only at the end; EIO, ESTALE. */
static void on_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	if (size > REQUEST_MAX)
		size = REQUEST_MAX;
	char *buf = malloc(size);
	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	ssize_t n = fs_read(fs_of(req), ino, fi ? fi->fh : 0, buf, size, (uint64_t)off);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
}

/* Replies: the number of bytes taken, all; ENOSPC, EROFS, EFBIG. */
static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	off_t off, struct fuse_file_info *fi)
{
	ssize_t n = fs_write(fs_of(req), ino, fi->fh, buf, size, (uint64_t)off);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* Replies: success once the save is in the container; EINVAL, ESTALE, ENOSPC, EIO. */
static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct pending *pending = pending_new(req, reply_code);
	if (pending)
		fs_flush(fs_of(req), ino, fi->fh, &pending->done);
}

/* Replies: as on_flush. */
static void on_fsync(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct pending *pending = pending_new(req, reply_code);
	(void)datasync;
	if (pending)
		fs_fsync(fs_of(req), ino, fi->fh, &pending->done);
}

/* Replies: success; the kernel does not pass on what a release says. */
static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct pending *pending = pending_new(req, reply_code);
	if (pending)
		fs_release(fs_of(req), ino, fi->fh, &pending->done);
}

/* Replies: success once all pending edits are in the container, else why not. */
static void on_fsyncdir(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct pending *pending = pending_new(req, reply_code);
	(void)ino, (void)datasync, (void)fi;
	if (pending)
		fs_sync(fs_of(req), &pending->done);
}

/* Replies: an open folder; ENOSYS in a read-only mount, which then is read without. */
static void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	uint64_t handle;
	(void)fi;
	if (handlers_of(req)->readonly) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	int code = fs_opendir(fs_of(req), ino, &handle);
	if (code) {
		fuse_reply_err(req, -code);
		return;
	}
	bool lasts = fs_listing_lasts(handle);
	struct fuse_file_info out = {
		.fh = handle, .cache_readdir = lasts, .keep_cache = lasts};
	if (fuse_reply_open(req, &out))
		fs_releasedir(fs_of(req), handle);
}

/* Replies: success. */
static void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_releasedir(fs_of(req), fi->fh);
	fuse_reply_err(req, 0);
}

/* One reply to READDIR or READDIRPLUS while it is filled. */
struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
	off_t next;
};

static int list_entry(void *arg, const char *name, const struct stat *st, off_t next)
{
	struct listing *listing = arg;
	char *at = listing->buf + listing->used;
	size_t left = listing->size - listing->used, need;
	struct fuse_entry_param entry = {.ino = st->st_ino,
		.attr = *st,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER};

	if (listing->plus)
		need = fuse_add_direntry_plus(listing->req, at, left, name, &entry, next);
	else
		need = fuse_add_direntry(listing->req, at, left, name, st, next);
	if (need > left)
		return 1;
	listing->used += need;
	listing->next = next;
	return 0;
}

/* Reads a folder through its handle, or, without one, through the cache of those. */
static int list_folder(struct handlers *handlers, fuse_ino_t ino, uint64_t fh, off_t off,
	struct listing *listing)
{
	if (!handlers->readonly)
		return fs_readdir(
			handlers->fs, fh, off, listing->plus, list_entry, listing);

	uint64_t handle;
	int code = folders_take(handlers->folders, ino, off, &handle);
	if (code)
		return code;
	code = fs_readdir(handlers->fs, handle, off, listing->plus, list_entry, listing);
	folders_give(handlers->folders, ino, listing->used ? listing->next : 0, handle);
	return code;
}

static void list(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, uint64_t fh, bool plus)
{
	if (size > REQUEST_MAX)
		size = REQUEST_MAX;
	struct listing listing = {
		.req = req, .buf = malloc(size), .size = size, .plus = plus};
	int code = -ENOMEM;

	if (listing.buf)
		code = list_folder(handlers_of(req), ino, fh, off, &listing);
	if (code)
		fuse_reply_err(req, -code);
	else
		fuse_reply_buf(req, listing.buf, listing.used);
	free(listing.buf);
}

/* Replies: entries, none at the end. */
static void on_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi->fh, false);
}

/* Replies: entries with attributes, each looked up; none at the end. */
static void on_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi->fh, true);
}

/* Replies: the file system underneath; EIO. */
static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	(void)ino;
	int code = fs_statfs(fs_of(req), &st);
	if (code)
		fuse_reply_err(req, -code);
	else
		fuse_reply_statfs(req, &st);
}

/* A size or the bytes, as getxattr(2) and listxattr(2) ask. */
static void reply_xattr(fuse_req_t req, ssize_t n, const char *buf, size_t size)
{
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* Replies: a value or its size; ENODATA, ERANGE, EOPNOTSUPP. */
static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	char *buf = size ? malloc(size) : NULL;
	ssize_t n = -ENOMEM;
	if (!size || buf)
		n = fs_getxattr(fs_of(req), ino, name, buf, size);
	reply_xattr(req, n, buf, size);
	free(buf);
}

/* Replies: the names or their size; ERANGE. */
static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = size ? malloc(size) : NULL;
	ssize_t n = -ENOMEM;
	if (!size || buf)
		n = fs_listxattr(fs_of(req), ino, buf, size);
	reply_xattr(req, n, buf, size);
	free(buf);
}

/* Settles what the kernel may do by itself (the winners of the measurements). */
static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO |
				  FUSE_CAP_WRITEBACK_CACHE);
	conn->want |=
		conn->capable &
		(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
			FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_NO_OPENDIR_SUPPORT |
			FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_CACHE_SYMLINKS);
	conn->max_write = REQUEST_MAX;
	conn->max_readahead = REQUEST_MAX;
}

struct fuse_lowlevel_ops handlers_ops(bool readonly, bool xattr)
{
	struct fuse_lowlevel_ops ops = {
		.init = on_init,
		.lookup = on_lookup,
		.forget = on_forget,
		.forget_multi = on_forget_multi,
		.getattr = on_getattr,
		.readlink = on_readlink,
		.open = readonly ? on_open_never : on_open,
		.read = on_read,
		.statfs = on_statfs,
		.opendir = on_opendir,
		.readdir = on_readdir,
		.readdirplus = on_readdirplus,
		.releasedir = on_releasedir,
		.getxattr = xattr ? on_getxattr : NULL,
		.listxattr = xattr ? on_listxattr : NULL,
	};
	if (readonly)
		return ops;
	ops.setattr = on_setattr;
	ops.mkdir = on_mkdir;
	ops.symlink = on_symlink;
	ops.link = on_link;
	ops.mknod = on_mknod;
	ops.unlink = on_unlink;
	ops.rmdir = on_rmdir;
	ops.rename = on_rename;
	ops.create = on_create;
	ops.write = on_write;
	ops.flush = on_flush;
	ops.fsync = on_fsync;
	ops.release = on_release;
	ops.fsyncdir = on_fsyncdir;
	return ops;
}

static void notify_inode(void *arg, fs_ino ino)
{
	struct handlers *handlers = arg;
	/* ENOENT: the kernel has forgotten it, which is as good. */
	(void)fuse_lowlevel_notify_inval_inode(handlers->session, ino, 0, 0);
}

static void notify_entry(void *arg, fs_ino parent, const char *name)
{
	struct handlers *handlers = arg;
	(void)fuse_lowlevel_notify_inval_entry(
		handlers->session, parent, name, strlen(name));
}

void handlers_notify(struct handlers *handlers, struct fuse_session *session)
{
	struct fs_notify notify = {notify_inode, notify_entry, handlers};
	/* First nobody is inside of these, then what they use may go. */
	fs_set_notify(handlers->fs, NULL);
	handlers->session = session;
	if (session)
		fs_set_notify(handlers->fs, &notify);
}

int handlers_init(struct handlers *handlers, struct fs *fs, bool readonly)
{
	*handlers = (struct handlers){.fs = fs, .readonly = readonly};
	return folders_new(&handlers->folders, fs);
}

void handlers_done(struct handlers *handlers)
{
	folders_free(&handlers->folders);
}
