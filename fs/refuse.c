/*
 * refuse: the log of refusals, and the bytes that were refused.
 */
#include "fs/refuse.h"
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/model.h"
#include "decoders/base/text.h"
#include "decoders/base/tree.h"
#include "fs/fs_private.h"
#include "fs/keep.h"
#include "fs/place.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX (16u << 20) /* bytes; then nothing is added but the count */
#define NUMBERS_MAX 10000   /* of refused saves of one path that are kept */

static bool starts_with_place(const char *reason)
{
	size_t n = strspn(reason, "0123456789"), m;

	if (n == 0 || reason[n] != ':')
		return false;
	m = strspn(reason + n + 1, "0123456789");
	return m > 0 && reason[n + 1 + m] == ':';
}

/* An encoder's reason may have the path already, or the tensor's: the bytes of that. */
static size_t named_length(const char *reason, const char *path, size_t len)
{
	enum inode_kind kind;
	size_t stem = place_stem(path, &kind);

	if (len > 0 && strncmp(reason, path, len) == 0 && reason[len] == ':')
		return len + strspn(reason + len, ": ");
	if (stem > 0 && strncmp(reason, path, stem) == 0 && reason[stem] == ':')
		return stem + strspn(reason + stem, ": ");
	return 0;
}

static int put_line(const char *path, const char *reason, struct text *line)
{
	char safe[ERROR_TEXT_MAX];
	size_t len;

	if (path == NULL) /* there was no memory for it */
		path = "";
	len = error_escape(safe, sizeof safe, path, strlen(path));
	reason += named_length(reason, safe, len);
	text_printf(
		line, "%s:%s%s\n", safe, starts_with_place(reason) ? "" : " ", reason);
	return text_check(line, NULL);
}

/* Exclusively. */
static void add_line(struct fs *fs, const struct text *line)
{
	fs->refusals++;
	if (fs->log.len < LOG_MAX && !line->failed)
		text_put(&fs->log, line->bytes, line->len);
	notify_inode(&fs->notifier, fs->log_file->ino);
}

char *refuse_say(struct fs *fs, const char *path, const char *reason)
{
	AUTO_TEXT line = {0};
	int rc = put_line(path, reason, &line);

	fs_own(fs);
	add_line(fs, &line);
	fs_unlock(fs);
	return rc < 0 ? NULL : text_take(&line, NULL);
}

void refuse_log(struct fs *fs, const char *path, const char *reason)
{
	free(refuse_say(fs, path, reason));
}

static bool ends_in(const struct text *log, const struct text *line)
{
	return log->len >= line->len &&
	       memcmp(log->bytes + log->len - line->len, line->bytes, line->len) == 0;
}

void refuse_log_once(struct fs *fs, const char *path, const char *reason)
{
	AUTO_TEXT line = {0};
	int rc = put_line(path, reason, &line);

	fs_own(fs);
	if (rc < 0 || !ends_in(&fs->log, &line))
		add_line(fs, &line);
	fs_unlock(fs);
}

/* Where the last line that says this begins; NULL: none does. */
static const char *find_line(const struct text *log, const char *line, size_t len)
{
	const char *at = log->bytes, *found = NULL, *end;

	for (; at != NULL && *at != '\0'; at = end + 1) {
		end = strchr(at, '\n');
		if ((size_t)(end + 1 - at) == len && memcmp(at, line, len) == 0)
			found = at;
	}
	return found;
}

void refuse_withdraw(struct fs *fs, char **line)
{
	size_t len = *line != NULL ? strlen(*line) : 0;
	const char *at = len > 0 ? find_line(&fs->log, *line, len) : NULL;

	if (at != NULL) {
		text_splice(&fs->log, (size_t)(at - fs->log.bytes), len, NULL, 0);
		fs->refusals--;
		notify_inode(&fs->notifier, fs->log_file->ino);
	}
	free(*line);
	*line = NULL;
}

unsigned fs_refusals(struct fs *fs, struct text *out)
{
	unsigned n;

	fs_share(fs);
	n = fs->refusals;
	if (fs->log.len > 0)
		text_put(out, fs->log.bytes, fs->log.len);
	fs_unlock(fs);
	return n;
}

/* Of a name that the kernel has not seen yet, telling it changes no listing that it has
 * kept; telling it of the folder does. */
static void tell_new(struct fs *fs, struct inode *folder, const char *name)
{
	notify_entry(&fs->notifier, folder->ino, name);
	notify_inode(&fs->notifier, folder->ino);
}

/* A folder in rejected/, made where it is missing. */
static int folder_at(
	struct fs *fs, struct inode *above, const char *name, struct inode **out)
{
	struct entry *entry = entry_find(above, name);
	int rc;

	if (entry != NULL) {
		*out = entry->inode;
		return entry->inode->kind == INODE_FOLDER ? 0 : -ENOTDIR;
	}
	rc = inode_new(fs, INODE_FOLDER, 0755, out);
	if (rc < 0)
		return rc;
	(*out)->flags |= INODE_KEPT;
	rc = entry_set(fs, above, name, *out);
	if (rc < 0)
		inode_drop(fs, *out);
	else
		tell_new(fs, above, name);
	return rc;
}

/* The folder of a path in rejected/, and the last name of the path. */
static int folder_of(struct fs *fs, const char **path, struct inode **folder)
{
	const char *slash;
	int rc = 0;

	*folder = fs->rejected;
	for (; rc == 0 && (slash = strchr(*path, '/')) != NULL; *path = slash + 1) {
		char *name = strndup(*path, (size_t)(slash - *path));

		rc = name != NULL ? folder_at(fs, *folder, name, folder) : -ENOMEM;
		free(name);
	}
	return rc;
}

/* The name, or with ".2", ".3" ... the first that is free. */
static int free_name(struct inode *folder, const char *name, struct text *out)
{
	text_puts(out, name);
	for (int i = 2; !out->failed && entry_find(folder, out->bytes) != NULL; i++) {
		if (i > NUMBERS_MAX)
			return -ENOSPC;
		text_clear(out);
		text_printf(out, "%s.%d", name, i);
	}
	return text_check(out, NULL);
}

static int keep_at(
	struct fs *fs, const char *path, struct blob *bytes, struct inode **out)
{
	AUTO_TEXT name = {0};
	struct inode *folder;
	int rc = folder_of(fs, &path, &folder);

	if (rc == 0)
		rc = free_name(folder, path, &name);
	if (rc == 0)
		rc = inode_new(fs, INODE_FILE, 0444, out);
	if (rc < 0)
		return rc;
	(*out)->flags |= INODE_KEPT;
	(*out)->desk->staged = blob_ref(bytes);
	(*out)->desk->computed = inode_computed(bytes);
	rc = entry_set(fs, folder, name.bytes, *out);
	if (rc < 0)
		inode_drop(fs, *out);
	else
		tell_new(fs, folder, name.bytes);
	return rc;
}

void refuse_keep_owned(struct fs *fs, const char *path, struct blob *bytes)
{
	struct refused *refused = calloc(1, sizeof *refused);
	int rc = -ENOMEM;

	if (refused != NULL && path != NULL)
		refused->path = strdup(path);
	if (refused != NULL && refused->path != NULL && blob_size(bytes) > 0)
		rc = keep_at(fs, path, bytes, &refused->inode);
	if (rc == 0) {
		refused->next = fs->refused;
		fs->refused = refused;
	}
	if (rc < 0 && refused != NULL) {
		free(refused->path);
		free(refused);
	}
}

void refuse_keep(struct fs *fs, const char *path, struct blob *bytes)
{
	fs_own(fs);
	refuse_keep_owned(fs, path, bytes);
	fs_unlock(fs);
}

void refuse_forget(struct fs *fs, const char *path)
{
	if (path == NULL)
		return;
	fs_own(fs);
	for (struct refused *refused = fs->refused; refused != NULL;
		refused = refused->next)
		if (strcmp(refused->path, path) == 0)
			refused->made_up_for = true;
	fs_unlock(fs);
}

void refuse_free(struct fs *fs)
{
	struct refused *next;

	for (struct refused *refused = fs->refused; refused != NULL; refused = next) {
		next = refused->next;
		free(refused->path);
		free(refused);
	}
	fs->refused = NULL;
	text_done(&fs->log);
}

/* At the end. */

static int keep_refused(struct fs *fs, struct keep *keep, struct error *err)
{
	int rc = 0;

	for (struct refused *refused = fs->refused; rc == 0 && refused != NULL;
		refused = refused->next)
		if (!refused->made_up_for)
			rc = keep_blob(
				keep, refused->path, refused->inode->desk->staged, err);
	return rc;
}

/* A file of the model as the pending edits make it. */
static int keep_node(struct fs *fs, struct keep *keep, struct node *node,
	enum inode_kind kind, struct error *err)
{
	AUTO_BLOB *bytes = NULL;
	AUTO_TEXT path = {0};
	int rc = inode_render(fs, node, kind, &bytes, err);

	tree_path(node, &path);
	text_puts(&path, kind == INODE_BIN	 ? ".bin"
			 : kind == INODE_SIDECAR ? ".json"
						 : "");
	if (rc == 0)
		rc = text_check(&path, err);
	return rc < 0 ? rc : keep_blob(keep, path.bytes, bytes, err);
}

static int keep_edit(
	struct fs *fs, struct keep *keep, const struct edit *edit, struct error *err)
{
	int rc = 0;

	if ((edit->what & EDIT_REMOVED) != 0 || edit->node->kind != NODE_TENSOR)
		return 0;
	if (edit->content != NULL)
		rc = keep_node(fs, keep, edit->node, INODE_BIN, err);
	if (rc == 0 && (edit->what & (EDIT_ADDED | EDIT_TYPE | EDIT_SIDECAR)) != 0)
		rc = keep_node(fs, keep, edit->node, INODE_SIDECAR, err);
	return rc;
}

static int keep_pending(struct fs *fs, struct keep *keep, struct error *err)
{
	struct tree *tree = fs->model->tree;
	int rc = 0;

	for (struct edit *edit = tree->edits; rc == 0 && edit != NULL; edit = edit->next)
		rc = keep_edit(fs, keep, edit, err);
	for (struct value *value = tree->values; rc == 0 && value != NULL;
		value = value->next)
		if (value->edited != NULL && value->views != NULL)
			rc = keep_node(fs, keep, value->views->node, INODE_DOCUMENT, err);
	return rc;
}

int refuse_write_out(struct fs *fs, struct text *folder, struct error *err)
{
	struct keep keep = {.container = fs->container};
	int rc = keep_refused(fs, &keep, err);

	if (rc == 0)
		rc = keep_pending(fs, &keep, err);
	return keep_done(&keep, rc, folder);
}
