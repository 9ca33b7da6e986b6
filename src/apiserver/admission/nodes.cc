#include <fmt/format.h>

#include <algorithm>

#include "api/pod_resources.h"
#include "apiserver/admission/plugins.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

/// A new node is not ready: nothing is placed on it before it has said otherwise.
class TaintNodesByCondition : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    static constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
    if (!request.IsFor("", "nodes") || !request.subresource.empty()) return {};
    if (request.operation != AdmissionOperation::kCreate) return {};
    doc::Document& object = *request.object;
    Value& spec = object.root.Ensure(object.arena, "spec");
    if (!spec.is_object()) spec = Value::Object();
    const auto taints = std::as_const(spec).At("taints").items();
    const bool present = std::ranges::any_of(taints, [](const Value& taint) {
      return taint.At("key").AsString() == kNotReady && taint.At("effect").AsString() == "NoSchedule";
    });
    if (present) return {};
    Value taint = Value::Object();
    taint.AddMember(object.arena, "key", Value::Borrow(kNotReady));
    taint.AddMember(object.arena, "effect", Value::Borrow("NoSchedule"));
    spec.Ensure(object.arena, "taints").Append(object.arena, taint);
    return {};
  }
};

/// A pod learns its node's zone and region when it is bound to it.
class PodTopologyLabels : public AdmissionPlugin {
 public:
  Ok Mutate(AdmissionRequest& request) const override {
    if (!request.IsFor("", "pods") || request.operation != AdmissionOperation::kCreate) return {};
    std::string_view node;
    if (request.subresource.empty()) {
      node = request.root().Get("spec", "nodeName").AsString();
    } else if (request.subresource == "binding" && request.root().Get("target", "kind").AsString() == "Node") {
      node = request.root().Get("target", "name").AsString();
    }
    if (node.empty()) return {};
    const api::ObjectPtr found = request.Find("", "nodes", "", node);
    if (found == nullptr) return {};
    doc::Document& object = *request.object;
    for (const std::string_view label : {"topology.kubernetes.io/region", "topology.kubernetes.io/zone"}) {
      const Value& value = found->tree().Get("metadata", "labels", label);
      if (value.is_null()) continue;
      object.root.Ensure(object.arena, "metadata")
          .Ensure(object.arena, "labels")
          .Set(object.arena, label, Value::String(object.arena, value.AsString()));
    }
    return {};
  }
};

/// A pod that runs is given no more than its node has.
class PodResizeValidator : public AdmissionPlugin {
 public:
  Ok Validate(const AdmissionRequest& request) const override {
    if (!request.IsFor("", "pods") || request.subresource != "resize") return {};
    if (request.operation != AdmissionOperation::kUpdate) return {};
    const std::string_view name = request.root().Get("spec", "nodeName").AsString();
    const bool same =
        request.root().Get("metadata", "generation").Equals(request.old_object->Get("metadata", "generation"));
    if (name.empty() || same) return {};
    const api::ObjectPtr node = request.Find("", "nodes", "", name);
    if (node == nullptr) return request.Forbidden(fmt::format("node {} not found", GoQuote(name)));
    const std::string_view os = node->tree().Get("metadata", "labels", "kubernetes.io/os").AsString("linux");
    if (os != "linux") {
      return Refuse(
          request, "UnsupportedPlatform",
          fmt::format("pod resize is only supported on linux nodes, node {} is {}", GoQuote(name), GoQuote(os)));
    }
    return CheckFits(request, node->tree().Get("status", "allocatable"));
  }

 private:
  static Ok Refuse(const AdmissionRequest& request, std::string type, std::string_view why) {
    return request.Forbidden(why).WithCause({std::move(type), "", ""});
  }

  static Ok CheckFits(const AdmissionRequest& request, const Value& allocatable) {
    const api::ResourceList asked = api::PodRequests(request.root());
    std::vector<std::string> lacks;
    const auto amount = [&](std::string_view resource) {
      const auto at = asked.find(resource);
      return at == asked.end() ? Quantity() : at->second;
    };
    const Quantity cpu = api::ReadQuantity(allocatable.At("cpu"));
    const Quantity memory = api::ReadQuantity(allocatable.At("memory"));
    if (amount("cpu") > cpu) {
      lacks.push_back(fmt::format("cpu, requested: {}, allocatable: {}", amount("cpu").MilliValue(), cpu.MilliValue()));
    }
    if (amount("memory") > memory) {
      lacks.push_back(fmt::format("memory, requested: {}, allocatable: {}", amount("memory").Value(), memory.Value()));
    }
    if (lacks.empty()) return {};
    return Refuse(request, "NodeCapacity",
                  fmt::format("node didn't have enough allocatable resources: {}", fmt::join(lacks, "; ")));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> MakeTaintNodesByCondition() { return std::make_unique<TaintNodesByCondition>(); }
std::unique_ptr<AdmissionPlugin> MakePodTopologyLabels() { return std::make_unique<PodTopologyLabels>(); }
std::unique_ptr<AdmissionPlugin> MakePodResizeValidator() { return std::make_unique<PodResizeValidator>(); }

}  // namespace knarr::apiserver
