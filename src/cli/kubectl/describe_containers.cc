// Containers of pods and of pod templates.

#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

using api::core_v1::Container;
using api::core_v1::ContainerStatus;

void AddPorts(Description& out, const Container& container) {
  std::string ports;
  std::string host_ports;
  for (auto port : container.ports()) {
    const std::string name = port.name().empty() ? "" : fmt::format(" ({})", port.name());
    const std::string_view separator = ports.empty() ? "" : ", ";
    ports += fmt::format("{}{}/{}{}", separator, port.container_port(), port.protocol(), name);
    host_ports += fmt::format("{}{}/{}{}", separator, port.host_port(), port.protocol(), name);
  }
  const bool several = container.ports().size() > 1;
  if (ports.empty()) ports = host_ports = "<none>";
  out.Add(2, fmt::format("{}:\t{}\n", several ? "Ports" : "Port", ports));
  out.Add(2, fmt::format("{}:\t{}\n", several ? "Host Ports" : "Host Port", host_ports));
}

void AddBasics(Description& out, const Container& container, const ContainerStatus& status, std::string_view space) {
  out.Add(1, fmt::format("{}{}:\n", space.empty() ? "" : " ", container.name()));
  if (status) out.Add(2, fmt::format("Container ID:\t{}\n", status.container_id()));
  out.Add(2, fmt::format("Image:\t{}\n", container.image()));
  if (status) out.Add(2, fmt::format("Image ID:\t{}\n", status.image_id()));
  AddPorts(out, container);
  if (auto profile = container.security_context().seccomp_profile()) {
    out.Add(2, fmt::format("SeccompProfile:\t{}\n", profile.type()));
    if (profile.type() == "Localhost") {
      out.Add(3, fmt::format("LocalhostProfile:\t{}\n", profile.localhost_profile().value_or("")));
    }
  }
  for (const auto& [title, words] : {std::pair{"Command", container.command()}, {"Args", container.args()}}) {
    if (!words.empty()) out.Add(2, fmt::format("{}:\n", title));
    for (std::string_view word : words) {
      for (std::string_view line : Split(word, '\n')) out.Add(3, fmt::format("{}\n", line));
    }
  }
}

void AddState(Description& out, std::string_view title, const api::core_v1::ContainerState& state) {
  if (auto running = state.running()) {
    out.Add(2, fmt::format("{}:\tRunning\n", title));
    out.Add(3, fmt::format("Started:\t{}\n", LongTime(running.tree().At("startedAt"))));
  } else if (auto ended = state.terminated(); ended && !state.has_waiting()) {
    out.Add(2, fmt::format("{}:\tTerminated\n", title));
    if (!ended.reason().empty()) out.Add(3, fmt::format("Reason:\t{}\n", ended.reason()));
    if (!ended.message().empty()) out.Add(3, fmt::format("Message:\t{}\n", ended.message()));
    out.Add(3, fmt::format("Exit Code:\t{}\n", ended.exit_code()));
    if (ended.signal() > 0) out.Add(3, fmt::format("Signal:\t{}\n", ended.signal()));
    out.Add(3, fmt::format("Started:\t{}\n", LongTime(ended.tree().At("startedAt"))));
    out.Add(3, fmt::format("Finished:\t{}\n", LongTime(ended.tree().At("finishedAt"))));
  } else {
    out.Add(2, fmt::format("{}:\tWaiting\n", title));
    if (!state.waiting().reason().empty()) out.Add(3, fmt::format("Reason:\t{}\n", state.waiting().reason()));
  }
}

/// An IPv6 address stands in brackets before a port.
std::string HostPort(std::string_view host, std::string_view port) {
  return host.find(':') == std::string_view::npos ? fmt::format("{}:{}", host, port)
                                                  : fmt::format("[{}]:{}", host, port);
}

std::string ProbeText(const doc::Value& probe) {
  auto number = [&](std::string_view name) { return probe.At(name).AsInt(); };
  const std::string attributes = fmt::format(
      "delay={}s timeout={}s period={}s #success={} #failure={}", number("initialDelaySeconds"),
      number("timeoutSeconds"), number("periodSeconds"), number("successThreshold"), number("failureThreshold"));
  if (const doc::Value& exec = probe.At("exec"); exec.is_object()) {
    const doc::Value& command = exec.At("command");
    return fmt::format("exec {} {}", command.is_null() ? "[]" : GoText(command), attributes);
  }
  if (const doc::Value& get = probe.At("httpGet"); get.is_object()) {
    std::string scheme = ToLower(get.At("scheme").AsString());
    if (!scheme.empty()) scheme += ":";
    std::string path(get.At("path").AsString());
    if (!path.empty() && path.front() != '/') path.insert(path.begin(), '/');
    return fmt::format("http-get {}//{}{} {}", scheme, HostPort(get.At("host").AsString(), TextOr(get.At("port"), "0")),
                       path, attributes);
  }
  if (const doc::Value& tcp = probe.At("tcpSocket"); tcp.is_object()) {
    return fmt::format("tcp-socket {}:{} {}", tcp.At("host").AsString(), TextOr(tcp.At("port"), "0"), attributes);
  }
  if (const doc::Value& grpc = probe.At("grpc"); grpc.is_object()) {
    return fmt::format("grpc <pod>:{} {} {}", grpc.At("port").AsInt(), grpc.At("service").AsString(), attributes);
  }
  return "unknown " + attributes;
}

/// What the downward API gives for a field of the pod's metadata; "" for all others, which only the node knows.
std::string FieldText(const doc::Value& pod, std::string_view path) {
  const doc::Value& metadata = pod.At("metadata");
  for (std::string_view map : {"labels", "annotations"}) {
    std::string_view rest = path;
    if (!ConsumePrefix(rest, fmt::format("metadata.{}", map))) continue;
    if (ConsumePrefix(rest, "['") && ConsumeSuffix(rest, "']")) return TextOr(metadata.At(map).At(rest), "");
    std::string out;
    for (const std::string& key : SortedKeys(metadata.At(map))) {
      out += fmt::format("{}{}={}", out.empty() ? "" : "\n", key, GoQuote(metadata.At(map).At(key).AsString()));
    }
    return out;
  }
  for (std::string_view name : {"name", "namespace", "uid"}) {
    if (path == fmt::format("metadata.{}", name)) return TextOr(metadata.At(name), "");
  }
  return "";
}

std::string ResourceText(const Container& container, const api::core_v1::ResourceFieldSelector& from) {
  const auto cut = Cut(from.resource(), ".");
  if (!cut) return "";
  const Quantity amount = QuantityOf(container.resources().tree().At(cut->first).At(cut->second));
  Quantity divisor = QuantityOf(from.tree().At("divisor"));
  if (divisor.IsZero()) divisor = Quantity(1);
  const bool milli = cut->second == "cpu";
  const int64_t a = milli ? amount.MilliValue() : amount.Value();
  const int64_t b = milli ? divisor.MilliValue() : divisor.Value();
  // Rounded up.
  const int64_t value = b == 0 ? 0 : a / b + (a % b != 0 ? 1 : 0);
  const bool unlimited = value == 0 && (from.resource() == "limits.cpu" || from.resource() == "limits.memory");
  return unlimited ? "node allocatable" : std::to_string(value);
}

void AddVariable(Description& out, const Container& container, const api::core_v1::EnvVar& variable,
                 const doc::Value* pod) {
  if (!variable.has_value_from()) {
    bool first = true;
    for (std::string_view line : Split(variable.value(), '\n')) {
      out.Add(3, first ? fmt::format("{}:\t{}\n", variable.name(), line) : fmt::format("\t{}\n", line));
      first = false;
    }
    return;
  }
  auto from = variable.value_from();
  if (auto field = from.field_ref()) {
    const std::string value = pod == nullptr ? "" : FieldText(*pod, field.field_path());
    out.Add(3, fmt::format("{}:\t{} ({}:{})\n", variable.name(), value, field.api_version(), field.field_path()));
  } else if (auto resource = from.resource_field_ref()) {
    out.Add(3, fmt::format("{}:\t{} ({})\n", variable.name(), ResourceText(container, resource), resource.resource()));
  } else if (auto secret = from.secret_key_ref()) {
    out.Add(3, fmt::format("{}:\t<set to the key '{}' in secret '{}'>\tOptional: {}\n", variable.name(), secret.key(),
                           secret.name(), secret.optional().value_or(false)));
  } else if (auto map = from.config_map_key_ref()) {
    out.Add(3, fmt::format("{}:\t<set to the key '{}' of config map '{}'>\tOptional: {}\n", variable.name(), map.key(),
                           map.name(), map.optional().value_or(false)));
  }
}

void AddEnvironment(Description& out, const Container& container, const doc::Value* pod) {
  if (!container.env_from().empty()) out.Add(2, "Environment Variables from:\n");
  for (auto source : container.env_from()) {
    const bool map = source.has_config_map_ref();
    const doc::Value& ref = source.tree().At(map ? "configMapRef" : "secretRef");
    const std::string_view kind = map ? "ConfigMap" : source.has_secret_ref() ? "Secret" : "";
    const std::string prefix = source.prefix().empty() ? "" : fmt::format(" with prefix '{}'", source.prefix());
    out.Add(3, fmt::format("{}\t{}{}\tOptional: {}\n", ref.At("name").AsString(), kind, prefix,
                           ref.At("optional").AsBool()));
  }
  out.Add(2, container.env().empty() ? "Environment:\t<none>\n" : "Environment:\n");
  for (auto variable : container.env()) AddVariable(out, container, variable, pod);
}

std::vector<doc::Value> SortedBy(const doc::Value& list, std::string_view member) {
  std::vector<doc::Value> out(list.items().begin(), list.items().end());
  std::ranges::stable_sort(out, {}, [&](const doc::Value& v) { return v.At(member).AsString(); });
  return out;
}

void AddMounts(Description& out, const Container& container) {
  const std::string_view none = container.volume_mounts().empty() ? "\t<none>" : "";
  out.Add(2, fmt::format("Mounts:{}\n", none));
  for (const doc::Value& mount : SortedBy(container.tree().At("volumeMounts"), "mountPath")) {
    std::string flags = mount.At("readOnly").AsBool() ? "ro" : "rw";
    if (!mount.At("subPath").AsString().empty()) flags += ",path=" + GoQuote(mount.At("subPath").AsString());
    out.Add(3, fmt::format("{} from {} ({})\n", mount.At("mountPath").AsString(), mount.At("name").AsString(), flags));
  }
  if (container.volume_devices().empty()) return;
  out.Add(2, fmt::format("Devices:{}\n", none));
  for (const doc::Value& device : SortedBy(container.tree().At("volumeDevices"), "devicePath")) {
    out.Add(3, fmt::format("{} from {}\n", device.At("devicePath").AsString(), device.At("name").AsString()));
  }
}

}  // namespace

void AddResources(Description& out, const doc::Value& resources, int level) {
  for (const auto& [member, title] : {std::pair{"limits", "Limits"}, {"requests", "Requests"}}) {
    const doc::Value& map = resources.At(member);
    if (!map.empty()) out.Add(level, fmt::format("{}:\n", title));
    for (const std::string& name : SortedKeys(map)) {
      out.Add(level + 1, fmt::format("{}:\t{}\n", name, QuantityOf(map.At(name)).ToString()));
    }
  }
}

void AddContainers(Description& out, std::string_view title, const doc::Value& containers, const doc::Value& statuses,
                   const doc::Value* pod, std::string_view space) {
  out.Add(0, fmt::format("{}{}:{}\n", space, title, containers.empty() ? " <none>" : ""));
  for (const doc::Value& item : containers.items()) {
    Container container(item);
    ContainerStatus status;
    for (const doc::Value& candidate : statuses.items()) {
      if (candidate.At("name").AsString() == container.name()) status = ContainerStatus(candidate);
    }
    AddBasics(out, container, status, space);
    if (status) {
      AddState(out, "State", status.state());
      if (status.last_state().has_terminated()) AddState(out, "Last State", status.last_state());
      out.Add(2, fmt::format("Ready:\t{}\n", YesNo(status.ready())));
      out.Add(2, fmt::format("Restart Count:\t{}\n", status.restart_count()));
    }
    AddResources(out, container.resources().tree(), 2);
    for (const auto& [member, name] :
         {std::pair{"livenessProbe", "Liveness"}, {"readinessProbe", "Readiness"}, {"startupProbe", "Startup"}}) {
      const doc::Value& probe = item.At(member);
      if (probe.is_object()) out.Add(2, fmt::format("{}:\t{}\n", name, ProbeText(probe)));
    }
    AddEnvironment(out, container, pod);
    AddMounts(out, container);
  }
}

}  // namespace knarr::cli
