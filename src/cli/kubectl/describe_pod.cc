#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "api/label_selector.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

constexpr std::string_view kMirrorAnnotation = "kubernetes.io/config.mirror";

void AddStatus(Description& out, const Pod& pod) {
  const std::string_view phase = pod.status().phase();
  if (pod.metadata().deletion_timestamp() && phase != "Failed" && phase != "Succeeded") {
    const doc::Value& metadata = pod.metadata().tree();
    out.Add(0, fmt::format("Status:\tTerminating (lasts {})\n", out.Since(metadata.At("deletionTimestamp"))));
    out.Add(0, fmt::format("Termination Grace Period:\t{}s\n", metadata.At("deletionGracePeriodSeconds").AsInt()));
  } else {
    out.Add(0, fmt::format("Status:\t{}\n", phase));
  }
  if (!pod.status().reason().empty()) out.Add(0, fmt::format("Reason:\t{}\n", pod.status().reason()));
  if (!pod.status().message().empty()) out.Add(0, fmt::format("Message:\t{}\n", pod.status().message()));
  if (auto profile = pod.spec().security_context().seccomp_profile()) {
    out.Add(0, fmt::format("SeccompProfile:\t{}\n", profile.type()));
    if (profile.type() == "Localhost") {
      out.Add(0, fmt::format("LocalhostProfile:\t{}\n", profile.localhost_profile().value_or("")));
    }
  }
}

void AddHead(Description& out, const api::Object& object, const Pod& pod) {
  out.NameAndNamespace(object);
  if (auto priority = pod.spec().priority()) out.Add(0, fmt::format("Priority:\t{}\n", *priority));
  if (!pod.spec().priority_class_name().empty()) {
    out.Add(0, fmt::format("Priority Class Name:\t{}\n", pod.spec().priority_class_name()));
  }
  if (auto name = pod.spec().runtime_class_name(); name && !name->empty()) {
    out.Add(0, fmt::format("Runtime Class Name:\t{}\n", *name));
  }
  if (!pod.spec().service_account_name().empty()) {
    out.Add(0, fmt::format("Service Account:\t{}\n", pod.spec().service_account_name()));
  }
  if (pod.spec().node_name().empty()) {
    out.Add(0, "Node:\t<none>\n");
  } else {
    out.Add(0, fmt::format("Node:\t{}/{}\n", pod.spec().node_name(), pod.status().host_ip()));
  }
  const doc::Value& start = pod.status().tree().At("startTime");
  if (!start.is_null()) out.Add(0, fmt::format("Start Time:\t{}\n", LongTime(start)));
  const doc::Value& metadata = pod.metadata().tree();
  out.Labels("Labels", metadata.At("labels"));
  out.Annotations(metadata.At("annotations"));
  AddStatus(out, pod);
  out.Add(0, fmt::format("IP:\t{}\n", pod.status().pod_ip()));
  if (pod.status().pod_ips().empty()) {
    out.Add(0, "IPs:\t<none>\n");
  } else {
    out.Add(0, "IPs:\n");
    for (auto address : pod.status().pod_ips()) out.Add(1, fmt::format("IP:\t{}\n", address.ip()));
  }
  const std::string owner = ControllerText(object.tree());
  if (!owner.empty()) out.Add(0, fmt::format("Controlled By:\t{}\n", owner));
  if (!pod.status().nominated_node_name().empty()) {
    out.Add(0, fmt::format("NominatedNodeName:\t{}\n", pod.status().nominated_node_name()));
  }
  if (pod.spec().has_resources()) {
    out.Add(0, "Resources:\n");
    AddResources(out, pod.spec().resources().tree(), 1);
  }
}

void AddConditions(Description& out, const Pod& pod) {
  if (!pod.spec().readiness_gates().empty()) {
    out.Add(0, "Readiness Gates:\n  Type\tStatus\n");
    for (auto gate : pod.spec().readiness_gates()) {
      std::string_view status = "<none>";
      for (auto condition : pod.status().conditions()) {
        if (condition.type() == gate.condition_type()) status = condition.status();
      }
      out.Add(1, fmt::format("{} \t{} \n", gate.condition_type(), status));
    }
  }
  if (pod.status().conditions().empty()) return;
  out.Add(0, "Conditions:\n  Type\tStatus\n");
  for (auto condition : pod.status().conditions()) {
    out.Add(1, fmt::format("{} \t{} \n", condition.type(), condition.status()));
  }
}

}  // namespace

void AddTopologySpread(Description& out, const doc::Value& constraints, std::string_view space) {
  if (constraints.empty()) return;
  std::vector<const doc::Value*> sorted;
  for (const doc::Value& constraint : constraints.items()) sorted.push_back(&constraint);
  std::ranges::stable_sort(sorted, {}, [](const doc::Value* c) { return c->At("topologyKey").AsString(); });
  std::string text = fmt::format("{}Topology Spread Constraints:", space);
  for (const doc::Value* constraint : sorted) {
    text += fmt::format("\t{}:{} when max skew {} is exceeded", constraint->At("topologyKey").AsString(),
                        constraint->At("whenUnsatisfiable").AsString(), constraint->At("maxSkew").AsInt());
    const doc::Value& selector = constraint->At("labelSelector");
    if (selector.is_object()) text += " for selector " + LabelSelectorText(selector);
    text += "\n";
    out.Add(0, text);
    text = space;
  }
}

Ok DescribePod(Description& out, const api::Object& object) {
  Pod pod(object.tree());
  const doc::Value& spec = pod.spec().tree();
  const doc::Value& status = pod.status().tree();
  AddHead(out, object, pod);
  if (!spec.At("initContainers").empty()) {
    AddContainers(out, "Init Containers", spec.At("initContainers"), status.At("initContainerStatuses"), &object.tree(),
                  "");
  }
  AddContainers(out, "Containers", spec.At("containers"), status.At("containerStatuses"), &object.tree(), "");
  if (!spec.At("ephemeralContainers").empty()) {
    AddContainers(out, "Ephemeral Containers", spec.At("ephemeralContainers"), status.At("ephemeralContainerStatuses"),
                  &object.tree(), "");
  }
  AddConditions(out, pod);
  AddVolumes(out, spec.At("volumes"), "");
  out.Add(0, fmt::format("QoS Class:\t{}\n", pod.status().qos_class()));
  out.Labels("Node-Selectors", spec.At("nodeSelector"));
  out.Tolerations("Tolerations", spec.At("tolerations"));
  AddTopologySpread(out, spec.At("topologySpreadConstraints"), "");
  // Events of a static pod are about the file's pod, whose uid the annotation holds.
  auto mirrored = pod.metadata().annotations().Find(kMirrorAnnotation);
  out.Events(object, "", mirrored.value_or(""));
  return {};
}

}  // namespace knarr::cli
