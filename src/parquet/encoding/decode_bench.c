/* What the decoding kernels cost: ns a value, and MB/s of what they put out. */
#include "parquet/encoding/decode.h"

#include <stdlib.h>

#include "base/bench.h"
#include "parquet/encoding/encode.h"

#define N 20000u /* values of a page */

static uint8_t in[1 << 22], out[1 << 22], bytes[1 << 22];
static uint32_t indices[N + 64], offsets[N + 1], dict_offsets[4097];
static int32_t prefixes[N], lengths[N];

static void fail_if(bool bad)
{
	if (bad) {
		fputs("a kernel refused its input\n", stderr);
		exit(1);
	}
}

static size_t packed(unsigned width)
{
	size_t len = 0;
	for (size_t header = N / 8 << 1 | 1;; header >>= 7) {
		in[len++] = (uint8_t)(header >= 0x80 ? header | 0x80 : header);
		if (header < 0x80)
			break;
	}
	for (size_t i = 0; i < N / 8 * width; i++)
		in[len++] = (uint8_t)bench_random();
	return len;
}

static void bench_indices(void)
{
	struct hybrid_reader h;
	char name[64];
	for (unsigned width = 4; width <= 17; width += width == 4 ? 8 : 5) {
		size_t len = packed(width);
		snprintf(name, sizeof name, "RLE / bit-packed: indices of %u bits", width);
		BENCH(name, N, N * 4, {
			hybrid_init(&h, in, in + len, width);
			fail_if(!hybrid_read_u32(&h, indices, N));
		});
	}
	for (size_t i = 0; i < N; i++)
		indices[i] = (uint32_t)(i / 100 % 4096);
	size_t len = encode_rle_u32(in, indices, N, 12);
	BENCH("RLE / bit-packed: indices in runs of 100", N, N * 4, {
		hybrid_init(&h, in, in + len, 12);
		fail_if(!hybrid_read_u32(&h, indices, N));
	});
}

static void bench_levels(void)
{
	static uint64_t bitmap[N / 64 + 2];
	static uint8_t levels[N + DECODE_PAD];
	struct hybrid_reader h;
	size_t ones, len = packed(1);
	bench_shows(bitmap);
	bench_shows(levels);
	BENCH("levels of width 1 to a bitmap", N, N / 8, {
		hybrid_init(&h, in, in + len, 1);
		fail_if(!hybrid_read_bits(&h, bitmap, 0, N, &ones));
	});
	BENCH("levels of width 1 to bytes", N, N, {
		hybrid_init(&h, in, in + len, 1);
		fail_if(!hybrid_read_u8(&h, levels, N));
	});
	len = packed(3);
	BENCH("levels of width 3 to bytes", N, N, {
		hybrid_init(&h, in, in + len, 3);
		fail_if(!hybrid_read_u8(&h, levels, N));
	});
	BENCH("levels of width 3, the old BIT_PACKED, to bytes", N, N, unpack_msb_u8(in, 0, 3, levels, N));
}

/* Strings of most / 2 to most bytes, of which the first `common` are those of the string before. Returns their bytes. */
static size_t make_strings(size_t most, size_t common)
{
	for (size_t i = 0; i < N; i++) {
		size_t len = most / 2 + bench_random() % (most / 2 + 1);
		for (size_t k = 0; k < len; k++)
			bytes[offsets[i] + k] = (uint8_t)(k < common ? 'a' : 'a' + bench_random() % 26);
		offsets[i + 1] = offsets[i] + (uint32_t)len;
	}
	return offsets[N];
}

static void bench_strings(size_t most)
{
	char name[64];
	size_t data = make_strings(most, 0), len = encode_plain_bytes(in, bytes, offsets, 0, N);
	snprintf(name, sizeof name, "PLAIN strings of %zu to %zu bytes", most / 2, most);
	BENCH(name, N, data, fail_if(plain_bytes_decode(in, in + len, out, offsets, N) == DECODE_BAD));
	for (size_t i = 0; i < 4096; i++)
		dict_offsets[i + 1] = dict_offsets[i] + (uint32_t)(most / 2 + bench_random() % (most / 2 + 1));
	for (size_t i = 0; i < N; i++)
		indices[i] = (uint32_t)(bench_random() % 4096);
	data = (size_t)dict_bytes_size(dict_offsets, indices, N);
	snprintf(name, sizeof name, "dictionary strings of %zu to %zu bytes", most / 2, most);
	BENCH(name, N, data, {
		fail_if(index_max(indices, N) >= 4096);
		fail_if(dict_bytes_size(dict_offsets, indices, N) > sizeof out - DECODE_PAD);
		dict_bytes_gather(in, dict_offsets, indices, out, offsets, N);
	});
}

/* As the reader does it: lengths, then their sums, then the bytes. */
static void bench_delta_strings(size_t most)
{
	char name[80];
	size_t data = make_strings(most, 0), len = encode_delta_length(in, bytes, offsets, 0, N, lengths);
	snprintf(name, sizeof name, "DELTA_LENGTH_BYTE_ARRAY, strings of %zu to %zu", most / 2, most);
	BENCH(name, N, data, {
		size_t used = delta_decode_i32(in, in + len, lengths, N);
		fail_if(used == DECODE_BAD || lengths_to_offsets(lengths, offsets, N) != data);
		memcpy(out, in + used, data);
	});
	for (size_t common = 0; common < most; common += most * 2 / 5) {
		data = make_strings(most, common);
		len = encode_delta_bytes(in, bytes, offsets, 0, N, prefixes, lengths);
		snprintf(name, sizeof name, "DELTA_BYTE_ARRAY, strings of %zu to %zu, %zu alike", most / 2, most, common);
		BENCH(name, N, data, {
			size_t used = delta_decode_i32(in, in + len, prefixes, N);
			size_t more = used == DECODE_BAD ? used : delta_decode_i32(in + used, in + len, lengths, N);
			fail_if(more == DECODE_BAD || delta_bytes_size(prefixes, lengths, N, len - used - more) != data);
			delta_bytes_join(prefixes, lengths, in + used + more, out, offsets, N);
		});
	}
}

static void bench_numbers(void)
{
	static int64_t i64[N];
	static int32_t i32[N];
	char name[64];
	bench_shows(i64);
	bench_shows(i32);
	for (size_t i = 0; i < N; i++)
		indices[i] = (uint32_t)(bench_random() % 4096);
	for (size_t width = 4; width <= 16; width *= 2) {
		snprintf(name, sizeof name, "dictionary values of %zu bytes", width);
		BENCH(name, N, N * width, dict_gather(in, width, indices, out, N));
	}
	BENCH("PLAIN booleans", N, N, plain_bool_decode(in, 3, out, N));
	for (size_t width = 2; width <= 16; width *= 2) {
		snprintf(name, sizeof name, "BYTE_STREAM_SPLIT, %zu bytes", width);
		BENCH(name, N, N * width, split_decode(in, N, width, 0, out, N));
	}
	for (unsigned width = 4; width <= 44; width += 20) {
		for (size_t i = 0; i < N; i++)
			i64[i] = (int64_t)i * 1000 + (int64_t)(bench_random() & (((uint64_t)1 << width) - 1));
		size_t len = encode_delta_i64(in, i64, N);
		snprintf(name, sizeof name, "DELTA_BINARY_PACKED, int64, about %u bits", width + 1);
		BENCH(name, N, N * 8, fail_if(delta_decode_i64(in, in + len, i64, N) == DECODE_BAD));
	}
	for (unsigned width = 4; width <= 24; width += 10) {
		for (size_t i = 0; i < N; i++)
			i32[i] = (int32_t)i * 1000 + (int32_t)(bench_random() & (((uint64_t)1 << width) - 1));
		size_t len = encode_delta_i32(in, i32, N);
		snprintf(name, sizeof name, "DELTA_BINARY_PACKED, int32, about %u bits", width + 1);
		BENCH(name, N, N * 4, fail_if(delta_decode_i32(in, in + len, i32, N) == DECODE_BAD));
	}
}

int main(void)
{
	const void *const shown[] = { in, out, bytes, indices, offsets, dict_offsets, prefixes, lengths };
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		bench_shows(shown[i]);
	bench_indices();
	bench_levels();
	bench_strings(16);
	bench_strings(60);
	bench_delta_strings(16);
	bench_delta_strings(60);
	bench_numbers();
	return 0;
}
