#pragma once

// kubectl's JSONPath: text with expressions in braces, as in
//
//   {range .items[*]}{.metadata.name}{"\t"}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}
//
// fields, ['keys'], indices and slices [a:b:step], unions [a,b], wildcards, recursive descent (..), filters [?(…)] with
// one comparison, quoted text, range and end. What it accepts, prints and complains of is
// k8s.io/client-go/util/jsonpath; only the members of objects come in their order in the tree instead of at random.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "doc/value.h"

namespace knarr::doc {

/// A parsed template; immutable, so any thread may use it.
class JsonPath {
 public:
  /// BadRequest in the words of client-go ("unclosed action", "unterminated array", …).
  static Result<JsonPath> Parse(std::string_view text);
  JsonPath(JsonPath&&) noexcept;
  JsonPath& operator=(JsonPath&&) noexcept;
  ~JsonPath();

  enum class MissingKeys { kError, kIgnore };

  /// What each expression found, in order (text of the template included, as strings). Values borrow from `data` and
  /// from this object.
  Result<std::vector<std::vector<Value>>> Find(const Value& data, MissingKeys missing) const;
  /// The results printed: those of one expression with a space between them, objects and lists as compact JSON.
  Result<std::string> Print(const Value& data, MissingKeys missing) const;

 private:
  struct Template;
  explicit JsonPath(std::unique_ptr<Template> parsed);
  std::unique_ptr<Template> template_;
};

/// kubectl's liberty where only one expression makes sense (custom columns, sort-by, wait): `x.y`, `.x.y`, `{x.y}` and
/// `{.x.y}` all become `{.x.y}`.
Result<std::string> RelaxJsonPath(std::string_view expression);

}  // namespace knarr::doc
