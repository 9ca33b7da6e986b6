#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/shim/process.h"
#include "runtime/shim/shim.h"

namespace knarr::shim {

// exec <exec> <container> <flags>, with descriptors for stdin (where the flags have an i), stdout and stderr (which may
// be left out: stdout's). The process to run stands in <exec>.json.
void Shim::StartExec(const Fields& fields, const Waiter& waiter, const int* fds, int fd_count) {
  if (fields.count != 5 || !ValidId(fields.at[2])) return ReplyError(waiter, "exec: bad request");
  const char* id = fields.at[2];
  Container* container = FindContainer(fields.at[3]);
  if (container == nullptr || container->state != ContainerState::kRunning) {
    RemoveExecFiles(id);
    return ReplyError(waiter, "the container is not running");
  }
  auto* exec = static_cast<Exec*>(calloc(1, sizeof(Exec)));
  if (exec == nullptr) return ReplyError(waiter, "out of memory");
  strcpy(exec->id, id);
  exec->container = container;
  exec->tty = strchr(fields.at[4], 't') != nullptr;
  exec->waiter = waiter;
  exec->console_fd = -1;
  exec->next = execs_;
  execs_ = exec;

  const auto in_folder = [&](char(&out)[4200], const char* suffix) {
    snprintf(out, sizeof(out), "%s/%s%s", options_.directory, id, suffix);
  };
  char process[4200], log[4200], pid_file[4200], console[128], listen_path[kIdMax + 8];
  in_folder(process, ".json");
  in_folder(log, ".log");
  in_folder(pid_file, ".pid");
  snprintf(console, sizeof(console), "/proc/%d/cwd/%s.tty", getpid(), id);
  snprintf(listen_path, sizeof(listen_path), "%s.tty", id);
  const char* argv[20] = {
      options_.oci_runtime, "--root",     options_.oci_root, "--log",     log,    "--log-format", "json", "exec",
      "--detach",           "--pid-file", pid_file,          "--process", process};
  int count = 13;
  const char* failed = nullptr;
  if (exec->tty) {
    argv[count++] = "--console-socket";
    argv[count++] = console;
    exec->console_fd = ListenConsole(listen_path);
    if (exec->console_fd < 0) failed = "listen for the terminal";
  }
  argv[count++] = container->id;
  SpawnOptions spawn;
  spawn.argv = argv;
  // The OCI runtime gives it to a container's first process, but leaves that of an exec as it is: ours, which is
  // protected from the OOM killer.
  char score_path[32], score[24];
  snprintf(score_path, sizeof(score_path), "/proc/%d/oom_score_adj", container->pid);
  snprintf(score, sizeof(score), "%lld", static_cast<long long>(ReadNumberFile(score_path)));
  spawn.oom_score_adj = score;
  if (!exec->tty) {
    const int first = strchr(fields.at[4], 'i') != nullptr ? 1 : 0;
    if (first == 1 && fd_count > 0) spawn.stdin_fd = fds[0];
    if (fd_count > first) spawn.stdout_fd = fds[first];
    spawn.stderr_fd = fd_count > first + 1 ? fds[first + 1] : spawn.stdout_fd;
  }
  ClearStrays();
  if (failed == nullptr && (exec->runtime_pid = Spawn(spawn)) < 0) failed = "fork";
  if (failed == nullptr) return;
  char text[256];
  snprintf(text, sizeof(text), "%s: %s", failed, strerror(errno));
  ReplyError(waiter, text);
  RemoveExec(exec);
}

void Shim::ExecDone(Exec* exec, int status) {
  exec->runtime_pid = 0;
  char path[kIdMax + 8];
  snprintf(path, sizeof(path), "%s.pid", exec->id);
  const int64_t pid = status == 0 ? ReadNumberFile(path) : -1;
  if (pid <= 0) {
    char text[4096];
    snprintf(path, sizeof(path), "%s.log", exec->id);
    ReadTail(path, ExitCode(status), text, sizeof(text));
    ReplyError(exec->waiter, text);
    RemoveExec(exec);
    return;
  }
  exec->pid = static_cast<pid_t>(pid);
  const int terminal = exec->tty ? TakeConsole(exec->console_fd) : -1;
  RemoveExecFiles(exec->id);
  Connection* connection = FindConnection(exec->waiter.serial);
  if (connection != nullptr) {
    MessageBuilder message;
    Send(connection, message.Add(exec->waiter.request).Add("ok").AddNumber(exec->pid), terminal);
  }
  if (terminal >= 0) close(terminal);
  int exit_status = 0;
  int64_t exit_ns = 0;
  if (TakeStray(exec->pid, &exit_status, &exit_ns)) {
    ExecEnded(exec, exit_status);
  } else if (connection == nullptr || exec->killed > 0) {
    kill(exec->pid, connection == nullptr ? SIGKILL : exec->killed);
  }
}

void Shim::ExecEnded(Exec* exec, int status) {
  if (Connection* connection = FindConnection(exec->waiter.serial)) {
    MessageBuilder message;
    Send(connection, message.Add("0").Add("exec-exit").Add(exec->id).AddNumber(ExitCode(status)), -1);
  }
  RemoveExec(exec);
}

void Shim::RemoveExec(Exec* exec) {
  for (Exec** at = &execs_; *at != nullptr; at = &(*at)->next) {
    if (*at != exec) continue;
    *at = exec->next;
    break;
  }
  RemoveExecFiles(exec->id);
  if (exec->console_fd >= 0) close(exec->console_fd);
  free(exec);
}

void Shim::RemoveExecFiles(const char* id) {
  static const char* const kSuffixes[] = {".json", ".pid", ".log", ".tty"};
  for (const char* suffix : kSuffixes) {
    char path[kIdMax + 8];
    snprintf(path, sizeof(path), "%s%s", id, suffix);
    unlink(path);
  }
}

}  // namespace knarr::shim
