#include "network/service_rules.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "api/meta_v1.h"
#include "doc/yaml.h"
#include "network/service_table.h"
#include "network/testing_services.h"

namespace knarr::network {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

ServiceContext Context() {
  return {.table = "knarr-services",
          .cluster = MUST(Cidr::Parse("10.42.0.0/16")),
          .node_name = "here",
          .service_network = "10.43.0.0/16"};
}

// tests/golden/services: the objects in <name>.in.yaml give the rules in <name>.out.nft.
TEST(ServiceRules, Golden) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(KNARR_SOURCE_DIR "/tests/golden/services")) {
    const std::string in = entry.path().string();
    if (!in.ends_with(".in.yaml")) continue;
    ++count;
    ServiceTable table(Context());
    const auto loaded = LoadServices(Read(in), table);
    ASSERT_TRUE(loaded.ok()) << in << ": " << loaded.status().message();
    const std::string out = in.substr(0, in.size() - 8) + ".out.nft";
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(out) << table.ToText();
    EXPECT_EQ(table.ToText(), Read(out)) << in;
  }
  EXPECT_GE(count, 3u);
}

TEST(ServiceTable, ChangesOnlyWhatChanged) {
  const std::string text = Read(KNARR_SOURCE_DIR "/tests/golden/services/basic.in.yaml");
  ServiceTable table(Context());
  ASSERT_TRUE(LoadServices(text, table).ok());
  EXPECT_FALSE(table.Rebuild().empty());
  EXPECT_TRUE(table.Update().empty());
  ASSERT_TRUE(LoadServices(text, table).ok());  // the same again
  EXPECT_TRUE(table.Update().empty());
  table.Set("default/web", {});
  EXPECT_FALSE(table.Update().empty());
  EXPECT_TRUE(table.Update().empty());
  EXPECT_EQ(table.ToText().find("default/web"), std::string::npos);
}

}  // namespace
}  // namespace knarr::network
