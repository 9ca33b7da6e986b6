#include "runtime/shim/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/shim/message.h"

namespace knarr::shim {

namespace {

// Reads a small file whole; the length, or -1.
ssize_t ReadSmall(const char* path, char* out, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t got = read(fd, out, size - 1);
  close(fd);
  if (got >= 0) out[got] = '\0';
  return got;
}

[[noreturn]] void Exec(const SpawnOptions& options) {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int fds[3] = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  // First out of the way of 0, 1 and 2, then into place (dup2 clears close-on-exec).
  int moved[3];
  for (int i = 0; i < 3; i++) moved[i] = fcntl(fds[i] >= 0 ? fds[i] : null_fd, F_DUPFD_CLOEXEC, 3);
  for (int i = 0; i < 3; i++) {
    if (moved[i] < 0 || dup2(moved[i], i) < 0) _exit(126);
  }
  if (options.oom_score_adj != nullptr) {
    const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    // EACCES: lower than we may set, so that ours protects it less.
    const bool set = score >= 0 && write(score, options.oom_score_adj, strlen(options.oom_score_adj)) > 0;
    if (!set && errno != EACCES) _exit(126);
  }
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* const environment[] = {path, nullptr};
  setenv("PATH", path + 5, 1);
  execvpe(options.argv[0], const_cast<char* const*>(options.argv), environment);
  _exit(127);
}

}  // namespace

pid_t Spawn(const SpawnOptions& options) {
  const pid_t pid = fork();
  if (pid == 0) Exec(options);
  return pid;
}

int ListenConsole(const char* path) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  unlink(path);
  if (bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0 && listen(fd, 1) == 0) return fd;
  const int failed = errno;
  close(fd);
  errno = failed;
  return -1;
}

int TakeConsole(int listener) {
  const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (peer < 0) return -1;
  char data[256];
  struct iovec part = {data, sizeof(data)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  int terminal = -1;
  if (recvmsg(peer, &message, MSG_CMSG_CLOEXEC) >= 0) {
    const struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
      memcpy(&terminal, CMSG_DATA(header), sizeof(int));
    }
  }
  close(peer);
  if (terminal >= 0) fcntl(terminal, F_SETFL, O_RDWR | O_NONBLOCK);
  return terminal;
}

int64_t ReadNumberFile(const char* path) {
  char text[32];
  ssize_t got = ReadSmall(path, text, sizeof(text));
  while (got > 0 && text[got - 1] == '\n') text[--got] = '\0';
  int64_t number = -1;
  return got > 0 && ParseNumber(text, number) ? number : -1;
}

int64_t ReadCounter(const char* path, const char* key) {
  char text[1024];
  if (ReadSmall(path, text, sizeof(text)) <= 0) return 0;
  const size_t length = strlen(key);
  for (char* line = text; line != nullptr && *line != '\0';) {
    char* end = strchr(line, '\n');
    if (end != nullptr) *end = '\0';
    int64_t number = 0;
    if (strncmp(line, key, length) == 0 && line[length] == ' ' && ParseNumber(line + length + 1, number)) return number;
    line = end != nullptr ? end + 1 : nullptr;
  }
  return 0;
}

void ReadTail(const char* path, int exit_code, char* out, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = -1;
  if (fd >= 0) {
    const off_t end = lseek(fd, 0, SEEK_END);
    const auto most = static_cast<off_t>(size - 1);
    got = pread(fd, out, size - 1, end > most ? end - most : 0);
    close(fd);
  }
  if (got > 0) {
    out[got] = '\0';
  } else {
    snprintf(out, size, "the OCI runtime ended with exit code %d and no message", exit_code);
  }
}

int WriteFileAtomic(const char* path, const char* temporary, const char* text) {
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const auto size = static_cast<ssize_t>(strlen(text));
  errno = EIO;  // for a write that is only short
  int failed = write(fd, text, static_cast<size_t>(size)) == size ? 0 : errno;
  close(fd);
  if (failed == 0 && rename(temporary, path) != 0) failed = errno;
  return failed;
}

uint64_t ProcessStart(pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  char text[1024];
  if (ReadSmall(path, text, sizeof(text)) <= 0) return 0;
  // The name in brackets may hold anything, so count from its end: field 3 follows it, the start is field 22.
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; field++) at = strchr(at + 1, ' ');
  return at != nullptr ? strtoull(at + 1, nullptr, 10) : 0;
}

void KillGroup(const char* procs_file, int rounds) {
  for (int round = 0; round < rounds; round++) {
    const int fd = open(procs_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char text[4096];
    bool any = false;
    pid_t pid = 0;
    for (ssize_t got; (got = read(fd, text, sizeof(text))) > 0;) {
      for (ssize_t i = 0; i < got; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
          pid = pid * 10 + (text[i] - '0');
        } else if (pid > 0) {
          any = kill(pid, SIGKILL) == 0 || any;
          pid = 0;
        }
      }
    }
    close(fd);
    if (!any) return;
    usleep(2000);
  }
}

int64_t NowNs() {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

}  // namespace knarr::shim
