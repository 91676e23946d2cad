/*
 * listing: a decoded model compared with the listing of its fixture, which says what the
 * official library reads from it: path, bytes, dtype, shape and sha256 of each tensor,
 * separated by tabs, sorted by path. Bytes are "-" where there is no NAME.bin; other
 * fields are "-" where there is nothing to compare, the digest is "error" where the tree
 * must say why the tensor cannot be read.
 */
#ifndef WEIGHTFS_TESTS_UNIT_LISTING_H
#define WEIGHTFS_TESTS_UNIT_LISTING_H

#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "tests/unit/unit.h"
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>

/* The path of a fixture, or a pattern of some, from its name below their folder. */
static inline void fixture_path(const char *name, struct text *path)
{
	const char *folder = getenv("FIXTURES");

	text_clear(path);
	text_printf(path, "%s/%s", folder != NULL ? folder : "tests/fixtures", name);
}

static inline void each_fixture(const char *pattern, void (*check)(const char *path))
{
	AUTO_TEXT path = {0};
	glob_t found = {0};

	fixture_path(pattern, &path);
	CHECK_INT(glob(path.bytes, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		check(found.gl_pathv[i]);
	globfree(&found);
}

/* FIPS 180-4. */
struct sha256 {
	uint32_t state[8];
	unsigned char block[64];
	uint64_t len;
};

static inline uint32_t sha256_rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline void sha256_block(struct sha256 *sha)
{
	static const uint32_t k[64] = {
		0x428a2f98,
		0x71374491,
		0xb5c0fbcf,
		0xe9b5dba5,
		0x3956c25b,
		0x59f111f1,
		0x923f82a4,
		0xab1c5ed5,
		0xd807aa98,
		0x12835b01,
		0x243185be,
		0x550c7dc3,
		0x72be5d74,
		0x80deb1fe,
		0x9bdc06a7,
		0xc19bf174,
		0xe49b69c1,
		0xefbe4786,
		0x0fc19dc6,
		0x240ca1cc,
		0x2de92c6f,
		0x4a7484aa,
		0x5cb0a9dc,
		0x76f988da,
		0x983e5152,
		0xa831c66d,
		0xb00327c8,
		0xbf597fc7,
		0xc6e00bf3,
		0xd5a79147,
		0x06ca6351,
		0x14292967,
		0x27b70a85,
		0x2e1b2138,
		0x4d2c6dfc,
		0x53380d13,
		0x650a7354,
		0x766a0abb,
		0x81c2c92e,
		0x92722c85,
		0xa2bfe8a1,
		0xa81a664b,
		0xc24b8b70,
		0xc76c51a3,
		0xd192e819,
		0xd6990624,
		0xf40e3585,
		0x106aa070,
		0x19a4c116,
		0x1e376c08,
		0x2748774c,
		0x34b0bcb5,
		0x391c0cb3,
		0x4ed8aa4a,
		0x5b9cca4f,
		0x682e6ff3,
		0x748f82ee,
		0x78a5636f,
		0x84c87814,
		0x8cc70208,
		0x90befffa,
		0xa4506ceb,
		0xbef9a3f7,
		0xc67178f2,
	};
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)sha->block[4 * i] << 24 | sha->block[4 * i + 1] << 16 |
		       sha->block[4 * i + 2] << 8 | sha->block[4 * i + 3];
	for (unsigned i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] +
		       (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3) +
		       (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10);
	}
	memcpy(s, sha->state, sizeof s);
	for (unsigned i = 0; i < 64; i++) {
		uint32_t a = s[0], e = s[4];
		uint32_t t = s[7] + k[i] + w[i] + ((e & s[5]) ^ (~e & s[6])) +
			     (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^
				     sha256_rotate(e, 25));
		uint32_t u = ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2])) +
			     (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^
				     sha256_rotate(a, 22));

		memmove(s + 1, s, 7 * sizeof *s);
		s[4] += t;
		s[0] = t + u;
	}
	for (unsigned i = 0; i < 8; i++)
		sha->state[i] += s[i];
}

static inline void sha256_init(struct sha256 *sha)
{
	static const uint32_t first[8] = {
		0x6a09e667,
		0xbb67ae85,
		0x3c6ef372,
		0xa54ff53a,
		0x510e527f,
		0x9b05688c,
		0x1f83d9ab,
		0x5be0cd19,
	};

	*sha = (struct sha256){.len = 0};
	memcpy(sha->state, first, sizeof first);
}

static inline void sha256_put(struct sha256 *sha, const void *bytes, size_t len)
{
	for (const unsigned char *byte = bytes; len > 0; len--) {
		sha->block[sha->len++ % 64] = *byte++;
		if (sha->len % 64 == 0)
			sha256_block(sha);
	}
}

static inline void sha256_end(struct sha256 *sha, char hex[65])
{
	uint64_t bits = sha->len * 8;
	unsigned char byte = 0x80;

	do {
		sha256_put(sha, &byte, 1);
		byte = 0;
	} while (sha->len % 64 != 56);
	for (int i = 7; i >= 0; i--) {
		byte = (unsigned char)(bits >> 8 * i);
		sha256_put(sha, &byte, 1);
	}
	for (unsigned i = 0; i < 8; i++)
		(void)snprintf(hex + 8 * i, 9, "%08" PRIx32, sha->state[i]);
}

/* The digest of a tensor's elements as they are now; false, and a failure, if they
 * cannot be read. */
static inline bool listing_digest(struct model *model, struct node *node, char hex[65])
{
	static char bytes[1 << 16];
	AUTO_BLOB *blob = NULL;
	struct error err = {0};
	struct sha256 sha;
	uint64_t off = 0;
	ssize_t n = model_content(model, node, &blob, &err);

	sha256_init(&sha);
	while (n == 0 && off < blob_size(blob)) {
		n = blob_read(blob, off, bytes, sizeof bytes, &err);
		if (n <= 0)
			break;
		sha256_put(&sha, bytes, (size_t)n);
		off += (uint64_t)n;
		n = 0;
	}
	if (n < 0)
		unit_fail("%s: %s", node->name, err.text);
	sha256_end(&sha, hex);
	return n == 0;
}

/* Compares one line, NUL-terminated; it is cut into its fields. */
static inline void listing_line(struct model *model, char *line)
{
	char *field[5], hex[65], bytes[24], path[65536], *rest = line;
	const struct tensor *tensor;
	struct error err = {0};
	struct node *node;
	char shape[512] = "[";

	for (unsigned i = 0; i < 5; i++)
		if ((field[i] = strsep(&rest, "\t")) == NULL) {
			unit_fail("a listing's line has %u fields: %s", i, line);
			return;
		}
	/* A folder may have the tensor's name; a file of it may not. */
	(void)snprintf(path, sizeof path, "%s.json", field[0]);
	node = tree_at(model->tree, path);
	if (node == NULL || node->kind != NODE_TENSOR ||
		model_tensor(model, node, &tensor, &err) < 0) {
		unit_fail("%s: %s", field[0], node == NULL ? "no such tensor" : err.text);
		return;
	}
	for (unsigned i = 0; i < tensor->rank; i++)
		(void)snprintf(shape + strlen(shape), sizeof shape - strlen(shape),
			"%s%" PRIu64, i > 0 ? ", " : "", tensor->shape[i]);
	(void)strcat(shape, "]");
	(void)snprintf(bytes, sizeof bytes, "%" PRIu64, tensor->bytes);
	if (strcmp(tensor->flags & TENSOR_NO_BIN ? "-" : bytes, field[1]) != 0)
		unit_fail("%s: %s bytes, expected %s", field[0], bytes, field[1]);
	if (strcmp(field[2], "-") != 0 && strcmp(tensor->dtype->name, field[2]) != 0)
		unit_fail("%s: %s, expected %s", field[0], tensor->dtype->name, field[2]);
	if (strcmp(field[3], "-") != 0 &&
		strcmp(tensor->flags & TENSOR_NULL ? "null" : shape, field[3]) != 0)
		unit_fail("%s: shape %s, expected %s", field[0], shape, field[3]);
	if ((strcmp(field[4], "error") == 0) != (tensor->error != NULL))
		unit_fail("%s: error %s", field[0],
			tensor->error != NULL ? tensor->error : "expected");
	if (strlen(field[4]) == 64 && listing_digest(model, node, hex) &&
		strcmp(hex, field[4]) != 0)
		unit_fail("%s: sha256 %s, expected %s", field[0], hex, field[4]);
}

/* Compares a model with the listing of its fixture: each line, and their number. */
static inline void listing_check(struct model *model, const char *fixture)
{
	size_t n_lines = 0, n_tensors = 0, size = 0;
	AUTO_TEXT path = {0};
	char *line = NULL;
	FILE *file;

	text_put(&path, fixture, (size_t)(strrchr(fixture, '.') - fixture));
	text_puts(&path, ".listing");
	file = fopen(path.bytes, "r");
	if (file == NULL) {
		unit_fail("%s cannot be opened", path.bytes);
		return;
	}
	for (ssize_t n; (n = getline(&line, &size, file)) > 0; n_lines++) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		listing_line(model, line);
	}
	for (struct node *node = model->tree->root; node != NULL;
		node = tree_walk(model->tree->root, node))
		n_tensors += node->kind == NODE_TENSOR;
	CHECK_INT((intmax_t)n_tensors, (intmax_t)n_lines);
	free(line);
	(void)fclose(file);
}

#endif
