#pragma once

// Sees every change of the store, in order, and checks what must hold at every moment whatever goes wrong:
//   revisions rise; a pod's node never changes; a pod is bound to a node that exists, has room for it, and has not been
//   closed to it for long; two live pods have no address in common; a replica set never has more active pods than it
//   was ever asked for (and adopted), nor deletes more than it has too many; what is being deleted never comes back,
//   and what a finalizer holds does not go; a pod does not go while it runs; no two services have one address, no two
//   pods of a node one port; a quota is never exceeded; the garbage collector takes nothing that has an owner, and
//   nothing that its owner left behind; no two claims have one volume, none loses its own, and no volume is handed from
//   one claim to another; no service sends anything to what was never ready; a namespace that stays is not finalized.
// It also counts what happens seldom: paths that no seed reaches are not tested.

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
#include "sim/convergence.h"
#include "sim/fault_client.h"
#include "sim/hollow_node.h"
#include "sim/journal.h"
#include "store/store.h"

namespace knarr::sim {

bool HasFinalizer(const api::Object& object, std::string_view wanted);

class Auditor : public CallObserver {
 public:
  /// `running`: which pod runs on which node.
  Auditor(rt::Runtime& runtime, store::Store& store, Journal& journal, const RunningPods& running);
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
  /// How often each thing that happens seldom did; those that never did, too.
  std::map<std::string, uint64_t, std::less<>> probes() const;

  /// When the last of them was.
  MonoTime last_change() const { return last_change_; }
  /// Machines that are not heard of, and for how long.
  std::vector<Silence> Silent() const;

  /// A machine was taken away, or given back.
  void NodeFault(const std::string& node, bool lost);
  /// The finalizer that holds an object is about to be taken away.
  void Releases(const std::string& uid) { released_.insert(uid); }

  void Deletes(std::string_view who, const api::KindInfo& kind, const client::ObjectName& name,
               const client::DeleteOptions& options) override;
  void Deleted(std::string_view who, const api::KindInfo& kind, const client::DeleteOptions& options,
               const api::Object& object) override;
  void Binds(std::string_view who, const client::ObjectName& pod) override;
  void DeletesAll(std::string_view who, const api::KindInfo& kind, std::string_view ns) override;
  void Answers(std::string_view who, const api::KindInfo& kind, const client::ObjectName& name, bool there) override;

 private:
  struct Set {
    bool known = false;
    int asked_most = 0;
    int adopted = 0;
    std::set<std::string> active;  // uids of its active pods
    int asked = 0;
    std::vector<std::pair<MonoTime, int>> asked_before;  // until when, how many
    std::vector<MonoTime> lost;                          // pods that others took away
  };
  struct Node {
    scheduler::Resources allocatable;
    api::ObjectPtr object;
    /// The node with the unschedulable marks and taints it had before, and until when (null: there was no node).
    std::vector<std::pair<MonoTime, api::ObjectPtr>> before;
    int pods = 0;  // that hold a place on it
    MonoTime lost_since = MonoTime::max();
  };
  void Run();
  Ok Watch();
  void See(const store::Event& event);
  void SeePod(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeBound(std::string_view key, const api::Object& pod);
  void SeeAddress(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeOwner(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeSet(const api::ObjectPtr& after);
  void SeeNode(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeClaim(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeVolume(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeVolumesOf(std::string_view key, const api::Object& pod, const api::ObjectPtr& node);
  /// The core object of that plural and "namespace/name" as it was seen last; null if there is none.
  api::ObjectPtr Seen(std::string_view plural, const std::string& name) const;
  void NoteChange(const store::Event& event, const api::ObjectPtr& after);
  void SeeAny(const store::Event& event, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeOwned(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeGone(std::string_view key, const api::Object& before);
  void SeeService(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeQuota(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeePorts(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeBudget(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeSlice(std::string_view key, const api::Object& slice);
  void SeeNamespace(std::string_view key, const api::ObjectPtr& before, const api::ObjectPtr& after);
  void SeeVolumeUser(std::string_view key, const api::Object& before, const api::Object& after);
  void SeeLost(std::string_view key, Set& set, const std::string& uid);
  void SeeEvent(const store::Event& event);
  void CollectsGarbage(const api::Object& object);
  void ExpelsPod(const api::Object& pod);
  /// The object of that name as it is now in the store; null if there is none.
  api::ObjectPtr Now(const api::KindInfo& kind, std::string_view ns, std::string_view name) const;
  void Probe(std::string_view name) { probes_[std::string(name)]++; }

  rt::Runtime& runtime_;
  store::Store& store_;
  Journal& journal_;
  const RunningPods& running_;
  Duration staleness_{};
  store::Revision seen_ = 0;
  uint64_t changes_ = 0;
  MonoTime last_change_{};
  std::vector<std::string> pod_changes_;
  std::map<std::string, api::ObjectPtr, std::less<>> objects_;  // pods, sets and nodes by key
  std::map<std::string, Set, std::less<>> sets_;                // by uid
  std::map<std::string, Node, std::less<>> nodes_;
  std::map<std::string, scheduler::Resources, std::less<>> used_;  // by node
  std::map<std::string, std::string, std::less<>> addresses_;      // address → pod's key
  std::map<std::string, std::string, std::less<>> services_;       // cluster IP → service's key
  std::map<std::string, std::string, std::less<>> ports_;          // "node/protocol/port" → pod's key
  std::map<std::string, std::string, std::less<>> volume_owners_;  // volume → key of the claim that has it
  std::set<std::string, std::less<>> doomed_volumes_;  // that somebody deleted before they were any claim's
  std::set<std::string, std::less<>> ever_ready_;      // uids of pods
  std::set<std::string, std::less<>> gone_nodes_;      // as the collector of pods was told last
  std::map<std::string, int, std::less<>> counts_;                 // "namespace/kind" → how many there are
  std::map<std::string, api::ObjectPtr, std::less<>> quotas_;      // by key
  std::set<std::string, std::less<>> counted_;                     // uids of those that have once been right
  // What owners have: their uid → the uids of what they block, and since when.
  std::map<std::string, std::map<std::string, MonoTime, std::less<>>, std::less<>> dependents_;
  std::map<std::string, std::set<std::string>, std::less<>> owners_of_;  // uid → owners' uids
  std::map<std::string, std::set<std::string>, std::less<>> spared_;     // uid of a left owner → what it left behind
  std::set<std::string, std::less<>> released_;
  std::set<std::string, std::less<>> hurried_;  // owners that somebody wants gone before what they own
  std::set<std::string, std::less<>> by_hand_;    // "namespace/name" of pods that a user gave a node
  std::set<std::string, std::less<>> graceless_;  // pods that somebody wants gone at once
  std::map<std::string, MonoTime, std::less<>> shrunk_;  // pods that their set wants to delete, and since when
  std::map<std::string, uint64_t, std::less<>> probes_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::sim
