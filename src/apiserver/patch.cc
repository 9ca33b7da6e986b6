#include "apiserver/patch.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/codec.h"
#include "api/strategic_merge.h"
#include "apiserver/decode.h"
#include "apiserver/errors.h"
#include "apiserver/field_managers.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_patch.h"
#include "doc/merge_patch.h"
#include "doc/text.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

// Upstream does not tell why a patch can't be applied.
Status RejectedPatch() {
  return RouteError(Reason::kInvalid, "the server rejected our request due to an error in our request");
}

// A result that is no object of the kind; it is told, or the patch where that was merged by the schema.
Status UnfitResult(std::string_view value, std::string_view why) {
  return InvalidError({}, "",
                      {{"FieldValueInvalid", fmt::format("Invalid value: {}: {}", GoQuote(value), why), "patch"}});
}

// An apply patch is YAML, and an object or nothing.
Result<ParsedPatch> ParseApplyPatch(std::string_view body) {
  ParsedPatch out;
  out.type = client::PatchType::kApply;
  doc::YamlOptions options;
  options.on_duplicate = [&](std::string_view path, doc::Position at) {
    const size_t dot = path.rfind('.');
    const std::string_view key = dot == std::string_view::npos ? path : path.substr(dot + 1);
    out.strict.push_back(fmt::format("line {}: key {} already set in map", at.line, GoQuote(key)));
  };
  Result<doc::YamlDocument> parsed = doc::ParseYaml(body, options);
  if (!parsed.ok()) {
    return BadRequest("error decoding YAML: error converting YAML to JSON: " +
                      doc::GoYamlError(parsed.status().message()));
  }
  if (!parsed->root().is_object() && !parsed->root().is_null()) {
    return BadRequest(
        fmt::format("error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                    "unmarshal {} into Go value of type map[string]interface {{}}",
                    doc::GoKind(parsed->root())));
  }
  out.document = std::move(parsed->document);
  return out;
}

// The operations as upstream reads them before it applies any; what they say beyond is odd, but no error.
Ok CheckOperations(const doc::Value& operations, std::vector<std::string>& strict) {
  const auto wrong = [](const doc::Value& value, std::string_view into) {
    return BadRequest(
        fmt::format("error decoding patch: json: cannot unmarshal {} into Go {}", doc::GoKind(value), into));
  };
  if (operations.is_null()) return {};
  if (!operations.is_array()) return wrong(operations, "value of type []handlers.jsonPatchOp");
  for (size_t i = 0; i < operations.size(); ++i) {
    const doc::Value& operation = operations[i];
    if (operation.is_null()) continue;
    if (!operation.is_object()) return wrong(operation, "value of type handlers.jsonPatchOp");
    for (const doc::Member& member : operation.members()) {
      if (member.key == "value") continue;
      if (member.key != "op" && member.key != "path" && member.key != "from") {
        strict.push_back(fmt::format("json patch unknown field \"[{}].{}\"", i, member.key));
      } else if (!member.value.is_string() && !member.value.is_null()) {
        return wrong(member.value, fmt::format("struct field jsonPatchOp.{} of type string", member.key));
      }
    }
  }
  return {};
}

Status StrategicMergeError(const Status& why) {
  const std::string_view message = why.message();
  if (message == "lists of lists are not supported") return RejectedPatch();
  if (message == "invalid JSON document" || message.starts_with("invalid patch format of ")) return why;
  return BareError(std::string(message));
}

// What the result has to be decoded as, by upstream's rules. A strategic merge is done on objects of the kind; the
// other two on JSON, which may say anything.
Ok FitResult(const api::KindInfo& kind, client::PatchType type, doc::Document& result) {
  doc::Value& root = result.root;
  if (type == client::PatchType::kStrategicMerge) {
    root.Set(result.arena, "kind", doc::Value::Borrow(kind.kind));
    root.Set(result.arena, "apiVersion", doc::Value::Borrow(kind.api_version));
    return {};
  }
  api::Decoded decoded;
  decoded.api_version = root.At("apiVersion").AsString(kind.api_version);
  decoded.kind = root.At("kind").AsString(kind.kind);
  if (decoded.api_version == kind.api_version && decoded.kind == kind.kind) return {};
  decoded.type = api::FindRootType(decoded.api_version, decoded.kind);
  if (decoded.type == kind.type) return {};
  const Status unknown = api::UnknownKind(decoded.api_version, decoded.kind);
  return BadRequest(WhyNoObject(kind, decoded, decoded.type == nullptr ? unknown.message() : ""));
}

}  // namespace

Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body) {
  if (type == client::PatchType::kApply) return ParseApplyPatch(body);
  ParsedPatch out;
  out.type = type;
  doc::JsonOptions options;
  options.on_duplicate = [&](std::string_view path) { out.strict.push_back("duplicate field " + GoQuote(path)); };
  const bool strategic = type == client::PatchType::kStrategicMerge;
  const std::string_view decoding = strategic ? "" : "error decoding patch: ";
  auto parsed = doc::ParseJson(body, options);
  if (!parsed.ok()) return BadRequest(fmt::format("{}{}", decoding, doc::GoJsonError(parsed.status().message())));
  out.document = std::move(*parsed);
  doc::Value& root = out.document.root;
  if (type == client::PatchType::kJson) {
    for (std::string& text : out.strict) text = "json patch " + text;
    TRY(CheckOperations(root, out.strict));
  } else if (root.is_null()) {
    if (!strategic) return BadRequest("Invalid JSON Patch");
    root = doc::Value::Object();
  } else if (!root.is_object()) {
    return BadRequest(fmt::format("{}json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                                  decoding, doc::GoKind(root)));
  }
  return out;
}

Result<doc::Document> ApplyPatch(const api::KindInfo& kind, const doc::Value& object, const ParsedPatch& patch) {
  doc::Document out;
  const doc::Value& change = patch.document.root;
  if (patch.type == client::PatchType::kStrategicMerge) {
    auto merged = api::StrategicMerge(*kind.type, object, change, out.arena);
    if (!merged.ok()) return StrategicMergeError(merged.status());
    out.root = *merged;
    return out;
  }
  out.root = object.Clone(out.arena);
  if (patch.type == client::PatchType::kJson) {
    const Ok applied = doc::ApplyJsonPatch(change, out.root, out.arena);
    if (applied.Failed(Reason::kInvalid)) return RejectedPatch();
    if (applied.Failed(Reason::kRequestEntityTooLarge)) {
      return Status(Reason::kRequestEntityTooLarge, "Request entity too large: " + applied.status().message());
    }
    if (!applied.ok()) return applied.status();
  } else {
    doc::ApplyMergePatch(change, out.root, out.arena);
  }
  return out;
}

Result<doc::Document> Patched(RequestContext& context, const api::KindInfo& kind, const doc::Value& object,
                              const ParsedPatch& patch, FieldValidation validation) {
  doc::Document out = TRY(ApplyPatch(kind, object, patch));
  const auto unfit = [&](std::string_view why) -> Status {
    if (patch.type == client::PatchType::kStrategicMerge) return UnfitResult(doc::GoText(patch.document.root), why);
    doc::Document again = TRY(ApplyPatch(kind, object, patch));  // the first has changed since
    std::ranges::sort(again.root.members(), {}, &doc::Member::key);
    return UnfitResult(doc::ToJson(again.root), why);
  };
  const Ok fits = FitResult(kind, patch.type, out);
  if (!fits.ok()) return unfit(fits.status().message());
  const doc::Value& managed_fields = out.root.Get("metadata", "managedFields");
  const bool forget = managed_fields.is_array() && managed_fields.empty();
  std::vector<std::string> strict = patch.strict;
  const Ok canonical = api::Canonicalize(*kind.type, out.root, out.arena, &strict);
  if (!canonical.ok()) return unfit(canonical.status().message());
  const Ok accepted = ReportStrict(context, strict, validation);
  if (!accepted.ok()) return unfit(accepted.status().message());
  if (forget) ForgetManagers(out);
  return out;
}

}  // namespace knarr::apiserver
