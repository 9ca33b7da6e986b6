#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/codec.h"
#include "apiserver/errors.h"
#include "apiserver/field_managers.h"
#include "apiserver/local.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/registry.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// How often a write without a resourceVersion of its own is prepared again because somebody else's came between. Each
// round some writer has won, so the bound is only reached by one that is much slower than all the others.
constexpr int kTries = 64;

Ok CheckIdentity(const Resource& resource, const ObjectName& name, doc::Document& object) {
  TRY(FitKind(*resource.stored, object));
  return FitName(resource, name, object);
}

// Whether the new object is based on the stored one, as far as the client says on what it is based.
Ok CheckVersion(const Resource& resource, const ObjectName& name, const doc::Value& object,
                const store::KeyValue& current) {
  const std::string_view version = object.Get("metadata", "resourceVersion").AsString();
  if (version.empty() || version == "0") {
    if (resource.strategy->allow_unconditional_update()) return {};
    // Upstream names the resource here, where it names the kind everywhere else.
    api::KindInfo named = *resource.kind;
    named.kind = named.plural;
    return InvalidError(
        named, name.name,
        {{"FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"}});
  }
  if (version == std::to_string(current.mod_revision)) return {};
  if (!ParseResourceVersion(version).ok()) {
    return BareError(fmt::format("strconv.ParseUint: parsing {}: {}", GoQuote(version), NumberProblem(version)));
  }
  return ModifiedError(ResourceOf(*resource.kind), name.name);
}

// A conflict of the store's: it says neither what it is about nor whose fields they are.
bool AnotherWasFaster(const Result<UpdateOutcome>& outcome) {
  if (!outcome.Failed(Reason::kConflict)) return false;
  const StatusDetails& details = outcome.status().details();
  return details.kind.empty() && (details.causes.empty() || details.causes.front().type != "FieldManagerConflict");
}

// An object whose deletion waited for nothing but what this update takes away.
bool ShouldGo(const Resource& resource, const doc::Value& object) {
  return IsDeleting(object) && !HasFinalizers(object) && DeletionGrace(object).value_or(0) == 0 &&
         resource.strategy->ReadyToGo(object);
}

}  // namespace

Result<UpdateOutcome> ResourceRegistry::Update(RequestContext& context, Resource& resource,
                                               const UpdateRequest& request) {
  const std::string key = resource.Key(request.name);
  std::optional<store::KeyValue> current = store_.Latest()->Get(key);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (!current.has_value()) {
      const bool may_create =
          request.create == CreateWhenAbsent::kYes ||
          (request.create == CreateWhenAbsent::kIfStrategyAllows && resource.strategy->allow_create_on_update());
      if (!may_create || !request.uid.empty()) {
        return NotFoundError(ResourceOf(*resource.kind), request.name.name);
      }
      doc::Document object = TRY(request.make(doc::Value::Null()));
      TRY(CheckIdentity(resource, request.name, object));
      Metadata(object).Remove("resourceVersion");
      Result<ObjectPtr> created = Create(context, resource, {request.name.ns, std::move(object), request.dry_run});
      if (created.ok()) return UpdateOutcome{std::move(*created), true};
      if (!created.Failed(Reason::kAlreadyExists)) return created.status();
    } else {
      Result<UpdateOutcome> outcome = UpdateOnce(context, resource, request, *current);
      if (!AnotherWasFaster(outcome)) return outcome;
      TRY(context.runtime.CheckCancelled());
    }
    current = TRY(Newest(context, key));
  }
  return ModifiedError(ResourceOf(*resource.kind), request.name.name);
}

Result<UpdateOutcome> ResourceRegistry::UpdateOnce(RequestContext& context, Resource& resource,
                                                   const UpdateRequest& request, const store::KeyValue& current) {
  const api::KindInfo& kind = *resource.stored;
  const doc::Document old = DecodeStored(*current.value);
  TRY(CheckUid(resource, request.name, request.uid, old.root.Get("metadata", "uid").AsString()));
  doc::Document object = TRY(request.make(old.root));
  TRY(CheckIdentity(resource, request.name, object));
  AdmissionRequest admission = MakeAdmission(context, resource, AdmissionOperation::kUpdate, request.dry_run);
  admission.subresource = request.subresource;
  admission.ns = object.root.Get("metadata", "namespace").AsString();
  admission.name = request.name.name;
  admission.object = &object;
  admission.old_object = &old.root;
  const bool admits = request.admission == Admission::kRun;
  if (admits) TRY(admission_.Mutate(admission));
  MergeOwners(context, OwnersOf::kAdmitted, object);
  TRY(CheckVersion(resource, request.name, object.root, current));
  CarryOver(object, old.root);
  Metadata(object).Set(object.arena, "resourceVersion",
                       doc::Value::String(object.arena, std::to_string(current.mod_revision)));

  const StrategyContext strategy_context = MakeContext(context, request.dry_run);
  TRY(resource.strategy->PrepareForUpdate(strategy_context, request.target, object, old.root));
  // Validation looks at what will be stored.
  TRY(api::Canonicalize(*kind.type, object.root, object.arena));
  KeepTimes(object, old.root);
  api::ErrorList errors = api::ValidateAnyUpdate(kind, object.root, old.root);
  std::ranges::move(resource.strategy->ValidateUpdate(request.target, object.root, old.root),
                    std::back_inserter(errors));
  if (!errors.empty()) return api::InvalidObject(kind, request.name.name, errors);
  context.warnings.AddAll(resource.strategy->Warnings(request.target, object.root, &old.root));
  if (admits) TRY(admission_.Validate(admission));
  resource.strategy->FillStored(object);

  if (ShouldGo(resource, object.root)) {
    if (request.dry_run) return UpdateOutcome{api::Object::FromBytes(current.value)};
    TRY(CommitDelete(context, resource, current.key, current.mod_revision, old.root));
    return UpdateOutcome{api::Object::FromDocument(std::move(object))};
  }
  Metadata(object).Remove("resourceVersion");
  Put put{.key = current.key,
          .expected = current.mod_revision,
          .object = object,
          .old = &old.root,
          .admission = admits ? &admission : nullptr,
          .along = request.along};
  if (request.dry_run) TRY(TryCommit(context, resource, put));
  StoredForm form = TRY(EncodeStored(kind, object));
  if (!request.along && SameAsStored(form, *current.value)) return UpdateOutcome{api::Object::FromBytes(current.value)};
  if (request.dry_run) {
    const std::string bytes = WithRevision(form, StoredResourceVersion(*current.value));
    return UpdateOutcome{api::Object::FromBytes(std::make_shared<const std::string>(bytes))};
  }
  put.form = &form;
  store::KeyValue written = TRY(CommitPut(context, resource, put));
  return UpdateOutcome{api::Object::FromBytes(std::move(written.value))};
}

}  // namespace knarr::apiserver
