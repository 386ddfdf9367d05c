/* The config file judged (`serve --check`) and read again (SIGHUP). */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "app/config.h"
#include "base/log.h"
#include "server/server.h"

static bool is_loopback(const char *listen)
{
	/* 127.0.0.1 written out: "127.example.com" is a name, and may be any machine. */
	const char *colon = strrchr(listen, ':');
	AUTO_MEM char *host = mem_printf("%.*s", colon ? (int)(colon - listen) : (int)strlen(listen), listen);
	struct in_addr a;
	if (inet_pton(AF_INET, host, &a) == 1)
		return ntohl(a.s_addr) >> 24 == 127;
	return !strcmp(host, "localhost") || !strcmp(host, "[::1]");
}

rc_t listen_check(const char *listen, bool guarded, struct err *reterr)
{
	if (guarded || settings.insecure || is_loopback(listen))
		return RC_OK;
	return err_set(reterr, RC_INVALID,
		       "%s can be reached from other machines, and no token is set: set HYDRANT_TOKEN (or `token:` or `tokens:` in the config), or say "
		       "--insecure",
		       listen);
}

int serve_check(const char *listen)
{
	struct config *c = settings.file;
	struct err err;
	if (!c) {
		fprintf(stderr, "hydrant serve: there is no config file to check: give --config FILE\n");
		return EXIT_USAGE;
	}
	config_check(c);
	if (listen_check(listen, settings.token || c->token_count, &err) != RC_OK)
		config_problem(c, 0, "%s", err.text);
	for (size_t i = 0; i < c->problem_count; i++)
		fprintf(stderr, "%s\n", c->problems[i]);
	if (c->problem_count) {
		fprintf(stderr, "hydrant: %zu %s in %s\n", c->problem_count, c->problem_count == 1 ? "problem" : "problems", c->path);
		return EXIT_FAILED;
	}
	printf("%s is fine: %zu %s, %zu %s of collections, %zu %s, TLS %s\n", c->path, c->lake_count, c->lake_count == 1 ? "lake" : "lakes",
	       c->rule_count, c->rule_count == 1 ? "setting" : "settings", c->token_count, c->token_count == 1 ? "token" : "tokens",
	       c->tls_cert ? "on" : "off");
	return EXIT_DONE;
}

static bool differs(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

/* What only a restart changes. */
static void warn_of_rest(const struct config *fresh)
{
	const struct settings *was = &settings.file->flat, *is = &fresh->flat;
	const struct {
		const char *name;
		bool changed;
	} rest[] = { { "lake", differs(was->lake, is->lake) },
		     { "data", differs(was->data, is->data) },
		     { "ack", differs(was->ack, is->ack) },
		     { "adopt_after", was->adopt_after_us != is->adopt_after_us },
		     { "listen", differs(was->listen, is->listen) },
		     { "memory", was->memory_bytes != is->memory_bytes },
		     { "log_size", was->log_bytes != is->log_bytes },
		     { "collection_log_size", was->collection_bytes != is->collection_bytes } };
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
		if (rest[i].changed)
			log_warn("%s has another %s: that needs a restart", fresh->path, rest[i].name);
}

/* The rules of the file, and behind them, for all collections, its flat settings. */
static rc_t apply_rules(struct pipeline *p, const struct config *c, struct err *reterr)
{
	AUTO_MEM struct collection_rule *rules = mem_zalloc(c->rule_count + 1, sizeof *rules);
	if (c->rule_count)
		memcpy(rules, c->rules, c->rule_count * sizeof *rules);
	rules[c->rule_count] = (struct collection_rule){ .pattern = "*",
							 .time_field = c->flat.time_field,
							 .id_field = c->flat.id_field,
							 .file_bytes = (uint64_t)c->flat.file_bytes,
							 .commit_busy_us = c->flat.commit_busy_us,
							 .commit_idle_us = c->flat.commit_idle_us,
							 .retention_us = c->flat.retention_us };
	return pipeline_set_rules(p, config_store(c, settings.lake), rules, c->rule_count + 1, reterr);
}

static rc_t judge(struct config *c, const char *listen, const char *token, struct err *reterr)
{
	config_check(c);
	for (size_t i = 0; i < c->problem_count; i++)
		log_error("%s", c->problems[i]);
	if (c->problem_count)
		return err_set(reterr, RC_INVALID, "%zu %s", c->problem_count, c->problem_count == 1 ? "problem" : "problems");
	if (!c->tls_cert != !settings.file->tls_cert)
		return err_set(reterr, RC_INVALID, "TLS cannot be turned on or off without a restart");
	return listen_check(listen, token || c->token_count, reterr);
}

static rc_t reload(struct server *s, struct pipeline *p, const char *listen, const char *url, struct err *reterr)
{
	AUTO(config) *fresh = NULL;
	AUTO(http_tls) *tls = NULL;
	if (!settings.file)
		return err_set(reterr, RC_INVALID, "the server runs without a config file");
	TRY(config_read(settings.config, &fresh, reterr));
	const char *from_environment = getenv("HYDRANT_TOKEN"), *token = from_environment && *from_environment ? from_environment : fresh->flat.token;
	TRY(judge(fresh, listen, token, reterr));
	if (fresh->tls_cert)
		TRY(http_tls_load(fresh->tls_cert, fresh->tls_key, &tls, reterr));
	TRY(apply_rules(p, fresh, reterr));
	server_set_access(s, token, fresh->tokens, fresh->token_count);
	if (tls) {
		char pin[HTTP_TLS_PIN_LEN + 1];
		http_tls_pin(tls, pin);
		server_renew_tls(s, tls);
		tls = NULL;
		server_note(pipeline_data_dir(p), url, pin);
	}
	warn_of_rest(fresh);
	return RC_OK;
}

void serve_reload(struct server *s, struct pipeline *p, const char *listen, const char *url)
{
	struct err err;
	notify_reloading();
	if (reload(s, p, listen, url, &err) == RC_OK)
		log_info("%s was read again: tokens, certificate, keys of buckets and the collections' settings are new", settings.config);
	else
		log_error("the settings were not read again, all stays as it was: %s", err.text);
	notify_ready(url);
}
