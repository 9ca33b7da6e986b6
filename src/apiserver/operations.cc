#include "apiserver/operations.h"

#include <fmt/format.h>

#include "api/codec.h"
#include "api/defaulting.h"
#include "apiserver/audit/event.h"
#include "apiserver/authentication/token_request.h"
#include "apiserver/bind.h"
#include "apiserver/errors.h"
#include "apiserver/evict.h"
#include "apiserver/field_managers.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/patch.h"
#include "apiserver/reviews.h"
#include "apiserver/scale.h"
#include "apiserver/served_form.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

Ok Prepare(const api::KindInfo& kind, doc::Document& object) {
  TRY(FitKind(kind, object));
  api::ApplyDefaults(*kind.type, object.root, object.arena);
  return {};
}

// Who applies with a UID means an object that is there.
Ok CheckNoUid(const Resource& resource, const ObjectName& name, const doc::Value& applied) {
  const std::string_view uid = applied.Get("metadata", "uid").AsString();
  if (uid.empty()) return {};
  return ConflictError(ResourceOf(*resource.kind), name.name,
                       fmt::format("uid mismatch: the provided object specified uid {}, and no existing object was "
                                   "found",
                                   uid));
}

}  // namespace

Result<FieldValidation> ParseFieldValidation(std::string_view text) {
  if (text.empty() || text == "Warn") return FieldValidation::kWarn;
  if (text == "Ignore") return FieldValidation::kIgnore;
  if (text == "Strict") return FieldValidation::kStrict;
  StatusDetails details;
  details.group = "meta.k8s.io";
  details.kind = "CreateOptions";
  const std::string message =
      fmt::format("Unsupported value: \"{}\": supported values: \"Ignore\", \"Strict\", \"Warn\"", text);
  details.causes.push_back({"FieldValueNotSupported", message, "fieldValidation"});
  return Status(Reason::kInvalid,
                fmt::format("CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: {}", message),
                std::move(details));
}

Ok ReportStrict(RequestContext& context, const std::vector<std::string>& found, FieldValidation validation) {
  if (found.empty() || validation == FieldValidation::kIgnore) return {};
  if (validation == FieldValidation::kStrict) return BadRequest(api::StrictErrorText(found));
  context.warnings.AddAll(found);
  return {};
}

Status DecodeError(const api::KindInfo& kind, const Status& why) {
  return BadRequest(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", kind.kind, kind.version,
                                kind.kind, why.message()));
}

Ok Normalize(RequestContext& context, const api::KindInfo& kind, doc::Document& object, FieldValidation validation) {
  api::StrictErrors strict;
  const doc::Value& managed_fields = object.root.Get("metadata", "managedFields");
  const bool forget = managed_fields.is_array() && managed_fields.empty();
  const Ok canonical = api::Canonicalize(*kind.type, object.root, object.arena, &strict);
  if (!canonical.ok()) return DecodeError(kind, canonical.status());
  if (forget) ForgetManagers(object);
  const Ok accepted = ReportStrict(context, strict, validation);
  if (!accepted.ok()) return DecodeError(kind, accepted.status());
  return {};
}

Ok Operations::Authorize(const RequestContext& context, const Attributes& attributes) const {
  const Verdict verdict = security_.authorizer().Authorize(context.runtime, attributes);
  if (context.audit != nullptr) {
    context.audit->Annotate("authorization.k8s.io/decision", verdict.allowed() ? "allow" : "forbid");
    context.audit->Annotate("authorization.k8s.io/reason", verdict.reason);
  }
  if (verdict.allowed()) return {};
  if (!verdict.error.empty()) return Internal("Internal Server Error: " + verdict.error);
  return ForbiddenTo(attributes, verdict.reason);
}

void Operations::Settle(const RequestContext& context, const Resource& resource) const {
  if (!IsRbacKind(*resource.kind)) return;
  security_.role_guard().Settle(context, registry_.world(), registry_.store().Latest()->revision());
}

Ok Operations::CatchUp(RequestContext& context, std::string_view resource_version) const {
  const Result<store::Revision> asked = ParseResourceVersion(resource_version);
  const bool any = resource_version == "0";
  store::Store& store = registry_.store();
  if (any || !asked.ok() || (*asked > 0 && *asked <= store.Latest()->revision())) return {};
  return store.CatchUp(context.runtime);
}

Result<ObjectPtr> Operations::Get(RequestContext& context, Resource& resource, const ObjectName& name,
                                  std::string_view subresource, std::string_view resource_version) const {
  const Subresource* view = FindSubresource(*resource.kind, subresource);
  if (view == nullptr || !view->readable) return NoSuchResourceError();
  TRY(CatchUp(context, resource_version));
  ObjectPtr object = TRY(registry_.Get(context, resource, name, resource_version));
  object = ServedObject(resource, std::move(object));
  if (view->kind == resource.kind) return object;
  return api::Object::FromDocument(TRY(view->project(*resource.kind, object->tree())));
}

Result<ListPage> Operations::List(RequestContext& context, Resource& resource, const ListRequest& request) const {
  // The pages behind the first are of its state.
  if (request.continue_token.empty()) TRY(CatchUp(context, request.resource_version));
  ListPage page = TRY(registry_.List(context, resource, request));
  for (store::Bytes& item : page.items) item = ServedBytes(resource, item);
  return page;
}

Result<ObjectPtr> Operations::Create(RequestContext& context, Resource& resource, std::string_view ns,
                                     doc::Document object, const WriteRequest& request) {
  TRY(CatchUp(context));
  TRY(Prepare(*resource.kind, object));
  const bool review = IsReview(*resource.kind);
  if (!review) WipeSystemFields(object);
  MergeOwners(context, OwnersOf::kRequest, object);
  TRY(ThereAndBack(resource, object));
  TrackFields(context, *FindSubresource(*resource.kind, "")->fields, doc::Value::Null(), object, request.field_manager);
  if (review) return Review(context, *resource.kind, ns, std::move(object));
  TRY(ToStoredForm(resource, object));
  TRY(security_.role_guard().Check(context, *resource.kind, ns, "", object.root, nullptr));
  ObjectPtr made = TRY(registry_.Create(context, resource, {std::string(ns), std::move(object), request.dry_run}));
  Settle(context, resource);
  return ServedObject(resource, std::move(made));
}

Result<ObjectPtr> Operations::CreateSub(RequestContext& context, Resource& resource, const ObjectName& name,
                                        std::string_view subresource, doc::Document object,
                                        const WriteRequest& request) {
  const api::KindInfo* kind = nullptr;
  for (const ServedSubresource& served : ServedSubresources(*resource.kind)) {
    if (served.name == subresource) kind = served.kind;
  }
  if (kind == nullptr) return NoSuchResourceError();
  TRY(CatchUp(context));
  TRY(Prepare(*kind, object));
  if (resource.kind->namespaced) TRY(FitNamespace(*resource.kind, name.ns, object));
  TRY(AdmitSub(context, resource, name, subresource, object, request.dry_run));
  if (subresource == "binding") {
    TRY(BindPod(context, registry_, resource, name, object.root, request.dry_run));
    return ObjectPtr();
  }
  if (subresource == "eviction") {
    Resource* budgets = resources_.Find("policy", "v1", "poddisruptionbudgets");
    CHECK(budgets != nullptr);
    TRY(EvictPod(context, registry_, resource, *budgets, name, object.root, request.dry_run));
    return ObjectPtr();
  }
  if (subresource == "token") {
    const ObjectPtr account = TRY(registry_.Get(context, resource, name));
    doc::Document answer = TRY(AnswerTokenRequest(security_.tokens(), security_.api_audiences(), context,
                                                  *registry_.store().Latest(), account->tree(), std::move(object)));
    TRY(api::Canonicalize(*kind->type, answer.root, answer.arena));
    return api::Object::FromDocument(std::move(answer));
  }
  return MethodNotAllowedError(ResourceOf(*resource.kind), "create");
}

Ok Operations::AdmitSub(RequestContext& context, Resource& resource, const ObjectName& name,
                        std::string_view subresource, doc::Document& object, bool dry_run) {
  AdmissionRequest admission = registry_.MakeAdmission(context, resource, AdmissionOperation::kCreate, dry_run);
  admission.subresource = subresource;
  admission.ns = name.ns;
  admission.name = name.name;
  admission.object = &object;
  TRY(registry_.admission().Mutate(admission));
  return registry_.admission().Validate(admission);
}

Ok Operations::AuthorizeCreate(const RequestContext& context, const Resource& resource, const ObjectName& name,
                               std::string_view subresource) const {
  Attributes attributes;
  attributes.user = context.user;
  attributes.verb = "create";
  attributes.resource_request = true;
  attributes.group = resource.kind->group;
  attributes.version = resource.kind->version;
  attributes.resource = resource.kind->plural;
  attributes.subresource = subresource;
  attributes.ns = name.ns;
  attributes.name = name.name;
  return Authorize(context, attributes);
}

Result<UpdateOutcome> Operations::UpdateView(
    RequestContext& context, Resource& resource, const ObjectName& name, const Subresource& view,
    const WriteRequest& request, ViewWrite write,
    const std::function<Result<doc::Document>(const doc::Value& current)>& change) {
  TRY(CatchUp(context));
  const api::KindInfo& kind = *resource.kind;
  UpdateRequest update;
  update.name = name;
  update.target = view.target;
  update.subresource = view.name;
  update.dry_run = request.dry_run;
  if (view.name.empty() && write == ViewWrite::kPut) update.create = CreateWhenAbsent::kIfStrategyAllows;
  if (view.name.empty() && write == ViewWrite::kApply) update.create = CreateWhenAbsent::kYes;
  update.make = [&](const doc::Value& current) -> Result<doc::Document> {
    doc::Document served;
    doc::Document shown;
    const doc::Value* object = &current;
    if (!current.is_null() && !resource.is_stored_form()) {
      served = ServedCopy(resource, current);
      object = &served.root;
    }
    const doc::Value* seen = object;
    if (!current.is_null() && view.project != nullptr) {
      shown = TRY(view.project(kind, *object));
      ShareManagedFields(kind, *object, shown);
      seen = &shown.root;
    }
    doc::Document changed = TRY(change(*seen));
    if (write == ViewWrite::kPut && !current.is_null()) {
      TRY(CheckUid(resource, name, changed.root.Get("metadata", "uid").AsString(),
                   current.Get("metadata", "uid").AsString()));
    }
    TRY(Prepare(*view.kind, changed));
    if (view.name.empty()) TRY(ThereAndBack(resource, changed));
    if (write != ViewWrite::kApply) TrackFields(context, *view.fields, *seen, changed, request.field_manager);
    if (current.is_null()) TRY(AuthorizeCreate(context, resource, name, view.name));
    doc::Document merged = view.merge == nullptr ? std::move(changed) : TRY(view.merge(kind, *object, changed.root));
    TRY(ToStoredForm(resource, merged));
    TRY(security_.role_guard().Check(context, kind, name.ns, name.name, merged.root,
                                     current.is_null() ? nullptr : &current));
    return merged;
  };
  UpdateOutcome outcome = TRY(registry_.Update(context, resource, update));
  Settle(context, resource);
  outcome.object = ServedObject(resource, std::move(outcome.object));
  if (view.kind != resource.kind) {
    outcome.object = api::Object::FromDocument(TRY(view.project(kind, outcome.object->tree())));
  }
  return outcome;
}

Result<UpdateOutcome> Operations::Update(RequestContext& context, Resource& resource, const ObjectName& name,
                                         std::string_view subresource, doc::Document object,
                                         const WriteRequest& request) {
  const Subresource* view = FindSubresource(*resource.kind, subresource);
  if (view == nullptr || !view->writable) return NoSuchResourceError();
  TRY(FitName(resource, name, object));
  MergeOwners(context, OwnersOf::kRequest, object);
  return UpdateView(
      context, resource, name, *view, request, ViewWrite::kPut,
      [&](const doc::Value& /*current*/) -> Result<doc::Document> { return doc::Document::Copy(object.root); });
}

Result<UpdateOutcome> Operations::Patch(RequestContext& context, Resource& resource, const ObjectName& name,
                                        std::string_view subresource, const PatchRequest& patch,
                                        const WriteRequest& request) {
  const Subresource* view = FindSubresource(*resource.kind, subresource);
  if (view == nullptr || !view->writable || !view->readable) return NoSuchResourceError();
  const ParsedPatch parsed = TRY(ParsePatch(patch.type, patch.body));
  if (patch.type == client::PatchType::kApply) return Apply(context, resource, name, *view, parsed, request);
  const size_t warnings = context.warnings.size();
  return UpdateView(context, resource, name, *view, request, ViewWrite::kPatch,
                    [&](const doc::Value& current) -> Result<doc::Document> {
                      context.warnings.Resize(warnings);  // of the attempt before
                      return Patched(context, *view->kind, current, parsed, request.validation);
                    });
}

Result<DeleteOutcome> Operations::Delete(RequestContext& context, Resource& resource, const ObjectName& name,
                                         const client::DeleteOptions& options) {
  TRY(CatchUp(context));
  DeleteOutcome outcome = TRY(registry_.Delete(context, resource, name, options));
  Settle(context, resource);
  outcome.object = ServedObject(resource, std::move(outcome.object));
  return outcome;
}

Result<ListPage> Operations::DeleteCollection(RequestContext& context, Resource& resource, const ListRequest& list,
                                              const client::DeleteOptions& options) {
  TRY(CatchUp(context));
  ListPage page = TRY(registry_.DeleteCollection(context, resource, list, options));
  Settle(context, resource);
  for (store::Bytes& item : page.items) item = ServedBytes(resource, item);
  return page;
}

Result<UpdateOutcome> Operations::Apply(RequestContext& context, Resource& resource, const ObjectName& name,
                                        const Subresource& view, const ParsedPatch& patch,
                                        const WriteRequest& request) {
  const size_t warnings = context.warnings.size();
  return UpdateView(context, resource, name, view, request, ViewWrite::kApply,
                    [&](const doc::Value& current) -> Result<doc::Document> {
                      context.warnings.Resize(warnings);  // of the attempt before
                      doc::Document applied =
                          TRY(view.fields->Apply(current, patch.document.root,
                                                 {request.field_manager, request.force, context.runtime.Wall()}));
                      if (current.is_null()) TRY(CheckNoUid(resource, name, applied.root));
                      if (request.validation == FieldValidation::kStrict && !patch.strict.empty()) {
                        return BadRequest(
                            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  " +
                            Join(patch.strict, "\n  "));
                      }
                      TRY(ReportStrict(context, patch.strict, request.validation));
                      return applied;
                    });
}

}  // namespace knarr::apiserver
