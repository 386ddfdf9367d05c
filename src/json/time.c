#include "json/time.h"

#include "json/digits_internal.h"

#define US_SECOND INT64_C(1000000)
#define US_DAY (86400 * US_SECOND)
#define US_MIN INT64_C(-62135596800000000) /* 0001-01-01T00:00:00 */
#define US_MAX INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999 */

/* Days since 1970-01-01 of a proleptic Gregorian date. Years are counted from March, so that the leap day is a year's last. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month > 2 ? year : year - 1;                          /* years 0001…9999: never below 0 */
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468; /* 0000-03-01 is day -719468 */
}

static void date_from_day(int64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	uint32_t d = (uint32_t)(days + 719468);                    /* since 0000-03-01 */
	uint32_t era = d / 146097, in_era = d % 146097;            /* 400 years */
	uint32_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	uint32_t in_year = in_era - (365 * year + year / 4 - year / 100);
	uint32_t m = (5 * in_year + 2) / 153;                      /* 0 = March */
	*ret_day = in_year - (153 * m + 2) / 5 + 1;
	*ret_month = m < 10 ? m + 3 : m - 9;
	*ret_year = era * 400 + year + (m >= 10);
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* n digits at p; -1 if one is none. */
static int digits_at(const uint8_t *p, int n)
{
	int v = 0;
	for (int i = 0; i < n; i++) {
		if ((uint8_t)(p[i] - '0') > 9)
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* YYYY-MM-DD; false if it is no valid date. */
static bool take_date(const uint8_t *p, int64_t *ret_days)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = digits_at(p, 4), month = digits_at(p + 5, 2), day = digits_at(p + 8, 2);
	if (p[4] != '-' || p[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1)
		return false;
	if (day > lengths[month - 1] + (month == 2 && is_leap((unsigned)year)))
		return false;
	*ret_days = days_from_date(year, (unsigned)month, (unsigned)day);
	return true;
}

/* HH:MM:SS as seconds, -1 if invalid; second 60 only if leap. */
static int take_clock(const uint8_t *p, bool leap)
{
	int hour = digits_at(p, 2), minute = digits_at(p + 3, 2), second = digits_at(p + 6, 2);
	if (p[2] != ':' || p[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 + leap)
		return -1;
	return hour * 3600 + minute * 60 + second;
}

/* Fraction digits at p as µs, those past the sixth cut off; *ret_end behind them. */
static int64_t take_fraction(const uint8_t *p, const uint8_t *end, const uint8_t **ret_end)
{
	int64_t us = 0;
	int n = 0;
	for (; p < end && (uint8_t)(*p - '0') < 10; p++, n++)
		if (n < 6)
			us = us * 10 + (*p - '0');
	for (; n < 6; n++)
		us *= 10;
	*ret_end = p;
	return us;
}

static uint64_t row_bit(unsigned zone, unsigned fraction, unsigned separator)
{
	return (uint64_t)1 << ((zone * TIME_FRACTIONS + fraction) * TIME_SEPARATORS + separator);
}

/* The rows that give text back, with its value; 0 if none. */
static uint64_t parse_strict(struct slice text, int64_t *ret_us)
{
	const uint8_t *p = text.data, *end = p + text.len, *behind;
	int64_t days, fraction_us = 0;
	unsigned zone, separator;
	if (text.len < 19 || text.len > 19 + 7 + 6 || (p[10] != 'T' && p[10] != ' ') || !take_date(p, &days))
		return 0;
	int clock = take_clock(p + 11, false);
	if (clock < 0)
		return 0;
	separator = p[10] == ' ';
	behind = p + 19;
	if (behind < end && *behind == '.')
		fraction_us = take_fraction(p + 20, end, &behind);
	size_t digits = behind == p + 19 ? 0 : (size_t)(behind - p) - 20;
	if (digits > 6 || (behind > p + 19 && digits == 0))
		return 0;
	struct slice rest = slice_of(behind, (size_t)(end - behind));
	if (rest.len == 0)
		zone = TIME_ZONE_NONE;
	else if (slice_eq_str(rest, "Z"))
		zone = TIME_ZONE_Z;
	else if (slice_eq_str(rest, "+00:00"))
		zone = TIME_ZONE_OFFSET;
	else
		return 0;
	uint64_t rows = row_bit(zone, (unsigned)digits, separator);
	if (digits == 0 || behind[-1] != '0')
		rows |= row_bit(zone, TIME_FRACTION_TRIM, separator);
	if (digits == 0 || (digits == 3 && fraction_us) || (digits == 6 && fraction_us % 1000))
		rows |= row_bit(zone, TIME_FRACTION_THREES, separator);
	if (ret_us)
		*ret_us = days * US_DAY + clock * US_SECOND + fraction_us;
	return rows;
}

uint64_t json_time_candidates(struct slice text)
{
	return parse_strict(text, NULL);
}

unsigned json_time_detect(struct slice text)
{
	uint64_t rows = parse_strict(text, NULL);
	return rows ? FORMAT_TIME_BASE + (unsigned)__builtin_ctzll(rows) : 0;
}

static inline uint64_t little_endian(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

/* Little-endian words of eight characters: where digits stand, and what stands between them. */
struct time_word {
	uint64_t base; /* '0' for a digit, else the character itself */
	uint64_t room; /* 0x76 for a digit, which may be 9 more; 0x7f for the others: the top bit then says no */
};
#define TIME_DIGIT(i) ((uint64_t)0x76 << 8 * (i))
#define TIME_OTHER(i) ((uint64_t)0x7f << 8 * (i))
static const struct time_word year_month = { /* "0000-00-" */
	0x2d30302d30303030u,
	TIME_DIGIT(0) | TIME_DIGIT(1) | TIME_DIGIT(2) | TIME_DIGIT(3) | TIME_OTHER(4) | TIME_DIGIT(5) | TIME_DIGIT(6) | TIME_OTHER(7),
};
static const struct time_word day_minute = { /* "00T00:00" */
	0x30303a3030543030u,
	TIME_DIGIT(0) | TIME_DIGIT(1) | TIME_OTHER(2) | TIME_DIGIT(3) | TIME_DIGIT(4) | TIME_OTHER(5) | TIME_DIGIT(6) | TIME_DIGIT(7),
};

/* Byte i: the number of the digits at i and i + 1. */
static inline uint64_t pair_values(const uint8_t *p, struct time_word word, uint64_t *wrong)
{
	uint64_t v = little_endian(p) ^ word.base;
	*wrong |= ((v + word.room) | v) & 0x8080808080808080u; /* a byte that carries has its own top bit set */
	return v * 10 + (v >> 8);
}

/* Text of a fixed length: all tests at once behind the digits. */
static bool parse_fixed(const uint8_t *p, unsigned row, int64_t *ret_us)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	static const uint32_t scale[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };
	unsigned digits = row / TIME_SEPARATORS % TIME_FRACTIONS, zone = row / TIME_SEPARATORS / TIME_FRACTIONS;
	struct time_word word = day_minute;
	uint64_t wrong = 0;
	word.base ^= (uint64_t)(row % TIME_SEPARATORS ? 'T' ^ ' ' : 0) << 16;
	uint64_t a = pair_values(p, year_month, &wrong), b = pair_values(p + 8, word, &wrong);
	unsigned year = (unsigned)((a & 0xff) * 100 + (a >> 16 & 0xff)), month = (uint8_t)(a >> 40), day = (uint8_t)b;
	unsigned hour = (uint8_t)(b >> 24), minute = (uint8_t)(b >> 48), tens = (unsigned)p[17] - '0', ones = (unsigned)p[18] - '0';
	unsigned second = tens * 10 + ones;
	uint32_t fraction = 0;
	wrong |= p[16] != ':' || tens > 5 || ones > 9;
	for (unsigned i = 0; i < digits; i++) {
		unsigned v = (unsigned)p[20 + i] - '0';
		wrong |= v > 9;
		fraction = fraction * 10 + v;
	}
	const uint8_t *behind = p + 19 + (digits ? 1 + digits : 0);
	wrong |= (digits && p[19] != '.') || year < 1 || month - 1 > 11 || day < 1 || hour > 23 || minute > 59;
	wrong |= (zone == TIME_ZONE_Z && *behind != 'Z') || (zone == TIME_ZONE_OFFSET && memcmp(behind, "+00:00", 6) != 0);
	if (wrong || day > lengths[month - 1] + (unsigned)(month == 2 && is_leap(year)))
		return false;
	*ret_us = days_from_date(year, month, day) * US_DAY + (hour * 3600 + minute * 60 + second) * US_SECOND + fraction * scale[digits];
	return true;
}

bool json_time_parse(struct slice text, unsigned format, int64_t *ret_us)
{
	int64_t us;
	unsigned row = format - FORMAT_TIME_BASE;
	size_t length = json_time_length(format);
	if (length)
		return text.len == length && parse_fixed(text.data, row, ret_us);
	if (row >= TIME_FORMATS || !(parse_strict(text, &us) >> row & 1))
		return false;
	*ret_us = us;
	return true;
}

static const struct time_word millisecond = { /* ":00.000Z"; tens of seconds end at 5 */
	0x5a3030302e30303au,
	TIME_OTHER(0) | (uint64_t)0x7a << 8 | TIME_DIGIT(2) | TIME_OTHER(3) | TIME_DIGIT(4) | TIME_DIGIT(5) | TIME_DIGIT(6) | TIME_OTHER(7),
};

bool json_time_parse_near(struct slice text, unsigned format, struct json_time_minute *last, int64_t *ret_us)
{
	const uint8_t *p = text.data;
	if (format == last->format && text.len == 24 &&
	    !((little_endian(p) ^ little_endian(last->text)) | (little_endian(p + 8) ^ little_endian(last->text + 8)))) {
		uint64_t v = little_endian(p + 16) ^ millisecond.base;
		if (((v + millisecond.room) | v) & 0x8080808080808080u)
			return false;
		uint64_t second = (v >> 8 & 15) * 10 + (v >> 16 & 15), ms = (v >> 32 & 15) * 100 + (v >> 40 & 15) * 10 + (v >> 48 & 15);
		*ret_us = last->us + (int64_t)(second * 1000000 + ms * 1000);
		return true;
	}
	if (!json_time_parse(text, format, ret_us))
		return false;
	unsigned row = format - FORMAT_TIME_BASE;
	if (row / TIME_SEPARATORS == TIME_ZONE_Z * TIME_FRACTIONS + 3) { /* milliseconds and Z */
		int64_t in_minute = *ret_us % (60 * US_SECOND);
		memcpy(last->text, p, 16);
		last->us = *ret_us - in_minute - (in_minute < 0 ? 60 * US_SECOND : 0);
		last->format = format;
	}
	return true;
}

size_t json_time_length(unsigned format)
{
	static const uint8_t zone_chars[TIME_ZONES] = { [TIME_ZONE_Z] = 1, [TIME_ZONE_OFFSET] = 6, [TIME_ZONE_NONE] = 0 };
	unsigned row = format - FORMAT_TIME_BASE, digits = row / TIME_SEPARATORS % TIME_FRACTIONS;
	if (row >= TIME_FORMATS || digits > 6)
		return 0;
	return 19 + (digits ? 1 + digits : 0) + zone_chars[row / TIME_SEPARATORS / TIME_FRACTIONS];
}

bool json_time_zoned(unsigned format)
{
	unsigned row = format - FORMAT_TIME_BASE;
	return row < TIME_FORMATS && row / TIME_SEPARATORS / TIME_FRACTIONS != TIME_ZONE_NONE;
}

static char *put2(char *out, unsigned v)
{
	memcpy(out, digit_pairs + v * 2, 2);
	return out + 2;
}

size_t json_time_format(int64_t us, unsigned format, char out[JSON_TIME_CHARS])
{
	struct json_time_day day = { 0 };
	return json_time_format_near(us, format, &day, out);
}

static void put_date(int64_t days, char out[10])
{
	unsigned year, month, day;
	date_from_day(days, &year, &month, &day);
	put2(put2(out, year / 100), year % 100);
	out[4] = '-';
	put2(out + 5, month);
	out[7] = '-';
	put2(out + 8, day);
}

size_t json_time_format_near(int64_t us, unsigned format, struct json_time_day *last, char out[JSON_TIME_CHARS])
{
	unsigned row = format - FORMAT_TIME_BASE;
	if (row >= TIME_FORMATS || us < US_MIN || us > US_MAX)
		return 0;
	int64_t days = us / US_DAY - (us % US_DAY < 0);
	int64_t in_day = us - days * US_DAY;
	unsigned second = (unsigned)(in_day / US_SECOND), fraction = (unsigned)(in_day % US_SECOND);
	unsigned digits = row / TIME_SEPARATORS % TIME_FRACTIONS, zone = row / TIME_SEPARATORS / TIME_FRACTIONS;
	const uint64_t zeros = 0x303030303030u;
	uint64_t six = digits_word8(fraction) >> 16;
	if (digits == TIME_FRACTION_TRIM)
		for (digits = 6; digits && six >> (8 * digits - 8) == '0'; digits--)
			six &= ~((uint64_t)0xff << (8 * digits - 8));
	else if (digits == TIME_FRACTION_THREES)
		digits = fraction == 0 ? 0 : fraction % 1000 == 0 ? 3 : 6;
	else if (six >> (8 * digits) != zeros >> (8 * digits))
		return 0;
	if (!last->text[0] || last->days != days) {
		put_date(days, last->text);
		last->days = days;
	}
	memcpy(out, last->text, 10);
	out[10] = row % TIME_SEPARATORS ? ' ' : 'T';
	/* hh0mm0ss, and colons for the zeros */
	uint64_t clock = digits_word8(second / 3600 * 1000000 + second / 60 % 60 * 1000 + second % 60);
	clock += (uint64_t)(':' - '0') << 16 | (uint64_t)(':' - '0') << 40;
	memcpy(out + 11, &clock, 8);
	char *p = out + 19;
	if (digits) {
		*p = '.';
		memcpy(p + 1, &six, 6); /* more than is wanted, but not more than there is room for */
		p += 1 + digits;
	}
	if (zone == TIME_ZONE_Z) {
		*p++ = 'Z';
	} else if (zone == TIME_ZONE_OFFSET) {
		memcpy(p, "+00:00", 6);
		p += 6;
	}
	return (size_t)(p - out);
}

/* A plain number: seconds with a fraction, or whole s, ms, µs, ns; by size. */
static bool parse_epoch(struct slice text, int64_t *ret_us)
{
	const int64_t from = 631152000, to = 4102444800; /* 1990, 2100 */
	const uint8_t *p = text.data, *end = p + text.len, *behind;
	int64_t v = 0;
	if (text.len == 0 || *p == '0')
		return false;
	for (; p < end && (uint8_t)(*p - '0') < 10; p++) {
		if (p - text.data >= 19 || v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (*p - '0');
	}
	if (p < end) {
		if (*p != '.' || v < from || v >= to || end - p < 2)
			return false;
		int64_t us = take_fraction(p + 1, end, &behind);
		if (behind != end)
			return false;
		*ret_us = v * US_SECOND + us;
		return true;
	}
	if (v >= from && v < to)
		*ret_us = v * US_SECOND;
	else if (v / 1000 >= from && v / 1000 < to)
		*ret_us = v * 1000;
	else if (v / US_SECOND >= from && v / US_SECOND < to)
		*ret_us = v;
	else if (v / (1000 * US_SECOND) >= from && v / (1000 * US_SECOND) < to)
		*ret_us = v / 1000;
	else
		return false;
	return true;
}

/* Z, z, +hh:mm, -hh:mm, +hhmm, +hh or nothing: the offset in seconds; false if it is something else. */
static bool take_zone(struct slice rest, int *ret_seconds)
{
	const uint8_t *p = rest.data;
	*ret_seconds = 0;
	if (rest.len == 0 || (rest.len == 1 && (*p | 0x20) == 'z'))
		return true;
	if ((*p != '+' && *p != '-') || (rest.len != 3 && rest.len != 5 && rest.len != 6) || (rest.len == 6 && p[3] != ':'))
		return false;
	int hour = digits_at(p + 1, 2), minute = rest.len == 3 ? 0 : digits_at(p + rest.len - 2, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return false;
	*ret_seconds = (hour * 3600 + minute * 60) * (*p == '-' ? -1 : 1);
	return true;
}

bool json_time_parse_any(struct slice text, int64_t *ret_us)
{
	const uint8_t *p = text.data, *end = p + text.len, *behind;
	int64_t days, us = 0;
	int offset;
	if (text.len < 10 || p[4] != '-')
		return parse_epoch(text, ret_us);
	if (!take_date(p, &days))
		return false;
	if (text.len == 10) {
		*ret_us = days * US_DAY;
		return true;
	}
	if (text.len < 19 || ((p[10] | 0x20) != 't' && p[10] != ' '))
		return false;
	int clock = take_clock(p + 11, true);
	if (clock < 0)
		return false;
	behind = p + 19;
	if (end - p > 20 && (p[19] == '.' || p[19] == ',') && (uint8_t)(p[20] - '0') < 10)
		us = take_fraction(p + 20, end, &behind);
	struct slice rest = slice_of(behind, (size_t)(end - behind));
	if (rest.len > 1 && rest.data[0] == ' ') /* 10:00:00 +0100 */
		rest = slice_skip(rest, 1);
	if (!take_zone(rest, &offset))
		return false;
	*ret_us = days * US_DAY + (clock - offset) * US_SECOND + us;
	return true;
}
