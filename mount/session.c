/*
 * session: libfuse takes a connection that is there already where the mount point is
 * called /dev/fd/N. Both sides give it the same options.
 */
#include "mount/session.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "mount/options.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add_options(
	struct fuse_args *args, const struct options *options, bool readonly)
{
	char *words = NULL;
	int failed = fuse_opt_add_arg(args, "weightfs") ||
		     fuse_opt_add_opt(&words, "default_permissions,subtype=weightfs");

	AUTO_TEXT source = {0};
	text_printf(&source, "fsname=%s", options->model);
	failed =
		failed || source.failed || fuse_opt_add_opt_escaped(&words, source.bytes);
	if (readonly)
		failed = failed || fuse_opt_add_opt(&words, "ro");
	if (options->allow_other)
		failed = failed || fuse_opt_add_opt(&words, "allow_other");
	if (*options->fuse)
		failed = failed || fuse_opt_add_opt(&words, options->fuse);
	failed = failed || fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, words);
	if (options->debug)
		failed = failed || fuse_opt_add_arg(args, "-d");
	free(words);
	return failed ? -ENOMEM : 0;
}

static int session_new(struct fuse_session **out, const struct options *options,
	struct handlers *handlers, bool readonly, struct error *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops ops = handlers_ops(readonly, options->fs.xattr);
	int code = add_options(&args, options, readonly);

	*out = code ? NULL : fuse_session_new(&args, &ops, sizeof(ops), handlers);
	fuse_opt_free_args(&args);
	if (code)
		return error_set(err, -code, "%s", strerror(-code));
	if (!*out)
		return error_set(err, EINVAL, "-o %s: libfuse does not know this option",
			options->fuse);
	return 0;
}

int session_mount(const struct options *options, const char *mountpoint, bool readonly,
	struct error *err)
{
	struct fuse_session *session;
	int connection, code = session_new(&session, options, NULL, readonly, err);

	if (code)
		return code;
	if (fuse_session_mount(session, mountpoint)) {
		fuse_session_destroy(session);
		return error_set(err, EIO, "%s: cannot be mounted on %s", options->model,
			mountpoint);
	}
	/* The session's own goes with it, and nothing is unmounted by that. */
	connection = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
	code = connection < 0 ? error_set(err, errno, "%s", strerror(errno)) : connection;
	fuse_session_destroy(session);
	return code;
}

int session_open(struct fuse_session **out, const struct options *options,
	struct handlers *handlers, int connection, struct error *err)
{
	char path[32];
	int code = session_new(out, options, handlers, handlers->readonly, err);

	snprintf(path, sizeof(path), "/dev/fd/%d", connection);
	if (!code && !fuse_session_mount(*out, path))
		return 0;
	close(connection);
	return code ? code : error_set(err, EIO, "the connection cannot be used");
}
