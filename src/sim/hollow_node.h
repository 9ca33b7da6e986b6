#pragma once

// A simulated machine: a hollow node (hollow/nodes.h) that can crash (its agent forgets everything but the addresses it
// gave out), be cut off from the API server, and come back. It notices when a pod runs on two machines.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "controller/local_volumes.h"
#include "api/persistent_volumes.h"
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
  /// The ways to the API server, on which the node's own faults are laid.
  struct Ways {
    client::Client& agent;
    client::Client& volumes;  ///< of whoever keeps the node's volumes
  };
  HollowNode(rt::Runtime& runtime, Ways ways, const HollowNodeOptions& options, RunningPods& running,
             Journal& journal);
  ~HollowNode();

  static std::string NameOf(int index) { return "node-" + std::to_string(index); }
  const std::string& name() const { return name_; }
  Faults& faults() { return faults_; }
  bool up() const { return agent_ != nullptr; }
  /// Where its volumes' folders are.
  std::string storage() const { return "/" + name_ + "/storage"; }
  /// The agent starts (again).
  void Start();
  /// The machine stops: everything on it ends at once, without a word to anybody.
  void Stop();
  /// From now on nothing crashes or fails of its own.
  void Calm();

 private:
  /// What runs while the machine is up.
  struct Agent {
    Agent(rt::Runtime& runtime, client::Client& client, hollow::Options options, client::Client& volumes_client,
          controller::LocalVolumesOptions volumes_options)
        : informers(runtime, client),
          volume_informers(runtime, volumes_client),
          events(runtime, volumes_client, std::string(api::kLocalProvisioner)),
          nodes(runtime, client, informers, std::move(options)),
          volumes(runtime, runtime.files(), volumes_client, volume_informers, events, std::move(volumes_options)) {
      informers.Start();
      volume_informers.Start();
      nodes.Start();
      volumes.Start();
    }
    ~Agent() {
      volumes.Stop();
      nodes.Stop();
      volume_informers.Stop();
      informers.Stop();
      events.Stop();
    }
    client::InformerFactory informers;
    client::InformerFactory volume_informers;
    client::EventRecorder events;
    hollow::Nodes nodes;
    controller::LocalVolumes volumes;
  };

  rt::Runtime& runtime_;
  const std::string name_;
  hollow::Options options_;
  Faults faults_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<client::Client> volumes_client_;
  std::vector<hollow::AddressBook> books_;  // the disk
  bool calm_ = false;
  std::unique_ptr<Agent> agent_;
};

}  // namespace knarr::sim
