#include <algorithm>
#include <fstream>

#include "apiserver/audit/policy.h"
#include "apiserver/http_world.h"
#include "apiserver/test_scenarios.h"
#include "rt/file_system.h"

// Replays the requests of tests/golden/audit, of which a Kubernetes API server's audit log told.

namespace knarr::apiserver {
namespace {

using doc::Value;

constexpr std::string_view kFolder = KNARR_SOURCE_DIR "/tests/golden/audit";
constexpr std::string_view kLog = "/audit/audit.log";
constexpr size_t kAgeSize = 3;

/// Whether `text` goes on like `form`: x is a hexadecimal digit, d a decimal one.
bool IsLike(std::string_view text, std::string_view form) {
  if (text.size() < form.size()) return false;
  for (size_t i = 0; i < form.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    const bool fits = form[i] == 'd' ? digit : form[i] == 'x' ? digit || (c >= 'a' && c <= 'f') : c == form[i];
    if (!fits) return false;
  }
  return true;
}

// As the recorder writes it: what differs from run to run is a word.
std::string Plain(std::string_view text) {
  constexpr std::string_view kUid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  constexpr std::string_view kTime = "dddd-dd-ddTdd:dd:dd";
  constexpr size_t kGeneratedSize = 7;
  std::string out;
  while (!text.empty()) {
    if (IsLike(text, kUid)) {
      out += "UID";
      text.remove_prefix(kUid.size());
    } else if (IsLike(text, kTime) && text.find('Z') != std::string_view::npos) {
      out += "TIME";
      text.remove_prefix(text.find('Z') + 1);
    } else if (text.starts_with("g-") && text.size() == kGeneratedSize) {
      out += "g-NAME";
      text = {};
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

void MakePlain(Value& value, std::string_view key, doc::Arena& arena) {
  if (value.is_object()) {
    for (doc::Member& member : value.members()) MakePlain(member.value, member.key, arena);
  } else if (value.is_array()) {
    for (Value& item : value.items()) MakePlain(item, "", arena);
  } else if (value.is_string()) {
    const std::string_view text = value.AsString();
    if (key == "resourceVersion" && !text.empty() && text != "0") {
      value = Value::Borrow("RV");
    } else if (key == "token") {
      value = Value::Borrow("TOKEN");
    } else if (key == "description") {
      value = Value::Borrow("DOC");
    } else if (text.size() <= kAgeSize && IsLike(text, "d") && text.ends_with('s')) {
      value = Value::Borrow("AGE");
    } else {
      value = Value::String(arena, Plain(text));
    }
  }
}

doc::Document EventOf(std::string_view line) {
  doc::Document out = MUST(doc::ParseJson(line));
  MakePlain(out.root, "", out.arena);
  if (out.root.At("auditID").AsString() == "UID") out.root.Set(out.arena, "auditID", Value::Borrow("ID"));
  return out;
}

// Connections in memory come from no address.
doc::Document WithoutConnection(const Value& wanted) {
  doc::Document out = doc::Document::Copy(wanted);
  Value& ips = *out.root.Find("sourceIPs");
  Value before = Value::Array();
  for (size_t i = 0; i + 1 < ips.size(); ++i) before.Append(out.arena, ips[i]);
  ips = before;
  if (before.size() == 0) out.root.Remove("sourceIPs");
  return out;
}

void Replay(rt::Runtime& runtime, const std::string& name) {
  const doc::Document scenario = MUST(doc::ParseJson(ReadFile(std::string(kFolder) + "/" + name)));
  ApiServerOptions options;
  options.audit.path = kLog;
  options.audit.policy = scenario.root.At("policy").AsString();
  options.security.tokens.push_back({"admin-token", {"admin", "uid-admin", {"system:masters"}}});
  options.security.tokens.push_back({"view-token", {"alice", "uid-alice", {"devs"}}});
  HttpWorld world(runtime, std::move(options));
  size_t seen = MUST(runtime.files().ReadFile(std::string(kLog))).size();
  for (const Value& request : scenario.root.At("requests").items()) {
    SCOPED_TRACE(doc::ToJson(request.At("do")));
    const auto [method, path] = *Cut(request.At("do").AsString(), " ");
    const Value& body = request.At("body");
    std::string headers;
    if (request.Get("headers", "User-Agent").is_null()) headers += "User-Agent: recorder/1.0\r\n";
    if (!body.is_null() && request.Get("headers", "Content-Type").is_null()) {
      headers += "Content-Type: application/json\r\n";
    }
    for (const doc::Member& header : request.At("headers").members()) {
      headers += std::string(header.key) + ": " + std::string(header.value.AsString()) + "\r\n";
    }
    world.Send(method, path, body.is_string() ? std::string(body.AsString()) : body.is_null() ? "" : doc::ToJson(body),
               headers, request.At("token").AsString());
    MUST(runtime.Sleep(1s));
    const std::string log = MUST(runtime.files().ReadFile(std::string(kLog)));
    std::vector<doc::Document> events;
    for (const std::string_view line : Split(std::string_view(log).substr(seen), '\n')) {
      if (!line.empty()) events.push_back(EventOf(line));
    }
    seen = log.size();
    const Value& wanted = request.At("events");
    EXPECT_EQ(events.size(), wanted.size() + static_cast<size_t>(request.At("more").AsInt()));
    for (size_t i = 0; i < std::min(events.size(), wanted.size()); ++i) {
      EXPECT_EQ(doc::ToJson(events[i].root), doc::ToJson(WithoutConnection(wanted[i]).root));
    }
  }
}

TEST(AuditPolicy, WrongOnesAreToldAsKubernetesDoes) {
  std::ifstream file(std::string(kFolder) + "/policies.jsonl");
  size_t cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const doc::Document one = MUST(doc::ParseJson(line));
    const auto policy = AuditPolicy::Parse(one.root.At("policy").AsString());
    EXPECT_EQ(policy.ok() ? "" : policy.status().message(), one.root.At("error").AsString()) << line;
  }
  EXPECT_GT(cases, 0U);
}

class AuditGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(AuditGolden, AsKubernetesLogs) {
  InSim([&](rt::Runtime& runtime) { Replay(runtime, GetParam()); });
}

INSTANTIATE_TEST_SUITE_P(Golden, AuditGolden, ::testing::ValuesIn(ScenariosIn("audit")),
                         [](const auto& scenario) { return ScenarioName(scenario.param); });

}  // namespace
}  // namespace knarr::apiserver
