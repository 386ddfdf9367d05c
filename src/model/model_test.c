#include "base/test.h"
#include "model/column.h"
#include "model/event.h"
#include "model/schema.h"

TEST(ids_are_given_breadth_first_and_never_again)
{
	AUTO(schema) *s = schema_new();
	struct field *a = schema_add(s, NULL, SLICE_LIT("a"), TYPE_STRUCT);
	struct field *x = schema_add(s, a, SLICE_LIT("x"), TYPE_INT64);
	struct field *b = schema_add(s, NULL, SLICE_LIT("b"), TYPE_STRING);
	schema_assign_ids(s);
	CHECK(a->id == 1 && b->id == 2 && x->id == 3);
	struct field *y = schema_add(s, a, SLICE_LIT("y"), TYPE_DOUBLE);
	schema_assign_ids(s);
	CHECK(y->id == 4 && x->id == 3);
	AUTO(schema) *copy = schema_copy(s);
	CHECK(schema_equal(s, copy));
	char path[64];
	field_path(schema_by_id(copy, 4), path, sizeof path);
	CHECK_STR(path, "a.y");
}

TEST(type_names_round_trip)
{
	struct err err;
	struct field f = { .type = TYPE_DECIMAL, .precision = 18, .scale = 3 }, g = { 0 };
	char name[32];
	type_name(&f, name);
	CHECK_OK(type_parse(slice_str(name), &g, &err), err);
	CHECK(g.type == TYPE_DECIMAL && g.precision == 18 && g.scale == 3);
	CHECK_OK(type_parse(SLICE_LIT("decimal(9,2)"), &g, &err), err);
	CHECK_RC(type_parse(SLICE_LIT("decimal(40,2)"), &g, &err), RC_UNSUPPORTED);
	CHECK_RC(type_parse(SLICE_LIT("variant"), &g, &err), RC_UNSUPPORTED);
}

TEST(sparse_columns_are_padded_when_sealed)
{
	AUTO(schema) *s = schema_new();
	schema_add(s, NULL, SLICE_LIT("a"), TYPE_STRING);
	struct field *l = schema_add(s, NULL, SLICE_LIT("l"), TYPE_LIST);
	schema_add(s, l, SLICE_LIT("element"), TYPE_INT64);
	struct batch b;
	batch_init(&b, s);
	struct column *a = &b.root.children[0], *list = &b.root.children[1];
	column_put_bytes(a, 70, SLICE_LIT("hello"));
	column_list_begin(list, 3);
	for (int64_t v = 1; v <= 2; v++)
		column_put_fixed(&list->children[0], column_list_extend(list), &v, 8);
	column_list_begin(list, 5);
	b.rows = 200;
	schema_add(s, NULL, SLICE_LIT("late"), TYPE_INT64);
	batch_adopt_schema(&b);
	batch_seal(&b);
	a = &b.root.children[0], list = &b.root.children[1];
	CHECK(a->slots == 200 && a->values == 1 && column_is_present(a, 70) && !column_is_present(a, 69) && !column_is_present(a, 199));
	CHECK_SLICE(column_bytes_at(a, 0), SLICE_LIT("hello"));
	CHECK(list->values == 2 && list->offsets[1] == 2 && list->offsets[2] == 2);
	CHECK(list->children[0].slots == 2 && column_i64_at(&list->children[0], 1) == 2);
	CHECK(b.root.children[2].slots == 200 && b.root.children[2].values == 0);
	batch_reset(&b);
	column_put_bytes(&b.root.children[0], 0, SLICE_LIT("x"));
	b.rows = 100;
	batch_seal(&b);
	CHECK(!column_is_present(&b.root.children[0], 70));
	batch_free(&b);
}

TEST(collection_names_follow_the_contract)
{
	CHECK(collection_name_valid(SLICE_LIT("trail")));
	CHECK(collection_name_valid(SLICE_LIT("a_1_b")));
	CHECK(collection_name_valid(SLICE_LIT("trail__quarantine")));
	CHECK(!collection_name_valid(SLICE_LIT("Trail")));
	CHECK(!collection_name_valid(SLICE_LIT("a__b")));
	CHECK(!collection_name_valid(SLICE_LIT("_a")));
	CHECK(!collection_name_valid(SLICE_LIT("../x")));
	CHECK(!collection_name_valid(SLICE_LIT("")));
	CHECK(!collection_name_valid(SLICE_LIT("__quarantine")));
	CHECK(!collection_name_valid(SLICE_LIT("a234567890123456789012345678901234567890123456789012345678901234")));
}

TEST_MAIN()
