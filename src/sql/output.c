#include "sql/output_internal.h"

#include "base/map.h"

#define SEND_AT 65536
#define ROW_MAX ((size_t)1 << 30) /* bytes of one row's text */

/* Two columns of one name would be one key: the second becomes name_1, as DuckDB calls it in a subquery. */
static void make_keys(struct output *o)
{
	struct map taken;
	map_init(&taken);
	o->keys = arena_alloc(&o->arena, (o->n + 1) * sizeof(*o->keys));
	AUTO_BUF struct buf text;
	buf_init(&text, ROW_MAX);
	for (uint32_t i = 0; i < o->n; i++) {
		const char *name = o->columns[i].name;
		bool is_new;
		map_put(&taken, slice_str(name), &is_new);
		for (unsigned k = 1; !is_new; k++) {
			name = arena_printf(&o->arena, "%s_%u", o->columns[i].name, k);
			map_put(&taken, slice_str(name), &is_new);
		}
		buf_reset(&text);
		render_json_string(&text, slice_str(name));
		buf_byte(&text, ':');
		o->keys[i] = arena_cstr(&o->arena, buf_slice(&text));
	}
	map_free(&taken);
}

static void put_csv(struct buf *out, struct slice s)
{
	bool quote = s.len == 0;
	for (size_t i = 0; i < s.len && !quote; i++)
		quote = s.data[i] == '"' || s.data[i] == ',' || s.data[i] == '\n' || s.data[i] == '\r';
	if (!quote && (s.data[0] == ' ' || s.data[s.len - 1] == ' '))
		quote = true;
	if (!quote) {
		buf_append_slice(out, s);
		return;
	}
	buf_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '"')
			buf_byte(out, '"');
		buf_byte(out, s.data[i]);
	}
	buf_byte(out, '"');
}

static void put_header(struct output *o)
{
	struct buf *b = &o->buf;
	if (o->format == SQL_CSV) {
		for (uint32_t i = 0; i < o->n; i++) {
			if (i)
				buf_byte(b, ',');
			put_csv(b, slice_str(o->columns[i].name));
		}
		buf_byte(b, '\n');
	} else if (o->format == SQL_JSON) {
		buf_byte(b, '[');
	} else if (o->format == SQL_COLUMNS) {
		AUTO_BUF struct buf type;
		buf_init(&type, ROW_MAX);
		buf_append_str(b, "{\"columns\":[");
		for (uint32_t i = 0; i < o->n; i++) {
			buf_append_str(b, i ? ",{\"name\":" : "{\"name\":");
			render_json_string(b, slice_str(o->columns[i].name));
			buf_append_str(b, ",\"type\":");
			buf_reset(&type);
			kind_name(&o->columns[i].kind, &type);
			render_json_string(b, buf_slice(&type));
			buf_byte(b, '}');
		}
		buf_append_str(b, "],\"rows\":[");
	}
}

void output_init(struct output *o, enum sql_format format, unsigned width, unsigned max_rows, const struct column_out *columns, uint32_t n,
		 rc_t (*send)(void *ctx, struct slice bytes, struct err *reterr), void *ctx)
{
	*o = (struct output){ .format = format, .columns = columns, .n = n, .send = send, .ctx = ctx };
	arena_init(&o->arena);
	buf_init(&o->buf, ROW_MAX + SEND_AT);
	if (format == SQL_TABLE)
		o->box = box_new(width, max_rows, columns, n);
	if (format == SQL_JSON || format == SQL_NDJSON)
		make_keys(o);
	put_header(o);
}

void output_free(struct output *o)
{
	box_free(o->box);
	buf_free(&o->buf);
	arena_free(&o->arena);
}

static rc_t flush(struct output *o, struct err *reterr)
{
	if (o->buf.overflow)
		return err_set(reterr, RC_LIMIT, "row %llu of the result has over %zu bytes: select less of it",
			       (unsigned long long)o->rows + 1, ROW_MAX);
	rc_t rc = o->buf.len ? o->send(o->ctx, buf_slice(&o->buf), reterr) : RC_OK;
	buf_reset(&o->buf);
	return rc;
}

static void put_object(struct output *o, const struct view *views, uint64_t row)
{
	buf_byte(&o->buf, '{');
	for (uint32_t i = 0; i < o->n; i++) {
		if (i)
			buf_byte(&o->buf, ',');
		buf_append_str(&o->buf, o->keys[i]);
		render_json(&views[i], row, &o->buf);
	}
	buf_byte(&o->buf, '}');
}

static void put_array(struct output *o, const struct view *views, uint64_t row)
{
	buf_append_str(&o->buf, o->rows ? ",\n[" : "\n[");
	for (uint32_t i = 0; i < o->n; i++) {
		if (i)
			buf_byte(&o->buf, ',');
		render_json(&views[i], row, &o->buf);
	}
	buf_byte(&o->buf, ']');
}

static void put_csv_row(struct output *o, const struct view *views, uint64_t row)
{
	AUTO_BUF struct buf text;
	buf_init(&text, ROW_MAX);
	for (uint32_t i = 0; i < o->n; i++) {
		if (i)
			buf_byte(&o->buf, ',');
		if (view_is_null(&views[i], row))
			continue;
		buf_reset(&text);
		render_text(&views[i], row, &text);
		put_csv(&o->buf, buf_slice(&text));
	}
	buf_byte(&o->buf, '\n');
}

rc_t output_chunk(struct output *o, const struct view *views, uint64_t rows, struct err *reterr)
{
	for (uint64_t row = 0; row < rows; row++, o->rows++) {
		switch (o->format) {
		case SQL_TABLE:
			box_row(o->box, views, row);
			break;
		case SQL_JSON:
			buf_append_str(&o->buf, o->rows ? ",\n" : "");
			put_object(o, views, row);
			break;
		case SQL_NDJSON:
			put_object(o, views, row);
			buf_byte(&o->buf, '\n');
			break;
		case SQL_CSV:
			put_csv_row(o, views, row);
			break;
		case SQL_COLUMNS:
			put_array(o, views, row);
			break;
		}
		if (o->buf.len >= SEND_AT || o->buf.overflow)
			TRY(flush(o, reterr));
	}
	return RC_OK;
}

rc_t output_end(struct output *o, struct err *reterr)
{
	if (o->format == SQL_TABLE)
		box_print(o->box, o->rows, &o->buf);
	else if (o->format == SQL_JSON)
		buf_append_str(&o->buf, "]\n");
	else if (o->format == SQL_COLUMNS)
		buf_printf(&o->buf, "],\"row_count\":%llu}\n", (unsigned long long)o->rows);
	return flush(o, reterr);
}
