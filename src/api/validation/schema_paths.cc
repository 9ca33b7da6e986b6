// Paths into schemas: ".spec.replicas", ".spec['a.b']".

#include <string>

#include "api/validation/definition_schema.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

// A mark (". [ ]"), a text in single quotes, or what is between marks; "" at the end.
std::string_view NextToken(std::string_view& rest) {
  size_t length = 0;
  if (rest.starts_with('\'')) {
    for (length = 1; length < rest.size(); ++length) {
      if (rest[length] == '\'' && rest[length - 1] != '\\') {
        ++length;
        break;
      }
    }
  } else {
    length = std::min(rest.find_first_of(".[]"), rest.size());
    if (length == 0) length = std::min<size_t>(1, rest.size());
  }
  const std::string_view token = rest.substr(0, length);
  rest.remove_prefix(length);
  return token;
}

class PathFinder {
 public:
  PathFinder(const Value& schema, bool lists) : lists_(lists) { found_.schema = &schema; }

  FoundSchema Find(std::string_view path) {
    while (!path.empty() && found_.problem.empty()) {
      const std::string_view token = NextToken(path);
      if (token == "[") {
        InBrackets(path);
      } else if (token == ".") {
        AfterDot(path);
      } else {
        found_.problem = "expected [ or . but got: " + std::string(token);
      }
    }
    if (!found_.problem.empty()) found_.schema = nullptr;
    return std::move(found_);
  }

 private:
  bool AtEnd(std::string_view path) {
    if (path.empty()) found_.problem = "unexpected end of JSON path";
    return path.empty();
  }

  void AfterDot(std::string_view& path) {
    if (!AtEnd(path)) Step(std::string(NextToken(path)));
  }

  void InBrackets(std::string_view& path) {
    if (!lists_) {
      found_.problem = "array notation is not allowed";
      return;
    }
    if (AtEnd(path)) return;
    const std::string_view token = NextToken(path);
    if (token.size() < 2 || token.front() != '\'' || token.back() != '\'') {
      found_.problem = "expected single quoted string but got " + std::string(token);
      return;
    }
    Step(ReplaceAll(token.substr(1, token.size() - 2), "\\'", "'"));
    if (!found_.problem.empty() || AtEnd(path)) return;
    const std::string_view close = NextToken(path);
    if (close != "]") found_.problem = "expected ] but got " + std::string(close);
  }

  void Step(const std::string& name) {
    const Value& schema = *found_.schema;
    if (found_.root.empty()) found_.root = name;
    if (const Value& properties = schema.At("properties"); !properties.is_null()) {
      const Value* property = properties.Find(name);
      if (property == nullptr) {
        found_.problem = "does not refer to a valid field";
        return;
      }
      found_.path += "." + name;
      found_.schema = property;
      return;
    }
    const Value& additional = schema.At("additionalProperties");
    if (additional.is_null()) {
      found_.problem = "does not refer to a valid field";
      return;
    }
    found_.path += "[" + name + "]";
    found_.schema = &SubSchema(additional);
  }

  const bool lists_;
  FoundSchema found_;
};

}  // namespace

FoundSchema FindSchema(const Value& schema, std::string_view path, bool lists) {
  return PathFinder(schema, lists).Find(path);
}

}  // namespace knarr::api::validation
