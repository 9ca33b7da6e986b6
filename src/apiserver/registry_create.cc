#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/codec.h"
#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/registry.h"
#include "base/random_name.h"
#include "base/strings.h"
#include "rt/sync.h"

namespace knarr::apiserver {

// How often another suffix is drawn for a generateName that hits names in use.
constexpr int kGenerateTries = 8;
// How often a write is made again because something that goes along with it changed while the store was busy.
constexpr int kSideTries = 64;

namespace {

Result<StoredForm> WithinBounds(const Resource& resource, const doc::Document& object, StoredForm form) {
  if (form.bytes.size() <= kObjectBytesMax) return form;
  // Upstream measures its own form, which is never the longer one.
  const std::string protobuf = TRY(api::EncodeProtobuf(*resource.stored->type, object.root));
  if (protobuf.size() > kObjectBytesMax) return BareError("etcdserver: request is too large");
  return form;
}

Result<StoredForm> EncodeForStore(const Resource& resource, doc::Document& object) {
  return WithinBounds(resource, object, TRY(EncodeStored(*resource.stored, object)));
}

// The object itself was as expected, but something else of the transaction was not.
bool LostToOther(const Result<store::KeyValue>& done, const std::string& key) {
  return done.Failed(Reason::kConflict) && done.status().details().name != key;
}

}  // namespace

StrategyContext ResourceRegistry::MakeContext(const RequestContext& context, bool dry_run) const {
  return {context.runtime, store_, context.user, context.runtime.Wall(), dry_run, store_.Latest()};
}

AdmissionRequest ResourceRegistry::MakeAdmission(RequestContext& context, const Resource& resource,
                                                 AdmissionOperation operation, bool dry_run) const {
  return {.context = context,
          .authorizer = admission_.authorizer(),
          .snapshot = store_.Latest(),
          .operation = operation,
          .kind = *resource.kind,
          .subresource = {},
          .ns = {},
          .name = {},
          .dry_run = dry_run};
}

Result<ObjectPtr> ResourceRegistry::Create(RequestContext& context, Resource& resource, CreateRequest request) {
  const api::KindInfo& kind = *resource.stored;
  doc::Document& object = request.object;
  TRY(FitKind(kind, object));
  TRY(FitNamespace(kind, request.ns, object));
  if (!Metadata(object).At("resourceVersion").AsString().empty()) {
    return BareError("resourceVersion should not be set on objects to be created");
  }
  WipeSystemFields(object);
  AdmissionRequest admission = MakeAdmission(context, resource, AdmissionOperation::kCreate, request.dry_run);
  admission.ns = Metadata(object).At("namespace").AsString();
  admission.name = NameOf(object.root);
  admission.object = &object;
  TRY(admission_.Mutate(admission));
  MergeOwners(context, OwnersOf::kAdmitted, object);
  StampNew(context.runtime, context.runtime.Wall(), object);
  const std::string base(Metadata(object).At("generateName").AsString());
  const bool generate = NameOf(object.root).empty() && !base.empty();
  for (int attempt = 1;; ++attempt) {
    if (generate) {
      const std::string name = GenerateName(base, context.runtime.Random());
      Metadata(object).Set(object.arena, "name", doc::Value::String(object.arena, name));
    }
    Result<ObjectPtr> created = CreateNamed(context, resource, object, request.dry_run);
    if (base.empty() || !created.Failed(Reason::kAlreadyExists)) return created;
    if (generate && attempt < kGenerateTries) continue;
    // Also of a name that the client chose, as upstream has it.
    StatusDetails details = created.status().details();
    details.retry_after_seconds = 1;
    return Status(Reason::kAlreadyExists,
                  created.status().message() + ", the server was not able to generate a unique name for the object",
                  std::move(details));
  }
}

Result<ObjectPtr> ResourceRegistry::CreateNamed(RequestContext& context, Resource& resource, doc::Document& object,
                                                bool dry_run) {
  const api::KindInfo& kind = *resource.stored;
  const StrategyContext strategy_context = MakeContext(context, dry_run);
  TRY(resource.strategy->PrepareForCreate(strategy_context, object));
  // Validation looks at what will be stored.
  TRY(api::Canonicalize(*kind.type, object.root, object.arena));
  const api::ErrorList errors = resource.strategy->Validate(object.root);
  const std::string name(NameOf(object.root));
  if (!errors.empty()) return api::InvalidObject(kind, name, errors);
  context.warnings.AddAll(resource.strategy->Warnings(Target::kObject, object.root, nullptr));
  AdmissionRequest admission = MakeAdmission(context, resource, AdmissionOperation::kCreate, dry_run);
  admission.ns = object.root.Get("metadata", "namespace").AsString();
  admission.name = name;
  admission.object = &object;
  TRY(admission_.Validate(admission));
  resource.strategy->FillStored(object);

  const std::string key = resource.Key({std::string(object.root.Get("metadata", "namespace").AsString()), name});
  const auto exists = [&](const store::Bytes& bytes) -> Status {
    const Status status = AlreadyExistsError(ResourceOf(*resource.kind), name);
    if (!IsDeleting(DecodeStored(*bytes).root)) return status;
    return {Reason::kAlreadyExists, "object is being deleted: " + status.message(), status.details()};
  };
  if (const auto present = strategy_context.snapshot->Get(key)) return exists(present->value);
  const Put put{.key = key, .expected = 0, .object = object, .old = nullptr, .admission = &admission};
  if (dry_run) {
    TRY(TryCommit(context, resource, put));
    const StoredForm form = TRY(EncodeStored(kind, object));
    return api::Object::FromBytes(std::make_shared<const std::string>(WithoutRevision(form)));
  }
  Result<store::KeyValue> written = CommitPut(context, resource, put);
  if (written.ok()) return api::Object::FromBytes(std::move(written->value));
  if (!written.Failed(Reason::kConflict)) return written.status();
  const auto newest = TRY(Settled(context, key));
  return newest.has_value() ? exists(newest->value) : AlreadyExistsError(ResourceOf(*resource.kind), name);
}

Ok ResourceRegistry::TryCommit(RequestContext& context, Resource& resource, const Put& put) {
  return rt::CallOn(context.runtime, world_, [&]() -> Ok {
    if (resource.strategy->reserves()) TRY(resource.strategy->Reserve({world_, store_, true}, put.object, put.old));
    std::vector<SideWrite> charges;
    if (put.admission != nullptr) TRY(admission_.Charge(*put.admission, store_, charges));
    return {};
  });
}

Result<store::KeyValue> ResourceRegistry::CommitPut(RequestContext& context, Resource& resource, const Put& put) {
  StoredForm form;
  if (!resource.strategy->reserves()) {
    form = TRY(put.form != nullptr ? WithinBounds(resource, put.object, std::move(*put.form))
                                   : EncodeForStore(resource, put.object));
  }
  return rt::CallOn(context.runtime, world_, [&]() -> Result<store::KeyValue> {
    if (!resource.strategy->reserves()) return WriteWithSides(put, std::move(form));
    const doc::Document given = doc::Document::Copy(put.object.root);
    for (int attempt = 1;; ++attempt) {
      Result<store::KeyValue> done = ReserveAndWrite(resource, put);
      if (!LostToOther(done, put.key) || attempt == kSideTries) return done;
      // What was taken by an attempt that failed is not the next one's.
      put.object = doc::Document::Copy(given.root);
    }
  });
}

Result<store::KeyValue> ResourceRegistry::ReserveAndWrite(Resource& resource, const Put& put) {
  Reservation reservation = TRY(resource.strategy->Reserve({world_, store_, false}, put.object, put.old));
  Result<StoredForm> form = EncodeForStore(resource, put.object);
  Result<store::KeyValue> done =
      form.ok() ? WriteWithSides(put, std::move(*form), &reservation) : Result<store::KeyValue>(form.status());
  const std::function<void()>& then = done.ok() ? reservation.done : reservation.undo;
  if (then) then();
  return done;
}

Result<store::KeyValue> ResourceRegistry::WriteWithSides(const Put& put, StoredForm form,
                                                         const Reservation* reservation) {
  for (int attempt = 1;; ++attempt) {
    std::vector<SideWrite> sides;
    if (put.admission != nullptr) TRY(admission_.Charge(*put.admission, store_, sides));
    if (put.along) {
      std::vector<SideWrite> more = TRY(put.along());
      std::ranges::move(more, std::back_inserter(sides));
    }
    const bool last = sides.empty() || reservation != nullptr || attempt == kSideTries;
    if (reservation != nullptr) sides.insert(sides.end(), reservation->sides.begin(), reservation->sides.end());
    Result<store::KeyValue> done = Write(
        {put.key, put.expected},
        {put.key, last ? std::move(form.bytes) : form.bytes, form.revision_offset, form.digest}, std::move(sides));
    // The object's own key is its caller's to look at again.
    if (last || !LostToOther(done, put.key)) return done;
  }
}

Result<store::KeyValue> ResourceRegistry::Write(store::Compare compare, store::Op op, std::vector<SideWrite> sides) {
  std::vector<store::Compare> compares = {std::move(compare)};
  std::vector<store::Op> ops;
  ops.push_back(std::move(op));
  for (SideWrite& side : sides) {
    compares.push_back(std::move(side.compare));
    ops.push_back(std::move(side.op));
  }
  store::TxnResult done = TRY(store_.Txn(std::move(compares), std::move(ops)));
  return std::move(done.written.front());
}

Result<store::KeyValue> ResourceRegistry::CommitDelete(RequestContext& context, Resource& resource,
                                                       const std::string& key, store::Revision expected,
                                                       const doc::Value& old) {
  return rt::CallOn(context.runtime, world_, [&]() -> Result<store::KeyValue> {
    for (int attempt = 1;; ++attempt) {
      Reservation released;
      if (resource.strategy->reserves()) released = resource.strategy->Release({world_, store_, false}, old);
      Result<store::KeyValue> done = Write({key, expected}, {key, std::nullopt}, std::move(released.sides));
      if (done.ok() && released.done) released.done();
      if (!LostToOther(done, key) || attempt == kSideTries) return done;
    }
  });
}

Result<std::optional<store::KeyValue>> ResourceRegistry::Newest(RequestContext& context, const std::string& key) const {
  std::optional<store::KeyValue> newest = rt::CallOn(context.runtime, world_, [&] { return store_.Newest(key); });
  if (newest.has_value()) return newest;
  return Settled(context, key);
}

Result<std::optional<store::KeyValue>> ResourceRegistry::Settled(RequestContext& context,
                                                                 const std::string& key) const {
  TRY(rt::CallOn(context.runtime, world_, [&] { return store_.Txn({}, {}); }));
  return store_.Latest()->Get(key);
}

}  // namespace knarr::apiserver
