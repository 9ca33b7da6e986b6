#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/codec.h"
#include "apiserver/render.h"
#include "apiserver/render_parts.h"
#include "base/strings.h"
#include "doc/json.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

const api::KindInfo& Pods() { return *api::FindKind("v1", "Pod"); }

ListPage Page(size_t count) {
  ListPage page;
  page.revision = 7;
  if (count > 1) page.continue_token = "next";
  if (count > 1) page.remaining = 3;
  for (size_t i = 0; i < count; ++i) {
    const std::string json = fmt::format(
        R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p{}","namespace":"default",)"
        R"("annotations":{{"a":"{}"}}}},)"
        R"("spec":{{"containers":[{{"name":"c","image":"i"}}]}},"status":{{"phase":"Running"}}}})",
        i, std::string(i % 700, 'x'));
    page.items.push_back(std::make_shared<const std::string>(doc::ToJson(MUST(api::DecodeJson(json)).document.root)));
  }
  return page;
}

/// Everything the body gives, and in how many stretches.
std::string Whole(Body body, size_t& stretches) {
  stretches = 1;
  if (body.in_pieces()) return Join(body.pieces, "");
  std::string out = std::move(body.text);
  for (bool more = body.rest != nullptr; more; ++stretches) more = MUST(body.rest->Next(out));
  return out;
}

class RenderListTest : public testing::TestWithParam<size_t> {
 protected:
  RenderListTest() {
    for (const store::Bytes& bytes : page_.items) objects_.push_back(MUST(doc::ParseJsonBorrowing(*bytes, arena_)));
    metadata_ = MUST(doc::ParseJsonBorrowing(GetParam() > 1
                                                 ? R"({"resourceVersion":"7","continue":"next","remainingItemCount":3})"
                                                 : R"({"resourceVersion":"7"})",
                                             arena_));
  }

  /// The list whole. In JSON the objects of a typed list do not say again what they are.
  Value Tree(std::string_view kind, std::string_view api_version, bool told = true) {
    Value root = Value::Object();
    root.AddMember(arena_, "kind", Value::Borrow(kind));
    root.AddMember(arena_, "apiVersion", Value::Borrow(api_version));
    root.AddMember(arena_, "metadata", metadata_);
    root.AddMember(arena_, "items", Value::Array());
    for (const Value& stored : objects_) {
      Value object = stored.Clone(arena_);
      if (!told) {
        object.Remove("kind");
        object.Remove("apiVersion");
      }
      root.Find("items")->Append(arena_, kind == "PodList" ? object : PartialObject(object, "v1", arena_));
    }
    return root;
  }

  ListPage page_ = Page(GetParam());
  doc::Arena arena_;
  std::vector<Value> objects_;
  Value metadata_;
};

// However it is cut, a list is what it would be if it were made whole.
TEST_P(RenderListTest, EveryFormIsAsIfMadeWhole) {
  size_t stretches = 0;
  const auto render = [&](Encoding encoding, View view) {
    RenderOptions options;
    options.form = {.encoding = encoding, .view = view};
    return Whole(MUST(RenderList(Pods(), page_, options)), stretches);
  };
  const bool much = GetParam() > 1000;
  EXPECT_EQ(render(Encoding::kJson, View::kObject), doc::ToJson(Tree("PodList", "v1", false)) + "\n");
  EXPECT_EQ(stretches, 1U);

  std::vector<const Value*> pointers;
  for (const Value& object : objects_) pointers.push_back(&object);
  RenderOptions table_options;
  const Value table = TableOf(Pods(), pointers, metadata_, table_options, true, arena_);
  EXPECT_EQ(render(Encoding::kJson, View::kTable), doc::ToJson(table) + "\n");
  EXPECT_EQ(stretches > 1, much);

  const Value partial = Tree("PartialObjectMetadataList", "meta.k8s.io/v1");
  EXPECT_EQ(render(Encoding::kJson, View::kPartial), doc::ToJson(partial) + "\n");
  EXPECT_EQ(stretches > 1, much);
  EXPECT_EQ(render(Encoding::kProtobuf, View::kPartial), MUST(api::EncodeProtobuf(*PartialType(true), partial)));

  const std::string whole = MUST(api::EncodeProtobuf(*Pods().list_type, Tree("PodList", "v1")));
  EXPECT_EQ(render(Encoding::kProtobuf, View::kObject), whole);
  EXPECT_EQ(stretches > 1, much);
}

INSTANTIATE_TEST_SUITE_P(Counts, RenderListTest, testing::Values(0, 1, 31, 32, 33, 5000));

}  // namespace
}  // namespace knarr::apiserver
