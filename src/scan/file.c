#include <stdio.h>

#include "json/notes.h"
#include "os/file.h"
#include "parquet/prune.h"
#include "scan/scan_internal.h"

#define SHAPE_BLOB_MAX ((size_t)64 << 20)
#define STEP_BYTES ((size_t)256 << 20) /* of columns, as the file reckons them */

/* A file that became shorter is damaged: RC_EOF would be the end of the scan to whoever asked for rows. */
static rc_t cut_off(const struct scan_file *f, rc_t rc, struct err *reterr)
{
	return rc == RC_EOF ? err_set(reterr, RC_CORRUPT, "%s is shorter than it was", f->name) : rc;
}

static rc_t read_store(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	struct scan_file *f = ctx;
	return cut_off(f, store_read(f->store, f->name, offset, len, out, reterr), reterr);
}

static rc_t read_local(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	struct scan_file *f = ctx;
	return cut_off(f, file_pread(f->fd, f->name, out, len, offset, NULL, reterr), reterr);
}

/* A file that another engine has rewritten has lost our notes: its columns are known by field id, or by name, from the table. */
static void notes_from_table(const struct schema *table, struct field *to, const struct field *from)
{
	for (uint32_t i = 0; i < to->child_count; i++) {
		struct field *f = to->children[i];
		const struct field *t = NULL;
		for (uint32_t j = 0; j < from->child_count && !t; j++)
			if (f->id ? from->children[j]->id == f->id : slice_eq(from->children[j]->name, f->name))
				t = from->children[j];
		if (!t)
			continue;
		f->key = t->key;
		f->role = t->role;
		f->format = t->format;
		notes_from_table(table, f, t);
	}
}

static rc_t apply_notes(struct scan_file *f, struct err *reterr)
{
	/* The reader's own schema, annotated in place: nobody else reads it. */
	struct schema *schema = (struct schema *)parquet_reader_schema(f->reader);
	struct slice notes = parquet_reader_metadata(f->reader, SCHEMA_NOTES_KEY);
	if (!notes.data && f->table) {
		TRY(schema_notes_decode((struct slice){ 0 }, schema, reterr));
		notes_from_table(table_schema(f->table), schema->root, table_schema(f->table)->root);
		return RC_OK;
	}
	TRY(schema_notes_decode(notes, schema, reterr));
	return notes.data ? scan_file_check_columns(f, reterr) : RC_OK;
}

static void cursor_bind(struct scan_file *f, struct cursor *c, enum role role, enum type type)
{
	const struct field *field = schema_by_role(parquet_reader_schema(f->reader), role);
	if (role == ROLE_TIME && field && field->type == TYPE_TIMESTAMP)
		type = TYPE_TIMESTAMP;
	*c = (struct cursor){ field && field->type == type ? batch_column(&f->batch, field) : NULL, 0, 0 };
}

/* A quarantine's `reason` has the role of a payload field; it is hydrant's own if the payloads themselves are bytes only. */
static void bind_reason(struct scan_file *f)
{
	const struct schema *schema = parquet_reader_schema(f->reader);
	const struct field *reason = NULL;
	bool own = schema_by_role(schema, ROLE_RAW) != NULL;
	for (uint32_t i = 0; i < schema->root->child_count; i++) {
		const struct field *field = schema->root->children[i];
		if (slice_eq_str(field->name, "reason") && field->type == TYPE_STRING && field->role == ROLE_PAYLOAD)
			reason = field;
		else if (field->role == ROLE_PAYLOAD || field->role == ROLE_SIBLING || field->role == ROLE_TEXT || field->role == ROLE_VALUE)
			own = false;
	}
	f->reason = (struct cursor){ own && reason ? batch_column(&f->batch, reason) : NULL, 0, 0 };
}

rc_t scan_file_open(struct store *store, const char *name, struct table *table, size_t decode_bytes, struct scan_file **ret, struct err *reterr)
{
	AUTO(scan_file) *f = NEW(struct scan_file);
	f->name = mem_strdup(name);
	f->store = store;
	f->table = table;
	f->fd = -1;
	f->decode_bytes = decode_bytes;
	const struct parquet_limits limits = { .batch_bytes = decode_bytes };
	struct parquet_source source = { f, 0, store ? read_store : read_local };
	if (store) {
		TRY(store_size(store, name, &source.size, NULL, reterr));
	} else {
		TRY(file_open(name, FILE_READ, &f->fd, reterr));
		TRY(file_size(f->fd, name, &source.size, reterr));
	}
	rc_t rc = parquet_reader_open(&source, &limits, &f->reader, reterr);
	if (rc == RC_OK)
		rc = apply_notes(f, reterr);
	if (rc != RC_OK) {
		err_prefix(reterr, "%s", name);
		return rc;
	}
	f->renderer = renderer_new(parquet_reader_schema(f->reader));
	char key[64];
	snprintf(key, sizeof key, "%s", SHAPE_KEYS_KEY);
	for (unsigned i = 1; i < 1000; i++) {
		struct slice keys = parquet_reader_metadata(f->reader, key);
		if (!keys.data)
			break;
		TRY(renderer_add_keys(f->renderer, keys, reterr));
		snprintf(key, sizeof key, "%s.%u", SHAPE_KEYS_KEY, i);
	}
	batch_init(&f->batch, parquet_reader_schema(f->reader));
	f->batch.may_be_coded = true;
	f->has_batch = true;
	*ret = f;
	f = NULL;
	return RC_OK;
}

void scan_file_close(struct scan_file *f)
{
	if (!f)
		return;
	renderer_free(f->renderer);
	if (f->has_batch)
		batch_free(&f->batch);
	parquet_reader_free(f->reader);
	file_close(f->fd);
	free(f->name);
	free(f);
}

rc_t scan_file_times(struct scan_file *f, uint32_t group, int64_t *ret_min, int64_t *ret_max, struct err *reterr)
{
	*ret_min = INT64_MIN;
	*ret_max = INT64_MAX;
	const struct field *time = schema_by_role(parquet_reader_schema(f->reader), ROLE_TIME);
	if (!time)
		return RC_OK;
	struct parquet_leaf_stats stats;
	TRY(parquet_reader_leaf_stats(f->reader, group, time, &stats, reterr));
	if (stats.min.len == 8 && stats.max.len == 8) {
		memcpy(ret_min, stats.min.data, 8);
		memcpy(ret_max, stats.max.data, 8);
	}
	return RC_OK;
}

rc_t scan_file_rows(struct scan_file *f, uint32_t group, int64_t from, int64_t to, uint32_t *ret_from, uint32_t *ret_to, struct err *reterr)
{
	*ret_from = 0;
	*ret_to = (uint32_t)parquet_reader_row_group_rows(f->reader, group);
	const struct field *time = schema_by_role(parquet_reader_schema(f->reader), ROLE_TIME);
	/* an event without time counts as one of time 0 */
	if (!time || (time->type != TYPE_TIMESTAMPTZ && time->type != TYPE_TIMESTAMP) || (from <= 0 && to > 0))
		return RC_OK;
	const struct slice first = slice_of((const uint8_t *)&from, sizeof from), end = slice_of((const uint8_t *)&to, sizeof to);
	const struct parquet_predicate inside[] = { { time, PARQUET_MORE_EQUAL, &first, 1 }, { time, PARQUET_LESS, &end, 1 } };
	struct parquet_ranges ranges = { 0 };
	rc_t rc = parquet_reader_prune(f->reader, group, inside, 2, &ranges, reterr);
	if (rc != RC_OK) {
		err_prefix(reterr, "%s", f->name);
		return rc;
	}
	*ret_from = ranges.count ? ranges.items[0].from : 0;
	*ret_to = ranges.count ? ranges.items[ranges.count - 1].to : 0;
	parquet_ranges_clear(&ranges);
	return RC_OK;
}

/* The rows from f->next on, fewer of them for as long as they are too many bytes for the reader. */
static rc_t load_step(struct scan_file *f, struct err *reterr)
{
	const struct schema *schema = parquet_reader_schema(f->reader);
	const struct field *fields[5];
	size_t n = 0;
	static const enum role roles[] = { ROLE_TIME, ROLE_POS };
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		const struct field *field = schema_by_role(schema, roles[i]);
		if (field)
			fields[n++] = field;
	}
	for (;;) {
		uint32_t to = f->to - f->next > f->step ? f->next + f->step : f->to;
		rc_t rc = parquet_reader_read(f->reader, f->group, f->payloads ? NULL : fields, f->payloads ? 0 : n, f->next, to, &f->batch, reterr);
		if (rc == RC_LIMIT && to - f->next > 1) {
			f->step = (to - f->next) / 2;
			continue;
		}
		if (rc != RC_OK) {
			err_prefix(reterr, "%s", f->name);
			return rc;
		}
		f->first = f->next;
		f->next = to;
		break;
	}
	f->row = 0;
	cursor_bind(f, &f->time, ROLE_TIME, TYPE_TIMESTAMPTZ);
	cursor_bind(f, &f->received, ROLE_RECEIVED, TYPE_TIMESTAMPTZ);
	cursor_bind(f, &f->pos, ROLE_POS, TYPE_INT64);
	cursor_bind(f, &f->source, ROLE_SOURCE, TYPE_STRING);
	bind_reason(f);
	if (f->payloads)
		renderer_begin(f->renderer, &f->batch);
	return RC_OK;
}

rc_t scan_file_load(struct scan_file *f, uint32_t group, uint32_t row_from, uint32_t row_to, bool payloads, struct err *reterr)
{
	int64_t rows = parquet_reader_row_group_rows(f->reader, group), bytes = parquet_reader_row_group_bytes(f->reader, group);
	size_t aim = f->decode_bytes ? f->decode_bytes / 4 : STEP_BYTES;
	f->group = group;
	f->to = (int64_t)row_to < rows ? row_to : rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
	f->from = row_from < f->to ? row_from : f->to;
	f->first = f->next = f->from;
	f->payloads = payloads;
	f->step = UINT32_MAX;
	if (payloads && bytes > 0 && rows > 0 && (uint64_t)bytes > aim)
		f->step = (uint32_t)((double)rows * (double)aim / (double)bytes);
	f->step = f->step ? f->step : 1;
	return load_step(f, reterr);
}

/* The value's index in the cursor's slot, which is `row`; UINT32_MAX if it is null. Rows come in order. */
static uint32_t cursor_next(struct cursor *c)
{
	if (!c->column)
		return UINT32_MAX;
	return column_is_present(c->column, c->slot++) ? c->value++ : UINT32_MAX;
}

static int64_t cursor_i64(struct cursor *c)
{
	uint32_t v = cursor_next(c);
	return v == UINT32_MAX ? 0 : column_i64_at(c->column, v);
}

static struct slice cursor_bytes(struct cursor *c)
{
	uint32_t v = cursor_next(c);
	return v == UINT32_MAX ? (struct slice){ 0 } : column_bytes_at(c->column, v);
}

rc_t scan_file_row(struct scan_file *f, struct scan_row *ret, uint32_t *ret_row, struct err *reterr)
{
	if (f->row >= f->batch.rows) {
		if (f->next >= f->to)
			return RC_EOF;
		TRY(load_step(f, reterr));
	}
	*ret_row = f->first - f->from + f->row++;
	ret->time = cursor_i64(&f->time);
	ret->received = cursor_i64(&f->received);
	ret->pos = cursor_i64(&f->pos);
	ret->source = cursor_bytes(&f->source);
	ret->reason = cursor_bytes(&f->reason);
	ret->payload = (struct slice){ 0 };
	ret->foreign = false;
	return RC_OK;
}

/* ---- payloads ---- */

struct shapes_ctx {
	struct scan_file *f;
	struct store *store;
};

static rc_t add_shape_blob(void *ctx, const struct store_entry *entry, struct err *reterr)
{
	struct shapes_ctx *c = ctx;
	AUTO_BUF struct buf blob;
	buf_init(&blob, SHAPE_BLOB_MAX);
	TRY(store_get(c->store, entry->key, &blob, reterr));
	return renderer_add_keys(c->f->renderer, buf_slice(&blob), reterr);
}

static rc_t load_shapes(struct scan_file *f, struct err *reterr)
{
	f->shapes_loaded = true;
	AUTO_MEM char *folder = table_key(f->table, "_shapes");
	struct shapes_ctx ctx = { f, table_store(f->table) };
	return store_list(ctx.store, folder, add_shape_blob, &ctx, reterr);
}

bool scan_file_of_others(const struct scan_file *f)
{
	return !parquet_reader_metadata(f->reader, SCHEMA_NOTES_KEY).data;
}

rc_t scan_file_payload(struct scan_file *f, uint32_t row, struct buf *out, bool *ret_foreign, struct err *reterr)
{
	size_t before = out->len;
	row -= f->first - f->from;
	rc_t rc = renderer_row(f->renderer, row, out, reterr);
	if (rc == RC_NOT_FOUND && f->table && !f->shapes_loaded) {
		out->len = before;
		TRY(load_shapes(f, reterr));
		rc = renderer_row(f->renderer, row, out, reterr);
	}
	*ret_foreign = rc == RC_UNSUPPORTED;
	if (*ret_foreign)
		rc = renderer_columns(f->renderer, row, out, reterr);
	if (rc == RC_OK && out->overflow)
		rc = err_set(reterr, RC_LIMIT, "the payload is larger than %zu bytes", out->max);
	if (rc != RC_OK)
		err_prefix(reterr, "%s, row %u", f->name, f->first + row);
	return rc;
}

/* ---- counting, restoring ---- */

static bool parse_claim(struct slice text, struct scan_count *ret)
{
	char copy[80];
	unsigned long long rows, hi, lo;
	snprintf(copy, sizeof copy, "%.*s", SLICE_ARG(text));
	if (sscanf(copy, "%llu:%16llx%16llx", &rows, &hi, &lo) != 3)
		return false;
	ret->claimed_rows = rows;
	ret->claimed_hash = (struct hash128){ .lo = lo, .hi = hi };
	return true;
}

rc_t scan_count_file(struct store *store, struct table *table, const char *key, struct scan_count *ret, struct err *reterr)
{
	*ret = (struct scan_count){ 0 };
	AUTO(scan_file) *f = NULL;
	TRY(scan_file_open(store, key, table, 0, &f, reterr));
	ret->of_others = scan_file_of_others(f);
	ret->claimed = parse_claim(parquet_reader_metadata(f->reader, "hydrant.count"), ret);
	AUTO_BUF struct buf payload;
	buf_init(&payload, BUF_MAX_DEFAULT);
	for (uint32_t g = 0; g < parquet_reader_row_group_count(f->reader); g++) {
		TRY(scan_file_load(f, g, 0, UINT32_MAX, true, reterr));
		struct scan_row row;
		uint32_t number;
		rc_t rc;
		while ((rc = scan_file_row(f, &row, &number, reterr)) == RC_OK) {
			buf_reset(&payload);
			TRY(scan_file_payload(f, number, &payload, &row.foreign, reterr));
			if (!row.foreign)
				hash128_add(&ret->hash, hash128(buf_slice(&payload)));
			ret->foreign += row.foreign;
			ret->rows++;
		}
		if (rc != RC_EOF)
			return rc;
	}
	return RC_OK;
}
