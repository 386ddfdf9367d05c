/* Listings (ListObjectsV2, page after page) and deletes, one by one or a thousand at a time. */
#include <stdio.h>

#include "os/clock.h"
#include "store/s3_internal.h"

#define PAGES_MAX 1000000

struct item {
	char *key;
	uint64_t size;
	int64_t mtime;
	bool is_folder;
};

struct page {
	struct item *items;
	size_t count, cap;
	struct item now;       /* being read */
	char *etag;
	bool encoded, truncated;
	bool is_listing;       /* and no other document, which would list nothing */
	struct buf token;
};

static void page_reset(struct page *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i].key);
	free(p->now.key);
	p->count = 0;
	p->now = (struct item){ 0 };
	p->encoded = p->truncated = p->is_listing = false;
	buf_reset(&p->token);
}

static char *text_of(struct slice s)
{
	char *copy = mem_alloc(s.len + 1);
	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = 0;
	return strlen(copy) == s.len ? copy : (free(copy), NULL);
}

static void page_add(struct page *p, bool is_folder)
{
	if (!p->now.key)
		return;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 64;
		p->items = mem_realloc(p->items, p->cap * sizeof *p->items);
	}
	p->now.is_folder = is_folder;
	p->items[p->count++] = p->now;
	p->now = (struct item){ 0 };
}

static rc_t page_each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	struct page *p = ctx;
	static const char root[] = "ListBucketResult/";
	p->is_listing |= !strcmp(path, "ListBucketResult");
	if (strncmp(path, root, sizeof root - 1) != 0)
		return RC_OK;
	path += sizeof root - 1;
	if (!strcmp(path, "Contents/Key") || !strcmp(path, "CommonPrefixes/Prefix")) {
		free(p->now.key);
		p->now.key = text_of(text);
	} else if (!strcmp(path, "Contents/Size")) {
		AUTO_MEM char *s = text_of(text);
		p->now.size = s ? strtoull(s, NULL, 10) : 0;
	} else if (!strcmp(path, "Contents/LastModified")) {
		AUTO_MEM char *s = text_of(text);
		if (!s || time_parse(s, &p->now.mtime) != 0)
			return err_set(reterr, RC_CORRUPT, "a listing has a time that is none");
	} else if (!strcmp(path, "Contents")) {
		if (!p->now.mtime) /* it would look ancient, and sweeps take what is old */
			return err_set(reterr, RC_CORRUPT, "a listing has an object without its time");
		page_add(p, false);
	} else if (!strcmp(path, "CommonPrefixes")) {
		page_add(p, true);
	} else if (!strcmp(path, "IsTruncated")) {
		p->truncated = slice_eq_str(text, "true");
	} else if (!strcmp(path, "EncodingType")) {
		p->encoded = slice_eq_str(text, "url");
	} else if (!strcmp(path, "NextContinuationToken")) {
		buf_reset(&p->token);
		buf_append_slice(&p->token, text);
	}
	return RC_OK;
}

/* application/x-www-form-urlencoded, as encoding-type=url has it: '+' is a blank. False: a bad escape, or a NUL. */
static bool decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s == '+' ? ' ' : *s;
			continue;
		}
		char digits[3] = { s[1], s[1] ? s[2] : 0, 0 };
		char *end;
		unsigned long c = strtoul(digits, &end, 16);
		if (end != digits + 2 || c == 0)
			return false;
		*to++ = (char)c;
		s += 2;
	}
	*to = 0;
	return true;
}

/* Hands the items on, without the lake's prefix; what no key could name is not ours. */
static rc_t hand_on(struct s3 *s, struct page *p, store_each each, void *ctx, struct err *reterr)
{
	size_t len = strlen(s->prefix), skip = len ? len + 1 : 0;
	for (size_t i = 0; i < p->count; i++) {
		char *key = p->items[i].key;
		if (p->encoded && !decode(key))
			continue;
		if (strlen(key) <= skip || (len && (strncmp(key, s->prefix, len) != 0 || key[len] != '/')))
			continue;
		key += skip;
		size_t n = strlen(key);
		if (p->items[i].is_folder && n && key[n - 1] == '/')
			key[n - 1] = 0;
		if (store_key_check(key, NULL) != RC_OK)
			continue;
		struct store_entry entry = { key, p->items[i].size, p->items[i].mtime, p->items[i].is_folder };
		TRY(each(ctx, &entry, reterr));
	}
	return RC_OK;
}

static rc_t get_page(struct s3 *s, const char *prefix, bool recursive, struct page *p, struct err *reterr)
{
	struct s3_answer a;
	AUTO_BUF struct buf body;
	buf_init(&body, S3_XML_MAX);
	AUTO_MEM char *token = p->token.len ? mem_strdup(buf_cstr(&p->token)) : NULL;
	struct s3_call c = { .kind = S3_LIST, .method = "GET", .ret_body = &body, .xml_in_200 = true };
	s3_query(&c, "list-type", "2");
	s3_query(&c, "encoding-type", "url");
	s3_query(&c, "max-keys", "1000");
	s3_query(&c, "prefix", prefix);
	if (!recursive)
		s3_query(&c, "delimiter", "/");
	if (token)
		s3_query(&c, "continuation-token", token);
	TRY(s3_request(s, &c, &a, reterr));
	page_reset(p);
	TRY(xml_walk(buf_slice(&body), page_each, p, reterr));
	if (!p->is_listing)
		return err_set(reterr, RC_IO, "bucket %s was asked for a listing and answered with something else: does a proxy stand in between?", s->bucket);
	bool stuck = p->truncated && (!p->token.len || p->token.overflow || (token && slice_eq_str(buf_slice(&p->token), token)));
	return stuck ? err_set(reterr, RC_IO, "a listing of bucket %s says that it goes on and not where", s->bucket) : RC_OK;
}

rc_t s3_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *reterr)
{
	struct s3 *s = self;
	struct page p = { 0 };
	buf_init(&p.token, (size_t)64 << 10);
	AUTO_MEM char *prefix = mem_printf("%s%s%s%s", s->prefix, *s->prefix ? "/" : "", folder, *folder ? "/" : "");
	rc_t rc = RC_OK;
	for (unsigned pages = 0; rc == RC_OK && pages < PAGES_MAX; pages++) {
		rc = get_page(s, prefix, recursive, &p, reterr);
		if (rc == RC_OK)
			rc = hand_on(s, &p, each, ctx, reterr);
		if (!p.truncated)
			break;
		if (rc == RC_OK && pages + 1 == PAGES_MAX)
			rc = err_set(reterr, RC_LIMIT, "%s/%s in bucket %s lists more than %d pages", s->prefix, folder, s->bucket, PAGES_MAX);
	}
	page_reset(&p);
	free(p.items);
	buf_free(&p.token);
	return rc;
}

/* ---- deleting ---- */

rc_t s3_delete(void *self, const char *key, struct err *reterr)
{
	struct s3 *s = self;
	struct s3_answer a;
	struct s3_call c = { .kind = S3_DELETE, .method = "DELETE", .key = key };
	rc_t rc = s3_request(s, &c, &a, reterr);
	s3_blocks_forget(s, key);
	return rc == RC_IO && a.status == 404 && strcmp(a.code, "NoSuchBucket") ? RC_OK : rc;
}

struct batch {
	struct s3 *s;
	struct buf request;
	char *const *keys;
	size_t count;
	struct s3_answer error; /* of the first key that was not deleted */
};

static void batch_key(struct buf *b, const char *key)
{
	buf_append_str(b, "<Object><Key>");
	for (; *key; key++) {
		if (*key == '&')
			buf_append_str(b, "&amp;");
		else if (*key == '<')
			buf_append_str(b, "&lt;");
		else if (*key == '>')
			buf_append_str(b, "&gt;");
		else
			buf_byte(b, (uint8_t)*key);
	}
	buf_append_str(b, "</Key></Object>");
}

static rc_t batch_each(void *ctx, const char *path, struct slice text, struct err *reterr)
{
	struct batch *b = ctx;
	(void)reterr;
	if (!strcmp(path, "DeleteResult/Error/Code") && !b->error.code[0])
		snprintf(b->error.code, sizeof b->error.code, "%.*s", SLICE_ARG(text));
	else if (!strcmp(path, "DeleteResult/Error/Message") && !b->error.message[0])
		snprintf(b->error.message, sizeof b->error.message, "%.*s", SLICE_ARG(text));
	return RC_OK;
}

static rc_t delete_each(struct batch *b, struct err *reterr)
{
	for (size_t i = 0; i < b->count; i++)
		TRY(s3_delete(b->s, b->keys[i], reterr));
	return RC_OK;
}

static rc_t delete_batch(struct batch *b, struct err *reterr)
{
	struct s3_answer a;
	char md5[25];
	AUTO_BUF struct buf body;
	buf_init(&body, S3_XML_MAX);
	buf_reset(&b->request);
	buf_append_str(&b->request, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < b->count; i++) {
		AUTO_MEM char *full = NULL;
		TRY(s3_full_key(b->s, b->keys[i], &full, reterr));
		batch_key(&b->request, full);
	}
	buf_append_str(&b->request, "</Delete>");
	md5_base64(buf_slice(&b->request), md5);
	struct s3_call c = { .kind = S3_DELETE, .method = "POST", .body = buf_slice(&b->request), .ret_body = &body, .xml_in_200 = true };
	s3_query(&c, "delete", "");
	s3_header(&c, "content-md5", md5);
	s3_header(&c, "content-type", "application/xml");
	rc_t rc = s3_request(b->s, &c, &a, reterr);
	if (rc != RC_OK && (a.status == 501 || a.status == 405 || !strcmp(a.code, "NotImplemented"))) {
		__atomic_store_n(&b->s->no_batch_delete, true, __ATOMIC_RELAXED);
		return delete_each(b, reterr);
	}
	TRY(rc);
	b->error = (struct s3_answer){ 0 };
	TRY(xml_walk(buf_slice(&body), batch_each, b, reterr));
	if (!b->error.code[0])
		return RC_OK;
	b->error.status = !strcmp(b->error.code, "AccessDenied") ? 403 : 500;
	if (b->error.status == 500)
		return delete_each(b, reterr); /* those that failed are told apart, and tried again, one by one */
	return s3_fail(b->s, &c, &b->error, reterr);
}

rc_t s3_delete_keys(void *self, const char *folder, char *const *keys, size_t n, struct err *reterr)
{
	struct s3 *s = self;
	struct batch b = { .s = s };
	(void)folder;
	buf_init(&b.request, S3_XML_MAX);
	rc_t rc = RC_OK;
	for (size_t at = 0; rc == RC_OK && at < n; at += b.count) {
		b.keys = keys + at;
		b.count = n - at < S3_DELETE_BATCH ? n - at : S3_DELETE_BATCH;
		bool singly = b.count == 1 || __atomic_load_n(&s->no_batch_delete, __ATOMIC_RELAXED);
		rc = singly ? delete_each(&b, reterr) : delete_batch(&b, reterr);
		for (size_t i = 0; i < b.count; i++)
			s3_blocks_forget(s, b.keys[i]);
	}
	buf_free(&b.request);
	return rc;
}
