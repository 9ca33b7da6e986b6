#pragma once

#include <string_view>

#include "api/schema.h"
#include "apiserver/operations.h"
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
/// BadRequest for what is no patch.
Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body);

/// The patched tree, which may be anything; not for apply patches.
Result<doc::Document> ApplyPatch(const api::KindInfo& kind, const doc::Value& object, const ParsedPatch& patch);

/// The patched object, canonical; not for apply patches. Errors are upstream's; what is odd about the patch or the
/// result is a warning or an error, as `validation` says.
Result<doc::Document> Patched(RequestContext& context, const api::KindInfo& kind, const doc::Value& object,
                              const ParsedPatch& patch, FieldValidation validation);

}  // namespace knarr::apiserver
