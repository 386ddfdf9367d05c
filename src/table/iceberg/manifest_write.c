#include <stdio.h>

#include "table/iceberg/manifest_internal.h"

/* Field ids: spec v2, table "manifest_entry" and "data_file". %s: name, %d: id of the one partition field, a day (date). */
#define MAP(name, id, k, v, type)                                                                                               \
	"{\"name\":\"" name "\",\"field-id\":" id ",\"default\":null,\"type\":[\"null\",{\"type\":\"array\",\"logicalType\":\"map\"," \
	"\"items\":{\"type\":\"record\",\"name\":\"k" k "_v" v "\",\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\":" k  \
	"},{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" v "}]}}]},"
#define OPTIONAL(name, id, type) "{\"name\":\"" name "\",\"field-id\":" id ",\"default\":null,\"type\":[\"null\"," type "]}"
#define REQUIRED(name, id, type) "{\"name\":\"" name "\",\"field-id\":" id ",\"type\":" type "}"

static const char entry_schema[] =
	"{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
	REQUIRED("status", "0", "\"int\"") "," OPTIONAL("snapshot_id", "1", "\"long\"") "," OPTIONAL("sequence_number", "3", "\"long\"") ","
	OPTIONAL("file_sequence_number", "4", "\"long\"") ","
	"{\"name\":\"data_file\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
	REQUIRED("content", "134", "\"int\"") "," REQUIRED("file_path", "100", "\"string\"") "," REQUIRED("file_format", "101", "\"string\"") ","
	"{\"name\":\"partition\",\"field-id\":102,\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":["
	"{\"name\":\"%s\",\"field-id\":%d,\"default\":null,\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}]}]}},"
	REQUIRED("record_count", "103", "\"long\"") "," REQUIRED("file_size_in_bytes", "104", "\"long\"") ","
	MAP("column_sizes", "108", "117", "118", "long") MAP("value_counts", "109", "119", "120", "long")
	MAP("null_value_counts", "110", "121", "122", "long") MAP("nan_value_counts", "137", "138", "139", "long")
	MAP("lower_bounds", "125", "126", "127", "bytes") MAP("upper_bounds", "128", "129", "130", "bytes")
	OPTIONAL("key_metadata", "131", "\"bytes\"") ","
	OPTIONAL("split_offsets", "132", "{\"type\":\"array\",\"items\":\"long\",\"element-id\":133}") ","
	OPTIONAL("equality_ids", "135", "{\"type\":\"array\",\"items\":\"int\",\"element-id\":136}") ","
	OPTIONAL("sort_order_id", "140", "\"int\"") "]}}]}";

/* Table "manifest_file". */
static const char list_schema[] =
	"{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
	REQUIRED("manifest_path", "500", "\"string\"") "," REQUIRED("manifest_length", "501", "\"long\"") ","
	REQUIRED("partition_spec_id", "502", "\"int\"") "," REQUIRED("content", "517", "\"int\"") ","
	REQUIRED("sequence_number", "515", "\"long\"") "," REQUIRED("min_sequence_number", "516", "\"long\"") ","
	REQUIRED("added_snapshot_id", "503", "\"long\"") "," REQUIRED("added_files_count", "504", "\"int\"") ","
	REQUIRED("existing_files_count", "505", "\"int\"") "," REQUIRED("deleted_files_count", "506", "\"int\"") ","
	REQUIRED("added_rows_count", "512", "\"long\"") "," REQUIRED("existing_rows_count", "513", "\"long\"") ","
	REQUIRED("deleted_rows_count", "514", "\"long\"") ","
	"{\"name\":\"partitions\",\"field-id\":507,\"default\":null,\"type\":[\"null\",{\"type\":\"array\",\"element-id\":508,\"items\":"
	"{\"type\":\"record\",\"name\":\"r508\",\"fields\":[" REQUIRED("contains_null", "509", "\"boolean\"") ","
	OPTIONAL("contains_nan", "518", "\"boolean\"") "," OPTIONAL("lower_bound", "510", "\"bytes\"") ","
	OPTIONAL("upper_bound", "511", "\"bytes\"") "]}}]}," OPTIONAL("key_metadata", "519", "\"bytes\"") "]}";

void manifest_list_init(struct manifest_list *l)
{
	*l = (struct manifest_list){ 0 };
	arena_init(&l->arena);
}

void manifest_list_free(struct manifest_list *l)
{
	arena_free(&l->arena);
	free(l->items);
	*l = (struct manifest_list){ 0 };
	arena_init(&l->arena);
}

/* arena_copy that keeps "empty" apart from "none". */
static struct slice keep(struct arena *a, struct slice s)
{
	if (!s.data)
		return s;
	uint8_t *p = arena_alloc(a, s.len + 1);
	if (s.len)
		memcpy(p, s.data, s.len);
	return slice_of(p, s.len);
}

struct manifest *manifest_list_add(struct manifest_list *l, const struct manifest *m)
{
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->items = mem_realloc(l->items, l->cap * sizeof *l->items);
	}
	struct manifest *to = &l->items[l->count++];
	*to = *m;
	to->path = keep(&l->arena, m->path);
	to->key_metadata = keep(&l->arena, m->key_metadata);
	if (m->summaries) {
		struct manifest_summary *s = arena_alloc(&l->arena, m->summary_count * sizeof *s);
		for (uint32_t i = 0; i < m->summary_count; i++) {
			s[i] = m->summaries[i];
			s[i].lower = keep(&l->arena, s[i].lower);
			s[i].upper = keep(&l->arena, s[i].upper);
		}
		to->summaries = s;
	}
	return to;
}

static void put_manifest(struct buf *b, const struct manifest *m)
{
	avro_put_bytes(b, m->path);
	avro_put_long(b, m->length);
	avro_put_long(b, m->spec_id);
	avro_put_long(b, m->content);
	avro_put_long(b, m->sequence);
	avro_put_long(b, m->min_sequence);
	avro_put_long(b, m->snapshot_id);
	for (int i = 0; i < 3; i++)
		avro_put_long(b, m->files[i]);
	for (int i = 0; i < 3; i++)
		avro_put_long(b, m->rows[i]);
	avro_put_branch(b, m->summaries != NULL);
	if (m->summaries) {
		if (m->summary_count)
			avro_put_long(b, m->summary_count);
		for (uint32_t i = 0; i < m->summary_count; i++) {
			const struct manifest_summary *s = &m->summaries[i];
			buf_byte(b, s->contains_null);
			avro_put_branch(b, s->contains_nan >= 0);
			if (s->contains_nan >= 0)
				buf_byte(b, (uint8_t)s->contains_nan);
			avro_put_optional_bytes(b, s->lower);
			avro_put_optional_bytes(b, s->upper);
		}
		avro_put_long(b, 0);
	}
	avro_put_optional_bytes(b, m->key_metadata);
}

rc_t manifest_list_write(const struct manifest_list *l, int64_t snapshot_id, int64_t parent_id, int64_t sequence, const uint8_t sync[16],
			 struct buf *ret, struct err *reterr)
{
	char id[32], parent[32], seq[32];
	snprintf(id, sizeof id, "%lld", (long long)snapshot_id);
	snprintf(parent, sizeof parent, "%lld", (long long)parent_id);
	snprintf(seq, sizeof seq, "%lld", (long long)sequence);
	const struct avro_meta_pair meta[] = { { "format-version", SLICE_LIT("2") },
					       { "snapshot-id", slice_str(id) },
					       { "sequence-number", slice_str(seq) },
					       { "parent-snapshot-id", parent_id < 0 ? SLICE_LIT("null") : slice_str(parent) } };
	struct avro_writer w;
	avro_writer_init(&w, sync, slice_str(list_schema), meta, 4);
	for (size_t i = 0; i < l->count; i++) {
		put_manifest(&w.block, &l->items[i]);
		avro_writer_end_record(&w);
	}
	rc_t rc = avro_writer_finish(&w, reterr);
	if (rc == RC_OK)
		buf_append_slice(ret, buf_slice(&w.out));
	avro_writer_free(&w);
	return rc;
}

void manifest_writer_init(struct manifest_writer *w, const struct manifest_spec *spec, int64_t snapshot_id, const uint8_t sync[16])
{
	*w = (struct manifest_writer){ .day_min = INT32_MAX, .day_max = INT32_MIN };
	w->sum = (struct manifest){ .spec_id = spec->id, .snapshot_id = snapshot_id, .min_sequence = INT64_MAX };
	AUTO_MEM char *schema = mem_printf(entry_schema, spec->field_name, spec->field_id);
	AUTO_MEM char *fields = mem_printf("[{\"name\":\"%s\",\"transform\":\"day\",\"source-id\":%d,\"field-id\":%d}]", spec->field_name,
					   spec->source_id, spec->field_id);
	char schema_id[16], spec_id[16];
	snprintf(schema_id, sizeof schema_id, "%d", spec->schema_id);
	snprintf(spec_id, sizeof spec_id, "%d", spec->id);
	const struct avro_meta_pair meta[] = { { "schema", slice_str(spec->schema_json) },
					       { "schema-id", slice_str(schema_id) },
					       { "partition-spec", slice_str(fields) },
					       { "partition-spec-id", slice_str(spec_id) },
					       { "format-version", SLICE_LIT("2") },
					       { "content", SLICE_LIT("data") } };
	avro_writer_init(&w->avro, sync, slice_str(schema), meta, 6);
}

void manifest_writer_free(struct manifest_writer *w)
{
	avro_writer_free(&w->avro);
}

/* The metrics maps, one entry for each column that `use` names and that has the value. */
static void put_counts(struct buf *b, const struct data_file *f, size_t offset)
{
	uint32_t n = 0;
	for (size_t i = 0; i < f->column_count; i++)
		n += *(const int64_t *)((const char *)&f->columns[i] + offset) >= 0;
	avro_put_branch(b, n > 0);
	if (!n)
		return;
	avro_put_long(b, n);
	for (size_t i = 0; i < f->column_count; i++) {
		int64_t v = *(const int64_t *)((const char *)&f->columns[i] + offset);
		if (v < 0)
			continue;
		avro_put_long(b, f->columns[i].id);
		avro_put_long(b, v);
	}
	avro_put_long(b, 0);
}

static void put_bounds(struct buf *b, const struct data_file *f, size_t offset)
{
	uint32_t n = 0;
	for (size_t i = 0; i < f->column_count; i++)
		n += ((const struct slice *)((const char *)&f->columns[i] + offset))->data != NULL;
	avro_put_branch(b, n > 0);
	if (!n)
		return;
	avro_put_long(b, n);
	for (size_t i = 0; i < f->column_count; i++) {
		const struct slice *v = (const struct slice *)((const char *)&f->columns[i] + offset);
		if (!v->data)
			continue;
		avro_put_long(b, f->columns[i].id);
		avro_put_bytes(b, *v);
	}
	avro_put_long(b, 0);
}

static void put_data_file(struct manifest_writer *w, struct slice path, const struct data_file *f)
{
	struct buf *b = &w->avro.block;
	avro_put_long(b, 0);
	avro_put_bytes(b, path);
	avro_put_bytes(b, SLICE_LIT("PARQUET"));
	avro_put_optional_long(b, f->day != TABLE_DAY_NONE, f->day);
	avro_put_long(b, f->record_count);
	avro_put_long(b, f->file_size);
	put_counts(b, f, offsetof(struct data_column, column_size));
	put_counts(b, f, offsetof(struct data_column, value_count));
	put_counts(b, f, offsetof(struct data_column, null_count));
	put_counts(b, f, offsetof(struct data_column, nan_count));
	put_bounds(b, f, offsetof(struct data_column, lower));
	put_bounds(b, f, offsetof(struct data_column, upper));
	avro_put_branch(b, false);
	avro_put_branch(b, f->split_count > 0);
	if (f->split_count) {
		avro_put_long(b, (int64_t)f->split_count);
		for (size_t i = 0; i < f->split_count; i++)
			avro_put_long(b, f->split_offsets[i]);
		avro_put_long(b, 0);
	}
	avro_put_branch(b, false);
	avro_put_optional_long(b, true, f->sort_order);
	avro_writer_end_record(&w->avro);
	if (f->day == TABLE_DAY_NONE) {
		w->any_null = true;
	} else {
		w->day_min = f->day < w->day_min ? f->day : w->day_min;
		w->day_max = f->day > w->day_max ? f->day : w->day_max;
	}
}

/* What stands before an entry's data file; old: as it was, NULL: it has just been added. */
static void put_entry(struct manifest_writer *w, enum entry_status status, int64_t snapshot_id, const struct manifest_entry *old, int64_t rows)
{
	struct buf *b = &w->avro.block;
	unsigned at = status == ENTRY_ADDED ? 0 : status == ENTRY_EXISTING ? 1 : 2;
	avro_put_long(b, status);
	avro_put_optional_long(b, true, snapshot_id);
	avro_put_optional_long(b, old, old ? old->file.sequence : 0);
	avro_put_optional_long(b, old, old ? old->file_sequence : 0);
	w->sum.files[at]++;
	w->sum.rows[at] += rows;
}

void manifest_writer_add(struct manifest_writer *w, struct slice path, const struct data_file *f, const struct schema *schema,
			 const int32_t *ids, size_t id_count)
{
	struct data_column columns[TABLE_BOUNDS_MAX];
	uint8_t cut[TABLE_BOUNDS_MAX][2][TABLE_BOUND_BYTES];
	struct data_file kept = *f;
	kept.columns = columns;
	kept.column_count = 0;
	for (size_t i = 0; i < f->column_count; i++) {
		size_t k = 0, n = kept.column_count;
		while (k < id_count && ids[k] != f->columns[i].id)
			k++;
		const struct field *field = k < id_count && n < TABLE_BOUNDS_MAX ? schema_by_id(schema, ids[k]) : NULL;
		if (!field)
			continue;
		columns[n] = f->columns[i];
		columns[n].lower = bound_cut(field, columns[n].lower, false, cut[n][0]);
		columns[n].upper = bound_cut(field, columns[n].upper, true, cut[n][1]);
		kept.column_count++;
	}
	put_entry(w, ENTRY_ADDED, w->sum.snapshot_id, NULL, f->record_count);
	put_data_file(w, path, &kept);
}

void manifest_writer_carry(struct manifest_writer *w, const struct manifest_entry *e)
{
	put_entry(w, ENTRY_EXISTING, e->file.snapshot_id, e, e->file.record_count);
	put_data_file(w, e->path, &e->file);
	if (e->file.sequence < w->sum.min_sequence)
		w->sum.min_sequence = e->file.sequence;
}

void manifest_writer_delete(struct manifest_writer *w, const struct manifest_entry *e)
{
	put_entry(w, ENTRY_DELETED, w->sum.snapshot_id, e, e->file.record_count);
	put_data_file(w, e->path, &e->file);
}

rc_t manifest_writer_finish(struct manifest_writer *w, struct err *reterr)
{
	TRY(avro_writer_finish(&w->avro, reterr));
	w->sum.length = (int64_t)w->avro.out.len;
	w->summary = (struct manifest_summary){ .contains_null = w->any_null, .contains_nan = 0 };
	if (w->day_min <= w->day_max) {
		memcpy(w->bounds, &w->day_min, 4);
		memcpy(w->bounds + 4, &w->day_max, 4);
		w->summary.lower = slice_of(w->bounds, 4);
		w->summary.upper = slice_of(w->bounds + 4, 4);
	}
	w->sum.summaries = &w->summary;
	w->sum.summary_count = 1;
	return RC_OK;
}
