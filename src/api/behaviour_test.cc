// Decoding errors, defaulting, validation, printing and strategic merge against what Kubernetes' own code did
// (tests/golden/api).

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>

#include "api/codec.h"
#include "api/defaulting.h"
#include "api/printing.h"
#include "api/strategic_merge.h"
#include "api/validation.h"
#include "api/warnings.h"
#include "doc/json.h"

namespace knarr::api {
namespace {

using doc::Value;

void ForEachCase(const std::string& file, const std::function<void(const Value& line)>& check) {
  std::ifstream in(KNARR_SOURCE_DIR "/tests/golden/api/behaviour/" + file);
  std::string line;
  int count = 0;
  while (std::getline(in, line)) {
    SCOPED_TRACE(file + " line " + std::to_string(++count));
    Result<doc::Document> parsed = doc::ParseJson(line);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    check(parsed->root);
  }
  EXPECT_GT(count, 40) << file;
}

// Decoded and defaulted, as the server has it before it validates.
Decoded Prepare(const Value& object) {
  Result<Decoded> decoded = DecodeJson(doc::ToJson(object));
  EXPECT_TRUE(decoded.ok()) << decoded.status().message();
  ApplyDefaults(*decoded->type, decoded->document.root, decoded->document.arena);
  return std::move(*decoded);
}

TEST(BehaviourTest, DecodingErrors) {
  ForEachCase("decoding.jsonl", [](const Value& line) {
    const Result<Decoded> decoded = DecodeJson(line.At("text").AsString());
    const std::string error = !decoded.ok()             ? decoded.status().message()
                              : decoded->strict.empty() ? ""
                                                        : StrictErrorText(decoded->strict);
    EXPECT_EQ(error, line.At("error").AsString());
  });
}

// Also that defaulting what is defaulted changes nothing.
void CheckDefaulting(const std::string& file) {
  ForEachCase(file, [](const Value& line) {
    Decoded decoded = Prepare(line.At("object"));
    const std::string once = doc::ToJson(decoded.document.root);
    EXPECT_EQ(once, doc::ToJson(line.At("want")));
    ApplyDefaults(*decoded.type, decoded.document.root, decoded.document.arena);
    EXPECT_EQ(doc::ToJson(decoded.document.root), once);
  });
}

TEST(BehaviourTest, Defaulting) { CheckDefaulting("defaulting.jsonl"); }
TEST(BehaviourTest, DefaultingOfExtensions) { CheckDefaulting("extensions_defaulting.jsonl"); }
TEST(BehaviourTest, DefaultingOfGroups) { CheckDefaulting("groups_defaulting.jsonl"); }

void CheckPrinting(const std::string& file) {
  ForEachCase(file, [](const Value& line) {
    Decoded decoded = Prepare(line.At("object"));
    const KindInfo* kind = FindKind(decoded.api_version, decoded.kind);
    ASSERT_NE(kind, nullptr);
    const WallTime now = ParseTime(line.At("now").AsString()).value_or(WallTime());
    doc::Arena& arena = decoded.document.arena;
    EXPECT_EQ(doc::ToJson(RowOf(*kind, decoded.document.root, now, arena)), doc::ToJson(line.At("cells")));
    const Value& wanted = line.At("columns");
    const auto columns = ColumnsOf(*kind);
    ASSERT_EQ(columns.size(), wanted.size());
    for (size_t i = 0; i < columns.size(); ++i) {
      EXPECT_EQ(columns[i].name, wanted[i][0].AsString());
      EXPECT_EQ(columns[i].type, wanted[i][1].AsString());
      EXPECT_EQ(columns[i].format, wanted[i][2].AsString());
      EXPECT_EQ(columns[i].priority, wanted[i][3].AsInt());
    }
    const Value conditions = RowConditionsOf(*kind, decoded.document.root, arena);
    EXPECT_EQ(conditions.is_null(), line.At("conditions").is_null());
    if (!conditions.is_null()) {
      EXPECT_TRUE(conditions.Equals(line.At("conditions"))) << doc::ToJson(conditions);
    }
  });
}

TEST(BehaviourTest, Printing) { CheckPrinting("printing.jsonl"); }
TEST(BehaviourTest, PrintingOfExtensions) { CheckPrinting("extensions_printing.jsonl"); }
TEST(BehaviourTest, PrintingOfGroups) { CheckPrinting("groups_printing.jsonl"); }

void ExpectSame(const Result<Value>& got, const Value& want) {
  if (const Value* error = want.Find("error")) {
    ASSERT_FALSE(got.ok()) << doc::ToJson(*got);
    EXPECT_EQ(got.status().message(), error->AsString());
    return;
  }
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_TRUE(got->Equals(want)) << doc::ToJson(*got) << "\nwant " << doc::ToJson(want);
}

TEST(BehaviourTest, StrategicMerge) {
  ForEachCase("strategic_merge.jsonl", [](const Value& line) {
    const Type* type = FindRootType("apps/v1", "Deployment");
    doc::Arena arena;
    ExpectSame(StrategicMerge(*type, line.At("object"), line.At("patch"), arena), line.At("want"));
  });
}

TEST(BehaviourTest, ThreeWayMergePatch) {
  ForEachCase("three_way.jsonl", [](const Value& line) {
    const Type* type = FindRootType("apps/v1", "Deployment");
    doc::Arena arena;
    ExpectSame(CreateThreeWayMergePatch(*type, line.At("original"), line.At("modified"), line.At("current"), arena),
               line.At("want"));
  });
}

TEST(BehaviourTest, TwoWayPatchesTurnOneIntoTheOther) {
  ForEachCase("three_way.jsonl", [](const Value& line) {
    const Type* type = FindRootType("apps/v1", "Deployment");
    doc::Arena arena;
    const Result<Value> patch = CreateTwoWayMergePatch(*type, line.At("original"), line.At("modified"), arena);
    ASSERT_TRUE(patch.ok()) << patch.status().message();
    const Result<Value> merged = StrategicMerge(*type, line.At("original"), *patch, arena);
    ASSERT_TRUE(merged.ok()) << merged.status().message();
    EXPECT_TRUE(merged->Equals(line.At("modified"))) << doc::ToJson(*merged) << "\npatch " << doc::ToJson(*patch);
  });
}

using Cause = std::array<std::string, 3>;

void CheckValidation(const std::string& file) {
  ForEachCase(file, [](const Value& line) {
    const Decoded decoded = Prepare(line.At("object"));
    const KindInfo* kind = FindKind(decoded.api_version, decoded.kind);
    ASSERT_NE(kind, nullptr);
    ErrorList errors;
    if (line.At("old").is_null()) {
      errors = ValidateCreate(*kind, decoded.document.root);
    } else {
      const Decoded old = Prepare(line.At("old"));
      if (line.At("subresource").AsString() == "approval") {
        errors = ValidateApproval(*kind, decoded.document.root, old.document.root);
      } else {
        errors = line.At("status").AsBool() ? ValidateStatusUpdate(*kind, decoded.document.root, old.document.root)
                                            : ValidateUpdate(*kind, decoded.document.root, old.document.root);
      }
    }
    std::vector<Cause> got;
    if (!errors.empty()) {
      const Status status = InvalidObject(*kind, decoded.document.root.Get("metadata", "name").AsString(), errors);
      EXPECT_EQ(status.code(), 422);
      for (const StatusCause& cause : status.details().causes) {
        got.push_back({cause.type, cause.field, cause.message.substr(0, cause.message.find('\n'))});
      }
      if (const Value* message = line.Find("message")) {
        EXPECT_EQ(status.message(), message->AsString());
      }
    }
    std::vector<Cause> want;
    for (const Value& cause : line.At("want").items()) {
      want.push_back(
          {std::string(cause[0].AsString()), std::string(cause[1].AsString()), std::string(cause[2].AsString())});
    }
    // How often something is told where several functions look at one thing is not compared.
    for (std::vector<Cause>* causes : {&got, &want}) {
      std::ranges::sort(*causes);
      causes->erase(std::unique(causes->begin(), causes->end()), causes->end());
    }
    EXPECT_EQ(got, want);
  });
}

TEST(BehaviourTest, Validation) { CheckValidation("validation.jsonl"); }
TEST(BehaviourTest, ValidationOfExtensions) { CheckValidation("extensions_validation.jsonl"); }
TEST(BehaviourTest, ValidationOfDefinitions) { CheckValidation("definitions_validation.jsonl"); }
TEST(BehaviourTest, ValidationOfGroups) { CheckValidation("groups_validation.jsonl"); }

TEST(BehaviourTest, WarningsOfPods) {
  ForEachCase("pod_warnings.jsonl", [](const Value& line) {
    const Decoded decoded = Prepare(line.At("object"));
    std::vector<std::string> got = WarningsOfPod("template", decoded.document.root.At("template"));
    std::vector<std::string> want;
    for (const Value& text : line.At("want").items()) want.emplace_back(text.AsString());
    std::ranges::sort(got);
    std::ranges::sort(want);
    EXPECT_EQ(got, want);
  });
}

// A list's order can cost the square of its length.
TEST(StrategicMergeTest, VeryLongListsAreRefused) {
  const Type* type = FindRootType("v1", "ConfigMap");
  doc::Arena arena;
  Value names = Value::Array();
  for (int i = 0; i < 10'001; ++i) names.Append(arena, Value::String(arena, "f" + std::to_string(i)));
  Value patch = Value::Object();
  patch.Ensure(arena, "metadata").Set(arena, "finalizers", names);
  Value object = Value::Object();
  object.Ensure(arena, "metadata").Ensure(arena, "finalizers").Append(arena, Value::Borrow("f1"));
  const Result<Value> refused = StrategicMerge(*type, object, patch, arena);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), 413);
  EXPECT_EQ(refused.status().message(),
            "The allowed maximum elements of a list in a strategic merge patch is 10000, got 10001");
  patch.Find("metadata")->Find("finalizers")->Erase(0);
  const Result<Value> merged = StrategicMerge(*type, object, patch, arena);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->Get("metadata", "finalizers").size(), 10'000u);
}

}  // namespace
}  // namespace knarr::api
