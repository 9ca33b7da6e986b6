#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/quota.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/object_io.h"
#include "apiserver/resource.h"
#include "doc/yaml.h"

namespace knarr::apiserver {
namespace {

using api::QuotaScope;
using api::ResourceList;
using api::ResourceNames;
using doc::Value;

/// What may not be used at all unless some quota covers it (the plugin's configuration).
struct LimitedResource {
  std::string group;
  std::string plural;
  std::vector<std::string> contains;
  doc::Document match_scopes;
};

std::string NamesText(const ResourceNames& names) { return fmt::format("{}", fmt::join(names, ",")); }

std::vector<QuotaScope> ScopesOfQuota(const Value& quota) {
  return api::ScopesOf(quota.Get("spec", "scopes"), quota.Get("spec", "scopeSelector"));
}

/// One write held against the quotas of its namespace.
class Charging {
 public:
  Charging(const AdmissionRequest& request, const api::QuotaEvaluator& evaluator,
           const std::vector<LimitedResource>& limited)
      : request_(request),
        evaluator_(evaluator),
        limited_(limited),
        now_(request.context.runtime.Wall()),
        usage_(evaluator.Usage(request.root(), now_)),
        old_usage_(request.old_object == nullptr ? ResourceList() : evaluator.Usage(*request.old_object, now_)) {}

  /// Forbidden when the quota does not allow it; otherwise its new use is in `out`, if that changes.
  Ok Against(const store::KeyValue& stored, std::vector<SideWrite>& out) {
    doc::Document quota = DecodeStored(*stored.value);
    const std::vector<QuotaScope> scopes = ScopesOfQuota(quota.root);
    for (const QuotaScope& scope : scopes) {
      if (evaluator_.has_scopes() && evaluator_.InScope(scope, request_.root())) covered_scopes_.emplace(scope.name);
    }
    const ResourceList hard = api::ReadResources(quota.root.Get("status", "hard"));
    const ResourceNames counted = evaluator_.Counted(api::NamesOf(hard));
    if (counted.empty() || !evaluator_.InScopes(scopes, request_.root())) return {};
    const std::string_view name = quota.root.Get("metadata", "name").AsString();
    const std::string missing = evaluator_.Missing(counted, request_.root());
    if (!missing.empty()) return request_.Forbidden(fmt::format("failed quota: {}: {}", name, missing));
    const ResourceList used = api::ReadResources(quota.root.Get("status", "used"));
    const bool known = std::ranges::all_of(counted, [&](const std::string& each) { return used.contains(each); });
    if (!known) {
      return request_.Forbidden(fmt::format("status unknown for quota: {}, resources: {}", name, NamesText(counted)));
    }
    covered_.insert(counted.begin(), counted.end());
    const bool counted_before = request_.old_object != nullptr && evaluator_.InScopes(scopes, *request_.old_object);
    const ResourceList more =
        api::WithoutZeros(api::Masked(counted_before ? api::Excess(usage_, old_usage_) : usage_, hard));
    if (more.empty()) return {};
    return Write(stored, std::move(quota), name, {hard, used, more}, out);
  }

  /// What is limited to where quotas are, and no quota was there for.
  Ok CheckLimited() const {
    const ResourceList change =
        api::WithoutZeros(request_.old_object == nullptr ? usage_ : api::Excess(usage_, old_usage_));
    if (change.empty()) return {};
    ResourceNames uncovered;
    for (const LimitedResource& each : limited_) {
      if (!request_.IsFor(each.group, each.plural)) continue;
      for (const auto& [name, amount] : usage_) {
        const bool limits = std::ranges::any_of(
            each.contains, [&](const std::string& part) { return name.find(part) != std::string::npos; });
        if (limits && amount.Sign() > 0 && !covered_.contains(name)) uncovered.insert(name);
      }
    }
    if (!uncovered.empty()) {
      return request_.Forbidden(fmt::format("insufficient quota to consume: {}", NamesText(uncovered)));
    }
    return CheckLimitedScopes();
  }

 private:
  struct Amounts {
    const ResourceList& hard;
    const ResourceList& used;
    const ResourceList& more;
  };

  Ok Write(const store::KeyValue& stored, doc::Document quota, std::string_view name, const Amounts& amounts,
           std::vector<SideWrite>& out) const {
    ResourceList sum = amounts.used;
    api::AddTo(sum, amounts.more);
    ResourceNames exceeded;
    for (const auto& [resource, amount] : amounts.more) {
      if (sum.at(resource) > amounts.hard.at(resource)) exceeded.insert(resource);
    }
    if (!exceeded.empty() && request_.subresource != "status") {
      const auto text = [&](const ResourceList& list) { return api::ResourcesText(api::Masked(list, exceeded)); };
      return request_.Forbidden(fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}", name,
                                            text(amounts.more), text(amounts.used), text(amounts.hard)));
    }
    if (request_.dry_run) return {};
    Value& status = quota.root.Ensure(quota.arena, "status");
    status.Set(quota.arena, "used", api::WriteResources(sum, quota.arena));
    quota.root.Ensure(quota.arena, "metadata").Remove("resourceVersion");
    const api::KindInfo* kind = api::FindKind("v1", "ResourceQuota");
    StoredForm form = TRY(EncodeStored(*kind, quota));
    out.push_back({{stored.key, stored.mod_revision},
                   {stored.key, std::move(form.bytes), form.revision_offset, form.digest}});
    return {};
  }

  Ok CheckLimitedScopes() const {
    std::string uncovered;
    for (const LimitedResource& each : limited_) {
      for (const QuotaScope& scope : api::ScopesOf(Value::Null(), each.match_scopes.root)) {
        if (!evaluator_.has_scopes() || !evaluator_.InScope(scope, request_.root())) continue;
        if (covered_scopes_.contains(scope.name)) continue;
        if (!uncovered.empty()) uncovered += ' ';
        uncovered += fmt::format("{{{} {} [{}]}}", scope.name, scope.op, fmt::join(scope.values, " "));
      }
    }
    if (uncovered.empty()) return {};
    return Internal(fmt::format("insufficient quota to match these scopes: [{}]", uncovered));
  }

  const AdmissionRequest& request_;
  const api::QuotaEvaluator& evaluator_;
  const std::vector<LimitedResource>& limited_;
  const WallTime now_;
  const ResourceList usage_;
  const ResourceList old_usage_;
  ResourceNames covered_;
  ResourceNames covered_scopes_;
};

/// What is used of a namespace's quotas is counted in one step with the write that uses it, so that no two writes ever
/// share the last of it.
class ResourceQuotaAdmission : public AdmissionPlugin {
 public:
  explicit ResourceQuotaAdmission(std::vector<LimitedResource> limited) : limited_(std::move(limited)) {
    for (const api::KindInfo& kind : api::AllKinds()) {
      if (!kind.namespaced || kind.plural == "events") continue;
      evaluators_.emplace(&kind, api::MakeQuotaEvaluator(kind.group, kind.plural));
    }
  }

  Ok Charge(const AdmissionRequest& request, const store::Store& store, std::vector<SideWrite>& out) const override {
    if (request.ns.empty() || request.object == nullptr) return {};
    const auto at = evaluators_.find(&request.kind);
    if (at == evaluators_.end()) return {};
    if (!at->second->Handles({request.subresource, &request.root(), request.old_object})) return {};
    const std::string prefix = StorePrefix("", "resourcequotas") + request.ns + "/";
    std::vector<std::string> keys;
    store.Latest()->Visit(prefix, "",
                          [&](std::string_view key, const store::Bytes& /*value*/, store::Revision /*mod*/) {
                            keys.emplace_back(key);
                            return true;
                          });
    if (keys.empty() && limited_.empty()) return {};
    Charging charging(request, *at->second, limited_);
    for (const std::string& key : keys) {
      const auto quota = store.Newest(key);
      if (quota.has_value()) TRY(charging.Against(*quota, out));
    }
    return charging.CheckLimited();
  }

 private:
  std::map<const api::KindInfo*, std::unique_ptr<const api::QuotaEvaluator>> evaluators_;
  const std::vector<LimitedResource> limited_;
};

Result<std::vector<LimitedResource>> ReadConfiguration(const std::string& text) {
  const doc::YamlDocument parsed = TRY(doc::ParseYaml(text));
  const Value& root = parsed.document.root;
  const std::string_view kind = root.At("kind").AsString();
  if (kind != "ResourceQuotaConfiguration" && kind != "Configuration") {
    return BadRequest(
        fmt::format("no kind \"{}\" is registered for version \"{}\"", kind, root.At("apiVersion").AsString()));
  }
  std::vector<LimitedResource> out;
  for (const Value& item : root.At("limitedResources").items()) {
    LimitedResource& each = out.emplace_back();
    each.group = item.At("apiGroup").AsString();
    each.plural = item.At("resource").AsString();
    if (each.plural.empty()) return BadRequest("limitedResources: resource: Required value");
    for (const Value& part : item.At("matchContains").items()) each.contains.emplace_back(part.AsString());
    Value selector = Value::Object();
    selector.AddMember(each.match_scopes.arena, "matchExpressions",
                       item.At("matchScopes").Clone(each.match_scopes.arena));
    each.match_scopes.root = selector;
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<AdmissionPlugin>> MakeResourceQuotaAdmission(const AdmissionOptions& options) {
  std::vector<LimitedResource> limited;
  const auto own = options.configuration.find("ResourceQuota");
  if (own != options.configuration.end()) limited = TRY(ReadConfiguration(own->second));
  return std::unique_ptr<AdmissionPlugin>(std::make_unique<ResourceQuotaAdmission>(std::move(limited)));
}

}  // namespace knarr::apiserver
