#pragma once

// A subresource as a view of an object: what is read through it, and what a write through it does to the object. The
// object itself is the view without a name.

#include <memory>
#include <string_view>
#include <vector>

#include "api/managed/field_manager.h"
#include "api/schema.h"
#include "apiserver/strategy.h"
#include "doc/value.h"

namespace knarr::apiserver {

struct Subresource {
  std::string_view name;
  const api::KindInfo* kind;  ///< of what is read and written (Scale, or the resource's own)
  Target target = Target::kObject;
  bool readable = true;
  bool writable = true;
  /// The view of an object; nullptr: the object itself.
  Result<doc::Document> (*project)(const api::KindInfo& kind, const doc::Value& object) = nullptr;
  /// The object that a written view asks for; nullptr: what was written.
  Result<doc::Document> (*merge)(const api::KindInfo& kind, const doc::Value& object,
                                 const doc::Value& view) = nullptr;
  /// Of writes through it.
  std::shared_ptr<const api::managed::FieldManager> fields;
};

/// The view of a resource by its name; nullptr when there is none of that name that can be read or written.
const Subresource* FindSubresource(const api::KindInfo& kind, std::string_view name);

/// The names of everything this server has below a resource, with their verbs: for discovery.
struct ServedSubresource {
  std::string_view name;
  const api::KindInfo* kind;
  std::vector<std::string_view> verbs;
};
std::vector<ServedSubresource> ServedSubresources(const api::KindInfo& kind);

}  // namespace knarr::apiserver
