/*
 * sandbox: the parts in their order: seccomp is last, since it forbids the rest.
 */
#include "mount/sandbox.h"
#include "fs/confine.h"
#include <dlfcn.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))
/* What root needs of its power: models of others are read, written and replaced, with
 * their owner, mode and attributes, and it is asked who has them open. */
#define TO_WRITE                                                                      \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | \
		BIT(CAP_LEASE))
#define TO_READ BIT(CAP_DAC_READ_SEARCH)

/* The runtimes of sanitizers open files, trace and run programs when they report. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* What is kept of the capabilities that there are: an ordinary user has none. */
static void drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective &= data[i].permitted;
		data[i].inheritable = 0;
	}
	/* Less than before is always allowed. */
	(void)syscall(SYS_capset, &header, data);
}

/* Nobody gets the memory of this process, where weights are: neither a core file, nor the
 * program that the kernel may pipe one to, nor another process of the user. */
static void hide_memory(void)
{
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void sandbox_enter(struct confine *confine, const struct places *places)
{
	char *what = confine->what;
	size_t size = sizeof(confine->what);

	what[0] = '\0';
	umask(077);
	if (SANITIZED)
		return;
	hide_memory();
	/* Ending a thread loads it, when there is one to end. */
	(void)dlopen("libgcc_s.so.1", RTLD_NOW);
	drop_capabilities(places->writable ? TO_WRITE : TO_READ);

	int version = landlock_restrict(places);
	if (version > 0)
		snprintf(what, size, "landlock %d", version);
	if (!seccomp_restrict())
		snprintf(what + strlen(what), size - strlen(what), "%sseccomp",
			*what ? ", " : "");
}
