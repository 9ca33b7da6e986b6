// Discovery held against what Kubernetes' own API server says (tests/golden/apiserver/discovery).

#include <filesystem>
#include <fstream>
#include <sstream>

#include "apiserver/discovery_documents.h"
#include "apiserver/resource.h"
#include "apiserver/test_server.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

doc::Document Golden(const std::string& name) {
  std::ifstream in(std::string(KNARR_SOURCE_DIR) + "/tests/golden/apiserver/discovery/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return MUST(doc::ParseJson(text.str()));
}

KindList Kinds() {
  static const ResourceTable kTable{StrategyOptions()};
  return ListedKinds(kTable);
}

void ExpectSame(const Value& ours, const Value& wanted, std::string_view what) {
  EXPECT_EQ(doc::ToPrettyJson(ours, 1), doc::ToPrettyJson(wanted, 1)) << what;
}

TEST(Discovery, GroupsAsUpstreamOrdersThem) {
  ExpectSame(CoreVersionsDocument("127.0.0.1:6443").root, Golden("api.json").root, "/api");
  ExpectSame(GroupListDocument(Kinds()).root, Golden("apis.json").root, "/apis");
  for (const api::KindInfo* group : GroupsOf(Kinds())) {
    ExpectSame(GroupDocument(Kinds(), group->group).root, Golden("apis_" + std::string(group->group) + ".json").root,
               group->group);
  }
}

TEST(Discovery, ResourcesOfEachVersion) {
  KindList firsts = VersionsOf(Kinds(), "");
  for (const api::KindInfo* group : GroupsOf(Kinds())) {
    for (const api::KindInfo* first : VersionsOf(Kinds(), group->group)) firsts.push_back(first);
  }
  for (const api::KindInfo* first : firsts) {
    const std::string name = first->group.empty()
                                 ? "api_v1.json"
                                 : "apis_" + std::string(first->group) + "_" + std::string(first->version) + ".json";
    ExpectSame(ResourceListDocument(Kinds(), *first).root, Golden(name).root, first->api_version);
  }
}

TEST(Discovery, Aggregated) {
  for (const bool core : {true, false}) {
    const doc::Document wanted = Golden(core ? "aggregated_api.json" : "aggregated_apis.json");
    ExpectSame(AggregatedDocument(Kinds(), core).root, wanted.root, core ? "/api" : "/apis");
  }
}

}  // namespace
}  // namespace knarr::apiserver
