#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/shim/process.h"
#include "runtime/shim/shim.h"

namespace knarr::shim {

namespace {

constexpr size_t kReadSize = 32768;
constexpr int kDrainReadsMax = 16;
constexpr size_t kRecordSize = 64;
constexpr size_t kErrorMax = 4096;

using Path = char[kIdMax + 32];

void MakePath(Path& out, const char* id, const char* name) { snprintf(out, sizeof(out), "%s/%s", id, name); }

void CloseFd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

// Writes over what the start set aside, so that it needs no room on a full disk.
int WriteRecord(const char* path, const char* temporary, const char* text) {
  char record[kRecordSize];
  memset(record, ' ', sizeof(record));
  record[kRecordSize - 1] = '\n';
  memcpy(record, text, strnlen(text, kRecordSize - 1));
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  errno = EIO;
  int failed = pwrite(fd, record, sizeof(record), 0) == static_cast<ssize_t>(sizeof(record)) ? 0 : errno;
  close(fd);
  if (failed == 0 && path != nullptr && rename(temporary, path) != 0) failed = errno;
  return failed;
}

}  // namespace

Container* Shim::FindContainer(const char* id) {
  for (Container* c = containers_; c != nullptr; c = c->next) {
    if (strcmp(c->id, id) == 0) return c;
  }
  return nullptr;
}

// start <container> <flags> <log> <oom file> <procs file>
void Shim::Start(const Fields& fields, const Waiter& waiter) {
  if (fields.count != 7 || !ValidId(fields.at[2])) return ReplyError(waiter, "start: bad request");
  if (stopping_) return ReplyError(waiter, "the sandbox is stopping");
  if (FindContainer(fields.at[2]) != nullptr) return ReplyError(waiter, "the container was started already");
  auto* c = static_cast<Container*>(calloc(1, sizeof(Container)));
  if (c == nullptr) return ReplyError(waiter, "out of memory");
  strcpy(c->id, fields.at[2]);
  c->tty = strchr(fields.at[3], 't') != nullptr;
  c->stdin_open = strchr(fields.at[3], 'i') != nullptr;
  c->private_pid = strchr(fields.at[3], 'p') != nullptr;
  c->log_path = strdup(fields.at[4]);
  c->oom_file = strdup(fields.at[5]);
  c->procs_file = strdup(fields.at[6]);
  c->stdin_fd = c->console_fd = c->outputs[0].source.fd = c->outputs[1].source.fd = -1;
  c->log = LogFile();
  c->waiter = waiter;
  c->next = containers_;
  containers_ = c;

  int child_fds[3] = {-1, -1, -1};
  errno = ENOMEM;
  const char* failed = c->log_path == nullptr || c->oom_file == nullptr || c->procs_file == nullptr
                           ? "keep the container's paths"
                           : OpenStreams(c, child_fds);
  if (failed == nullptr && (c->runtime_pid = SpawnRun(c, child_fds)) < 0) failed = "fork";
  char text[kErrorMax];
  if (failed != nullptr) snprintf(text, sizeof(text), "%s: %s", failed, strerror(errno));
  for (int& fd : child_fds) CloseFd(fd);
  if (failed == nullptr) return;
  ReplyError(waiter, text);
  Free(c);
}

// The first thing that fails, with errno; the container's ends are in child_fds.
const char* Shim::OpenStreams(Container* c, int child_fds[3]) {
  if ((errno = c->log.Open(c->log_path)) != 0) return "open the log";
  if (c->tty) {
    Path path;
    MakePath(path, c->id, "tty");
    c->console_fd = ListenConsole(path);
    c->outputs[0].log.Start(&c->log, "stdout");
    return c->console_fd < 0 ? "listen for the terminal" : nullptr;
  }
  static const char* const kNames[2] = {"stdout", "stderr"};
  for (int i = 0; i < 2; i++) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "pipe";
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    child_fds[i + 1] = ends[1];
    c->outputs[i].container = c;
    c->outputs[i].log.Start(&c->log, kNames[i]);
    c->outputs[i].source = {SourceKind::kOutput, ends[0], &c->outputs[i]};
    if (!Watch(&c->outputs[i].source)) return "watch a pipe";
    if (!GiveToPod(ends[1])) return "give a pipe to the pod";
  }
  if (c->stdin_open) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "pipe";
    child_fds[0] = ends[0];
    c->stdin_fd = ends[1];
    if (!GiveToPod(ends[0])) return "give a pipe to the pod";
  }
  return nullptr;
}

// What nobody in the pod owns can't be opened there again by its name, /dev/stdout: not even by root.
bool Shim::GiveToPod(int fd) const {
  return options_.first_id == 0 || fchown(fd, options_.first_id, options_.first_id) == 0;
}

pid_t Shim::SpawnRun(Container* c, const int child_fds[3]) {
  const auto in_folder = [&](char(&out)[4200], const char* name) {
    snprintf(out, sizeof(out), "%s/%s%s%s", options_.directory, c->id, *name != '\0' ? "/" : "", name);
  };
  char bundle[4200], log[4200], pid_file[4200], console[128];
  in_folder(bundle, "");
  in_folder(log, "oci.log");
  in_folder(pid_file, "pid");
  // The folder's own path may be too long for a socket's address.
  snprintf(console, sizeof(console), "/proc/%d/cwd/%s/tty", getpid(), c->id);
  const char* argv[20] = {
      options_.oci_runtime, "--root", options_.oci_root, "--log", log, "--log-format", "json", "run", "--detach",
      "--bundle",           bundle,   "--pid-file",      pid_file};
  int count = 13;
  if (c->tty) {
    argv[count++] = "--console-socket";
    argv[count++] = console;
  }
  argv[count++] = c->id;
  Path record;
  MakePath(record, c->id, "exit.tmp");
  WriteRecord(nullptr, record, "");
  SpawnOptions spawn;
  spawn.argv = argv;
  spawn.stdin_fd = child_fds[0];
  spawn.stdout_fd = child_fds[1];
  spawn.stderr_fd = child_fds[2];
  ClearStrays();
  return Spawn(spawn);
}

void Shim::StartDone(Container* c, int status) {
  c->runtime_pid = 0;
  Path path;
  MakePath(path, c->id, "pid");
  const int64_t pid = status == 0 ? ReadNumberFile(path) : -1;
  if (pid <= 0) {
    char text[kErrorMax];
    MakePath(path, c->id, "oci.log");
    ReadTail(path, ExitCode(status), text, sizeof(text));
    ReplyError(c->waiter, text);
    KillGroup(c->procs_file, 100);
    Free(c);
    return;
  }
  c->pid = static_cast<pid_t>(pid);
  c->state = ContainerState::kRunning;
  c->started_ns = NowNs();
  int exit_status = 0;
  int64_t exit_ns = 0;
  const bool ended = TakeStray(c->pid, &exit_status, &exit_ns);
  if (ended && exit_ns < c->started_ns) c->started_ns = exit_ns;
  if (c->tty) {
    Output& output = c->outputs[0];
    output.container = c;
    output.source = {SourceKind::kOutput, TakeConsole(c->console_fd), &output};
    CloseFd(c->console_fd);
    MakePath(path, c->id, "tty");
    unlink(path);
    if (output.source.fd >= 0) Watch(&output.source);
  }
  char text[kRecordSize];
  snprintf(text, sizeof(text), "%d %llu %lld", c->pid, static_cast<unsigned long long>(ProcessStart(c->pid)),
           static_cast<long long>(c->started_ns));
  Path temporary;
  MakePath(path, c->id, "started");
  MakePath(temporary, c->id, "started.tmp");
  if (const int failed = WriteRecord(path, temporary, text); failed != 0) {
    fprintf(stderr, "write %s: %s\n", path, strerror(failed));
  }
  MessageBuilder message;
  message.Add(c->waiter.request).Add("ok").AddNumber(c->pid).AddNumber(c->started_ns);
  if (Connection* connection = FindConnection(c->waiter.serial)) Send(connection, message, -1);
  if (ended) ContainerExited(c, exit_status, exit_ns);
}

void Shim::ReadOutput(Output* output) {
  static char data[kReadSize];
  const ssize_t got = read(output->source.fd, data, sizeof(data));
  if (got > 0) {
    output->log.Feed(data, static_cast<size_t>(got), NowNs());
    return Deliver(output, data, static_cast<size_t>(got));
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  CloseOutput(output);  // the end; a terminal's is EIO
}

void Shim::CloseOutput(Output* output) {
  if (output->source.fd < 0) return;
  output->log.Finish(NowNs());
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, output->source.fd, nullptr);
  CloseFd(output->source.fd);
  EndAttachments(output);
  Container* c = output->container;
  if (c->state != ContainerState::kExited || c->outputs[0].source.fd >= 0 || c->outputs[1].source.fd >= 0) return;
  if (c->log.lost_bytes() > 0) {
    fprintf(stderr, "%s: %llu bytes of log could not be written\n", c->id,
            static_cast<unsigned long long>(c->log.lost_bytes()));
  }
  c->log.Close();
}

// What was written before the end stands in the log before the end is told.
void Shim::DrainOutputs(Container* c) {
  for (Output& output : c->outputs) {
    for (int i = 0; i < kDrainReadsMax && output.source.fd >= 0; i++) {
      errno = 0;
      ReadOutput(&output);
      if (errno == EAGAIN) break;
    }
  }
}

void Shim::ContainerExited(Container* c, int status, int64_t now_ns) {
  c->state = ContainerState::kExited;
  c->exit_code = ExitCode(status);
  c->finished_ns = now_ns;
  c->oom = ReadCounter(c->oom_file, "oom_kill") > 0;
  // Without a PID namespace of its own, what the container started outlives its first process unless we end it.
  if (!c->private_pid) KillGroup(c->procs_file, 100);
  DrainOutputs(c);
  CloseFd(c->stdin_fd);
  // Told first: the file may wait for the disk, and is for those who are not connected now.
  MessageBuilder message;
  Broadcast(
      message.Add("0").Add("exit").Add(c->id).AddNumber(c->exit_code).AddNumber(c->finished_ns).AddNumber(c->oom));
  RecordExit(c);
}

void Shim::RecordExit(Container* c) {
  Path path, temporary;
  MakePath(path, c->id, "exit");
  MakePath(temporary, c->id, "exit.tmp");
  char text[kRecordSize];
  snprintf(text, sizeof(text), "%d %lld %d", c->exit_code, static_cast<long long>(c->finished_ns), c->oom ? 1 : 0);
  const int failed = WriteRecord(path, temporary, text);
  // ENOENT: the container's folder is being removed, so nobody will ask.
  c->recorded = failed == 0 || failed == ENOENT;
  if (c->recorded) return;
  fprintf(stderr, "write %s: %s; trying again\n", path, strerror(failed));
  retry_records_ = true;
}

void Shim::Free(Container* c) {
  for (Container** at = &containers_; *at != nullptr; at = &(*at)->next) {
    if (*at != c) continue;
    *at = c->next;
    break;
  }
  for (Exec* exec = execs_; exec != nullptr; exec = exec->next) {
    if (exec->container == c) exec->container = nullptr;
  }
  c->state = ContainerState::kExited;
  for (Output& output : c->outputs) CloseOutput(&output);
  CloseFd(c->stdin_fd);
  CloseFd(c->console_fd);
  c->log.Close();
  free(c->log_path);
  free(c->oom_file);
  free(c->procs_file);
  free(c);
}

}  // namespace knarr::shim
