#include "apiserver/openapi_paths.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/subresource.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

struct Parameter {
  std::string_view name;
  std::string_view type;
  std::string_view doc;
};

constexpr Parameter kWriteParameters[] = {
    {"dryRun", "string", "All: do everything but store the result."},
    {"fieldManager", "string", "Who writes, for the record of managed fields."},
    {"fieldValidation", "string", "What happens to unknown and duplicate fields: Ignore, Warn or Strict."},
};
constexpr Parameter kListParameters[] = {
    {"allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks."},
    {"continue", "string", "Where a list in parts goes on."},
    {"fieldSelector", "string", "Only objects whose fields match."},
    {"labelSelector", "string", "Only objects whose labels match."},
    {"limit", "integer", "At most so many objects."},
    {"resourceVersion", "string", "How new the answer must be."},
    {"resourceVersionMatch", "string", "How resourceVersion is meant."},
    {"sendInitialEvents", "boolean", "Whether a watch begins with what there is."},
    {"timeoutSeconds", "integer", "How long a watch lasts."},
    {"watch", "boolean", "Send changes instead of a list."},
};
constexpr Parameter kDeleteParameters[] = {
    {"dryRun", "string", "All: do everything but store the result."},
    {"gracePeriodSeconds", "integer", "How long the object has to end."},
    {"propagationPolicy", "string", "What becomes of the objects it owns: Orphan, Background or Foreground."},
};

class PathWriter {
 public:
  PathWriter(OpenApiDialect dialect, const api::KindInfo& kind, Value& paths, doc::Arena& arena)
      : dialect_(dialect), kind_(kind), paths_(paths), arena_(arena) {
    root_ = kind.group.empty() ? fmt::format("/api/{}", kind.version) : fmt::format("/apis/{}", kind.api_version);
    if (kind.namespaced) root_ += "/namespaces/{namespace}";
  }

  void Write() {
    Value collection = Value::Object();
    if (Has("list")) Add(collection, "get", "list", kind_, kListParameters, false);
    if (Has("create")) Add(collection, "post", "post", kind_, kWriteParameters, true);
    if (Has("deletecollection")) Add(collection, "delete", "deletecollection", kind_, kDeleteParameters, false);
    Put(fmt::format("{}/{}", root_, kind_.plural), collection, false);
    if (kind_.list_type == nullptr) return;
    Value object = Value::Object();
    AddObjectVerbs(object, kind_);
    if (Has("delete")) Add(object, "delete", "delete", kind_, kDeleteParameters, false);
    const std::string path = fmt::format("{}/{}/{{name}}", root_, kind_.plural);
    Put(path, object, true);
    for (const ServedSubresource& sub : ServedSubresources(kind_)) WriteSub(path, sub);
  }

 private:
  bool Has(std::string_view verb) const { return std::ranges::find(kind_.verbs, verb) != kind_.verbs.end(); }

  void AddObjectVerbs(Value& item, const api::KindInfo& of) {
    if (Has("get")) Add(item, "get", "get", of, {}, false);
    if (Has("update")) Add(item, "put", "put", of, kWriteParameters, true);
    if (Has("patch")) Add(item, "patch", "patch", of, kWriteParameters, true);
  }

  void WriteSub(const std::string& path, const ServedSubresource& sub) {
    Value item = Value::Object();
    sub_ = sub.name;
    for (const std::string_view verb : sub.verbs) {
      // Logs and execs are no objects: streams of their own.
      const bool stream = sub.name == "log" || sub.name == "exec";
      if (verb == "get") Add(item, "get", stream ? "connect" : "get", *sub.kind, {}, false);
      if (verb == "update") Add(item, "put", "put", *sub.kind, kWriteParameters, true);
      if (verb == "patch") Add(item, "patch", "patch", *sub.kind, kWriteParameters, true);
      if (verb == "create") Add(item, "post", stream ? "connect" : "post", *sub.kind, kWriteParameters, !stream);
    }
    Put(fmt::format("{}/{}", path, sub.name), item, true);
    sub_ = {};
  }

  Value Text(std::string_view text) { return Value::String(arena_, text); }

  Value MakeParameter(std::string_view name, std::string_view in, std::string_view type, std::string_view doc) {
    Value out = Value::Object();
    out.AddMember(arena_, "description", Value::Borrow(doc));
    out.AddMember(arena_, "in", Value::Borrow(in));
    out.AddMember(arena_, "name", Value::Borrow(name));
    if (in == "path") out.AddMember(arena_, "required", Value::Bool(true));
    Value schema = Value::Object();
    schema.AddMember(arena_, "type", Value::Borrow(type));
    schema.AddMember(arena_, "uniqueItems", Value::Bool(true));
    if (dialect_ == OpenApiDialect::kV3) {
      out.AddMember(arena_, "schema", schema);
    } else {
      for (const doc::Member& member : schema.members()) out.AddMember(arena_, member.key, member.value);
    }
    return out;
  }

  void AddBody(Value& operation, Value& parameters, std::string_view action, const api::KindInfo& of) {
    const Value schema = action == "patch" ? AnyObject() : SchemaReference(dialect_, of.type->openapi, arena_);
    if (dialect_ == OpenApiDialect::kV2) {
      Value body = Value::Object();
      body.AddMember(arena_, "in", Value::Borrow("body"));
      body.AddMember(arena_, "name", Value::Borrow("body"));
      body.AddMember(arena_, "required", Value::Bool(true));
      body.AddMember(arena_, "schema", schema);
      parameters.Append(arena_, body);
      return;
    }
    Value media = Value::Object();
    media.AddMember(arena_, "schema", schema);
    Value content = Value::Object();
    if (action == "patch") {
      for (const char* form :
           {"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"}) {
        content.AddMember(arena_, form, media);
      }
    } else {
      content.AddMember(arena_, "*/*", media);
    }
    Value body = Value::Object();
    body.AddMember(arena_, "content", content);
    body.AddMember(arena_, "required", Value::Bool(true));
    operation.AddMember(arena_, "requestBody", body);
  }

  Value AnyObject() {
    Value out = Value::Object();
    out.AddMember(arena_, "type", Value::Borrow("object"));
    return out;
  }

  Value MakeResponses(std::string_view action, const api::KindInfo& of) {
    Value ok = Value::Object();
    ok.AddMember(arena_, "description", Value::Borrow("OK"));
    const bool list = action == "list" && of.list_type != nullptr;
    if (action != "connect") {
      const Value schema = SchemaReference(dialect_, list ? of.list_type->openapi : of.type->openapi, arena_);
      if (dialect_ == OpenApiDialect::kV2) {
        ok.AddMember(arena_, "schema", schema);
      } else {
        Value media = Value::Object();
        media.AddMember(arena_, "schema", schema);
        Value content = Value::Object();
        for (const char* form : {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}) {
          content.AddMember(arena_, form, media);
        }
        ok.AddMember(arena_, "content", content);
      }
    }
    Value refused = Value::Object();
    refused.AddMember(arena_, "description", Value::Borrow("Unauthorized"));
    Value out = Value::Object();
    out.AddMember(arena_, "200", ok);
    if (action == "post") {
      Value created = ok.Clone(arena_);
      created.Set(arena_, "description", Value::Borrow("Created"));
      out.AddMember(arena_, "201", created);
    }
    out.AddMember(arena_, "401", refused);
    return out;
  }

  std::string OperationId(std::string_view action, const api::KindInfo& of) const {
    const std::string group = kind_.group.empty() ? "Core" : std::string(kind_.group.substr(0, kind_.group.find('.')));
    const auto title = [](std::string_view text) {
      std::string out(text);
      if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
      return out;
    };
    const std::string_view verb = action == "post" && sub_.empty() ? "create"
                                  : action == "get"                ? "read"
                                  : action == "put"                ? "replace"
                                                                   : action;
    return fmt::format("{}{}{}{}{}{}", verb, title(group), title(kind_.version), kind_.namespaced ? "Namespaced" : "",
                       sub_.empty() ? of.kind : kind_.kind, title(sub_));
  }

  void Add(Value& item, std::string_view method, std::string_view action, const api::KindInfo& of,
           std::span<const Parameter> parameters, bool body) {
    Value operation = Value::Object();
    const Value tag =
        Text(kind_.group.empty() ? fmt::format("core_{}", kind_.version)
                                 : fmt::format("{}_{}", kind_.group.substr(0, kind_.group.find('.')), kind_.version));
    operation.AddMember(arena_, "tags", Value::ArrayOf(arena_, {&tag, 1}));
    operation.AddMember(arena_, "operationId", Text(OperationId(action, of)));
    if (dialect_ == OpenApiDialect::kV2) {
      Value types = Value::Array();
      for (const char* type : {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}) {
        types.Append(arena_, Value::Borrow(type));
      }
      operation.AddMember(arena_, "produces", types);
    }
    Value list = Value::Array();
    if (body) AddBody(operation, list, action, of);
    for (const Parameter& parameter : parameters) {
      list.Append(arena_, MakeParameter(parameter.name, "query", parameter.type, parameter.doc));
    }
    if (action == "patch") {
      list.Append(arena_, MakeParameter("force", "query", "boolean", "Of an apply patch: take over fields of others."));
    }
    if (!list.empty()) operation.AddMember(arena_, "parameters", list);
    operation.AddMember(arena_, "responses", MakeResponses(action, of));
    operation.AddMember(arena_, "x-kubernetes-action", Value::Borrow(action));
    operation.AddMember(arena_, "x-kubernetes-group-version-kind", GroupVersionKind(of, arena_));
    item.AddMember(arena_, method, operation);
  }

  void Put(const std::string& path, Value item, bool named) {
    Value parameters = Value::Array();
    if (named) parameters.Append(arena_, MakeParameter("name", "path", "string", "The object's name."));
    if (kind_.namespaced) {
      parameters.Append(arena_, MakeParameter("namespace", "path", "string", "The object's namespace."));
    }
    if (!parameters.empty()) item.AddMember(arena_, "parameters", parameters);
    paths_.AddMember(arena_, arena_.Copy(path), item);
  }

  OpenApiDialect dialect_;
  const api::KindInfo& kind_;
  Value& paths_;
  doc::Arena& arena_;
  std::string root_;
  std::string_view sub_;
};

}  // namespace

void AddPaths(OpenApiDialect dialect, const api::KindInfo& kind, Value& paths, doc::Arena& arena) {
  PathWriter(dialect, kind, paths, arena).Write();
}

}  // namespace knarr::apiserver
