#include "sql/duck_internal.h"

#include <dlfcn.h>
#include <string.h>

#include "base/buf.h"

rc_t duck_load(struct duck *d, const char *path, struct err *reterr)
{
	memset(d, 0, sizeof(*d));
	d->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!d->library)
		return err_set(reterr, RC_NOT_FOUND, "cannot load DuckDB's library: %s", dlerror());
	const struct {
		const char *name;
		void *place;
	} functions[] = {
#define DUCK_ROW(type, name, parameters) { "duckdb_" #name, &d->name },
		DUCK_FUNCTIONS(DUCK_ROW)
#undef DUCK_ROW
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(d->library, functions[i].name);
		if (!function)
			return err_set(reterr, RC_UNSUPPORTED, "%s has no %s: it is another version of DuckDB; run make, which fetches the right one",
				       path, functions[i].name);
		memcpy(functions[i].place, &function, sizeof(function));
	}
	return RC_OK;
}

rc_t duck_do(struct duck *d, const char *sql, struct err *reterr)
{
	struct duck_result r;
	rc_t rc = RC_OK;
	if (d->query(d->connection, sql, &r) != 0)
		rc = duck_error(d->result_error_type(&r), d->result_error(&r), reterr);
	d->destroy_result(&r);
	return rc;
}

static rc_t rc_of(int type, const char *message)
{
	/* A prepare gives no type, but every message begins with its class. */
	if (type == DUCK_ERROR_OUT_OF_MEMORY || strncmp(message, "Out of Memory", 13) == 0)
		return RC_LIMIT;
	if (type == DUCK_ERROR_IO || strncmp(message, "IO Error", 8) == 0)
		return RC_IO;
	if (type == DUCK_ERROR_INTERRUPT || strncmp(message, "INTERRUPT", 9) == 0)
		return RC_CANCELLED;
	return RC_INVALID;
}

rc_t duck_error(int type, const char *message, struct err *reterr)
{
	if (!message)
		message = "DuckDB gives no reason";
	rc_t rc = rc_of(type, message);
	const char *text = message, *end = strstr(message, "\nLINE ");
	/* "Binder Error: …": the class helps nobody; what follows is a sentence. */
	const char *colon = strstr(message, "Error: ");
	if (colon && colon - message < 40 && !memchr(message, '\n', (size_t)(colon - message)))
		text = colon + 7;
	AUTO_BUF struct buf line;
	buf_init(&line, 480);
	bool space = false;
	for (const char *p = text; *p && p != end; p++) {
		if (*p == '\n' || *p == '\t' || *p == ' ' || *p == '\r') {
			space = line.len > 0;
			continue;
		}
		if (space)
			buf_byte(&line, ' ');
		space = false;
		buf_byte(&line, (uint8_t)*p);
	}
	const char *hint = "";
	if (rc == RC_LIMIT)
		hint = "; ask for less at once, or give queries more memory";
	else if (type == DUCK_ERROR_PERMISSION || strncmp(message, "Permission Error", 16) == 0)
		hint = "; a query reads collections and nothing else";
	err_set(reterr, rc, "%s%s", buf_cstr(&line), hint);
	if (reterr)
		reterr->retryable = rc == RC_IO;
	return rc;
}
