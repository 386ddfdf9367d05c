/* Global options: command line, then environment, then the config file, then defaults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "app/app.h"
#include "os/file.h"

struct settings settings;

#define CONFIG_MAX ((size_t)1 << 20)

/* ---- the config file: a flat mapping ---- */

struct config_key {
	const char *name;
	enum { KEY_TEXT, KEY_SECONDS, KEY_BYTES } type;
	void *target;
};

static rc_t set_key(const struct config_key *k, const char *text, const char *path, size_t line, struct err *reterr)
{
	if (k->type == KEY_TEXT) {
		if (!*(const char **)k->target)
			*(const char **)k->target = mem_strdup(text);
		return RC_OK;
	}
	char *end;
	double v = strtod(text, &end);
	double unit = 1;
	if (k->type == KEY_SECONDS)
		unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : 1;
	else
		unit = *end == 'K' || *end == 'k' ? 1024 : *end == 'M' ? 1048576 : *end == 'G' ? 1073741824.0 : 1;
	if (*end && end != text && end[1] == 0)
		end++;
	if (end == text || *end || !(v >= 0) || !(v * unit < 9e12))
		return err_set(reterr, RC_INVALID, "%s, line %zu: %s wants %s, not '%s'", path, line, k->name,
			       k->type == KEY_SECONDS ? "a time such as 60s, 15m" : "a size such as 512M, 16G", text);
	*(int64_t *)k->target = (int64_t)(v * unit * (k->type == KEY_SECONDS ? 1e6 : 1));
	return RC_OK;
}

static rc_t config_mapping(yaml_document_t *doc, const char *path, struct settings *s, struct err *reterr)
{
	const struct config_key keys[] = {
		{ "lake", KEY_TEXT, &s->lake },
		{ "data", KEY_TEXT, &s->data },
		{ "listen", KEY_TEXT, &s->listen },
		{ "token", KEY_TEXT, &s->token },
		{ "time_field", KEY_TEXT, &s->time_field },
		{ "commit_interval", KEY_SECONDS, &s->commit_busy_us },
		{ "commit_interval_idle", KEY_SECONDS, &s->commit_idle_us },
		{ "file_size", KEY_BYTES, &s->file_bytes },
		{ "log_size", KEY_BYTES, &s->log_bytes },
		{ "collection_log_size", KEY_BYTES, &s->collection_bytes },
		{ "memory", KEY_BYTES, &s->memory_bytes },
	};
	yaml_node_t *root = yaml_document_get_root_node(doc);
	if (!root)
		return RC_OK;
	if (root->type != YAML_MAPPING_NODE)
		return err_set(reterr, RC_INVALID, "%s: settings are lines of `name: value`", path);
	for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
		yaml_node_t *k = yaml_document_get_node(doc, pair->key), *v = yaml_document_get_node(doc, pair->value);
		size_t line = k->start_mark.line + 1;
		const struct config_key *found = NULL;
		for (size_t i = 0; k->type == YAML_SCALAR_NODE && i < sizeof keys / sizeof *keys; i++)
			if (!strcmp((const char *)k->data.scalar.value, keys[i].name))
				found = &keys[i];
		if (!found || v->type != YAML_SCALAR_NODE)
			return err_set(reterr, RC_INVALID, "%s, line %zu: '%s' is no setting", path, line,
				       k->type == YAML_SCALAR_NODE ? (const char *)k->data.scalar.value : "?");
		TRY(set_key(found, (const char *)v->data.scalar.value, path, line, reterr));
	}
	return RC_OK;
}

rc_t config_read(const char *path, struct settings *s, struct err *reterr)
{
	AUTO_BUF struct buf text;
	buf_init(&text, CONFIG_MAX);
	TRY(file_read_all(path, &text, reterr));
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, text.data, text.len);
	rc_t rc = RC_OK;
	if (!yaml_parser_load(&parser, &doc)) {
		rc = err_set(reterr, RC_INVALID, "%s, line %zu: %s", path, parser.problem_mark.line + 1,
			     parser.problem ? parser.problem : "no valid YAML");
	} else {
		rc = config_mapping(&doc, path, s, reterr);
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	return rc;
}

/* ---- command line and environment ---- */

int settings_take(int *argc, char **argv)
{
	const struct {
		const char *name;
		const char **target;
	} globals[] = {
		{ "--config", &settings.config }, { "--lake", &settings.lake }, { "--data", &settings.data }, { "--server", &settings.server },
	};
	int kept = 1;
	for (int i = 1; i < *argc; i++) {
		const char **target = NULL, *value = NULL;
		if (!strcmp(argv[i], "--")) {
			while (i < *argc)
				argv[kept++] = argv[i++];
			break;
		}
		for (size_t g = 0; g < sizeof globals / sizeof *globals; g++) {
			size_t n = strlen(globals[g].name);
			if (strncmp(argv[i], globals[g].name, n) != 0 || (argv[i][n] && argv[i][n] != '='))
				continue;
			target = globals[g].target;
			value = argv[i][n] ? argv[i] + n + 1 : i + 1 < *argc ? argv[++i] : NULL;
			if (!value || !*value)
				return usage_error(NULL, "%s needs a value", globals[g].name);
		}
		if (target)
			*target = value;
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	argv[kept] = NULL;
	if (!settings.lake)
		settings.lake = getenv("HYDRANT_LAKE");
	if (!settings.data)
		settings.data = getenv("HYDRANT_DATA");
	settings.token = getenv("HYDRANT_TOKEN");
	struct err err;
	if (settings.config && config_read(settings.config, &settings, &err) != RC_OK)
		return usage_error(NULL, "%s", err.text);
	if (!settings.lake || !*settings.lake)
		settings.lake = "./lake";
	return EXIT_DONE;
}

void pipeline_options_from_settings(struct pipeline_options *ret)
{
	pipeline_options_default(ret);
	ret->lake = settings.lake;
	ret->data_dir = settings.data;
	ret->time_field = settings.time_field;
	if (settings.commit_busy_us)
		ret->commit_busy_us = settings.commit_busy_us;
	if (settings.commit_idle_us)
		ret->commit_idle_us = settings.commit_idle_us;
	if (settings.file_bytes)
		ret->file_bytes = (uint64_t)settings.file_bytes;
	ret->log_bytes = (uint64_t)settings.log_bytes;
	ret->collection_bytes = (uint64_t)settings.collection_bytes;
	if (settings.memory_bytes)
		ret->memory_bytes = (size_t)settings.memory_bytes / 4; /* see MEMORY in app.h */
}
