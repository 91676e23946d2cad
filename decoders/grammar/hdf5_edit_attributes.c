/*
 * hdf5_edit_attributes: documents of attributes and sidecars taken back into an edit, and
 * the strings and lists of strings that formats keep in attributes.
 */
#include "decoders/base/error.h"
#include "decoders/base/text.h"
#include "decoders/grammar/hdf5_private.h"
#include "decoders/grammar/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that a list of strings may have in one attribute: where Keras breaks it. */
#define LIST_MAX 64512
#define NAME_SHOWN 80		 /* bytes of a name in a message */
#define ATTRIBUTE_NAME_MAX 65536 /* bytes, with the NUL */
#define VARIABLE_SIZE 16	 /* of one string of variable length, in the file */

static int refuse(
	const struct json *json, json_value v, const char *why, struct error *err)
{
	unsigned line, column;

	json_place(json, v, &line, &column);
	return error_set(err, EINVAL, "%u:%u: %s", line, column, why);
}

/* A member of a sidecar that means nothing. */
static int refuse_member(const struct json *json, json_value member, struct error *err)
{
	AUTO_TEXT key = {0};
	unsigned line, column;

	json_key(json, member, &key);
	json_place(json, member, &line, &column);
	return error_set(err, EOPNOTSUPP,
		"%u:%u: expected dtype, shape, value, values or attributes, found %.*s",
		line, column, (int)(key.len < NAME_SHOWN ? key.len : NAME_SHOWN),
		key.bytes != NULL ? key.bytes : "");
}

/* The member that has that key once its image is undone; JSON_NONE: none. */
static json_value member_of(const struct json *json, json_value object, const char *name)
{
	json_value v, found = JSON_NONE;
	AUTO_TEXT key = {0};

	for (v = json_first(json, object); v != JSON_NONE; v = json_next(json, v)) {
		text_clear(&key);
		image_key(json, v, &key);
		if (key.len == strlen(name) &&
			(key.len == 0 || memcmp(key.bytes, name, key.len) == 0))
			found = v;
	}
	return found;
}

/* Attributes that the document no longer has. */
static int remove_missing(struct hdf5_edit *edit, hid_t object, const char *const *hide,
	const struct json *json, json_value document, struct error *err)
{
	AUTO_TEXT names = {0};
	const char *name;
	size_t n = 0;
	int rc = hdf5_attribute_names_locked(object, &names, &n, err);

	for (name = names.bytes; rc == 0 && n > 0; n--, name += strlen(name) + 1)
		if (!hdf5_hidden(hide, name) &&
			(document == JSON_NONE ||
				member_of(json, document, name) == JSON_NONE) &&
			hdf5_attribute_delete_locked(edit, object, name) < 0)
			rc = hdf5_fail_locked(err, EIO, "attribute %s", name);
	return rc;
}

static int set_member(struct hdf5_edit *edit, hid_t object, const char *const *hide,
	const struct json *json, json_value v, struct error *err)
{
	AUTO_TEXT key = {0};

	image_key(json, v, &key);
	text_put(&key, "", 1); /* counted: a NUL inside is found */
	if (text_check(&key, err) < 0)
		return -ENOMEM;
	if (strlen(key.bytes) + 1 != key.len || key.len == 1)
		return refuse(json, v,
			key.len == 1
				? "expected a name for the attribute, found none"
				: "expected a name without NUL bytes, found one with "
				  "some",
			err);
	if (key.len > ATTRIBUTE_NAME_MAX)
		return refuse(json, v,
			"expected a name of at most 65535 bytes, found a longer one",
			err);
	if (!json_utf8(key.bytes, key.len - 1))
		return refuse(json, v,
			"expected a name in UTF-8, found half a character in it", err);
	if (hdf5_hidden(hide, key.bytes))
		return refuse(json, v,
			"expected no attribute of this name (it follows the tree)", err);
	return hdf5_attribute_set_locked(edit, object, key.bytes, json, v, err);
}

/* Whether an object says one value instead of attributes: {"%bytes": ...}. */
static bool is_image(const struct json *json, json_value object)
{
	AUTO_TEXT key = {0};

	if (json_count(json, object) != 1)
		return false;
	json_key(json, json_first(json, object), &key);
	return key.len > 1 && key.bytes[0] == '%' && key.bytes[1] != '%';
}

static int set_members(struct hdf5_edit *edit, hid_t object, const char *const *hide,
	const struct json *json, json_value document, struct error *err)
{
	int rc = 0;
	json_value v;

	if (document != JSON_NONE && json_type(json, document) != JSON_OBJECT)
		return refuse(json, document,
			"expected an object of attributes, found something else", err);
	if (document != JSON_NONE && is_image(json, document))
		return refuse(json, document,
			"expected attributes, found one value; an attribute whose name "
			"begins with % is called %% here while it is the only one",
			err);
	rc = remove_missing(edit, object, hide, json, document, err);
	for (v = document == JSON_NONE ? JSON_NONE : json_first(json, document);
		rc == 0 && v != JSON_NONE; v = json_next(json, v))
		rc = set_member(edit, object, hide, json, v, err);
	return rc;
}

int hdf5_edit_attributes(struct hdf5_edit *edit, uint32_t object, const char *const *hide,
	const char *text, size_t len, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = json_parse(&json, text, len, JSON_NONFINITE, err);
	AUTO_LOCK;
	AUTO_HID id = 0;

	if (rc < 0)
		return rc;
	id = hdf5_edit_object_locked(edit, object, err);
	return id < 0 ? (int)id : set_members(edit, id, hide, json, 0, err);
}

/* Whether the values of a dataset show as the same. */
static bool same_values(
	const struct hdf5_attribute *values, const struct json *json, json_value v)
{
	AUTO_TEXT text = {0};
	AUTO_JSON *old = NULL;

	if (values->null)
		return json_type(json, v) == JSON_NULL;
	hdf5_values_put_locked(&values->values, values->elements, &text);
	return text_check(&text, NULL) == 0 &&
	       json_parse(&old, text.bytes, text.len, JSON_NONFINITE, NULL) == 0 &&
	       json_equal(old, 0, json, v);
}

/* The elements of a dataset that has no .bin. */
static int set_values(struct hdf5_edit *edit, hid_t dataset, const struct json *json,
	json_value v, struct error *err)
{
	AUTO_ATTRIBUTE old = {0};
	struct hdf5_attribute fresh;
	int rc = hdf5_dataset_values_locked(edit->hdf5, dataset, &old, err);

	if (rc < 0 || same_values(&old, json, v))
		return rc;
	if (old.null)
		return refuse(json, v,
			"values: expected null (the dataset has no elements), found some",
			err);
	fresh = old;
	fresh.values.name = "values";
	fresh.elements =
		calloc(hdf5_values_count(&old.values) + 1, H5Tget_size(old.type));
	if (fresh.elements == NULL)
		return error_set(err, ENOMEM, "not enough memory for a dataset");
	rc = hdf5_values_get_locked(&fresh.values, json, v, fresh.elements, err);
	if (rc == 0 && H5Dwrite(dataset, old.type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
			       fresh.elements) < 0)
		rc = hdf5_fail_locked(err, EIO, "values cannot be written");
	hdf5_values_free_locked(&fresh.values, fresh.elements);
	free(fresh.elements);
	return rc;
}

/* The elements stand either in `values` or in the .bin; there is nothing else. */
static int check_members(const struct json *json, bool valued, struct error *err)
{
	static const char *const known[] = {
		"dtype", "shape", "value", "values", "attributes", "error"};
	json_value values = json_get(json, 0, "values"), m;
	size_t i;

	if (valued && values == JSON_NONE)
		return refuse(json, 0, "values: expected the elements, found none", err);
	if (!valued && values != JSON_NONE)
		return refuse(json, values,
			"values: expected none (the elements are in the .bin), found "
			"some",
			err);
	for (m = json_first(json, 0); m != JSON_NONE; m = json_next(json, m)) {
		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (json_key_is(json, m, known[i], strlen(known[i])))
				break;
		if (i == sizeof known / sizeof *known)
			return refuse_member(json, m, err);
	}
	return 0;
}

int hdf5_edit_sidecar(struct hdf5_edit *edit, uint32_t object, const char *text,
	size_t len, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = json_parse(&json, text, len, JSON_NONFINITE, err);
	AUTO_LOCK;
	AUTO_HID id = 0;
	json_value v;

	if (rc < 0)
		return rc;
	id = hdf5_edit_object_locked(edit, object, err);
	if (id < 0)
		return (int)id;
	rc = check_members(json, hdf5_is_variable_locked(id), err);
	v = json_get(json, 0, "values");
	if (rc == 0 && v != JSON_NONE)
		rc = set_values(edit, id, json, v, err);
	if (rc < 0)
		return rc;
	return set_members(edit, id, hdf5_dataset_hide_locked(id), json,
		json_get(json, 0, "attributes"), err);
}

/* --- strings --- */

/* Sets an attribute from a JSON text that was made here. */
static int set_text(struct hdf5_edit *edit, hid_t object, const char *name,
	const struct text *text, struct error *err)
{
	AUTO_JSON *json = NULL;
	int rc = text_check(text, err);

	if (rc == 0)
		rc = json_parse(&json, text->bytes, text->len, 0, err);
	if (rc == 0)
		rc = hdf5_attribute_set_locked(edit, object, name, json, 0, err);
	return rc;
}

/* How many lists are around the one string of an attribute. */
static int rank_of(hid_t object, const char *name)
{
	AUTO_HID id = 0;
	AUTO_HID space = 0;
	int rank;

	if (H5Aexists(object, name) <= 0)
		return 0;
	id = H5Aopen(object, name, H5P_DEFAULT);
	space = H5Aget_space(id);
	rank = H5Sget_simple_extent_ndims(space);
	return rank < 0 ? 0 : rank;
}

int hdf5_edit_string(struct hdf5_edit *edit, uint32_t object, const char *name,
	const char *bytes, size_t len, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = hdf5_edit_object_locked(edit, object, err);
	AUTO_TEXT text = {0};
	int rank, i;

	if (id < 0)
		return (int)id;
	if (!json_utf8(bytes, len))
		return error_set(err, EINVAL, "attribute %s: expected UTF-8", name);
	rank = rank_of(id, name);
	for (i = 0; i < rank; i++)
		text_putc(&text, '[');
	json_put_string(&text, bytes, len);
	for (i = 0; i < rank; i++)
		text_putc(&text, ']');
	return set_text(edit, id, name, &text, err);
}

/* Bytes of one element of a list, in the type that it has or will get. */
static size_t element_size(hid_t object, const char *name, size_t longest)
{
	AUTO_HID id = 0;
	AUTO_HID type = 0;

	if (H5Aexists(object, name) <= 0)
		return longest > VARIABLE_SIZE ? longest : VARIABLE_SIZE;
	id = H5Aopen(object, name, H5P_DEFAULT);
	type = H5Aget_type(id);
	return H5Tis_variable_str(type) > 0 ? VARIABLE_SIZE : longest + 1;
}

/* `n` strings from *strings on, as one attribute; *strings goes behind them. */
static int set_part(struct hdf5_edit *edit, hid_t object, const char *name,
	const char **strings, size_t n, struct error *err)
{
	AUTO_TEXT text = {0};
	size_t i;

	text_putc(&text, '[');
	for (i = 0; i < n; i++) {
		if (!json_utf8(*strings, strlen(*strings)))
			return error_set(
				err, EINVAL, "attribute %s: expected UTF-8", name);
		text_puts(&text, i > 0 ? ", " : "");
		json_put_string(&text, *strings, strlen(*strings));
		*strings += strlen(*strings) + 1;
	}
	text_putc(&text, ']');
	return set_text(edit, object, name, &text, err);
}

/* NAME0, NAME1, ... from `first` on are removed. */
static int remove_parts(struct hdf5_edit *edit, hid_t object, const char *name,
	size_t first, struct error *err)
{
	AUTO_TEXT part = {0};

	for (;; first++) {
		text_clear(&part);
		text_printf(&part, "%s%zu", name, first);
		if (text_check(&part, err) < 0)
			return -ENOMEM;
		if (H5Aexists(object, part.bytes) <= 0)
			return 0;
		if (hdf5_attribute_delete_locked(edit, object, part.bytes) < 0)
			return hdf5_fail_locked(err, EIO, "attribute %s", part.bytes);
	}
}

/* As numpy splits an array: the first parts have one more. */
static int set_parts(struct hdf5_edit *edit, hid_t object, const char *name,
	const char *strings, size_t n, size_t n_parts, struct error *err)
{
	AUTO_TEXT part = {0};
	size_t i;
	int rc = 0;

	if (H5Aexists(object, name) > 0 &&
		hdf5_attribute_delete_locked(edit, object, name) < 0)
		return hdf5_fail_locked(err, EIO, "attribute %s", name);
	for (i = 0; rc == 0 && i < n_parts; i++) {
		text_clear(&part);
		text_printf(&part, "%s%zu", name, i);
		rc = text_check(&part, err);
		if (rc == 0)
			rc = set_part(edit, object, part.bytes, &strings,
				n / n_parts + (i < n % n_parts), err);
	}
	return rc < 0 ? rc : remove_parts(edit, object, name, n_parts, err);
}

int hdf5_edit_strings(struct hdf5_edit *edit, uint32_t object, const char *name,
	const char *strings, size_t n, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = hdf5_edit_object_locked(edit, object, err);
	size_t longest = 0, size, n_parts = 1, i, len;
	const char *s = strings;

	if (id < 0)
		return (int)id;
	for (i = 0; i < n; i++, s += len + 1) {
		len = strlen(s);
		longest = len > longest ? len : longest;
	}
	size = element_size(id, name, longest);
	while (n_parts < n && ((n - 1) / n_parts + 1) * size > LIST_MAX)
		n_parts++;
	if (n_parts > 1)
		return set_parts(edit, id, name, strings, n, n_parts, err);
	if (remove_parts(edit, id, name, 0, err) < 0)
		return -EIO;
	return set_part(edit, id, name, &strings, n, err);
}

int hdf5_edit_remove_attribute(
	struct hdf5_edit *edit, uint32_t object, const char *name, struct error *err)
{
	AUTO_LOCK;
	AUTO_HID id = hdf5_edit_object_locked(edit, object, err);

	if (id < 0)
		return (int)id;
	if (H5Aexists(id, name) > 0 && hdf5_attribute_delete_locked(edit, id, name) < 0)
		return hdf5_fail_locked(err, EIO, "attribute %s", name);
	return 0;
}
