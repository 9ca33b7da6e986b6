#include "apiserver/openapi.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/openapi_paths.h"
#include "apiserver/openapi_proto.h"
#include "apiserver/openapi_schema.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// Asked for by its old name ("@" is no character of media types), answered by its new one.
constexpr std::string_view kProtobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
constexpr std::string_view kProtobufV2Old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
constexpr std::string_view kProtobufV3 = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

Value Info(doc::Arena& arena) {
  Value info = Value::Object();
  info.AddMember(arena, "title", Value::Borrow("Kubernetes"));
  info.AddMember(arena, "version", Value::Borrow("v1.36.0"));
  return info;
}

std::string PathOf(const api::KindInfo& kind) {
  return kind.group.empty() ? fmt::format("api/{}", kind.version) : fmt::format("apis/{}", kind.api_version);
}

void AddAllPaths(OpenApiDialect dialect, const ResourceTable& resources, std::string_view only, Value& paths,
                 doc::Arena& arena) {
  for (const Resource& resource : resources.all()) {
    if (only.empty() || PathOf(*resource.kind) == only) AddPaths(dialect, *resource.kind, paths, arena);
  }
}

std::string MakeV3(const ResourceTable& resources, std::string_view group_version) {
  doc::Arena arena;
  const api::Package* package = nullptr;
  for (const Resource& resource : resources.all()) {
    if (PathOf(*resource.kind) != group_version) continue;
    for (const api::Package& each : api::AllPackages()) {
      if (each.group == resource.kind->group && each.version == resource.kind->version) package = &each;
    }
  }
  if (package == nullptr) return {};
  Value paths = Value::Object();
  AddAllPaths(OpenApiDialect::kV3, resources, group_version, paths, arena);
  Value schemas = Value::Object();
  AddDefinitions(OpenApiDialect::kV3, package, schemas, arena);
  Value components = Value::Object();
  components.AddMember(arena, "schemas", schemas);
  Value root = Value::Object();
  root.AddMember(arena, "openapi", Value::Borrow("3.0.0"));
  root.AddMember(arena, "info", Info(arena));
  root.AddMember(arena, "paths", paths);
  root.AddMember(arena, "components", components);
  return doc::ToJson(root);
}

Value MakeV2(const ResourceTable& resources, doc::Arena& arena) {
  Value paths = Value::Object();
  AddAllPaths(OpenApiDialect::kV2, resources, {}, paths, arena);
  Value definitions = Value::Object();
  AddDefinitions(OpenApiDialect::kV2, nullptr, definitions, arena);
  Value root = Value::Object();
  root.AddMember(arena, "swagger", Value::Borrow("2.0"));
  root.AddMember(arena, "info", Info(arena));
  root.AddMember(arena, "paths", paths);
  root.AddMember(arena, "definitions", definitions);
  return root;
}

std::string HashOf(std::string_view text) { return ToUpper(HexEncode(net::Sha256(text))); }

// 304 where the client has it already.
Answer Tagged(const Call& call, std::string text, std::string content_type) {
  Answer answer;
  answer.content_type = std::move(content_type);
  const std::string tag = fmt::format("\"{}\"", HashOf(text));
  answer.headers.Set("ETag", tag);
  answer.headers.Set("Vary", "Accept");
  if (call.request.headers.Get("If-None-Match") == tag) {
    answer.code = 304;
  } else {
    answer.body.text = std::move(text);
  }
  return answer;
}

bool Accepts(const Call& call, std::string_view type) {
  const std::vector<MediaType> accepted = ParseAccept(Join(call.request.headers.GetAll("Accept"), ","));
  return std::ranges::any_of(accepted, [&](const MediaType& one) { return one.type == ToLower(type); });
}

}  // namespace

Result<Answer> OpenApi::Serve(Call& call) {
  std::string_view path = call.request.url.path;
  if (path == "/openapi/v2") return ServeV2(call);
  if (path == "/openapi/v3" || path == "/openapi/v3/") return ServeIndex(call);
  if (ConsumePrefix(path, "/openapi/v3/")) return ServeV3(call, path);
  return NoSuchResourceError();
}

Result<Answer> OpenApi::ServeIndex(Call& call) {
  std::vector<std::string> group_versions;
  for (const Resource& resource : resources_.all()) {
    std::string path = PathOf(*resource.kind);
    if (std::ranges::find(group_versions, path) == group_versions.end()) group_versions.push_back(std::move(path));
  }
  std::ranges::sort(group_versions);
  // The documents come from the program's own tables: their hash changes with the program only.
  std::string json = R"({"paths":{)";
  for (const std::string& path : group_versions) {
    if (json.back() != '{') json += ',';
    json += fmt::format(R"("{}":{{"serverRelativeURL":"/openapi/v3/{}?hash={}"}})", path, path, SchemaHash());
  }
  json += "}}";
  return Tagged(call, std::move(json), "application/json");
}

Result<Answer> OpenApi::ServeV3(Call& call, std::string_view group_version) {
  if (!Accepts(call, "application/json") && !Accepts(call, "*/*") && Accepts(call, kProtobufV3)) {
    return Status(Reason::kNotAcceptable, "only the following media types are accepted: application/json");
  }
  std::string json = MakeV3(resources_, group_version);
  if (json.empty()) return NoSuchResourceError();
  Answer answer = Tagged(call, std::move(json), "application/json");
  // The address carries the hash: what is behind it never changes.
  if (call.request.url.HasQuery("hash")) answer.headers.Set("Cache-Control", "public, immutable");
  return answer;
}

Result<Answer> OpenApi::ServeV2(Call& call) {
  doc::Arena arena;
  const Value root = MakeV2(resources_, arena);
  if (Accepts(call, kProtobufV2) || Accepts(call, kProtobufV2Old))
    return Tagged(call, EncodeSwaggerProtobuf(root), std::string(kProtobufV2));
  return Tagged(call, doc::ToJson(root), "application/json");
}

std::string OpenApi::SchemaHash() const {
  // Names, numbers and types of all fields, and the program's version: enough to tell one schema from another without
  // making the documents.
  std::string text = KNARR_VERSION;
  for (const api::Package& package : api::AllPackages()) {
    for (const api::Type& type : package.types) {
      text += type.openapi;
      for (const api::Field* field : type.flat) {
        text += fmt::format("{}{}{}{}{}", field->name, field->number, static_cast<int>(field->type), field->doc,
                            field->patch_merge_key);
      }
    }
  }
  return HashOf(text);
}

}  // namespace knarr::apiserver
