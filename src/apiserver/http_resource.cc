#include <fmt/format.h>

#include "apiserver/audit/http.h"
#include "apiserver/bind.h"
#include "apiserver/decode.h"
#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/object_meta.h"
#include "apiserver/read_options.h"
#include "apiserver/request_info.h"
#include "apiserver/write_options.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

// Metadata of one object is not asked for as that of a list, nor the other way round.
Ok CheckPartial(const Call& call, const OutputForm& form) {
  const bool list = call.attributes.verb == "list" || call.attributes.verb == "deletecollection";
  if (form.of_list == list) return {};
  const std::string name = InternalName(*call.resource->stored);
  return Status(
      Reason::kNotAcceptable,
      list
          ? fmt::format("you requested PartialObjectMetadata, but the requested object is a list (*{}List)", name)
          : fmt::format("you requested PartialObjectMetadataList, but the requested object is not a list (*{})", name));
}

// What has no columns: most subresources, and what is created through them.
bool HasTable(const Call& call) {
  const std::string& sub = call.attributes.subresource;
  return sub.empty() || sub == "status" || sub == "scale";
}

Result<RenderOptions> ReadRender(const Call& call) {
  RenderOptions options;
  options.form = TRY(Negotiate(call.request, HasTable(call)));
  if (options.form.view == View::kTable) {
    options.include_object = TRY(ReadIncludeObject(call.request.url.Query("includeObject")));
  }
  if (options.form.view == View::kPartial) TRY(CheckPartial(call, options.form));
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
Result<Answer> SuccessAnswer(const Call& call, const RenderOptions& options, int code, const doc::Value* details,
                             doc::Arena& arena) {
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
  if (call.context.audit != nullptr) call.context.audit->SetStatus(root);
  Answer answer;
  answer.code = code;
  answer.content_type = ContentTypeOf(options.form.encoding);
  answer.body.text = TRY(RenderTree(api::FindRootType("v1", "Status"), root, options.form.encoding));
  return answer;
}

Result<client::PatchType> PatchTypeOf(const net::Request& request) {
  std::string_view type = request.headers.Get("Content-Type");
  type = TrimSpace(type.substr(0, type.find(';')));
  if (type == "application/json-patch+json") return client::PatchType::kJson;
  if (type == "application/merge-patch+json") return client::PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return client::PatchType::kStrategicMerge;
  if (type == "application/apply-patch+yaml") return client::PatchType::kApply;
  return RouteError(Reason::kUnsupportedMediaType, "415: Unsupported Media Type");
}

}  // namespace

Result<Answer> HttpFace::AnswerResource(Call& call) {
  const std::string& verb = call.attributes.verb;
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
    const ListRequest request = TRY(ReadListOptions(call));
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
  const Encoding encoding = TRY(BodyEncoding(call.request));
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  doc::Document object = TRY(DecodeBody(call.context, body, encoding, *kind, write.validation));
  AuditBody(call, *kind, object.root);
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
  return SuccessAnswer(call, options, 201, nullptr, arena);
}

Result<Answer> HttpFace::Update(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const WriteRequest write = TRY(ReadWriteOptions(call.request, "UpdateOptions"));
  const api::KindInfo* kind = KindOf(call);
  if (kind == nullptr) return NoSuchResourceError();
  const Encoding encoding = TRY(BodyEncoding(call.request));
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  doc::Document object = TRY(DecodeBody(call.context, body, encoding, *kind, write.validation));
  AuditBody(call, *kind, object.root);
  const UpdateOutcome outcome = TRY(core_.operations().Update(call.context, *call.resource, call.name(),
                                                              call.attributes.subresource, std::move(object), write));
  return ObjectAnswer(*kind, outcome.object, options, outcome.created ? 201 : 200);
}

Result<Answer> HttpFace::Patch(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const api::KindInfo* kind = KindOf(call);
  if (kind == nullptr) return NoSuchResourceError();
  PatchRequest patch;
  patch.type = TRY(PatchTypeOf(call.request));
  const WriteRequest write = TRY(ReadWriteOptions(call.request, "PatchOptions", patch.type));
  patch.body = TRY(call.request.read_body(kBodyBytesMax));
  if (call.context.audit != nullptr) call.context.audit->SetRequestPatch(patch.body);
  const UpdateOutcome outcome = TRY(
      core_.operations().Patch(call.context, *call.resource, call.name(), call.attributes.subresource, patch, write));
  return ObjectAnswer(*kind, outcome.object, options, outcome.created ? 201 : 200);
}

Result<Answer> HttpFace::Delete(Call& call) {
  const RenderOptions options = TRY(ReadRender(call));
  const api::KindInfo& kind = *call.resource->kind;
  const DeleteRequest request = TRY(ReadDeleteRequest(call));
  const client::DeleteOptions& wanted = request.options;
  Operations& operations = core_.operations();
  if (call.attributes.verb == "deletecollection") {
    const ListRequest list = TRY(ReadListOptions(call));
    ListPage page = TRY(operations.DeleteCollection(call.context, *call.resource, list, wanted));
    Answer answer;
    answer.content_type = ContentTypeOf(options.form.encoding);
    answer.body = TRY(RenderList(kind, std::move(page), options));
    return answer;
  }
  const DeleteOutcome outcome = TRY(operations.Delete(call.context, *call.resource, call.name(), wanted));
  // As ever since the old way of asking for it.
  const bool waits = !outcome.gone && request.cascades;
  if (!outcome.gone || call.resource->strategy->returns_deleted_object()) {
    return ObjectAnswer(kind, outcome.object, options, waits ? 202 : 200);
  }
  doc::Arena arena;
  doc::Value details = doc::Value::Object();
  details.AddMember(arena, "name", doc::Value::String(arena, call.attributes.name));
  if (!kind.group.empty()) details.AddMember(arena, "group", doc::Value::Borrow(kind.group));
  details.AddMember(arena, "kind", doc::Value::Borrow(kind.plural));
  details.AddMember(arena, "uid", doc::Value::String(arena, outcome.object->uid()));
  return SuccessAnswer(call, options, 200, &details, arena);
}

}  // namespace knarr::apiserver
