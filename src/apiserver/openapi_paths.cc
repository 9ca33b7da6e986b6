#include "apiserver/openapi_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "apiserver/subresource.h"
#include "base/check.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

struct Query {
  std::string_view name;
  std::string_view type;
  std::string_view doc;
};

constexpr Query kPretty[] = {{"pretty", "string", "Whether the answer is indented for people."}};
constexpr Query kWrite[] = {
    {"dryRun", "string", "All: do everything but store the result."},
    {"fieldManager", "string", "Who writes, for the record of managed fields."},
    {"fieldValidation", "string", "What happens to unknown and duplicate fields: Ignore, Warn or Strict."},
};
constexpr Query kForce[] = {{"force", "boolean", "Of an apply patch: take over fields of others."}};
constexpr Query kList[] = {
    {"continue", "string", "Where a list in parts goes on."},
    {"fieldSelector", "string", "Only objects whose fields match."},
    {"labelSelector", "string", "Only objects whose labels match."},
    {"limit", "integer", "At most so many objects."},
    {"resourceVersion", "string", "How new the answer must be."},
    {"resourceVersionMatch", "string", "How resourceVersion is meant."},
    {"sendInitialEvents", "boolean", "Whether a watch begins with what there is."},
    {"timeoutSeconds", "integer", "How long the request may last."},
};
constexpr Query kWatch[] = {
    {"allowWatchBookmarks", "boolean", "Whether a watch may send bookmarks."},
    {"watch", "boolean", "Send changes instead of a list."},
};
constexpr Query kDelete[] = {
    {"dryRun", "string", "All: do everything but store the result."},
    {"gracePeriodSeconds", "integer", "How many seconds the object has to end."},
    {"orphanDependents", "boolean", "Whether what it owns stays; propagationPolicy says it better."},
    {"propagationPolicy", "string", "What becomes of what it owns: Orphan, Background or Foreground."},
};

std::string Capital(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// "rbac.authorization.k8s.io" → "RbacAuthorization"
std::string GroupWord(std::string_view group) {
  if (group.empty()) return "Core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(std::string_view(".k8s.io").size());
  std::string out;
  for (const std::string_view part : Split(group, '.')) out += Capital(part);
  return out;
}

std::string GroupTag(std::string_view group) {
  std::string out = GroupWord(group);
  out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
}

const api::Type* MetaType(std::string_view name) {
  const api::Type* type = api::FindType("meta/v1", name);
  CHECK(type != nullptr);
  return type;
}

std::string Root(const api::KindInfo& kind) {
  return kind.group.empty() ? fmt::format("/api/{}", kind.version) : fmt::format("/apis/{}", kind.api_version);
}

class PathWriter {
 public:
  PathWriter(const api::KindInfo& kind, bool returns_deleted, std::vector<OpenApiPath>& paths)
      : kind_(kind), returns_deleted_(returns_deleted), paths_(paths) {
    tag_ = fmt::format("{}_{}", GroupTag(kind_.group), kind_.version);
    group_version_ = GroupWord(kind_.group) + Capital(kind_.version);
    inside_ = Root(kind_) + (kind_.namespaced ? "/namespaces/{namespace}" : "");
  }

  void Write() {
    WriteCollection();
    if (kind_.list_type == nullptr) return;
    WriteObject();
    for (const ServedSubresource& sub : ServedSubresources(kind_)) WriteSub(sub);
    if (Has("watch")) WriteWatches();
  }

 private:
  bool Has(std::string_view verb) const { return std::ranges::find(kind_.verbs, verb) != kind_.verbs.end(); }
  std::string Id(std::string_view verb, std::string_view between = {}, std::string_view behind = {}) const {
    return fmt::format("{}{}{}{}{}{}", verb, group_version_, between, kind_.namespaced ? "Namespaced" : "", kind_.kind,
                       behind);
  }

  OpenApiOperation Make(std::string_view method, std::string_view action, std::string id, std::string doc) const {
    OpenApiOperation out;
    out.method = method;
    out.action = action;
    out.id = std::move(id);
    out.doc = std::move(doc);
    out.kind = &kind_;
    out.answer_type = kind_.type;
    return out;
  }
  static void Ask(OpenApiOperation& operation, std::span<const Query> queries) {
    for (const Query& query : queries) {
      operation.parameters.push_back({std::string(query.name), false, query.type, query.doc});
    }
  }
  static void TakeBody(OpenApiOperation& operation, const api::Type* type, bool required = true) {
    operation.body = OpenApiContent::kObject;
    operation.body_type = type;
    operation.body_required = required;
  }

  void Put(std::string path, std::vector<OpenApiOperation> operations) {
    for (OpenApiOperation& operation : operations) {
      if (path.find("{namespace}") != std::string::npos) {
        operation.parameters.push_back({"namespace", true, "string", "The object's namespace."});
      }
      if (path.find("{name}") != std::string::npos) {
        operation.parameters.push_back({"name", true, "string", "The object's name."});
      }
      if (path.find("{path}") != std::string::npos) {
        operation.parameters.push_back({"path", true, "string", "The path that is asked for."});
      }
      if (operation.action != "connect") Ask(operation, kPretty);
    }
    if (!operations.empty()) paths_.push_back({std::move(path), tag_, std::move(operations)});
  }

  OpenApiOperation List(std::string id) const {
    OpenApiOperation list = Make("get", "list", std::move(id), fmt::format("Lists or watches {}.", kind_.plural));
    Ask(list, kList);
    Ask(list, kWatch);
    list.answer = OpenApiContent::kStream;
    list.answer_type = kind_.list_type;
    return list;
  }

  void WriteCollection() {
    std::vector<OpenApiOperation> operations;
    if (Has("list")) {
      operations.push_back(List(Id("list")));
      if (kind_.namespaced) {
        Put(fmt::format("{}/{}", Root(kind_), kind_.plural),
            {List(fmt::format("list{}{}ForAllNamespaces", group_version_, kind_.kind))});
      }
    }
    if (Has("create")) operations.push_back(Post(kind_, Id("create"), fmt::format("Creates a {}.", kind_.kind)));
    if (Has("deletecollection")) {
      OpenApiOperation gone =
          Make("delete", "deletecollection", Id("delete", "Collection"), fmt::format("Deletes many {}.", kind_.plural));
      Ask(gone, kList);
      Ask(gone, kDelete);
      TakeBody(gone, MetaType("DeleteOptions"), false);
      gone.answer_type = MetaType("Status");
      operations.push_back(std::move(gone));
    }
    Put(fmt::format("{}/{}", inside_, kind_.plural), std::move(operations));
  }

  OpenApiOperation Post(const api::KindInfo& of, std::string id, std::string doc) const {
    OpenApiOperation post = Make("post", "post", std::move(id), std::move(doc));
    Ask(post, kWrite);
    TakeBody(post, of.type);
    post.kind = &of;
    post.answer_type = of.type;
    post.codes = {200, 201, 202};
    return post;
  }

  // What is read, replaced and patched: an object, or one of its subresources.
  std::vector<OpenApiOperation> ReadAndWrite(const api::KindInfo& of, std::string_view sub,
                                             std::span<const std::string_view> verbs) const {
    const auto has = [&](std::string_view verb) { return std::ranges::find(verbs, verb) != verbs.end(); };
    const std::string behind = Capital(sub);
    const std::string what = sub.empty() ? std::string(kind_.kind) : fmt::format("{} of a {}", sub, kind_.kind);
    std::vector<OpenApiOperation> out;
    if (has("get")) out.push_back(Make("get", "get", Id("read", "", behind), fmt::format("Reads the {}.", what)));
    if (has("update")) {
      out.push_back(Make("put", "put", Id("replace", "", behind), fmt::format("Replaces the {}.", what)));
      Ask(out.back(), kWrite);
      TakeBody(out.back(), of.type);
      out.back().codes = {200, 201};
    }
    if (has("patch")) {
      out.push_back(Make("patch", "patch", Id("patch", "", behind), fmt::format("Changes parts of the {}.", what)));
      Ask(out.back(), kWrite);
      Ask(out.back(), kForce);
      out.back().body = OpenApiContent::kPatch;
      out.back().codes = {200, 201};
    }
    for (OpenApiOperation& operation : out) {
      operation.kind = &of;
      operation.answer_type = of.type;
    }
    return out;
  }

  void WriteObject() {
    std::vector<OpenApiOperation> operations = ReadAndWrite(kind_, {}, kind_.verbs);
    if (Has("delete")) {
      OpenApiOperation gone = Make("delete", "delete", Id("delete"), fmt::format("Deletes a {}.", kind_.kind));
      Ask(gone, kDelete);
      TakeBody(gone, MetaType("DeleteOptions"), false);
      if (!returns_deleted_) gone.answer_type = MetaType("Status");
      gone.codes = {200, 202};
      operations.push_back(std::move(gone));
    }
    Put(ObjectPath(), std::move(operations));
  }
  std::string ObjectPath() const { return fmt::format("{}/{}/{{name}}", inside_, kind_.plural); }

  void WriteSub(const ServedSubresource& sub) {
    const std::string path = fmt::format("{}/{}", ObjectPath(), sub.name);
    if (sub.kind->kind.ends_with("Options")) {
      WriteConnect(path, sub, false);
      if (sub.name == "proxy") WriteConnect(path + "/{path}", sub, true);
      return;
    }
    if (sub.name == "log") {
      OpenApiOperation log =
          Make("get", "get", Id("read", "", "Log"), fmt::format("Reads the log of a {}.", kind_.kind));
      if (const api::Type* options = api::FindType("core/v1", "PodLogOptions")) AskOptions(log, *options);
      log.answer = OpenApiContent::kLog;
      Put(path, {std::move(log)});
      return;
    }
    std::vector<OpenApiOperation> operations = ReadAndWrite(*sub.kind, sub.name, sub.verbs);
    if (std::ranges::find(sub.verbs, "create") != sub.verbs.end()) {
      operations.push_back(Post(*sub.kind, Id("create", "", Capital(sub.name)),
                                fmt::format("Creates a {} of a {}.", sub.name, kind_.kind)));
    }
    Put(path, std::move(operations));
  }

  // The query of a connection is the options' fields.
  static void AskOptions(OpenApiOperation& operation, const api::Type& options) {
    for (const api::Field* field : options.flat) {
      if (field->name == "kind" || field->name == "apiVersion") continue;
      const bool number = field->type == api::FieldType::kInt32 || field->type == api::FieldType::kInt64;
      const std::string_view type = field->type == api::FieldType::kBool ? "boolean" : number ? "integer" : "string";
      if (field->type == api::FieldType::kTime) continue;  // no query parameter upstream either
      operation.parameters.push_back({std::string(field->name), false, type, field->doc});
    }
  }

  void WriteConnect(const std::string& path, const ServedSubresource& sub, bool with_path) {
    static constexpr struct {
      std::string_view verb, method;
    } kMethods[] = {{"get", "get"},     {"update", "put"}, {"create", "post"}, {"delete", "delete"},
                    {"get", "options"}, {"get", "head"},   {"patch", "patch"}};
    std::vector<OpenApiOperation> operations;
    for (const auto& [verb, method] : kMethods) {
      if (std::ranges::find(sub.verbs, verb) == sub.verbs.end()) continue;
      if ((method == "options" || method == "head") && sub.name != "proxy") continue;
      OpenApiOperation one =
          Make(method, "connect", Id("connect", Capital(method), Capital(sub.name) + (with_path ? "WithPath" : "")),
               fmt::format("Connects to the {} of a {} by {}.", sub.name, kind_.kind, ToUpper(method)));
      one.kind = sub.kind;
      one.answer = OpenApiContent::kText;
      AskOptions(one, *sub.kind->type);
      operations.push_back(std::move(one));
    }
    Put(path, std::move(operations));
  }

  void WriteWatches() {
    const std::string old = fmt::format("{}/watch", Root(kind_));
    const std::string within = old + (kind_.namespaced ? "/namespaces/{namespace}" : "");
    const auto watch = [&](std::string_view action, std::string id) {
      OpenApiOperation out =
          Make("get", action, std::move(id),
               fmt::format("Watches {}; better asked for by the parameter watch of a list.",
                           action == "watch" ? "one of the " + std::string(kind_.plural) : std::string(kind_.plural)));
      Ask(out, kList);
      Ask(out, kWatch);
      out.answer = OpenApiContent::kStream;
      out.answer_type = MetaType("WatchEvent");
      return std::vector<OpenApiOperation>{std::move(out)};
    };
    if (kind_.namespaced) {
      Put(fmt::format("{}/{}", old, kind_.plural),
          watch("watchlist", fmt::format("watch{}{}ListForAllNamespaces", group_version_, kind_.kind)));
    }
    Put(fmt::format("{}/{}", within, kind_.plural), watch("watchlist", Id("watch", "", "List")));
    if (Has("get")) Put(fmt::format("{}/{}/{{name}}", within, kind_.plural), watch("watch", Id("watch")));
  }

  const api::KindInfo& kind_;
  const bool returns_deleted_;
  std::vector<OpenApiPath>& paths_;
  std::string tag_;
  std::string group_version_;
  std::string inside_;
};

OpenApiPath InformationPath(std::string path, std::string tag, std::string id, std::string doc,
                            std::string_view type_name) {
  OpenApiOperation get;
  get.method = "get";
  get.id = std::move(id);
  get.doc = std::move(doc);
  get.answer_type = MetaType(type_name);
  return {std::move(path), std::move(tag), {std::move(get)}};
}

}  // namespace

void AddResourcePaths(const api::KindInfo& kind, bool returns_deleted, std::vector<OpenApiPath>& paths) {
  PathWriter(kind, returns_deleted, paths).Write();
}

OpenApiPath ResourceListPath(const api::KindInfo& any) {
  return InformationPath(Root(any) + "/", fmt::format("{}_{}", GroupTag(any.group), any.version),
                         fmt::format("get{}{}APIResources", GroupWord(any.group), Capital(any.version)),
                         "Lists the resources of the group and version.", "APIResourceList");
}

OpenApiPath GroupPath(std::string_view group) {
  return InformationPath(fmt::format("/apis/{}/", group), GroupTag(group),
                         fmt::format("get{}APIGroup", GroupWord(group)), "Lists the versions of the group.",
                         "APIGroup");
}

OpenApiPath CoreVersionsPath() {
  return InformationPath("/api/", "core", "getCoreAPIVersions", "Lists the versions of the core group.", "APIVersions");
}

OpenApiPath GroupsPath() {
  return InformationPath("/apis/", "apis", "getAPIVersions", "Lists the groups and their versions.", "APIGroupList");
}

}  // namespace knarr::apiserver
