/* An event: one payload with its metadata; and the position where it stands in its source's durable log. */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "base/slice.h"

enum payload_kind {
	PAYLOAD_JSON, /* one valid JSON value, without surrounding white space */
	PAYLOAD_TEXT, /* a line of valid UTF-8, without its line end */
	PAYLOAD_RAW   /* any bytes */
};

struct event {
	struct slice payload;
	enum payload_kind kind;
	int64_t received;      /* µs since the epoch, UTC */
	uint64_t pos;          /* position in its log */
	struct slice id, key;  /* only if given; else empty */
	struct slice meta;     /* allow-listed headers, "name\0value\0"…; usually empty */
	struct slice reason;   /* why it is quarantined; empty = it is not */
	bool unchecked;        /* PAYLOAD_JSON that nobody has validated yet: it begins with { and ends with } */
	bool padded;           /* EVENT_PAD bytes behind the payload can be read, whatever they are */
};

#define EVENT_PAD 128 /* what a parser may read before it looks where the payload ends */

/* Collection names: [a-z][a-z0-9_]{0,62} without "__", save the suffix "__quarantine" of hydrant's own tables. */
bool collection_name_valid(struct slice name);
#define QUARANTINE_SUFFIX "__quarantine"

#endif
