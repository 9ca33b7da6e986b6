#include "apiserver/openapi.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "api/schema.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// The last part of the schema's name that a content object refers to; of several forms all have the same.
std::string SchemaName(const Value& content) {
  for (const doc::Member& form : content.members()) {
    const Value& schema = form.value.At("schema");
    const std::string text(schema.At(schema.Find("$ref") != nullptr ? "$ref" : "type").AsString());
    return text.substr(text.rfind('/') + 1);
  }
  return {};
}

std::string Names(const Value& parameters) {
  std::string out;
  for (const Value& one : parameters.items()) {
    if (!out.empty()) out += ",";
    out += one.At("name").AsString();
  }
  return out;
}

std::string Body(const Value& operation) {
  const Value* body = operation.Find("requestBody");
  if (body == nullptr) return {};
  std::set<std::string_view> forms;
  for (const doc::Member& form : body->At("content").members()) forms.insert(form.key);
  return fmt::format("{} {}{}", fmt::join(forms, "|"), SchemaName(body->At("content")),
                     body->At("required").AsBool() ? "!" : "");
}

std::string Answers(const Value& operation) {
  std::string out;
  for (const doc::Member& code : operation.At("responses").members()) {
    if (!out.empty()) out += " ";
    const Value& content = code.value.At("content");
    bool stream = false;
    for (const doc::Member& form : content.members()) stream |= form.key.find("stream=watch") != std::string::npos;
    out += fmt::format("{}:{}{}", code.key, SchemaName(content), stream ? "*" : "");
  }
  return out;
}

// Descriptions are each project's own words.
Value WithoutWords(const Value& value, doc::Arena& arena) {
  if (value.is_object()) {
    // A reference is wrapped only so that words can stand beside it.
    if (value.size() <= 2 && value.At("allOf").size() == 1 &&
        value.At("description").is_string() == (value.size() == 2)) {
      return value.At("allOf").items()[0];
    }
    Value out = Value::Object();
    for (const doc::Member& member : value.members()) {
      if (member.key == "description" && member.value.is_string()) continue;
      out.AddMember(arena, member.key, WithoutWords(member.value, arena));
    }
    out.SortMembers();
    return out;
  }
  if (!value.is_array()) return value;
  Value out = Value::Array();
  for (const Value& item : value.items()) out.Append(arena, WithoutWords(item, arena));
  return out;
}

std::string Plain(const Value& value) {
  doc::Arena arena;
  return doc::ToJson(WithoutWords(value, arena));
}

void FlattenPaths(const Value& document, std::set<std::string>& out) {
  for (const doc::Member& path : document.At("paths").members()) {
    for (const doc::Member& operation : path.value.members()) {
      if (operation.key == "parameters") continue;
      const Value& of = operation.value;
      const Value& kind = of.At("x-kubernetes-group-version-kind");
      out.insert(fmt::format("{} {} {} {} {} {}/{}/{} shared={} own={} body={} answers={}", operation.key, path.key,
                             of.At("operationId").AsString(), of.At("tags").items()[0].AsString(),
                             of.At("x-kubernetes-action").AsString(), kind.At("group").AsString(),
                             kind.At("version").AsString(), kind.At("kind").AsString(),
                             Names(path.value.At("parameters")), Names(of.At("parameters")), Body(of), Answers(of)));
    }
  }
}

// What every document repeats counts once, in the core's.
bool CountsHere(std::string_view place, std::string_view name) {
  const bool shared = name.find("apimachinery") != std::string::npos || name.starts_with("io.k8s.api.core.v1");
  return place == "api_v1" || !shared;
}

void FlattenSchemas(std::string place, const Value& document, std::set<std::string>& out) {
  std::ranges::replace(place, '/', '_');
  for (const doc::Member& schema : document.Get("components", "schemas").members()) {
    doc::Document head = doc::Document::Copy(schema.value);
    head.root.Remove("properties");
    out.insert(fmt::format("{} {} {}", place, schema.key, Plain(head.root)));
    if (!CountsHere(place, schema.key)) continue;
    for (const doc::Member& property : schema.value.At("properties").members()) {
      out.insert(fmt::format("{} {}.{} {}", place, schema.key, property.key, Plain(property.value)));
    }
  }
}

// Held against the documents of Kubernetes 1.36.3's own API server, less what they say in words and its alpha
// parameters.
TEST(OpenApiTest, SaysWhatKubernetesSays) {
  const ResourceTable resources{StrategyOptions{}};
  const OpenApi openapi(resources);
  std::set<std::string> ours;
  for (const std::string& place : openapi.Places()) {
    const auto document = doc::ParseJson(openapi.DocumentV3(place));
    ASSERT_TRUE(document.ok()) << place;
    FlattenPaths(document->root, ours);
    FlattenSchemas(place, document->root, ours);
  }
  std::ifstream file(KNARR_SOURCE_DIR "/tests/golden/openapi/v3.txt");
  int differences = 0;
  size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    if (ours.erase(line) == 0 && ++differences <= 20) ADD_FAILURE() << "missing: " << line;
  }
  EXPECT_GT(lines, 4000U);
  for (const std::string& line : ours) {
    if (++differences <= 40) ADD_FAILURE() << "too much: " << line;
  }
  EXPECT_EQ(differences, 0);
}

TEST(OpenApiTest, EveryFieldIsExplained) {
  for (const api::Package& package : api::AllPackages()) {
    for (const api::Type& type : package.types) {
      EXPECT_FALSE(type.doc.empty()) << package.name << " " << type.name;
      for (const api::Field& field : type.fields) {
        EXPECT_TRUE(!field.doc.empty() || field.name.empty()) << package.name << " " << type.name << "." << field.name;
      }
    }
  }
}

}  // namespace
}  // namespace knarr::apiserver
