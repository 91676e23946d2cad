/*
 * hdf5_vfd: the driver through which libhdf5 does its input and output: an image is a
 * source, and over it, in an edit, what libhdf5 wrote.
 *
 * libhdf5 writes at any place and reads back what it wrote, so what was written lies in a
 * spill at its own offsets, with a sorted list of the ranges that count. At the end the
 * ranges become regions of a plan; those that hold what was there before become none.
 * An image is opened once: whatever else a file makes libhdf5 want to open (external
 * links, the sources of virtual datasets) asks for a second time and is refused.
 */
#include "decoders/base/blob.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/source.h"
#include "decoders/base/spill.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_MIN (1u << 20) /* of libhdf5, for the objects of a file */
#define CACHE_MAX (4u << 20)
#define COMPARE_STEP (64 * 1024)
#define WIDTHS_OFF \
	13 /* bytes of an address, of a length: in a superblock of version 0, 1 */
#define WIDTHS_OFF_2 9 /* of version 2 and 3 */
#define BEYOND_MAX (64 * 1024)
#define IMAGE_NAME "model"
#define ADDRESS_MAX ((haddr_t)INT64_MAX)

/* What H5Pset_driver copies: where the image is. */
struct driver_info {
	struct hdf5_image *image;
};

struct driver_file {
	H5FD_t public; /* first, as libhdf5 wants it */
	struct hdf5_image *image;
	haddr_t eoa;
};

static size_t width_or_default(unsigned char width)
{
	return width == 0 || width > sizeof(uint64_t) ? sizeof(uint64_t) : width;
}

/* By the superblock's version; libhdf5 judges whether the numbers make sense. */
static void look_at_superblock(struct hdf5_image *image)
{
	unsigned char bytes[WIDTHS_OFF + 2] = {0};
	size_t at;

	if (hdf5_signature(image->source, &image->base))
		(void)source_read(image->source, image->base, bytes, sizeof bytes, NULL);
	at = bytes[8] < 2 ? WIDTHS_OFF : WIDTHS_OFF_2;
	image->address_size = width_or_default(bytes[at]);
	image->length_size = width_or_default(bytes[at + 1]);
}

int hdf5_image_init(struct hdf5_image *image, struct source *source,
	struct spill_pool *pool, struct error *err)
{
	int rc;

	memset(image, 0, sizeof *image);
	if (pool != NULL) {
		rc = spill_new(&image->spill, pool, err);
		if (rc < 0)
			return rc;
	}
	image->source = source_ref(source);
	image->pool = pool;
	image->size = source_size(source);
	look_at_superblock(image);
	return 0;
}

void hdf5_image_done(struct hdf5_image *image)
{
	spill_free(&image->spill);
	ranges_done(&image->written);
	source_unref(&image->source);
	memset(image, 0, sizeof *image);
}

int hdf5_image_write(struct hdf5_image *image, uint64_t off, const void *buf, size_t len,
	struct error *err)
{
	int rc;

	if (image->pool == NULL)
		return error_set(err, EROFS, "the file is open for reading");
	rc = spill_write(image->spill, off, buf, len, err);
	if (rc == 0)
		rc = ranges_add(&image->written, off, off + len, err);
	if (rc == 0 && off + len > image->size)
		image->size = off + len;
	return rc;
}

/* Bytes of the source, zeros behind its end. */
static int read_old(struct hdf5_image *image, uint64_t off, unsigned char *buf,
	size_t len, struct error *err)
{
	uint64_t size = source_size(image->source);
	size_t n = off >= size ? 0 : size - off < len ? size - off : len;

	memset(buf + n, 0, len - n);
	return n == 0 ? 0 : source_read(image->source, off, buf, n, err);
}

static int read_written(struct hdf5_image *image, uint64_t off, unsigned char *buf,
	size_t len, struct error *err)
{
	ssize_t n = spill_read(image->spill, off, buf, len, err);

	if (n < 0)
		return (int)n;
	memset(buf + n, 0, len - n);
	return 0;
}

int hdf5_image_read(struct hdf5_image *image, uint64_t off, unsigned char *buf,
	size_t len, struct error *err)
{
	uint64_t begin, end = off;
	int rc = read_old(image, off, buf, len, err);

	while (rc == 0 && ranges_next(&image->written, end, &begin, &end) &&
		begin < off + len) {
		end = end > off + len ? off + len : end;
		rc = read_written(image, begin, buf + (begin - off), end - begin, err);
	}
	return rc;
}

static H5FD_t *driver_open(
	const char *name, unsigned flags, hid_t fapl, haddr_t max_address)
{
	const struct driver_info *info = H5Pget_driver_info(fapl);
	struct driver_file *file;

	(void)flags;
	(void)max_address;
	if (info == NULL || info->image->opened || strcmp(name, IMAGE_NAME) != 0)
		return NULL;
	file = calloc(1, sizeof *file);
	if (file == NULL)
		return NULL;
	info->image->opened = true;
	file->image = info->image;
	return &file->public;
}

static herr_t driver_close(H5FD_t *public)
{
	free(public);
	return 0;
}

/* Two images are two files, whatever they were made of. */
static int driver_cmp(const H5FD_t *a, const H5FD_t *b)
{
	const struct driver_file *fa = (const struct driver_file *)a;
	const struct driver_file *fb = (const struct driver_file *)b;

	return fa->image < fb->image ? -1 : fa->image > fb->image;
}

/* Metadata is not gathered: where an address is made up, so that the end of what is there
 * overflows, libhdf5 takes it for something that it has. */
static herr_t driver_query(const H5FD_t *public, unsigned long *flags)
{
	(void)public;
	*flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_DATA_SIEVE |
		 H5FD_FEAT_AGGREGATE_SMALLDATA;
	return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *public, H5FD_mem_t type)
{
	(void)type;
	return ((const struct driver_file *)public)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *public, H5FD_mem_t type, haddr_t address)
{
	(void)type;
	((struct driver_file *)public)->eoa = address;
	return 0;
}

static haddr_t driver_get_eof(const H5FD_t *public, H5FD_mem_t type)
{
	(void)type;
	return ((const struct driver_file *)public)->image->size;
}

static bool in_reach(haddr_t address, size_t len)
{
	return address <= ADDRESS_MAX && len <= ADDRESS_MAX - address;
}

/* libhdf5 reads a little more than there is where it does not know how much it needs. A
 * length that is made up is not worth so many zeros. */
static bool is_made_up(const struct hdf5_image *image, haddr_t address, size_t len)
{
	return image->pool == NULL && len > BEYOND_MAX &&
	       (address > image->size || len - BEYOND_MAX > image->size - address);
}

static herr_t driver_read(H5FD_t *public, H5FD_mem_t type, hid_t dxpl, haddr_t address,
	size_t len, void *buf)
{
	struct hdf5_image *image = ((struct driver_file *)public)->image;

	(void)type;
	(void)dxpl;
	if (!in_reach(address, len) || is_made_up(image, address, len))
		return -1;
	if (hdf5_image_read(image, address, buf, len, &image->err) < 0)
		return -1;
	if (!hdf5_heap_suspicious(image, address, buf, len))
		return 0;
	(void)error_set(&image->err, EIO,
		"global heap at offset %" PRIu64 ": its objects do not add up",
		(uint64_t)address);
	return -1;
}

static herr_t driver_write(H5FD_t *public, H5FD_mem_t type, hid_t dxpl, haddr_t address,
	size_t len, const void *buf)
{
	struct hdf5_image *image = ((struct driver_file *)public)->image;

	(void)type;
	(void)dxpl;
	if (!in_reach(address, len))
		return -1;
	return hdf5_image_write(image, address, buf, len, &image->err) < 0 ? -1 : 0;
}

/* The file ends where libhdf5 has allocated: room that was never written is part of it.
 */
static herr_t driver_truncate(H5FD_t *public, hid_t dxpl, hbool_t closing)
{
	struct driver_file *file = (struct driver_file *)public;

	(void)dxpl;
	(void)closing;
	if (file->image->pool != NULL)
		file->image->size = file->eoa;
	return 0;
}

static const H5FD_class_t driver_class = {
	.name = "weightfs",
	.maxaddr = ADDRESS_MAX,
	.fc_degree = H5F_CLOSE_STRONG,
	.fapl_size = sizeof(struct driver_info),
	.open = driver_open,
	.close = driver_close,
	.cmp = driver_cmp,
	.query = driver_query,
	.get_eoa = driver_get_eoa,
	.set_eoa = driver_set_eoa,
	.get_eof = driver_get_eof,
	.read = driver_read,
	.write = driver_write,
	.truncate = driver_truncate,
	.fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* What libhdf5 keeps of each object takes ten times what it counts: a tree of a hundred
 * thousand would keep 400 MB. */
static void keep_little(hid_t fapl)
{
	H5AC_cache_config_t config = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};

	if (H5Pget_mdc_config(fapl, &config) >= 0) {
		config.set_initial_size = true;
		config.initial_size = CACHE_MIN;
		config.min_size = CACHE_MIN;
		config.max_size = CACHE_MAX;
		(void)H5Pset_mdc_config(fapl, &config);
	}
}

/* Registered once and never let go: libhdf5 asks a driver to close a file after it gave
 * back that file's hold on the driver, which must not have been the last. */
static hid_t driver_locked(void)
{
	static hid_t driver;

	if (driver <= 0)
		driver = H5FDregister(&driver_class);
	return driver;
}

/* How files are opened: by our driver, in the format that they have, all objects closed
 * with the file. A mark that a dead writer left is overlooked, as h5clear does it. */
static hid_t access_list(struct hdf5_image *image)
{
	struct driver_info info = {image};
	hbool_t overlook = true;
	hid_t driver = driver_locked(), fapl;

	if (driver < 0)
		return driver;
	fapl = H5Pcreate(H5P_FILE_ACCESS);
	if (fapl < 0)
		return fapl;
	(void)H5Pset_driver(fapl, driver, &info);
	(void)H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
	(void)H5Pset(fapl, "clear_status_flags", &overlook);
	if (image->pool == NULL)
		keep_little(fapl);
	return fapl;
}

int hdf5_image_open_locked(struct hdf5_image *image, hid_t *file, struct error *err)
{
	AUTO_HID fapl = access_list(image);
	hid_t id;

	if (fapl < 0)
		return hdf5_fail_locked(err, EIO, "libhdf5 takes no driver");
	image->err.text[0] = '\0';
	id = H5Fopen(
		IMAGE_NAME, image->pool != NULL ? H5F_ACC_RDWR : H5F_ACC_RDONLY, fapl);
	if (id < 0 && image->err.text[0] != '\0')
		return error_set(err, EIO, "%s", image->err.text);
	if (id < 0)
		return hdf5_fail_locked(err, EINVAL, "expected an HDF5 file");
	*file = id;
	return 0;
}

static int spill_blob_read(
	void *priv, uint64_t off, void *buf, size_t len, struct error *err)
{
	ssize_t n = spill_read(priv, off, buf, len, err);

	if (n < 0)
		return (int)n;
	memset((char *)buf + n, 0, len - n);
	return 0;
}

static void spill_blob_free(void *priv)
{
	struct spill *spill = priv;

	spill_free(&spill);
}

static const struct blob_ops spill_blob_ops = {
	.read = spill_blob_read, .free = spill_blob_free};

/* Whether [off, off + len) holds what the old container has there. */
static int same_as_old(struct hdf5_image *image, struct blob *blob, uint64_t off,
	size_t len, unsigned char *buf, struct error *err)
{
	int rc;

	if (off + len > source_size(image->source))
		return 0;
	rc = source_read(image->source, off, buf, len, err);
	if (rc == 0)
		rc = blob_read_all(blob, off, buf + COMPARE_STEP, len, err);
	if (rc < 0)
		return rc;
	return memcmp(buf, buf + COMPARE_STEP, len) == 0;
}

/* Lays one written range over the plan, piece by piece, but the pieces that say nothing
 * new. */
static int plan_range(struct hdf5_image *image, struct plan *plan, struct blob *blob,
	uint64_t begin, uint64_t end, unsigned char *buf, struct error *err)
{
	uint64_t off, len;
	int same = 0, rc = 0;

	for (off = begin; rc == 0 && off < end; off += len) {
		len = COMPARE_STEP - off % COMPARE_STEP;
		len = len < end - off ? len : end - off;
		same = same_as_old(image, blob, off, len, buf, err);
		if (same < 0)
			return same;
		if (same == 0)
			rc = plan_write_blob(plan, off, blob, off, len, err);
	}
	return rc;
}

/* libhdf5 also sets the end of the file: room that it never wrote is zeros, and what lay
 * behind its end is gone, unless nothing else changed. */
static int plan_end(struct hdf5_image *image, struct plan *plan, struct error *err)
{
	uint64_t size = plan_size(plan);

	if (image->size > size)
		return plan_fill(plan, 0, image->size - size, err);
	if (image->size < size && !plan_unchanged(plan))
		return plan_cut(plan, image->size, err);
	return 0;
}

int hdf5_image_plan(struct hdf5_image *image, struct plan *plan, struct error *err)
{
	AUTO_BLOB *blob = NULL;
	unsigned char *buf = malloc(2 * COMPARE_STEP);
	struct spill *spill = image->spill;
	uint64_t begin, end = 0;
	int rc;

	if (buf == NULL)
		return error_set(err, ENOMEM, "not enough memory for an edit");
	image->spill = NULL;
	rc = blob_computed(&blob, &spill_blob_ops, spill, spill_size(spill), err);
	if (rc == 0)
		rc = plan_old(plan, 0, source_size(image->source), err);
	while (rc == 0 && ranges_next(&image->written, end, &begin, &end))
		rc = plan_range(image, plan, blob, begin, end, buf, err);
	free(buf);
	return rc < 0 ? rc : plan_end(image, plan, err);
}
