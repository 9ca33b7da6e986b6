#include "controller/resource_quota.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "api/core_v1.h"
#include "api/quota.h"

namespace knarr::controller {
namespace {

using api::ObjectPtr;
using api::ResourceList;
using api::ResourceNames;
using client::ObjectName;

// A pod that should have ended long ago frees its share without any change to it.
constexpr Duration kResync = std::chrono::minutes(5);
// Deletions come in bursts: one count is for all that come within so long, and counting takes no more than a twentieth
// of the time.
constexpr Duration kGather = std::chrono::milliseconds(50);
constexpr int kCostShare = 20;
// After something was charged. What came and went while no watch was open is told by nobody.
constexpr Duration kRecount = std::chrono::seconds(30);

bool SameAmounts(const ResourceList& a, const ResourceList& b) {
  return std::ranges::equal(a, b,
                            [](const auto& x, const auto& y) { return x.first == y.first && x.second == y.second; });
}

class ResourceQuotaController : public Controller {
 public:
  explicit ResourceQuotaController(Context context)
      : context_(context),
        quotas_(context.informers.For(api::core_v1::ResourceQuotaInfo())),
        worker_(context.runtime, "resource quotas", [this](const ObjectName& key) { return Sync(key); }) {
    quotas_.AddHandler([this](const ObjectPtr& before, const ObjectPtr& after) { See(before, after); });
  }
  void Start() override { worker_.Start({&quotas_}, 1); }
  void Stop() override { worker_.Stop(); }

 private:
  /// A kind that some quota counts.
  struct Counted {
    const api::KindInfo* kind;
    std::unique_ptr<const api::QuotaEvaluator> evaluator;
    client::Informer* informer = nullptr;  ///< set once a quota names something of it
  };

  void See(const ObjectPtr& before, const ObjectPtr& after) {
    if (after == nullptr) return;
    const doc::Value& tree = after->tree();
    const bool fresh = before == nullptr;
    if (fresh || !before->tree().At("spec").Equals(tree.At("spec")) ||
        // What was made between the first count and the moment its bounds stood was charged to nobody.
        !before->tree().Get("status", "hard").Equals(tree.Get("status", "hard"))) {
      worker_.Add(NameOf(*after));
    } else if (!before->tree().Get("status", "used").Equals(tree.Get("status", "used"))) {
      worker_.AddAfter(NameOf(*after), kRecount);
    }
  }

  // Called on the first quota: most clusters have none, and need none of this.
  std::vector<Counted>& Kinds() {
    if (!kinds_.empty()) return kinds_;
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const api::KindInfo& kind : api::AllKinds()) {
      const bool listed = std::ranges::find(kind.verbs, "list") != kind.verbs.end() && kind.list_type != nullptr;
      if (!kind.namespaced || !listed || kind.plural == "events") continue;
      if (!seen.emplace(kind.group, kind.plural).second) continue;
      kinds_.push_back({&kind, api::MakeQuotaEvaluator(kind.group, kind.plural)});
    }
    return kinds_;
  }

  void Monitor(Counted& counted) {
    if (counted.informer != nullptr) return;
    counted.informer = &context_.informers.For(*counted.kind);
    const api::QuotaEvaluator& evaluator = *counted.evaluator;
    counted.informer->AddHandler([this, &evaluator](const ObjectPtr& before, const ObjectPtr& after) {
      if (before == nullptr) return;
      if (after != nullptr && !evaluator.Frees(after->tree(), before->tree())) return;
      for (const ObjectPtr& quota : quotas_.List(before->ns())) {
        const ResourceList hard = api::ReadResources(quota->tree().Get("spec", "hard"));
        if (!evaluator.Counted(api::NamesOf(hard)).empty()) Gather(NameOf(*quota));
      }
    });
  }

  void Gather(const ObjectName& key) {
    if (gathering_.insert(key).second) worker_.AddAfter(key, std::max(kGather, cost_ * kCostShare));
  }

  Result<Requeue> Sync(const ObjectName& key) {
    gathering_.erase(key);
    // The server's own: beside a copy that does not show the last count yet, a wrong one could pass for right.
    const ObjectPtr quota = TRY(Live(key));
    if (quota == nullptr) {
      resyncs_.erase(key);
      return Requeue();
    }
    const doc::Value& tree = quota->tree();
    const doc::Value& spec = tree.At("spec");
    const ResourceList hard = api::ReadResources(spec.At("hard"));
    const ResourceNames names = api::NamesOf(hard);
    const std::vector<api::QuotaScope> scopes = api::ScopesOf(spec.At("scopes"), spec.At("scopeSelector"));
    ResourceList used = api::Masked(api::ReadResources(tree.Get("status", "used")), hard);
    const MonoTime began = context_.runtime.Mono();
    for (Counted& counted : Kinds()) {
      const ResourceNames own = counted.evaluator->Counted(names);
      if (own.empty()) continue;
      Monitor(counted);
      // What goes between our list and the informer's first one would be told by neither.
      TRY(counted.informer->WaitSynced());
      const ResourceList sum = TRY(Count(counted, key.ns, scopes));
      for (const std::string& name : own) {
        const auto at = sum.find(name);
        used.insert_or_assign(name, at == sum.end() ? Quantity() : at->second);
      }
    }
    cost_ = context_.runtime.Mono() - began;
    const doc::Value& status = tree.At("status");
    const bool dirty = status.At("hard").is_null() || status.At("used").is_null() ||
                       !SameAmounts(hard, api::ReadResources(status.At("hard"))) ||
                       !SameAmounts(used, api::ReadResources(status.At("used")));
    if (dirty) TRY(Write(*quota, hard, used));
    return NextResync(key);
  }

  /// Null when it is gone. A list of one: the account may list quotas, not get them.
  Result<ObjectPtr> Live(const ObjectName& key) {
    if (quotas_.Get(key) == nullptr) return ObjectPtr();
    const client::ListOptions one{.field_selector = "metadata.name=" + key.name};
    const client::ObjectList list = TRY(context_.client.List(api::core_v1::ResourceQuotaInfo(), key.ns, one));
    return list.items.empty() ? ObjectPtr() : list.items.front();
  }

  // However often it is counted: of two delays the queue keeps the earlier one alone.
  Requeue NextResync(const ObjectName& key) {
    const MonoTime now = context_.runtime.Mono();
    MonoTime& next = resyncs_[key];
    if (next <= now) next = now + kResync;
    return Requeue(next - now);
  }

  // From a list that is at least as new as the quota is, and the quota is written only if it is still the same: so no
  // write in between is lost. Informers may lag behind it, but have most objects decoded.
  Result<ResourceList> Count(const Counted& counted, const std::string& ns,
                             const std::vector<api::QuotaScope>& scopes) {
    std::unordered_map<const std::string*, ObjectPtr> decoded;
    for (ObjectPtr& object : counted.informer->List(ns)) decoded.emplace(object->bytes().get(), object);
    const client::ObjectList list = TRY(context_.client.List(*counted.kind, ns));
    const WallTime now = context_.runtime.Wall();
    ResourceList sum;
    for (const ObjectPtr& object : list.items) {
      const auto known = decoded.find(object->bytes().get());
      const doc::Value& tree = known != decoded.end() ? known->second->tree() : object->tree();
      if (counted.evaluator->InScopes(scopes, tree)) api::AddTo(sum, counted.evaluator->Usage(tree, now));
    }
    return sum;
  }

  Ok Write(const api::Object& quota, const ResourceList& hard, const ResourceList& used) {
    doc::Document copy = doc::Document::Copy(quota.tree());
    doc::Value status = doc::Value::Object();
    status.AddMember(copy.arena, "hard", api::WriteResources(hard, copy.arena));
    status.AddMember(copy.arena, "used", api::WriteResources(used, copy.arena));
    copy.root.Set(copy.arena, "status", status);
    const auto written = context_.client.Update(api::core_v1::ResourceQuotaInfo(), NameOf(quota), copy.root, "status");
    if (!written.ok() && !written.Failed(Reason::kNotFound)) return written.status();
    return {};
  }

  Context context_;
  client::Informer& quotas_;
  std::vector<Counted> kinds_;
  std::set<ObjectName> gathering_;
  std::map<ObjectName, MonoTime> resyncs_;
  Duration cost_{};
  Worker worker_;
};

}  // namespace

std::unique_ptr<Controller> MakeResourceQuotaController(Context context) {
  return std::make_unique<ResourceQuotaController>(context);
}

}  // namespace knarr::controller
