// Resources inside of others: what a schema says is one must have a kind, an apiVersion and good metadata.

#include <algorithm>
#include <string>

#include "api/codec.h"
#include "api/validation/definition_schema.h"
#include "api/validation/metadata.h"
#include "base/check.h"
#include "base/names.h"
#include "base/strings.h"

namespace knarr::api::validation {
namespace {

using doc::Value;

bool IsEmbedded(const Value& schema) { return schema.At("x-kubernetes-embedded-resource").AsBool(); }

using Look = void (*)(const Value& resource, const Path& path, Errors& errors);

// Every resource in the value, the outer ones first.
void ForEachResource(const Value& value, const Value& schema, bool embedded, Look look, const Path& path,
                     Errors& errors) {
  if (schema.is_null()) return;
  if (value.is_object() && embedded) look(value, path, errors);
  const Value& items = SubSchema(schema.At("items"));
  for (size_t i = 0; i < value.items().size(); ++i) {
    ForEachResource(value[i], items, IsEmbedded(items), look, path[i], errors);
  }
  const Value& additional = SubSchema(schema.At("additionalProperties"));
  for (const doc::Member& member : value.members()) {
    if (const Value* property = schema.At("properties").Find(member.key); property != nullptr) {
      ForEachResource(member.value, *property, IsEmbedded(*property), look, path / member.key, errors);
    } else {
      ForEachResource(member.value, additional, IsEmbedded(additional), look, path.Key(member.key), errors);
    }
  }
}

void CheckTypes(const Value& resource, const Path& path, Errors& errors) {
  for (const doc::Member& member : resource.members()) {
    const bool name = member.key == "apiVersion" || member.key == "kind";
    if (name && !member.value.is_string()) errors.Invalid(path / member.key, member.value, "must be a string");
    if (member.key != "metadata" || member.value.is_null()) continue;
    const Type* type = FindType("meta/v1", "ObjectMeta");
    CHECK(type != nullptr);
    doc::Document metadata = doc::Document::Copy(member.value);
    const Ok canonical = Canonicalize(*type, metadata.root, metadata.arena);
    if (!canonical.ok()) errors.Invalid(path / member.key, member.value, canonical.status().message());
  }
}

void CheckApiVersion(std::string_view version, const Path& path, Errors& errors) {
  if (version.empty()) return errors.Invalid(path, version, "must not be empty");
  if (std::ranges::count(version, '/') > 1) {
    errors.Invalid(path, version, "unexpected GroupVersion string: " + std::string(version));
  }
}

void CheckKind(std::string_view kind, const Path& path, Errors& errors) {
  if (kind.empty()) return errors.Invalid(path, kind, "must not be empty");
  const Problems problems = CheckDns1035Label(ToLower(kind));
  if (problems.empty()) return;
  errors.Invalid(path, kind, "may have mixed case, but should otherwise match: " + Join(problems, ","));
}

void CheckResource(const Value& resource, const Path& path, Errors& errors) {
  for (const std::string_view member : {"apiVersion", "kind"}) {
    const Value* text = resource.Find(member);
    if (text == nullptr) {
      errors.Required(path / member);
    } else if (member == "kind") {
      CheckKind(text->AsString(), path / member, errors);
    } else {
      CheckApiVersion(text->AsString(), path / member, errors);
    }
  }
  const Value& metadata = resource.At("metadata");
  if (metadata.is_null()) return;
  doc::Document named = doc::Document::Copy(metadata);
  // Without a name it is none that another rule asks for.
  if (named.root.At("name").AsString().empty()) named.root.Set(named.arena, "name", Value::Borrow("fakename"));
  const bool namespaced = !metadata.At("namespace").AsString().empty();
  ValidateMetadata(named.root, namespaced, NameIsPathSegment, path / "metadata", errors);
}

}  // namespace

bool ValidateEmbeddedResources(const Value& schema, bool resource, const Value& value, const Path& path,
                               Errors& errors) {
  for (const Look look : {&CheckTypes, &CheckResource}) {
    Errors found;
    ForEachResource(value, schema, resource, look, path, found);
    if (found.empty()) continue;
    errors.Append(std::move(found));
    return false;
  }
  return true;
}

}  // namespace knarr::api::validation
