#include "main/node_runtime.h"

#include <utility>

#include "base/log.h"
#include "cri/channel.h"
#include "cri/images.h"
#include "cri/runtime.h"

namespace knarr::main {
namespace {

constexpr Duration kNetworkPatience = 20s;
constexpr const char* kDefaultCluster = "default";

Result<cri::RuntimeOptions> RuntimeOptionsOf(rt::Runtime& runtime, const NodeRuntimeOptions& options) {
  Result<runtime::Cgroups> cgroups = Unavailable("not looked for");
  runtime.Blocking([&] { cgroups = runtime::Cgroups::Detect(); });
  cri::RuntimeOptions out;
  out.cluster = options.network.instance.empty() ? kDefaultCluster : options.network.instance;
  out.cgroups = TRY(std::move(cgroups));
  out.cgroup_root = options.engine.cgroup_root;
  return out;
}

/// Errors say which runtime it is.
Result<std::unique_ptr<cri::Runtime>> OpenRuntime(rt::Runtime& runtime, cri::Channel& channel,
                                                  const NodeRuntimeFlags& flags, const cri::RuntimeOptions& options) {
  return cri::Runtime::Open(runtime, channel, options).Context("--container-runtime-endpoint " + flags.endpoint);
}

Result<cri::CniFiles> CniFilesOf(cri::Runtime& containers, const NodeRuntimeOptions& options) {
  const cri::RuntimePlaces places = TRY(containers.Places());
  const NodeRuntimeFlags& flags = options.flags;
  return cri::CniFiles{.configs = flags.cni_configs.empty() ? places.cni_configs : flags.cni_configs,
                       .plugins = flags.cni_plugins.empty() ? places.cni_plugins : flags.cni_plugins,
                       .socket = options.network.state_directory + "/cni.sock"};
}

Ok OpenOwn(rt::Runtime& runtime, const NodeRuntimeOptions& options, NodeRuntime& out) {
  out.images = TRY(image::Store::Open(runtime, options.images));
  out.containers = TRY(runtime::Engine::Open(runtime, *out.images, options.engine));
  out.own_network = TRY(network::PodNetwork::Open(runtime, options.network));
  out.image_directory = options.images.directory;
  out.version = "knarr://" KNARR_VERSION;
  return {};
}

/// The network first: the runtime asks for it with its first pod.
Ok OpenCri(rt::Runtime& runtime, const NodeRuntimeOptions& options, NodeRuntime& out) {
  const NodeRuntimeFlags& flags = options.flags;
  out.own_network = TRY(network::PodNetwork::Open(runtime, options.network));
  out.channel = cri::MakeChannel(runtime, TRY(cri::ParseEndpoint(flags.endpoint)));
  if (!flags.image_endpoint.empty()) {
    out.image_channel = cri::MakeChannel(runtime, TRY(cri::ParseEndpoint(flags.image_endpoint)));
  }
  cri::Channel& image_channel = out.image_channel != nullptr ? *out.image_channel : *out.channel;
  out.images = cri::MakeImages(image_channel);
  const cri::RuntimeOptions cri_options = TRY(RuntimeOptionsOf(runtime, options));
  auto containers = TRY(OpenRuntime(runtime, *out.channel, flags, cri_options));
  const cri::CniFiles files = TRY(CniFilesOf(*containers, options));
  out.cni = TRY(cri::CniServer::Start(runtime, *out.own_network, files.socket,
                                      [&channel = *out.channel] { return cri::ListAllSandboxes(channel); }));
  TRY(cri::WriteCniFiles(runtime, files));
  TRY(containers->WaitNetwork(kNetworkPatience));
  out.image_directory = TRY(cri::ImageFolder(image_channel).Context("container runtime"));
  // A runtime that does not say it has them where the node has all else.
  if (out.image_directory.empty()) out.image_directory = options.network.state_directory;
  out.version = containers->name() + "://" + containers->version();
  out.containers = std::move(containers);
  LOG_INFO("pods run in another container runtime", {"endpoint", flags.endpoint}, {"runtime", out.version},
           {"cni", files.configs});
  return {};
}

}  // namespace

void RegisterNodeRuntimeFlags(cli::FlagSet& flags, NodeRuntimeFlags& out) {
  flags.String(&out.endpoint, "container-runtime-endpoint", 0,
               "The CRI socket of a container runtime (unix:///run/containerd/containerd.sock) that runs the pods, "
               "instead of the built-in engine");
  flags.String(&out.image_endpoint, "image-service-endpoint", 0,
               "The CRI socket of the image service, where it is not the container runtime's");
  flags.String(&out.cni_configs, "cni-conf-dir", 0,
               "The folder in which the container runtime finds its CNI configuration, instead of the one it names");
  flags.String(&out.cni_plugins, "cni-bin-dir", 0,
               "The folder in which the container runtime finds CNI plugins, instead of the one it names");
}

Ok CheckNodeRuntimeFlags(const NodeRuntimeFlags& flags) {
  if (!flags.endpoint.empty()) {
    TRY(cri::ParseEndpoint(flags.endpoint).Context("--container-runtime-endpoint"));
    if (!flags.image_endpoint.empty()) {
      TRY(cri::ParseEndpoint(flags.image_endpoint).Context("--image-service-endpoint"));
    }
    return {};
  }
  if (!flags.image_endpoint.empty()) return BadRequest("--image-service-endpoint: wants --container-runtime-endpoint");
  if (!flags.cni_configs.empty()) return BadRequest("--cni-conf-dir: wants --container-runtime-endpoint");
  if (!flags.cni_plugins.empty()) return BadRequest("--cni-bin-dir: wants --container-runtime-endpoint");
  return {};
}

NodeRuntime::NodeRuntime() = default;
NodeRuntime::NodeRuntime(NodeRuntime&& other) noexcept = default;

NodeRuntime& NodeRuntime::operator=(NodeRuntime&& other) noexcept {
  containers = std::move(other.containers);
  cni = std::move(other.cni);
  own_network = std::move(other.own_network);
  images = std::move(other.images);
  image_channel = std::move(other.image_channel);
  channel = std::move(other.channel);
  image_directory = std::move(other.image_directory);
  version = std::move(other.version);
  return *this;
}

NodeRuntime::~NodeRuntime() = default;

Result<NodeRuntime> NodeRuntime::Open(rt::Runtime& runtime, const NodeRuntimeOptions& options) {
  NodeRuntime out;
  TRY(options.flags.endpoint.empty() ? OpenOwn(runtime, options, out) : OpenCri(runtime, options, out));
  return out;
}

Ok RemoveFromRuntime(rt::Runtime& runtime, const NodeRuntimeOptions& options) {
  const NodeRuntimeFlags& flags = options.flags;
  if (flags.endpoint.empty()) return runtime::RemoveEverything(runtime, options.engine);
  const auto channel = cri::MakeChannel(runtime, TRY(cri::ParseEndpoint(flags.endpoint)));
  const cri::RuntimeOptions cri_options = TRY(RuntimeOptionsOf(runtime, options));
  const auto containers = TRY(OpenRuntime(runtime, *channel, flags, cri_options));
  TRY(cri::RemoveEverything(runtime, *containers, cri_options));
  const cri::CniFiles files = TRY(CniFilesOf(*containers, options));
  return cri::RemoveCniFiles(runtime, files);
}

}  // namespace knarr::main
