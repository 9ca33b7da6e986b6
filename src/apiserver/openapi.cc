#include "apiserver/openapi.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/openapi_paths.h"
#include "apiserver/openapi_proto.h"
#include "apiserver/openapi_render.h"
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
  info.AddMember(arena, "version", Value::Borrow("1.36"));
  return info;
}

// "BearerToken": the token in the header authorization.
Value BearerToken(doc::Arena& arena) {
  Value token = Value::Object();
  token.AddMember(arena, "type", Value::Borrow("apiKey"));
  token.AddMember(arena, "description", Value::Borrow("A bearer token."));
  token.AddMember(arena, "name", Value::Borrow("authorization"));
  token.AddMember(arena, "in", Value::Borrow("header"));
  Value out = Value::Object();
  out.AddMember(arena, "BearerToken", token);
  return out;
}

std::string PathOf(const api::KindInfo& kind) {
  return kind.group.empty() ? fmt::format("api/{}", kind.version) : fmt::format("apis/{}", kind.api_version);
}

// What a document is about: its paths, and whose they are.
struct Subject {
  std::vector<OpenApiPath> paths;
  std::string_view group;
  std::string_view version;
};

// Every document of version 3 by its place: "api", "apis", "apis/batch", "apis/batch/v1".
std::map<std::string, Subject> Subjects(const ResourceTable& resources) {
  std::map<std::string, Subject> out;
  out["api"].paths.push_back(CoreVersionsPath());
  out["apis"].paths.push_back(GroupsPath());
  for (const api::KindInfo* each : ListedKinds(resources)) {
    const api::KindInfo& kind = *each;
    if (!kind.group.empty()) {
      Subject& group = out[fmt::format("apis/{}", kind.group)];
      if (group.paths.empty()) group.paths.push_back(GroupPath(kind.group));
      group.group = kind.group;
    }
    Subject& subject = out[PathOf(kind)];
    if (subject.paths.empty()) subject.paths.push_back(ResourceListPath(kind));
    subject.group = kind.group;
    subject.version = kind.version;
    const Resource* resource = resources.Find(kind);
    AddResourcePaths(kind, resource != nullptr && resource->strategy->returns_deleted_object(), subject.paths);
  }
  return out;
}

bool Patches(const OpenApiPath& path) {
  return std::ranges::any_of(
      path.operations, [](const OpenApiOperation& operation) { return operation.body == OpenApiContent::kPatch; });
}

std::string MakeV3(const Subject& subject) {
  doc::Arena arena;
  OpenApiRoots roots{.types = {},
                     .patches = std::ranges::any_of(subject.paths, Patches),
                     .group = subject.group,
                     .version = subject.version};
  const Value paths = RenderPaths(OpenApiDialect::kV3, subject.paths, arena, roots.types);
  Value schemas = Value::Object();
  AddDefinitions(OpenApiDialect::kV3, roots, schemas, arena);
  Value components = Value::Object();
  components.AddMember(arena, "schemas", schemas);
  components.AddMember(arena, "securitySchemes", BearerToken(arena));
  Value root = Value::Object();
  root.AddMember(arena, "openapi", Value::Borrow("3.0.0"));
  root.AddMember(arena, "info", Info(arena));
  root.AddMember(arena, "paths", paths);
  root.AddMember(arena, "components", components);
  return doc::ToJson(root);
}

Value MakeV2(const ResourceTable& resources, doc::Arena& arena) {
  std::vector<OpenApiPath> all;
  for (auto& [place, subject] : Subjects(resources)) {
    std::ranges::move(subject.paths, std::back_inserter(all));
  }
  OpenApiRoots roots{.types = {}, .patches = true, .group = "*", .version = {}};
  const Value paths = RenderPaths(OpenApiDialect::kV2, all, arena, roots.types);
  Value definitions = Value::Object();
  AddDefinitions(OpenApiDialect::kV2, roots, definitions, arena);
  Value root = Value::Object();
  root.AddMember(arena, "swagger", Value::Borrow("2.0"));
  root.AddMember(arena, "info", Info(arena));
  root.AddMember(arena, "paths", paths);
  root.AddMember(arena, "definitions", definitions);
  root.AddMember(arena, "securityDefinitions", BearerToken(arena));
  Value need = Value::Object();
  need.AddMember(arena, "BearerToken", Value::Array());
  root.AddMember(arena, "security", Value::ArrayOf(arena, {&need, 1}));
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

bool OpenApi::Serves(std::string_view path) {
  return path == "/openapi/v2" || path == "/openapi/v3" || path.starts_with("/openapi/v3/");
}

Result<Answer> OpenApi::Serve(Call& call) {
  std::string_view path = call.request.url.path;
  if (path == "/openapi/v2") return ServeV2(call);
  if (path == "/openapi/v3" || path == "/openapi/v3/") return ServeIndex(call);
  CHECK(ConsumePrefix(path, "/openapi/v3/"));
  return ServeV3(call, path);
}

std::vector<std::string> OpenApi::Places() const {
  std::vector<std::string> out;
  for (const auto& [place, subject] : Subjects(resources_)) out.push_back(place);
  return out;
}

std::string OpenApi::DocumentV3(std::string_view place) const {
  const std::map<std::string, Subject> subjects = Subjects(resources_);
  const auto subject = subjects.find(std::string(place));
  return subject == subjects.end() ? std::string() : MakeV3(subject->second);
}

Result<Answer> OpenApi::ServeIndex(Call& call) {
  // The documents come from the program's own tables: their hash changes with the program only.
  const std::string hash = SchemaHash();
  std::string json = R"({"paths":{)";
  for (const std::string& place : Places()) {
    if (json.back() != '{') json += ',';
    json += fmt::format(R"("{}":{{"serverRelativeURL":"/openapi/v3/{}?hash={}"}})", place, place, hash);
  }
  json += "}}";
  return Tagged(call, std::move(json), "application/json");
}

Result<Answer> OpenApi::ServeV3(Call& call, std::string_view place) {
  std::string document = DocumentV3(place);
  if (document.empty()) return NoSuchResourceError();
  if (!Accepts(call, "application/json") && !Accepts(call, "*/*") && Accepts(call, kProtobufV3)) {
    return Status(Reason::kNotAcceptable, "only the following media types are accepted: application/json");
  }
  const bool hashed = call.request.url.HasQuery("hash");
  if (hashed && call.request.url.Query("hash") != SchemaHash()) {
    // An address from before the program changed.
    Answer moved;
    moved.code = 301;
    moved.headers.Set("Location", fmt::format("/openapi/v3/{}?hash={}", place, SchemaHash()));
    return moved;
  }
  Answer answer = Tagged(call, std::move(document), "application/json");
  // The address carries the hash: what is behind it never changes.
  if (hashed) answer.headers.Set("Cache-Control", "public, immutable");
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
