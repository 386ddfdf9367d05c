/* What the decoding kernels cost: ns a value, and MB/s of what they put out. */
#include "parquet/encoding/decode.h"
#include "parquet/encoding/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N 20000u /* values of a page */
#define ROUNDS 400

static uint64_t seed = 42;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t in[1 << 22], out[1 << 22];
static uint32_t indices[N + 64], offsets[N + 1], dict_offsets[4097];

/* Runs the statement ROUNDS times, five times over, and prints the best. */
#define MEASURE(name, bytes, ...)                                                                               \
	do {                                                                                                    \
		double best = 1e9;                                                                              \
		for (int try = 0; try < 5; try++) {                                                             \
			double start = now();                                                                   \
			for (int round = 0; round < ROUNDS; round++)                                            \
				__VA_ARGS__;                                                                    \
			double took = now() - start;                                                            \
			best = took < best ? took : best;                                                       \
		}                                                                                               \
		printf("%-42s %6.2f ns  %7.0f MB/s\n", name, best * 1e9 / ROUNDS / N, (double)(bytes) * ROUNDS / best / 1e6); \
	} while (0)

static void fail_if(bool bad)
{
	if (bad) {
		fputs("a kernel refused its input\n", stderr);
		exit(1);
	}
}

static void hybrid(const char *name, unsigned width, bool runs)
{
	struct hybrid_reader h;
	size_t len = 0;
	if (runs) { /* runs of 100 equal values */
		for (size_t i = 0; i < N; i += 100) {
			in[len++] = 200; /* 100 << 1, in two bytes */
			in[len++] = 1;
			for (unsigned k = 0; k < (width + 7) / 8; k++)
				in[len++] = 0;
		}
	} else { /* one bit-packed run */
		size_t groups = N / 8, header = groups << 1 | 1;
		for (; header >= 0x80; header >>= 7)
			in[len++] = (uint8_t)(header | 0x80);
		in[len++] = (uint8_t)header;
		for (size_t i = 0; i < groups * width; i++)
			in[len++] = (uint8_t)rnd();
	}
	MEASURE(name, N * 4, {
		hybrid_init(&h, in, in + len, width);
		fail_if(!hybrid_read_u32(&h, indices, N));
	});
}

static void bits(void)
{
	static uint64_t bitmap[N / 64 + 2];
	struct hybrid_reader h;
	size_t len = 0, ones;
	size_t header = N / 8 << 1 | 1;
	for (; header >= 0x80; header >>= 7)
		in[len++] = (uint8_t)(header | 0x80);
	in[len++] = (uint8_t)header;
	for (size_t i = 0; i < N / 8; i++)
		in[len++] = (uint8_t)rnd();
	MEASURE("levels of width 1 to a bitmap", N / 8, {
		hybrid_init(&h, in, in + len, 1);
		fail_if(!hybrid_read_bits(&h, bitmap, 0, N, &ones));
	});
	static uint8_t levels[N + DECODE_PAD];
	MEASURE("levels of width 1 to bytes", N, {
		hybrid_init(&h, in, in + len, 1);
		fail_if(!hybrid_read_u8(&h, levels, N));
	});
}

static void strings(size_t most)
{
	char name[64];
	size_t len = 0, data = 0;
	for (size_t i = 0; i < N; i++) {
		uint32_t n = (uint32_t)(most / 2 + rnd() % (most / 2 + 1));
		memcpy(in + len, &n, 4);
		len += 4 + n;
		data += n;
	}
	snprintf(name, sizeof name, "PLAIN strings of %zu to %zu bytes", most / 2, most);
	MEASURE(name, data, fail_if(plain_bytes_decode(in, in + len, out, offsets, N) == DECODE_BAD));
	for (size_t i = 0; i < 4096; i++)
		dict_offsets[i + 1] = dict_offsets[i] + (uint32_t)(most / 2 + rnd() % (most / 2 + 1));
	for (size_t i = 0; i < N; i++)
		indices[i] = (uint32_t)(rnd() % 4096);
	data = (size_t)dict_bytes_size(dict_offsets, indices, N);
	snprintf(name, sizeof name, "dictionary strings of %zu to %zu bytes", most / 2, most);
	MEASURE(name, data, {
		fail_if(index_max(indices, N) >= 4096);
		fail_if(dict_bytes_size(dict_offsets, indices, N) > sizeof out - DECODE_PAD);
		dict_bytes_gather(in, dict_offsets, indices, out, offsets, N);
	});
}

int main(void)
{
	hybrid("dictionary indices of 4 bits", 4, false);
	hybrid("dictionary indices of 12 bits", 12, false);
	hybrid("dictionary indices of 17 bits", 17, false);
	hybrid("dictionary indices in runs of 100", 12, true);
	bits();
	strings(16);
	strings(60);
	for (size_t i = 0; i < N; i++)
		indices[i] = (uint32_t)(rnd() % 4096);
	MEASURE("dictionary values of 8 bytes", N * 8, dict_gather(in, 8, indices, out, N));
	MEASURE("BYTE_STREAM_SPLIT, 8 bytes", N * 8, split_decode(in, N, 8, 0, out, N));
	int64_t *values = (int64_t *)out;
	for (unsigned width = 4; width <= 44; width += 20) {
		char name[64];
		for (size_t i = 0; i < N; i++)
			values[i] = (int64_t)i * 1000 + (int64_t)(rnd() & (((uint64_t)1 << width) - 1));
		size_t len = encode_delta_i64(in, values, N);
		snprintf(name, sizeof name, "DELTA_BINARY_PACKED, about %u bits", width + 1);
		MEASURE(name, N * 8, fail_if(delta_decode_i64(in, in + len, values, N) == DECODE_BAD));
	}
	return 0;
}
