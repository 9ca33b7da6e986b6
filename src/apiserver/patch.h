#pragma once

#include <string_view>

#include "api/schema.h"
#include "base/status.h"
#include "client/client.h"
#include "doc/value.h"

namespace knarr::apiserver {

/// A patch body, read once however often it is applied.
struct ParsedPatch {
  client::PatchType type = client::PatchType::kMerge;
  doc::Document document;
  /// Duplicate fields and the like in the body itself; of an apply patch in one text, as upstream has it.
  std::vector<std::string> strict;
};
/// BadRequest for what is no patch.
Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body);

/// The patched object; not for apply patches. BadRequest or Invalid with upstream's messages when the patch does not
/// fit.
Result<doc::Document> ApplyPatch(const api::KindInfo& kind, const doc::Value& object, const ParsedPatch& patch);

}  // namespace knarr::apiserver
