// What Kubernetes 1.36.3's own API server answered (tests/golden/answers), and what this one does.

#include <algorithm>
#include <array>

#include "apiserver/http_world.h"
#include "apiserver/test_scenarios.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::array<std::string_view, 11> kDropped = {
    "uid",      "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp", "nodePort", "clusterIP",
    "clusterIPs", "healthCheckNodePort", "continue", "remainingItemCount"};

// The like of record.py.
std::string PlainText(std::string_view text) {
  static constexpr std::string_view kTimeForm = "dddd-dd-ddTdd:dd:dd";
  static constexpr std::string_view kTokenVolume = "kube-api-access-";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    bool time = rest.size() > kTimeForm.size();
    for (size_t j = 0; time && j < kTimeForm.size(); ++j) {
      const bool digit = rest[j] >= '0' && rest[j] <= '9';
      time = kTimeForm[j] == 'd' ? digit : rest[j] == kTimeForm[j];
    }
    const size_t end = time ? rest.find('Z') : std::string_view::npos;
    if (end != std::string_view::npos) {
      out += "TIME";
      i += end + 1;
    } else if (rest.starts_with(kTokenVolume) && rest.size() >= kTokenVolume.size() + 5) {
      out += "kube-api-access";
      i += kTokenVolume.size() + 5;
    } else {
      out += text[i++];
    }
  }
  return out;
}

Value Plain(const Value& value, doc::Arena& arena) {
  if (value.is_object()) {
    Value out = Value::Object();
    for (const doc::Member& member : value.members()) {
      if (std::ranges::find(kDropped, member.key) != kDropped.end()) continue;
      out.AddMember(arena, member.key, Plain(member.value, arena));
    }
    return out;
  }
  if (value.is_array()) {
    Value out = Value::Array();
    for (const Value& item : value.items()) out.Append(arena, Plain(item, arena));
    return out;
  }
  return value.is_string() ? Value::String(arena, PlainText(value.AsString())) : value;
}

std::vector<std::string> Warnings(const Raw& raw) {
  std::vector<std::string> out;
  for (std::string_view line : Split(raw.head, '\n')) {
    ConsumeSuffix(line, "\r");
    const auto header = Cut(line, ": ");
    if (header && ToLower(header->first) == "warning") out.emplace_back(header->second);
  }
  return out;
}

void Check(HttpWorld& world, const Value& request) {
  const auto [method, target] = *Cut(request.At("do").AsString(), " ");
  SCOPED_TRACE(std::string(request.At("do").AsString()) + " " + doc::ToJson(request.At("body")));
  const Value& body = request.At("body");
  std::string headers = "Accept: application/json\r\n";
  if (!body.is_null() && request.Get("headers", "Content-Type").is_null()) {
    headers += "Content-Type: application/json\r\n";
  }
  for (const doc::Member& header : request.At("headers").members()) {
    if (header.key == "Accept") headers.clear();
  }
  for (const doc::Member& header : request.At("headers").members()) {
    headers += std::string(header.key) + ": " + std::string(header.value.AsString()) + "\r\n";
  }
  std::string text;
  if (!body.is_null()) text = body.is_string() ? std::string(body.AsString()) : doc::ToJson(body);
  const Raw raw = world.Send(method, target, text, headers);
  EXPECT_EQ(raw.code, request.At("code").AsInt()) << raw.body;
  std::vector<std::string> warnings;
  for (const Value& warning : request.At("warnings").items()) warnings.emplace_back(warning.AsString());
  EXPECT_EQ(Warnings(raw), warnings);
  if (request.At("answer").is_string()) {
    EXPECT_EQ(raw.body, request.At("answer").AsString());
    return;
  }
  doc::Document answer;
  const Result<doc::Document> got = doc::ParseJson(raw.body);
  ASSERT_TRUE(got.ok()) << raw.body;
  const Value plain = Plain(got->root, answer.arena);
  EXPECT_TRUE(plain.Equals(request.At("answer")))
      << "got  " << doc::ToJson(plain) << "\nwant " << doc::ToJson(request.At("answer"));
}

class Answers : public testing::TestWithParam<std::string> {};

TEST_P(Answers, AreUpstreams) {
  const doc::Document scenario = MUST(doc::ParseJson(ReadFile(KNARR_SOURCE_DIR "/tests/golden/answers/" + GetParam())));
  InSim([&](rt::Runtime& runtime) {
    HttpWorld world(runtime);
    ASSERT_GT(scenario.root.size(), 0U);
    for (const Value& request : scenario.root.items()) Check(world, request);
  });
}

INSTANTIATE_TEST_SUITE_P(All, Answers, testing::ValuesIn(ScenariosIn("answers")),
                         [](const auto& scenario) { return ScenarioName(scenario.param); });

}  // namespace
}  // namespace knarr::apiserver
