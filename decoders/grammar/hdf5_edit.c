/*
 * hdf5_edit: one edit of a file, from opening it for writing to a plan.
 *
 * Objects are found by their addresses, so links may come and go in any order. A link is
 * moved by keeping its object open while its name is taken away and put elsewhere: names
 * may change places, and a folder may go into a new one that has its old name.
 */
#include "decoders/base/blob.h"
#include "decoders/base/dtype.h"
#include "decoders/base/error.h"
#include "decoders/base/plan.h"
#include "decoders/base/tree.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX (64 * 1024) /* of a link */

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for an edit");
}

static int open_locked(struct hdf5_edit *edit, struct error *err)
{
	AUTO_LOCK;

	return hdf5_image_open_locked(&edit->image, &edit->file, err);
}

int hdf5_edit_open(struct hdf5_edit **out, struct hdf5 *hdf5, struct spill_pool *pool,
	struct error *err)
{
	AUTO_HDF5_EDIT *edit = calloc(1, sizeof *edit);
	uint32_t i;
	int rc;

	if (edit == NULL)
		return no_memory(err);
	if (hdf5_readonly(hdf5) != NULL)
		return error_set(err, EROFS, "%s", hdf5_readonly(hdf5));
	edit->hdf5 = hdf5_ref(hdf5);
	rc = hdf5_image_init(&edit->image, hdf5->image.source, pool, err);
	if (rc < 0)
		return rc;
	edit->addresses = calloc((size_t)hdf5->n_objects + 1, sizeof *edit->addresses);
	if (edit->addresses == NULL)
		return no_memory(err);
	edit->n_objects = hdf5->n_objects;
	edit->cap_objects = hdf5->n_objects + 1;
	for (i = 1; i <= hdf5->n_objects; i++)
		edit->addresses[i] = hdf5->objects[i].address;
	rc = open_locked(edit, err);
	if (rc < 0)
		return rc;
	*out = edit;
	edit = NULL;
	return 0;
}

static herr_t close_locked(struct hdf5_edit *edit)
{
	AUTO_LOCK;
	hid_t file = edit->file;
	size_t i;

	for (i = 0; i < edit->n_lifted; i++)
		hdf5_hid_close(&edit->lifted[i].object);
	edit->file = 0;
	return file > 0 ? H5Fclose(file) : 0;
}

void hdf5_edit_drop(struct hdf5_edit **edit)
{
	struct hdf5_edit *e = *edit;
	size_t i;

	*edit = NULL;
	if (e == NULL)
		return;
	(void)close_locked(e);
	for (i = 0; i < e->n_lifted; i++)
		free(e->lifted[i].value);
	for (i = 0; i < e->n_direct; i++)
		blob_unref(&e->direct[i].blob);
	free(e->lifted);
	free(e->unlinked);
	free(e->direct);
	free(e->released);
	free(e->addresses);
	if (e->image.source != NULL)
		hdf5_image_done(&e->image);
	hdf5_unref(&e->hdf5);
	free(e);
}

int hdf5_edit_commit(struct hdf5_edit **edit, struct plan *plan, struct error *err)
{
	struct hdf5_edit *e = *edit;
	struct hdf5_direct *d;
	size_t i;
	int rc;

	if (close_locked(e) < 0) {
		if (e->image.err.text[0] != '\0')
			return error_set(err, EIO, "%s", e->image.err.text);
		return error_set(err, EIO, "libhdf5 could not finish the edit");
	}
	rc = hdf5_release_all(e, err);
	if (rc == 0)
		rc = hdf5_image_plan(&e->image, plan, err);
	for (i = 0; rc == 0 && i < e->n_direct; i++) {
		d = &e->direct[i];
		rc = plan_write_blob(plan, d->off, d->blob, 0, blob_size(d->blob), err);
	}
	if (rc == 0)
		hdf5_edit_drop(edit);
	return rc;
}

int hdf5_edit_direct(
	struct hdf5_edit *edit, uint64_t off, struct blob *blob, struct error *err)
{
	struct hdf5_direct *direct =
		reallocarray(edit->direct, edit->n_direct + 1, sizeof *direct);

	if (direct == NULL)
		return no_memory(err);
	edit->direct = direct;
	direct[edit->n_direct++] = (struct hdf5_direct){off, blob_ref(blob)};
	return 0;
}

hid_t hdf5_edit_object_locked(struct hdf5_edit *edit, uint32_t object, struct error *err)
{
	hid_t id;

	if (object == 0 || object > edit->n_objects)
		return error_set(err, EINVAL, "no object %" PRIu32, object);
	id = H5Oopen_by_addr(edit->file, edit->addresses[object]);
	if (id < 0)
		return hdf5_fail_locked(err, EIO, "object cannot be opened");
	return id;
}

static int new_object(struct hdf5_edit *edit, hid_t id, uint32_t *out, struct error *err)
{
	uint64_t *addresses = edit->addresses;
	H5O_info_t info;

	if (H5Oget_info2(id, &info, H5O_INFO_BASIC) < 0)
		return hdf5_fail_locked(err, EIO, "new object");
	if (edit->n_objects + 1 >= edit->cap_objects) {
		addresses = reallocarray(
			addresses, (size_t)edit->cap_objects * 2, sizeof *addresses);
		if (addresses == NULL)
			return no_memory(err);
		edit->addresses = addresses;
		edit->cap_objects *= 2;
	}
	addresses[++edit->n_objects] = info.addr;
	*out = edit->n_objects;
	return 0;
}

hid_t hdf5_link_list_locked(const char *name)
{
	hid_t list = H5Pcreate(H5P_LINK_CREATE);
	const char *c;

	for (c = name; *c != '\0'; c++)
		if ((unsigned char)*c >= 0x80) {
			(void)H5Pset_char_encoding(list, H5T_CSET_UTF8);
			break;
		}
	return list;
}

/* What libhdf5 would take for a path cannot be a link's name. */
static int check_name(const char *name, size_t len, struct error *err)
{
	if (len == 0 || memchr(name, '\0', len) != NULL ||
		memchr(name, '/', len) != NULL || (len == 1 && name[0] == '.'))
		return error_set(
			err, EINVAL, "expected a name that HDF5 allows, found %s", name);
	return 0;
}

/* Keeps what a link leads to. */
static int keep_object(
	hid_t group, const char *name, struct hdf5_lifted *lifted, struct error *err)
{
	H5L_info_t info;

	if (H5Lget_info(group, name, &info, H5P_DEFAULT) < 0)
		return hdf5_fail_locked(err, EIO, "link cannot be read");
	if (info.type == H5L_TYPE_HARD) {
		lifted->object = H5Oopen(group, name, H5P_DEFAULT);
		return lifted->object < 0
			       ? hdf5_fail_locked(err, EIO, "object cannot be opened")
			       : 0;
	}
	if ((info.type != H5L_TYPE_SOFT && info.type != H5L_TYPE_EXTERNAL) ||
		info.u.val_size > VALUE_MAX)
		return error_set(err, EOPNOTSUPP, "links of this kind cannot be moved");
	lifted->type = info.type;
	lifted->size = info.u.val_size;
	lifted->value = calloc(1, lifted->size + 1);
	if (lifted->value == NULL)
		return no_memory(err);
	if (H5Lget_val(group, name, lifted->value, lifted->size, H5P_DEFAULT) < 0)
		return hdf5_fail_locked(err, EIO, "link cannot be read");
	return 0;
}

static int remove_link(hid_t group, const struct hdf5_link *link, struct error *err)
{
	if (H5Ldelete(group, link->name, H5P_DEFAULT) < 0)
		return hdf5_fail_locked(err, EIO, "link cannot be removed");
	return 0;
}

int hdf5_edit_lift(struct hdf5_edit *edit, uint32_t link, struct error *err)
{
	const struct hdf5_link *l = hdf5_link(edit->hdf5, link);
	struct hdf5_lifted *lifted;
	AUTO_LOCK;
	AUTO_HID group = 0;
	int rc;

	if (l == NULL || l->group == 0)
		return error_set(err, EINVAL, "the root group cannot be moved");
	group = hdf5_edit_object_locked(edit, l->group, err);
	if (group < 0)
		return (int)group;
	lifted = reallocarray(edit->lifted, edit->n_lifted + 1, sizeof *lifted);
	if (lifted == NULL)
		return no_memory(err);
	edit->lifted = lifted;
	lifted += edit->n_lifted++;
	*lifted = (struct hdf5_lifted){.link = link};
	rc = keep_object(group, l->name, lifted, err);
	return rc < 0 ? rc : remove_link(group, l, err);
}

static struct hdf5_lifted *find_lifted(struct hdf5_edit *edit, uint32_t link)
{
	size_t i;

	for (i = 0; i < edit->n_lifted; i++)
		if (edit->lifted[i].link == link)
			return &edit->lifted[i];
	return NULL;
}

static herr_t make_link(
	const struct hdf5_lifted *lifted, hid_t group, const char *name, hid_t list)
{
	if (lifted->object > 0)
		return H5Olink(lifted->object, group, name, list, H5P_DEFAULT);
	if (lifted->type == H5L_TYPE_EXTERNAL)
		return H5Lcreate_ud(group, name, lifted->type, lifted->value,
			lifted->size, list, H5P_DEFAULT);
	return H5Lcreate_soft(lifted->value, group, name, list, H5P_DEFAULT);
}

int hdf5_link_renew_locked(hid_t group, const char *name, struct error *err)
{
	AUTO_HID list = hdf5_link_list_locked(name);
	struct hdf5_lifted link = {0};
	int rc = keep_object(group, name, &link, err);

	if (rc == 0 && (H5Ldelete(group, name, H5P_DEFAULT) < 0 ||
			       make_link(&link, group, name, list) < 0))
		rc = hdf5_fail_locked(err, EIO, "%s cannot be linked", name);
	hdf5_hid_close(&link.object);
	free(link.value);
	return rc;
}

int hdf5_edit_place(struct hdf5_edit *edit, uint32_t link, uint32_t group,
	const char *name, size_t len, struct error *err)
{
	struct hdf5_lifted *lifted = find_lifted(edit, link);
	int rc = check_name(name, len, err);
	AUTO_LOCK;
	AUTO_HID id = 0;
	AUTO_HID list = 0;

	if (rc < 0)
		return rc;
	if (lifted == NULL)
		return error_set(err, EINVAL, "link %" PRIu32 " was not lifted", link);
	id = hdf5_edit_object_locked(edit, group, err);
	if (id < 0)
		return (int)id;
	list = hdf5_link_list_locked(name);
	if (make_link(lifted, id, name, list) < 0)
		return hdf5_fail_locked(err, EIO, "%s cannot be linked", name);
	hdf5_hid_close(&lifted->object);
	lifted->group = group;
	return 0;
}

int hdf5_edit_unlink(struct hdf5_edit *edit, uint32_t link, struct error *err)
{
	const struct hdf5_link *l = hdf5_link(edit->hdf5, link);
	uint32_t *unlinked =
		reallocarray(edit->unlinked, edit->n_unlinked + 1, sizeof *unlinked);
	AUTO_LOCK;
	AUTO_HID group = 0;

	if (unlinked == NULL)
		return no_memory(err);
	edit->unlinked = unlinked;
	if (l == NULL || l->group == 0)
		return error_set(err, EINVAL, "the root group cannot be removed");
	unlinked[edit->n_unlinked++] = link;
	group = hdf5_edit_object_locked(edit, l->group, err);
	return group < 0 ? (int)group : remove_link(group, l, err);
}

static bool is_unlinked(const struct hdf5_edit *edit, uint32_t link)
{
	size_t i;

	for (i = 0; i < edit->n_unlinked; i++)
		if (edit->unlinked[i] == link)
			return true;
	return false;
}

uint32_t hdf5_edit_group_of(struct hdf5_edit *edit, uint32_t link)
{
	const struct hdf5_lifted *lifted = find_lifted(edit, link);
	uint32_t group = edit->hdf5->links[link].group, at = link;

	if (lifted != NULL)
		return lifted->group;
	/* Up to the root: a removed group takes its links along. */
	while (at != HDF5_ROOT && !is_unlinked(edit, at)) {
		lifted = find_lifted(edit, at);
		if (lifted != NULL)
			return lifted->group == 0 ? 0 : group;
		at = edit->hdf5->objects[edit->hdf5->links[at].group].link;
	}
	return at == HDF5_ROOT ? group : 0;
}

/* A new group keeps the order of its links where the group around it does. */
static hid_t group_list(hid_t parent)
{
	AUTO_HID around = H5Gget_create_plist(parent);
	hid_t list = H5Pcreate(H5P_GROUP_CREATE);
	unsigned flags = 0;

	if (H5Pget_link_creation_order(around, &flags) >= 0 && flags != 0)
		(void)H5Pset_link_creation_order(list, flags);
	flags = 0;
	if (H5Pget_attr_creation_order(around, &flags) >= 0 && flags != 0)
		(void)H5Pset_attr_creation_order(list, flags);
	return list;
}

int hdf5_edit_group(struct hdf5_edit *edit, uint32_t group, const char *name, size_t len,
	uint32_t *out, struct error *err)
{
	int rc = check_name(name, len, err);
	AUTO_LOCK;
	AUTO_HID parent = 0;
	AUTO_HID list = 0;
	AUTO_HID links = 0;
	AUTO_HID id = 0;

	if (rc < 0)
		return rc;
	parent = hdf5_edit_object_locked(edit, group, err);
	if (parent < 0)
		return (int)parent;
	list = group_list(parent);
	links = hdf5_link_list_locked(name);
	id = H5Gcreate2(parent, name, links, list, H5P_DEFAULT);
	if (id < 0)
		return hdf5_fail_locked(err, EIO, "group %s cannot be made", name);
	return new_object(edit, id, out, err);
}

static hid_t space_of(const struct tensor *type)
{
	hsize_t dims[H5S_MAX_RANK];
	unsigned i;

	if ((type->flags & TENSOR_NULL) != 0)
		return H5Screate(H5S_NULL);
	if (type->rank == 0 || type->rank > H5S_MAX_RANK)
		return H5Screate(H5S_SCALAR);
	for (i = 0; i < type->rank; i++)
		dims[i] = type->shape[i];
	return H5Screate_simple(type->rank, dims, NULL);
}

/* A dataset to be made. */
struct recipe {
	const char *name;
	const struct tensor *type;
	bool filled; /* its elements follow */
};

/* Makes the dataset and leaves it open in *id. */
static int make_dataset(struct hdf5_edit *edit, hid_t parent, const struct recipe *recipe,
	hid_t *id, struct error *err)
{
	const struct tensor *tensor = recipe->type;
	AUTO_HID type = 0;
	AUTO_HID space = space_of(tensor);
	AUTO_HID list = H5Pcreate(H5P_DATASET_CREATE);
	AUTO_HID links = hdf5_link_list_locked(recipe->name);
	bool tagged;
	int rc = hdf5_type_locked(tensor->dtype, &type, &tagged, err);

	if (rc < 0)
		return rc;
	/* Room for the elements, which are then written without libhdf5. */
	if (recipe->filled) {
		(void)H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
		(void)H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
	}
	*id = H5Dcreate2(parent, recipe->name, type, space, links, list, H5P_DEFAULT);
	if (*id < 0)
		return hdf5_fail_locked(
			err, EIO, "dataset %s cannot be made", recipe->name);
	return tagged ? hdf5_tag_locked(edit, *id, tensor->dtype->name, err) : 0;
}

static int add_dataset(struct hdf5_edit *edit, uint32_t group,
	const struct recipe *recipe, hid_t *id, uint32_t *out, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID parent = hdf5_edit_object_locked(edit, group, err);
	int rc;

	if (parent < 0)
		return (int)parent;
	rc = make_dataset(edit, parent, recipe, id, err);
	return rc < 0 ? rc : new_object(edit, *id, out, err);
}

static void close_id(hid_t *id)
{
	AUTO_LOCK;

	hdf5_hid_close(id);
}

int hdf5_edit_dataset(struct hdf5_edit *edit, uint32_t group, const char *name,
	size_t len, const struct tensor *type, struct blob *content, uint32_t *out,
	struct error *err)
{
	bool filled = content != NULL && (type->flags & TENSOR_NULL) == 0;
	struct recipe recipe = {name, type, filled};
	hid_t id = 0;
	int rc = hdf5_storable(type, err);

	if (rc == 0)
		rc = check_name(name, len, err);
	if (rc == 0)
		rc = add_dataset(edit, group, &recipe, &id, out, err);
	if (rc == 0 && filled)
		rc = hdf5_write_new(edit, id, content, err);
	close_id(&id);
	return rc;
}
