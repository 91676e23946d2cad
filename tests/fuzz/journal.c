/*
 * journal: a stranger's journal is refused, or it is an edit that may be finished as
 * often as one likes.
 *
 *	journal | container | bytes of the container, u16
 */
#include "fs/journal.h"
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLY_MAX (1u << 22) /* bytes of a container that is really written */

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	HOLDS(fd >= 0 && pwrite(fd, bytes, len, 0) == (ssize_t)len);
	return fd;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	HOLDS(fstat(fd, &st) == 0);
	return (uint64_t)st.st_size;
}

/* What is in it now, malloc'ed. */
static unsigned char *bytes_of(int fd, uint64_t size)
{
	unsigned char *bytes = malloc(size + 1);

	HOLDS(bytes != NULL && pread(fd, bytes, size, 0) == (ssize_t)size);
	return bytes;
}

static void apply(struct journal *journal, int container)
{
	struct error err = {0};

	if (journal_apply(journal, container, &err) < 0)
		fuzz_fail("a journal that fits is not applied: %s", err.text);
	HOLDS(size_of(container) == journal_new_size(journal));
	if (journal_fits(journal, container, &err) < 0)
		fuzz_fail("a journal does not fit what it made: %s", err.text);
}

/* The journal laid over the container is what applying it makes of that. */
static void check_overlay(int fd, int before, const unsigned char *after, uint64_t size)
{
	AUTO_SOURCE *base = NULL, *overlay = NULL;
	struct journal *journal = NULL;
	unsigned char *bytes = malloc(size + 1);
	struct error err = {0};

	HOLDS(bytes != NULL && journal_open(&journal, fd, &err) == 0);
	HOLDS(source_from_fd(&base, dup(before), "container", &err) == 0);
	HOLDS(journal_overlay(&overlay, journal, base, &err) == 0);
	HOLDS(source_size(overlay) == size);
	HOLDS(source_read(overlay, 0, bytes, size, &err) == 0);
	HOLDS(memcmp(bytes, after, size) == 0);
	free(bytes);
}

static void use(struct journal *journal, int container, int before)
{
	uint64_t size = journal_new_size(journal);
	unsigned char *once, *twice;

	(void)journal_needs_space(journal, container);
	apply(journal, container);
	once = bytes_of(container, size);
	apply(journal, container);
	twice = bytes_of(container, size);
	HOLDS(memcmp(once, twice, size) == 0);
	check_overlay(dup(journal_fd(journal)), before, once, size);
	free(once);
	free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JOURNAL *journal = NULL;
	size_t len = fuzz_journal(data, size), rest = size < 2 ? 0 : size - 2 - len;
	int container = file_of(data + len, rest), before = file_of(data + len, rest);
	struct error err = {0};
	int rc = journal_open(&journal, file_of(data, len), &err);

	HOLDS(rc == 0 || journal == NULL);
	if (rc == 0)
		rc = journal_fits(journal, container, &err);
	HOLDS(size_of(container) == rest);
	if (rc < 0)
		fuzz_refused(rc, &err);
	else if (journal_new_size(journal) <= APPLY_MAX)
		use(journal, container, before);
	(void)close(container);
	(void)close(before);
	return 0;
}
