#include <fmt/format.h>

#include "api/resource_list.h"
#include "apiserver/admission/plugins.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

bool SameResources(const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  for (const doc::Member& member : a.members()) {
    const Value* other = b.Find(member.key);
    if (other == nullptr || api::ReadQuantity(member.value) != api::ReadQuantity(*other)) return false;
  }
  return true;
}

// Whether `wide` tolerates all that `narrow` does.
bool Covers(const Value& wide, const Value& narrow) {
  if (wide.Equals(narrow)) return true;
  const std::string_view op = wide.At("operator").AsString();
  const std::string_view key = wide.At("key").AsString();
  const std::string_view effect = wide.At("effect").AsString();
  if (narrow.At("key").AsString() != key && !(key.empty() && op == "Exists")) return false;
  if (!effect.empty() && narrow.At("effect").AsString() != effect) return false;
  const Value& seconds = wide.At("tolerationSeconds");
  if (effect == "NoExecute" && seconds.is_int()) {
    const Value& own = narrow.At("tolerationSeconds");
    if (!own.is_int() || own.AsInt() > seconds.AsInt()) return false;
  }
  if (op == "Exists") return true;
  return (op.empty() || op == "Equal") && narrow.At("operator").AsString() == "Equal" &&
         narrow.At("value").AsString() == wide.At("value").AsString();
}

// Both lists, without what others of them cover; of equal ones the first stays.
Value MergedTolerations(doc::Arena& arena, const Value& first, const Value& second) {
  std::vector<const Value*> all;
  for (const Value& each : first.items()) all.push_back(&each);
  for (const Value& each : second.items()) all.push_back(&each);
  Value merged = Value::Array();
  for (size_t i = 0; i < all.size(); ++i) {
    bool redundant = false;
    for (const Value& kept : std::as_const(merged).items()) redundant = redundant || Covers(kept, *all[i]);
    for (size_t j = i + 1; j < all.size(); ++j) {
      redundant = redundant || (!all[j]->Equals(*all[i]) && Covers(*all[j], *all[i]));
    }
    if (!redundant) merged.Append(arena, all[i]->Clone(arena));
  }
  return merged;
}

/// What a pod's runtime class costs on top of it, and where it can run.
class RuntimeClassAdmission : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!Applies(request)) return {};
    const api::ObjectPtr found = TRY(ClassOf(request));
    if (found == nullptr) return {};
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    const Value& overhead = found->tree().At("overhead");
    if (!overhead.is_null()) {
      const Value& asked = std::as_const(spec).At("overhead");
      if (!asked.empty() && !SameResources(asked, overhead.At("podFixed"))) return Mismatch(request);
      spec.Set(object.arena, "overhead", overhead.At("podFixed").Clone(object.arena));
    }
    return SetScheduling(request, found->tree().At("scheduling"), spec);
  }

  Ok Validate(const AdmissionRequest& request) const override {
    if (!Applies(request)) return {};
    const api::ObjectPtr found = TRY(ClassOf(request));
    const Value& own = request.root().Get("spec", "overhead");
    if (found != nullptr && !found->tree().At("overhead").is_null()) {
      if (!SameResources(own, found->tree().Get("overhead", "podFixed"))) return Mismatch(request);
      return {};
    }
    if (own.is_null()) return {};
    return request.Forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
  }

 private:
  static bool Applies(const AdmissionRequest& request) {
    return request.IsFor("", "pods") && request.subresource.empty() && request.operation == AdmissionOperation::kCreate;
  }

  static Ok Mismatch(const AdmissionRequest& request) {
    return request.Forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  }

  static Result<api::ObjectPtr> ClassOf(const AdmissionRequest& request) {
    const Value& name = request.root().Get("spec", "runtimeClassName");
    if (name.is_null()) return api::ObjectPtr();
    api::ObjectPtr found = request.Find("node.k8s.io", "runtimeclasses", "", name.AsString());
    if (found != nullptr) return found;
    return request.Forbidden(fmt::format("pod rejected: RuntimeClass {} not found", GoQuote(name.AsString())));
  }

  static Ok SetScheduling(AdmissionRequest& request, const Value& scheduling, Value& spec) {
    if (scheduling.is_null()) return {};
    doc::Arena& arena = request.object->arena;
    for (const doc::Member& each : scheduling.At("nodeSelector").members()) {
      const Value* own = std::as_const(spec).At("nodeSelector").Find(each.key);
      if (own != nullptr && own->AsString() != each.value.AsString()) {
        return request.Forbidden(
            fmt::format("conflict: runtimeClass.scheduling.nodeSelector[{}] = {}; pod.spec.nodeSelector[{}] = {}",
                        each.key, each.value.AsString(), each.key, own->AsString()));
      }
      spec.Ensure(arena, "nodeSelector").SetCopy(arena, each.key, each.value.Clone(arena));
    }
    const Value merged = MergedTolerations(arena, std::as_const(spec).At("tolerations"), scheduling.At("tolerations"));
    if (!merged.empty()) spec.Set(arena, "tolerations", merged);
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeRuntimeClassAdmission() { return std::make_unique<RuntimeClassAdmission>(); }

}  // namespace knarr::apiserver
