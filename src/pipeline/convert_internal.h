/* Inside convert: what the threads share, and a thread's own.
 *
 * The input is cut into ranges, by its own bytes alone. A range is shredded by one worker, from a base: the file's schema and key table as they
 * stood after a former range, by number. Then comes its *turn*, range after range: what it has added is merged into the file's schema and its row
 * group is reserved. Encoding runs beside the others again; at last the bytes are *appended* to the file, again range after range. So the file
 * depends on the input only. Where a range disagrees with the merged schema it is shredded again in its turn, from that schema.
 *
 *   convert.c        the front door: opens, runs the workers, ends the file
 *   convert_range.c  a range's rows: from the input to a row group
 *   convert_turn.c   who may do what when: taking, bases, turns, appending, failing
 */
#ifndef PIPELINE_CONVERT_INTERNAL_H
#define PIPELINE_CONVERT_INTERNAL_H

#include <pthread.h>

#include "os/output.h"
#include "parquet/writer.h"
#include "pipeline/convert.h"
#include "shred/merge.h"
#include "source/file.h"

#define RANGE_NONE UINT64_MAX

/* What ranges start from. */
struct base {
	uint64_t from; /* the first range that does */
	struct shredder *shredder; /* NULL: too heavy to be copied for all; they begin in their turn, from the file's */
	unsigned refs;
};
#define BASE_WEIGHT_MAX ((size_t)12 << 20) /* bytes, about: only inputs of ever new keys come to so much */
#define BASES_MAX 4 /* of two generations at most, in fact */

struct convert {
	const struct convert_options *opts;
	struct convert_result *result;
	struct output output;
	struct parquet_writer *writer;
	pthread_mutex_t file_lock; /* reserve, append */
	struct file_source *source;

	pthread_mutex_t lock; /* what follows, and waiting */
	pthread_cond_t moved;
	uint64_t next;	   /* range to be taken */
	uint64_t turn;	   /* range that merges */
	uint64_t appended; /* ranges in the file */
	uint64_t end;	   /* ranges there are; RANGE_NONE: not known yet */
	bool reading;	   /* a worker reads the input that cannot be cut */
	uint64_t failed;   /* the first range that failed */
	rc_t rc;
	struct err err;
	struct base *bases[BASES_MAX]; /* ascending */
	unsigned base_count;
	uint64_t bytes_seen, events_seen; /* for the progress bar */

	/* settled by the first range, before any other begins */
	bool cut;	       /* into lines, by offset; else one worker at a time reads the next range */
	uint64_t size;	       /* cut: bytes of the input */
	uint64_t step;	       /* bytes of a range */
	uint64_t first_at;     /* cut: behind the last event of the first call */
	/* of whoever has the turn */
	struct shredder *shredder; /* the file's: schema, key table, statistics */
	struct framing framing;
	uint64_t lines; /* line ends before the range (cut) */
};

struct worker {
	struct convert *c;
	pthread_t thread;
	uint64_t range;
	struct base *base;
	struct shredder *shredder;
	uint32_t first_edge; /* edges that the shredder began with */
	struct file_source *source; /* cut: its own; c's for the first call of the first range */
	struct framing framing;
	struct batch batch;
	bool has_batch;
	struct batch view; /* the sealed batch as the file has it */
	struct parquet_group *group;
	struct event *events; /* a copy where some are invalid; what `text` holds */
	size_t event_cap;
	struct buf text, marks; /* not cut: the range's payloads, and 4 bytes for each */
	rc_t read_rc;		/* not cut: how reading ended, behind the last of them */
	struct err read_err;
	bool in_turn, again, conflict; /* again: from the file's schema as it is in the turn */
	uint64_t rows, invalid;	       /* of the range; invalid ones in `text` not counted */
	uint64_t kept_invalid;	       /* in `text` */
	uint64_t lines;		       /* line ends in the range (cut) */
	uint64_t told;		       /* input offset that the progress bar knows of (cut) */
};

/* ---- convert_turn.c ---- */
/* The next range, with its base; false: there is none. */
bool turn_next_range(struct worker *w);
/* Waits for the turn. RC_CANCELLED: an earlier range has failed. */
rc_t turn_take(struct worker *w, struct err *reterr);
/* In the turn: gives it to the next range, with a base made if one is due. */
void turn_pass(struct worker *w);
/* Waits until all earlier ranges are in the file. */
rc_t turn_append(void *worker, struct err *reterr);
/* Whether they are. */
bool turn_ready(void *worker);
void turn_appended(struct worker *w);
void turn_fail(struct worker *w, rc_t rc, const struct err *err);
/* The first call of the input is shredded: the other ranges may begin. */
void turn_begin(struct worker *w);
/* The input that cannot be cut is read as far as this range goes; last: to its end, with no range behind (or, empty, this one neither). */
void turn_read(struct worker *w, bool last, bool empty);
/* more bytes of input are done; or, if that is 0, so many bytes from its beginning on. */
void turn_progress(struct worker *w, uint64_t more, uint64_t offset, size_t events);
void turn_release_bases(struct convert *c);
void base_release(struct convert *c, struct base *b);

/* ---- convert_range.c ---- */
void range_run(struct worker *w);
void worker_free(struct worker *w);

#endif
