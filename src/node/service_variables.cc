#include "node/service_variables.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;
using api::core_v1::Service;

std::string VariableName(std::string_view name) {
  std::string out = ToUpper(name);
  std::ranges::replace(out, '-', '_');
  return out;
}

}  // namespace

Variables ServiceVariables(Service service) {
  Variables out;
  auto spec = service.spec();
  const std::string ip(spec.cluster_ip());
  if (ip.empty() || ip == "None" || spec.ports().empty()) return out;
  const std::string prefix = VariableName(service.metadata().name());
  const std::string host = ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
  out.emplace_back(prefix + "_SERVICE_HOST", ip);
  out.emplace_back(prefix + "_SERVICE_PORT", std::to_string(spec.ports()[0].port()));
  for (auto port : spec.ports()) {
    if (port.name().empty()) continue;
    out.emplace_back(fmt::format("{}_SERVICE_PORT_{}", prefix, VariableName(port.name())), std::to_string(port.port()));
  }
  for (size_t i = 0; i < spec.ports().size(); ++i) {
    auto port = spec.ports()[i];
    const std::string protocol(port.protocol().empty() ? "TCP" : port.protocol());
    const std::string url = fmt::format("{}://{}:{}", ToLower(protocol), host, port.port());
    const std::string one = fmt::format("{}_PORT_{}_{}", prefix, port.port(), protocol);
    if (i == 0) out.emplace_back(prefix + "_PORT", url);
    out.emplace_back(one, url);
    out.emplace_back(one + "_PROTO", ToLower(protocol));
    out.emplace_back(one + "_PORT", std::to_string(port.port()));
    out.emplace_back(one + "_ADDR", ip);
  }
  return out;
}

Result<Variables> ReadServiceVariables(client::Client& client, Pod pod) {
  Variables out;
  auto add = [&out](const api::ObjectPtr& object) {
    Variables one = ServiceVariables(Service(object->tree()));
    out.insert(out.end(), one.begin(), one.end());
  };
  const std::string ns(pod.metadata().ns());
  const bool links = pod.spec().enable_service_links().value_or(true);
  if (ns != "default" || !links) {
    Result<api::ObjectPtr> own = client.Get(api::core_v1::ServiceInfo(), {"default", "kubernetes"});
    if (own.ok()) {
      add(*own);
    } else if (!own.Failed(Reason::kNotFound)) {
      return own.status();
    }
  }
  if (!links) return out;
  client::ObjectList services = TRY(client.List(api::core_v1::ServiceInfo(), ns));
  for (const api::ObjectPtr& service : services.items) add(service);
  return out;
}

}  // namespace knarr::node
