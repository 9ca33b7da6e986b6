#include "client/http_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace knarr::client {
namespace {

constexpr int64_t kTiming = 6;
constexpr int64_t kHeaders = 7;
constexpr int64_t kBodies = 8;
constexpr int64_t kCurl = 9;
constexpr int64_t kEverything = 10;

/// Where a message comes from, as klog's head says it.
std::string Place(int line) { return "http_trace.cc:" + std::to_string(line); }

/// klog's ` key="value"`, or a block of lines for text of several.
void AddPair(std::string& out, std::string_view key, std::string_view value) {
  if (value.find('\n') == std::string_view::npos) {
    out += fmt::format(" {}={}", key, GoQuote(value));
    return;
  }
  out += fmt::format(" {}=<\n", key);
  while (value.ends_with('\n')) value.remove_suffix(1);
  for (std::string_view line : Split(value, '\n')) out.append("\t").append(line).append("\n");
  out += " >";
}

/// Nobody's credentials stand in a log.
std::string Masked(std::string_view name, std::string_view value) {
  if (ToLower(name) != "authorization" || value.empty()) return std::string(value);
  const std::string_view scheme = value.substr(0, value.find(' '));
  const std::string lower = ToLower(scheme);
  if (lower != "bearer" && lower != "basic" && lower != "negotiate") return "<masked>";
  return value.size() > scheme.size() + 1 ? fmt::format("{} <masked>", scheme) : std::string(scheme);
}

std::string HeaderLines(const net::Headers& headers) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : headers.all()) lines.push_back(fmt::format("{}: {}\n", name, Masked(name, value)));
  std::ranges::sort(lines);
  return fmt::format("{}", fmt::join(lines, ""));
}

std::string CurlCommand(const net::ClientRequest& request) {
  std::string out = fmt::format("curl -v -X{} ", request.method);
  for (const auto& [name, value] : request.headers.all()) {
    out += fmt::format(" -H {}", GoQuote(fmt::format("{}: {}", name, Masked(name, value))));
  }
  return out + fmt::format(" '{}'\n", request.url.ToString());
}

}  // namespace

void HttpTrace::Request(const net::ClientRequest& request) const {
  if (level_ < kHeaders) return;
  std::string out = "\"Request\"";
  if (level_ >= kCurl) {
    AddPair(out, "curlCommand", CurlCommand(request));
  } else {
    AddPair(out, "verb", request.method);
    AddPair(out, "url", request.url.ToString());
    AddPair(out, "headers", HeaderLines(request.headers));
  }
  sink_(Place(__LINE__), out);
}

void HttpTrace::Response(const net::ClientRequest& request, std::string_view status, const net::Headers& headers,
                         Duration took) const {
  if (level_ < kTiming) return;
  std::string out = "\"Response\"";
  if (level_ < kHeaders || level_ >= kCurl) {
    AddPair(out, "verb", request.method);
    AddPair(out, "url", request.url.ToString());
  }
  AddPair(out, "status", status);
  if (level_ >= kBodies) AddPair(out, "headers", HeaderLines(headers));
  out += fmt::format(" milliseconds={}", std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  sink_(Place(__LINE__), out);
}

void HttpTrace::Body(std::string_view what, std::string_view body) const {
  if (level_ < kBodies) return;
  const size_t most = level_ >= kEverything ? body.size() : level_ >= kCurl ? 10240 : 1024;
  std::string shown(body.substr(0, most));
  if (body.size() > most) shown += fmt::format(" [truncated {} chars]", body.size() - most);
  std::string out = GoQuote(what);
  AddPair(out, "body", shown);
  sink_(Place(__LINE__), out);
}

}  // namespace knarr::client
