#pragma once

// What runs a node's containers: our own engine, or a container runtime of another process by CRI. Wiring only.

#include <memory>
#include <string>

#include "base/status.h"
#include "cli/flags.h"
#include "cri/cni.h"
#include "image/store.h"
#include "network/network.h"
#include "rt/runtime.h"
#include "runtime/engine.h"

namespace knarr::cri {
class Channel;
}

namespace knarr::main {

struct NodeRuntimeFlags {
  std::string endpoint;        ///< --container-runtime-endpoint; "": our own engine
  std::string image_endpoint;  ///< --image-service-endpoint; "": the same
  std::string cni_configs;     ///< "": where the runtime says that it reads them
  std::string cni_plugins;
};
void RegisterNodeRuntimeFlags(cli::FlagSet& flags, NodeRuntimeFlags& out);
/// BadRequest for what is no endpoint, or belongs to one that is not given.
Ok CheckNodeRuntimeFlags(const NodeRuntimeFlags& flags);

struct NodeRuntimeOptions {
  NodeRuntimeFlags flags;
  image::StoreOptions images;
  runtime::EngineOptions engine;
  network::PodNetworkOptions network;
};

/// Destroyed from the last member to the first: who uses others before them.
struct NodeRuntime {
  NodeRuntime();
  ~NodeRuntime();
  NodeRuntime(NodeRuntime&& other) noexcept;
  NodeRuntime& operator=(NodeRuntime&& other) noexcept;

  std::unique_ptr<cri::Channel> channel;
  std::unique_ptr<cri::Channel> image_channel;
  std::unique_ptr<image::Store> images;
  std::unique_ptr<network::PodNetwork> own_network;
  std::unique_ptr<cri::CniServer> cni;
  std::unique_ptr<runtime::Runtime> containers;
  /// Where the images lie.
  std::string image_directory;
  /// As the node's status has it: "containerd://1.6.20".
  std::string version;
  network::PodNetwork& network() { return cni != nullptr ? cni->network() : *own_network; }

  static Result<NodeRuntime> Open(rt::Runtime& runtime, const NodeRuntimeOptions& options);
};

/// Ends every pod of the cluster and removes what the runtime has of them.
Ok RemoveFromRuntime(rt::Runtime& runtime, const NodeRuntimeOptions& options);

}  // namespace knarr::main
