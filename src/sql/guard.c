#include "sql/guard_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/map.h"
#include "sql/sql.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* their shadow memory needs the whole address space, their reports need files */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

void guard_start(int parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (parent > 0 && getppid() != parent)
		_exit(1); /* it died before the line above */
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	setpriority(PRIO_PROCESS, 0, 5);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t ignored = write(fd, "1000", 4);
		(void)ignored;
		close(fd);
	}
}

static void limit_memory(uint64_t memory_bytes)
{
#ifndef SANITIZED
	/* DuckDB keeps to memory_bytes for what it counts. This is for what it does not: address space is spent more freely than
	 * memory (code, stacks, the allocator's reserve), hence the room. */
	struct rlimit l = { memory_bytes * 2 + ((uint64_t)2 << 30), memory_bytes * 2 + ((uint64_t)2 << 30) };
	setrlimit(RLIMIT_AS, &l);
#else
	(void)memory_bytes;
#endif
}

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Newer than the headers that we may be compiled with. */
#define ACCESS_TRUNCATE (1ull << 14)  /* ABI 3: also of files that were opened for nothing */
#define ACCESS_IOCTL_DEV (1ull << 15) /* ABI 5 */

int guard_landlock_abi(void)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? abi : 0;
}

#define WRITES                                                                                                                         \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR)
#define OTHERS                                                                                                                     \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = open(path, O_PATH | O_CLOEXEC) };
	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* The folders of the tables' files, each once. */
static void allow_folders_of(int ruleset, const struct strings *paths)
{
	struct map seen;
	map_init(&seen);
	for (uint32_t i = 0; i < paths->n; i++) {
		const char *slash = strrchr(paths->items[i], '/');
		if (!slash)
			continue;
		bool is_new;
		struct slice folder = slice_of(paths->items[i], slash == paths->items[i] ? 1 : (size_t)(slash - paths->items[i]));
		map_put(&seen, folder, &is_new);
		if (!is_new)
			continue;
		char *text = mem_printf("%.*s", SLICE_ARG(folder));
		allow(ruleset, text, READS);
		free(text);
	}
	map_free(&seen);
}

static void limit_files(const struct request *r)
{
	int abi = guard_landlock_abi();
	uint64_t truncate = abi >= 3 ? ACCESS_TRUNCATE : 0, ioctl = abi >= 5 ? ACCESS_IOCTL_DEV : 0;
	struct landlock_ruleset_attr attr = { .handled_access_fs = READS | WRITES | OTHERS | truncate | ioctl };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return;
	allow_folders_of(ruleset, &r->allowed_paths);
	for (uint32_t i = 0; i < r->allowed_dirs.n; i++)
		allow(ruleset, r->allowed_dirs.items[i], READS);
	if (r->temp_dir[0])
		allow(ruleset, r->temp_dir, READS | WRITES | truncate);
	allow(ruleset, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE);
	/* DuckDB and its allocator look how many cores and how much memory there are, and fail where they may not. */
	static const char *const machine[] = { "/proc/self/cgroup", "/proc/self/mountinfo", "/proc/meminfo", "/proc/cpuinfo" };
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++)
		allow(ruleset, machine[i], LANDLOCK_ACCESS_FS_READ_FILE);
	allow(ruleset, "/sys/fs/cgroup", READS);
	allow(ruleset, "/sys/devices/system/cpu", READS);
#ifdef SANITIZED
	allow(ruleset, "/proc", READS);
	allow(ruleset, "/usr", READS | LANDLOCK_ACCESS_FS_EXECUTE);
#endif
	syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
}

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

static void limit_calls(void)
{
#if defined(NATIVE_ARCH) && !defined(SANITIZED)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), REFUSE
/* Only with this first argument, of which the lower half counts: it is a process. */
#define ONLY(call, value)                                                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 4),                                          \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),                \
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 1, 0), REFUSE, BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#if defined(__x86_64__)
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), REFUSE, /* the same calls by other numbers (x32) */
		DENY(chmod), DENY(chown), DENY(lchown), DENY(link), DENY(symlink),
#endif
		DENY(fchmodat), DENY(fchownat), DENY(linkat), DENY(symlinkat), DENY(setxattr), DENY(lsetxattr), /* Landlock has no word for these */
		DENY(socket), DENY(socketpair), DENY(connect), DENY(bind), DENY(listen), DENY(accept4), DENY(execve), DENY(execveat),
		DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(kill), DENY(tkill), DENY(mount), DENY(umount2), DENY(bpf),
		DENY(unshare), DENY(setns), DENY(keyctl), DENY(add_key), DENY(perf_event_open), DENY(userfaultfd), DENY(io_uring_setup),
		DENY(rt_sigqueueinfo), DENY(rt_tgsigqueueinfo), DENY(pidfd_open), DENY(pidfd_getfd), DENY(pidfd_send_signal),
		ONLY(tgkill, (uint32_t)getpid()), ONLY(prlimit64, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
#undef DENY
#undef ONLY
#undef REFUSE
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
#endif
}

void guard_enter(const struct request *r)
{
	limit_memory(r->memory_bytes);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return;
	limit_files(r);
	limit_calls();
}

bool sql_confined(void)
{
	return guard_landlock_abi() > 0;
}
