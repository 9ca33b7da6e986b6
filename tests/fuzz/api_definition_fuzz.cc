// Definitions of custom resources, with whatever schemas and defaults are in them: what they may be is told, and what
// is valid stays as it is.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/codec.h"
#include "api/defaulting.h"
#include "api/validation.h"
#include "api/warnings.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto decoded = api::DecodeJson(text, {"apiextensions.k8s.io/v1", "CustomResourceDefinition"});
  if (!decoded.ok()) return 0;
  const api::KindInfo* kind = api::FindKind(decoded->api_version, decoded->kind);
  if (kind == nullptr || kind->kind != "CustomResourceDefinition") return 0;
  doc::Document& document = decoded->document;
  api::ApplyDefaults(*decoded->type, document.root, document.arena);
  const bool valid = api::ValidateCreate(*kind, document.root).empty();
  document.root.Ensure(document.arena, "metadata").Set(document.arena, "resourceVersion", doc::Value::Borrow("1"));
  CHECK(!valid || api::ValidateUpdate(*kind, document.root, document.root).empty());
  CHECK(api::WarningsOfDefinition(document.root, &document.root).empty());
  return 0;
}
