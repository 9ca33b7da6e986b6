#pragma once

// The resources that are stored and served: kind, place in the store, strategy.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "apiserver/strategy.h"
#include "client/client.h"

namespace knarr::apiserver {

/// "/registry/core/pods/": where a resource's objects are in the store.
std::string StorePrefix(std::string_view group, std::string_view plural);

struct Resource {
  const api::KindInfo* kind = nullptr;    ///< as what clients see its objects
  const api::KindInfo* stored = nullptr;  ///< as what they are stored; another one for all versions but one
  std::string prefix;                     ///< "/registry/core/pods/"
  std::unique_ptr<Strategy> strategy;

  /// "/registry/core/pods/default/a"
  std::string Key(const client::ObjectName& name) const;
  /// The prefix of a namespace's objects, or of all.
  std::string Prefix(std::string_view ns) const;
  bool is_stored_form() const { return kind == stored; }
  /// The object's namespace and name, from its key. The views point into `key`.
  struct Name {
    std::string_view ns;
    std::string_view name;
  };
  Name NameOf(std::string_view key) const;
};

class ResourceTable {
 public:
  explicit ResourceTable(const StrategyOptions& options);
  /// nullptr when it is not served.
  Resource* Find(std::string_view group, std::string_view version, std::string_view plural) const;
  Resource* Find(const api::KindInfo& kind) const;
  const std::deque<Resource>& all() const { return resources_; }

 private:
  mutable std::deque<Resource> resources_;
};

/// Everything that discovery and OpenAPI list, by group and name: stored resources; bindings, which are only created;
/// and what is computed.
std::vector<const api::KindInfo*> ListedKinds(const ResourceTable& resources);

/// The warning that goes with every answer about a deprecated kind, "" for the others.
std::string_view DeprecationOf(const api::KindInfo& kind);

/// Whether the kind has objects in the store here, or is a review.
bool IsServed(const api::KindInfo& kind);

}  // namespace knarr::apiserver
