// Any bytes as a protobuf message: every field is read as what its wire type says, nested as far as it goes, and
// written again; the second reading must see the same fields.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "doc/proto.h"

namespace {

using knarr::doc::ProtoReader;
using knarr::doc::ProtoWriter;
using knarr::doc::WireType;

// Copies what can be read; false where it breaks off.
bool Copy(ProtoReader reader, ProtoWriter& out, int depth) {
  while (!reader.done()) {
    const auto tag = reader.ReadTag();
    if (!tag.ok()) return false;
    ProtoReader skipped = reader;
    const bool skips = skipped.Skip(*tag).ok();
    switch (tag->type) {
      case WireType::kVarint: {
        const auto value = reader.ReadVarint();
        CHECK(value.ok() == skips);
        if (!value.ok()) return false;
        out.Varint(tag->field, *value);
        break;
      }
      case WireType::kFixed32: {
        const auto value = reader.ReadFixed32();
        CHECK(value.ok() == skips);
        if (!value.ok()) return false;
        out.Fixed32(tag->field, *value);
        break;
      }
      case WireType::kFixed64: {
        const auto value = reader.ReadFixed64();
        CHECK(value.ok() == skips);
        if (!value.ok()) return false;
        out.Fixed64(tag->field, *value);
        break;
      }
      case WireType::kBytes: {
        const auto message = reader.ReadMessage();
        CHECK(message.ok() == skips);
        if (!message.ok()) return false;
        const size_t mark = out.BeginMessage(tag->field);
        if (depth > 0) Copy(*message, out, depth - 1);
        out.EndMessage(mark);
        break;
      }
      default:
        if (!skips) return false;
        reader = skipped;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string first;
  ProtoWriter first_writer(first);
  Copy(ProtoReader(bytes), first_writer, 20);
  std::string second;
  ProtoWriter second_writer(second);
  CHECK(Copy(ProtoReader(first), second_writer, 20));
  CHECK(first == second);
  return 0;
}
