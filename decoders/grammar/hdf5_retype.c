/*
 * hdf5_retype: a dataset with another dtype or shape.
 *
 * HDF5 datasets keep their type for life, so there is a new one in all places of the old,
 * with its properties as far as they still fit. Only where a chunked dataset gets longer
 * or shorter in its first dimension, and was made for that, it stays.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPACT_MAX 64000

/* A dataset on its way from what it is to what it shall be. */
struct retype {
	struct hdf5_edit *edit;
	uint32_t object;
	const struct tensor *to;
	struct hdf5_form form; /* of the new type */
	hid_t old, type, space, list;
	unsigned rank; /* of the dataspaces, without an array type's dimensions */
	hsize_t dims[H5S_MAX_RANK], max[H5S_MAX_RANK];
	unsigned old_rank;
	hsize_t old_dims[H5S_MAX_RANK], old_max[H5S_MAX_RANK];
	bool same_type;
};

static void retype_done(struct retype *r)
{
	AUTO_LOCK;

	hdf5_hid_close(&r->list);
	hdf5_hid_close(&r->space);
	hdf5_hid_close(&r->type);
	hdf5_hid_close(&r->old);
	hdf5_form_done(&r->form);
}

#define AUTO_RETYPE __attribute__((cleanup(retype_done))) struct retype

/* Whether the new shape still ends in the dimensions of the array type. */
static bool ends_in_array(const struct hdf5_form *form, const struct tensor *to)
{
	unsigned i;

	if (to->rank < form->rank)
		return false;
	for (i = 0; i < form->rank; i++)
		if (to->shape[to->rank - form->rank + i] != form->shape[i])
			return false;
	return true;
}

/* The stored type where the dtype stays, else a new one. */
static int choose_type(struct retype *r, struct error *err)
{
	AUTO_HID stored = H5Dget_type(r->old);
	AUTO_FORM form = {0};
	const struct dtype *tag = hdf5_tagged_locked(r->old, stored);
	bool tagged;
	int rc = hdf5_form_locked(stored, &form, err);

	if (rc < 0)
		return rc;
	if (form.variable)
		return error_set(err, EOPNOTSUPP,
			"elements of variable size have no other dtype or shape");
	r->same_type = r->to->dtype == (tag != NULL ? tag : form.dtype) &&
		       ends_in_array(&form, r->to);
	if (r->same_type)
		r->type = H5Tcopy(stored);
	else
		rc = hdf5_type_locked(r->to->dtype, &r->type, &tagged, err);
	if (rc == 0)
		rc = hdf5_form_locked(r->type, &r->form, err);
	return rc;
}

static int choose_space(struct retype *r, struct error *err)
{
	AUTO_HID space = H5Dget_space(r->old);
	unsigned i;
	int rank = H5Sget_simple_extent_dims(space, r->old_dims, r->old_max);

	if (rank < 0)
		return hdf5_fail_locked(err, EIO, "shape cannot be read");
	r->old_rank = (unsigned)rank;
	r->rank = r->to->rank - r->form.rank;
	if (r->rank > H5S_MAX_RANK)
		return error_set(err, EOPNOTSUPP,
			"shape: expected at most %d dimensions, found %u", H5S_MAX_RANK,
			r->rank);
	for (i = 0; i < r->rank; i++) {
		r->dims[i] = r->max[i] = r->to->shape[i];
		if (r->rank == r->old_rank && r->old_max[i] == H5S_UNLIMITED)
			r->max[i] = H5S_UNLIMITED;
	}
	return 0;
}

/* Chunks of the new shape: the old ones where they fit. */
static void fit_chunks(struct retype *r)
{
	hsize_t chunk[H5S_MAX_RANK];
	unsigned i;

	if (r->rank == 0) {
		(void)H5Pset_layout(r->list, H5D_CONTIGUOUS);
		return;
	}
	if (H5Pget_chunk(r->list, H5S_MAX_RANK, chunk) != (int)r->rank)
		hdf5_boxes(r->rank, r->dims, r->form.size, chunk);
	for (i = 0; i < r->rank; i++)
		if (r->max[i] != H5S_UNLIMITED && chunk[i] > r->dims[i])
			chunk[i] = r->dims[i] == 0 ? 1 : r->dims[i];
	(void)H5Pset_chunk(r->list, (int)r->rank, chunk);
}

static void choose_layout(struct retype *r)
{
	H5D_layout_t layout = H5Pget_layout(r->list);
	unsigned i;

	if (layout == H5D_CHUNKED)
		fit_chunks(r);
	if (layout == H5D_COMPACT && r->to->bytes > COMPACT_MAX)
		(void)H5Pset_layout(r->list, H5D_CONTIGUOUS);
	if (H5Pget_layout(r->list) == H5D_CONTIGUOUS) {
		(void)H5Pset_alloc_time(r->list, H5D_ALLOC_TIME_EARLY);
		(void)H5Pset_fill_time(r->list, H5D_FILL_TIME_NEVER);
	}
	if (H5Pget_layout(r->list) != H5D_CHUNKED) {
		if (r->rank == 0) /* filters need chunks */
			(void)H5Premove_filter(r->list, H5Z_FILTER_ALL);
		for (i = 0; i < r->rank; i++)
			r->max[i] = r->dims[i];
	}
}

/* What the old elements were filled with has the old type. */
static int reset_fill(struct retype *r, struct error *err)
{
	H5D_fill_value_t defined = H5D_FILL_VALUE_DEFAULT;
	void *zeros;
	int rc = 0;

	(void)H5Pfill_value_defined(r->list, &defined);
	if (defined != H5D_FILL_VALUE_USER_DEFINED)
		return 0;
	zeros = calloc(1, r->form.size);
	if (zeros == NULL)
		return error_set(err, ENOMEM, "not enough memory for a fill value");
	if (H5Pset_fill_value(r->list, r->type, zeros) < 0)
		rc = hdf5_fail_locked(err, EIO, "fill value");
	free(zeros);
	return rc;
}

static int prepare(struct retype *r, struct error *err)
{
	AUTO_LOCK;
	int rc;

	r->old = hdf5_edit_object_locked(r->edit, r->object, err);
	if (r->old < 0)
		return (int)r->old;
	if (H5Iget_type(r->old) != H5I_DATASET)
		return error_set(err, EOPNOTSUPP, "this is no dataset");
	r->list = H5Dget_create_plist(r->old);
	rc = hdf5_obstacle_locked(r->old, r->list, err);
	if (rc == 0)
		rc = choose_type(r, err);
	if (rc == 0)
		rc = choose_space(r, err);
	if (rc < 0)
		return rc;
	return r->same_type ? 0 : reset_fill(r, err);
}

/* Whether the dataset can stay, longer or shorter. */
static bool extends(const struct retype *r)
{
	if (!r->same_type || r->rank == 0 || r->rank != r->old_rank ||
		H5Pget_layout(r->list) != H5D_CHUNKED ||
		(r->old_max[0] != H5S_UNLIMITED && r->dims[0] > r->old_max[0]))
		return false;
	return memcmp(r->dims + 1, r->old_dims + 1, (r->rank - 1) * sizeof *r->dims) == 0;
}

/* Writes all boxes of a dataset that differ. */
static int write_all(
	struct retype *r, hid_t dataset, struct blob *content, struct error *err)
{
	struct hdf5_target target = {.edit = r->edit,
		.dataset = dataset,
		.type = r->type,
		.form = &r->form,
		.rank = r->rank};
	bool chunked;

	memcpy(target.dims, r->dims, sizeof target.dims);
	hdf5_boxes(r->rank, r->dims, r->form.size, target.box);
	{
		AUTO_LOCK;
		AUTO_HID list = H5Dget_create_plist(dataset);

		chunked = H5Pget_layout(list) == H5D_CHUNKED;
		if (chunked)
			(void)H5Pget_chunk(list, H5S_MAX_RANK, target.box);
	}
	return hdf5_write_boxes(&target, content, false, err);
}

static int extend(struct retype *r, struct blob *content, struct error *err)
{
	{
		AUTO_LOCK;

		if (H5Dset_extent(r->old, r->dims) < 0)
			return hdf5_fail_locked(err, EIO, "shape cannot be changed");
	}
	return write_all(r, r->old, content, err);
}

/* The new dataset, which nothing leads to yet. */
static int make(struct retype *r, hid_t *fresh, struct error *err)
{
	AUTO_LOCK;
	int rc;

	choose_layout(r);
	r->space = r->rank == 0 ? H5Screate(H5S_SCALAR)
				: H5Screate_simple((int)r->rank, r->dims, r->max);
	*fresh = H5Dcreate_anon(r->edit->file, r->type, r->space, r->list, H5P_DEFAULT);
	if (*fresh < 0)
		return hdf5_fail_locked(err, EOPNOTSUPP,
			"a dataset of this dtype and shape cannot be stored as this one "
			"is");
	rc = hdf5_attributes_copy_locked(r->edit, r->old, *fresh, err);
	if (rc == 0 && !r->same_type && H5Aexists(*fresh, "dtype") > 0 &&
		hdf5_dataset_hide_locked(r->old) != NULL)
		(void)H5Adelete(*fresh, "dtype");
	if (rc == 0 && !r->same_type && r->to->dtype->class == DTYPE_MINIFLOAT)
		rc = hdf5_tag_locked(r->edit, *fresh, r->to->dtype->name, err);
	return rc;
}

/* The links of one group, in its order, and which lead to the old dataset. */
struct names {
	struct text text; /* each: 1 or 0, then the name with its NUL */
	size_t n;
	haddr_t address;
};

static herr_t take_name(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
	struct names *names = arg;

	(void)group;
	text_putc(&names->text,
		info->type == H5L_TYPE_HARD && info->u.address == names->address);
	text_put(&names->text, name, strlen(name) + 1);
	names->n++;
	return 0;
}

static bool tracks_links(hid_t group)
{
	AUTO_HID list = H5Gget_create_plist(group);
	unsigned flags = 0;

	return H5Pget_link_creation_order(list, &flags) >= 0 &&
	       (flags & H5P_CRT_ORDER_TRACKED) != 0;
}

static int relink(hid_t fresh, hid_t group, const char *name, struct error *err)
{
	AUTO_HID list = hdf5_link_list_locked(name);

	if (H5Ldelete(group, name, H5P_DEFAULT) < 0 ||
		H5Olink(fresh, group, name, list, H5P_DEFAULT) < 0)
		return hdf5_fail_locked(err, EIO, "%s cannot be linked", name);
	return 0;
}

/* All links of one group that lead to the old dataset lead to the new one. Where the
 * order of creation is tracked, those that come after them are made anew. */
static int relink_group(hid_t group, haddr_t address, hid_t fresh, struct error *err)
{
	bool tracked = tracks_links(group), after = false;
	struct names names = {.address = address};
	const char *name;
	hsize_t at = 0;
	int rc = 0;

	if (H5Literate(group, tracked ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, H5_ITER_INC,
		    &at, take_name, &names) < 0)
		rc = hdf5_fail_locked(err, EIO, "group cannot be read");
	if (rc == 0)
		rc = text_check(&names.text, err);
	for (name = names.text.bytes; rc == 0 && names.n > 0;
		names.n--, name += strlen(name + 1) + 2) {
		if (name[0] == 1)
			rc = relink(fresh, group, name + 1, err);
		else if (after)
			rc = hdf5_link_renew_locked(group, name + 1, err);
		after = tracked && (after || name[0] == 1);
	}
	text_done(&names.text);
	return rc;
}

/* The new dataset takes the old one's places and number. */
static int take_over(struct retype *r, hid_t fresh, struct error *err)
{
	haddr_t address = r->edit->addresses[r->object];
	AUTO_LOCK;
	H5O_info_t info;
	uint32_t i, group;
	int rc = 0;

	for (i = 1; rc == 0 && i <= r->edit->hdf5->n_links; i++) {
		if (r->edit->hdf5->links[i].object != r->object ||
			r->edit->hdf5->links[i].kind != HDF5_HARD)
			continue;
		group = hdf5_edit_group_of(r->edit, i);
		if (group == 0)
			continue;
		AUTO_HID id = hdf5_edit_object_locked(r->edit, group, err);

		rc = id < 0 ? (int)id : relink_group(id, address, fresh, err);
	}
	if (rc < 0)
		return rc;
	if (H5Oget_info2(fresh, &info, H5O_INFO_BASIC) < 0 || info.rc == 0)
		return hdf5_fail_locked(err, EIO, "the new dataset found no place");
	r->edit->addresses[r->object] = info.addr;
	return 0;
}

static void close_id(hid_t *id)
{
	AUTO_LOCK;

	hdf5_hid_close(id);
}

static int remake(struct retype *r, struct blob *content, struct error *err)
{
	__attribute__((cleanup(close_id))) hid_t fresh = 0;
	int rc = make(r, &fresh, err);
	bool contiguous;

	if (rc < 0)
		return rc;
	contiguous = H5Pget_layout(r->list) == H5D_CONTIGUOUS && r->form.n_swaps == 0;
	rc = contiguous ? hdf5_write_new(r->edit, fresh, content, err)
			: write_all(r, fresh, content, err);
	return rc < 0 ? rc : take_over(r, fresh, err);
}

/* The old elements, cut or with zeros appended. */
static int old_content(struct retype *r, struct blob **out, struct error *err)
{
	AUTO_BLOB *old = NULL;
	AUTO_BLOB *sized = NULL;
	int rc = hdf5_content(r->edit->hdf5, r->object, &old, err);

	if (rc == 0)
		rc = blob_staged(&sized, old, r->edit->image.pool, err);
	if (rc == 0)
		rc = blob_resize(sized, r->to->bytes, err);
	if (rc < 0)
		return rc;
	*out = sized;
	sized = NULL;
	return 0;
}

int hdf5_edit_type(struct hdf5_edit *edit, uint32_t object, const struct tensor *type,
	struct blob *content, struct error *err)
{
	AUTO_RETYPE r = {.edit = edit, .object = object, .to = type};
	AUTO_BLOB *elements = content == NULL ? NULL : blob_ref(content);
	int rc;

	if (hdf5_object(edit->hdf5, object) == NULL)
		return error_set(err, EINVAL, "no object %" PRIu32, object);
	if (content != NULL && blob_size(content) != type->bytes)
		return error_set(err, EINVAL,
			"expected %" PRIu64 " bytes, found %" PRIu64, type->bytes,
			blob_size(content));
	rc = prepare(&r, err);
	if (rc == 0 && elements == NULL)
		rc = old_content(&r, &elements, err);
	if (rc < 0)
		return rc;
	return extends(&r) ? extend(&r, elements, err) : remake(&r, elements, err);
}
