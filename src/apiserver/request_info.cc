#include "apiserver/request_info.h"

#include <algorithm>
#include <vector>

#include "base/selector.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

std::string_view VerbOf(std::string_view method) {
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

std::vector<std::string_view> PathParts(std::string_view path) {
  while (ConsumePrefix(path, "/")) {
  }
  while (ConsumeSuffix(path, "/")) {
  }
  if (path.empty()) return {};
  return Split(path, '/');
}

// What may stand as one part of a path.
bool IsPathSegment(std::string_view name) {
  return name != "." && name != ".." && name.find_first_of("/%") == std::string_view::npos;
}

void ReadResource(std::vector<std::string_view> parts, const net::Url& url, Attributes& out) {
  // The old form of watching: /api/v1/watch/namespaces/a/pods.
  const bool old_watch = parts.front() == "watch" && parts.size() > 1;
  if (old_watch) parts.erase(parts.begin());
  if (parts.front() == "namespaces" && parts.size() > 1) {
    out.ns = parts[1];
    // Beyond a namespace's own subresources, its path is a prefix of its content's.
    if (parts.size() > 2 && parts[2] != "status" && parts[2] != "finalize")
      parts.erase(parts.begin(), parts.begin() + 2);
  }
  out.resource_request = true;
  out.resource = parts[0];
  if (parts.size() > 1) out.name = parts[1];
  if (parts.size() > 2) out.subresource = parts[2];  // what comes behind it (proxy paths) is the subresource's own
  if (out.resource == "namespaces") out.ns = out.name;
  if (old_watch && out.verb == "get") {
    out.verb = "watch";
    return;  // its selectors say nothing about what may be seen
  }
  if (out.verb == "get" && out.name.empty()) {
    // An object's own path is read, never watched: a watch of one object is a watch that selects its name.
    out.verb = QueryBool(url, "watch") ? "watch" : "list";
  } else if (out.verb == "delete" && out.name.empty()) {
    out.verb = "deletecollection";
  } else {
    return;
  }
  AddSelectors(out, url.Query("fieldSelector"), url.Query("labelSelector"));
}

}  // namespace

void AddSelectors(Attributes& attributes, std::string_view field_text, std::string_view label_text) {
  if (!field_text.empty()) {
    Result<FieldSelector> fields = FieldSelector::Parse(field_text);
    attributes.field_selector_bad = !fields.ok();
    if (fields.ok()) attributes.field_selector = std::move(*fields);
    const std::string_view name = attributes.field_selector.ExactValue("metadata.name").value_or("");
    if (attributes.name.empty() && attributes.verb != "deletecollection" && IsPathSegment(name)) attributes.name = name;
  }
  if (label_text.empty()) return;
  Result<LabelSelector> labels = LabelSelector::Parse(label_text);
  attributes.label_selector_bad = !labels.ok();
  if (labels.ok()) attributes.label_selector = std::move(*labels);
}

bool QueryBool(const net::Url& url, std::string_view name) {
  if (!url.HasQuery(name)) return false;
  const std::string value = ToLower(url.Query(name));
  return value != "0" && value != "false";
}

Attributes ReadAttributes(std::string_view method, const net::Url& url) {
  Attributes out;
  out.path = url.path;
  out.verb = VerbOf(method);
  std::vector<std::string_view> parts = PathParts(url.path);
  const size_t head = parts.empty() ? 0 : parts[0] == "api" ? 2 : parts[0] == "apis" ? 3 : 0;
  if (head == 0 || parts.size() <= head) {
    out.verb = ToLower(method);
    return out;
  }
  if (head == 3) out.group = parts[1];
  out.version = parts[head - 1];
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(head));
  ReadResource(std::move(parts), url, out);
  if (out.resource.empty()) out.resource_request = false;  // "//": a path that names nothing
  return out;
}

}  // namespace knarr::apiserver
