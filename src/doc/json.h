#pragma once

// JSON text ↔ doc::Value, as Kubernetes' own decoders treat it (sigs.k8s.io/json): integers that fit are int64, all
// other numbers double; keys are case-sensitive; depth and size are bounded.

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

inline constexpr int kDepthMax = 512;

struct JsonOptions {
  /// Called with the path of each duplicate member ("spec.replicas"); the last one wins, as in Go.
  std::function<void(std::string_view path)> on_duplicate;
};

/// Parses one JSON value. Strings without escapes borrow from `text` only when `borrow` says that the bytes outlive the
/// tree. BadRequest, with line, column and what was found, for anything malformed.
Result<Document> ParseJson(std::string_view text, const JsonOptions& options = {});
/// The same, into an arena; `text` must outlive the arena's use.
Result<Value> ParseJsonBorrowing(std::string_view text, Arena& arena, const JsonOptions& options = {});

/// Compact JSON as Go's encoding/json writes it (members in their order; <, >, & and U+2028/9 escaped).
void WriteJson(const Value& value, std::string& out);
std::string ToJson(const Value& value);
/// Indented by four spaces, members in order: what `kubectl get -o json` prints.
std::string ToPrettyJson(const Value& value, int indent = 4);
/// Appends a JSON string literal with quotes, escaped as above.
void WriteJsonString(std::string_view text, std::string& out);

}  // namespace knarr::doc
