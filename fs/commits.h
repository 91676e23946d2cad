/*
 * commits: the edits of the tree go into the container, and the tree is
 * replaced by what is decoded from the outcome. All in the saver's thread, without the
 * lock.
 */
#ifndef WEIGHTFS_FS_COMMITS_H
#define WEIGHTFS_FS_COMMITS_H

struct error;
struct fs;
struct plan;
struct undo;

/*
 * After accept_: the format judges the edit, with all that is pending. Refused: the edit
 * is taken back. *plan: what is to be written now, NULL where nothing is (with
 * commit=unmount nothing ever is). Elements alone are not judged before they are
 * written.
 */
int commits_judge(
	struct fs *fs, struct undo *undo, struct plan **plan, struct error *err);
/*
 * Writes the plan (taken; NULL: 0). After success nodes are others than before; inodes
 * have the new ones. -ESTALE, -ENOSPC, -EIO ...: the edits stay, pending. -EBADMSG:
 * what came out is not what was asked for (our mistake): it must be taken back.
 */
int commits_write(struct fs *fs, struct plan **plan, struct error *err);
/* What an edit's judgement comes to: -ESTALE instead of another refusal where somebody
 * else has changed what it was judged by. */
int commits_blame(struct fs *fs, int rc, struct error *err);
/* Looks whether somebody else changed the container, and shows what is there now. */
void commits_look(struct fs *fs);

#endif
