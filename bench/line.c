#include "line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t line_random(const struct line *l, unsigned site)
{
	uint64_t seed = l->seed ^ (l->len * 0xd6e8feb86659fd93u) ^ ((site + 1) * 0xa0761d6478bd642fu);
	return events_random(&seed);
}

unsigned line_below(const struct line *l, unsigned n, unsigned site)
{
	return (unsigned)(((line_random(l, site) >> 32) * n) >> 32);
}

unsigned line_skewed(const struct line *l, unsigned n, unsigned site)
{
	uint64_t u = line_random(l, site) >> 32;
	return (unsigned)(((u * u >> 32) * u >> 32) * n >> 32);
}

void put(struct line *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(l->text + l->len, sizeof l->text - l->len, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof l->text - l->len)
		abort();
	l->len += (size_t)n;
}

static void put_bytes(struct line *l, const char *bytes, size_t n)
{
	if (n >= sizeof l->text - l->len)
		abort();
	memcpy(l->text + l->len, bytes, n);
	l->len += n;
}

void put_text(struct line *l, const char *text)
{
	put_bytes(l, text, strlen(text));
}

void put_escaped(struct line *l, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put_bytes(l, "\\n", 2);
		else if (*text == '"' || *text == '\\')
			put(l, "\\%c", *text);
		else
			put_bytes(l, text, 1);
	}
}

void put_time(struct line *l, int64_t us, bool fraction)
{
	static _Thread_local int64_t known = -1; /* most times of an event are of one second */
	static _Thread_local char text[32];
	int64_t at = l->now_us + us, second = at / 1000000;
	if (second != known) {
		time_t t = (time_t)second;
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
		known = second;
	}
	put_bytes(l, text, 19);
	if (fraction)
		put(l, ".%03u", (unsigned)(at / 1000 % 1000));
	put_bytes(l, "Z", 1);
}

void put_hex(struct line *l, unsigned digits)
{
	static const char hex[] = "0123456789abcdef";
	char text[64];
	uint64_t seed = any(l), r = 0;
	for (unsigned i = 0; i < digits; i++) {
		r = i % 16 ? r >> 4 : events_random(&seed);
		text[i % sizeof text] = hex[r & 15];
	}
	put_bytes(l, text, digits);
}

void put_uuid(struct line *l)
{
	size_t at = l->len;
	put_hex(l, 36);
	static const unsigned char dashes[] = { 8, 13, 18, 23 };
	for (unsigned i = 0; i < COUNT(dashes); i++)
		l->text[at + dashes[i]] = '-';
	l->text[at + 14] = '4';
	l->text[at + 19] = "89ab"[(unsigned char)l->text[at + 19] & 3];
}

void put_field(struct line *l, const char *before, char type, const char *after)
{
	if (l->field_count == LINE_MAX_FIELDS)
		abort();
	put_text(l, before);
	l->fields[l->field_count++] = (struct events_field){ (uint32_t)l->len, type };
	if (type == 't')
		put_time(l, 0, true);
	else if (type == 'h')
		put_hex(l, 32);
	else if (type == 'u')
		put_uuid(l);
	else
		put(l, "%u", 100 + below(l, 900));
	put_text(l, after);
}

static const char *const words[] = {
	"the",	    "a",	"to",	      "of",	 "and",		 "in",	    "for",	"is",	      "fix",
	"add",	    "update",	"remove",     "when",	 "with",	 "on",	    "not",	"from",	      "this",
	"that",	    "it",	"use",	      "test",	 "tests",	 "build",   "error",	"file",	      "files",
	"value",    "null",	"check",      "support", "version",	 "docs",    "config",	"default",    "option",
	"change",   "make",	"move",	      "return",	 "function",	 "class",   "method",	"field",      "type",
	"types",    "string",	"number",     "object",	 "array",	 "list",    "map",	"server",     "client",
	"request",  "response", "header",     "body",	 "time",	 "timeout", "retry",	"connection", "socket",
	"thread",   "memory",	"leak",	      "crash",	 "race",	 "lock",    "queue",	"cache",      "index",
	"table",    "column",	"row",	      "query",	 "join",	 "filter",  "sort",	"merge",      "branch",
	"commit",   "release",	"dependency", "bump",	 "package",	 "module",  "import",	"export",     "script",
	"style",    "button",	"page",	      "form",	 "input",	 "output",  "view",	"model",      "controller",
	"route",    "path",	"link",	      "image",	 "icon",	 "color",   "theme",	"dark",	      "light",
	"mobile",   "layout",	"menu",	      "dialog",	 "table",	 "user",    "users",	"account",    "password",
	"login",    "token",	"session",    "role",	 "permission",	 "admin",   "email",	"message",    "notification",
	"event",    "order",	"product",    "price",	 "cart",	 "payment", "invoice",	"customer",   "stock",
	"discount", "shipping", "address",    "city",	 "country",	 "phone",   "should",	"would",      "could",
	"please",   "thanks",	"works",      "broken",	 "missing",	 "wrong",   "slow",	"fast",	      "better",
	"first",    "last",	"new",	      "old",	 "small",	 "large",   "empty",	"invalid",    "unexpected",
	"instead",  "because",	"after",      "before",	 "while",	 "during",  "again",	"never",      "always",
	"#1042",    "#871",	"v2.3.1",     "0.9.14",	 "README.md",	 "CI",	    "API",	"HTTP",	      "JSON",
	"SQL",	    "UTF-8",	"TODO",	      "WIP",	 "node_modules", "main.go", "index.ts",
};
static const char *const foreign[] = { "für",	"größer", "déjà", "configuração", "señal",
				       "naïve", "配置",	  "修复", "エラー",	  "обновить",
				       "🚀",	"✨",	  "—" };

void put_words(struct line *l, unsigned least, unsigned most)
{
	unsigned n = least + skewed(l, most - least + 1);
	for (unsigned i = 0; i < n; i++) {
		if (i)
			put_bytes(l, " ", 1);
		put_text(l, below(l, 64) ? EVENLY(l, words) : EVENLY(l, foreign));
	}
}

void put_login(struct line *l, uint32_t id)
{
	static const char *const starts[] = { "al",  "ben", "cor", "dan", "el",	 "fan", "gor", "han",  "is",
					      "jo",  "kar", "lin", "mar", "nor", "ol",	"per", "quin", "ro",
					      "sam", "tor", "ul",  "vik", "wil", "xi",	"yan", "zo" };
	static const char *const ends[] = { "a",   "bert", "da",  "dev", "ek",	"eth", "ian",  "ina", "is",  "ko",
					    "lab", "ley",  "lin", "man", "na",	"o",   "ri",   "sen", "son", "ta",
					    "ton", "us",   "vic", "ya",	 "zen", "-io", "-bot", "hub" };
	uint32_t h = id * 2654435761u;
	put(l, "%s%s", starts[h % COUNT(starts)], ends[(h >> 8) % COUNT(ends)]);
	if (h & 0x10000)
		put_text(l, ends[(h >> 20) % COUNT(ends)]);
	put(l, "%u", id % 9973);
}
