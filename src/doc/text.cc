#include "doc/text.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json.h"
#include "doc/number.h"

namespace knarr::doc {
namespace {

// "line 2, column 7: " in front of a parser's error.
struct Place {
  std::string_view line;
  size_t length = 0;
};

Place PlaceOf(std::string_view error) {
  std::string_view rest = error;
  if (!ConsumePrefix(rest, "line ")) return {};
  const size_t comma = rest.find(", column ");
  const size_t colon = rest.find(": ");
  if (comma == rest.npos || colon == rest.npos || comma > colon) return {};
  return {rest.substr(0, comma), error.size() - rest.size() + colon + 2};
}

}  // namespace

std::string RepairUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    AppendRune(out, decoded.rune);
    text.remove_prefix(decoded.length);
  }
  return out;
}

std::string GoText(const Value& value) {
  switch (value.kind()) {
    case Kind::kNull:
      return "<nil>";
    case Kind::kBool:
      return value.AsBool() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(value.AsInt());
    case Kind::kDouble: {
      std::string text;
      AppendShortestFloat(value.AsDouble(), text);
      return text;
    }
    case Kind::kString:
      return std::string(value.AsString());
    case Kind::kArray: {
      std::vector<std::string> parts;
      for (const Value& item : value.items()) parts.push_back(GoText(item));
      return "[" + Join(parts, " ") + "]";
    }
    case Kind::kObject: {
      std::vector<std::string> parts;
      for (const Member& member : value.members()) {
        parts.push_back(std::string(member.key) + ":" + GoText(member.value));
      }
      std::ranges::sort(parts);
      return "map[" + Join(parts, " ") + "]";
    }
  }
  return {};
}

std::string_view GoKind(const Value& value) {
  switch (value.kind()) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kDouble:
      return "number";
    case Kind::kString:
      return "string";
    case Kind::kArray:
      return "array";
    case Kind::kObject:
      return "object";
  }
  return "value";
}

std::string_view GoJsonError(std::string_view error) { return error.substr(PlaceOf(error).length); }

std::string GoYamlError(std::string_view error) {
  const Place place = PlaceOf(error);
  error.remove_prefix(place.length);
  int64_t line = ParseInt64(place.line).value_or(1);
  // go-yaml counts lines from 0 and does not tell that one; it adds 1 to what its scanner finds, not to what its parser
  // does.
  const bool parsed = error.find(" (while parsing ") != error.npos || error.starts_with("did not find expected <");
  if (parsed || line == 1) --line;
  // Our own hint at where the thing began.
  if (error.ends_with(')')) error = error.substr(0, error.rfind(" (while "));
  std::string out = "yaml: ";
  if (line > 0) out += "line " + std::to_string(line) + ": ";
  return out.append(error);
}

}  // namespace knarr::doc
