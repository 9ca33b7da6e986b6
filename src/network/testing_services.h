#pragma once

// For tests: Services and EndpointSlices from YAML into a ServiceTable.

#include <string>
#include <string_view>
#include <vector>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "api/meta_v1.h"
#include "doc/yaml.h"
#include "network/service_table.h"

namespace knarr::network {

inline Ok LoadServices(std::string_view yaml, ServiceTable& table) {
  const std::vector<doc::YamlDocument> documents = TRY(doc::ParseYamlStream(yaml));
  for (const doc::YamlDocument& document : documents) {
    if (document.root().At("kind").AsString() != "Service") continue;
    const api::core_v1::Service service(document.root());
    std::vector<api::discovery_v1::EndpointSlice> slices;
    for (const doc::YamlDocument& other : documents) {
      if (other.root().At("kind").AsString() != "EndpointSlice") continue;
      const api::discovery_v1::EndpointSlice slice(other.root());
      if (slice.metadata().ns() == service.metadata().ns() &&
          slice.metadata().labels().Find("kubernetes.io/service-name") == service.metadata().name()) {
        slices.push_back(slice);
      }
    }
    table.Set(std::string(service.metadata().ns()) + "/" + std::string(service.metadata().name()),
              RulesFor(service, slices, table.context()));
  }
  return {};
}

}  // namespace knarr::network
