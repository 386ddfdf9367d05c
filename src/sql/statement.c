#include "sql/statement_internal.h"

#include <stdio.h>
#include <strings.h>

#include "sql/star_internal.h"
#include "sql/view_internal.h"

#define TEXT_MAX ((size_t)64 << 20) /* a statement's tree as JSON, and the text made of it */

/* White space, comments and opening parentheses before a keyword. */
static const char *skip_space(const char *p)
{
	for (;;) {
		if (*p == ' ' || (*p >= '\t' && *p <= '\r') || *p == '(' || *p == ';') {
			p++;
		} else if (p[0] == '-' && p[1] == '-') {
			p += strcspn(p, "\n");
		} else if (p[0] == '/' && p[1] == '*') {
			const char *end = strstr(p + 2, "*/");
			p = end ? end + 2 : p + strlen(p);
		} else {
			return p;
		}
	}
}

static size_t word_length(const char *p)
{
	size_t n = 0;
	while (((p[n] | 32) >= 'a' && (p[n] | 32) <= 'z') || p[n] == '_')
		n++;
	return n;
}

static bool is_word(const char *p, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

rc_t statement_reads(const char *sql, struct err *reterr)
{
	static const char *const reads[] = { "select", "with", "from", "values", "table", "show", "describe", "desc", "summarize", "pivot", "unpivot" };
	const char *p = skip_space(sql);
	size_t len = word_length(p);
	if (is_word(p, len, "explain")) { /* EXPLAIN [ANALYZE] [(FORMAT json)] statement */
		p = skip_space(p + len);
		if (is_word(p, word_length(p), "analyze"))
			p = skip_space(p + word_length(p));
		if (is_word(p, word_length(p), "format") && strchr(p, ')'))
			p = skip_space(strchr(p, ')') + 1);
		len = word_length(p);
	}
	if (!*p)
		return err_set(reterr, RC_INVALID, "there is no SQL statement in the text");
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		if (is_word(p, len, reads[i]))
			return RC_OK;
	if (len > 30 || len == 0)
		return err_set(reterr, RC_INVALID, "this is no SQL statement that reads: begin with SELECT, WITH, FROM, DESCRIBE, SHOW TABLES or EXPLAIN");
	return err_set(reterr, RC_INVALID, "'%.*s' is not possible here: a query only reads (SELECT, WITH, FROM, DESCRIBE, SHOW TABLES, EXPLAIN)", (int)len, p);
}

/* Runs SELECT of one text value with one text parameter. */
static rc_t text_of_text(struct duck *d, const char *sql, struct slice parameter, struct buf *ret, struct err *reterr)
{
	void *s = NULL;
	struct duck_result r = { { 0 } };
	rc_t rc = RC_OK;
	if (d->prepare(d->connection, sql, &s) != 0) {
		rc = duck_error(0, d->prepare_error(s), reterr);
		d->destroy_prepare(&s);
		return rc;
	}
	d->bind_varchar_length(s, 1, (const char *)parameter.data, parameter.len);
	void *chunk = NULL;
	if (d->execute_prepared(s, &r) != 0)
		rc = duck_error(d->result_error_type(&r), d->result_error(&r), reterr);
	else if (!(chunk = d->fetch_chunk(r)) || d->data_chunk_get_size(chunk) != 1)
		rc = err_set(reterr, RC_INVALID, "DuckDB gave no answer to '%s'", sql);
	if (rc == RC_OK) {
		void *v = d->data_chunk_get_vector(chunk, 0);
		const struct duck_string *text = d->vector_get_data(v);
		if (duck_valid(d->vector_get_validity(v), 0))
			buf_append(ret, duck_string_data(text), text->length);
	}
	if (chunk)
		d->destroy_data_chunk(&chunk);
	d->destroy_result(&r);
	d->destroy_prepare(&s);
	return rc;
}

/* The statement with stars that hide machinery columns; NULL: it is best run as it is. */
static char *hide_stars(struct duck *d, const struct request *r, struct arena *arena)
{
	if (!strchr(r->sql, '*') && !strcasestr(r->sql, "from") && !strcasestr(r->sql, "table") && !strcasestr(r->sql, "pivot") &&
	    !strcasestr(r->sql, "natural") && !strcasestr(r->sql, "columns"))
		return NULL;
	AUTO_BUF struct buf tree, text;
	buf_init(&tree, TEXT_MAX);
	buf_init(&text, TEXT_MAX);
	char *rewritten = NULL;
	static const char serialize[] = "SELECT json_serialize_sql(CAST($1 AS VARCHAR), skip_default := true, skip_null := true)";
	if (text_of_text(d, serialize, slice_str(r->sql), &tree, NULL) == RC_OK && !tree.overflow)
		star_rewrite(buf_slice(&tree), r, &rewritten);
	if (!rewritten)
		return NULL;
	rc_t rc = text_of_text(d, "SELECT json_deserialize_sql(CAST($1 AS JSON))", slice_str(rewritten), &text, NULL);
	free(rewritten);
	return rc == RC_OK && !text.overflow ? arena_cstr(arena, buf_slice(&text)) : NULL;
}

/* Exactly one statement. */
static rc_t prepare(struct duck *d, const char *sql, void **ret, struct err *reterr)
{
	void *extracted = NULL, *s = NULL;
	rc_t rc = RC_OK;
	uint64_t n = d->extract_statements(d->connection, sql, &extracted);
	const char *wrong = n ? NULL : d->extract_statements_error(extracted);
	const char *first = skip_space(sql);
	if (wrong)
		rc = duck_error(0, wrong, reterr);
	else if (n == 0)
		rc = err_set(reterr, RC_INVALID, "there is no SQL statement in the text");
	else if (n > 1 && is_word(first, word_length(first), "pivot"))
		rc = err_set(reterr, RC_INVALID, "PIVOT needs the values named here: PIVOT … ON column IN ('a', 'b') USING …");
	else if (n > 1)
		rc = err_set(reterr, RC_INVALID, "the text holds %llu statements: send them one at a time", (unsigned long long)n);
	else if (d->prepare_extracted_statement(d->connection, extracted, 0, &s) != 0)
		rc = duck_error(0, d->prepare_error(s), reterr);
	else if (d->prepared_statement_type(s) != DUCK_STATEMENT_SELECT && d->prepared_statement_type(s) != DUCK_STATEMENT_EXPLAIN)
		rc = err_set(reterr, RC_INVALID, "a query only reads: this statement would do more");
	else if (d->nparams(s) != 0)
		rc = err_set(reterr, RC_INVALID, "the statement has parameters (? or $1): write the values into it");
	if (extracted)
		d->destroy_extracted(&extracted);
	if (rc != RC_OK) {
		if (s)
			d->destroy_prepare(&s);
		return rc;
	}
	*ret = s;
	return RC_OK;
}

/* Names and kinds of the columns; false if one is of a kind that we do not render (ret->columns[i].kind.type is then 0). */
static bool describe(const struct duck *d, struct arena *arena, struct statement *s)
{
	bool known = true;
	s->n = (uint32_t)d->prepared_statement_column_count(s->prepared);
	s->columns = arena_zalloc(arena, ((size_t)s->n + 1) * sizeof(*s->columns));
	for (uint32_t i = 0; i < s->n; i++) {
		char *name = d->prepared_statement_column_name(s->prepared, i);
		s->columns[i].name = arena_strdup(arena, name ? name : "");
		d->free(name);
		void *type = d->prepared_statement_column_logical_type(s->prepared, i);
		if (!kind_resolve(d, type, arena, &s->columns[i].kind)) {
			s->columns[i].kind.type = 0;
			known = false;
		}
		d->destroy_logical_type(&type);
	}
	return known;
}

/* The statement again, with what we do not render (intervals, unions, bit strings …) cast to text; names and order as before. */
static rc_t cast_unknown(struct duck *d, const char *sql, struct arena *arena, struct statement *s, struct err *reterr)
{
	AUTO_BUF struct buf text;
	buf_init(&text, TEXT_MAX);
	buf_append_str(&text, "SELECT ");
	for (uint32_t i = 0; i < s->n; i++) {
		buf_printf(&text, s->columns[i].kind.type ? "%sc%u" : "%sCAST(c%u AS VARCHAR)", i ? ", " : "", i);
		buf_append_str(&text, " AS ");
		sql_quote_name(&text, slice_str(s->columns[i].name));
	}
	buf_append_str(&text, " FROM query("); /* as text: it may end in a semicolon or a comment */
	sql_quote_text(&text, slice_str(sql));
	buf_append_str(&text, ") AS q(");
	for (uint32_t i = 0; i < s->n; i++)
		buf_printf(&text, "%sc%u", i ? ", " : "", i);
	buf_byte(&text, ')');
	d->destroy_prepare(&s->prepared);
	TRY(prepare(d, buf_cstr(&text), &s->prepared, reterr));
	if (!describe(d, arena, s))
		return err_set(reterr, RC_UNSUPPORTED, "the result has a column of a type that cannot be shown: CAST it to VARCHAR");
	return RC_OK;
}

/* "Table with name x does not exist! Did you mean …": says what does exist. */
static rc_t explain_unknown_table(const struct request *r, struct err *e)
{
	static const char before[] = "Table with name ", after[] = " does not exist!";
	const char *name = strstr(e->text, before), *end = name ? strstr(name, after) : NULL;
	if (!end)
		return e->rc;
	name += sizeof(before) - 1;
	AUTO_BUF struct buf list;
	buf_init(&list, 300);
	for (uint32_t i = 0; i < r->n_tables && list.len < 240; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", r->tables[i].name);
	char copy[100];
	snprintf(copy, sizeof(copy), "%.*s", (int)(end - name), name);
	if (!r->n_tables)
		return err_set(e, RC_INVALID, "there is no collection '%s', nor any other yet: send it an event first", copy);
	return err_set(e, RC_INVALID, "there is no collection '%s'; there %s %s%s", copy, r->n_tables == 1 ? "is" : "are", buf_cstr(&list),
		       list.len >= 240 ? " and more" : "");
}

rc_t statement_prepare(struct duck *d, const struct request *r, struct arena *arena, struct statement *ret, struct err *reterr)
{
	TRY(statement_reads(r->sql, reterr));
	struct statement s = { 0 };
	struct err why = { 0 };
	const char *sql = hide_stars(d, r, arena);
	/* Where the rewritten text does not bind, the original may: showing too much is better than refusing. */
	rc_t rc = sql ? prepare(d, sql, &s.prepared, &why) : RC_INVALID;
	if (rc != RC_OK) {
		sql = r->sql;
		rc = prepare(d, sql, &s.prepared, &why);
	}
	if (rc == RC_OK && !describe(d, arena, &s))
		rc = cast_unknown(d, sql, arena, &s, &why);
	if (rc != RC_OK) {
		explain_unknown_table(r, &why);
		if (reterr)
			*reterr = why;
		return why.rc;
	}
	*ret = s;
	return RC_OK;
}
