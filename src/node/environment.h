#pragma once

// A container's environment variables, and the $(NAME) references in command, args and env that use them.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "base/status.h"
#include "client/client.h"

namespace knarr::node {

/// Replaces $(NAME) by what `lookup` gives (nullptr: left as it stands); $$(NAME) gives the literal $(NAME).
std::string ExpandVariables(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup);

/// What fieldRef and resourceFieldRef can ask for beyond the pod's object.
struct PodFacts {
  std::string pod_ip;
  std::string host_ip;
  std::string node_name;
  int64_t allocatable_cpu_milli = 0;  ///< stands in for a missing limit
  int64_t allocatable_memory = 0;
};

/// The value of a downward API field ("metadata.name", "metadata.labels['a']", "status.podIP", …). BadRequest for a
/// field that can't be asked for.
Result<std::string> FieldValue(api::core_v1::Pod pod, std::string_view path, const PodFacts& facts);

/// The value of a resourceFieldRef: what its container (`fallback`, when it names none of the pod's) may use or asks
/// for.
Result<std::string> ResourceFieldValue(api::core_v1::Pod pod, api::core_v1::ResourceFieldSelector ref,
                                       const PodFacts& facts, api::core_v1::Container fallback = {});

/// A container, init container or ephemeral container of the pod's spec.
std::optional<api::core_v1::Container> FindContainer(api::core_v1::Pod pod, std::string_view name);

struct Environment {
  std::vector<std::pair<std::string, std::string>> variables;  ///< in order, each name once
  const std::string* Find(std::string_view name) const;
  std::vector<std::string> Lines() const;  ///< "NAME=value"
};

/// Reads the ConfigMaps and Secrets the container's env and envFrom name. NotFound with the kubelet's texts
/// (`configmap "x" not found`, `couldn't find key k in ConfigMap default/x`) for what is missing and not optional.
Result<Environment> MakeEnvironment(client::Client& client, api::core_v1::Pod pod, api::core_v1::Container container,
                                    const PodFacts& facts);

}  // namespace knarr::node
