#include "apiserver/authorization/node_authorizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "apiserver/authorization/bootstrap_policy.h"
#include "apiserver/authorization/rules.h"
#include "base/strings.h"
#include "rt/sync.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kLeaseNamespace = "kube-node-lease";

Verdict Allowed() { return {Decision::kAllow, "", ""}; }
Verdict No(std::string reason) { return {Decision::kNoOpinion, std::move(reason), ""}; }

bool IsOneOf(std::string_view verb, std::initializer_list<std::string_view> verbs) {
  return std::ranges::find(verbs, verb) != verbs.end();
}

bool Selects(const Attributes& attributes, std::string_view field, std::string_view node) {
  return std::ranges::any_of(attributes.field_selector.requirements(), [&](const FieldRequirement& requirement) {
    return requirement.field == field && requirement.equal && requirement.value == node;
  });
}

class NodeAuthorizer : public Authorizer {
 public:
  NodeAuthorizer(rt::Runtime& world, const store::Store& store, NodeGraph& graph)
      : world_(world), store_(store), graph_(graph), rules_(BootstrapRules("system:node")) {}

  Verdict Authorize(rt::Runtime& here, const Attributes& attributes) override {
    const std::optional<std::string_view> node = NodeOf(attributes.user);
    if (!node.has_value()) return {};
    if (node->empty()) return No(fmt::format("unknown node for user {}", GoQuote(attributes.user.name)));
    if (attributes.resource_request) {
      for (const Special& special : kSpecials) {
        if (special.resource == attributes.resource && special.group == attributes.group) {
          return (this->*special.decide)({here, attributes, std::string(*node)});
        }
      }
    }
    const bool allowed =
        std::ranges::any_of(rules_, [&](const PolicyRule& rule) { return RuleAllows(rule, attributes); });
    return allowed ? Allowed() : Verdict();
  }

  void AddRules(const UserInfo& user, std::string_view /*ns*/, RuleSet& rules) override {
    if (!NodeOf(user).has_value()) return;
    rules.incomplete = true;
    rules.errors.emplace_back("node authorizer does not support user rule resolution");
  }

 private:
  struct Question {
    rt::Runtime& here;
    const Attributes& attributes;
    std::string node;
  };
  using Decide = Verdict (NodeAuthorizer::*)(const Question& question) const;
  struct Special {
    std::string_view group;
    std::string_view resource;
    Decide decide;
  };
  static const std::array<Special, 12> kSpecials;

  /// Asks the graph on its thread, once more after it has caught up with the store.
  template <typename Ask>
  Verdict IfRelated(const Question& q, Ask ask) const {
    if (q.attributes.name.empty()) return No("No Object name found");
    const bool related = rt::CallOn(q.here, world_, [&] {
      if (ask()) return true;
      graph_.WaitFor(store_.Latest()->revision());
      return ask();
    });
    if (related) return Allowed();
    return No(fmt::format("no relationship found between node '{}' and this object", q.node));
  }

  Verdict IfReferred(const Question& q, RefKind kind) const {
    return IfRelated(q, [&] { return graph_.Refers(q.node, kind, q.attributes.ns, q.attributes.name); });
  }

  static std::optional<Verdict> NotGettable(const Question& q) {
    if (q.attributes.verb != "get") return No("can only get individual resources of this type");
    if (!q.attributes.subresource.empty()) return No("cannot get subresource");
    return std::nullopt;
  }

  Verdict ReadNamespaced(const Question& q, RefKind kind) const {
    if (!IsOneOf(q.attributes.verb, {"get", "list", "watch"})) return No("can only read resources of this type");
    if (!q.attributes.subresource.empty()) return No("cannot read subresource");
    if (q.attributes.ns.empty()) return No("can only read namespaced object of this type");
    return IfReferred(q, kind);
  }

  Verdict OnSecret(const Question& q) const { return ReadNamespaced(q, RefKind::kSecret); }
  Verdict OnConfigMap(const Question& q) const { return ReadNamespaced(q, RefKind::kConfigMap); }

  Verdict OnClaim(const Question& q) const {
    if (q.attributes.subresource == "status") {
      if (!IsOneOf(q.attributes.verb, {"update", "patch"})) return No("can only get/update/patch this type");
      return IfReferred(q, RefKind::kClaim);
    }
    if (auto no = NotGettable(q)) return *no;
    return IfReferred(q, RefKind::kClaim);
  }

  Verdict OnVolume(const Question& q) const {
    if (auto no = NotGettable(q)) return *no;
    return IfRelated(q, [&] { return graph_.UsesVolume(q.node, q.attributes.name); });
  }

  Verdict OnResourceClaim(const Question& q) const {
    if (auto no = NotGettable(q)) return *no;
    return IfReferred(q, RefKind::kResourceClaim);
  }

  Verdict OnAttachment(const Question& q) const {
    if (auto no = NotGettable(q)) return *no;
    return IfRelated(q, [&] { return graph_.HasAttachment(q.node, q.attributes.name); });
  }

  Verdict OnAccount(const Question& q) const {
    const Attributes& a = q.attributes;
    if (a.verb == "get" && a.subresource.empty()) return ReadNamespaced(q, RefKind::kAccount);
    if (a.verb != "create" || a.name.empty()) return No("can only create tokens for individual service accounts");
    if (a.subresource != "token") return No("can only create token subresource of serviceaccount");
    return IfReferred(q, RefKind::kAccount);
  }

  Verdict OnLease(const Question& q) const {
    const Attributes& a = q.attributes;
    if (!IsOneOf(a.verb, {"get", "create", "update", "patch", "delete"})) {
      return No("can only get, create, update, patch, or delete a node lease");
    }
    if (a.ns != kLeaseNamespace) {
      return No(fmt::format("can only access leases in the \"{}\" system namespace", kLeaseNamespace));
    }
    // What is created has no name here: admission looks at it.
    if (a.verb != "create" && a.name != q.node) {
      return No("can only access node lease with the same name as the requesting node");
    }
    return Allowed();
  }

  Verdict OnCsiNode(const Question& q) const {
    const Attributes& a = q.attributes;
    if (!IsOneOf(a.verb, {"get", "create", "update", "patch", "delete"})) {
      return No("can only get, create, update, patch, or delete a CSINode");
    }
    if (!a.subresource.empty()) return No("cannot authorize CSINode subresources");
    if (a.verb != "create" && a.name != q.node) {
      return No("can only access CSINode with the same name as the requesting node");
    }
    return Allowed();
  }

  Verdict OnSlice(const Question& q) const {
    const Attributes& a = q.attributes;
    if (!a.subresource.empty()) return No("cannot authorize ResourceSlice subresources");
    if (a.verb == "create") return Allowed();
    if (IsOneOf(a.verb, {"get", "update", "patch", "delete"})) {
      return IfRelated(q, [&] { return graph_.HasSlice(q.node, a.name); });
    }
    if (IsOneOf(a.verb, {"watch", "list", "deletecollection"})) {
      if (Selects(a, "spec.nodeName", q.node)) return Allowed();
      return No("can only list/watch/deletecollection resourceslices with nodeName field selector");
    }
    return No(
        "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, "
        "deletecollection");
  }

  Verdict OnNode(const Question& q) const {
    const Attributes& a = q.attributes;
    if (a.subresource == "status") return IsOneOf(a.verb, {"update", "patch"}) ? Allowed() : Verdict();
    if (!a.subresource.empty()) return {};
    if (IsOneOf(a.verb, {"create", "update", "patch"})) return Allowed();
    if (!IsOneOf(a.verb, {"get", "list", "watch"})) return {};
    if (a.name == q.node) return Allowed();
    if (a.name.empty()) return No(fmt::format("node '{}' cannot read all nodes, only its own Node object", q.node));
    return No(fmt::format("node '{}' cannot read '{}', only its own Node object", q.node, a.name));
  }

  Verdict OnPod(const Question& q) const {
    const Attributes& a = q.attributes;
    const auto runs = [&] { return graph_.RunsPod(q.node, a.ns, a.name); };
    if (a.subresource == "status") return IsOneOf(a.verb, {"update", "patch"}) ? Allowed() : Verdict();
    if (a.subresource == "eviction") return a.verb == "create" ? Allowed() : Verdict();
    if (!a.subresource.empty()) return {};
    if (a.verb == "get") return IfRelated(q, runs);
    if (a.verb == "list" || a.verb == "watch") {
      if (Selects(a, "spec.nodeName", q.node)) return Allowed();
      if (!a.name.empty()) return IfRelated(q, runs);
      return No("can only list/watch pods with spec.nodeName field selector");
    }
    return a.verb == "create" || a.verb == "delete" ? Allowed() : Verdict();
  }

  rt::Runtime& world_;
  const store::Store& store_;
  NodeGraph& graph_;
  const std::vector<PolicyRule> rules_;
};

const std::array<NodeAuthorizer::Special, 12> NodeAuthorizer::kSpecials = {{
    {"", "secrets", &NodeAuthorizer::OnSecret},
    {"", "configmaps", &NodeAuthorizer::OnConfigMap},
    {"", "persistentvolumeclaims", &NodeAuthorizer::OnClaim},
    {"", "persistentvolumes", &NodeAuthorizer::OnVolume},
    {"resource.k8s.io", "resourceclaims", &NodeAuthorizer::OnResourceClaim},
    {"storage.k8s.io", "volumeattachments", &NodeAuthorizer::OnAttachment},
    {"", "serviceaccounts", &NodeAuthorizer::OnAccount},
    {"coordination.k8s.io", "leases", &NodeAuthorizer::OnLease},
    {"storage.k8s.io", "csinodes", &NodeAuthorizer::OnCsiNode},
    {"resource.k8s.io", "resourceslices", &NodeAuthorizer::OnSlice},
    {"", "nodes", &NodeAuthorizer::OnNode},
    {"", "pods", &NodeAuthorizer::OnPod},
}};

}  // namespace

std::optional<std::string_view> NodeOf(const UserInfo& user) {
  std::string_view name = user.name;
  if (!ConsumePrefix(name, kNodePrefix) || !IsMember(user, kNodes)) return std::nullopt;
  return name;
}

std::unique_ptr<Authorizer> MakeNodeAuthorizer(rt::Runtime& world, const store::Store& store, NodeGraph& graph) {
  return std::make_unique<NodeAuthorizer>(world, store, graph);
}

}  // namespace knarr::apiserver
