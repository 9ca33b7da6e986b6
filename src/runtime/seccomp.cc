#include "runtime/seccomp.h"

#include <algorithm>
#include <string_view>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/value.h"
#include "runtime/capabilities.h"

namespace knarr::runtime {

namespace {

using doc::Value;

constexpr std::string_view kAllowed[] = {
    "accept", "accept4", "access", "adjtimex", "alarm", "arch_prctl", "bind", "brk", "cachestat", "capget", "capset",
    "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64",
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl",
    "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat",
    "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "getcpu", "getcwd", "getdents",
    "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
    "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid",
    "getresgid32", "getresuid", "getresuid32", "getrlimit", "get_robust_list", "getrusage", "getsid", "getsockname",
    "getsockopt", "get_thread_area", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "ioctl", "io_destroy", "io_getevents",
    "io_pgetevents", "io_pgetevents_time64", "ioprio_get", "ioprio_set", "io_setup", "io_submit", "ipc", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr",
    "link", "linkat", "listen", "listxattr", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr", "lstat",
    "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir",
    "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "modify_ldt", "mprotect",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "mremap", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock",
    "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open", "openat",
    "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read", "readahead",
    "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
    "remap_file_pages", "removexattr", "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop",
    "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "setfsgid", "setfsgid32",
    "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid",
    "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid",
    "setreuid32", "setrlimit", "set_robust_list", "setsid", "setsockopt", "set_thread_area", "set_tid_address",
    "setuid", "setuid32", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd",
    "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs",
    "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
    "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname", "unlink",
    "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid",
    "waitpid", "write", "writev", "ptrace", "process_vm_readv", "process_vm_writev",
    "sync_file_range2", "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush",
    "set_tls"};

// More, for who has the capability.
struct Granted {
  std::string_view capability;
  std::string_view calls;
};
constexpr Granted kGranted[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
     "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
     "umount umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module init_module finit_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

// The flags of clone that make namespaces (linux/sched.h).
constexpr int64_t kCloneNamespaces = 0x7E020000;
constexpr int64_t kNoSuchCall = 38;  // ENOSYS
constexpr int64_t kVsock = 40;       // AF_VSOCK: a way around the network's namespace
// personality: the usual one, Linux 2.0's addresses, UTS names of 2.6, and both.
constexpr int64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

#if defined(__x86_64__)
constexpr std::string_view kArchitectures[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
constexpr std::string_view kArchitectures[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
#error "which calls there are depends on the architecture"
#endif

// Builds the object in one arena.
class Profile {
 public:
  Profile() : root_(Value::Object()), calls_(Value::Array()) {}

  template <typename Range>
  Value List(const Range& texts) {
    Value out = Value::Array();
    for (const std::string_view text : texts) out.Append(arena_, Value::String(arena_, text));
    return out;
  }
  template <typename Range>
  Value& Add(const Range& names, std::string_view action = "SCMP_ACT_ALLOW") {
    Value one = Value::Object();
    one.Set(arena_, "names", List(names));
    one.Set(arena_, "action", Value::String(arena_, action));
    return calls_.Append(arena_, one);
  }
  void AddArgument(Value& call, std::string_view comparison, int64_t value, int64_t value_two = 0) {
    Value argument = Value::Object();
    argument.Set(arena_, "index", Value::Int(0));
    argument.Set(arena_, "value", Value::Int(value));
    if (value_two != 0 || comparison == "SCMP_CMP_MASKED_EQ") argument.Set(arena_, "valueTwo", Value::Int(value_two));
    argument.Set(arena_, "op", Value::String(arena_, comparison));
    call.Set(arena_, "args", Value::Array()).Append(arena_, argument);
  }
  Value& SetErrno(Value& call, int64_t number) { return call.Set(arena_, "errnoRet", Value::Int(number)); }
  std::string Finish() {
    root_.Set(arena_, "defaultAction", Value::Borrow("SCMP_ACT_ERRNO"));
    root_.Set(arena_, "architectures", List(kArchitectures));
    root_.Set(arena_, "syscalls", calls_);
    return doc::ToJson(root_);
  }

 private:
  doc::Arena arena_;
  Value root_;
  Value calls_;
};

}  // namespace

std::string DefaultSeccomp(const std::vector<std::string>& add_capabilities,
                           const std::vector<std::string>& drop_capabilities, uint64_t capability_mask) {
  const auto capabilities = ContainerCapabilities(add_capabilities, drop_capabilities, capability_mask);
  const auto has = [&](std::string_view name) { return std::ranges::find(capabilities, name) != capabilities.end(); };
  Profile profile;
  profile.Add(kAllowed);
  profile.AddArgument(profile.Add(std::initializer_list<std::string_view>{"socket"}), "SCMP_CMP_NE", kVsock);
  for (const int64_t value : kPersonalities) {
    profile.AddArgument(profile.Add(std::initializer_list<std::string_view>{"personality"}), "SCMP_CMP_EQ", value);
  }
  for (const Granted& granted : kGranted) {
    if (has(granted.capability)) profile.Add(Fields(granted.calls));
  }
  if (!has("CAP_SYS_ADMIN")) {
    profile.AddArgument(profile.Add(std::initializer_list<std::string_view>{"clone"}), "SCMP_CMP_MASKED_EQ",
                        kCloneNamespaces, 0);
    profile.SetErrno(profile.Add(std::initializer_list<std::string_view>{"clone3"}, "SCMP_ACT_ERRNO"), kNoSuchCall);
  }
  return profile.Finish();
}

}  // namespace knarr::runtime
