/* Retries of an Idempotency-Key that is still on its way: the disk is held up (-Wl,--wrap, see meson.build) while they come in. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/test.h"
#include "os/clock.h"
#include "os/file.h"
#include "server/server.h"
#include "wal/wal_wrap.h"

#define WAIT_US 20000000
#define PIPELINED 128 /* requests of one connection that are in work at a time, at most (http_limits) */
#define PLACES 1024   /* for repeated requests (repeat.c) */

static struct {
	char dir[64];
	struct pipeline *p;
	struct server *s;
	int port, asks; /* asks: requests of ask() */
} f;
static struct err err;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held, broken;
} disk = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false };

rc_t __wrap_file_sync(int fd, const char *path, struct err *reterr)
{
	pthread_mutex_lock(&disk.lock);
	while (disk.held)
		pthread_cond_wait(&disk.changed, &disk.lock);
	bool broken = disk.broken;
	pthread_mutex_unlock(&disk.lock);
	return broken ? err_set(reterr, RC_IO, "cannot sync %s: the test says so", path) : __real_file_sync(fd, path, reterr);
}

static void disk_set(bool held, bool broken)
{
	pthread_mutex_lock(&disk.lock);
	disk.held = held;
	disk.broken = broken;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
}

static void begin(void)
{
	struct pipeline_options po;
	log_set_level(LOG_ERROR);
	snprintf(f.dir, sizeof f.dir, "/tmp/hydrant-server-XXXXXX");
	if (!mkdtemp(f.dir))
		abort();
	pipeline_options_default(&po);
	po.lake = f.dir;
	if (pipeline_open(&po, &f.p, &err) != RC_OK)
		abort();
	struct server_options so = { .listen = "127.0.0.1:0", .loops = 2, .pipeline = f.p };
	if (server_start(&so, &f.s, &err) != RC_OK)
		abort();
	f.asks = 0;
	f.port = (int)strtol(strrchr(server_address(f.s), ':') + 1, NULL, 10);
}

static void end(void)
{
	disk_set(false, false);
	server_free(f.s);
	pipeline_close(f.p);
	dir_remove_tree(f.dir, NULL);
}

/* ---- a client that sends many requests at once on each of its connections ---- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)f.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { WAIT_US / 1000000, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
		abort();
	return fd;
}

static void send_all(int fd, struct slice bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
		if (n <= 0)
			abort();
		bytes = slice_skip(bytes, (size_t)n);
	}
}

static void send_events(int fd, int times, const char *key, const char *payload)
{
	AUTO_BUF struct buf out;
	buf_init(&out, BUF_MAX_DEFAULT);
	for (int i = 0; i < times; i++)
		buf_printf(&out, "POST /v1/collections/keyed/events HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n%s", key,
			   strlen(payload), payload);
	send_all(fd, buf_slice(&out));
}

static int count_of(const struct buf *text, const char *what)
{
	int n = 0;
	for (struct slice rest = buf_slice(text); rest.len; n++) {
		const uint8_t *at = memmem(rest.data, rest.len, what, strlen(what));
		if (!at)
			break;
		rest = slice_skip(rest, (size_t)(at - rest.data) + strlen(what));
	}
	return n;
}

/* Reads until that many answers with bodies of one line are complete; what is missing after WAIT_US is missing in `ret`, too. */
static void receive(int fd, int answers, struct buf *ret)
{
	char piece[65536];
	while (count_of(ret, "}\n") < answers) {
		ssize_t n = recv(fd, piece, sizeof piece, 0);
		if (n <= 0)
			return;
		buf_append(ret, piece, (size_t)n);
	}
}

static void ask(const char *path, struct buf *ret)
{
	AUTO_MEM char *request = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	char piece[65536];
	int fd = dial();
	f.asks++;
	send_all(fd, slice_str(request));
	for (ssize_t n; (n = recv(fd, piece, sizeof piece, 0)) > 0;)
		buf_append(ret, piece, (size_t)n);
	close(fd);
}

static bool asked(const char *path, const char *want)
{
	AUTO_BUF struct buf answer;
	buf_init(&answer, BUF_MAX_DEFAULT);
	ask(path, &answer);
	return count_of(&answer, want) > 0;
}

/* Waits until the server has read that many requests beside our asking. */
static bool requests_reach(int n)
{
	for (int64_t start = clock_mono_us(); clock_mono_us() < start + WAIT_US; usleep(1000)) {
		AUTO_BUF struct buf answer;
		buf_init(&answer, BUF_MAX_DEFAULT);
		ask("/metrics", &answer);
		buf_byte(&answer, 0);
		const char *at = strstr((const char *)answer.data, "\nhydrant_http_requests_total ");
		if (at && strtol(at + sizeof "\nhydrant_http_requests_total " - 1, NULL, 10) >= n + f.asks)
			return true;
	}
	return false;
}

/* One request that the disk holds up, and behind it `connections` with PIPELINED retries each. */
static void send_first_and_retries(int *fds, int connections)
{
	disk_set(true, false);
	for (int i = 0; i <= connections; i++)
		fds[i] = dial();
	send_events(fds[0], 1, "k", "{\"a\":1}");
	CHECK(requests_reach(1));
	for (int i = 1; i <= connections; i++)
		send_events(fds[i], PIPELINED, "k", "{\"a\":1}");
}

static void receive_all(int *fds, int connections, struct buf *ret)
{
	buf_init(ret, BUF_MAX_DEFAULT);
	for (int i = 0; i <= connections; i++) {
		AUTO_BUF struct buf one;
		buf_init(&one, BUF_MAX_DEFAULT);
		receive(fds[i], i ? PIPELINED : 1, &one);
		buf_append_slice(ret, buf_slice(&one));
		close(fds[i]);
	}
}

static uint64_t events_pending(void)
{
	struct wal_pending pending;
	wal_pending(pipeline_wal(f.p), SLICE_LIT("keyed"), &pending);
	return pending.events;
}

TEST(retries_of_a_key_on_its_way_wait_and_leave_the_workers_to_queries)
{
	int fds[2];
	AUTO_BUF struct buf got;
	begin();
	send_first_and_retries(fds, 1);
	CHECK(requests_reach(1 + PIPELINED));
	CHECK(asked("/v1/collections", "HTTP/1.1 200"));
	disk_set(false, false);
	receive_all(fds, 1, &got);
	CHECK_INT(count_of(&got, "HTTP/1.1 200"), 1 + PIPELINED);
	CHECK_INT(count_of(&got, "\"repeated\":true"), PIPELINED);
	CHECK_INT(events_pending(), 1);
	end();
}

TEST(beyond_the_places_for_them_retries_are_told_to_come_again)
{
	enum { CONNECTIONS = PLACES / PIPELINED + 1 };
	int fds[CONNECTIONS + 1];
	AUTO_BUF struct buf got;
	begin();
	send_first_and_retries(fds, CONNECTIONS);
	for (int64_t start = clock_mono_us(); !asked("/metrics", "class=\"5xx\"} 128\n") && clock_mono_us() < start + WAIT_US;)
		usleep(1000);
	disk_set(false, false);
	receive_all(fds, CONNECTIONS, &got);
	CHECK_INT(count_of(&got, "HTTP/1.1 200"), 1 + PLACES);
	CHECK_INT(count_of(&got, "HTTP/1.1 503"), CONNECTIONS * PIPELINED - PLACES);
	CHECK_INT(count_of(&got, "Retry-After: 1\r\n"), CONNECTIONS * PIPELINED - PLACES);
	CHECK_INT(events_pending(), 1);
	end();
}

TEST(retries_of_a_request_that_was_not_kept_are_not_acked)
{
	int fds[2];
	AUTO_BUF struct buf got;
	begin();
	send_first_and_retries(fds, 1);
	CHECK(requests_reach(1 + PIPELINED));
	disk_set(false, true);
	receive_all(fds, 1, &got);
	CHECK_INT(count_of(&got, "HTTP/1.1 503"), 1 + PIPELINED);
	CHECK_INT(events_pending(), 0);
	end();
}

static void *let_go(void *arg)
{
	(void)arg;
	usleep(100000);
	disk_set(false, false);
	return NULL;
}

TEST(a_server_that_drains_answers_retries_and_one_that_ends_waits_for_them)
{
	for (int drain = 0; drain < 2; drain++) {
		int fds[2];
		AUTO_BUF struct buf got;
		pthread_t thread;
		begin();
		send_first_and_retries(fds, 1);
		CHECK(requests_reach(1 + PIPELINED));
		if (pthread_create(&thread, NULL, let_go, NULL) != 0)
			abort();
		if (drain)
			server_drain(f.s, clock_mono_us() + WAIT_US);
		server_free(f.s);
		f.s = NULL;
		pthread_join(thread, NULL);
		receive_all(fds, 1, &got);
		if (drain)
			CHECK_INT(count_of(&got, "HTTP/1.1 200"), 1 + PIPELINED);
		CHECK_INT(events_pending(), 1);
		end();
	}
}

TEST_MAIN()
