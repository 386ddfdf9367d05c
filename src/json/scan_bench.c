/* Validation speed: json_scan_bench [FILE] (NDJSON; default: synthetic log lines). */
#include "base/bench.h"
#include "base/buf.h"
#include "json/scan.h"

static void synthetic(struct buf *b)
{
	for (int i = 0; b->len < (8u << 20); i++)
		buf_printf(b, "{\"time\":\"2026-11-22T10:%02d:%02d.%03dZ\",\"level\":\"info\",\"client\":{\"ip\":\"10.0.%d.%d\",\"port\":%d},"
		              "\"request\":\"GET /api/v1/items/%d HTTP/1.1\",\"status\":200,\"bytes\":%d,\"seconds\":0.%03d,\"ok\":true,"
		              "\"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\",\"tags\":[\"a\",\"b\",null]}\n",
		           i / 60 % 60, i % 60, i % 1000, i % 256, i * 7 % 256, 1024 + i % 60000, i, i * 37 % 100000, i % 1000);
}

int main(int argc, char **argv)
{
	AUTO_BUF struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
	if (f) {
		buf_reserve(&b, (size_t)1 << 28);
		b.len = fread(b.data, 1, (size_t)1 << 28, f);
		fclose(f);
	} else {
		synthetic(&b);
	}
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		double best = BENCH_BEST(10, {
			for (const uint8_t *p = b.data, *end = p + b.len, *lf; p < end; p = lf + 1) {
				lf = memchr(p, '\n', (size_t)(end - p));
				lf = lf ? lf : end;
				if (json_validate_all(slice_of(p, (size_t)(lf - p)), NULL, NULL, NULL) != RC_OK)
					return 1;
			}
		});
		printf("json_validate %s: %.0f MB/s\n", simd ? "AVX2" : "portable", (double)b.len / best * 1e-6);
	}
	size_t sum = 0;
	double best = BENCH_BEST(10, {
		for (const uint8_t *p = b.data, *end = p + b.len; p < end;) {
			p = json_space(json_value_end(json_space(p, end), end), end);
			sum++;
		}
	});
	printf("json_value_end: %.0f MB/s (%zu values)\n", (double)b.len / best * 1e-6, sum / 10);
	return 0;
}
