/*
 * vectors: loops over numbers that run as wide as the machine is.
 *
 * A function marked WIDE is compiled for several generations of processors, and the
 * loader picks one. Sanitizers run before the loader has picked: they get one version.
 */
#ifndef WEIGHTFS_BASE_VECTORS_H
#define WEIGHTFS_BASE_VECTORS_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE                                                                         \
	__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), \
		optimize("O3")))
#elif !defined(__clang__)
#define WIDE __attribute__((optimize("O3")))
#else
#define WIDE
#endif

/* A sum in so many parts: no part waits for another, and the compiler keeps them in
 * vectors. It is also more exact than one. */
#define PARTS 16

#endif
