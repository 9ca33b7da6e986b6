#pragma once

// The shim: one small process a pod. It is the parent of the infra process and (as subreaper) of the containers, starts
// them with the OCI runtime program, writes their logs, records their exits, and tells whoever is connected. It works
// in the sandbox's folder, by relative paths:
//
//   shim.sock  where it listens (see message.h)     shim.pid  "<pid> <start> <infra pid> <infra start>"
//   <container>/  config.json, pid, started ("<pid> <start> <ns>"), exit ("<code> <ns> <oom>"), oci.log, tty
//   <exec>.json, .pid, .log, .tty                   of an exec, while it starts
//
// The engine may come and go; the shim goes on, and what happens meanwhile stands in the exit files and in `list`.
// It is one thread round one epoll; memory is what the connections and containers need and no more.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/shim/infra.h"
#include "runtime/shim/log_stream.h"
#include "runtime/shim/message.h"

namespace knarr::shim {

struct ShimOptions {
  const char* directory = "";    ///< the sandbox's, absolute
  const char* oci_runtime = "";  ///< the OCI runtime program
  const char* oci_root = "";     ///< its state folder
  int ready_fd = -1;             ///< gets "ok <infra pid>" or what went wrong
  uid_t first_id = 0;            ///< who root of the pod's user namespace is outside; 0: there is none
  InfraOptions infra;
};

enum class SourceKind : uint8_t { kListener, kSignals, kConnection, kOutput, kAttachment };

/// What epoll watches.
struct Source {
  SourceKind kind = SourceKind::kListener;
  int fd = -1;
  void* owner = nullptr;
};

struct Connection {
  Connection* next;
  uint64_t serial;
  bool events;
  Source source;
};

/// Who waits for the answer to a request that takes a while.
struct Waiter {
  uint64_t serial;
  char request[24];
};

enum class ContainerState : uint8_t { kStarting, kRunning, kExited };

struct Container;

/// One output of a container on its way to the log.
struct Output {
  Source source;
  Container* container;
  LogStream log;
  bool paused;  ///< not read, until who is attached has taken what was
};

/// Somebody who reads one output, too.
struct Attachment {
  Attachment* next;
  Source source;   ///< the pipe's end to write to
  Output* output;  ///< nullptr once the stream has ended
  char* pending;   ///< what it has not taken yet
  size_t pending_size;
};

struct Container {
  Container* next;
  char id[kIdMax + 1];
  char* log_path;
  char* oom_file;
  char* procs_file;
  bool tty, stdin_open, private_pid;
  ContainerState state;
  pid_t runtime_pid;  ///< the OCI runtime program that starts it
  pid_t pid;
  int stdin_fd;    ///< held open so that the container's input does not end
  int console_fd;  ///< where its terminal arrives
  int exit_code;
  bool oom;
  bool recorded;  ///< the exit file is written
  int64_t started_ns, finished_ns;
  LogFile log;
  Output outputs[2];
  Waiter waiter;
};

struct Exec {
  Exec* next;
  char id[kIdMax + 1];
  Container* container;
  bool tty;
  pid_t runtime_pid;
  pid_t pid;
  int killed;  ///< the signal it gets once it runs, or 0
  int console_fd;
  Waiter waiter;
};

class Shim {
 public:
  explicit Shim(const ShimOptions& options) : options_(options) {}
  /// Runs until told to stop; the program's exit code.
  int Run();

 private:
  // shim.cc: the loop, and who is connected
  bool Prepare(char* error, size_t error_size);
  bool Watch(Source* source);
  void Loop();
  void Dispatch(Source* source, uint32_t events);
  void Accept();
  void ReadRequest(Connection* connection);
  void Drop(Connection* connection);
  Connection* FindConnection(uint64_t serial);
  void Send(Connection* connection, const MessageBuilder& message, int fd);
  void Broadcast(const MessageBuilder& message);
  void ReplyOk(const Waiter& waiter);
  void ReplyError(const Waiter& waiter, const char* text);

  // shim_requests.cc
  void Handle(Connection* connection, const Fields& fields, const int* fds, int fd_count);
  void Hello(Connection* connection, const Waiter& waiter);
  void List(Connection* connection, const Waiter& waiter);
  void Signal(const Fields& fields, const Waiter& waiter);
  void KillExec(const Fields& fields, const Waiter& waiter);
  void Resize(const Fields& fields, const Waiter& waiter);
  void Reopen(const Fields& fields, const Waiter& waiter);
  void Forget(const Fields& fields, const Waiter& waiter);
  void BeginStop(const Waiter& waiter);

  // shim_containers.cc
  void Start(const Fields& fields, const Waiter& waiter);
  const char* OpenStreams(Container* container, int child_fds[3]);
  bool GiveToPod(int fd) const;
  pid_t SpawnRun(Container* container, const int child_fds[3]);
  void StartDone(Container* container, int status);
  void ReadOutput(Output* output);
  void DrainOutputs(Container* container);
  void CloseOutput(Output* output);
  void ContainerExited(Container* container, int status, int64_t now_ns);
  void RecordExit(Container* container);
  void Free(Container* container);
  Container* FindContainer(const char* id);

  // shim_exec.cc
  void StartExec(const Fields& fields, const Waiter& waiter, const int* fds, int fd_count);
  void ExecDone(Exec* exec, int status);
  void ExecEnded(Exec* exec, int status);
  void RemoveExec(Exec* exec);
  void RemoveExecFiles(const char* id);

  // shim_attach.cc
  void Attach(const Fields& fields, const Waiter& waiter, const int* fds, int fd_count);
  bool AddAttachment(Container* container, int index, int fd);
  void WatchAttachment(Attachment* attachment, uint32_t events);
  void Deliver(Output* output, const char* data, size_t size);
  void Pause(Output* output);
  void ResumeIfTaken(Output* output);
  void ServeAttachment(Attachment* attachment, uint32_t events);
  void EndAttachments(Output* output);
  void Detach(Attachment* attachment);
  void CloseStdin(const Fields& fields, const Waiter& waiter);

  // shim.cc: children
  void Reap();
  // Before a program is started while none else is: what ended earlier can't be its child, though a pid comes again.
  void ClearStrays();
  bool TakeStray(pid_t pid, int* status, int64_t* when_ns);
  bool Stopped() const;

  ShimOptions options_;
  int epoll_fd_ = -1;
  Source listener_;
  Source signals_;
  Connection* connections_ = nullptr;
  Container* containers_ = nullptr;
  Exec* execs_ = nullptr;
  Attachment* attachments_ = nullptr;
  uint64_t next_serial_ = 1;
  pid_t infra_pid_ = 0;
  bool stopping_ = false;
  bool retry_records_ = false;
  Waiter stop_waiter_ = {};

  // Children that ended before the program that started them: the last few, until somebody asks for them.
  struct Stray {
    pid_t pid;
    int status;
    int64_t when_ns;
  };
  static constexpr int kStrays = 64;
  Stray strays_[kStrays] = {};
  int next_stray_ = 0;
};

/// An exit code from waitpid's status: 128+n for signal n.
int ExitCode(int status);

}  // namespace knarr::shim
