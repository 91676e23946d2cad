/*
 * hdf5_walk: the table of a file's objects and links.
 *
 * Links form a graph with cycles; the walk goes through it breadth first, so that an
 * object is met at its shallowest place first. All places of one depth are known before
 * anything below them is looked at: that is when the first path among them is the real
 * one.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE (64 * 1024)
#define TARGET_MAX (64 * 1024) /* bytes of a soft or external link's value */
#define SOFT_MAX 40	       /* soft links that one path may go through */

/* Memory of names: filled from front to back, freed together. */
struct hdf5_page {
	struct hdf5_page *next;
	size_t used, size;
	char bytes[];
};

struct walk {
	struct hdf5 *hdf5;
	uint32_t group; /* whose links are being listed */
	bool tracked;	/* its links have an order of creation */
	int code;	/* of a failure of ours */
	struct error *err;
	unsigned damaged;
};

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "not enough memory for the table of objects");
}

/* A NUL-terminated copy that lives as long as the table. NULL without memory. */
static const char *keep(struct hdf5 *hdf5, const char *s, size_t len)
{
	struct hdf5_page *page = hdf5->pages;
	size_t size = len + 1 > PAGE_SIZE ? len + 1 : PAGE_SIZE;
	char *copy;

	if (page == NULL || page->size - page->used < len + 1) {
		page = malloc(sizeof *page + size);
		if (page == NULL)
			return NULL;
		*page = (struct hdf5_page){hdf5->pages, 0, size};
		hdf5->pages = page;
	}
	copy = page->bytes + page->used;
	memcpy(copy, s, len);
	copy[len] = '\0';
	page->used += len + 1;
	return copy;
}

void hdf5_table_done(struct hdf5 *hdf5)
{
	struct hdf5_page *page;

	while ((page = hdf5->pages) != NULL) {
		hdf5->pages = page->next;
		free(page);
	}
	free(hdf5->links);
	free(hdf5->objects);
	free(hdf5->by_address);
	free(hdf5->by_name);
}

static uint32_t hash_address(uint64_t address)
{
	address *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(address >> 32);
}

static uint32_t hash_name(uint32_t group, const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ group;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return hash_address(hash);
}

static uint32_t *address_slot(const struct hdf5 *hdf5, uint64_t address)
{
	uint32_t i = hash_address(address) & (hdf5->n_by_address - 1);

	while (hdf5->by_address[i] != 0 &&
		hdf5->objects[hdf5->by_address[i]].address != address)
		i = (i + 1) & (hdf5->n_by_address - 1);
	return &hdf5->by_address[i];
}

uint32_t hdf5_at_address(const struct hdf5 *hdf5, uint64_t address)
{
	return hdf5->by_address == NULL ? 0 : *address_slot(hdf5, address);
}

/* Room for one more object in the index of addresses: it stays half empty. */
static int grow_addresses(struct hdf5 *hdf5, struct error *err)
{
	uint32_t n = hdf5->n_by_address == 0 ? 256 : hdf5->n_by_address * 2, i;

	if (hdf5->n_objects < hdf5->n_by_address / 2)
		return 0;
	free(hdf5->by_address);
	hdf5->n_by_address = 0;
	hdf5->by_address = calloc(n, sizeof *hdf5->by_address);
	if (hdf5->by_address == NULL)
		return no_memory(err);
	hdf5->n_by_address = n;
	for (i = 1; i <= hdf5->n_objects; i++)
		if (hdf5->objects[i].kind != HDF5_DAMAGED)
			*address_slot(hdf5, hdf5->objects[i].address) = i;
	return 0;
}

/* A new last element of a table that begins at 1; its number, or 0 without memory. */
static uint32_t append(void **table, size_t size, uint32_t *n, uint32_t *cap)
{
	void *grown;

	if (*n >= HDF5_OBJECTS_MAX)
		return 0;
	if (*n + 1 >= *cap) {
		grown = reallocarray(*table, (size_t)*cap * 2, size);
		if (grown == NULL)
			return 0;
		*table = grown;
		*cap *= 2;
	}
	return ++*n;
}

static uint32_t new_object(struct hdf5 *hdf5, struct hdf5_object object)
{
	void *table = hdf5->objects;
	uint32_t i = append(
		&table, sizeof *hdf5->objects, &hdf5->n_objects, &hdf5->cap_objects);

	hdf5->objects = table;
	if (i != 0)
		hdf5->objects[i] = object;
	return i;
}

/* Appends a link to the group that is being listed. */
static struct hdf5_link *new_link(
	struct walk *walk, enum hdf5_link_kind kind, const char *name)
{
	struct hdf5 *hdf5 = walk->hdf5;
	void *table = hdf5->links;
	uint32_t i =
		append(&table, sizeof *hdf5->links, &hdf5->n_links, &hdf5->cap_links);
	size_t len = strlen(name);
	const char *copy = len < UINT32_MAX ? keep(hdf5, name, len) : NULL;

	hdf5->links = table;
	if (i == 0 || copy == NULL) {
		walk->code = no_memory(walk->err);
		return NULL;
	}
	hdf5->links[i] = (struct hdf5_link){kind, .group = walk->group, .name = copy,
		.len = (uint32_t)len,
		.depth = hdf5->links[hdf5->objects[walk->group].link].depth + 1};
	return &hdf5->links[i];
}

void hdf5_link_path(const struct hdf5 *hdf5, uint32_t link, struct text *out)
{
	uint32_t *way, n = hdf5->links[link].depth, i;
	const struct hdf5_link *l;

	if (n == 0)
		text_putc(out, '/');
	way = calloc((size_t)n + 1, sizeof *way);
	if (way == NULL) {
		out->failed = true;
		return;
	}
	for (i = n; i > 0; i--) {
		way[i] = link;
		link = hdf5->objects[hdf5->links[link].group].link;
	}
	for (i = 1; i <= n; i++) {
		l = &hdf5->links[way[i]];
		text_putc(out, '/');
		text_put(out, l->name, l->len);
	}
	free(way);
}

void hdf5_path(const struct hdf5 *hdf5, uint32_t object, struct text *out)
{
	if (object > 0 && object <= hdf5->n_objects)
		hdf5_link_path(hdf5, hdf5->objects[object].link, out);
}

/* Whether the path of link `a` comes before that of `b`, of the same depth: the first
 * component that differs decides. */
static bool comes_first(const struct hdf5 *hdf5, uint32_t a, uint32_t b)
{
	const struct hdf5_link *la = &hdf5->links[a], *lb = &hdf5->links[b];

	while (la->group != lb->group) {
		la = &hdf5->links[hdf5->objects[la->group].link];
		lb = &hdf5->links[hdf5->objects[lb->group].link];
	}
	return strcmp(la->name, lb->name) < 0;
}

/* One more name of a known object: it becomes the real one where it is the first of its
 * depth. */
static void meet_again(struct hdf5 *hdf5, uint32_t object, uint32_t link)
{
	struct hdf5_object *o = &hdf5->objects[object];

	o->n_names++;
	if (object != HDF5_ROOT &&
		hdf5->links[o->link].depth == hdf5->links[link].depth &&
		comes_first(hdf5, link, o->link))
		o->link = link;
}

static void add_damaged(struct walk *walk, uint32_t link, const char *why)
{
	struct hdf5 *hdf5 = walk->hdf5;
	const char *copy = keep(hdf5, why, strlen(why));
	uint32_t object = new_object(
		hdf5, (struct hdf5_object){HDF5_DAMAGED, .link = link, .n_names = 1,
			      .address = HADDR_UNDEF, .error = copy});

	if (object == 0 || copy == NULL) {
		walk->code = no_memory(walk->err);
		return;
	}
	hdf5->links[link].object = object;
	walk->damaged++;
}

static enum hdf5_kind kind_of(H5O_type_t type)
{
	switch (type) {
	case H5O_TYPE_GROUP: return HDF5_GROUP;
	case H5O_TYPE_DATASET: return HDF5_DATASET;
	case H5O_TYPE_NAMED_DATATYPE: return HDF5_TYPE;
	default: return HDF5_DAMAGED;
	}
}

/* What kind of object is at an address that nobody has met; HDF5_DAMAGED: `why` says so.
 * Our own look comes first: libhdf5 gets nothing that does not add up. */
static enum hdf5_kind judge(struct walk *walk, hid_t group, const char *name,
	haddr_t address, struct error *why)
{
	H5O_info_t info;
	int rc = hdf5_check_object(&walk->hdf5->image, address, why);

	if (rc == -ENOMEM)
		walk->code = error_set(walk->err, ENOMEM, "%s", why->text);
	if (rc < 0)
		return HDF5_DAMAGED;
	if (H5Oget_info_by_name2(group, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
		(void)hdf5_fail_locked(why, EIO, "object cannot be read");
	else if (info.addr != address || kind_of(info.type) == HDF5_DAMAGED)
		(void)error_set(why, EIO, "object of an unknown kind");
	else
		return kind_of(info.type);
	return HDF5_DAMAGED;
}

static void add_new(
	struct walk *walk, hid_t group, uint32_t link, const char *name, haddr_t address)
{
	struct hdf5 *hdf5 = walk->hdf5;
	struct error why = {0};
	enum hdf5_kind kind;
	uint32_t object;

	walk->code = grow_addresses(hdf5, walk->err);
	if (walk->code < 0)
		return;
	kind = judge(walk, group, name, address, &why);
	if (walk->code < 0)
		return;
	if (kind == HDF5_DAMAGED) {
		add_damaged(walk, link, why.text);
		return;
	}
	object = new_object(hdf5, (struct hdf5_object){kind, .link = link, .n_names = 1,
					  .address = address});
	hdf5->links[link].object = object;
	if (object == 0)
		walk->code = no_memory(walk->err);
	else
		*address_slot(hdf5, address) = object;
}

static void add_object(struct walk *walk, hid_t group, uint32_t link, const char *name)
{
	struct hdf5 *hdf5 = walk->hdf5;
	struct error why = {0};
	H5L_info_t info;
	uint32_t object;

	if (H5Lget_info(group, name, &info, H5P_DEFAULT) < 0 ||
		info.type != H5L_TYPE_HARD) {
		(void)hdf5_fail_locked(&why, EIO, "link cannot be read");
		add_damaged(walk, link, why.text);
		return;
	}
	object = hdf5_at_address(hdf5, info.u.address);
	if (object == 0) {
		add_new(walk, group, link, name, info.u.address);
		return;
	}
	hdf5->links[link].object = object;
	meet_again(hdf5, object, link);
}

static void add_hard(struct walk *walk, hid_t group, uint32_t link, const char *name)
{
	/* libhdf5 takes these for paths, so it cannot reach such a link either. */
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strchr(name, '/') != NULL)
		add_damaged(walk, link, "a link's name that is a path");
	else
		add_object(walk, group, link, name);
}

static const char *soft_target(struct hdf5 *hdf5, const char *value, size_t size)
{
	return keep(hdf5, value, strnlen(value, size));
}

/* "FILE:PATH" of an external link. */
static const char *external_target(struct hdf5 *hdf5, const char *value, size_t size)
{
	const char *file = "", *path = "";
	AUTO_TEXT text = {0};
	unsigned flags;

	if (H5Lunpack_elink_val(value, size, &flags, &file, &path) < 0)
		return keep(hdf5, "?", 1);
	text_printf(&text, "%s:%s", file, path);
	return text_check(&text, NULL) < 0 ? NULL : keep(hdf5, text.bytes, text.len);
}

/* What a soft or external link says. */
static void add_target(struct walk *walk, hid_t group, struct hdf5_link *link)
{
	struct hdf5 *hdf5 = walk->hdf5;
	char *value = NULL;
	H5L_info_t info;
	size_t size;

	link->target = "?";
	if (H5Lget_info(group, link->name, &info, H5P_DEFAULT) < 0 ||
		info.u.val_size > TARGET_MAX)
		return;
	size = info.u.val_size;
	value = calloc(1, size + 1);
	if (value != NULL && H5Lget_val(group, link->name, value, size, H5P_DEFAULT) >= 0)
		link->target = link->kind == HDF5_SOFT
				       ? soft_target(hdf5, value, size)
				       : external_target(hdf5, value, size);
	free(value);
	if (link->target == NULL)
		walk->code = no_memory(walk->err);
}

static enum hdf5_link_kind link_kind(H5L_type_t type)
{
	switch (type) {
	case H5L_TYPE_HARD: return HDF5_HARD;
	case H5L_TYPE_SOFT: return HDF5_SOFT;
	case H5L_TYPE_EXTERNAL: return HDF5_EXTERNAL;
	default: return HDF5_OTHER;
	}
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
	struct walk *walk = arg;
	struct hdf5_link *link = new_link(walk, link_kind(info->type), name);

	(void)group;
	if (link == NULL)
		return -1;
	link->order = info->corder_valid ? info->corder : 0;
	walk->tracked = walk->tracked || info->corder_valid;
	return 0;
}

static int by_creation(const void *a, const void *b)
{
	const struct hdf5_link *la = a, *lb = b;

	return la->order < lb->order ? -1 : la->order > lb->order;
}

static int by_name(const void *a, const void *b)
{
	const struct hdf5_link *la = a, *lb = b;

	return strcmp(la->name, lb->name);
}

/* The group's links, from number `first` on, are put into the container's order, and what
 * they lead to is looked up. */
static void settle_links(struct walk *walk, hid_t group, uint32_t first)
{
	struct hdf5 *hdf5 = walk->hdf5;
	uint32_t n = hdf5->n_links - first + 1, i;
	struct hdf5_link *link;

	if (n == 0)
		return;
	qsort(hdf5->links + first, n, sizeof *hdf5->links,
		walk->tracked ? by_creation : by_name);
	hdf5->objects[walk->group].first = first;
	for (i = first; i < first + n && walk->code == 0; i++) {
		link = &hdf5->links[i];
		link->next = i + 1 < first + n ? i + 1 : 0;
		if (link->kind == HDF5_HARD)
			add_hard(walk, group, i, link->name);
		else if (link->kind != HDF5_OTHER)
			add_target(walk, group, link);
	}
}

/* A list that breaks off keeps what it had. */
static void list_broke(struct walk *walk, const struct error *why)
{
	struct hdf5_object *group = &walk->hdf5->objects[walk->group];

	group->error = keep(walk->hdf5, why->text, strlen(why->text));
	if (group->error == NULL)
		walk->code = no_memory(walk->err);
	if (group->first == 0 && walk->group != HDF5_ROOT)
		group->kind = HDF5_DAMAGED;
	walk->damaged++;
}

/* So that libhdf5 needs no table that it fills only in part. */
static bool links_decode(hid_t group)
{
	char *name = group < 0 ? NULL : hdf5_name_of_none_locked(group);
	bool decode = name != NULL && H5Lexists(group, name, H5P_DEFAULT) >= 0;

	free(name);
	return decode;
}

/* Lists in libhdf5's own order, for which it needs no table but of links in the group's
 * header: where one breaks off, libhdf5 1.10 frees what it never filled. */
static int walk_group(struct walk *walk)
{
	struct hdf5 *hdf5 = walk->hdf5;
	struct hdf5_object *object = &hdf5->objects[walk->group];
	AUTO_HID group = H5Oopen_by_addr(hdf5->file, object->address);
	uint32_t first = hdf5->n_links + 1;
	struct error why = {0};
	H5O_info_t info;
	hsize_t at = 0;
	bool broke;

	walk->tracked = false;
	if (group >= 0 &&
		H5Oget_info2(group, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) >= 0)
		object->n_attributes = info.num_attrs > UINT32_MAX
					       ? UINT32_MAX
					       : (uint32_t)info.num_attrs;
	broke = !links_decode(group) ||
		H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, &at, visit, walk) < 0;
	if (broke && walk->code == 0)
		(void)hdf5_fail_locked(&why, EIO, "group cannot be read");
	if (walk->code == 0)
		settle_links(walk, group, first);
	if (broke && walk->code == 0)
		list_broke(walk, &why);
	return walk->code;
}

static uint32_t *name_slot(
	const struct hdf5 *hdf5, uint32_t group, const char *name, size_t len)
{
	uint32_t i = hash_name(group, name, len) & (hdf5->n_by_name - 1);
	const struct hdf5_link *l;

	for (; hdf5->by_name[i] != 0; i = (i + 1) & (hdf5->n_by_name - 1)) {
		l = &hdf5->links[hdf5->by_name[i]];
		if (l->group == group && l->len == len && memcmp(l->name, name, len) == 0)
			break;
	}
	return &hdf5->by_name[i];
}

static int index_names(struct hdf5 *hdf5, struct error *err)
{
	uint32_t n = 256, i;
	struct hdf5_link *l;

	while (n / 2 < hdf5->n_links)
		n *= 2;
	hdf5->by_name = calloc(n, sizeof *hdf5->by_name);
	if (hdf5->by_name == NULL)
		return no_memory(err);
	hdf5->n_by_name = n;
	for (i = 2; i <= hdf5->n_links; i++) {
		l = &hdf5->links[i];
		*name_slot(hdf5, l->group, l->name, l->len) = i;
	}
	return 0;
}

int hdf5_walk(struct hdf5 *hdf5, unsigned *damaged, struct error *err)
{
	struct walk walk = {.hdf5 = hdf5, .err = err};
	AUTO_LOCK;
	uint32_t i;
	int rc = grow_addresses(hdf5, err);

	/* Objects are appended in the order of their depth: the table is the queue. */
	for (i = HDF5_ROOT; rc == 0 && i <= hdf5->n_objects; i++) {
		walk.group = i;
		if (hdf5->objects[i].kind == HDF5_GROUP)
			rc = walk_group(&walk);
	}
	if (rc == 0)
		rc = index_names(hdf5, err);
	if (rc == 0)
		*damaged = walk.damaged;
	return rc;
}

/* Whether a hard link leads to what libhdf5 can be given. */
static bool leads_on(struct hdf5 *hdf5, const char *path)
{
	H5L_info_t info;

	return H5Lexists(hdf5->file, path, H5P_DEFAULT) > 0 &&
	       H5Lget_info(hdf5->file, path, &info, H5P_DEFAULT) >= 0 &&
	       info.type == H5L_TYPE_HARD &&
	       hdf5_check_object(&hdf5->image, info.u.address, NULL) == 0;
}

bool hdf5_exists(struct hdf5 *hdf5, const char *path)
{
	AUTO_LOCK;
	AUTO_TEXT part = {0};
	const char *end;

	/* Every group on the way has to exist, too. */
	for (end = path; *end != '\0';) {
		end += strcspn(end, "/");
		text_clear(&part);
		text_put(&part, path, (size_t)(end - path));
		if (text_check(&part, NULL) < 0 || !leads_on(hdf5, part.bytes))
			return false;
		end += *end == '/';
	}
	return true;
}

uint32_t hdf5_n_objects(const struct hdf5 *hdf5)
{
	return hdf5->n_objects;
}

uint32_t hdf5_n_links(const struct hdf5 *hdf5)
{
	return hdf5->n_links;
}

const struct hdf5_object *hdf5_object(const struct hdf5 *hdf5, uint32_t object)
{
	return object == 0 || object > hdf5->n_objects ? NULL : &hdf5->objects[object];
}

const struct hdf5_link *hdf5_link(const struct hdf5 *hdf5, uint32_t link)
{
	return link == 0 || link > hdf5->n_links ? NULL : &hdf5->links[link];
}

bool hdf5_real(const struct hdf5 *hdf5, uint32_t link)
{
	const struct hdf5_link *l = hdf5_link(hdf5, link);

	return l != NULL && l->object != 0 && hdf5->objects[l->object].link == link;
}

uint32_t hdf5_child(const struct hdf5 *hdf5, uint32_t group, const char *name, size_t len)
{
	return hdf5->by_name == NULL ? 0 : *name_slot(hdf5, group, name, len);
}

/* One step: `rest` goes over the next component. 0 where it leads nowhere. */
static uint32_t step(
	const struct hdf5 *hdf5, uint32_t link, const char **rest, size_t *len)
{
	const char *slash = memchr(*rest, '/', *len);
	size_t n = slash == NULL ? *len : (size_t)(slash - *rest);
	const char *name = *rest;

	*rest += slash == NULL ? n : n + 1;
	*len -= slash == NULL ? n : n + 1;
	if (n == 0 || (n == 1 && name[0] == '.'))
		return link;
	return hdf5_child(hdf5, hdf5->links[link].object, name, n);
}

/* What a soft link says, then what is left of the path that led through it. */
static int redirect(
	struct text *path, const struct hdf5_link *soft, const char *rest, size_t len)
{
	struct text next = {0};

	text_puts(&next, soft->target);
	text_putc(&next, '/');
	text_put(&next, rest, len);
	text_done(path);
	*path = next;
	return text_check(path, NULL);
}

uint32_t hdf5_resolve(
	const struct hdf5 *hdf5, uint32_t group, const char *path, size_t len)
{
	const struct hdf5_object *start = hdf5_object(hdf5, group);
	const struct hdf5_link *l;
	unsigned n_soft = 0;
	AUTO_TEXT text = {0};
	uint32_t link;

	if (start == NULL)
		return 0;
	link = len > 0 && path[0] == '/' ? HDF5_ROOT : start->link;
	while (link != 0 && len > 0) {
		link = step(hdf5, link, &path, &len);
		l = &hdf5->links[link];
		if (link == 0 || l->kind == HDF5_HARD)
			continue;
		if (l->kind != HDF5_SOFT || n_soft++ == SOFT_MAX ||
			redirect(&text, l, path, len) < 0)
			return 0;
		path = text.bytes;
		len = text.len;
		link = path[0] == '/' ? HDF5_ROOT : hdf5->objects[l->group].link;
	}
	return link;
}
