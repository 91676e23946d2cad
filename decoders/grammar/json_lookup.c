/*
 * json_lookup: values by key and by path, and the path of a value.
 */
#include "decoders/base/text.h"
#include "decoders/grammar/json.h"
#include "decoders/grammar/json_private.h"
#include <string.h>

static json_value find_member(
	const struct json *json, json_value object, const char *key, size_t len)
{
	json_value found_last = JSON_NONE;

	if (json_type(json, object) != JSON_OBJECT)
		return JSON_NONE;
	for (json_value m = json_first(json, object); m != JSON_NONE;
		m = json_next(json, m))
		if (json_key_is(json, m, key, len))
			found_last = m;
	return found_last;
}

json_value json_get(const struct json *json, json_value object, const char *key)
{
	return find_member(json, object, key, strlen(key));
}

static json_value find_element(
	const struct json *json, json_value array, const char *index, size_t len)
{
	json_value v = json_first(json, array);
	size_t n = 0;

	if (len == 0 || (len > 1 && index[0] == '0'))
		return JSON_NONE;
	for (size_t i = 0; i < len; i++) {
		if (index[i] < '0' || index[i] > '9' || n > UINT32_MAX)
			return JSON_NONE;
		n = n * 10 + (size_t)(index[i] - '0');
	}
	while (n-- > 0 && v != JSON_NONE)
		v = json_next(json, v);
	return v;
}

/* One step of a pointer, "~1" and "~0" undone in place. */
static json_value step(const struct json *json, json_value v, struct text *name)
{
	size_t len = 0;

	for (size_t i = 0; i < name->len; i++, len++) {
		char c = name->bytes[i];

		if (c == '~' && (name->bytes[i + 1] == '0' || name->bytes[i + 1] == '1'))
			c = name->bytes[++i] == '0' ? '~' : '/';
		name->bytes[len] = c;
	}
	if (json_type(json, v) == JSON_OBJECT)
		return find_member(json, v, name->bytes, len);
	if (json_type(json, v) == JSON_ARRAY)
		return find_element(json, v, name->bytes, len);
	return JSON_NONE;
}

json_value json_at(const struct json *json, const char *pointer)
{
	json_value v = 0;

	while (v != JSON_NONE && *pointer != '\0') {
		AUTO_TEXT name = {0};
		size_t n = strcspn(pointer + 1, "/");

		if (*pointer != '/')
			return JSON_NONE;
		text_put(&name, pointer + 1, n);
		v = name.failed ? JSON_NONE : step(json, v, &name);
		pointer += 1 + n;
	}
	return v;
}

/* The step that leads to a value from its parent. */
static void put_step(const struct json *json, json_value v, struct text *out)
{
	AUTO_TEXT key = {0};
	size_t i = 0;

	text_putc(out, '/');
	if (json->values[v].key == 0) {
		for (json_value e = json->values[v].parent + 1; e != v;
			e = json->values[e].after)
			i++;
		text_printf(out, "%zu", i);
		return;
	}
	json_key(json, v, &key);
	out->failed |= key.failed;
	for (i = 0; i < key.len; i++) {
		if (key.bytes[i] == '~' || key.bytes[i] == '/')
			text_puts(out, key.bytes[i] == '~' ? "~0" : "~1");
		else
			text_putc(out, key.bytes[i]);
	}
}

void json_path(const struct json *json, json_value v, struct text *out)
{
	json_value way[JSON_DEPTH_MAX + 1];
	unsigned n = 0;

	for (; json->values[v].parent != JSON_NONE; v = json->values[v].parent)
		way[n++] = v;
	while (n > 0)
		put_step(json, way[--n], out);
}
