#include <filesystem>
#include <fstream>
#include <sstream>

#include "apiserver/http_world.h"
#include "doc/merge_patch.h"

// Replays the scenarios of tests/golden/managed_fields, whose answers a Kubernetes API server gave.

namespace knarr::apiserver {
namespace {

using doc::Value;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string BodyOf(const Value& step, const std::vector<doc::Document>& answers) {
  const Value& body = step.At("body");
  if (step.At("from").is_int()) {
    doc::Document merged = doc::Document::Copy(answers[static_cast<size_t>(step.At("from").AsInt())].root);
    doc::ApplyMergePatch(body, merged.root, merged.arena);
    return doc::ToJson(merged.root);
  }
  if (body.is_null()) return "";
  return body.is_string() ? std::string(body.AsString()) : doc::ToJson(body);
}

// The members of the answer that were written down, in the same form.
doc::Document WrittenDown(const Value& step, const Raw& raw, const Value& answer,
                          const std::vector<std::string>& starts) {
  doc::Document out;
  out.root = Value::Object();
  out.root.AddMember(out.arena, "code", Value::Int(raw.code));
  if (answer.At("kind").AsString() == "Status") {
    for (const std::string_view name : {"message", "reason", "details"}) {
      if (const Value* member = answer.Find(name)) out.root.AddMember(out.arena, name, member->Clone(out.arena));
    }
    return out;
  }
  Value entries = Value::Array();
  for (const Value& entry : answer.Get("metadata", "managedFields").items()) {
    Value copy = entry.Clone(out.arena);
    const std::string_view time = copy.At("time").AsString();
    if (!time.empty() && time >= starts.front()) {
      const auto step_of = std::ranges::upper_bound(starts, time) - starts.begin() - 1;
      copy.Set(out.arena, "time", Value::String(out.arena, "step " + std::to_string(step_of)));
    }
    entries.Append(out.arena, copy);
  }
  out.root.AddMember(out.arena, "managedFields", entries);
  for (const Value& path : step.At("show").items()) {
    const Value* at = &answer;
    for (const std::string_view name : Split(path.AsString(), '.')) at = &at->At(name);
    out.root.AddMember(out.arena, path.AsString(), at->Clone(out.arena));
  }
  return out;
}

void Replay(rt::Runtime& runtime, const std::filesystem::path& file) {
  HttpWorld world(runtime);
  const doc::Document steps = MUST(doc::ParseJson(ReadFile(file)));
  std::vector<doc::Document> answers;
  std::vector<std::string> starts;
  for (const Value& step : steps.root.items()) {
    SCOPED_TRACE(file.filename().string() + " step " + std::to_string(answers.size()));
    (void)runtime.Sleep(1s);
    starts.push_back(FormatTime(runtime.Wall()));
    const auto [method, path] = *Cut(step.At("do").AsString(), " ");
    std::string headers = "User-Agent: " + std::string(step.At("agent").AsString("recorder/1.0")) + "\r\n";
    if (method != "GET")
      headers += "Content-Type: " + std::string(step.At("type").AsString("application/json")) + "\r\n";
    const Raw raw = world.Send(method, path, BodyOf(step, answers), headers);
    answers.push_back(raw.Json());
    // Known to differ so far, in words or in what other parts of the server say of the object.
    if (step.At("differs").AsBool()) continue;
    const Value& wanted = step.At("answer");
    const doc::Document got = WrittenDown(step, raw, answers.back().root, starts);
    for (const doc::Member& member : wanted.members()) {
      if (member.key == "warnings") {
        for (const Value& warning : member.value.items()) {
          EXPECT_NE(raw.head.find(warning.AsString()), std::string::npos) << warning.AsString() << " in " << raw.head;
        }
        continue;
      }
      EXPECT_EQ(doc::ToJson(got.root.At(member.key)), doc::ToJson(member.value)) << member.key;
    }
  }
}

class ManagedFields : public ::testing::TestWithParam<std::string> {};

TEST_P(ManagedFields, AsKubernetesAnswers) {
  InSim([&](rt::Runtime& runtime) {
    Replay(runtime, std::filesystem::path(KNARR_SOURCE_DIR "/tests/golden/managed_fields") / GetParam());
  });
}

std::vector<std::string> Scenarios() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(KNARR_SOURCE_DIR "/tests/golden/managed_fields")) {
    if (entry.path().extension() == ".json") out.push_back(entry.path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Golden, ManagedFields, ::testing::ValuesIn(Scenarios()),
                         [](const auto& scenario) { return scenario.param.substr(0, scenario.param.find('.')); });

}  // namespace
}  // namespace knarr::apiserver
