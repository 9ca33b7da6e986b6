// knarr: one program, many commands. Wiring only: which command runs, on which runtime, with what environment.

#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/invocation.h"
#include "cri/cni.h"
#include "main/hollow.h"
#include "main/server.h"
#include "main/server_flags.h"
#include "main/store_command.h"
#include "rt/real.h"

extern char** environ;  // NOLINT: the one place that reads it

namespace knarr::main {
namespace {

constexpr std::string_view kUsage =
    "Knarr is a whole Kubernetes in one program.\n"
    "\n"
    "Usage:\n"
    "  knarr server [flags]        start a cluster on this machine\n"
    "  knarr kubectl VERB [flags]  talk to a cluster\n"
    "  knarr docker VERB [flags]   images of this machine: load, images\n"
    "  knarr hollow-node [flags]   simulated nodes for a cluster\n"
    "  knarr store COMMAND         look after a server's store: check, repair, backup, restore, compact, stats\n"
    "  knarr object convert        turn one API object from one form into another\n"
    "  knarr uninstall [flags]     end every pod and remove every trace from this machine\n"
    "  knarr version               print the version\n"
    "\n"
    "Use \"knarr server --help\" for the server's flags.\n";

std::optional<std::string> FromEnvironment(std::string_view name) {
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    std::string_view entry(*at);
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

void LogToStandardError() {
  SetLogSink(
      [](LogLevel level, std::string_view message, LogFields fields) {
        const std::string line = FormatLogLine(level, message, fields) + "\n";
        // A log that can't be written has nowhere to complain.
        [[maybe_unused]] ssize_t wrote = write(STDERR_FILENO, line.data(), line.size());
      },
      LogLevel::kInfo);
}

/// A few arenas are enough for the few threads there are, and what is freed goes back to the system.
void TuneMemory() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

int Fail(cli::Console& console, const Status& status) {
  (void)console.Err("error: " + status.message() + "\n");
  return 1;
}

int RunServerCommand(rt::RealRuntime& runtime, std::shared_ptr<rt::BlockingPool> pool, cli::Console& console,
                     const std::vector<std::string>& args, bool uninstall) {
  Result<ServerFlags> flags = ParseServerFlags(runtime, args, FromEnvironment);
  if (!flags.ok()) return Fail(console, flags.status());
  if (flags->help) {
    (void)console.Out(flags->usage);
    (void)console.Flush();
    return 0;
  }
  LogToStandardError();
  // Files that containers read as any user are made on the way to their modes.
  umask(022);
  Ok done = uninstall ? Uninstall(runtime, flags->options) : RunServer(runtime, std::move(pool), flags->options);
  return done.ok() ? 0 : Fail(console, done.status());
}

/// As a CNI plugin, which a container runtime starts with what it wants in the environment and on standard input.
int RunCni(rt::RealRuntime& runtime, std::string_view program) {
  std::string config;
  char part[4096];
  for (size_t count = 0; (count = std::fread(part, 1, sizeof part, stdin)) > 0;) config.append(part, count);
  const auto variable = [](std::string_view name) { return FromEnvironment(name).value_or(""); };
  const auto run = program == cri::kCniPlugin ? cri::RunCniPlugin : cri::RunLoopbackPlugin;
  const cri::CniOutcome outcome = run(runtime, variable, config);
  std::fwrite(outcome.text.data(), 1, outcome.text.size(), stdout);
  return std::fflush(stdout) == 0 ? outcome.code : 1;
}

int Dispatch(rt::RealRuntime& runtime, std::shared_ptr<rt::BlockingPool> pool, std::vector<std::string> args) {
  std::unique_ptr<cli::Console> console = cli::MakeProcessConsole(runtime);
  const std::string command = args.empty() ? "" : args.front();
  if (!args.empty()) args.erase(args.begin());
  if (command == "server") return RunServerCommand(runtime, std::move(pool), *console, args, false);
  if (command == "hollow-node") {
    LogToStandardError();
    const int code = RunHollowNode(runtime, *console, args, FromEnvironment);
    (void)console->Flush();
    return code;
  }
  if (command == "uninstall") return RunServerCommand(runtime, std::move(pool), *console, args, true);
  cli::Invocation invocation{.runtime = runtime, .console = *console, .args = std::move(args), .env = FromEnvironment};
  int code = 0;
  if (command == "kubectl") {
    code = cli::RunKubectl(std::move(invocation));
  } else if (command == "docker") {
    code = cli::RunDocker(std::move(invocation),
                          FromEnvironment("KNARR_DATA_DIR").value_or(ServerOptions().data_directory));
  } else if (command == "store") {
    code = RunStore(std::move(invocation));
  } else if (command == "object") {
    code = cli::RunObject(std::move(invocation));
  } else {
    const bool asked = command.empty() || command == "help" || command == "--help" || command == "-h";
    if (!asked) (void)console->Err("error: unknown command \"" + command + "\"\n\n");
    (void)(asked ? console->Out(kUsage) : console->Err(kUsage));
    code = asked ? 0 : 1;
  }
  const Ok flushed = console->Flush();
  return flushed.ok() ? code : std::max(code, 1);
}

int Main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  // Needs nothing of what follows, and is asked by scripts all the time.
  if (!args.empty() && (args[0] == "version" || args[0] == "--version")) {
    std::puts("knarr " KNARR_VERSION " (Kubernetes v1.36)");
    return 0;
  }
  // Called by a link named kubectl, it is kubectl.
  std::string_view program(argv[0]);
  program.remove_prefix(program.rfind('/') + 1);
  if (program == "kubectl") args.insert(args.begin(), "kubectl");
  signal(SIGPIPE, SIG_IGN);
  TuneMemory();
  auto pool = rt::BlockingPool::Create(8);
  auto runtime = rt::RealRuntime::Create({.name = "world"}, pool);
  int code = 1;
  const bool plugin = program == cri::kCniPlugin || program == cri::kLoopbackPlugin;
  runtime->Run([&] { code = plugin ? RunCni(*runtime, program) : Dispatch(*runtime, pool, std::move(args)); });
  return code;
}

}  // namespace
}  // namespace knarr::main

int main(int argc, char** argv) { return knarr::main::Main(argc, argv); }
