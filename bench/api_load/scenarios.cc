// The closed loops: every client sends its next request when it has the answer to the last.

#include <fmt/format.h>

#include <cstdio>
#include <functional>

#include "load.h"
#include "rt/sync.h"

namespace knarr::bench {
namespace {

using Clients = std::vector<std::unique_ptr<client::HttpClient>>;
/// The next request of a client, or none when there is nothing left for it to do.
using MakeRequest = std::function<std::optional<net::ClientRequest>(client::HttpClient& client, size_t index)>;

constexpr size_t kOwn = 4;  ///< pods each client reads and patches

/// A prefix of names that no run before has used.
std::string FreshPrefix(Load& load) {
  return fmt::format(
      "b{:x}-", std::chrono::duration_cast<std::chrono::milliseconds>(load.runtime.Wall().time_since_epoch()).count());
}

struct LoopResult {
  size_t done = 0;
  Latencies latencies;
};

/// Runs the loop of each client until `end` or until there is nothing left.
Result<LoopResult> Loop(Load& load, Clients& clients, const MakeRequest& make, MonoTime end) {
  LoopResult result;
  Ok failed;
  rt::TaskGroup group(load.runtime, "clients");
  for (size_t i = 0; i < clients.size(); ++i) {
    group.Spawn("client", [&, i] {
      while (failed.ok() && load.runtime.Mono() < end) {
        std::optional<net::ClientRequest> request = make(*clients[i], i);
        if (!request.has_value()) return;
        const MonoTime sent = load.runtime.Mono();
        auto answer = Load::Do(*clients[i], *request);
        if (!answer.ok()) {
          failed = answer.status().WithContext(request->method + " " + request->url.path);
          return;
        }
        result.latencies.Add(load.runtime.Mono() - sent);
        ++result.done;
      }
    });
  }
  group.Join();
  TRY(std::move(failed));
  return result;
}

Ok Measure(Load& load, const std::string& name, Clients& clients, const MakeRequest& make, Duration length) {
  const Stretch stretch = TRY(Stretch::Begin(load));
  LoopResult result = TRY(Loop(load, clients, make, stretch.began() + length));
  return stretch.End(fmt::format("{}.{}", name, clients.size()), result.done, result.latencies);
}

/// Makes `count` pods, and says how long that took.
Ok Fill(Load& load, Clients& clients, const std::string& prefix, size_t count) {
  size_t next = 0;
  const auto make = [&](client::HttpClient& client, size_t) -> std::optional<net::ClientRequest> {
    if (next == count) return std::nullopt;
    return load.Post(client, "pods", PodBody(fmt::format("{}{:06}", prefix, next++)));
  };
  TRY(Loop(load, clients, make, MonoTime::max()));
  return {};
}

Ok Create(Load& load, Clients& clients, const std::string& plural, const std::string& name) {
  size_t next = 0;
  const std::string prefix = FreshPrefix(load);
  const auto make = [&](client::HttpClient& client, size_t) -> std::optional<net::ClientRequest> {
    const std::string object = fmt::format("{}{:06}", prefix, next++);
    return load.Post(client, plural, plural == "pods" ? PodBody(object) : ConfigMapBody(object));
  };
  return Measure(load, name, clients, make, load.options.length);
}

Ok GetOrPatch(Load& load, Clients& clients, const std::string& name) {
  const std::string prefix = FreshPrefix(load);
  const size_t count = kOwn * clients.size();
  TRY(Fill(load, clients, prefix, count));
  std::vector<size_t> next(clients.size());
  const auto make = [&](client::HttpClient& client, size_t index) -> std::optional<net::ClientRequest> {
    const size_t turn = next[index]++;
    // The pods of a client are its own, so that no two patches meet.
    const std::string path = load.Path("pods", fmt::format("{}{:06}", prefix, index * kOwn + turn % kOwn));
    if (name == "get") return client.MakeRequest("GET", path);
    if (name == "get-cached") return client.MakeRequest("GET", path, {{"resourceVersion", "0"}});
    net::ClientRequest request = client.MakeRequest("PATCH", path);
    request.headers.Set("Content-Type", "application/merge-patch+json");
    request.body = fmt::format(R"({{"metadata":{{"annotations":{{"turn":"{}"}}}}}})", turn);
    return request;
  };
  return Measure(load, name, clients, make, load.options.length);
}

Ok Delete(Load& load, Clients& clients) {
  // As many as were made in the time given: deletes cost about as much as creates.
  const std::string prefix = FreshPrefix(load);
  size_t made = 0;
  const MonoTime end = load.runtime.Mono() + load.options.length;
  const auto create = [&](client::HttpClient& client, size_t) -> std::optional<net::ClientRequest> {
    return load.Post(client, "pods", PodBody(fmt::format("{}{:06}", prefix, made++)));
  };
  TRY(Loop(load, clients, create, end));
  size_t next = 0;
  const auto make = [&](client::HttpClient& client, size_t) -> std::optional<net::ClientRequest> {
    if (next == made) return std::nullopt;
    return client.MakeRequest("DELETE", load.Path("pods", fmt::format("{}{:06}", prefix, next++)));
  };
  return Measure(load, "delete", clients, make, std::chrono::hours(1));
}

/// The namespace, and the account that pods are made for.
Ok Prepare(Load& load) {
  auto client = TRY(load.Connect());
  const auto make = [&](std::string_view path, std::string body) -> Ok {
    net::ClientRequest request = client->MakeRequest("POST", path);
    request.headers.Set("Content-Type", "application/json");
    request.body = std::move(body);
    const auto made = Load::Do(*client, request);
    if (!made.ok() && !made.Failed(Reason::kAlreadyExists)) return made.status();
    return {};
  };
  TRY(make("/api/v1/namespaces",
           fmt::format(R"({{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{}"}}}})", load.options.ns)));
  return make(load.Path("serviceaccounts"),
              R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}})");
}

Ok FillUp(Load& load, Clients& clients) {
  const MonoTime began = load.runtime.Mono();
  TRY(Fill(load, clients, FreshPrefix(load), static_cast<size_t>(load.options.objects)));
  load.Figure("fill.time", std::chrono::duration<double>(load.runtime.Mono() - began).count(), "s");
  return {};
}

Ok Clear(Load& load) {
  auto client = TRY(load.Connect());
  for (const std::string_view plural : {"pods", "configmaps"}) {
    net::ClientRequest request = client->MakeRequest("DELETE", load.Path(plural), {{"gracePeriodSeconds", "0"}});
    TRY(Load::Do(*client, request));
  }
  return {};
}

Ok Memory(Load& load) {
  if (load.meter.empty()) return BadRequest("memory: say whose with --pid");
  load.Figure("memory.pss", TRY(load.meter.PssBytes()) / 1e6, "MB");
  return {};
}

}  // namespace

std::string_view ScenarioNames() {
  return "create-configmap create-pod get get-cached patch delete fill memory list list-paged list-cached "
         "list-none list-field list-table list-protobuf lists-memory watch clear";
}

Ok RunScenario(Load& load, const std::string& name) {
  TRY(Prepare(load));
  if (name == "watch") return RunWatch(load);
  if (name == "memory") return Memory(load);
  if (name == "clear") return Clear(load);
  if (name.starts_with("list")) return RunLists(load, name);
  Clients clients = TRY(load.Connect(load.options.clients));
  if (name == "create-configmap") return Create(load, clients, "configmaps", name);
  if (name == "create-pod") return Create(load, clients, "pods", name);
  if (name == "get" || name == "get-cached" || name == "patch") return GetOrPatch(load, clients, name);
  if (name == "delete") return Delete(load, clients);
  if (name == "fill") return FillUp(load, clients);
  return BadRequest("no scenario " + name + ": there are " + std::string(ScenarioNames()));
}

}  // namespace knarr::bench
