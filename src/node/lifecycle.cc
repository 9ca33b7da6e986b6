#include "node/lifecycle.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "base/strings.h"

namespace knarr::node {
namespace {

using api::core_v1::LifecycleHandler;

// Hooks have no time limit of their own: whoever runs one ends it.
constexpr Duration kNoLimit = std::chrono::hours(24 * 365);
constexpr size_t kOutputMax = 16 << 10;

struct Failure {
  std::string error;
  std::string output;
};

/// nullopt: it went well.
Result<std::optional<Failure>> RunExec(runtime::Runtime& containers, LifecycleHandler handler,
                                       const HookTarget& target) {
  std::vector<std::string> command;
  for (std::string_view word : handler.exec().command()) command.emplace_back(word);
  const auto ran = containers.ExecSync(target.place.container_id, command, kNoLimit, kOutputMax);
  if (ran.Failed(Reason::kCancelled)) return ran.status();
  if (!ran.ok()) return std::optional(Failure{.error = ran.status().message(), .output = {}});
  if (ran->exit_code == 0) return std::optional<Failure>();
  return std::optional(Failure{.error = fmt::format("command '{}' exited with {}: {}", fmt::join(command, " "),
                                                    ran->exit_code, ran->output),
                               .output = ran->output});
}

/// Any answer will do, whatever its code.
Ok RunHttp(rt::Runtime& runtime, LifecycleHandler handler, const HookTarget& target) {
  const net::ClientRequest request =
      TRY(MakeHttpGet(handler.http_get(), target.container, target.place.pod_ip, "kube-lifecycle/1.36"));
  const Result<HttpAnswer> answer = FetchFollowing(runtime, request);
  if (answer.ok() || answer.Failed(Reason::kCancelled)) return answer.ok() ? Ok() : Ok(answer.status());
  return Unavailable(fmt::format("Get \"{}\": {}", request.url.ToString(), answer.status().message()));
}

}  // namespace

Ok RunHook(rt::Runtime& runtime, runtime::Runtime& containers, LifecycleHandler handler, const HookTarget& target) {
  const auto whose = [&target] {
    const auto metadata = target.pod.metadata();
    return fmt::format("for Container {} in Pod {} failed", GoQuote(target.container.name()),
                       GoQuote(fmt::format("{}_{}({})", metadata.name(), metadata.ns(), metadata.uid())));
  };
  if (handler.exec()) {
    const std::optional<Failure> failure = TRY(RunExec(containers, handler, target));
    if (!failure) return {};
    std::vector<std::string_view> words;
    for (std::string_view word : handler.exec().command()) words.push_back(word);
    return Unavailable(fmt::format("Exec lifecycle hook ([{}]) {} - error: {}, message: {}", fmt::join(words, " "),
                                   whose(), failure->error, GoQuote(failure->output)));
  }
  if (handler.http_get()) {
    const Ok done = RunHttp(runtime, handler, target);
    if (done.ok() || done.Failed(Reason::kCancelled)) return done;
    return Unavailable(fmt::format("HTTP lifecycle hook ({}) {} - error: {}", handler.http_get().path(), whose(),
                                   done.status().message()));
  }
  if (handler.sleep()) return target.sleep(std::chrono::seconds(handler.sleep().seconds()));
  return BadRequest("Cannot run handler: invalid handler");
}

}  // namespace knarr::node
