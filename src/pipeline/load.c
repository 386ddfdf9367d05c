/* Files into the lake. A file is its own log: its position property holds how far it is committed, and by what it is known again:
 *
 *   hydrant.position.file-<16 hex> = 0:<bytes>:<size when begun>:<XXH3-128 of the first <bytes> bytes>:<hash of the path>:<seconds>:by:<16 bits>[:head:<hash>]
 *   packed (gzip, zstd):           … 0:<unpacked bytes>:<size>:<XXH3-128 of the whole file>:<hash of the path>:<seconds>:by:<16 bits>:packed:<1 = all of it>
 *
 * The same content, under whatever name, adds nothing. A file whose beginning is what was committed goes on from there if it has the same path (it
 * has grown), the same size (it was interrupted), or if that beginning has HEAD_BYTES and more (it was rotated, too): a shorter one may be
 * the header that two files have in common. The head's hash tells without reading on that most others are not it. A packed file is known as
 * a whole, and goes on if it was interrupted.
 * A new file's log has the name that its path and first line give (a packed one's: its bytes), as far as no other file has it: two processes that
 * load one file at once want the same position to be absent, so that the second one's commit fails. It then looks again at what is known.
 * How many files are remembered, and where those without a property are: loaded.c.
 * The quarantine's table is asked, too: with nothing but quarantined events there is no other, and a crash may have come between the two.
 */
#include <stdio.h>

#include "os/clock.h"
#include "os/random.h"
#include "pipeline/load_internal.h"
#include "source/file.h"

#define FILE_PREFIX TABLE_POSITION_PREFIX "file-"
#define HEAD_BYTES ((size_t)64 << 10)
#define COLLECT_TRIES 10 /* beside others that fold what is known */
#define TRIES 100 /* beside others that load the same file: each means that they got on */
#define CUT_BYTES ((uint64_t)2 << 30)
#define CUT_EVENTS ((uint64_t)16 << 20)

struct load {
	struct pipeline *p;
	const struct load_options *opts;
	struct load_result *result;
	struct file_source *source;
	struct known_file *known;
	size_t known_count;
	const struct loaded_list *list; /* NULL: there is none */
	char *log;
	char *path;
	char *value; /* of the position property */
	bool is_pipe; /* nothing can know it again */
	bool packed, found;
	bool collect_quarantine; /* for collect_known */
	struct hash128 whole_hash; /* packed: of the file */
	uint64_t from, size, path_hash, head, line;
	uint16_t by;    /* drawn, to tell what this process wrote of a file from what another did in the same second */
	bool moved;     /* another process loads this file: look again */
	char *seen[2];  /* the log's position properties */
	uint64_t events_before; /* of earlier cuts, for progress */
	uint64_t events_seen;
	struct hash128_stream *hash; /* of the file's bytes up to hashed */
	uint64_t hashed;
};

static void parse_known(const char *value, struct known_file *k)
{
	unsigned long long bytes, size, hi, lo, path, seconds;
	if (sscanf(value, "0:%llu:%llu:%16llx%16llx:%llx:%llu", &bytes, &size, &hi, &lo, &path, &seconds) != 6) {
		k->f.bytes = k->position = UINT64_MAX; /* it is no file's, but has the name */
		return;
	}
	const char *packed = strstr(value, ":packed:"), *head = strstr(value, ":head:");
	k->whole = packed && packed[8] == '1';
	k->position = bytes;
	k->size = size;
	k->f = (struct loaded_file){ packed ? size : bytes, path, head ? strtoull(head + 6, NULL, 16) : 0, { lo, hi }, (uint32_t)seconds, packed != NULL };
}

static bool collect_known(void *ctx, const char *key, const char *value)
{
	struct load *l = ctx;
	if (strncmp(key, FILE_PREFIX, sizeof FILE_PREFIX - 1) != 0)
		return true;
	const char *log = key + sizeof TABLE_POSITION_PREFIX - 1;
	for (size_t i = 0; l->collect_quarantine && i < l->known_count; i++)
		if (!strcmp(l->known[i].log, log)) {
			l->known[i].values[1] = mem_strdup(value);
			return true;
		}
	struct known_file k = { .log = mem_strdup(log), .quarantined = l->collect_quarantine };
	parse_known(value, &k);
	k.values[k.quarantined] = mem_strdup(value);
	if (!(l->known_count & (l->known_count - 1))) /* at each power of two there is room for as many more */
		l->known = mem_realloc(l->known, (2 * l->known_count + 1) * sizeof *l->known);
	l->known[l->known_count++] = k;
	return true;
}

static void clear_known(struct load *l)
{
	for (size_t i = 0; i < l->known_count; i++) {
		free(l->known[i].log);
		free(l->known[i].values[0]);
		free(l->known[i].values[1]);
	}
	free(l->known);
	l->known = NULL;
	l->known_count = 0;
}

/* fold: what is too much of it goes into the list. RC_AGAIN: read all of it again. */
static rc_t collect_from(struct load *l, const char *name, bool quarantine, bool fold, struct err *reterr)
{
	AUTO(table) *t = NULL;
	struct store *store;
	TRY(pipeline_store_of(l->p, name, &store, reterr));
	TRY(table_open_if_any(store, name, &t, reterr));
	if (!t)
		return RC_OK;
	l->collect_quarantine = quarantine;
	table_properties(t, collect_known, l);
	if (l->opts->again) /* whatever is known, it is not asked */
		return RC_OK;
	if (!quarantine) {
		rc_t rc = loaded_list(l->p, t, &l->list, reterr);
		if (rc == RC_NOT_FOUND) {
			err_set(reterr, RC_CORRUPT, "%s: the list of files that were loaded is gone from the lake: bring _files back from a copy, or load new files with --again",
				name);
			return RC_AGAIN;
		}
		TRY(rc);
	}
	bool changed = false;
	if (fold)
		TRY(loaded_fold(t, quarantine, l->known, l->known_count, l->list, &changed, &l->result->forgotten, reterr));
	return changed ? RC_AGAIN : RC_OK;
}

static rc_t collect(struct load *l, struct err *reterr)
{
	AUTO_MEM char *quarantine = mem_printf("%s%s", l->opts->collection, QUARANTINE_SUFFIX);
	for (int i = 0; i < COLLECT_TRIES; i++) {
		bool fold = i < COLLECT_TRIES / 2;
		clear_known(l);
		l->list = NULL;
		rc_t rc = collect_from(l, l->opts->collection, false, fold, reterr);
		if (rc == RC_OK)
			rc = collect_from(l, quarantine, true, fold, reterr);
		if (rc != RC_AGAIN)
			return rc;
	}
	return reterr ? reterr->rc : RC_CORRUPT;
}

static rc_t file_failed(struct load *l, rc_t rc)
{
	l->result->of_file = true;
	return rc;
}

/* Feeds the hash with the file's bytes up to offset `upto`. */
static rc_t hash_to(struct load *l, uint64_t upto, struct err *reterr)
{
	size_t size = (size_t)128 << 10; /* stays in the cache */
	AUTO_MEM uint8_t *chunk = mem_alloc(size);
	while (l->hashed < upto) {
		size_t n = upto - l->hashed < size ? (size_t)(upto - l->hashed) : size;
		size_t got;
		rc_t rc = file_source_read(l->source, l->hashed, chunk, n, &got, reterr); /* of the file that is read, whatever has its name by now */
		if (rc == RC_OK && got < n)
			rc = err_set(reterr, RC_IO, "%s was cut or rewritten while it was read; what is committed of it stays", l->path);
		if (rc != RC_OK)
			return file_failed(l, rc);
		hash128_stream_add(l->hash, chunk, n);
		l->hashed += n;
	}
	return RC_OK;
}

static rc_t hash_head(struct load *l, struct err *reterr)
{
	AUTO_MEM uint8_t *head = mem_alloc(HEAD_BYTES);
	size_t got;
	TRY(file_source_read(l->source, 0, head, HEAD_BYTES, &got, reterr));
	l->head = got == HEAD_BYTES ? hash64(slice_of(head, got)) : 0;
	const uint8_t *end = memchr(head, '\n', got);
	l->line = hash64(slice_of(head, end ? (size_t)(end - head) : got)); /* the part of it that stays as it is while the file grows */
	return RC_OK;
}

/* What this file may be. */
struct candidate {
	const struct loaded_file *f;
	const struct known_file *k; /* NULL: it stands in the list */
};

struct found {
	struct candidate in;          /* the longest beginning that the table has; f NULL: none */
	const struct known_file *aside; /* the longest that only the quarantine's table has */
};

/* Worth hashing this file's beginning for? */
static bool may_be(const struct load *l, const struct loaded_file *f, uint64_t size)
{
	if (l->packed || f->packed)
		return l->packed && f->packed && f->bytes == l->size;
	if (f->bytes > l->size || (f->head && f->head != l->head))
		return false;
	return f->path == l->path_hash || size == l->size || f->bytes >= HEAD_BYTES;
}

static int by_length(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return (x->f->bytes > y->f->bytes) - (x->f->bytes < y->f->bytes);
}

static struct candidate *candidates(const struct load *l, size_t *ret_n)
{
	struct candidate *all = mem_alloc((l->known_count + (l->list ? l->list->count : 0) + 1) * sizeof *all);
	size_t n = 0;
	for (size_t i = 0; i < l->known_count; i++)
		if (may_be(l, &l->known[i].f, l->known[i].size))
			all[n++] = (struct candidate){ &l->known[i].f, &l->known[i] };
	for (size_t i = 0; l->list && i < l->list->count; i++)
		if (may_be(l, &l->list->files[i], l->list->files[i].bytes))
			all[n++] = (struct candidate){ &l->list->files[i], NULL };
	qsort(all, n, sizeof *all, by_length);
	*ret_n = n;
	return all;
}

static rc_t find_known(struct load *l, struct found *ret, struct err *reterr)
{
	size_t n;
	AUTO_MEM struct candidate *all = candidates(l, &n);
	for (size_t i = 0; i < n; i++) {
		TRY(hash_to(l, all[i].f->bytes, reterr));
		struct hash128 h = hash128_stream_value(l->hash);
		if (memcmp(&h, &all[i].f->hash, sizeof h) != 0)
			continue;
		if (all[i].k && all[i].k->quarantined)
			ret->aside = all[i].k;
		else
			ret->in = all[i];
	}
	return RC_OK;
}

static const struct known_file *known_log(const struct load *l, const char *log)
{
	for (size_t i = 0; i < l->known_count; i++)
		if (!strcmp(l->known[i].log, log))
			return &l->known[i];
	return NULL;
}

static char *new_log(const struct load *l)
{
	if (l->is_pipe || l->opts->again) {
		char name[13];
		random_name(name, 12);
		return mem_printf("file-%s", name);
	}
	char whole[33];
	hash128_hex(l->whole_hash, whole);
	for (unsigned n = 0;; n++) {
		AUTO_MEM char *of = l->packed ? mem_printf("%s %u", whole, n)
					      : mem_printf("%llx %llx %u", (unsigned long long)l->path_hash, (unsigned long long)l->line, n);
		char *log = mem_printf("file-%016llx", (unsigned long long)hash64(slice_str(of)));
		if (!known_log(l, log))
			return log;
		free(log);
	}
}

/* Is this file in the table, whole or in part? Sets log and from. One pass over the file's bytes at most. RC_EOF: all of it. */
static rc_t recognise(struct load *l, struct err *reterr)
{
	struct found found = { 0 };
	if (l->packed) {
		TRY(hash_to(l, l->size, reterr));
		l->whole_hash = hash128_stream_value(l->hash);
	}
	if (!l->is_pipe && !l->opts->again)
		TRY(find_known(l, &found, reterr));
	const struct loaded_file *in = found.in.f;
	const struct known_file *k = found.in.k ? found.in.k : found.aside;
	bool whole = in && (l->packed ? !found.in.k || found.in.k->whole : in->bytes == l->size);
	l->found = in || k;
	l->log = k ? mem_strdup(k->log) : new_log(l);
	for (int i = 0; k && i < 2; i++)
		l->seen[i] = k->values[i] ? mem_strdup(k->values[i]) : NULL;
	l->from = !in ? 0 : found.in.k ? found.in.k->position : in->bytes;
	l->result->skipped_bytes = l->from;
	if (l->hashed > l->from && !l->packed) {
		hash128_stream_reset(l->hash);
		l->hashed = 0;
	}
	return whole ? RC_EOF : RC_OK;
}

/* The source, watched: progress is told with every batch of the first reading. */
static rc_t watched_rewind(void *ctx, struct err *reterr)
{
	struct load *l = ctx;
	l->events_seen = 0;
	rc_t rc = file_source_rewind(l->source, reterr);
	return rc == RC_OK ? rc : file_failed(l, rc);
}

static rc_t watched_next(void *ctx, const struct event **ret_events, size_t *ret_n, struct err *reterr)
{
	struct load *l = ctx;
	rc_t rc = file_source_next(l->source, ret_events, ret_n, reterr);
	if (rc == RC_OK) {
		l->events_seen += *ret_n;
		if (l->opts->progress)
			l->opts->progress(l->opts->ctx, file_source_offset(l->source), l->size, l->events_before + l->events_seen);
	}
	return rc == RC_OK || rc == RC_EOF ? rc : file_failed(l, rc);
}

static void watched_check(void *ctx, uint64_t pos, const struct event **ret_events, size_t *ret_n)
{
	struct load *l = ctx;
	file_source_check(l->source, pos, ret_events, ret_n);
}

/* The cut was read once: now it is known where it ends, and what the file's beginning hashes to. */
static rc_t cut_measured(struct commit *c, struct err *reterr)
{
	struct load *l = c->ctx;
	c->upto = file_source_end(l->source);
	bool finished = file_source_finished(l->source);
	char hex[33] = "0", head[24] = "";
	if (!l->is_pipe && !l->packed)
		TRY(hash_to(l, c->upto, reterr));
	if (!l->is_pipe)
		hash128_hex(l->packed ? l->whole_hash : hash128_stream_value(l->hash), hex);
	uint64_t size = l->packed || l->size > c->upto ? l->size : c->upto; /* it may have grown since it was opened */
	if (l->head && !l->packed && c->upto >= HEAD_BYTES)
		snprintf(head, sizeof head, ":head:%llx", (unsigned long long)l->head);
	free(l->value);
	l->value = mem_printf("0:%llu:%llu:%s:%llx:%llu:by:%04x%s", (unsigned long long)c->upto, (unsigned long long)size, hex,
			      (unsigned long long)l->path_hash, (unsigned long long)(clock_wall_us() / 1000000), l->by,
			      !l->packed ? head : finished ? ":packed:1" : ":packed:0");
	/* Nothing can know a pipe again: its position is dropped with the last cut. */
	c->value = l->is_pipe && finished ? NULL : l->value;
	return RC_OK;
}

/* RC_EOF: that was the last one. */
static rc_t load_cut(struct load *l, struct err *reterr)
{
	TRY(file_source_cut(l->source, l->from, l->opts->cut_bytes ? l->opts->cut_bytes : CUT_BYTES, CUT_EVENTS, reterr));
	struct commit commit = {
		.p = l->p,
		.log = l->log,
		.after = l->from,
		.measured = cut_measured,
		.ctx = l,
		.source = { l, watched_rewind, watched_next, watched_check },
	};
	commit.guarded = !l->is_pipe;
	memcpy(commit.seen, l->seen, sizeof l->seen);
	rc_t rc = commit_cut(&commit, l->opts->collection, reterr);
	memcpy(l->seen, commit.seen, sizeof l->seen);
	l->moved = commit.moved;
	TRY(rc);
	if (commit.upto > l->from) {
		l->result->events += commit.events;
		l->result->quarantined += commit.quarantined;
		l->result->bytes += commit.upto - l->from;
		l->result->commits++;
		l->events_before = l->result->events;
		l->from = commit.upto;
	}
	return file_source_finished(l->source) ? RC_EOF : RC_OK;
}

static rc_t load_open(struct load *l, struct err *reterr)
{
	l->is_pipe = !strcmp(l->opts->path, "-");
	AUTO_MEM char *real = l->is_pipe ? NULL : realpath(l->opts->path, NULL);
	l->path = mem_strdup(real ? real : l->opts->path);
	l->path_hash = hash64(slice_str(l->path));
	l->hash = hash128_stream_new();
	random_bytes(&l->by, sizeof l->by);
	struct file_source_options so = {
		.path = l->opts->path,
		.format = l->opts->format,
		.spool_dir = pipeline_data_dir(l->p),
		.unchecked = true,
		.lenient = true,
		.received = clock_wall_us(),
	};
	rc_t rc = file_source_open(&so, &l->source, reterr);
	if (rc != RC_OK)
		return file_failed(l, rc);
	l->size = file_source_size(l->source);
	l->packed = file_source_packed(l->source);
	l->is_pipe = l->is_pipe || !(l->packed || file_source_seekable(l->source)); /* a named pipe, a device, too */
	if (l->is_pipe)
		return recognise(l, reterr);
	TRY(hash_head(l, reterr));
	TRY(collect(l, reterr));
	return recognise(l, reterr);
}

/* All but the source. */
static void load_clear(struct load *l)
{
	clear_known(l);
	free(l->log);
	free(l->value);
	free(l->seen[0]);
	free(l->seen[1]);
	free(l->path);
	hash128_stream_free(l->hash);
}

/* "It is there already" is said of what a power cut does not take back. */
static rc_t confirm_table(struct load *l, const char *name, struct err *reterr)
{
	struct store *store;
	AUTO(table) *t = NULL;
	TRY(pipeline_store_of(l->p, name, &store, reterr));
	TRY(table_open_if_any(store, name, &t, reterr));
	return t ? table_confirm(t, reterr) : RC_OK;
}

static rc_t confirm_loaded(struct load *l, struct err *reterr)
{
	AUTO_MEM char *quarantine = mem_printf("%s%s", l->opts->collection, QUARANTINE_SUFFIX);
	TRY(confirm_table(l, quarantine, reterr));
	return confirm_table(l, l->opts->collection, reterr);
}

static rc_t load_end(struct load *l, struct err *reterr)
{
	l->result->already = l->found && !l->result->events;
	if (l->result->already)
		TRY(confirm_loaded(l, reterr));
	l->result->format = file_source_format(l->source);
	return RC_OK;
}

rc_t pipeline_load(struct pipeline *p, const struct load_options *opts, struct load_result *ret, struct err *reterr)
{
	memset(ret, 0, sizeof *ret);
	struct slice name = slice_str(opts->collection);
	if (!collection_name_valid(name) || strstr(opts->collection, "__"))
		return err_set(reterr, RC_INVALID, "'%s' is no collection name: [a-z][a-z0-9_]{0,62} without '__'", opts->collection);
	AUTO(file_source) *first = NULL;
	rc_t rc = RC_CONFLICT;
	bool moved = true;
	for (int i = 0; i < TRIES && moved; i++) {
		struct load l = { .p = p, .opts = opts, .result = ret, .events_before = ret->events };
		rc = load_open(&l, reterr);
		if ((rc == RC_OK || rc == RC_EOF) && first && !file_source_same_file(first, l.source))
			rc = file_failed(&l, err_set(reterr, RC_IO, "%s was replaced while it and another file of this name were loaded: run this again, also on the old one", opts->path));
		while (rc == RC_OK)
			rc = load_cut(&l, reterr);
		if (rc == RC_EOF)
			rc = load_end(&l, reterr);
		moved = l.moved;
		load_clear(&l);
		file_source_close(first);
		first = l.source;
	}
	return rc;
}
