#include "cli/kubectl/apply_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "api/managed/managers.h"
#include "cli/kubectl/errors.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

using api::managed::Manager;
using api::managed::Managers;
using doc::Value;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kDefaultManager = "kubectl";
// Keeps the annotation, for those who go back to client-side apply.
constexpr std::string_view kAnnotationManager = "kubectl-last-applied";
constexpr int kTries = 5;

constexpr std::string_view kConflictHelp =
    R"(
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts)";

const Value& ManagedFieldsOf(const Value& object) { return object.Get("metadata", "managedFields"); }

// Who has the annotation among its fields, by Apply or by Update.
std::vector<std::string> OwnersOfAnnotation(const Value& object, bool applies) {
  static const std::string kElement = "f:" + std::string(kLastApplied);
  const std::array<std::string_view, 3> path = {"f:metadata", "f:annotations", kElement};
  std::vector<std::string> out;
  const Managers managers = Managers::Stored(ManagedFieldsOf(object));
  for (const Manager& manager : managers.all()) {
    if (manager.applies == applies && api::managed::Contains(manager.fields, path)) out.emplace_back(manager.name);
  }
  return out;
}

class ServerApply {
 public:
  ServerApply(Session& session, const api::KindInfo& kind, client::ObjectName name, client::WriteOptions options)
      : session_(session), kind_(kind), name_(std::move(name)), options_(std::move(options)) {}

  Result<api::ObjectPtr> Run(const Value& manifest) {
    const std::string body = doc::ToJson(manifest) + "\n";
    Result<api::ObjectPtr> applied = Patch(body, options_);
    if (applied.Failed(Reason::kConflict)) {
      return BadRequest(applied.status().message() + std::string(kConflictHelp));
    }
    if (!applied.ok()) return applied;
    const Result<api::ObjectPtr> saved = KeepAnnotation(*applied);
    if (!saved.ok()) {
      TRY(Warn("failed to migrate kubectl.kubernetes.io/last-applied-configuration for Server-Side Apply",
               saved.status()));
      return applied;
    }
    const Result<api::ObjectPtr> moved = MoveFields(*saved);
    if (!moved.ok()) {
      TRY(Warn("server rejected managed fields migration to Server-Side Apply", moved.status()));
      return saved;
    }
    if (*moved == nullptr) return saved;
    // Again, so that fields which the manifest dropped meanwhile go at last.
    Result<api::ObjectPtr> again = Patch(body, options_);
    if (again.ok()) return again;
    TRY(Warn("failed to re-apply configuration after performing Server-Side Apply migration", again.status()));
    return moved;
  }

 private:
  Result<api::ObjectPtr> Patch(const std::string& body, const client::WriteOptions& options) {
    return session_.client().Patch(kind_, name_, client::PatchType::kApply, body, "", options);
  }

  Ok Warn(std::string_view what, const Status& why) {
    return session_.Warn(fmt::format(
        "Warning: {}. This is non-fatal and will be retried next time you apply. Error: {}\n", what, why.message()));
  }

  // The annotation would go with the manager of client-side apply: it gets a manager of its own.
  Result<api::ObjectPtr> KeepAnnotation(const api::ObjectPtr& object) {
    if (options_.field_manager != kDefaultManager) return object;
    const Value& text = object->tree().Get("metadata", "annotations").At(kLastApplied);
    if (!text.is_string() || !OwnersOfAnnotation(object->tree(), true).empty()) return object;
    doc::Document only;
    doc::Arena& arena = only.arena;
    only.root.Set(arena, "apiVersion", Value::Borrow(kind_.api_version));
    only.root.Set(arena, "kind", Value::Borrow(kind_.kind));
    Value& metadata = only.root.Set(arena, "metadata", Value::Object());
    metadata.Set(arena, "annotations", Value::Object()).Set(arena, kLastApplied, text);
    metadata.Set(arena, "name", Value::String(arena, name_.name));
    if (!name_.ns.empty()) metadata.Set(arena, "namespace", Value::String(arena, name_.ns));
    client::WriteOptions options = options_;
    options.field_manager = kAnnotationManager;
    options.force = false;
    return Patch(doc::ToJson(only.root) + "\n", options);
  }

  // nullptr when there was nothing to move.
  Result<api::ObjectPtr> MoveFields(api::ObjectPtr object) {
    const std::vector<std::string> owners = OwnersOfAnnotation(object->tree(), false);
    for (int tries = kTries; true;) {
      const std::string patch = ManagerUpgradePatch(object->tree(), owners, options_.field_manager);
      if (patch.empty()) return api::ObjectPtr();
      client::WriteOptions options = options_;
      options.force = false;
      Result<api::ObjectPtr> moved =
          session_.client().Patch(kind_, name_, client::PatchType::kJson, patch, "", options);
      if (!moved.Failed(Reason::kConflict) || --tries == 0) return moved;
      object = TRY(session_.client().Get(kind_, name_));
    }
  }

  Session& session_;
  const api::KindInfo& kind_;
  client::ObjectName name_;
  client::WriteOptions options_;
};

}  // namespace

std::string ManagerUpgradePatch(const Value& object, const std::vector<std::string>& old_managers,
                                std::string_view manager) {
  doc::Arena arena;
  Managers managers = Managers::Stored(ManagedFieldsOf(object));
  std::vector<Manager>& all = managers.all();
  bool changed = false;
  for (const std::string& old : old_managers) {
    const auto is_old = [&](const Manager& one) { return one.name == old && !one.applies && one.subresource.empty(); };
    const auto is_new = [&](const Manager& one) {
      return one.name == manager && one.applies && one.subresource.empty();
    };
    const auto source = std::ranges::find_if(all, is_old);
    if (source == all.end()) continue;
    auto target = std::ranges::find_if(all, is_new);
    if (target == all.end()) {
      target = source;
      target->applies = true;
      target->name = manager;
    }
    const auto same_version = std::ranges::find_if(
        all, [&](const Manager& one) { return is_old(one) && one.api_version == target->api_version; });
    if (same_version != all.end()) target->fields = api::managed::Union(target->fields, same_version->fields, arena);
    std::erase_if(all, is_old);
    changed = true;
  }
  if (!changed) return "";
  const auto replace = [&](std::string_view path, Value value) {
    Value step = Value::Object();
    step.Set(arena, "op", Value::Borrow("replace"));
    step.Set(arena, "path", Value::Borrow(path));
    step.Set(arena, "value", value);
    return step;
  };
  // With the version, so that nobody's change in between is lost.
  const Value steps[] = {replace("/metadata/managedFields", managers.ToList(arena)),
                         replace("/metadata/resourceVersion", object.Get("metadata", "resourceVersion"))};
  return doc::ToJson(Value::ArrayOf(arena, steps));
}

Result<api::ObjectPtr> ApplyOnServer(Session& session, const api::KindInfo& kind, const client::ObjectName& name,
                                     const Value& manifest, const client::WriteOptions& options) {
  return ServerApply(session, kind, name, options).Run(manifest);
}

}  // namespace knarr::cli
