#include "apiserver/resource.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/conversion/conversion.h"
#include "apiserver/reviews.h"

namespace knarr::apiserver {

std::string StorePrefix(std::string_view group, std::string_view plural) {
  std::string out = "/registry/";
  out.append(group.empty() ? std::string_view("core") : group).append("/").append(plural).append("/");
  return out;
}

std::string Resource::Key(const client::ObjectName& name) const {
  if (!kind->namespaced) return prefix + name.name;
  return fmt::format("{}{}/{}", prefix, name.ns, name.name);
}

std::string Resource::Prefix(std::string_view ns) const {
  if (ns.empty() || !kind->namespaced) return prefix;
  return fmt::format("{}{}/", prefix, ns);
}

Resource::Name Resource::NameOf(std::string_view key) const {
  key.remove_prefix(prefix.size());
  if (!kind->namespaced) return {{}, key};
  const size_t slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

bool IsServed(const api::KindInfo& kind) {
  if (IsReview(kind)) return true;
  // componentstatuses are computed.
  return kind.list_type != nullptr && kind.kind != "ComponentStatus" && kind.group != "meta.k8s.io";
}

std::string_view DeprecationOf(const api::KindInfo& kind) {
  if (kind.group.empty() && kind.kind == "Endpoints") {
    return "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
  }
  return {};
}

ResourceTable::ResourceTable(const StrategyOptions& options) {
  for (const api::KindInfo& kind : api::AllKinds()) {
    if (!IsServed(kind)) continue;
    Resource& resource = resources_.emplace_back();
    resource.kind = &kind;
    resource.stored = &api::StorageKind(kind);
    resource.prefix = StorePrefix(resource.stored->group, kind.plural);
    resource.strategy = MakeStrategy(*resource.stored, kind, options);
  }
}

Resource* ResourceTable::Find(std::string_view group, std::string_view version, std::string_view plural) const {
  for (Resource& resource : resources_) {
    const api::KindInfo& kind = *resource.kind;
    if (kind.plural == plural && kind.group == group && kind.version == version) return &resource;
  }
  return nullptr;
}

std::vector<const api::KindInfo*> ListedKinds(const ResourceTable& resources) {
  std::vector<const api::KindInfo*> out;
  for (const Resource& resource : resources.all()) out.push_back(resource.kind);
  for (const std::string_view unstored : {"bindings", "componentstatuses"}) {
    if (const api::KindInfo* kind = api::FindResource("", "v1", unstored)) out.push_back(kind);
  }
  std::ranges::sort(out, {}, [](const api::KindInfo* kind) { return std::pair(kind->group, kind->plural); });
  return out;
}

Resource* ResourceTable::Find(const api::KindInfo& kind) const { return Find(kind.group, kind.version, kind.plural); }

}  // namespace knarr::apiserver
