#include "node/allocation.h"

#include <fmt/format.h>

#include <algorithm>

#include "doc/json.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::ResourceList;
using api::core_v1::Pod;
using doc::Value;

// More than any control group is given; with it, what is worked out of a record stays within 64 bits.
constexpr int64_t kAmountMost = int64_t{1} << 53;
constexpr std::string_view kLists[] = {"initContainers", "containers"};

Value ToValue(const Allocation& allocation, doc::Arena& arena) {
  Value out = Value::Object();
  out.Set(arena, "pod", WriteRequirements(allocation.pod, arena));
  Value& containers = out.Set(arena, "containers", Value::Object());
  for (const auto& [name, requirements] : allocation.containers) {
    containers.Set(arena, name, WriteRequirements(requirements, arena));
  }
  return out;
}

Allocation ReadAllocation(const Value& value) {
  Allocation out;
  out.pod = ReadRequirements(value.At("pod"));
  for (const doc::Member& member : value.At("containers").members()) {
    out.containers.emplace(member.key, ReadRequirements(member.value));
  }
  return out;
}

Value ToValue(const runtime::CgroupResources& group, doc::Arena& arena) {
  Value out = Value::Object();
  out.Set(arena, "cpuShares", Value::Int(group.cpu_shares));
  out.Set(arena, "cpuQuota", Value::Int(group.cpu_quota_us));
  out.Set(arena, "cpuPeriod", Value::Int(group.cpu_period_us));
  out.Set(arena, "memoryLimit", Value::Int(group.memory_limit));
  return out;
}

int64_t Amount(const ResourceList& list, std::string_view name, bool milli) {
  const auto at = list.find(name);
  if (at == list.end()) return 0;
  return milli ? CpuMilli(at->second) : MemoryBytes(at->second);
}

}  // namespace

Requirements ReadRequirements(const Value& resources) {
  return {api::ReadResources(resources.At("requests")), api::ReadResources(resources.At("limits"))};
}

Value WriteRequirements(const Requirements& requirements, doc::Arena& arena) {
  Value out = Value::Object();
  if (!requirements.limits.empty()) out.Set(arena, "limits", api::WriteResources(requirements.limits, arena));
  if (!requirements.requests.empty()) out.Set(arena, "requests", api::WriteResources(requirements.requests, arena));
  return out;
}

const Requirements& Allocation::Of(std::string_view container) const {
  static const Requirements kNone;
  const auto at = containers.find(container);
  return at == containers.end() ? kNone : at->second;
}

Allocation AllocationOf(Pod pod) {
  Allocation out;
  const Value& spec = pod.tree().At("spec");
  out.pod = ReadRequirements(spec.At("resources"));
  for (const std::string_view list : kLists) {
    for (const Value& container : spec.At(list).items()) {
      out.containers.emplace(container.At("name").AsString(), ReadRequirements(container.At("resources")));
    }
  }
  return out;
}

api::ObjectPtr WithAllocation(const api::ObjectPtr& pod, const Allocation& allocation) {
  if (AllocationOf(Pod(pod->tree())) == allocation) return pod;
  doc::Document document = doc::Document::Copy(pod->tree());
  Value& spec = document.root.Ensure(document.arena, "spec");
  const auto put = [&](Value& of, const Requirements& requirements) {
    of.Set(document.arena, "resources", WriteRequirements(requirements, document.arena));
  };
  if (allocation.pod == Requirements()) {
    spec.Remove("resources");
  } else {
    put(spec, allocation.pod);
  }
  for (const std::string_view list : kLists) {
    Value* containers = spec.Find(list);
    if (containers == nullptr) continue;
    for (size_t i = 0; i < containers->size(); ++i) {
      Value& container = (*containers)[i];
      const auto given = allocation.containers.find(container.At("name").AsString());
      if (given != allocation.containers.end()) put(container, given->second);
    }
  }
  return api::Object::FromDocument(std::move(document));
}

std::string ToJson(const ResourceRecord& record) {
  doc::Document out;
  out.root = Value::Object();
  out.root.Set(out.arena, "allocated", ToValue(record.allocated, out.arena));
  out.root.Set(out.arena, "actuated", ToValue(record.actuated, out.arena));
  out.root.Set(out.arena, "podGroup", ToValue(record.pod_group, out.arena));
  return doc::ToJson(out.root);
}

Result<ResourceRecord> ParseResourceRecord(std::string_view text) {
  const doc::Document in = TRY(doc::ParseJson(text));
  const Value& group = in.root.At("podGroup");
  if (!in.root.At("allocated").is_object() || !group.is_object()) return BadRequest("no record of resources");
  ResourceRecord out{.allocated = ReadAllocation(in.root.At("allocated")),
                     .actuated = ReadAllocation(in.root.At("actuated")),
                     .pod_group = {}};
  out.pod_group.cpu_shares = group.At("cpuShares").AsInt();
  out.pod_group.cpu_quota_us = group.At("cpuQuota").AsInt();
  out.pod_group.cpu_period_us = group.At("cpuPeriod").AsInt();
  out.pod_group.memory_limit = group.At("memoryLimit").AsInt();
  for (const char* amount : {"cpuShares", "cpuQuota", "cpuPeriod", "memoryLimit"}) {
    const int64_t value = group.At(amount).AsInt();
    if (value < 0 || value > kAmountMost) return BadRequest(fmt::format("no {} of a control group: {}", amount, value));
  }
  if (out.pod_group.cpu_quota_us > 0 && out.pod_group.cpu_period_us == 0) return BadRequest("a quota of no period");
  return out;
}

Sizes SizesOf(const Requirements& container, const Requirements& pod) {
  const bool asks_cpu = container.requests.contains("cpu");
  Sizes out{.cpu_request = Amount(container.requests, "cpu", true),
            .cpu_limit = Amount(container.limits, "cpu", true),
            .memory_request = Amount(container.requests, "memory", false),
            .memory_limit = Amount(container.limits, "memory", false)};
  if (out.cpu_limit == 0) out.cpu_limit = Amount(pod.limits, "cpu", true);
  // A limit without a request is its request, too.
  if (!asks_cpu) out.cpu_request = out.cpu_limit;
  if (out.memory_limit == 0) out.memory_limit = Amount(pod.limits, "memory", false);
  return out;
}

}  // namespace knarr::node
