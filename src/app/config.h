/* hydrant.yaml: lakes, collections, tokens, TLS, and the flat settings. The whole format, with an example: packaging/hydrant.yaml.
 *
 * Promise: an unknown key, a value of the wrong kind, a name that nothing has are errors with file, line and what was probably meant; all of
 *   them are found, not only the first. ${NAME} and ${NAME:-otherwise} stand for the environment in any value, $${ for the characters ${. A text
 *   of ours never shows what a variable or a secret file held.
 * Relative paths in it start at its own folder.
 * Limits: 1 MiB of file; CONFIG_NAMES_MAX lakes, collections, tokens each.
 * Ownership: everything that a struct config points to lives as long as it does. Threads: one at a time.
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include "app/app.h"
#include "base/arena.h"
#include "http/http.h"
#include "server/access.h"

#define CONFIG_NAMES_MAX 4096

struct config_place {
	const char *url; /* NULL: not said */
	struct store_options store;
};

struct config_lake {
	const char *name;
	struct config_place place;
	size_t line;
};

struct config {
	char *path;
	struct arena arena;
	struct settings flat; /* what the file says of them */
	struct config_lake *lakes;
	size_t lake_count;
	const struct config_lake *lake; /* the one for all collections that no rule names; NULL: not in the file */
	struct collection_rule *rules; /* names first, then patterns in the file's order */
	size_t *rule_lines;
	size_t rule_count;
	struct access_token *tokens;
	size_t *token_lines;
	size_t token_count;
	const char *tls_cert, *tls_key;
	size_t tls_line;
	char **secrets; /* os/secret.h: values from the environment and of secret files, which others point to */
	size_t secret_count;
	char **problems; /* "FILE, line N: what, and what to do" */
	size_t problem_count;
};

/* RC_OK also with problems; a file that cannot be read, or is no YAML, is an error. */
rc_t config_read(const char *path, struct config **ret, struct err *reterr);
void config_free(struct config *c);
AUTO_DEFINE(config, config_free)
/* What it says of how to reach a lake; NULL: nothing, or there is no file. */
const struct store_options *config_store(const struct config *c, const char *url);
/* What the file cannot say alone: files that are not there, a pair that does not fit, settings that contradict each other. Adds to problems. */
void config_check(struct config *c);
void config_problem(struct config *c, size_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* RC_INVALID with the first problem and how many more there are, or RC_OK. */
rc_t config_verdict(const struct config *c, struct err *reterr);

#endif
