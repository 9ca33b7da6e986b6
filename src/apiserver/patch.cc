#include "apiserver/patch.h"

#include "api/strategic_merge.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_patch.h"
#include "doc/merge_patch.h"

namespace knarr::apiserver {
namespace {

// A JSON patch that can't be applied: upstream hides which step it was in the causes.
Status RejectedPatch(const Status& why) {
  StatusDetails details;
  details.causes.push_back({"UnexpectedServerResponse", why.message(), ""});
  return {Reason::kInvalid, "the server rejected our request due to an error in our request", std::move(details)};
}

}  // namespace

Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body) {
  if (type == client::PatchType::kApply) {
    return Status(Reason::kUnsupportedMediaType,
                  "server-side apply is not supported by this server: use client-side apply, or a JSON, merge or "
                  "strategic merge patch");
  }
  ParsedPatch out;
  out.type = type;
  doc::JsonOptions options;
  options.on_duplicate = [&](std::string_view path) { out.strict.push_back("duplicate field " + GoQuote(path)); };
  out.document = TRY(doc::ParseJson(body, options));
  if (type != client::PatchType::kJson && !out.document.root.is_object()) {
    return BadRequest("json: cannot unmarshal a patch that is no object into Go value of type map[string]interface {}");
  }
  return out;
}

Result<doc::Document> ApplyPatch(const api::KindInfo& kind, const doc::Value& object, const ParsedPatch& patch) {
  doc::Document out = doc::Document::Copy(object);
  const doc::Value& change = patch.document.root;
  if (patch.type == client::PatchType::kJson) {
    const Ok applied = doc::ApplyJsonPatch(change, out.root, out.arena);
    if (applied.Failed(Reason::kInvalid)) return RejectedPatch(applied.status());
    if (!applied.ok()) return applied.status();
  } else if (patch.type == client::PatchType::kMerge) {
    doc::ApplyMergePatch(change, out.root, out.arena);
  } else {
    out.root = TRY(api::StrategicMerge(*kind.type, object, change, out.arena));
  }
  return out;
}

}  // namespace knarr::apiserver
