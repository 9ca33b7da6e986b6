#pragma once

// What selectors look at, kept beside the stored bytes so that a body is decoded once, however often it is filtered.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/resource.h"
#include "base/selector.h"
#include "store/store.h"

namespace knarr::apiserver {

/// The labels of one stored object and its selectable fields (other than name and namespace, which its key tells).
struct ObjectAttributes {
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> fields;
};

/// Attributes by identity of the stored bytes. Stored bytes are immutable, so an entry is right for as long as the
/// bytes live; entries of bytes that are gone are swept when the cache has doubled. One for each runtime: no locks.
class AttributeCache {
 public:
  /// Valid until the next call.
  const ObjectAttributes& Of(const api::KindInfo& kind, const store::Bytes& bytes);
  size_t size() const { return entries_.size(); }

 private:
  void Sweep();
  struct Entry {
    std::weak_ptr<const std::string> bytes;
    std::unique_ptr<const ObjectAttributes> attributes;
  };
  std::unordered_map<const std::string*, Entry> entries_;
  size_t sweep_at_ = 1024;
};

/// A label selector and a field selector together.
struct Selection {
  LabelSelector labels;
  FieldSelector fields;

  /// The fields are those of the stored form, whatever `kind`'s version calls them. BadRequest with upstream's texts,
  /// also for a field that the kind does not select by.
  static Result<Selection> Parse(const api::KindInfo& kind, std::string_view label_text, std::string_view field_text);
  bool empty() const { return labels.empty() && fields.empty(); }
  /// The one object it can match, when it fixes metadata.name.
  std::optional<std::string_view> name() const { return fields.ExactValue("metadata.name"); }
  bool Matches(const Resource& resource, std::string_view key, const store::Bytes& bytes, AttributeCache& cache) const;
};

}  // namespace knarr::apiserver
