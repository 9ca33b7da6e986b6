// Lists of many pods by one client.

#include <fmt/format.h>

#include <algorithm>

#include "doc/json.h"
#include "load.h"
#include "rt/sync.h"

namespace knarr::bench {
namespace {

constexpr std::string_view kTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf,application/json";
constexpr int kMemoryLists = 20;
constexpr Duration kSampleEvery = std::chrono::milliseconds(20);
constexpr size_t kPageMax = size_t{1} << 28;

Result<size_t> One(Load& load, client::HttpClient& client, client::QueryList query, std::string_view accept = {}) {
  net::ClientRequest request = client.MakeRequest("GET", load.Path("pods"), query);
  if (!accept.empty()) request.headers.Set("Accept", std::string(accept));
  return Load::Do(client, request);
}

Result<size_t> Paged(Load& load, client::HttpClient& client) {
  std::string token;
  size_t size = 0;
  do {
    client::QueryList query = {{"limit", "500"}};
    if (!token.empty()) query.emplace_back("continue", token);
    auto response = TRY(client.Send(client.MakeRequest("GET", load.Path("pods"), query)));
    const std::string page = TRY(response->ReadAll(kPageMax));
    size += page.size();
    // The metadata stands before the items; a whole parse would measure us.
    const std::string_view head = std::string_view(page).substr(0, page.find("\"items\""));
    const size_t at = head.find("\"continue\":\"");
    const size_t begin = at + std::string_view("\"continue\":\"").size();
    token = at == std::string_view::npos ? "" : std::string(head.substr(begin, head.find('"', begin) - begin));
  } while (!token.empty());
  return size;
}

Result<size_t> Read(Load& load, client::HttpClient& client, const std::string& name) {
  if (name == "list") return One(load, client, {});
  if (name == "list-paged") return Paged(load, client);
  if (name == "list-cached") return One(load, client, {{"resourceVersion", "0"}});
  if (name == "list-none") return One(load, client, {{"labelSelector", "app=none"}});
  if (name == "list-field") return One(load, client, {{"fieldSelector", "spec.nodeName=none"}});
  if (name == "list-table") return One(load, client, {}, kTable);
  if (name == "list-protobuf") return One(load, client, {}, kProtobuf);
  return BadRequest("no scenario " + name + ": there are " + std::string(ScenarioNames()));
}

/// How much memory the server takes at most while lists are read, beyond what it had before.
Ok Memory(Load& load, client::HttpClient& client) {
  const double before = TRY(load.meter.RssBytes());
  const double pss_before = TRY(load.meter.PssBytes());
  double most = before;
  bool done = false;
  rt::TaskGroup sampler(load.runtime, "sampler");
  sampler.Spawn("sample", [&] {
    while (!done && load.runtime.Sleep(kSampleEvery).ok()) most = std::max(most, load.meter.RssBytes().value_or(0));
  });
  Ok listed;
  for (int i = 0; i < kMemoryLists && listed.ok(); ++i) {
    const auto one = One(load, client, {});
    if (!one.ok()) listed = one.status();
  }
  done = true;
  sampler.StopAndJoin();
  TRY(std::move(listed));
  load.Figure("lists-memory.growth", (most - before) * 100 / before, "%");
  load.Figure("lists-memory.after", (TRY(load.meter.PssBytes()) - pss_before) * 100 / pss_before, "%");
  return {};
}

}  // namespace

Ok RunLists(Load& load, const std::string& name) {
  auto client = TRY(load.Connect());
  if (name == "lists-memory") return Memory(load, *client);
  Latencies latencies;
  size_t size = 0;
  const double cpu = TRY(load.meter.CpuSeconds());
  for (int64_t i = 0; i < load.options.lists; ++i) {
    const MonoTime began = load.runtime.Mono();
    size = TRY(Read(load, *client, name));
    latencies.Add(load.runtime.Mono() - began);
  }
  const double used = TRY(load.meter.CpuSeconds()) - cpu;
  load.Figure(name + ".time", latencies.At(0.5), "ms");
  load.Figure(name + ".cpu", used * 1000 / static_cast<double>(load.options.lists), "ms");
  load.Figure(name + ".size", static_cast<double>(size) / 1e6, "MB");
  return {};
}

}  // namespace knarr::bench
