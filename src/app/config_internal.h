/* Reading YAML nodes into settings: what the config_*.c files share. */
#ifndef APP_CONFIG_INTERNAL_H
#define APP_CONFIG_INTERNAL_H

#include <yaml.h>

#include "app/config.h"

struct config_reader {
	struct config *c;
	yaml_document_t *doc;
};

enum config_type {
	CONFIG_TEXT,        /* const char * */
	CONFIG_PATH,        /* const char *: a folder, file or URL; a relative one starts where the config file is */
	CONFIG_SECONDS,     /* int64_t µs: 60s, 15m, 1h */
	CONFIG_BYTES,       /* int64_t: 512M, 16G */
	CONFIG_FLAG,        /* bool */
	CONFIG_SECRET,      /* const char *, from the environment only */
	CONFIG_SECRET_FILE, /* const char *: what the file holds, without the line's end */
	CONFIG_NODE,        /* yaml_node_t *: looked at by the caller */
	CONFIG_DAYS         /* int64_t µs, at least a day: 90d, 48h */
};

struct config_def {
	const char *name;
	enum config_type type;
	void *target; /* untouched where the file says nothing, or nothing valid */
};

size_t config_line(const yaml_node_t *n);
/* A mapping's keys into the targets of defs (ends with a NULL name); what: "a lake", for the texts. */
void config_take(struct config_reader *r, yaml_node_t *mapping, const struct config_def *defs, const char *what);
/* A mapping from names to anything. At most CONFIG_NAMES_MAX, none twice. */
void config_each(struct config_reader *r, yaml_node_t *mapping, const char *what,
		 void (*each)(struct config_reader *r, const char *name, yaml_node_t *key, yaml_node_t *value, void *ctx), void *ctx);
/* A sequence of texts, or one text alone. */
void config_list(struct config_reader *r, yaml_node_t *node, const char *what, void (*each)(struct config_reader *r, const char *text, size_t line, void *ctx),
		 void *ctx);
/* A scalar with the environment put in, in the arena; NULL after a problem. *ret_expanded: something came from there (may be NULL). */
const char *config_text(struct config_reader *r, const yaml_node_t *n, bool *ret_expanded);
/* As CONFIG_PATH says, in the arena. */
const char *config_path(struct config *c, const char *text);
/* "; did you mean 'x'?" in the arena, or "". names ends with NULL. */
const char *config_meant(struct config *c, const char *given, const char *const *names);
/* Room for one more at the end of an array that the arena does not hold. */
void *config_grow(void *array, size_t count, size_t size);

void config_lakes(struct config_reader *r, yaml_node_t *node);
void config_collections(struct config_reader *r, yaml_node_t *node);
void config_tokens(struct config_reader *r, yaml_node_t *node);

#endif
