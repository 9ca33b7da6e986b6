#include "node/reserved.h"

#include <gtest/gtest.h>

#include "doc/json.h"
#include "node/resources.h"

namespace knarr::node {
namespace {

using api::core_v1::Pod;

api::ResourceList List(std::string_view json) { return api::ReadResources(MUST(doc::ParseJson(json)).root); }

TEST(Reserved, IsReadLikeTheKubelet) {
  const auto list = MUST(ParseReserved("cpu=100m,memory=1Gi,ephemeral-storage=2Gi,pid=1000"));
  EXPECT_EQ(api::ResourcesText(list), "cpu=100m,ephemeral-storage=2Gi,memory=1Gi,pid=1k");
  EXPECT_TRUE(MUST(ParseReserved("")).empty());
  for (const auto& [text, message] : {std::pair{"gpu=1", "cannot reserve \"gpu\" resource"},
                                      {"cpu", "\"cpu\": want name=quantity"},
                                      {"cpu=-1", "resource quantity for \"cpu\" cannot be negative: -1"}}) {
    EXPECT_EQ(ParseReserved(text).status().message(), message);
  }
  EXPECT_TRUE(ParseReserved("cpu=x").status().message().starts_with("failed to parse quantity \"x\" for \"cpu\""));
}

TEST(Reserved, LeavesTheRestToPods) {
  const auto capacity = List(R"({"cpu":"4","memory":"4Gi","ephemeral-storage":"100Gi","pods":"110"})");
  const Reserved reserved{MUST(ParseReserved("cpu=500m,memory=512Mi")), MUST(ParseReserved("memory=512Mi,pid=9"))};
  const EvictionConfig eviction = MUST(ParseEviction({.hard = "memory.available<100Mi,nodefs.available<10Gi",
                                                      .soft = "memory.available<1Gi",
                                                      .soft_grace = "memory.available=1m"}));
  EXPECT_EQ(api::ResourcesText(MUST(Allocatable(capacity, reserved, eviction))),
            "cpu=3500m,ephemeral-storage=90Gi,memory=2972Mi,pods=110");
  EXPECT_EQ(MUST(Allocatable(capacity, {}, {})), capacity);
  EXPECT_EQ(
      Allocatable(capacity, {MUST(ParseReserved("cpu=5")), {}}, {}).status().message(),
      "invalid Node Allocatable configuration. Resource \"cpu\" has a reservation of 5 but capacity of 4. Expected "
      "capacity >= reservation");
  const auto group = PodsGroup(capacity, reserved);
  EXPECT_EQ(group.cpu_shares, 3584);
  EXPECT_EQ(group.memory_limit, int64_t{3} << 30);
  EXPECT_EQ(PodsGroup(capacity, {}).memory_limit, 0);
}

}  // namespace
}  // namespace knarr::node
