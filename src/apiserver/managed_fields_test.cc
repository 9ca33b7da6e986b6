#include <filesystem>
#include <map>

#include "apiserver/field_managers.h"
#include "apiserver/http_world.h"
#include "apiserver/test_scenarios.h"
#include "doc/merge_patch.h"

// Replays the scenarios of tests/golden/managed_fields, whose answers a Kubernetes API server gave.

namespace knarr::apiserver {
namespace {

using doc::Value;

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

// Kubernetes tells conflicts with several managers and values of a wrong type in any order, and some causes several
// times.
void SortCauses(Value& written_down, doc::Arena& arena) {
  if (Value* message = written_down.Find("message")) {
    std::vector<std::string_view> lines = Split(message->AsString(), '\n');
    std::ranges::sort(lines);
    *message = Value::String(arena, Join(std::vector<std::string>(lines.begin(), lines.end()), "\n"));
  }
  Value* details = written_down.Find("details");
  if (details == nullptr || details->Find("causes") == nullptr) return;
  std::map<std::string, Value> causes;
  for (const Value& cause : details->At("causes").items()) causes.emplace(doc::ToJson(cause), cause);
  Value list = Value::Array();
  for (const auto& [text, cause] : causes) list.Append(arena, cause);
  details->Set(arena, "causes", list);
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
    SortCauses(out.root, out.arena);
    return out;
  }
  Value entries = Value::Array();
  for (const Value& entry : answer.Get("metadata", "managedFields").items()) {
    Value copy = entry.Clone(out.arena);
    const std::string_view time = copy.At("time").AsString();
    if (const auto at = std::ranges::find(starts, time); at != starts.end()) {
      const auto step_of = at - starts.begin();
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
  doc::Document steps = MUST(doc::ParseJson(ReadFile(file)));
  std::vector<doc::Document> answers;
  std::vector<std::string> starts;
  for (Value& step : steps.root.items()) {
    SCOPED_TRACE(file.filename().string() + " step " + std::to_string(answers.size()));
    (void)runtime.Sleep(1s);
    starts.push_back(FormatTime(runtime.Wall()));
    const auto [method, path] = *Cut(step.At("do").AsString(), " ");
    std::string headers = "User-Agent: " + std::string(step.At("agent").AsString("recorder/1.0")) + "\r\n";
    if (method != "GET")
      headers += "Content-Type: " + std::string(step.At("type").AsString("application/json")) + "\r\n";
    const Raw raw = world.Send(method, path, BodyOf(step, answers), headers);
    answers.push_back(raw.Json());
    if (step.At("warns").AsBool()) {
      size_t warnings = 0;
      for (const std::string_view line : Split(raw.head, '\n')) warnings += line.starts_with("Warning: ") ? 1 : 0;
      EXPECT_EQ(warnings, step.Get("answer", "warnings").size()) << raw.head;
    }
    Value& wanted = *step.Find("answer");
    SortCauses(wanted, steps.arena);
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

TEST(FieldManagers, AgentsAreCutAtTheirSlash) {
  const std::string longest(128, 'x');
  const struct {
    std::string agent;
    std::string manager;
  } kCases[] = {
      {"kubectl/v1.36.0 (linux/amd64) kubernetes/abc", "kubectl"},
      {"", ""},
      {"/v1", ""},
      {"no slash (x)", "no slash (x)"},
      {"a\tb\x7f/1", "ab"},
      {"\xc3\xa9t\xc3\xa9/1", "\xc3\xa9t\xc3\xa9"},
      {"bad\xff/1", "bad\xef\xbf\xbd"},
      {longest + "y", longest},
      {longest.substr(1) + "\xc3\xa9z", longest.substr(1)},
  };
  for (const auto& c : kCases) EXPECT_EQ(ManagerOfAgent(c.agent), c.manager) << c.agent;
}

INSTANTIATE_TEST_SUITE_P(Golden, ManagedFields, ::testing::ValuesIn(ScenariosIn("managed_fields")),
                         [](const auto& scenario) { return ScenarioName(scenario.param); });

}  // namespace
}  // namespace knarr::apiserver
