/* Two documents of one value: each save applies its own difference, and both show it. */
#include "decoders/base/text.h"
#include "fs/fs.h"
#include "tests/unit/fs_session.h"
#include "tests/unit/unit.h"

#define LAYER "layers/drop/config.json"
#define WHOLE ".weightfs/config.json"

static bool copy_fixture(struct session *session, const char *name)
{
	const char *from = getenv("FIXTURES"), *dir = getenv("TEST_DIR");
	char command[9000];

	(void)snprintf(session->model, sizeof session->model, "%s/%s.h5",
		dir != NULL ? dir : ".", name);
	(void)snprintf(command, sizeof command, "cp '%s/keras/keras3_functional.h5' '%s'",
		from != NULL ? from : "tests/fixtures", session->model);
	return CHECK(system(command) == 0) && session_mount(session);
}

/* Saves the file with one text in the place of another, as sed would. */
static int replace(
	struct session *session, const char *path, const char *old, const char *new)
{
	AUTO_TEXT text = {0};
	size_t len;
	char *bytes = session_read(session, path, &len), *at;
	int rc = -ENOENT;

	at = bytes != NULL ? strstr(bytes, old) : NULL;
	if (at != NULL) {
		text_put(&text, bytes, (size_t)(at - bytes));
		text_printf(&text, "%s%s", new, at + strlen(old));
		rc = session_put(session, path, text.bytes, text.len);
	}
	free(bytes);
	return rc;
}

static bool says(struct session *session, const char *path, const char *what)
{
	size_t len;
	char *bytes = session_read(session, path, &len);
	bool found = bytes != NULL && strstr(bytes, what) != NULL;

	free(bytes);
	return found;
}

struct told {
	pthread_mutex_t lock;
	fs_ino inodes[64];
	unsigned n;
};

static void tell(void *arg, fs_ino ino)
{
	struct told *told = arg;

	pthread_mutex_lock(&told->lock);
	if (told->n < 64)
		told->inodes[told->n++] = ino;
	pthread_mutex_unlock(&told->lock);
}

static bool was_told(struct told *told, fs_ino ino)
{
	for (unsigned i = 0; i < told->n; i++)
		if (told->inodes[i] == ino)
			return true;
	return false;
}

int main(void)
{
	struct session s = {0};
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct fs_notify notify = {.inode = tell, .arg = &told};
	const float less[] = {0};

	unit_begin("a layer's configuration is edited, and the whole one shows it");
	if (!copy_fixture(&s, "views"))
		return unit_end();
	fs_set_notify(s.fs, &notify);
	fs_ino whole = session_ino(&s, WHOLE);
	CHECK(says(&s, LAYER, "\"rate\": 0.5"));
	CHECK_INT(replace(&s, LAYER, "\"rate\": 0.5", "\"rate\": 0.25"), 0);
	CHECK(says(&s, WHOLE, "\"rate\": 0.25"));

	unit_begin("the kernel is told before the save is answered");
	CHECK(was_told(&told, whole));

	unit_begin("the whole one is edited, and the layer's shows it");
	CHECK_INT(replace(&s, WHOLE, "\"rate\": 0.25", "\"rate\": 0.125"), 0);
	CHECK(says(&s, LAYER, "\"rate\": 0.125"));

	unit_begin("a save is compared with what the file showed when it was opened");
	uint64_t handle;
	fs_ino ino;
	size_t len;
	char *stale = session_read(&s, WHOLE, &len);
	CHECK_INT(session_open(&s, WHOLE, O_RDWR, &ino, &handle), 0);
	CHECK_INT(replace(&s, LAYER, "\"rate\": 0.125", "\"rate\": 0.75"), 0);
	CHECK_INT(fs_write(s.fs, ino, handle, stale, len, 0), len);
	CHECK_INT(session_close(&s, ino, handle), 0);
	free(stale);
	session_again(&s);
	CHECK(says(&s, LAYER, "\"rate\": 0.75"));

	unit_begin("what the format cannot do is refused with its reason");
	CHECK_INT(session_put(&s, "layers/conv/kernel.bin", less, sizeof less), -EINVAL);
	CHECK_INT(session_rename(&s, "layers/conv/kernel.bin", "layers/conv/k.bin"),
		-EOPNOTSUPP);

	unit_begin(
		"a weight that the format cannot remove comes back if nobody writes it");
	CHECK_INT(session_unlink(&s, "layers/conv/kernel.bin"), 0);
	CHECK(!session_exists(&s, "layers/conv/kernel.bin"));
	CHECK(session_sync(&s) < 0);
	CHECK(session_exists(&s, "layers/conv/kernel.bin"));

	unit_begin("a renamed layer has its new name in its configuration");
	CHECK_INT(session_rename(&s, "layers/drop", "layers/out"), 0);
	CHECK_INT(session_sync(&s), 0);
	CHECK(says(&s, "layers/out/config.json", "\"name\": \"out\""));
	CHECK(session_end(&s) < 0);
	return unit_end();
}
