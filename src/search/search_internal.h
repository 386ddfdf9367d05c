#ifndef SEARCH_INTERNAL_H
#define SEARCH_INTERNAL_H

#include "base/arena.h"
#include "search/search.h"

enum term_op { TERM_WORD, TERM_PREFIX, TERM_PHRASE, TERM_EQUALS, TERM_EXISTS, TERM_LESS, TERM_LESS_EQ, TERM_MORE, TERM_MORE_EQ };

struct term {
	bool negated;
	enum term_op op;
	struct slice field; /* empty: anywhere in the payload */
	struct slice text;  /* lower case; from TERM_LESS on as it was written */
	bool is_number;
	double number;
};

struct search_query {
	struct arena arena;
	struct term terms[SEARCH_TERMS_MAX];
	unsigned count;
};

/* Does text (any case) hold the term's words? */
bool term_in_text(const struct term *t, struct slice text);
/* Does the value that the field names match? */
bool term_in_json(const struct term *t, struct slice json);
uint8_t search_lower(uint8_t c);

#endif
