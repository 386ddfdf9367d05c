#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app/app.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/secret.h"
#include "sql/sql.h"

const struct command commands[] = {
	{ "serve", "[--config FILE] [--lake DIR] [--data DIR] [--ack disk|store] [--listen HOST:PORT]", "take events over HTTP and keep the lake", NULL, cmd_serve },
	{ "ingest", "COLLECTION [FILE...|-]", "put files into the lake, without a server", NULL, cmd_ingest },
	{ "convert", "IN OUT.parquet", "one file in, one Parquet file out; - is standard input or output", NULL, cmd_convert },
	{ "restore", "FILE.parquet...", "the original bytes of converted files, on stdout or -o PATH", NULL, cmd_restore },
	{ "query", "'SQL'", "SQL over the collections, the newest events included", NULL, cmd_query },
	{ "search", "COLLECTION 'WORDS or FIELD:VALUE'", "find events, newest first", NULL, cmd_search },
	{ "replay", "COLLECTION --to URL", "send the exact events again, in time order", NULL, cmd_replay },
	{ "collections", "[list|show NAME|delete NAME]", "what is in the lake", NULL, cmd_collections },
	{ "schema", "COLLECTION", "the table's schema, for Athena, Glue, Iceberg, …", NULL, cmd_schema },
	{ "verify", "[COLLECTION...]", "recount and check everything that was stored", NULL, cmd_verify },
	{ "expire", "[COLLECTION...]", "take out the days that are over, delete what nothing names any more", NULL, cmd_expire },
	{ "policy", "--lake s3://BUCKET/PREFIX [--principal ARN]", "the least rights that a bucket's owner must grant", NULL, cmd_policy },
	{ "doctor", "[--lake DIR|s3://BUCKET/PREFIX]", "try every right that the lake needs, and name those missing", NULL, cmd_doctor },
	{ "token", "new [--scopes LIST] [--collections LIST]", "make an access token", NULL, cmd_token },
	{ "version", "", "print the version", NULL, cmd_version },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static void help(FILE *to)
{
	fprintf(to, "hydrant: point events at it, get a data lake.\n\n"
		    "usage: hydrant COMMAND [options]        hydrant COMMAND -h tells more\n\n");
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-12s %s\n", c->name, c->summary);
	fprintf(to, "\nglobal options\n"
		    "  --lake LAKE     a folder or s3://BUCKET/PREFIX (default ./lake, or HYDRANT_LAKE)\n"
		    "  --data DIR      log and cache (default LAKE/_hydrant/local, or HYDRANT_DATA)\n"
		    "  --config FILE   settings in YAML; never needed (or HYDRANT_CONFIG)\n"
		    "  --server URL    ask this server instead of the one found through the lake\n\n"
		    "try it\n"
		    "  hydrant serve &\n"
		    "  curl -d '{\"hello\":\"lake\"}' http://127.0.0.1:7311/v1/collections/first/events\n"
		    "  hydrant query 'select * from first'\n");
}

int cmd_version(int argc, char **argv)
{
	(void)argc, (void)argv;
	printf("hydrant %s\n", HYDRANT_VERSION);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	secret_environment();
	json_set_alloc_funcs(mem_alloc, free); /* without memory a document would lack members, and be committed so */
	if (argc > 1 && !strcmp(argv[1], SQL_CHILD_ARG))
		return sql_child_main(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	fault_init();
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		if (argc > 2 && command_find(argv[2])) {
			char *args[] = { argv[2], (char *)"-h", NULL };
			return command_find(argv[2])->run(2, args);
		}
		help(stdout);
		return EXIT_DONE;
	}
	if (argc > 1 && !strcmp(argv[1], "--version"))
		return cmd_version(0, NULL);
	int rc = settings_take(&argc, argv);
	if (rc != EXIT_DONE)
		return rc;
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	const struct command *c = command_find(argv[1]);
	if (!c)
		return usage_error(NULL, "there is no command '%s'; `hydrant -h` lists them", argv[1]);
	if (strcmp(c->name, "serve") != 0)
		log_set_level(LOG_WARN); /* commands speak for themselves */
	return c->run(argc - 1, argv + 1);
}
