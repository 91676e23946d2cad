/*
 * container_private: what a container is made of, for those who open, recover and
 * commit it. Nobody else includes this.
 */
#ifndef WEIGHTFS_FS_CONTAINER_PRIVATE_H
#define WEIGHTFS_FS_CONTAINER_PRIVATE_H

#include "decoders/base/error.h"
#include "fs/container.h"
#include "fs/lock.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct journal;
struct source;

/* ".weightfs-", 16 hexadecimal digits, ".journal" */
#define LEFTOVER_MAX 40

/* The files that a commit may leave in a folder. */
struct leftovers {
	int folder; /* -1: there is no such place */
	char new[LEFTOVER_MAX];
	char tmp[LEFTOVER_MAX];
	char journal[LEFTOVER_MAX];
};

/* The attribute in which a container says where its journal is: "INODE PATH". */
#define NOTE "user.weightfs.journal"

/* What a container's own note says of its journal. */
struct noted {
	struct leftovers place; /* only .journal; .folder -1: nothing is noted, or */
	char why[512];		/* there is a note that is not followed */
};

/* A journal that was found, and where. */
struct found {
	int fd;	    /* -1: there is none, or */
	int code;   /* negative: it cannot be opened */
	int folder; /* borrowed */
	char name[LEFTOVER_MAX];
};

/* By which means it can be committed. Looked at anew for each commit. */
struct means {
	char no_rewrite[256]; /* why not; empty: it can be */
	char no_patch[256];
	bool note;	    /* a journal must be noted on the container */
	uint64_t alignment; /* of ranges that can be cloned; 0: none can */
	uint64_t block;	    /* a shift goes by multiples of it; 0: there is none */
};

struct container {
	bool ask_readonly;
	enum commit_mode mode;
	uint64_t shift_from; /* bytes that a rewrite would move */
	char *path;	     /* links resolved */
	const char *name;
	struct leftovers beside;    /* .folder is the container's */
	struct leftovers elsewhere; /* -o journal=DIR */
	struct noted noted;
	struct found found; /* between recover_find() and recover_container() */
	int state;	    /* keep_state_folder()'s, or -1 */
	char *journal_dir;
	char *mountpoint;
	int watch;

	pthread_mutex_t lock; /* of the file's state: */
	int fd;		      /* the only open file description of it; sources share it */
	struct stat st;
	struct source *source;
	bool stale; /* the source must be made anew though the file is the same */

	struct means means;
	bool trusted; /* it has attributes that cannot be seen from inside of the sandbox
		       */
	struct lock_record record;
	const char *how;       /* what container_how() says while it can be written */
	const char *recovered; /* what recovery did, or NULL */
	const char *readonly;  /* NULL, or `reason` from then on; atomic */
	char reason[ERROR_TEXT_MAX];
};

/* The first reason stands; while the container is being opened, the last. */
void container_set_readonly(struct container *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A source on the file as it is. */
int container_new_source(struct container *c, struct source **out, struct error *err);
/* The switch of a commit, under c->lock: takes `fd` (-1: still the same) and `source`,
 * and remembers the file's identity. */
void container_settle(struct container *c, int fd, struct source *source);
/* container_changed() under c->lock. */
int container_differs(struct container *c, struct error *err);
/* Whether two stats are of one file in one state. */
bool container_same(const struct stat *a, const struct stat *b);

/* means.c: fills c->means. */
void means_look(struct container *c);
/* What chattr has forbidden since it was opened, or NULL. */
const char *means_forbidden(const struct container *c);
/* What a commit will be: "patch" (with ", shift" where one may follow) or "rewrite",
 * NULL: neither, and why in `err`. */
const char *means_usual(const struct container *c, struct error *err);

/* recover.c: opens the journal that an interrupted commit left, if one did. */
void recover_find(struct container *c);
/* After recover_find(): removes what an interrupted commit left, finishes what it had
 * made durable (unless read-only). *journal: what must be laid over the file for its
 * state to be whole, or NULL. What cannot be recovered makes the container read-only, no
 * failure. */
void recover_container(struct container *c, struct journal **journal);
/* Takes a journal away whose edit is durable in the container. */
int recover_retire(struct container *c, int folder, const char *name, struct error *err);
/* Where its journal is to be. */
struct leftovers *recover_place(struct container *c);
void leftovers_name(struct leftovers *left, const char *of);
bool leftovers_is_journal(const char *name);

/* note.c: reads the note on c->fd into c->noted, opening the folder that it names. */
void note_read(struct container *c);
/* Whether a file can bear a note. */
bool note_possible(int fd);
/* Durably. */
int note_write(
	const struct container *c, const struct leftovers *place, struct error *err);
void note_remove(const struct container *c);

#endif
