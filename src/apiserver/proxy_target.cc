#include "apiserver/proxy_target.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/remote_call.h"
#include "apiserver/remote_stream.h"
#include "base/ip.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

/// An address that packets to one other machine go to; no loopback, for that is this server's own.
bool IsReachable(std::string_view text) {
  const Result<IpAddress> ip = IpAddress::Parse(text);
  return ip.ok() && !ip->IsUnspecified() && !ip->IsLoopback() && !ip->IsMulticast() && !ip->IsLinkLocalUnicast() &&
         text != "255.255.255.255";
}

Status NotAllowed() { return BadRequest("address not allowed"); }

ProxyTarget At(Call& call, Core& core, std::string_view scheme, std::string_view ip, std::string_view port) {
  ProxyTarget out;
  out.secure = scheme == "https";
  const bool v6 = ip.find(':') != std::string_view::npos;
  out.host = v6 ? fmt::format("[{}]", ip) : std::string(ip);
  if (!port.empty()) out.host += fmt::format(":{}", port);
  rt::Runtime& here = call.context.runtime;
  out.dial = [&here, &core, secure = out.secure, host = std::string(ip),
              text = std::string(port)]() -> Result<std::unique_ptr<net::Stream>> {
    net::Endpoint endpoint;
    endpoint.host = host;
    endpoint.port = secure ? 443 : 80;
    if (!text.empty()) {
      const Result<uint16_t> number = ParseInt<uint16_t>(text);
      if (!number.ok()) return Unavailable(fmt::format("dial tcp: lookup tcp/{}: unknown port", text));
      endpoint.port = *number;
    }
    const auto& dial = core.options().dial;
    return dial ? dial(here, endpoint) : net::Connect(here, endpoint);
  };
  return out;
}

Result<ObjectPtr> GetObject(Call& call, Core& core, std::string_view plural, std::string_view ns,
                            std::string_view name) {
  Resource* resource = core.resources().Find("", "v1", plural);
  if (resource == nullptr) return NoSuchResourceError();
  return core.operations().registry().Get(call.context, *resource, {std::string(ns), std::string(name)});
}

Result<ProxyTarget> FindPod(Call& call, Core& core, const ProxyName& name) {
  const ObjectPtr pod = TRY(GetObject(call, core, "pods", call.attributes.ns, name.name));
  const Value& tree = pod->tree();
  std::string port = name.port;
  for (const Value& container : tree.Get("spec", "containers").items()) {
    const Value& ports = container.At("ports");
    if (!port.empty() || ports.empty()) continue;
    port = std::to_string(ports.items()[0].At("containerPort").AsInt());
  }
  const std::string_view ip = tree.Get("status", "podIP").AsString();
  if (!IsReachable(ip)) return NotAllowed();
  return At(call, core, name.scheme, ip, port);
}

/// An endpoint is proxied to only while it is the address of the pod it says it is.
bool IsPodsAddress(Call& call, Core& core, const Value& address) {
  const Value& target = address.At("targetRef");
  if (target.At("kind").AsString() != "Pod") return false;
  const auto pod =
      GetObject(call, core, "pods", target.At("namespace").AsString(), target.At("name").AsString());
  if (!pod.ok()) return false;
  for (const Value& one : (*pod)->tree().Get("status", "podIPs").items()) {
    if (one.At("ip").AsString() == address.At("ip").AsString()) return IsReachable(one.At("ip").AsString());
  }
  return false;
}

/// The name of the service's port of that number; the text itself when it is none.
Result<std::string> PortName(Call& call, Core& core, const ProxyName& name) {
  const Result<int64_t> number = ParseInt64(name.port);
  if (!number.ok()) return name.port;
  const ObjectPtr service = TRY(GetObject(call, core, "services", call.attributes.ns, name.name));
  for (const Value& port : service->tree().Get("spec", "ports").items()) {
    if (port.At("port").AsInt() == *number) return std::string(port.At("name").AsString());
  }
  return Unavailable(fmt::format("no service port {} found for service {}", *number, GoQuote(name.name)));
}

Result<ProxyTarget> FindService(Call& call, Core& core, const ProxyName& name) {
  const std::string port_name = TRY(PortName(call, core, name));
  const auto none = [](std::string_view what) {
    return Unavailable(fmt::format("no endpoints available for service {}", GoQuote(what)));
  };
  auto endpoints = GetObject(call, core, "endpoints", call.attributes.ns, name.name);
  if (endpoints.Failed(Reason::kNotFound)) return NotFoundError(ResourceOf(*call.resource->kind), name.name);
  const ObjectPtr object = TRY(std::move(endpoints));
  const Value& subsets = object->tree().At("subsets");
  if (subsets.empty()) return none(name.name);
  // Begins anywhere, so that the load spreads.
  const size_t first = call.context.runtime.Random() % subsets.size();
  for (size_t i = 0; i < subsets.size(); ++i) {
    const Value& subset = subsets.items()[(first + i) % subsets.size()];
    const Value& addresses = subset.At("addresses");
    if (addresses.empty()) continue;
    for (const Value& port : subset.At("ports").items()) {
      if (port.At("name").AsString() != port_name) continue;
      const size_t begin = call.context.runtime.Random() % addresses.size();
      for (size_t j = 0; j < addresses.size(); ++j) {
        const Value& address = addresses.items()[(begin + j) % addresses.size()];
        if (!IsPodsAddress(call, core, address)) continue;
        return At(call, core, name.scheme, address.At("ip").AsString(), std::to_string(port.At("port").AsInt()));
      }
    }
  }
  return none(call.attributes.name);
}

Result<ProxyTarget> FindNodeTarget(Call& call, Core& core, const ProxyName& name) {
  constexpr int64_t kKubeletPort = 10250;
  const ObjectPtr object = TRY(GetObject(call, core, "nodes", "", name.name));
  const Value& status = object->tree().At("status");
  int64_t own_port = status.At("daemonEndpoints").Get("kubeletEndpoint", "Port").AsInt();
  if (own_port == 0) own_port = kKubeletPort;
  std::string address;
  for (const std::string_view type : {"InternalIP", "ExternalIP", "Hostname"}) {
    for (const Value& one : status.At("addresses").items()) {
      if (address.empty() && one.At("type").AsString() == type) address = one.At("address").AsString();
    }
  }
  if (!name.port.empty() && name.port != std::to_string(own_port)) {
    if (!IsReachable(address)) return NotAllowed();
    return At(call, core, name.scheme, address, name.port);
  }
  ProxyTarget out;
  out.host = JoinHostPort(address, static_cast<int>(own_port));
  rt::Runtime& here = call.context.runtime;
  out.dial = [&here, &core, node_name = name.name]() -> Result<std::unique_ptr<net::Stream>> {
    client::NodeAccess* node = core.FindNode(here, node_name);
    if (node == nullptr) return Unavailable(fmt::format("the node {} is not connected", node_name));
    auto stream = TRY(CallOnCancellable(here, node->runtime(), [&] { return node->DialServer(); }));
    return BringHere(here, node->runtime(), std::move(stream));
  };
  return out;
}

}  // namespace

bool SplitProxyName(std::string_view text, ProxyName& out) {
  const auto parts = Split(text, ':');
  if (parts.size() > 3) return false;
  if (parts.size() == 3) out.scheme = parts[0];
  out.name = parts[parts.size() == 3 ? 1 : 0];
  if (parts.size() > 1) out.port = parts.back();
  return !out.name.empty() && (out.scheme.empty() || out.scheme == "http" || out.scheme == "https");
}

Result<ProxyTarget> FindProxyTarget(Call& call, Core& core) {
  const api::KindInfo& kind = *call.resource->kind;
  ProxyName name;
  if (!SplitProxyName(call.attributes.name, name)) {
    return BadRequest(fmt::format("invalid {} request {}", kind.singular, GoQuote(call.attributes.name)));
  }
  if (kind.plural == "pods") return FindPod(call, core, name);
  if (kind.plural == "services") return FindService(call, core, name);
  return FindNodeTarget(call, core, name);
}

}  // namespace knarr::apiserver
