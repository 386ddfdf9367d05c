#include "store/probe.h"

#include <unistd.h>

#include "base/test.h"

/* A store of one object that refuses what it is told to refuse: as S3 answers, 403 for whatever is not allowed. */
struct strict {
	bool refuse[STORE_RIGHTS], overwrites, has_sample, is_down, is_away, no_parts;
	unsigned rivals; /* so many times somebody else removes the object after a create */
	unsigned asked;
	bool there;
	struct buf object;
};

static rc_t refused(struct err *reterr)
{
	rc_t rc = err_set(reterr, RC_IO, "forbidden");
	if (reterr)
		reterr->status = 403;
	return rc;
}

static rc_t absent(struct strict *s, struct err *reterr)
{
	return s->refuse[STORE_RIGHT_ABSENT] ? refused(reterr) : err_set(reterr, RC_NOT_FOUND, "it is not there");
}

static rc_t strict_get(void *self, const char *key, struct buf *ret, struct err *reterr)
{
	struct strict *s = self;
	(void)key;
	if (s->refuse[STORE_RIGHT_READ])
		return refused(reterr);
	if (!s->there)
		return absent(s, reterr);
	buf_append(ret, s->object.data, s->object.len);
	return RC_OK;
}

static rc_t strict_read(void *self, const char *key, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	struct strict *s = self;
	(void)offset;
	if (s->refuse[STORE_RIGHT_READ])
		return refused(reterr);
	memset(out, 'x', len);
	return strcmp(key, "sample") != 0 ? absent(s, reterr) : RC_OK;
}

static rc_t strict_size(void *self, const char *key, uint64_t *ret_size, int64_t *ret_mtime, struct err *reterr)
{
	(void)key, (void)ret_size, (void)ret_mtime;
	struct strict *s = self;
	return s->refuse[STORE_RIGHT_READ] ? refused(reterr) : absent(s, reterr);
}

static rc_t strict_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *reterr)
{
	struct strict *s = self;
	(void)key;
	s->asked++;
	if (s->is_down)
		return err_set(reterr, RC_IO, "no route to the store");
	if (s->refuse[STORE_RIGHT_WRITE])
		return refused(reterr);
	if (mode == STORE_CREATE && s->there && !s->overwrites && !s->rivals)
		return err_set(reterr, RC_CONFLICT, "it is there");
	if (mode == STORE_CREATE && s->rivals) {
		s->rivals--;
		return RC_OK;
	}
	s->object.len = 0;
	buf_append_slice(&s->object, content);
	s->there = true;
	return RC_OK;
}

static rc_t strict_delete(void *self, const char *key, struct err *reterr)
{
	struct strict *s = self;
	(void)key;
	if (s->refuse[STORE_RIGHT_DELETE])
		return refused(reterr);
	s->there = false;
	return RC_OK;
}

static rc_t strict_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr)
{
	struct strict *s = self;
	(void)folder, (void)recursive;
	s->asked++;
	if (s->is_away)
		return err_set(reterr, RC_IO, "no route to the store");
	if (s->refuse[STORE_RIGHT_LIST])
		return refused(reterr);
	struct store_entry e = { .key = "sample", .size = 1 };
	return s->has_sample ? each(ctx, &e, reterr) : RC_OK;
}

static rc_t strict_check_abort(void *self, const char *key, bool *ret_begun, struct err *reterr)
{
	struct strict *s = self;
	(void)key;
	*ret_begun = !s->no_parts;
	return s->no_parts || s->refuse[STORE_RIGHT_ABORT] ? refused(reterr) : RC_OK;
}

static void strict_random(void *self, void *out, size_t len)
{
	(void)self;
	memset(out, 7, len);
}

static void strict_free(void *self)
{
	struct strict *s = self;
	buf_free(&s->object);
}

static rc_t probe(struct strict *s, struct store_probe *ret, struct err *reterr)
{
	static const struct store_ops ops = {
		.scheme = "strict", .free = strict_free, .get = strict_get, .read = strict_read, .size = strict_size, .put = strict_put,
		.delete = strict_delete, .list = strict_list, .check_abort = strict_check_abort, .random = strict_random,
	};
	buf_init(&s->object, 4096);
	AUTO(store) *store = store_new(&ops, s, "strict://");
	return store_probe(store, ret, reterr);
}

TEST(with_every_right_nothing_is_lacking_and_nothing_is_left)
{
	struct strict s = { .has_sample = true };
	struct store_probe p;
	struct err err;
	CHECK_OK(probe(&s, &p, &err), err);
	for (int i = 0; i < STORE_RIGHTS; i++)
		CHECK(p.found[i] == STORE_HAS);
	CHECK(!s.there && !p.left_behind);
}

TEST(each_missing_right_is_found_and_no_other)
{
	for (int right = 0; right < STORE_RIGHTS; right++) {
		struct strict s = { .has_sample = true, .overwrites = right == STORE_RIGHT_CREATE };
		s.refuse[right] = true;
		struct store_probe p;
		struct err err;
		CHECK_OK(probe(&s, &p, &err), err);
		for (int i = 0; i < STORE_RIGHTS; i++)
			CHECK((p.found[i] == STORE_LACKS) == (i == right));
		CHECK(p.left_behind == (right == STORE_RIGHT_DELETE));
	}
}

TEST(what_cannot_be_told_from_a_missing_list_is_unknown)
{
	struct strict s = { 0 };
	s.refuse[STORE_RIGHT_LIST] = s.refuse[STORE_RIGHT_WRITE] = s.refuse[STORE_RIGHT_ABSENT] = true;
	struct store_probe p;
	struct err err;
	CHECK_OK(probe(&s, &p, &err), err);
	CHECK(p.found[STORE_RIGHT_LIST] == STORE_LACKS && p.found[STORE_RIGHT_WRITE] == STORE_LACKS);
	CHECK(p.found[STORE_RIGHT_READ] == STORE_UNKNOWN && p.found[STORE_RIGHT_CREATE] == STORE_UNKNOWN);
	CHECK(!p.all_refused); /* it may delete */
}

TEST(a_store_that_does_not_answer_is_an_error_and_no_missing_right)
{
	struct strict s = { .is_down = true };
	struct store_probe p;
	struct err err = { 0 };
	CHECK(probe(&s, &p, &err) == RC_IO);
	CHECK_STR(err.text, "no route to the store");
	CHECK(p.found[STORE_RIGHT_WRITE] == STORE_UNKNOWN);
}

TEST(a_store_that_does_not_answer_is_asked_once)
{
	struct strict s = { .is_away = true };
	struct store_probe p;
	struct err err = { 0 };
	CHECK(probe(&s, &p, &err) == RC_IO);
	CHECK_STR(err.text, "no route to the store");
	CHECK_INT(s.asked, 1);
	for (int i = 0; i < STORE_RIGHTS; i++)
		CHECK(p.found[i] == STORE_UNKNOWN);
}

TEST(another_probe_that_removes_the_object_is_no_store_that_overwrites)
{
	struct strict s = { .has_sample = true, .rivals = 2 };
	struct store_probe p;
	struct err err;
	CHECK_OK(probe(&s, &p, &err), err);
	CHECK(p.found[STORE_RIGHT_CREATE] == STORE_HAS);
}

TEST(an_upload_in_parts_that_cannot_be_begun_is_no_missing_right_to_end_it)
{
	struct strict s = { .has_sample = true, .no_parts = true };
	struct store_probe p;
	struct err err = { 0 };
	CHECK(probe(&s, &p, &err) == RC_IO);
	CHECK(p.found[STORE_RIGHT_ABORT] == STORE_UNKNOWN && p.found[STORE_RIGHT_WRITE] == STORE_HAS);
}

TEST(a_folder_has_every_right_and_keeps_nothing)
{
	char folder[] = "/tmp/hydrant-probe-XXXXXX";
	CHECK(mkdtemp(folder));
	AUTO(store) *store = NULL;
	struct err err;
	CHECK_OK(store_open(folder, NULL, &store, &err), err);
	struct store_probe p;
	CHECK_OK(store_probe(store, &p, &err), err);
	for (int i = 0; i < STORE_RIGHTS; i++)
		CHECK(p.found[i] == STORE_HAS);
	uint64_t size;
	CHECK(store_size(store, STORE_PROBE_KEY, &size, NULL, &err) == RC_NOT_FOUND);
	for (int i = 0; i < 4; i++) { /* empty folders are all that is left */
		static const char *const left[] = { "_hydrant/doctor", "_hydrant/tmp", "_hydrant", "" };
		AUTO_MEM char *path = mem_printf("%s/%s", folder, left[i]);
		CHECK(rmdir(path) == 0);
	}
}

TEST_MAIN()
