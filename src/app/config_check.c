/* What the file cannot say alone: files that are there, pairs that fit, settings that do not contradict each other. No network. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_options(const struct store_options *a, const struct store_options *b)
{
	return same_text(a->region, b->region) && same_text(a->endpoint, b->endpoint) && same_text(a->role_arn, b->role_arn) &&
	       same_text(a->external_id, b->external_id) && same_text(a->kms_key, b->kms_key) && same_text(a->profile, b->profile) &&
	       same_text(a->access_key, b->access_key) && same_text(a->secret_key, b->secret_key) && same_text(a->ca_file, b->ca_file) &&
	       a->owner_full_control == b->owner_full_control && a->addressing == b->addressing;
}

/* One place is reached in one way, whoever names it. */
static void check_places(struct config *c)
{
	for (size_t i = 0; i < c->lake_count; i++)
		for (size_t k = 0; k < i; k++)
			if (same_text(c->lakes[i].place.url, c->lakes[k].place.url) && c->lakes[i].place.url)
				config_problem(c, c->lakes[i].line, "lakes '%s' and '%s' are the same place, %s: keep one of them", c->lakes[k].name,
					       c->lakes[i].name, c->lakes[i].place.url);
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct collection_rule *a = &c->rules[i];
		for (size_t k = 0; a->url && k < i; k++) {
			const struct collection_rule *b = &c->rules[k];
			if (!b->url || strcmp(a->url, b->url) != 0 || same_options(a->store, b->store))
				continue;
			config_problem(c, c->rule_lines[i], "'%s' and '%s' are both in %s, but say differently how it is reached: put it into lakes: once",
				       b->pattern, a->pattern, a->url);
			break;
		}
		for (size_t k = 0; a->url && k < c->lake_count; k++)
			if (same_text(a->url, c->lakes[k].place.url) && !same_options(a->store, &c->lakes[k].place.store))
				config_problem(c, c->rule_lines[i], "'%s' is in the place of lake '%s', but says differently how it is reached: write lake: %s",
					       a->pattern, c->lakes[k].name, c->lakes[k].name);
	}
}

/* A pattern behind one that takes all its names would never be asked. */
static void check_shadows(struct config *c)
{
	for (size_t i = 0; i < c->rule_count; i++)
		for (size_t k = 0; strpbrk(c->rules[i].pattern, "*?") && k < i; k++)
			if (collection_pattern_matches(c->rules[k].pattern, c->rules[i].pattern)) {
				config_problem(c, c->rule_lines[i], "'%s' never counts: '%s' in line %zu takes all its names; put the narrower one first",
					       c->rules[i].pattern, c->rules[k].pattern, c->rule_lines[k]);
				break;
			}
}

static void check_tokens(struct config *c)
{
	for (size_t i = 0; i < c->token_count; i++)
		for (size_t k = 0; k < i; k++)
			for (unsigned a = 0; a < c->tokens[i].hash_count; a++)
				for (unsigned b = 0; b < c->tokens[k].hash_count; b++)
					if (!memcmp(c->tokens[i].hashes[a], c->tokens[k].hashes[b], ACCESS_HASH_LEN))
						config_problem(c, c->token_lines[i], "tokens '%s' and '%s' have the same hash: each has a token of its own",
							       c->tokens[k].name, c->tokens[i].name);
}

static void check_file(struct config *c, size_t line, const char *path)
{
	if (path && access(path, R_OK) != 0)
		config_problem(c, line, "%s cannot be read: %s", path, strerror(errno));
}

static void check_files(struct config *c)
{
	for (size_t i = 0; i < c->lake_count; i++)
		check_file(c, c->lakes[i].line, c->lakes[i].place.store.ca_file);
	for (size_t i = 0; i < c->rule_count; i++)
		if (c->rules[i].store)
			check_file(c, c->rule_lines[i], c->rules[i].store->ca_file);
	if (!c->tls_cert || !c->tls_key)
		return;
	AUTO(http_tls) *tls = NULL;
	struct err err;
	if (http_tls_load(c->tls_cert, c->tls_key, &tls, &err) != RC_OK)
		config_problem(c, c->tls_line, "%s", err.text);
}

/* A store is opened without asking anything of it: what its settings must not be is said by the room that knows. */
static void check_store(struct config *c, size_t line, const char *url, const struct store_options *options)
{
	AUTO(store) *s = NULL;
	struct err err;
	if (url && store_open(url, options, &s, &err) != RC_OK && err.rc != RC_UNSUPPORTED)
		config_problem(c, line, "%s", err.text);
}

void config_check(struct config *c)
{
	check_places(c);
	check_shadows(c);
	check_tokens(c);
	check_files(c);
	for (size_t i = 0; i < c->lake_count; i++)
		check_store(c, c->lakes[i].line, c->lakes[i].place.url, &c->lakes[i].place.store);
	for (size_t i = 0; i < c->rule_count; i++)
		check_store(c, c->rule_lines[i], c->rules[i].url, c->rules[i].store);
	if (c->flat.lake && !c->lake)
		check_store(c, 0, c->flat.lake, NULL);
	bool store = c->flat.ack && !strcmp(c->flat.ack, "store");
	if (c->flat.ack && !store && strcmp(c->flat.ack, "disk") != 0)
		config_problem(c, 0, "ack is disk or store, not '%s'", c->flat.ack);
	if (c->flat.adopt_after_us && (c->flat.adopt_after_us < ADOPT_AFTER_MIN_US || c->flat.adopt_after_us > ADOPT_AFTER_MAX_US))
		config_problem(c, 0, "adopt_after is 4s to 7d, the same at all servers of the lake");
	if (c->flat.lake && !strncmp(c->flat.lake, "s3://", 5) && !c->flat.data && !store)
		config_problem(c, 0, "the lake is a bucket, and the log needs a folder: give data: DIR (or --data, or HYDRANT_DATA), or ack: store");
}
