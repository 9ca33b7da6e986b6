#pragma once

// Pods' network under a container runtime of another process. CRI's runtimes make a sandbox's network namespace
// themselves and have a CNI plugin set it up. Ours is this program under the name knarr-cni: it hands what it is asked
// to the server's socket, and there PodNetwork does what it does for our own engine: the same bridge, addresses, rules.
//
//   runtime ── CNI_COMMAND=ADD knarr-cni ── <data>/network/cni.sock ── CniServer ── PodNetwork::Attach
//
// A sandbox that goes while no server runs is not told of: its address is free again when the next server looks which
// ones there are (PodNetwork::Retain).

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "network/network.h"
#include "rt/runtime.h"

namespace knarr::cri {

/// The name of the plugin's file, which is a link to this program.
inline constexpr const char* kCniPlugin = "knarr-cni";
/// What containerd up to 1.7 starts for a sandbox's lo, whatever is configured: ours stands in where there is none.
inline constexpr const char* kLoopbackPlugin = "loopback";

/// Every sandbox that the runtime has, whoever's: all of them have their network from here.
using SandboxIds = std::function<Result<std::vector<std::string>>()>;

/// `network`, but what is retained is also what is being made (in no list yet) and what belongs to others.
std::unique_ptr<network::PodNetwork> RememberSandboxes(rt::Runtime& runtime, network::PodNetwork& network,
                                                       SandboxIds all);

/// Serves the plugin on a socket; and is the PodNetwork that the node is given, with RememberSandboxes.
class CniServer {
 public:
  /// Runtime, network and what `all` uses must outlive it. A socket that a server left behind is taken over.
  static Result<std::unique_ptr<CniServer>> Start(rt::Runtime& runtime, network::PodNetwork& network,
                                                  const std::string& socket_path, SandboxIds all);
  virtual ~CniServer() = default;
  virtual network::PodNetwork& network() = 0;
};

struct CniFiles {
  std::string configs;  ///< "/etc/cni/net.d"
  std::string plugins;  ///< "/opt/cni/bin"
  std::string socket;
};
/// Writes the configuration, and links the plugin to this program. Conflict when another cluster's configuration is
/// there. Logs a warning when the runtime will take another file than ours.
Ok WriteCniFiles(rt::Runtime& runtime, const CniFiles& files);
/// Those of this socket only; fine if there are none.
Ok RemoveCniFiles(rt::Runtime& runtime, const CniFiles& files);

/// The plugin's whole work: what it prints, and its exit code.
struct CniOutcome {
  std::string text;
  int code = 0;
};
using Variables = std::function<std::string(std::string_view name)>;
CniOutcome RunCniPlugin(rt::Runtime& runtime, const Variables& variables, std::string_view config);
CniOutcome RunLoopbackPlugin(rt::Runtime& runtime, const Variables& variables, std::string_view config);

inline constexpr const char* kCniVersion = "1.0.0";
/// CNI's numbers of errors.
inline constexpr int kCniInvalidVariables = 4;
inline constexpr int kCniMalformed = 6;
inline constexpr int kCniTryAgain = 11;
inline constexpr int kCniFailed = 100;  ///< the first of a plugin's own
/// An error as CNI wants it.
std::string CniError(int code, std::string_view message);
/// What the server answers to the plugin's question, JSON both: CNI's result or CNI's error. "" when there is nothing
/// to say.
std::string AnswerCni(network::PodNetwork& network, std::string_view question);

}  // namespace knarr::cri
