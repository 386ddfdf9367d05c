/* What takes time and says nothing about what is promised: compression, and parsing the same JSON again. */
#include <jansson.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/hash.h"
#include "sim.h"

/* ---- JSON: what a text says does not change. Who wrote it or parsed it first knows, and others, who only read it (what table/ changes is a deep
 * copy), get the same again. Other bytes are parsed; the check at the end starts anew. ---- */

#define PLACES 4096
static struct memo {
	struct hash128 hash;
	json_t *value;
} memos[PLACES];
static size_t memo_count;

static struct memo *place(struct slice text)
{
	struct hash128 h = hash128(text);
	size_t i = h.lo % PLACES;
	while (memos[i].value && (memos[i].hash.lo != h.lo || memos[i].hash.hi != h.hi))
		i = (i + 1) % PLACES;
	if (!memos[i].value)
		memos[i].hash = h;
	return &memos[i];
}

static void keep(struct memo *m, json_t *value)
{
	if (!value || m->value || memo_count == PLACES / 2)
		return;
	m->value = json_incref(value);
	memo_count++;
}

void memo_forget(void)
{
	for (size_t i = 0; i < PLACES; i++)
		json_decref(memos[i].value);
	memset(memos, 0, sizeof memos);
	memo_count = 0;
}

json_t *__real_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error)
{
	struct memo *m = place((struct slice){ (const uint8_t *)text, len });
	if (m->value)
		return json_incref(m->value);
	json_t *value = __real_json_loadb(text, len, flags, error);
	keep(m, value);
	return value;
}

char *__real_json_dumps(const json_t *value, size_t flags);
char *__wrap_json_dumps(const json_t *value, size_t flags);
char *__wrap_json_dumps(const json_t *value, size_t flags)
{
	char *text = __real_json_dumps(value, flags);
	if (text && json_is_object(value))
		keep(place(slice_str(text)), (json_t *)value);
	return text;
}

/* ---- compression: a key table is stored as it is, and Avro's blocks in deflate's way of not compressing ---- */

size_t __wrap_ZSTD_compress2(ZSTD_CCtx *c, void *out, size_t room, const void *in, size_t len);
size_t __wrap_ZSTD_compress2(ZSTD_CCtx *c, void *out, size_t room, const void *in, size_t len)
{
	(void)c, (void)out, (void)room, (void)in, (void)len;
	return (size_t)-1;
}

int __real_deflateInit2_(z_streamp z, int level, int method, int window, int memory, int strategy, const char *version, int size);
int __wrap_deflateInit2_(z_streamp z, int level, int method, int window, int memory, int strategy, const char *version, int size);
int __wrap_deflateInit2_(z_streamp z, int level, int method, int window, int memory, int strategy, const char *version, int size)
{
	(void)level, (void)memory;
	return __real_deflateInit2_(z, 0, method, window < 0 ? -9 : window, 1, strategy, version, size);
}
