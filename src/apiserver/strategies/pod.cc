#include <algorithm>
#include <iterator>
#include <utility>

#include "api/qos.h"
#include "api/warnings.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

class PodStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    status.Set(object.arena, "qosClass", Value::Borrow(api::QosClass(std::as_const(object.root).At("spec"))));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    if (target == Target::kEphemeralContainers) KeepAllButDebugContainers(object, old);
    if (target == Target::kResize) KeepAllButResources(object, old);
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    // Being given its node is no change of what the pod asks for.
    if (target == Target::kSpecial) KeepMetadata(object, old, "generation");
    if (target != Target::kStatus) return {};
    for (const std::string_view member : {"ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
      KeepMetadata(object, old, member);
    }
    // qosClass never changes; a status written without it keeps it.
    Value& status = object.root.Ensure(object.arena, "status");
    const Value& before = old.Get("status", "qosClass");
    if (before.is_string()) status.Set(object.arena, "qosClass", Value::String(object.arena, before.AsString()));
    return {};
  }

  api::ErrorList ValidateUpdate(Target target, const Value& object, const Value& old) const override {
    // A binding sets what nobody else may.
    if (target == Target::kSpecial) return {};
    if (target == Target::kEphemeralContainers) return api::ValidatePodEphemeralContainers(object, old);
    if (target == Target::kResize) return api::ValidatePodResize(object, old);
    return Strategy::ValidateUpdate(target, object, old);
  }

  // Controllers write pods all the time, so only what people create is looked at.
  std::vector<std::string> Warnings(Target target, const Value& object, const Value* old) const override {
    if (old == nullptr) {
      std::vector<std::string> warnings =
          api::WarningsOfHostName(object.Get("metadata", "name").AsString(), "the Pod's hostname");
      std::ranges::move(api::WarningsOfPod("", object), std::back_inserter(warnings));
      return warnings;
    }
    if (target != Target::kStatus) return {};
    std::vector<std::string> warnings;
    for (const std::string_view list : {"podIPs", "hostIPs"}) {
      const Value& addresses = object.Get("status", list);
      for (size_t i = 0; i < addresses.size(); ++i) {
        const std::string path = "status." + std::string(list) + "[" + std::to_string(i) + "].ip";
        std::ranges::move(api::WarningsOfIp(path, addresses[i].At("ip").AsString()), std::back_inserter(warnings));
      }
    }
    return warnings;
  }

  std::optional<int64_t> GraceSeconds(const Value& object, std::optional<int64_t> asked) const override {
    const Value& spec = object.At("spec");
    int64_t period = asked.has_value() ? *asked : spec.At("terminationGracePeriodSeconds").AsInt(0);
    const std::string_view phase = object.Get("status", "phase").AsString();
    if (spec.At("nodeName").AsString().empty() || phase == "Failed" || phase == "Succeeded") period = 0;
    return period < 0 ? 1 : period;
  }

 private:
  // Metadata as in a status update: only what a subresource is for may change through it.
  static void KeepBut(doc::Document& object, const Value& old) {
    for (const std::string_view member : {"labels", "annotations", "finalizers", "ownerReferences"}) {
      KeepMetadata(object, old, member);
    }
    KeepMember(object, old, "status");
  }

  static void KeepAllButDebugContainers(doc::Document& object, const Value& old) {
    const Value wanted = std::as_const(object.root).Get("spec", "ephemeralContainers");
    KeepBut(object, old);
    KeepMember(object, old, "spec");
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (wanted.empty()) {
      spec.Remove("ephemeralContainers");
    } else {
      spec.Set(object.arena, "ephemeralContainers", wanted);
    }
  }

  // A container that was renamed or moved is left for validation to refuse.
  static bool SameNames(const Value& now, const Value& before) {
    if (now.size() != before.size()) return false;
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i].At("name").AsString() != before[i].At("name").AsString()) return false;
    }
    return true;
  }

  static void KeepAllButResources(doc::Document& object, const Value& old) {
    doc::Arena& arena = object.arena;
    const Value spec = std::as_const(object.root).At("spec");
    const Value& before = old.At("spec");
    for (const std::string_view list : {"containers", "initContainers"}) {
      if (spec.At(list).size() != before.At(list).size()) return;
    }
    KeepBut(object, old);
    KeepMember(object, old, "spec");
    Value& kept = object.root.Ensure(arena, "spec");
    const auto take = [&](Value& into, const Value& from, std::string_view member) {
      if (from.Find(member) == nullptr) {
        into.Remove(member);
      } else {
        into.Set(arena, member, from.At(member));
      }
    };
    take(kept, spec, "resources");
    for (const std::string_view list : {"containers", "initContainers"}) {
      if (!SameNames(spec.At(list), before.At(list))) {
        take(kept, spec, list);
        continue;
      }
      Value* containers = kept.Find(list);
      for (size_t i = 0; containers != nullptr && i < containers->size(); ++i) {
        take((*containers)[i], spec.At(list)[i], "resources");
        take((*containers)[i], spec.At(list)[i], "resizePolicy");
      }
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> MakePodStrategy(const api::KindInfo& kind) { return std::make_unique<PodStrategy>(kind); }

}  // namespace knarr::apiserver
