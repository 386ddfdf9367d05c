#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/config.h"
#include "base/log.h"
#include "os/clock.h"
#include "server/server.h"
#include "sql/sql.h"

#define LISTEN_DEFAULT "127.0.0.1:7311"
#define COMMAND_WAIT_US ((int64_t)5 * 1000000)
#define DRAIN_US ((int64_t)25 * 1000000)

static void end_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
}

/* Blocks SIGTERM, SIGINT and (where there is a file to read again) SIGHUP in this and all later threads; they are read from the returned descriptor. */
static int signals_open(void)
{
	sigset_t set;
	end_signals(&set);
	if (settings.file)
		sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* The next signal. Behind one that ends the process, a second one ends it as it always does. */
static uint32_t wait_for_signal(int fd)
{
	struct signalfd_siginfo info = { 0 };
	sigset_t set;
	while (read(fd, &info, sizeof info) < 0 && errno == EINTR)
		;
	if (info.ssi_signo == SIGHUP)
		return SIGHUP;
	end_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return info.ssi_signo;
}

/* The certificate, if there is to be one; *ret_pin: by what commands on this machine know it. */
static rc_t load_tls(struct http_tls **ret, char pin[HTTP_TLS_PIN_LEN + 1], struct err *reterr)
{
	const struct config *c = settings.file;
	pin[0] = 0;
	if (!c || !c->tls_cert)
		return RC_OK;
	TRY(http_tls_load(c->tls_cert, c->tls_key, ret, reterr));
	http_tls_pin(*ret, pin);
	return RC_OK;
}

/* Another server took our log over: the process ends as by a signal, says why, and is started again by whoever looks after it. */
static void on_fenced(void *ctx, const struct err *why)
{
	struct err *fenced = ctx;
	*fenced = *why;
	kill(getpid(), SIGTERM); /* read by wait_for_signal: a fence between two memories */
}

/* What waits goes into tables while the store lets us be asked: with `ack: store` nothing of the log is to stay behind. */
static void drain(struct pipeline *p)
{
	struct err err;
	if (pipeline_drain(p, &err) != RC_OK)
		log_warn("what waits stays in the lake's log, and the next start, or another server, puts it into tables: %s", err.text);
}

#define HANDLES 65536

/* A connection is a handle, and shells often begin with 1,024 of them. */
static void raise_handles(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= HANDLES || files.rlim_cur == files.rlim_max)
		return;
	files.rlim_cur = files.rlim_max < HANDLES ? files.rlim_max : HANDLES;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		log_warn("the limit of open files (ulimit -n) could not be raised: %s", strerror(errno));
}

/* Runs until a signal. The order at the end: no new requests, running ones are acked, the loop's commit ends, the log is closed. */
static rc_t serve(struct pipeline *p, const char *listen, int signals, const struct err *fenced, struct err *reterr)
{
	const struct config *c = settings.file;
	char pin[HTTP_TLS_PIN_LEN + 1];
	AUTO(http_tls) *tls = NULL;
	raise_handles();
	if (!sql_confined())
		log_warn("this kernel has no Landlock, or it is switched off: queries are kept from other files by DuckDB's own locks alone");
	TRY(load_tls(&tls, pin, reterr));
	TRY(config_note(pipeline_data_dir(p), c && c->rule_count ? settings.config : NULL, reterr));
	TRY(pipeline_start(p, reterr));
	uint64_t memory = (uint64_t)(settings.memory_bytes ? settings.memory_bytes : MEMORY_DEFAULT);
	struct server_options so = {
		.listen = listen,
		.token = settings.token,
		.tokens = c ? c->tokens : NULL,
		.token_count = c ? c->token_count : 0,
		.tls = tls,
		.pipeline = p,
		.sql_memory_bytes = memory * 3 / 8,
		.body_memory = memory * 3 / 16,
	};
	pipeline_backlog_limits(p, &so.soft_bytes, &so.share_bytes);
	AUTO(server) *server = NULL;
	TRY(server_start(&so, &server, reterr));
	tls = NULL;
	AUTO_MEM char *url = mem_printf("%s://%s", pin[0] ? "https" : "http", server_address(server));
	server_note(pipeline_data_dir(p), url, pin);
	log_info("hydrant %s ready on %s lake=%s", HYDRANT_VERSION, url, settings.lake);
	notify_ready(url);
	while (wait_for_signal(signals) == SIGHUP)
		serve_reload(server, p, listen, url);
	notify_stopping();
	log_info("draining: running requests are answered, new connections refused; a second signal ends at once");
	server_note(pipeline_data_dir(p), NULL, NULL);
	server_drain(server, clock_mono_us() + DRAIN_US);
	if (fenced->rc == RC_OK)
		drain(p);
	pipeline_stop(p);
	if (fenced->rc != RC_OK)
		*reterr = *fenced;
	return fenced->rc;
}

int cmd_serve(int argc, char **argv)
{
	int code;
	const struct command *c = command_find("serve");
	bool salvage = false, quiet = false, check = false;
	const struct option_def defs[] = {
		{ "--listen", OPTION_TEXT, &settings.listen, "address (default " LISTEN_DEFAULT "; port 0: any free one)", "HOST:PORT" },
		{ "--insecure", OPTION_FLAG, &settings.insecure, "listen beyond loopback without a token", NULL },
		{ "--ack", OPTION_TEXT, &settings.ack, "what a 200 means: `disk` (default), or `store`: in the lake's store, too", "disk|store" },
		{ "--salvage", OPTION_FLAG, &salvage, "start on a damaged log, giving up its damaged records", NULL },
		{ "--check", OPTION_FLAG, &check, "look at the config file, say everything that is wrong with it, and end", NULL },
		{ "--quiet", OPTION_FLAG, &quiet, "log only warnings and errors", NULL },
		{ 0 },
	};
	if (!options_parse(c, &argc, argv, defs, 0, 0, &code))
		return code;
	if (quiet)
		log_set_level(LOG_WARN);
	const char *listen = settings.listen ? settings.listen : LISTEN_DEFAULT;
	if (check)
		return serve_check(listen);
	struct err err, fenced = { 0 };
	rc_t where = settings_data_dir(&err);
	if (where != RC_OK)
		return where == RC_INVALID ? usage_error("serve", "%s", err.text) : fail(&err);
	if (listen_check(listen, settings.token || (settings.file && settings.file->token_count), &err) != RC_OK)
		return usage_error("serve", "%s", err.text);
	int signals = signals_open();
	AUTO_MEM char *holder = mem_printf("hydrant serve (pid %d) on %s", (int)getpid(), listen);
	struct pipeline_options po;
	pipeline_options_from_settings(&po);
	po.holder = holder;
	po.salvage = salvage;
	po.fenced = on_fenced;
	po.fenced_ctx = &fenced;
	struct pipeline *p = NULL;
	rc_t rc;
	int64_t deadline = clock_mono_us() + COMMAND_WAIT_US;
	while ((rc = pipeline_open(&po, &p, &err)) == RC_CONFLICT && strstr(err.text, "a hydrant command") && clock_mono_us() < deadline)
		clock_sleep_us(50000); /* a query is soon done */
	if (rc == RC_CONFLICT) {
		char text[sizeof err.text];
		snprintf(text, sizeof text, "%s", err.text);
		err_set(&err, RC_CONFLICT, "the lake %s is already served: its data folder is in use by %s; stop that one, or use another --lake or --data",
			settings.lake, text);
	}
	if (rc == RC_OK) {
		rc = serve(p, listen, signals, &fenced, &err);
		pipeline_close(p);
	}
	close(signals);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}
