#pragma once

// Kinds as users name them: "po", "pods", "pod", "deployments.apps", "rs.v1.apps", "all".

#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/status.h"
#include "client/client.h"

namespace knarr::cli {

/// BadRequest: `the server doesn't have a resource type "foo"`.
Result<const api::KindInfo*> FindKindByName(std::string_view name);

/// What a command is about: TYPE NAME…, TYPE/NAME …, TYPE,TYPE, or "all".
struct ResourceArgs {
  struct Item {
    const api::KindInfo* kind;
    std::string name;  ///< "": every object of the kind
  };
  std::vector<Item> items;
  bool several_kinds = false;  ///< names are printed with their kind
};
/// BadRequest and NotFound in kubectl's words.
Result<ResourceArgs> ParseResourceArgs(const std::vector<std::string>& args);

/// "pod/web", "deployment.apps/web": how kubectl names one object.
std::string TypedName(const api::KindInfo& kind, std::string_view name);
/// "pods", "deployments.apps".
std::string QualifiedResource(const api::KindInfo& kind);

}  // namespace knarr::cli
