/* Appends a second with waiting: wal_bench DIR [threads 4] [bytes 500] [seconds 3]. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "os/clock.h"
#include "wal/wal.h"

struct bench {
	struct wal *w;
	size_t bytes;
	int64_t until;
	atomic_ulong count;
};

static void *run(void *ctx)
{
	struct bench *b = ctx;
	uint8_t *payload = mem_zalloc(b->bytes, 1);
	struct event ev = { .payload = slice_of(payload, b->bytes), .kind = PAYLOAD_RAW };
	struct err err;
	while (clock_mono_us() < b->until) {
		uint64_t first, ticket, done;
		struct wal_events e = { .collection = SLICE_LIT("bench"), .received = clock_wall_us(), .events = &ev, .count = 1 };
		if (wal_append(b->w, &e, &first, &ticket, &err) != RC_OK || wal_wait(b->w, ticket, &err) != RC_OK) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
		done = atomic_fetch_add(&b->count, 1);
		if (done % 200000 == 199999)
			wal_committed(b->w, e.collection, first, NULL);
	}
	free(payload);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "wal_bench DIR [threads] [bytes] [seconds]\n");
		return 2;
	}
	unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
	struct bench b = { .bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 500 };
	int64_t seconds = argc > 4 ? strtol(argv[4], NULL, 10) : 3;
	struct wal_options o = { .dir = argv[1] };
	struct err err;
	pthread_t t[64];
	if (threads > 64 || wal_open(&o, &b.w, &err) != RC_OK) {
		fprintf(stderr, "%s\n", threads > 64 ? "at most 64 threads" : err.text);
		return 1;
	}
	int64_t start = clock_mono_us();
	b.until = start + seconds * 1000000;
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, run, &b);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	double took = (double)(clock_mono_us() - start) / 1e6;
	struct wal_stats st;
	wal_stats(b.w, &st);
	double n = (double)atomic_load(&b.count);
	printf("%u threads, %zu B: %.0f appends/s, %.1f MB/s, %llu syncs, %.0f us a sync (worst %llu), %.1f appends a sync, recycled %llu\n",
	       threads, b.bytes, n / took, n * (double)b.bytes / took / 1e6, (unsigned long long)st.syncs,
	       (double)st.sync_us / (double)(st.syncs ? st.syncs : 1), (unsigned long long)st.sync_us_max,
	       n / (double)(st.syncs ? st.syncs : 1), (unsigned long long)st.recycled);
	wal_close(b.w, &err);
	return 0;
}
