#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/coordination_v1.h"
#include "api/core_v1.h"
#include "base/strings.h"
#include "cli/kubectl/describe.h"

namespace knarr::cli {
namespace {

using api::core_v1::Node;
using ResourceMap = std::map<std::string, Quantity, std::less<>>;

constexpr std::string_view kLeaseNamespace = "kube-node-lease";
constexpr std::string_view kRolePrefix = "node-role.kubernetes.io/";
constexpr std::string_view kRoleLabel = "kubernetes.io/role";

ResourceMap ReadResources(const doc::Value& map) {
  ResourceMap out;
  for (const doc::Member& member : map.members()) out[std::string(member.key)] = QuantityOf(member.value);
  return out;
}

void AddTo(ResourceMap& sum, const ResourceMap& more) {
  for (const auto& [name, amount] : more) {
    auto [at, fresh] = sum.try_emplace(name, amount);
    if (!fresh) at->second += amount;
  }
}

void RaiseTo(ResourceMap& most, const ResourceMap& other) {
  for (const auto& [name, amount] : other) {
    auto [at, fresh] = most.try_emplace(name, amount);
    if (!fresh && amount > at->second) at->second = amount;
  }
}

/// What the pod asks for (`member` "requests") or may use ("limits"): its containers and sidecars together, or the
/// greediest moment of its start; the pod's own figures win; the sandbox's overhead comes on top.
ResourceMap PodResources(const doc::Value& pod, std::string_view member) {
  const doc::Value& spec = pod.At("spec");
  ResourceMap total;
  for (const doc::Value& container : spec.At("containers").items()) {
    AddTo(total, ReadResources(container.Get("resources", member)));
  }
  ResourceMap sidecars;
  ResourceMap start;
  for (const doc::Value& container : spec.At("initContainers").items()) {
    ResourceMap wanted = ReadResources(container.Get("resources", member));
    if (container.At("restartPolicy").AsString() == "Always") {
      AddTo(total, wanted);
      AddTo(sidecars, wanted);
      wanted = sidecars;
    } else {
      AddTo(wanted, sidecars);
    }
    RaiseTo(start, wanted);
  }
  RaiseTo(total, start);
  for (const auto& [name, amount] : ReadResources(spec.Get("resources", member))) total[name] = amount;
  for (const auto& [name, amount] : ReadResources(spec.At("overhead"))) {
    auto at = total.find(name);
    if (at != total.end()) {
      at->second += amount;
    } else if (member == "requests") {
      total[name] = amount;
    }
  }
  return total;
}

Quantity AmountOf(const ResourceMap& map, std::string_view name) {
  auto at = map.find(name);
  return at == map.end() ? Quantity() : at->second;
}

/// "250m (12%)": of what pods may have.
std::string Share(const Quantity& amount, const Quantity& whole, bool milli) {
  const auto part = static_cast<double>(milli ? amount.MilliValue() : amount.Value());
  const auto all = static_cast<double>(milli ? whole.MilliValue() : whole.Value());
  return fmt::format("{} ({}%)", amount.ToString(), all == 0 ? 0 : static_cast<int64_t>(part / all * 100));
}

std::string Roles(const doc::Value& labels) {
  std::set<std::string_view> roles;
  for (const doc::Member& label : labels.members()) {
    std::string_view key = label.key;
    if (ConsumePrefix(key, kRolePrefix) && !key.empty()) roles.insert(key);
    if (label.key == kRoleLabel && !label.value.AsString().empty()) roles.insert(label.value.AsString());
  }
  return roles.empty() ? "<none>" : Join(roles, ",");
}

void AddTaints(Description& out, const doc::Value& taints) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const doc::Value& taint : taints.items()) {
    const std::string_view key = taint.At("key").AsString();
    const std::string_view value = taint.At("value").AsString();
    const std::string_view effect = taint.At("effect").AsString();
    std::string text(key);
    if (!value.empty()) text += fmt::format("={}", value);
    if (!effect.empty()) text += fmt::format(":{}", effect);
    // "key=" without a value is "key:effect", as upstream writes it.
    lines.emplace_back(fmt::format("{},{}", effect, key), std::move(text));
  }
  std::ranges::sort(lines);
  std::string all = "Taints:\t";
  for (size_t i = 0; i < lines.size(); ++i) all += fmt::format("{}{}\n", i == 0 ? "" : "\t", lines[i].second);
  out.Add(0, lines.empty() ? "Taints:\t<none>\n" : all);
}

void AddLease(Description& out, const api::Object& node) {
  Result<api::ObjectPtr> lease =
      out.client().Get(api::coordination_v1::LeaseInfo(), {std::string(kLeaseNamespace), std::string(node.name())});
  if (!lease.ok()) {
    out.Add(0, fmt::format("Lease:\tFailed to get lease: {}\n", lease.status().message()));
    return;
  }
  const doc::Value& spec = (*lease)->tree().At("spec");
  auto time = [&](std::string_view name) { return spec.At(name).is_null() ? "<unset>" : LongTime(spec.At(name)); };
  out.Add(0, "Lease:\n");
  out.Add(1, fmt::format("HolderIdentity:\t{}\n", TextOr(spec.At("holderIdentity"), "<unset>")));
  out.Add(1, fmt::format("AcquireTime:\t{}\n", time("acquireTime")));
  out.Add(1, fmt::format("RenewTime:\t{}\n", time("renewTime")));
}

void AddConditions(Description& out, const doc::Value& conditions) {
  if (conditions.empty()) return;
  out.Add(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n");
  out.Add(1, "----\t------\t-----------------\t------------------\t------\t-------\n");
  for (const doc::Value& condition : conditions.items()) {
    out.Add(1, fmt::format("{} \t{} \t{} \t{} \t{} \t{}\n", condition.At("type").AsString(),
                           condition.At("status").AsString(), LongTime(condition.At("lastHeartbeatTime")),
                           LongTime(condition.At("lastTransitionTime")), condition.At("reason").AsString(),
                           condition.At("message").AsString()));
  }
}

void AddSystem(Description& out, const Node& node) {
  for (auto address : node.status().addresses()) {
    out.Add(1, fmt::format("{}:\t{}\n", address.type(), address.address()));
  }
  for (const auto& [member, title] : {std::pair{"capacity", "Capacity"}, {"allocatable", "Allocatable"}}) {
    const ResourceMap resources = ReadResources(node.status().tree().At(member));
    if (!resources.empty()) out.Add(0, fmt::format("{}:\n", title));
    for (const auto& [name, amount] : resources) out.Add(1, fmt::format("{}:\t{}\n", name, amount.ToString()));
  }
  out.Add(0, "System Info:\n");
  const doc::Value& info = node.status().tree().At("nodeInfo");
  constexpr std::pair<std::string_view, std::string_view> kLines[] = {
      {"Machine ID", "machineID"},
      {"System UUID", "systemUUID"},
      {"Boot ID", "bootID"},
      {"Kernel Version", "kernelVersion"},
      {"OS Image", "osImage"},
      {"Operating System", "operatingSystem"},
      {"Architecture", "architecture"},
      {"Container Runtime Version", "containerRuntimeVersion"},
      {"Kubelet Version", "kubeletVersion"}};
  for (const auto& [title, member] : kLines) out.Add(1, fmt::format("{}:\t{}\n", title, info.At(member).AsString()));
  const doc::Value& spec = node.spec().tree();
  if (!node.spec().pod_cidr().empty()) out.Add(0, fmt::format("PodCIDR:\t{}\n", node.spec().pod_cidr()));
  if (!spec.At("podCIDRs").empty()) {
    out.Add(0, fmt::format("PodCIDRs:\t{}\n", Join(Strings(spec.At("podCIDRs")), ",")));
  }
  if (!node.spec().provider_id().empty()) out.Add(0, fmt::format("ProviderID:\t{}\n", node.spec().provider_id()));
}

void AddAllocated(Description& out, const ResourceMap& requests, const ResourceMap& limits, const ResourceMap& whole) {
  out.Add(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n");
  out.Add(1, "Resource\tRequests\tLimits\n");
  out.Add(1, "--------\t--------\t------\n");
  constexpr std::string_view kUsual[] = {"cpu", "memory", "ephemeral-storage"};
  auto add_share = [&](std::string_view name) {
    const Quantity all = AmountOf(whole, name);
    out.Add(1, fmt::format("{}\t{}\t{}\n", name, Share(AmountOf(requests, name), all, name == "cpu"),
                           Share(AmountOf(limits, name), all, name == "cpu")));
  };
  for (std::string_view name : kUsual) add_share(name);
  for (const auto& [name, unused] : whole) {
    if (name.starts_with("hugepages-")) add_share(name);
  }
  for (const auto& [name, unused] : whole) {
    if (name.starts_with("hugepages-") || name == "pods" || std::ranges::find(kUsual, name) != std::end(kUsual))
      continue;
    out.Add(1,
            fmt::format("{}\t{}\t{}\n", name, AmountOf(requests, name).ToString(), AmountOf(limits, name).ToString()));
  }
}

void AddPods(Description& out, const Node& node, const std::vector<api::ObjectPtr>& pods) {
  const doc::Value& status = node.status().tree();
  const ResourceMap whole =
      ReadResources(status.At("allocatable").empty() ? status.At("capacity") : status.At("allocatable"));
  ResourceMap requests;
  ResourceMap limits;
  out.Add(0, fmt::format("Non-terminated Pods:\t({} in total)\n", pods.size()));
  out.Add(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge\n");
  out.Add(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---\n");
  const Quantity cpu = AmountOf(whole, "cpu");
  const Quantity memory = AmountOf(whole, "memory");
  for (const api::ObjectPtr& pod : pods) {
    const ResourceMap wanted = PodResources(pod->tree(), "requests");
    const ResourceMap most = PodResources(pod->tree(), "limits");
    out.Add(
        1, fmt::format("{}\t{}\t\t{}\t{}\t{}\t{}\t{}\n", pod->ns(), pod->name(),
                       Share(AmountOf(wanted, "cpu"), cpu, true), Share(AmountOf(most, "cpu"), cpu, true),
                       Share(AmountOf(wanted, "memory"), memory, false), Share(AmountOf(most, "memory"), memory, false),
                       out.Since(pod->tree().Get("metadata", "creationTimestamp"))));
    AddTo(requests, wanted);
    AddTo(limits, most);
  }
  AddAllocated(out, requests, limits, whole);
}

}  // namespace

Ok DescribeNode(Description& out, const api::Object& object) {
  Node node(object.tree());
  const doc::Value& metadata = object.tree().At("metadata");
  client::ListOptions options{
      .field_selector = fmt::format("spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed", object.name())};
  Result<client::ObjectList> pods = out.client().List(api::core_v1::PodInfo(), "", options);
  if (!pods.ok() && !pods.Failed(Reason::kForbidden)) return pods.status();
  out.Name(object);
  out.Add(0, fmt::format("Roles:\t{}\n", Roles(metadata.At("labels"))));
  out.Labels("Labels", metadata.At("labels"));
  out.Annotations(metadata.At("annotations"));
  out.Add(0, fmt::format("CreationTimestamp:\t{}\n", LongTime(metadata.At("creationTimestamp"))));
  AddTaints(out, node.spec().tree().At("taints"));
  out.Add(0, fmt::format("Unschedulable:\t{}\n", node.spec().unschedulable()));
  AddLease(out, object);
  AddConditions(out, node.status().tree().At("conditions"));
  out.Add(0, "Addresses:\n");
  AddSystem(out, node);
  if (pods.ok()) {
    AddPods(out, node, pods->items);
  } else {
    out.Add(0, "Pods:\tnot authorized\n");
  }
  out.Events(object, object.kind(), object.name());
  return {};
}

}  // namespace knarr::cli
