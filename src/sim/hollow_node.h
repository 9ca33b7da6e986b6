#pragma once

// A simulated machine: a hollow node (hollow/nodes.h) that can crash (its agent forgets everything but the addresses it
// gave out), be cut off from the API server, and come back. It notices when a pod runs on two machines.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/informer.h"
#include "hollow/nodes.h"
#include "rt/runtime.h"
#include "sim/fault_client.h"
#include "sim/journal.h"

namespace knarr::sim {

/// Which pod runs where, over all nodes of a run.
using RunningPods = std::map<std::string, std::string, std::less<>>;

struct HollowNodeOptions {
  int index = 0;  ///< it is called node-<index>
  int cpu_milli = 2000;
  int memory_mib = 4096;
  int pods = 20;
  std::string zone;
  /// Thousandths of the starts after which a container crashes, and of those after which its pod fails for good.
  int crash = 0;
  int fail = 0;
  /// How its pods live, instead.
  std::vector<hollow::PodLifeCycle> cycles = {};
};

class HollowNode {
 public:
  /// `inner` is the way to the API server, on which the node's own faults are laid.
  HollowNode(rt::Runtime& runtime, client::Client& inner, const HollowNodeOptions& options, RunningPods& running,
             Journal& journal);
  ~HollowNode();

  static std::string NameOf(int index) { return "node-" + std::to_string(index); }
  const std::string& name() const { return name_; }
  Faults& faults() { return faults_; }
  bool up() const { return agent_ != nullptr; }
  /// The agent starts (again).
  void Start();
  /// The machine stops: everything on it ends at once, without a word to anybody.
  void Stop();
  /// From now on nothing crashes or fails of its own.
  void Calm();

 private:
  /// What runs while the machine is up.
  struct Agent {
    Agent(rt::Runtime& runtime, client::Client& client, hollow::Options options)
        : informers(runtime, client), nodes(runtime, client, informers, std::move(options)) {
      informers.Start();
      nodes.Start();
    }
    ~Agent() {
      nodes.Stop();
      informers.Stop();
    }
    client::InformerFactory informers;
    hollow::Nodes nodes;
  };

  rt::Runtime& runtime_;
  const std::string name_;
  hollow::Options options_;
  Faults faults_;
  std::unique_ptr<client::Client> client_;
  std::vector<hollow::AddressBook> books_;  // the disk
  bool calm_ = false;
  std::unique_ptr<Agent> agent_;
};

}  // namespace knarr::sim
