#include "apiserver/object_meta.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "apiserver/errors.h"
#include "base/uuid.h"
#include "doc/json.h"

namespace knarr::apiserver {

using doc::Value;

Ok FitNamespace(const api::KindInfo& kind, std::string_view ns, doc::Document& object) {
  Value& metadata = Metadata(object);
  if (!kind.namespaced) {
    metadata.Remove("namespace");
    return {};
  }
  const std::string_view own = metadata.At("namespace").AsString();
  if (own.empty()) {
    metadata.Set(object.arena, "namespace", Value::String(object.arena, ns));
  } else if (own != ns) {
    return BadRequest(
        fmt::format("the namespace of the provided object does not match the namespace sent on the request"));
  }
  return {};
}

Ok FitName(const Resource& resource, const ObjectName& name, doc::Document& object) {
  TRY(FitNamespace(*resource.stored, name.ns, object));
  const std::string_view own = NameOf(object.root);
  if (own.empty()) {
    return BadRequest(
        fmt::format("the name of the object ({} based on URL) was undeterminable: name must be provided", name.name));
  }
  if (own != name.name) {
    return BadRequest(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})", own, name.name));
  }
  return {};
}

Ok FitKind(const api::KindInfo& kind, doc::Document& object) {
  const std::string_view own_kind = object.root.At("kind").AsString();
  const std::string_view own_version = object.root.At("apiVersion").AsString();
  if ((!own_kind.empty() && own_kind != kind.kind) || (!own_version.empty() && own_version != kind.api_version)) {
    return BadRequest(fmt::format(
        "the API version in the data ({}) does not match the expected API version ({})",
        own_kind != kind.kind ? fmt::format("{}, Kind={}", own_version, own_kind) : std::string(own_version),
        own_kind != kind.kind ? fmt::format("{}, Kind={}", kind.api_version, kind.kind)
                              : std::string(kind.api_version)));
  }
  object.root.Set(object.arena, "kind", Value::Borrow(kind.kind));
  object.root.Set(object.arena, "apiVersion", Value::Borrow(kind.api_version));
  return {};
}

void WipeSystemFields(doc::Document& object) {
  Value& metadata = Metadata(object);
  for (const std::string_view member :
       {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "uid", "creationTimestamp"}) {
    metadata.Remove(member);
  }
}

namespace {

// Of equal references the same, whatever the order of their members.
std::string OwnerText(const Value& owner) {
  std::vector<doc::Member> members(owner.members().begin(), owner.members().end());
  std::ranges::sort(members, {}, &doc::Member::key);
  std::string text;
  for (const doc::Member& member : members) {
    doc::WriteJson(Value::Borrow(member.key), text);
    doc::WriteJson(member.value, text);
  }
  return text;
}

}  // namespace

void MergeOwners(RequestContext& context, OwnersOf whose, doc::Document& object) {
  const Value& owners = object.root.Get("metadata", "ownerReferences");
  if (owners.size() < 2) return;
  Value kept = Value::Array();
  std::unordered_set<std::string> known;
  std::string twice;
  for (const Value& owner : owners.items()) {
    if (known.insert(OwnerText(owner)).second) {
      kept.Append(object.arena, owner);
      continue;
    }
    twice.append(twice.empty() ? "" : ", ").append(owner.At("uid").AsString());
  }
  if (kept.size() == owners.size()) return;
  context.warnings.Add(
      fmt::format(".metadata.ownerReferences contains duplicate entries{}; API server dedups owner references in "
                  "1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) "
                  "observed: {}",
                  whose == OwnersOf::kAdmitted ? " after mutating admission happens" : "", twice));
  Metadata(object).Set(object.arena, "ownerReferences", kept);
}

void StampNew(rt::Runtime& runtime, WallTime now, doc::Document& object) {
  Value& metadata = Metadata(object);
  std::array<uint8_t, 16> random{};
  runtime.RandomBytes(random.data(), random.size());
  metadata.Set(object.arena, "uid", Value::String(object.arena, MakeUuid(random)));
  metadata.Set(object.arena, "creationTimestamp", Value::String(object.arena, FormatTime(now)));
}

void CarryOver(doc::Document& object, const Value& old) {
  const Value& before = old.At("metadata");
  Value& metadata = Metadata(object);
  for (const std::string_view member :
       {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (before.At(member).is_null()) continue;
    // Other times than these are ignored; a client that leaves the others out keeps them, and validation refuses other
    // values.
    const Value& given = metadata.At(member);
    const bool absent = given.is_null() || (given.is_string() && given.AsString().empty());
    if (absent || member.ends_with("Timestamp")) KeepMetadata(object, old, member);
  }
  Metadata(object).Remove("selfLink");
  // generation is the strategy's to count.
  KeepMetadata(object, old, "generation");
}

namespace {

// Where upstream keeps an object: its messages say so.
std::string UpstreamKey(const Resource& resource, const ObjectName& name) {
  const api::KindInfo& kind = *resource.stored;
  std::string folder(kind.plural);
  if (kind.plural == "nodes") folder = "minions";
  if (kind.plural == "replicationcontrollers") folder = "controllers";
  if (kind.plural == "services") folder = "services/specs";
  if (kind.plural == "endpoints") folder = "services/endpoints";
  if (kind.plural == "ingresses") folder = "ingress";
  if (kind.group == "apiextensions.k8s.io" || kind.group == "apiregistration.k8s.io") {
    folder = fmt::format("{}/{}", kind.group, kind.plural);
  }
  return kind.namespaced ? fmt::format("/registry/{}/{}/{}", folder, name.ns, name.name)
                         : fmt::format("/registry/{}/{}", folder, name.name);
}

}  // namespace

Status PreconditionError(const Resource& resource, const ObjectName& name, std::string_view what,
                         std::string_view wanted, std::string_view present) {
  return ConflictError(ResourceOf(*resource.kind), name.name,
                       fmt::format("StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, "
                                   "AdditionalErrorMsg: Precondition failed: {} in precondition: {}, {} in object "
                                   "meta: {}",
                                   UpstreamKey(resource, name), what, wanted, what, present));
}

Ok CheckUid(const Resource& resource, const ObjectName& name, std::string_view wanted, std::string_view present) {
  if (wanted.empty() || wanted == present) return {};
  return PreconditionError(resource, name, "UID", wanted, present);
}

std::optional<int64_t> DeletionGrace(const Value& object) {
  const Value& grace = object.Get("metadata", "deletionGracePeriodSeconds");
  if (!grace.is_int()) return std::nullopt;
  return grace.AsInt();
}

bool IsDeleting(const Value& object) { return !object.Get("metadata", "deletionTimestamp").is_null(); }
bool HasFinalizers(const Value& object) { return !object.Get("metadata", "finalizers").empty(); }
std::string_view NameOf(const Value& object) { return object.Get("metadata", "name").AsString(); }

void SetDeletion(doc::Document& object, WallTime when, int64_t grace_seconds) {
  Value& metadata = Metadata(object);
  metadata.Set(object.arena, "deletionTimestamp", Value::String(object.arena, FormatTime(when)));
  metadata.Set(object.arena, "deletionGracePeriodSeconds", Value::Int(grace_seconds));
}

void BumpGeneration(doc::Document& object) {
  Value& metadata = Metadata(object);
  const int64_t now = metadata.At("generation").AsInt();
  if (now > 0) metadata.Set(object.arena, "generation", Value::Int(now + 1));
}

}  // namespace knarr::apiserver
