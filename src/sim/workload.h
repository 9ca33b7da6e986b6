#pragma once

// What users and machines do to a cluster, drawn from the seed: sets, services, pods and namespaces come, change and
// go, nodes are cordoned, tainted, lost and found, the control plane restarts.

#include <string>
#include <vector>

#include "client/client.h"
#include "rt/runtime.h"
#include "sim/cluster.h"
#include "sim/journal.h"

namespace knarr::sim {

class Workload {
 public:
  Workload(rt::Runtime& runtime, Cluster& cluster, Journal& journal);
  /// Draws the nodes and starts them.
  void MakeNodes();
  /// What is there from the beginning: namespaces, sets and services.
  void Begin();
  /// One step, chosen by the seed.
  void Step();
  /// Every node that is still registered comes back and is open again, and nothing crashes any more.
  void Calm();

 private:
  uint64_t Draw(uint64_t below) { return runtime_.Random() % below; }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Draw(from.size())];
  }
  std::string Namespace();
  client::ObjectPtr AnyOf(const api::KindInfo& kind);
  /// Notes the step and how it ended; what may be refused is refused, all else is a violation.
  void Said(const std::string& step, const Ok& outcome);
  void Create(const api::KindInfo& kind, const std::string& ns, const std::string& step, const std::string& json);

  void MakeNamespace();
  void DeleteNamespace();
  void MakeSet();
  void ScaleSet();
  void DeleteSet();
  void MakeService();
  void DeleteService();
  void MakePod();
  void DeletePod();
  void RelabelPod();
  void MarkNode();
  void LoseNode();
  void FindNode();
  void RemoveNode();
  void RestartControlPlane();

  rt::Runtime& runtime_;
  Cluster& cluster_;
  Journal& journal_;
};

}  // namespace knarr::sim
