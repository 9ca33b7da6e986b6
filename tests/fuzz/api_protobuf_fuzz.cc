// Any bytes as an enveloped object: what decodes must encode, and the encoding must decode to the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/codec.h"
#include "base/check.h"
#include "doc/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Result<api::Decoded> decoded = api::DecodeProtobuf(bytes);
  if (!decoded.ok()) return 0;
  const Result<std::string> again = api::EncodeProtobuf(*decoded->type, decoded->document.root);
  CHECK(again.ok());
  const Result<api::Decoded> same = api::DecodeProtobuf(*again);
  CHECK(same.ok());
  CHECK(doc::ToJson(same->document.root) == doc::ToJson(decoded->document.root));
  return 0;
}
