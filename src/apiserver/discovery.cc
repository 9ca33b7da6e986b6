#include "apiserver/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "apiserver/discovery_documents.h"
#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/wire_form.h"
#include "base/strings.h"
#include "doc/json.h"
#include "net/tls.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

const api::Type* TypeOf(const Value& document) { return api::FindType("meta/v1", document.At("kind").AsString()); }

// Whether the aggregated form is wanted rather than the plain one, and as what.
std::optional<Encoding> AggregatedForm(const net::Request& request) {
  for (const MediaType& accepted : ParseAccept(Join(request.headers.GetAll("Accept"), ","))) {
    if (accepted.Parameter("as").empty()) return std::nullopt;
    const bool ours = accepted.Parameter("as") == "APIGroupDiscoveryList" &&
                      accepted.Parameter("g") == "apidiscovery.k8s.io" && accepted.Parameter("v") == "v2";
    if (ours && accepted.type == ContentTypeOf(Encoding::kJson)) return Encoding::kJson;
    if (ours && accepted.type == ContentTypeOf(Encoding::kProtobuf)) return Encoding::kProtobuf;
  }
  return std::nullopt;
}

}  // namespace

Answer PlainNotFound() {
  Answer answer;
  answer.code = 404;
  answer.content_type = "text/plain; charset=utf-8";
  answer.headers.Set("X-Content-Type-Options", "nosniff");
  answer.body.text = "404 page not found\n";
  return answer;
}

Discovery::Discovery(const ResourceTable& resources, std::string_view address) {
  const KindList kinds = ListedKinds(resources);
  plain_.emplace("/api", CoreVersionsDocument(address));
  plain_.emplace("/apis", GroupListDocument(kinds));
  for (const api::KindInfo* first : VersionsOf(kinds, "")) {
    plain_.emplace(fmt::format("/api/{}", first->version), ResourceListDocument(kinds, *first));
  }
  for (const api::KindInfo* group : GroupsOf(kinds)) {
    plain_.emplace(fmt::format("/apis/{}", group->group), GroupDocument(kinds, group->group));
    for (const api::KindInfo* first : VersionsOf(kinds, group->group)) {
      plain_.emplace(fmt::format("/apis/{}", first->api_version), ResourceListDocument(kinds, *first));
    }
  }
  aggregated_core_ = AggregatedDocument(kinds, true);
  aggregated_groups_ = AggregatedDocument(kinds, false);
}

Result<Answer> Discovery::ServeAggregated(Call& call, bool core, bool protobuf) const {
  const doc::Document& document = core ? aggregated_core_ : aggregated_groups_;
  const Encoding encoding = protobuf ? Encoding::kProtobuf : Encoding::kJson;
  Answer answer;
  const api::Type* type = api::FindType("apidiscovery/v2", "APIGroupDiscoveryList");
  answer.body.text = TRY(RenderTree(type, document.root, encoding));
  answer.content_type = fmt::format("{};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", ContentTypeOf(encoding));
  const std::string tag = fmt::format("\"{}\"", ToUpper(HexEncode(net::Sha256(answer.body.text))));
  answer.headers.Set("ETag", tag);
  answer.headers.Set("Vary", "Accept");
  answer.headers.Set("Cache-Control", "public");
  if (call.request.headers.Get("If-None-Match") == tag) {
    answer.code = 304;
    answer.body.text.clear();
  }
  return answer;
}

Result<Answer> Discovery::Serve(Call& call) const {
  std::string_view path = call.request.url.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto found = plain_.find(path);
  if (found == plain_.end()) return NoSuchPath(path);
  if (call.request.method != "GET") return RouteMethodError();
  if (path == "/api" || path == "/apis") {
    const std::optional<Encoding> aggregated = AggregatedForm(call.request);
    if (aggregated.has_value()) return ServeAggregated(call, path == "/api", *aggregated == Encoding::kProtobuf);
  }
  const OutputForm form = TRY(Negotiate(call.request, false));
  Answer answer;
  answer.content_type = ContentTypeOf(form.encoding);
  const doc::Value& document = found->second.root;
  answer.body.text = TRY(RenderTree(TypeOf(document), document, form.encoding));
  return answer;
}

Answer Discovery::ServePaths(std::vector<std::string> more) const {
  for (const auto& [path, document] : plain_) {
    if (path != "/api" && path != "/apis") more.push_back(path);
  }
  for (const std::string_view path : {"/.well-known/openid-configuration", "/api", "/apis", "/apis/", "/metrics",
                                      "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"}) {
    more.emplace_back(path);
  }
  std::ranges::sort(more);
  doc::Document root;
  Value paths = Value::Array();
  for (const std::string& path : more) paths.Append(root.arena, Value::Borrow(path));
  root.root.Set(root.arena, "paths", paths);
  Answer answer;
  answer.body.text = PrettyJson(doc::ToJson(root.root));
  return answer;
}

Result<Answer> Discovery::NoSuchPath(std::string_view path) const {
  if (path == "/api" || path.starts_with("/api/")) return NoSuchResourceError();
  if (ConsumePrefix(path, "/apis/")) {
    const std::string group(path.substr(0, path.find('/')));
    if (plain_.contains("/apis/" + group)) return NoSuchResourceError();
  }
  return PlainNotFound();
}

}  // namespace knarr::apiserver
