/*
 * look: opening without mounting.
 */
#include "fs/look.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "fs/confine.h"
#include "fs/container.h"
#include "fs/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYERS "layers/"

/* The opening of several, one inside the other: each container calls on the next when
 * its own path is not needed any more. */
struct opening {
	struct confine confine; /* what the container at `next - 1` is given */
	struct look *looks;
	const char *const *paths;
	unsigned n, next;
	const struct fs_options *options;
	int code;
	struct error *err;
};

static int open_folder(struct look *look, const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	look->folder = fd + 1;
	return 0;
}

/* All are open: files are opened below the folders among them only. */
static void confine(const struct opening *opening)
{
	struct confine *last = opening->options->confine;
	int folders[LOOKS_MAX];
	struct places places = {.folders = folders};

	for (unsigned i = 0; i < opening->n; i++)
		if (opening->looks[i].folder)
			folders[places.n++] = opening->looks[i].folder - 1;
	if (last)
		last->enter(last, &places);
}

/* The rest of the paths; as what a container enters. */
static void open_rest(struct confine *entered, const struct places *unused)
{
	struct opening *opening = (struct opening *)entered;
	struct container_options how = {.readonly = true,
		.journal_dir = opening->options->journal_dir,
		.confine = entered};
	struct stat st;

	(void)unused;
	while (!opening->code && opening->next < opening->n) {
		struct look *look = &opening->looks[opening->next];
		const char *path = opening->paths[opening->next++];

		if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
			int code = container_open(
				&look->container, path, &how, opening->err);
			opening->code = opening->code ? opening->code : code;
			return;
		}
		opening->code = open_folder(look, path, opening->err);
	}
	if (!opening->code)
		confine(opening);
}

static int open_model(struct look *look, const char *path,
	const struct fs_options *options, struct error *err)
{
	if (look->folder)
		return unpacked_open(&look->model, path, err);
	return model_open(
		&look->model, container_source(look->container), options->format, err);
}

int look_open(struct look *looks, const char *const *paths, unsigned n,
	const struct fs_options *options, struct error *err)
{
	struct opening opening = {.confine.enter = open_rest,
		.looks = looks,
		.paths = paths,
		.n = n,
		.options = options,
		.err = err};

	memset(looks, 0, n * sizeof *looks);
	open_rest(&opening.confine, NULL);
	for (unsigned i = 0; i < n && !opening.code; i++)
		opening.code = open_model(&looks[i], paths[i], options, err);
	for (unsigned i = 0; i < n && opening.code; i++)
		look_close(&looks[i]);
	return opening.code;
}

void look_close(struct look *look)
{
	model_free(&look->model);
	container_close(&look->container);
	if (look->folder)
		close(look->folder - 1);
	look->folder = 0;
}

/* Whether the glob fits the path or one of the folders that it is in. */
static bool fits(const char *glob, const char *path)
{
	char *part = strdup(path);
	bool fit = false;

	for (char *end = part ? part + strlen(part) : NULL; end && !fit;) {
		*end = '\0';
		fit = fnmatch(glob, part, 0) == 0;
		end = strrchr(part, '/');
	}
	free(part);
	return fit;
}

bool look_meant(const char *glob, const char *path)
{
	size_t len = strlen(LAYERS);

	if (!glob || fits(glob, path))
		return true;
	return !strncmp(path, LAYERS, len) && fits(glob, path + len);
}
