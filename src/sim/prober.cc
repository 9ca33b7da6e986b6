#include "sim/prober.h"

#include <fmt/format.h>

#include "api/core_v1.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::sim {
namespace {

using api::ObjectPtr;

constexpr Duration kEvery = 4s;
constexpr Duration kBetweenPages = 300ms;
constexpr Duration kWatchFor = 200ms;

std::string Text(const ObjectPtr& object) { return fmt::format("{}@{}", KeyOf(*object), object->resource_version()); }

}  // namespace

Prober::Prober(rt::Runtime& runtime, client::Client& client, Journal& journal)
    : runtime_(runtime), client_(client), journal_(journal), tasks_(runtime, "prober") {}

void Prober::Start() {
  tasks_.Spawn("prober", [this] { Run(); });
}

void Prober::Stop() { tasks_.StopAndJoin(); }

void Prober::Run() {
  while (runtime_.Sleep(kEvery + Duration(runtime_.Random() % static_cast<uint64_t>(kEvery.count()))).ok()) {
    if (rests_) continue;
    // A full disk may refuse it; what it finds wrong it says itself.
    (void)ReadPages();
    (void)WatchFromList();
  }
}

Ok Prober::ReadPages() {
  const api::KindInfo& kind = api::core_v1::PodInfo();
  client::ListOptions options{.limit = static_cast<int64_t>(1 + runtime_.Random() % 4)};
  std::vector<std::string> paged;
  std::string version;
  do {
    const client::ObjectList page = TRY(client_.List(kind, "", options));
    if (version.empty()) version = page.resource_version;
    if (page.resource_version != version) {
      journal_.Violation(fmt::format("a list of {} goes on at {}", version, page.resource_version));
      return {};
    }
    for (const ObjectPtr& object : page.items) paged.push_back(Text(object));
    options.continue_token = page.continue_token;
    if (!options.continue_token.empty()) TRY(runtime_.Sleep(kBetweenPages));
  } while (!options.continue_token.empty());
  const client::ObjectList whole =
      TRY(client_.List(kind, "", {.resource_version = version, .resource_version_match = "Exact"}));
  std::vector<std::string> wanted;
  for (const ObjectPtr& object : whole.items) wanted.push_back(Text(object));
  if (paged == wanted) return {};
  journal_.Violation(fmt::format("pods at {}: {} in pages, {} as a whole: {} / {}", version, paged.size(),
                                 wanted.size(), fmt::join(paged, " "), fmt::join(wanted, " ")));
  return {};
}

Ok Prober::WatchFromList() {
  const api::KindInfo& kind = api::core_v1::ConfigMapInfo();
  const client::ObjectName name{"kube-public", "probe"};
  const std::string body = fmt::format(
      R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"probe"}},"data":{{"n":"{}"}}}})",
      runtime_.Random() % 1000000);
  TRY(client_.Patch(kind, name, client::PatchType::kApply, body, "", {.field_manager = "prober", .force = true}));
  const client::ObjectList list = TRY(client_.List(kind, ""));
  const std::unique_ptr<client::WatchStream> stream =
      TRY(client_.Watch(kind, "", {.resource_version = list.resource_version}));
  const int64_t from = TRY(ParseInt64(list.resource_version));
  const rt::CancelScope scope(runtime_, kWatchFor);
  while (true) {
    for (const client::WatchEvent& event : TRY(stream->Next())) {
      const int64_t version = TRY(ParseInt64(event.object->resource_version()));
      if (version > from) continue;
      journal_.Violation(fmt::format("a watch from {} tells of {}, which the list showed", from, Text(event.object)));
    }
  }
}

}  // namespace knarr::sim
