/* token new: made here, shown once, kept as its hash. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "os/random.h"
#include "server/access.h"

#define TOKEN_RANDOM 43 /* of 36 characters each: 222 bits */

/* "a,b" as "    KEY: [a, b]" and a new line to out; each checked. */
static bool add_list(struct buf *out, const char *key, const char *list, bool scopes, int *ret_exit)
{
	AUTO_MEM char *text = mem_strdup(list);
	char *rest = text;
	size_t n = 0;
	for (const char *one; (one = strsep(&rest, ", "));) {
		if (!*one)
			continue;
		if (scopes && !access_scope_parse(one)) {
			*ret_exit = usage_error("token", "scope '%s' is not one of ingest, read, replay, admin", one);
			return false;
		}
		if (!scopes && strspn(one, "abcdefghijklmnopqrstuvwxyz0123456789_*?") != strlen(one)) {
			*ret_exit = usage_error("token", "'%s' is no pattern of collection names: a-z, 0-9, _, and * and ? for any characters, or any one", one);
			return false;
		}
		n++ ? buf_append_str(out, ", ") : buf_printf(out, "    %s: [", key);
		buf_printf(out, scopes ? "%s" : "\"%s\"", one);
	}
	if (n)
		buf_append_str(out, "]\n");
	return true;
}

int cmd_token(int argc, char **argv)
{
	int code;
	const char *scopes = "ingest", *collections = "", *name = "NAME";
	const struct option_def defs[] = {
		{ "--scopes", OPTION_TEXT, &scopes, "of ingest, read, replay, admin (default ingest)", "LIST" },
		{ "--collections", OPTION_TEXT, &collections, "names or patterns such as cust_* (default: all)", "LIST" },
		{ "--name", OPTION_TEXT, &name, "what the config file calls it", "NAME" },
		{ 0 },
	};
	if (!options_parse(command_find("token"), &argc, argv, defs, 1, 1, &code))
		return code;
	if (strcmp(argv[1], "new") != 0)
		return usage_error("token", "usage: hydrant token new [--scopes LIST] [--collections LIST] [--name NAME]");
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(name))
		return usage_error("token", "'%s' is no name: letters, digits, _ and -", name);
	AUTO_BUF struct buf lists;
	buf_init(&lists, (size_t)64 << 10);
	if (!add_list(&lists, "scopes", scopes, true, &code) || !add_list(&lists, "collections", collections, false, &code))
		return code;
	char secret[TOKEN_RANDOM + 1];
	uint8_t hash[ACCESS_HASH_LEN];
	random_name(secret, TOKEN_RANDOM);
	AUTO_MEM char *token = mem_printf("hyd_%s", secret);
	access_hash(slice_str(token), hash);
	printf("%s\n\n# keep it: it is shown this once. The config file holds only its hash:\ntokens:\n  %s:\n    sha256: ", token, name);
	for (size_t i = 0; i < sizeof hash; i++)
		printf("%02x", hash[i]);
	printf("\n%s", buf_cstr(&lists));
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
