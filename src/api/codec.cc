#include "api/codec.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/text.h"
#include "doc/yaml.h"

namespace knarr::api {
namespace {

using doc::Value;

// Reads what the object says it is. Upstream's messages.
Ok Identify(Decoded& decoded, const DefaultKind& fallback) {
  Value& root = decoded.document.root;
  if (root.is_null()) root = Value::Object();
  const std::string wrong = "couldn't get version/kind; json parse error: json: cannot unmarshal ";
  if (!root.is_object()) {
    return BadRequest(wrong + std::string(doc::GoKind(root)) +
                      " into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind "
                      "string \"json:\\\"kind,omitempty\\\"\" }");
  }
  for (const std::string_view name : {"apiVersion", "kind"}) {
    const Value& value = root.At(name);
    if (!value.is_string() && !value.is_null()) {
      return BadRequest(wrong + std::string(doc::GoKind(value)) + " into Go struct field ." + std::string(name) +
                        " of type string");
    }
  }
  const std::string_view version = root.At("apiVersion").AsString();
  if (std::ranges::count(version, '/') > 1) {
    return BadRequest("unexpected GroupVersion string: " + std::string(version));
  }
  decoded.api_version = version.empty() ? fallback.api_version : version;
  decoded.kind = root.At("kind").AsString();
  if (decoded.kind.empty()) decoded.kind = fallback.kind;
  if (decoded.kind.empty()) return BadRequest("Object 'Kind' is missing in '" + doc::ToJson(root) + "'");
  if (decoded.api_version.empty()) return BadRequest("Object 'apiVersion' is missing in '" + doc::ToJson(root) + "'");
  decoded.type = FindRootType(decoded.api_version, decoded.kind);
  if (decoded.type == nullptr) return UnknownKind(decoded.api_version, decoded.kind);
  return {};
}

Ok Finish(Decoded& decoded, const DefaultKind& fallback) {
  TRY(Identify(decoded, fallback));
  doc::Document& document = decoded.document;
  if (document.root.At("kind").AsString().empty()) {
    document.root.Set(document.arena, "kind", Value::String(document.arena, decoded.kind));
  }
  if (document.root.At("apiVersion").AsString().empty()) {
    document.root.Set(document.arena, "apiVersion", Value::String(document.arena, decoded.api_version));
  }
  const Value& managed_fields = document.root.Get("metadata", "managedFields");
  decoded.empty_managed_fields = managed_fields.is_array() && managed_fields.empty();
  return Canonicalize(*decoded.type, document.root, document.arena, &decoded.strict);
}

void AddDuplicate(StrictErrors& strict, std::string_view path) {
  if (strict.size() < kStrictErrorMax) strict.push_back("duplicate field \"" + std::string(path) + '"');
}

Ok ReadJson(std::string_view text, const DefaultKind& fallback, Decoded& decoded) {
  const doc::JsonOptions options = {
      .on_duplicate = [&decoded](std::string_view path) { AddDuplicate(decoded.strict, path); }};
  decoded.document = TRY(doc::ParseJson(text, options));
  return Finish(decoded, fallback);
}

Ok ReadYaml(std::string_view text, const DefaultKind& fallback, Decoded& decoded) {
  const doc::YamlOptions options = {
      .on_duplicate = [&decoded](std::string_view path, doc::Position) { AddDuplicate(decoded.strict, path); }};
  doc::YamlDocument parsed = TRY(doc::ParseYaml(text, options));
  decoded.document = std::move(parsed.document);
  // YAML reaches Kubernetes' decoders as JSON with sorted keys; only values without a schema keep that order.
  decoded.document.root.SortMembers();
  return Finish(decoded, fallback);
}

}  // namespace

Status UnknownKind(std::string_view api_version, std::string_view kind) {
  return BadRequest("no kind \"" + std::string(kind) + "\" is registered for version \"" + std::string(api_version) +
                    "\"");
}

std::string StrictErrorText(const StrictErrors& errors) { return "strict decoding error: " + Join(errors, ", "); }

Ok DecodeInto(WireFormat format, std::string_view bytes, const DefaultKind& fallback, Decoded& out) {
  switch (format) {
    case WireFormat::kJson:
      return ReadJson(bytes, fallback, out);
    case WireFormat::kYaml:
      return ReadYaml(bytes, fallback, out);
    case WireFormat::kProtobuf:
      return DecodeProtobufInto(bytes, fallback, out);
  }
  return Internal("unknown wire format");
}

Result<Decoded> Decode(WireFormat format, std::string_view bytes, const DefaultKind& fallback) {
  Decoded decoded;
  TRY(DecodeInto(format, bytes, fallback, decoded));
  return decoded;
}

Result<Decoded> DecodeJson(std::string_view text, const DefaultKind& fallback) {
  return Decode(WireFormat::kJson, text, fallback);
}

Result<Decoded> DecodeYaml(std::string_view text, const DefaultKind& fallback) {
  return Decode(WireFormat::kYaml, text, fallback);
}

Result<Decoded> DecodeProtobuf(std::string_view bytes, const DefaultKind& fallback) {
  return Decode(WireFormat::kProtobuf, bytes, fallback);
}

Result<std::string> Encode(WireFormat format, const Type& type, const Value& tree) {
  switch (format) {
    case WireFormat::kJson:
      return doc::ToJson(tree) + "\n";
    case WireFormat::kYaml:
      return doc::ToYaml(tree);
    case WireFormat::kProtobuf:
      return EncodeProtobuf(type, tree);
  }
  return Internal("unknown wire format");
}

}  // namespace knarr::api
