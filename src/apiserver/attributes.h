#pragma once

// What selectors look at: labels and selectable fields.
//
// A list by selector must not decode fifty thousand objects to find five. So each object is stored with a digest, a
// Bloom filter of its attributes that stays in memory beside its key: most objects that a selector leaves out are left
// out by looking at that. The others' attributes are read from their bytes once and kept beside them, for all threads,
// as long as they live.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/resource.h"
#include "base/selector.h"
#include "doc/value.h"
#include "store/store.h"

namespace knarr::apiserver {

/// The labels of one stored object and its selectable fields (other than name and namespace, which its key tells).
/// `kind` is always the kind it is stored as.
class ObjectAttributes : public store::Facts {
 public:
  ObjectAttributes(const api::KindInfo& kind, const doc::Value& object);
  static std::unique_ptr<const ObjectAttributes> Of(const api::KindInfo& kind, const store::Bytes& bytes);

  std::optional<std::string_view> Label(std::string_view key) const { return Find(0, labels_end_, key); }
  /// "" for one that is absent.
  std::string_view Field(std::string_view field) const {
    return Find(labels_end_, text_.size(), field).value_or(std::string_view());
  }
  store::Digest digest() const;

 private:
  void Add(std::string_view key, std::string_view value);
  std::optional<std::string_view> Find(size_t begin, size_t end, std::string_view key) const;
  template <typename Visit>
  void ForEach(size_t begin, size_t end, Visit visit) const;

  // One text, as there may be one of these for each object: the length of key and value, then both, again and again.
  std::string text_;
  size_t labels_end_ = 0;
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
};

/// A Selection made ready to be asked about many objects of a resource. Both must outlive it.
class SelectionFilter {
 public:
  SelectionFilter(const Resource& resource, const Selection& selection);

  bool Matches(const store::Entry& entry) const;
  /// False when key and digest tell that it does not match.
  bool MayMatch(std::string_view key, const store::Digest& digest) const { return Judge(key, digest) != Verdict::kNo; }
  /// For who keeps attributes itself: `attributes` is called where key and digest do not decide.
  template <typename Get>
  bool Matches(std::string_view key, const store::Digest& digest, Get attributes) const {
    const Verdict verdict = Judge(key, digest);
    return verdict == Verdict::kAsk ? MatchesAttributes(key, attributes()) : verdict == Verdict::kYes;
  }

 private:
  enum class Verdict : uint8_t { kNo, kYes, kAsk };
  /// What a digest says of one requirement: when it has none of `any`, the answer is known.
  struct Clause {
    std::vector<store::Digest> any;
    Verdict without = Verdict::kNo;
  };
  Verdict Judge(std::string_view key, const store::Digest& digest) const;
  bool MatchesAttributes(std::string_view key, const ObjectAttributes& attributes) const;
  void AddLabel(const Requirement& requirement);

  const Resource& resource_;
  const Selection& selection_;
  std::vector<Clause> clauses_;
  std::vector<const FieldRequirement*> of_key_;  ///< metadata.name and metadata.namespace
};

}  // namespace knarr::apiserver
