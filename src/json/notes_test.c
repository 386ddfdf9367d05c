#include "base/test.h"

#include "json/notes.h"

static struct schema *sample(void)
{
	struct schema *s = schema_new();
	struct field *f = schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ);
	f->role = ROLE_TIME;
	f->key = SLICE_LIT("eventTime");
	f = schema_add(s, NULL, SLICE_LIT("user_agent"), TYPE_STRING);
	f->key = SLICE_LIT("user-\"agent\"\xc3\xa9\n");
	f = schema_add(s, NULL, SLICE_LIT("_"), TYPE_STRUCT);
	f = schema_add(s, f, SLICE_LIT("l"), TYPE_LIST);
	f->key = SLICE_LIT("l");
	f = schema_add(s, f, SLICE_LIT("element"), TYPE_DOUBLE);
	f->format = FORMAT_DOUBLE_DOT;
	f = schema_add(s, NULL, SLICE_LIT("x__json"), TYPE_STRING);
	f->role = ROLE_SIBLING;
	f->format = FORMAT_JSON;
	f->key = SLICE_LIT("x");
	return s;
}

static bool same(const struct field *a, const struct field *b)
{
	if (a->role != b->role || a->format != b->format || !slice_eq(a->key, b->key))
		return false;
	for (uint32_t i = 0; i < a->child_count; i++)
		if (!same(a->children[i], b->children[i]))
			return false;
	return true;
}

static void forget(struct field *f)
{
	f->role = f->format = 0;
	f->key = SLICE_LIT("?");
	for (uint32_t i = 0; i < f->child_count; i++)
		forget(f->children[i]);
}

TEST(notes_give_keys_roles_and_formats_back_with_and_without_ids)
{
	for (int ids = 0; ids < 2; ids++) {
		struct err err;
		AUTO_BUF struct buf notes;
		buf_init(&notes, BUF_MAX_DEFAULT);
		AUTO(schema) *s = sample();
		if (ids)
			schema_assign_ids(s);
		schema_notes_encode(s, &notes);
		AUTO(schema) *copy = schema_copy(s);
		forget(copy->root);
		copy->root->key = SLICE_LIT("");
		CHECK_OK(schema_notes_decode(buf_slice(&notes), copy, &err), err);
		CHECK(same(s->root, copy->root));
	}
}

TEST(without_notes_the_machinery_is_known_by_name)
{
	struct err err;
	AUTO(schema) *s = sample();
	forget(s->root);
	CHECK_OK(schema_notes_decode(SLICE_LIT(""), s, &err), err);
	CHECK_INT(s->root->children[0]->role, ROLE_TIME);
	CHECK_SLICE(s->root->children[1]->key, SLICE_LIT("user_agent"));
}

TEST(bad_notes_are_refused)
{
	static const char *const bad[] = { "x",
					   "1",
					   "[]",
					   "{\"fields\":{}}",
					   "{\"fields\":[1]}",
					   "{\"fields\":[{\"id\":\"a\"}]}",
					   "{\"fields\":[{\"id\":1,\"role\":\"boss\"}]}",
					   "{\"fields\":[{\"id\":1,\"format\":999}]}" };
	AUTO(schema) *s = sample();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_RC(schema_notes_decode(slice_str(bad[i]), s, NULL), RC_CORRUPT);
	CHECK_RC(schema_notes_decode(SLICE_LIT("{\"version\":2,\"fields\":[]}"), s, NULL), RC_UNSUPPORTED);
	CHECK_RC(schema_notes_decode(SLICE_LIT("{\"version\":1,\"more\":[{}],\"fields\":[{\"id\":77,\"later\":null}]}"), s, NULL),
		 RC_OK);
}

TEST_MAIN()
