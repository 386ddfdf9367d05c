/* Global options: command line, then environment, then the config file, then defaults. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "app/policy.h"
#include "base/hash.h"
#include "os/file.h"

#define LAKE_DEFAULT "./lake"

struct settings settings;

/* ---- the config file ---- */

/* What the command line and the environment did not say. */
static void merge(struct settings *s, const struct settings *file)
{
	const struct {
		const char **to;
		const char *from;
	} texts[] = { { &s->lake, file->lake },	  { &s->data, file->data },	  { &s->listen, file->listen },
		      { &s->token, file->token }, { &s->time_field, file->time_field },
		      { &s->id_field, file->id_field }, { &s->ack, file->ack } };
	const struct {
		int64_t *to;
		int64_t from;
	} numbers[] = { { &s->adopt_after_us, file->adopt_after_us }, { &s->commit_busy_us, file->commit_busy_us }, { &s->commit_idle_us, file->commit_idle_us }, { &s->retention_us, file->retention_us }, { &s->file_bytes, file->file_bytes },
			{ &s->log_bytes, file->log_bytes },	      { &s->collection_bytes, file->collection_bytes }, { &s->memory_bytes, file->memory_bytes } };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!*texts[i].to)
			*texts[i].to = texts[i].from;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (numbers[i].from)
			*numbers[i].to = numbers[i].from;
}

static char *note_path(const char *data_dir)
{
	return mem_printf("%s/config", data_dir);
}

rc_t config_note(const char *data_dir, const char *path, struct err *reterr)
{
	AUTO_MEM char *note = note_path(data_dir);
	if (!path)
		return file_remove(note, reterr);
	AUTO_MEM char *absolute = realpath(path, NULL), *line = mem_printf("%s\n", absolute ? absolute : path);
	return file_replace_atomic(note, slice_str(line), reterr);
}

/* Returns: RC_OK and the file that the lake was last served with, if it has other lakes in it (without it, their collections would be looked
 * for in this one); RC_NOT_FOUND: there is none. An error is not taken for that. */
static rc_t noted_config(char **ret, struct err *reterr)
{
	AUTO_MEM char *data = settings.data ? mem_strdup(settings.data) : pipeline_default_data_dir(settings.lake ? settings.lake : LAKE_DEFAULT);
	if (!data)
		return RC_NOT_FOUND;
	AUTO_MEM char *note = note_path(data);
	AUTO_BUF struct buf text;
	buf_init(&text, 4096);
	TRY(file_read_all(note, &text, reterr));
	if (text.len < 2 || text.data[text.len - 1] != '\n')
		return err_set(reterr, RC_CORRUPT, "%s does not name a file", note);
	text.len--;
	*ret = mem_strdup(buf_cstr(&text));
	return RC_OK;
}

static bool is_check(int argc, char **argv)
{
	bool check = false;
	for (int i = 2; i < argc; i++)
		check |= !strcmp(argv[i], "--check");
	return check && !strcmp(argv[1], "serve");
}

/* These do not look into a lake. */
static bool lakeless(const char *command)
{
	static const char *const names[] = { "convert", "restore", "token", "version" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(command, names[i]))
			return true;
	return false;
}

static int take_config(int argc, char **argv)
{
	struct err err;
	const char *given = settings.config ? settings.config : getenv("HYDRANT_CONFIG");
	char *noted = NULL;
	rc_t rc = RC_OK;
	if ((!given || !*given) && !settings.server) {
		rc = noted_config(&noted, &err);
		if (rc != RC_OK && rc != RC_NOT_FOUND && argc > 1 && !lakeless(argv[1]))
			return usage_error(NULL, "which config file the lake was last served with cannot be told: %s; give --config FILE", err.text);
		given = noted;
	}
	if (!given || !*given)
		return EXIT_DONE;
	settings.config = given;
	rc = config_read(given, &settings.file, &err);
	if (rc != RC_OK && noted)
		return usage_error(NULL, "the lake was last served with --config %s, and %s; give --config FILE, or remove the file `config` in its data folder",
				   noted, err.text);
	if (rc == RC_OK && !is_check(argc, argv))
		rc = config_verdict(settings.file, &err);
	if (rc != RC_OK)
		return usage_error(NULL, "%s", err.text);
	merge(&settings, &settings.file->flat);
	return EXIT_DONE;
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
	if (settings.token && !*settings.token)
		settings.token = NULL;
	int code = take_config(*argc, argv);
	if (!settings.lake || !*settings.lake)
		settings.lake = LAKE_DEFAULT;
	struct err err;
	rc_t rc = code == EXIT_DONE && !is_check(*argc, argv) ? settings_data_dir(&err) : RC_OK; /* --check tells all problems */
	return rc == RC_OK ? code : rc == RC_INVALID ? usage_error(NULL, "%s", err.text) : fail(&err);
}

const struct store_options *settings_store(const char *url)
{
	return config_store(settings.file, url);
}

const struct store_options *config_store(const struct config *c, const char *url)
{
	for (size_t i = 0; c && i < c->lake_count; i++)
		if (c->lakes[i].place.url && !strcmp(c->lakes[i].place.url, url))
			return &c->lakes[i].place.store;
	for (size_t i = 0; c && i < c->rule_count; i++)
		if (c->rules[i].url && !strcmp(c->rules[i].url, url))
			return c->rules[i].store;
	return NULL;
}

rc_t settings_data_dir(struct err *reterr)
{
	static char *made;
	if (settings.ack && strcmp(settings.ack, "disk") != 0 && strcmp(settings.ack, "store") != 0)
		return err_set(reterr, RC_INVALID, "ack is `disk` (a 200 means: on this machine's disk) or `store` (in the lake's store, too), not '%s'",
			       settings.ack);
	if (settings.adopt_after_us && (settings.adopt_after_us < ADOPT_AFTER_MIN_US || settings.adopt_after_us > ADOPT_AFTER_MAX_US))
		return err_set(reterr, RC_INVALID, "adopt_after is 4s to 7d, the same at all servers of the lake");
	if (settings.data || !settings.ack || strcmp(settings.ack, "store") != 0 || strncmp(settings.lake, "s3://", 5) != 0)
		return RC_OK;
	const char *tmp = getenv("TMPDIR");
	AUTO_MEM char *parent = mem_printf("%s/hydrant-%u", tmp && *tmp ? tmp : "/var/tmp", (unsigned)geteuid());
	made = mem_printf("%s/%016llx", parent, (unsigned long long)hash64(slice_str(settings.lake)));
	settings.data = made;
	struct stat st;
	if (mkdir(parent, 0700) != 0 && errno != EEXIST)
		return err_set(reterr, RC_IO, "cannot make %s for log and cache: %s; name another folder with --data", parent, strerror(errno));
	if (lstat(parent, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(reterr, RC_IO, "%s, for log and cache, is not a folder of ours alone; name another one with --data", parent);
	return RC_OK;
}

void pipeline_options_from_settings(struct pipeline_options *ret)
{
	pipeline_options_default(ret);
	const struct config *c = settings.file;
	ret->lake = settings.lake;
	ret->store = settings_store(settings.lake);
	ret->remedy = policy_remedy;
	ret->rules = c ? c->rules : NULL;
	ret->rule_count = c ? c->rule_count : 0;
	ret->data_dir = settings.data;
	ret->time_field = settings.time_field;
	ret->id_field = settings.id_field;
	if (settings.commit_busy_us)
		ret->commit_busy_us = settings.commit_busy_us;
	if (settings.commit_idle_us)
		ret->commit_idle_us = settings.commit_idle_us;
	ret->retention_us = settings.retention_us;
	ret->ack_store = settings.ack && !strcmp(settings.ack, "store");
	ret->adopt_after_us = settings.adopt_after_us;
	if (settings.file_bytes)
		ret->file_bytes = (uint64_t)settings.file_bytes;
	ret->log_bytes = (uint64_t)settings.log_bytes;
	ret->collection_bytes = (uint64_t)settings.collection_bytes;
	if (settings.memory_bytes)
		ret->memory_bytes = (size_t)settings.memory_bytes / 4; /* see MEMORY in app.h */
}
