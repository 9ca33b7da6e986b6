#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "api/pod_resources.h"
#include "api/qos.h"
#include "api/quota.h"

namespace knarr::api {
namespace {

using doc::Value;

constexpr std::string_view kRequests = "requests.";
constexpr std::string_view kHugepages = "hugepages-";
constexpr std::string_view kDeviceClass = "deviceclass.resource.kubernetes.io/";
constexpr std::array<std::string_view, 11> kPodResources = {"count/pods",
                                                            "cpu",
                                                            "memory",
                                                            "ephemeral-storage",
                                                            "requests.cpu",
                                                            "requests.memory",
                                                            "requests.ephemeral-storage",
                                                            "limits.cpu",
                                                            "limits.memory",
                                                            "limits.ephemeral-storage",
                                                            "pods"};
// Who counts these counts only pods whose every container says what it takes of them.
constexpr std::array<std::string_view, 6> kMustSay = {"cpu",        "memory",       "requests.cpu", "requests.memory",
                                                      "limits.cpu", "limits.memory"};

// Names without a slash are Kubernetes' own.
bool IsNative(std::string_view resource) {
  return resource.find('/') == std::string_view::npos || resource.find("kubernetes.io/") != std::string_view::npos;
}

// A resource of somebody else's: "example.com/gpu", or a device class under its implicit name.
bool IsExtended(std::string_view resource) {
  if (resource.starts_with(kDeviceClass)) return true;
  return !IsNative(resource) && !resource.starts_with(kRequests);
}

/// What requests and limits amount to, under a quota's names.
ResourceList ComputeUsage(const ResourceList& requests, const ResourceList& limits) {
  ResourceList out = {{"pods", Quantity(1)}};
  for (const std::string_view resource : {"cpu", "memory", "ephemeral-storage"}) {
    if (const auto request = requests.find(resource); request != requests.end()) {
      out.emplace(resource, request->second);
      out.emplace(fmt::format("requests.{}", resource), request->second);
    }
    if (const auto limit = limits.find(resource); limit != limits.end()) {
      out.emplace(fmt::format("limits.{}", resource), limit->second);
    }
  }
  for (const auto& [resource, amount] : requests) {
    if (resource.starts_with(kHugepages)) out.emplace(resource, amount);
    if (resource.starts_with(kHugepages) || IsExtended(resource))
      out.emplace(fmt::format("requests.{}", resource), amount);
  }
  return out;
}

bool IsTerminating(const Value& pod) {
  const Value& deadline = pod.Get("spec", "activeDeadlineSeconds");
  return deadline.is_int() && deadline.AsInt() >= 0;
}

bool IsFinished(const Value& pod) {
  const std::string_view phase = pod.Get("status", "phase").AsString();
  return phase == "Failed" || phase == "Succeeded";
}

// A pod that its node should have ended long ago does not hold up others.
bool IsStuck(const Value& pod, WallTime now) {
  const Value& metadata = pod.At("metadata");
  if (metadata.At("deletionTimestamp").is_null() || !metadata.At("deletionGracePeriodSeconds").is_int()) return false;
  const Result<WallTime> deleted = ParseTime(metadata.At("deletionTimestamp").AsString());
  if (!deleted.ok()) return false;
  // A century is as good as for ever, and can be added to a time.
  constexpr int64_t kCentury = int64_t{100} * 365 * 24 * 60 * 60;
  const int64_t grace = metadata.At("deletionGracePeriodSeconds").AsInt();
  return now > *deleted + std::chrono::seconds(std::clamp(grace, -kCentury, kCentury));
}

bool NamesOtherNamespaces(const Value& term) {
  return !term.At("namespaces").empty() || !term.At("namespaceSelector").is_null();
}

bool UsesCrossNamespaceAffinity(const Value& pod) {
  for (const std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
    const Value& affinity = pod.Get("spec", "affinity", kind);
    const auto required = affinity.At("requiredDuringSchedulingIgnoredDuringExecution").items();
    if (std::ranges::any_of(required, NamesOtherNamespaces)) return true;
    for (const Value& term : affinity.At("preferredDuringSchedulingIgnoredDuringExecution").items()) {
      if (NamesOtherNamespaces(term.At("podAffinityTerm"))) return true;
    }
  }
  return false;
}

bool ClassIsSelected(const QuotaScope& scope, std::string_view priority_class) {
  if (scope.op == "Exists") return !priority_class.empty();
  if (scope.op == "DoesNotExist") return priority_class.empty();
  const bool listed = std::ranges::find(scope.values, priority_class) != scope.values.end();
  return scope.op == "In" ? listed && !priority_class.empty() : priority_class.empty() || !listed;
}

class PodQuota : public QuotaEvaluator {
 public:
  bool Handles(const QuotaChange& change) const override {
    if (change.subresource == "resize") return change.old_object != nullptr;
    if (!change.subresource.empty()) return false;
    if (change.old_object == nullptr) return true;
    return change.object != nullptr && IsTerminating(*change.old_object) != IsTerminating(*change.object);
  }

  bool Counts(std::string_view resource) const override {
    if (std::ranges::find(kPodResources, resource) != kPodResources.end()) return true;
    if (resource.starts_with(kHugepages) || resource.starts_with("requests.hugepages-")) return true;
    if (!resource.starts_with(kRequests)) return false;
    return !IsNative(resource) || resource.substr(kRequests.size()).starts_with(kDeviceClass);
  }

  bool has_scopes() const override { return true; }
  bool InScope(const QuotaScope& scope, const Value& pod) const override {
    if (scope.name == "Terminating") return IsTerminating(pod);
    if (scope.name == "NotTerminating") return !IsTerminating(pod);
    if (scope.name == "BestEffort") return QosClass(pod.At("spec")) == "BestEffort";
    if (scope.name == "NotBestEffort") return QosClass(pod.At("spec")) != "BestEffort";
    if (scope.name == "PriorityClass") return ClassIsSelected(scope, pod.Get("spec", "priorityClassName").AsString());
    return scope.name == "CrossNamespacePodAffinity" && UsesCrossNamespaceAffinity(pod);
  }

  ResourceList Usage(const Value& pod, WallTime now) const override {
    ResourceList out = {{"count/pods", Quantity(1)}};
    if (IsFinished(pod) || IsStuck(pod, now)) return out;
    const PodResourcesOptions options{.use_status = true};
    AddTo(out, ComputeUsage(PodRequests(pod, options), PodLimits(pod, options)));
    return out;
  }

  std::string Missing(const ResourceNames& resources, const Value& pod) const override {
    if (HasPodLevelResources(pod)) return {};
    std::map<std::string_view, std::set<std::string_view>> missing;
    for (const std::string_view list : {"containers", "initContainers"}) {
      for (const Value& container : pod.Get("spec", list).items()) {
        const Value& own = container.At("resources");
        const ResourceList has = ComputeUsage(ReadResources(own.At("requests")), ReadResources(own.At("limits")));
        for (const std::string_view resource : kMustSay) {
          if (!resources.contains(resource) || has.contains(resource)) continue;
          missing[resource].insert(container.At("name").AsString());
        }
      }
    }
    if (missing.empty()) return {};
    std::vector<std::string> parts;
    for (const auto& [resource, containers] : missing) {
      parts.push_back(fmt::format("{} for: {}", resource, fmt::join(containers, ",")));
    }
    return fmt::format("must specify {}", fmt::join(parts, "; "));
  }

  bool Frees(const Value& pod, const Value& old_pod) const override {
    if (IsFinished(pod) != IsFinished(old_pod)) return true;
    if (IsTerminating(pod) != IsTerminating(old_pod)) return true;
    return !pod.Get("status", "containerStatuses").Equals(old_pod.Get("status", "containerStatuses")) &&
           !Same(Usage(pod, WallTime()), Usage(old_pod, WallTime()));
  }

 private:
  static bool Same(const ResourceList& a, const ResourceList& b) {
    return std::ranges::equal(a, b,
                              [](const auto& x, const auto& y) { return x.first == y.first && x.second == y.second; });
  }
};

}  // namespace

std::unique_ptr<QuotaEvaluator> MakePodQuota() { return std::make_unique<PodQuota>(); }

}  // namespace knarr::api
