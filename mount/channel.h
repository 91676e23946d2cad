/*
 * channel: short messages between the processes of a mount: the launcher that the
 * user started, the guardian that outlives the daemon, the daemon that serves,
 * and `weightfs --unmount`.
 *
 *   launcher --- pair --- guardian --- pair --- daemon
 *                            |
 *                     abstract socket (one a mount) --- weightfs --unmount
 */
#ifndef WEIGHTFS_MOUNT_CHANNEL_H
#define WEIGHTFS_MOUNT_CHANNEL_H

#include "decoders/base/error.h"
#include <stdbool.h>
#include <sys/types.h>

enum message_kind {
	MESSAGE_MOUNT,	 /* daemon: please mount, read-only where `code` is not 0 */
	MESSAGE_MOUNTED, /* guardian: with the connection, or `code` and `text` */
	MESSAGE_READY,	 /* daemon, on to the launcher: it serves; `text`: what the user
			    should know, one line, or nothing */
	MESSAGE_VERDICT, /* daemon: the session is over; `code` 0 or an errno, `text` why
			  */
	MESSAGE_UNMOUNT, /* daemon (SIGTERM) or client: please unmount */
	MESSAGE_END,	 /* guardian to daemon: unmounted lazily, serve no more */
	MESSAGE_ANOTHER, /* guardian to client: what is mounted there is another's */
};

#define MESSAGE_TEXT_MAX (2 * ERROR_TEXT_MAX)

struct message {
	int kind;
	int code; /* 0, or a positive errno */
	char text[MESSAGE_TEXT_MAX];
};

/* Two ends that close on exec. 0 or a negative errno. */
int channel_pair(int ends[2]);
/* 0, or a negative errno (-EPIPE: nobody is there any more). Never raises SIGPIPE. */
int channel_send(int fd, enum message_kind kind, int code, const char *text);
/* The same with a descriptor, which stays the caller's. */
int channel_send_passing(
	int fd, enum message_kind kind, int code, const char *text, int passed);
/* 1 for a message, 0 when the other end is closed, or a negative errno. */
int channel_receive(int fd, struct message *out);
/* The same; *passed is the descriptor that came with it, the caller's, or -1. */
int channel_receive_passed(int fd, struct message *out, int *passed);

/* The listening socket of the mount with that device number, and a connection to it. A
 * descriptor or a negative errno. Names are abstract: nothing is left behind. */
int channel_listen(dev_t device);
int channel_connect(dev_t device);
/* Whether the other end belongs to root, to this user, or to `owner`. */
bool channel_trusted(int fd, uid_t owner);

#endif
