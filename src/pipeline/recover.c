/* Start-up: the lake's own file, what an earlier run left behind, the log against the tables. */
#include <jansson.h>
#include <stdio.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "pipeline/pipeline_internal.h"

#define OPEN_WAIT_US ((int64_t)3 * 1000000) /* a start waits so long for buckets, all together */
#define OPENERS_MAX 64

/* Commits rest on the store's refusing to create what is there. An error that says nothing about that will come again where it matters. */
static rc_t check_create(struct place *pl, struct slice lake_file, struct err *reterr)
{
	struct err e = { 0 };
	rc_t rc = store_check_create(pl->store, LAKE_FILE, lake_file, &e);
	if (rc == RC_UNSUPPORTED && reterr)
		*reterr = e;
	return rc == RC_UNSUPPORTED ? rc : RC_OK;
}

rc_t lake_check(struct pipeline *p, struct place *pl, struct err *reterr)
{
	AUTO_BUF struct buf text;
	buf_init(&text, 1 << 20);
	rc_t rc = store_get(pl->store, LAKE_FILE, &text, reterr);
	if (rc == RC_NOT_FOUND && p->opts.read_only)
		return RC_OK;
	if (rc == RC_NOT_FOUND) {
		char content[128];
		snprintf(content, sizeof content, "{\"format\": %d, \"made_by\": \"hydrant %s\"}\n", LAKE_FORMAT, HYDRANT_VERSION);
		rc = store_put(pl->store, LAKE_FILE, slice_str(content), STORE_CREATE, reterr);
		return rc == RC_CONFLICT ? RC_OK : rc == RC_OK ? check_create(pl, slice_str(content), reterr) : rc;
	}
	TRY(rc);
	json_error_t je;
	json_t *lake = json_loadb((const char *)text.data, text.len, 0, &je);
	json_int_t format = lake ? json_integer_value(json_object_get(lake, "format")) : 0;
	json_decref(lake);
	if (format < 1)
		return err_set(reterr, RC_CORRUPT, "%s of the lake %s cannot be read; restore it or remove it to have it made anew", LAKE_FILE,
			       pl->url);
	if (format > LAKE_FORMAT)
		return err_set(reterr, RC_UNSUPPORTED, "the lake %s has format %lld, this hydrant %s knows up to %d; use a newer hydrant",
			       pl->url, (long long)format, HYDRANT_VERSION, LAKE_FORMAT);
	return p->opts.read_only ? RC_OK : check_create(pl, buf_slice(&text), reterr);
}

struct check {
	struct pipeline *p;
	struct store *store;
	bool refused; /* by the log, not by the lake */
};

static rc_t check_position(void *ctx, const char *collection, struct err *reterr)
{
	struct check *check = ctx;
	struct pipeline *p = check->p;
	AUTO(table) *t = NULL;
	struct err err;
	if (table_open(check->store, collection, &t, &err) != RC_OK) {
		log_warn("%s cannot be read now, and nobody looks whether it is ahead of the log: %s", collection, err.text);
		return RC_OK;
	}
	uint64_t position = table_log_position(t, wal_id(p->wal), NULL);
	if (position >= wal_next_position(p->wal)) {
		log_warn("table %s holds events up to position %llu, the log ends at %llu: the log goes on behind the table", collection,
			 (unsigned long long)position, (unsigned long long)wal_next_position(p->wal) - 1);
		rc_t rc = wal_skip_to(p->wal, position + 1, reterr);
		check->refused = rc != RC_OK;
		return rc;
	}
	return RC_OK;
}

static rc_t check_positions(struct pipeline *p, struct err *reterr)
{
	places_open_begin(p, OPENERS_MAX);
	int64_t deadline = clock_mono_us() + OPEN_WAIT_US;
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		struct check check = { .p = p };
		struct err err;
		rc_t rc = place_open_by(p, pl, deadline, &check.store, &err);
		bool open = rc == RC_OK;
		if (open)
			rc = table_list(check.store, check_position, &check, &err);
		if (check.refused || (open && rc != RC_OK && !is_bucket(pl))) {
			if (reterr)
				*reterr = err;
			return rc;
		}
		if (rc != RC_OK)
			log_warn("%s cannot be read now, and nobody looks whether its tables are ahead of the log: %s", pl->url, err.text);
	}
	return RC_OK;
}

static void report(const struct pipeline *p)
{
	const struct wal_recovery *r = wal_recovery(p->wal);
	if (r->torn_bytes)
		log_warn("the log's end was torn: %llu bytes (%llu events, positions %llu to %llu) were never acked and are kept in %s",
			 (unsigned long long)r->torn_bytes, (unsigned long long)r->torn_events, (unsigned long long)r->torn_first,
			 (unsigned long long)r->torn_last, r->torn_file ? r->torn_file : "no file");
	for (size_t i = 0; i < r->damage_count; i++)
		log_error("the log lost positions %llu to %llu (segment %llu, bytes %llu to %llu), given up by --salvage",
			  (unsigned long long)r->damages[i].first, (unsigned long long)r->damages[i].last,
			  (unsigned long long)r->damages[i].segment, (unsigned long long)r->damages[i].offset,
			  (unsigned long long)r->damages[i].end);
	if (r->replaced)
		log_warn("an older log stood in %s but its segments are gone; a new log was begun", p->data_dir);
	log_info("log %s open: segments=%llu events=%llu bytes=%llu clean=%d ms=%lld", wal_id(p->wal), (unsigned long long)r->segments,
		 (unsigned long long)r->events, (unsigned long long)r->bytes, r->clean, (long long)(r->took_us / 1000));
}

static rc_t open_log(struct pipeline *p, struct err *reterr)
{
	AUTO_MEM char *dir = mem_printf("%s/log", p->data_dir);
	if (p->opts.read_only) {
		rc_t rc = wal_open_readonly(dir, false, &p->wal, reterr);
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	}
	struct wal_options wo = {
		.dir = dir,
		.max_bytes = p->opts.log_bytes,
		.collection_max_bytes = p->opts.collection_bytes,
		.key_window_us = p->opts.key_window_us,
		.salvage = p->opts.salvage,
	};
	TRY(p->opts.ack_store ? ack_open(p, &wo, reterr) : wal_open(&wo, &p->wal, reterr));
	report(p);
	/* Only a crash (or a disk that lied) can leave the log behind a table. */
	if (!wal_recovery(p->wal)->clean && !wal_recovery(p->wal)->made)
		return check_positions(p, reterr);
	return RC_OK;
}

/* A folder that cannot be read is a mistake to be told at once. A bucket may be away for a while: events are taken meanwhile. */
static rc_t open_lake(struct pipeline *p, struct err *reterr)
{
	struct store *store;
	struct err err;
	if (!p->opts.read_only)
		places_open_begin(p, 1);
	rc_t rc = place_open_by(p, p->places, clock_mono_us() + OPEN_WAIT_US, &store, &err);
	if (rc == RC_IO && !p->opts.read_only && is_bucket(p->places)) {
		log_warn("the lake cannot be reached now, events stay in the log until it can: %s", err.text);
		return RC_OK;
	}
	if (rc != RC_OK && reterr)
		*reterr = err;
	return rc;
}

rc_t pipeline_recover(struct pipeline *p, struct err *reterr)
{
	TRY(open_lake(p, reterr));
	if (!p->hot_dir) /* a bucket is read without a data folder: there is no log */
		return RC_OK;
	TRY(dir_remove_tree(p->hot_dir, reterr));
	if (!p->opts.lake_only)
		TRY(open_log(p, reterr));
	if (p->wal)
		TRY(dir_make(p->hot_dir, reterr));
	if (p->wal && p->opts.read_only)
		dir_claim(p->hot_dir, &p->hot_fd, NULL); /* if it cannot be, the lock is kept to the end */
	return RC_OK;
}
