#include "sql/spawn_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "sql/sql.h"

/* A descriptor above the standard three, so that dup2 onto those never meets it. */
static int lift(int fd)
{
	if (fd < 0 || fd > 2)
		return fd;
	int lifted = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return lifted;
}

/* What the child's environment keeps: what the loader and the sanitizers read. No credentials. */
static void fill_environment(const char *env[8])
{
	static const char *const kept[] = { "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=" };
	size_t n = 0;
	env[n++] = "TZ=UTC";
	env[n++] = "LC_ALL=C";
	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			if (n < 7 && strncmp(*e, kept[i], strlen(kept[i])) == 0)
				env[n++] = *e;
	env[n] = NULL;
}

static int start(struct child *c, int theirs)
{
	const char *env[8];
	fill_environment(env);
	char self[32]; /* whose death ends the child; it also sees whether that came before it could say so */
	snprintf(self, sizeof(self), "%d", (int)getpid());
	char *argv[] = { "hydrant", SQL_CHILD_ARG, self, NULL };

	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs, 1);
	posix_spawn_file_actions_adddup2(&actions, c->words, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	int error = posix_spawn(&c->pid, "/proc/self/exe", &actions, &attr, argv, (char **)env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

rc_t child_spawn(struct child *ret, struct err *reterr)
{
	struct child c = { .words = lift(memfd_create("hydrant-sql", MFD_CLOEXEC)) };
	int pair[2];
	if (c.words < 0)
		return err_errno(reterr, RC_IO, "cannot start a query process");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_errno(reterr, RC_IO, "cannot start a query process");
		close(c.words);
		return RC_IO;
	}
	c.fd = lift(pair[0]);
	int theirs = lift(pair[1]);
	errno = c.fd < 0 || theirs < 0 ? EMFILE : start(&c, theirs);
	rc_t rc = errno ? err_errno(reterr, RC_IO, "cannot start a query process") : RC_OK;
	if (theirs >= 0)
		close(theirs);
	if (rc != RC_OK) {
		if (c.fd >= 0)
			close(c.fd);
		close(c.words);
		return rc;
	}
	*ret = c;
	return RC_OK;
}

int child_end(struct child *c, bool kill_it)
{
	if (kill_it) {
		kill(c->pid, SIGKILL);
		close(c->words);
		c->words = -1;
	}
	close(c->fd);
	c->fd = -1;
	int status;
	pid_t got;
	/* One that closed its end is about to end; should it hang there, it is made to. */
	for (int ms = 0; !kill_it && ms < 2000; ms += 5) {
		got = waitpid(c->pid, &status, WNOHANG);
		if (got != 0)
			return got == c->pid ? status : -1;
		clock_sleep_us(5000);
	}
	kill(c->pid, SIGKILL);
	do
		got = waitpid(c->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	return got == c->pid ? status : -1;
}

void child_last_words(struct child *c, char *ret, size_t cap)
{
	char text[1024];
	ret[0] = 0;
	off_t size = lseek(c->words, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(text) ? size - (off_t)sizeof(text) : 0;
	ssize_t n = size > 0 ? pread(c->words, text, sizeof(text), from) : 0;
	close(c->words);
	c->words = -1;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n <= 0)
		return;
	const char *line = memrchr(text, '\n', (size_t)n);
	line = line ? line + 1 : text;
	size_t len = (size_t)(text + n - line);
	if (len >= cap)
		len = cap - 1;
	memcpy(ret, line, len);
	ret[len] = 0;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)ret[i] < ' ')
			ret[i] = ' ';
}
