/* Any bytes: both code paths agree, no read outside, and what is accepted is given back by value end, dialects and numbers. */
#include <stdlib.h>

#include "json/number.h"
#include "json/scan.h"
#include "json/string.h"
#include "json/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size), value;
	struct json_error e[2] = { { 0 }, { 0 } };
	size_t end[2] = { 0, 0 };
	rc_t rc[2];
	uint32_t mask[2];
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		rc[simd] = json_validate(text, NULL, &end[simd], &e[simd]);
		mask[simd] = json_text_dialects(text);
	}
	if (rc[0] != rc[1] || end[0] != end[1] || e[0].offset != e[1].offset || e[0].message != e[1].message || mask[0] != mask[1])
		abort();
	if (rc[0] != RC_OK && e[0].offset > size)
		abort();
	json_value_end(data, data + size);
	int64_t us;
	json_time_parse_any(text, &us);
	if (json_time_detect(text)) {
		char out[JSON_TIME_CHARS];
		unsigned format = json_time_detect(text);
		if (!json_time_parse(text, format, &us) || !slice_eq(text, slice_of(out, json_time_format(us, format, out))))
			abort();
	}
	AUTO_BUF struct buf plain, again;
	buf_init(&plain, BUF_MAX_DEFAULT);
	buf_init(&again, BUF_MAX_DEFAULT);
	json_string_unescape(text, &plain);
	if (json_validate_all(text, NULL, &value, NULL) != RC_OK)
		return 0;
	if (json_value_end(value.data, value.data + value.len) != value.data + value.len)
		abort();
	if (*value.data == '"') {
		struct slice raw = slice_of(value.data + 1, value.len - 2);
		uint32_t dialects = json_string_dialects(raw);
		buf_reset(&plain);
		bool restorable = json_string_unescape(raw, &plain);
		if (!json_utf8_valid(buf_slice(&plain), NULL) || (!restorable && dialects))
			abort();
		for (int d = 0; d < JSON_DIALECT_COUNT; d++) {
			buf_reset(&again);
			json_string_escape(buf_slice(&plain), (enum json_dialect)d, &again);
			bool same = restorable && slice_eq(buf_slice(&again), raw);
			if (same != (dialects >> d & 1))
				abort();
		}
	} else if (*value.data == '-' || (uint8_t)(*value.data - '0') < 10) {
		struct json_number n = json_number_parse(value);
		char out[JSON_DECIMAL_CHARS];
		if (n.kind == NUM_DECIMAL && !slice_eq(value, slice_of(out, json_format_decimal(n.i64, n.scale, out))))
			abort();
		if (n.kind == NUM_INT64 && !slice_eq(value, slice_of(out, json_number_format_int(n.i64, out))))
			abort();
		if ((n.formats & NUM_FORMAT_SHORT) && !json_number_restores(value, n.f64, FORMAT_DOUBLE_SHORT))
			abort();
		if ((n.formats & NUM_FORMAT_DOT) && !json_number_restores(value, n.f64, FORMAT_DOUBLE_DOT))
			abort();
	}
	return 0;
}
