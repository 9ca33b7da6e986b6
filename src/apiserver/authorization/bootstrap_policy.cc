#include "apiserver/authorization/bootstrap_policy.h"

#include <algorithm>

#include "apiserver/authorization/rules.h"
#include "base/check.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kAggregateLabel = "rbac.authorization.k8s.io/aggregate-to-";
constexpr std::string_view kControllerRole = "system:controller:";

// The lines, with those that are continued put together.
std::vector<std::string> WholeLines(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view line : Lines(text)) {
    if (line.empty()) continue;
    if (!line.starts_with("    ")) {
      out.emplace_back(line);
      continue;
    }
    CHECK(!out.empty());
    if (!out.back().ends_with(',')) out.back() += ' ';
    out.back() += TrimSpace(line);
  }
  return out;
}

std::vector<std::string> List(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view part : Split(text, ',')) out.emplace_back(part == "core" ? "" : part);
  return out;
}

PolicyRule ReadRuleLine(const std::vector<std::string_view>& words) {
  CHECK(words.size() == 3 || words.size() == 4);
  if (words[1] == "url") return {List(words[0]), {}, {}, {}, List(words[2])};
  PolicyRule rule{List(words[0]), List(words[1]), List(words[2]), {}, {}};
  if (words.size() == 4) {
    std::string_view names = words[3];
    CHECK(ConsumePrefix(names, "names="));
    rule.resource_names = List(names);
  }
  return rule;
}

void SetName(std::string_view kind, std::string_view text, std::string& ns, std::string& name) {
  if (kind.starts_with("Cluster")) {
    name = text;
    return;
  }
  const auto parts = Cut(text, "/");
  CHECK(parts.has_value());
  ns = parts->first;
  name = parts->second;
}

PolicyRole ReadRoleLine(const std::vector<std::string_view>& words) {
  PolicyRole role;
  SetName(words[0], words[1], role.ns, role.name);
  for (size_t i = 2; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (ConsumePrefix(word, "into=")) {
      role.labels.push_back(std::string(kAggregateLabel) + std::string(word));
    } else {
      CHECK(ConsumePrefix(word, "of="));
      role.aggregates = std::string(kAggregateLabel) + std::string(word);
    }
  }
  return role;
}

PolicyBinding ReadBindingLine(const std::vector<std::string_view>& words) {
  PolicyBinding binding;
  SetName(words[0], words[1], binding.ns, binding.name);
  binding.role_kind = words[0].substr(0, words[0].size() - std::string_view("Binding").size());
  binding.role_name = binding.name;
  for (size_t i = 2; i < words.size(); ++i) {
    const auto parts = Cut(words[i], ":");
    CHECK(parts.has_value());
    const auto [kind, name] = *parts;
    if (kind == "Role" || kind == "ClusterRole") {
      binding.role_kind = kind;
      binding.role_name = name;
    } else if (kind == "ServiceAccount") {
      PolicyBinding::Subject subject{std::string(kind), "", ""};
      SetName("", name, subject.ns, subject.name);
      binding.subjects.push_back(std::move(subject));
    } else {
      binding.subjects.push_back({std::string(kind), "", std::string(name)});
    }
  }
  return binding;
}

void ReadPolicy(std::string_view text, BootstrapPolicy& policy) {
  for (const std::string& line : WholeLines(text)) {
    const std::vector<std::string_view> words = Fields(line);
    CHECK(words.size() >= 2);
    if (line.starts_with(' ')) {
      CHECK(!policy.roles.empty());
      policy.roles.back().rules.push_back(ReadRuleLine(words));
    } else if (words[0] == "Controller") {
      const std::string account(words[1]);
      const std::string name = std::string(kControllerRole) + account;
      policy.roles.push_back({"", name, {}, "", {}});
      policy.bindings.push_back({"", name, "ClusterRole", name, {{"ServiceAccount", "kube-system", account}}});
    } else if (words[0].ends_with("Binding")) {
      policy.bindings.push_back(ReadBindingLine(words));
    } else {
      policy.roles.push_back(ReadRoleLine(words));
    }
  }
}

doc::Document Begin(std::string_view kind, std::string_view ns, std::string_view name,
                    const std::vector<std::string>& labels) {
  doc::Document out;
  doc::Arena& arena = out.arena;
  Value metadata = Value::Object();
  metadata.AddMember(arena, "name", Value::String(arena, name));
  if (!ns.empty()) metadata.AddMember(arena, "namespace", Value::String(arena, ns));
  Value label_map = Value::Object();
  label_map.AddMember(arena, "kubernetes.io/bootstrapping", Value::Borrow("rbac-defaults"));
  for (const std::string& label : labels) label_map.SetCopy(arena, label, Value::Borrow("true"));
  metadata.AddMember(arena, "labels", label_map);
  Value annotations = Value::Object();
  annotations.AddMember(arena, "rbac.authorization.kubernetes.io/autoupdate", Value::Borrow("true"));
  metadata.AddMember(arena, "annotations", annotations);
  out.root = Value::Object();
  out.root.AddMember(arena, "kind", Value::Borrow(kind));
  out.root.AddMember(arena, "apiVersion", Value::Borrow("rbac.authorization.k8s.io/v1"));
  out.root.AddMember(arena, "metadata", metadata);
  return out;
}

}  // namespace

BootstrapPolicy ReadBootstrapPolicy() {
  BootstrapPolicy policy;
  ReadPolicy(kClusterPolicy, policy);
  ReadPolicy(kControllerPolicy, policy);
  return policy;
}

std::vector<PolicyRule> BootstrapRules(std::string_view cluster_role) {
  BootstrapPolicy policy = ReadBootstrapPolicy();
  const auto found = std::ranges::find_if(
      policy.roles, [&](const PolicyRole& role) { return role.ns.empty() && role.name == cluster_role; });
  CHECK(found != policy.roles.end());
  return std::move(found->rules);
}

doc::Document PolicyObject(const PolicyRole& role) {
  doc::Document out = Begin(role.ns.empty() ? "ClusterRole" : "Role", role.ns, role.name, role.labels);
  doc::Arena& arena = out.arena;
  if (role.aggregates.empty()) {
    out.root.AddMember(arena, "rules", WriteRules(role.rules, arena));
    return out;
  }
  Value labels = Value::Object();
  labels.SetCopy(arena, role.aggregates, Value::Borrow("true"));
  Value selector = Value::Object();
  selector.AddMember(arena, "matchLabels", labels);
  Value rule = Value::Object();
  rule.AddMember(arena, "clusterRoleSelectors", Value::ArrayOf(arena, {&selector, 1}));
  out.root.AddMember(arena, "rules", Value::Null());
  out.root.AddMember(arena, "aggregationRule", rule);
  return out;
}

doc::Document PolicyObject(const PolicyBinding& binding) {
  doc::Document out = Begin(binding.ns.empty() ? "ClusterRoleBinding" : "RoleBinding", binding.ns, binding.name, {});
  doc::Arena& arena = out.arena;
  Value subjects = Value::Array();
  for (const PolicyBinding::Subject& subject : binding.subjects) {
    Value one = Value::Object();
    one.AddMember(arena, "kind", Value::String(arena, subject.kind));
    if (subject.ns.empty()) one.AddMember(arena, "apiGroup", Value::Borrow("rbac.authorization.k8s.io"));
    one.AddMember(arena, "name", Value::String(arena, subject.name));
    if (!subject.ns.empty()) one.AddMember(arena, "namespace", Value::String(arena, subject.ns));
    subjects.Append(arena, one);
  }
  if (!binding.subjects.empty()) out.root.AddMember(arena, "subjects", subjects);
  Value role = Value::Object();
  role.AddMember(arena, "apiGroup", Value::Borrow("rbac.authorization.k8s.io"));
  role.AddMember(arena, "kind", Value::String(arena, binding.role_kind));
  role.AddMember(arena, "name", Value::String(arena, binding.role_name));
  out.root.AddMember(arena, "roleRef", role);
  return out;
}

}  // namespace knarr::apiserver
