/* YAML nodes into typed settings, with every problem told by its line. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/config_internal.h"
#include "os/file.h"
#include "os/secret.h"

#define SECRET_FILE_MAX 4096
#define PROBLEMS_MAX 1000
#define DEFS_MAX 64
#define NAME_MAX_LEN 63 /* for likeness: longer ones are like nothing */

size_t config_line(const yaml_node_t *n)
{
	return n->start_mark.line + 1;
}

void config_problem(struct config *c, size_t line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	if (c->problem_count == PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) /* what it repeats may be anything, and a problem is a line */
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	c->problems = config_grow(c->problems, c->problem_count, sizeof *c->problems);
	c->problems[c->problem_count++] = line ? arena_printf(&c->arena, "%s, line %zu: %s", c->path, line, text)
					       : arena_printf(&c->arena, "%s: %s", c->path, text);
}

void *config_grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1)) /* doubled at powers of two: an array carries no capacity */
		return array;
	return mem_realloc(array, (count ? count * 2 : 1) * size);
}

/* ---- what was probably meant ---- */

static size_t edits(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), row[NAME_MAX_LEN + 1];
	if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[m];
}

const char *config_meant(struct config *c, const char *given, const char *const *names)
{
	const char *best = NULL;
	size_t least = strlen(given) / 2 < 3 ? strlen(given) / 2 + 1 : 4;
	for (; *names; names++) {
		size_t n = edits(given, *names);
		if (n < least) {
			least = n;
			best = *names;
		}
	}
	return best ? arena_printf(&c->arena, "; did you mean '%s'?", best) : "";
}

/* ---- values ---- */

/* What may be a secret, where no core has it; wipes the buffer. */
static const char *keep_secret(struct config *c, struct buf *text)
{
	char *s = secret_alloc(text->len);
	memcpy(s, text->data, text->len);
	explicit_bzero(text->data, text->cap);
	c->secrets = mem_realloc(c->secrets, (c->secret_count + 1) * sizeof *c->secrets);
	c->secrets[c->secret_count++] = s;
	return s;
}

/* One ${…} at s (behind the "${"), its value to out. Returns what stands behind the "}", NULL after a problem. */
static const char *expand_one(struct config_reader *r, size_t line, const char *s, struct buf *out)
{
	const char *end = strchr(s, '}');
	size_t n = 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	bool otherwise = !strncmp(s + n, ":-", 2);
	if (!end || !n || (s[n] != '}' && !otherwise)) {
		config_problem(r->c, line, "'${' begins a name from the environment: write ${NAME} or ${NAME:-otherwise}, or $${ for these characters");
		return NULL;
	}
	AUTO_MEM char *name = mem_printf("%.*s", (int)n, s);
	const char *value = getenv(name);
	if (value && (*value || !otherwise)) {
		buf_append_str(out, value);
	} else if (otherwise) {
		buf_append(out, s + n + 2, (size_t)(end - (s + n + 2)));
	} else {
		config_problem(r->c, line, "the environment has no %s; set it, or write ${%s:-otherwise}", name, name);
		return NULL;
	}
	return end + 1;
}

const char *config_text(struct config_reader *r, const yaml_node_t *n, bool *ret_expanded)
{
	size_t line = config_line(n);
	if (n->type != YAML_SCALAR_NODE) {
		config_problem(r->c, line, "a single value is wanted here, not a %s", n->type == YAML_MAPPING_NODE ? "mapping" : "list");
		return NULL;
	}
	const char *s = (const char *)n->data.scalar.value;
	if (strlen(s) != n->data.scalar.length) {
		config_problem(r->c, line, "the value holds a NUL character");
		return NULL;
	}
	AUTO_BUF struct buf out;
	buf_init(&out, (size_t)4 << 20);
	buf_reserve(&out, 4096); /* a buffer that grows leaves copies behind */
	bool expanded = false;
	while (s && *s) {
		if (!strncmp(s, "$${", 3)) {
			buf_append_str(&out, "${");
			s += 3;
		} else if (!strncmp(s, "${", 2)) {
			expanded = true;
			s = expand_one(r, line, s + 2, &out);
		} else {
			buf_byte(&out, (uint8_t)*s++);
		}
	}
	if (ret_expanded)
		*ret_expanded = expanded;
	if (!s)
		return NULL;
	return expanded ? keep_secret(r->c, &out) : arena_strdup(&r->c->arena, buf_cstr(&out));
}

const char *config_path(struct config *c, const char *text)
{
	const char *slash = strrchr(c->path, '/');
	if (*text == '/' || !slash || !strncmp(text, "file:", 5) || strstr(text, "://"))
		return text;
	return arena_printf(&c->arena, "%.*s/%s", (int)(slash - c->path), c->path, text);
}

/* 60s, 15m, 1h to µs; 64K, 512M, 16G to bytes. */
static bool parse_amount(const char *text, bool time, int64_t *ret)
{
	char *end;
	double v = strtod(text, &end), unit = 1;
	if (time)
		unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 1;
	else
		unit = *end == 'K' || *end == 'k' ? 1024 : *end == 'M' ? 1048576 : *end == 'G' ? 1073741824.0 : 1;
	if (end != text && *end && (time ? strchr("smhd", *end) : strchr("KkMG", *end)) && end[1] == 0)
		end++;
	if (end == text || *end || !(v >= 0) || !(v * unit < 9e12))
		return false;
	*ret = (int64_t)(v * unit * (time ? 1e6 : 1));
	return true;
}

static bool take_days(const char *text, int64_t *target)
{
	int64_t us;
	if (!parse_amount(text, true, &us) || us < (int64_t)86400 * 1000000)
		return false;
	*target = us;
	return true;
}

static void take_secret_file(struct config_reader *r, const struct config_def *d, const char *path, size_t line)
{
	AUTO_BUF struct buf text;
	struct err err;
	buf_init(&text, SECRET_FILE_MAX);
	if (file_read_all(path, &text, &err) != RC_OK) {
		config_problem(r->c, line, "%s: %s", d->name, err.text);
		return;
	}
	while (text.len && isspace(text.data[text.len - 1]))
		text.len--;
	if (text.len)
		*(const char **)d->target = keep_secret(r->c, &text);
	else
		config_problem(r->c, line, "%s: %s is empty", d->name, path);
}

static void take_value(struct config_reader *r, const struct config_def *d, yaml_node_t *v)
{
	size_t line = config_line(v);
	bool expanded = false;
	if (d->type == CONFIG_NODE) {
		*(yaml_node_t **)d->target = v;
		return;
	}
	const char *text = config_text(r, v, &expanded);
	if (!text || !*text)
		return;
	const char *shown = expanded ? "what the environment says" : text;
	bool fine = true;
	switch (d->type) {
	case CONFIG_TEXT: *(const char **)d->target = text; return;
	case CONFIG_PATH: *(const char **)d->target = config_path(r->c, text); return;
	case CONFIG_SECONDS: fine = parse_amount(text, true, d->target); break;
	case CONFIG_DAYS: fine = take_days(text, d->target); break;
	case CONFIG_BYTES: fine = parse_amount(text, false, d->target); break;
	case CONFIG_FLAG:
		fine = !strcmp(text, "true") || !strcmp(text, "false");
		*(bool *)d->target = !strcmp(text, "true");
		break;
	case CONFIG_SECRET:
		if (expanded)
			*(const char **)d->target = text;
		else
			config_problem(r->c, line, "a secret does not stand in this file: write %s: ${NAME}, or %s_file: PATH", d->name, d->name);
		return;
	case CONFIG_SECRET_FILE: take_secret_file(r, d, config_path(r->c, text), line); return;
	default: return;
	}
	if (!fine)
		config_problem(r->c, line, "%s wants %s, not '%.100s'", d->name,
			       d->type == CONFIG_SECONDS ? "a time such as 60s, 15m" :
			       d->type == CONFIG_DAYS	 ? "a time of at least a day, such as 90d" :
			       d->type == CONFIG_BYTES	 ? "a size such as 512M, 16G" :
							   "true or false",
			       shown);
}

/* ---- nodes ---- */

static bool is_null(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE && !n->data.scalar.length && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *key_text(const yaml_node_t *k)
{
	return k->type == YAML_SCALAR_NODE ? (const char *)k->data.scalar.value : "?";
}

static void unknown_key(struct config_reader *r, const yaml_node_t *k, const struct config_def *defs, const char *what)
{
	const char *names[DEFS_MAX + 1];
	size_t n = 0;
	for (; defs[n].name && n < DEFS_MAX; n++)
		names[n] = defs[n].name;
	names[n] = NULL;
	config_problem(r->c, config_line(k), "'%.100s' is no setting of %s%s", key_text(k), what, config_meant(r->c, key_text(k), names));
}

void config_take(struct config_reader *r, yaml_node_t *mapping, const struct config_def *defs, const char *what)
{
	uint64_t seen = 0;
	if (is_null(mapping))
		return;
	if (mapping->type != YAML_MAPPING_NODE) {
		config_problem(r->c, config_line(mapping), "%s is lines of `name: value`", what);
		return;
	}
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
		yaml_node_t *k = yaml_document_get_node(r->doc, pair->key), *v = yaml_document_get_node(r->doc, pair->value);
		size_t i = 0;
		while (defs[i].name && strcmp(key_text(k), defs[i].name) != 0)
			i++;
		if (!defs[i].name) {
			unknown_key(r, k, defs, what);
			continue;
		}
		if (seen >> i & 1)
			config_problem(r->c, config_line(k), "%s stands here a second time", defs[i].name);
		seen |= (uint64_t)1 << i;
		take_value(r, &defs[i], v);
	}
}

void config_each(struct config_reader *r, yaml_node_t *mapping, const char *what,
		 void (*each)(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *ctx), void *ctx)
{
	if (is_null(mapping))
		return;
	if (mapping->type != YAML_MAPPING_NODE) {
		config_problem(r->c, config_line(mapping), "%s are lines of `name: …`", what);
		return;
	}
	yaml_node_pair_t *first = mapping->data.mapping.pairs.start, *top = mapping->data.mapping.pairs.top;
	if (top - first > CONFIG_NAMES_MAX) {
		config_problem(r->c, config_line(mapping), "%s are %zu, at most %d are possible", what, (size_t)(top - first), CONFIG_NAMES_MAX);
		return;
	}
	for (yaml_node_pair_t *pair = first; pair < top; pair++) {
		yaml_node_t *k = yaml_document_get_node(r->doc, pair->key), *v = yaml_document_get_node(r->doc, pair->value);
		yaml_node_pair_t *same = first;
		while (same < pair && strcmp(key_text(yaml_document_get_node(r->doc, same->key)), key_text(k)) != 0)
			same++;
		if (k->type != YAML_SCALAR_NODE || !k->data.scalar.length)
			config_problem(r->c, config_line(k), "a name is wanted here");
		else if (same < pair)
			config_problem(r->c, config_line(k), "'%.100s' stands here a second time; line %zu has it, too", key_text(k),
				       config_line(yaml_document_get_node(r->doc, same->key)));
		else
			each(r, arena_strdup(&r->c->arena, key_text(k)), k, v, ctx);
	}
}

void config_list(struct config_reader *r, yaml_node_t *node, const char *what, void (*each)(struct config_reader *r, const char *text, size_t line, void *ctx),
		 void *ctx)
{
	if (node->type == YAML_SCALAR_NODE) {
		const char *text = config_text(r, node, NULL);
		if (text && *text)
			each(r, text, config_line(node), ctx);
		return;
	}
	if (node->type != YAML_SEQUENCE_NODE) {
		config_problem(r->c, config_line(node), "%s are a list: [a, b]", what);
		return;
	}
	yaml_node_item_t *first = node->data.sequence.items.start, *top = node->data.sequence.items.top;
	if (top - first > CONFIG_NAMES_MAX)
		config_problem(r->c, config_line(node), "%s are %zu, at most %d are possible", what, (size_t)(top - first), CONFIG_NAMES_MAX);
	for (yaml_node_item_t *i = first; i < top && i - first < CONFIG_NAMES_MAX; i++) {
		yaml_node_t *n = yaml_document_get_node(r->doc, *i);
		const char *text = config_text(r, n, NULL);
		if (text)
			each(r, text, config_line(n), ctx);
	}
}
