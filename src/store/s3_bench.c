/* Up and down, and what a small request takes: HYDRANT_TEST_S3=s3://bucket/prefix s3_bench [MiB]. */
#include <stdio.h>

#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "store/store.h"

static struct err err;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, err.text);
	exit(1);
}

static void make_file(const char *path, uint64_t mib)
{
	uint8_t *piece = mem_alloc((size_t)1 << 20);
	int fd;
	random_bytes(piece, (size_t)1 << 20);
	if (file_open(path, FILE_CREATE, &fd, &err) != RC_OK)
		die("open");
	for (uint64_t i = 0; i < mib; i++)
		if (file_pwrite(fd, path, piece, (size_t)1 << 20, i << 20, &err) != RC_OK)
			die("write");
	file_close(fd);
	free(piece);
}

static void small(struct store *s)
{
	enum { N = 100 };
	int64_t start = clock_mono_us();
	for (int i = 0; i < N; i++) {
		AUTO_MEM char *key = mem_printf("small/%d", i);
		if (store_put(s, key, SLICE_LIT("0123456789"), STORE_REPLACE, &err) != RC_OK)
			die("put");
	}
	int64_t put = clock_mono_us();
	for (int i = 0; i < N; i++) {
		AUTO_MEM char *key = mem_printf("small/%d", i);
		if (store_size(s, key, NULL, NULL, &err) != RC_OK)
			die("size");
	}
	int64_t get = clock_mono_us();
	char *keys[N];
	for (int i = 0; i < N; i++)
		keys[i] = mem_printf("small/%d", i);
	if (store_delete_keys(s, "small", keys, N, &err) != RC_OK)
		die("delete");
	for (int i = 0; i < N; i++)
		free(keys[i]);
	printf("small: put %.2f ms, size %.2f ms each; 100 deleted in %.1f ms\n", (double)(put - start) / 1e3 / N, (double)(get - put) / 1e3 / N,
	       (double)(clock_mono_us() - get) / 1e3);
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 256;
	const char *url = getenv("HYDRANT_TEST_S3");
	if (!url) {
		printf("skip: HYDRANT_TEST_S3 names no bucket\n");
		return 0;
	}
	AUTO(store) *s = NULL;
	AUTO_MEM char *temp = NULL;
	char id[9];
	random_name(id, 8);
	AUTO_MEM char *key = mem_printf("big-%s", id);
	if (store_open(url, NULL, &s, &err) != RC_OK || store_temp_path(s, key, &temp, &err) != RC_OK)
		die("open");
	small(s);
	make_file(temp, mib);
	int64_t start = clock_mono_us();
	if (store_put_file(s, key, temp, STORE_REPLACE, &err) != RC_OK)
		die("put_file");
	int64_t up = clock_mono_us();
	const struct store_want want = { key, mib << 20 };
	char *path;
	if (store_fetch(s, &want, 1, &path, &err) != RC_OK)
		die("fetch");
	int64_t down = clock_mono_us();
	file_remove(path, NULL);
	store_release(s, path);
	store_delete(s, key, NULL);
	struct store_stats st;
	store_get_stats(s, &st);
	printf("large: %llu MiB up at %.0f MB/s, down at %.0f MB/s; %llu retries\n", (unsigned long long)mib, (double)(mib << 20) / (double)(up - start),
	       (double)(mib << 20) / (double)(down - up), (unsigned long long)st.retries);
	return 0;
}
