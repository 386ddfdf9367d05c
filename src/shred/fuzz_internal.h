/* What the room's fuzz targets share: FUZZ_HEAD bytes that choose, then lines; mutated as JSON. */
#ifndef SHRED_FUZZ_INTERNAL_H
#define SHRED_FUZZ_INTERNAL_H

#include <stdio.h>
#include <string.h>

#include "json/scan.h"

#define FUZZ_HEAD 4 /* bytes in front of the lines */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static const char *const fuzz_values[] = {
	"1", "0", "-0", "1.5", "1.50", "0.120", "1e2", "1E+05", "-0.0", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890",
	"0.1234567890123456789", "1e400", "12345678.25", "9007199254740993", "true", "false", "null", "\"\"", "\"x\"", "\"a longer text, over thirty-two bytes of it\"",
	"\"\\u00e9\"", "\"\\u00E9\"", "\"\xc3\xa9\"", "\"\\/\"", "\"\\n\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "\"2026-11-22T10:00:00Z\"",
	"\"2026-11-22T10:00:00.120Z\"", "\"2026-11-22 10:00:00\"", "{}", "[]", "{ }", "[ ]", "[1,2]", "[1, \"x\"]", "[[1],[2]]", "[{\"a\":1},{\"a\":2}]",
	"[{\"a\":1},{\"b\":2}]", "[null]", "{\"a\":1}", "{\"a\":{\"b\":{\"c\":1}}}", "{\"a\":1,\"a\":2}", "{\"\":1}", "{\"a.b\":1}", "{\"A\":1,\"a\":\"2\"}", "[{}]", "[[]]",
};
#define FUZZ_VALUES (sizeof fuzz_values / sizeof *fuzz_values)

static inline uint32_t fuzz_roll(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* Some place behind `at` where a value begins: behind : [ or , */
static inline size_t fuzz_value_near(const uint8_t *p, size_t size, size_t at)
{
	for (; at < size; at++)
		if (p[at - 1] == ':' || p[at - 1] == '[' || p[at - 1] == ',')
			return at;
	return 0;
}

static inline size_t fuzz_splice(uint8_t *data, size_t size, size_t max, size_t at, size_t gone, const void *text, size_t len)
{
	if (size - gone + len > max)
		return size;
	memmove(data + at + len, data + at + gone, size - at - gone);
	memcpy(data + at, text, len);
	return size - gone + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint32_t dice = seed;
	uint8_t copy[256];
	if (size < FUZZ_HEAD + 4 || fuzz_roll(&dice, 3) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	size_t at = fuzz_value_near(data, size, FUZZ_HEAD + 1 + fuzz_roll(&dice, (uint32_t)(size - FUZZ_HEAD - 1)));
	if (!at)
		return LLVMFuzzerMutate(data, size, max_size);
	size_t gone = (size_t)(json_value_end(data + at, data + size) - (data + at));
	size_t from = fuzz_value_near(data, size, FUZZ_HEAD + 1 + fuzz_roll(&dice, (uint32_t)(size - FUZZ_HEAD - 1)));
	size_t len = from ? (size_t)(json_value_end(data + from, data + size) - (data + from)) : 0;
	switch (fuzz_roll(&dice, 6)) {
	case 0: /* a value of the same text */
		len = len < sizeof copy ? len : 0;
		memcpy(copy, data + from, len);
		return len ? fuzz_splice(data, size, max_size, at, gone, copy, len) : size;
	case 1: { /* a member more */
		int n = snprintf((char *)copy, sizeof copy, "\"%c\":%s,", 'a' + (int)fuzz_roll(&dice, 4), fuzz_values[fuzz_roll(&dice, FUZZ_VALUES)]);
		return fuzz_splice(data, size, max_size, data[at] == '{' ? at + 1 : at, 0, copy, (size_t)n);
	}
	case 2: { /* the line again */
		const uint8_t *start = data + at, *end = memchr(data + at, '\n', size - at);
		while (start > data + FUZZ_HEAD && start[-1] != '\n')
			start--;
		len = (size_t)((end ? end + 1 : data + size) - start);
		if (len > sizeof copy)
			return size;
		memcpy(copy, start, len);
		return fuzz_splice(data, size, max_size, (size_t)(start - data), 0, copy, len);
	}
	default: {
		const char *v = fuzz_values[fuzz_roll(&dice, FUZZ_VALUES)];
		return fuzz_splice(data, size, max_size, at, gone, v, strlen(v));
	}
	}
}

#endif
