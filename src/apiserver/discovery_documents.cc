#include "apiserver/discovery_documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "api/conversion/conversion.h"
#include "apiserver/subresource.h"
#include "base/strings.h"
#include "net/tls.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

// Clients that look for a kind in several groups take the first: upstream's order of preference.
constexpr std::string_view kGroupOrder[] = {"apiregistration.k8s.io",
                                            "apps",
                                            "events.k8s.io",
                                            "authentication.k8s.io",
                                            "authorization.k8s.io",
                                            "autoscaling",
                                            "batch",
                                            "certificates.k8s.io",
                                            "networking.k8s.io",
                                            "policy",
                                            "rbac.authorization.k8s.io",
                                            "storage.k8s.io",
                                            "admissionregistration.k8s.io",
                                            "apiextensions.k8s.io",
                                            "scheduling.k8s.io",
                                            "coordination.k8s.io",
                                            "node.k8s.io",
                                            "discovery.k8s.io",
                                            "resource.k8s.io",
                                            "flowcontrol.apiserver.k8s.io"};

auto GroupRank(const api::KindInfo* kind) {
  return std::pair(std::ranges::find(kGroupOrder, kind->group) - std::begin(kGroupOrder), kind->group);
}

Value Texts(std::span<const std::string_view> texts, doc::Arena& arena) {
  Value out = Value::Array();
  for (const std::string_view text : texts) out.Append(arena, Value::Borrow(text));
  return out;
}

// A document that begins with kind and, but for the oldest, apiVersion.
doc::Document Begin(std::string_view kind, bool with_version) {
  doc::Document out;
  out.root = Value::Object();
  out.root.AddMember(out.arena, "kind", Value::Borrow(kind));
  if (with_version) out.root.AddMember(out.arena, "apiVersion", Value::Borrow("v1"));
  return out;
}

Value VersionOf(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "groupVersion", Value::Borrow(kind.api_version));
  out.AddMember(arena, "version", Value::Borrow(kind.version));
  return out;
}

void AddGroup(const KindList& kinds, std::string_view group, Value& out, doc::Arena& arena) {
  out.AddMember(arena, "name", Value::Borrow(group));
  Value versions = Value::Array();
  for (const api::KindInfo* first : VersionsOf(kinds, group)) versions.Append(arena, VersionOf(*first, arena));
  out.AddMember(arena, "versions", versions);
  out.AddMember(arena, "preferredVersion", versions[0]);
}

std::vector<ServedSubresource> SortedSubresources(const api::KindInfo& kind) {
  std::vector<ServedSubresource> out = ServedSubresources(kind);
  std::ranges::sort(out, {}, &ServedSubresource::name);
  return out;
}

bool IsStored(const api::KindInfo& kind) { return std::ranges::find(kind.verbs, "watch") != kind.verbs.end(); }

void AddNames(const api::KindInfo& kind, Value& out, doc::Arena& arena) {
  if (!kind.short_names.empty()) out.AddMember(arena, "shortNames", Texts(kind.short_names, arena));
  if (!kind.categories.empty()) out.AddMember(arena, "categories", Texts(kind.categories, arena));
}

void AddPlainResource(const api::KindInfo& kind, Value& list, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "name", Value::Borrow(kind.plural));
  out.AddMember(arena, "singularName", Value::Borrow(kind.singular));
  out.AddMember(arena, "namespaced", Value::Bool(kind.namespaced));
  out.AddMember(arena, "kind", Value::Borrow(kind.kind));
  out.AddMember(arena, "verbs", Texts(kind.verbs, arena));
  AddNames(kind, out, arena);
  if (IsStored(kind)) {
    out.AddMember(arena, "storageVersionHash", Value::String(arena, StorageVersionHash(api::StorageKind(kind))));
  }
  list.Append(arena, out);
  for (const ServedSubresource& sub : SortedSubresources(kind)) {
    Value one = Value::Object();
    one.AddMember(arena, "name", Value::String(arena, fmt::format("{}/{}", kind.plural, sub.name)));
    one.AddMember(arena, "singularName", Value::Borrow(""));
    one.AddMember(arena, "namespaced", Value::Bool(kind.namespaced));
    if (sub.kind->api_version != kind.api_version) {
      if (!sub.kind->group.empty()) one.AddMember(arena, "group", Value::Borrow(sub.kind->group));
      one.AddMember(arena, "version", Value::Borrow(sub.kind->version));
    }
    one.AddMember(arena, "kind", Value::Borrow(sub.kind->kind));
    one.AddMember(arena, "verbs", Texts(sub.verbs, arena));
    list.Append(arena, one);
  }
}

// Group and version are left empty where they are those of the list.
Value ResponseKind(const api::KindInfo& kind, const api::KindInfo& within, doc::Arena& arena) {
  const bool own = kind.api_version == within.api_version;
  Value out = Value::Object();
  out.AddMember(arena, "group", Value::Borrow(own ? "" : kind.group));
  out.AddMember(arena, "version", Value::Borrow(own ? "" : kind.version));
  out.AddMember(arena, "kind", Value::Borrow(kind.kind));
  return out;
}

Value AggregatedResource(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "resource", Value::Borrow(kind.plural));
  out.AddMember(arena, "responseKind", ResponseKind(kind, kind, arena));
  out.AddMember(arena, "scope", Value::Borrow(kind.namespaced ? "Namespaced" : "Cluster"));
  out.AddMember(arena, "singularResource", Value::Borrow(kind.singular));
  out.AddMember(arena, "verbs", Texts(kind.verbs, arena));
  AddNames(kind, out, arena);
  Value subs = Value::Array();
  for (const ServedSubresource& sub : SortedSubresources(kind)) {
    Value one = Value::Object();
    one.AddMember(arena, "subresource", Value::Borrow(sub.name));
    one.AddMember(arena, "responseKind", ResponseKind(*sub.kind, kind, arena));
    one.AddMember(arena, "verbs", Texts(sub.verbs, arena));
    subs.Append(arena, one);
  }
  if (!subs.empty()) out.AddMember(arena, "subresources", subs);
  return out;
}

Value AggregatedGroup(const KindList& kinds, std::string_view group, doc::Arena& arena) {
  Value versions = Value::Array();
  for (const api::KindInfo* first : VersionsOf(kinds, group)) {
    Value resources = Value::Array();
    for (const api::KindInfo* kind : kinds) {
      if (kind->api_version == first->api_version) resources.Append(arena, AggregatedResource(*kind, arena));
    }
    Value version = Value::Object();
    version.AddMember(arena, "version", Value::Borrow(first->version));
    version.AddMember(arena, "resources", resources);
    version.AddMember(arena, "freshness", Value::Borrow("Current"));
    versions.Append(arena, version);
  }
  Value metadata = Value::Object();
  if (!group.empty()) metadata.AddMember(arena, "name", Value::Borrow(group));
  Value out = Value::Object();
  out.AddMember(arena, "metadata", metadata);
  out.AddMember(arena, "versions", versions);
  return out;
}

}  // namespace

KindList GroupsOf(const KindList& kinds) {
  KindList out;
  for (const api::KindInfo* kind : kinds) {
    const auto same = [&](const api::KindInfo* other) { return other->group == kind->group; };
    if (!kind->group.empty() && std::ranges::none_of(out, same)) out.push_back(kind);
  }
  std::ranges::sort(out, {}, GroupRank);
  return out;
}

KindList VersionsOf(const KindList& kinds, std::string_view group) {
  KindList out;
  for (const api::KindInfo* kind : kinds) {
    const auto same = [&](const api::KindInfo* other) { return other->version == kind->version; };
    if (kind->group == group && std::ranges::none_of(out, same)) out.push_back(kind);
  }
  // All are stable versions: the newest is preferred.
  std::ranges::sort(out, std::ranges::greater(), &api::KindInfo::version);
  return out;
}

doc::Document CoreVersionsDocument(std::string_view address) {
  doc::Document out = Begin("APIVersions", false);
  doc::Arena& arena = out.arena;
  const Value v1 = Value::Borrow("v1");
  out.root.AddMember(arena, "versions", Value::ArrayOf(arena, {&v1, 1}));
  Value server = Value::Object();
  server.AddMember(arena, "clientCIDR", Value::Borrow("0.0.0.0/0"));
  server.AddMember(arena, "serverAddress", Value::String(arena, address));
  out.root.AddMember(arena, "serverAddressByClientCIDRs", Value::ArrayOf(arena, {&server, 1}));
  return out;
}

doc::Document GroupListDocument(const KindList& kinds) {
  doc::Document out = Begin("APIGroupList", true);
  Value groups = Value::Array();
  for (const api::KindInfo* first : GroupsOf(kinds)) {
    Value group = Value::Object();
    AddGroup(kinds, first->group, group, out.arena);
    groups.Append(out.arena, group);
  }
  out.root.AddMember(out.arena, "groups", groups);
  return out;
}

doc::Document GroupDocument(const KindList& kinds, std::string_view group) {
  doc::Document out = Begin("APIGroup", true);
  AddGroup(kinds, group, out.root, out.arena);
  return out;
}

doc::Document ResourceListDocument(const KindList& kinds, const api::KindInfo& first) {
  doc::Document out = Begin("APIResourceList", !first.group.empty());
  Value list = Value::Array();
  for (const api::KindInfo* kind : kinds) {
    if (kind->api_version == first.api_version) AddPlainResource(*kind, list, out.arena);
  }
  out.root.AddMember(out.arena, "groupVersion", Value::Borrow(first.api_version));
  out.root.AddMember(out.arena, "resources", list);
  return out;
}

doc::Document AggregatedDocument(const KindList& kinds, bool core) {
  doc::Document out;
  doc::Arena& arena = out.arena;
  Value items = Value::Array();
  if (core) {
    items.Append(arena, AggregatedGroup(kinds, "", arena));
  } else {
    for (const api::KindInfo* first : GroupsOf(kinds)) {
      items.Append(arena, AggregatedGroup(kinds, first->group, arena));
    }
  }
  out.root = Value::Object();
  out.root.AddMember(arena, "kind", Value::Borrow("APIGroupDiscoveryList"));
  out.root.AddMember(arena, "apiVersion", Value::Borrow("apidiscovery.k8s.io/v2"));
  out.root.AddMember(arena, "metadata", Value::Object());
  out.root.AddMember(arena, "items", items);
  return out;
}

std::string StorageVersionHash(const api::KindInfo& stored) {
  // Upstream stores these as they were before they were v1; clients only compare the hash with what it was.
  static constexpr std::array<std::string_view, 3> kBefore = {"CustomResourceDefinition", "MutatingAdmissionPolicy",
                                                         "MutatingAdmissionPolicyBinding"};
  const bool before = std::ranges::find(kBefore, stored.kind) != kBefore.end();
  const std::string_view version = before ? "v1beta1" : stored.version;
  const std::string hash = net::Sha256(fmt::format("{}/{}/{}", stored.group, version, stored.kind));
  return Base64Encode(std::string_view(hash).substr(0, 8));
}

}  // namespace knarr::apiserver
