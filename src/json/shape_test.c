#include "base/test.h"

#include "json/shape.h"

static uint32_t member(struct shape_keys *k, uint32_t from, const char *lit, enum shape_class class)
{
	return shape_edge_add(k, from, EDGE_MEMBER, class, slice_str(lit), 0, 0);
}

TEST(every_table_starts_with_the_three_roots)
{
	AUTO(shape_keys) *k = shape_keys_new(5);
	CHECK_INT(shape_edge_count(k), 3);
	CHECK_INT(shape_node_count(k), 1);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_INT(shape_edge_at(k, i)->kind, EDGE_ROOT);
		CHECK_INT(shape_edge_at(k, i)->class, i);
	}
}

TEST(an_edge_is_interned_and_its_key_decoded)
{
	AUTO(shape_keys) *k = shape_keys_new(5);
	uint32_t a = member(k, 0, "{ \"\\u0061\" : ", CLASS_OBJECT), b = member(k, 0, ",\"a\":", CLASS_SCALAR);
	CHECK_INT(a, 3);
	CHECK_INT(b, 4);
	CHECK_INT(member(k, 0, ",\"a\":", CLASS_SCALAR), b);
	CHECK_INT(shape_edge_at(k, a)->to, shape_edge_at(k, b)->to);
	CHECK_SLICE(shape_node_at(k, shape_edge_at(k, a)->to)->key, SLICE_LIT("a"));
	CHECK_INT(shape_node_find(k, 0, false, SLICE_LIT("a")), 1);
	CHECK_INT(shape_node_find(k, 0, true, SLICE_LIT("")), SHAPE_NONE);
	CHECK_INT(member(k, 1, "{\"b\":", CLASS_ARRAY), 5);
	CHECK_INT(shape_edge_add(k, 2, EDGE_UNIFORM, CLASS_SCALAR, SLICE_LIT("[ , ]"), 2, 1), 6);
	CHECK(shape_node_at(k, 3)->element);
	CHECK_INT(shape_node_at(k, 3)->depth, 3);
}

TEST(text_that_cannot_stand_in_a_document_makes_no_edge)
{
	AUTO(shape_keys) *k = shape_keys_new(5);
	static const char *const bad[] = { "",	     "a",	 "{",	     "{\"a\"",	 "{\"a:",
					   "\"a\":", "{\"a\":x", "{,\"a\":", "x,\"a\":", "{\"\\ud800\":" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_INT(member(k, 0, bad[i], CLASS_SCALAR), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 0, EDGE_END, 0, SLICE_LIT("{]"), 0, 0), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 0, EDGE_END, 0, SLICE_LIT("} "), 0, 0), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 0, EDGE_UNIFORM, 0, SLICE_LIT("[;]"), 1, 1), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 0, EDGE_ELEMENT, 0, SLICE_LIT(",1"), 0, 0), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 0, EDGE_REST, 0, SLICE_LIT(",="), 1, 0), SHAPE_NONE);
	CHECK_INT(shape_edge_add(k, 9, EDGE_END, 0, SLICE_LIT("}"), 0, 0), SHAPE_NONE);
	CHECK_INT(shape_edge_count(k), 3);
	CHECK_INT(shape_node_count(k), 1);
}

static void fill(struct shape_keys *k, int n)
{
	for (int i = 0; i < n; i++) {
		AUTO_MEM char *lit = mem_printf("%s\"k%d\":", i ? "," : "{", i);
		member(k, 0, lit, (enum shape_class)(i % 3));
	}
	shape_edge_add(k, 1, EDGE_MIXED, 0, SLICE_LIT(""), 0, 0);
	shape_edge_add(k, 1, EDGE_ELEMENT, 1, SLICE_LIT("[ "), 0, 0);
	shape_edge_add(k, 1, EDGE_UNIFORM, 2, SLICE_LIT("[\n,\n]"), 2, 1);
	shape_edge_add(k, 0, EDGE_REST, 0, SLICE_LIT(", : "), 2, 0);
	shape_edge_add(k, 0, EDGE_END, 0, SLICE_LIT(" }"), 0, 0);
}

TEST(a_table_survives_encoding)
{
	struct err err;
	AUTO(shape_keys) *k = shape_keys_new(0xdeadbeef), *l = NULL;
	AUTO_BUF struct buf a, b;
	buf_init(&a, BUF_MAX_DEFAULT);
	buf_init(&b, BUF_MAX_DEFAULT);
	fill(k, 1000);
	shape_keys_encode(k, &a);
	CHECK_OK(shape_keys_decode(buf_slice(&a), &l, &err), err);
	CHECK_INT(shape_keys_space(l), 0xdeadbeef);
	CHECK_INT(shape_edge_count(l), shape_edge_count(k));
	CHECK_INT(shape_node_count(l), shape_node_count(k));
	for (uint32_t i = 0; i < shape_edge_count(k); i++) {
		const struct shape_edge *x = shape_edge_at(k, i), *y = shape_edge_at(l, i);
		CHECK(x->from == y->from && x->to == y->to && x->kind == y->kind && x->class == y->class);
		CHECK_SLICE(slice_of(x->lit, x->len + x->sep + x->close), slice_of(y->lit, y->len + y->sep + y->close));
	}
	shape_keys_encode(l, &b);
	CHECK_SLICE(buf_slice(&a), buf_slice(&b));
}

TEST(a_damaged_table_is_refused_or_still_sane)
{
	AUTO(shape_keys) *k = shape_keys_new(1);
	AUTO_BUF struct buf a;
	buf_init(&a, BUF_MAX_DEFAULT);
	fill(k, 20);
	shape_keys_encode(k, &a);
	for (size_t n = 0; n < a.len; n++) {
		struct shape_keys *l = NULL;
		uint8_t *copy = mem_alloc(n + 1);
		memcpy(copy, a.data, n);
		CHECK(shape_keys_decode(slice_of(copy, n), &l, NULL) != RC_OK);
		free(copy);
	}
	for (size_t i = 0; i < a.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			struct shape_keys *l = NULL;
			a.data[i] ^= (uint8_t)(1 << bit);
			if (shape_keys_decode(buf_slice(&a), &l, NULL) == RC_OK) {
				CHECK(shape_edge_count(l) == shape_edge_count(k));
				shape_keys_free(l);
			}
			a.data[i] ^= (uint8_t)(1 << bit);
		}
	}
}

TEST(a_table_is_bounded)
{
	AUTO(shape_keys) *k = shape_keys_new(1);
	uint32_t last = 0, n = 0;
	for (; n <= SHAPE_EDGES_MAX && last != SHAPE_NONE; n++) {
		AUTO_MEM char *lit = mem_printf(",\"k%u\":", n);
		last = member(k, 0, lit, CLASS_SCALAR);
	}
	CHECK_INT(last, SHAPE_NONE);
	CHECK_INT(shape_edge_count(k), SHAPE_EDGES_MAX);
	AUTO(shape_keys) *deep = shape_keys_new(1);
	uint32_t node = 0, edge = 0;
	for (n = 0; edge != SHAPE_NONE; n++) {
		edge = member(deep, node, "{\"d\":", CLASS_OBJECT);
		if (edge != SHAPE_NONE)
			node = shape_edge_at(deep, edge)->to;
	}
	CHECK_INT(n - 1, SHAPE_DEPTH_MAX);
}

TEST_MAIN()
