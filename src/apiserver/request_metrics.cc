#include "apiserver/request_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "apiserver/http_face.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// As upstream counts them; what is in no list is "other", or has no subresource.
constexpr std::array<std::string_view, 13> kVerbs = {"other",  "GET",   "LIST",  "WATCH", "POST",
                                                     "PUT",    "PATCH", "APPLY", "DELETE", "DELETECOLLECTION",
                                                     "CONNECT", "HEAD",  "OPTIONS"};
constexpr std::array<std::string_view, 16> kSubresources = {
    "",      "approval",    "attach", "binding", "ephemeralcontainers", "eviction", "exec", "finalize",
    "log",   "portforward", "proxy",  "resize",  "scale",               "status",   "token", "other"};
constexpr std::array<std::string_view, 4> kScopes = {"", "resource", "namespace", "cluster"};

template <size_t N>
uint32_t IndexIn(const std::array<std::string_view, N>& list, std::string_view text, uint32_t otherwise) {
  const auto* const found = std::ranges::find(list, text);
  return found == list.end() ? otherwise : static_cast<uint32_t>(found - list.begin());
}

bool IsApply(const Call& call) {
  return call.request.headers.Get("Content-Type").find("apply-patch") != std::string_view::npos;
}

std::string_view VerbOf(const Call& call) {
  const Attributes& a = call.attributes;
  constexpr std::array<std::string_view, 5> kConnects = {"attach", "exec", "portforward", "proxy"};
  if (a.resource_request) {
    if (!a.subresource.empty() && std::ranges::find(kConnects, a.subresource) != kConnects.end()) return "CONNECT";
    if (a.verb == "create") return "POST";
    if (a.verb == "update") return "PUT";
    if (a.verb == "patch") return IsApply(call) ? "APPLY" : "PATCH";
  }
  for (const std::string_view verb : kVerbs) {
    if (verb.size() == a.verb.size() && ToUpper(a.verb) == verb) return verb;
  }
  return "other";
}

std::string_view ScopeOf(const Attributes& a) {
  if (!a.resource_request) return "";
  if (!a.name.empty() || a.verb == "create") return "resource";
  return a.ns.empty() ? "cluster" : "namespace";
}

std::vector<double> Bounds() {
  return {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60};
}

void Family(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

// Objects by resource; each resource once, however many versions of it are served.
void CountObjects(Core& core, std::string& out) {
  std::map<std::string, const Resource*> resources;
  for (const Resource& resource : core.resources().all()) {
    if (resource.is_stored_form()) resources.emplace(resource.prefix, &resource);
  }
  const auto snapshot = core.store().Latest();
  for (const std::string_view name : {"apiserver_resource_objects", "apiserver_storage_objects"}) {
    const bool old = name == "apiserver_storage_objects";
    Family(out, name, "Number of stored objects split by kind.", "gauge");
    for (const auto& [prefix, resource] : resources) {
      const api::KindInfo& kind = *resource->kind;
      const size_t count = snapshot->Count(prefix);
      if (old) {
        const std::string full = fmt::format("{}{}{}", kind.plural, kind.group.empty() ? "" : ".", kind.group);
        out += fmt::format("{}{{resource=\"{}\"}} {}\n", name, full, count);
      } else {
        out += fmt::format("{}{{group=\"{}\",resource=\"{}\"}} {}\n", name, kind.group, kind.plural, count);
      }
    }
  }
}

// Of /proc/self/stat and its neighbours; a simulated world has none, and then nothing is told.
void TellProcess(rt::Runtime& runtime, std::string& out) {
  constexpr double kTicks = 100;  // USER_HZ, which Linux has fixed
  constexpr int64_t kPage = 4096;
  const Result<std::string> stat = runtime.files().ReadFile("/proc/self/stat");
  if (!stat.ok()) return;
  // The name, which may hold anything, ends at the last bracket.
  const size_t end = stat->rfind(')');
  if (end == std::string::npos || end + 2 > stat->size()) return;
  const std::vector<std::string_view> fields = Split(std::string_view(*stat).substr(end + 2), ' ');
  if (fields.size() < 22) return;
  const auto number = [&](size_t at) { return ParseInt64(fields[at]).value_or(0); };
  const auto tell = [&](std::string_view name, std::string_view help, std::string_view type, double value) {
    Family(out, name, help, type);
    out += fmt::format("{} {}\n", name, value);
  };
  tell("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter",
       static_cast<double>(number(11) + number(12)) / kTicks);
  tell("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge",
       static_cast<double>(number(21) * kPage));
  tell("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", static_cast<double>(number(20)));
  if (const auto open = runtime.files().List("/proc/self/fd"); open.ok()) {
    tell("process_open_fds", "Number of open file descriptors.", "gauge", static_cast<double>(open->size()));
  }
  const Result<std::string> system = runtime.files().ReadFile("/proc/stat");
  const size_t boot = system.ok() ? system->find("\nbtime ") : std::string::npos;
  if (boot == std::string::npos) return;
  std::string_view since = std::string_view(*system).substr(boot + 7);
  since = since.substr(0, since.find('\n'));
  tell("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge",
       static_cast<double>(ParseInt64(since).value_or(0)) + static_cast<double>(number(19)) / kTicks);
}

}  // namespace

RequestMetrics::RequestMetrics(knarr::Registry& registry)
    : requests_(registry.AddCounter("apiserver_request_total",
                                    "Counter of apiserver requests broken out for each verb, dry run value, group, "
                                    "version, resource, scope, component, and HTTP response code.",
                                    {"code", "component", "dry_run", "group", "resource", "scope", "subresource",
                                     "verb", "version"})),
      durations_(registry.AddHistogram("apiserver_request_duration_seconds",
                                       "Response latency distribution in seconds for each verb, dry run value, group, "
                                       "version, resource, subresource, scope and component.",
                                       Bounds(),
                                       {"component", "dry_run", "group", "resource", "scope", "subresource", "verb",
                                        "version"})),
      objectives_(registry.AddHistogram("apiserver_request_sli_duration_seconds",
                                        "Response latency distribution in seconds for each verb, group, version, "
                                        "resource, subresource, scope and component.",
                                        Bounds(),
                                        {"component", "group", "resource", "scope", "subresource", "verb",
                                         "version"})),
      streams_(registry.AddGauge("apiserver_longrunning_requests",
                                 "Gauge of all active long-running apiserver requests broken out by verb, group, "
                                 "version, resource, scope and component.",
                                 {"component", "group", "resource", "scope", "subresource", "verb", "version"})) {}

size_t RequestMetrics::KeyHash::operator()(const Key& key) const {
  return std::hash<const void*>()(key.resource) * 31 + key.rest * size_t{0x9E3779B97F4A7C15};
}

RequestMetrics::Series& RequestMetrics::Find(const Call& call, int code, bool streams) {
  const Attributes& a = call.attributes;
  const uint32_t verb = IndexIn(kVerbs, VerbOf(call), 0);
  const uint32_t scope = IndexIn(kScopes, call.resource == nullptr ? "" : ScopeOf(a), 0);
  const uint32_t other = kSubresources.size() - 1;
  const uint32_t sub = call.resource == nullptr ? 0 : IndexIn(kSubresources, a.subresource, other);
  const uint32_t dry = call.request.url.Query("dryRun") == "All" ? 1 : 0;
  const Key key{call.resource, static_cast<uint32_t>(code) << 16 | verb << 8 | sub << 3 | scope << 1 | dry};
  while (lock_.test_and_set(std::memory_order_acquire)) {
  }
  auto found = series_.find(key);
  if (found == series_.end()) {
    const api::KindInfo* kind = call.resource == nullptr ? nullptr : call.resource->kind;
    const std::string_view group = kind == nullptr ? "" : kind->group;
    const std::string_view version = kind == nullptr ? "" : kind->version;
    const std::string_view resource = kind == nullptr ? "" : kind->plural;
    const std::string_view dry_run = dry == 1 ? "All" : "";
    constexpr std::string_view kComponent = "apiserver";
    Series series{
        requests_.With({std::to_string(code), kComponent, dry_run, group, resource, kScopes[scope],
                        kSubresources[sub], kVerbs[verb], version}),
        nullptr, nullptr};
    if (!streams) {
      series.durations = &durations_.With(
          {kComponent, dry_run, group, resource, kScopes[scope], kSubresources[sub], kVerbs[verb], version});
      series.objectives =
          &objectives_.With({kComponent, group, resource, kScopes[scope], kSubresources[sub], kVerbs[verb], version});
    }
    found = series_.emplace(key, series).first;
  }
  Series& series = found->second;
  lock_.clear(std::memory_order_release);
  return series;
}

Gauge& RequestMetrics::StreamsOf(const Call& call) {
  const api::KindInfo& kind = *call.resource->kind;
  const uint32_t other = kSubresources.size() - 1;
  return streams_.With({"apiserver", kind.group, kind.plural, ScopeOf(call.attributes),
                        kSubresources[IndexIn(kSubresources, call.attributes.subresource, other)], VerbOf(call),
                        kind.version});
}

void RequestMetrics::Count(const Call& call, int code, std::optional<Duration> took) {
  const Series& series = Find(call, code, !took.has_value());
  series.requests.Add();
  if (series.durations == nullptr || !took.has_value()) return;
  const double seconds = std::chrono::duration<double>(*took).count();
  series.durations->Observe(seconds);
  series.objectives->Observe(seconds);
}

std::string MomentaryMetrics(Core& core, rt::Runtime& runtime, const InFlight& in_flight) {
  std::string out;
  constexpr std::string_view kInFlight = "apiserver_current_inflight_requests";
  Family(out, kInFlight, "Requests being answered now, per request kind.", "gauge");
  out += fmt::format("{}{{request_kind=\"mutating\"}} {}\n", kInFlight, in_flight.writing());
  out += fmt::format("{}{{request_kind=\"readOnly\"}} {}\n", kInFlight, in_flight.reading());
  CountObjects(core, out);
  constexpr std::string_view kSize = "apiserver_storage_size_bytes";
  const store::StoreStats stats = rt::CallOn(runtime, core.world(), [&] { return core.store().stats(); });
  Family(out, kSize, "Size of the storage database file physically allocated in bytes.", "gauge");
  out += fmt::format("{}{{storage_cluster_id=\"embedded\"}} {}\n", kSize, stats.disk_bytes);
  TellProcess(runtime, out);
  return out;
}

}  // namespace knarr::apiserver
