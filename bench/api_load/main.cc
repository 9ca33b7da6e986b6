// knarr_api_load: measures an API server from outside. See docs/performance.md and bench/compare_api.py.

#include <fmt/format.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/flags.h"
#include "load.h"
#include "rt/file_system.h"
#include "rt/real.h"

namespace knarr::bench {
namespace {

struct Command {
  LoadOptions load;
  std::string kubeconfig;
  std::string context;
  std::string server;
  std::string token;
  std::string ca;
  bool insecure = false;
  bool help = false;
  std::vector<std::string> scenarios;
};

void Register(cli::FlagSet& flags, Command& command) {
  LoadOptions& load = command.load;
  flags.String(&command.kubeconfig, "kubeconfig", 0, "File that says where the server is");
  flags.String(&command.context, "context", 0, "Context of the kubeconfig");
  flags.String(&command.server, "server", 0, "URL of the server, instead of a kubeconfig");
  flags.String(&command.token, "token", 0, "Bearer token, with --server");
  flags.String(&command.ca, "certificate-authority", 0, "File with the server's authority, with --server");
  flags.Bool(&command.insecure, "insecure", 0, "Do not verify the server's certificate, with --server");
  flags.String(&load.target, "target", 0, "What the lines call the server");
  flags.String(&load.ns, "namespace", 'n', "Namespace to work in; made if it is not there");
  flags.StringSlice(&load.pids, "pid", 0, "Processes of the server, for its processor time and memory");
  flags.Int(&load.clients, "clients", 'c', "Clients, each with a connection of its own");
  flags.DurationOf(&load.length, "length", 't', "How long a closed loop runs");
  flags.Int(&load.objects, "objects", 0, "Pods that fill makes");
  flags.Int(&load.lists, "lists", 0, "How often each list is read; the median is told");
  flags.Int(&load.watchers, "watchers", 'w', "Watchers, each with a connection of its own");
  flags.Int(&load.rate, "rate", 0, "Creates a second under watch; 0 is a closed loop");
  flags.Int(&load.window, "window", 0, "Of that closed loop: creates that not every watcher has seen");
  flags.Bool(&load.protobuf, "protobuf", 0, "Watch in protobuf");
  flags.Bool(&command.help, "help", 'h', "This text");
}

Result<client::RestConfig> ConfigOf(rt::Runtime& runtime, const Command& command) {
  if (!command.kubeconfig.empty()) {
    client::KubeconfigSource source;
    source.path = command.kubeconfig;
    source.context = command.context;
    return client::LoadKubeconfig(runtime, source);
  }
  if (command.server.empty()) return BadRequest("say where the server is: --kubeconfig or --server");
  client::RestConfig config;
  config.server = command.server;
  config.token = command.token;
  config.insecure = command.insecure;
  if (!command.ca.empty()) config.ca_pem = TRY(runtime.files().ReadFile(command.ca));
  return config;
}

Ok Run(rt::Runtime& runtime, const std::vector<std::string>& args) {
  Command command;
  cli::FlagSet flags;
  Register(flags, command);
  command.scenarios = TRY(flags.Parse(args));
  if (command.help || command.scenarios.empty()) {
    fmt::print("knarr_api_load [flags] SCENARIO…\n\nScenarios: {}\n\n{}", ScenarioNames(), flags.Usage());
    return {};
  }
  const LoadOptions& load = command.load;
  if (load.clients < 1 || load.watchers < 1 || load.lists < 1 || load.window < 1 || load.rate < 0) {
    return BadRequest("--clients, --watchers, --lists and --window are 1 or more");
  }
  const client::RestConfig config = TRY(ConfigOf(runtime, command));
  const std::vector<std::string> self = {"self"};
  Load all{runtime, config, load, Meter(runtime, load.pids), Meter(runtime, self)};
  for (const std::string& scenario : command.scenarios) {
    TRY(RunScenario(all, scenario).Context(scenario));
  }
  return {};
}

}  // namespace
}  // namespace knarr::bench

int main(int argc, char** argv) {
  using namespace knarr;  // a benchmark is a program of its own
  auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  Ok done;
  runtime->Run([&] { done = bench::Run(*runtime, {argv + 1, argv + argc}); });
  if (done.ok()) return 0;
  std::fprintf(stderr, "error: %s\n", done.status().ToString().c_str());
  return 1;
}
