/*
 * image: how values that JSON has no notation for stand in documents, one way
 * for all formats. The man page lists these images.
 *
 *   bytes that are no UTF-8     {"%bytes": "base64"}
 *   complex numbers             {"%complex": [re, im]}
 *   not finite                  NaN, Infinity, -Infinity (as Python writes them)
 *   a typed value               {"%TAG": ...}, TAG chosen by the format ("%reference",
 * "%enum", ...) a real key that begins with '%' and would read as an image, when it is an
 * object's only key                    the '%' is doubled: {"%%bytes": 1}
 *
 * Floats are printed in the shortest decimal form that reads back to the same
 * bits in their own width (float32 0.1 is 0.1), always with a '.' or an
 * exponent, so that a float never looks like an integer.
 */
#ifndef WEIGHTFS_GRAMMAR_IMAGE_H
#define WEIGHTFS_GRAMMAR_IMAGE_H

#include "decoders/grammar/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dtype;
struct error;
struct text;

void image_put_int(struct text *out, int64_t v);
void image_put_uint(struct text *out, uint64_t v);
void image_put_double(struct text *out, double v);
void image_put_float(struct text *out, float v);
void image_put_bool(struct text *out, bool v);
void image_put_bytes(struct text *out, const void *bytes, size_t len);
/* A JSON string where the bytes are UTF-8, else the image of bytes. */
void image_put_string(struct text *out, const void *bytes, size_t len);
/* The key of an object that has `n_keys` keys, with its quotes and ": ". */
void image_put_key(struct text *out, const char *key, size_t len, size_t n_keys);

/* One element of a numeric dtype (bool, integers, floats of every width,
 * complex), `bytes` little-endian as a tensor's file has it; dtype_size() bytes.
 * -EOPNOTSUPP for dtypes that have no number image. */
int image_put_element(struct text *out, const struct dtype *dtype, const void *bytes);
/* The inverse: -EINVAL when the value is of another kind, -ERANGE when it does
 * not fit or, for integers, is not whole; floats are rounded to nearest. The text
 * says what was expected ("expected an integer from 0 to 255, found 300"). */
int image_get_element(const struct dtype *dtype, const struct json *json, json_value v,
	void *bytes, struct error *err);

/* The bytes of a string or of an image of bytes, appended. -EINVAL for all else,
 * and for strings with lone surrogates, which no container's strings can hold. */
int image_get_string(
	const struct json *json, json_value v, struct text *out, struct error *err);
/* If `v` is an image ({"%tag": x}), its tag's value, else JSON_NONE. `tag` is
 * without the '%'. */
json_value image_tagged(const struct json *json, json_value v, const char *tag);
/* The key as the container has it, appended: the inverse of image_put_key. */
void image_key(const struct json *json, json_value member, struct text *out);

#endif
