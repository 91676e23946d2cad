/*
 * hdf5_file: the lock of libhdf5, its errors as one line, files opened and closed.
 *
 * libhdf5 keeps global state and is not thread-safe, so one mutex of the process stands
 * before all of it. A file is shared by the model and by the blobs that read from it.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/grammar/hdf5_private.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE "\211HDF\r\n\032\n"
#define SIGNATURE_LEN 8
#define STATUS_OFF 11	 /* of a superblock of version 2 and 3: the consistency flags */
#define STATUS_OPEN 0x05 /* open for writing; by a writer of SWMR */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* External links can be looked at, moved and removed, and lead nowhere. */
static hid_t external_traverse(const char *name, hid_t group, const void *value,
	size_t size, hid_t lapl, hid_t dxpl)
{
	(void)name;
	(void)group;
	(void)value;
	(void)size;
	(void)lapl;
	(void)dxpl;
	return -1;
}

static ssize_t external_query(
	const char *name, const void *value, size_t value_size, void *buf, size_t size)
{
	(void)name;
	if (buf != NULL)
		memcpy(buf, value, size < value_size ? size : value_size);
	return (ssize_t)value_size;
}

static const H5L_class_t external_class = {
	.version = H5L_LINK_CLASS_T_VERS,
	.id = H5L_TYPE_EXTERNAL,
	.comment = "external, never followed",
	.trav_func = external_traverse,
	.query_func = external_query,
};

/* libhdf5 neither closes what is ours at exit nor loads code. */
static void set_up(void)
{
	(void)H5dont_atexit();
	(void)H5open();
	(void)H5PLset_loading_state(0);
	(void)H5Lregister(&external_class);
	hdf5_lzf_register_locked();
	hdf5_release_register_locked();
}

void hdf5_lock(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Thread_local bool silent;

	(void)pthread_mutex_lock(&mutex);
	(void)pthread_once(&once, set_up);
	/* Some builds have a stack of errors for each thread, and print from each. */
	if (!silent)
		(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	silent = true;
}

void hdf5_unlock(void)
{
	/* A thread's stack of errors is not freed with the thread. */
	(void)H5Eclear2(H5E_DEFAULT);
	(void)pthread_mutex_unlock(&mutex);
}

void hdf5_hid_close(hid_t *id)
{
	if (*id > 0)
		(void)H5Idec_ref(*id);
	*id = 0;
}

/* The first record of a walk upwards is where it began. */
static herr_t innermost(unsigned n, const H5E_error2_t *record, void *arg)
{
	char *reason = arg;

	if (n == 0 && record->desc != NULL)
		(void)snprintf(reason, 256, "%s", record->desc);
	return 0;
}

int hdf5_fail_locked(struct error *err, int code, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX], reason[256] = "";
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	(void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, reason);
	if (reason[0] == '\0')
		return error_set(err, code, "%s", text);
	if (isupper((unsigned char)reason[0]) && islower((unsigned char)reason[1]))
		reason[0] = (char)tolower((unsigned char)reason[0]);
	return error_set(err, code, "%s: %s", text, reason);
}

char *hdf5_name_of_none_locked(hid_t object)
{
	H5O_info_t info;
	size_t len;
	char *name;

	if (H5Oget_info2(object, &info, H5O_INFO_HDR) < 0)
		return NULL;
	len = info.hdr.space.total + 1;
	name = malloc(len + 1);
	if (name == NULL)
		return NULL;
	memset(name, 'x', len);
	name[len] = '\0';
	return name;
}

bool hdf5_signature(struct source *source, uint64_t *base)
{
	char bytes[SIGNATURE_LEN];
	uint64_t size = source_size(source), off;

	for (off = 0; off <= size && size - off >= sizeof bytes;
		off = off == 0 ? 512 : off * 2) {
		if (source_read(source, off, bytes, sizeof bytes, NULL) < 0)
			return false;
		if (memcmp(bytes, SIGNATURE, sizeof bytes) == 0) {
			*base = off;
			return true;
		}
		if (off > UINT64_MAX / 4)
			return false;
	}
	return false;
}

/* A writer that died, or still writes, leaves its mark in the superblock. */
static void look_at_mark(struct hdf5 *hdf5, uint64_t base)
{
	unsigned char bytes[STATUS_OFF + 1];

	if (source_read(hdf5->image.source, base, bytes, sizeof bytes, NULL) < 0)
		return;
	if (bytes[8] >= 2 && (bytes[STATUS_OFF] & STATUS_OPEN) != 0)
		hdf5->readonly =
			strdup("another program has this file open for writing, "
			       "or died while it had: h5clear -s clears the mark");
}

static int add_root(struct hdf5 *hdf5, struct error *err)
{
	H5O_info_t info;

	hdf5->links = calloc(2, sizeof *hdf5->links);
	hdf5->objects = calloc(2, sizeof *hdf5->objects);
	if (hdf5->links == NULL || hdf5->objects == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	if (H5Oget_info2(hdf5->file, &info, H5O_INFO_BASIC) < 0)
		return hdf5_fail_locked(err, EINVAL, "root group");
	hdf5->n_links = hdf5->n_objects = HDF5_ROOT;
	hdf5->cap_links = hdf5->cap_objects = 2;
	hdf5->links[HDF5_ROOT] =
		(struct hdf5_link){HDF5_HARD, .object = HDF5_ROOT, .name = ""};
	hdf5->objects[HDF5_ROOT] = (struct hdf5_object){
		HDF5_GROUP, .link = HDF5_ROOT, .n_names = 1, .address = info.addr};
	return 0;
}

static int open_locked(struct hdf5 *hdf5, struct error *err)
{
	AUTO_LOCK;
	int rc = hdf5_image_open_locked(&hdf5->image, &hdf5->file, err);

	return rc < 0 ? rc : add_root(hdf5, err);
}

int hdf5_open(struct hdf5 **out, struct source *source, struct error *err)
{
	AUTO_HDF5 *hdf5 = calloc(1, sizeof *hdf5);
	uint64_t base = 0;
	int rc;

	if (hdf5 == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	hdf5->refs = 1;
	rc = hdf5_image_init(&hdf5->image, source, NULL, err);
	if (rc < 0)
		return rc;
	if (!hdf5_signature(source, &base))
		return error_set(err, EINVAL, "expected an HDF5 signature, found none");
	look_at_mark(hdf5, base);
	hdf5->cache = hdf5_cache_new(HDF5_CACHE);
	if (hdf5->cache == NULL)
		return error_set(err, ENOMEM, "not enough memory");
	rc = hdf5_check_superblock(&hdf5->image, err);
	if (rc == 0)
		rc = open_locked(hdf5, err);
	if (rc < 0)
		return rc;
	*out = hdf5;
	hdf5 = NULL;
	return 0;
}

struct hdf5 *hdf5_ref(struct hdf5 *hdf5)
{
	__atomic_add_fetch(&hdf5->refs, 1, __ATOMIC_RELAXED);
	return hdf5;
}

static void close_locked(struct hdf5 *hdf5)
{
	AUTO_LOCK;

	(void)H5Fclose(hdf5->file);
}

void hdf5_unref(struct hdf5 **hdf5)
{
	struct hdf5 *h = *hdf5;

	*hdf5 = NULL;
	if (h == NULL || __atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (h->file > 0)
		close_locked(h);
	hdf5_cache_free(&h->cache);
	hdf5_table_done(h);
	free(h->readonly);
	hdf5_image_done(&h->image);
	free(h);
}

const char *hdf5_readonly(const struct hdf5 *hdf5)
{
	if (hdf5->readonly == NULL && hdf5->image.space_lies)
		return "its lists of free space do not add up: h5repack makes new ones";
	return hdf5->readonly;
}
