/* names: whatever a container calls its tensors, its paths are a bijection. */
#include "decoders/base/names.h"
#include "decoders/base/text.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

/* No component leaves its folder or is too long for a file system. */
static void check_path(const struct text *path, enum names_place place, char separator)
{
	const char *at = path->bytes, *end = path->bytes + path->len;

	HOLDS(path->len > 0 && memchr(path->bytes, '\0', path->len) == NULL);
	while (at <= end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t len = (size_t)((slash != NULL ? slash : end) - at);
		bool stem = slash == NULL && place == NAMES_STEM;

		HOLDS(len > 0 && len + (stem ? 5 : 0) <= 255);
		HOLDS(!(len == 1 && at[0] == '.') &&
			!(len == 2 && memcmp(at, "..", 2) == 0));
		HOLDS(names_canonical(
			at, len, separator, stem ? NAMES_STEM : NAMES_FOLDER));
		at += len + 1;
	}
}

static void forth(const uint8_t *data, size_t size, char separator)
{
	AUTO_TEXT path = {0}, name = {0};

	names_path((const char *)data, size, separator, &path);
	check_path(&path, NAMES_STEM, separator);
	HOLDS(names_name(path.bytes, path.len, separator, NAMES_STEM, &name));
	HOLDS(name.len == size && (size == 0 || memcmp(name.bytes, data, size) == 0));
}

/* What is the image of a name is the image of no other. */
static void back(const uint8_t *data, size_t size, char separator)
{
	AUTO_TEXT path = {0}, name = {0};

	if (!names_name((const char *)data, size, separator, NAMES_STEM, &name)) {
		HOLDS(name.len == 0);
		return;
	}
	names_path(name.bytes, name.len, separator, &path);
	HOLDS(path.len == size && memcmp(path.bytes, data, size) == 0);
}

static void piece(
	const uint8_t *data, size_t size, char separator, enum names_place place)
{
	AUTO_TEXT path = {0};

	names_piece((const char *)data, size, separator, place, &path);
	check_path(&path, place, separator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (const char *separator = "./"; *separator != '\0'; separator++) {
		forth(data, size, *separator);
		back(data, size, *separator);
		if (memchr(data, *separator, size) != NULL)
			continue;
		piece(data, size, *separator, NAMES_STEM);
		piece(data, size, *separator, NAMES_FOLDER);
	}
	return 0;
}
