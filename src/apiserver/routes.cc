#include "apiserver/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "apiserver/errors.h"
#include "apiserver/subresource.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kForms = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
constexpr std::string_view kListForms =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, "
    "application/vnd.kubernetes.protobuf;stream=watch";
constexpr std::string_view kWatchForms =
    "application/json, application/json;stream=watch, application/vnd.kubernetes.protobuf, "
    "application/vnd.kubernetes.protobuf;stream=watch";
constexpr std::string_view kLogForms =
    "text/plain, application/json, application/yaml, application/vnd.kubernetes.protobuf";
constexpr std::string_view kAnything = "*/*";

constexpr std::array<std::string_view, 5> kPatchTypes = {
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml", "application/apply-patch+cbor"};

bool Contains(std::span<const std::string_view> list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

// The verb of the method on one object or subresource; "" for methods that are none.
std::string_view VerbOf(std::string_view method, bool collection) {
  if (method == "GET") return collection ? "list" : "get";
  if (method == "POST") return "create";
  if (collection) return method == "DELETE" ? "deletecollection" : "";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  return method == "DELETE" ? "delete" : "";
}

// The old form of watching: /api/v1/watch/namespaces/a/pods.
bool IsOldWatch(const Call& call) {
  std::string_view path = call.attributes.path;
  const auto skip = [&path] {
    const size_t slash = path.find('/', 1);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  };
  const bool core = path.starts_with("/api/");
  for (int i = 0; i < (core ? 2 : 3); ++i) skip();
  return path.starts_with("/watch/");
}

// The path names one object; a name that stands in a selector only is a list's.
bool NamesOne(const Call& call) {
  const Attributes& a = call.attributes;
  if (a.name.empty() || a.verb == "list" || a.verb == "deletecollection") return false;
  return a.verb != "watch" || IsOldWatch(call);
}

// What is behind these answers, or takes the connection over: the request's forms are its own matter.
bool IsConnection(const Call& call) {
  const std::string_view sub = call.attributes.subresource;
  return sub == "proxy" || sub == "exec" || sub == "attach" || sub == "portforward";
}

Ok CheckSubresource(const Call& call, std::string_view verb) {
  for (const ServedSubresource& served : ServedSubresources(*call.resource->kind)) {
    if (served.name != call.attributes.subresource) continue;
    const std::string_view method = call.request.method;
    if (served.name == "proxy" && (method == "HEAD" || method == "OPTIONS")) return {};
    return Contains(served.verbs, verb) ? Ok() : Ok(RouteMethodError());
  }
  return NoSuchResourceError();
}

Ok CheckMethod(const Call& call) {
  const Attributes& a = call.attributes;
  const api::KindInfo& kind = *call.resource->kind;
  const bool one = NamesOne(call);
  if (IsOldWatch(call)) return call.request.method == "GET" ? Ok() : Ok(RouteMethodError());
  const bool scoped = !a.ns.empty() && kind.plural != "namespaces";
  if (scoped && !kind.namespaced) return NoSuchResourceError();
  // What is only created has no paths but its collection's; across namespaces there are only lists.
  const bool listed = Contains(kind.verbs, "list");
  if (one && !listed) return NoSuchResourceError();
  if (kind.namespaced && !scoped && (one || !listed)) return NoSuchResourceError();
  const std::string_view verb = VerbOf(call.request.method, !one);
  if (!a.subresource.empty()) return CheckSubresource(call, verb);
  if (kind.namespaced && !scoped && verb != "list") return RouteMethodError();
  // Creating is for collections, and nothing else is.
  if (one && verb == "create") return RouteMethodError();
  return Contains(kind.verbs, verb) ? Ok() : Ok(RouteMethodError());
}

std::string_view FormsOf(const Call& call) {
  const Attributes& a = call.attributes;
  if (a.subresource == "log") return kLogForms;
  if (IsConnection(call)) return kAnything;
  if (IsOldWatch(call)) return kWatchForms;
  return call.request.method == "GET" && !NamesOne(call) ? kListForms : kForms;
}

Ok CheckAccept(const Call& call) {
  const std::string header = Join(call.request.headers.GetAll("Accept"), ",");
  const std::string_view forms = FormsOf(call);
  if (TrimSpace(header).empty() || forms == kAnything) return {};
  std::vector<std::string_view> produced;
  for (const std::string_view form : Split(forms, ',')) produced.push_back(TrimSpace(form));
  for (const std::string_view part : Split(header, ',')) {
    const std::string_view type = TrimSpace(part.substr(0, part.find(';')));
    if (type == "*/*" || Contains(produced, type)) return {};
  }
  return RouteError(Reason::kNotAcceptable, fmt::format("406: Not Acceptable\n\nAvailable representations: {}", forms));
}

Ok CheckContentType(const Call& call) {
  if (call.request.method != "PATCH" || IsConnection(call)) return {};
  const std::string_view header = call.request.headers.Get("Content-Type");
  const std::string_view type = TrimSpace(header.substr(0, header.find(';')));
  if (Contains(kPatchTypes, type)) return {};
  return RouteError(Reason::kUnsupportedMediaType, "415: Unsupported Media Type");
}

}  // namespace

Ok CheckRoute(const Call& call) {
  TRY(CheckMethod(call));
  TRY(CheckContentType(call));
  return CheckAccept(call);
}

}  // namespace knarr::apiserver
