/* What parent and child say to each other over their socket.
 *
 * Parent to child, then end of stream: u32 PROTO_MAGIC, then the members of struct request in order: numbers u32 or u64
 * little-endian, strings u32 length and bytes, arrays u32 count and elements.
 * Child to parent, any number: u8 kind, u32 length ≤ PROTO_FRAME_MAX, the bytes. FRAME_DATA: a piece of the result. FRAME_ERROR: u8
 * rc, u8 retryable, text; the last. FRAME_DONE: empty; the last. A stream that ends without a last frame is a crash.
 */
#ifndef SQL_PROTO_INTERNAL_H
#define SQL_PROTO_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define PROTO_MAGIC 0x31717368u /* "hsq1" */
#define PROTO_REQUEST_MAX ((size_t)256 << 20)
#define PROTO_FRAME_MAX ((size_t)1 << 20)
#define PROTO_FRAME_HEAD 5

enum frame_kind { FRAME_DATA = 'D', FRAME_ERROR = 'E', FRAME_DONE = 'Z' };

struct strings {
	const char **items; /* NUL-terminated */
	uint32_t n;
};

struct request_table {
	const char *name;
	const char *ddl;        /* CREATE VIEW …; empty: only known by name */
	struct strings hidden;  /* columns that * leaves out */
	uint32_t visible;       /* columns before them */
};

struct request {
	const char *library;
	uint64_t memory_bytes;
	uint32_t threads;
	const char *temp_dir; /* empty: none */
	uint64_t temp_bytes;
	uint32_t format, width, max_rows;
	const char *sql;
	struct strings allowed_dirs;
	struct strings allowed_paths;
	struct request_table *tables;
	uint32_t n_tables;
};

void request_encode(const struct request *r, struct buf *out);
/* Everything in *ret lives in the arena. RC_CORRUPT if the bytes are not a request. */
rc_t request_decode(struct slice bytes, struct arena *arena, struct request *ret, struct err *reterr);

#endif
