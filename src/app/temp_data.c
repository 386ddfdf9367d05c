/* The data folder of a command that works beside a server: gone when it ends, also by Ctrl-C; what kill -9 and power cuts leave, the next one sweeps. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "os/file.h"

#define LEFT_SECONDS 86400
#define REMOVE_TRIES 3 /* beside threads that still write into it */

struct temp_data {
	char *path;
	sigset_t set;
	pthread_t thread;
	bool watched;
};

static void remove_all(const char *path)
{
	for (int i = 0; i < REMOVE_TRIES && dir_remove_tree(path, NULL) != RC_OK; i++)
		;
}

/* What is committed stands, and what is not is not begun: there is nothing else to wait for. */
static void *end_by_signal(void *arg)
{
	struct temp_data *t = arg;
	int number;
	if (sigwait(&t->set, &number) != 0)
		return NULL;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	remove_all(t->path);
	pthread_sigmask(SIG_UNBLOCK, &t->set, NULL);
	raise(number);
	_exit(128 + number);
}

/* Signals that would end the process: not those that it was told to ignore (nohup). */
static void ending_signals(sigset_t *ret)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	sigemptyset(ret);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct sigaction now;
		if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaddset(ret, numbers[i]);
	}
}

struct left {
	const char *folder, *prefix;
};

/* One of ours, old, and nobody holds its lock: by that, not by the process id, which another one may have, or which says nothing in a container. */
static rc_t sweep_left(void *ctx, const char *name, bool is_dir)
{
	const struct left *l = ctx;
	size_t n = strlen(l->prefix);
	if (!is_dir || strncmp(name, l->prefix, n) != 0 || !name[n] || strspn(name + n, "0123456789") != strlen(name + n))
		return RC_OK;
	AUTO_MEM char *path = mem_printf("%s/%s", l->folder, name);
	AUTO_MEM char *lock = mem_printf("%s/lock", path);
	struct stat st;
	int fd;
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mtime > time(NULL) - LEFT_SECONDS)
		return RC_OK;
	if (file_lock(lock, &fd, NULL) != RC_OK)
		return RC_OK;
	dir_remove_tree(path, NULL);
	file_close(fd);
	return RC_OK;
}

struct temp_data *temp_data_begin(const char *base)
{
	struct temp_data *t = NEW(struct temp_data);
	const char *slash = strrchr(base, '/');
	AUTO_MEM char *folder = slash ? mem_printf("%.*s", slash == base ? 1 : (int)(slash - base), base) : mem_strdup(".");
	AUTO_MEM char *prefix = mem_printf("%s-ingest-", slash ? slash + 1 : base);
	struct left l = { folder, prefix };
	dir_list(folder, sweep_left, &l, NULL);
	t->path = mem_printf("%s-ingest-%d", base, (int)getpid());
	ending_signals(&t->set);
	pthread_sigmask(SIG_BLOCK, &t->set, NULL); /* in all threads that come */
	t->watched = pthread_create(&t->thread, NULL, end_by_signal, t) == 0;
	if (!t->watched)
		pthread_sigmask(SIG_UNBLOCK, &t->set, NULL);
	return t;
}

const char *temp_data_path(const struct temp_data *t)
{
	return t->path;
}

void temp_data_end(struct temp_data *t)
{
	if (!t)
		return;
	if (t->watched) {
		pthread_cancel(t->thread);
		pthread_join(t->thread, NULL);
	}
	remove_all(t->path);
	pthread_sigmask(SIG_UNBLOCK, &t->set, NULL);
	free(t->path);
	free(t);
}
