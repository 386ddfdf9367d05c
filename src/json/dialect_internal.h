/* Inside the room json: what the dialects of json/string.h escape, for reading (string.c) and for writing (escape.c). */
#ifndef JSON_DIALECT_INTERNAL_H
#define JSON_DIALECT_INTERNAL_H

#include "json/string.h"

/* What the dialects do, as sets of dialects. Everything below is derived from these. */
#define D(name) ((uint32_t)1 << JSON_DIALECT_##name)
#define ALL JSON_DIALECTS_ALL
#define UPPER_HEX (D(ASCII_UPPER) | D(UPPER) | D(DOTNET))                                         /* \u00E9, not \u00e9 */
#define ESCAPE_HIGH (D(ASCII_LOWER) | D(ASCII_UPPER) | D(SLASH_ASCII) | D(ASCII_DELRAW) | D(DOTNET) | D(SLASH_HEX)) /* all beyond ASCII */
#define ESCAPE_C1 (ESCAPE_HIGH | D(ORGJSON))                               /* U+0080 … U+009F, U+2000 … U+20FF */
#define ESCAPE_NEL (ESCAPE_C1 | D(NEL_LINES))                              /* U+0085 */
#define ESCAPE_LINES (ESCAPE_NEL | D(HTML) | D(HTML_LONG) | D(GSON) | D(LINES) | D(LINES_LONG) | D(SLASH_LINES)) /* U+2028 U+2029 */
#define ESCAPE_DEL (D(ASCII_LOWER) | D(DEL) | D(DOTNET))
#define ESCAPE_SLASH (D(SLASH_ASCII) | D(SLASH) | D(SLASH_LINES) | D(SLASH_HEX)) /* as \/ */
#define ESCAPE_CLOSING D(ORGJSON)                                          /* the / of </ as \/ */
#define ESCAPE_HTML (D(HTML) | D(HTML_LONG) | D(GSON) | D(DOTNET) | D(SLASH_HEX)) /* < > & */
#define UPPER_ANGLES (UPPER_HEX | D(SLASH_HEX))                            /* \u003C, not \u003c */
#define ESCAPE_EQUALS D(GSON)                                              /* = */
#define ESCAPE_APOSTROPHE (D(GSON) | D(DOTNET) | D(SLASH_HEX))             /* ' */
#define ESCAPE_PLUS D(DOTNET)                                              /* + */
#define ESCAPE_BACKTICK D(DOTNET)                                          /* ` */
#define HEX_QUOTE (D(DOTNET) | D(SLASH_HEX))                               /* \u0022, not \" */
#define HEX_BF (D(HTML_LONG) | D(LINES_LONG) | D(LONG))                    /* \u0008 \u000c, not \b \f */

/* The dialects that write this code point as \uXXXX, or two of them. */
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
	case 0x85:
		return ESCAPE_NEL;
	case 0x2028: case 0x2029:
		return ESCAPE_LINES;
	}
	if (cp < 0x80)
		return cp < 0x20 ? ALL : 0;
	return cp < 0xa0 || cp >> 8 == 0x20 ? ESCAPE_C1 : ESCAPE_HIGH;
}

/* Of the dialects that write it so: those whose hex letters are A … F. */
static inline uint32_t upper_dialects(uint32_t cp)
{
	return cp == '<' || cp == '>' ? UPPER_ANGLES : UPPER_HEX;
}

#endif
