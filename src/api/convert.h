#pragma once

// One object from one form into another: what `knarr object convert` does.

#include <string>
#include <string_view>
#include <vector>

#include "api/codec.h"
#include "base/status.h"

namespace knarr::api {

struct Converted {
  std::string bytes;
  /// Fields that were dropped because the kind has none of the name, or that stood twice: "line 3, column 5: unknown
  /// field …".
  std::vector<std::string> warnings;
};

/// The bytes that Kubernetes' own serializers give for the object. BadRequest, with the place in the input (line and
/// column, or the byte offset in protobuf, and the field's path), for malformed input, wrong types and unknown kinds.
Result<Converted> ConvertObject(std::string_view input, WireFormat from, WireFormat to);

/// "json", "yaml" or "protobuf".
Result<WireFormat> ParseWireFormat(std::string_view name);

}  // namespace knarr::api
