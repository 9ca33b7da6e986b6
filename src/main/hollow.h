#pragma once

// Simulated nodes for users: beside a server in its process (`knarr server --hollow-nodes N`), or for any cluster by
// its kubeconfig (`knarr hollow-node`).

#include <memory>
#include <string>
#include <vector>

#include "apiserver/apiserver.h"
#include "cli/invocation.h"
#include "client/informer.h"
#include "hollow/nodes.h"
#include "rt/real.h"

namespace knarr::main {

constexpr int kHollowNodesMost = 20000;

/// What is asked for on the command line.
struct HollowFlags {
  int64_t count = 0;
  std::string config;  ///< a file; "": every pod starts at once and runs on
};

/// The hollow nodes of a server.
class HollowNodes {
 public:
  /// Reads the file and registers the nodes in the background. `informers` is started.
  static Result<std::unique_ptr<HollowNodes>> Start(rt::Runtime& runtime, apiserver::ApiServer& api,
                                                    client::InformerFactory& informers, const HollowFlags& flags);
  /// REQUIRES: Stop was called.
  ~HollowNodes();
  void Stop();

 private:
  HollowNodes();
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<hollow::Nodes> nodes_;
  std::unique_ptr<class PaperVolumes> volumes_;
};

/// `knarr hollow-node …`, until SIGTERM or SIGINT; the exit code.
int RunHollowNode(rt::RealRuntime& runtime, cli::Console& console, const std::vector<std::string>& args,
                  const cli::Environment& env);

}  // namespace knarr::main
