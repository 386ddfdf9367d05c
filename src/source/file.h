/* A file, or standard input, as a source of events. A file is its own log: positions are byte offsets in it; an event's position
 * is the offset behind its last byte.
 *
 * Events are read in cuts. A cut can be read several times: file_source_rewind, then file_source_next to RC_EOF, gives the same events each
 * time; the first reading decides where it ends. Input that cannot be read twice (a pipe) is kept in an unnamed spool file for as
 * long as its cut lasts. gzip and zstd input is told by its first bytes and read as what is in it; positions are then those of the unpacked
 * bytes. The last cut ends at the end of the input, the framing behind its last event included.
 * A file that was read to its end and has grown since: a cut from that end on holds the new events, and the last old one anew if it went on.
 * Memory: a few MiB (zstd: and its window), and the largest event. Threads: one a source.
 */
#ifndef SOURCE_FILE_H
#define SOURCE_FILE_H

#include "base/err.h"
#include "base/mem.h"
#include "json/frame.h"
#include "model/event.h"

struct file_source_options {
	const char *path;         /* "-": standard input */
	enum frame_format format;
	const char *spool_dir;    /* for input that cannot be read twice; it exists */
	bool once;                /* one cut, one reading: no spool */
	bool unchecked;           /* the first reading of a cut may give unchecked events (model/event.h): the caller uses file_source_check */
	/* What is over the framer's limit ends no load: of a line the first 64 KiB are an invalid event, and the next line follows. In other formats the cut
	 * ends before it, if that has events, and the next one fails. */
	bool lenient;
	struct framing *framing;  /* filled by the first reading, from offset 0 on, if not NULL */
	int64_t received;         /* µs: receive time of all events */
	size_t first_read;        /* bytes of the first read, 0 = 8 MiB: a good sample for the schema */
	uint64_t stop;            /* bytes of input that count, 0 = all: a log file may grow while it is read */
};

struct file_source;
rc_t file_source_open(const struct file_source_options *opts, struct file_source **ret, struct err *reterr);
void file_source_close(struct file_source *s);
AUTO_DEFINE(file_source, file_source_close)

/* The next cut begins behind byte `from` (0, or where an earlier cut ended) and ends behind the first event that makes it max_bytes
 * long or max_events, or at the end. */
rc_t file_source_cut(struct file_source *s, uint64_t from, uint64_t max_bytes, uint64_t max_events, struct err *reterr);
rc_t file_source_rewind(struct file_source *s, struct err *reterr);
/* Valid until the next call. RC_EOF: the cut's end. */
rc_t file_source_next(struct file_source *s, const struct event **ret_events, size_t *ret_n, struct err *reterr);

/* One of the unchecked events that file_source_next gave is no JSON: those of that batch at and behind position `pos`, checked. */
void file_source_check(struct file_source *s, uint64_t pos, const struct event **ret_events, size_t *ret_n);

/* Another source on the same plain, unpacked file, of the format that was detected: for another thread. */
rc_t file_source_twin(struct file_source *s, struct file_source **ret, struct err *reterr);
/* Instead of a cut: one reading of the lines between the bytes `from` (where a line begins, or behind an event) and `to` (behind a line's end, or
 * the end), of NDJSON or text in a plain, unpacked file. lines: line ends before `from`. framing: filled by this reading. */
rc_t file_source_lines(struct file_source *s, uint64_t from, uint64_t to, uint64_t lines, struct framing *framing, struct err *reterr);
/* Bytes of a plain file as they lie there (packed ones, too); fewer only at its end. Beside a reading, and by several threads at once. */
rc_t file_source_read(const struct file_source *s, uint64_t from, void *out, size_t len, size_t *ret_got, struct err *reterr);
/* The line of the last event; after file_source_lines without an event, the line that `from` is in. */
uint64_t file_source_line(const struct file_source *s);

/* After a reading: where the cut ends, and whether the input ends there, too. */
uint64_t file_source_end(const struct file_source *s);
bool file_source_finished(const struct file_source *s);
enum frame_format file_source_format(const struct file_source *s); /* detected */
uint64_t file_source_invalid(const struct file_source *s);         /* events with a reason in the cut */
bool file_source_seekable(const struct file_source *s);              /* a plain file, not packed: can be read at any offset */
bool file_source_packed(const struct file_source *s);              /* a plain file in gzip or zstd */
uint64_t file_source_size(const struct file_source *s);            /* bytes of a plain file as it lies there; 0 = unknown */
bool file_source_same_file(const struct file_source *a, const struct file_source *b); /* under one name at two times, say */
uint64_t file_source_offset(const struct file_source *s);          /* of them, bytes read so far: for a progress bar */

#endif
