/* What another program took away from a file of ours that it wrote anew with our notes still in it: without a word, a row's value that stood in a
 * column that has gone, or that has a type no JSON value goes to, would be restored as null. */
#include <stdio.h>

#include "parquet/writer.h"
#include "scan/scan_internal.h"

static int by_id(const void *a, const void *b)
{
	const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Is it, or what it is in, a part of the payload? */
static bool is_payload(const struct field *f)
{
	while (f->parent && f->parent->parent)
		f = f->parent;
	return f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING || f->role == ROLE_VALUE;
}

static bool is_retyped(const struct field *f)
{
	switch (f->type) {
	case TYPE_INT32:
	case TYPE_FLOAT:
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_BINARY:
	case TYPE_FIXED:
	case TYPE_UUID:
		return is_payload(f);
	default:
		return false;
	}
}

static rc_t gone(const struct scan_file *f, int32_t id, struct err *reterr)
{
	const struct field *known = f->table ? schema_by_id(table_schema(f->table), id) : NULL;
	char path[200];
	if (known)
		field_path(known, path, sizeof path);
	else
		snprintf(path, sizeof path, "of field id %d", id);
	return err_set(reterr, RC_CORRUPT, "column %s is gone: another program wrote the file anew without it, so its rows cannot be restored", path);
}

static rc_t check_leaf(const struct scan_file *f, struct field *const *leaves, size_t n, int32_t id, struct err *reterr)
{
	const struct field key = { .id = id }, *want = &key;
	struct field *const *found = n ? bsearch(&want, leaves, n, sizeof *leaves, by_id) : NULL;
	if (!found)
		return gone(f, id, reterr);
	if (!is_retyped(*found))
		return RC_OK;
	char path[200], type[32];
	field_path(*found, path, sizeof path);
	type_name(*found, type);
	return err_set(reterr, RC_CORRUPT, "column %s is of type %s: another program wrote the file anew and changed it, so its rows cannot be restored", path, type);
}

/* "1-25,27": each of them must be there. It ends at the first that is not, so hostile ranges cost nothing. */
static rc_t check_list(const struct scan_file *f, struct slice list, struct field *const *leaves, size_t n, struct err *reterr)
{
	int64_t from = 0, to = 0;
	bool range = false;
	for (size_t i = 0; i <= list.len; i++) {
		uint8_t c = i < list.len ? list.data[i] : ',';
		if (c >= '0' && c <= '9') {
			to = to * 10 + (c - '0');
		} else if (c == '-' && !range) {
			from = to;
			to = 0;
			range = true;
		} else if (c == ',') {
			for (int64_t id = range ? from : to; id <= to && to <= INT32_MAX; id++)
				TRY(check_leaf(f, leaves, n, (int32_t)id, reterr));
			to = 0;
			range = false;
		}
		if (to > INT32_MAX || (c != ',' && c != '-' && (c < '0' || c > '9')))
			return err_set(reterr, RC_CORRUPT, "%s: no list of field ids", PARQUET_COLUMNS_KEY);
	}
	return RC_OK;
}

rc_t scan_file_check_columns(const struct scan_file *f, struct err *reterr)
{
	const struct slice list = parquet_reader_metadata(f->reader, PARQUET_COLUMNS_KEY);
	if (!list.len)
		return RC_OK;
	const struct schema *schema = parquet_reader_schema(f->reader);
	struct field **leaves = mem_alloc(((size_t)schema->field_count + 1) * sizeof *leaves);
	size_t n = 0;
	for (struct field *at = schema->root; (at = field_next(schema->root, at)) && at != schema->root;)
		if (!type_is_nested(at->type) && at->id && n < schema->field_count)
			leaves[n++] = at;
	if (n)
		qsort(leaves, n, sizeof *leaves, by_id);
	rc_t rc = check_list(f, list, leaves, n, reterr);
	free(leaves);
	return rc;
}
