#include "search/search_internal.h"

#include "json/json.h"

uint8_t search_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static struct slice lower_copy(struct arena *a, struct slice s)
{
	uint8_t *p = arena_alloc(a, s.len + 1);
	for (size_t i = 0; i < s.len; i++)
		p[i] = search_lower(s.data[i]);
	return slice_of(p, s.len);
}

/* "…" with \" and \\ inside. Advances *pos behind it. */
static rc_t parse_quoted(struct arena *a, struct slice text, size_t *pos, struct slice *ret, struct err *reterr)
{
	uint8_t *p = arena_alloc(a, text.len + 1);
	size_t n = 0, i = *pos + 1;
	for (; i < text.len && text.data[i] != '"'; i++) {
		if (text.data[i] == '\\' && i + 1 < text.len)
			i++;
		p[n++] = text.data[i];
	}
	if (i == text.len)
		return err_set(reterr, RC_INVALID, "the query's quote at character %zu is not closed", *pos + 1);
	*pos = i + 1;
	*ret = slice_of(p, n);
	return RC_OK;
}

static void parse_compare(struct term *t)
{
	static const struct {
		const char *sign;
		enum term_op op;
	} signs[] = { { ">=", TERM_MORE_EQ }, { "<=", TERM_LESS_EQ }, { ">", TERM_MORE }, { "<", TERM_LESS } };
	for (size_t i = 0; i < 4; i++) {
		if (!slice_starts(t->text, slice_str(signs[i].sign)))
			continue;
		t->op = signs[i].op;
		t->text = slice_skip(t->text, strlen(signs[i].sign));
		return;
	}
}

static void parse_number(struct term *t)
{
	char copy[64], *end;
	if (!t->text.len || t->text.len >= sizeof copy || (t->text.data[0] != '-' && (t->text.data[0] < '0' || t->text.data[0] > '9')))
		return;
	memcpy(copy, t->text.data, t->text.len);
	copy[t->text.len] = 0;
	t->number = strtod(copy, &end);
	t->is_number = !*end && !copy[strspn(copy, "0123456789+-.eE")]; /* strtod knows nan, inf and 0x10, too */
}

/* The value behind field: or a bare word. */
static rc_t parse_value(struct search_query *q, struct term *t, struct slice text, size_t *pos, struct err *reterr)
{
	if (*pos < text.len && text.data[*pos] == '"') {
		t->op = t->field.len ? TERM_EQUALS : TERM_PHRASE;
		TRY(parse_quoted(&q->arena, text, pos, &t->text, reterr));
		t->text = lower_copy(&q->arena, t->text);
		return RC_OK;
	}
	size_t start = *pos;
	while (*pos < text.len && text.data[*pos] > ' ')
		(*pos)++;
	t->text = arena_copy(&q->arena, slice_of(text.data + start, *pos - start));
	t->op = t->field.len ? TERM_EQUALS : TERM_WORD;
	if (t->field.len && slice_eq_str(t->text, "*")) {
		t->op = TERM_EXISTS;
		return RC_OK;
	}
	if (t->field.len)
		parse_compare(t);
	if (t->op < TERM_LESS) /* the others compare bytes */
		t->text = lower_copy(&q->arena, t->text);
	if (t->text.len > 1 && t->text.data[t->text.len - 1] == '*' && (t->op == TERM_EQUALS || t->op == TERM_WORD)) {
		t->op = TERM_PREFIX;
		t->text.len--;
	}
	if (t->field.len && !t->text.len)
		return err_set(reterr, RC_INVALID, "'%.*s:' has no value; write field:value, or field:* for any", SLICE_ARG(t->field));
	parse_number(t);
	return RC_OK;
}

/* A field name ends at a colon; "quoted name":value allows any character. */
static rc_t parse_field(struct search_query *q, struct term *t, struct slice text, size_t *pos, struct err *reterr)
{
	size_t i = *pos;
	if (text.data[i] == '"') {
		struct slice quoted;
		TRY(parse_quoted(&q->arena, text, &i, &quoted, reterr));
		if (i < text.len && text.data[i] == ':') {
			t->field = quoted;
			*pos = i + 1;
		}
		return RC_OK;
	}
	while (i < text.len && text.data[i] > ' ' && text.data[i] != ':' && text.data[i] != '"')
		i++;
	if (i > *pos && i < text.len && text.data[i] == ':' && !(i + 2 < text.len && text.data[i + 1] == '/' && text.data[i + 2] == '/')) {
		t->field = arena_copy(&q->arena, slice_of(text.data + *pos, i - *pos));
		*pos = i + 1;
	}
	return RC_OK;
}

static rc_t parse_terms(struct search_query *q, struct slice text, struct err *reterr)
{
	for (size_t pos = 0;;) {
		while (pos < text.len && text.data[pos] <= ' ')
			pos++;
		if (pos == text.len)
			return RC_OK;
		if (q->count == SEARCH_TERMS_MAX)
			return err_set(reterr, RC_LIMIT, "the query has more than %d terms", SEARCH_TERMS_MAX);
		struct term *t = &q->terms[q->count++];
		if (text.data[pos] == '-' && pos + 1 < text.len && text.data[pos + 1] > ' ') {
			t->negated = true;
			pos++;
		}
		TRY(parse_field(q, t, text, &pos, reterr));
		TRY(parse_value(q, t, text, &pos, reterr));
	}
}

rc_t search_parse(struct slice text, struct search_query **ret, struct err *reterr)
{
	if (!json_utf8_valid(text, NULL))
		return err_set(reterr, RC_INVALID, "the query is not UTF-8");
	AUTO(search_query) *q = NEW(struct search_query);
	arena_init(&q->arena);
	TRY(parse_terms(q, text, reterr));
	*ret = q;
	q = NULL;
	return RC_OK;
}

void search_free(struct search_query *q)
{
	if (!q)
		return;
	arena_free(&q->arena);
	free(q);
}

size_t search_terms(const struct search_query *q, struct scan_term *ret)
{
	static const enum scan_test tests[] = { [TERM_PREFIX] = SCAN_PREFIX,	     [TERM_EQUALS] = SCAN_EQUAL, [TERM_LESS] = SCAN_LESS,
						[TERM_LESS_EQ] = SCAN_LESS_EQUAL, [TERM_MORE] = SCAN_MORE,  [TERM_MORE_EQ] = SCAN_MORE_EQUAL };
	size_t n = 0;
	for (unsigned i = 0; i < q->count; i++) {
		const struct term *t = &q->terms[i];
		if (t->field.len && !t->negated && t->op != TERM_EXISTS)
			ret[n++] = (struct scan_term){ t->field, tests[t->op], t->text, t->is_number, t->number };
	}
	return n;
}

bool search_match(const struct search_query *q, struct slice payload)
{
	enum { UNKNOWN, YES, NO } json = UNKNOWN;
	for (unsigned i = 0; i < q->count; i++) {
		const struct term *t = &q->terms[i];
		if (t->field.len && json == UNKNOWN)
			json = json_validate_all(payload, NULL, NULL, NULL) == RC_OK ? YES : NO;
		bool hit = t->field.len ? json == YES && term_in_json(t, payload) : term_in_text(t, payload);
		if (hit == t->negated)
			return false;
	}
	return true;
}
