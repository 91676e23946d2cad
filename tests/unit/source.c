/* Sources: exact reads inside bounds, files that change under us, slices and handles. */
#include "decoders/base/source.h"
#include "decoders/base/error.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A source over an unlinked file of these bytes; *fd is one more descriptor of it. */
static struct source *file_of(const char *bytes, int *fd)
{
	char path[] = "/tmp/weightfs-unit-XXXXXX";
	struct source *source = NULL;
	int mine = mkstemp(path);

	CHECK(mine >= 0);
	CHECK_INT(write(mine, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	CHECK_INT(source_open(&source, path, NULL), 0);
	CHECK_INT(unlink(path), 0);
	*fd = mine;
	return source;
}

static void reading(void)
{
	struct error err = {0};
	char buf[16] = {0};
	int fd = -1;
	AUTO_SOURCE *source = NULL;

	unit_begin("a read gives exactly what was asked for, or nothing and the reason");
	source = file_of("0123456789", &fd);
	CHECK_INT(source_size(source), 10);
	CHECK_INT(source_read(source, 3, buf, 4, &err), 0);
	CHECK_STR(buf, "3456");
	CHECK_INT(source_read(source, 10, buf, 0, &err), 0);
	CHECK_INT(source_read(source, 8, buf, 3, &err), -EINVAL);
	CHECK(strstr(err.text, "3 bytes at offset 8 do not lie in its 10") != NULL);
	CHECK_INT(source_read(source, UINT64_MAX, buf, 2, &err), -EINVAL);

	unit_begin("a file that became shorter gives EIO, not a short read");
	CHECK_INT(ftruncate(fd, 5), 0);
	CHECK_INT(source_read(source, 3, buf, 4, &err), -EIO);
	CHECK(strstr(err.text, "the file now ends at 5") != NULL);
	CHECK_INT(source_size(source), 10);
	(void)close(fd);
}

static void opening(void)
{
	char dir[] = "/tmp/weightfs-unit-XXXXXX", fifo[64];
	struct source *source = NULL;
	struct error err = {0};

	unit_begin("folders, FIFOs and what is missing are refused, without waiting");
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	CHECK_INT(mkfifo(fifo, 0600), 0);
	CHECK_INT(source_open(&source, dir, &err), -EISDIR);
	CHECK_INT(source_open(&source, fifo, &err), -EINVAL);
	CHECK(strstr(err.text, "expected a regular file") != NULL);
	CHECK_INT(source_open(&source, "/nonexistent/x", &err), -ENOENT);
	CHECK_STR(err.text, "/nonexistent/x: No such file or directory");
	CHECK(source == NULL);
	CHECK_INT(unlink(fifo), 0);
	CHECK_INT(rmdir(dir), 0);
}

static void slicing(void)
{
	AUTO_SOURCE *memory = NULL, *outer = NULL, *inner = NULL, *none = NULL;
	struct error err = {0};
	char buf[8] = {0};
	int fd;
	uint64_t off;

	unit_begin("a slice of a slice reads its own part and keeps its base alive");
	CHECK_INT(source_memory(&memory, "0123456789", 10, "m", &err), 0);
	CHECK_INT(source_slice(&outer, memory, 2, 6, NULL, &err), 0);
	CHECK_INT(source_slice(&inner, outer, 1, 3, "part", &err), 0);
	source_unref(&memory);
	source_unref(&outer);
	CHECK_INT(source_read(inner, 0, buf, 3, &err), 0);
	CHECK_STR(buf, "345");
	CHECK_STR(source_name(inner), "m: part");
	CHECK_INT(source_slice(&none, inner, 1, 3, NULL, &err), -EINVAL);
	CHECK_INT(source_slice(&none, inner, UINT64_MAX, 2, NULL, &err), -EINVAL);
	CHECK(!source_locate(inner, 0, 1, &fd, &off));
}

static void handles(void)
{
	AUTO_SOURCE *a = NULL, *b = NULL, *handle = NULL, *slice = NULL;
	struct source *under;
	uint64_t off = 2;
	char buf[8] = {0};
	int fd = -1, found = -1;

	unit_begin("a handle follows its backing, and is seen through");
	a = file_of("abcdef", &fd);
	(void)close(fd);
	CHECK_INT(source_memory(&b, "ABCDEF", 6, "b", NULL), 0);
	CHECK_INT(source_handle(&handle, a, NULL), 0);
	CHECK_INT(source_slice(&slice, handle, 1, 4, NULL, NULL), 0);
	CHECK_INT(source_read(slice, 0, buf, 4, NULL), 0);
	CHECK_STR(buf, "bcde");
	CHECK(source_locate(slice, 1, 3, &found, &off) && off == 2);
	CHECK(!source_locate(slice, 1, 4, &found, &off));
	under = slice;
	source_resolve(&under, &off);
	CHECK(under == a && off == 3);
	source_rebase(handle, b);
	source_unref(&a);
	CHECK_INT(source_read(slice, 0, buf, 4, NULL), 0);
	CHECK_STR(buf, "BCDE");
}

int main(void)
{
	reading();
	opening();
	slicing();
	handles();
	return unit_end();
}
