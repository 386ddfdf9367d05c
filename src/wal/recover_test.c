/* What a crash, a cut or a flipped bit may cost, tried at every byte of small logs. */
#include "wal/format.h"
#include "wal/wal_fixture.h"

#define SEG1 "0000000000000001.wal"

static struct buf image; /* the segment file as it was */
static char seg_path[160];

static void put_image(size_t len)
{
	int fd;
	file_remove(seg_path, NULL);
	if (file_open(seg_path, FILE_CREATE_NEW, &fd, NULL) != RC_OK || file_pwrite(fd, seg_path, image.data, len, 0, NULL) != RC_OK)
		abort();
	file_close(fd);
}

/* A folder with only the image in it. */
static const char *folder_of_image(size_t len)
{
	if (dir_remove_tree(fixture_dir, NULL) != RC_OK || dir_make(fixture_dir, NULL) != RC_OK)
		abort();
	put_image(len);
	return fixture_dir;
}

#define RECORDS 8u
static uint64_t ends[RECORDS + 3]; /* offset behind each record; the last one is the seal, if there is one */
static size_t end_count;

/* Eight records of 1, 2, 1, 2 … events, each its own group, closed in order or not. */
static void make_image(bool close)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	snprintf(seg_path, sizeof(seg_path), "%s/%s", o.dir, SEG1);
	CHECK_OK(wal_open(&o, &w, &err), err);
	uint64_t number = 0;
	for (uint64_t i = 0; i < RECORDS; i++) {
		CHECK_OK(append_n(w, i & 2 ? "a" : "bb", number, 1 + i % 2, i * 5, i == 3 ? "key" : NULL, NULL, NULL, &err), err);
		CHECK_OK(wal_flush(w, &err), err);
		number += 1 + i % 2;
	}
	buf_free(&image);
	buf_init(&image, 16 << 20);
	if (!close)
		CHECK_OK(file_read_all(seg_path, &image, &err), err);
	CHECK_OK(wal_close(w, &err), err);
	if (close)
		CHECK_OK(file_read_all(seg_path, &image, &err), err);
	struct seg_header h;
	CHECK_INT(seg_header_parse(image.data, &h), RC_OK);
	end_count = 0;
	for (uint64_t off = SEG_DATA;;) {
		struct rec_head r;
		size_t len = image.len - off < REC_HEAD + REC_NAME_MAX ? image.len - off : REC_HEAD + REC_NAME_MAX;
		if (rec_head_parse(&h, image.data + off, len, off, image.len, &r) != REC_VALID)
			break;
		off += r.size;
		ends[end_count++] = off;
	}
	CHECK_INT(end_count, RECORDS + close);
}

/* Which of the 12 events are there? -1: not readable, or one is there twice or wrong. */
static long events_in(struct wal *w, uint8_t *seen)
{
	struct err err = { 0 };
	memset(seen, 0, 12);
	return read_all_numbers(w, "", seen, 12, &err);
}

static size_t events_before(size_t records)
{
	return records / 2 * 3 + records % 2;
}

/* Appending after the recovery, and reading all of it back after another start: the report does not come again. */
static void goes_on(struct wal_options *o, long had)
{
	struct err err = { 0 };
	struct wal *w = NULL;
	uint8_t seen[20] = { 0 };
	uint64_t first = 0;
	CHECK_OK(wal_open(o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->torn_bytes, 0);
	CHECK(!wal_recovery(w)->truncated);
	CHECK_OK(append_n(w, "a", 12, 2, 10, NULL, &first, NULL, &err), err);
	wal_free(w);
	w = NULL;
	o->salvage = false;
	CHECK_OK(wal_open(o, &w, &err), err);
	CHECK(wal_recovery(w)->clean);
	CHECK_INT(read_all_numbers(w, "", seen, 20, &err), had + 2);
	CHECK_INT(seen[12] + seen[13], 2);
	wal_free(w);
}

TEST(wal_cut_at_any_byte_keeps_every_whole_record_and_says_so)
{
	for (int closed = 0; closed < 2; closed++) {
		make_image(closed);
		uint64_t last = ends[end_count - 1];
		for (size_t len = SEG_DATA; len < last + 20; len++) {
			struct wal_options o = small(folder_of_image(len));
			struct wal *w = NULL;
			struct err err = { 0 };
			uint8_t seen[12];
			size_t whole = 0;
			while (whole < end_count && ends[whole] <= len)
				whole++;
			CHECK_OK(wal_open(&o, &w, &err), err);
			const struct wal_recovery *rec = wal_recovery(w);
			size_t want = events_before(whole < RECORDS ? whole : RECORDS);
			CHECK(rec->truncated);
			CHECK_INT(rec->events, want);
			CHECK_INT(events_in(w, seen), want);
			CHECK_INT(wal_next_position(w), want + 1);
			uint64_t partial = whole < end_count ? len - (whole ? ends[whole - 1] : SEG_DATA) : 0;
			if (partial >= 4) { /* enough of it to be recognised */
				CHECK_INT(rec->torn_bytes, partial);
				CHECK(rec->torn_file);
				if (partial >= REC_HEAD + 8 && whole < RECORDS) {
					CHECK_INT(rec->torn_records, 1);
					CHECK_INT(rec->torn_first, want + 1);
					CHECK_INT(rec->torn_events, 1 + whole % 2);
				}
				struct buf side;
				buf_init(&side, 1 << 20);
				CHECK_OK(file_read_all(rec->torn_file, &side, &err), err);
				CHECK_SLICE(buf_slice(&side), slice_of(image.data + len - partial, partial));
				buf_free(&side);
			}
			wal_free(w);
			if (len % 13 == 0 || partial < 4)
				goes_on(&o, (long)want);
		}
	}
}

/* A file that short was never written so: a segment has its name only when a whole step of it is on the disk. */
TEST(wal_cut_inside_its_headers_is_reported)
{
	for (int closed = 0; closed < 2; closed++) {
		make_image(closed);
		for (size_t len = 0; len < SEG_DATA; len++) {
			struct wal_options o = small(folder_of_image(len));
			struct wal *w = NULL;
			struct err err = { 0 };
			rc_t rc = wal_open(&o, &w, &err);
			if (rc == RC_CORRUPT) { /* not even the first copy */
				CHECK(len < SEG_HEADER);
				CHECK(strstr(err.text, SEG1) && strstr(err.text, "salvage"));
				continue;
			}
			CHECK_OK(rc, err);
			CHECK(wal_recovery(w)->truncated);
			CHECK(!wal_recovery(w)->clean);
			CHECK(wal_recovery(w)->headers_repaired == 1 || len > SEG_HEADER);
			wal_free(w);
		}
	}
}

TEST(wal_any_bit_flipped_in_a_closed_log_is_reported_and_costs_at_most_its_record)
{
	make_image(true);
	uint64_t last = ends[end_count - 1];
	for (uint64_t bit = 0; bit < last * 8; bit++) {
		image.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		struct wal_options o = small(folder_of_image(image.len));
		struct wal *w = NULL;
		struct err err = { 0 };
		uint8_t seen[12];
		rc_t rc = wal_open(&o, &w, &err);
		uint64_t at = bit / 8;
		size_t hit = 0;
		while (hit < end_count && ends[hit] <= at)
			hit++;
		if (at < SEG_DATA) {
			CHECK_OK(rc, err);
			CHECK_INT(wal_recovery(w)->headers_repaired, 1);
			CHECK_INT(events_in(w, seen), 12);
		} else if (hit == RECORDS) { /* the seal */
			CHECK_OK(rc, err);
			CHECK(!wal_recovery(w)->clean);
			CHECK(wal_recovery(w)->torn_bytes > 0);
			CHECK_INT(wal_recovery(w)->torn_events, 0);
			CHECK_INT(events_in(w, seen), 12);
		} else {
			CHECK_INT(rc, RC_CORRUPT);
			CHECK(strstr(err.text, SEG1) && strstr(err.text, "salvage"));
			o.salvage = true;
			CHECK_OK(wal_open(&o, &w, &err), err);
			const struct wal_recovery *rec = wal_recovery(w);
			CHECK_INT(rec->damage_count, 1);
			CHECK_INT(rec->damages[0].segment, 1);
			CHECK_INT(rec->damages[0].offset, hit ? ends[hit - 1] : SEG_DATA);
			CHECK_INT(rec->damages[0].end, ends[hit]);
			CHECK_INT(rec->damages[0].first, events_before(hit) + 1);
			CHECK_INT(rec->damages[0].last, events_before(hit + 1));
			CHECK_INT(events_in(w, seen), 12 - (1 + hit % 2));
			CHECK_INT(seen[events_before(hit)], 0);
			CHECK_INT(wal_next_position(w), 13);
		}
		long had = 0;
		had = events_in(w, seen);
		wal_free(w);
		if (bit % 17 == 0)
			goes_on(&o, had);
		image.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

TEST(wal_any_bit_flipped_in_a_crashed_log_is_reported_and_costs_at_most_its_record_or_the_last_group)
{
	make_image(false);
	uint64_t last = ends[end_count - 1];
	for (uint64_t bit = SEG_DATA * 8; bit < last * 8; bit++) {
		image.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		struct wal_options o = small(folder_of_image(image.len));
		struct wal *w = NULL;
		struct err err = { 0 };
		uint8_t seen[12];
		size_t hit = 0;
		while (ends[hit] <= bit / 8)
			hit++;
		rc_t rc = wal_open(&o, &w, &err);
		if (hit == RECORDS - 1) { /* indistinguishable from a torn write */
			CHECK_OK(rc, err);
			CHECK(wal_recovery(w)->torn_bytes > 0);
			CHECK(wal_recovery(w)->torn_file);
			CHECK_INT(events_in(w, seen), 10);
		} else {
			CHECK_INT(rc, RC_CORRUPT);
			o.salvage = true;
			CHECK_OK(wal_open(&o, &w, &err), err);
			CHECK_INT(events_in(w, seen), 12 - (1 + hit % 2));
		}
		wal_free(w);
		image.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
}

TEST(wal_group_that_reached_the_disk_out_of_order_is_a_torn_tail)
{
	struct err err = { 0 };
	make_image(false);
	/* Three more records in one group, of which the first one's sectors are missing. */
	struct wal_options o = small(folder_of_image(image.len));
	struct wal *w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t i = 0; i < 3; i++)
		CHECK_OK(append_n(w, "a", 12 + i, 1, 600, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	buf_reset(&image);
	CHECK_OK(file_read_all(seg_path, &image, &err), err);
	wal_free(w);
	w = NULL;
	memset(image.data + ends[RECORDS - 1], 0, 512);
	folder_of_image(image.len);
	CHECK_OK(wal_open(&o, &w, &err), err);
	uint8_t seen[20] = { 0 };
	CHECK_INT(read_all_numbers(w, "", seen, 20, &err), 12);
	CHECK_INT(wal_next_position(w), 13);
	CHECK_INT(wal_recovery(w)->torn_records, 2);
	CHECK_INT(wal_recovery(w)->torn_last, 15);
	CHECK(wal_recovery(w)->torn_bytes > 1800);
	wal_free(w);
	goes_on(&o, 12);
}

TEST(wal_torn_tail_is_kept_beside_another_one_of_the_same_place)
{
	make_image(false);
	for (size_t other = 0; other < 3; other++) { /* the same, a shorter and a longer one */
		uint64_t from = ends[RECORDS - 2], len = ends[RECORDS - 1] - 1, n = len - from + (other == 2) - (other == 1);
		struct wal_options o = small(folder_of_image(len));
		struct wal *w = NULL;
		struct err err = { 0 };
		struct buf kept, before;
		char path[200];
		AUTO_MEM uint8_t *bytes = mem_zalloc(1, n);
		memcpy(bytes, image.data + from, other ? 8 : n);
		snprintf(path, sizeof path, "%s/torn-%016x-%llu.bin", o.dir, 1, (unsigned long long)from);
		CHECK_OK(file_create_atomic(path, slice_of(bytes, n), &err), err);
		CHECK_OK(wal_open(&o, &w, &err), err);
		buf_init(&kept, 1 << 20);
		buf_init(&before, 1 << 20);
		CHECK_OK(file_read_all(wal_recovery(w)->torn_file, &kept, &err), err);
		CHECK(slice_eq(buf_slice(&kept), slice_of(image.data + from, len - from)));
		CHECK_OK(file_read_all(path, &before, &err), err);
		CHECK(slice_eq(buf_slice(&before), slice_of(bytes, n)));
		CHECK_INT(strcmp(path, wal_recovery(w)->torn_file) != 0, other != 0);
		buf_free(&kept);
		buf_free(&before);
		wal_free(w);
	}
}

TEST(wal_torn_tail_of_which_only_a_piece_of_a_head_reached_the_disk_is_kept)
{
	struct err err = { 0 };
	make_image(false);
	struct wal_options o = small(folder_of_image(image.len));
	struct wal *w = NULL;
	uint64_t first_end;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 12, 1, 600, NULL, NULL, NULL, &err), err);
	first_end = ends[RECORDS - 1] + rec_size(1, EVENTS_SUB + 4 + strlen("a:12:") + 600);
	CHECK_OK(append_n(w, "a", 13, 1, 600, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	buf_reset(&image);
	CHECK_OK(file_read_all(seg_path, &image, &err), err);
	wal_free(w);
	w = NULL;
	CHECK_INT(get_u32(image.data + first_end), get_u32(image.data + SEG_DATA)); /* the second record's magic */
	memset(image.data + ends[RECORDS - 1], 0, first_end - ends[RECORDS - 1]);
	memset(image.data + first_end + 8, 0, image.len - first_end - 8);
	folder_of_image(image.len);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_next_position(w), 13);
	CHECK_INT(wal_recovery(w)->torn_records, 1);
	CHECK(wal_recovery(w)->torn_bytes > first_end - ends[RECORDS - 1]);
	CHECK(wal_recovery(w)->torn_file && file_stat(wal_recovery(w)->torn_file, NULL, NULL, NULL, NULL) == RC_OK);
	wal_free(w);
	goes_on(&o, 12);
}

TEST(wal_damage_before_a_torn_tail_costs_the_positions_that_the_tail_tells_and_gives_none_of_them_again)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	struct seg_header h;
	struct rec_head one, two;
	snprintf(seg_path, sizeof(seg_path), "%s/%s", o.dir, SEG1);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_OK(append_n(w, "a", 0, 2, 10, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	CHECK_OK(append_n(w, "a", 2, 2, 10, NULL, NULL, NULL, &err), err); /* two of one group: the second says that the first event is durable */
	CHECK_OK(append_n(w, "a", 4, 1, 10, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	buf_free(&image);
	buf_init(&image, 16 << 20);
	CHECK_OK(file_read_all(seg_path, &image, &err), err); /* before it is closed */
	wal_free(w);
	CHECK_INT(seg_header_parse(image.data, &h), RC_OK);
	CHECK_INT(rec_head_parse(&h, image.data + SEG_DATA, image.len - SEG_DATA, SEG_DATA, image.len, &one), REC_VALID);
	uint64_t second = SEG_DATA + one.size;
	CHECK_INT(rec_head_parse(&h, image.data + second, image.len - second, second, image.len, &two), REC_VALID);
	image.data[SEG_DATA + 40] ^= 1; /* a head and the next one's body */
	image.data[two.body] ^= 1;
	put_image(image.len);
	w = NULL;
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	const struct wal_recovery *r = wal_recovery(w);
	CHECK(r->torn_bytes > 0);
	CHECK_INT(r->damage_count, 1);
	CHECK_INT(r->damages[0].first, 1);
	CHECK_INT(r->damages[0].last, 2);
	CHECK_INT(wal_next_position(w), 3);
	wal_free(w);
}

TEST(wal_record_inside_a_payload_is_never_taken_for_one)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	make_image(false); /* another log */
	o = small(fresh_dir());
	snprintf(seg_path, sizeof(seg_path), "%s/%s", o.dir, SEG1);
	CHECK_OK(wal_open(&o, &w, &err), err);
	struct event ev = { .payload = slice_of(image.data, 20000), .kind = PAYLOAD_RAW };
	struct wal_events e = { .collection = SLICE_LIT("a"), .events = &ev, .count = 1 };
	uint64_t first, ticket;
	CHECK_OK(wal_append(w, &e, &first, &ticket, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	struct buf copy;
	buf_init(&copy, 16 << 20);
	CHECK_OK(file_read_all(seg_path, &copy, &err), err);
	ev.payload = slice_of(copy.data + SEG_DATA, 20600); /* and this log's own bytes */
	CHECK_OK(wal_append(w, &e, &first, &ticket, &err), err);
	wal_free(w);
	w = NULL;
	buf_reset(&copy);
	CHECK_OK(file_read_all(seg_path, &copy, &err), err);
	int fd;
	CHECK_OK(file_open(seg_path, FILE_WRITE, &fd, &err), err);
	uint8_t zero[64] = { 0 };
	CHECK_OK(file_pwrite(fd, seg_path, zero, 64, SEG_DATA, &err), err); /* the first head is gone */
	file_close(fd);
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->events, 1);
	CHECK_INT(wal_recovery(w)->damages[0].first, 1);
	CHECK_INT(wal_recovery(w)->damages[0].last, 1);
	buf_free(&copy);
	wal_free(w);
}

TEST(wal_damage_in_older_segments_is_found_and_salvage_is_remembered)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint8_t seen[300] = { 0 };
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_OK(append_n(w, "a", i, 1, 3000, NULL, NULL, NULL, &err), err);
	wal_free(w);
	w = NULL;
	char path[200];
	int fd;
	snprintf(path, sizeof(path), "%s/0000000000000002.wal", o.dir);
	CHECK_OK(file_open(path, FILE_WRITE, &fd, &err), err);
	CHECK_OK(file_pwrite(fd, path, "damage", 6, 10000, &err), err);
	CHECK_OK(file_pwrite(fd, path, "damage", 6, 40000, &err), err);
	file_close(fd);
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	CHECK(strstr(err.text, "2 such places"));
	CHECK_RC(wal_open_readonly(o.dir, false, &w, &err), RC_CORRUPT);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->damage_count, 2);
	CHECK_INT(wal_recovery(w)->damages[1].first, wal_recovery(w)->damages[1].last);
	CHECK_INT(read_all_numbers(w, "a", seen, 300, &err), 98);
	memset(seen, 0, sizeof(seen));
	CHECK_INT(read_all_numbers(w, "", seen, 300, &err), 98);
	wal_free(w);
	w = NULL;
	o.salvage = false;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->damage_count, 2);
	memset(seen, 0, sizeof(seen));
	CHECK_INT(read_all_numbers(w, "", seen, 300, &err), 98);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), 60, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	wal_free(w);
	w = NULL;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_recovery(w)->damage_count, 0); /* trimmed away */
	wal_free(w);
	w = NULL;
}

static void damage_at(const char *dir, unsigned segment, uint64_t offset)
{
	struct err err = { 0 };
	char path[200];
	int fd;
	snprintf(path, sizeof(path), "%s/%016x.wal", dir, segment);
	CHECK_OK(file_open(path, FILE_WRITE, &fd, &err), err);
	CHECK_OK(file_pwrite(fd, path, "damage", 6, offset, &err), err);
	file_close(fd);
}

TEST(wal_damage_since_the_start_is_not_passed_over_as_if_salvage_had_given_it_up)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint8_t seen[300] = { 0 };
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_OK(append_n(w, "a", i, 1, 3000, NULL, NULL, NULL, &err), err);
	wal_free(w);
	damage_at(o.dir, 2, 10000);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(read_all_numbers(w, "a", seen, 300, &err), 99);
	damage_at(o.dir, 3, 10000);
	memset(seen, 0, sizeof(seen));
	CHECK_INT(read_all_numbers(w, "a", seen, 300, &err), -1);
	CHECK_INT(err.rc, RC_CORRUPT);
	wal_free(w);
}

TEST(wal_commit_between_records_does_not_pass_over_a_damaged_one)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	struct wal_cursor *c = NULL;
	struct wal_record r = { 0 };
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t i = 0; i < 20; i++)
		CHECK_OK(append_n(w, "a", i, 1, 1000, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	CHECK_OK(wal_cursor_open(w, SLICE_LIT("a"), 10, 11, &c, &err), err);
	CHECK_OK(wal_cursor_next(c, &r, &err), err);
	CHECK_INT(r.first, 11);
	wal_cursor_close(c);
	damage_at(o.dir, (unsigned)r.segment, r.offset);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), 10, &err), err);
	CHECK_OK(wal_cursor_open(w, SLICE_LIT("a"), 10, UINT64_MAX, &c, &err), err);
	CHECK_RC(wal_cursor_next(c, &r, &err), RC_CORRUPT); /* not position 12 */
	wal_cursor_close(c);
	wal_free(w);
}

TEST(wal_segment_without_a_header_or_missing_is_reported_and_hides_no_other)
{
	struct err err = { 0 };
	struct wal_options o = small(fresh_dir());
	struct wal *w = NULL;
	uint8_t seen[300] = { 0 };
	char path[200];
	int fd;
	CHECK_OK(wal_open(&o, &w, &err), err);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_OK(append_n(w, "a", i, 1, 3000, NULL, NULL, NULL, &err), err);
	CHECK_OK(wal_flush(w, &err), err);
	CHECK_OK(wal_committed(w, SLICE_LIT("a"), 60, &err), err); /* trims the first three segments */
	wal_free(w);
	w = NULL;
	snprintf(path, sizeof(path), "%s/0000000000000005.wal", o.dir);
	CHECK_OK(file_open(path, FILE_WRITE, &fd, &err), err);
	CHECK_OK(file_pwrite(fd, path, "damage", 6, 100, &err), err);
	CHECK_OK(file_pwrite(fd, path, "damage", 6, 3000, &err), err);
	file_close(fd);
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	CHECK(strstr(err.text, "0005.wal"));
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK_INT(wal_next_position(w), 101);
	wal_free(w);
	w = NULL;
	o.salvage = false;
	CHECK_OK(wal_open(&o, &w, &err), err);
	wal_free(w);
	w = NULL;
	/* Given up already: that the file goes, too, changes nothing, and what lies before it is not taken for trimmed. */
	CHECK_OK(file_remove(path, &err), err);
	CHECK_OK(wal_open(&o, &w, &err), err);
	memset(seen, 0, sizeof(seen));
	CHECK(read_all_numbers(w, "", seen, 300, &err) > 10);
	CHECK_INT(seen[61] + seen[99], 2);
	wal_free(w);
	w = NULL;
	snprintf(path, sizeof(path), "%s/0000000000000004.wal", o.dir);
	CHECK_OK(file_remove(path, &err), err);
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	CHECK(strstr(err.text, "missing"));
}

TEST(wal_last_segment_without_a_header_never_gives_its_positions_again)
{
	struct err err = { 0 };
	struct wal *w = NULL;
	make_image(true);
	memset(image.data, 0, SEG_DATA);
	struct wal_options o = small(folder_of_image(image.len));
	CHECK_RC(wal_open(&o, &w, &err), RC_CORRUPT);
	o.salvage = true;
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK(wal_next_position(w) > 12);
	wal_free(w);
}

TEST(wal_folder_whose_segments_are_gone_becomes_another_log)
{
	struct err err = { 0 };
	struct wal *w = NULL;
	make_image(true);
	struct wal_options o = small(folder_of_image(image.len));
	char id[9];
	CHECK_OK(wal_open(&o, &w, &err), err);
	memcpy(id, wal_id(w), 9);
	wal_free(w);
	w = NULL;
	CHECK_OK(file_remove(seg_path, &err), err);
	CHECK_RC(wal_open_readonly(o.dir, false, &w, &err), RC_NOT_FOUND);
	CHECK_OK(wal_open(&o, &w, &err), err);
	CHECK(wal_recovery(w)->replaced);
	CHECK(strcmp(id, wal_id(w)) != 0);
	wal_free(w);
}

TEST(wal_random_bytes_as_segments_never_crash)
{
	struct err err = { 0 };
	make_image(true);
	struct buf good;
	buf_init(&good, 16 << 20);
	buf_append_slice(&good, buf_slice(&image));
	uint64_t x = 88172645463325252u;
	for (int round = 0; round < 300; round++) {
		struct wal *w = NULL;
		uint8_t seen[12];
		memcpy(image.data, good.data, good.len);
		for (int k = 0; k < 1 + round % 7; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			size_t at = x % (ends[end_count - 1]), n = (x >> 32) % 300;
			for (size_t i = 0; i < n && at + i < image.len; i++) {
				x ^= x << 13, x ^= x >> 7, x ^= x << 17;
				image.data[at + i] = (uint8_t)x;
			}
		}
		struct wal_options o = small(folder_of_image(round % 3 ? image.len : x % image.len));
		o.salvage = true;
		if (wal_open(&o, &w, &err) == RC_OK)
			CHECK(events_in(w, seen) >= 0);
		wal_free(w);
	}
	buf_free(&good);
	buf_free(&image);
}

TEST_MAIN()
