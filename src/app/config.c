/* The config file as a whole: the flat settings here, the others in files of their own. */
#include "app/config.h"

#include <stdio.h>
#include <string.h>

#include "app/config_internal.h"
#include "os/file.h"
#include "os/secret.h"

#define CONFIG_MAX ((size_t)1 << 20)
#define DEPTH_MAX 64

static void read_root(struct config_reader *r, yaml_node_t *root)
{
	struct config *c = r->c;
	struct settings *s = &c->flat;
	yaml_node_t *lakes = NULL, *collections = NULL, *tokens = NULL, *tls = NULL;
	const struct config_def defs[] = {
		{ "lake", CONFIG_PATH, &s->lake },
		{ "data", CONFIG_PATH, &s->data },
		{ "listen", CONFIG_TEXT, &s->listen },
		{ "token", CONFIG_TEXT, &s->token },
		{ "time_field", CONFIG_TEXT, &s->time_field },
		{ "id_field", CONFIG_TEXT, &s->id_field },
		{ "ack", CONFIG_TEXT, &s->ack },
		{ "adopt_after", CONFIG_SECONDS, &s->adopt_after_us },
		{ "retention", CONFIG_DAYS, &s->retention_us },
		{ "commit_interval", CONFIG_SECONDS, &s->commit_busy_us },
		{ "commit_interval_idle", CONFIG_SECONDS, &s->commit_idle_us },
		{ "file_size", CONFIG_BYTES, &s->file_bytes },
		{ "log_size", CONFIG_BYTES, &s->log_bytes },
		{ "collection_log_size", CONFIG_BYTES, &s->collection_bytes },
		{ "memory", CONFIG_BYTES, &s->memory_bytes },
		{ "lakes", CONFIG_NODE, &lakes },
		{ "collections", CONFIG_NODE, &collections },
		{ "tokens", CONFIG_NODE, &tokens },
		{ "tls", CONFIG_NODE, &tls },
		{ 0 },
	};
	const struct config_def pair[] = { { "cert", CONFIG_PATH, &c->tls_cert }, { "key", CONFIG_PATH, &c->tls_key }, { 0 } };
	config_take(r, root, defs, "hydrant");
	if (lakes)
		config_lakes(r, lakes);
	if (collections)
		config_collections(r, collections);
	if (tokens)
		config_tokens(r, tokens);
	if (!tls)
		return;
	c->tls_line = config_line(tls);
	config_take(r, tls, pair, "tls");
	if (!c->tls_cert || !c->tls_key)
		config_problem(c, c->tls_line, "tls needs both cert: FILE and key: FILE");
}

/* libyaml takes its time over brackets in brackets, and settings need few. Those in quotes and comments are counted, too: near enough. */
static bool too_deep(struct slice text)
{
	int depth = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		depth += c == '[' || c == '{';
		depth -= (c == ']' || c == '}') && depth > 0;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

rc_t config_read(const char *path, struct config **ret, struct err *reterr)
{
	AUTO_BUF struct buf text;
	buf_init(&text, CONFIG_MAX);
	TRY(file_read_all(path, &text, reterr));
	if (too_deep(buf_slice(&text)))
		return err_set(reterr, RC_INVALID, "%s: brackets stand in brackets more than %d deep", path, DEPTH_MAX);
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, text.data, text.len);
	rc_t rc = RC_OK;
	if (!yaml_parser_load(&parser, &doc)) {
		rc = err_set(reterr, RC_INVALID, "%s, line %zu: %s", path, parser.problem_mark.line + 1, parser.problem ? parser.problem : "no valid YAML");
	} else {
		struct config *c = NEW(struct config);
		struct config_reader r = { c, &doc };
		yaml_node_t *root = yaml_document_get_root_node(&doc);
		arena_init(&c->arena);
		c->path = mem_strdup(path);
		if (root)
			read_root(&r, root);
		yaml_document_delete(&doc);
		*ret = c;
	}
	yaml_parser_delete(&parser);
	return rc;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->token_count; i++)
		free((void *)(uintptr_t)c->tokens[i].collections);
	free(c->lakes);
	free(c->rules);
	free(c->rule_lines);
	free(c->tokens);
	free(c->token_lines);
	for (size_t i = 0; i < c->secret_count; i++)
		secret_free(c->secrets[i]);
	free(c->secrets);
	free(c->problems);
	free(c->path);
	arena_free(&c->arena);
	free(c);
}

rc_t config_verdict(const struct config *c, struct err *reterr)
{
	if (!c->problem_count)
		return RC_OK;
	if (c->problem_count == 1)
		return err_set(reterr, RC_INVALID, "%s", c->problems[0]);
	return err_set(reterr, RC_INVALID, "%.380s (and %zu more; `hydrant serve --check` lists them)", c->problems[0], c->problem_count - 1);
}
