#include "apiserver/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

Value Texts(std::span<const std::string_view> texts, doc::Arena& arena) {
  Value out = Value::Array();
  for (const std::string_view text : texts) out.Append(arena, Value::Borrow(text));
  return out;
}

Value VersionOf(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "groupVersion", Value::Borrow(kind.api_version));
  out.AddMember(arena, "version", Value::Borrow(kind.version));
  return out;
}

bool Knows(const std::vector<const api::KindInfo*>& kinds, std::string_view version) {
  return std::ranges::find(kinds, version, &api::KindInfo::version) != kinds.end();
}

// A kind of each version of a group, the preferred version first.
std::vector<const api::KindInfo*> VersionsOf(const std::vector<const api::KindInfo*>& kinds, std::string_view group) {
  std::vector<const api::KindInfo*> out;
  for (const api::KindInfo* kind : kinds) {
    if (kind->group != group || Knows(out, kind->version)) continue;
    out.push_back(kind);
  }
  std::ranges::sort(out, std::ranges::greater(), &api::KindInfo::version);
  return out;
}

Value GroupOf(const std::vector<const api::KindInfo*>& kinds, std::string_view group, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "name", Value::Borrow(group));
  Value versions = Value::Array();
  for (const api::KindInfo* first : VersionsOf(kinds, group)) versions.Append(arena, VersionOf(*first, arena));
  out.AddMember(arena, "versions", versions);
  out.AddMember(arena, "preferredVersion", versions[0]);
  return out;
}

void AddPlainResource(const api::KindInfo& kind, Value& list, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "name", Value::Borrow(kind.plural));
  out.AddMember(arena, "singularName", Value::Borrow(kind.singular));
  out.AddMember(arena, "namespaced", Value::Bool(kind.namespaced));
  out.AddMember(arena, "kind", Value::Borrow(kind.kind));
  out.AddMember(arena, "verbs", Texts(kind.verbs, arena));
  if (!kind.short_names.empty()) out.AddMember(arena, "shortNames", Texts(kind.short_names, arena));
  if (!kind.categories.empty()) out.AddMember(arena, "categories", Texts(kind.categories, arena));
  list.Append(arena, out);
  for (const ServedSubresource& sub : ServedSubresources(kind)) {
    Value one = Value::Object();
    one.AddMember(arena, "name", Value::String(arena, fmt::format("{}/{}", kind.plural, sub.name)));
    one.AddMember(arena, "singularName", Value::Borrow(""));
    one.AddMember(arena, "namespaced", Value::Bool(kind.namespaced));
    if (sub.kind->api_version != kind.api_version) {
      one.AddMember(arena, "group", Value::Borrow(sub.kind->group));
      one.AddMember(arena, "version", Value::Borrow(sub.kind->version));
    }
    one.AddMember(arena, "kind", Value::Borrow(sub.kind->kind));
    one.AddMember(arena, "verbs", Texts(sub.verbs, arena));
    list.Append(arena, one);
  }
}

Value KindOf(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "group", Value::Borrow(kind.group));
  out.AddMember(arena, "version", Value::Borrow(kind.version));
  out.AddMember(arena, "kind", Value::Borrow(kind.kind));
  return out;
}

Value AggregatedResource(const api::KindInfo& kind, doc::Arena& arena) {
  Value out = Value::Object();
  out.AddMember(arena, "resource", Value::Borrow(kind.plural));
  out.AddMember(arena, "responseKind", KindOf(kind, arena));
  out.AddMember(arena, "scope", Value::Borrow(kind.namespaced ? "Namespaced" : "Cluster"));
  out.AddMember(arena, "singularResource", Value::Borrow(kind.singular));
  out.AddMember(arena, "verbs", Texts(kind.verbs, arena));
  if (!kind.short_names.empty()) out.AddMember(arena, "shortNames", Texts(kind.short_names, arena));
  if (!kind.categories.empty()) out.AddMember(arena, "categories", Texts(kind.categories, arena));
  Value subs = Value::Array();
  for (const ServedSubresource& sub : ServedSubresources(kind)) {
    Value one = Value::Object();
    one.AddMember(arena, "subresource", Value::Borrow(sub.name));
    one.AddMember(arena, "responseKind", KindOf(*sub.kind, arena));
    one.AddMember(arena, "verbs", Texts(sub.verbs, arena));
    subs.Append(arena, one);
  }
  if (!subs.empty()) out.AddMember(arena, "subresources", subs);
  return out;
}

Value AggregatedVersion(const std::vector<const api::KindInfo*>& kinds, const api::KindInfo& first, doc::Arena& arena) {
  Value resources = Value::Array();
  for (const api::KindInfo* kind : kinds) {
    if (kind->api_version == first.api_version) resources.Append(arena, AggregatedResource(*kind, arena));
  }
  Value version = Value::Object();
  version.AddMember(arena, "version", Value::Borrow(first.version));
  version.AddMember(arena, "resources", resources);
  version.AddMember(arena, "freshness", Value::Borrow("Current"));
  return version;
}

doc::Document MakeAggregated(const std::vector<const api::KindInfo*>& kinds, bool core) {
  doc::Document out;
  doc::Arena& arena = out.arena;
  Value items = Value::Array();
  std::set<std::string_view> done;
  for (const api::KindInfo* first : kinds) {
    if (first->group.empty() != core || !done.insert(first->group).second) continue;
    Value versions = Value::Array();
    for (const api::KindInfo* one : VersionsOf(kinds, first->group)) {
      versions.Append(arena, AggregatedVersion(kinds, *one, arena));
    }
    Value metadata = Value::Object();
    if (!core) metadata.AddMember(arena, "name", Value::Borrow(first->group));
    metadata.AddMember(arena, "creationTimestamp", Value::Null());
    Value group = Value::Object();
    group.AddMember(arena, "metadata", metadata);
    group.AddMember(arena, "versions", versions);
    items.Append(arena, group);
  }
  out.root = Value::Object();
  out.root.AddMember(arena, "kind", Value::Borrow("APIGroupDiscoveryList"));
  out.root.AddMember(arena, "apiVersion", Value::Borrow("apidiscovery.k8s.io/v2"));
  out.root.AddMember(arena, "metadata", Value::Object());
  out.root.AddMember(arena, "items", items);
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

doc::Document MakeResourceList(const std::vector<const api::KindInfo*>& kinds, const api::KindInfo& first) {
  doc::Document out = Begin("APIResourceList", !first.group.empty());
  Value list = Value::Array();
  for (const api::KindInfo* kind : kinds) {
    if (kind->api_version == first.api_version) AddPlainResource(*kind, list, out.arena);
  }
  out.root.AddMember(out.arena, "groupVersion", Value::Borrow(first.api_version));
  out.root.AddMember(out.arena, "resources", list);
  return out;
}

const api::Type* TypeOf(const Value& document) { return api::FindType("meta/v1", document.At("kind").AsString()); }

}  // namespace

Discovery::Discovery(const ResourceTable& resources) {
  const std::vector<const api::KindInfo*> kinds = ListedKinds(resources);
  doc::Document groups = Begin("APIGroupList", true);
  Value list = Value::Array();
  Value paths = Value::Array();
  doc::Document root;
  const auto path = [&](std::string text) { paths.Append(root.arena, Value::String(root.arena, text)); };
  path("/api");
  path("/api/v1");
  path("/apis");
  std::set<std::string_view> done;
  for (const api::KindInfo* kind : kinds) {
    if (!done.insert(kind->api_version).second) continue;
    if (kind->group.empty()) {
      plain_.emplace("/api/v1", MakeResourceList(kinds, *kind));
      continue;
    }
    plain_.emplace(fmt::format("/apis/{}", kind->api_version), MakeResourceList(kinds, *kind));
    if (done.insert(kind->group).second) {
      list.Append(groups.arena, GroupOf(kinds, kind->group, groups.arena));
      doc::Document group = Begin("APIGroup", true);
      const Value value = GroupOf(kinds, kind->group, group.arena);
      for (const doc::Member& member : value.members()) group.root.AddMember(group.arena, member.key, member.value);
      plain_.emplace(fmt::format("/apis/{}", kind->group), std::move(group));
      path(fmt::format("/apis/{}", kind->group));
    }
    path(fmt::format("/apis/{}", kind->api_version));
  }
  groups.root.AddMember(groups.arena, "groups", list);
  plain_.emplace("/apis", std::move(groups));
  doc::Document versions = Begin("APIVersions", false);
  const Value v1 = Value::Borrow("v1");
  versions.root.AddMember(versions.arena, "versions", Value::ArrayOf(versions.arena, {&v1, 1}));
  versions.root.AddMember(versions.arena, "serverAddressByClientCIDRs", Value::Array());
  plain_.emplace("/api", std::move(versions));
  for (const char* more : {"/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}) {
    path(more);
  }
  root.root = Value::Object();
  root.root.AddMember(root.arena, "paths", paths);
  plain_.emplace("/", std::move(root));
  aggregated_core_ = MakeAggregated(kinds, true);
  aggregated_groups_ = MakeAggregated(kinds, false);
}

Result<Answer> Discovery::ServeAggregated(Call& call, bool core, std::string_view version) const {
  const doc::Document& document = core ? aggregated_core_ : aggregated_groups_;
  Answer answer;
  std::string& json = answer.body.text;
  json = doc::ToJson(document.root);
  if (version != "v2")
    json = ReplaceAll(json, "apidiscovery.k8s.io/v2", fmt::format("apidiscovery.k8s.io/{}", version));
  json += '\n';
  answer.content_type = fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version);
  const std::string tag = fmt::format("\"{}\"", ToUpper(HexEncode(net::Sha256(json))));
  answer.headers.Set("ETag", tag);
  answer.headers.Set("Vary", "Accept");
  answer.headers.Set("Cache-Control", "public");
  if (call.request.headers.Get("If-None-Match") == tag) {
    answer.code = 304;
    json.clear();
  }
  return answer;
}

Result<Answer> Discovery::Serve(Call& call) const {
  std::string_view path = call.request.url.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto found = plain_.find(path);
  if (found == plain_.end()) return NoSuchResourceError();
  if (path == "/api" || path == "/apis") {
    for (const MediaType& accepted : ParseAccept(Join(call.request.headers.GetAll("Accept"), ","))) {
      if (accepted.type == "application/json" && accepted.Parameter("as") == "APIGroupDiscoveryList" &&
          accepted.Parameter("g") == "apidiscovery.k8s.io") {
        const std::string_view version = accepted.Parameter("v");
        if (version == "v2" || version == "v2beta1") return ServeAggregated(call, path == "/api", version);
      }
      if (accepted.Parameter("as").empty()) break;  // the plain form is wanted more
    }
  }
  const OutputForm form = TRY(Negotiate(call.request, false));
  Answer answer;
  answer.content_type = ContentTypeOf(form.encoding);
  answer.headers.Set("Vary", "Accept");
  const doc::Value& document = found->second.root;
  const api::Type* type = TypeOf(document);
  answer.body.text = TRY(RenderTree(type, document, form.encoding));
  return answer;
}

}  // namespace knarr::apiserver
