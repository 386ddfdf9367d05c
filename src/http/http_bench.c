/* Posts a second on loopback, client and server in one process: http_bench [BODY-BYTES] [CONNECTIONS] [PIPELINE] [SECONDS] [later].
 * "later": requests are answered in batches from another thread, as by a log that syncs once for many. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"
#include "os/clock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct http_request *batch[65536];
static size_t batch_count;
static bool later, over;

static const struct slice reply = SLICE_LIT("{\"accepted\":1,\"quarantined\":0,\"position\":\"1:123456789\",\"format\":\"json\"}\n");

static void handle(void *ctx, struct http_request *req)
{
	if (!later) {
		http_respond(req, 200, "application/json", reply, NULL, 0);
		return;
	}
	pthread_mutex_lock(&lock);
	batch[batch_count++] = req;
	if (batch_count == 1)
		pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
}

static void *answer_batches(void *arg)
{
	static struct http_request *mine[65536];
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!batch_count && !over)
			pthread_cond_wait(&some, &lock);
		size_t n = batch_count;
		memcpy(mine, batch, n * sizeof(mine[0]));
		batch_count = 0;
		bool end = over && !n;
		pthread_mutex_unlock(&lock);
		if (end)
			return NULL;
		clock_sleep_us(200); /* the sync */
		for (size_t i = 0; i < n; i++)
			http_respond(mine[i], 200, "application/json", reply, NULL, 0);
	}
}

struct client {
	int fd;
	size_t in_flight;
};

static void ask(struct client *c, const struct buf *req, size_t answer_bytes)
{
	if (send(c->fd, req->data, req->len, MSG_NOSIGNAL) != (ssize_t)req->len)
		abort();
	c->in_flight = answer_bytes;
}

/* One thread, all connections: keeps `depth` requests under way on each. Counts answers by their fixed length. */
static uint64_t drive(const char *address, uint16_t port, size_t body, unsigned conns, unsigned depth, int64_t until)
{
	AUTO_BUF struct buf req;
	struct client *c = mem_zalloc(conns, sizeof(*c));
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int ep = epoll_create1(EPOLL_CLOEXEC), one = 1;
	uint64_t done = 0;
	static char got[1 << 18];
	buf_init(&req, 1 << 30);
	for (unsigned d = 0; d < depth; d++) {
		buf_printf(&req, "POST /v1/collections/bench/events HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
				 "Content-Length: %zu\r\n\r\n", address, body);
		buf_reserve(&req, body);
		memset(req.data + req.len, 'x', body);
		req.len += body;
	}
	for (unsigned i = 0; i < conns; i++) {
		c[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(c[i].fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			abort();
		setsockopt(c[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
		epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &ev);
	}
	size_t single = req.len / depth; /* learn the answer's length from one */
	if (send(c[0].fd, req.data, single, MSG_NOSIGNAL) != (ssize_t)single)
		abort();
	size_t answer = (size_t)recv(c[0].fd, got, sizeof(got), 0);
	for (unsigned i = 0; i < conns; i++)
		ask(&c[i], &req, depth * answer);
	while (clock_mono_us() < until) {
		struct epoll_event ev[256];
		int n = epoll_wait(ep, ev, 256, 100);
		for (int k = 0; k < n; k++) {
			struct client *cl = &c[ev[k].data.u32];
			ssize_t got_now = recv(cl->fd, got, sizeof(got), MSG_DONTWAIT);
			if (got_now <= 0 || (size_t)got_now > cl->in_flight)
				abort();
			done += (cl->in_flight + answer - 1) / answer - (cl->in_flight - (size_t)got_now + answer - 1) / answer;
			cl->in_flight -= (size_t)got_now;
			if (!cl->in_flight)
				ask(cl, &req, depth * answer);
		}
	}
	for (unsigned i = 0; i < conns; i++)
		close(c[i].fd);
	close(ep);
	free(c);
	return done;
}

static size_t number(int argc, char **argv, int index, size_t otherwise)
{
	size_t n = index < argc ? strtoul(argv[index], NULL, 10) : otherwise;
	return n ? n : otherwise;
}

int main(int argc, char **argv)
{
	size_t body = number(argc, argv, 1, 500), seconds = number(argc, argv, 4, 2);
	unsigned conns = (unsigned)number(argc, argv, 2, 32), depth = (unsigned)number(argc, argv, 3, 1);
	struct http_server_options o;
	struct http_server *s = NULL;
	struct err err;
	pthread_t t;
	later = argc > 5;
	http_server_options_init(&o);
	o.listen = "127.0.0.1:0";
	o.handle = handle;
	if (http_server_start(&o, &s, &err) != RC_OK) {
		fprintf(stderr, "http_bench: %s\n", err.text);
		return 1;
	}
	pthread_create(&t, NULL, answer_batches, NULL);
	int64_t start = clock_mono_us();
	uint64_t n = drive(http_server_address(s), http_server_port(s), body, conns, depth, start + (int64_t)seconds * 1000000);
	double took = (double)(clock_mono_us() - start) / 1e6;
	struct rusage u;
	getrusage(RUSAGE_SELF, &u); /* says more than the rate while the machine does other things, too */
	double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("%zu-byte posts, %u connections, pipeline %u%s: %.0f/s, %.1f MB/s, %.2f us of CPU a post, client included\n", body, conns,
	       depth, later ? ", batched answers" : "", (double)n / took, (double)(n * body) / took / 1e6, cpu / (double)n);
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
	pthread_join(t, NULL);
	http_server_free(s);
	return 0;
}
