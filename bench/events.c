#include "events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "line.h"

#define DRAWS_MAX 100 /* for a short event: how many are looked at */

static const struct {
	const char *name;
	void (*make)(struct line *l);
} kinds[EVENTS_KINDS] = {
	[EVENTS_LOGS] = { "logs", logs_make },		[EVENTS_TRACK] = { "track", track_make },
	[EVENTS_GITHUB] = { "github", github_make },	[EVENTS_HOSTILE] = { "hostile", hostile_make },
	[EVENTS_OPTIONS] = { "options", options_make },
};

const char *events_kind_name(enum events_kind kind)
{
	return kinds[kind].name;
}

enum events_kind events_kind_of(const char *name)
{
	unsigned kind = 0;
	while (kind < EVENTS_KINDS && strcmp(kinds[kind].name, name) != 0)
		kind++;
	return (enum events_kind)kind;
}

uint64_t events_random(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15u); /* splitmix64 */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* The next event of the stream: its seed comes from the stream's and its number, so that it can be made again. */
static void make(struct line *l, const struct events_stream *stream, uint64_t draw)
{
	uint64_t seed = stream->seed ^ (stream->count * 0x9e6c63d0876a9a99u) ^ (draw << 48);
	l->len = l->field_count = 0;
	l->number = stream->count;
	l->now_us = stream->now_us;
	l->seed = events_random(&seed);
	kinds[stream->kind].make(l);
}

void events_make(struct events_body *b, struct events_stream *stream, size_t max, int one)
{
	size_t field_cap = max / 100 * 4 + 2 * LINE_MAX_FIELDS;
	*b = (struct events_body){ .data = malloc(max + 2 * LINE_MAX_BYTES), .fields = malloc(field_cap * sizeof *b->fields) };
	struct line *l = malloc(sizeof *l);
	if (!b->data || !b->fields || !l)
		abort();
	do {
		unsigned draw = 0;
		do
			make(l, stream, draw++);
		while (one && l->len + 1 > max && draw < DRAWS_MAX);
		if (one && l->len + 11 < max)
			put(l, ",\"note\":\"%.*s\"", (int)(max - l->len - 11),
			    "the quick brown fox jumps over the lazy dog, again and again, until the post has the size that was "
			    "asked for and no more");
		put_text(l, one ? "}" : "}\n");
		if (b->count && b->len + l->len > max)
			break;
		for (size_t i = 0; i < l->field_count; i++) {
			b->fields[b->field_count] = l->fields[i];
			b->fields[b->field_count++].at += (uint32_t)b->len;
		}
		memcpy(b->data + b->len, l->text, l->len);
		b->len += l->len;
		b->count++;
		stream->count++;
		stream->now_us += 900 + l->seed % 4000; /* a few hundred events a second */
	} while (!one && b->field_count + LINE_MAX_FIELDS < field_cap);
	free(l);
}

static void time_into(char *to, int64_t now_us)
{
	static _Thread_local int64_t known = -1;
	static _Thread_local char text[32];
	int64_t second = now_us / 1000000;
	if (second != known) {
		time_t t = (time_t)second;
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		known = second;
	}
	unsigned ms = (unsigned)(now_us / 1000 % 1000);
	memcpy(to, text, 24);
	to[20] = (char)('0' + ms / 100);
	to[21] = (char)('0' + ms / 10 % 10);
	to[22] = (char)('0' + ms % 10);
}

/* Over digits of its own kind; a UUID keeps its dashes, version and variant. */
static void hex_into(char *to, unsigned n, int uuid, uint64_t *seed)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t r = 0;
	for (unsigned k = 0; k < n; k++) {
		r = k % 16 ? r >> 4 : events_random(seed);
		if (!uuid || (to[k] != '-' && k != 14 && k != 19))
			to[k] = hex[r & 15];
	}
}

void events_freshen(struct events_body *b, int64_t now_us, uint64_t *seed)
{
	for (size_t i = 0; i < b->field_count; i++) {
		char *to = b->data + b->fields[i].at;
		uint64_t r = events_random(seed);
		if (b->fields[i].type == 't') {
			time_into(to, now_us++);
		} else if (b->fields[i].type == 'd') {
			unsigned d = 100 + (unsigned)(r % 900);
			to[0] = (char)('0' + d / 100);
			to[1] = (char)('0' + d / 10 % 10);
			to[2] = (char)('0' + d % 10);
		} else {
			hex_into(to, b->fields[i].type == 'u' ? 36 : 32, b->fields[i].type == 'u', seed);
		}
	}
}

void events_free(struct events_body *b)
{
	free(b->data);
	free(b->fields);
	*b = (struct events_body){ 0 };
}
