/* JSON strings: unescaping, and escaping again exactly as the writer of the original did.
 *
 * A *dialect* is the full set of choices that a JSON writer makes for string bodies; a row is restored if one dialect explains all its
 * strings (ENGINE.md, Exact restore). Dialect numbers are stored in files: never renumber, only append.
 *
 * Promise: for a bit d in json_text_dialects(raw): json_string_escape(json_string_unescape(raw), d) == raw, byte for byte.
 * Not promised: anything for text that json_validate did not accept, save that nothing outside the slice is read.
 * Ownership: results are appended to the caller's buf, whose max bounds them. Threads: every function is pure.
 */
#ifndef JSON_STRING_H
#define JSON_STRING_H

#include "base/buf.h"

enum json_dialect {
	JSON_DIALECT_MINIMAL = 0,   /* " \ and controls only, \b \f \n \r \t, else \u001f in lower hex: JavaScript, Rust serde,
	                               Python ensure_ascii=False, Postgres, nlohmann */
	JSON_DIALECT_ASCII_LOWER,   /* and DEL and all beyond ASCII as \uXXXX in lower hex: Python json.dumps, jq -a, nlohmann */
	JSON_DIALECT_ASCII_UPPER,   /* all beyond ASCII (DEL not) as \uXXXX in upper hex: Jackson ESCAPE_NON_ASCII, jansson ENSURE_ASCII */
	JSON_DIALECT_HTML,          /* minimal and < > & U+2028 U+2029 as \u003c …: Go ≥ 1.22 encoding/json, Rails to_json */
	JSON_DIALECT_HTML_LONG,     /* the same with \u0008 and \u000c in place of \b and \f: Go < 1.22 */
	JSON_DIALECT_SLASH_ASCII,   /* \/ and all beyond ASCII (DEL not) as \uXXXX in lower hex: PHP json_encode */
	JSON_DIALECT_GSON,          /* html and = ' as \u003d \u0027: Gson */
	JSON_DIALECT_UPPER,         /* minimal with controls as \u001F in upper hex: Jackson, RapidJSON, jansson */
	JSON_DIALECT_DEL,           /* minimal and DEL as \u007f: jq, fluent-bit */
	JSON_DIALECT_SLASH,         /* minimal and \/: Apple's encoders */
	JSON_DIALECT_LINES,         /* minimal and U+2028 U+2029 as \u2028 …: Go ≥ 1.22 and Gson without HTML escapes, PHP unescaped */
	JSON_DIALECT_LINES_LONG,    /* the same with \u0008 and \u000c: Go < 1.22 without HTML escapes */
	JSON_DIALECT_ASCII_DELRAW,  /* all beyond ASCII (DEL not) as \uXXXX in lower hex: PHP with unescaped slashes */
	JSON_DIALECT_DOTNET,        /* \u0022 for ", and < > & ' + ` DEL and all beyond ASCII in upper hex: System.Text.Json */
	JSON_DIALECT_SLASH_LINES,   /* \/ and U+2028 U+2029 escaped: PHP with unescaped unicode */
	JSON_DIALECT_LONG,          /* minimal with \u0008 and \u000c in place of \b and \f */
	JSON_DIALECT_SLASH_HEX,     /* as slash_ascii, and \u003C \u003E \u0026 \u0027 \u0022: PHP with JSON_HEX_*, Symfony's JsonResponse */
	JSON_DIALECT_ORGJSON,       /* minimal, / as \/ behind <, U+0080 … U+009F and U+2000 … U+20FF escaped: org.json */
	JSON_DIALECT_NEL_LINES,     /* minimal and U+0085 U+2028 U+2029 as \u0085 …: Newtonsoft's Json.NET */
	JSON_DIALECT_COUNT
};
#define JSON_DIALECTS_ALL (((uint32_t)1 << JSON_DIALECT_COUNT) - 1)
/* Of several that fit, the one to store: the lowest bit. */
static inline enum json_dialect json_dialect_pick(uint32_t mask)
{
	return (enum json_dialect)__builtin_ctz(mask);
}

/* The dialects under which every string in the text comes back exactly, as a bit mask 1 << enum json_dialect. text: the raw body
 * of one string (without quotes), or any whole valid JSON text, keys and all: one pass over a row answers for the row, and with no
 * backslash in it that costs next to nothing. 0: no dialect does (a mixture, or a lone surrogate): the row needs __raw.
 * A + inside a number (1e+5) counts as one in a string; that can only lose JSON_DIALECT_DOTNET. */
uint32_t json_text_dialects(struct slice text);
/* The same for one string body; the name says what a caller means. */
static inline uint32_t json_string_dialects(struct slice raw)
{
	return json_text_dialects(raw);
}

/* raw: the bytes between the quotes of a valid string. Appends UTF-8. False if a lone surrogate became U+FFFD: no dialect brings it
 * back. What was appended is complete unless ret->overflow. */
bool json_string_unescape(struct slice raw, struct buf *ret);
/* utf8 → the body between the quotes, appended. Bytes that are not UTF-8 are copied by dialects that keep non-ASCII and written as
 * U+FFFD by the others. */
void json_string_escape(struct slice utf8, enum json_dialect dialect, struct buf *ret);

#endif
