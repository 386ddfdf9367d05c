#include "parquet/encoding/decode.h"

/* Eight values of w bits take w bytes; with a constant w the shifts fold into immediate operands. */
static inline __attribute__((always_inline)) void unpack_groups(const uint8_t *in, uint32_t *out, size_t groups, unsigned w)
{
	const uint64_t mask = ((uint64_t)1 << w) - 1;
	for (size_t g = 0; g < groups; g++, in += w, out += 8) {
		for (unsigned k = 0; k < 8; k++)
			out[k] = (uint32_t)(decode_load64(in + k * w / 8) >> (k * w % 8) & mask);
	}
}

#define CASE(w)                                   \
	case w:                                   \
		unpack_groups(in, out, groups, w); \
		break;

static void unpack_aligned(const uint8_t *in, unsigned width, uint32_t *out, size_t groups)
{
	switch (width) {
		CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11)
		CASE(12) CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20) CASE(21) CASE(22)
		CASE(23) CASE(24) CASE(25) CASE(26) CASE(27) CASE(28) CASE(29) CASE(30) CASE(31) CASE(32)
	default:
		memset(out, 0, groups * 8 * sizeof *out);
	}
}

static inline uint32_t unpack_one(const uint8_t *in, uint64_t at, unsigned width)
{
	uint64_t bit = at * width;
	return (uint32_t)(decode_load64(in + bit / 8) >> (bit % 8) & (((uint64_t)1 << width) - 1));
}

void unpack_u32(const uint8_t *in, uint64_t first, unsigned width, uint32_t *out, size_t n)
{
	while (n && first % 8) {
		*out++ = unpack_one(in, first++, width);
		n--;
	}
	size_t groups = n / 8;
	unpack_aligned(in + first / 8 * width, width, out, groups);
	out += groups * 8;
	first += groups * 8;
	for (n %= 8; n; n--)
		*out++ = unpack_one(in, first++, width);
}

/* The same for levels: width ≤ 8, so that eight values are one load. */
static void unpack_u8(const uint8_t *in, uint64_t first, unsigned width, uint8_t *out, size_t n)
{
	while (n && first % 8) {
		*out++ = (uint8_t)unpack_one(in, first++, width);
		n--;
	}
	in += first / 8 * width;
	uint64_t mask = ((uint64_t)1 << width) - 1;
	for (; n >= 8; n -= 8, out += 8, in += width) {
		uint64_t v = decode_load64(in);
		for (unsigned k = 0; k < 8; k++)
			out[k] = (uint8_t)(v >> (k * width) & mask);
	}
	for (uint64_t i = 0; i < n; i++)
		out[i] = (uint8_t)unpack_one(in, i, width);
}

void unpack_msb_u8(const uint8_t *in, uint64_t first, unsigned width, uint8_t *out, size_t n)
{
	uint64_t bit = first * width;
	for (size_t i = 0; i < n; i++) {
		unsigned v = 0;
		for (unsigned k = 0; k < width; k++, bit++)
			v = v << 1 | (in[bit / 8] >> (7 - bit % 8) & 1);
		out[i] = (uint8_t)v;
	}
}

void bits_fill(uint64_t *bits, size_t at, size_t n)
{
	if (!n)
		return;
	size_t first = at / 64, last = (at + n - 1) / 64;
	uint64_t head = ~(uint64_t)0 << (at % 64), tail = ~(uint64_t)0 >> (63 - (at + n - 1) % 64);
	if (first == last) {
		bits[first] |= head & tail;
		return;
	}
	bits[first] |= head;
	for (size_t i = first + 1; i < last; i++)
		bits[i] = ~(uint64_t)0;
	bits[last] |= tail;
}

void hybrid_init(struct hybrid_reader *h, const uint8_t *in, const uint8_t *end, unsigned width)
{
	*h = (struct hybrid_reader){ .pos = in, .end = end, .width = width };
	if (width == 0)
		h->repeated = UINT64_MAX; /* nothing is stored: all values are 0 */
}

static bool long_header(struct hybrid_reader *h, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0;; shift += 7) {
		if (h->pos == h->end || shift > 35)
			return false;
		uint8_t b = *h->pos++;
		*ret |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
}

bool hybrid_next(struct hybrid_reader *h)
{
	uint64_t header;
	if (h->pos < h->end && *h->pos < 0x80) /* most are short */
		header = *h->pos++;
	else if (!long_header(h, &header))
		return false;
	size_t left = (size_t)(h->end - h->pos);
	if (header & 1) {
		uint64_t bytes = (header >> 1) * h->width;
		h->packed = h->pos;
		h->packed_at = 0;
		h->packed_count = (header >> 1) * 8;
		if (bytes > left) { /* some writers cut the padding of the last group off */
			h->packed_count = (uint64_t)left * 8 / h->width;
			bytes = left;
		}
		h->pos += bytes;
	} else {
		size_t bytes = (h->width + 7) / 8;
		if (bytes > left)
			return false;
		h->value = bytes ? h->pos[0] : 0;
		for (size_t i = 1; i < bytes; i++)
			h->value |= (uint32_t)h->pos[i] << (8 * i);
		if (h->width < 32 && h->value >> h->width)
			return false;
		h->repeated = header >> 1;
		h->pos += bytes;
	}
	return true;
}

/* How many of the next n values one run gives; 0 = the input is used up or bad. Empty runs are passed over. */
static size_t hybrid_run(struct hybrid_reader *h, size_t n, bool *ret_packed)
{
	while (!h->repeated && h->packed_at == h->packed_count) {
		if (!hybrid_next(h))
			return 0;
	}
	*ret_packed = !h->repeated;
	uint64_t left = h->repeated ? h->repeated : h->packed_count - h->packed_at;
	return left < n ? (size_t)left : n;
}

static void hybrid_advance(struct hybrid_reader *h, size_t n, bool packed)
{
	if (packed)
		h->packed_at += n;
	else if (h->width)
		h->repeated -= n;
}

bool hybrid_read_u8(struct hybrid_reader *h, uint8_t *out, size_t n)
{
	while (n) {
		bool packed;
		size_t m = hybrid_run(h, n, &packed);
		if (!m)
			return false;
		if (packed)
			unpack_u8(h->packed, h->packed_at, h->width, out, m);
		else
			memset(out, (int)h->value, m);
		hybrid_advance(h, m, packed);
		out += m;
		n -= m;
	}
	return true;
}

bool hybrid_read_u32(struct hybrid_reader *h, uint32_t *out, size_t n)
{
	while (n) {
		bool packed;
		size_t m = hybrid_run(h, n, &packed);
		if (!m)
			return false;
		if (packed) {
			unpack_u32(h->packed, h->packed_at, h->width, out, m);
		} else {
			for (size_t i = 0; i < m; i++)
				out[i] = h->value;
		}
		hybrid_advance(h, m, packed);
		out += m;
		n -= m;
	}
	return true;
}

/* ORs n bits of `in` from bit `first` into bits from `at`; returns how many are set. */
static size_t bits_copy(const uint8_t *in, uint64_t first, uint64_t *bits, size_t at, size_t n)
{
	size_t ones = 0;
	while (n) {
		size_t m = 64 - at % 64; /* up to the end of the output word, and no more than one load gives */
		if (m > 56)
			m = 56;
		if (m > n)
			m = n;
		uint64_t v = decode_load64(in + first / 8) >> (first % 8) & (((uint64_t)1 << m) - 1);
		ones += (size_t)__builtin_popcountll(v);
		bits[at / 64] |= v << (at % 64);
		at += m;
		first += m;
		n -= m;
	}
	return ones;
}

bool hybrid_read_bits(struct hybrid_reader *h, uint64_t *bits, size_t at, size_t n, size_t *ret_ones)
{
	size_t ones = 0;
	while (n) {
		bool packed;
		size_t m = hybrid_run(h, n, &packed);
		if (!m)
			return false;
		if (packed) {
			ones += bits_copy(h->packed, h->packed_at, bits, at, m);
		} else if (h->value) {
			bits_fill(bits, at, m);
			ones += m;
		}
		hybrid_advance(h, m, packed);
		at += m;
		n -= m;
	}
	*ret_ones = ones;
	return true;
}
