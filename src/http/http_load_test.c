/* Time, memory, many and rude clients, draining and stopping. */
#include <sys/resource.h>

#include "http/http_fixture.h"

#define HOST "Host: localhost\r\n"

TEST(http_slow_head_and_slow_body_get_408_and_idle_is_closed)
{
	struct fixture *f = fixture_new();
	struct answer a;
	f->options.limits.header_time_us = 150000;
	f->options.limits.body_time_us = 150000;
	f->options.limits.body_rate = 1000000;
	f->options.limits.idle_time_us = 300000;
	fixture_start(f);
	answer_init(&a);
	static const char *const parts[] = { "GET / HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc",
					     "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nabc" };
	for (int i = 0; i < 3; i++) {
		int fd = client_open(f);
		int64_t start = clock_mono_us();
		CHECK(client_send(fd, slice_str(parts[i])));
		CHECK(client_read(fd, &a, false));
		CHECK_INT(a.status, 408);
		CHECK(a.close && client_at_end(fd, &a));
		CHECK(clock_mono_us() - start >= 140000);
		close(fd);
	}
	/* a byte now and then does not help: the time of the whole head counts */
	int fd = client_open(f);
	int64_t start = clock_mono_us();
	while (client_send(fd, SLICE_LIT("G")) && clock_mono_us() - start < 3000000 && recv(fd, a.head, 1, MSG_DONTWAIT) < 0)
		clock_sleep_us(20000);
	CHECK(clock_mono_us() - start < 2000000);
	close(fd);
	fd = client_open(f); /* says nothing at all */
	CHECK(client_at_end(fd, &a));
	close(fd);
	fd = client_open(f); /* is busy for longer than the idle time */
	CHECK(client_send(fd, SLICE_LIT("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx")));
	clock_sleep_us(500000);
	fixture_release(f);
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 200);
	CHECK(client_at_end(fd, &a));
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_body_that_keeps_the_rate_may_take_longer_than_body_time)
{
	struct fixture *f = fixture_new();
	struct answer a;
	f->options.limits.body_time_us = 200000;
	f->options.limits.body_rate = 1000;
	fixture_start(f);
	answer_init(&a);
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("POST /length HTTP/1.1\r\n" HOST "Content-Length: 4000\r\n\r\n")));
	for (int i = 0; i < 40; i++) {
		static const uint8_t piece[100];
		CHECK(client_send(fd, slice_of(piece, sizeof(piece))));
		clock_sleep_us(20000);
	}
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 200);
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_body_that_stands_still_or_crawls_after_a_fast_part_gets_408)
{
	enum { FAST = 100000 };
	static const uint8_t fast[FAST];
	struct fixture *f = fixture_new();
	struct answer a;
	f->options.limits.body_time_us = 300000;
	f->options.limits.body_rate = 1000; /* by which the fast part alone is good for 100 s */
	fixture_start(f);
	answer_init(&a);
	for (int crawls = 0; crawls < 2; crawls++) {
		int fd = client_open(f);
		char said[12];
		CHECK(client_send(fd, SLICE_LIT("POST /length HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n")));
		CHECK(client_send(fd, slice_of(fast, sizeof(fast))));
		int64_t start = clock_mono_us();
		while (clock_mono_us() - start < 5000000 && recv(fd, said, sizeof(said), MSG_PEEK | MSG_DONTWAIT) < (ssize_t)sizeof(said)) {
			if (crawls)
				client_send(fd, SLICE_LIT("x"));
			clock_sleep_us(100000);
		}
		CHECK(clock_mono_us() - start >= 200000);
		CHECK(client_read(fd, &a, false));
		CHECK_INT(a.status, 408);
		close(fd);
		answer_free(&a);
		answer_init(&a);
	}
	CHECK(fixture_wait_idle(f));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_request_cut_off_by_its_sender_is_400_and_never_handled)
{
	struct fixture *f = fixture_new();
	struct answer a;
	fixture_start(f);
	answer_init(&a);
	static const char *const parts[] = { "GET / HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc" };
	for (int i = 0; i < 2; i++) {
		int fd = client_open(f);
		CHECK(client_send(fd, slice_str(parts[i])));
		shutdown(fd, SHUT_WR);
		CHECK(client_read(fd, &a, false));
		CHECK_INT(a.status, 400);
		CHECK(client_at_end(fd, &a));
		close(fd);
	}
	CHECK_INT(f->handled, 0);
	/* but one that is whole is answered after the sender has shut its side */
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nok")));
	shutdown(fd, SHUT_WR);
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 200);
	CHECK(client_at_end(fd, &a));
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_client_gone_is_visible_to_the_holder)
{
	struct fixture *f = fixture_new();
	fixture_start(f);
	int fd = client_open(f);
	struct linger reset = { 1, 0 };
	CHECK(client_send(fd, SLICE_LIT("GET /hold HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(fixture_wait_held(f, 1));
	CHECK(!http_request_gone(f->held[0]) && !http_request_peer_closed(f->held[0]));
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 1000 && !http_request_peer_closed(f->held[0]); i++)
		clock_sleep_us(1000);
	CHECK(http_request_peer_closed(f->held[0]) && !http_request_gone(f->held[0]));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	for (int i = 0; i < 1000 && !http_request_gone(f->held[0]); i++)
		clock_sleep_us(1000);
	CHECK(http_request_gone(f->held[0]));
	fixture_release(f);
	CHECK(fixture_wait_idle(f));
	fixture_free(f);
}

TEST(http_connections_over_the_limit_get_503)
{
	struct fixture *f = fixture_new();
	struct answer a;
	int fds[8];
	f->options.limits.max_connections = 8;
	fixture_start(f);
	answer_init(&a);
	for (int i = 0; i < 8; i++) {
		fds[i] = client_open(f);
		CHECK(client_send(fds[i], SLICE_LIT("GET /echo HTTP/1.1\r\n" HOST "\r\n")));
		CHECK(client_read(fds[i], &a, false));
	}
	int fd = client_open(f);
	CHECK(client_read(fd, &a, false));
	CHECK_INT(a.status, 503);
	close(fd);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	int status = 0;
	for (int i = 0; i < 100 && status != 200; i++) {
		clock_sleep_us(10000);
		status = ask(f, SLICE_LIT("GET /echo HTTP/1.1\r\n" HOST "\r\n"), &a);
	}
	CHECK_INT(status, 200);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_body_memory_is_kept_by_waiting_and_then_503)
{
	enum { MIB = 1 << 20, SIZE = 8 * MIB, N = 12 }; /* the least budget is 8 + 1 + 16 MiB: three of them */
	struct fixture *f = fixture_new();
	struct http_server_stats st;
	struct answer a;
	AUTO_BUF struct buf in;
	uint64_t most = 0;
	int fds[N];
	f->options.limits.body_bytes = SIZE;
	f->options.limits.memory_wait_us = 3000000;
	f->options.body_memory = 1;
	fixture_start(f);
	answer_init(&a);
	buf_init(&in, SIZE + 1000);
	buf_printf(&in, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
	size_t head = in.len;
	buf_reserve(&in, SIZE);
	memset(in.data + head, 'x', SIZE);
	in.len = head + SIZE;
	for (int i = 0; i < N; i++)
		fds[i] = client_open(f);
	/* each sends what the server and the kernel take without waiting */
	size_t at[N] = { 0 };
	int64_t start = clock_mono_us();
	bool released = false;
	int left = N, ok = 0, refused = 0;
	while (left && clock_mono_us() - start < 20000000) {
		for (int i = 0; i < N; i++) {
			if (fds[i] < 0)
				continue;
			if (at[i] < in.len) {
				ssize_t n = send(fds[i], in.data + at[i], in.len - at[i], MSG_DONTWAIT | MSG_NOSIGNAL);
				at[i] += n > 0 ? (size_t)n : 0;
			}
			char c[12];
			ssize_t n = recv(fds[i], c, sizeof(c), MSG_DONTWAIT | MSG_PEEK);
			if (n == 12) {
				ok += memcmp(c + 9, "200", 3) == 0;
				refused += memcmp(c + 9, "503", 3) == 0;
			}
			if (n == 12 || n == 0 || (n < 0 && errno != EAGAIN)) {
				close(fds[i]);
				fds[i] = -1;
				left--;
			}
		}
		http_server_get_stats(f->server, &st);
		most = st.body_memory > most ? st.body_memory : most;
		if (!released && clock_mono_us() - start > 2000000) {
			fixture_release(f);
			released = true;
		}
		if (clock_mono_us() - start > 6000000)
			fixture_release(f);
		clock_sleep_us(1000);
	}
	CHECK_INT(left, 0);
	CHECK(most <= 25 * MIB && most >= 16 * MIB);
	CHECK(ok >= 2 && refused >= 1 && ok + refused == N);
	CHECK(fixture_wait_idle(f));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_slow_bodies_give_way_when_memory_gets_short)
{
	enum { MIB = 1 << 20, SLOW = 3, SIZE = 4 * MIB };
	struct fixture *f = fixture_new();
	struct answer a;
	AUTO_BUF struct buf in;
	int slow[SLOW];
	f->options.limits.body_bytes = 8 * MIB; /* then the least budget is 25 MiB */
	f->options.body_memory = 1;
	fixture_start(f);
	answer_init(&a);
	buf_init(&in, SIZE + 1000);
	/* few bytes that take much: a zstd window of 8 MiB each, and a block that is not there yet */
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x00, 0x00, 0x10 };
	buf_printf(&in, "POST /length HTTP/1.1\r\n" HOST "Content-Encoding: zstd\r\nContent-Length: 1000000\r\n\r\n");
	buf_append(&in, frame, sizeof(frame));
	for (int i = 0; i < SLOW; i++) {
		slow[i] = client_open(f);
		CHECK(client_send(slow[i], buf_slice(&in)));
	}
	struct http_server_stats st = { 0 };
	for (int i = 0; i < 1000 && st.body_memory < 16 * MIB; i++) {
		clock_sleep_us(2000);
		http_server_get_stats(f->server, &st);
	}
	CHECK(st.body_memory >= 16 * MIB);
	clock_sleep_us(1100000);
	buf_reset(&in);
	buf_printf(&in, "POST /length HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
	buf_reserve(&in, SIZE);
	memset(in.data + in.len, 'x', SIZE);
	in.len += SIZE;
	int64_t start = clock_mono_us();
	CHECK_INT(ask(f, buf_slice(&in), &a), 200);
	CHECK(clock_mono_us() - start < 4000000); /* not after body_time, nor 503 after memory_wait */
	int gave_way = 0;
	for (int i = 0; i < SLOW; i++) { /* as many as it took */
		char said[12];
		if (recv(slow[i], said, sizeof(said), MSG_DONTWAIT) == 12)
			gave_way += memcmp(said + 9, "408", 3) == 0;
		close(slow[i]);
	}
	CHECK(gave_way >= 1);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_uploads_that_stand_still_do_not_keep_the_memory_from_others)
{
	enum { MIB = 1 << 20, STALLED = 3, SIZE = 8 * MIB };
	struct fixture *f = fixture_new();
	struct http_server_stats st = { 0 };
	struct answer a;
	AUTO_BUF struct buf in;
	int stalled[STALLED];
	f->options.limits.body_bytes = SIZE; /* then the least budget is 25 MiB: three bodies */
	f->options.body_memory = 1;
	fixture_start(f);
	answer_init(&a);
	buf_init(&in, SIZE + 1000);
	buf_printf(&in, "POST /length HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
	buf_reserve(&in, SIZE);
	memset(in.data + in.len, 'x', SIZE);
	in.len += SIZE;
	for (int i = 0; i < STALLED; i++) { /* all but the last byte, as fast as they can */
		stalled[i] = client_open(f);
		CHECK(client_send(stalled[i], slice_of(in.data, in.len - 1)));
	}
	for (int i = 0; i < 1000 && st.body_memory < 3 * SIZE; i++) {
		clock_sleep_us(2000);
		http_server_get_stats(f->server, &st);
	}
	CHECK(st.body_memory >= 3 * SIZE);
	clock_sleep_us(2200000);
	int64_t start = clock_mono_us();
	CHECK_INT(ask(f, buf_slice(&in), &a), 200);
	CHECK(clock_mono_us() - start < 4000000); /* not 503 after memory_wait, nor what they sent at body_rate: 8 minutes */
	for (int i = 0; i < STALLED; i++)
		close(stalled[i]);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_input_of_requests_that_wait_for_memory_is_bounded)
{
	enum { MIB = 1 << 20, SIZE = 8 * MIB, HELD = 3, N = 80 };
	struct fixture *f = fixture_new();
	struct answer a;
	AUTO_BUF struct buf in;
	int held[HELD], fds[N], refused = 0;
	f->options.limits.body_bytes = SIZE; /* the least budget is 25 MiB, an eighth of it for the input of those that wait */
	f->options.limits.memory_wait_us = 60000000;
	f->options.body_memory = 1;
	fixture_start(f);
	answer_init(&a);
	buf_init(&in, SIZE + 1000);
	buf_printf(&in, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", SIZE);
	buf_reserve(&in, SIZE);
	memset(in.data + in.len, 'x', SIZE);
	in.len += SIZE;
	for (int i = 0; i < HELD; i++) {
		held[i] = client_open(f);
		CHECK(client_send(held[i], buf_slice(&in)));
	}
	CHECK(fixture_wait_held(f, HELD));
	for (int i = 0; i < N; i++) { /* 64 KiB each, which fit into the sockets: 5 MiB, of which 1 + 3 MiB have room */
		fds[i] = client_open(f);
		CHECK(client_send(fds[i], slice_of(in.data, 64 * 1024)));
	}
	for (int tries = 0; tries < 500 && refused < 5; tries++) {
		clock_sleep_us(10000);
		refused = 0;
		for (int i = 0; i < N; i++) {
			char said[12];
			refused += recv(fds[i], said, sizeof(said), MSG_PEEK | MSG_DONTWAIT) == 12 && !memcmp(said + 9, "503", 3);
		}
	}
	CHECK(refused >= 5 && refused < N - 20);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	fixture_release(f);
	for (int i = 0; i < HELD; i++) {
		CHECK(client_read(held[i], &a, false));
		CHECK_INT(a.status, 200);
		close(held[i]);
	}
	CHECK(fixture_wait_idle(f));
	answer_free(&a);
	fixture_free(f);
}

TEST(http_client_that_does_not_read_its_answers_gets_no_more_work)
{
	enum { REQUESTS = 2000, SIZE = 4000 };
	struct fixture *f = fixture_new();
	struct answer a;
	AUTO_BUF struct buf one;
	fixture_start(f);
	answer_init(&a);
	buf_init(&one, 100000);
	buf_printf(&one, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n%0*d", SIZE, SIZE, 0);
	int fd = client_open(f), small = 65536, sent = 0;
	size_t at = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* much less, and the kernels wait for each other's timers below: minutes */
	for (int idle = 0; idle < 100 && sent < REQUESTS;) {
		ssize_t n = send(fd, one.data + at, one.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0) {
			clock_sleep_us(2000);
			idle++;
			continue;
		}
		idle = 0;
		at = (at + (size_t)n) % one.len;
		sent += at == 0;
	}
	pthread_mutex_lock(&f->lock);
	unsigned handled = f->handled;
	pthread_mutex_unlock(&f->lock);
	CHECK(handled > 10 && handled < 500); /* 64 KiB here, 64 KiB and what is on the wire in the kernel */
	int answered = 0;
	while (answered < sent && client_read(fd, &a, false) && a.status == 200 && a.body.len == SIZE)
		answered++;
	CHECK_INT(answered, sent);
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_reader_that_crawls_does_not_keep_its_answer_for_ever)
{
	enum { PIECE = 32 * 1024 };
	struct fixture *f = fixture_new();
	static uint8_t piece[PIECE];
	f->options.limits.idle_time_us = 2000000;
	f->options.limits.body_rate = 16 * 1024 * 1024; /* the least rate is 1 MiB/s */
	fixture_start(f);
	int fd = client_open(f), small = PIECE;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	CHECK(client_send(fd, SLICE_LIT("GET /stream?bytes=1000000000 HTTP/1.1\r\n" HOST "\r\n")));
	int64_t start = clock_mono_us();
	while (clock_mono_us() - start < 10000000 && fixture_stream_rc(f) == RC_OK) { /* over 64 KiB/s, never idle for long */
		for (size_t got = 0; got < PIECE;) {
			ssize_t n = recv(fd, piece, PIECE - got, 0);
			if (n <= 0)
				break;
			got += (size_t)n;
		}
		clock_sleep_us(300000);
	}
	CHECK(clock_mono_us() - start >= 1500000);
	CHECK_INT(fixture_stream_rc(f), RC_CANCELLED);
	close(fd);
	fixture_free(f);
}

/* The bytes that a reader gets who is at rest for three times idle_time, and then reads all. */
static uint64_t got_after_rest(struct fixture *f, const char *target)
{
	static uint8_t piece[256 * 1024];
	char request[128];
	int fd = client_open(f);
	uint64_t got = 0;
	snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", target);
	bool begun = client_send(fd, slice_str(request)) && recv(fd, piece, 1, 0) == 1;
	clock_sleep_us(1500000);
	for (ssize_t n; begun && (n = recv(fd, piece, sizeof piece, 0)) > 0; got += (uint64_t)n)
		;
	close(fd);
	return got;
}

TEST(http_reader_at_rest_gets_all_of_an_answer_that_has_patience)
{
	enum { ALL = 20 * 1000 * 1000 };
	struct fixture *f = fixture_new();
	f->options.limits.idle_time_us = 500000;
	fixture_start(f);
	CHECK(got_after_rest(f, "/stream?bytes=20000000&patient=1") > ALL);
	CHECK(got_after_rest(f, "/stream?bytes=20000000") < ALL);
	fixture_free(f);
}

TEST(http_patience_is_for_few_at_a_time_and_is_given_back)
{
	struct fixture *f = fixture_new();
	int fds[HTTP_PATIENT_MAX];
	f->options.limits.idle_time_us = 500000;
	fixture_start(f);
	for (int i = 0; i < HTTP_PATIENT_MAX; i++) {
		fds[i] = client_open(f);
		CHECK(client_send(fds[i], SLICE_LIT("GET /stream?bytes=20000000&patient=1 HTTP/1.1\r\n" HOST "\r\n")));
	}
	for (int i = 0; i < HTTP_PATIENT_MAX; i++) {
		char first;
		CHECK_INT(recv(fds[i], &first, 1, 0), 1); /* it has its patience */
	}
	CHECK(got_after_rest(f, "/stream?bytes=20000000&patient=1") < 20000000);
	for (int i = 0; i < HTTP_PATIENT_MAX; i++)
		close(fds[i]);
	CHECK(fixture_wait_idle(f));
	CHECK(got_after_rest(f, "/stream?bytes=20000000&patient=1") > 20000000);
	fixture_free(f);
}

TEST(http_drain_finishes_running_requests_and_closes_the_rest)
{
	struct fixture *f = fixture_new();
	struct answer a;
	struct err err;
	fixture_start(f);
	answer_init(&a);
	int idle = client_open(f), busy = client_open(f), reading = client_open(f);
	CHECK(client_send(idle, SLICE_LIT("GET /echo HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(client_read(idle, &a, false));
	CHECK(!a.close);
	CHECK(client_send(busy, SLICE_LIT("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
					  "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n2")));
	CHECK(client_send(reading, SLICE_LIT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na")));
	CHECK(fixture_wait_held(f, 2));
	struct http_server_stats st = { 0 };
	for (int i = 0; i < 1000 && st.requests < 4; i++) { /* the head of the last one, too */
		clock_sleep_us(2000);
		http_server_get_stats(f->server, &st);
	}
	CHECK_RC(http_server_drain(f->server, clock_mono_us() + 200000, &err), RC_AGAIN);
	CHECK(client_at_end(idle, &a));
	close(idle);
	CHECK(client_send(reading, SLICE_LIT("bc")));
	CHECK(client_read(reading, &a, false));
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("abc"));
	CHECK(a.close && client_at_end(reading, &a));
	close(reading);
	fixture_release(f);
	CHECK(client_read(busy, &a, false));
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("1"));
	CHECK(client_read(busy, &a, false));
	CHECK_SLICE(buf_slice(&a.body), SLICE_LIT("2"));
	CHECK(a.close && client_at_end(busy, &a));
	close(busy);
	CHECK_INT(client_open(f), -1);
	CHECK_OK(http_server_drain(f->server, clock_mono_us() + 3000000, &err), err);
	answer_free(&a);
	fixture_free(f);
}

TEST(http_stop_leaves_held_requests_valid_until_they_are_answered)
{
	struct fixture *f = fixture_new();
	fixture_start(f);
	int fd = client_open(f), stream = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1POST /hold HTTP/1.1\r\n" HOST
					"Content-Length: 1\r\n\r\n1")));
	CHECK(client_send(stream, SLICE_LIT("GET /stream?bytes=99999999999 HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(fixture_wait_held(f, 2));
	clock_sleep_us(50000);
	http_server_stop(f->server);
	CHECK(http_request_gone(f->held[0]));
	CHECK_SLICE(http_request_body(f->held[0]), SLICE_LIT("1"));
	fixture_release(f);
	for (int i = 0; i < 1000 && fixture_stream_rc(f) != RC_CANCELLED; i++)
		clock_sleep_us(2000);
	CHECK_RC(fixture_stream_rc(f), RC_CANCELLED);
	fixture_free(f);
	close(fd);
	close(stream);
}

TEST(http_listen_errors_tell_what_to_do)
{
	static const char *const wrong[] = { "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "[::1]", ":80", "[]:80" };
	struct fixture *f = fixture_new();
	struct http_server *s = NULL;
	struct err err;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		f->options.listen = wrong[i];
		CHECK_RC(http_server_start(&f->options, &s, &err), RC_INVALID);
		CHECK(strstr(err.text, "HOST:PORT"));
	}
	f->options.listen = "127.0.0.1:0";
	fixture_start(f);
	f->options.listen = http_server_address(f->server);
	CHECK_RC(http_server_start(&f->options, &s, &err), RC_CONFLICT);
	CHECK(strstr(err.text, "--listen"));
	fixture_free(f);
}

#ifdef __SANITIZE_THREAD__
#define IDLE_WAKES 30
#else
#define IDLE_WAKES 4
#endif

TEST(http_idle_server_does_not_wake_up)
{
	struct fixture *f = fixture_new();
	struct answer a;
	struct rusage before, after;
	fixture_start(f);
	answer_init(&a);
	int fd = client_open(f);
	CHECK(client_send(fd, SLICE_LIT("GET /echo HTTP/1.1\r\n" HOST "\r\n")));
	CHECK(client_read(fd, &a, false));
	clock_sleep_us(100000);
	getrusage(RUSAGE_SELF, &before);
	clock_sleep_us(1000000);
	getrusage(RUSAGE_SELF, &after);
	/* this sleep itself, and what the system adds; the thread sanitizer has a thread that looks around */
	CHECK(after.ru_nvcsw - before.ru_nvcsw <= IDLE_WAKES);
	close(fd);
	answer_free(&a);
	fixture_free(f);
}

/* ---- many at once ---- */

struct load {
	struct fixture *f;
	unsigned seed, done;
	bool ok;
};

static void *load_run(void *arg)
{
	struct load *w = arg;
	struct answer a;
	int fd = client_open(w->f);
	answer_init(&a);
	w->ok = fd >= 0;
	for (int i = 0; i < 150 && w->ok; i++) {
		char in[4096];
		unsigned depth = 1 + (w->seed = w->seed * 1103515245 + 12345) / 65536 % 8;
		size_t len = 0;
		for (unsigned k = 0; k < depth; k++)
			len += (size_t)snprintf(in + len, sizeof(in) - len, "POST /%s HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\n%03d-%02d",
						(w->seed >> (16 + k)) % 16 ? "echo" : "later", i % 1000, k % 100);
		w->ok = client_send(fd, slice_of(in, len));
		for (unsigned k = 0; k < depth && w->ok; k++) {
			char want[32];
			snprintf(want, sizeof(want), "%03d-%02d", i % 1000, k % 100);
			w->ok = client_read(fd, &a, false) && a.status == 200 && slice_eq_str(buf_slice(&a.body), want);
			w->done++;
		}
		if (i % 40 == 39) {
			close(fd);
			fd = client_open(w->f);
		}
	}
	close(fd);
	answer_free(&a);
	return NULL;
}

TEST(http_many_clients_among_slow_ones_get_their_own_answers)
{
	enum { LOADS = 8, SLOW = 400 };
	struct fixture *f = fixture_new();
	struct load w[LOADS];
	pthread_t t[LOADS];
	int slow[SLOW];
	fixture_start(f);
	for (int i = 0; i < SLOW; i++) {
		slow[i] = client_open(f);
		CHECK(slow[i] >= 0);
		client_send(slow[i], slice_str(i % 2 ? "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 50000000\r\n\r\nabc" : "GET / HT"));
	}
	for (int i = 0; i < LOADS; i++) {
		w[i] = (struct load){ .f = f, .seed = (unsigned)i };
		pthread_create(&t[i], NULL, load_run, &w[i]);
	}
	for (int i = 0; i < LOADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < LOADS; i++)
		CHECK(w[i].ok);
	for (int i = 0; i < SLOW; i++)
		close(slow[i]);
	CHECK(fixture_wait_idle(f));
	fixture_free(f);
}

TEST_MAIN()
