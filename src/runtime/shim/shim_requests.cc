#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "runtime/shim/process.h"
#include "runtime/shim/shim.h"

namespace knarr::shim {

void Shim::Handle(Connection* connection, const Fields& fields, const int* fds, int fd_count) {
  Waiter waiter = {};
  waiter.serial = connection->serial;
  strcpy(waiter.request, fields.at[0]);
  const char* operation = fields.at[1];
  const auto is = [&](const char* name) { return strcmp(operation, name) == 0; };
  if (is("hello")) return Hello(connection, waiter);
  if (is("list")) return List(connection, waiter);
  if (is("start")) return Start(fields, waiter);
  if (is("kill")) return Signal(fields, waiter);
  if (is("exec")) return StartExec(fields, waiter, fds, fd_count);
  if (is("kill-exec")) return KillExec(fields, waiter);
  if (is("attach")) return Attach(fields, waiter, fds, fd_count);
  if (is("close-stdin")) return CloseStdin(fields, waiter);
  if (is("resize")) return Resize(fields, waiter);
  if (is("reopen")) return Reopen(fields, waiter);
  if (is("forget")) return Forget(fields, waiter);
  if (is("stop")) return BeginStop(waiter);
  ReplyError(waiter, "unknown operation");
}

void Shim::Hello(Connection* connection, const Waiter& waiter) {
  connection->events = true;
  MessageBuilder message;
  Send(connection, message.Add(waiter.request).Add("ok").AddNumber(infra_pid_), -1);
}

void Shim::List(Connection* connection, const Waiter& waiter) {
  static const char* const kStates[] = {"starting", "running", "exited"};
  for (const Container* c = containers_; c != nullptr; c = c->next) {
    MessageBuilder message;
    message.Add(waiter.request).Add("item").Add(c->id).Add(kStates[static_cast<int>(c->state)]).AddNumber(c->pid);
    message.AddNumber(c->exit_code).AddNumber(c->started_ns).AddNumber(c->finished_ns).AddNumber(c->oom);
    Send(connection, message, -1);
  }
  ReplyOk(waiter);
}

// kill <container> <signal>
void Shim::Signal(const Fields& fields, const Waiter& waiter) {
  int64_t number = 0;
  if (fields.count != 4 || !ParseNumber(fields.at[3], number) || number < 0 || number > 64) {
    return ReplyError(waiter, "kill: bad request");
  }
  Container* c = FindContainer(fields.at[2]);
  // Not reaped yet, so the pid is still this process.
  if (c != nullptr && c->state == ContainerState::kRunning) {
    kill(c->pid, static_cast<int>(number));
    // A shared PID namespace does not end with the container's first process.
    if (number == SIGKILL && !c->private_pid) KillGroup(c->procs_file, 1);
  }
  if (c != nullptr && c->state == ContainerState::kStarting && number == SIGKILL) kill(c->runtime_pid, SIGKILL);
  ReplyOk(waiter);
}

// kill-exec <exec> <signal>
void Shim::KillExec(const Fields& fields, const Waiter& waiter) {
  int64_t number = 0;
  if (fields.count != 4 || !ParseNumber(fields.at[3], number) || number < 0 || number > 64) {
    return ReplyError(waiter, "kill-exec: bad request");
  }
  for (Exec* exec = execs_; exec != nullptr; exec = exec->next) {
    if (strcmp(exec->id, fields.at[2]) != 0) continue;
    if (exec->pid > 0) {
      kill(exec->pid, static_cast<int>(number));
    } else {
      exec->killed = static_cast<int>(number);
    }
  }
  ReplyOk(waiter);
}

// resize <container> <columns> <rows>
void Shim::Resize(const Fields& fields, const Waiter& waiter) {
  int64_t columns = 0;
  int64_t rows = 0;
  if (fields.count != 5 || !ParseNumber(fields.at[3], columns) || !ParseNumber(fields.at[4], rows) || columns < 0 ||
      columns > UINT16_MAX || rows < 0 || rows > UINT16_MAX) {
    return ReplyError(waiter, "resize: bad request");
  }
  const Container* c = FindContainer(fields.at[2]);
  if (c == nullptr || !c->tty || c->outputs[0].source.fd < 0) return ReplyError(waiter, "no terminal");
  struct winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  if (ioctl(c->outputs[0].source.fd, TIOCSWINSZ, &size) != 0) return ReplyError(waiter, strerror(errno));
  ReplyOk(waiter);
}

// reopen <container>
void Shim::Reopen(const Fields& fields, const Waiter& waiter) {
  Container* c = fields.count == 3 ? FindContainer(fields.at[2]) : nullptr;
  if (c == nullptr) return ReplyError(waiter, "no such container");
  if (c->log.fd() < 0) return ReplyOk(waiter);  // it has ended, or keeps no log
  LogFile fresh;
  if (const int failed = fresh.Open(c->log_path); failed != 0) return ReplyError(waiter, strerror(failed));
  c->log.Close();
  c->log = fresh;
  ReplyOk(waiter);
}

// forget <container>
void Shim::Forget(const Fields& fields, const Waiter& waiter) {
  Container* c = fields.count == 3 ? FindContainer(fields.at[2]) : nullptr;
  if (c != nullptr && c->state != ContainerState::kExited) return ReplyError(waiter, "the container is running");
  if (c != nullptr) Free(c);
  ReplyOk(waiter);
}

void Shim::BeginStop(const Waiter& waiter) {
  stopping_ = true;
  stop_waiter_ = waiter;
  for (const Container* c = containers_; c != nullptr; c = c->next) {
    if (c->state == ContainerState::kStarting) kill(c->runtime_pid, SIGKILL);
    if (c->state != ContainerState::kRunning) continue;
    kill(c->pid, SIGKILL);
    if (!c->private_pid) KillGroup(c->procs_file, 1);
  }
  if (infra_pid_ > 0) kill(infra_pid_, SIGKILL);
}

}  // namespace knarr::shim
