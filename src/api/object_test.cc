#include "api/object.h"

#include <gtest/gtest.h>

#include "doc/json.h"

namespace knarr::api {
namespace {

TEST(ObjectTest, MetadataIsReadWithOrWithoutDecoding) {
  struct Case {
    std::string json;
    std::string name, ns, uid, version;
  };
  const Case cases[] = {
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"b","uid":"c","resourceVersion":"7",)"
       R"("creationTimestamp":"2026-01-01T00:00:00Z"}})",
       "a", "b", "c", "7"},
      {R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","generateName":"x-","namespace":"b","uid":"c",)"
       R"("resourceVersion":"7"}})",
       "a", "b", "c", "7"},
      // No namespace; a number in front; an escape; another order; nothing at all.
      {R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"a","uid":"c","resourceVersion":"7"}})", "a", "", "c",
       "7"},
      {R"({"kind":"X","apiVersion":"g/v1","metadata":{"generation":1,"name":"a","namespace":"b"}})", "a", "b", "", ""},
      {R"({"kind":"X","apiVersion":"g/v1","metadata":{"name":"a\"b","namespace":"b"}})", "a\"b", "b", "", ""},
      {R"({"apiVersion":"v1","kind":"X","metadata":{"name":"a","namespace":"b"}})", "a", "b", "", ""},
      {R"({"kind":"X","apiVersion":"v1","metadata":{}})", "", "", "", ""},
      {R"({"kind":"X","apiVersion":"v1"})", "", "", "", ""},
  };
  for (const Case& test : cases) {
    const ObjectPtr object = Object::FromBytes(std::make_shared<const std::string>(test.json));
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(object->name(), test.name) << test.json;
      EXPECT_EQ(object->ns(), test.ns) << test.json;
      EXPECT_EQ(object->uid(), test.uid) << test.json;
      EXPECT_EQ(object->resource_version(), test.version) << test.json;
      // Not decoded, decoded, and forgotten again.
      if (round == 0) {
        EXPECT_EQ(object->tree().Get("metadata", "name").AsString(), test.name);
      }
      if (round == 1) object->ForgetTree();
    }
  }
}

}  // namespace
}  // namespace knarr::api
