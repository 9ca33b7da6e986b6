#pragma once

// Merging one patch into an object or into another patch. Internal to this folder.

#include <string_view>

#include "api/schema.h"
#include "api/strategic_lists.h"
#include "base/status.h"
#include "doc/members.h"
#include "doc/value.h"

namespace knarr::api::strategic {

enum class MergeInto : uint8_t {
  kObject,     ///< directives are carried out
  kPatchText,  ///< directives are kept for the one who carries out the result
};

/// Both arguments are the merger's own copies: it takes them apart.
class Merger {
 public:
  Merger(doc::Arena& arena, MergeInto into) : arena_(arena), into_object_(into == MergeInto::kObject) {}
  Result<doc::Value> Merge(doc::Value original, doc::Value patch, const Type* type);

 private:
  Ok RetainKeys(doc::Value& original, doc::Value& patch) const;
  Ok OrderedLists(doc::MemberEdits& original, doc::Value& patch, const Type* type);
  Ok OrderedList(doc::MemberEdits& original, doc::MemberEdits& patch, const Type* type, std::string_view directive);
  Ok Member(doc::MemberEdits& original, std::string_view name, doc::Value patch, const Type* type, bool delete_list);
  Ok Take(doc::MemberEdits& original, std::string_view name, doc::Value patch);
  Result<List> MergeList(const doc::Value& original, const doc::Value& patch, const Meta& meta, bool delete_list);
  Result<List> MergeElements(List original, const List& patch, List& kept_patch, List& base, const Meta& meta);

  doc::Arena& arena_;
  bool into_object_;
};

}  // namespace knarr::api::strategic
