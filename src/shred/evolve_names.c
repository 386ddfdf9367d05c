/* Column names from keys, by the rules of TABLES.md. */
#include <stdio.h>

#include "base/buf.h"
#include "shred/evolve_internal.h"

static const char *const reserved[] = { "year", "month", "day", "hour" };

static const char *const suffixes[PLACES] = {
	[PLACE_BOOL] = "bool",	    [PLACE_INT] = "long",      [PLACE_DOUBLE] = "double", [PLACE_DECIMAL] = "decimal",
	[PLACE_BIGINT] = "decimal", [PLACE_STRING] = "string", [PLACE_TIME] = "time",	  [PLACE_JSON] = "json",
	[PLACE_OBJECT] = "object",  [PLACE_LIST] = "list",
};

const char *names_suffix(enum place place)
{
	return suffixes[place];
}

static bool name_take(struct names *n, const struct field *parent, struct slice name)
{
	buf_reset(&n->probe);
	buf_append(&n->probe, &parent, sizeof parent);
	for (size_t i = 0; i < name.len; i++)
		buf_byte(&n->probe, (uint8_t)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]));
	bool new;
	map_put(&n->taken, buf_slice(&n->probe), &new);
	return new;
}

struct slice names_base(const struct field *f)
{
	struct slice name = f->name;
	for (size_t i = name.len; i-- > 2;)
		if (name.data[i - 1] == '_' && name.data[i - 2] == '_')
			return slice_of(name.data, i - 2);
	return name;
}

static void take_all(struct names *n, const struct field *parent, unsigned depth)
{
	for (uint32_t i = 0; i < parent->child_count && depth < 256; i++) {
		const struct field *f = parent->children[i];
		name_take(n, parent, f->name);
		if (f->role == ROLE_SIBLING || f->role == ROLE_VALUE)
			name_take(n, parent, names_base(f));
		take_all(n, f, depth + 1);
	}
}

void names_init(struct names *n, const struct schema *s)
{
	map_init(&n->taken);
	buf_init(&n->probe, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		name_take(n, s->root, slice_str(reserved[i]));
	take_all(n, s->root, 0);
}

void names_free(struct names *n)
{
	map_free(&n->taken);
	buf_free(&n->probe);
}

static bool name_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

struct slice names_choose(struct names *n, struct schema *s, const struct field *parent, struct slice key)
{
	uint8_t name[NAME_MAX_BYTES + 16];
	size_t len = 0;
	if (!key.len || (key.data[0] >= '0' && key.data[0] <= '9'))
		name[len++] = '_';
	for (size_t i = 0; i < key.len && len < NAME_MAX_BYTES; i++) {
		uint8_t c = name_char(key.data[i]) ? key.data[i] : '_';
		if (c != '_' || !len || name[len - 1] != '_')
			name[len++] = c;
	}
	struct slice out = slice_of(name, len);
	for (unsigned i = 2; !name_take(n, parent, out); i++)
		out.len = len + (size_t)snprintf((char *)name + len, sizeof name - len, name[len - 1] == '_' ? "%u" : "_%u", i);
	return arena_copy(&s->arena, out);
}
