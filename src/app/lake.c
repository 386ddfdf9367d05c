/* How a command finds the lake: opened here, or through the server that holds its data folder. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "base/log.h"
#include "net/client.h"
#include "os/clock.h"
#include "os/file.h"

#define NOTE_MAX 4096
#define LOCK_WAIT_US ((int64_t)5 * 1000000) /* for whoever holds the data folder and is no server that can be asked */
#define LOCK_POLL_US 20000

static char *note_path(const char *data_dir)
{
	return mem_printf("%s/server.json", data_dir);
}

static char *server_pin; /* of the server that was found through its note; NULL: none, or without TLS */

void server_note(const char *data_dir, const char *url, const char *pin)
{
	AUTO_MEM char *path = note_path(data_dir);
	AUTO_MEM char *text = mem_printf("{\"url\": \"%s\", \"pid\": %d, \"key\": \"%s\"}\n", url ? url : "", (int)getpid(), pin ? pin : "");
	struct err err;
	rc_t rc = url ? file_replace_atomic(path, slice_str(text), &err) : file_remove(path, &err);
	if (rc != RC_OK && url) /* on a full disk a server has to start all the same: it makes room */
		log_warn("commands do not find this server by themselves: give them --server %s (%s)", url, err.text);
}

/* The URL in the note, or NULL. Caller frees. *ret_alive: the process that wrote it runs (false, too, if it is in another container). */
static char *read_note(const char *data_dir, bool *ret_alive)
{
	*ret_alive = false;
	AUTO_MEM char *path = note_path(data_dir);
	AUTO_BUF struct buf text;
	buf_init(&text, NOTE_MAX);
	if (file_read_all(path, &text, NULL) != RC_OK)
		return NULL;
	json_t *o = json_loadb((const char *)text.data, text.len, 0, NULL);
	const char *url = json_string_value(json_object_get(o, "url"));
	char *copy = url ? mem_strdup(url) : NULL;
	const char *pin = json_string_value(json_object_get(o, "key"));
	free(server_pin);
	server_pin = pin && *pin ? mem_strdup(pin) : NULL;
	pid_t pid = (pid_t)json_integer_value(json_object_get(o, "pid"));
	*ret_alive = url && pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
	json_decref(o);
	return copy;
}

rc_t lake_open(bool read_only, struct pipeline **ret, char **ret_server, struct err *reterr)
{
	*ret = NULL;
	*ret_server = NULL;
	if (settings.server) {
		*ret_server = mem_strdup(settings.server);
		return RC_OK;
	}
	if (read_only && !strstr(settings.lake, "://") && file_stat(settings.lake, NULL, NULL, NULL, NULL) == RC_NOT_FOUND)
		return err_set(reterr, RC_NOT_FOUND, "there is no lake at %s; name it with --lake DIR or HYDRANT_LAKE", settings.lake);
	AUTO_MEM char *holder = mem_printf("a hydrant command (pid %d)", (int)getpid());
	struct pipeline_options po;
	pipeline_options_from_settings(&po);
	po.read_only = read_only;
	po.holder = holder;
	AUTO_MEM char *data = settings.data ? mem_strdup(settings.data) : pipeline_default_data_dir(settings.lake);
	/* Another command is soon done, and a server that starts has not written its note yet, or the one of a killed server stands there. */
	for (int64_t deadline = clock_mono_us() + LOCK_WAIT_US;;) {
		rc_t rc = pipeline_open(&po, ret, reterr);
		if (rc != RC_CONFLICT)
			return rc;
		bool alive, late = clock_mono_us() >= deadline;
		char *url = read_note(data, &alive);
		if (url && (alive || late)) {
			*ret_server = url;
			return RC_OK;
		}
		free(url);
		if (late)
			break;
		clock_sleep_us(LOCK_POLL_US);
	}
	char text[sizeof reterr->text];
	snprintf(text, sizeof text, "%s", reterr->text);
	return err_set(reterr, RC_CONFLICT, "%s is in use by %s; wait for it, or use another --data DIR", data, text);
}

struct remote_out {
	struct buf *ret; /* NULL: stdout */
};

static rc_t remote_body(void *ctx, struct slice piece, struct err *reterr)
{
	struct remote_out *o = ctx;
	if (o->ret)
		buf_append_slice(o->ret, piece);
	else if (fwrite(piece.data, 1, piece.len, stdout) != piece.len)
		return err_errno(reterr, RC_CANCELLED, "cannot write to standard output");
	return RC_OK;
}

static void remote_header(void *ctx, struct slice line)
{
	static const char name[] = "x-hydrant-note: ";
	(void)ctx;
	size_t n = sizeof name - 1;
	if (line.len > n && strncasecmp((const char *)line.data, name, n) == 0)
		fprintf(stderr, "%.*s\n", (int)(line.len - n), (const char *)line.data + n);
}

/* The server's {"error":{"message":…}} as our error. */
static rc_t remote_error(const char *url, int status, const struct buf *body, struct err *reterr)
{
	json_t *o = json_loadb((const char *)body->data, body->len, 0, NULL);
	const char *message = json_string_value(json_object_get(json_object_get(o, "error"), "message"));
	rc_t rc = message && status == 401 ? err_set(reterr, RC_INVALID, "the server wants a token: set HYDRANT_TOKEN")
		  : message ? err_set(reterr, RC_INVALID, "%s", message)
			  : err_set(reterr, RC_IO, "the server at %s answered %d", url, status);
	json_decref(o);
	return rc;
}

static rc_t take_piece(void *ctx, struct slice piece, struct err *reterr)
{
	struct remote_taker *t = ctx;
	t->begun = true;
	rc_t rc = t->on_body(t->ctx, piece, reterr);
	t->failed = rc != RC_OK;
	return rc;
}

rc_t remote_stream(const char *server, const char *method, const char *path, struct slice body, struct remote_taker *taker, struct err *reterr)
{
	AUTO(net_client) *client = NULL;
	TRY(net_client_new(&client, reterr));
	AUTO_MEM char *url = mem_printf("%s%s", server, path);
	AUTO_MEM char *token = settings.token ? mem_printf("Authorization: Bearer %s", settings.token) : NULL;
	const char *headers[] = { "Content-Type: application/json", token, NULL };
	struct net_call call = {
		.method = method,
		.url = url,
		.headers = headers,
		.body = body,
		.pinned_key = server_pin,
		.ca_file = getenv("SSL_CERT_FILE"),
		.idle_us = taker->patient ? NET_NEVER : (int64_t)3600 * 1000000, /* a long query is silent for long */
		.cancel = taker->cancel,
		.on_body = take_piece,
		.on_header = remote_header,
		.ctx = taker,
	};
	int status = 0;
	AUTO_BUF struct buf error;
	buf_init(&error, 1 << 20);
	rc_t rc = net_request(client, &call, &status, &error, reterr);
	if (rc == RC_IO && !taker->failed) {
		char text[sizeof reterr->text];
		snprintf(text, sizeof text, "%s", reterr->text);
		return taker->begun ? err_set(reterr, RC_IO, "the answer of the server at %s broke off; if it failed there, its log says why (%s)", server, text)
				   : err_set(reterr, RC_IO, "the server at %s does not answer (%s)", server, text);
	}
	TRY(rc);
	return status / 100 == 2 ? RC_OK : remote_error(server, status, &error, reterr);
}

rc_t remote_call(const char *server, const char *method, const char *path, struct slice body, struct buf *ret, struct err *reterr)
{
	struct remote_out out = { ret };
	struct remote_taker taker = { .on_body = remote_body, .ctx = &out };
	return remote_stream(server, method, path, body, &taker, reterr);
}
