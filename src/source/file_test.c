#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/test.h"
#include "os/file.h"
#include "source/file.h"
#include "source/unpack_internal.h"

static char dir[64];

static const char *path_of(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	if (!dir[0]) {
		snprintf(dir, sizeof dir, "/tmp/hydrant-source-XXXXXX");
		if (!mkdtemp(dir))
			abort();
	}
	char *p = paths[turn++ % 4];
	snprintf(p, 128, "%s/%s", dir, name);
	return p;
}

static const char *put(const char *name, struct slice content)
{
	const char *path = path_of(name);
	if (file_replace_atomic(path, content, NULL) != RC_OK)
		abort();
	return path;
}

/* Everything that a reading tells of its events, as text. */
static rc_t read_all(struct file_source *s, struct buf *out, uint64_t *ret_events, struct err *err)
{
	TRY(file_source_rewind(s, err));
	*ret_events = 0;
	for (;;) {
		const struct event *e;
		size_t n;
		rc_t rc = file_source_next(s, &e, &n, err);
		if (rc == RC_EOF)
			return RC_OK;
		TRY(rc);
		for (size_t i = 0; i < n; i++)
			buf_printf(out, "%llu %d <%.*s> %.*s\n", (unsigned long long)e[i].pos, (int)e[i].kind, SLICE_ARG(e[i].payload),
				   SLICE_ARG(e[i].reason));
		*ret_events += n;
	}
}

/* The events of all cuts of at most max_events, one behind the other; each cut read twice and found equal. */
static rc_t read_cuts(struct file_source *s, uint64_t max_bytes, uint64_t max_events, struct buf *out, struct err *err)
{
	uint64_t from = 0;
	for (int cut = 0; cut < 10000; cut++) {
		AUTO_BUF struct buf first, second;
		uint64_t n, again;
		buf_init(&first, 1 << 24);
		buf_init(&second, 1 << 24);
		TRY(file_source_cut(s, from, max_bytes, max_events, err));
		TRY(read_all(s, &first, &n, err));
		uint64_t end = file_source_end(s);
		TRY(read_all(s, &second, &again, err));
		if (n != again || n > max_events || end != file_source_end(s) || !slice_eq(buf_slice(&first), buf_slice(&second)))
			return err_set(err, RC_CORRUPT, "cut %d at %llu: two readings differ: %.200s | %.200s", cut, (unsigned long long)from,
				       buf_cstr(&first), buf_cstr(&second));
		buf_append_slice(out, buf_slice(&first));
		from = end;
		if (file_source_finished(s))
			return RC_OK;
	}
	return err_set(err, RC_LIMIT, "no end");
}

static const char *const inputs[][2] = {
	{ "auto", "{\"a\":1}\n{\"a\":2}\n\n{\"a\":3}\n" },
	{ "auto", "{\"a\":1}\r\n{\"a\":2}\r\n{bad\r\n{\"a\":3}" },
	{ "auto", "\xef\xbb\xbf{\"a\":1}\n{\"a\":2}\n" },
	{ "auto", " [ {\"a\":1}, 2,\n [3,4] ,\"five\",null ]\n\n" },
	{ "auto", "[1,2,3,4,5" },
	{ "json", "{\"a\":1}{\"a\":2} 3 4 [5]\n{\"a\":6}" },
	{ "json", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n" },
	{ "json", "{\"a\":1} {\"a\":} \n{\"b\":2}{\"c\":3}\n" },
	{ "auto", "{\n \"pretty\": 1\n}\n" },
	{ "text", "one\ntwo\r\n\n  \nthree\xff\nfour" },
	{ "text", "\xef\xbb\xbfone\ntwo\n" },
	{ "auto", "plain words\nand more of them\n" },
	{ "raw", "any\nbytes\n" },
	{ "ndjson", "1\n\"two\"\n[3]\n4 4\n" },
	{ "auto", "" },
	{ "text", "\n\n\n" },
};

TEST(source_cuts_of_any_size_join_up_to_the_whole)
{
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		struct err err;
		struct file_source_options o = { .path = put("in", slice_str(inputs[i][1])), .spool_dir = dir };
		CHECK(frame_format_parse(slice_str(inputs[i][0]), &o.format));
		AUTO_BUF struct buf whole;
		buf_init(&whole, 1 << 24);
		for (uint64_t size = 0; size < 5; size++) {
			AUTO(file_source) *s = NULL;
			AUTO_BUF struct buf cuts;
			buf_init(&cuts, 1 << 24);
			CHECK_OK(file_source_open(&o, &s, &err), err);
			CHECK_OK(read_cuts(s, size == 4 ? 9 : UINT64_MAX, size && size < 4 ? size : UINT64_MAX, size ? &cuts : &whole, &err), err);
			CHECK_INT(file_source_end(s), strlen(inputs[i][1]));
			if (size)
				CHECK_SLICE(buf_slice(&cuts), buf_slice(&whole));
		}
	}
}

TEST(source_of_a_pipe_gives_what_the_file_gives)
{
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		struct err err;
		AUTO_BUF struct buf of_file, of_pipe;
		buf_init(&of_file, 1 << 24);
		buf_init(&of_pipe, 1 << 24);
		const char *fifo = path_of("fifo");
		unlink(fifo);
		CHECK(mkfifo(fifo, 0600) == 0);
		int keep = open(fifo, O_RDWR);
		CHECK(write(keep, inputs[i][1], strlen(inputs[i][1])) == (ssize_t)strlen(inputs[i][1]));
		struct file_source_options o = { .path = put("in", slice_str(inputs[i][1])), .spool_dir = dir };
		frame_format_parse(slice_str(inputs[i][0]), &o.format);
		AUTO(file_source) *file = NULL, *pipe = NULL;
		CHECK_OK(file_source_open(&o, &file, &err), err);
		o.path = fifo;
		CHECK_OK(file_source_open(&o, &pipe, &err), err);
		close(keep);
		CHECK(!file_source_seekable(pipe));
		CHECK_OK(read_cuts(file, UINT64_MAX, 2, &of_file, &err), err);
		CHECK_OK(read_cuts(pipe, UINT64_MAX, 2, &of_pipe, &err), err);
		CHECK_SLICE(buf_slice(&of_pipe), buf_slice(&of_file));
	}
}

TEST(source_goes_on_where_a_file_ended_before_it_grew)
{
	struct err err;
	static const char *const formats[] = { "auto", "ndjson" };
	for (int f = 0; f < 2; f++) {
		const char *path = put("grow", slice_str("{\"a\":1}\n{\"a\":2"));
		struct file_source_options o = { .path = path, .spool_dir = dir };
		frame_format_parse(slice_str(formats[f]), &o.format);
		AUTO(file_source) *s = NULL, *later = NULL;
		AUTO_BUF struct buf out;
		uint64_t n;
		buf_init(&out, 1 << 20);
		CHECK_OK(file_source_open(&o, &s, &err), err);
		CHECK_OK(file_source_cut(s, 0, UINT64_MAX, UINT64_MAX, &err), err);
		CHECK_OK(read_all(s, &out, &n, &err), err);
		CHECK_INT(n, 2);
		put("grow", slice_str("{\"a\":1}\n{\"a\":23}\n{\"a\":4}\n"));
		CHECK_OK(file_source_open(&o, &later, &err), err);
		CHECK_OK(file_source_cut(later, file_source_end(s), UINT64_MAX, UINT64_MAX, &err), err);
		buf_reset(&out);
		CHECK_OK(read_all(later, &out, &n, &err), err);
		CHECK_STR(buf_cstr(&out), "16 0 <{\"a\":23}> \n24 0 <{\"a\":4}> \n"); /* the line that was cut off comes whole */
	}
}

TEST(source_reasons_name_the_line_in_the_file_in_every_cut)
{
	struct err err;
	struct file_source_options o = { .path = put("in", slice_str("1\n2\n{\n4\n5\n}\n")), .spool_dir = dir, .format = FRAME_NDJSON };
	AUTO(file_source) *s = NULL;
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 20);
	CHECK_OK(file_source_open(&o, &s, &err), err);
	CHECK_OK(read_cuts(s, UINT64_MAX, 1, &out, &err), err);
	CHECK(strstr(buf_cstr(&out), "(line 3, "));
	CHECK(strstr(buf_cstr(&out), "(line 6, "));
}

/* ---- too long ---- */

/* What, and 33 MiB behind it. */
static void add_long(struct buf *b, const char *what)
{
	size_t n = (size_t)33 << 20;
	buf_append_str(b, what);
	buf_reserve(b, n);
	memset(b->data + b->len, 'x', n);
	b->len += n;
}

/* Twice each cut; the events' positions and lengths, and what the reasons say of the line. */
static rc_t lengths(struct file_source *s, uint64_t max_events, struct buf *out, struct err *err)
{
	uint64_t from = 0;
	rc_t rc = RC_OK;
	for (bool finished = false; !finished && rc == RC_OK; from = file_source_end(s)) {
		size_t begin = out->len, first = 0;
		TRY(file_source_cut(s, from, UINT64_MAX, max_events, err));
		for (int reading = 0; reading < 2; reading++) {
			const struct event *events;
			size_t n;
			out->len = reading ? out->len : begin;
			TRY(file_source_rewind(s, err));
			while ((rc = file_source_next(s, &events, &n, err)) == RC_OK)
				for (size_t i = 0; i < n; i++) {
					buf_printf(out, "%llu:%zu", (unsigned long long)events[i].pos, events[i].payload.len);
					const char *line = events[i].reason.len ? memmem(events[i].reason.data, events[i].reason.len, "(line ", 6) : NULL;
					buf_printf(out, "%.7s\n", line ? line : "");
				}
			if (rc != RC_EOF)
				return rc;
			rc = RC_OK;
			if (!reading)
				first = out->len;
		}
		if (out->len - first != first - begin || memcmp(out->data + begin, out->data + first, first - begin) != 0)
			return err_set(err, RC_CORRUPT, "two readings differ: %.200s", buf_cstr(out) + begin);
		out->len = first;
		finished = file_source_finished(s);
	}
	return rc;
}

TEST(source_of_a_line_over_the_limit_keeps_its_beginning_and_goes_on)
{
	struct err err;
	AUTO_BUF struct buf in, want, got;
	buf_init(&in, 1 << 28);
	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	buf_append_str(&in, "{\"a\":1}\n\n");
	buf_printf(&want, "7:7\n");
	add_long(&in, " {\"a\":\"");
	buf_printf(&want, "%zu:65536(line 3\n", in.len);
	buf_append_str(&in, "\n{\"a\":2}\n{\n");
	buf_printf(&want, "%zu:7\n%zu:1(line 5\n", in.len - 3, in.len - 1);
	add_long(&in, "");
	buf_printf(&want, "%zu:65536(line 6\n", in.len);
	const char *path = put("long", buf_slice(&in));
	for (unsigned most = 1; most < 5; most++)
		for (int pipe = 0; pipe < 2; pipe++) {
			struct file_source_options o = { .path = path, .spool_dir = dir, .lenient = true, .format = most == 1 ? FRAME_NDJSON : FRAME_AUTO };
			AUTO(file_source) *s = NULL;
			int fd = open(path, O_RDONLY), was = dup(0);
			dup2(fd, 0);
			o.path = pipe ? "-" : path;
			CHECK_OK(file_source_open(&o, &s, &err), err);
			buf_reset(&got);
			CHECK_OK(lengths(s, most == 4 ? UINT64_MAX : most, &got, &err), err);
			CHECK_STR(buf_cstr(&got), buf_cstr(&want));
			CHECK_INT(file_source_end(s), in.len);
			dup2(was, 0);
			close(was);
			close(fd);
		}
}

TEST(source_of_an_element_over_the_limit_gives_what_precedes_it_first)
{
	struct err err;
	AUTO_BUF struct buf in, got;
	buf_init(&in, 1 << 28);
	buf_init(&got, 1 << 20);
	add_long(&in, "[1,\n22,\n\"");
	buf_append_str(&in, "\",3]");
	struct file_source_options o = { .path = put("long", buf_slice(&in)), .spool_dir = dir, .lenient = true };
	AUTO(file_source) *s = NULL;
	CHECK_OK(file_source_open(&o, &s, &err), err);
	CHECK_RC(lengths(s, UINT64_MAX, &got, &err), RC_LIMIT);
	CHECK_STR(buf_cstr(&got), "2:1\n6:2\n");
	CHECK(strstr(err.text, "behind byte 6: the event that begins in line 3"));
}

/* ---- packed ---- */

static size_t gzip(struct slice s, uint8_t *out, size_t cap)
{
	z_stream z = { 0 };
	deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (uint8_t *)s.data, z.avail_in = (uInt)s.len, z.next_out = out, z.avail_out = (uInt)cap;
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return z.total_out;
}

static struct buf lines(unsigned n)
{
	struct buf b;
	buf_init(&b, 1 << 26);
	for (unsigned i = 0; i < n; i++)
		buf_printf(&b, "{\"n\":%u,\"text\":\"%x%x\"}\n", i, i * 2654435761u, i * 40503u);
	return b;
}

static rc_t unpacked(struct slice packed, struct buf *out, bool *ret_packed, struct err *err)
{
	struct file_source_options o = { .path = put("packed", packed), .spool_dir = dir };
	AUTO(file_source) *s = NULL;
	TRY(file_source_open(&o, &s, err));
	*ret_packed = file_source_packed(s);
	return read_cuts(s, 1 << 20, UINT64_MAX, out, err);
}

TEST(source_reads_packed_files_as_what_is_in_them)
{
	struct err err;
	bool packed;
	AUTO_BUF struct buf text = lines(100000), want, out;
	AUTO_BUF struct buf z;
	buf_init(&want, 1 << 26);
	buf_init(&out, 1 << 26);
	buf_init(&z, 1 << 26);
	CHECK_OK(unpacked(buf_slice(&text), &want, &packed, &err), err);
	CHECK(!packed);
	buf_reserve(&z, 1 << 24);
	size_t half = text.len / 2;
	/* two gzip members, cut in the middle of a line, and padding */
	z.len = gzip(slice_of(text.data, half), z.data, z.cap);
	z.len += gzip(slice_of(text.data + half, text.len - half), z.data + z.len, z.cap - z.len);
	size_t members = z.len;
	memset(z.data + z.len, 0, 700);
	z.len += 700;
	CHECK_OK(unpacked(buf_slice(&z), &out, &packed, &err), err);
	CHECK(packed);
	CHECK_SLICE(buf_slice(&out), buf_slice(&want));
	CHECK_RC(unpacked(slice_of(z.data, members - 5), &out, &packed, &err), RC_CORRUPT);
	CHECK(strstr(err.text, "cut off"));
	z.data[members] = 'x';
	CHECK_RC(unpacked(buf_slice(&z), &out, &packed, &err), RC_CORRUPT);
	z.data[members / 2] ^= 0x55;
	CHECK_RC(unpacked(buf_slice(&z), &out, &packed, &err), RC_CORRUPT);
	/* two zstd frames with a skippable one between */
	static const uint8_t skip[] = { 0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c' };
	z.len = ZSTD_compress(z.data, z.cap, text.data, half, 1);
	memcpy(z.data + z.len, skip, sizeof skip);
	z.len += sizeof skip;
	z.len += ZSTD_compress(z.data + z.len, z.cap - z.len, text.data + half, text.len - half, 3);
	buf_reset(&out);
	CHECK_OK(unpacked(buf_slice(&z), &out, &packed, &err), err);
	CHECK_SLICE(buf_slice(&out), buf_slice(&want));
	CHECK_RC(unpacked(slice_of(z.data, z.len - 1), &out, &packed, &err), RC_CORRUPT);
	for (size_t n = 0; n < 64; n++) { /* heads alone: an error or text, no crash */
		buf_reset(&out);
		unpacked(slice_of(z.data, n), &out, &packed, &err);
	}
}

/* Input is read 256 KiB at a time: a member may end anywhere in that, also where the next one's first bytes have no room. */
TEST(source_reads_gzip_members_that_end_just_before_a_boundary)
{
	struct err err;
	bool packed;
	AUTO_BUF struct buf z, out;
	buf_init(&z, 1 << 20);
	buf_init(&out, 1 << 20);
	for (size_t before = 0; before < 5; before++) {
		uint8_t member[200];
		size_t len = gzip(SLICE_LIT("{\"n\":1}\n"), member, sizeof member), pad = ((size_t)256 << 10) - before - len;
		buf_reset(&z);
		buf_reset(&out);
		member[3] |= 8; /* a file name is in the head */
		buf_append(&z, member, 10);
		for (size_t i = 1; i < pad; i++)
			buf_append(&z, "n", 1);
		buf_append(&z, "", 1);
		buf_append(&z, member + 10, len - 10);
		member[3] = 0;
		buf_append(&z, member, len);
		CHECK_OK(unpacked(buf_slice(&z), &out, &packed, &err), err);
		CHECK(packed);
		size_t count = 0;
		for (size_t i = 0; i < out.len; i++)
			count += out.data[i] == '\n';
		CHECK_INT(count, 2);
	}
}

TEST(source_file_that_is_cut_between_two_readings_is_an_error_and_no_end)
{
	struct err err = { 0 };
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 20);
	const char *path = put("cut", SLICE_LIT("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n"));
	struct file_source_options so = { .path = path, .format = FRAME_NDJSON, .spool_dir = dir };
	struct file_source *s = NULL;
	uint64_t n;
	CHECK_OK(file_source_open(&so, &s, &err), err);
	CHECK_OK(file_source_cut(s, 0, UINT64_MAX, UINT64_MAX, &err), err);
	CHECK_OK(read_all(s, &out, &n, &err), err);
	CHECK_INT(n, 3);
	CHECK_INT(truncate(path, 16), 0);
	CHECK_RC(read_all(s, &out, &n, &err), RC_IO);
	CHECK(strstr(err.text, "was cut while it was read"));
	file_source_close(s);
}

TEST(source_of_one_reading_needs_no_spool)
{
	struct err err;
	uint8_t z[200];
	size_t n = gzip(slice_str("a\nb\n"), z, sizeof z);
	struct file_source_options o = { .path = put("packed", slice_of(z, n)), .spool_dir = "/nonexistent", .once = true };
	AUTO(file_source) *s = NULL;
	AUTO_BUF struct buf out;
	uint64_t events;
	buf_init(&out, 1 << 20);
	CHECK_OK(file_source_open(&o, &s, &err), err);
	CHECK_OK(file_source_cut(s, 0, UINT64_MAX, UINT64_MAX, &err), err);
	CHECK_OK(read_all(s, &out, &events, &err), err);
	CHECK_INT(events, 2);
	dir_remove_tree(dir, NULL);
}

TEST_MAIN()
