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
  /// Duplicate fields and the like in the body itself.
  std::vector<std::string> strict;
};
/// BadRequest for what is no patch; UnsupportedMediaType for an apply patch.
Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body);

/// The patched object. BadRequest or Invalid with upstream's messages when the patch does not fit.
Result<doc::Document> ApplyPatch(const api::KindInfo& kind, const doc::Value& object, const ParsedPatch& patch);

}  // namespace knarr::apiserver
