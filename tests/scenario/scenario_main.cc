// Plays scenario files (docs/recipes/scenarios.md) against a cluster that is not simulated:
//
//   knarr_scenario [--kubeconfig FILE] [--context NAME] FILE…    any cluster: Knarr's, or another's
//   knarr_scenario --program KNARR FILE…                         a server of its own, with hollow nodes, for each file
//
// What only a simulation can do (machines that crash, networks that lose) is skipped, and said. Exit code 1 when a
// scenario failed.

#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "api/core_v1.h"
#include "base/strings.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/real.h"
#include "sim/player.h"

namespace knarr::sim {
namespace {

constexpr Duration kStartMost = 60s;
constexpr Duration kNodesMost = 30s;
constexpr int kHollowNodes = 3;

struct Arguments {
  client::KubeconfigSource source;
  std::string program;
  std::vector<std::string> files;
  bool verbose = false;
};

Result<std::string> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound(path + ": can't be read");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// How many ready nodes there are.
Result<uint64_t> ReadyNodes(client::Client& client) {
  const client::ObjectList nodes = TRY(client.List(api::core_v1::NodeInfo(), ""));
  uint64_t ready = 0;
  for (const api::ObjectPtr& node : nodes.items) {
    for (auto condition : api::core_v1::Node(node->tree()).status().conditions()) {
      if (condition.type() == "Ready" && condition.status() == "True") ready++;
    }
  }
  return ready;
}

class RealStage : public Stage {
 public:
  RealStage(rt::Runtime& runtime, client::Client& client, std::string folder, bool verbose)
      : runtime_(runtime), client_(client), folder_(std::move(folder)), verbose_(verbose) {}
  rt::Runtime& runtime() override { return runtime_; }
  client::Client& client() override { return client_; }
  bool simulated() const override { return false; }

  /// It has the nodes it has.
  Ok MakeNodes(const Statement& statement) override {
    wanted_ += TRY(ParseUint64(statement.words[0]));
    if (!statement.options.empty()) return Unavailable("nodes of a certain kind can only be simulated");
    const MonoTime until = runtime_.Mono() + kNodesMost;
    while (TRY(ReadyNodes(client_)) < wanted_) {
      if (runtime_.Mono() > until) return Unavailable(fmt::format("there are fewer than {} ready nodes", wanted_));
      TRY(runtime_.Sleep(500ms));
    }
    return {};
  }
  Ok Direct(const Statement& statement) override {
    return Unavailable(statement.verb + ": only a simulation can do that");
  }
  void Note(const std::string& text) override {
    if (verbose_) std::printf("  %s\n", text.c_str());
  }
  Result<std::string> ReadFile(const std::string& path) override { return ReadWhole(folder_ + path); }

 private:
  rt::Runtime& runtime_;
  client::Client& client_;
  const std::string folder_;
  const bool verbose_;
  uint64_t wanted_ = 0;
};

/// A server in a folder of its own; both are gone afterwards.
class OwnServer {
 public:
  explicit OwnServer(rt::Runtime& runtime) : runtime_(runtime) {}
  ~OwnServer() {
    if (process_ != nullptr) {
      (void)process_->Kill(SIGKILL);
      (void)process_->Wait();
    }
    if (!folder_.empty()) (void)runtime_.files().RemoveAll(folder_);
  }

  Result<client::KubeconfigSource> Start(const std::string& program) {
    char name[] = "/tmp/knarr-scenario-XXXXXX";
    if (mkdtemp(name) == nullptr) return Unavailable("no temporary folder");
    folder_ = name;
    // A port that was free a moment ago is found by the server itself.
    const std::string kubeconfig = folder_ + "/kubeconfig";
    process_ = TRY(runtime_.processes().Start(
        {.argv = {program, "server", "--data-dir", folder_ + "/data", "--listen", "127.0.0.1:0", "--no-node",
                  "--write-kubeconfig", kubeconfig, "--hollow-nodes", std::to_string(kHollowNodes)}}));
    const MonoTime until = runtime_.Mono() + kStartMost;
    while (!runtime_.files().Exists(kubeconfig)) {
      if (runtime_.Mono() > until) return Timeout("the server does not start");
      TRY(runtime_.Sleep(50ms));
    }
    client::KubeconfigSource source;
    source.path = kubeconfig;
    return source;
  }

 private:
  rt::Runtime& runtime_;
  std::string folder_;
  std::unique_ptr<rt::Process> process_;
};

class Runs {
 public:
  Runs(rt::Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  int Run() {
    for (const std::string& path : arguments_.files) {
      const PlayResult result = RunFile(path);
      static constexpr const char* kWords[] = {"ok", "FAILED", "skipped"};
      counts_[static_cast<size_t>(result.outcome)]++;
      std::printf("%-8s %s%s%s\n", kWords[static_cast<size_t>(result.outcome)], path.c_str(),
                  result.message.empty() ? "" : "  ", result.message.c_str());
      std::fflush(stdout);
    }
    std::printf("%zu ok, %zu failed, %zu skipped\n", counts_[0], counts_[1], counts_[2]);
    return counts_[1] == 0 ? 0 : 1;
  }

 private:
  static PlayResult Broken(const Status& status) {
    return {PlayResult::Outcome::kFailed, std::string(status.message())};
  }

  PlayResult RunFile(const std::string& path) {
    const Result<std::string> text = ReadWhole(path);
    if (!text.ok()) return Broken(text.status());
    const Result<Scenario> scenario = Scenario::Parse(*text, path);
    if (!scenario.ok()) return Broken(scenario.status());
    OwnServer own(runtime_);
    client::KubeconfigSource source = arguments_.source;
    if (!arguments_.program.empty()) {
      const Result<client::KubeconfigSource> started = own.Start(arguments_.program);
      if (!started.ok()) return Broken(started.status());
      source = *started;
    }
    const Result<client::RestConfig> config = client::LoadKubeconfig(runtime_, source);
    if (!config.ok()) return Broken(config.status());
    const Result<std::unique_ptr<client::HttpClient>> client = client::HttpClient::Create(runtime_, *config);
    if (!client.ok()) return Broken(client.status());
    const size_t slash = path.rfind('/');
    RealStage stage(runtime_, **client, slash == std::string::npos ? "" : path.substr(0, slash + 1),
                    arguments_.verbose);
    return Play(*scenario, stage, {.ns = fmt::format("scenario-{:06x}", runtime_.Random() & 0xffffff)});
  }

  rt::Runtime& runtime_;
  const Arguments& arguments_;
  size_t counts_[3] = {};
};

bool Read(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--verbose") {
      out.verbose = true;
    } else if (argument == "--kubeconfig" && i + 1 < argc) {
      out.source.path = argv[++i];
    } else if (argument == "--context" && i + 1 < argc) {
      out.source.context = argv[++i];
    } else if (argument == "--program" && i + 1 < argc) {
      out.program = argv[++i];
    } else if (argument.starts_with("-")) {
      return false;
    } else {
      out.files.emplace_back(argument);
    }
  }
  return !out.files.empty() && (out.program.empty() != out.source.path.empty());
}

}  // namespace
}  // namespace knarr::sim

int main(int argc, char** argv) {
  knarr::sim::Arguments arguments;
  if (!knarr::sim::Read(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: %s --kubeconfig FILE [--context NAME] | --program KNARR [--verbose] FILE…\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const auto runtime = knarr::rt::RealRuntime::Create({.name = "scenario"}, knarr::rt::BlockingPool::Create(4));
  int code = 1;
  runtime->Run([&] { code = knarr::sim::Runs(*runtime, arguments).Run(); });
  return code;
}
