#pragma once

// What a pod's claims mean for where it may go. Claims that are bound pin it to the nodes their volumes can be reached
// from. Claims of classes that wait for their first consumer are decided upon together with the node: a volume that
// fits is taken, or one is to be made there. What is decided is assumed at once, then written, and the pod is bound
// when the volumes are.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/node_selector.h"
#include "api/persistent_volumes.h"
#include "client/client.h"
#include "client/informer.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::scheduler {

/// What is known of a pod's claims when it is placed.
struct PodVolumes {
  /// A claim without a volume, whose class waits for the pod.
  struct Open {
    api::ObjectPtr claim;
    api::ObjectPtr storage_class;
    std::string selected_node;               ///< where a volume is being made for it, "" if not
    std::vector<api::ObjectPtr> candidates;  ///< volumes it may have
  };
  std::string unresolvable;           ///< why no node helps, "" when one may
  std::vector<api::ObjectPtr> bound;  ///< volumes of bound claims
  bool volume_missing = false;        ///< a claim is bound to one that is not there
  bool exclusive_taken = false;       ///< another pod has a claim that only one may have
  std::vector<Open> open;             ///< by what they ask for, smallest first
};

/// What is to be done about a pod's claims on a node, or why it can't go there.
struct VolumePlan {
  struct Binding {
    api::ObjectPtr volume;
    api::ObjectPtr claim;
    int64_t written = 0;  ///< the volume's revision
  };
  struct Provision {
    api::ObjectPtr claim;
    int64_t written = 0;  ///< the claim's revision
  };
  std::vector<std::string> reasons;
  std::vector<Binding> bindings;
  std::vector<Provision> provisions;
  bool empty() const { return bindings.empty() && provisions.empty(); }
};
VolumePlan PlanVolumes(const PodVolumes& volumes, const api::NodeText& node);
/// Whether the zones and regions that the volumes are marked with are the node's.
bool InZone(const PodVolumes& volumes, const api::NodeText& node);

/// Keys ("namespace/name") of the claims a pod uses.
std::vector<std::string> ClaimsOf(api::core_v1::Pod pod);

/// What there is, as far as who asks knows.
class VolumeSource {
 public:
  virtual ~VolumeSource() = default;
  /// Null when there is none.
  virtual api::ObjectPtr Claim(const client::ObjectName& name) const = 0;
  virtual api::ObjectPtr Volume(const std::string& name) const = 0;
  virtual api::ObjectPtr StorageClassOf(const std::string& name) const = 0;
  /// Volumes of the claim's class that it may have.
  virtual std::vector<api::ObjectPtr> Candidates(const api::Object& claim) const = 0;
  /// The node a volume is being made on for the claim, "" for none.
  virtual std::string NodeFor(const api::Object& claim) const = 0;
};
/// `users`: how many placed pods use a claim, by its key.
PodVolumes LookAtVolumes(api::core_v1::Pod pod, const VolumeSource& source,
                         const std::map<std::string, int, std::less<>>& users);

/// Keeps what was decided until it is seen, and carries it out. World fiber.
class VolumeBinder : private VolumeSource {
 public:
  VolumeBinder(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers);

  Ok WaitSynced();
  PodVolumes Look(api::core_v1::Pod pod, const std::map<std::string, int, std::less<>>& users) const {
    return LookAtVolumes(pod, *this, users);
  }
  /// From now on others see it as done, until Forget.
  void Assume(const std::string& pod_uid, const std::string& node, const VolumePlan& plan);
  void Forget(const std::string& pod_uid);
  /// Writes the plan, then waits until its claims are bound. The error is why the pod has to be placed anew.
  Ok Carry(const api::Object& pod, const std::string& node, VolumePlan& plan);

  client::Informer& claims() { return claims_; }
  client::Informer& volumes() { return volumes_; }
  client::Informer& classes() { return classes_; }

 private:
  struct Assumed {
    std::string node;
    std::vector<std::string> provisions;          // claims' keys
    std::map<std::string, std::string> bindings;  // volume → claim's key
  };
  api::ObjectPtr Claim(const client::ObjectName& name) const override { return claims_.Get(name); }
  api::ObjectPtr Volume(const std::string& name) const override { return volumes_.Get({"", name}); }
  api::ObjectPtr StorageClassOf(const std::string& name) const override { return classes_.Get({"", name}); }
  std::vector<api::ObjectPtr> Candidates(const api::Object& claim) const override;
  std::string NodeFor(const api::Object& claim) const override;
  Ok Write(const std::string& node, VolumePlan& plan);
  Result<bool> IsDone(const api::Object& pod, const std::string& node, const VolumePlan& plan) const;
  Result<bool> IsBound(const VolumePlan::Binding& binding, const api::NodeText& node) const;
  Result<bool> IsMade(const VolumePlan::Provision& provision, const api::NodeText& node) const;

  rt::Runtime& runtime_;
  client::Client& client_;
  client::Informer& claims_;
  client::Informer& volumes_;
  client::Informer& classes_;
  client::Informer& pods_;
  client::Informer& nodes_;
  std::map<std::string, Assumed, std::less<>> assumed_;             // by pod
  std::map<std::string, std::string, std::less<>> volume_of_;       // claim's key → volume
  std::map<std::string, std::string, std::less<>> taken_;           // volume → claim's key
  std::map<std::string, std::string, std::less<>> node_of_;         // claim's key → node
  rt::WaitQueue changed_;
};

}  // namespace knarr::scheduler
