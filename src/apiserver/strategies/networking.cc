// Ingresses, NetworkPolicies, ServiceCIDRs and EndpointSlices.

#include <algorithm>
#include <iterator>
#include <set>

#include "api/networking_v1.h"
#include "api/warnings.h"
#include "apiserver/strategies/record.h"
#include "apiserver/strategies/strategies.h"
#include "base/names.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Texts = std::vector<std::string>;

void Add(Texts more, Texts& texts) { std::ranges::move(more, std::back_inserter(texts)); }

std::string At(std::string_view list, size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

class IngressStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target target, const Value& object, const Value* old) const override {
    if (target == Target::kStatus) return api::WarningsOfLoadBalancer(object);
    if (old != nullptr) return {};
    constexpr std::string_view kAnnotation = "kubernetes.io/ingress.class";
    if (object.Get("metadata", "annotations").Find(kAnnotation) == nullptr) return {};
    if (!object.Get("spec", "ingressClassName").is_null()) return {};
    return {"annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"};
  }
};

class NetworkPolicyStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Texts Warnings(Target /*target*/, const Value& object, const Value* /*old*/) const override {
    Texts texts;
    AddRules(object.Get("spec", "ingress"), "spec.ingress", "from", texts);
    AddRules(object.Get("spec", "egress"), "spec.egress", "to", texts);
    return texts;
  }

 private:
  static void AddRules(const Value& rules, std::string_view path, std::string_view peers, Texts& texts) {
    for (size_t i = 0; i < rules.size(); ++i) {
      const Value& list = rules[i].At(peers);
      for (size_t j = 0; j < list.size(); ++j) {
        const Value& block = list[j].At("ipBlock");
        if (block.is_null()) continue;
        const std::string at = At(At(path, i) + "." + std::string(peers), j) + ".ipBlock";
        Add(api::WarningsOfCidr(at + ".cidr", block.At("cidr").AsString()), texts);
        const Value& except = block.At("except");
        for (size_t k = 0; k < except.size(); ++k) {
          Add(api::WarningsOfCidr(At(at + ".except", k), except[k].AsString()), texts);
        }
      }
    }
  }
};

class ServiceCidrStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    if (target == Target::kStatus) KeepMetadataForStatus(object, old);
    return {};
  }
};

constexpr std::string_view kHostname = "kubernetes.io/hostname";

class EndpointSliceStrategy : public RecordStrategy {
 public:
  using RecordStrategy::RecordStrategy;

  Ok PrepareForCreate(const StrategyContext& context, doc::Document& object) const override {
    TRY(Strategy::PrepareForCreate(context, object));
    DropTopology(object, Value::Null());
    return {};
  }

  // An EndpointSlice has no spec: its generation counts changes of everything outside its metadata, and its labels.
  Ok PrepareForUpdate(const StrategyContext& context, Target target, doc::Document& object,
                      const Value& old) const override {
    TRY(Strategy::PrepareForUpdate(context, target, object, old));
    const bool same_endpoints = object.root.At("endpoints").Equals(old.At("endpoints"));
    const bool same = same_endpoints && object.root.At("ports").Equals(old.At("ports")) &&
                      object.root.At("addressType").Equals(old.At("addressType")) &&
                      object.root.Get("metadata", "labels").Equals(old.Get("metadata", "labels"));
    if (!same) {
      const int64_t before = old.Get("metadata", "generation").AsInt();
      Metadata(object).Set(object.arena, "generation", Value::Int(before + 1));
    }
    if (!same_endpoints) DropTopology(object, old);
    return {};
  }

  Texts Warnings(Target /*target*/, const Value& object, const Value* old) const override {
    Texts texts;
    if (old == nullptr && object.At("addressType").AsString() == "FQDN") {
      texts.emplace_back("spec.addressType: FQDN endpoints are deprecated");
    }
    // What these controllers write is fine, and there is much of it.
    const std::string_view manager =
        object.Get("metadata", "labels", "endpointslice.kubernetes.io/managed-by").AsString();
    if (manager == "endpointslice-controller.k8s.io" || manager == "endpointslicemirroring-controller.k8s.io") {
      return texts;
    }
    const Value& endpoints = object.At("endpoints");
    for (size_t i = 0; i < endpoints.size(); ++i) {
      const Value& addresses = endpoints[i].At("addresses");
      for (size_t j = 0; j < addresses.size(); ++j) {
        Add(api::WarningsOfIp(At(At("endpoints", i) + ".addresses", j), addresses[j].AsString()), texts);
      }
    }
    return texts;
  }

 private:
  // The field is of an old version and can't be written any more. A node that it named before gets into nodeName.
  static void DropTopology(doc::Document& object, const Value& old) {
    std::set<std::string_view> nodes;
    for (const Value& endpoint : old.At("endpoints").items()) {
      nodes.insert(endpoint.Get("deprecatedTopology", kHostname).AsString());
    }
    nodes.erase("");
    Value* endpoints = object.root.Find("endpoints");
    if (endpoints == nullptr) return;
    for (Value& endpoint : endpoints->items()) {
      const Value node = endpoint.Get("deprecatedTopology", kHostname);
      const std::string_view name = node.AsString();
      if (endpoint.At("nodeName").is_null() && nodes.contains(name) && CheckDns1123Subdomain(name).empty()) {
        endpoint.Set(object.arena, "nodeName", node);
      }
      endpoint.Remove("deprecatedTopology");
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> MakeNetworkingStrategy(const api::KindInfo& kind) {
  if (kind.plural == "ingresses") return std::make_unique<IngressStrategy>(kind);
  if (kind.plural == "networkpolicies") return std::make_unique<NetworkPolicyStrategy>(kind);
  if (kind.plural == "servicecidrs") return std::make_unique<ServiceCidrStrategy>(kind);
  if (kind.plural == "endpointslices") return std::make_unique<EndpointSliceStrategy>(kind);
  return std::make_unique<RecordStrategy>(kind);
}

}  // namespace knarr::apiserver
