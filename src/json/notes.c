#include "json/notes.h"

#include "json/number.h"
#include "json/scan.h"
#include "json/string.h"

#define NOTES_VERSION  1
#define PATH_MAX_BYTES 4096

static const char *const role_names[] = {
	[ROLE_PAYLOAD] = "payload", [ROLE_SIBLING] = "sibling", [ROLE_TIME] = "time", [ROLE_RECEIVED] = "received",
	[ROLE_SOURCE] = "source",   [ROLE_POS] = "pos",		[ROLE_ID] = "id",     [ROLE_KEY] = "key",
	[ROLE_META] = "meta",	    [ROLE_SHAPE] = "shape",	[ROLE_RAW] = "raw",   [ROLE_REST] = "rest",
	[ROLE_TEXT] = "text",	    [ROLE_VALUE] = "value",
};
#define ROLES (sizeof role_names / sizeof *role_names)

static bool is_member(const struct field *f)
{
	return f->parent && f->parent->type == TYPE_STRUCT;
}

static struct slice default_key(const struct field *f)
{
	return is_member(f) && (f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING) ? f->name : SLICE_LIT("");
}

static void put_string(struct buf *b, struct slice s)
{
	buf_byte(b, '"');
	json_string_escape(s, JSON_DIALECT_MINIMAL, b);
	buf_byte(b, '"');
}

static void note_encode(const struct field *f, struct buf *b)
{
	if (f->id) {
		buf_printf(b, "{\"id\":%d", f->id);
	} else {
		char path[PATH_MAX_BYTES];
		field_path(f, path, sizeof path);
		buf_append_str(b, "{\"path\":");
		put_string(b, slice_str(path));
	}
	if (!slice_eq(f->key, default_key(f))) {
		buf_append_str(b, ",\"key\":");
		put_string(b, f->key);
	}
	if (f->role != ROLE_PAYLOAD && f->role < ROLES)
		buf_printf(b, ",\"role\":\"%s\"", role_names[f->role]);
	if (f->format)
		buf_printf(b, ",\"format\":%u", f->format);
	buf_byte(b, '}');
}

void schema_notes_encode(const struct schema *s, struct buf *ret)
{
	bool first = true;
	buf_printf(ret, "{\"version\":%d,\"fields\":[", NOTES_VERSION);
	for (struct field *f = s->root; (f = field_next(s->root, f));) {
		if (f == s->root)
			break;
		if (f->role == ROLE_PAYLOAD && !f->format && slice_eq(f->key, default_key(f)))
			continue;
		if (!first)
			buf_byte(ret, ',');
		first = false;
		note_encode(f, ret);
	}
	buf_append_str(ret, "]}");
}

/* ---- decoding: a walk over validated text ---- */

struct walk {
	const uint8_t *p, *end;
	struct buf text; /* of the string read last */
};

/* Steps behind `c` if it is next (after white space). */
static bool take(struct walk *w, uint8_t c)
{
	w->p = json_space(w->p, w->end);
	if (w->p >= w->end || *w->p != c)
		return false;
	w->p++;
	return true;
}

static bool take_string(struct walk *w)
{
	uint32_t marks;
	if (!take(w, '"'))
		return false;
	const uint8_t *from = w->p, *to = json_string_end(from, w->end, &marks);
	w->p = to + 1;
	buf_reset(&w->text);
	json_string_unescape(slice_of(from, (size_t)(to - from)), &w->text);
	return true;
}

static bool take_number(struct walk *w, int64_t *ret)
{
	w->p = json_space(w->p, w->end);
	const uint8_t *from = w->p;
	w->p = json_number_end(from, w->end);
	return json_number_int64(slice_of(from, (size_t)(w->p - from)), ret);
}

static void skip_value(struct walk *w)
{
	w->p = json_space(w->p, w->end);
	w->p = json_value_end(w->p, w->end);
}

static struct field *field_by_path(const struct schema *s, struct slice path)
{
	char at[PATH_MAX_BYTES];
	for (struct field *f = s->root; (f = field_next(s->root, f)) && f != s->root;) {
		if (f->id)
			continue;
		field_path(f, at, sizeof at);
		if (slice_eq_str(path, at))
			return f;
	}
	return NULL;
}

struct note {
	struct field *field;
	struct slice key; /* in the schema's arena */
	bool has_key;
	uint8_t role, format;
};

static bool role_parse(struct slice name, uint8_t *ret)
{
	for (uint8_t i = 0; i < ROLES; i++) {
		if (slice_eq_str(name, role_names[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* One {…} of the fields. False if it is no note. */
static bool note_decode(struct walk *w, struct schema *s, struct note *note)
{
	int64_t number;
	if (!take(w, '{'))
		return false;
	while (!take(w, '}')) {
		if (!take_string(w) || !take(w, ':'))
			return false;
		struct slice name = buf_slice(&w->text);
		if (slice_eq_str(name, "id")) {
			if (!take_number(w, &number) || number < 1 || number > INT32_MAX)
				return false;
			note->field = schema_by_id(s, (int32_t)number);
		} else if (slice_eq_str(name, "path")) {
			if (!take_string(w))
				return false;
			note->field = field_by_path(s, buf_slice(&w->text));
		} else if (slice_eq_str(name, "key")) {
			if (!take_string(w))
				return false;
			note->key = arena_copy(&s->arena, buf_slice(&w->text));
			note->has_key = true;
		} else if (slice_eq_str(name, "role")) {
			if (!take_string(w) || !role_parse(buf_slice(&w->text), &note->role))
				return false;
		} else if (slice_eq_str(name, "format")) {
			if (!take_number(w, &number) || number < 0 || number > UINT8_MAX)
				return false;
			note->format = (uint8_t)number;
		} else {
			skip_value(w);
		}
		take(w, ',');
	}
	return true;
}

static bool notes_walk(struct walk *w, struct schema *s, int64_t *ret_version)
{
	if (!take(w, '{'))
		return false;
	while (!take(w, '}')) {
		if (!take_string(w) || !take(w, ':'))
			return false;
		if (slice_eq_str(buf_slice(&w->text), "version")) {
			if (!take_number(w, ret_version))
				return false;
			if (*ret_version != NOTES_VERSION)
				return true;
		} else if (slice_eq_str(buf_slice(&w->text), "fields")) {
			if (!take(w, '['))
				return false;
			while (!take(w, ']')) {
				struct note note = { 0 };
				if (!note_decode(w, s, &note))
					return false;
				if (note.field) {
					note.field->role = note.role;
					note.field->format = note.format;
					note.field->key = note.has_key ? note.key : default_key(note.field);
				}
				take(w, ',');
			}
		} else {
			skip_value(w);
		}
		take(w, ',');
	}
	return true;
}

/* hydrant's own columns, by name, for files whose footers another program has dropped. */
static const struct {
	const char *name;
	enum role role;
} machinery[] = {
	{ "__time", ROLE_TIME }, { "__received", ROLE_RECEIVED }, { "__source", ROLE_SOURCE }, { "__pos", ROLE_POS },
	{ "__id", ROLE_ID },	 { "__key", ROLE_KEY },		  { "__meta", ROLE_META },     { "__shape", ROLE_SHAPE },
	{ "__raw", ROLE_RAW },	 { "__rest", ROLE_REST },
};

static void notes_default(struct schema *s)
{
	for (struct field *f = s->root; (f = field_next(s->root, f)) && f != s->root;) {
		f->role = ROLE_PAYLOAD;
		f->format = FORMAT_DEFAULT;
		for (size_t i = 0; f->parent == s->root && i < sizeof machinery / sizeof *machinery; i++)
			if (slice_eq_str(f->name, machinery[i].name))
				f->role = (uint8_t)machinery[i].role;
		f->key = default_key(f);
	}
}

rc_t schema_notes_decode(struct slice notes, struct schema *s, struct err *reterr)
{
	struct json_error why;
	struct slice text;
	int64_t version = NOTES_VERSION;
	if (notes.len && json_validate_all(notes, NULL, &text, &why) != RC_OK)
		return err_set(reterr, RC_CORRUPT, "field notes: no JSON (%s at byte %zu)", why.message, why.offset);
	notes_default(s);
	if (!notes.len)
		return RC_OK;
	struct walk w = { .p = text.data, .end = text.data + text.len };
	buf_init(&w.text, BUF_MAX_DEFAULT);
	bool good = notes_walk(&w, s, &version);
	buf_free(&w.text);
	if (version != NOTES_VERSION)
		return err_set(reterr, RC_UNSUPPORTED, "field notes: version %lld is newer than this program, upgrade it",
			       (long long)version);
	return good ? RC_OK : err_set(reterr, RC_CORRUPT, "field notes: not the notes of a schema's fields");
}
