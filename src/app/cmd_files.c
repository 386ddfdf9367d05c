/* ingest and convert: files in. */
#include <stdio.h>
#include <string.h>

#include "app/config.h"
#include "os/clock.h"
#include "pipeline/convert.h"

static bool parse_format(const char *command, const char *name, enum frame_format *ret, int *ret_exit)
{
	*ret = FRAME_AUTO;
	if (!name || frame_format_parse(slice_str(name), ret))
		return true;
	*ret_exit = usage_error(command, "format '%s' is not one of auto, ndjson, json, text, raw", name);
	return false;
}

/* ---- ingest ---- */

static void print_loaded(const char *path, const char *collection, const struct load_result *r, int64_t took_us)
{
	char events[32], bytes[16], rate[16];
	format_count(r->events, events);
	format_bytes(r->bytes, bytes);
	format_bytes((uint64_t)((double)r->bytes / ((double)(took_us ? took_us : 1) / 1e6)), rate);
	if (r->already)
		fprintf(stderr, "%s: already in %s, nothing added (--again adds it once more)\n", path, collection);
	else
		fprintf(stderr, "%s: %s %s (%s, %s) into %s, %llu quarantined%s, %.1f s, %s/s\n", path, events, r->events == 1 ? "event" : "events", bytes,
			frame_format_name(r->format), collection, (unsigned long long)r->quarantined,
			r->skipped_bytes ? ", the beginning was there already" : "", (double)took_us / 1e6, rate);
	if (r->forgotten)
		fprintf(stderr, "  %llu files that were loaded long ago are forgotten (%s remembers 100,000, and those of the last 30 days): given again they would be added again\n",
			(unsigned long long)r->forgotten, collection);
	if (r->quarantined)
		fprintf(stderr, "  the quarantined ones: hydrant query 'select reason, count(*) from %s" QUARANTINE_SUFFIX " group by 1'\n", collection);
}

/* A lake whose data folder a server holds, or a bucket without one: a file needs no log, so it is committed with a data folder of its own. */
static rc_t open_beside_server(struct pipeline **ret, struct temp_data **ret_temp, struct err *reterr)
{
	const char *temp = getenv("TMPDIR");
	AUTO_MEM char *base = settings.data ? mem_strdup(settings.data) : pipeline_default_data_dir(settings.lake);
	if (!base)
		base = mem_printf("%s/hydrant", temp && *temp ? temp : "/var/tmp");
	*ret_temp = temp_data_begin(base);
	struct pipeline_options po;
	pipeline_options_from_settings(&po);
	po.data_dir = temp_data_path(*ret_temp);
	po.holder = "hydrant ingest";
	return pipeline_open(&po, ret, reterr);
}

/* A file that cannot be loaded does not keep those behind it out, run after run; a lake that cannot be written does. */
static int ingest_files(struct pipeline *p, char **files, int count, struct load_options *lo)
{
	struct err err;
	rc_t rc = RC_OK;
	int failed = 0, tried = 0;
	for (; tried < count && rc == RC_OK; tried++) {
		struct progress bar;
		struct load_result result;
		progress_begin(&bar, files[tried]);
		lo->path = files[tried];
		lo->progress = progress_update;
		lo->ctx = &bar;
		rc = pipeline_load(p, lo, &result, &err);
		progress_end(&bar);
		if (rc == RC_OK) {
			print_loaded(lo->path, lo->collection, &result, clock_mono_us() - bar.start);
			continue;
		}
		fail(&err);
		failed++;
		if (result.of_file)
			rc = RC_OK;
	}
	if (failed && count > 1)
		fprintf(stderr, "hydrant: %d of %d files could not be loaded%s\n", failed, count,
			tried < count ? "; those behind the last one were not tried" : "");
	return failed ? EXIT_FAILED : EXIT_DONE;
}

int cmd_ingest(int argc, char **argv)
{
	int code;
	const char *format_name = NULL, *time_field = NULL;
	bool again = false;
	const struct option_def defs[] = {
		{ "--format", OPTION_TEXT, &format_name, "auto (default), ndjson, json, text, raw", "F" },
		{ "--again", OPTION_FLAG, &again, "add a file once more that the lake has", NULL },
		{ "--time-field", OPTION_TEXT, &time_field, "where the event time is, such as meta.ts (default: detected)", "PATH" },
		{ 0 },
	};
	enum frame_format format;
	if (!options_parse(command_find("ingest"), &argc, argv, defs, 1, -1, &code) || !parse_format("ingest", format_name, &format, &code))
		return code;
	if (time_field)
		settings.time_field = time_field;
	for (size_t i = 0; time_field && settings.file && i < settings.file->rule_count; i++)
		settings.file->rules[i].time_field = time_field; /* said now, for these files */
	char *server = NULL;
	struct temp_data *temp = NULL;
	struct pipeline *p = NULL;
	struct err err;
	AUTO_MEM char *own = pipeline_default_data_dir(settings.lake);
	bool homeless = !own && !settings.data && !settings.server;
	rc_t rc = homeless ? RC_OK : lake_open(false, &p, &server, &err);
	if (rc == RC_OK && (server || homeless))
		rc = open_beside_server(&p, &temp, &err);
	static char dash[] = "-";
	char *standard[] = { dash };
	char **files = argc > 2 ? argv + 2 : standard;
	int count = argc > 2 ? argc - 2 : 1;
	struct load_options lo = { .collection = argv[1], .format = format, .again = again };
	code = rc == RC_OK ? ingest_files(p, files, count, &lo) : fail(&err);
	pipeline_close(p);
	temp_data_end(temp);
	free(server);
	return code;
}

/* ---- convert ---- */

int cmd_convert(int argc, char **argv)
{
	int code;
	const char *format_name = NULL, *codec = "zstd:1";
	bool strict = false, bloom_filters = false, stats = false, check = false;
	int64_t threads = 0;
	const struct option_def defs[] = {
		{ "--codec", OPTION_TEXT, &codec, "zstd:1 (default), zstd:N, snappy, lz4_raw, gzip, uncompressed", "C" },
		{ "--format", OPTION_TEXT, &format_name, "auto (default), ndjson, json, text, raw", "F" },
		{ "--bloom-filters", OPTION_FLAG, &bloom_filters, "for columns of ids: quicker to find one, a larger file", NULL },
		{ "--strict", OPTION_FLAG, &strict, "fail on the first line that is not valid, instead of keeping it as bytes", NULL },
		{ "--stats", OPTION_FLAG, &stats, "what was stored how, on stdout", NULL },
		{ "--check", OPTION_FLAG, &check, "restore every row and compare it (default: one in 64)", NULL },
		{ "--threads", OPTION_NUMBER, &threads, "threads (default: one for each CPU); the file is the same for any number", "N" },
		{ 0 },
	};
	struct convert_options co = { 0 };
	struct err err;
	if (!options_parse(command_find("convert"), &argc, argv, defs, 2, 2, &code) || !parse_format("convert", format_name, &co.format, &code))
		return code;
	if (parquet_codec_parse(slice_str(codec), &co.codec, &co.codec_level, &err) != RC_OK)
		return usage_error("convert", "%s", err.text);
	co.in = argv[1];
	co.out = argv[2];
	if (stats && !strcmp(co.out, "-"))
		return usage_error("convert", "--stats goes to standard output, as the file would: name a file");
	struct progress bar;
	progress_begin(&bar, argv[1]);
	if (threads < 0 || threads > INT32_MAX)
		return usage_error("convert", "--threads %lld: give the number of threads, or 0 for one for each CPU", (long long)threads);
	co.threads = (unsigned)threads;
	co.bloom_filters = bloom_filters;
	co.strict = strict;
	co.verify_all = check;
	co.time_checks = stats;
	co.progress = progress_update;
	co.ctx = &bar;
	struct convert_result result;
	rc_t rc = convert_file(&co, &result, &err);
	progress_end(&bar);
	if (rc != RC_OK)
		return fail(&err);
	if (stats)
		convert_stats_print(&result);
	if (result.invalid)
		fprintf(stderr, "%s: %llu invalid events were kept as bytes in __raw (--strict fails on them)\n", co.in,
			(unsigned long long)result.invalid);
	return EXIT_DONE;
}
