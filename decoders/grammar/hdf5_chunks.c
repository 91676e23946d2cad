/*
 * hdf5_chunks: reading chunked datasets.
 *
 * A chunk's stored bytes are fetched under libhdf5's lock and decoded outside of it, by
 * the thread that wants them, so that readers decode in parallel. Decoded chunks stay in
 * a cache of bounded size, one for each file; two threads that want the same chunk decode
 * it once. Chunks are asked for by their place (O(log n) each); their index is never
 * listed, which libhdf5 does in O(n) for each of n.
 */
#include "decoders/base/error.h"
#include "decoders/base/source.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define EXPANSION_FREE (64u << 20) /* decoded bytes that may come from nothing */
#define EXPANSION_MAX 16	   /* beyond: decoded bytes for each stored one */

/* A decoded chunk. In the list of those that nobody holds while refs is 0. */
struct box {
	struct box *next; /* of its bucket */
	struct box *newer, *older;
	uint32_t object;
	uint64_t number; /* of the chunk in its dataset, in C order */
	unsigned refs;
	enum { LOADING, READY, FAILED } state;
	size_t size;
	unsigned char bytes[];
};

struct hdf5_cache {
	pthread_mutex_t mutex;
	pthread_cond_t loaded;
	uint64_t used, limit;
	struct box *newest, *oldest;
	struct box *buckets[BUCKETS];
};

struct hdf5_cache *hdf5_cache_new(uint64_t limit)
{
	struct hdf5_cache *cache = calloc(1, sizeof *cache);

	if (cache == NULL)
		return NULL;
	cache->limit = limit;
	(void)pthread_mutex_init(&cache->mutex, NULL);
	(void)pthread_cond_init(&cache->loaded, NULL);
	return cache;
}

void hdf5_cache_free(struct hdf5_cache **cache)
{
	struct hdf5_cache *c = *cache;
	struct box *box;

	*cache = NULL;
	if (c == NULL)
		return;
	while ((box = c->oldest) != NULL) {
		c->oldest = box->newer;
		free(box);
	}
	(void)pthread_mutex_destroy(&c->mutex);
	(void)pthread_cond_destroy(&c->loaded);
	free(c);
}

static struct box **bucket(struct hdf5_cache *cache, uint32_t object, uint64_t number)
{
	uint64_t hash = (number + object) * UINT64_C(0x9e3779b97f4a7c15);

	return &cache->buckets[(hash >> 40) % BUCKETS];
}

static void leave_bucket(struct hdf5_cache *cache, struct box *box)
{
	struct box **at = bucket(cache, box->object, box->number);

	while (*at != box)
		at = &(*at)->next;
	*at = box->next;
}

static void leave_list(struct hdf5_cache *cache, struct box *box)
{
	*(box->newer != NULL ? &box->newer->older : &cache->newest) = box->older;
	*(box->older != NULL ? &box->older->newer : &cache->oldest) = box->newer;
	box->newer = box->older = NULL;
}

static void enter_list(struct hdf5_cache *cache, struct box *box)
{
	box->older = cache->newest;
	if (cache->newest != NULL)
		cache->newest->newer = box;
	else
		cache->oldest = box;
	cache->newest = box;
}

/* `keep`, the newest, stays even where it is larger than the cache: who reads it piece by
 * piece must not decode it each time. NULL: nothing stays. */
static void make_room(struct hdf5_cache *cache, const struct box *keep)
{
	struct box *box;

	while (cache->used > cache->limit && (box = cache->oldest) != keep &&
		box != NULL) {
		leave_list(cache, box);
		leave_bucket(cache, box);
		cache->used -= box->size;
		free(box);
	}
}

/* Lets go of a box; the mutex is held. One that failed has left its bucket. */
static void put_locked(struct hdf5_cache *cache, struct box *box)
{
	if (--box->refs > 0)
		return;
	if (box->state == FAILED) {
		cache->used -= box->size;
		free(box);
		return;
	}
	enter_list(cache, box);
	make_room(cache, box);
}

static void put_box(struct hdf5_cache *cache, struct box *box)
{
	if (box == NULL)
		return;
	(void)pthread_mutex_lock(&cache->mutex);
	put_locked(cache, box);
	(void)pthread_mutex_unlock(&cache->mutex);
}

/* The box, held, waiting for who is loading it; NULL: there is none (any more). */
static struct box *find_locked(struct hdf5_cache *cache, uint32_t object, uint64_t number)
{
	struct box *box = *bucket(cache, object, number);

	while (box != NULL && (box->object != object || box->number != number))
		box = box->next;
	if (box == NULL)
		return NULL;
	if (box->refs++ == 0)
		leave_list(cache, box);
	while (box->state == LOADING)
		(void)pthread_cond_wait(&cache->loaded, &cache->mutex);
	if (box->state == READY)
		return box;
	put_locked(cache, box);
	return NULL;
}

static struct box *add_locked(
	struct hdf5_cache *cache, uint32_t object, uint64_t number, size_t size)
{
	struct box *box = malloc(sizeof *box + size), **at;

	if (box == NULL)
		return NULL;
	*box = (struct box){.object = object, .number = number, .refs = 1, .size = size};
	at = bucket(cache, object, number);
	box->next = *at;
	*at = box;
	cache->used += size;
	make_room(cache, NULL);
	return box;
}

/* The chunk was loaded, or could not be. */
static void settle(struct hdf5_cache *cache, struct box *box, int rc)
{
	(void)pthread_mutex_lock(&cache->mutex);
	box->state = rc == 0 ? READY : FAILED;
	(void)pthread_cond_broadcast(&cache->loaded);
	if (rc < 0) {
		leave_bucket(cache, box);
		put_locked(cache, box);
	}
	(void)pthread_mutex_unlock(&cache->mutex);
}

/* The chunk with that number, held, from the cache or decoded now. */
static int get_box(struct hdf5_data *data, uint64_t number, const hsize_t *origin,
	struct box **out, struct error *err)
{
	struct hdf5_cache *cache = data->hdf5->cache;
	struct box *box, *fresh = NULL;
	int rc;

	(void)pthread_mutex_lock(&cache->mutex);
	box = find_locked(cache, data->object, number);
	if (box == NULL)
		fresh = add_locked(cache, data->object, number, data->chunking.bytes);
	(void)pthread_mutex_unlock(&cache->mutex);
	if (box != NULL) {
		*out = box;
		return 0;
	}
	if (fresh == NULL)
		return error_set(err, ENOMEM, "not enough memory for a chunk");
	rc = hdf5_chunk_read(data, origin, fresh->bytes, err);
	settle(cache, fresh, rc);
	if (rc == 0)
		*out = fresh;
	return rc;
}

/* A run of bytes that lies in one row of one chunk. */
struct run {
	uint64_t number; /* of the chunk */
	hsize_t origin[H5S_MAX_RANK];
	size_t off; /* in the chunk */
	size_t len;
};

/* Where byte `off` of the logical array is, and how far that goes. */
static void locate(const struct hdf5_data *data, uint64_t off, struct run *run)
{
	const struct hdf5_chunking *c = &data->chunking;
	uint64_t element = off / data->form.size, index, at, inside = 0, step = 1;
	uint64_t n_chunks = 1, number = 0, left = 0;
	unsigned i = c->rank;

	while (i-- > 0) {
		index = element % c->dims[i];
		element /= c->dims[i];
		at = index % c->chunk[i];
		run->origin[i] = index - at;
		if (i == c->rank - 1) {
			left = c->chunk[i] - at;
			left = left < c->dims[i] - index ? left : c->dims[i] - index;
		}
		inside += at * step;
		step *= c->chunk[i];
		number += index / c->chunk[i] * n_chunks;
		n_chunks *= (c->dims[i] - 1) / c->chunk[i] + 1;
	}
	run->number = number;
	run->off = inside * data->form.size + off % data->form.size;
	run->len = left * data->form.size - off % data->form.size;
}

int hdf5_chunks_read(struct hdf5_data *data, uint64_t off, unsigned char *buf, size_t len,
	struct error *err)
{
	struct box *box = NULL;
	struct run run;
	int rc = hdf5_stored_check(data, err);

	if (rc < 0)
		return rc;
	for (; len > 0; off += run.len, buf += run.len, len -= run.len) {
		locate(data, off, &run);
		run.len = run.len < len ? run.len : len;
		if (hdf5_stored_never(data, run.number)) {
			hdf5_data_fill(data, off, buf, run.len);
			continue;
		}
		if (box == NULL || box->number != run.number) {
			put_box(data->hdf5->cache, box);
			box = NULL;
			rc = get_box(data, run.number, run.origin, &box, err);
		}
		if (rc < 0)
			return rc;
		memcpy(buf, box->bytes + run.off, run.len);
	}
	put_box(data->hdf5->cache, box);
	return 0;
}

static void fill(const struct hdf5_data *data, unsigned char *bytes, size_t len)
{
	size_t size = data->form.size, done = size;

	memcpy(bytes, data->memory, size);
	for (; done < len; done += size) {
		size = done < len - done ? done : len - done;
		memcpy(bytes + done, bytes, size);
	}
}

static bool reaches_over(const struct hdf5_chunking *c, const hsize_t *origin)
{
	unsigned i;

	for (i = 0; i < c->rank; i++)
		if (c->dims[i] - origin[i] < c->chunk[i])
			return true;
	return false;
}

/* libhdf5 1.10 calls it an error that a chunk was never written; later versions say 0. */
static herr_t look_for_hole(unsigned n, const H5E_error2_t *record, void *arg)
{
	bool *hole = arg;

	(void)n;
	if (record->desc != NULL && strstr(record->desc, "not allocated") != NULL)
		*hole = true;
	return 0;
}

int hdf5_chunk_size_locked(
	hid_t dataset, const hsize_t *origin, hsize_t *size, struct error *err)
{
	bool hole = false;

	*size = 0;
	if (H5Dget_chunk_storage_size(dataset, origin, size) >= 0)
		return 0;
	(void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look_for_hole, &hole);
	return hole ? 0 : hdf5_fail_locked(err, EIO, "chunk cannot be found");
}

/* The stored bytes: malloc'ed; NULL and 0: there are none. */
static int fetch_locked(const struct hdf5 *hdf5, hid_t dataset, const hsize_t *origin,
	unsigned char **raw, size_t *len, unsigned *mask, struct error *err)
{
	hsize_t size;
	uint32_t filters = 0;
	int rc = hdf5_chunk_size_locked(dataset, origin, &size, err);

	if (rc < 0 || size == 0)
		return rc;
	if (size > source_size(hdf5->image.source))
		return error_set(err, EIO,
			"chunk: expected no more bytes than the file, found %" PRIu64,
			(uint64_t)size);
	*raw = malloc(size);
	if (*raw == NULL)
		return error_set(err, ENOMEM, "not enough memory for a chunk");
	if (H5Dread_chunk(dataset, H5P_DEFAULT, origin, &filters, *raw) < 0)
		return hdf5_fail_locked(err, EIO, "chunk cannot be read");
	*len = size;
	*mask = filters;
	return 0;
}

static int fetch(struct hdf5_data *data, const hsize_t *origin, unsigned char **raw,
	size_t *len, unsigned *mask, struct error *err)
{
	AUTO_LOCK;

	return fetch_locked(data->hdf5, data->dataset, origin, raw, len, mask, err);
}

/* Few bytes must not become more than a machine has; weights are not that compressible,
 * and what was never written is small in practice. */
static int check_expansion(
	const struct hdf5_chunking *c, uint64_t stored, struct error *err)
{
	if (c->bytes <= EXPANSION_FREE ||
		(c->bytes - EXPANSION_FREE) / EXPANSION_MAX <= stored)
		return 0;
	return error_set(err, EOPNOTSUPP,
		"chunk: expected %zu bytes to be stored in at least 1/%d of that, found "
		"%" PRIu64,
		c->bytes, EXPANSION_MAX, stored);
}

/* For filters that only libhdf5 has: the part of the chunk that lies in the dataset. */
static int read_by_library(struct hdf5_data *data, const hsize_t *origin,
	unsigned char *bytes, struct error *err)
{
	const struct hdf5_chunking *c = &data->chunking;
	hsize_t count[H5S_MAX_RANK], zero[H5S_MAX_RANK] = {0};
	AUTO_LOCK;
	AUTO_HID type = H5Dget_type(data->dataset);
	AUTO_HID from = H5Dget_space(data->dataset);
	AUTO_HID to = H5Screate_simple((int)c->rank, c->chunk, NULL);
	hsize_t stored;
	int rc = hdf5_chunk_size_locked(data->dataset, origin, &stored, err);
	unsigned i;

	if (rc == 0)
		rc = check_expansion(c, stored, err);
	if (rc < 0)
		return rc;
	for (i = 0; i < c->rank; i++) {
		count[i] = c->dims[i] - origin[i];
		count[i] = count[i] < c->chunk[i] ? count[i] : c->chunk[i];
	}
	memset(bytes, 0, c->bytes);
	if (H5Sselect_hyperslab(from, H5S_SELECT_SET, origin, NULL, count, NULL) < 0 ||
		H5Sselect_hyperslab(to, H5S_SELECT_SET, zero, NULL, count, NULL) < 0 ||
		H5Dread(data->dataset, type, to, from, H5P_DEFAULT, bytes) < 0)
		return hdf5_fail_locked(err, EIO, "chunk cannot be read");
	return 0;
}

static int read_stored(struct hdf5_data *data, const hsize_t *origin,
	unsigned char *bytes, struct error *err)
{
	const struct hdf5_chunking *c = &data->chunking;
	unsigned char *raw = NULL;
	unsigned mask = 0;
	size_t len = 0;
	int rc = fetch(data, origin, &raw, &len, &mask, err);

	if (rc == 0)
		rc = check_expansion(c, len, err);
	if (rc == 0 && c->edges_plain && reaches_over(c, origin))
		mask = UINT32_MAX;
	if (rc == 0 && raw == NULL)
		fill(data, bytes, c->bytes);
	else if (rc == 0)
		rc = hdf5_unfilter(c, mask, raw, len, bytes, err);
	free(raw);
	if (rc == 0 && len > 0)
		hdf5_swap(&data->form, bytes, c->bytes / data->form.size);
	return rc;
}

int hdf5_chunk_stored_locked(const struct hdf5 *hdf5, hid_t dataset,
	const struct hdf5_chunking *c, const hsize_t *origin, unsigned char *bytes,
	struct error *err)
{
	unsigned char *raw = NULL;
	unsigned mask = 0;
	size_t len = 0;
	int rc = fetch_locked(hdf5, dataset, origin, &raw, &len, &mask, err);

	if (rc == 0)
		rc = check_expansion(c, len, err);
	if (c->edges_plain && reaches_over(c, origin))
		mask = UINT32_MAX;
	if (rc == 0 && raw != NULL)
		rc = hdf5_unfilter(c, mask, raw, len, bytes, err);
	rc = rc < 0 ? rc : raw != NULL;
	free(raw);
	return rc;
}

int hdf5_chunk_read(struct hdf5_data *data, const hsize_t *origin, unsigned char *bytes,
	struct error *err)
{
	int rc;

	if (!data->chunking.library)
		return read_stored(data, origin, bytes, err);
	rc = read_by_library(data, origin, bytes, err);
	if (rc == 0)
		hdf5_swap(&data->form, bytes, data->chunking.bytes / data->form.size);
	return rc;
}

/* Filters that are decoded here; those that only libhdf5 decodes; all others. */
static int take_filter(
	hid_t dcpl, unsigned i, struct hdf5_chunking *out, struct error *err)
{
	struct hdf5_filter *filter = &out->filters[out->n_filters++];
	size_t n = sizeof filter->values / sizeof *filter->values;
	char name[64] = "";
	unsigned flags;

	filter->id = H5Pget_filter2(
		dcpl, i, &flags, &n, filter->values, sizeof name, name, NULL);
	if (filter->id < 0)
		return hdf5_fail_locked(err, EIO, "filters cannot be read");
	filter->n_values = n < 8 ? (unsigned)n : 8;
	switch (filter->id) {
	case H5Z_FILTER_DEFLATE:
	case H5Z_FILTER_SHUFFLE:
	case H5Z_FILTER_FLETCHER32:
	case HDF5_LZF: return 0;
	default: out->library = true;
	}
	if (H5Zfilter_avail(filter->id) > 0)
		return 0;
	return error_set(err, EOPNOTSUPP, "filter %d%s%s%s is not supported", filter->id,
		name[0] == '\0' ? "" : " (", name, name[0] == '\0' ? "" : ")");
}

int hdf5_chunking_locked(hid_t dcpl, const struct hdf5_form *form,
	struct hdf5_chunking *out, struct error *err)
{
	int rank = H5Pget_chunk(dcpl, H5S_MAX_RANK, out->chunk);
	int n = H5Pget_nfilters(dcpl), i, rc;
	size_t bytes = form->size;
	unsigned options = 0;

	if (rank <= 0 || n < 0)
		return hdf5_fail_locked(err, EIO, "chunks cannot be read");
	if (n > HDF5_FILTERS_MAX)
		return error_set(err, EIO, "expected at most %d filters, found %d",
			HDF5_FILTERS_MAX, n);
	out->rank = (unsigned)rank;
	for (i = 0; i < rank; i++)
		if (out->chunk[i] == 0 ||
			__builtin_mul_overflow(bytes, out->chunk[i], &bytes) ||
			bytes > HDF5_CHUNK_MAX)
			return error_set(err, EOPNOTSUPP,
				"chunks of more than %u bytes are not supported",
				HDF5_CHUNK_MAX);
	out->bytes = bytes;
	if (H5Pget_chunk_opts(dcpl, &options) >= 0)
		out->edges_plain = (options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0;
	for (i = 0; i < n; i++) {
		rc = take_filter(dcpl, (unsigned)i, out, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
