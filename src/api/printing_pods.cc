// The cells of pods: what a pod "is" to a person is worked out from its containers' states.

#include <algorithm>
#include <optional>

#include "api/core_v1.h"
#include "api/printing_rows.h"
#include "base/strings.h"

namespace knarr::api::printing {
namespace {

using core_v1::ContainerStatus;
using core_v1::Pod;

struct Restarts {
  int64_t count = 0;
  std::optional<WallTime> last;

  void Add(const ContainerStatus& status) {
    count += status.restart_count();
    if (!status.last_state().has_terminated()) return;
    const std::optional<WallTime> ended = status.last_state().terminated().finished_at();
    if (ended && (!last || *last < *ended)) last = ended;
  }
};

struct Summary {
  int64_t ready = 0;
  std::string reason;
  Restarts restarts;
};

bool IsSidecar(const Pod& pod, std::string_view name) {
  for (const core_v1::Container container : pod.spec().init_containers()) {
    if (container.name() == name) return container.restart_policy() == "Always";
  }
  return false;
}

bool HasCondition(const Pod& pod, std::string_view type) {
  return std::ranges::any_of(pod.status().value().At("conditions").items(), [type](const doc::Value& condition) {
    return condition.At("type").AsString() == type && condition.At("status").AsString() == "True";
  });
}

// "ExitCode:1", "Signal:9" or the reason given.
std::string EndedText(const core_v1::ContainerStateTerminated& ended) {
  if (!ended.reason().empty()) return std::string(ended.reason());
  if (ended.signal() != 0) return "Signal:" + std::to_string(ended.signal());
  return "ExitCode:" + std::to_string(ended.exit_code());
}

// Looks at the init containers in turn; true when the pod is still with one of them.
bool Initializing(const Pod& pod, Summary& summary, Restarts& sidecars) {
  size_t index = 0;
  for (const ContainerStatus status : pod.status().init_container_statuses()) {
    const size_t at = index++;
    const bool sidecar = IsSidecar(pod, status.name());
    summary.restarts.Add(status);
    if (sidecar) sidecars.Add(status);
    const bool ended = status.state().has_terminated();
    if (ended && status.state().terminated().exit_code() == 0) continue;
    if (sidecar && status.started().value_or(false)) {
      if (status.ready()) ++summary.ready;
      continue;
    }
    const std::string_view waiting = status.state().waiting().reason();
    if (ended) {
      summary.reason = "Init:" + EndedText(status.state().terminated());
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      summary.reason = "Init:" + std::string(waiting);
    } else {
      summary.reason = "Init:" + std::to_string(at) + "/" + std::to_string(pod.spec().init_containers().size());
    }
    return true;
  }
  return false;
}

void MainContainers(const Pod& pod, Summary& summary) {
  bool running = false;
  std::string error;
  const ListView<ContainerStatus> statuses = pod.status().container_statuses();
  for (size_t i = statuses.size(); i-- > 0;) {
    const ContainerStatus status = statuses[i];
    summary.restarts.Add(status);
    if (!status.state().waiting().reason().empty()) {
      summary.reason = status.state().waiting().reason();
    } else if (status.state().has_terminated()) {
      summary.reason = EndedText(status.state().terminated());
      if (status.state().terminated().exit_code() != 0) error = summary.reason;
    } else if (status.ready() && status.state().has_running()) {
      running = true;
      ++summary.ready;
    }
  }
  if (summary.reason != "Completed") return;
  // One container has ended well while others go on or have failed.
  if (running && HasCondition(pod, "Ready")) {
    summary.reason = "Running";
  } else if (!error.empty()) {
    summary.reason = error;
  } else if (running) {
    summary.reason = "NotReady";
  }
}

Summary Summarize(const Pod& pod) {
  Summary summary;
  const std::string_view phase = pod.status().phase();
  summary.reason = pod.status().reason().empty() ? phase : pod.status().reason();
  for (const core_v1::PodCondition condition : pod.status().conditions()) {
    if (condition.type() == "PodScheduled" && condition.reason() == "SchedulingGated") {
      summary.reason = "SchedulingGated";
    }
  }
  Restarts sidecars;
  if (!Initializing(pod, summary, sidecars) || HasCondition(pod, "Initialized")) {
    summary.restarts = sidecars;
    MainContainers(pod, summary);
  }
  if (!pod.metadata().deletion_timestamp()) return summary;
  if (pod.status().reason() == "NodeLost") {
    summary.reason = "Unknown";
  } else if (phase != "Succeeded" && phase != "Failed") {
    summary.reason = "Terminating";
  }
  return summary;
}

std::string ReadinessGates(const Pod& pod) {
  const size_t gates = pod.spec().readiness_gates().size();
  if (gates == 0) return "<none>";
  size_t met = 0;
  for (const core_v1::PodReadinessGate gate : pod.spec().readiness_gates()) {
    for (const core_v1::PodCondition condition : pod.status().conditions()) {
      if (condition.type() != gate.condition_type()) continue;
      if (condition.status() == "True") ++met;
      break;
    }
  }
  return std::to_string(met) + "/" + std::to_string(gates);
}

}  // namespace

void PrintPod(const doc::Value& object, Row& row) {
  const Pod pod(object);
  const Summary summary = Summarize(pod);
  size_t total = pod.spec().containers().size();
  for (const core_v1::Container container : pod.spec().init_containers()) {
    if (container.restart_policy() == "Always") ++total;
  }
  row.Text(pod.metadata().name());
  row.Text(std::to_string(summary.ready) + "/" + std::to_string(total));
  row.Text(summary.reason);
  std::string restarts = std::to_string(summary.restarts.count);
  if (summary.restarts.count != 0 && summary.restarts.last) {
    restarts += " (" + FormatAge(row.now() - *summary.restarts.last) + " ago)";
  }
  row.Text(restarts);
  row.Age(object.Get("metadata", "creationTimestamp"));
  const ListView<core_v1::PodIP> addresses = pod.status().pod_ips();
  row.TextOr(addresses.empty() ? std::string_view() : addresses[0].ip(), "<none>");
  row.TextOr(pod.spec().node_name(), "<none>");
  row.TextOr(pod.status().nominated_node_name(), "<none>");
  row.Text(ReadinessGates(pod));
}

}  // namespace knarr::api::printing
