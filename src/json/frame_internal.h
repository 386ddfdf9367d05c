/* Inside the room json: the cutter, which frame_body and the framer share, and the sniffer. */
#ifndef JSON_FRAME_INTERNAL_H
#define JSON_FRAME_INTERNAL_H

#include "json/frame.h"

enum cut_mode {
	CUT_UNKNOWN,
	CUT_NDJSON, /* a line, a value */
	CUT_VALUES, /* values, white space between them optional */
	CUT_ARRAY,  /* one array, its elements */
	CUT_SINGLE, /* all of it is one JSON value */
	CUT_TEXT,   /* a line, an event */
	CUT_WHOLE_TEXT,
	CUT_RAW
};

/* What the input looks like, by its first bytes (the rule in frame.h). asked: FRAME_AUTO or a format, which then is kept; whole: window
 * is all of the input. CUT_UNKNOWN: more of it is needed (never if whole, nor with SNIFF_MAX bytes); hurry: decide with less if it can be. */
enum cut_mode sniff(struct slice window, bool whole, bool hurry, enum frame_format asked, bool body_is_event);
enum frame_format cut_format(enum cut_mode mode);

#define SNIFF_LINES ((size_t)64 << 10) /* how far lines are tried */
#define SNIFF_MAX ((size_t)1 << 20)    /* with so much at hand there is no waiting for more */

enum array_state { ARRAY_OPEN, ARRAY_FIRST, ARRAY_ELEMENT, ARRAY_AFTER, ARRAY_CLOSED };

/* Cuts a window of the input, which may grow at its end and lose consumed bytes at its front. Positions count from the window's start. */
struct cutter {
	enum cut_mode mode;
	struct json_limits json;
	struct scan_memo *memo; /* NULL: none */
	size_t event_max, gap_max;
	size_t pos;        /* behind the last event: the gap begins here */
	size_t cursor;     /* ≥ pos: where the next event is looked for */
	size_t scanned;    /* no line end between cursor and here */
	size_t need;       /* do not try again with a smaller window (keeps retries linear) */
	size_t separator;  /* CUT_ARRAY: the last [ or , */
	enum array_state array;
	bool started;      /* the byte order mark has been looked for */
	bool unchecked;    /* lines from { to } are not validated */
	uint64_t base;     /* input offset of the window's start */
	uint64_t line;     /* of `counted`, from 1 */
	uint64_t line_at;  /* input offset of that line's first byte */
	uint64_t counted;  /* input offset up to which line ends are counted */
};

void cut_init(struct cutter *c, enum cut_mode mode, const struct frame_limits *limits);
/* RC_OK: an event; RC_AGAIN: the window must grow (not if final); RC_EOF: from pos on there is only the tail; RC_LIMIT. */
rc_t cut_next(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr);
/* The window's first `bytes` (≤ pos) will go. */
void cut_shift(struct cutter *c, struct slice window, size_t bytes);

static inline bool starts_with_bom(struct slice s)
{
	return s.len >= 3 && s.data[0] == 0xef && s.data[1] == 0xbb && s.data[2] == 0xbf;
}

#endif
