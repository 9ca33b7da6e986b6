#include "apiserver/evict.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "api/label_selector.h"
#include "apiserver/bind.h"
#include "apiserver/errors.h"
#include "apiserver/object_io.h"
#include "apiserver/object_meta.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// How often an eviction is looked at again because pod or budget changed meanwhile.
constexpr int kTries = 20;
constexpr size_t kDisruptedPodsMax = 2000;
constexpr int32_t kBusyRetrySeconds = 10;

Status TooMany(std::string cause, int32_t retry_after) {
  StatusDetails details;
  details.causes.push_back({"DisruptionBudget", std::move(cause), ""});
  details.retry_after_seconds = retry_after;
  return {Reason::kTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.",
          std::move(details)};
}

Status BudgetBusy(std::string_view budget) {
  return TooMany(fmt::format("The disruption budget {} is still being processed by the server.", budget),
                 kBusyRetrySeconds);
}

const Value* FindCondition(const Value& object, std::string_view type) {
  for (const Value& condition : object.Get("status", "conditions").items()) {
    if (condition.At("type").AsString() == type) return &condition;
  }
  return nullptr;
}

// Why a budget with nothing left refuses.
std::string WhyNot(const Value& budget) {
  const std::string_view name = NameOf(budget);
  const Value& status = budget.At("status");
  const Value* condition = FindCondition(budget, "DisruptionAllowed");
  const std::string_view message = condition == nullptr ? std::string_view() : condition->At("message").AsString();
  const bool explained = condition != nullptr && condition->At("status").AsString() == "False" && !message.empty();
  const std::string_view reason = condition == nullptr ? std::string_view() : condition->At("reason").AsString();
  if (explained && reason == "SyncFailed") {
    return fmt::format("The disruption budget {} does not allow evicting pods currently because it failed sync: {}",
                       name, message);
  }
  const int64_t healthy = status.At("currentHealthy").AsInt();
  const int64_t desired = status.At("desiredHealthy").AsInt();
  if (healthy <= desired) {
    return fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", name, desired, healthy);
  }
  if (explained) {
    return fmt::format("The disruption budget {} does not allow evicting pods currently ({}): {}", name, reason,
                       message);
  }
  return fmt::format("The disruption budget {} does not allow evicting pods currently", name);
}

void SetNotAllowed(doc::Document& budget, WallTime now) {
  doc::Arena& arena = budget.arena;
  Value& status = budget.root.Ensure(arena, "status");
  const Value* old = FindCondition(budget.root, "DisruptionAllowed");
  Value condition = Value::Object();
  const bool same = old != nullptr && old->At("status").AsString() == "False";
  condition.AddMember(arena, "type", Value::Borrow("DisruptionAllowed"));
  condition.AddMember(arena, "status", Value::Borrow("False"));
  const int64_t generation = status.At("observedGeneration").AsInt();
  if (generation != 0) condition.AddMember(arena, "observedGeneration", Value::Int(generation));
  condition.AddMember(arena, "lastTransitionTime",
                      same ? old->At("lastTransitionTime") : Value::String(arena, FormatTime(now)));
  condition.AddMember(arena, "reason", Value::Borrow("InsufficientPods"));
  condition.AddMember(arena, "message", Value::Borrow(""));
  for (Value& present : status.Ensure(arena, "conditions").items()) {
    if (present.At("type").AsString() != "DisruptionAllowed") continue;
    present = condition;
    return;
  }
  status.Ensure(arena, "conditions").Append(arena, condition);
}

// Takes one disruption from a budget for the pod. Refuses when there is none to take.
Ok Decrement(doc::Document& budget, std::string_view pod, WallTime now) {
  const Value& root = budget.root;
  const Value& status = root.At("status");
  if (status.At("observedGeneration").AsInt() < root.Get("metadata", "generation").AsInt()) {
    return BudgetBusy(NameOf(root));
  }
  const int64_t allowed = status.At("disruptionsAllowed").AsInt();
  const GroupResource what{"policy", "poddisruptionbudget"};
  if (allowed < 0) return ForbiddenError(what, NameOf(root), "pdb disruptions allowed is negative");
  if (status.At("disruptedPods").size() > kDisruptedPodsMax) {
    return ForbiddenError(what, NameOf(root),
                          "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  }
  if (allowed == 0) return TooMany(WhyNot(root), 0);
  doc::Arena& arena = budget.arena;
  Value& changed = budget.root.Ensure(arena, "status");
  changed.Set(arena, "disruptionsAllowed", Value::Int(allowed - 1));
  if (allowed == 1) SetNotAllowed(budget, now);
  Value& disrupted = changed.Ensure(arena, "disruptedPods");
  if (!disrupted.is_object()) disrupted = Value::Object();
  disrupted.SetCopy(arena, pod, Value::String(arena, FormatTime(now)));
  return {};
}

// A pod that runs nothing, or is going anyway, disrupts nobody.
bool IsTerminal(const Value& pod) {
  const std::string_view phase = pod.Get("status", "phase").AsString();
  return phase == "Succeeded" || phase == "Failed" || IsDeleting(pod);
}

bool IsReady(const Value& pod) {
  const Value* ready = FindCondition(pod, "Ready");
  return ready != nullptr && ready->At("status").AsString() == "True";
}

class Eviction {
 public:
  Eviction(RequestContext& context, ResourceRegistry& registry, Resource& pods, Resource& budgets,
           const ObjectName& name, client::DeleteOptions options)
      : context_(context),
        registry_(registry),
        pods_(pods),
        budgets_(budgets),
        name_(name),
        options_(std::move(options)) {}

  Ok Run() {
    for (int attempt = 1;; ++attempt) {
      const ObjectPtr pod = TRY(registry_.Get(context_, pods_, name_));
      Ok done = Attempt(pod->tree(), pod->resource_version());
      const bool again = done.Failed(Reason::kConflict) && options_.resource_version.empty() && options_.uid.empty();
      if (!again || attempt == kTries) return done;
      TRY(context_.runtime.CheckCancelled());
    }
  }

 private:
  Ok Attempt(const Value& pod, std::string_view version) {
    client::DeleteOptions options = options_;
    const bool pending = pod.Get("status", "phase").AsString() == "Pending";
    if (IsTerminal(pod) || pending) {
      // A pod that becomes ready meanwhile is its budget's.
      if (!IsTerminal(pod) && options.resource_version.empty()) options.resource_version = version;
      return MarkAndDelete(options, nullptr);
    }
    const std::vector<api::ObjectPtr> covering = BudgetsOf(pod);
    if (covering.size() > 1) {
      return BareError(
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
    }
    if (covering.empty()) return MarkAndDelete(options, nullptr);
    const Value& budget = covering.front()->tree();
    if (!IsReady(pod) && MayGoUnready(budget)) {
      const bool own_version = options.resource_version.empty();
      if (own_version) options.resource_version = version;
      Ok done = MarkAndDelete(options, nullptr);
      if (done.Failed(Reason::kConflict) && own_version) return BudgetBusy(NameOf(budget));
      return done;
    }
    return MarkAndDelete(options, covering.front());
  }

  // A pod that is not ready counts for nothing: what matters is whether the application is well without it.
  static bool MayGoUnready(const Value& budget) {
    if (budget.Get("spec", "unhealthyPodEvictionPolicy").AsString() == "AlwaysAllow") return true;
    const int64_t desired = budget.Get("status", "desiredHealthy").AsInt();
    return budget.Get("status", "currentHealthy").AsInt() >= desired && desired > 0;
  }

  std::vector<api::ObjectPtr> BudgetsOf(const Value& pod) const {
    std::vector<api::ObjectPtr> out;
    const api::StringMap labels(pod.Get("metadata", "labels"));
    registry_.store().Latest()->Visit(
        budgets_.Prefix(name_.ns), "", [&](std::string_view /*key*/, const store::Bytes& bytes, store::Revision) {
          api::ObjectPtr budget = api::Object::FromBytes(bytes);
          const auto selector =
              api::ToLabelSelector(api::meta_v1::LabelSelector(budget->tree().Get("spec", "selector")));
          // A selector that can't be read selects nothing.
          if (selector.ok() && api::Matches(*selector, labels)) out.push_back(std::move(budget));
          return true;
        });
    return out;
  }

  // World thread. The budget as it is by then, one disruption less.
  Result<std::vector<SideWrite>> UseBudget(const std::string& key) const {
    const auto newest = registry_.store().Newest(key);
    if (!newest.has_value()) return std::vector<SideWrite>();
    doc::Document budget = doc::Document::Copy(DecodeStored(*newest->value).root);
    TRY(Decrement(budget, name_.name, context_.runtime.Wall()));
    StoredForm form = TRY(EncodeStored(*budgets_.stored, budget));
    std::vector<SideWrite> out;
    out.push_back({{key, newest->mod_revision}, {key, std::move(form.bytes), form.revision_offset, form.digest}});
    return out;
  }

  Ok MarkAndDelete(client::DeleteOptions options, const api::ObjectPtr& budget) {
    const std::string key = budget == nullptr ? "" : budgets_.Key({name_.ns, std::string(budget->name())});
    if (options.dry_run) {
      if (budget != nullptr) {
        doc::Document tried = doc::Document::Copy(budget->tree());
        TRY(Decrement(tried, name_.name, context_.runtime.Wall()));
      }
    } else {
      UpdateRequest update;
      update.name = name_;
      update.target = Target::kStatus;
      update.admission = Admission::kDone;
      update.make = [&](const Value& current) { return Marked(current, options); };
      if (budget != nullptr) update.along = [&] { return UseBudget(key); };
      const UpdateOutcome marked = TRY(registry_.Update(context_, pods_, update));
      if (!options.resource_version.empty()) options.resource_version = marked.object->resource_version();
    }
    TRY(registry_.Delete(context_, pods_, name_, options, Admission::kDone));
    return {};
  }

  Result<doc::Document> Marked(const Value& pod, const client::DeleteOptions& options) const {
    const GroupResource what{"", "Pod"};
    const std::string_view uid = pod.Get("metadata", "uid").AsString();
    if (!options.uid.empty() && options.uid != uid) {
      return ConflictError(what, name_.name,
                           fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The "
                                       "object might have been deleted and then recreated",
                                       options.uid, uid));
    }
    const std::string_view version = pod.Get("metadata", "resourceVersion").AsString();
    if (!options.resource_version.empty() && options.resource_version != version) {
      return ConflictError(what, name_.name,
                           fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                                       "ResourceVersion in record ({}). The object might have been modified",
                                       options.resource_version, version));
    }
    doc::Document out = doc::Document::Copy(pod);
    SetPodCondition(out, {.type = "DisruptionTarget",
                          .reason = "EvictionByEvictionAPI",
                          .message = "Eviction API: evicting",
                          .now = context_.runtime.Wall()});
    return out;
  }

  RequestContext& context_;
  ResourceRegistry& registry_;
  Resource& pods_;
  Resource& budgets_;
  const ObjectName& name_;
  const client::DeleteOptions options_;
};

}  // namespace

Ok EvictPod(RequestContext& context, ResourceRegistry& registry, Resource& pods, Resource& budgets,
            const ObjectName& name, const Value& eviction, bool dry_run) {
  if (NameOf(eviction) != name.name) return BadRequest("name in URL does not match name in Eviction object");
  const Value& given = eviction.At("deleteOptions");
  if (given.At("ignoreStoreReadErrorWithClusterBreakingPotential").AsBool()) {
    return InvalidError(
        *api::FindKind("policy/v1", "Eviction"), name.name,
        {{"FieldValueInvalid", "Invalid value: true: can not be set for pod eviction, try after removing the option",
          "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential"}});
  }
  client::DeleteOptions options = ReadDeleteOptions(given);
  options.dry_run = options.dry_run || dry_run;
  return Eviction(context, registry, pods, budgets, name, std::move(options)).Run();
}

}  // namespace knarr::apiserver
