#include <algorithm>
#include <string>
#include <vector>

#include "api/string_formats.h"
#include "api/validation/definition_schema.h"
#include "api/warnings.h"
#include "base/strings.h"

namespace knarr::api {
namespace {

using doc::Value;

bool IsUnknownFormat(std::string_view type, std::string_view format) {
  if (format.empty()) return false;
  if (type.empty() || type == "string") return !IsKnownFormat(format);
  if (type == "integer") return format != "int32" && format != "int64";
  return type != "number" || (format != "float" && format != "double");
}

std::vector<std::string> UnknownFormats(const Value& definition) {
  std::vector<std::string> formats;
  for (const Value& version : definition.Get("spec", "versions").items()) {
    validation::SchemaHas(version.Get("schema", "openAPIV3Schema"), [&formats](const Value& schema) {
      const std::string format(schema.At("format").AsString());
      const bool unknown = IsUnknownFormat(schema.At("type").AsString(), format);
      if (unknown && std::ranges::find(formats, format) == formats.end()) formats.push_back(format);
      return false;
    });
  }
  return formats;
}

}  // namespace

std::vector<std::string> WarningsOfDefinition(const Value& definition, const Value* old) {
  const std::vector<std::string> before = old == nullptr ? std::vector<std::string>() : UnknownFormats(*old);
  std::vector<std::string> warnings;
  for (const std::string& format : UnknownFormats(definition)) {
    if (std::ranges::find(before, format) != before.end()) continue;
    warnings.push_back("unrecognized format " + GoQuote(format));
  }
  return warnings;
}

}  // namespace knarr::api
