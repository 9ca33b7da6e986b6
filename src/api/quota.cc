#include "api/quota.h"

#include <algorithm>
#include <array>

namespace knarr::api {
namespace {

using doc::Value;

constexpr std::string_view kClassSuffix = ".storageclass.storage.k8s.io/";
constexpr std::string_view kClaims = "persistentvolumeclaims";
constexpr std::string_view kStorage = "requests.storage";
constexpr std::string_view kDeviceSuffix = ".deviceclass.resource.k8s.io/devices";
// A claim for all devices that fit may get so many.
constexpr int64_t kDevicesMax = 32;

class CountQuota : public QuotaEvaluator {
 public:
  CountQuota(std::string_view group, std::string_view plural) : names_{ObjectCountName(group, plural)} {
    // The names from before there was one for everything.
    constexpr std::array<std::string_view, 4> kOld = {"configmaps", "resourcequotas", "replicationcontrollers",
                                                      "secrets"};
    if (group.empty() && std::ranges::find(kOld, plural) != kOld.end()) names_.emplace_back(plural);
  }
  bool Handles(const QuotaChange& change) const override {
    return change.subresource.empty() && change.old_object == nullptr;
  }
  bool Counts(std::string_view resource) const override { return std::ranges::find(names_, resource) != names_.end(); }
  ResourceList Usage(const Value& /*object*/, WallTime /*now*/) const override {
    ResourceList out;
    for (const std::string& name : names_) out.emplace(name, Quantity(1));
    return out;
  }

 private:
  std::vector<std::string> names_;
};

class ServiceQuota : public QuotaEvaluator {
 public:
  bool Handles(const QuotaChange& change) const override { return change.subresource.empty(); }
  bool Counts(std::string_view resource) const override {
    return resource == "count/services" || resource == "services" || resource == "services.nodeports" ||
           resource == "services.loadbalancers";
  }
  ResourceList Usage(const Value& service, WallTime /*now*/) const override {
    const Value& spec = service.At("spec");
    const auto ports = spec.At("ports").items();
    const std::string_view type = spec.At("type").AsString();
    const bool balanced = type == "LoadBalancer";
    int64_t node_ports = 0;
    if (type == "NodePort" || balanced) {
      // The ports are not handed out yet: what is meant counts.
      const bool all = !balanced || spec.At("allocateLoadBalancerNodePorts").AsBool(true);
      node_ports = all ? static_cast<int64_t>(ports.size())
                       : std::ranges::count_if(ports, [](const Value& p) { return p.At("nodePort").AsInt() != 0; });
    }
    return {{"count/services", Quantity(1)},
            {"services", Quantity(1)},
            {"services.loadbalancers", Quantity(balanced ? 1 : 0)},
            {"services.nodeports", Quantity(node_ports)}};
  }
  bool Frees(const Value& service, const Value& old_service) const override {
    const auto counted = [](const Value& each) -> std::string_view {
      const std::string_view type = each.Get("spec", "type").AsString();
      return type == "NodePort" || type == "LoadBalancer" ? type : std::string_view();
    };
    return counted(service) != counted(old_service);
  }
};

std::set<std::string_view> AttributesClasses(const Value& claim) {
  std::set<std::string_view> out;
  for (const Value* name :
       {&claim.Get("spec", "volumeAttributesClassName"), &claim.Get("status", "currentVolumeAttributesClassName"),
        &claim.Get("status", "modifyVolumeStatus", "targetVolumeAttributesClassName")}) {
    if (!name->AsString().empty()) out.insert(name->AsString());
  }
  return out;
}

class ClaimQuota : public QuotaEvaluator {
 public:
  bool Handles(const QuotaChange& change) const override {
    if (change.subresource.empty()) return true;
    return change.subresource == "status" && change.object != nullptr && change.old_object != nullptr &&
           Frees(*change.object, *change.old_object);
  }
  bool Counts(std::string_view resource) const override {
    if (resource == "count/persistentvolumeclaims" || resource == kClaims || resource == kStorage) return true;
    const size_t at = resource.find(kClassSuffix);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = resource.substr(at + kClassSuffix.size());
    return rest == kClaims || rest == kStorage;
  }
  bool has_scopes() const override { return true; }
  bool InScope(const QuotaScope& scope, const Value& claim) const override {
    if (scope.name != "VolumeAttributesClass") return false;
    const std::set<std::string_view> classes = AttributesClasses(claim);
    if (scope.op == "Exists") return !classes.empty();
    if (scope.op == "DoesNotExist") return classes.empty();
    const auto listed = [&](std::string_view each) {
      return std::ranges::find(scope.values, each) != scope.values.end();
    };
    if (scope.op == "In") return std::ranges::any_of(classes, listed);
    return classes.empty() || !std::ranges::all_of(classes, listed);
  }
  ResourceList Usage(const Value& claim, WallTime /*now*/) const override {
    ResourceList out = {{"count/persistentvolumeclaims", Quantity(1)}, {std::string(kClaims), Quantity(1)}};
    // The annotation is older than the field, and still wins.
    std::string_view name = claim.Get("metadata", "annotations", "volume.beta.kubernetes.io/storage-class").AsString();
    if (name.empty()) name = claim.Get("spec", "storageClassName").AsString();
    const auto of_class = [&](std::string_view resource) {
      return std::string(name).append(kClassSuffix).append(resource);
    };
    if (!name.empty()) out.emplace(of_class(kClaims), Quantity(1));
    const Value& asked = claim.Get("spec", "resources", "requests", "storage");
    if (asked.is_null()) return out;
    Quantity storage = ReadQuantity(asked).RoundedUp(0);
    const Value& given = claim.Get("status", "allocatedResources", "storage");
    if (!given.is_null()) storage = std::max(storage, ReadQuantity(given).RoundedUp(0));
    if (!name.empty()) out.emplace(of_class(kStorage), storage);
    out.emplace(kStorage, std::move(storage));
    return out;
  }
  bool Frees(const Value& claim, const Value& old_claim) const override {
    return !claim.Get("status", "allocatedResources", "storage")
                .Equals(old_claim.Get("status", "allocatedResources", "storage")) ||
           AttributesClasses(claim) != AttributesClasses(old_claim);
  }
};

class DeviceClaimQuota : public QuotaEvaluator {
 public:
  bool Handles(const QuotaChange& change) const override { return change.subresource.empty(); }
  bool Counts(std::string_view resource) const override {
    return resource == "count/resourceclaims.resource.k8s.io" || resource.ends_with(kDeviceSuffix);
  }
  ResourceList Usage(const Value& claim, WallTime /*now*/) const override {
    ResourceList out = {{"count/resourceclaims.resource.k8s.io", Quantity(1)}};
    for (const Value& request : claim.Get("spec", "devices", "requests").items()) {
      ResourceList most;  // of alternatives, each class counts with the most it may get
      for (const Value& alternative : request.At("firstAvailable").items()) RaiseTo(most, Devices(alternative));
      if (request.At("firstAvailable").empty()) most = Devices(request.At("exactly"));
      AddTo(out, most);
    }
    return out;
  }

 private:
  static ResourceList Devices(const Value& request) {
    if (request.is_null()) return {};
    const std::string_view mode = request.At("allocationMode").AsString();
    const int64_t count = mode == "ExactCount" ? request.At("count").AsInt() : mode == "All" ? kDevicesMax : 0;
    std::string name(request.At("deviceClassName").AsString());
    return {{name.append(kDeviceSuffix), Quantity(count)}};
  }
};

}  // namespace

ResourceNames NamesOf(const ResourceList& list) {
  ResourceNames out;
  for (const auto& [name, amount] : list) out.insert(name);
  return out;
}

std::vector<QuotaScope> ScopesOf(const Value& scopes, const Value& scope_selector) {
  std::vector<QuotaScope> out;
  for (const Value& scope : scopes.items()) out.push_back({scope.AsString(), "Exists", {}});
  for (const Value& each : scope_selector.At("matchExpressions").items()) {
    QuotaScope& scope = out.emplace_back();
    scope.name = each.At("scopeName").AsString();
    scope.op = each.At("operator").AsString();
    for (const Value& value : each.At("values").items()) scope.values.push_back(value.AsString());
  }
  return out;
}

ResourceNames QuotaEvaluator::Counted(const ResourceNames& resources) const {
  ResourceNames out;
  for (const std::string& resource : resources) {
    if (Counts(resource)) out.insert(resource);
  }
  return out;
}

bool QuotaEvaluator::InScopes(const std::vector<QuotaScope>& scopes, const Value& object) const {
  return std::ranges::all_of(scopes, [&](const QuotaScope& scope) { return InScope(scope, object); });
}

std::string ObjectCountName(std::string_view group, std::string_view plural) {
  std::string out = "count/";
  out.append(plural);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

std::unique_ptr<QuotaEvaluator> MakeQuotaEvaluator(std::string_view group, std::string_view plural) {
  if (group.empty() && plural == "pods") return MakePodQuota();
  if (group.empty() && plural == "services") return std::make_unique<ServiceQuota>();
  if (group.empty() && plural == kClaims) return std::make_unique<ClaimQuota>();
  if (group == "resource.k8s.io" && plural == "resourceclaims") return std::make_unique<DeviceClaimQuota>();
  return std::make_unique<CountQuota>(group, plural);
}

}  // namespace knarr::api
