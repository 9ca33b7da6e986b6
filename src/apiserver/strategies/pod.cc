#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"
#include "apiserver/strategies/pod_qos.h"
#include "apiserver/strategies/strategies.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// A namespace's default service account is made a moment after the namespace: a pod may come in between.
constexpr Duration kServiceAccountWait = std::chrono::seconds(1);
constexpr Duration kServiceAccountPoll = std::chrono::milliseconds(50);
constexpr int64_t kTolerationSeconds = 300;

class PodStrategy : public Strategy {
 public:
  using Strategy::Strategy;

  bool returns_deleted_object() const override { return true; }

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    Value& status = object.root.Ensure(object.arena, "status");
    status.Set(object.arena, "phase", Value::Borrow("Pending"));
    status.Set(object.arena, "qosClass", Value::Borrow(QosClass(std::as_const(object.root).At("spec"))));
    return {};
  }

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
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
    return Strategy::ValidateUpdate(target, object, old);
  }

  Ok AdmitCreate(const StrategyContext& context, doc::Document& object) const override {
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    TRY(AdmitServiceAccount(context, object, spec));
    AddTolerations(object.arena, spec);
    if (!spec.At("priority").is_int() && spec.At("priorityClassName").AsString().empty()) {
      spec.Set(object.arena, "priority", Value::Int(0));
      if (spec.At("preemptionPolicy").is_null()) {
        spec.Set(object.arena, "preemptionPolicy", Value::Borrow("PreemptLowerPriority"));
      }
    }
    return {};
  }

  std::optional<int64_t> GraceSeconds(const Value& object, std::optional<int64_t> asked) const override {
    const Value& spec = object.At("spec");
    int64_t period = asked.has_value() ? *asked : spec.At("terminationGracePeriodSeconds").AsInt(0);
    const std::string_view phase = object.Get("status", "phase").AsString();
    if (spec.At("nodeName").AsString().empty() || phase == "Failed" || phase == "Succeeded") period = 0;
    return period < 0 ? 1 : period;
  }

 private:
  Ok AdmitServiceAccount(const StrategyContext& context, doc::Document& object, Value& spec) const {
    // A mirror of a pod that its node started by itself has no account.
    if (!object.root.Get("metadata", "annotations", "kubernetes.io/config.mirror").is_null()) return {};
    std::string name(spec.At("serviceAccountName").AsString());
    if (name.empty()) name = "default";
    spec.Set(object.arena, "serviceAccountName", Value::String(object.arena, name));
    spec.Set(object.arena, "serviceAccount", Value::String(object.arena, name));
    const std::string ns(object.root.Get("metadata", "namespace").AsString());
    const store::Bytes account = TRY(FindAccount(context, object, ns, name));
    if (!spec.At("imagePullSecrets").empty()) return {};
    const doc::Document decoded = DecodeStored(*account);
    const Value& secrets = decoded.root.At("imagePullSecrets");
    if (!secrets.empty()) spec.Set(object.arena, "imagePullSecrets", secrets.Clone(object.arena));
    return {};
  }

  Result<store::Bytes> FindAccount(const StrategyContext& context, const doc::Document& object, const std::string& ns,
                                   const std::string& name) const {
    const std::string key = fmt::format("/registry/core/serviceaccounts/{}/{}", ns, name);
    const MonoTime until = context.runtime.Mono() + (name == "default" ? kServiceAccountWait : Duration(0));
    for (;;) {
      auto found = context.store.Latest()->Get(key);
      if (found.has_value()) return std::move(found->value);
      if (context.runtime.Mono() >= until) break;
      TRY(context.runtime.Sleep(kServiceAccountPoll));
    }
    return ForbiddenError(
        ResourceOf(kind_), apiserver::NameOf(object.root),
        fmt::format("error looking up service account {}/{}: serviceaccount \"{}\" not found", ns, name, name));
  }

  // A pod whose node is lost stays for five minutes, unless it says otherwise.
  static void AddTolerations(doc::Arena& arena, Value& spec) {
    for (const std::string_view taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
      Value& tolerations = spec.Ensure(arena, "tolerations");
      const bool tolerated = std::ranges::any_of(std::as_const(tolerations).items(), [&](const Value& toleration) {
        const std::string_view key = toleration.At("key").AsString();
        const std::string_view effect = toleration.At("effect").AsString();
        return (key == taint || key.empty()) && (effect == "NoExecute" || effect.empty());
      });
      if (tolerated) {
        if (tolerations.is_null()) spec.Remove("tolerations");
        continue;
      }
      Value toleration = Value::Object();
      toleration.AddMember(arena, "key", Value::Borrow(taint));
      toleration.AddMember(arena, "operator", Value::Borrow("Exists"));
      toleration.AddMember(arena, "effect", Value::Borrow("NoExecute"));
      toleration.AddMember(arena, "tolerationSeconds", Value::Int(kTolerationSeconds));
      tolerations.Append(arena, toleration);
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> MakePodStrategy(const api::KindInfo& kind) { return std::make_unique<PodStrategy>(kind); }

}  // namespace knarr::apiserver
