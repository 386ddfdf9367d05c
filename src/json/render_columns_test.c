#include "base/test.h"

#include "json/render.h"

static struct column *column_named(struct batch *b, const struct schema *s, const char *name)
{
	return batch_column(b, field_child(s->root, slice_str(name)));
}

static void put(struct batch *b, const struct schema *s, const char *name, const void *value, size_t width)
{
	column_put_fixed(column_named(b, s, name), 1, value, width);
}

TEST(a_row_of_another_program_is_its_columns_with_values_by_their_keys)
{
	struct err err;
	AUTO(schema) *s = schema_new();
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	schema_add(s, NULL, SLICE_LIT("user_agent"), TYPE_STRING)->key = SLICE_LIT("user-agent");
	schema_add(s, NULL, SLICE_LIT("never"), TYPE_INT64);
	schema_add(s, NULL, SLICE_LIT("at"), TYPE_TIMESTAMPTZ);
	schema_add(s, NULL, SLICE_LIT("day"), TYPE_DATE);
	schema_add(s, NULL, SLICE_LIT("f"), TYPE_FLOAT);
	schema_add(s, NULL, SLICE_LIT("b"), TYPE_BINARY);
	schema_add(s, NULL, SLICE_LIT("j"), TYPE_STRING)->format = FORMAT_JSON;
	struct field *price = schema_add(s, NULL, SLICE_LIT("price"), TYPE_DECIMAL), *o = schema_add(s, NULL, SLICE_LIT("o"), TYPE_STRUCT),
		     *l = schema_add(s, NULL, SLICE_LIT("l"), TYPE_LIST), *m = schema_add(s, NULL, SLICE_LIT("m"), TYPE_MAP);
	price->precision = 10, price->scale = 2;
	schema_add(s, o, SLICE_LIT("__x"), TYPE_BOOL);
	schema_add(s, l, SLICE_LIT("element"), TYPE_INT64);
	schema_add(s, m, SLICE_LIT("key"), TYPE_INT32);
	schema_add(s, m, SLICE_LIT("value"), TYPE_DOUBLE);
	for (uint32_t i = 0; i < s->root->child_count; i++)
		if (!s->root->children[i]->key.len && s->root->children[i]->role == ROLE_PAYLOAD)
			s->root->children[i]->key = s->root->children[i]->name;
	struct batch b;
	batch_init(&b, s);
	const int64_t us = -62135596800000000, cents = 1250, seven = 7;
	const int32_t day = -1, key = 5;
	const float tenth = 0.1f;
	const double half = 0.5;
	put(&b, s, "__time", &us, 8);
	put(&b, s, "at", &us, 8);
	put(&b, s, "day", &day, 4);
	put(&b, s, "f", &tenth, 4);
	put(&b, s, "price", &cents, 8);
	column_put_bytes(column_named(&b, s, "user_agent"), 1, SLICE_LIT("a\"b\n"));
	column_put_bytes(column_named(&b, s, "b"), 1, slice_of((const uint8_t *)"a\0", 2));
	column_put_bytes(column_named(&b, s, "j"), 1, SLICE_LIT("[1, 2]"));
	column_mark(column_named(&b, s, "o"), 1);
	column_put_fixed(&column_named(&b, s, "o")->children[0], 0, "\1", 1);
	struct column *list = column_named(&b, s, "l"), *map = column_named(&b, s, "m");
	column_list_begin(list, 1);
	column_put_fixed(&list->children[0], column_list_extend(list), &seven, 8);
	column_list_extend(list); /* null */
	column_list_begin(map, 1);
	column_list_extend(map);
	column_put_fixed(&map->children[0], 0, &key, 4);
	column_put_fixed(&map->children[1], 0, &half, 8);
	b.rows = 2;
	batch_seal(&b);
	AUTO(renderer) *r = renderer_new(s);
	renderer_begin(r, &b);
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 16);
	CHECK_RC(renderer_row(r, 1, &out, &err), RC_UNSUPPORTED);
	CHECK_OK(renderer_columns(r, 1, &out, &err), err);
	CHECK_SLICE(buf_slice(&out), SLICE_LIT("{\"user-agent\":\"a\\\"b\\n\",\"at\":\"0001-01-01T00:00:00Z\",\"day\":\"1969-12-31\",\"f\":0.1,\"b\":\"a\\\\x00\","
					       "\"j\":[1, 2],\"price\":12.50,\"o\":{\"__x\":true},\"l\":[7,null],\"m\":{\"5\":0.5}}"));
	buf_reset(&out);
	CHECK_OK(renderer_columns(r, 0, &out, &err), err);
	CHECK_SLICE(buf_slice(&out), SLICE_LIT("{}"));
	struct buf tight;
	buf_init(&tight, 10);
	CHECK_RC(renderer_columns(r, 1, &tight, &err), RC_LIMIT);
	buf_free(&tight);
	batch_free(&b);
}

TEST_MAIN()
