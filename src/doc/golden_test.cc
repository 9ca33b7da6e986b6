// The files in tests/golden/doc were written by the reference implementation (sigs.k8s.io/yaml 1.6), not by us.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "doc/json.h"
#include "doc/yaml.h"

namespace knarr::doc {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// Calls check(input, expected, name) for every pair of files in the folder.
template <typename Check>
void ForEach(std::string_view folder, std::string_view in, std::string_view out, Check check) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(KNARR_SOURCE_DIR) / "tests/golden/doc" / folder)) {
    const std::string path = entry.path().string();
    if (!path.ends_with(in)) continue;
    const std::string expected = path.substr(0, path.size() - in.size()) + std::string(out);
    ASSERT_TRUE(fs::exists(expected)) << expected;
    check(Read(entry.path()), Read(expected), path);
    ++count;
  }
  EXPECT_GE(count, 5u) << folder;
}

TEST(Golden, YamlIsWrittenAsKubectlWritesIt) {
  ForEach("yaml_write", ".in.json", ".out.yaml", [](const std::string& in, const std::string& out, const auto& name) {
    auto document = ParseJson(in);
    ASSERT_TRUE(document.ok()) << name << ": " << document.status().message();
    EXPECT_EQ(ToYaml(document->root), out) << name;
    auto again = ParseYaml(out);
    ASSERT_TRUE(again.ok()) << name << ": " << again.status().message();
    EXPECT_TRUE(again->root().Equals(document->root)) << name;
  });
}

TEST(Golden, YamlIsReadAsKubernetesReadsIt) {
  ForEach("yaml_read", ".in.yaml", ".out.json", [](const std::string& in, const std::string& out, const auto& name) {
    auto read = ParseYaml(in);
    ASSERT_TRUE(read.ok()) << name << ": " << read.status().message();
    auto expected = ParseJson(out);
    ASSERT_TRUE(expected.ok()) << name << ": " << expected.status().message();
    EXPECT_TRUE(read->root().Equals(expected->root)) << name << "\n" << ToJson(read->root()) << "\n" << out;
  });
}

}  // namespace
}  // namespace knarr::doc
