/* The program: its commands, their options, and how they find the lake. */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdint.h>

#include "base/err.h"
#include "pipeline/pipeline.h"

/* Exit codes of the contract. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum option_type { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_TIME, OPTION_LIST };
#define OPTION_LIST_MAX 16
struct option_def {
	const char *name; /* "--limit" */
	enum option_type type;
	void *target;     /* bool, const char *, int64_t, int64_t (µs), const char *[OPTION_LIST_MAX + 1], all NULL at first */
	const char *help; /* one line; "" = hidden */
	const char *value; /* what it takes, for the help: "N" */
};

struct command {
	const char *name;
	const char *usage;   /* after "hydrant NAME " */
	const char *summary; /* one line */
	const char *help;    /* more lines, or NULL */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};
extern const struct command commands[]; /* ends with a NULL name */
const struct command *command_find(const char *name);

/* Global options, from command line, environment and config file in that order. */
struct settings {
	const char *config;
	const char *lake;
	const char *data;    /* NULL: the lake's own */
	const char *server;  /* URL of a running server, NULL: found through the data folder */
	const char *listen;
	const char *token;
	const char *time_field, *id_field;
	const char *ack;     /* "disk" or "store"; NULL: not said */
	int64_t adopt_after_us;
	int64_t commit_busy_us, commit_idle_us, retention_us, file_bytes, log_bytes, collection_bytes, memory_bytes;
	bool insecure;
	struct config *file;  /* NULL: none */
};
extern struct settings settings;
/* MEMORY, the budget of a process and its query children (default 512 MiB): a quarter for columns being filled, three eighths for SQL, three
 * sixteenths for request bodies; the rest is for the log's buffers, hot files, and the program itself. */
#define MEMORY_DEFAULT ((int64_t)512 << 20)
/* Takes --config, --lake, … out of argv wherever they stand; reads environment and config. EXIT_DONE or EXIT_USAGE. */
int settings_take(int *argc, char **argv);
/* Remembers the config file in the data folder, for commands that are told of the lake only; path NULL: forgets it. */
rc_t config_note(const char *data_dir, const char *path, struct err *reterr);
/* What the config file says of reaching this place; NULL: nothing. */
const struct store_options *settings_store(const char *url);
void pipeline_options_from_settings(struct pipeline_options *ret);
#define ADOPT_AFTER_MIN_US ((int64_t)4 * 1000000)
#define ADOPT_AFTER_MAX_US ((int64_t)7 * 86400 * 1000000)
/* With `ack: store` a lake in a bucket needs no folder of its own for the log: one in TMPDIR, found again by the lake's name. */
rc_t settings_data_dir(struct err *reterr);

/* Parses a command's options: those of `defs` (ends with a NULL name) anywhere in argv; the rest stays as arguments, between min and max
 * (-1: any) of them. -h prints the help. Returns true to go on; false: *ret_exit is the exit code. */
bool options_parse(const struct command *c, int *argc, char **argv, const struct option_def *defs, int min, int max, int *ret_exit);
int usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fail(const struct err *err);
/* "12.3 MB", "1.2 GB" (decimal); out holds 16 bytes. */
void format_bytes(uint64_t bytes, char out[16]);
/* "1,234,567"; out holds 32 bytes. */
void format_count(uint64_t n, char out[32]);

/* Progress on a terminal: one line that is redrawn, with rate and time left; otherwise nothing, or a plain line every 10 s. */
struct progress {
	const char *what;
	bool terminal;
	int64_t start, last;
	bool drawn;
};
void progress_begin(struct progress *p, const char *what);
void progress_update(void *p, uint64_t done, uint64_t total, uint64_t events);
void progress_end(struct progress *p);

/* convert_stats.c */
struct convert_result;
void convert_stats_print(const struct convert_result *r);

/* Opens the lake for a command. If a server holds it, *ret stays NULL and *ret_server is its URL (caller frees). */
rc_t lake_open(bool read_only, struct pipeline **ret, char **ret_server, struct err *reterr);
/* Writes a running server's URL where commands find it, or logs why not, and takes it away again. */
void server_note(const char *data_dir, const char *url, const char *pin); /* pin: with TLS, http_tls_pin; url NULL: away */
/* temp_data.c: BASE-ingest-PID, which is yet to be made, for a command beside a server. To be begun before any other thread: it is removed at the end
 * and by SIGINT, SIGTERM and SIGHUP, which end the process. Older ones that nobody uses are swept. */
struct temp_data;
struct temp_data *temp_data_begin(const char *base);
const char *temp_data_path(const struct temp_data *t);
void temp_data_end(struct temp_data *t); /* NULL is fine */
/* One call to the server; a 2xx body goes to stdout (or to *ret if given). Errors are the server's words. */
rc_t remote_call(const char *server, const char *method, const char *path, struct slice body, struct buf *ret, struct err *reterr);

/* The same, streamed. */
struct remote_taker {
	rc_t (*on_body)(void *ctx, struct slice piece, struct err *reterr);
	void *ctx;
	const bool *cancel; /* ends it within about a second, RC_CANCELLED; may be NULL */
	bool patient;       /* the server may be silent for as long as it likes; else for an hour */
	bool failed;        /* result: it was on_body that ended it */
	bool begun;         /* result: an answer came, in part at least */
};
rc_t remote_stream(const char *server, const char *method, const char *path, struct slice body, struct remote_taker *taker, struct err *reterr);

/* serve_reload.c, notify.c */
struct server;
struct config;
/* Reads the config file again. What cannot be applied is logged, and all stays as it was. */
void serve_reload(struct server *s, struct pipeline *p, const char *listen, const char *url);
/* `serve --check`: every problem on stderr. */
int serve_check(const char *listen);
/* What is wrong with listening there, or RC_OK. guarded: there is a token. */
rc_t listen_check(const char *listen, bool guarded, struct err *reterr);
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);

int cmd_serve(int argc, char **argv);
int cmd_ingest(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_query(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_collections(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_expire(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
