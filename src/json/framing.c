#include "json/frame.h"

/* Gaps that are looked up by their bytes: more than this many different ones, or longer ones, are simply kept one by one. */
#define INTERNED_MAX 65536
#define INTERNED_BYTES 64

void framing_init(struct framing *g)
{
	memset(g, 0, sizeof *g);
	buf_init(&g->prefix, FRAMING_MAX);
	buf_init(&g->tail, FRAMING_MAX);
	buf_init(&g->gaps, FRAMING_MAX);
	buf_init(&g->runs, FRAMING_MAX);
	map_init(&g->ids);
}

void framing_free(struct framing *g)
{
	if (!g)
		return;
	buf_free(&g->prefix);
	buf_free(&g->tail);
	buf_free(&g->gaps);
	buf_free(&g->runs);
	map_free(&g->ids);
	free(g->gap_ends);
	free(g->gap_uses);
	g->gap_ends = g->gap_uses = NULL;
	g->gap_count = g->gap_cap = 0;
}

static struct slice gap_at(const struct framing *g, size_t i)
{
	uint64_t from = i ? g->gap_ends[i - 1] : 0;
	return g->gaps.data ? slice_of(g->gaps.data + from, g->gap_ends[i] - from) : slice_of(NULL, 0);
}

/* The number of a gap, new if it was not seen. */
static size_t gap_number(struct framing *g, struct slice gap)
{
	bool intern = gap.len <= INTERNED_BYTES;
	uintptr_t *known = intern ? map_get(&g->ids, gap) : NULL;
	if (known)
		return *known;
	if (intern && g->ids.count < INTERNED_MAX)
		*map_put(&g->ids, gap, NULL) = g->gap_count;
	if (g->gap_count == g->gap_cap) {
		g->gap_cap = g->gap_cap ? g->gap_cap * 2 : 16;
		g->gap_ends = mem_realloc(g->gap_ends, g->gap_cap * sizeof *g->gap_ends);
		g->gap_uses = mem_realloc(g->gap_uses, g->gap_cap * sizeof *g->gap_uses);
	}
	buf_append_slice(&g->gaps, gap);
	g->gap_ends[g->gap_count] = g->gaps.len;
	g->gap_uses[g->gap_count] = 0;
	return g->gap_count++;
}

static void close_run(struct framing *g)
{
	if (g->run_length == 0)
		return;
	buf_varint(&g->runs, g->run_gap);
	buf_varint(&g->runs, g->run_length);
	g->run_count++;
	g->run_length = 0;
}

static rc_t check_size(struct framing *g, struct err *reterr)
{
	size_t bytes = g->gaps.len + g->runs.len + g->prefix.len + g->tail.len + g->gap_count * 2 * sizeof(uint64_t);
	if (bytes <= FRAMING_MAX && !g->gaps.overflow && !g->runs.overflow && !g->prefix.overflow && !g->tail.overflow)
		return RC_OK;
	return err_set(reterr, RC_LIMIT, "the white space between the events takes more than %zu MiB to remember (after %llu events): make it uniform",
	               FRAMING_MAX >> 20, (unsigned long long)g->events);
}

rc_t framing_add(struct framing *g, struct slice gap, struct err *reterr)
{
	if (g->events++ == 0) {
		buf_append_slice(&g->prefix, gap);
		return check_size(g, reterr);
	}
	if (g->run_length && slice_eq(gap_at(g, g->run_gap), gap)) { /* nearly always */
		g->run_length++;
		g->gap_uses[g->run_gap]++;
		return RC_OK;
	}
	close_run(g);
	g->run_gap = gap_number(g, gap);
	g->run_length = 1;
	g->gap_uses[g->run_gap]++;
	return check_size(g, reterr);
}

rc_t framing_finish(struct framing *g, struct slice tail, struct err *reterr)
{
	close_run(g);
	buf_append_slice(&g->tail, tail);
	return check_size(g, reterr);
}

rc_t framing_join(struct framing *into, const struct framing *from, struct err *reterr)
{
	if (!from->events)
		return framing_finish(into, buf_slice(&from->tail), reterr);
	AUTO_BUF struct buf first;
	buf_init(&first, FRAMING_MAX);
	buf_append_slice(&first, buf_slice(&into->tail));
	buf_append_slice(&first, buf_slice(&from->prefix));
	buf_reset(&into->tail);
	TRY(framing_add(into, buf_slice(&first), reterr));
	size_t at = 0;
	uint64_t number, length;
	while (slice_varint(buf_slice(&from->runs), &at, &number) && slice_varint(buf_slice(&from->runs), &at, &length)) {
		TRY(framing_add(into, gap_at(from, number), reterr));
		into->run_length += length - 1;
		into->gap_uses[into->run_gap] += length - 1;
		into->events += length - 1;
	}
	return framing_finish(into, buf_slice(&from->tail), reterr);
}

static void put_bytes(struct buf *ret, struct slice s)
{
	buf_varint(ret, s.len);
	buf_append_slice(ret, s);
}

void framing_encode(struct framing *g, struct buf *ret)
{
	size_t usual = 0;
	for (size_t i = 1; i < g->gap_count; i++)
		if (g->gap_uses[i] > g->gap_uses[usual])
			usual = i;
	buf_byte(ret, 1);
	buf_varint(ret, g->events);
	put_bytes(ret, buf_slice(&g->prefix));
	put_bytes(ret, buf_slice(&g->tail));
	buf_varint(ret, g->gap_count);
	if (g->gap_count)
		put_bytes(ret, gap_at(g, usual));
	for (size_t i = 0; i < g->gap_count; i++) /* the first changes places with the usual one */
		if (i)
			put_bytes(ret, gap_at(g, i == usual ? 0 : i));
	uint64_t runs = g->run_count, skip = 0, number, length;
	size_t at = 0;
	while (slice_varint(buf_slice(&g->runs), &at, &number) && slice_varint(buf_slice(&g->runs), &at, &length))
		runs -= number == usual;
	buf_varint(ret, runs);
	at = 0;
	while (slice_varint(buf_slice(&g->runs), &at, &number) && slice_varint(buf_slice(&g->runs), &at, &length)) {
		if (number == usual) {
			skip += length;
			continue;
		}
		buf_varint(ret, skip);
		buf_varint(ret, number == 0 ? usual : number);
		buf_varint(ret, length);
		skip = 0;
	}
}

/* A length and as many bytes at *at, which moves behind them. */
static bool get_bytes(struct slice s, size_t *at, struct slice *ret)
{
	uint64_t len;
	if (!slice_varint(s, at, &len) || len > s.len - *at)
		return false;
	*ret = slice_of(s.data + *at, len);
	*at += len;
	return true;
}

static bool get_run(const struct framing_reader *r, size_t *at, uint64_t *ret_skip, uint64_t *ret_number, uint64_t *ret_length)
{
	return slice_varint(r->encoded, at, ret_skip) && slice_varint(r->encoded, at, ret_number) && slice_varint(r->encoded, at, ret_length);
}

static bool read_all(struct framing_reader *r)
{
	struct slice s = r->encoded, gap;
	size_t at = 1;
	if (s.len == 0 || s.data[0] != 1 || !slice_varint(s, &at, &r->events) || !get_bytes(s, &at, &r->prefix) || !get_bytes(s, &at, &r->tail) ||
	    !slice_varint(s, &at, &r->gap_count))
		return false;
	if (r->gap_count > s.len - at || (r->gap_count == 0 && r->events > 1)) /* a gap takes a byte at least */
		return false;
	r->gaps = mem_zalloc(r->gap_count + 1, sizeof *r->gaps);
	for (uint64_t i = 0; i < r->gap_count; i++) {
		r->gaps[i] = at;
		if (!get_bytes(s, &at, &gap))
			return false;
		if (i == 0)
			r->usual = gap;
	}
	if (!slice_varint(s, &at, &r->runs_left))
		return false;
	r->run_at = at;
	uint64_t room = r->events ? r->events - 1 : 0, skip, number, length;
	for (uint64_t i = 0; i < r->runs_left; i++) {
		if (!get_run(r, &at, &skip, &number, &length) || number >= r->gap_count || length == 0 || skip > room || length > room - skip)
			return false;
		room -= skip + length;
	}
	return at == s.len;
}

rc_t framing_reader_open(struct slice encoded, struct framing_reader *ret, struct err *reterr)
{
	struct framing_reader r = { .encoded = encoded };
	if (!read_all(&r)) {
		framing_reader_close(&r);
		if (encoded.len && encoded.data[0] > 1)
			return err_set(reterr, RC_UNSUPPORTED, "the framing of the file has version %d, newer than this program: update hydrant", encoded.data[0]);
		return err_set(reterr, RC_CORRUPT, "the framing of the file (%zu bytes) is damaged: its payloads can only be restored with --framing lines",
		               encoded.len);
	}
	*ret = r;
	return RC_OK;
}

void framing_reader_close(struct framing_reader *r)
{
	if (!r)
		return;
	free(r->gaps);
	r->gaps = NULL;
}

rc_t framing_reader_next(struct framing_reader *r, struct slice *ret_gap)
{
	if (r->next >= r->events)
		return RC_EOF;
	if (r->next++ == 0) {
		*ret_gap = r->prefix;
		return RC_OK;
	}
	if (r->skip == 0 && r->left == 0 && r->runs_left) {
		uint64_t number;
		size_t at;
		r->runs_left--;
		if (!get_run(r, &r->run_at, &r->skip, &number, &r->left)) /* checked by open */
			return RC_CORRUPT;
		at = r->gaps[number];
		if (!get_bytes(r->encoded, &at, &r->run_gap))
			return RC_CORRUPT;
	}
	if (r->skip) {
		r->skip--;
		*ret_gap = r->usual;
	} else if (r->left) {
		r->left--;
		*ret_gap = r->run_gap;
	} else {
		*ret_gap = r->usual;
	}
	return RC_OK;
}
