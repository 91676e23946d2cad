/*
 * reader: what Python is too slow to do for a measurement.
 *
 *	reader touch FILE		reads a byte of every page through a mapping
 *	reader random FILE N SEED	N reads of 4 KiB, no page twice
 *
 * Prints the seconds that it took.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
/* Coprime to any number of pages below it: i * STRIDE visits each page once. */
#define STRIDE 2654435761u

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned touch(int fd, uint64_t size)
{
	volatile unsigned char *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	unsigned sum = 0;

	if (bytes == MAP_FAILED)
		err(1, "mmap");
	for (uint64_t at = 0; at < size; at += PAGE)
		sum += bytes[at];
	return sum;
}

static unsigned read_randomly(int fd, uint64_t size, uint64_t n, uint64_t seed)
{
	unsigned char buf[PAGE];
	unsigned sum = 0;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = (i + seed) * STRIDE % (size / PAGE);

		if (pread(fd, buf, PAGE, (off_t)(page * PAGE)) != PAGE)
			err(1, "pread");
		sum += buf[0];
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd = argc >= 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	double begin;
	unsigned sum;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "usage: reader touch|random FILE [N SEED]");
	begin = now();
	if (strcmp(argv[1], "touch") == 0)
		sum = touch(fd, (uint64_t)st.st_size);
	else
		sum = read_randomly(fd, (uint64_t)st.st_size,
			strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	printf("%.9f %u\n", now() - begin, sum);
	return 0;
}
