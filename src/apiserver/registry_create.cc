#include <fmt/format.h>

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

StrategyContext ResourceRegistry::MakeContext(const RequestContext& context, bool dry_run) const {
  return {context.runtime, store_, context.user, context.runtime.Wall(), dry_run, store_.Latest()};
}

Ok ResourceRegistry::CheckNamespace(const Resource& resource, const StrategyContext& context,
                                    const doc::Value& object) const {
  if (!resource.kind->namespaced) return {};
  const std::string ns(object.Get("metadata", "namespace").AsString());
  const auto found = context.snapshot->Get("/registry/core/namespaces/" + ns);
  if (!found.has_value()) return NotFoundError({"", "namespaces"}, ns);
  // The text stands in the bytes only if the namespace is ending: most need no decoding.
  if (found->value->find("deletionTimestamp") == std::string::npos) return {};
  const doc::Document space = DecodeStored(*found->value);
  if (!IsDeleting(space.root)) return {};
  const Status refused =
      ForbiddenError(ResourceOf(*resource.kind), NameOf(object),
                     fmt::format("unable to create new content in namespace {} because it is being terminated", ns));
  return refused.WithCause(
      {"NamespaceTerminating", fmt::format("namespace {} is being terminated", ns), "metadata.namespace"});
}

Result<ObjectPtr> ResourceRegistry::Create(RequestContext& context, Resource& resource, CreateRequest request) {
  const api::KindInfo& kind = *resource.stored;
  doc::Document& object = request.object;
  TRY(FitKind(kind, object));
  TRY(FitNamespace(kind, request.ns, object));
  if (!Metadata(object).At("resourceVersion").AsString().empty()) {
    return Status(Reason::kUnknown, "resourceVersion should not be set on objects to be created");
  }
  StampNew(context.runtime, context.runtime.Wall(), object);
  const std::string base(Metadata(object).At("generateName").AsString());
  const bool generate = NameOf(object.root).empty() && !base.empty();
  for (int attempt = 1;; ++attempt) {
    if (generate) {
      const std::string name = GenerateName(base, context.runtime.Random());
      Metadata(object).Set(object.arena, "name", doc::Value::String(object.arena, name));
    }
    Result<ObjectPtr> created = CreateNamed(context, resource, object, request.dry_run);
    if (!generate || !created.Failed(Reason::kAlreadyExists)) return created;
    if (attempt == kGenerateTries) {
      return Status(Reason::kAlreadyExists,
                    created.status().message() + ", the server was not able to generate a unique name for the object",
                    created.status().details());
    }
  }
}

Result<ObjectPtr> ResourceRegistry::CreateNamed(RequestContext& context, Resource& resource, doc::Document& object,
                                                bool dry_run) {
  const api::KindInfo& kind = *resource.stored;
  const StrategyContext strategy_context = MakeContext(context, dry_run);
  TRY(CheckNamespace(resource, strategy_context, object.root));
  TRY(resource.strategy->PrepareForCreate(strategy_context, object));
  TRY(resource.strategy->AdmitCreate(strategy_context, object));
  // Validation looks at what will be stored.
  TRY(api::Canonicalize(*kind.type, object.root, object.arena));
  const api::ErrorList errors = resource.strategy->Validate(object.root);
  const std::string name(NameOf(object.root));
  if (!errors.empty()) return api::InvalidObject(kind, name, errors);
  for (std::string& text : resource.strategy->Warnings(object.root)) context.warnings.push_back(std::move(text));

  const std::string key = resource.Key({std::string(object.root.Get("metadata", "namespace").AsString()), name});
  const auto exists = [&](const store::Bytes& bytes) -> Status {
    const Status status = AlreadyExistsError(ResourceOf(*resource.kind), name);
    if (!IsDeleting(DecodeStored(*bytes).root)) return status;
    return {Reason::kAlreadyExists, "object is being deleted: " + status.message(), status.details()};
  };
  if (const auto present = strategy_context.snapshot->Get(key)) return exists(present->value);
  if (dry_run) {
    TRY(TryReserve(context, resource, object, nullptr));
    const StoredForm form = TRY(EncodeStored(kind, object));
    return api::Object::FromBytes(std::make_shared<const std::string>(WithoutRevision(form)));
  }
  Result<store::KeyValue> written = CommitPut(context, resource, key, 0, object, nullptr);
  if (written.ok()) return api::Object::FromBytes(std::move(written->value));
  if (!written.Failed(Reason::kConflict)) return written.status();
  const auto newest = Newest(context, key);
  return newest.has_value() ? exists(newest->value) : AlreadyExistsError(ResourceOf(*resource.kind), name);
}

Ok ResourceRegistry::TryReserve(RequestContext& context, Resource& resource, doc::Document& object,
                                const doc::Value* old) {
  if (!resource.strategy->reserves()) return {};
  const auto reserved = rt::CallOn(context.runtime, world_,
                                   [&] { return resource.strategy->Reserve(*store_.Latest(), object, old, true); });
  if (!reserved.ok()) return reserved.status();
  return {};
}

Result<store::KeyValue> ResourceRegistry::CommitPut(RequestContext& context, Resource& resource, const std::string& key,
                                                    store::Revision expected, doc::Document& object,
                                                    const doc::Value* old) {
  Strategy& strategy = *resource.strategy;
  StoredForm form;
  if (!strategy.reserves()) form = TRY(EncodeStored(*resource.stored, object));
  if (form.bytes.size() > kObjectBytesMax) {
    return Status(Reason::kRequestEntityTooLarge,
                  fmt::format("etcdserver: request is too large: {} \"{}\" has {} bytes, the limit is {}",
                              resource.kind->kind, NameOf(object.root), form.bytes.size(), kObjectBytesMax));
  }
  return rt::CallOn(context.runtime, world_, [&]() -> Result<store::KeyValue> {
    std::function<void()> undo;
    if (strategy.reserves()) {
      undo = TRY(strategy.Reserve(*store_.Latest(), object, old, false));
      Result<StoredForm> encoded = EncodeStored(*resource.stored, object);
      if (!encoded.ok()) {
        if (undo) undo();
        return encoded.status();
      }
      form = std::move(*encoded);
    }
    Result<store::TxnResult> done = store_.Txn({{key, expected}}, {{key, std::move(form.bytes), form.revision_offset}});
    if (!done.ok()) {
      if (undo) undo();
      return done.status();
    }
    if (old != nullptr && strategy.reserves()) strategy.ReleaseChanged(object.root, *old);
    return std::move(done->written.front());
  });
}

Result<store::KeyValue> ResourceRegistry::CommitDelete(RequestContext& context, Resource& resource,
                                                       const std::string& key, store::Revision expected,
                                                       const doc::Value& old) {
  return rt::CallOn(context.runtime, world_, [&]() -> Result<store::KeyValue> {
    store::TxnResult done = TRY(store_.Txn({{key, expected}}, {{key, std::nullopt}}));
    if (resource.strategy->reserves()) resource.strategy->Release(old);
    return std::move(done.written.front());
  });
}

std::optional<store::KeyValue> ResourceRegistry::Newest(RequestContext& context, const std::string& key) const {
  return rt::CallOn(context.runtime, world_, [&] { return store_.Newest(key); });
}

}  // namespace knarr::apiserver
