#include <optional>

#include "api/managed/typed.h"
#include "api/managed/walk.h"
#include "base/strings.h"
#include "doc/number.h"

namespace knarr::api::managed {
namespace {

using doc::Member;
using doc::Value;
using Form = Atom::Form;

enum class Verb : uint8_t { kPlain, kSyntax };  // Go's %v and %#v

// A value as Go prints one that was decoded without a schema.
std::string Shown(const Value& value, Verb verb) {
  const bool syntax = verb == Verb::kSyntax;
  std::string out;
  switch (value.kind()) {
    case doc::Kind::kNull:
      return syntax ? "interface {}(nil)" : "<nil>";
    case doc::Kind::kBool:
      return value.AsBool() ? "true" : "false";
    case doc::Kind::kInt:
      return std::to_string(value.AsInt());
    case doc::Kind::kDouble:
      doc::AppendShortestFloat(value.AsDouble(), out);
      return out;
    case doc::Kind::kString:
      return syntax ? GoQuote(value.AsString()) : std::string(value.AsString());
    case doc::Kind::kArray:
      out = syntax ? "[]interface {}{" : "[";
      for (const Value& item : value.items()) {
        if (&item != value.items().data()) out += syntax ? ", " : " ";
        out += Shown(item, verb);
      }
      return out + (syntax ? "}" : "]");
    case doc::Kind::kObject: {
      out = syntax ? "map[string]interface {}{" : "map[";
      const SortedMembers sorted(value.members());
      for (const Member& member : sorted.members) {
        if (&member != sorted.members.data()) out += syntax ? ", " : " ";
        out += (syntax ? GoQuote(member.key) : std::string(member.key)) + ":" + Shown(member.value, verb);
      }
      return out + (syntax ? "}" : "]");
    }
  }
  return out;
}

std::string Wrapped(const Value& value) { return "&{" + Shown(value, Verb::kPlain) + "}"; }

std::string_view GoType(const Value& value) {
  switch (value.kind()) {
    case doc::Kind::kNull:
      return "<nil>";
    case doc::Kind::kBool:
      return "bool";
    case doc::Kind::kInt:
      return "int64";
    case doc::Kind::kDouble:
      return "float64";
    case doc::Kind::kString:
      return "string";
    case doc::Kind::kArray:
      return "[]interface {}";
    case doc::Kind::kObject:
      return "map[string]interface {}";
  }
  return "";
}

class Checker {
 public:
  std::string Root(const Type& type, const Value& object) {
    Check(TypeRef::Struct(type), object);
    if (errors_.size() <= 1) return errors_.empty() ? "" : errors_.front();
    std::string out = "errors:";
    for (const std::string& error : errors_) out += "\n  " + error;
    return out;
  }

 private:
  // A few are as good as all.
  static constexpr size_t kErrorsMax = 100;

  void Add(std::string message) {
    if (errors_.size() < kErrorsMax) errors_.push_back(path_.empty() ? std::move(message) : path_ + ": " + message);
  }

  // Checks what is below another element of the path.
  void Below(std::string_view element, const TypeRef& type, const Value& value) {
    const size_t before = path_.size();
    AppendElementText(element, path_);
    Check(type, value);
    path_.resize(before);
  }

  void Check(const TypeRef& type, const Value& value) {
    const Atom atom = Atom::Resolve(type, &value);
    if (value.is_null()) return;
    if (atom.form == Form::kScalar) return Scalar(atom.scalar, value);
    if (atom.form == Form::kList) {
      if (!value.is_array()) return Add("expected list, got " + Wrapped(value));
      return Items(atom, value);
    }
    if (!value.is_object()) return Add("expected map, got " + Wrapped(value));
    Members(atom, value);
  }

  void Scalar(ScalarType type, const Value& value) {
    switch (type) {
      case ScalarType::kNumeric:
        if (!value.is_number()) Add("expected numeric (int or float), got " + std::string(GoType(value)));
        break;
      case ScalarType::kString:
        if (!value.is_string()) {
          Add("expected string, got &value.valueUnstructured{Value:" + Shown(value, Verb::kSyntax) + "}");
        }
        break;
      case ScalarType::kBoolean:
        if (!value.is_bool()) Add("expected boolean, got " + Wrapped(value));
        break;
      case ScalarType::kUntyped:
        if (value.is_array() || value.is_object()) Add("expected any scalar, got " + Wrapped(value));
        break;
    }
  }

  void Members(const Atom& atom, const Value& value) {
    FieldCursor fields(atom);
    for (const Member& member : value.members()) {
      const TypeRef type = fields.Find(member.key);
      const std::string element = "f:" + std::string(member.key);
      if (!type) {
        const size_t before = path_.size();
        AppendElementText(element, path_);
        Add("field not declared in schema");
        path_.resize(before);
        return;
      }
      Below(element, type, member.value);
    }
  }

  void Items(const Atom& atom, const Value& value) {
    doc::Arena arena;
    std::optional<ItemGroups> groups;
    if (!atom.atomic) {
      Result<ItemGroups> named = ItemGroups::Of(atom, value, arena);
      if (!named.ok()) return Add(named.status().message());
      groups = std::move(*named);
    }
    size_t index = 0;
    std::vector<std::string_view> repeated;
    for (const Value& item : value.items()) {
      if (atom.atomic) {
        Below("i:" + std::to_string(index++), atom.element, item);
        continue;
      }
      // ItemGroups has named it before, so it has a name.
      const std::string_view element = MUST(ItemElement(atom, item, arena));
      if (groups->Repeats(element)) {
        if (std::ranges::find(repeated, element) != repeated.end()) {
          std::string text;
          AppendElementText(element, text);
          Add("duplicate entries for key " + text);
        } else {
          repeated.push_back(element);
        }
      }
      Below(element, atom.element, item);
    }
  }

  std::string path_;
  std::vector<std::string> errors_;
};

}  // namespace

std::string CheckTyped(const Type& type, const Value& object) { return Checker().Root(type, object); }

}  // namespace knarr::api::managed
