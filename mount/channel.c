/*
 * channel: messages over sockets that keep their borders (SOCK_SEQPACKET).
 */
#include "mount/channel.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

int channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
}

/* Room for one descriptor beside a message. */
union passing {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int channel_send_passing(
	int fd, enum message_kind kind, int code, const char *text, int passed)
{
	struct message message = {.kind = kind, .code = code};
	struct iovec bytes = {.iov_base = &message, .iov_len = sizeof(message)};
	struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
	union passing passing = {0};
	ssize_t n;

	snprintf(message.text, sizeof(message.text), "%s", text ? text : "");
	if (passed >= 0) {
		header.msg_control = &passing;
		header.msg_controllen = sizeof(passing);
		*CMSG_FIRSTHDR(&header) =
			(struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(passed)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &passed, sizeof(passed));
	}
	do
		n = sendmsg(fd, &header, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send(int fd, enum message_kind kind, int code, const char *text)
{
	return channel_send_passing(fd, kind, code, text, -1);
}

int channel_receive_passed(int fd, struct message *out, int *passed)
{
	struct iovec bytes = {.iov_base = out, .iov_len = sizeof(*out)};
	union passing passing = {0};
	struct msghdr header = {.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = &passing,
		.msg_controllen = sizeof(passing)};
	ssize_t n;

	*passed = -1;
	do
		n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n > 0 && CMSG_FIRSTHDR(&header) &&
		CMSG_FIRSTHDR(&header)->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(*passed));
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	if (n != sizeof(*out))
		return -EPROTO;
	out->text[sizeof(out->text) - 1] = '\0';
	return 1;
}

int channel_receive(int fd, struct message *out)
{
	int passed, code = channel_receive_passed(fd, out, &passed);

	if (passed >= 0)
		close(passed);
	return code;
}

/* The abstract name (it begins with a NUL) and its length. */
static socklen_t address(struct sockaddr_un *un, dev_t device)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "weightfs-%u:%u",
		major(device), minor(device));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int channel_listen(dev_t device)
{
	struct sockaddr_un un;
	socklen_t len = address(&un, device);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&un, len) || listen(fd, 8)) {
		int code = -errno;
		close(fd);
		return code;
	}
	return fd;
}

int channel_connect(dev_t device)
{
	struct sockaddr_un un;
	socklen_t len = address(&un, device);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&un, len)) {
		int code = -errno;
		close(fd);
		return code;
	}
	return fd;
}

bool channel_trusted(int fd, uid_t owner)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return peer.uid == 0 || peer.uid == geteuid() || peer.uid == owner;
}
