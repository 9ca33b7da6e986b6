#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/local.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/registry.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kOrphan = "orphan";
constexpr std::string_view kForeground = "foregroundDeletion";
constexpr int kTries = 64;
// Longer graces are kept in the object as they were asked for; no calendar goes further.
constexpr int64_t kGraceMax = int64_t{100} * 365 * 24 * 60 * 60;

std::chrono::seconds GraceTime(int64_t seconds) { return std::chrono::seconds(std::min(seconds, kGraceMax)); }

bool HasFinalizer(const doc::Value& object, std::string_view finalizer) {
  const auto items = object.Get("metadata", "finalizers").items();
  return std::ranges::any_of(items, [&](const doc::Value& item) { return item.AsString() == finalizer; });
}

// What the request, then the object, then the kind says should become of the objects it owns.
client::Propagation PropagationOf(const doc::Value& object, GcPolicy policy, client::Propagation asked) {
  using client::Propagation;
  if (policy == GcPolicy::kUnsupported) return Propagation::kBackground;
  if (asked != Propagation::kDefault) return asked;
  if (HasFinalizer(object, kOrphan)) return Propagation::kOrphan;
  if (HasFinalizer(object, kForeground)) return Propagation::kForeground;
  return policy == GcPolicy::kOrphan ? Propagation::kOrphan : Propagation::kBackground;
}

// Sets the garbage collector's finalizers as the propagation says. False when they already stand so.
bool FitFinalizers(doc::Document& object, client::Propagation propagation) {
  const bool orphan = propagation == client::Propagation::kOrphan;
  const bool foreground = propagation == client::Propagation::kForeground;
  if (HasFinalizer(object.root, kOrphan) == orphan && HasFinalizer(object.root, kForeground) == foreground) {
    return false;
  }
  doc::Value fresh = doc::Value::Array();
  for (const doc::Value& item : object.root.Get("metadata", "finalizers").items()) {
    if (item.AsString() != kOrphan && item.AsString() != kForeground) fresh.Append(object.arena, item);
  }
  if (orphan) fresh.Append(object.arena, doc::Value::Borrow(kOrphan));
  if (foreground) fresh.Append(object.arena, doc::Value::Borrow(kForeground));
  doc::Value& metadata = Metadata(object);
  if (fresh.empty()) {
    metadata.Remove("finalizers");
  } else {
    metadata.Set(object.arena, "finalizers", fresh);
  }
  return true;
}

}  // namespace

/// One attempt to delete one object, prepared from one state of it.
class DeleteRun {
 public:
  DeleteRun(ResourceRegistry& registry, RequestContext& context, Resource& resource,
            const client::DeleteOptions& options, Admission admission, const store::KeyValue& current)
      : registry_(registry),
        context_(context),
        resource_(resource),
        options_(options),
        admission_(admission),
        current_(current),
        old_(DecodeStored(*current.value)),
        now_(context.runtime.Wall()) {}

  Result<DeleteOutcome> Run() {
    TRY(CheckPreconditions());
    doc::Document object = doc::Document::Copy(old_.root);
    const Grace grace = Decide(object);
    if (grace == Grace::kPending) return Unchanged();
    TRY(Admit());
    const bool refitted =
        FitFinalizers(object, PropagationOf(object.root, resource_.strategy->gc_policy(), options_.propagation));
    const bool held = HasFinalizers(object.root) || !resource_.strategy->ReadyToGo(object.root);
    if (grace == Grace::kGraceful && (DeletionGrace(object.root).value_or(0) > 0 || held)) return Write(object);
    if (!held) return Remove();
    const bool marked = MarkAsDeleting(object);
    return marked || refitted ? Write(object) : Unchanged();
  }

 private:
  enum class Grace : uint8_t { kNone, kGraceful, kPending };

  Ok CheckPreconditions() const {
    // Upstream names the kind here, where it names the resource everywhere else.
    const GroupResource what{resource_.stored->group, resource_.stored->kind};
    const std::string_view uid = old_.root.Get("metadata", "uid").AsString();
    if (!options_.uid.empty() && options_.uid != uid) {
      return ConflictError(what, NameOf(old_.root),
                           fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The "
                                       "object might have been deleted and then recreated",
                                       options_.uid, uid));
    }
    const std::string version = std::to_string(current_.mod_revision);
    if (!options_.resource_version.empty() && options_.resource_version != version) {
      return ConflictError(what, NameOf(old_.root),
                           fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                                       "ResourceVersion in record ({}). The object might have been modified",
                                       options_.resource_version, version));
    }
    return {};
  }

  Ok Admit() const {
    if (admission_ == Admission::kDone) return {};
    AdmissionRequest request =
        registry_.MakeAdmission(context_, resource_, AdmissionOperation::kDelete, options_.dry_run);
    request.ns = old_.root.Get("metadata", "namespace").AsString();
    request.name = NameOf(old_.root);
    request.old_object = &old_.root;
    TRY(registry_.admission().Mutate(request));
    return registry_.admission().Validate(request);
  }

  // The grace of this deletion, written into the object when it begins or gets shorter.
  Grace Decide(doc::Document& object) const {
    const std::optional<int64_t> wanted = resource_.strategy->GraceSeconds(old_.root, options_.grace_seconds);
    if (!wanted.has_value()) return Grace::kNone;
    if (!IsDeleting(old_.root)) {
      SetDeletion(object, now_ + GraceTime(*wanted), *wanted);
      BumpGeneration(object);
      return Grace::kGraceful;
    }
    const int64_t present = DeletionGrace(old_.root).value_or(0);
    if (present == 0) return Grace::kNone;
    if (!options_.grace_seconds.has_value()) return Grace::kPending;
    const int64_t asked = *options_.grace_seconds < 0 ? 1 : *options_.grace_seconds;
    if (asked >= present) return Grace::kPending;
    const Result<WallTime> until = ParseTime(old_.root.Get("metadata", "deletionTimestamp").AsString());
    const WallTime when = until.ok() ? *until : now_;
    SetDeletion(object, when - GraceTime(present) + GraceTime(asked), asked);
    return Grace::kGraceful;
  }

  // For objects that only their finalizers hold. False when they are marked already.
  bool MarkAsDeleting(doc::Document& object) const {
    if (IsDeleting(object.root) && DeletionGrace(object.root).value_or(0) == 0) return false;
    if (!IsDeleting(object.root)) BumpGeneration(object);
    SetDeletion(object, now_, 0);
    resource_.strategy->PrepareForDelete(object);
    return true;
  }

  Result<DeleteOutcome> Unchanged() const { return DeleteOutcome{api::Object::FromBytes(current_.value), false}; }

  Result<DeleteOutcome> Write(doc::Document& object) {
    Metadata(object).Remove("resourceVersion");
    if (options_.dry_run) {
      const std::string bytes =
          WithRevision(TRY(EncodeStored(*resource_.stored, object)), StoredResourceVersion(*current_.value));
      return DeleteOutcome{api::Object::FromBytes(std::make_shared<const std::string>(bytes)), false};
    }
    store::KeyValue written =
        TRY(registry_.CommitPut(context_, resource_, {current_.key, current_.mod_revision, object, &old_.root}));
    return DeleteOutcome{api::Object::FromBytes(std::move(written.value)), false};
  }

  Result<DeleteOutcome> Remove() {
    if (options_.dry_run) return DeleteOutcome{api::Object::FromBytes(current_.value), true};
    const store::KeyValue last =
        TRY(registry_.CommitDelete(context_, resource_, current_.key, current_.mod_revision, old_.root));
    return DeleteOutcome{api::Object::FromBytes(WithResourceVersion(*current_.value, last.mod_revision)), true};
  }

  ResourceRegistry& registry_;
  RequestContext& context_;
  Resource& resource_;
  const client::DeleteOptions& options_;
  const Admission admission_;
  const store::KeyValue& current_;
  const doc::Document old_;
  const WallTime now_;
};

Result<DeleteOutcome> ResourceRegistry::Delete(RequestContext& context, Resource& resource, const ObjectName& name,
                                               client::DeleteOptions options, Admission admission) {
  TRY(resource.strategy->CheckDelete(name.name));
  if (options.propagation == client::Propagation::kDefault) {
    context.warnings.AddAll(resource.strategy->DeleteWarnings());
  }
  const std::string key = resource.Key(name);
  std::optional<store::KeyValue> current = store_.Latest()->Get(key);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (!current.has_value()) return NotFoundError(ResourceOf(*resource.kind), name.name);
    Result<DeleteOutcome> outcome = DeleteRun(*this, context, resource, options, admission, *current).Run();
    if (!outcome.Failed(Reason::kConflict) || !outcome.status().details().kind.empty()) return outcome;
    TRY(context.runtime.CheckCancelled());
    current = TRY(Newest(context, key));
  }
  return ModifiedError(ResourceOf(*resource.kind), name.name);
}

Result<ListPage> ResourceRegistry::DeleteCollection(RequestContext& context, Resource& resource,
                                                    const ListRequest& list, const client::DeleteOptions& options) {
  ListPage page = TRY(List(context, resource, list));
  for (const store::Bytes& bytes : page.items) {
    TRY(context.runtime.CheckCancelled());
    const doc::Document object = DecodeStored(*bytes);
    const ObjectName name{std::string(object.root.Get("metadata", "namespace").AsString()),
                          std::string(NameOf(object.root))};
    const Result<DeleteOutcome> outcome = Delete(context, resource, name, options);
    if (!outcome.ok() && !outcome.Failed(Reason::kNotFound)) return outcome.status();
  }
  return page;
}

}  // namespace knarr::apiserver
