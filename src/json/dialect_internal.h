/* Inside the room json: what the dialects of json/string.h escape, for reading (string.c) and for writing (escape.c). */
#ifndef JSON_DIALECT_INTERNAL_H
#define JSON_DIALECT_INTERNAL_H

#include "json/string.h"

/* What the dialects do, as sets of dialects. Everything below is derived from these. */
#define D(name) ((uint32_t)1 << JSON_DIALECT_##name)
#define ALL JSON_DIALECTS_ALL
#define UPPER_HEX (D(ASCII_UPPER) | D(UPPER) | D(DOTNET))                                         /* \u00E9, not \u00e9 */
#define ESCAPE_HIGH (D(ASCII_LOWER) | D(ASCII_UPPER) | D(SLASH_ASCII) | D(ASCII_DELRAW) | D(DOTNET)) /* all beyond ASCII */
#define ESCAPE_LINES (ESCAPE_HIGH | D(HTML) | D(HTML_LONG) | D(GSON) | D(LINES) | D(LINES_LONG) | D(SLASH_LINES)) /* U+2028 U+2029 */
#define ESCAPE_DEL (D(ASCII_LOWER) | D(DEL) | D(DOTNET))
#define ESCAPE_SLASH (D(SLASH_ASCII) | D(SLASH) | D(SLASH_LINES))          /* as \/ */
#define ESCAPE_HTML (D(HTML) | D(HTML_LONG) | D(GSON) | D(DOTNET))         /* < > & */
#define ESCAPE_EQUALS D(GSON)                                              /* = */
#define ESCAPE_APOSTROPHE (D(GSON) | D(DOTNET))                            /* ' */
#define ESCAPE_PLUS D(DOTNET)                                              /* + */
#define ESCAPE_BACKTICK D(DOTNET)                                          /* ` */
#define HEX_QUOTE D(DOTNET)                                                /* \u0022, not \" */
#define HEX_BF (D(HTML_LONG) | D(LINES_LONG) | D(LONG))                    /* \u0008 \u000c, not \b \f */

/* The dialects that write this code point (under 0x10000) as \uXXXX. */
static inline uint32_t hex_dialects(uint32_t cp)
{
	switch (cp) {
	case '\n': case '\r': case '\t': case '\\': case '/':
		return 0;
	case '\b': case '\f':
		return HEX_BF;
	case '"':
		return HEX_QUOTE;
	case '<': case '>': case '&':
		return ESCAPE_HTML;
	case '=':
		return ESCAPE_EQUALS;
	case '\'':
		return ESCAPE_APOSTROPHE;
	case '+':
		return ESCAPE_PLUS;
	case '`':
		return ESCAPE_BACKTICK;
	case 0x7f:
		return ESCAPE_DEL;
	case 0x2028: case 0x2029:
		return ESCAPE_LINES;
	}
	return cp < 0x20 ? ALL : cp < 0x80 ? 0 : ESCAPE_HIGH;
}

#endif
