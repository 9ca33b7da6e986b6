#include <algorithm>
#include <string>

#include "base/strings.h"
#include "doc/json.h"
#include "doc/yaml.h"
#include "doc/yaml_events.h"

namespace knarr::doc {
namespace {

bool LooksLikeJson(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

// YAML 1.1 does not read all JSON (escaped surrogate pairs, long keys), so what looks like JSON gets a second chance,
// without positions; and if it is wrong, the JSON parser's reason is the better one.
Result<YamlDocument> ParseOne(std::string_view text, const YamlOptions& options) {
  auto parsed = ParseYaml(text, options);
  if (parsed.ok() || !LooksLikeJson(text)) return parsed;
  bool duplicates = false;
  auto json = ParseJson(text, {.on_duplicate = [&](std::string_view) { duplicates = true; }});
  if (!json.ok()) {
    // Once more with line breaks before it: the parser then counts lines as the whole file has them.
    return ParseJson(std::string(options.first_line - 1, '\n') + std::string(text)).status();
  }
  if (duplicates) return parsed;
  YamlDocument out;
  out.document = std::move(json).value();
  return out;
}

}  // namespace

Result<std::vector<YamlDocument>> ParseYamlStream(std::string_view text, const YamlOptions& options) {
  std::vector<YamlDocument> out;
  YamlOptions part_options = options;
  size_t begin = 0;
  size_t at = 0;
  uint32_t line = options.first_line;
  const auto finish = [&](size_t end) -> Ok {
    const std::string_view part = text.substr(begin, end - begin);
    if (TrimSpace(part).empty()) return {};
    auto document = TRY(ParseOne(part, part_options));
    if (!document.root().is_null()) out.push_back(std::move(document));
    return {};
  };
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view content = text.substr(at, end - at);
    if (content.starts_with("---")) {
      const std::string_view rest = TrimSpace(content.substr(3));
      if (!rest.empty() && rest[0] != '#') {
        return YamlError({line, 4}, "invalid Yaml document separator: " + std::string(rest));
      }
      TRY(finish(at));
      begin = end;
      part_options.first_line = line + 1;
    }
    at = end;
    ++line;
  }
  TRY(finish(text.size()));
  return out;
}

const YamlPositions::Node* YamlPositions::Child(uint32_t parent, std::string_view& path) const {
  const Node* best = nullptr;
  size_t best_length = 0;
  // From the end: of a duplicate key the last one counts.
  for (size_t i = nodes_.size() - 1; i > parent; --i) {
    const Node& node = nodes_[i];
    if (node.parent != parent) continue;
    size_t length = 0;
    if (path[0] == '[') {
      const size_t close = path.find(']');
      const std::string_view inside = path.substr(1, close - 1);
      // A map's key stands in brackets too, and may itself contain them.
      const bool hit = node.member
                           ? path.substr(1).starts_with(node.key) && path.substr(1 + node.key.size()).starts_with(']')
                           : close != std::string_view::npos && inside == std::to_string(node.index);
      if (hit) length = node.member ? node.key.size() + 2 : close + 1;
    } else if (node.member && path.starts_with(node.key)) {
      const std::string_view rest = path.substr(node.key.size());
      if (rest.empty() || rest[0] == '.' || rest[0] == '[') length = node.key.size();
    }
    if (length > best_length) {
      best = &node;
      best_length = length;
    }
  }
  path.remove_prefix(best_length);
  return best;
}

Position YamlPositions::Find(std::string_view path) const {
  if (nodes_.empty()) return {};
  const Node* found = &nodes_[0];
  while (true) {
    if (path.starts_with('.')) path.remove_prefix(1);
    if (path.empty()) break;
    const Node* child = Child(static_cast<uint32_t>(found - nodes_.data()), path);
    if (child == nullptr) break;
    found = child;
  }
  return found->at;
}

}  // namespace knarr::doc
