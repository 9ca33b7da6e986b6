#pragma once

// Gives each pod a node: takes the next waiting pod, places it by the plugins on the snapshot, assumes it there at once
// and binds it in a fiber of its own, so that the next pod is placed meanwhile. It knows the cluster only through
// Client and informers.

#include <memory>
#include <optional>
#include <string>

#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "rt/runtime.h"
#include "scheduler/plugin.h"
#include "scheduler/queue.h"
#include "scheduler/snapshot.h"
#include "scheduler/volumes.h"

namespace knarr::scheduler {

class Scheduler {
 public:
  Scheduler(rt::Runtime& runtime, client::Client& client, client::InformerFactory& informers,
            client::EventRecorder& events, std::string name = "default-scheduler");
  ~Scheduler();
  void Start();
  void Stop();

 private:
  void PodChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void NodeChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void ClaimChanged(const api::ObjectPtr& before, const api::ObjectPtr& after);
  void Run();
  void ScheduleOne(const PodInfoPtr& queued);
  Placement Choose(const PodInfo& pod);
  /// Something changed on the node: pods that fitted nowhere and fit there now are tried again.
  void TryAgainFor(std::string_view node);
  void SpawnWrite(std::string_view name, std::function<void()> write);
  /// The pod when it is bound to the node after all; `failure` when it is bound nowhere. Asks until there is an answer.
  Result<api::ObjectPtr> LookAfterBind(const api::Object& pod, const std::string& node, const Status& failure);
  void Bind(const api::ObjectPtr& pod, const std::string& node);
  /// Carries out what was decided about the pod's claims, then binds it.
  void BindVolumes(const api::ObjectPtr& pod, const std::string& node, VolumePlan plan);
  /// The pod is not where it was assumed to be.
  void TakeBack(const api::ObjectPtr& pod);
  void Refuse(const api::ObjectPtr& pod, std::string message);
  Ok TellUnschedulable(const api::ObjectPtr& pod, const std::string& message);
  bool IsOurs(const api::Object& pod) const;

  rt::Runtime& runtime_;
  client::Client& client_;
  client::EventRecorder& events_;
  const std::string name_;
  client::Informer& pods_;
  client::Informer& nodes_;
  const Plugins plugins_;
  Snapshot snapshot_;
  Queue queue_;
  VolumeBinder volumes_;
  // The last pod that fitted nowhere, at which generation of the snapshot, and why.
  std::optional<PodInfo> refused_;
  uint64_t refused_at_ = 0;
  std::string refusal_;
  size_t writes_ = 0;         // bindings and conditions on their way
  size_t volume_waits_ = 0;   // pods whose volumes are being bound
  rt::WaitQueue write_ended_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::scheduler
