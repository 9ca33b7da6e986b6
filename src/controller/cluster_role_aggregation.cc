#include "controller/cluster_role_aggregation.h"

#include <algorithm>

#include "api/label_selector.h"
#include "api/rbac_v1.h"
#include "doc/json.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using client::ObjectName;
using doc::Value;

bool Has(const Value& rules, const Value& rule) {
  return std::ranges::any_of(rules.items(), [&](const Value& one) { return one.Equals(rule); });
}

class ClusterRoleAggregationController : public Controller {
 public:
  explicit ClusterRoleAggregationController(Context context)
      : context_(context),
        roles_(context.informers.For(api::rbac_v1::ClusterRoleInfo())),
        worker_(context.runtime, "cluster role aggregation", [this](const ObjectName& key) { return Sync(key); }) {
    // Whatever changed may be part of any aggregated role; there are few of them.
    roles_.AddHandler([this](const ObjectPtr&, const ObjectPtr&) {
      for (const ObjectPtr& role : roles_.List()) {
        if (role->tree().Find("aggregationRule") != nullptr) worker_.Add(NameOf(*role));
      }
    });
  }
  void Start() override { worker_.Start({&roles_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  Result<Requeue> Sync(const ObjectName& key) {
    const ObjectPtr role = roles_.Get(key);
    if (role == nullptr || role->tree().At("aggregationRule").is_null()) return Requeue();
    doc::Arena arena;
    const Value rules = TRY(AggregatedRules(*role, roles_.List(), arena));
    const Value& present = role->tree().At("rules");
    if (present.Equals(rules) || (present.empty() && rules.empty())) return Requeue();
    Value patch = Value::Object();
    patch.AddMember(arena, "rules", rules);
    const Result<ObjectPtr> patched =
        context_.client.Patch(api::rbac_v1::ClusterRoleInfo(), key, client::PatchType::kMerge, doc::ToJson(patch));
    if (patched.ok() || patched.Failed(Reason::kNotFound)) return Requeue();
    return patched.status();
  }

  Context context_;
  client::Informer& roles_;
  Worker worker_;
};

}  // namespace

Result<Value> AggregatedRules(const api::Object& role, const std::vector<ObjectPtr>& roles, doc::Arena& arena) {
  Value rules = Value::Array();
  for (const Value& one : role.tree().Get("aggregationRule", "clusterRoleSelectors").items()) {
    const LabelSelector selector = TRY(api::ToLabelSelector(api::meta_v1::LabelSelector(one)));
    for (const ObjectPtr& part : roles) {
      if (part->name() == role.name()) continue;
      if (!api::Matches(selector, api::rbac_v1::ClusterRole(part->tree()).metadata().labels())) continue;
      for (const Value& rule : part->tree().At("rules").items()) {
        if (!Has(rules, rule)) rules.Append(arena, rule);
      }
    }
  }
  return rules;
}

std::unique_ptr<Controller> MakeClusterRoleAggregationController(Context context) {
  return std::make_unique<ClusterRoleAggregationController>(context);
}

}  // namespace knarr::controller
