#pragma once

// JSON text ↔ doc::Value, as Kubernetes' own decoders treat it (sigs.k8s.io/json): integers that fit are int64, all
// other numbers double; keys are case-sensitive; depth and size are bounded.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

/// Deepest nesting of arrays and objects that any reader accepts. The deepest real objects (custom resource definitions
/// that embed a pod template) have about 60 levels; the bound is small enough for recursive walks on a fiber's stack.
inline constexpr int kDepthMax = 160;
/// The most bytes a reader accepts: sizes in a tree are 32 bits wide.
inline constexpr size_t kTextMax = UINT32_MAX;

struct JsonOptions {
  /// Called with the path of each duplicate member ("spec.replicas"); the last one wins, as in Go.
  std::function<void(std::string_view path)> on_duplicate;
};

/// Parses one JSON value; the document keeps a copy of the text. BadRequest for anything malformed, in Go's words after
/// the place: "line 2, column 7: invalid character '}' looking for beginning of value". Columns count characters
/// from 1.
Result<Document> ParseJson(std::string_view text, const JsonOptions& options = {});
/// The same, into an arena. Strings without escapes point into `text`, which must outlive the tree.
Result<Value> ParseJsonBorrowing(std::string_view text, Arena& arena, const JsonOptions& options = {});

/// Compact JSON as Go's encoding/json writes it (members in their order; <, >, & and U+2028/9 escaped). Infinities and
/// NaN, which no reader lets in, come out as null.
void WriteJson(const Value& value, std::string& out);
std::string ToJson(const Value& value);
/// Indented by four spaces, members in order: what `kubectl get -o json` prints.
std::string ToPrettyJson(const Value& value, int indent = 4);
/// Appends a JSON string literal with quotes, escaped as above.
void WriteJsonString(std::string_view text, std::string& out);

}  // namespace knarr::doc
