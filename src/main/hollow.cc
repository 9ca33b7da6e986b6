#include "main/hollow.h"

#include <fmt/format.h>
#include <signal.h>

#include "base/log.h"
#include "base/strings.h"
#include "cli/flags.h"
#include "client/http_client.h"
#include "client/kubeconfig.h"
#include "controller/local_volumes.h"
#include "rt/file_system.h"
#include "rt/memory_files.h"

namespace knarr::main {
namespace {

constexpr size_t kConfigMax = 1 << 20;

/// `flag` says how many.
Result<hollow::Options> OptionsOf(rt::Runtime& runtime, std::string_view flag, const HollowFlags& flags) {
  hollow::Options out;
  if (flags.count < 1 || flags.count > kHollowNodesMost) {
    return BadRequest(fmt::format("{}: want 1 to {} hollow nodes", flag, kHollowNodesMost));
  }
  out.count = static_cast<int>(flags.count);
  if (!flags.config.empty()) {
    const std::string text = TRY(runtime.files().ReadFile(flags.config, kConfigMax));
    out.cycles = TRY(hollow::LifeCycles::Parse(text).Context(flags.config));
  }
  TRY(out.cycles.CheckCount(out.count).Context(flag));
  return out;
}

}  // namespace

/// Volumes of hollow nodes, whose folders are in memory.
class PaperVolumes {
 public:
  PaperVolumes(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers,
               const std::vector<std::string>& nodes)
      : files_(rt::MakeMemoryFileSystem(runtime)),
        events_(runtime, client, "knarr.dev/local"),
        volumes_(runtime, *files_, client, informers, events_, {{nodes.begin(), nodes.end()}, "/storage"}) {
    volumes_.Start();
  }
  void Stop() {
    volumes_.Stop();
    events_.Stop();
  }

 private:
  std::unique_ptr<rt::FileSystem> files_;
  client::EventRecorder events_;
  controller::LocalVolumes volumes_;
};

HollowNodes::HollowNodes() = default;
HollowNodes::~HollowNodes() = default;

Result<std::unique_ptr<HollowNodes>> HollowNodes::Start(rt::Runtime& runtime, apiserver::ApiServer& api,
                                                        client::InformerFactory& informers, const HollowFlags& flags) {
  hollow::Options options = TRY(OptionsOf(runtime, "--hollow-nodes", flags));
  std::unique_ptr<HollowNodes> out(new HollowNodes());
  // One user for all of them, who may do what each node may for itself.
  out->client_ = api.LocalClient({"system:hollow-nodes", "", {"system:masters"}}, "hollow-node");
  out->nodes_ = std::make_unique<hollow::Nodes>(runtime, *out->client_, informers, std::move(options));
  for (const std::string& name : out->nodes_->Names()) api.SetNodeAccess(name, out->nodes_.get());
  out->nodes_->Start();
  out->volumes_ = std::make_unique<PaperVolumes>(runtime, *out->client_, informers, out->nodes_->Names());
  return out;
}

void HollowNodes::Stop() {
  volumes_->Stop();
  nodes_->Stop();
}

namespace {

struct Command {
  HollowFlags hollow{.count = 1, .config = ""};
  client::KubeconfigSource source;
  int64_t first = 0;
  bool help = false;
};

void Register(cli::FlagSet& flags, Command& out) {
  flags.Bool(&out.help, "help", 'h', "Show this text");
  flags.Int(&out.hollow.count, "count", 0, "How many nodes");
  flags.Int(&out.first, "first", 0, "The number of the first node, when several of these programs share a cluster");
  flags.String(&out.hollow.config, "config", 0, "A file that describes the nodes and how their pods live");
  flags.String(&out.source.path, "kubeconfig", 0, "The cluster, instead of $KUBECONFIG or ~/.kube/config");
  flags.String(&out.source.context, "context", 0, "The kubeconfig's context, instead of its current one");
}

Ok Serve(rt::RealRuntime& runtime, Command& command) {
  if (command.first < 0 || command.first > kHollowNodesMost) {
    return BadRequest(fmt::format("--first: want 0 to {}", kHollowNodesMost));
  }
  hollow::Options options = TRY(OptionsOf(runtime, "--count", command.hollow));
  options.first = static_cast<int>(command.first);
  TRY(options.cycles.CheckCount(options.first + options.count).Context("--first"));
  const client::RestConfig config = TRY(client::LoadKubeconfig(runtime, command.source));
  const std::unique_ptr<client::HttpClient> client = TRY(client::HttpClient::Create(runtime, config));
  // Says now, and not again and again, that the server is not there or lets nobody in.
  TRY(client->GetRaw("/version").Context("server " + client->server()));
  client::InformerFactory informers(runtime, *client);
  hollow::Nodes nodes(runtime, *client, informers, std::move(options));
  PaperVolumes volumes(runtime, *client, informers, nodes.Names());
  informers.Start();
  nodes.Start();
  rt::TaskGroup tasks(runtime, "hollow-node");
  tasks.Spawn("registered", [&] {
    if (nodes.WaitRegistered().ok()) LOG_INFO("hollow nodes are registered", {"count", command.hollow.count});
  });
  const Result<int> signal = runtime.WaitSignal({SIGTERM, SIGINT});
  LOG_INFO("stopping; the nodes' objects stay", {"signal", signal.ok() ? *signal : 0});
  tasks.StopAndJoin();
  volumes.Stop();
  nodes.Stop();
  informers.Stop();
  return {};
}

}  // namespace

int RunHollowNode(rt::RealRuntime& runtime, cli::Console& console, const std::vector<std::string>& args,
                  const cli::Environment& env) {
  Command command;
  cli::FlagSet flags;
  Register(flags, command);
  const Result<std::vector<std::string>> rest = flags.Parse(args);
  Ok done = rest.ok() ? Ok() : Ok(rest.status());
  if (rest.ok() && !rest->empty()) done = BadRequest(fmt::format("unexpected argument {}", GoQuote(rest->front())));
  if (done.ok() && command.help) {
    (void)console.Out("Usage:\n  knarr hollow-node [flags]   nodes without machines, for a cluster\n\nFlags:\n" +
                      flags.Usage());
    return 0;
  }
  command.source.environment = env("KUBECONFIG").value_or("");
  command.source.home = env("HOME").value_or("");
  if (done.ok()) done = Serve(runtime, command);
  if (done.ok()) return 0;
  (void)console.Err("error: " + std::string(done.status().message()) + "\n");
  return 1;
}

}  // namespace knarr::main
