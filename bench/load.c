/* A load client for hydrant on loopback: N keep-alive connections, one request in flight on each, every answer checked.
 *
 *   load --port P [--collection C] [--mode post|ndjson] [--kind K] [--bytes B] [--connections N] [--seconds S] [--requests R] [--rate MB/s]
 *   load --generate FILE [--kind K] [--bytes B] [--seed S]      no server: an NDJSON file of at least B bytes, always the same
 *
 * K: logs (default), track, github, hostile, options: bench/K.c.
 *
 * post: a body is one JSON event of B bytes (500); ndjson: B bytes (65536) of events. It ends after S seconds (10) or R requests, prints
 * one line of JSON, and exits 1 if any answer was not a 200 that accepts exactly what was sent. A 429 is not wrong: its Retry-After is
 * honoured, the events are sent again, and the line counts it. Latencies are from the first byte sent to the last byte of the answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

#define CONNECTIONS_MAX	  4096
#define BODIES_BYTES	  ((size_t)32 << 20) /* of all prepared bodies */
#define ANSWER_MAX	  8192
#define SECONDS_MAX	  86400
#define GRACE_US	  30000000	   /* after the end: how long answers are waited for */
#define GENERATED_FROM_US 1767225600000000 /* 2026-01-01: the same file each time */
#define BUCKETS		  2048		   /* of latencies: 32 a doubling, from 1 µs */

static struct {
	int port;
	const char *collection, *generate;
	bool single;
	enum events_kind kind;
	uint64_t seed;
	size_t bytes;
	int connections;
	double seconds, rate;
	uint64_t requests;
} opt = { .collection = "bench", .connections = 64, .seconds = 10, .kind = EVENTS_LOGS, .seed = 7 };

struct conn {
	int fd;
	struct events_body *bodies; /* of this connection alone: what is being sent is not written to */
	size_t body_count, body;
	char head[256];
	size_t head_len, head_for, sent; /* head_for: the body length that it says */
	char answer[ANSWER_MAX];
	size_t answer_len;
	int64_t began, resume_at; /* µs; resume_at 0: a request is in flight */
	bool want_write;
};

static struct {
	struct conn *conns;
	int epoll;
	uint64_t seed;
	uint64_t started, acked, events, bytes, refused, wrong, broken;
	uint64_t latency[BUCKETS];
	int64_t begin, end, last_ack, last_start;
	char complaint[600];
} run;

static int64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * (int64_t)1000000 + ts.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * (int64_t)1000000 + ts.tv_nsec / 1000;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- latencies ---- */

static unsigned bucket_of(int64_t us)
{
	uint64_t v = us > 0 ? (uint64_t)us : 1;
	unsigned log = 63 - (unsigned)__builtin_clzll(v);
	unsigned fine = log >= 5 ? (unsigned)(v >> (log - 5)) & 31 : (unsigned)(v << (5 - log)) & 31;
	unsigned b = log * 32 + fine;
	return b < BUCKETS ? b : BUCKETS - 1;
}

static double quantile_ms(double q)
{
	uint64_t want = (uint64_t)((double)run.acked * q), sum = 0;
	for (unsigned b = 0; b < BUCKETS; b++) {
		sum += run.latency[b];
		if (sum > want)
			return (double)((uint64_t)1 << (b / 32)) * (1 + (b % 32) / 32.0) / 1000;
	}
	return 0;
}

/* ---- connections ---- */

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };
	if (epoll_ctl(run.epoll, op, c->fd, &e) != 0)
		die("epoll_ctl");
	c->want_write = (events & EPOLLOUT) != 0;
}

static void conn_open(struct conn *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)opt.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
		die("cannot connect to 127.0.0.1");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
	c->sent = c->answer_len = 0;
}

static void send_more(struct conn *c)
{
	struct events_body *b = &c->bodies[c->body];
	while (c->sent < c->head_len + b->len) {
		size_t in_head = c->sent < c->head_len ? c->sent : c->head_len, in_body = c->sent - in_head;
		struct iovec iov[2] = { { c->head + in_head, c->head_len - in_head }, { b->data + in_body, b->len - in_body } };
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (!c->want_write)
				watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0)
			return; /* whatever was answered before is still to be read */
		c->sent += (size_t)n;
	}
	if (c->want_write)
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static bool over(int64_t now)
{
	return now >= run.end || (opt.requests && run.started >= opt.requests);
}

/* When the next request may start, for an even rate; 0: at once. */
static int64_t paced(int64_t now, size_t bytes)
{
	if (opt.rate <= 0)
		return 0;
	int64_t gap = (int64_t)((double)bytes / opt.rate), due = run.last_start + gap;
	if (due < now - 100000)
		due = now - 100000; /* what the server was too slow for is not made up later */
	run.last_start = due;
	return due > now ? due : 0;
}

static void post(struct conn *c, int64_t now)
{
	size_t len = c->bodies[c->body].len;
	int n = (int)c->head_len;
	if (c->head_for != len)
		n = snprintf(c->head, sizeof c->head,
			     "POST /v1/collections/%s/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
			     "application/%s\r\nContent-Length: %zu\r\n\r\n",
			     opt.collection, opt.single ? "json" : "x-ndjson", len);
	c->head_len = (size_t)n;
	c->head_for = len;
	c->sent = c->answer_len = 0;
	c->resume_at = 0;
	c->began = now;
	send_more(c);
}

/* The next body; later, if a rate says so. */
static void start(struct conn *c, int64_t now)
{
	c->resume_at = INT64_MAX;
	if (over(now))
		return;
	run.started++;
	c->body = (c->body + 1) % c->body_count;
	struct events_body *b = &c->bodies[c->body];
	events_freshen(b, wall_us(), &run.seed);
	int64_t due = paced(now, b->len);
	if (due)
		c->resume_at = due;
	else
		post(c, now);
}

/* ---- answers ---- */

/* The number behind `name` in an answer, -1: none. */
static long long number_after(const char *text, const char *name)
{
	const char *at = strcasestr(text, name);
	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

/* The whole length of the answer that begins in c->answer, 0: not known yet. */
static size_t answer_size(struct conn *c)
{
	c->answer[c->answer_len] = 0;
	const char *end = strstr(c->answer, "\r\n\r\n");
	long long length = end ? number_after(c->answer, "\r\ncontent-length:") : -1;
	if (end && length < 0)
		length = 0;
	return end ? (size_t)(end - c->answer) + 4 + (size_t)length : 0;
}

static void answered(struct conn *c, int64_t now)
{
	const struct events_body *b = &c->bodies[c->body];
	int status = (int)strtol(c->answer + 9, NULL, 10);
	bool whole = c->sent == c->head_len + b->len;
	bool closes = strcasestr(c->answer, "\r\nconnection: close") != NULL;
	if (status == 200 && whole && number_after(c->answer, "\"accepted\":") == (long long)b->count &&
	    number_after(c->answer, "\"quarantined\":") == 0) {
		run.acked++;
		run.events += b->count;
		run.bytes += b->len;
		run.latency[bucket_of(now - c->began)]++;
		run.last_ack = now;
	} else if (status == 429) {
		run.refused++;
	} else {
		if (!run.wrong++)
			snprintf(run.complaint, sizeof run.complaint, "%.500s", c->answer);
	}
	if (closes || !whole) {
		close(c->fd);
		conn_open(c);
	}
	if (status == 429) {
		long long wait = number_after(c->answer, "\r\nretry-after:");
		c->resume_at = now + (wait > 0 && wait < 60 ? wait : 1) * 1000000; /* the same body again */
		return;
	}
	start(c, now);
}

static void readable(struct conn *c)
{
	ssize_t n = recv(c->fd, c->answer + c->answer_len, sizeof c->answer - 1 - c->answer_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	int64_t now = now_us();
	if (n <= 0) { /* in the middle of a request, or after its end: no answer */
		run.broken += c->resume_at == 0;
		if (run.broken > 1000) {
			errno = ECONNRESET;
			die("the server ended 1000 connections without an answer");
		}
		close(c->fd);
		conn_open(c);
		if (c->resume_at == 0)
			c->resume_at = now + 100000;
		return;
	}
	c->answer_len += (size_t)n;
	size_t size = answer_size(c);
	if (size && c->answer_len >= size) {
		c->answer[c->answer_len] = 0;
		answered(c, now);
	} else if (c->answer_len == sizeof c->answer - 1) {
		run.wrong++;
		run.end = now;
		c->resume_at = INT64_MAX;
	}
}

/* ---- the run ---- */

static void prepare(void)
{
	run.seed = 42;
	run.conns = calloc((size_t)opt.connections, sizeof *run.conns);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!run.conns || run.epoll < 0)
		die("preparing");
	struct events_stream stream = { opt.kind, opt.seed, 0, wall_us() };
	size_t each = BODIES_BYTES / (size_t)opt.connections / opt.bytes;
	each = each < 2 ? 2 : each > 64 ? 64 : each;
	for (int i = 0; i < opt.connections; i++) {
		struct conn *c = &run.conns[i];
		c->body_count = each;
		c->bodies = calloc(each, sizeof *c->bodies);
		for (size_t k = 0; k < each; k++)
			events_make(&c->bodies[k], &stream, opt.bytes, opt.single);
		conn_open(c);
	}
}

/* Starts what waited for its time; says whether a request is in flight or still to come, and when to look again. */
static bool tick(int64_t now, int *ret_timeout)
{
	bool busy = false;
	int64_t next = now + 1000000;
	for (int i = 0; i < opt.connections; i++) {
		struct conn *c = &run.conns[i];
		if (c->resume_at && c->resume_at <= now && now < run.end)
			post(c, now);
		else if (c->resume_at && now < run.end && c->resume_at < next)
			next = c->resume_at;
		busy |= c->resume_at == 0 || (c->resume_at != INT64_MAX && now < run.end);
	}
	int64_t ms = (next - now) / 1000;
	*ret_timeout = ms < 1 ? 1 : (int)ms;
	return busy || !over(now);
}

static void loop(void)
{
	struct epoll_event events[256];
	int64_t now = run.begin = run.last_ack = run.last_start = now_us();
	run.end = now + (int64_t)(opt.seconds * 1e6);
	int64_t checked = 0;
	int timeout = 1;
	for (int i = 0; i < opt.connections; i++)
		start(&run.conns[i], now);
	for (;;) {
		int n = epoll_wait(run.epoll, events, 256, timeout);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if ((events[i].events & EPOLLOUT) && c->resume_at == 0)
				send_more(c);
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				readable(c);
		}
		now = now_us();
		if (now - checked < (opt.rate > 0 ? 1000 : 10000)) /* it looks at each connection */
			continue;
		checked = now;
		if (!tick(now, &timeout) || now > run.end + GRACE_US)
			return;
	}
}

static int report(void)
{
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	uint64_t unanswered = 0;
	for (int i = 0; i < opt.connections; i++)
		unanswered += run.conns[i].resume_at == 0;
	double s = (double)(run.last_ack - run.begin) / 1e6;
	double cpu = (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
		     (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	s = s > 0 ? s : 1e-6;
	printf("{\"seconds\":%.3f,\"requests\":%llu,\"events\":%llu,\"bytes\":%llu,\"events_per_s\":%.0f,\"mb_per_s\":%.1f,\"p50_"
	       "ms\":%.3f,"
	       "\"p99_ms\":%.3f,\"refused\":%llu,\"broken\":%llu,\"wrong\":%llu,\"unanswered\":%llu,\"client_cpu_s\":%.2f}\n",
	       s, (unsigned long long)run.acked, (unsigned long long)run.events, (unsigned long long)run.bytes,
	       (double)run.events / s, (double)run.bytes / s / 1e6, quantile_ms(0.5), quantile_ms(0.99),
	       (unsigned long long)run.refused, (unsigned long long)run.broken, (unsigned long long)run.wrong,
	       (unsigned long long)unanswered, cpu);
	if (run.wrong)
		fprintf(stderr, "load: %llu answers were not what was asked for, the first: %s\n", (unsigned long long)run.wrong,
			run.complaint);
	return run.wrong || unanswered || !run.acked;
}

static int generate(void)
{
	FILE *f = fopen(opt.generate, "w");
	uint64_t done = 0;
	struct events_stream stream = { opt.kind, opt.seed, 0, GENERATED_FROM_US };
	if (!f)
		die(opt.generate);
	while (done < opt.bytes) {
		struct events_body b;
		events_make(&b, &stream, 1 << 20, 0);
		done += b.len;
		if (fwrite(b.data, 1, b.len, f) != b.len)
			die(opt.generate);
		events_free(&b);
	}
	if (fclose(f) != 0)
		die(opt.generate);
	return 0;
}

__attribute__((noreturn)) static void usage(void)
{
	fprintf(stderr, "usage: load --port P [--collection C] [--mode post|ndjson] [--kind K] [--bytes B] [--connections N] "
			"[--seconds S] "
			"[--requests R] [--rate MB/s]\n       load --generate FILE [--kind K] [--bytes B] [--seed S]\n       K:");
	for (unsigned k = 0; k < EVENTS_KINDS; k++)
		fprintf(stderr, " %s", events_kind_name((enum events_kind)k));
	fputc('\n', stderr);
	exit(2);
}

/* A number and nothing behind it: 100M is not 100. */
static uint64_t whole(const char *text, uint64_t most)
{
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n > most)
		usage();
	return n;
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "port", 1, NULL, 'p' },     { "collection", 1, NULL, 'c' }, { "mode", 1, NULL, 'm' },
		{ "kind", 1, NULL, 'k' },     { "bytes", 1, NULL, 'b' },      { "connections", 1, NULL, 'n' },
		{ "seconds", 1, NULL, 's' },  { "requests", 1, NULL, 'r' },   { "rate", 1, NULL, 'R' },
		{ "generate", 1, NULL, 'g' }, { "seed", 1, NULL, 'S' },	      { NULL, 0, NULL, 0 },
	};
	for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (o) {
		case 'p':
			opt.port = (int)whole(optarg, 65535);
			break;
		case 'c':
			opt.collection = optarg;
			break;
		case 'm':
			opt.single = !strcmp(optarg, "post");
			break;
		case 'k':
			opt.kind = events_kind_of(optarg);
			break;
		case 'S':
			opt.seed = whole(optarg, UINT64_MAX);
			break;
		case 'b':
			opt.bytes = whole(optarg, SIZE_MAX);
			break;
		case 'n':
			opt.connections = (int)whole(optarg, CONNECTIONS_MAX);
			break;
		case 's':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'r':
			opt.requests = whole(optarg, UINT64_MAX);
			break;
		case 'R':
			opt.rate = strtod(optarg, NULL);
			break;
		case 'g':
			opt.generate = optarg;
			break;
		default:
			usage();
		}
	}
	if (!opt.bytes)
		opt.bytes = opt.generate ? (size_t)100 << 20 : opt.single ? 500 : 65536;
	if (optind < argc || opt.kind == EVENTS_KINDS || (!opt.generate && (opt.port <= 0 || opt.port > 65535)) ||
	    opt.connections < 1 || opt.connections > CONNECTIONS_MAX || !(opt.seconds > 0 && opt.seconds <= SECONDS_MAX) ||
	    strlen(opt.collection) > 63 || (!opt.generate && opt.bytes > (size_t)32 << 20))
		usage();
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (opt.generate)
		return generate();
	prepare();
	loop();
	return report();
}
