#include "apiserver/attributes.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "api/conversion/conversion.h"
#include "api/field_selectors.h"
#include "apiserver/object_io.h"

namespace knarr::apiserver {
namespace {

using store::Digest;

/// Bits of each attribute. A pod has some twenty: a fifth of the 256 is set, and one object in 600 that has not what
/// is asked for looks as if it had.
constexpr int kBitsEach = 4;
/// Always set: tells a digest without attributes from none.
constexpr uint64_t kKnown = 1;

// FNV-1a, then a mixing step so that all bits are good. Digests are not kept on the disk: it may change.
uint64_t Hash(char what, std::string_view key, std::string_view value) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0x100) * 0x100000001b3;
  };
  hash = (hash ^ static_cast<unsigned char>(what)) * 0x100000001b3;
  add(key);
  add(value);
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93;
  return hash ^ (hash >> 32);
}

void AddBits(uint64_t hash, Digest& digest) {
  for (int i = 0; i < kBitsEach; ++i, hash >>= 8) {
    const auto bit = static_cast<uint8_t>(hash);
    digest.words[bit / 64] |= uint64_t{1} << (bit % 64);
  }
}

Digest BitsOf(char what, std::string_view key, std::string_view value) {
  Digest digest;
  AddBits(Hash(what, key, value), digest);
  return digest;
}

bool Covers(const Digest& digest, const Digest& wanted) {
  for (size_t i = 0; i < digest.words.size(); ++i) {
    if ((wanted.words[i] & ~digest.words[i]) != 0) return false;
  }
  return true;
}

bool IsOfKey(std::string_view field) { return field == "metadata.name" || field == "metadata.namespace"; }

}  // namespace

ObjectAttributes::ObjectAttributes(const api::KindInfo& kind, const doc::Value& object) {
  for (const doc::Member& label : object.Get("metadata", "labels").members()) Add(label.key, label.value.AsString());
  labels_end_ = text_.size();
  for (const std::string_view field : api::SelectableFields(kind)) {
    if (!IsOfKey(field)) Add(field, api::SelectableValue(kind, object, field));
  }
  text_.shrink_to_fit();
}

std::unique_ptr<const ObjectAttributes> ObjectAttributes::Of(const api::KindInfo& kind, const store::Bytes& bytes) {
  return std::make_unique<const ObjectAttributes>(kind, DecodeStored(*bytes).root);
}

void ObjectAttributes::Add(std::string_view key, std::string_view value) {
  const std::array<uint32_t, 2> sizes = {static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
  text_.append(reinterpret_cast<const char*>(sizes.data()), sizeof sizes);
  text_.append(key).append(value);
}

template <typename Visit>
void ObjectAttributes::ForEach(size_t begin, size_t end, Visit visit) const {
  std::array<uint32_t, 2> sizes{};
  while (begin < end) {
    std::memcpy(sizes.data(), text_.data() + begin, sizeof sizes);
    begin += sizeof sizes;
    const std::string_view both = std::string_view(text_).substr(begin, size_t{sizes[0]} + sizes[1]);
    begin += both.size();
    if (!visit(both.substr(0, sizes[0]), both.substr(sizes[0]))) return;
  }
}

std::optional<std::string_view> ObjectAttributes::Find(size_t begin, size_t end, std::string_view key) const {
  std::optional<std::string_view> found;
  ForEach(begin, end, [&](std::string_view name, std::string_view value) {
    if (name != key) return true;
    found = value;
    return false;
  });
  return found;
}

Digest ObjectAttributes::digest() const {
  Digest digest;
  digest.words[0] = kKnown;
  ForEach(0, labels_end_, [&](std::string_view key, std::string_view value) {
    AddBits(Hash('k', key, {}), digest);
    AddBits(Hash('l', key, value), digest);
    return true;
  });
  ForEach(labels_end_, text_.size(), [&](std::string_view field, std::string_view value) {
    AddBits(Hash('f', field, value), digest);
    return true;
  });
  return digest;
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
  if (&api::StorageKind(kind) == &kind) return out;
  std::vector<FieldRequirement> requirements = out.fields.requirements();
  for (FieldRequirement& requirement : requirements) {
    requirement.field = api::StoredFieldLabel(kind, requirement.field);
  }
  out.fields = FieldSelector(std::move(requirements));
  return out;
}

SelectionFilter::SelectionFilter(const Resource& resource, const Selection& selection)
    : resource_(resource), selection_(selection) {
  for (const Requirement& requirement : selection.labels.requirements()) AddLabel(requirement);
  for (const FieldRequirement& requirement : selection.fields.requirements()) {
    if (IsOfKey(requirement.field)) {
      of_key_.push_back(&requirement);
      continue;
    }
    clauses_.push_back(
        {{BitsOf('f', requirement.field, requirement.value)}, requirement.equal ? Verdict::kNo : Verdict::kYes});
  }
}

void SelectionFilter::AddLabel(const Requirement& requirement) {
  Clause clause;
  switch (requirement.op()) {
    case SelectorOperator::kNotEquals:
    case SelectorOperator::kNotIn:
      clause.without = Verdict::kYes;
      [[fallthrough]];
    case SelectorOperator::kEquals:
    case SelectorOperator::kDoubleEquals:
    case SelectorOperator::kIn:
      for (const std::string& value : requirement.values()) {
        clause.any.push_back(BitsOf('l', requirement.key(), value));
      }
      break;
    case SelectorOperator::kDoesNotExist:
      clause.without = Verdict::kYes;
      [[fallthrough]];
    case SelectorOperator::kExists:
    case SelectorOperator::kGreaterThan:
    case SelectorOperator::kLessThan:
      clause.any.push_back(BitsOf('k', requirement.key(), {}));
      break;
  }
  clauses_.push_back(std::move(clause));
}

SelectionFilter::Verdict SelectionFilter::Judge(std::string_view key, const Digest& digest) const {
  if (selection_.labels.nothing()) return Verdict::kNo;
  if (!of_key_.empty()) {
    const Resource::Name name = resource_.NameOf(key);
    for (const FieldRequirement* requirement : of_key_) {
      const std::string_view is = requirement->field == "metadata.name" ? name.name : name.ns;
      if ((is == requirement->value) != requirement->equal) return Verdict::kNo;
    }
  }
  if (!digest.known()) return clauses_.empty() ? Verdict::kYes : Verdict::kAsk;
  Verdict all = Verdict::kYes;
  for (const Clause& clause : clauses_) {
    if (std::ranges::any_of(clause.any, [&](const Digest& wanted) { return Covers(digest, wanted); })) {
      all = Verdict::kAsk;
    } else if (clause.without == Verdict::kNo) {
      return Verdict::kNo;
    }
  }
  return all;
}

bool SelectionFilter::MatchesAttributes(std::string_view key, const ObjectAttributes& attributes) const {
  return selection_.labels.Matches([&](std::string_view label) { return attributes.Label(label); }) &&
         selection_.fields.Matches([&](std::string_view field) {
           if (!IsOfKey(field)) return attributes.Field(field);
           const Resource::Name name = resource_.NameOf(key);
           return field == "metadata.name" ? name.name : name.ns;
         });
}

bool SelectionFilter::Matches(const store::Entry& entry) const {
  store::Digest digest = entry.digest();
  std::unique_ptr<const ObjectAttributes> made;
  if (!digest.known() && !clauses_.empty()) {
    made = ObjectAttributes::Of(*resource_.stored, entry.value());
    digest = made->digest();
    entry.SetDigest(digest);
  }
  // The key lies elsewhere in memory: it is looked at only where it matters.
  const std::string_view key = of_key_.empty() ? std::string_view() : entry.key();
  const Verdict verdict = Judge(key, digest);
  if (verdict != Verdict::kAsk) return verdict == Verdict::kYes;
  const store::Facts* facts = entry.facts();
  if (facts == nullptr) {
    if (made == nullptr) made = ObjectAttributes::Of(*resource_.stored, entry.value());
    facts = &entry.SetFacts(std::move(made));
  }
  // Nobody else keeps facts with an object's entry.
  return MatchesAttributes(key, static_cast<const ObjectAttributes&>(*facts));
}

}  // namespace knarr::apiserver
