#include "apiserver/patch.h"

#include <fmt/format.h>

#include "api/strategic_merge.h"
#include "base/strings.h"
#include "doc/json.h"
#include "doc/json_patch.h"
#include "doc/merge_patch.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

// A JSON patch that can't be applied: upstream hides which step it was in the causes.
Status RejectedPatch(const Status& why) {
  StatusDetails details;
  details.causes.push_back({"UnexpectedServerResponse", why.message(), ""});
  return {Reason::kInvalid, "the server rejected our request due to an error in our request", std::move(details)};
}

// An apply patch is YAML, and an object or nothing.
Result<ParsedPatch> ParseApplyPatch(std::string_view body) {
  ParsedPatch out;
  out.type = client::PatchType::kApply;
  std::string repeated;
  doc::YamlOptions options;
  options.on_duplicate = [&](std::string_view path, doc::Position at) {
    const size_t dot = path.rfind('.');
    const std::string_view key = dot == std::string_view::npos ? path : path.substr(dot + 1);
    repeated += fmt::format("\n  line {}: key {} already set in map", at.line, GoQuote(key));
  };
  Result<doc::YamlDocument> parsed = doc::ParseYaml(body, options);
  if (!parsed.ok()) {
    return BadRequest("error decoding YAML: error converting YAML to JSON: yaml: " + parsed.status().message());
  }
  if (!parsed->root().is_object() && !parsed->root().is_null()) {
    const doc::Value& root = parsed->root();
    const std::string_view what = root.is_array()    ? "array"
                                  : root.is_string() ? "string"
                                  : root.is_bool()   ? "bool"
                                                     : "number";
    return BadRequest(
        fmt::format("error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                    "unmarshal {} into Go value of type map[string]interface {{}}",
                    what));
  }
  if (!repeated.empty()) out.strict.push_back("error converting YAML to JSON: yaml: unmarshal errors:" + repeated);
  out.document = std::move(parsed->document);
  return out;
}

}  // namespace

Result<ParsedPatch> ParsePatch(client::PatchType type, std::string_view body) {
  if (type == client::PatchType::kApply) return ParseApplyPatch(body);
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
