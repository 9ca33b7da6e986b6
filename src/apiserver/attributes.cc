#include "apiserver/attributes.h"

#include <algorithm>

#include "api/conversion/conversion.h"
#include "api/field_selectors.h"
#include "apiserver/object_io.h"
#include "base/strings.h"

namespace knarr::apiserver {

const ObjectAttributes& AttributeCache::Of(const api::KindInfo& kind, const store::Bytes& bytes) {
  if (entries_.size() >= sweep_at_) Sweep();
  Entry& entry = entries_[bytes.get()];
  // The address may have been another object's before. The entry keeps the owner's control block, so the same owner
  // means the same bytes; comparing owners touches no counter.
  const bool same = !entry.bytes.owner_before(bytes) && !bytes.owner_before(entry.bytes);
  if (same && entry.attributes != nullptr) return *entry.attributes;
  auto attributes = std::make_unique<ObjectAttributes>();
  const doc::Document object = DecodeStored(*bytes);
  for (const doc::Member& label : object.root.Get("metadata", "labels").members()) {
    attributes->labels.emplace_back(label.key, label.value.AsString());
  }
  for (const std::string_view field : api::SelectableFields(kind)) {
    if (field == "metadata.name" || field == "metadata.namespace") continue;  // the key has them
    attributes->fields.emplace_back(field, api::SelectableValue(kind, object.root, field));
  }
  entry = {bytes, std::move(attributes)};
  return *entry.attributes;
}

void AttributeCache::Sweep() {
  std::erase_if(entries_, [](const auto& entry) { return entry.second.bytes.expired(); });
  sweep_at_ = std::max<size_t>(1024, 2 * entries_.size());
}

Result<Selection> Selection::Parse(const api::KindInfo& kind, std::string_view label_text,
                                   std::string_view field_text) {
  Selection out;
  if (!label_text.empty()) {
    Result<LabelSelector> labels = LabelSelector::Parse(label_text);
    if (!labels.ok()) return labels.status();
    out.labels = std::move(*labels);
  }
  if (field_text.empty()) return out;
  out.fields = TRY(FieldSelector::Parse(field_text));
  TRY(api::CheckFieldSelector(kind, out.fields));
  const api::KindInfo& stored = api::StorageKind(kind);
  if (&stored == &kind) return out;
  std::vector<FieldRequirement> requirements = out.fields.requirements();
  for (FieldRequirement& requirement : requirements) {
    requirement.field = api::StoredFieldLabel(kind, requirement.field);
  }
  out.fields = FieldSelector(std::move(requirements));
  return out;
}

bool Selection::Matches(const Resource& resource, std::string_view key, const store::Bytes& bytes,
                        AttributeCache& cache) const {
  if (empty()) return true;
  if (labels.nothing()) return false;
  const Resource::Name name = resource.NameOf(key);
  const auto fixed = [&](std::string_view field) -> std::optional<std::string_view> {
    if (field == "metadata.name") return name.name;
    if (field == "metadata.namespace") return name.ns;
    return std::nullopt;
  };
  // What the key tells needs no attributes.
  bool needs_attributes = !labels.empty();
  for (const FieldRequirement& requirement : fields.requirements()) {
    const auto known = fixed(requirement.field);
    if (!known.has_value()) {
      needs_attributes = true;
    } else if ((*known == requirement.value) != requirement.equal) {
      return false;
    }
  }
  if (!needs_attributes) return true;
  const ObjectAttributes& attributes = cache.Of(*resource.stored, bytes);
  const auto find = [](const auto& list, std::string_view wanted) -> std::optional<std::string_view> {
    for (const auto& [name_of, value] : list) {
      if (name_of == wanted) return value;
    }
    return std::nullopt;
  };
  return labels.Matches([&](std::string_view label) { return find(attributes.labels, label); }) &&
         fields.Matches([&](std::string_view field) {
           return fixed(field).value_or(find(attributes.fields, field).value_or(std::string_view()));
         });
}

}  // namespace knarr::apiserver
