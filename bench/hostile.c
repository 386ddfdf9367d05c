/* What a service must not choke on: keys made of ids and fields that change their type in every event; and in one of ten all that JSON
 * allows and few expect: white space, escapes, keys twice, keys that are no names, numbers in any form.
 */
#include "line.h"

static const char *const keys[] = { "",		 "a.b",	      "with space", "ключ", "year",   "x__string",
				    "\\u006bey", "tab\\tkey", "日本",	    "$ref", "9lives", "na\\u00efve" };
static const char *const numbers[] = { "0",
				       "-0",
				       "1.0",
				       "1e2",
				       "1E+2",
				       "0.10",
				       "-1.5e-7",
				       "9007199254740993",
				       "9223372036854775807",
				       "-9223372036854775808",
				       "18446744073709551615",
				       "123456789012345678901234567890",
				       "1e300",
				       "0.1000",
				       "3.141592653589793",
				       "2.50" };
static const char *const strings[] = {
	"plain",
	"größer – 東京",
	"2026-01-01",
	"12345",
	"true",
	"",
	"line\\nbreak\\ttab",
	"quote \\\" and \\\\",
	"2026-01-01T00:00:00Z",
	"caf\\u00e9",
	"caf\\u00E9",
	"\\u0041scii escaped",
	"https:\\/\\/example.com\\/a\\/b",
	"\\ud83d\\ude00 and 😀",
	"&lt; \\u003cb\\u003e",
};
static const char *const spaces[] = { "", " ", "  ", "\t", " \t" };

/* Between tokens: nothing in most events, anything in the others. */
static void put_space(struct line *l, bool odd)
{
	if (odd)
		put_text(l, EVENLY(l, spaces));
}

/* A string's inside; the first of `strings` are those that nobody would escape. */
static void put_inside(struct line *l, bool odd)
{
	put_text(l, strings[below(l, odd ? COUNT(strings) : 8)]);
}

static void put_deep(struct line *l, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		put_text(l, i % 2 ? "[" : "{\"n\":");
	put(l, "%u", below(l, 100));
	for (unsigned i = depth; i-- > 0;)
		put_text(l, i % 2 ? "]" : "}");
}

/* One of six kinds of value. */
static void put_kind(struct line *l, unsigned kind, bool odd)
{
	switch (kind % 6) {
	case 0:
		put(l, "%u", skewed(l, 1000000));
		break;
	case 1:
		put_text(l, "\"");
		put_inside(l, odd);
		put_text(l, "\"");
		break;
	case 2:
		put(l, "%u.%02u%u", skewed(l, 1000), below(l, 100), odd ? 0 : 1 + below(l, 9));
		break;
	case 3:
		put_text(l, chance(l, 50) ? "true" : "false");
		break;
	case 4:
		put(l, "{\"v\":%u,\"unit\":\"%s\"%s}", below(l, 10), chance(l, 50) ? "ms" : "s", odd ? ",\"v\":17" : "");
		break;
	default:
		put(l, "[%u,\"%c\",null,{\"k\":[]}]", below(l, 100), 'a' + (char)below(l, 26));
	}
}

/* A field that is of one kind for some thousand events and then of another, with now and then one of the wrong kind. */
static void put_drifting(struct line *l, const char *name, unsigned period, bool odd)
{
	unsigned kind = (unsigned)(l->number / period);
	put(l, ",\"%s\":", name);
	put_kind(l, chance(l, 2) ? below(l, 6) : kind, odd);
}

static void put_text_field(struct line *l, bool odd)
{
	put_text(l, ",");
	put_space(l, odd);
	put_text(l, "\"text\"");
	put_space(l, odd);
	put_text(l, ":");
	put_space(l, odd);
	put_text(l, "\"");
	put_inside(l, odd);
	put_text(l, " ");
	put_words(l, 8, 100);
	put_text(l, "\"");
}

static void put_attributes(struct line *l, bool odd)
{
	put(l, ",\"attributes\":{\"size\":%u", skewed(l, 5000));
	for (unsigned i = 0, n = below(l, 4); i < n; i++) { /* keys that were never seen before and never come again */
		put_text(l, ",\"");
		put_hex(l, 4 + below(l, 12));
		put_text(l, "\":");
		put_kind(l, below(l, 4), odd);
	}
	put_text(l, "}");
	if (!odd)
		return;
	put_text(l, ",\"odd\":{");
	for (unsigned i = 0, n = below(l, 4), first = below(l, COUNT(keys)); i < n; i++) {
		put(l, "%s\"%s\":", i ? ", " : "", keys[(first + i * i) % COUNT(keys)]);
		put_kind(l, below(l, 4), odd);
	}
	put_text(l, "}");
}

static void put_trace(struct line *l, bool odd)
{
	put_text(l, ",\"trace\":[");
	for (unsigned i = 0, n = below(l, 7); i < n; i++) {
		put(l, "%s{\"at\":%u,\"op\":\"%s\"", i ? "," : "", skewed(l, 100000),
		    EVENLY(l, ((const char *const[]){ "read", "write", "seek", "sync" })));
		if (chance(l, 30)) {
			put_text(l, ",\"detail\":");
			put_kind(l, below(l, 6), odd);
		}
		put_text(l, "}");
	}
	put_text(l, "]");
}

void hostile_make(struct line *l)
{
	bool odd = chance(l, 10);
	put(l, "{\"id\":%llu", (unsigned long long)(5000000 + l->number));
	put_field(l, ",\"ts\":\"", 't', "\"");
	put_space(l, odd);
	put(l, ",\"kind\":\"%s\"", PICK(l, ((const char *const[]){ "alpha", "beta", "gamma", "delta" })));
	put_drifting(l, "value", 1500, odd);
	put_drifting(l, "state", 4000, odd);
	put_drifting(l, "payload", 700, odd);
	put_space(l, odd);
	if (odd)
		put(l, ",\"number\":%s", EVENLY(l, numbers));
	put_text_field(l, odd);
	put_attributes(l, odd);
	if (chance(l, 20)) {
		put_text(l, ",\"deep\":");
		put_deep(l, 4 + below(l, 28));
	}
	if (chance(l, 60)) { /* some keys of the top level, too, are new in each event */
		put_text(l, ",\"k");
		put_hex(l, 10);
		put_text(l, "\":");
		put_kind(l, below(l, 6), odd);
	}
	put_space(l, odd);
	put_trace(l, odd);
	put_space(l, odd);
}
