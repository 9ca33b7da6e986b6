#pragma once

// A node without containers. It registers its Node object, renews its lease, and takes the pods bound to it through
// their lives as a kubelet would show them: started after a while, ready, now and then crashing and restarting, ended
// with grace when they are deleted. The machine can crash (its agent forgets everything but the addresses it gave out),
// be cut off from the API server, and come back.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "client/client.h"
#include "client/informer.h"
#include "rt/runtime.h"
#include "sim/fault_client.h"
#include "sim/journal.h"

namespace knarr::sim {

/// Which pod runs where, over all nodes of a run.
using RunningPods = std::map<std::string, std::string, std::less<>>;

struct HollowNodeOptions {
  std::string name;
  int index = 0;  ///< its pods' addresses are 10.42.<index>.x
  int cpu_milli = 2000;
  int memory_mib = 4096;
  int pods = 20;
  std::string zone;
  /// Thousandths of the pods whose container crashes once in a while, and of those that fail for good.
  int crash = 0;
  int fail = 0;
};

class HollowNode {
 public:
  /// `inner` is the way to the API server, on which the node's own faults are laid.
  HollowNode(rt::Runtime& runtime, client::Client& inner, HollowNodeOptions options, RunningPods& running,
             Journal& journal);
  ~HollowNode();

  const std::string& name() const { return options_.name; }
  Faults& faults() { return faults_; }
  bool up() const { return agent_ != nullptr; }
  /// The agent starts (again).
  void Start();
  /// The machine stops: everything on it ends at once, without a word to anybody.
  void Stop();
  /// From now on nothing crashes or fails of its own.
  void Calm() { calm_ = true; }

 private:
  class Agent;
  friend class Agent;
  std::string TakeAddress(const std::string& uid);

  rt::Runtime& runtime_;
  const HollowNodeOptions options_;
  RunningPods& running_;
  Journal& journal_;
  Faults faults_;
  std::unique_ptr<client::Client> client_;
  std::map<std::string, std::string, std::less<>> addresses_;  // the disk: pod's uid → address
  std::set<std::string> taken_;
  bool calm_ = false;
  std::unique_ptr<Agent> agent_;
};

}  // namespace knarr::sim
