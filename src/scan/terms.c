/* Which rows of a row group can satisfy a term, by statistics, pages and Bloom filters: the columns that may hold the value its path names, and
 * every column that may hold it unseen (`__raw`, `__rest`, JSON text, text lines, payloads that are no objects). A column's part is the stretch
 * from its first to its last such row; the term's is what covers all parts. */
#include <math.h>

#include "json/notes.h"
#include "parquet/prune.h"
#include "scan/scan_internal.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: integers below are doubles without loss */

struct cover {
	struct scan_file *file;
	const struct scan_term *term;
	uint32_t group, rows;
	uint32_t from, to; /* so far */
};

static rc_t cover_add(struct cover *c, const struct parquet_predicate *p, size_t n, struct err *reterr)
{
	if (c->from == 0 && c->to == c->rows)
		return RC_OK;
	struct parquet_ranges ranges = { 0 };
	TRY(parquet_reader_prune(c->file->reader, c->group, p, n, &ranges, reterr));
	if (ranges.count) {
		uint32_t from = ranges.items[0].from, to = ranges.items[ranges.count - 1].to;
		c->from = c->from == c->to || from < c->from ? from : c->from;
		c->to = to > c->to ? to : c->to;
	}
	parquet_ranges_clear(&ranges);
	return RC_OK;
}

/* Rows that have anything in f or below it. */
static rc_t cover_any(struct cover *c, const struct field *f, struct err *reterr)
{
	for (const struct field *at = f; at; at = field_next(f, at)) {
		const struct parquet_predicate p = { at, PARQUET_NOT_NULL, NULL, 0 };
		if (!type_is_nested(at->type))
			TRY(cover_add(c, &p, 1, reterr));
	}
	return RC_OK;
}

static rc_t cover_value(struct cover *c, const struct field *f, enum parquet_test test, const void *value, size_t len, struct err *reterr)
{
	const struct slice v = slice_of(value, len);
	const struct parquet_predicate p = { f, test, &v, 1 };
	return cover_add(c, &p, 1, reterr);
}

/* All spellings of a text in upper and lower case lie between its own two, because upper case comes first. */
static rc_t cover_spellings(struct cover *c, const struct field *f, bool prefix, struct err *reterr)
{
	struct slice text = c->term->text;
	AUTO_MEM uint8_t *upper = mem_alloc(text.len + 1), *lower = mem_alloc(text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		lower[i] = text.data[i];
		upper[i] = text.data[i] >= 'a' && text.data[i] <= 'z' ? (uint8_t)(text.data[i] - 32) : text.data[i];
	}
	lower[text.len] = 0xff; /* behind all that UTF-8 goes on with */
	const struct slice least = slice_of(upper, text.len), most = slice_of(lower, text.len + prefix);
	if (!prefix && (!text.len || memcmp(upper, lower, text.len) == 0)) /* one spelling: a Bloom filter can tell, too */
		return cover_value(c, f, PARQUET_EQUAL, lower, text.len, reterr);
	const struct parquet_predicate p[] = { { f, PARQUET_MORE_EQUAL, &least, 1 }, { f, PARQUET_LESS_EQUAL, &most, 1 } };
	return cover_add(c, p, 2, reterr);
}

static rc_t cover_string(struct cover *c, const struct field *f, struct err *reterr)
{
	static const enum parquet_test tests[] = { [SCAN_LESS] = PARQUET_LESS,
						   [SCAN_LESS_EQUAL] = PARQUET_LESS_EQUAL,
						   [SCAN_MORE] = PARQUET_MORE,
						   [SCAN_MORE_EQUAL] = PARQUET_MORE_EQUAL };
	const struct scan_term *t = c->term;
	if (t->test == SCAN_EQUAL || t->test == SCAN_PREFIX)
		return cover_spellings(c, f, t->test == SCAN_PREFIX, reterr);
	return t->is_number ? RC_OK : cover_value(c, f, tests[t->test], t->text.data, t->text.len, reterr); /* texts are not compared with numbers */
}

static rc_t cover_integer(struct cover *c, const struct field *f, struct err *reterr)
{
	double low = floor(c->term->number), high = ceil(c->term->number);
	int64_t below = (int64_t)low, above = (int64_t)high;
	switch (c->term->test) {
	case SCAN_EQUAL:
		return low == high ? cover_value(c, f, PARQUET_EQUAL, &below, 8, reterr) : RC_OK;
	case SCAN_LESS:
		return cover_value(c, f, PARQUET_LESS, &above, 8, reterr);
	case SCAN_LESS_EQUAL:
		return cover_value(c, f, PARQUET_LESS_EQUAL, &below, 8, reterr);
	case SCAN_MORE:
		return cover_value(c, f, PARQUET_MORE, &below, 8, reterr);
	default:
		return cover_value(c, f, PARQUET_MORE_EQUAL, &above, 8, reterr);
	}
}

static rc_t cover_leaf(struct cover *c, const struct field *f, struct err *reterr)
{
	const struct scan_term *t = c->term;
	if (f->type == TYPE_STRING && f->format == FORMAT_DEFAULT)
		return cover_string(c, f, reterr);
	if (f->type == TYPE_INT64 && t->is_number && t->test != SCAN_PREFIX && fabs(t->number) < EXACT_MAX)
		return cover_integer(c, f, reterr);
	return cover_any(c, f, reterr);
}

/* A member of that key: the path ends in it or goes on below. Members of objects in lists count as the list's. */
static rc_t cover_member(struct cover *c, const struct field *f, struct slice path, const struct field **ret_into, struct slice *ret_path,
			 struct err *reterr)
{
	const struct field *g = f;
	while (g->type == TYPE_LIST && g->child_count)
		g = g->children[0];
	bool text = g->type == TYPE_STRING && g->format == FORMAT_JSON, whole = slice_eq(f->key, path);
	bool begins = path.len > f->key.len && path.data[f->key.len] == '.' && slice_starts(path, f->key);
	if (!whole && !begins)
		return RC_OK;
	if (text || g->type == TYPE_MAP)
		return cover_any(c, g, reterr);
	if (whole && !type_is_nested(g->type))
		return cover_leaf(c, g, reterr);
	if (begins && g->type == TYPE_STRUCT) {
		*ret_into = g;
		*ret_path = slice_skip(path, f->key.len + 1);
	}
	return RC_OK;
}

/* The members of an object; recursion is bounded by the depth of the schema, which the reader bounds. */
static rc_t cover_members(struct cover *c, const struct field *object, struct slice path, struct err *reterr)
{
	for (uint32_t i = 0; i < object->child_count; i++) {
		const struct field *f = object->children[i], *into = NULL;
		struct slice rest;
		switch (f->role) {
		case ROLE_PAYLOAD:
		case ROLE_SIBLING:
			TRY(cover_member(c, f, path, &into, &rest, reterr));
			if (into)
				TRY(cover_members(c, into, rest, reterr));
			break;
		case ROLE_RAW:
		case ROLE_REST:
		case ROLE_TEXT:
		case ROLE_VALUE:
			TRY(cover_any(c, f, reterr));
			break;
		default: /* hydrant's own: no part of the payload */
			break;
		}
	}
	return RC_OK;
}

rc_t scan_file_term(struct scan_file *f, uint32_t group, const struct scan_term *term, uint32_t *ret_from, uint32_t *ret_to, struct err *reterr)
{
	struct cover c = { .file = f, .term = term, .group = group, .rows = (uint32_t)parquet_reader_row_group_rows(f->reader, group) };
	static const char null[] = "null";
	bool may_be_null = term->text.len <= 4 && memcmp(null, term->text.data, term->text.len) == 0;
	*ret_from = 0;
	*ret_to = c.rows;
	/* null has no column, and a file without our notes does not tell which keys its columns are */
	if ((may_be_null && term->test <= SCAN_PREFIX) || !parquet_reader_metadata(f->reader, SCHEMA_NOTES_KEY).data)
		return RC_OK;
	rc_t rc = cover_members(&c, parquet_reader_schema(f->reader)->root, term->path, reterr);
	if (rc != RC_OK) {
		err_prefix(reterr, "%s", f->name);
		return rc;
	}
	*ret_from = c.from;
	*ret_to = c.to;
	return RC_OK;
}
