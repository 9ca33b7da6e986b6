#pragma once

// YAML text ↔ doc::Value, as Kubernetes' clients read and print it (sigs.k8s.io/yaml on go-yaml v2, YAML 1.1).
//
// Reading. Plain scalars resolve as go-yaml does it: y/yes/on and their opposites are booleans, 0777 and 0o777 octal,
// ~ is null, timestamps stay strings; a float that is a whole number becomes an integer, as it does on Kubernetes' way
// through JSON; keys become strings. Merge keys (<<), anchors and aliases work; what aliases may expand to is bounded.
// A key that stands twice in a mapping is an error.
//
// Every document carries a table of where each of its nodes stood, so that whoever finds something wrong with a field
// can say line and column.
//
// Writing gives byte for byte what `kubectl get -o yaml` prints: sorted keys, lists at their key's indent, quotes only
// where they are needed, block literals for text of several lines, folding after 80 columns.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

/// A place in a text; both count from 1, columns in characters. 0 is "not known".
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
  bool operator==(const Position&) const = default;
};

/// Where the nodes of one document stood. Its keys live in the document's arena.
class YamlPositions {
 public:
  /// The place of what a field path names: `spec.containers[0].name`, `metadata.labels[app.io/tier]`, also with dots in
  /// plain keys. A member's place is its key's. Where the path breaks off, the place of the deepest node that exists.
  Position Find(std::string_view path) const;

 private:
  friend class YamlBuilder;
  struct Node {
    uint32_t parent;
    uint32_t index;  // in a list
    bool member;     // of a mapping, with a key
    std::string_view key;
    Position at;
  };
  const Node* Child(uint32_t parent, std::string_view& path) const;
  std::vector<Node> nodes_;  // the root is first; children follow their parent in the text's order
};

struct YamlDocument {
  Document document;
  YamlPositions positions;
  const Value& root() const { return document.root; }
};

struct YamlOptions {
  /// Without it a duplicate key is an error. With it, it is called for each, and the last value wins.
  std::function<void(std::string_view path, Position at)> on_duplicate;
  /// Line number of the text's first line, for a part of a larger file.
  uint32_t first_line = 1;
};

/// The first document of the text (null if there is none). BadRequest with line, column and cause for anything
/// malformed: "line 3, column 5: did not find expected key (while parsing a block mapping from line 1, column 1)".
Result<YamlDocument> ParseYaml(std::string_view text, const YamlOptions& options = {});

/// All documents of a manifest, split at lines that begin with "---" as Kubernetes' reader splits them; empty ones are
/// left out. JSON documents are read too. Positions count from the beginning of the whole text.
Result<std::vector<YamlDocument>> ParseYamlStream(std::string_view text, const YamlOptions& options = {});

/// What kubectl prints for the tree, with a line break at the end.
std::string ToYaml(const Value& value);
void WriteYaml(const Value& value, std::string& out);

}  // namespace knarr::doc
