#include <fmt/format.h>

#include <algorithm>

#include "api/core_v1.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/pod_streams.h"
#include "cli/kubectl/resources.h"
#include "cli/kubectl/verbs.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

class Logs : public Command {
 public:
  void AddFlags(FlagSet& flags) override {
    flags.String(&container_, "container", 'c', "The container whose log is printed");
    flags.Bool(&all_containers_, "all-containers", 0, "Every container of the pods");
    flags.Bool(&follow_, "follow", 'f', "Go on as the log grows");
    flags.Bool(&previous_, "previous", 'p', "Of the container before the present one");
    flags.Bool(&timestamps_, "timestamps", 0, "Put the time before each line");
    flags.Bool(&prefix_, "prefix", 0, "Put pod and container before each line");
    flags.Int(&tail_, "tail", 0, "The last lines only; -1: all (10 with a selector)");
    flags.Int(&limit_bytes_, "limit-bytes", 0, "At most this many bytes");
    flags.DurationOf(&since_, "since", 0, "Only what is younger than this");
    flags.String(&since_time_, "since-time", 0, "Only what is younger than this time (RFC 3339)");
    flags.String(&selector_, "selector", 'l', "Of every pod whose labels fit");
    flags.Int(&requests_max_, "max-log-requests", 0, "How many logs to read when a selector is given");
  }

  Result<int> Run(Session& session, const std::vector<std::string>& args) override {
    if (args.empty() && selector_.empty()) {
      return UsageError(
          "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required "
          "argument for the logs command");
    }
    if (args.size() > 2) return UsageError("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'");
    if (args.size() == 2) container_ = args[1];
    TRY(MakeOptions());
    if (!selector_.empty()) return BySelector(session);
    api::ObjectPtr pod = TRY(FindPod(session, args[0]));
    for (const std::string& container : TRY(Containers(session, *pod))) TRY(PrintLog(session, *pod, container));
    return 0;
  }

 private:
  Ok MakeOptions() {
    options_ = {.follow = follow_, .previous = previous_, .timestamps = timestamps_};
    if (since_ > Duration::zero() && !since_time_.empty()) {
      return BadRequest("at most one of `sinceTime` or `sinceSeconds` may be specified");
    }
    if (since_ > Duration::zero()) options_.since_seconds = std::chrono::ceil<std::chrono::seconds>(since_).count();
    if (!since_time_.empty()) options_.since_time = TRY(ParseTime(since_time_));
    if (tail_ < -1) return BadRequest("--tail must be greater than or equal to -1");
    if (tail_ == -1 && !selector_.empty()) tail_ = 10;
    if (tail_ >= 0) options_.tail_lines = tail_;
    if (limit_bytes_ > 0) options_.limit_bytes = limit_bytes_;
    return {};
  }

  /// A pod by its name, or the first pod of a workload.
  Result<api::ObjectPtr> FindPod(Session& session, const std::string& arg) {
    ResourceArgs resources;
    if (arg.find('/') == std::string::npos) {
      resources.items.push_back({&api::core_v1::PodInfo(), arg});
    } else {
      resources = TRY(ParseResourceArgs({arg}));
    }
    const ResourceArgs::Item& item = resources.items.front();
    client::Client& client = session.client();
    const std::string ns = TRY(session.NamespaceFor(*item.kind));
    Result<api::ObjectPtr> got = client.Get(*item.kind, {ns, item.name});
    if (got.Failed(Reason::kNotFound)) {
      return BadRequest(
          fmt::format("error from server (NotFound): {} in namespace \"{}\"", got.status().message(), ns));
    }
    const api::ObjectPtr object = TRY(std::move(got));
    if (item.kind == &api::core_v1::PodInfo()) return object;
    const std::string selector = TRY(PodSelectorOf({item.kind, object}, "cannot get the logs from"));
    client::ObjectList pods = TRY(client.List(api::core_v1::PodInfo(), ns, {.label_selector = selector}));
    if (pods.items.empty()) {
      return Timeout("timed out waiting for the condition");
    }
    if (pods.items.size() > 1) {
      TRY(session.Warn(fmt::format("Found {} pods, using pod/{}\n", pods.items.size(), pods.items.front()->name())));
    }
    return pods.items.front();
  }

  Result<std::vector<std::string>> Containers(Session& session, const api::Object& object) {
    const ContainerNames names = ContainersOf(Pod(object.tree()));
    if (all_containers_) {
      std::vector<std::string> all = names.init;
      all.insert(all.end(), names.regular.begin(), names.regular.end());
      all.insert(all.end(), names.ephemeral.begin(), names.ephemeral.end());
      return all;
    }
    if (container_.empty()) return std::vector{TRY(PickContainer(session, object, "", false))};
    if (names.Has(container_)) return std::vector{container_};
    return BadRequest(fmt::format("container {} is not valid for pod {} out of: {}", container_, object.name(),
                                  names.ToString()));
  }

  Ok PrintLog(Session& session, const api::Object& pod, const std::string& container) {
    client::LogOptions options = options_;
    options.container = container;
    auto stream = TRY(session.connection().pods().Logs(pod.ns(), pod.name(), options));
    const std::string prefix = prefix_ ? fmt::format("[pod/{}/{}] ", pod.name(), container) : "";
    bool line_start = true;
    while (true) {
      std::string text = TRY(stream->Read());
      if (text.empty()) return session.console().Flush();
      for (size_t from = 0; from < text.size() && !prefix.empty();) {
        if (line_start) TRY(session.Print(prefix));
        const size_t end = std::min(text.find('\n', from), text.size() - 1) + 1;
        TRY(session.Print(std::string_view(text).substr(from, end - from)));
        line_start = text[end - 1] == '\n';
        from = end;
      }
      if (prefix.empty()) TRY(session.Print(text));
      TRY(session.console().Flush());
    }
  }

  Result<int> BySelector(Session& session) {
    const std::string ns = session.ns();
    client::ObjectList pods = TRY(session.client().List(api::core_v1::PodInfo(), ns, {.label_selector = selector_}));
    if (pods.items.empty()) {
      TRY(session.Warn(fmt::format("No resources found in {} namespace.\n", ns)));
      return 0;
    }
    std::vector<std::pair<api::ObjectPtr, std::string>> logs;
    for (const api::ObjectPtr& pod : pods.items) {
      for (std::string& container : TRY(Containers(session, *pod))) logs.emplace_back(pod, std::move(container));
    }
    if (follow_ && static_cast<int64_t>(logs.size()) > requests_max_) {
      return BadRequest(
          fmt::format("you are attempting to follow {} log streams, but maximum allowed concurrency is {}, "
                      "use --max-log-requests to increase the limit",
                      logs.size(), requests_max_));
    }
    if (!follow_) {
      for (const auto& [pod, container] : logs) TRY(PrintLog(session, *pod, container));
      return 0;
    }
    rt::TaskGroup group(session.runtime(), "logs");
    Ok first_failure;
    for (const auto& [pod, container] : logs) {
      group.Spawn(container, [&] {
        Ok printed = PrintLog(session, *pod, container);
        if (!printed.ok() && first_failure.ok()) first_failure = printed;
      });
    }
    group.Join();
    if (!first_failure.ok()) return first_failure.status();
    return 0;
  }

  std::string container_;
  std::string since_time_;
  std::string selector_;
  bool all_containers_ = false;
  bool follow_ = false;
  bool previous_ = false;
  bool timestamps_ = false;
  bool prefix_ = false;
  int64_t tail_ = -1;
  int64_t limit_bytes_ = 0;
  int64_t requests_max_ = 5;
  Duration since_{};
  client::LogOptions options_;
};

}  // namespace

std::unique_ptr<Command> MakeLogs() { return std::make_unique<Logs>(); }

}  // namespace knarr::cli
