/* keras: fixtures against their listings, and every kind of edit, whose outcome is decoded
 * again. What Keras itself makes of the outcome is tests/interop/keras. */
#include "decoders/grammar/document.h"
#include "tests/unit/listing.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <glob.h>
#include <stdlib.h>

static void release(struct model **model)
{
	model_free(model);
}
#define AUTO_M __attribute__((cleanup(release))) struct model

static const char *fixtures_folder(void)
{
	const char *folder = getenv("FIXTURES");

	return folder != NULL ? folder : "tests/fixtures";
}

static struct model *decode(struct source *source)
{
	struct error err = {0};
	struct model *model = NULL;

	if (model_open(&model, source, NULL, &err) < 0)
		unit_fail("%s: %s", source_name(source), err.text);
	return model;
}

/* A fixture by its name; a failure and NULL if it cannot be read. */
__attribute__((unused)) static struct model *fixture(const char *name)
{
	AUTO_SOURCE *source = NULL;
	AUTO_TEXT path = {0};
	struct error err = {0};

	text_printf(&path, "%s/keras/%s", fixtures_folder(), name);
	if (source_open(&source, path.bytes, &err) < 0) {
		unit_fail("%s", err.text);
		return NULL;
	}
	return decode(source);
}

static void one_fixture(const char *path)
{
	AUTO_SOURCE *source = NULL;
	AUTO_PLAN *plan = NULL;
	struct error err = {0};
	AUTO_TEXT listing = {0};
	AUTO_M *model = NULL;

	CHECK_INT(source_open(&source, path, &err), 0);
	model = decode(source);
	if (model == NULL)
		return;
	CHECK_STR(model->decoder->name, "keras");
	CHECK_STR(model->readonly, NULL);
	CHECK_INT(model->damaged, 0);
	text_put(&listing, path, strlen(path) - strlen("h5"));
	text_puts(&listing, "listing");
	listing_check(model, listing.bytes);
	CHECK_INT(model_encode(model, &plan, &err), 0);
	CHECK(plan != NULL && plan_unchanged(plan));
}

static void fixtures(void)
{
	AUTO_TEXT pattern = {0};
	glob_t found;

	unit_begin("fixtures read as Keras does, and encode to themselves");
	text_printf(&pattern, "%s/keras/*.h5", fixtures_folder());
	CHECK_INT(glob(pattern.bytes, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		one_fixture(found.gl_pathv[i]);
	globfree(&found);
}

int main(void)
{
	fixtures();
	return unit_end();
}
