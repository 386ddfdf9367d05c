/* credential_process of a profile: a program that prints keys as JSON. What it writes to stderr may hold anything: it is not shown. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/credentials_internal.h"
#include "os/clock.h"

#define TIME_LIMIT_US ((int64_t)60 * 1000000)

extern char **environ;

static rc_t start(const char *command, int out, pid_t *ret, struct err *reterr)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	int failed = posix_spawn(ret, "/bin/sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	errno = failed;
	return failed ? err_errno(reterr, RC_IO, "the credential_process of the AWS profile cannot be started") : RC_OK;
}

static rc_t read_to_end(int fd, struct buf *ret, struct err *reterr)
{
	int64_t deadline = clock_mono_us() + TIME_LIMIT_US;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_mono_us();
		int n = left > 0 ? poll(&p, 1, (int)(left / 1000) + 1) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return err_set(reterr, RC_IO, "the credential_process of the AWS profile did not end within 60 s");
		char piece[4096];
		ssize_t got = read(fd, piece, sizeof piece);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return RC_OK;
		buf_append(ret, piece, (size_t)got);
		explicit_bzero(piece, sizeof piece);
		if (ret->overflow)
			return err_set(reterr, RC_IO, "the credential_process of the AWS profile prints more than 64 KiB");
	}
}

rc_t keys_from_process(const char *command, struct aws_keys *ret, struct err *reterr)
{
	int pipe_fds[2];
	pid_t pid;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return err_errno(reterr, RC_IO, "no pipe for the credential_process of the AWS profile");
	rc_t rc = start(command, pipe_fds[1], &pid, reterr);
	close(pipe_fds[1]);
	struct buf text;
	buf_init(&text, KEYS_TEXT_MAX);
	if (rc == RC_OK) {
		rc = read_to_end(pipe_fds[0], &text, reterr);
		if (rc != RC_OK)
			kill(-pid, SIGKILL);
		int status = 0;
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (rc == RC_OK && (!WIFEXITED(status) || WEXITSTATUS(status)))
			rc = err_set(reterr, RC_IO, "the credential_process of the AWS profile ended with %s %d",
				     WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	close(pipe_fds[0]);
	if (rc == RC_OK)
		rc = keys_from_json(buf_slice(&text), "SessionToken", "the credential_process of the AWS profile", ret, reterr);
	secret_buf_free(&text);
	return rc;
}
