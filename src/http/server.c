#include "http/http_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"

enum {
	LOOPS_MAX = 64,
	BACKLOG = 4096,
	ACCEPT_BATCH = 64,              /* connections taken by one wake-up */
	ACCEPT_PAUSE_US = 100 * 1000,   /* after EMFILE and the like */
	UNSENT = 64 * 1024,             /* answers that the kernel keeps for a client that does not read them */
	SCRATCH = 128 * 1024            /* what one read can bring */
};

void http_server_options_init(struct http_server_options *o)
{
	*o = (struct http_server_options){
		.listen = "127.0.0.1:7311",
		.limits = { .header_bytes = 32 * 1024,
			    .target_bytes = 8 * 1024,
			    .header_count = 100,
			    .body_bytes = 64 * 1024 * 1024,
			    .pipelined = 128,
			    .max_connections = 10000,
			    .header_time_us = 10 * 1000000,
			    .body_time_us = 20 * 1000000,
			    .body_rate = 16 * 1024,
			    .idle_time_us = 75 * 1000000,
			    .memory_wait_us = 5 * 1000000 },
		.body_memory = 128 * 1024 * 1024,
	};
}

static void clamp_options(struct http_server_options *o)
{
	struct http_limits *m = &o->limits;
	m->header_bytes = m->header_bytes < 256 ? 256 : m->header_bytes > 1 << 20 ? 1 << 20 : m->header_bytes;
	m->target_bytes = m->target_bytes > m->header_bytes ? m->header_bytes : m->target_bytes;
	m->header_count = m->header_count > HTTP_HEAD_COUNT_MAX ? HTTP_HEAD_COUNT_MAX : m->header_count;
	m->pipelined = m->pipelined ? m->pipelined : 1;
	struct rlimit files; /* some are left for the files of whoever asked for us, whatever clients do */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && m->max_connections > files.rlim_cur / 4 * 3)
		m->max_connections = (unsigned)(files.rlim_cur / 4 * 3);
	m->body_rate = m->body_rate ? m->body_rate : 1;
	m->body_bytes = m->body_bytes > (size_t)1 << 30 ? (size_t)1 << 30 : m->body_bytes;
	/* One body at the limit, its inflater and some heads must fit, else it could never be taken. */
	uint64_t least = m->body_bytes + m->body_bytes / 8 + (16 << 20);
	o->body_memory = o->body_memory < least ? least : o->body_memory;
	if (!o->loops) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);
		o->loops = cores < 1 ? 1 : (unsigned)cores;
	}
	o->loops = o->loops > LOOPS_MAX ? LOOPS_MAX : o->loops;
}

/* "host:port" or "[v6]:port" into its two parts. */
static bool split_listen(const char *text, char host[256], char port[8])
{
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;
	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return false;
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return false;
		from++;
		to--;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return false; /* an IPv6 address without brackets */
	}
	if (to <= from || to - from > 255)
		return false;
	snprintf(host, 256, "%.*s", (int)(to - from), from);
	snprintf(port, 8, "%s", colon + 1);
	return true;
}

static rc_t bind_one(struct http_server *s, const struct addrinfo *ai, struct err *reterr)
{
	const char *text = s->options.listen;
	int one = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(reterr, RC_IO, "cannot listen on %s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		rc_t rc = errno == EADDRINUSE ? err_set(reterr, RC_CONFLICT,
							"cannot listen on %s: another program does already; stop it or give another address "
							"with --listen", text) :
						err_errno(reterr, RC_IO, "cannot listen on %s", text);
		close(fd);
		return rc;
	}
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char host[64] = "", port[8] = "";
	if (getsockname(fd, (struct sockaddr *)&at, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV)) {
		close(fd);
		return err_set(reterr, RC_IO, "cannot listen on %s: the system does not tell the port", text);
	}
	s->port = (uint16_t)strtoul(port, NULL, 10);
	snprintf(s->address, sizeof(s->address), at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	s->listen_fd = fd;
	return RC_OK;
}

static rc_t open_listener(struct http_server *s, struct err *reterr)
{
	char host[256], port[8];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
	if (!s->options.listen || !split_listen(s->options.listen, host, port))
		return err_set(reterr, RC_INVALID, "cannot listen on '%s': give HOST:PORT, as in 127.0.0.1:7311 or [::1]:7311",
			       s->options.listen ? s->options.listen : "");
	int rc = getaddrinfo(host, port, &hints, &list);
	if (rc)
		return err_set(reterr, RC_INVALID, "cannot listen on %s: %s", s->options.listen, gai_strerror(rc));
	rc_t ret = bind_one(s, list, reterr);
	freeaddrinfo(list);
	return ret;
}

struct handoff {
	struct http_loop *l;
	int fd;
	struct sockaddr_storage peer;
	socklen_t peer_len;
};

static void take_handoff(void *ctx)
{
	struct handoff *h = ctx;
	loop_enter(h->l);
	if (atomic_load(&h->l->server->stopped)) {
		close(h->fd);
		atomic_fetch_sub(&h->l->connections, 1);
	} else {
		conn_start(h->l, h->fd, (struct sockaddr *)&h->peer, h->peer_len);
	}
	free(h);
}

static struct http_loop *least_loaded(struct http_server *s, uint64_t *ret_total)
{
	struct http_loop *best = &s->loops[0];
	uint64_t total = 0, fewest = UINT64_MAX;
	for (unsigned i = 0; i < s->loop_count; i++) {
		uint64_t n = atomic_load_explicit(&s->loops[i].connections, memory_order_relaxed);
		total += n;
		if (n < fewest) {
			fewest = n;
			best = &s->loops[i];
		}
	}
	*ret_total = total;
	return best;
}

static void refuse_connection(struct http_server *s, int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
				   "Connection: close\r\n\r\n"
				   "{\"error\":{\"code\":\"too_many_connections\",\"message\":\"too many connections: use fewer, or try again "
				   "later\"}}\n";
	if (!s->options.tls && send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
	stat_add(&s->refused, 1);
}

static void accept_ready(void *ctx, unsigned events)
{
	struct http_server *s = ctx;
	struct http_loop *first = &s->loops[0];
	loop_enter(first);
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int one = 1, unsent = UNSENT, fd = accept4(s->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			loop_modify(first->loop, first->listen_watch, 0, NULL);
			loop_timer_set(first->loop, &first->accept_timer, first->now + ACCEPT_PAUSE_US);
			return;
		}
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			continue; /* that client has gone again */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
		stat_add(&s->accepted, 1);
		uint64_t total;
		struct http_loop *l = least_loaded(s, &total);
		if (total >= s->options.limits.max_connections) {
			refuse_connection(s, fd);
			continue;
		}
		atomic_fetch_add(&l->connections, 1);
		if (l == first) {
			conn_start(l, fd, (struct sockaddr *)&peer, len);
			continue;
		}
		struct handoff *h = NEW(struct handoff);
		*h = (struct handoff){ l, fd, peer, len };
		loop_post(l->loop, take_handoff, h);
	}
}

static void accept_again(struct loop_timer *t)
{
	struct http_loop *l = (struct http_loop *)((char *)t - offsetof(struct http_loop, accept_timer));
	if (l->listen_watch)
		loop_modify(l->loop, l->listen_watch, LOOP_READ, NULL);
}

_Thread_local const struct http_loop *http_current_loop;

static void *loop_thread(void *arg)
{
	struct http_loop *l = arg;
	http_current_loop = l;
	loop_run(l->loop, NULL); /* fails only if epoll itself does: then nothing is answered any more, and drain tells */
	return NULL;
}

rc_t http_server_make(const struct http_server_options *o, struct http_server **ret, struct err *reterr)
{
	struct http_server *s = NEW(struct http_server);
	pthread_condattr_t monotonic;
	s->options = *o;
	clamp_options(&s->options);
	s->options.listen = o->listen ? mem_strdup(o->listen) : NULL;
	s->listen_fd = -1;
	s->loop_count = s->options.loops;
	s->loops = mem_zalloc(s->loop_count, sizeof(*s->loops));
	pthread_mutex_init(&s->drain_lock, NULL);
	pthread_mutex_init(&s->tls_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->drain_cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct http_loop *l = &s->loops[i];
		rc_t rc = loop_new(&l->loop, reterr);
		if (rc != RC_OK) {
			http_server_free(s);
			return rc;
		}
		l->server = s;
		l->index = i;
		l->now = clock_mono_us();
		l->wait_timer.fire = wait_fired;
		l->accept_timer.fire = accept_again;
		size_t head = s->options.limits.header_bytes;
		l->scratch_len = 4 * head > SCRATCH ? 4 * head : SCRATCH;
		l->scratch = mem_alloc(l->scratch_len);
	}
	*ret = s;
	return RC_OK;
}

static rc_t start_loops(struct http_server *s, struct err *reterr)
{
	struct http_loop *first = &s->loops[0];
	TRY(loop_add(first->loop, s->listen_fd, LOOP_READ, accept_ready, s, &first->listen_watch, reterr));
	for (unsigned i = 0; i < s->loop_count; i++) {
		struct http_loop *l = &s->loops[i];
		int rc = pthread_create(&l->thread, NULL, loop_thread, l);
		if (rc) {
			errno = rc;
			return err_errno(reterr, RC_IO, "http: cannot start a thread");
		}
		l->running = true;
	}
	return RC_OK;
}

rc_t http_server_start(const struct http_server_options *o, struct http_server **ret, struct err *reterr)
{
	struct http_server *s = NULL;
	TRY(http_server_make(o, &s, reterr));
	s->tls = o->tls;
	rc_t rc = open_listener(s, reterr);
	if (rc == RC_OK)
		rc = start_loops(s, reterr);
	if (rc != RC_OK) {
		s->tls = NULL; /* stays the caller's */
		http_server_free(s);
		return rc;
	}
	*ret = s;
	return RC_OK;
}

void http_server_renew_tls(struct http_server *s, struct http_tls *t)
{
	pthread_mutex_lock(&s->tls_lock);
	struct http_tls *old = s->tls;
	s->tls = t;
	pthread_mutex_unlock(&s->tls_lock);
	http_tls_free(old); /* connections hold what they need of it */
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

const char *http_server_address(const struct http_server *s)
{
	return s->address;
}

static uint64_t open_connections(const struct http_server *s)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < s->loop_count; i++)
		n += atomic_load(&s->loops[i].connections);
	return n;
}

void http_server_get_stats(const struct http_server *s, struct http_server_stats *ret)
{
	*ret = (struct http_server_stats){ .connections = open_connections(s),
					   .accepted = atomic_load(&s->accepted),
					   .refused = atomic_load(&s->refused),
					   .body_memory = atomic_load(&s->body_memory) };
	for (unsigned i = 0; i < s->loop_count; i++) {
		const struct http_loop *l = &s->loops[i];
		ret->requests += atomic_load(&l->requests);
		ret->in_work += atomic_load(&l->in_work);
		ret->bytes_in += atomic_load(&l->bytes_in);
		ret->bytes_out += atomic_load(&l->bytes_out);
		for (int k = 0; k < 6; k++)
			ret->responses[k] += atomic_load(&l->responses[k]);
	}
}

static void stop_accepting(struct http_loop *l)
{
	if (!l->listen_watch)
		return;
	loop_remove(l->loop, l->listen_watch);
	l->listen_watch = NULL;
	loop_timer_clear(l->loop, &l->accept_timer);
	close(l->server->listen_fd);
	l->server->listen_fd = -1;
}

static void drain_loop(void *ctx)
{
	struct http_loop *l = ctx;
	loop_enter(l);
	stop_accepting(l);
	for (struct conn *c = l->conns, *next; c; c = next) {
		next = c->next;
		conn_resume(c);
	}
}

rc_t http_server_drain(struct http_server *s, int64_t deadline, struct err *reterr)
{
	atomic_store(&s->draining, true);
	for (unsigned i = 0; i < s->loop_count; i++)
		if (s->loops[i].running)
			loop_post(s->loops[i].loop, drain_loop, &s->loops[i]);
	struct timespec until = { .tv_sec = deadline / 1000000, .tv_nsec = deadline % 1000000 * 1000 };
	int rc = 0;
	pthread_mutex_lock(&s->drain_lock);
	while (open_connections(s) && rc == 0)
		rc = pthread_cond_timedwait(&s->drain_cond, &s->drain_lock, &until);
	pthread_mutex_unlock(&s->drain_lock);
	uint64_t left = open_connections(s);
	if (left)
		return err_set(reterr, RC_AGAIN, "http: %llu connections were still at work when the time to finish was over",
			       (unsigned long long)left);
	return RC_OK;
}

static void stop_loop(void *ctx)
{
	struct http_loop *l = ctx;
	loop_enter(l);
	stop_accepting(l);
	for (struct conn *c = l->conns, *next; c; c = next) {
		next = c->next;
		conn_abort(c);
	}
	loop_stop(l->loop);
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	atomic_store(&s->stopped, true);
	atomic_store(&s->draining, true);
	for (unsigned i = 0; i < s->loop_count; i++)
		if (s->loops[i].running)
			loop_post(s->loops[i].loop, stop_loop, &s->loops[i]);
	for (unsigned i = 0; i < s->loop_count; i++) {
		if (!s->loops[i].running)
			continue;
		pthread_join(s->loops[i].thread, NULL);
		s->loops[i].running = false;
	}
}

static void loop_destroy(struct http_loop *l)
{
	if (!l->loop)
		return;
	loop_enter(l);
	while (l->conns) {
		struct conn *c = l->conns;
		l->conns = c->next;
		conn_free(c);
	}
	while (l->pool) {
		struct http_request *r = l->pool;
		l->pool = r->next;
		request_destroy(r);
	}
	for (unsigned i = 0; i < l->inflater_count; i++)
		http_inflater_free(l->inflaters[i]);
	loop_free(l->loop);
	free(l->scratch);
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	http_server_stop(s);
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_destroy(&s->loops[i]);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	pthread_cond_destroy(&s->drain_cond);
	pthread_mutex_destroy(&s->drain_lock);
	pthread_mutex_destroy(&s->tls_lock);
	http_tls_free(s->tls);
	free((char *)s->options.listen);
	free(s->loops);
	free(s);
}
