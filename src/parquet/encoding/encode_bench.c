/* What each kernel costs: nanoseconds a value and MB/s of what goes in, best of several rounds over 20,000 values (a page) or 200,000 (a chunk). */
#include "base/buf.h"
#include "parquet/encoding/encode.h"

#include <stdio.h>
#include <time.h>

#define CHUNK 200000

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

static struct input {
	struct buf data;
	uint32_t offsets[CHUNK + 1], u32[CHUNK], indices[CHUNK];
	uint64_t u64[CHUNK];
	uint8_t u8[CHUNK];
} in;
static uint8_t *out; /* room for any result */

#define MEASURE(NAME, COUNT, BYTES, CALL)                                                                                        \
	do {                                                                                                                     \
		double best = 1e9;                                                                                               \
		size_t coded = 0;                                                                                                \
		for (unsigned round = 0; round < 9; round++) {                                                                   \
			double start = now();                                                                                    \
			coded = CALL;                                                                                            \
			double took = now() - start;                                                                             \
			best = took < best ? took : best;                                                                        \
		}                                                                                                                \
		printf("%-44s %7.2f ns a value %7.0f MB/s -> %zu\n", NAME, best * 1e9 / (COUNT), (double)(BYTES) / best / 1e6, coded); \
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
		uint32_t k = (uint32_t)(rnd() % entries);
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
			in.u32[i] = (uint32_t)(in.u64[i] = rnd() % sizes[k] * 1000);
		MEASURE("dictionary, int64", CHUNK, CHUNK * 8, dict_run(1, sizes[k]));
		MEASURE("dictionary, int32", CHUNK, CHUNK * 4, dict_run(2, sizes[k]));
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
	bench_dictionary();
	free(slots);
	free(where);
	free(out);
	buf_free(&in.data);
	return 0;
}
