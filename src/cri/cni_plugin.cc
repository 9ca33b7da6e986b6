#include <array>
#include <utility>

#include "cri/cni.h"
#include "doc/json.h"
#include "net/stream.h"
#include "network/links.h"

// Runs as a program of its own, for one question.

namespace knarr::cri {
namespace {

constexpr Duration kPatience = 60s;
constexpr size_t kAnswerBytesMax = 1 << 20;
constexpr const char* kVersions = "{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}\n";

CniOutcome Fail(int code, std::string_view message) { return {CniError(code, message), 1}; }

std::string QuestionOf(const Variables& variables) {
  std::string out = "{";
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"command", "CNI_COMMAND"}, {"containerID", "CNI_CONTAINERID"}, {"netns", "CNI_NETNS"}, {"ifName", "CNI_IFNAME"}};
  for (const auto& [name, variable] : kNames) {
    if (out.size() > 1) out += ',';
    doc::WriteJsonString(name, out);
    out += ':';
    doc::WriteJsonString(variables(variable), out);
  }
  return out + "}";
}

Result<std::string> AskServer(net::Stream& stream, const std::string& question) {
  TRY(stream.Write(question));
  TRY(stream.CloseWrite());
  std::string answer;
  std::array<char, 4096> part;
  while (const size_t count = TRY(stream.Read(part.data(), part.size()))) {
    answer.append(part.data(), count);
    if (answer.size() > kAnswerBytesMax) return Internal("the server's answer is too long");
  }
  return answer;
}

/// In the form of CNI 0.3.0 and later, which differ only in what they leave out.
std::string LoopbackResult(std::string_view version, std::string_view netns) {
  std::string out = "{\"cniVersion\":";
  doc::WriteJsonString(version, out);
  out += ",\"interfaces\":[{\"name\":\"lo\",\"sandbox\":";
  doc::WriteJsonString(netns, out);
  return out + "}],\"ips\":[{\"version\":\"4\",\"address\":\"127.0.0.1/8\",\"interface\":0}]}\n";
}

}  // namespace

CniOutcome RunLoopbackPlugin(rt::Runtime& runtime, const Variables& variables, std::string_view config) {
  const std::string command = variables("CNI_COMMAND");
  if (command == "VERSION") {
    return {"{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\"]}\n", 0};
  }
  if (command != "ADD") return {};  // it goes with its namespace
  const Result<doc::Document> parsed = doc::ParseJson(config);
  if (!parsed.ok()) return Fail(kCniMalformed, parsed.status().message());
  const std::string netns = variables("CNI_NETNS");
  Ok up;
  runtime.Blocking([&] { up = network::SetUpLoopback(netns); });
  if (!up.ok()) return Fail(kCniFailed, up.status().message());
  return {LoopbackResult(parsed->root.At("cniVersion").AsString(kCniVersion), netns), 0};
}

CniOutcome RunCniPlugin(rt::Runtime& runtime, const Variables& variables, std::string_view config) {
  const std::string command = variables("CNI_COMMAND");
  if (command == "VERSION") return {kVersions, 0};
  const Result<doc::Document> parsed = doc::ParseJson(config);
  if (!parsed.ok()) return Fail(kCniMalformed, parsed.status().message());
  net::Endpoint endpoint;
  endpoint.unix_path = parsed->root.At("socket").AsString();
  if (!endpoint.unix_path.starts_with('/')) return Fail(kCniMalformed, "the configuration names no socket");
  const rt::CancelScope scope(runtime, kPatience);
  auto stream = net::Connect(runtime, endpoint);
  // What goes while no server runs is found by the next.
  if (!stream.ok() && command == "DEL") return {};
  if (!stream.ok()) return Fail(kCniTryAgain, "knarr server does not answer: " + stream.status().message());
  const Result<std::string> answer = AskServer(**stream, QuestionOf(variables));
  if (!answer.ok()) return Fail(kCniTryAgain, "knarr server: " + answer.status().message());
  const Result<doc::Document> told = answer->empty() ? Result<doc::Document>(doc::Document()) : doc::ParseJson(*answer);
  if (!told.ok()) return Fail(kCniTryAgain, "knarr server: " + told.status().message());
  // Errors have a code, results have none. ADD needs a result.
  if (answer->empty() && command == "ADD") return Fail(kCniTryAgain, "knarr server says nothing");
  return {*answer, told->root.Find("code") == nullptr ? 0 : 1};
}

}  // namespace knarr::cri
