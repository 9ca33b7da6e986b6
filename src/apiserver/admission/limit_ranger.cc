#include "apiserver/admission/limit_ranger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "api/pod_resources.h"
#include "apiserver/admission/plugins.h"

namespace knarr::apiserver {
namespace {

using api::ResourceList;
using doc::Value;

constexpr std::string_view kAnnotation = "kubernetes.io/limit-ranger";

/// What is compared with one bound: amounts asked for and limited, absent when the object says nothing.
struct Observed {
  std::string_view type;  ///< of the limit: "Container", "Pod", "PersistentVolumeClaim"
  const ResourceList& requests;
  const ResourceList& limits;
};

struct Compared {
  std::optional<Quantity> request;
  std::optional<Quantity> limit;
  // In thousandths when all three fit, else in whole units.
  int64_t request_value = 0;
  int64_t limit_value = 0;
  int64_t bound_value = 0;
};

bool FitsMilli(int64_t value) { return value <= INT64_MAX / 1000; }

Compared Compare(const Observed& observed, const std::string& resource, const Quantity& bound) {
  Compared out;
  const auto take = [&](const ResourceList& list) -> std::optional<Quantity> {
    const auto at = list.find(resource);
    return at == list.end() ? std::nullopt : std::optional(at->second);
  };
  out.request = take(observed.requests);
  out.limit = take(observed.limits);
  const Quantity request = out.request.value_or(Quantity());
  const Quantity limit = out.limit.value_or(Quantity());
  if (FitsMilli(request.Value()) && FitsMilli(limit.Value()) && FitsMilli(bound.Value())) {
    out.request_value = request.MilliValue();
    out.limit_value = limit.MilliValue();
    out.bound_value = bound.MilliValue();
  } else {
    out.request_value = request.Value();
    out.limit_value = limit.Value();
    out.bound_value = bound.Value();
  }
  return out;
}

std::string MinProblem(const Observed& observed, const std::string& resource, const Quantity& bound) {
  const Compared c = Compare(observed, resource, bound);
  const std::string start = fmt::format("minimum {} usage per {} is {}", resource, observed.type, bound.ToString());
  if (!c.request.has_value()) return start + ".  No request is specified";
  if (c.request_value < c.bound_value) return fmt::format("{}, but request is {}", start, c.request->ToString());
  if (c.limit.has_value() && c.limit_value < c.bound_value) {
    return fmt::format("{}, but limit is {}", start, c.limit->ToString());
  }
  return {};
}

std::string MaxProblem(const Observed& observed, const std::string& resource, const Quantity& bound) {
  const Compared c = Compare(observed, resource, bound);
  const std::string start = fmt::format("maximum {} usage per {} is {}", resource, observed.type, bound.ToString());
  if (!c.limit.has_value()) return start + ".  No limit is specified";
  if (c.limit_value > c.bound_value) return fmt::format("{}, but limit is {}", start, c.limit->ToString());
  if (c.request.has_value() && c.request_value > c.bound_value) {
    return fmt::format("{}, but request is {}", start, c.request->ToString());
  }
  return {};
}

// A claim has no limits: what it asks for is held against the maximum.
std::string MaxRequestProblem(const Observed& observed, const std::string& resource, const Quantity& bound) {
  const Compared c = Compare(observed, resource, bound);
  const std::string start = fmt::format("maximum {} usage per {} is {}", resource, observed.type, bound.ToString());
  if (!c.request.has_value()) return start + ".  No request is specified";
  if (c.request_value > c.bound_value) return fmt::format("{}, but request is {}", start, c.request->ToString());
  return {};
}

std::string RatioProblem(const Observed& observed, const std::string& resource, const Quantity& bound) {
  const Compared c = Compare(observed, resource, bound);
  const std::string start =
      fmt::format("{} max limit to request ratio per {} is {}", resource, observed.type, bound.ToString());
  if (!c.request.has_value() || c.request_value == 0) return start + ", but no request is specified or request is 0";
  if (!c.limit.has_value() || c.limit_value == 0) return start + ", but no limit is specified or limit is 0";
  const double shown = static_cast<double>(c.limit_value) / static_cast<double>(c.request_value);
  const bool milli = FitsMilli(bound.Value());
  const double ratio = milli ? shown * 1000 : shown;
  const auto most = static_cast<double>(milli ? bound.MilliValue() : bound.Value());
  return ratio > most ? fmt::format("{}, but provided ratio is {:f}", start, shown) : std::string();
}

using Problem = std::string (*)(const Observed&, const std::string&, const Quantity&);

void Collect(const Value& bounds, const Observed& observed, Problem check, std::vector<std::string>& out) {
  for (const auto& [resource, bound] : api::ReadResources(bounds)) {
    std::string problem = check(observed, resource, bound);
    if (!problem.empty()) out.push_back(std::move(problem));
  }
}

void CheckAll(const Value& item, const Observed& observed, std::vector<std::string>& out) {
  Collect(item.At("min"), observed, MinProblem, out);
  Collect(item.At("max"), observed, MaxProblem, out);
  Collect(item.At("maxLimitRequestRatio"), observed, RatioProblem, out);
}

void CheckPod(const Value& item, const Value& pod, std::vector<std::string>& out) {
  const std::string_view type = item.At("type").AsString();
  if (type == "Container") {
    for (const std::string_view list : {"containers", "initContainers"}) {
      for (const Value& container : pod.Get("spec", list).items()) {
        const ResourceList requests = api::ReadResources(container.Get("resources", "requests"));
        const ResourceList limits = api::ReadResources(container.Get("resources", "limits"));
        CheckAll(item, {type, requests, limits}, out);
      }
    }
  } else if (type == "Pod") {
    const api::PodResourcesOptions options{.use_status = false, .overhead = false, .pod_level_hugepages = false};
    const ResourceList requests = api::PodRequests(pod, options);
    const ResourceList limits = api::PodLimits(pod, options);
    CheckAll(item, {type, requests, limits}, out);
  }
}

void CheckClaim(const Value& item, const Value& claim, std::vector<std::string>& out) {
  const std::string_view type = item.At("type").AsString();
  if (type != "PersistentVolumeClaim") return;
  const ResourceList requests = api::ReadResources(claim.Get("spec", "resources", "requests"));
  const ResourceList none;
  const Observed observed{type, requests, none};
  Collect(item.At("min"), observed, MinProblem, out);
  Collect(item.At("max"), observed, MaxRequestProblem, out);
}

// Fills in what a container does not say itself; gives the resources that were set, in order.
std::vector<std::string_view> FillIn(doc::Arena& arena, Value& container, std::string_view side,
                                     const std::map<std::string_view, const Value*>& defaults) {
  std::vector<std::string_view> set;
  for (const auto& [resource, amount] : defaults) {
    if (std::as_const(container).Get("resources", side).Find(resource) != nullptr) continue;
    Value& resources = container.Ensure(arena, "resources");
    if (!resources.is_object()) resources = Value::Object();
    resources.Ensure(arena, side).SetCopy(arena, resource, amount->Clone(arena));
    set.push_back(resource);
  }
  return set;
}

/// A namespace's LimitRanges: defaults for containers, and bounds for containers, pods and claims.
class LimitRanger : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!Applies(request) || !request.IsFor("", "pods")) return {};
    for (const api::ObjectPtr& range : Ranges(request))
      ApplyLimitDefaults(range->tree().Get("spec", "limits"), *request.object);
    return {};
  }

  Ok Validate(const AdmissionRequest& request) const override {
    if (!Applies(request)) return {};
    for (const api::ObjectPtr& range : Ranges(request)) {
      const Value& limits = range->tree().Get("spec", "limits");
      const std::vector<std::string> problems = request.IsFor("", "pods") ? PodLimitProblems(limits, request.root())
                                                                          : ClaimLimitProblems(limits, request.root());
      if (!problems.empty()) return request.Forbidden(AggregateText(problems));
    }
    return {};
  }

 private:
  static std::vector<api::ObjectPtr> Ranges(const AdmissionRequest& request) {
    return request.List("", "limitranges", request.ns);
  }

  static bool Applies(const AdmissionRequest& request) {
    const bool pods = request.IsFor("", "pods");
    const bool creates = request.operation == AdmissionOperation::kCreate;
    const bool updates = request.operation == AdmissionOperation::kUpdate;
    if (!creates && !updates) return false;
    if (updates && !request.old_object->Get("metadata", "deletionTimestamp").is_null()) return false;
    if (pods && updates) return request.subresource == "resize";
    if (!request.subresource.empty()) return false;
    return pods || request.IsFor("", "persistentvolumeclaims");
  }
};

}  // namespace

void ApplyLimitDefaults(const Value& limits, doc::Document& pod) {
  std::map<std::string_view, const Value*> requests;
  std::map<std::string_view, const Value*> bounds;
  for (const Value& item : limits.items()) {
    if (item.At("type").AsString() != "Container") continue;
    for (const doc::Member& each : item.At("defaultRequest").members()) requests[each.key] = &each.value;
    for (const doc::Member& each : item.At("default").members()) bounds[each.key] = &each.value;
  }
  if (requests.empty() && bounds.empty()) return;
  std::vector<std::string> notes;
  for (const auto& [list, what] :
       {std::pair("containers", "container"), std::pair("initContainers", "init container")}) {
    Value* spec = pod.root.Find("spec");
    Value* containers = spec == nullptr ? nullptr : spec->Find(list);
    if (containers == nullptr) continue;
    for (Value& container : containers->items()) {
      const std::string_view name = container.At("name").AsString();
      const auto limited = FillIn(pod.arena, container, "limits", bounds);
      const auto requested = FillIn(pod.arena, container, "requests", requests);
      if (!requested.empty())
        notes.push_back(fmt::format("{} request for {} {}", fmt::join(requested, ", "), what, name));
      if (!limited.empty()) notes.push_back(fmt::format("{} limit for {} {}", fmt::join(limited, ", "), what, name));
    }
  }
  if (notes.empty()) return;
  Value& annotations = pod.root.Ensure(pod.arena, "metadata").Ensure(pod.arena, "annotations");
  annotations.Set(pod.arena, kAnnotation,
                  Value::String(pod.arena, fmt::format("LimitRanger plugin set: {}", fmt::join(notes, "; "))));
}

std::vector<std::string> PodLimitProblems(const Value& limits, const Value& pod) {
  std::vector<std::string> out;
  for (const Value& item : limits.items()) CheckPod(item, pod, out);
  return out;
}

std::vector<std::string> ClaimLimitProblems(const Value& limits, const Value& claim) {
  std::vector<std::string> out;
  for (const Value& item : limits.items()) CheckClaim(item, claim, out);
  return out;
}

std::unique_ptr<AdmissionPlugin> MakeLimitRanger() { return std::make_unique<LimitRanger>(); }

}  // namespace knarr::apiserver
