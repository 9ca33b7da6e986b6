#include "apiserver/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/errors.h"
#include "base/log.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kEndpoints[] = {"/healthz", "/livez", "/readyz"};

// What is done before the server listens at all, so that whoever can ask finds it done.
constexpr std::string_view kBootstrapSteps[] = {
    "start-system-namespaces-controller",    "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer", "bootstrap-controller", "start-kubernetes-service-cidr-controller"};

// The endpoint a path is or lies below; a slash with nothing behind it is no check's path.
std::string_view EndpointOf(std::string_view path) {
  for (const std::string_view endpoint : kEndpoints) {
    if (path == endpoint) return endpoint;
    if (path.starts_with(endpoint) && path[endpoint.size()] == '/' && path.size() > endpoint.size() + 1) {
      return endpoint;
    }
  }
  return {};
}

std::vector<Core::ReadyCheck> ChecksOf(std::string_view endpoint, rt::Runtime& runtime, Core& core) {
  const bool ready = endpoint == "/readyz";
  std::vector<Core::ReadyCheck> checks = {{"ping", [] { return Ok(); }}};
  for (Core::ReadyCheck& check : core.ReadyChecks(runtime)) {
    // Monitors know the store by these names, whatever it is. One that is read-only for now is alive, but not ready.
    if (check.name == "store") {
      checks.push_back({"etcd", std::move(check.check)});
      continue;
    }
    if (check.name == "store-writable") check.name = "etcd-readiness";
    // A live server may be unready; only its store is vital.
    if (ready) checks.push_back(std::move(check));
  }
  for (const std::string_view step : kBootstrapSteps) {
    checks.push_back({fmt::format("poststarthook/{}", step), [] { return Ok(); }});
  }
  return checks;
}

Answer Text(int code, std::string text) {
  Answer answer;
  answer.code = code;
  answer.content_type = "text/plain; charset=utf-8";
  answer.headers.Set("X-Content-Type-Options", "nosniff");
  answer.body.text = std::move(text);
  return answer;
}

// Checks look at the world's state. Why one fails is for the log, not for whoever asks.
bool Passes(const Core::ReadyCheck& check, rt::Runtime& here, Core& core) {
  const Ok result = rt::CallOn(here, core.world(), [&] { return check.check(); });
  if (!result.ok()) LOG_WARN("a health check fails", {"check", check.name}, {"error", result.status()});
  return result.ok();
}

Answer AnswerOne(Call& call, Core& core, std::string_view endpoint, std::string_view name) {
  for (const Core::ReadyCheck& check : ChecksOf(endpoint, call.context.runtime, core)) {
    if (check.name != name) continue;
    if (Passes(check, call.context.runtime, core)) return Text(200, "ok");
    return Text(500, "internal server error: reason withheld\n");
  }
  return PlainNotFound();
}

}  // namespace

bool IsHealthPath(std::string_view path) { return !EndpointOf(path).empty(); }

std::vector<std::string> HealthPaths(Call& call, Core& core) {
  std::vector<std::string> out;
  for (const std::string_view endpoint : kEndpoints) {
    out.emplace_back(endpoint);
    for (const Core::ReadyCheck& check : ChecksOf(endpoint, call.context.runtime, core)) {
      out.push_back(fmt::format("{}/{}", endpoint, check.name));
    }
  }
  return out;
}

Result<Answer> AnswerHealth(Call& call, Core& core) {
  const net::Url& url = call.request.url;
  const std::string_view endpoint = EndpointOf(url.path);
  if (url.path != endpoint) {
    return AnswerOne(call, core, endpoint, std::string_view(url.path).substr(endpoint.size() + 1));
  }
  std::set<std::string_view> excluded;
  for (const auto& [name, value] : url.query) {
    if (name == "exclude") excluded.insert(value);
  }
  std::string report;
  bool all_ok = true;
  const std::vector<Core::ReadyCheck> checks = ChecksOf(endpoint, call.context.runtime, core);
  for (const Core::ReadyCheck& check : checks) {
    if (excluded.erase(check.name) > 0) {
      report += fmt::format("[+]{} excluded: ok\n", check.name);
      continue;
    }
    const bool ok = Passes(check, call.context.runtime, core);
    all_ok = all_ok && ok;
    report += ok ? fmt::format("[+]{} ok\n", check.name) : fmt::format("[-]{} failed: reason withheld\n", check.name);
  }
  if (!excluded.empty()) {
    std::vector<std::string> quoted;
    for (const std::string_view name : excluded) quoted.push_back(GoQuote(name));
    report += fmt::format("warn: some health checks cannot be excluded: no matches for {}\n", Join(quoted, ", "));
  }
  const std::string_view name = endpoint.substr(1);
  if (!all_ok) return Text(500, fmt::format("{}{} check failed\n", report, name));
  if (url.HasQuery("verbose")) return Text(200, fmt::format("{}{} check passed\n", report, name));
  return Text(200, "ok");
}

Answer AnswerVersion() {
  Answer answer;
  answer.body.text = fmt::format(
      "{{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n"
      "  \"emulationMajor\": \"1\",\n  \"emulationMinor\": \"36\",\n"
      "  \"minCompatibilityMajor\": \"1\",\n  \"minCompatibilityMinor\": \"35\",\n"
      "  \"gitVersion\": \"v1.36.0+knarr{}\",\n"
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
