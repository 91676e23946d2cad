/*
 * refuse: edits that are not made. Why stands in .weightfs/errors.log, a line each;
 * the bytes are in .weightfs/rejected/, and at the end of the session in
 * MODEL.weightfs-rejected/ unless a later save of the same path was accepted.
 */
#ifndef WEIGHTFS_FS_REFUSE_H
#define WEIGHTFS_FS_REFUSE_H

struct blob;
struct error;
struct fs;
struct text;

/* Adds the line "PATH:LINE:COL: reason" or "PATH: reason" to the log. Takes the lock. */
void refuse_log(struct fs *fs, const char *path, const char *reason);
/* The same, unless that is the last line already. */
void refuse_log_once(struct fs *fs, const char *path, const char *reason);
/* The same for a state that stays staged: gives the line (malloc'ed; NULL without
 * memory), which goes when that state is accepted or refused for another reason. */
char *refuse_say(struct fs *fs, const char *path, const char *reason);
/* Takes such a line (NULL is allowed) out of the log. Exclusively. */
void refuse_withdraw(struct fs *fs, char **line);
/* Keeps bytes that were refused (referenced); empty ones are not worth it. Takes the
 * lock. */
void refuse_keep(struct fs *fs, const char *path, struct blob *bytes);
/* The same, with the lock held exclusively. */
void refuse_keep_owned(struct fs *fs, const char *path, struct blob *bytes);
/* A save of the path was accepted. Takes the lock. */
void refuse_forget(struct fs *fs, const char *path);
/* At the end: writes what is still kept, and the edits that could not be committed, to a
 * folder on the disk. The number of files, or a negative errno; the folder's name in
 * `folder`. In the saver. */
int refuse_write_out(struct fs *fs, struct text *folder, struct error *err);
void refuse_free(struct fs *fs);

#endif
