#include "apiserver/read_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apiserver/audit/http.h"
#include "apiserver/bind.h"
#include "apiserver/decode.h"
#include "apiserver/errors.h"
#include "apiserver/request_info.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;
using Causes = std::vector<StatusCause>;

constexpr std::string_view kMatch = "resourceVersionMatch";

Ok Checked(std::string_view options_kind, Causes causes) {
  if (causes.empty()) return {};
  api::KindInfo options;
  options.group = "meta.k8s.io";
  options.kind = options_kind;
  return InvalidError(options, "", std::move(causes));
}

void Forbid(Causes& causes, std::string_view field, std::string_view why) {
  causes.push_back({"FieldValueForbidden", fmt::format("Forbidden: {}", why), std::string(field)});
}

// As Go reads numbers of a query.
Result<std::optional<int64_t>> QueryInt(const net::Url& url, std::string_view name) {
  const std::string_view text = url.Query(name);
  if (text.empty()) return std::optional<int64_t>();
  const Result<int64_t> value = ParseInt64(text);
  if (value.ok()) return std::optional<int64_t>(*value);
  const bool digits = std::ranges::all_of(text.substr(text[0] == '-' || text[0] == '+' ? 1 : 0),
                                          [](char c) { return c >= '0' && c <= '9'; });
  return BadRequest(fmt::format("strconv.ParseInt: parsing {}: {}", GoQuote(text),
                                digits && text.size() > 1 ? "value out of range" : "invalid syntax"));
}

// What a list and a watch have in common, unchecked.
struct Options {
  ListRequest list;
  std::optional<int64_t> timeout_seconds;
  std::optional<bool> send_initial_events;
};

Result<Options> ReadOptions(const Call& call) {
  const net::Url& url = call.request.url;
  Options out;
  ListRequest& list = out.list;
  list.ns = call.attributes.ns;
  list.limit = TRY(QueryInt(url, "limit")).value_or(0);
  out.timeout_seconds = TRY(QueryInt(url, "timeoutSeconds"));
  if (url.HasQuery("sendInitialEvents")) out.send_initial_events = QueryBool(url, "sendInitialEvents");
  list.selection = TRY(Selection::Parse(*call.resource->kind, url.Query("labelSelector"), url.Query("fieldSelector")));
  // The old form of watching has the name in the path.
  if (!call.attributes.name.empty() && !list.selection.name().has_value()) {
    std::vector<FieldRequirement> fields = list.selection.fields.requirements();
    fields.push_back({"metadata.name", true, call.attributes.name});
    list.selection.fields = FieldSelector(std::move(fields));
  }
  list.continue_token = url.Query("continue");
  list.resource_version = url.Query("resourceVersion");
  list.resource_version_match = url.Query(kMatch);
  return out;
}

Causes CheckList(const Options& options) {
  Causes causes;
  const ListRequest& list = options.list;
  const std::string& match = list.resource_version_match;
  if (!match.empty()) {
    if (list.resource_version.empty()) {
      Forbid(causes, kMatch, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if (!list.continue_token.empty()) {
      Forbid(causes, kMatch, "resourceVersionMatch is forbidden when continue is provided");
    }
    if (match != "Exact" && match != "NotOlderThan") {
      causes.push_back(
          {"FieldValueNotSupported",
           fmt::format(R"(Unsupported value: {}: supported values: "Exact", "NotOlderThan", "")", GoQuote(match)),
           std::string(kMatch)});
    }
    if (match == "Exact" && list.resource_version == "0") {
      Forbid(causes, kMatch, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
  }
  if (options.send_initial_events.has_value()) {
    Forbid(causes, "sendInitialEvents", "sendInitialEvents is forbidden for list");
  }
  return causes;
}

Causes CheckWatch(const Options& options) {
  Causes causes;
  const std::string& match = options.list.resource_version_match;
  const bool initial = options.send_initial_events.has_value();
  if (initial && match != "NotOlderThan") {
    Forbid(causes, kMatch, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (match.empty()) return causes;
  if (!initial) {
    Forbid(causes, kMatch, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  }
  if (match != "NotOlderThan") {
    causes.push_back({"FieldValueNotSupported",
                      fmt::format(R"(Unsupported value: {}: supported values: "NotOlderThan")", GoQuote(match)),
                      std::string(kMatch)});
  }
  if (!options.list.continue_token.empty()) {
    Forbid(causes, kMatch, "resourceVersionMatch is forbidden when continue is provided");
  }
  return causes;
}

// The options a query says, as the tree of a body that says the same.
Result<doc::Document> QueryOptions(const net::Url& url) {
  doc::Document out;
  doc::Arena& arena = out.arena;
  out.root = Value::Object();
  const auto grace = TRY(QueryInt(url, "gracePeriodSeconds"));
  if (grace.has_value()) out.root.Set(arena, "gracePeriodSeconds", Value::Int(*grace));
  if (!url.Query("propagationPolicy").empty()) {
    out.root.Set(arena, "propagationPolicy", Value::String(arena, url.Query("propagationPolicy")));
  }
  if (url.HasQuery("orphanDependents")) {
    out.root.Set(arena, "orphanDependents", Value::Bool(QueryBool(url, "orphanDependents")));
  }
  Value dry = Value::Array();
  for (const auto& [name, value] : url.query) {
    if (name == "dryRun" && !value.empty()) dry.Append(arena, Value::String(arena, value));
  }
  if (!dry.empty()) out.root.Set(arena, "dryRun", dry);
  return out;
}

Causes CheckDelete(const Value& options) {
  Causes causes;
  const Value& policy = options.At("propagationPolicy");
  if (!policy.is_null() && !options.At("orphanDependents").is_null()) {
    causes.push_back({"FieldValueInvalid",
                      fmt::format("Invalid value: {}: orphanDependents and deletionPropagation cannot be both set",
                                  doc::ToJson(policy)),
                      "propagationPolicy"});
  }
  const std::string_view text = policy.AsString();
  if (!policy.is_null() && text != "Foreground" && text != "Background" && text != "Orphan") {
    causes.push_back({"FieldValueNotSupported",
                      fmt::format(R"(Unsupported value: {}: supported values: "Foreground", "Background", "Orphan", )"
                                  R"("nil")",
                                  doc::ToJson(policy)),
                      "propagationPolicy"});
  }
  const Value& dry = options.At("dryRun");
  if (!std::ranges::all_of(dry.items(), [](const Value& value) { return value.AsString() == "All"; })) {
    causes.push_back({"FieldValueNotSupported",
                      fmt::format("Unsupported value: {}: supported values: \"All\"", doc::ToJson(dry)), "dryRun"});
  }
  return causes;
}

}  // namespace

Result<ListRequest> ReadListOptions(const Call& call) {
  Options options = TRY(ReadOptions(call));
  TRY(Checked("ListOptions", CheckList(options)));
  return std::move(options.list);
}

Result<WatchRequest> ReadWatchOptions(const Call& call) {
  Options options = TRY(ReadOptions(call));
  TRY(Checked("ListOptions", CheckWatch(options)));
  WatchRequest request;
  request.ns = std::move(options.list.ns);
  request.selection = std::move(options.list.selection);
  request.resource_version = std::move(options.list.resource_version);
  request.resource_version_match = std::move(options.list.resource_version_match);
  request.bookmarks = QueryBool(call.request.url, "allowWatchBookmarks");
  request.send_initial_events = options.send_initial_events;
  const int64_t seconds = options.timeout_seconds.value_or(0);
  // Beyond a year it is as good as for ever, and a Duration can hold it.
  if (seconds > 0) request.timeout = std::chrono::seconds(std::min<int64_t>(seconds, 366 * 24 * 3600));
  return request;
}

Result<DeleteRequest> ReadDeleteRequest(Call& call) {
  const std::string body = TRY(call.request.read_body(kBodyBytesMax));
  doc::Document options;
  if (body.empty()) {
    options = TRY(QueryOptions(call.request.url));
  } else {
    const Encoding encoding = TRY(BodyEncoding(call.request));
    options = TRY(DecodeDeleteOptions(body, encoding));
    if (call.context.audit != nullptr) AuditDelete(call, options);
  }
  TRY(Checked("DeleteOptions", CheckDelete(options.root)));
  const Value& orphan = options.root.At("orphanDependents");
  return DeleteRequest{ReadDeleteOptions(options.root), orphan.is_bool() && !orphan.AsBool()};
}

}  // namespace knarr::apiserver
