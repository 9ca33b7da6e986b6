#include <fmt/format.h>

#include "apiserver/bind.h"
#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/object_meta.h"
#include "apiserver/request_info.h"
#include "apiserver/reviews.h"
#include "apiserver/write_options.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

Status BadQuery(std::string_view name, std::string_view value, std::string_view why) {
  return BadRequest(fmt::format("invalid query parameter {}={}: {}", name, GoQuote(value), why));
}

Result<std::optional<int64_t>> QueryInt(const net::Url& url, std::string_view name) {
  const std::string_view text = url.Query(name);
  if (text.empty()) return std::optional<int64_t>();
  const Result<int64_t> value = ParseInt64(text);
  if (!value.ok()) return BadQuery(name, text, value.status().message());
  return std::optional<int64_t>(*value);
}

Result<bool> ReadDryRun(const net::Url& url) {
  bool dry = false;
  for (const auto& [name, value] : url.query) {
    if (name != "dryRun" || value.empty()) continue;
    if (value != "All") {
      return Invalid(fmt::format("dryRun: Unsupported value: \"{}\": supported values: \"All\"", value));
    }
    dry = true;
  }
  return dry;
}

Result<RenderOptions> ReadRender(const Call& call, bool tables = true) {
  RenderOptions options;
  options.form = TRY(Negotiate(call.request, tables));
  options.include_object = TRY(ReadIncludeObject(call.request.url.Query("includeObject")));
  options.now = call.context.runtime.Wall();
  options.runtime = &call.context.runtime;
  return options;
}

// The kind of what a request writes or reads: the resource's, or its subresource's.
const api::KindInfo* KindOf(const Call& call) {
  const api::KindInfo& kind = *call.resource->kind;
  if (call.attributes.subresource.empty()) return &kind;
  for (const ServedSubresource& served : ServedSubresources(kind)) {
    if (served.name == call.attributes.subresource) return served.kind;
  }
  return nullptr;
}

Result<Answer> ObjectAnswer(const api::KindInfo& kind, const ObjectPtr& object, const RenderOptions& options,
                            int code) {
  Answer answer;
  answer.code = code;
  answer.content_type = ContentTypeOf(options.form.encoding);
  answer.body = TRY(RenderObject(kind, *object, options));
  return answer;
}

// metav1.Status "Success", for what has no object to answer with.
Result<Answer> SuccessAnswer(const RenderOptions& options, int code, const doc::Value* details, doc::Arena& arena) {
  using doc::Value;
  Value root = Value::Object();
  root.AddMember(arena, "kind", Value::Borrow("Status"));
  root.AddMember(arena, "apiVersion", Value::Borrow("v1"));
  root.AddMember(arena, "metadata", Value::Object());
  root.AddMember(arena, "status", Value::Borrow("Success"));
  if (details != nullptr) {
    root.AddMember(arena, "details", *details);
  } else {
    root.AddMember(arena, "code", Value::Int(code));
  }
  Answer answer;
  answer.code = code;
  answer.content_type = ContentTypeOf(options.form.encoding);
  answer.body.text = TRY(RenderTree(api::FindRootType("v1", "Status"), root, options.form.encoding));
  return answer;
}

Result<client::DeleteOptions> ReadDelete(Call& call) {
  using client::Propagation;
  const net::Url& url = call.request.url;
  client::DeleteOptions options;
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  if (!TrimSpace(body).empty()) {
    const api::KindInfo* kind = api::FindKind("v1", "DeleteOptions");
    api::KindInfo own;
    if (kind == nullptr) {
      own.kind = "DeleteOptions";
      own.version = own.api_version = "v1";
      own.type = api::FindRootType("v1", "DeleteOptions");
      kind = &own;
    }
    const Encoding encoding = TRY(BodyEncoding(call.request));
    const doc::Document decoded = TRY(DecodeBody(call.context, body, encoding, *kind, FieldValidation::kIgnore));
    if (!decoded.root.At("orphanDependents").is_null() && !decoded.root.At("propagationPolicy").is_null()) {
      return Invalid(
          "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and "
          "deletionPropagation cannot be both set");
    }
    options = ReadDeleteOptions(decoded.root);
  }
  const auto grace = TRY(QueryInt(url, "gracePeriodSeconds"));
  if (grace.has_value()) options.grace_seconds = grace;
  const std::string_view policy = url.Query("propagationPolicy");
  if (policy == "Orphan") options.propagation = Propagation::kOrphan;
  if (policy == "Background") options.propagation = Propagation::kBackground;
  if (policy == "Foreground") options.propagation = Propagation::kForeground;
  if (url.HasQuery("orphanDependents")) {
    options.propagation = QueryBool(url, "orphanDependents") ? Propagation::kOrphan : Propagation::kBackground;
  }
  const bool dry_run = TRY(ReadDryRun(url));
  options.dry_run = options.dry_run || dry_run;
  return options;
}

Result<client::PatchType> PatchTypeOf(const net::Request& request) {
  std::string_view type = request.headers.Get("Content-Type");
  type = TrimSpace(type.substr(0, type.find(';')));
  if (type == "application/json-patch+json") return client::PatchType::kJson;
  if (type == "application/merge-patch+json") return client::PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return client::PatchType::kStrategicMerge;
  if (type == "application/apply-patch+yaml") return client::PatchType::kApply;
  return Status(Reason::kUnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
                "application/apply-patch+yaml");
}

}  // namespace

Result<ListRequest> ReadListRequest(const Call& call) {
  const net::Url& url = call.request.url;
  ListRequest request;
  request.ns = call.attributes.ns;
  request.selection =
      TRY(Selection::Parse(*call.resource->kind, url.Query("labelSelector"), url.Query("fieldSelector")));
  // The old form of watching has the name in the path.
  if (!call.attributes.name.empty() && !request.selection.name().has_value()) {
    std::vector<FieldRequirement> fields = request.selection.fields.requirements();
    fields.push_back({"metadata.name", true, call.attributes.name});
    request.selection.fields = FieldSelector(std::move(fields));
  }
  request.limit = TRY(QueryInt(url, "limit")).value_or(0);
  request.continue_token = url.Query("continue");
  request.resource_version = url.Query("resourceVersion");
  request.resource_version_match = url.Query("resourceVersionMatch");
  return request;
}

Result<Answer> HttpFace::AnswerResource(Call& call) {
  const std::string& verb = call.attributes.verb;
  if (call.resource->kind->namespaced && call.attributes.ns.empty() && verb != "list") {
    // Across all namespaces there are lists, and nothing else.
    if (!call.attributes.name.empty() || IsReview(*call.resource->kind)) return NoSuchResourceError();
    return Status(Reason::kMethodNotAllowed, "the server does not allow this method on the requested resource");
  }
  if (!call.resource->kind->namespaced && !call.attributes.ns.empty() && call.resource->kind->plural != "namespaces") {
    return NoSuchResourceError();
  }
  if (IsReview(*call.resource->kind) && verb != "create") {
    // Only the collection is there, for creating.
    const bool nowhere = call.resource->kind->namespaced && call.attributes.ns.empty();
    if (!call.attributes.name.empty() || nowhere) return NoSuchResourceError();
    return MethodNotAllowedError(ResourceOf(*call.resource->kind), verb);
  }
  if (verb == "get" || verb == "list") return GetOrList(call);
  if (verb == "create") return Create(call);
  if (verb == "update") return Update(call);
  if (verb == "patch") return Patch(call);
  if (verb == "delete" || verb == "deletecollection") return Delete(call);
  return MethodNotAllowedError(ResourceOf(*call.resource->kind), verb);
}

Result<Answer> HttpFace::GetOrList(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  Operations& operations = core_.operations();
  if (call.attributes.verb == "list") {
    const ListRequest request = TRY(ReadListRequest(call));
    ListPage page = TRY(operations.List(call.context, *call.resource, request));
    Answer answer;
    answer.content_type = ContentTypeOf(options.form.encoding);
    answer.body = TRY(RenderList(*call.resource->kind, std::move(page), options));
    return answer;
  }
  const ObjectPtr object = TRY(operations.Get(call.context, *call.resource, call.name(), call.attributes.subresource,
                                              call.request.url.Query("resourceVersion")));
  const api::KindInfo* kind = KindOf(call);
  return ObjectAnswer(*kind, object, options, 200);
}

Result<Answer> HttpFace::Create(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const WriteRequest write = TRY(ReadWriteOptions(call.request, "CreateOptions"));
  const api::KindInfo* kind = KindOf(call);
  if (kind == nullptr) return NoSuchResourceError();
  const bool sub = !call.attributes.subresource.empty();
  if (!sub && !call.attributes.name.empty()) return MethodNotAllowedError(ResourceOf(*kind), "create");
  const Encoding encoding = TRY(BodyEncoding(call.request));
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  doc::Document object = TRY(DecodeBody(call.context, body, encoding, *kind, write.validation));
  Operations& operations = core_.operations();
  if (!sub) {
    const ObjectPtr made =
        TRY(operations.Create(call.context, *call.resource, call.attributes.ns, std::move(object), write));
    return ObjectAnswer(*kind, made, options, 201);
  }
  ObjectName name = call.name();
  if (name.name.empty()) name.name = NameOf(object.root);  // the old bindings resource
  const ObjectPtr made = TRY(
      operations.CreateSub(call.context, *call.resource, name, call.attributes.subresource, std::move(object), write));
  if (made != nullptr) return ObjectAnswer(*kind, made, options, 201);
  doc::Arena arena;
  return SuccessAnswer(options, 201, nullptr, arena);
}

Result<Answer> HttpFace::Update(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const WriteRequest write = TRY(ReadWriteOptions(call.request, "UpdateOptions"));
  const api::KindInfo* kind = KindOf(call);
  if (kind == nullptr) return NoSuchResourceError();
  if (call.attributes.name.empty()) return MethodNotAllowedError(ResourceOf(*kind), "update");
  const Encoding encoding = TRY(BodyEncoding(call.request));
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  doc::Document object = TRY(DecodeBody(call.context, body, encoding, *kind, write.validation));
  const UpdateOutcome outcome = TRY(core_.operations().Update(call.context, *call.resource, call.name(),
                                                              call.attributes.subresource, std::move(object), write));
  return ObjectAnswer(*kind, outcome.object, options, outcome.created ? 201 : 200);
}

Result<Answer> HttpFace::Patch(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const api::KindInfo* kind = KindOf(call);
  if (kind == nullptr) return NoSuchResourceError();
  if (call.attributes.name.empty()) return MethodNotAllowedError(ResourceOf(*kind), "patch");
  PatchRequest patch;
  patch.type = TRY(PatchTypeOf(call.request));
  const WriteRequest write = TRY(ReadWriteOptions(call.request, "PatchOptions", patch.type));
  patch.body = TRY(call.request.read_body(kBodyBytesMax));
  const UpdateOutcome outcome = TRY(
      core_.operations().Patch(call.context, *call.resource, call.name(), call.attributes.subresource, patch, write));
  return ObjectAnswer(*kind, outcome.object, options, outcome.created ? 201 : 200);
}

Result<Answer> HttpFace::Delete(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  if (!call.attributes.subresource.empty()) {
    return MethodNotAllowedError(ResourceOf(*call.resource->kind), "delete");
  }
  const api::KindInfo& kind = *call.resource->kind;
  const client::DeleteOptions wanted = TRY(ReadDelete(call));
  Operations& operations = core_.operations();
  if (call.attributes.verb == "deletecollection") {
    if (std::ranges::find(kind.verbs, "deletecollection") == kind.verbs.end()) {
      return MethodNotAllowedError(ResourceOf(kind), "delete");
    }
    ListRequest list = TRY(ReadListRequest(call));
    ListPage page = TRY(operations.DeleteCollection(call.context, *call.resource, list, wanted));
    Answer answer;
    answer.content_type = ContentTypeOf(options.form.encoding);
    answer.body = TRY(RenderList(kind, std::move(page), options));
    return answer;
  }
  const DeleteOutcome outcome = TRY(operations.Delete(call.context, *call.resource, call.name(), wanted));
  const bool waits = !outcome.gone && wanted.propagation == client::Propagation::kForeground;
  if (!outcome.gone || call.resource->strategy->returns_deleted_object()) {
    return ObjectAnswer(kind, outcome.object, options, waits ? 202 : 200);
  }
  doc::Arena arena;
  doc::Value details = doc::Value::Object();
  details.AddMember(arena, "name", doc::Value::String(arena, call.attributes.name));
  if (!kind.group.empty()) details.AddMember(arena, "group", doc::Value::Borrow(kind.group));
  details.AddMember(arena, "kind", doc::Value::Borrow(kind.plural));
  details.AddMember(arena, "uid", doc::Value::String(arena, outcome.object->uid()));
  return SuccessAnswer(options, 200, &details, arena);
}

}  // namespace knarr::apiserver
