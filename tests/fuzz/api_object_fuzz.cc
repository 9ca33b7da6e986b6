// Any JSON as an object: what decodes is canonical already, survives defaulting and validation, and protobuf keeps it;
// what can be converted can be converted back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/codec.h"
#include "api/conversion/conversion.h"
#include "api/defaulting.h"
#include "api/printing.h"
#include "api/validation.h"
#include "api/warnings.h"
#include "base/check.h"
#include "doc/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Result<api::Decoded> decoded = api::DecodeJson(text);
  if (!decoded.ok()) return 0;
  doc::Document& document = decoded->document;
  const std::string once = doc::ToJson(document.root);
  CHECK(api::Canonicalize(*decoded->type, document.root, document.arena).ok());
  CHECK(doc::ToJson(document.root) == once);
  CHECK(api::EncodeProtobuf(*decoded->type, document.root).ok());
  api::ApplyDefaults(*decoded->type, document.root, document.arena);
  const api::KindInfo* kind = api::FindKind(decoded->api_version, decoded->kind);
  if (kind == nullptr || kind->plural.empty()) return 0;
  const api::ErrorList errors = api::ValidateCreate(*kind, document.root);
  if (!errors.empty()) CHECK(!api::InvalidObject(*kind, "x", errors).message().empty());
  api::ValidateUpdate(*kind, document.root, document.root);
  api::WarningsOfPod("", document.root);
  const doc::Value cells = api::RowOf(*kind, document.root, WallTime(), document.arena);
  CHECK(cells.size() == api::ColumnsOf(*kind).size());
  const api::KindInfo& stored = api::StorageKind(*kind);
  if (&stored == kind) return 0;
  const Result<doc::Document> converted = api::ConvertKind(document.root, *kind, stored);
  CHECK(converted.ok());
  CHECK(api::ConvertKind(converted->root, stored, *kind).ok());
  return 0;
}
