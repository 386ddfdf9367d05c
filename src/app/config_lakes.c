/* lakes: and collections: places, and which collection is in which. */
#include <stdio.h>
#include <string.h>

#include "app/config_internal.h"
#include "model/event.h"

#define PLACE_DEFS 19

/* What a place may say, read into p. */
struct place_reader {
	struct config_place place;
	const char *bucket, *prefix;
	bool path_style;
	struct config_def defs[PLACE_DEFS];
};

static void place_defs(struct place_reader *p)
{
	struct store_options *s = &p->place.store;
	const struct config_def defs[PLACE_DEFS] = {
		{ "url", CONFIG_PATH, &p->place.url },
		{ "bucket", CONFIG_TEXT, &p->bucket },
		{ "prefix", CONFIG_TEXT, &p->prefix },
		{ "region", CONFIG_TEXT, &s->region },
		{ "endpoint", CONFIG_TEXT, &s->endpoint },
		{ "role_arn", CONFIG_TEXT, &s->role_arn },
		{ "external_id", CONFIG_TEXT, &s->external_id },
		{ "kms", CONFIG_TEXT, &s->kms_key },
		{ "profile", CONFIG_TEXT, &s->profile },
		{ "ca_file", CONFIG_PATH, &s->ca_file },
		{ "path_style", CONFIG_FLAG, &p->path_style },
		{ "owner_full_control", CONFIG_FLAG, &s->owner_full_control },
		{ "cache_size", CONFIG_BYTES, &s->cache_bytes },
		{ "access_key", CONFIG_SECRET, &s->access_key },
		{ "secret_key", CONFIG_SECRET, &s->secret_key },
		{ "session_token", CONFIG_SECRET, &s->session_token },
		{ "access_key_file", CONFIG_SECRET_FILE, &s->access_key },
		{ "secret_key_file", CONFIG_SECRET_FILE, &s->secret_key },
	};
	memcpy(p->defs, defs, sizeof defs);
}

static bool bucket_valid(const char *name)
{
	size_t n = strlen(name);
	return n >= 3 && n <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

/* url, or s3://bucket/prefix; whether any setting is there that only a bucket has. */
static bool about_buckets(const struct store_options *s, bool path_style)
{
	return path_style || s->region || s->endpoint || s->role_arn || s->external_id || s->kms_key || s->profile || s->ca_file ||
	       s->owner_full_control || s->cache_bytes || s->access_key || s->secret_key || s->session_token;
}

static void place_finish(struct config_reader *r, struct place_reader *p, size_t line, const char *what)
{
	struct config *c = r->c;
	struct config_place *pl = &p->place;
	if (pl->url && p->bucket)
		config_problem(c, line, "%s has a url and a bucket: give one of them", what);
	if (p->prefix && !p->bucket)
		config_problem(c, line, "%s has a prefix without a bucket", what);
	if (p->bucket && !bucket_valid(p->bucket))
		config_problem(c, line, "'%.100s' is no bucket name: 3 to 63 of a-z, 0-9, . and -", p->bucket);
	if (p->bucket && !pl->url) {
		size_t from = p->prefix ? strspn(p->prefix, "/") : 0, n = p->prefix ? strlen(p->prefix + from) : 0;
		while (n && p->prefix[from + n - 1] == '/')
			n--;
		pl->url = arena_printf(&c->arena, n ? "s3://%s/%.*s" : "s3://%s", p->bucket, (int)n, p->prefix ? p->prefix + from : "");
	}
	if (pl->url && strncmp(pl->url, "s3://", 5) != 0 && about_buckets(&pl->store, p->path_style))
		config_problem(c, line, "%s is %s, and has settings of a bucket: take them out, or give s3://BUCKET/PREFIX", what, pl->url);
	if (!pl->url && about_buckets(&pl->store, p->path_style))
		config_problem(c, line, "%s says how to reach a bucket, but not which: give bucket: NAME", what);
	if (pl->store.external_id && !pl->store.role_arn)
		config_problem(c, line, "%s has an external_id, which goes with role_arn only", what);
	if (!pl->store.access_key != !pl->store.secret_key)
		config_problem(c, line, "%s has one of access_key and secret_key: give both, or neither", what);
	pl->store.addressing = p->path_style ? STORE_ADDRESSING_PATH : STORE_ADDRESSING_AUTO;
}

static void place_read(struct config_reader *r, yaml_node_t *node, const char *what, struct config_place *ret)
{
	struct place_reader p = { 0 };
	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length) {
		const char *text = config_text(r, node, NULL);
		p.place.url = text ? config_path(r->c, text) : NULL;
	} else {
		place_defs(&p);
		config_take(r, node, p.defs, what);
		place_finish(r, &p, config_line(node), what);
		if (!p.place.url)
			config_problem(r->c, config_line(node), "%s has no place: give url: FOLDER, or bucket: NAME", what);
	}
	*ret = p.place;
}

/* ---- lakes ---- */

static void add_lake(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct config *c = r->c;
	(void)ctx;
	struct config_lake lake = { .name = name, .line = config_line(key) };
	place_read(r, value, arena_printf(&c->arena, "lake '%.64s'", name), &lake.place);
	c->lakes = config_grow(c->lakes, c->lake_count, sizeof *c->lakes);
	c->lakes[c->lake_count++] = lake;
}

static const struct config_lake *find_lake(struct config *c, const char *name)
{
	for (size_t i = 0; i < c->lake_count; i++)
		if (!strcmp(c->lakes[i].name, name))
			return &c->lakes[i];
	return NULL;
}

void config_lakes(struct config_reader *r, yaml_node_t *node)
{
	config_each(r, node, "lakes", add_lake, NULL);
	r->c->lake = find_lake(r->c, "default");
	if (r->c->lake && r->c->flat.lake)
		config_problem(r->c, r->c->lake->line, "lake: and the lake named 'default' are the same thing: give one of them");
	if (r->c->lake)
		r->c->flat.lake = r->c->lake->place.url;
}

/* ---- collections ---- */

static bool pattern_valid(const char *pattern)
{
	size_t n = strlen(pattern);
	if (n > 63 || strstr(pattern, "__") || strspn(pattern, "abcdefghijklmnopqrstuvwxyz0123456789_*?") != n)
		return false;
	return strpbrk(pattern, "*?") ? true : collection_name_valid(slice_str(pattern));
}

static void lake_by_name(struct config_reader *r, yaml_node_t *node, struct config_place *ret)
{
	struct config *c = r->c;
	const char *name = config_text(r, node, NULL);
	const struct config_lake *lake = name ? find_lake(c, name) : NULL;
	if (lake) {
		*ret = lake->place;
	} else if (name && strcmp(name, "default") != 0) { /* which may stand in the lake: setting, or nowhere */
		AUTO_MEM const char **names = mem_zalloc(c->lake_count + 1, sizeof *names);
		for (size_t i = 0; i < c->lake_count; i++)
			names[i] = c->lakes[i].name;
		config_problem(c, config_line(node), "there is no lake '%.100s' among lakes:%s", name, config_meant(c, name, names));
	}
}

static void add_collection(struct config_reader *r, const char *pattern, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct config *c = r->c;
	struct place_reader p = { 0 };
	struct collection_rule rule = { .pattern = pattern };
	yaml_node_t *lake = NULL;
	int64_t bytes = 0;
	size_t line = config_line(key);
	(void)ctx;
	const char *what = arena_printf(&c->arena, "collection '%.64s'", pattern);
	const struct config_def own[] = {
		{ "lake", CONFIG_NODE, &lake },
		{ "time_field", CONFIG_TEXT, &rule.time_field },
		{ "file_size", CONFIG_BYTES, &bytes },
		{ "commit_interval", CONFIG_SECONDS, &rule.commit_busy_us },
		{ "commit_interval_idle", CONFIG_SECONDS, &rule.commit_idle_us },
		{ "id_field", CONFIG_TEXT, &rule.id_field },
		{ "retention", CONFIG_DAYS, &rule.retention_us },
	};
	struct config_def defs[sizeof own / sizeof *own + PLACE_DEFS];
	place_defs(&p);
	memcpy(defs, own, sizeof own);
	memcpy(defs + sizeof own / sizeof *own, p.defs, sizeof p.defs);
	if (!pattern_valid(pattern))
		config_problem(c, line, "'%.100s' is no collection name: [a-z][a-z0-9_]{0,62} without '__', * and ? for any characters, or any one",
			       pattern);
	config_take(r, value, defs, what);
	place_finish(r, &p, line, what);
	if (lake && (p.place.url || about_buckets(&p.place.store, p.path_style)))
		config_problem(c, line, "%s has a lake and a place of its own: give one of them", what);
	else if (lake && lake->type == YAML_SCALAR_NODE)
		lake_by_name(r, lake, &p.place);
	else if (lake)
		place_read(r, lake, what, &p.place);
	rule.url = p.place.url;
	rule.store = arena_alloc(&c->arena, sizeof *rule.store);
	*(struct store_options *)(uintptr_t)rule.store = p.place.store;
	rule.file_bytes = (uint64_t)bytes;
	c->rules = config_grow(c->rules, c->rule_count, sizeof *c->rules);
	c->rule_lines = config_grow(c->rule_lines, c->rule_count, sizeof *c->rule_lines);
	c->rules[c->rule_count] = rule;
	c->rule_lines[c->rule_count++] = line;
}

static void move_rule(struct config *to, const struct config *from, size_t i)
{
	to->rules[to->rule_count] = from->rules[i];
	to->rule_lines[to->rule_count++] = from->rule_lines[i];
}

/* Names before patterns: what is said of one collection counts more than what is said of many. */
static void names_first(struct config *c)
{
	struct config sorted = { .rules = mem_zalloc(c->rule_count + 1, sizeof *c->rules), .rule_lines = mem_zalloc(c->rule_count + 1, sizeof *c->rule_lines) };
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < c->rule_count; i++)
			if ((strpbrk(c->rules[i].pattern, "*?") != NULL) == (pass == 1))
				move_rule(&sorted, c, i);
	free(c->rules);
	free(c->rule_lines);
	c->rules = sorted.rules;
	c->rule_lines = sorted.rule_lines;
}

void config_collections(struct config_reader *r, yaml_node_t *node)
{
	config_each(r, node, "collections", add_collection, NULL);
	names_first(r->c);
}
