/* tokens: who may do what. */
#include <stdio.h>
#include <string.h>

#include "app/config_internal.h"

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void add_hash(struct config_reader *r, const char *text, size_t line, void *ctx)
{
	struct access_token *t = ctx;
	bool fine = strlen(text) == (size_t)ACCESS_HASH_LEN * 2;
	if (t->hash_count == ACCESS_HASHES_MAX) {
		config_problem(r->c, line, "token '%.64s' has more than %d hashes: take out those that nobody sends any more", t->name, ACCESS_HASHES_MAX);
		return;
	}
	for (size_t i = 0; fine && i < ACCESS_HASH_LEN; i++) {
		int hi = hex_digit(text[i * 2]), lo = hex_digit(text[i * 2 + 1]);
		fine = hi >= 0 && lo >= 0;
		t->hashes[t->hash_count][i] = (uint8_t)(hi * 16 + lo);
	}
	/* not shown: it may be the token itself, put here by mistake */
	if (fine)
		t->hash_count++;
	else
		config_problem(r->c, line, "sha256 of token '%.64s' wants 64 hexadecimal digits, the hash and not the token: `hydrant token new` prints both",
			       t->name);
}

static void add_scope(struct config_reader *r, const char *text, size_t line, void *ctx)
{
	static const char *const names[] = { "ingest", "read", "replay", "admin", NULL };
	struct access_token *t = ctx;
	unsigned scope = access_scope_parse(text);
	t->scopes |= scope;
	if (!scope)
		config_problem(r->c, line, "scope '%.64s' is not one of ingest, read, replay, admin%s", text, config_meant(r->c, text, names));
}

static void add_pattern(struct config_reader *r, const char *text, size_t line, void *ctx)
{
	struct access_token *t = ctx;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_*?") != strlen(text) || !*text || strlen(text) > 63)
		config_problem(r->c, line, "'%.100s' is no pattern of collection names: a-z, 0-9, _, and * and ? for any characters, or any one", text);
	t->collections = config_grow((void *)(uintptr_t)t->collections, t->collection_count, sizeof *t->collections);
	((const char **)(uintptr_t)t->collections)[t->collection_count++] = text;
}

static void add_token(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *ctx)
{
	struct config *c = r->c;
	struct access_token t = { .name = name };
	yaml_node_t *hashes = NULL, *scopes = NULL, *collections = NULL;
	(void)ctx;
	const struct config_def defs[] = {
		{ "sha256", CONFIG_NODE, &hashes }, { "scopes", CONFIG_NODE, &scopes }, { "collections", CONFIG_NODE, &collections }, { 0 }
	};
	config_take(r, value, defs, arena_printf(&c->arena, "token '%.64s'", name));
	if (hashes)
		config_list(r, hashes, "the hashes", add_hash, &t);
	else
		config_problem(c, config_line(key), "token '%.64s' has no sha256: `hydrant token new` prints one", name);
	if (scopes)
		config_list(r, scopes, "scopes", add_scope, &t);
	else
		config_problem(c, config_line(key), "token '%.64s' may do nothing: give it scopes: [ingest, read, replay, admin], or some of them", name);
	if (collections)
		config_list(r, collections, "collections", add_pattern, &t);
	if (collections && !t.collection_count)
		config_problem(c, config_line(collections), "token '%.64s' has an empty list of collections: leave the line out to mean all", name);
	c->tokens = config_grow(c->tokens, c->token_count, sizeof *c->tokens);
	c->token_lines = config_grow(c->token_lines, c->token_count, sizeof *c->token_lines);
	c->tokens[c->token_count] = t;
	c->token_lines[c->token_count++] = config_line(key);
}

void config_tokens(struct config_reader *r, yaml_node_t *node)
{
	config_each(r, node, "tokens", add_token, NULL);
}
