/* shredder_run over a file of NDJSON, or made-up flat access logs: MB/s of payload, one thread.
 *   shred_bench [FILE.ndjson] [rounds] */
#include <stdlib.h>

#include "base/bench.h"
#include "base/buf.h"
#include "shred/shred.h"

static struct batch *to_batch(void *ctx, size_t i, int64_t time_us)
{
	(void)i;
	(void)time_us;
	return ctx;
}

static void make_logs(struct buf *b, int rows)
{
	uint32_t x = 12345;
	for (int i = 0; i < rows; i++) {
		x = x * 1664525 + 1013904223;
		buf_printf(b,
			   "{\"time\":\"2026-11-22T10:%02d:%02dZ\",\"remote_addr\":\"10.%u.%u.%u\",\"method\":\"%s\",\"path\":\"/"
			   "api/v1/items/%u\",\"status\":%d,"
			   "\"bytes\":%u,\"request_time\":%u.%03u,\"referer\":\"https://example.com/page/"
			   "%u\",\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) "
			   "AppleWebKit/537.36\",\"upstream\":null,\"cached\":%s,\"request_id\":\"%08x%08x\"}\n",
			   i / 60 % 60, i % 60, x >> 24, x >> 16 & 255, x >> 8 & 255, x & 4096 ? "GET" : "POST", x >> 12 & 4095,
			   x & 65536 ? 200 : 404, x >> 8 & 0xffff, x >> 30, x >> 20 & 511, x >> 22 & 63,
			   x & 1024 ? "true" : "false", x, x * 7);
	}
}

int main(int argc, char **argv)
{
	AUTO_BUF struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
	size_t n;
	if (f) {
		while (buf_reserve(&text, 65536) && (n = fread(text.data + text.len, 1, 65536, f)) > 0)
			text.len += n;
		fclose(f);
	} else {
		make_logs(&text, 100000);
	}
	int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
	struct event *events = NULL;
	size_t count = 0, bytes = 0;
	for (size_t at = 0; at < text.len;) {
		const uint8_t *nl = memchr(text.data + at, '\n', text.len - at);
		size_t end = nl ? (size_t)(nl - text.data) : text.len;
		if (count % 1024 == 0)
			events = mem_realloc(events, (count + 1024) * sizeof *events);
		events[count] = (struct event){ .payload = slice_of(text.data + at, end - at),
						.received = 1795341600000000,
						.pos = count };
		count++;
		bytes += end - at;
		at = end + 1;
	}
	struct shredder *s = NULL;
	struct batch batch;
	struct err err;
	struct shred_options opt = { .lake = true, .key_space = 1, .source = SLICE_LIT("bench") };
	if (shredder_new(&opt, NULL, &s, &err) != RC_OK)
		return 1;
	batch_init(&batch, shredder_schema(s));
	for (int i = 0; i < rounds; i++) {
		double t = bench_now();
		batch_reset(&batch);
		if (shredder_run(s, events, count, to_batch, &batch, &err) != RC_OK)
			return 1;
		t = bench_now() - t;
		printf("shred %zu rows %.1f MB in %.3f s: %.0f MB/s, %zu bytes of columns, raw %llu\n", count,
		       (double)bytes / 1e6, t, (double)bytes / 1e6 / t, batch_bytes(&batch),
		       (unsigned long long)shredder_stats(s).raw_rows);
	}
	batch_free(&batch);
	shredder_free(s);
	free(events);
	return 0;
}
