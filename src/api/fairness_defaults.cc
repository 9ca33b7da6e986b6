#include "api/fairness_defaults.h"

namespace knarr::api {
namespace {

constexpr FairnessDefault kDefaults[] = {
    {"PriorityLevelConfiguration", "exempt", true,
     R"({"type":"Exempt","exempt":{"nominalConcurrencyShares":0,"lendablePercent":0}})"},
    {"PriorityLevelConfiguration", "catch-all", true,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":5,"limitResponse":{"type":"Reject"},)"
     R"("lendablePercent":0}})"},
    {"PriorityLevelConfiguration", "system", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":30,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":64,"handSize":6,"queueLengthLimit":50}},"lendablePercent":33}})"},
    {"PriorityLevelConfiguration", "node-high", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":40,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":64,"handSize":6,"queueLengthLimit":50}},"lendablePercent":25}})"},
    {"PriorityLevelConfiguration", "leader-election", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":10,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":16,"handSize":4,"queueLengthLimit":50}},"lendablePercent":0}})"},
    {"PriorityLevelConfiguration", "workload-high", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":40,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":128,"handSize":6,"queueLengthLimit":50}},"lendablePercent":50}})"},
    {"PriorityLevelConfiguration", "workload-low", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":100,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":128,"handSize":6,"queueLengthLimit":50}},"lendablePercent":90}})"},
    {"PriorityLevelConfiguration", "global-default", false,
     R"({"type":"Limited","limited":{"nominalConcurrencyShares":20,"limitResponse":{"type":"Queue",)"
     R"("queuing":{"queues":128,"handSize":6,"queueLengthLimit":50}},"lendablePercent":50}})"},
    {"FlowSchema", "exempt", true,
     R"({"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":1,)"
     R"("rules":[{"subjects":[{"kind":"Group","group":{"name":"system:masters"}}],)"
     R"("resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"clusterScope":true,)"
     R"("namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "catch-all", true,
     R"({"priorityLevelConfiguration":{"name":"catch-all"},"matchingPrecedence":10000,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:unauthenticated"}},{"kind":"Group",)"
     R"("group":{"name":"system:authenticated"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],)"
     R"("resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "probes", false,
     R"({"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":2,)"
     R"("rules":[{"subjects":[{"kind":"Group","group":{"name":"system:unauthenticated"}},)"
     R"({"kind":"Group","group":{"name":"system:authenticated"}}],"nonResourceRules":[{"verbs":["get"],)"
     R"("nonResourceURLs":["/healthz","/readyz","/livez"]}]}]})"},
    {"FlowSchema", "system-leader-election", false,
     R"({"priorityLevelConfiguration":{"name":"leader-election"},"matchingPrecedence":100,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-controller-manager"}},{"kind":"User",)"
     R"("user":{"name":"system:kube-scheduler"}},{"kind":"ServiceAccount",)"
     R"("serviceAccount":{"namespace":"kube-system","name":"*"}}],"resourceRules":[{"verbs":["get",)"
     R"("create","update"],"apiGroups":["coordination.k8s.io"],"resources":["leases"],)"
     R"("namespaces":["*"]}]}]})"},
    {"FlowSchema", "system-node-high", false,
     R"({"priorityLevelConfiguration":{"name":"node-high"},"matchingPrecedence":400,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:nodes"}}],"resourceRules":[{"verbs":["*"],"apiGroups":[""],)"
     R"("resources":["nodes","nodes/status"],"clusterScope":true,"namespaces":["*"]},{"verbs":["*"],)"
     R"("apiGroups":["coordination.k8s.io"],"resources":["leases"],"namespaces":["*"]}]}]})"},
    {"FlowSchema", "system-nodes", false,
     R"({"priorityLevelConfiguration":{"name":"system"},"matchingPrecedence":500,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:nodes"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],)"
     R"("resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "kube-controller-manager", false,
     R"({"priorityLevelConfiguration":{"name":"workload-high"},"matchingPrecedence":800,)"
     R"("distinguisherMethod":{"type":"ByNamespace"},"rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-controller-manager"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "kube-scheduler", false,
     R"({"priorityLevelConfiguration":{"name":"workload-high"},"matchingPrecedence":800,)"
     R"("distinguisherMethod":{"type":"ByNamespace"},"rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-scheduler"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],)"
     R"("resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "kube-system-service-accounts", false,
     R"({"priorityLevelConfiguration":{"name":"workload-high"},"matchingPrecedence":900,)"
     R"("distinguisherMethod":{"type":"ByNamespace"},"rules":[{"subjects":[{"kind":"ServiceAccount",)"
     R"("serviceAccount":{"namespace":"kube-system","name":"*"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "service-accounts", false,
     R"({"priorityLevelConfiguration":{"name":"workload-low"},"matchingPrecedence":9000,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:serviceaccounts"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],)"
     R"("resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"FlowSchema", "global-default", false,
     R"({"priorityLevelConfiguration":{"name":"global-default"},"matchingPrecedence":9900,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:unauthenticated"}},{"kind":"Group",)"
     R"("group":{"name":"system:authenticated"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],)"
     R"("resources":["*"],"clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
};

}  // namespace

std::span<const FairnessDefault> FairnessDefaults() { return kDefaults; }

}  // namespace knarr::api
