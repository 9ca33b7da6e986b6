#include "node/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/quantity.h"
#include "base/strings.h"
#include "node/manifest.h"
#include "node/service_variables.h"

namespace knarr::node {
namespace {

using api::core_v1::ConfigMap;
using api::core_v1::Container;
using api::core_v1::EnvVarSource;
using api::core_v1::Pod;
using api::core_v1::Secret;

void SetVariable(Environment& environment, std::string name, std::string value) {
  auto at = std::ranges::find(environment.variables, name, &std::pair<std::string, std::string>::first);
  if (at != environment.variables.end()) {
    at->second = std::move(value);
  } else {
    environment.variables.emplace_back(std::move(name), std::move(value));
  }
}

/// Only names a shell could use become variables from envFrom keys; "=" and NUL can't be in any.
bool IsVariableName(std::string_view name) {
  return !name.empty() && name.find('=') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

/// The objects one container's environment is read from, each fetched once.
class Sources {
 public:
  Sources(client::Client& client, std::string_view ns) : client_(client), ns_(ns) {}

  /// nullptr when it is missing and optional.
  Result<api::ObjectPtr> Get(const api::KindInfo& kind, std::string_view name, bool optional) {
    auto [at, added] = objects_.try_emplace({&kind, std::string(name)});
    if (!added) return at->second;
    Result<api::ObjectPtr> got = client_.Get(kind, {ns_, std::string(name)});
    if (got.ok()) {
      at->second = *got;
    } else if (!got.Failed(Reason::kNotFound)) {
      objects_.erase(at);
      return got.status();
    }
    if (at->second == nullptr && !optional) {
      return NotFound(fmt::format("{} \"{}\" not found", kind.singular, name));
    }
    return at->second;
  }

 private:
  client::Client& client_;
  const std::string ns_;
  std::map<std::pair<const api::KindInfo*, std::string>, api::ObjectPtr> objects_;
};

Result<std::optional<std::string>> FromConfigMap(Sources& sources, Pod pod, EnvVarSource from) {
  auto ref = from.config_map_key_ref();
  const bool optional = ref.optional().value_or(false);
  api::ObjectPtr object = TRY(sources.Get(api::core_v1::ConfigMapInfo(), ref.name(), optional));
  if (object == nullptr) return std::optional<std::string>();
  if (auto value = ConfigMap(object->tree()).data().Find(ref.key())) return std::optional(std::string(*value));
  if (optional) return std::optional<std::string>();
  return NotFound(fmt::format("couldn't find key {} in ConfigMap {}/{}", ref.key(), pod.metadata().ns(), ref.name()));
}

Result<std::optional<std::string>> FromSecret(Sources& sources, Pod pod, EnvVarSource from) {
  auto ref = from.secret_key_ref();
  const bool optional = ref.optional().value_or(false);
  api::ObjectPtr object = TRY(sources.Get(api::core_v1::SecretInfo(), ref.name(), optional));
  if (object == nullptr) return std::optional<std::string>();
  if (auto value = Secret(object->tree()).data().Find(ref.key())) return std::optional(TRY(Base64Decode(*value)));
  if (optional) return std::optional<std::string>();
  return NotFound(fmt::format("couldn't find key {} in Secret {}/{}", ref.key(), pod.metadata().ns(), ref.name()));
}

/// limits.cpu, requests.memory, … divided by the divisor and rounded up.
Result<std::string> ResourceValue(Container container, std::string_view resource, std::string_view divisor_text,
                                  const PodFacts& facts) {
  const size_t dot = resource.find('.');
  std::string_view side = resource.substr(0, dot);
  std::string_view name = dot == std::string_view::npos ? "" : resource.substr(dot + 1);
  if ((side != "limits" && side != "requests") || name.empty()) {
    return BadRequest(fmt::format("unsupported container resource : {}", resource));
  }
  api::StringMap amounts = side == "limits" ? container.resources().limits() : container.resources().requests();
  const bool cpu = name == "cpu";
  Quantity divisor = Quantity::Scaled(1, 0);
  if (!divisor_text.empty() && divisor_text != "0") divisor = TRY(Quantity::Parse(divisor_text));
  int64_t amount = 0;
  if (auto text = amounts.Find(name)) {
    Quantity quantity = TRY(Quantity::Parse(*text));
    amount = cpu ? quantity.MilliValue() : quantity.Value();
  } else if (side == "limits") {
    amount = cpu ? facts.allocatable_cpu_milli : name == "memory" ? facts.allocatable_memory : 0;
  }
  const int64_t unit = std::max<int64_t>(1, cpu ? divisor.MilliValue() : divisor.Value());
  return std::to_string(amount / unit + (amount % unit != 0 ? 1 : 0));
}

Result<std::optional<std::string>> FromSource(Sources& sources, Pod pod, Container container, EnvVarSource from,
                                              const PodFacts& facts) {
  if (from.config_map_key_ref()) return FromConfigMap(sources, pod, from);
  if (from.secret_key_ref()) return FromSecret(sources, pod, from);
  if (from.field_ref()) return std::optional(TRY(FieldValue(pod, from.field_ref().field_path(), facts)));
  if (auto ref = from.resource_field_ref()) return std::optional(TRY(ResourceFieldValue(pod, ref, facts, container)));
  return BadRequest("valueFrom names no source this node knows");
}

Ok AddEnvFrom(Sources& sources, Container container, Environment& out) {
  for (api::core_v1::EnvFromSource from : container.env_from()) {
    const std::string prefix(from.prefix());
    if (auto ref = from.config_map_ref()) {
      const bool optional = ref.optional().value_or(false);
      api::ObjectPtr object = TRY(sources.Get(api::core_v1::ConfigMapInfo(), ref.name(), optional));
      if (object == nullptr) continue;
      for (auto [key, value] : ConfigMap(object->tree()).data()) {
        if (IsVariableName(key)) SetVariable(out, prefix + std::string(key), std::string(value));
      }
    } else if (auto secret_ref = from.secret_ref()) {
      const bool optional = secret_ref.optional().value_or(false);
      api::ObjectPtr object = TRY(sources.Get(api::core_v1::SecretInfo(), secret_ref.name(), optional));
      if (object == nullptr) continue;
      for (auto [key, value] : Secret(object->tree()).data()) {
        if (IsVariableName(key)) SetVariable(out, prefix + std::string(key), TRY(Base64Decode(value)));
      }
    }
  }
  return {};
}

/// labels['key'] → key.
std::optional<std::string_view> Subscript(std::string_view path, std::string_view field) {
  if (!path.starts_with(field)) return std::nullopt;
  path.remove_prefix(field.size());
  if (!path.starts_with("['") || !path.ends_with("']") || path.size() < 4) return std::nullopt;
  return path.substr(2, path.size() - 4);
}

std::string MapLines(api::StringMap map) {
  std::string out;
  for (auto [key, value] : map) out += fmt::format("{}={}\n", key, GoQuote(value));
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace

std::optional<Container> FindContainer(Pod pod, std::string_view name) {
  for (Container container : pod.spec().containers()) {
    if (container.name() == name) return container;
  }
  for (Container container : pod.spec().init_containers()) {
    if (container.name() == name) return container;
  }
  // These have a container's fields, and one more.
  for (const auto container : pod.spec().ephemeral_containers()) {
    if (container.name() == name) return Container(container.tree());
  }
  return std::nullopt;
}

std::string ExpandVariables(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const size_t close = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += '$';
      continue;
    }
    const std::string* value = lookup(text.substr(i + 2, close - i - 2));
    out += value != nullptr ? std::string_view(*value) : text.substr(i, close - i + 1);
    i = close;
  }
  return out;
}

Result<std::string> FieldValue(Pod pod, std::string_view path, const PodFacts& facts) {
  auto metadata = pod.metadata();
  if (path == "metadata.name") return std::string(metadata.name());
  if (path == "metadata.namespace") return std::string(metadata.ns());
  if (path == "metadata.uid") return std::string(metadata.uid());
  if (path == "metadata.labels") return MapLines(metadata.labels());
  if (path == "metadata.annotations") return MapLines(metadata.annotations());
  if (path == "spec.nodeName") return facts.node_name;
  if (path == "spec.serviceAccountName") return std::string(pod.spec().service_account_name());
  if (path == "status.hostIP" || path == "status.hostIPs") return facts.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return facts.pod_ip;
  if (auto key = Subscript(path, "metadata.labels")) {
    return std::string(metadata.labels().Find(*key).value_or(""));
  }
  if (auto key = Subscript(path, "metadata.annotations")) {
    return std::string(metadata.annotations().Find(*key).value_or(""));
  }
  return BadRequest(fmt::format("unsupported fieldPath: {}", path));
}

Result<std::string> ResourceFieldValue(Pod pod, api::core_v1::ResourceFieldSelector ref, const PodFacts& facts,
                                       Container fallback) {
  const std::string_view name = ref.container_name();
  const std::optional<Container> of = name.empty() ? fallback : FindContainer(pod, name);
  if (!of) return NotFound(fmt::format("container {} not found", name));
  return ResourceValue(*of, ref.resource(), ref.divisor(), facts);
}

const std::string* Environment::Find(std::string_view name) const {
  auto at = std::ranges::find(variables, name, &std::pair<std::string, std::string>::first);
  return at == variables.end() ? nullptr : &at->second;
}

std::vector<std::string> Environment::Lines() const {
  std::vector<std::string> lines;
  lines.reserve(variables.size());
  for (const auto& [name, value] : variables) lines.push_back(name + "=" + value);
  return lines;
}

Result<Environment> MakeEnvironment(client::Client& client, Pod pod, Container container, const PodFacts& facts) {
  Environment out;
  // What the container says itself comes after, and wins.
  auto services = ReadServiceVariables(client, pod);
  // The pods that the API may be made of can't wait for it.
  const bool waits_for_none = IsStaticPod(pod) && !services.Failed(Reason::kCancelled);
  if (!services.ok() && !waits_for_none) return services.status();
  if (services.ok()) {
    for (auto& [name, value] : *services) SetVariable(out, std::move(name), std::move(value));
  }
  Sources sources(client, pod.metadata().ns());
  TRY(AddEnvFrom(sources, container, out));
  for (api::core_v1::EnvVar variable : container.env()) {
    if (variable.value_from()) {
      auto value = TRY(FromSource(sources, pod, container, variable.value_from(), facts));
      if (value) SetVariable(out, std::string(variable.name()), std::move(*value));
      continue;
    }
    auto lookup = [&out](std::string_view name) { return out.Find(name); };
    SetVariable(out, std::string(variable.name()), ExpandVariables(variable.value(), lookup));
  }
  return out;
}

}  // namespace knarr::node
