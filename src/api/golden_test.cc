// Every golden object from each form into each form, byte for byte.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/convert.h"

namespace knarr::api {
namespace {

struct Form {
  WireFormat format;
  const char* extension;
};
constexpr Form kForms[] = {{WireFormat::kJson, ".json"}, {WireFormat::kYaml, ".yaml"}, {WireFormat::kProtobuf, ".pb"}};

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::filesystem::path> Goldens() {
  std::vector<std::filesystem::path> stems;
  for (const auto& entry : std::filesystem::directory_iterator(KNARR_SOURCE_DIR "/tests/golden/api")) {
    if (entry.path().extension() != ".pb") continue;
    std::filesystem::path stem = entry.path();
    stems.push_back(stem.replace_extension());
  }
  return stems;
}

TEST(GoldenTest, EveryObjectConvertsByteForByte) {
  const auto stems = Goldens();
  ASSERT_GT(stems.size(), 100U);
  for (const auto& stem : stems) {
    for (const Form& from : kForms) {
      const std::string input = ReadAll(stem.string() + from.extension);
      if (input.empty()) continue;
      for (const Form& to : kForms) {
        const std::string want = ReadAll(stem.string() + to.extension);
        if (want.empty()) continue;
        const Result<Converted> got = ConvertObject(input, from.format, to.format);
        EXPECT_TRUE(got.ok()) << stem.filename() << from.extension << ": " << got.status().message();
        if (!got.ok()) continue;
        EXPECT_TRUE(got->warnings.empty()) << stem.filename() << from.extension << ": " << got->warnings[0];
        if (to.format == WireFormat::kProtobuf) {
          EXPECT_TRUE(got->bytes == want) << stem.filename() << ": " << from.extension << " to .pb differs";
        } else {
          EXPECT_EQ(got->bytes, want) << stem.filename() << ": " << from.extension << " to " << to.extension;
        }
      }
    }
  }
}

}  // namespace
}  // namespace knarr::api
