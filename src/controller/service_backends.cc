#include "controller/service_backends.h"

#include <algorithm>
#include <map>
#include <optional>

#include "controller/framework/pods.h"

namespace knarr::controller {
namespace {

using api::core_v1::Pod;
using api::core_v1::Service;
using api::core_v1::ServicePort;

/// The number a service port means in this pod; nullopt when the pod has no port of that name.
std::optional<int32_t> TargetPort(ServicePort port, Pod pod) {
  api::IntOrString target = port.target_port();
  if (!target.is_string) return target.number != 0 ? target.number : port.port();
  for (auto container : pod.spec().containers()) {
    for (auto declared : container.ports()) {
      const std::string_view protocol = declared.protocol().empty() ? "TCP" : declared.protocol();
      if (declared.name() == target.text && protocol == port.protocol()) return declared.container_port();
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<BackendGroup> GroupBackends(Service service, const std::vector<api::ObjectPtr>& pods) {
  std::map<std::vector<BackendPort>, std::vector<Backend>> groups;
  for (const api::ObjectPtr& object : pods) {
    Pod pod(object->tree());
    if (IsFinished(pod) || pod.status().pod_ip().empty()) continue;
    std::vector<BackendPort> ports;
    for (ServicePort port : service.spec().ports()) {
      std::optional<int32_t> number = TargetPort(port, pod);
      if (!number) continue;
      ports.push_back({.name = std::string(port.name()),
                       .protocol = std::string(port.protocol().empty() ? "TCP" : port.protocol()),
                       .port = *number,
                       .app_protocol = std::string(port.app_protocol().value_or(""))});
    }
    // A headless service may have no ports at all; any other without a matching port has nothing to send here.
    if (ports.empty() && !service.spec().ports().empty()) continue;
    Backend backend{.ip = std::string(pod.status().pod_ip()),
                    .node = std::string(pod.spec().node_name()),
                    .pod = std::string(object->name()),
                    .pod_uid = std::string(object->uid())};
    backend.terminating = object->deleting();
    backend.serving = IsReady(pod);
    backend.ready = service.spec().publish_not_ready_addresses() || (backend.serving && !backend.terminating);
    if (!pod.spec().hostname().empty() && pod.spec().subdomain() == service.metadata().name()) {
      backend.hostname = std::string(pod.spec().hostname());
    }
    groups[ports].push_back(std::move(backend));
  }
  std::vector<BackendGroup> out;
  for (auto& [ports, backends] : groups) {
    std::ranges::sort(backends);
    out.push_back({ports, std::move(backends)});
  }
  return out;
}

}  // namespace knarr::controller
