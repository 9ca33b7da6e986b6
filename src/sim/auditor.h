#pragma once

// Sees every change of the store, in order, and checks what must hold at every moment whatever goes wrong:
//   revisions rise; a pod's node never changes; a pod is bound to a node that exists, has room for it, and has not been
//   closed to it for long; two live pods have no address in common; a replica set never has more active pods than it
//   was ever asked for (and adopted); what is being deleted never comes back.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/object.h"
#include "rt/runtime.h"
#include "scheduler/snapshot.h"
#include "sim/journal.h"
#include "store/store.h"

namespace knarr::sim {

class Auditor {
 public:
  Auditor(rt::Runtime& runtime, store::Store& store, Journal& journal);
  void Start();
  void Stop();

  /// For how long a scheduler may not know yet that a node was closed.
  void SetStaleness(Duration most) { staleness_ = most; }
  /// Suspends until every change that is in the store now has been seen.
  Ok CatchUp();
  /// Changes seen, heartbeats and events not counted.
  uint64_t changes() const { return changes_; }
  /// "revision type key" of every change of a pod.
  const std::vector<std::string>& pod_changes() const { return pod_changes_; }
  store::Revision seen() const { return seen_; }

 private:
  struct Set {
    bool known = false;
    int asked_most = 0;
    int adopted = 0;
    std::set<std::string> active;  // uids of its active pods
  };
  struct Node {
    scheduler::Resources allocatable;
    api::ObjectPtr object;
    /// The node with the unschedulable marks and taints it had before, and until when (null: there was no node).
    std::vector<std::pair<MonoTime, api::ObjectPtr>> before;
  };
  void Run();
  void See(const store::Event& event);
  void SeePod(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeBound(std::string_view key, const api::Object& pod);
  void SeeAddress(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeOwner(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeSet(const api::ObjectPtr& after);
  void SeeNode(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void NoteChange(const store::Event& event, const api::ObjectPtr& after);

  rt::Runtime& runtime_;
  store::Store& store_;
  Journal& journal_;
  Duration staleness_{};
  store::Revision seen_ = 0;
  uint64_t changes_ = 0;
  std::vector<std::string> pod_changes_;
  std::map<std::string, api::ObjectPtr, std::less<>> objects_;  // pods, sets and nodes by key
  std::map<std::string, Set, std::less<>> sets_;                // by uid
  std::map<std::string, Node, std::less<>> nodes_;
  std::map<std::string, scheduler::Resources, std::less<>> used_;  // by node
  std::map<std::string, std::string, std::less<>> addresses_;      // address → pod's key
  rt::TaskGroup tasks_;
};

}  // namespace knarr::sim
