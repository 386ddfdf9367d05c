#include "source/file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "os/file.h"
#include "source/unpack_internal.h"

#define FIRST_READ ((size_t)8 << 20) /* a good sample for the schema */
#define NEXT_READ ((size_t)1 << 20)  /* with its events about what a core's caches hold; smaller: more calls of the shredder */
#define LONG_KEPT ((size_t)64 << 10) /* of a line that is too long for an event */
#define EVENTS_MAX ((size_t)1 << 17) /* handed out at once: an event may be one byte, and takes a hundred here */

struct file_source {
	struct file_source_options opts;
	char *path;
	int fd;
	bool seekable;
	bool packed; /* a plain file in gzip or zstd */
	uint64_t size; /* of a plain file, as it lies there */
	dev_t device;
	ino_t inode;
	/* the bytes of a pipe, or of what was packed; those of earlier cuts are given back to the disk if nothing needs them again */
	struct unpack *unpack;
	int spool;
	uint64_t spool_end;
	bool live_ended;
	/* the cut */
	uint64_t from, max_bytes, max_events, upto;
	bool measured; /* upto is known: the cut was read once */
	bool aligned;  /* `from` is where the cut before it ended: framing of lines can begin there */
	uint64_t line_begin, last_line; /* lines before `from`; the line of the last event so far */
	bool finished;
	uint64_t invalid;
	enum frame_format format;
	/* this reading */
	struct framer *framer;
	uint64_t frame_base; /* input offset of the framer's byte 0 */
	uint64_t line_base;  /* lines before it */
	uint64_t offset;     /* input bytes fed to it */
	bool fed_any, done;
	bool sampled; /* the beginning of the file was read by another: this is a part behind it */
	uint64_t events_seen, bytes_seen;
	struct event *events;
	uint64_t *lines; /* of the unchecked ones */
	size_t event_count, event_cap;
	struct arena reasons; /* of the events handed out last */
};

/* How the input is read: at any place, or once, by way of the spool. */
static rc_t choose_reading(struct file_source *s, const struct stat *st, bool standard, struct err *reterr)
{
	bool plain = !standard && S_ISREG(st->st_mode);
	if (plain) {
		uint8_t head[PACKING_HEAD];
		size_t got = 0;
		rc_t rc = file_pread(s->fd, s->path, head, sizeof head, 0, &got, reterr);
		if (rc != RC_OK && rc != RC_EOF)
			return rc;
		s->size = (uint64_t)st->st_size;
		s->packed = packing_of(slice_of(head, got)) != PACKING_NONE;
		s->seekable = !s->packed;
	}
	if (s->seekable)
		return RC_OK;
	s->unpack = unpack_new(s->fd, s->path);
	return s->opts.once ? RC_OK : file_open_unnamed(s->opts.spool_dir, &s->spool, reterr);
}

rc_t file_source_open(const struct file_source_options *opts, struct file_source **ret, struct err *reterr)
{
	struct file_source *s = NEW(struct file_source);
	s->opts = *opts;
	s->format = opts->format;
	s->spool = -1;
	arena_init(&s->reasons);
	bool standard = !strcmp(opts->path, "-");
	s->path = mem_strdup(standard ? "standard input" : opts->path);
	s->fd = standard ? STDIN_FILENO : -1;
	rc_t rc = standard ? RC_OK : file_open(opts->path, FILE_READ, &s->fd, reterr);
	struct stat st;
	if (rc == RC_OK && fstat(s->fd, &st) != 0)
		rc = err_errno(reterr, RC_IO, "cannot look at %s", s->path);
	if (rc == RC_OK && S_ISDIR(st.st_mode))
		rc = err_set(reterr, RC_INVALID, "%s is a folder; name the files in it", s->path);
	if (rc == RC_OK) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
		rc = choose_reading(s, &st, standard, reterr);
	}
	if (rc != RC_OK) {
		file_source_close(s);
		return rc;
	}
	*ret = s;
	return RC_OK;
}

void file_source_close(struct file_source *s)
{
	if (!s)
		return;
	if (s->fd != STDIN_FILENO)
		file_close(s->fd);
	file_close(s->spool);
	unpack_free(s->unpack);
	framer_free(s->framer);
	arena_free(&s->reasons);
	free(s->events);
	free(s->lines);
	free(s->path);
	free(s);
}

/* ---- bytes ---- */

static rc_t read_live(struct file_source *s, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	*ret_got = 0;
	if (s->live_ended)
		return RC_OK;
	size_t n;
	TRY(unpack_read(s->unpack, out, len, &n, reterr));
	s->live_ended = n == 0;
	if (!s->opts.once)
		TRY(file_pwrite(s->spool, "the spool file", out, n, s->spool_end, reterr));
	s->spool_end += n;
	*ret_got = n;
	return RC_OK;
}

/* Up to len bytes of input at s->offset; 0: the end. */
static rc_t read_input(struct file_source *s, uint8_t *out, size_t len, size_t *ret_got, struct err *reterr)
{
	uint64_t stop = s->measured && s->finished ? s->upto : s->opts.stop; /* it may have grown since the first reading */
	if (stop && s->offset + len > stop)
		len = stop > s->offset ? (size_t)(stop - s->offset) : 0;
	*ret_got = 0;
	if (!len)
		return RC_OK;
	rc_t rc = RC_OK;
	if (s->seekable) {
		rc = file_pread(s->fd, s->path, out, len, s->offset, ret_got, reterr);
		if (rc == RC_EOF && stop) /* it was there when this reading was measured */
			return err_set(reterr, RC_IO, "%s was cut while it was read", s->path);
	} else if (s->offset < s->spool_end) {
		if (len > s->spool_end - s->offset)
			len = (size_t)(s->spool_end - s->offset);
		rc = file_pread(s->spool, "the spool file", out, len, s->offset, ret_got, reterr);
	} else {
		/* A pipe gives little at a time: gather, so that batches are large. */
		while (rc == RC_OK && *ret_got < len) {
			size_t got = 0;
			rc = read_live(s, out + *ret_got, len - *ret_got, &got, reterr);
			if (!got)
				break;
			*ret_got += got;
		}
	}
	return rc == RC_EOF ? RC_OK : rc;
}

/* ---- cuts ---- */

/* Lines stand for themselves; an array or a row of values has to be framed from its start. */
static bool is_lines(enum frame_format format)
{
	return format == FRAME_NDJSON || format == FRAME_TEXT;
}

rc_t file_source_cut(struct file_source *s, uint64_t from, uint64_t max_bytes, uint64_t max_events, struct err *reterr)
{
	/* A file whose last line was not complete when it was loaded has to be framed from its start, too. */
	s->aligned = s->measured && !s->finished && from == s->upto && is_lines(s->format);
	s->line_begin = s->aligned && s->last_line ? s->last_line - 1 : 0;
	s->from = s->upto = from;
	s->max_bytes = max_bytes;
	s->max_events = max_events;
	s->measured = s->finished = false;
	s->invalid = 0;
	if (!s->seekable && s->aligned)
		TRY(file_punch(s->spool, "the spool file", 0, from, reterr));
	return RC_OK;
}

rc_t file_source_rewind(struct file_source *s, struct err *reterr)
{
	(void)reterr;
	framer_free(s->framer);
	s->framer = framer_new(s->format, NULL);
	if (s->opts.unchecked && !s->measured)
		framer_unchecked(s->framer);
	s->offset = s->frame_base = s->aligned ? s->from : 0;
	s->line_base = s->line_begin;
	s->fed_any = s->done = false;
	s->events_seen = s->bytes_seen = 0;
	if (!s->measured)
		s->invalid = 0;
	return RC_OK;
}

static struct slice reason_of(struct file_source *s, uint64_t line, const struct frame_event *e)
{
	const char *text = arena_printf(&s->reasons, "%s (line %llu, column %llu)", e->message, (unsigned long long)line,
					(unsigned long long)e->column);
	return slice_str(text);
}

/* Takes the event of the bytes [at, end) into the batch. RC_EOF: the cut ends before it or with it. */
static rc_t take_one(struct file_source *s, const struct frame_event *e, uint64_t at, uint64_t end, struct err *reterr)
{
	if (end <= s->from)
		return RC_OK; /* of an earlier cut, framed once more; one that has grown since then is a new one */
	if (s->measured && at >= s->upto)
		return RC_EOF;
	if (!s->measured && s->opts.framing)
		TRY(framing_add(s->opts.framing, e->gap, reterr));
	if (s->event_count == s->event_cap) {
		s->event_cap = s->event_cap ? s->event_cap * 2 : 1024;
		s->events = mem_realloc(s->events, s->event_cap * sizeof *s->events);
		s->lines = mem_realloc(s->lines, s->event_cap * sizeof *s->lines);
	}
	s->lines[s->event_count] = s->line_base + e->line;
	s->events[s->event_count++] = (struct event){
		.payload = e->payload,
		.kind = e->kind,
		.received = s->opts.received,
		.pos = end,
		.reason = e->invalid ? reason_of(s, s->line_base + e->line, e) : (struct slice){ 0 },
		.unchecked = e->unchecked,
		.padded = true,
	};
	s->events_seen++;
	s->bytes_seen += e->gap.len + (end - at);
	if (s->measured)
		return RC_OK;
	s->upto = end;
	s->last_line = s->line_base + e->line;
	s->invalid += e->invalid;
	return s->bytes_seen >= s->max_bytes || s->events_seen >= s->max_events ? RC_EOF : RC_OK;
}

static rc_t take(struct file_source *s, const struct frame_event *e, struct err *reterr)
{
	uint64_t at = s->frame_base + e->offset;
	return take_one(s, e, at, at + e->payload.len, reterr);
}

static rc_t feed(struct file_source *s, struct err *reterr)
{
	size_t first = s->opts.first_read ? s->opts.first_read : FIRST_READ;
	size_t want = (s->fed_any || s->sampled) && first > NEXT_READ ? NEXT_READ : first, got;
	TRY(read_input(s, framer_space(s->framer, want), want, &got, reterr));
	s->fed_any = true;
	s->offset += got;
	if (got) {
		framer_fed(s->framer, got);
	} else {
		framer_finish(s->framer);
	}
	return RC_OK;
}

/* The reading is at its end; the first one has measured the cut. */
static rc_t end_of_reading(struct file_source *s, bool input_ended, struct err *reterr)
{
	s->done = true;
	if (s->measured)
		return RC_OK;
	s->measured = true;
	s->finished = input_ended;
	if (input_ended)
		s->upto = s->offset; /* the framing behind the last event belongs to it */
	enum frame_format detected = framer_detected(s->framer);
	if (detected != FRAME_AUTO)
		s->format = detected;
	if (input_ended && s->opts.framing)
		return framing_finish(s->opts.framing, framer_tail(s->framer), reterr);
	return RC_OK;
}

/* ---- what is too long ---- */

static uint64_t tail_at(const struct file_source *s)
{
	return s->offset - framer_tail(s->framer).len;
}

/* Where the first line begins that is not blank. False: there is none. */
static bool find_line(struct slice window, size_t *ret)
{
	size_t line = 0;
	for (size_t i = 0; i < window.len; i++) {
		if (window.data[i] == '\n')
			line = i + 1;
		else if (!memchr(" \t\r", window.data[i], 3)) {
			*ret = line;
			return true;
		}
	}
	return false;
}

/* The input offset of the next line end from s->offset on, or of the end; s->offset is there then. */
static rc_t skip_line(struct file_source *s, struct err *reterr)
{
	AUTO_MEM uint8_t *chunk = mem_alloc(NEXT_READ);
	for (;;) {
		size_t got;
		TRY(read_input(s, chunk, NEXT_READ, &got, reterr));
		const uint8_t *lf = memchr(chunk, '\n', got);
		s->offset += lf ? (size_t)(lf - chunk) : got;
		if (lf || !got)
			return RC_OK;
	}
}

/* Takes the line that is in the framer's way, and has the framing begin anew behind it. */
static rc_t take_long(struct file_source *s, struct err *reterr)
{
	struct slice tail = framer_tail(s->framer);
	enum frame_format format = framer_detected(s->framer);
	size_t from;
	if (!find_line(tail, &from))
		return RC_LIMIT; /* white space, that is */
	uint64_t at = tail_at(s) + from, line = s->line_base + framer_line(s->framer);
	struct slice head = slice_skip(tail, from);
	size_t kept = head.len < LONG_KEPT ? head.len : LONG_KEPT;
	uint8_t *copy = arena_alloc(&s->reasons, kept + EVENT_PAD);
	memcpy(copy, head.data, kept);
	memset(copy + kept, 0, EVENT_PAD);
	const uint8_t *lf = memchr(head.data, '\n', head.len);
	s->offset = lf ? at + (size_t)(lf - head.data) : s->offset;
	if (!lf)
		TRY(skip_line(s, reterr));
	framer_free(s->framer);
	s->framer = framer_new(format, NULL);
	if (s->opts.unchecked && !s->measured)
		framer_unchecked(s->framer);
	s->format = format;
	s->frame_base = s->offset;
	s->line_base = line - 1;
	struct frame_event e = { .payload = slice_of(copy, kept), .kind = PAYLOAD_RAW, .invalid = true, .line = 1, .column = 1 };
	e.message = arena_printf(&s->reasons, "the line has %llu bytes, more than an event's limit of %zu: only the first %zu are kept",
				 (unsigned long long)(s->offset - at), FRAME_EVENT_MAX, kept);
	return take_one(s, &e, at, s->offset, reterr);
}

/* The framer does not get on: what follows is over its limit. RC_EOF: the cut ends here or with it. */
static rc_t over_limit(struct file_source *s, struct err *reterr)
{
	rc_t rc = RC_LIMIT;
	if (s->opts.lenient && is_lines(framer_detected(s->framer)))
		rc = take_long(s, reterr);
	else if (s->opts.lenient && (s->measured ? tail_at(s) >= s->upto : s->events_seen > 0))
		rc = RC_EOF;
	if (rc == RC_LIMIT)
		err_prefix(reterr, "%s, behind byte %llu", s->path, (unsigned long long)tail_at(s));
	return rc;
}

rc_t file_source_next(struct file_source *s, const struct event **ret_events, size_t *ret_n, struct err *reterr)
{
	s->event_count = 0;
	arena_reset(&s->reasons);
	while (!s->done && s->event_count < EVENTS_MAX) {
		struct frame_event e;
		rc_t rc = framer_next(s->framer, &e, reterr);
		if (rc == RC_AGAIN || (rc == RC_LIMIT && s->event_count)) {
			if (s->event_count)
				break; /* going on would invalidate what is gathered */
			TRY(feed(s, reterr));
			continue;
		}
		if (rc == RC_EOF) {
			TRY(end_of_reading(s, true, reterr));
			break;
		}
		if (rc == RC_LIMIT) {
			rc = over_limit(s, reterr);
		} else if (rc != RC_OK) {
			err_prefix(reterr, "%s", s->path);
			return rc;
		} else {
			rc = take(s, &e, reterr);
		}
		if (rc == RC_EOF)
			TRY(end_of_reading(s, false, reterr));
		else if (rc != RC_OK)
			return rc;
	}
	if (!s->event_count)
		return RC_EOF;
	*ret_events = s->events;
	*ret_n = s->event_count;
	return RC_OK;
}

void file_source_check(struct file_source *s, uint64_t pos, const struct event **ret_events, size_t *ret_n)
{
	size_t from = 0;
	while (from < s->event_count && s->events[from].pos < pos)
		from++;
	for (size_t i = from; i < s->event_count; i++) {
		struct event *e = &s->events[i];
		if (!e->unchecked)
			continue;
		struct frame_event check = { .payload = e->payload, .kind = e->kind };
		frame_check(&check, NULL);
		e->unchecked = false;
		e->kind = check.kind;
		if (check.invalid) {
			e->reason = reason_of(s, s->lines[i], &check);
			s->invalid++;
		}
	}
	*ret_events = s->events + from;
	*ret_n = s->event_count - from;
}

rc_t file_source_twin(struct file_source *s, struct file_source **ret, struct err *reterr)
{
	struct file_source *t = NEW(struct file_source);
	t->opts = s->opts;
	t->format = file_source_format(s);
	t->spool = -1;
	arena_init(&t->reasons);
	t->path = mem_strdup(s->path);
	t->size = s->size;
	t->seekable = t->sampled = true;
	t->fd = dup(s->fd);
	if (t->fd < 0) {
		rc_t rc = err_errno(reterr, RC_IO, "cannot read %s by several threads", s->path);
		file_source_close(t);
		return rc;
	}
	*ret = t;
	return RC_OK;
}

rc_t file_source_lines(struct file_source *s, uint64_t from, uint64_t to, uint64_t lines, struct framing *framing, struct err *reterr)
{
	s->format = file_source_format(s);
	s->opts.framing = framing;
	s->opts.stop = to;
	s->aligned = true;
	s->line_begin = lines;
	s->last_line = lines + 1;
	s->from = s->upto = from;
	s->max_bytes = s->max_events = UINT64_MAX;
	s->measured = s->finished = false;
	s->invalid = 0;
	return file_source_rewind(s, reterr);
}

rc_t file_source_read(const struct file_source *s, uint64_t from, void *out, size_t len, size_t *ret_got, struct err *reterr)
{
	rc_t rc = file_pread(s->fd, s->path, out, len, from, ret_got, reterr);
	return rc == RC_EOF ? RC_OK : rc;
}

uint64_t file_source_line(const struct file_source *s)
{
	return s->last_line;
}

uint64_t file_source_end(const struct file_source *s)
{
	return s->upto;
}

bool file_source_finished(const struct file_source *s)
{
	return s->finished;
}

enum frame_format file_source_format(const struct file_source *s)
{
	return s->format == FRAME_AUTO && s->framer ? framer_detected(s->framer) : s->format;
}

uint64_t file_source_invalid(const struct file_source *s)
{
	return s->invalid;
}

bool file_source_seekable(const struct file_source *s)
{
	return s->seekable;
}

uint64_t file_source_size(const struct file_source *s)
{
	return s->size;
}

bool file_source_packed(const struct file_source *s)
{
	return s->packed;
}

bool file_source_same_file(const struct file_source *a, const struct file_source *b)
{
	return a->device == b->device && a->inode == b->inode;
}

uint64_t file_source_offset(const struct file_source *s)
{
	return s->packed ? unpack_taken(s->unpack) : s->offset;
}
