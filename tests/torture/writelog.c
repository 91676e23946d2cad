/*
 * writelog: a disk that remembers. Serves one file, `disk`, whose content is kept in
 * IMAGE, and appends each write and each flush to LOG before it is answered, so that the
 * disk as it was at any moment can be put together again. What is written to `mark` is
 * appended as it is.
 *
 *	writelog IMAGE LOG MOUNTPOINT
 *
 * A record: 8 bytes of offset, 4 of length, 4 of kind ('w', 'f' or 'm'), all of this
 * machine, then the bytes.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int image, log_fd;

static bool is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static bool is_mark(const char *path)
{
	return strcmp(path, "/mark") == 0;
}

static int append(char kind, uint64_t off, const void *bytes, size_t len)
{
	struct {
		uint64_t off;
		uint32_t len, kind;
	} head = {off, (uint32_t)len, (uint32_t)kind};

	if (write(log_fd, &head, sizeof head) != (ssize_t)sizeof head ||
		(len > 0 && write(log_fd, bytes, len) != (ssize_t)len))
		return -EIO;
	return 0;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	memset(st, 0, sizeof *st);
	if (is_disk(path) && fstat(image, st) < 0)
		return -errno;
	if (is_disk(path) || is_mark(path))
		st->st_mode = S_IFREG | 0600;
	else if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0700;
	else
		return -ENOENT;
	st->st_nlink = 1;
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
	file->direct_io = is_mark(path);
	return 0;
}

static int set_size(const char *path, off_t size, struct fuse_file_info *file)
{
	(void)size, (void)file;
	return is_mark(path) ? 0 : -EPERM;
}

static int read_disk(
	const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *file)
{
	ssize_t n = is_disk(path) ? pread(image, buf, len, off) : 0;

	(void)file;
	return n < 0 ? -errno : (int)n;
}

static int write_disk(const char *path, const char *buf, size_t len, off_t off,
	struct fuse_file_info *file)
{
	int code = append(is_disk(path) ? 'w' : 'm', (uint64_t)off, buf, len);

	(void)file;
	if (code == 0 && is_disk(path) && pwrite(image, buf, len, off) != (ssize_t)len)
		code = -EIO;
	return code < 0 ? code : (int)len;
}

static int flush_disk(const char *path, int data, struct fuse_file_info *file)
{
	(void)data, (void)file;
	return is_disk(path) ? append('f', 0, NULL, 0) : 0;
}

static const struct fuse_operations operations = {.getattr = get_attributes,
	.open = open_file,
	.truncate = set_size,
	.read = read_disk,
	.write = write_disk,
	.fsync = flush_disk};

int main(int argc, char **argv)
{
	char foreground[] = "-f", single[] = "-s";
	char *args[] = {argv[0], foreground, single, argc == 4 ? argv[3] : NULL, NULL};

	if (argc != 4) {
		fprintf(stderr, "usage: writelog IMAGE LOG MOUNTPOINT\n");
		return 2;
	}
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (image < 0 || log_fd < 0) {
		perror("writelog");
		return 1;
	}
	return fuse_main(4, args, &operations, NULL);
}
