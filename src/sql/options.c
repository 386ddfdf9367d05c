/* What a caller needs before it runs anything: names, formats, the library's place. */
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

rc_t sql_format_parse(const char *name, enum sql_format *ret, struct err *reterr)
{
	static const char *const names[] = { "table", "json", "ndjson", "csv", "columns" };
	for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum sql_format)i;
			return RC_OK;
		}
	}
	return err_set(reterr, RC_INVALID, "there is no result format '%s': use table, json, ndjson, csv or columns", name);
}

static bool word_char(uint8_t c)
{
	return c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

/* name in the text, without regard to case; as a whole word, or with word false as the beginning of one. */
static bool holds(struct slice sql, const char *name, bool word)
{
	size_t len = strlen(name);
	for (size_t i = 0; len && i + len <= sql.len; i++) {
		if (strncasecmp((const char *)sql.data + i, name, len) != 0)
			continue;
		bool starts = i == 0 || !word_char(sql.data[i - 1]);
		bool ends = i + len == sql.len || !word_char(sql.data[i + len]);
		if (starts && (ends || !word))
			return true;
	}
	return false;
}

bool sql_mentions(struct slice sql, const char *name)
{
	/* query_table('…' || '…') and query(…) can make a name that is not in the text. */
	return holds(sql, name, true) || holds(sql, "show", true) || holds(sql, "information_schema", true) || holds(sql, "duckdb_", false) ||
	       holds(sql, "pg_", false) || holds(sql, "query", false) || holds(sql, "sqlite_master", true) || holds(sql, "describe", true);
}

static bool there(const char *path)
{
	return access(path, R_OK) == 0;
}

rc_t sql_library_path(const struct sql_options *options, char *ret, size_t cap, struct err *reterr)
{
	const char *named = options && options->library ? options->library : getenv("HYDRANT_DUCKDB");
	if (named && *named) {
		if ((size_t)snprintf(ret, cap, "%s", named) < cap && there(ret))
			return RC_OK;
		return err_set(reterr, RC_NOT_FOUND, "SQL needs DuckDB's library, and %s (HYDRANT_DUCKDB) cannot be read", named);
	}
	char exe[4000];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = 0;
	char *slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	static const char *const places[] = { "libduckdb.so", "../lib/hydrant/libduckdb.so" };
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++)
		if ((size_t)snprintf(ret, cap, "%s/%s", exe, places[i]) < cap && there(ret))
			return RC_OK;
	return err_set(reterr, RC_NOT_FOUND,
		       "SQL needs DuckDB's library: there is no libduckdb.so in %s; run make, which fetches it, or name it in HYDRANT_DUCKDB",
		       slash ? exe : "the program's folder");
}
