#include "api/convert.h"

#include <optional>

#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr::api {
namespace {

// "line 3, column 5: ", by reading the text once more as YAML, which JSON is a part of; "" when that does not work.
std::string PlaceOf(std::string_view text, std::string_view path) {
  const doc::YamlOptions lenient = {.on_duplicate = [](std::string_view, doc::Position) {}};
  const Result<doc::YamlDocument> parsed = doc::ParseYaml(text, lenient);
  if (!parsed.ok()) return {};
  const doc::Position at = parsed->positions.Find(path);
  if (at.line == 0) return {};
  return "line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": ";
}

// The path in the first pair of quotes of a strict error.
std::string_view QuotedPath(std::string_view error) {
  const size_t begin = error.find('"') + 1;
  return error.substr(begin, error.rfind('"') - begin);
}

// Decoding failed: finds out where, from the beginning.
Status Located(std::string_view input, WireFormat from, const Status& error) {
  if (from == WireFormat::kProtobuf || error.message().starts_with("line ")) return error;
  std::string path;
  doc::Document document;
  if (from == WireFormat::kJson) {
    Result<doc::Document> parsed = doc::ParseJson(input);
    if (!parsed.ok()) return error;
    document = std::move(*parsed);
  } else {
    Result<doc::YamlDocument> parsed = doc::ParseYaml(input);
    if (!parsed.ok()) return error;
    document = std::move(parsed->document);
  }
  const std::string_view kind = document.root.At("kind").AsString();
  const Type* type = FindRootType(document.root.At("apiVersion").AsString(), kind);
  if (type == nullptr) {
    path = kind.empty() ? "" : "kind";
  } else if (Canonicalize(*type, document.root, document.arena, nullptr, &path).ok()) {
    return error;
  }
  std::string where = PlaceOf(input, path);
  if (where.empty()) return error;
  if (!path.empty()) where += path + ": ";
  return BadRequest(where + error.message());
}

}  // namespace

Result<WireFormat> ParseWireFormat(std::string_view name) {
  if (name == "json") return WireFormat::kJson;
  if (name == "yaml") return WireFormat::kYaml;
  if (name == "protobuf") return WireFormat::kProtobuf;
  return BadRequest("unknown form \"" + std::string(name) + "\": it is json, yaml or protobuf");
}

Result<Converted> ConvertObject(std::string_view input, WireFormat from, WireFormat to) {
  const Result<Decoded> decoded = Decode(from, input);
  if (!decoded.ok()) return Located(input, from, decoded.status());
  Converted converted;
  for (const std::string& error : decoded->strict) {
    converted.warnings.push_back(PlaceOf(input, QuotedPath(error)) + error);
  }
  converted.bytes = TRY(Encode(to, *decoded->type, decoded->document.root));
  return converted;
}

}  // namespace knarr::api
