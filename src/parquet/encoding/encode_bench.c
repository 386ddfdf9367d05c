/* What each kernel costs: nanoseconds a value and MB/s of what goes in, best of several rounds over 20,000 values (a page) or 200,000 (a chunk). */
#include "base/bench.h"
#include "base/buf.h"
#include "parquet/encoding/encode.h"
#include "parquet/write_internal.h"

#define PAGE  20000
#define CHUNK 200000

static struct input {
	struct buf data;
	uint32_t offsets[CHUNK + 1], u32[CHUNK], indices[CHUNK];
	uint64_t u64[CHUNK];
	uint8_t u8[CHUNK];
} in;
static uint8_t *out; /* room for any result */

/* How many bytes came out belongs to the figure: kernels are chosen by it. */
#define MEASURE(NAME, COUNT, BYTES, CALL)                      \
	do {                                                   \
		size_t coded = 0;                              \
		double best = BENCH_BEST(9, coded = CALL);     \
		printf("%9zu <- ", coded);                     \
		bench_line(NAME, (COUNT), (double)(BYTES), best); \
	} while (0)

/* ---- dictionaries ------------------------------------------------------------------------------------------------- */

static struct dict dict;
static uint32_t *where;
static struct dict_slot *slots;

static size_t dict_run(unsigned kind, uint32_t entries)
{
	size_t mask = 1023;
	while (mask / 4 < entries)
		mask = 2 * mask + 1;
	memset(slots, 0, (mask + 1) * sizeof *slots);
	dict = (struct dict){ .slots = slots, .slot_mask = mask, .limit = CHUNK, .page = out, .page_cap = (size_t)64 << 20, .where = where };
	if (kind == 0)
		dict_add_bytes(&dict, in.data.data, in.offsets, 0, CHUNK, in.indices);
	else if (kind == 1)
		dict_add_u64(&dict, in.u64, 0, CHUNK, in.indices);
	else
		dict_add_u32(&dict, in.u32, 0, CHUNK, in.indices);
	return dict.count;
}

static void fill_strings(const char *format, uint32_t entries, bool varied)
{
	char text[256];
	buf_reset(&in.data);
	for (size_t i = 0; i < CHUNK; i++) {
		uint32_t k = (uint32_t)(bench_random() % entries);
		int n = snprintf(text, sizeof text, format, (unsigned)(k * 2654435761u));
		buf_append(&in.data, text, varied ? (size_t)n - k % 7 : (size_t)n);
		in.offsets[i + 1] = (uint32_t)in.data.len;
	}
}

static void bench_dictionary(void)
{
	static const struct {
		const char *name, *format;
	} texts[] = { { "dictionary, strings of 8", "%08x" },
		      { "dictionary, strings of 24", "/api/items/%08x/page" },
		      { "dictionary, strings of 100",
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%08x Safari/537.36 en" } };
	static const uint32_t sizes[] = { 1, 12, 1000, 30000 };
	char name[80];
	for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
		for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
			for (int varied = 0; varied < 2; varied++) {
				fill_strings(texts[t].format, sizes[k], varied);
				snprintf(name, sizeof name, "%s%s", texts[t].name, varied ? ", lengths vary" : "");
				MEASURE(name, CHUNK, in.data.len, dict_run(0, sizes[k]));
			}
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
		for (size_t i = 0; i < CHUNK; i++)
			in.u32[i] = (uint32_t)(in.u64[i] = bench_random() % sizes[k] * 1000);
		MEASURE("dictionary, int64", CHUNK, CHUNK * 8, dict_run(1, sizes[k]));
		MEASURE("dictionary, int32", CHUNK, CHUNK * 4, dict_run(2, sizes[k]));
	}
}

/* ---- levels, numbers, strings ------------------------------------------------------------------------------------- */

static void bench_runs(void)
{
	static uint64_t bits[CHUNK / 64 + 1];
	char name[80];
	for (unsigned width = 1; width <= 17; width += width < 4 ? 3 : 13)
		for (unsigned run = 1; run <= 100; run *= 10) {
			for (size_t i = 0; i < PAGE; i++)
				in.u32[i] = i % run && i ? in.u32[i - 1] : (uint32_t)(bench_random() & ((1u << width) - 1));
			snprintf(name, sizeof name, "RLE / bit-packed, indices of %u bits, runs of %u", width, run);
			MEASURE(name, PAGE, PAGE * 4, encode_rle_u32(out, in.u32, PAGE, width));
			for (size_t i = 0; i < PAGE; i++)
				in.u8[i] = (uint8_t)(in.u32[i] & 3);
			snprintf(name, sizeof name, "levels of 2 bits, runs of %u", run);
			if (width == 4)
				MEASURE(name, PAGE, PAGE, encode_rle_u8(out, in.u8, PAGE, 2));
		}
	for (unsigned run = 1; run <= 100; run *= 10) {
		memset(bits, 0, sizeof bits);
		for (size_t i = 0, bit = 0; i < PAGE; i++) {
			bit = i % run ? bit : bench_random() & 1;
			bits[i / 64] |= (uint64_t)bit << (i % 64);
		}
		snprintf(name, sizeof name, "levels of 1 bit from a bitmap, runs of %u", run);
		MEASURE(name, PAGE, PAGE / 8, encode_rle_bits(out, bits, 0, PAGE));
	}
	/* A list's levels from presence and offsets, as a column chunk's are made. */
	struct level_frame root, list, leaf;
	level_frame_init(&root);
	level_frame_init(&list);
	level_frame_init(&leaf);
	for (size_t i = 0; i < PAGE; i++)
		in.indices[i + 1] = in.indices[i] + (uint32_t)(bench_random() % 4);
	memset(bits, 0xff, sizeof bits);
	MEASURE("levels of a list of optional values", in.indices[PAGE], in.indices[PAGE] * 2,
		(levels_root(&root, PAGE), levels_repeated(&list, &root, in.indices, PAGE),
		 levels_optional(&leaf, &list, bits, in.indices[PAGE], in.indices[PAGE], true), leaf.entries));
	level_frame_free(&leaf);
	level_frame_free(&list);
	level_frame_free(&root);
}

static void bench_numbers(void)
{
	static int32_t i32[PAGE];
	static int64_t i64[PAGE];
	char name[80];
	for (unsigned width = 4; width <= 44; width += 20) {
		for (size_t i = 0; i < PAGE; i++) {
			i64[i] = (int64_t)i * 1000 + (int64_t)(bench_random() & (((uint64_t)1 << width) - 1));
			i32[i] = (int32_t)i64[i];
		}
		snprintf(name, sizeof name, "DELTA_BINARY_PACKED, int64, about %u bits", width + 1);
		MEASURE(name, PAGE, sizeof i64, encode_delta_i64(out, i64, PAGE));
		snprintf(name, sizeof name, "DELTA_BINARY_PACKED, int32, about %u bits", width < 31 ? width + 1 : 32);
		MEASURE(name, PAGE, sizeof i32, encode_delta_i32(out, i32, PAGE));
	}
	for (size_t width = 2; width <= 16; width *= 2) {
		snprintf(name, sizeof name, "BYTE_STREAM_SPLIT, %zu bytes", width);
		MEASURE(name, PAGE, PAGE * width, encode_split(out, (const uint8_t *)in.u64, PAGE, width));
	}
	for (size_t i = 0; i < PAGE; i++)
		in.u8[i] = bench_random() & 1;
	MEASURE("PLAIN booleans", PAGE, PAGE, encode_plain_bool(out, in.u8, PAGE));
	for (size_t i = 0; i < PAGE * 2; i++)
		in.u64[i] = i % 2 ? 0 : bench_random() >> 8;
	MEASURE("PLAIN decimals of 16 bytes", PAGE, PAGE * 16, (size_t)encode_decimal(out, (const uint8_t *)in.u64, PAGE, 16) * PAGE * 16);
}

static void bench_strings(void)
{
	static const char *const formats[] = { "%08x", "/api/items/%08x/page", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/%08x Safari" };
	static int32_t prefixes[PAGE], lengths[PAGE];
	char name[80];
	for (size_t t = 0; t < sizeof formats / sizeof *formats; t++) {
		fill_strings(formats[t], 1000000, true);
		const uint8_t *d = in.data.data;
		unsigned bytes = in.offsets[PAGE], each = bytes / PAGE;
		snprintf(name, sizeof name, "PLAIN, strings of about %u", each);
		MEASURE(name, PAGE, bytes, encode_plain_bytes(out, d, in.offsets, 0, PAGE));
		snprintf(name, sizeof name, "DELTA_LENGTH_BYTE_ARRAY, strings of about %u", each);
		MEASURE(name, PAGE, bytes, encode_delta_length(out, d, in.offsets, 0, PAGE, lengths));
		snprintf(name, sizeof name, "DELTA_BYTE_ARRAY, no prefixes, about %u", each);
		MEASURE(name, PAGE, bytes, encode_delta_whole(out, d, in.offsets, 0, PAGE, prefixes, lengths));
		snprintf(name, sizeof name, "DELTA_BYTE_ARRAY, strings of about %u", each);
		MEASURE(name, PAGE, bytes, encode_delta_bytes(out, d, in.offsets, 0, PAGE, prefixes, lengths));
	}
}

/* ---- statistics --------------------------------------------------------------------------------------------------- */

static size_t bounds_bytes(const struct values *v)
{
	struct bounds b;
	stats_find(v, 0, PAGE, &b);
	return bounds_min(&b).len + bounds_max(&b).len;
}

static void bench_stats(void)
{
	static const struct {
		const char *name;
		enum value_kind kind;
		uint32_t width;
	} kinds[] = { { "statistics, int32", VALUE_I32, 4 },   { "statistics, int64", VALUE_I64, 8 },	    { "statistics, float", VALUE_F32, 4 },
		      { "statistics, double", VALUE_F64, 8 },  { "statistics, decimals of 16", VALUE_DECIMAL, 16 }, { "statistics, UUIDs", VALUE_FIXED, 16 },
		      { "statistics, strings", VALUE_STRING, 0 } };
	for (size_t i = 0; i < CHUNK; i++)
		in.u64[i] = bench_random();
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		struct values v = { kinds[k].kind, kinds[k].width, kinds[k].width ? (const uint8_t *)in.u64 : in.data.data, in.offsets, PAGE };
		MEASURE(kinds[k].name, PAGE, values_plain_bytes(&v, 0, PAGE), bounds_bytes(&v));
	}
}

int main(void)
{
	buf_init(&in.data, BUF_MAX_DEFAULT);
	out = mem_alloc((size_t)128 << 20);
	where = mem_alloc(CHUNK * sizeof *where);
	slots = mem_alloc(((size_t)1 << 20) * sizeof *slots);
	memset(out, 1, (size_t)128 << 20);
	memset(where, 1, CHUNK * sizeof *where);
	bench_shows(&in);
	bench_shows(out);
	bench_dictionary();
	bench_runs();
	bench_numbers();
	bench_strings();
	bench_stats();
	free(slots);
	free(where);
	free(out);
	buf_free(&in.data);
	return 0;
}
