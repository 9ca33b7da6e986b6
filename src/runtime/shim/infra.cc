#include "runtime/shim/infra.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace knarr::shim {

namespace {

constexpr unsigned kNobody = 65535;

int RaiseLoopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  struct ifreq request = {};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int failed = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
  close(fd);
  return failed;
}

// These belong to the new network namespace; a kernel without one of them is fine.
void WriteSysctl(const char* path, const char* value) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, value, strlen(value)) < 0) fprintf(stderr, "write %s: %s\n", path, strerror(errno));
  close(fd);
}

// One line of the file: what the pod asks for must be so, or it does not run. Whether that went well; errno otherwise.
bool SetSysctl(char* line) {
  char* equals = strchr(line, '=');
  if (equals == nullptr || strstr(line, "..") != nullptr) {
    errno = EINVAL;
    return false;
  }
  *equals = '\0';
  char path[300];
  if (snprintf(path, sizeof(path), "/proc/sys/%s", line) >= static_cast<int>(sizeof(path))) {
    errno = ENAMETOOLONG;
    return false;
  }
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && write(fd, equals + 1, strlen(equals + 1)) >= 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return written;
}

// nullptr when all are set; what was not, otherwise.
const char* SetSysctls(FILE* in) {
  if (in == nullptr) return nullptr;
  static char line[1024];
  while (fgets(line, sizeof(line), in) != nullptr) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || SetSysctl(line)) continue;
    const int error = errno;
    fclose(in);
    errno = error;
    return line;  // its name
  }
  fclose(in);
  return nullptr;
}

// What lies in the sandbox's folder: opened while the process is root outside, who alone may.
struct Files {
  FILE* sysctls = nullptr;  // nullptr: the pod sets none
  int root_fd = -1;
};

// In the new user namespace the process is nobody until its ids are there; its rights do not need them. Whoever is root
// of it then owns the other namespaces, and may set what is theirs.
const char* BecomeRootInside(int go_fd) {
  char go;
  ssize_t got;
  do {
    got = read(go_fd, &go, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) return "wait for the user namespace";
  if (setresgid(0, 0, 0) != 0) return "setresgid 0";
  return setresuid(0, 0, 0) != 0 ? "setresuid 0" : nullptr;
}

const char* OpenFiles(const InfraOptions& options, Files& files) {
  files.sysctls = fopen(options.sysctls, "re");
  if (files.sysctls == nullptr && errno != ENOENT) return "read sysctls";
  files.root_fd = open(options.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return files.root_fd < 0 ? "open the root" : nullptr;
}

// The first step that fails, in words; nullptr when all went well.
const char* Prepare(const InfraOptions& options, int go_fd) {
  const bool own_users = (options.clone_flags & CLONE_NEWUSER) != 0;
  Files files;
  if (const char* failed = OpenFiles(options, files); failed != nullptr) return failed;
  if (own_users) {
    if (const char* failed = BecomeRootInside(go_fd); failed != nullptr) return failed;
  }
  if ((options.clone_flags & CLONE_NEWUTS) != 0 && *options.hostname != '\0' &&
      sethostname(options.hostname, strlen(options.hostname)) != 0) {
    return "sethostname";
  }
  if ((options.clone_flags & CLONE_NEWNET) != 0) {
    if ((errno = RaiseLoopback()) != 0) return "bring lo up";
    // As containerd does by default: any port, and ping, without privileges; both end at the pod's own namespace.
    WriteSysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    WriteSysctl("/proc/sys/net/ipv4/ping_group_range", own_users ? "0 65535" : "0 2147483647");
  }
  if (const char* failed = SetSysctls(files.sysctls); failed != nullptr) return failed;
  if (fchdir(files.root_fd) != 0 || chroot(".") != 0) return "chroot";
  if (chdir("/") != 0) return "chdir /";
  if (setgroups(0, nullptr) != 0) return "setgroups";
  if (setresgid(kNobody, kNobody, kNobody) != 0) return "setresgid";
  if (setresuid(kNobody, kNobody, kNobody) != 0) return "setresuid";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "no_new_privs";
  // After setresuid, which clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "pdeathsig";
  return nullptr;
}

[[noreturn]] void Quit(int) { _exit(0); }

[[noreturn]] void RunInfra(const InfraOptions& options, int report_fd, int go_fd) {
  prctl(PR_SET_NAME, "knarr-pause");
  signal(SIGTERM, Quit);
  signal(SIGINT, Quit);
  signal(SIGPIPE, SIG_IGN);
  char message[160] = "";
  if (const char* failed = Prepare(options, go_fd); failed != nullptr) {
    snprintf(message, sizeof(message), "%.100s: %.50s", failed, strerror(errno));
  }
  // An empty report is success: one NUL byte.
  if (write(report_fd, message, strlen(message) + 1) < 0 || message[0] != '\0') _exit(1);
  // The shim's descriptors (its listener, its epoll, the ready pipe) are none of ours.
  if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) {
    for (int fd = 3; fd < 64; fd++) close(fd);
  }
  // Orphans of a shared PID namespace become our children: the kernel reaps them.
  signal(SIGCHLD, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (;;) pause();
}

// From outside: 0 or errno.
int WriteIds(pid_t pid, const char* ids) {
  static const char* const kFiles[] = {"gid_map", "uid_map"};
  for (const char* file : kFiles) {
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    const int failed = write(fd, ids, strlen(ids)) < 0 ? errno : 0;
    close(fd);
    if (failed != 0) return failed;
  }
  return 0;
}

// What the process says once it is ready, or why it is not; "" is success, which has a length of 1.
ssize_t ReadReport(int fd, char* out, size_t size) {
  ssize_t got;
  do {
    got = read(fd, out, size - 1);
  } while (got < 0 && errno == EINTR);
  return got;
}

void ClosePipe(const int (&ends)[2]) {
  for (const int fd : ends) {
    if (fd >= 0) close(fd);
  }
}

}  // namespace

pid_t StartInfra(const InfraOptions& options, char* error, size_t error_size) {
  int report[2];
  int go[2] = {-1, -1};
  if (pipe2(report, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) {
    snprintf(error, error_size, "pipe: %s", strerror(errno));
    return -1;
  }
  const long pid = syscall(SYS_clone, options.clone_flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) {
    snprintf(error, error_size, "clone the infra process with namespaces %#x: %s",
             static_cast<unsigned>(options.clone_flags), strerror(errno));
    ClosePipe(report);
    ClosePipe(go);
    return -1;
  }
  if (pid == 0) {
    close(report[0]);
    close(go[1]);
    RunInfra(options, report[1], go[0]);
  }
  close(report[1]);
  close(go[0]);
  const bool own_users = (options.clone_flags & CLONE_NEWUSER) != 0;
  const int unmapped = own_users ? WriteIds(static_cast<pid_t>(pid), options.ids) : 0;
  if (own_users && unmapped == 0 && write(go[1], "g", 1) != 1) fprintf(stderr, "infra process: %s\n", strerror(errno));
  close(go[1]);
  char message[160] = "";
  const ssize_t got = ReadReport(report[0], message, sizeof(message));
  close(report[0]);
  if (got == 1 && message[0] == '\0') return static_cast<pid_t>(pid);
  if (unmapped != 0) {
    snprintf(error, error_size, "map the ids %s of the user namespace: %s", options.ids, strerror(unmapped));
  } else {
    snprintf(error, error_size, "infra process: %s", got > 0 ? message : "ended before it was ready");
  }
  kill(static_cast<pid_t>(pid), SIGKILL);
  waitpid(static_cast<pid_t>(pid), nullptr, 0);
  return -1;
}

}  // namespace knarr::shim
