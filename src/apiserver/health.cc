#include "apiserver/health.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/errors.h"
#include "apiserver/request_info.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kEndpoints[] = {"/healthz", "/livez", "/readyz"};

std::string_view EndpointOf(std::string_view path) {
  for (const std::string_view endpoint : kEndpoints) {
    if (path == endpoint || (path.starts_with(endpoint) && path[endpoint.size()] == '/')) return endpoint;
  }
  return {};
}

bool IsExcluded(const net::Url& url, std::string_view name) {
  return std::ranges::any_of(url.query,
                             [&](const auto& pair) { return pair.first == "exclude" && pair.second == name; });
}

Answer Text(int code, std::string text) {
  Answer answer;
  answer.code = code;
  answer.content_type = "text/plain; charset=utf-8";
  answer.headers.Set("X-Content-Type-Options", "nosniff");
  answer.body.text = std::move(text);
  return answer;
}

}  // namespace

bool IsHealthPath(std::string_view path) { return !EndpointOf(path).empty(); }

Result<Answer> AnswerHealth(Call& call, Core& core) {
  const net::Url& url = call.request.url;
  const std::string_view endpoint = EndpointOf(url.path);
  std::vector<Core::ReadyCheck> checks = {{"ping", [] { return Ok(); }}};
  for (Core::ReadyCheck& check : core.ReadyChecks(call.context.runtime)) {
    // A live server may be unready; only its store is vital.
    if (endpoint == "/readyz" || check.name == "store") checks.push_back(std::move(check));
  }

  std::string_view only = std::string_view(url.path).substr(endpoint.size());
  while (only.starts_with('/')) only.remove_prefix(1);
  std::string report;
  bool all_ok = true;
  bool known = only.empty();
  for (const Core::ReadyCheck& check : checks) {
    if (!only.empty() && check.name != only) continue;
    known = true;
    if (IsExcluded(url, check.name)) {
      report += fmt::format("[+]{} excluded: ok\n", check.name);
      continue;
    }
    // Checks look at the world's state.
    const Ok result = rt::CallOn(call.context.runtime, core.world(), [&] { return check.check(); });
    all_ok = all_ok && result.ok();
    report += result.ok() ? fmt::format("[+]{} ok\n", check.name)
                          : fmt::format("[-]{} failed: {}\n", check.name, result.status().message());
  }
  if (!known) return NoSuchResourceError();
  const std::string_view name = endpoint.substr(1);
  if (!all_ok) return Text(500, fmt::format("{}{} check failed\n", report, name));
  if (QueryBool(url, "verbose")) return Text(200, fmt::format("{}{} check passed\n", report, name));
  return Text(200, "ok");
}

Answer AnswerVersion() {
  Answer answer;
  answer.body.text = fmt::format(
      "{{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n  \"gitVersion\": \"v1.36.0+knarr{}\",\n"
      "  \"gitCommit\": \"\",\n  \"gitTreeState\": \"clean\",\n  \"buildDate\": \"1970-01-01T00:00:00Z\",\n"
      "  \"goVersion\": \"\",\n  \"compiler\": \"{}\",\n  \"platform\": \"linux/{}\"\n}}\n",
      KNARR_VERSION,
#if defined(__clang__)
      "clang",
#else
      "gcc",
#endif
#if defined(__aarch64__)
      "arm64"
#else
      "amd64"
#endif
  );
  return answer;
}

}  // namespace knarr::apiserver
