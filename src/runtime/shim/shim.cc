#include "runtime/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/shim/process.h"

namespace knarr::shim {

namespace {

constexpr int kConnectionsMax = 16;
constexpr int kPassedFdsMax = 3;
constexpr int kRetryMs = 1000;

}  // namespace

int ExitCode(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

bool Shim::Watch(Source* source) {
  struct epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = source;
  return epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

bool Shim::Prepare(char* error, size_t error_size) {
  const auto fail = [&](const char* what) {
    snprintf(error, error_size, "%s: %s", what, strerror(errno));
    return false;
  };
  if (chdir(options_.directory) != 0) return fail("chdir to the sandbox's folder");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return fail("become a subreaper");
  prctl(PR_SET_NAME, "knarr-shim");
  signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  if (sigprocmask(SIG_SETMASK, &blocked, nullptr) != 0) return fail("block SIGCHLD");
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  signals_ = {SourceKind::kSignals, signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK), nullptr};
  if (epoll_fd_ < 0 || signals_.fd < 0 || !Watch(&signals_)) return fail("watch SIGCHLD");

  listener_ = {SourceKind::kListener, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), nullptr};
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, "shim.sock");
  unlink(address.sun_path);
  umask(0077);
  if (listener_.fd < 0 || bind(listener_.fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener_.fd, kConnectionsMax) != 0 || !Watch(&listener_)) {
    return fail("listen on shim.sock");
  }
  umask(0022);  // what containers begin with
  infra_pid_ = StartInfra(options_.infra, error, error_size);
  if (infra_pid_ < 0) return false;
  char text[128];
  snprintf(text, sizeof(text), "%d %llu %d %llu\n", getpid(), static_cast<unsigned long long>(ProcessStart(getpid())),
           infra_pid_, static_cast<unsigned long long>(ProcessStart(infra_pid_)));
  if ((errno = WriteFileAtomic("shim.pid", "shim.pid.tmp", text)) != 0) return fail("write shim.pid");
  return true;
}

int Shim::Run() {
  char report[256];
  char error[200] = "";
  const bool ready = Prepare(error, sizeof(error));
  if (ready) {
    snprintf(report, sizeof(report), "ok %d\n", infra_pid_);
  } else {
    snprintf(report, sizeof(report), "%s\n", error);
  }
  const bool told = write(options_.ready_fd, report, strlen(report)) > 0;
  close(options_.ready_fd);
  if (!ready || !told) {
    // Nobody knows of us: leave nothing behind.
    if (infra_pid_ > 0) kill(infra_pid_, SIGKILL);
    unlink("shim.pid");
    unlink("shim.sock");
    return 1;
  }
  Loop();
  return 0;
}

void Shim::Loop() {
  while (!(stopping_ && Stopped())) {
    struct epoll_event event;
    // One event at a time: handling one may free what another would point to.
    const int got = epoll_wait(epoll_fd_, &event, 1, retry_records_ ? kRetryMs : -1);
    if (got > 0) Dispatch(static_cast<Source*>(event.data.ptr), event.events);
    if (got == 0) {
      retry_records_ = false;
      for (Container* c = containers_; c != nullptr; c = c->next) {
        if (c->state == ContainerState::kExited && !c->recorded) RecordExit(c);
      }
    }
  }
  unlink("shim.sock");
  ReplyOk(stop_waiter_);
}

void Shim::Dispatch(Source* source, uint32_t events) {
  switch (source->kind) {
    case SourceKind::kListener:
      Accept();
      break;
    case SourceKind::kSignals:
      Reap();
      break;
    case SourceKind::kConnection:
      ReadRequest(static_cast<Connection*>(source->owner));
      break;
    case SourceKind::kOutput:
      ReadOutput(static_cast<Output*>(source->owner));
      break;
    case SourceKind::kAttachment:
      ServeAttachment(static_cast<Attachment*>(source->owner), events);
      break;
  }
}

void Shim::Accept() {
  const int fd = accept4(listener_.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  int count = 0;
  for (const Connection* c = connections_; c != nullptr; c = c->next) count++;
  auto* connection = count < kConnectionsMax ? static_cast<Connection*>(calloc(1, sizeof(Connection))) : nullptr;
  if (connection == nullptr) {
    close(fd);
    return;
  }
  connection->serial = next_serial_++;
  connection->source = {SourceKind::kConnection, fd, connection};
  connection->next = connections_;
  connections_ = connection;
  if (!Watch(&connection->source)) Drop(connection);
}

void Shim::Drop(Connection* connection) {
  for (Connection** at = &connections_; *at != nullptr; at = &(*at)->next) {
    if (*at != connection) continue;
    *at = connection->next;
    break;
  }
  // What it started for itself ends with it.
  for (Exec* exec = execs_; exec != nullptr; exec = exec->next) {
    if (exec->waiter.serial == connection->serial && exec->pid > 0) kill(exec->pid, SIGKILL);
  }
  // Closing alone does not do it while a child that has yet to exec has the connection as well: its end would be told
  // again, of memory that is free.
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, connection->source.fd, nullptr);
  close(connection->source.fd);
  free(connection);
}

Connection* Shim::FindConnection(uint64_t serial) {
  for (Connection* c = connections_; c != nullptr; c = c->next) {
    if (c->serial == serial) return c;
  }
  return nullptr;
}

void Shim::ReadRequest(Connection* connection) {
  char data[kMessageMax];
  struct iovec part = {data, sizeof(data)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kPassedFdsMax)];
  // Padding leaves room for one more than was meant; more than fit make a truncated message.
  constexpr size_t kReceivedMax = (sizeof(control) - CMSG_LEN(0)) / sizeof(int);
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(connection->source.fd, &message, MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  int fds[kReceivedMax];
  int fd_count = 0;
  for (struct cmsghdr* h = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr; h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    fd_count = static_cast<int>((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    if (fd_count > static_cast<int>(kReceivedMax)) fd_count = static_cast<int>(kReceivedMax);
    memcpy(fds, CMSG_DATA(h), sizeof(int) * static_cast<size_t>(fd_count));
  }
  Fields fields;
  const bool good = got > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
                    ParseMessage(data, static_cast<size_t>(got), fields) && fields.count >= 2 &&
                    strlen(fields.at[0]) < sizeof(Waiter::request);
  if (good) {
    Handle(connection, fields, fds, fd_count);
  } else {
    Drop(connection);
  }
  for (int i = 0; i < fd_count; i++) close(fds[i]);
}

void Shim::Send(Connection* connection, const MessageBuilder& message, int fd) {
  if (!message.ok()) return;
  struct iovec part = {const_cast<char*>(message.data()), message.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    struct cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
  }
  // A peer that does not read is cut off (its next read finds the end): it comes back and lists. Nothing is queued
  // here.
  if (sendmsg(connection->source.fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    shutdown(connection->source.fd, SHUT_RDWR);
  }
}

void Shim::Broadcast(const MessageBuilder& message) {
  for (Connection* c = connections_; c != nullptr; c = c->next) {
    if (c->events) Send(c, message, -1);
  }
}

void Shim::ReplyOk(const Waiter& waiter) {
  MessageBuilder message;
  if (Connection* c = FindConnection(waiter.serial)) Send(c, message.Add(waiter.request).Add("ok"), -1);
}

void Shim::ReplyError(const Waiter& waiter, const char* text) {
  MessageBuilder message;
  if (Connection* c = FindConnection(waiter.serial)) Send(c, message.Add(waiter.request).Add("error").Add(text), -1);
}

void Shim::Reap() {
  struct signalfd_siginfo info;
  while (read(signals_.fd, &info, sizeof(info)) > 0) {
  }
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const int64_t now_ns = NowNs();
    if (pid == infra_pid_) {
      infra_pid_ = 0;
      MessageBuilder message;
      Broadcast(message.Add("0").Add("infra-exit"));
      continue;
    }
    bool known = false;
    for (Container *c = containers_, *next = nullptr; c != nullptr && !known; c = next) {
      next = c->next;  // a start that failed frees its container
      known = true;
      if (c->runtime_pid == pid) {
        StartDone(c, status);
      } else if (c->pid == pid && c->state == ContainerState::kRunning) {
        ContainerExited(c, status, now_ns);
      } else {
        known = false;
      }
    }
    for (Exec *exec = execs_, *next = nullptr; exec != nullptr && !known; exec = next) {
      next = exec->next;
      known = exec->runtime_pid == pid || exec->pid == pid;
      if (exec->runtime_pid == pid) {
        ExecDone(exec, status);
      } else if (exec->pid == pid) {
        ExecEnded(exec, status);
      }
    }
    if (!known) {
      strays_[next_stray_] = {pid, status, now_ns};
      next_stray_ = (next_stray_ + 1) % kStrays;
    }
  }
}

void Shim::ClearStrays() {
  for (const Container* c = containers_; c != nullptr; c = c->next) {
    if (c->runtime_pid > 0) return;
  }
  for (const Exec* exec = execs_; exec != nullptr; exec = exec->next) {
    if (exec->runtime_pid > 0) return;
  }
  memset(strays_, 0, sizeof(strays_));
}

bool Shim::TakeStray(pid_t pid, int* status, int64_t* when_ns) {
  for (Stray& stray : strays_) {
    if (stray.pid != pid) continue;
    *status = stray.status;
    *when_ns = stray.when_ns;
    stray.pid = 0;
    return true;
  }
  return false;
}

bool Shim::Stopped() const {
  for (const Container* c = containers_; c != nullptr; c = c->next) {
    if (c->state != ContainerState::kExited) return false;
  }
  return infra_pid_ == 0;
}

}  // namespace knarr::shim
