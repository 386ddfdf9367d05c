/* Which field is the event's time, and what it says in a row. */
#include "shred/shred_internal.h"
#include "json/scan.h"
#include "json/time.h"

#define SAMPLE_ROWS 1000u

/* Looked for in this order, once, at the top level. */
static const char *const candidates[] = { "@timestamp", "timestamp", "time", "ts", "eventTime", "event_time" };
#define CANDIDATES (sizeof candidates / sizeof *candidates)

static bool plausible(int64_t us, int64_t received)
{
	return us >= received - SHRED_TIME_PAST_US && us <= received + SHRED_TIME_AHEAD_US;
}

/* text: a JSON string or number. */
static bool time_of_text(struct slice text, int64_t received, int64_t *ret_us)
{
	if (text.len >= 2 && text.data[0] == '"')
		text = slice_of(text.data + 1, text.len - 2);
	return text.len && json_time_parse_any(text, ret_us) && plausible(*ret_us, received);
}

/* Counts, for the members of one object, those candidates that hold a plausible time. */
static void sample_event(const struct event *e, uint32_t *times)
{
	struct slice object = event_value(e);
	const uint8_t *p = object.data, *end = p + object.len;
	uint32_t marks;
	int64_t us;
	p = json_space(p + 1, end);
	while (p < end && *p == '"') {
		const uint8_t *from = p + 1, *to = json_string_end(from, end, &marks);
		struct slice key = slice_of(from, (size_t)(to - from));
		p = json_space(to + 1, end);
		p = json_space(p + 1, end);
		const uint8_t *value = p;
		p = json_value_end(p, end);
		for (uint32_t i = 0; i < CANDIDATES; i++)
			if (slice_eq_str(key, candidates[i]) &&
			    time_of_text(slice_of(value, (size_t)(p - value)), e->received, &us))
				times[i]++;
		p = json_space(p, end);
		if (p < end && *p == ',')
			p = json_space(p + 1, end);
	}
}

void event_time_settle(struct shredder *s, const struct event *events, size_t n)
{
	uint32_t times[CANDIDATES] = { 0 }, rows = 0;
	if (s->time_path || !s->opt.lake)
		return;
	for (size_t i = 0; i < n && rows < SAMPLE_ROWS; i++) {
		if (events[i].kind != PAYLOAD_JSON || events[i].reason.len || event_value(&events[i]).data[0] != '{')
			continue;
		if (events[i].unchecked && json_validate_all(events[i].payload, NULL, NULL, NULL) != RC_OK)
			continue;
		rows++;
		sample_event(&events[i], times);
	}
	for (uint32_t i = 0; i < CANDIDATES; i++) {
		if (times[i] && times[i] >= (rows + 1) / 2) {
			s->time_path = mem_strdup(candidates[i]);
			s->own.time->key = slice_str(arena_strdup(&s->schema->arena, candidates[i]));
			shred_bind(s); /* the node may be known already */
			return;
		}
	}
}

int64_t event_time_of(struct shredder *s, const struct event *e)
{
	int64_t us;
	if (e->kind == PAYLOAD_JSON && !e->reason.len && s->row.time.len && time_of_text(s->row.time, e->received, &us))
		return us;
	if (s->time_path)
		s->stats.late++;
	return e->received;
}
