/* The result as a box for people: names, a rule, values cut to fit, the row count. Nothing a value holds reaches the terminal as a
 * control character. */
#include "sql/output_internal.h"

struct box_column {
	uint32_t width; /* of the widest cell, in terminal columns */
	bool right;     /* numbers */
};

struct box {
	unsigned width, max_rows;
	uint32_t n;
	struct box_column *columns;
	const char **cells; /* n a row, the header's first */
	size_t rows, cap;   /* the header's included */
	struct arena arena;
	struct buf scratch;
};

/* Terminal columns of a code point: 0 for combining marks and the invisible, 2 for East Asian wide ones and most pictures. */
static unsigned columns_of(uint32_t c)
{
	if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
	    (c >= 0x20d0 && c <= 0x20ff))
		return 0;
	if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
	    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
	    (c >= 0x20000 && c <= 0x3fffd))
		return 2;
	return 1;
}

/* The next code point of valid UTF-8 and its length; a byte that is none counts as itself. */
static uint32_t next_char(struct slice s, size_t i, size_t *ret_len)
{
	static const uint8_t least[] = { 0, 0, 0xc2, 0xe0, 0xf0 };
	uint8_t c = s.data[i];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (len > 1 && (c < least[len] || i + len > s.len))
		len = 1;
	uint32_t v = len == 1 ? c : c & (0x7fu >> len);
	for (size_t k = 1; k < len; k++)
		v = v << 6 | (s.data[i + k] & 0x3f);
	*ret_len = len;
	return v;
}

/* C0, C1 controls, and the marks that turn the direction of text around. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static unsigned text_width(struct slice s)
{
	unsigned w = 0;
	size_t len;
	for (size_t i = 0; i < s.len; i += len)
		w += columns_of(next_char(s, i, &len));
	return w;
}

/* Appends s, cut to `max` terminal columns with a … at the end; returns the columns it takes. */
static unsigned put_cut(struct buf *out, struct slice s, unsigned max)
{
	unsigned used = 0, at_cut = 0;
	size_t len, cut = out->len; /* where the … goes if it does not fit */
	for (size_t i = 0; i < s.len; i += len) {
		unsigned w = columns_of(next_char(s, i, &len));
		if (used + w > max) {
			out->len = cut;
			buf_append_str(out, "…");
			return at_cut + 1;
		}
		buf_append(out, s.data + i, len);
		used += w;
		if (used < max) {
			cut = out->len;
			at_cut = used;
		}
	}
	return used;
}

/* Printable: controls as in C, what is not of use in a cell cut away early, so that a megabyte in a cell costs nothing. */
static const char *clean(struct box *b, struct slice s)
{
	AUTO_BUF struct buf text;
	buf_init(&text, 16 * CELL_MAX);
	size_t len;
	for (size_t i = 0; i < s.len && text.len < 8 * CELL_MAX; i += len) {
		uint32_t c = next_char(s, i, &len);
		if (c == '\n')
			buf_append_str(&text, "\\n");
		else if (c == '\t')
			buf_append_str(&text, "\\t");
		else if (c == '\r')
			buf_append_str(&text, "\\r");
		else if (is_control(c) || (c >= 0x80 && len == 1))
			buf_printf(&text, "\\u%04x", c);
		else
			buf_append(&text, s.data + i, len);
	}
	buf_reset(&b->scratch);
	put_cut(&b->scratch, buf_slice(&text), CELL_MAX);
	return arena_cstr(&b->arena, buf_slice(&b->scratch));
}

static void set_cell(struct box *b, uint32_t column, struct slice s)
{
	const char *text = clean(b, s);
	unsigned w = text_width(slice_str(text));
	b->cells[(b->rows - 1) * b->n + column] = text;
	if (w > b->columns[column].width)
		b->columns[column].width = w;
}

static void add_row(struct box *b)
{
	if (b->rows == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 64;
		b->cells = mem_realloc(b->cells, b->cap * b->n * sizeof(*b->cells));
	}
	b->rows++;
}

struct box *box_new(unsigned width, unsigned max_rows, const struct column_out *columns, uint32_t n)
{
	struct box *b = NEW(struct box);
	b->width = width;
	b->max_rows = max_rows;
	b->n = n;
	arena_init(&b->arena);
	buf_init(&b->scratch, BUF_MAX_DEFAULT);
	b->columns = mem_zalloc(n + 1, sizeof(*b->columns));
	add_row(b);
	for (uint32_t i = 0; i < n; i++) {
		b->columns[i].right = kind_is_number(&columns[i].kind);
		set_cell(b, i, slice_str(columns[i].name));
	}
	return b;
}

void box_row(struct box *b, const struct view *views, uint64_t row)
{
	if (b->rows > b->max_rows)
		return;
	add_row(b);
	AUTO_BUF struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	for (uint32_t i = 0; i < b->n; i++) {
		buf_reset(&text);
		if (view_is_null(&views[i], row))
			buf_append_str(&text, "NULL");
		else
			render_text(&views[i], row, &text);
		set_cell(b, i, buf_slice(&text));
	}
}

/* Narrows the widest columns until the box fits, none below 8. What still does not fit, the terminal wraps. */
static void fit(struct box *b)
{
	unsigned total = 1;
	for (uint32_t i = 0; i < b->n; i++)
		total += b->columns[i].width + 3;
	while (b->width && total > b->width) {
		uint32_t widest = 0;
		for (uint32_t i = 1; i < b->n; i++)
			if (b->columns[i].width > b->columns[widest].width)
				widest = i;
		if (b->columns[widest].width <= 8)
			break;
		b->columns[widest].width--;
		total--;
	}
}

static void put_rule(struct box *b, struct buf *out, const char *left, const char *middle, const char *right)
{
	for (uint32_t i = 0; i < b->n; i++) {
		buf_append_str(out, i ? middle : left);
		for (uint32_t k = 0; k < b->columns[i].width + 2; k++)
			buf_append_str(out, "─");
	}
	buf_append_str(out, right);
	buf_byte(out, '\n');
}

static void put_spaces(struct buf *out, unsigned n)
{
	while (n--)
		buf_byte(out, ' ');
}

static void put_row(struct box *b, struct buf *out, size_t row)
{
	for (uint32_t i = 0; i < b->n; i++) {
		buf_append_str(out, "│ ");
		buf_reset(&b->scratch);
		unsigned w = put_cut(&b->scratch, slice_str(b->cells[row * b->n + i]), b->columns[i].width);
		unsigned pad = b->columns[i].width > w ? b->columns[i].width - w : 0;
		put_spaces(out, b->columns[i].right ? pad : 0);
		buf_append_slice(out, buf_slice(&b->scratch));
		put_spaces(out, (b->columns[i].right ? 0 : pad) + 1);
	}
	buf_append_str(out, "│\n");
}

void box_print(struct box *b, uint64_t rows, struct buf *out)
{
	fit(b);
	put_rule(b, out, "┌", "┬", "┐");
	put_row(b, out, 0);
	put_rule(b, out, "├", "┼", "┤");
	for (size_t i = 1; i < b->rows; i++)
		put_row(b, out, i);
	put_rule(b, out, "└", "┴", "┘");
	buf_printf(out, "%llu row%s", (unsigned long long)rows, rows == 1 ? "" : "s");
	if (rows > b->rows - 1)
		buf_printf(out, ", the first %zu shown (--format csv, json or ndjson gives all)", b->rows - 1);
	buf_byte(out, '\n');
}

void box_free(struct box *b)
{
	if (!b)
		return;
	free(b->columns);
	free(b->cells);
	buf_free(&b->scratch);
	arena_free(&b->arena);
	free(b);
}
