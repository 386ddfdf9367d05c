#include "net/profile.h"

#include <openssl/crypto.h>
#include <strings.h>

#include "base/buf.h"
#include "os/file.h"

#define FILE_MAX ((size_t)1 << 20)

struct entry {
	char *profile, *key, *value;
	bool from_credentials;
};

struct aws_profiles {
	struct entry *entries; /* an entry with an empty key says that the section exists */
	size_t count, cap;
};

static void add(struct aws_profiles *p, struct slice profile, struct slice key, struct slice value, bool from_credentials)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 32;
		p->entries = mem_realloc(p->entries, p->cap * sizeof *p->entries);
	}
	p->entries[p->count++] = (struct entry){ mem_printf("%.*s", SLICE_ARG(profile)), mem_printf("%.*s", SLICE_ARG(key)),
						 mem_printf("%.*s", SLICE_ARG(value)), from_credentials };
}

static struct slice trim(struct slice s)
{
	while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* "[profile x]" of the config file and "[x]" of the other; *ret.len 0: a section of another kind (sso-session, services). */
static struct slice section_name(struct slice line, bool from_credentials)
{
	const uint8_t *end = memchr(line.data, ']', line.len);
	struct slice name = trim(slice_of(line.data + 1, end ? (size_t)(end - line.data) - 1 : 0));
	if (from_credentials || slice_eq_str(name, "default"))
		return name;
	if (slice_starts(name, SLICE_LIT("profile ")) || slice_starts(name, SLICE_LIT("profile\t")))
		name = trim(slice_skip(name, 8));
	else
		return (struct slice){ 0 };
	if (name.len > 1 && (name.data[0] == '"' || name.data[0] == '\'') && name.data[name.len - 1] == name.data[0])
		name = slice_of(name.data + 1, name.len - 2);
	return name;
}

/* "key = value"; a " #" or " ;" begins a comment. Indented lines belong to a nested setting (s3 =, services) that is not ours. */
static void take_setting(struct aws_profiles *p, struct slice profile, struct slice line, bool from_credentials)
{
	const uint8_t *equal = memchr(line.data, '=', line.len);
	if (!equal || !profile.len)
		return;
	struct slice key = trim(slice_of(line.data, (size_t)(equal - line.data)));
	struct slice value = slice_skip(line, (size_t)(equal - line.data) + 1);
	for (size_t i = 1; i < value.len; i++)
		if ((value.data[i] == '#' || value.data[i] == ';') && (value.data[i - 1] == ' ' || value.data[i - 1] == '\t'))
			value.len = i;
	value = trim(value);
	if (key.len && value.len)
		add(p, profile, key, value, from_credentials);
}

static void parse(struct aws_profiles *p, struct slice text, bool from_credentials)
{
	struct slice profile = { 0 };
	if (slice_starts(text, SLICE_LIT("\xef\xbb\xbf")))
		text = slice_skip(text, 3);
	while (text.len) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		struct slice line = slice_of(text.data, end ? (size_t)(end - text.data) : text.len);
		text = slice_skip(text, line.len + 1);
		bool indented = line.len && (line.data[0] == ' ' || line.data[0] == '\t');
		if (!trim(line).len || line.data[0] == '#' || line.data[0] == ';' || indented)
			continue;
		if (line.data[0] == '[') {
			profile = section_name(line, from_credentials);
			if (profile.len)
				add(p, profile, (struct slice){ 0 }, (struct slice){ 0 }, from_credentials);
			continue;
		}
		take_setting(p, profile, line, from_credentials);
	}
}

/* NULL: nobody says. Caller frees. */
static char *path_of(const char *variable, const char *name)
{
	const char *set = getenv(variable), *home = getenv("HOME");
	if ((!set || !*set) && (!home || !*home))
		return NULL;
	return set && *set && set[0] != '~' ? mem_strdup(set)
	       : set && *set                ? mem_printf("%s%s", home ? home : "", set + 1)
					    : mem_printf("%s/.aws/%s", home, name);
}

uint64_t aws_profiles_stamp(void)
{
	static const char *const files[][2] = { { "AWS_SHARED_CREDENTIALS_FILE", "credentials" }, { "AWS_CONFIG_FILE", "config" } };
	uint64_t stamp = 0;
	for (size_t i = 0; i < 2; i++) {
		AUTO_MEM char *path = path_of(files[i][0], files[i][1]);
		uint64_t size = 0;
		int64_t mtime = 0;
		if (path)
			file_stat(path, &size, &mtime, NULL, NULL);
		stamp = (stamp ^ size ^ (uint64_t)mtime << 8) * 0x9e3779b97f4a7c15u;
	}
	return stamp;
}

static rc_t read_file(struct aws_profiles *p, const char *variable, const char *name, bool from_credentials, struct err *reterr)
{
	AUTO_MEM char *path = path_of(variable, name);
	if (!path)
		return RC_OK;
	struct buf text;
	buf_init(&text, FILE_MAX);
	struct err e = { 0 };
	rc_t rc = file_read_all(path, &text, &e);
	if (rc == RC_OK && memchr(text.data ? text.data : (uint8_t *)"", 0, text.len))
		rc = err_set(&e, RC_INVALID, "%s is no text file", path);
	if (rc == RC_OK)
		parse(p, buf_slice(&text), from_credentials);
	if (text.data)
		OPENSSL_cleanse(text.data, text.cap);
	buf_free(&text);
	if (rc == RC_OK || rc == RC_NOT_FOUND)
		return RC_OK;
	if (reterr)
		*reterr = e;
	return rc;
}

rc_t aws_profiles_open(struct aws_profiles **ret, struct err *reterr)
{
	AUTO(aws_profiles) *p = NEW(struct aws_profiles);
	TRY(read_file(p, "AWS_SHARED_CREDENTIALS_FILE", "credentials", true, reterr));
	TRY(read_file(p, "AWS_CONFIG_FILE", "config", false, reterr));
	*ret = p;
	p = NULL;
	return RC_OK;
}

void aws_profiles_free(struct aws_profiles *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++) {
		OPENSSL_cleanse(p->entries[i].value, strlen(p->entries[i].value));
		free(p->entries[i].profile);
		free(p->entries[i].key);
		free(p->entries[i].value);
	}
	free(p->entries);
	free(p);
}

bool aws_profile_exists(const struct aws_profiles *p, const char *profile)
{
	for (size_t i = 0; i < p->count; i++)
		if (!strcmp(p->entries[i].profile, profile))
			return true;
	return false;
}

const char *aws_profile_get(const struct aws_profiles *p, const char *profile, const char *key)
{
	const char *found = NULL;
	bool from_credentials = false;
	for (size_t i = 0; i < p->count; i++) {
		const struct entry *e = &p->entries[i];
		if (strcmp(e->profile, profile) != 0 || strcasecmp(e->key, key) != 0 || (from_credentials && !e->from_credentials))
			continue;
		found = e->value; /* the last of a file counts */
		from_credentials = e->from_credentials;
	}
	return found;
}

const char *aws_profile_name(const char *profile)
{
	if (profile && *profile)
		return profile;
	const char *set = getenv("AWS_PROFILE");
	if (!set || !*set)
		set = getenv("AWS_DEFAULT_PROFILE");
	return set && *set ? set : "default";
}
