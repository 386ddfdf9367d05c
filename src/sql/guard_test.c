/* The kernel refuses what a query's process must not do, also where DuckDB itself would have been talked into it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"
#include "sql/guard_internal.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* guard.c leaves out seccomp then, and lets /proc and /usr be read */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static char root[] = "/tmp/hydrant-guard-test.XXXXXX";
static char table[96], other[96], fresh[96], spilled[96], spill[64], tables[64], others[64];

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "hello", 5) != 5)
		abort();
	close(fd);
}

static void make_files(void)
{
	if (table[0])
		return;
	if (!mkdtemp(root))
		abort();
	snprintf(tables, sizeof(tables), "%s/t", root);
	snprintf(others, sizeof(others), "%s/o", root);
	snprintf(spill, sizeof(spill), "%s/spill", root);
	snprintf(table, sizeof(table), "%s/one.parquet", tables);
	snprintf(fresh, sizeof(fresh), "%s/new", tables);
	snprintf(other, sizeof(other), "%s/secret", others);
	snprintf(spilled, sizeof(spilled), "%s/part", spill);
	if (mkdir(tables, 0700) || mkdir(others, 0700) || mkdir(spill, 0700))
		abort();
	put(table);
	put(other);
}

/* In a process that has entered the guard; its exit code is how many checks failed. */
static int guarded(int (*checks)(void))
{
	make_files();
	pid_t pid = fork();
	if (pid == 0) {
		const char *paths[] = { table };
		struct request r = { .memory_bytes = (uint64_t)256 << 20, .temp_dir = spill, .allowed_paths = { paths, 1 } };
		guard_enter(&r);
		_exit(checks());
	}
	int status = -1;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

/* 1 and a line if the call did not fail as it should. */
static int refused(const char *what, long result, int want)
{
	if (result < 0 && errno == want)
		return 0;
	fprintf(stderr, "  %s: %s\n", what, result < 0 ? strerror(errno) : "was allowed");
	return 1;
}

static int allowed(const char *what, long result)
{
	if (result >= 0)
		return 0;
	fprintf(stderr, "  %s: %s\n", what, strerror(errno));
	return 1;
}

static int opens(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600);
}

static int file_checks(void)
{
	int failed = 0, abi = guard_landlock_abi();
	failed += allowed("reading a table's file", opens(table, O_RDONLY));
	failed += allowed("writing a spilled file", opens(spilled, O_RDWR | O_CREAT | O_TRUNC));
	failed += allowed("removing it", unlink(spilled));
	failed += refused("reading /etc/passwd", opens("/etc/passwd", O_RDONLY), EACCES);
	failed += refused("reading a file beside", opens(other, O_RDONLY), EACCES);
	failed += refused("listing a folder beside", opens(others, O_RDONLY | O_DIRECTORY), EACCES);
	failed += refused("reading it on a way through an allowed folder", opens(mem_printf("%s/../o/secret", tables), O_RDONLY), EACCES);
	failed += refused("writing a table's file", opens(table, O_WRONLY), EACCES);
	failed += refused("emptying it at its opening", opens(table, O_WRONLY | O_TRUNC), EACCES);
	if (abi >= 3)
		failed += refused("emptying it", truncate(table, 0), EACCES);
	failed += refused("making a file beside it", opens(fresh, O_WRONLY | O_CREAT), EACCES);
	failed += refused("making a file in /tmp", opens("/tmp/hydrant-guard-evil", O_WRONLY | O_CREAT), EACCES);
	failed += refused("making a folder", mkdir(fresh, 0700), EACCES);
	failed += refused("removing a table's file", unlink(table), EACCES);
	failed += refused("moving it to where it may write", rename(table, spilled) == 0 ? 0 : (errno = errno == EXDEV ? EACCES : errno, -1), EACCES);
	return failed;
}

TEST(guard_lets_read_the_tables_files_and_write_the_spill_folder_alone)
{
	if (!guard_landlock_abi())
		SKIP("this kernel has no Landlock");
	CHECK_INT(guarded(file_checks), 0);
	CHECK(access(table, F_OK) == 0 && access(fresh, F_OK) != 0 && access("/tmp/hydrant-guard-evil", F_OK) != 0);
	struct stat st;
	CHECK(stat(table, &st) == 0 && st.st_size == 5);
}

#ifndef SANITIZED
static int call_checks(void)
{
	int failed = 0, fds[2];
	char *argv[] = { "/bin/true", NULL }, *env[] = { NULL };
	struct rlimit l = { 1 << 20, 1 << 20 };
	failed += refused("a socket", socket(AF_INET, SOCK_STREAM, 0), EPERM);
	failed += refused("a local socket", socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
	failed += refused("a pair of sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, fds), EPERM);
	failed += refused("a program", execve(argv[0], argv, env), EPERM);
	failed += refused("a program by its handle", syscall(SYS_execveat, AT_FDCWD, argv[0], argv, env, 0), EPERM);
	failed += refused("a signal to the parent", kill(getppid(), 0), EPERM);
	failed += refused("a signal to a thread of the parent", syscall(SYS_tgkill, getppid(), getppid(), 0), EPERM);
	failed += refused("a handle of the parent", syscall(SYS_pidfd_open, getppid(), 0), EPERM);
	failed += refused("the parent's limits", prlimit(getppid(), RLIMIT_FSIZE, &l, NULL), EPERM);
	failed += refused("the rights of a file", fchmodat(AT_FDCWD, table, 0777, 0), EPERM);
	failed += refused("a link to a file", linkat(AT_FDCWD, table, AT_FDCWD, spilled, 0), EPERM);
	failed += refused("io_uring", syscall(SYS_io_uring_setup, 1, NULL), EPERM);
	failed += refused("ptrace", syscall(SYS_ptrace, 0, 0, 0, 0), EPERM);
#if defined(__x86_64__)
	failed += refused("a socket by its x32 number", syscall(0x40000000 + SYS_socket, AF_INET, SOCK_STREAM, 0), EPERM);
#endif
	failed += allowed("a limit of its own", getrlimit(RLIMIT_AS, &l));
	failed += allowed("a signal to itself", syscall(SYS_tgkill, getpid(), getpid(), 0));
	failed += allowed("memory", (long)(malloc(1 << 20) != NULL) - 1);
	return failed;
}

TEST(guard_refuses_sockets_programs_and_other_processes)
{
	CHECK_INT(guarded(call_checks), 0);
}
#endif

static int nothing(void)
{
	return 0;
}

TEST(guard_lets_a_process_that_behaves_end_well_and_the_files_go)
{
	CHECK_INT(guarded(nothing), 0);
	CHECK(unlink(table) == 0 && unlink(other) == 0 && rmdir(tables) == 0 && rmdir(others) == 0 && rmdir(spill) == 0 && rmdir(root) == 0);
}

TEST_MAIN()
