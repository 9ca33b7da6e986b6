#include "api/validation/definition_versions.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"
#include "base/unicode.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

constexpr size_t kSelectableMax = 8;
constexpr size_t kWarningMax = 256;

std::string_view TextAt(const Value& object, std::string_view member) { return object.At(member).AsString(); }

void ValidateWarning(bool deprecated, const Value& warning, const Path& path, Errors& errors) {
  if (warning.is_null()) return;
  if (!deprecated) return errors.Invalid(path, warning, "can only be set for deprecated versions");
  const std::string_view text = warning.AsString();
  if (text.size() > kWarningMax) errors.Invalid(path, warning, "must be <= 256 characters long");
  if (text.empty()) errors.Invalid(path, warning, "must not be an empty string");
  for (size_t at = 0; at < text.size();) {
    const DecodedRune rune = DecodeRune(text.substr(at));
    if (!IsPrintable(rune.rune)) {
      errors.Invalid(
          path, warning,
          "must only contain printable UTF-8 characters; non-printable character found at index " + std::to_string(at));
      break;
    }
    at += rune.length;
  }
}

// Paths in dot notation; `under`: what they may begin with.
void ValidateJsonPath(std::string_view text, std::initializer_list<std::string_view> under, std::string_view detail,
                      const Path& path, Errors& errors) {
  if (text.front() != '.') return errors.Invalid(path, text, "must be a simple json path starting with .");
  const bool fits = under.size() == 0 ||
                    std::ranges::any_of(under, [text](std::string_view prefix) { return text.starts_with(prefix); });
  if (!fits) errors.Invalid(path, text, detail);
}

void ValidateSubresources(const Value& subresources, const Path& path, Errors& errors) {
  const Value& scale = subresources.At("scale");
  if (scale.is_null()) return;
  const auto required = [&](std::string_view member, std::string_view part) {
    const Path at = path / ("scale." + std::string(member));
    const std::string_view text = TextAt(scale, member);
    if (text.empty()) return errors.Required(at);
    const std::string prefix = "." + std::string(part) + ".";
    ValidateJsonPath(text, {prefix}, "should be a json path under ." + std::string(part), at, errors);
  };
  required("specReplicasPath", "spec");
  required("statusReplicasPath", "status");
  const std::string_view selector = TextAt(scale, "labelSelectorPath");
  if (selector.empty()) return;
  ValidateJsonPath(selector, {".spec.", ".status."}, "should be a json path under either .spec or .status",
                   path / "scale.labelSelectorPath", errors);
}

void ValidateColumn(const Value& column, const Path& path, Errors& errors) {
  constexpr std::string_view kTypes[] = {"boolean", "date", "integer", "number", "string"};
  constexpr std::string_view kFormats[] = {"byte",  "date",  "date-time", "double",
                                           "float", "int32", "int64",     "password"};
  const std::string_view type = TextAt(column, "type");
  const std::string_view format = TextAt(column, "format");
  const std::string_view json_path = TextAt(column, "jsonPath");
  if (TextAt(column, "name").empty()) errors.Required(path / "name");
  const std::string types = "must be one of " + Join(kTypes, ",");
  if (type.empty()) {
    errors.Required(path / "type", types);
  } else if (std::ranges::find(kTypes, type) == std::end(kTypes)) {
    errors.Invalid(path / "type", type, types);
  }
  if (!format.empty() && std::ranges::find(kFormats, format) == std::end(kFormats)) {
    errors.Invalid(path / "format", format, "must be one of " + Join(kFormats, ","));
  }
  if (json_path.empty()) return errors.Required(path / "JSONPath");
  ValidateJsonPath(json_path, {}, "", path / "JSONPath", errors);
}

void ValidateSelectableField(const Value& schema, const Value& field, std::set<std::string>& seen, const Path& path,
                             Errors& errors) {
  const std::string_view text = TextAt(field, "jsonPath");
  const Path at = path / "jsonPath";
  if (text.empty()) return errors.Required(at);
  const FoundSchema found = FindSchema(schema, text, false);
  if (!found.problem.empty()) return errors.Invalid(at, text, "is an invalid path: " + found.problem);
  if (found.root == "metadata") errors.Invalid(at, text, "must not point to fields in metadata");
  const std::string_view type = TextAt(*found.schema, "type");
  if (type != "string" && type != "boolean" && type != "integer") {
    errors.Invalid(at, text,
                   "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                   "formats are allowed.");
  }
  if (!seen.insert(found.path).second) errors.Duplicate(at, text);
}

// REQUIRES: some fields. `path`: of what they belong to.
void ValidateSelectableFields(const Value& schema, const Value& fields, bool many, const Path& path, Errors& errors) {
  if (const std::string problem = NotStructural(schema); !problem.empty()) {
    return errors.Invalid(path / "schema.openAPIV3Schema", "", problem);
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < fields.size(); ++i) {
    ValidateSelectableField(schema, fields[i], seen, (path / "selectableFields")[i], errors);
  }
  if (seen.size() > kSelectableMax && !many) errors.TooMany(path / "selectableFields", seen.size(), kSelectableMax);
}

// Beside a status subresource the root must be such that what is said of status can be told from the rest.
void ValidateRoot(const Value& schema, const Path& path, Errors& errors) {
  const std::string_view unfit = UnfitRootField(schema);
  if (unfit.empty()) return;
  if (unfit == "type") {
    return errors.Invalid(
        path / "type", TextAt(schema, "type"),
        "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled");
  }
  doc::Arena arena;
  errors.Invalid(path, ShownSchema(schema, arena),
                 "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
                 "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs "
                 "Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the "
                 "status subresource is enabled");
}

void ValidateResourceSchema(const Value& validation, bool status, const SchemaDemands& demands, const Path& parent,
                            Errors& all) {
  const Value& schema = validation.At("openAPIV3Schema");
  if (!schema.is_object()) return;
  const Path path = parent / "openAPIV3Schema";
  Errors errors;
  if (status) ValidateRoot(schema, path, errors);
  if (schema.At("nullable").AsBool()) errors.Forbidden(path / "nullable", "nullable cannot be true at the root");
  std::string problem;
  if (demands.structural) {
    problem = NotStructural(schema);
    Errors structure;
    if (problem.empty()) ValidateStructure(schema, path, structure);
    if (problem.empty() && structure.empty()) {
      ValidateSchemaDefaults(schema, demands.pruned_defaults, path, structure);
    }
    errors.Append(std::move(structure));
  }
  ValidateSchema(schema, demands, path, errors);
  // What keeps a schema from being structural is most often told already.
  if (errors.empty() && !problem.empty()) errors.Invalid(path, "", problem);
  all.Append(std::move(errors));
}

void ValidateColumns(const Value& columns, const Path& path, Errors& errors) {
  for (size_t i = 0; i < columns.size(); ++i) ValidateColumn(columns[i], path[i], errors);
}

}  // namespace

void ValidateVersion(const DefinitionForm& form, const Value& version, const DefinitionDemands& demands,
                     const Path& path, Errors& errors) {
  const Value& schema = form.Own(version, "schema");
  ValidateWarning(version.At("deprecated").AsBool(), version.At("deprecationWarning"), path / "deprecationWarning",
                  errors);
  ValidateResourceSchema(schema, form.HasStatus(version), demands.schema, path / "schema", errors);
  ValidateSubresources(form.Own(version, "subresources"), path / "subresources", errors);
  ValidateColumns(form.Own(version, "additionalPrinterColumns"), path / "additionalPrinterColumns", errors);
  const Value& fields = form.Own(version, "selectableFields");
  if (fields.empty()) return;
  if (schema.At("openAPIV3Schema").is_null()) {
    return errors.Invalid(path / "selectableFields", "",
                          "may only be set when `version.schema.openAPIV3Schema` is not included");
  }
  ValidateSelectableFields(schema.At("openAPIV3Schema"), fields,
                           demands.many_fields.contains(std::string(TextAt(version, "name"))), path, errors);
}

void ValidateShared(const DefinitionForm& form, const DefinitionDemands& demands, const Path& path, Errors& errors) {
  const Value& schema = form.Shared("schema");
  ValidateResourceSchema(schema, form.HasAnyStatus(), demands.schema, path / "validation", errors);
  ValidateSubresources(form.Shared("subresources"), path / "subresources", errors);
  ValidateColumns(form.Shared("additionalPrinterColumns"), path / "additionalPrinterColumns", errors);
  const Value& fields = form.Shared("selectableFields");
  if (fields.empty()) return;
  if (schema.is_null()) {
    return errors.Invalid(path / "selectableFields", "", "may only be set when validations.schema is included");
  }
  ValidateSelectableFields(schema.At("openAPIV3Schema"), fields, demands.many_fields.contains(""), path, errors);
}

std::set<std::string> VersionsWithOldFields(const DefinitionForm& form, const DefinitionForm& old) {
  std::set<std::string> names;
  const auto same = [](const Value& before, const Value& now) {
    return before.size() > kSelectableMax && before.Equals(now);
  };
  if (same(old.Shared("selectableFields"), form.Shared("selectableFields"))) names.insert("");
  for (const Value& version : form.versions().items()) {
    for (const Value& before : old.versions().items()) {
      if (!version.At("name").Equals(before.At("name"))) continue;
      if (!same(old.Own(before, "selectableFields"), form.Own(version, "selectableFields"))) continue;
      names.insert(std::string(TextAt(version, "name")));
    }
  }
  return names;
}

}  // namespace knarr::api::validation
