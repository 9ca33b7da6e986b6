// explain: kinds and their fields, told from the same tables that code and check them.

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

constexpr size_t kLineMax = 76;
/// Kinds that hold themselves (JSON schemas) end somewhere.
constexpr int kDepthMax = 40;

std::string BaseType(const api::Field& field) {
  switch (field.type) {
    case api::FieldType::kBool:
      return "boolean";
    case api::FieldType::kInt32:
    case api::FieldType::kInt64:
      return "integer";
    case api::FieldType::kDouble:
      return "number";
    case api::FieldType::kMessage:
      return std::string(field.message->name);
    case api::FieldType::kRaw:
      return field.go_type.ends_with("v1.JSON") ? "JSON" : "RawExtension";
    case api::FieldType::kMessageOrList:
    case api::FieldType::kMessageOrBool:
    case api::FieldType::kMessageOrStrings:
      return std::string(field.go_type.substr(field.go_type.rfind('.') + 1));
    default:
      return "string";
  }
}

std::string TypeText(const api::Field& field) {
  const std::string base = BaseType(field);
  if (field.shape == api::Shape::kMap) return fmt::format("map[string]{}", base);
  return field.shape == api::Shape::kList ? "[]" + base : base;
}

/// Trees show no more values of a field than this.
constexpr size_t kTreeEnumMax = 4;

std::string EnumText(std::string_view value) { return value.empty() ? "\"\"" : std::string(value); }

std::string FieldHead(const api::Field& field, std::string_view indent, size_t enum_max = SIZE_MAX) {
  std::string out = fmt::format("{}{}\t<{}>{}\n", indent, field.name, TypeText(field),
                                field.required_in_openapi() ? " -required-" : "");
  if (!field.enum_values.empty() && field.shape == api::Shape::kSingle) {
    // The values stand no deeper than the field itself.
    std::vector<std::string> shown;
    for (std::string_view value : field.enum_values) shown.push_back(EnumText(value));
    if (shown.size() > enum_max) {
      shown.resize(enum_max);
      shown.emplace_back("....");
    }
    out += fmt::format("{}enum: {}\n", indent, Join(shown, ", "));
  }
  return out;
}

/// Words in lines of up to 80 columns, four of them the indent.
std::string Wrapped(std::string_view text, std::string_view indent) {
  std::string out;
  std::string line;
  for (std::string_view word : Fields(text)) {
    if (!line.empty() && line.size() + 1 + word.size() > kLineMax) {
      out += fmt::format("{}{}\n", indent, line);
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  return line.empty() ? out : out + fmt::format("{}{}\n", indent, line);
}

std::vector<const api::Field*> SortedFields(const api::Type& type) {
  std::vector<const api::Field*> out(type.flat.begin(), type.flat.end());
  std::ranges::sort(out, {}, [](const api::Field* field) { return field->name; });
  return out;
}

void AddTree(std::string& out, const api::Type& type, const std::string& indent, std::vector<const api::Type*>& above) {
  if (above.size() >= kDepthMax || std::ranges::find(above, &type) != above.end()) return;
  above.push_back(&type);
  for (const api::Field* field : SortedFields(type)) {
    out += FieldHead(*field, indent, kTreeEnumMax);
    if (field->message != nullptr) AddTree(out, *field->message, indent + "  ", above);
  }
  above.pop_back();
}

class Explain : public Command {
 public:
  bool needs_connection() const override { return false; }

  void AddFlags(FlagSet& flags) override {
    flags.Bool(&recursive_, "recursive", 0, "The fields of fields, too, by their names");
    flags.String(&api_version_, "api-version", 0, "The group and version to explain the kind of");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.empty()) {
      return BadRequest(
          "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of "
          "supported resources.");
    }
    if (args.size() > 1) return BadRequest("We accept only this format: explain RESOURCE");
    std::vector<std::string_view> path = Split(args[0], '.');
    const api::KindInfo* kind = TRY(FindKind(path));
    const api::Type* type = kind->type;
    const api::Field* field = nullptr;
    for (std::string_view name : path) {
      field = type == nullptr ? nullptr : type->Find(name);
      if (field == nullptr) {
        TRY(session.Print(Head(*kind)));
        TRY(session.console().Flush());
        return BadRequest(fmt::format("field \"{}\" does not exist", name));
      }
      type = field->message;
    }
    TRY(session.Print(Head(*kind) + Body(field, type)));
    return 0;
  }

 private:
  /// Takes the kind's name off the path: "pods", "deployments.apps", "events.v1".
  Result<const api::KindInfo*> FindKind(std::vector<std::string_view>& path) const {
    Result<const api::KindInfo*> found = FindKindByName(path[0]);
    if (!found.ok()) return PlainError(found.status().message());
    path.erase(path.begin());
    if (api_version_.empty()) return found;
    const api::KindInfo* other = api::FindKind(api_version_, (*found)->kind);
    if (other != nullptr) return other;
    const auto slash = Cut(api_version_, "/");
    return BadRequest(fmt::format("GVR ({}, Resource={}) not found in OpenAPI schema",
                                  slash ? api_version_ : "/" + api_version_, (*found)->plural));
  }

  static std::string Head(const api::KindInfo& kind) {
    std::string out;
    if (!kind.group.empty()) out += fmt::format("GROUP:      {}\n", kind.group);
    return out + fmt::format("KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version);
  }

  std::string Body(const api::Field* field, const api::Type* type) const {
    std::string out;
    if (field != nullptr) {
      out += fmt::format("FIELD: {} <{}>\n", field->name, TypeText(*field));
      out += field->enum_values.empty() ? "\n" : "ENUM:\n";
      for (std::string_view value : field->enum_values) out += fmt::format("    {}\n", EnumText(value));
      out += "\n";
    }
    out += "DESCRIPTION:\n";
    if (field != nullptr) out += Wrapped(field->doc, "    ");
    if (type != nullptr) out += Wrapped(type->doc, "    ");
    out += "    \n";
    if (type == nullptr || type->flat.empty()) return out + "\n";
    out += "FIELDS:\n";
    if (recursive_) {
      std::vector<const api::Type*> above;
      AddTree(out, *type, "  ", above);
      return out + "\n";
    }
    for (const api::Field* member : SortedFields(*type)) {
      out += FieldHead(*member, "  ");
      out += Wrapped(member->doc.empty() ? "<no description>" : member->doc, "    ") + "\n";
    }
    return out + "\n";
  }

  bool recursive_ = false;
  std::string api_version_;
};

}  // namespace

std::unique_ptr<Command> MakeExplain() { return std::make_unique<Explain>(); }

}  // namespace knarr::cli
