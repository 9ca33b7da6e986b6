#include "cli/kubectl/sort.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "doc/json.h"

namespace knarr::cli {
namespace {

TEST(NaturalLess, NumbersCountAsNumbers) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"web-2", "web-10"},
      {"web-2", "web-02"},
      {"web-02", "web-3"},
      {"a", "b"},
      {"", "a"},
      {"a", "aa"},
      {"1", "a"},
      {"a1", "aa"},
      {"a10b2", "a10b10"},
      {"99999999999999999999", "100000000000000000000"},
  };
  for (const auto& [less, more] : cases) {
    EXPECT_TRUE(NaturalLess(less, more)) << less << " " << more;
    EXPECT_FALSE(NaturalLess(more, less)) << less << " " << more;
    EXPECT_FALSE(NaturalLess(less, less)) << less;
  }
}

/// The names, sorted by `path`; objects are ConfigMaps whose data is `values`, without data for "".
std::string Sorted(std::string_view path, const std::vector<std::string>& values) {
  std::vector<api::ObjectPtr> objects;
  for (const std::string& value : values) {
    const std::string data = value.empty() ? "" : R"("data":{"x":)" + value + "},";
    const std::string name = std::to_string(objects.size());
    doc::Document tree = MUST(doc::ParseJson("{" + data + R"("metadata":{"name":"n)" + name + "\"}}"));
    objects.push_back(api::Object::FromDocument(std::move(tree)));
  }
  const Ok done = SortObjects(path, objects);
  if (!done.ok()) return done.status().message();
  std::string out;
  for (const api::ObjectPtr& object : objects) out += std::string(object->name()) + " ";
  return out;
}

TEST(SortObjects, AsKubectlDoes) {
  EXPECT_EQ(Sorted(".data.x", {R"("web-10")", R"("web-9")", R"("web-1")"}), "n2 n1 n0 ");
  EXPECT_EQ(Sorted("{.data.x}", {R"("1Gi")", R"("200Mi")", R"("5k")"}), "n2 n1 n0 ");
  EXPECT_EQ(Sorted("data.x", {"10", "9", "1.5"}), "n2 n1 n0 ");
  // What has nothing there is first.
  EXPECT_EQ(Sorted(".data.x", {"10", "", "9", ""}), "n1 n3 n2 n0 ");
  EXPECT_EQ(Sorted(".data.x", {}), "");
  EXPECT_EQ(Sorted(".data.y", {"1"}), "couldn't find any field with path \"{.data.y}\" in the list of objects");
}

}  // namespace
}  // namespace knarr::cli
