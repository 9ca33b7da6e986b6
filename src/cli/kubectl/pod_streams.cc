#include "cli/kubectl/pod_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/label_selector.h"
#include "base/strings.h"
#include "cli/kubectl/errors.h"
#include "cli/kubectl/resources.h"
#include "rt/sync.h"

namespace knarr::cli {
namespace {

using api::core_v1::Pod;

/// Puts the terminal back however a command ends.
class RawMode {
 public:
  explicit RawMode(Console& console) : console_(console) {}
  ~RawMode() { console_.RestoreMode(); }

 private:
  Console& console_;
};

/// Less is better: a pod on a node, that runs, is ready, and has been for long.
auto PodRank(const api::ObjectPtr& object) {
  Pod pod(object->tree());
  int restarts = 0;
  for (auto container : pod.status().container_statuses()) restarts = std::max(restarts, container.restart_count());
  const std::string_view phase = pod.status().phase();
  const int wrong = phase == "Running" ? 0 : phase == "Pending" ? 2 : 1;
  return std::tuple(pod.spec().node_name().empty(), wrong, !IsReady(pod), restarts, std::string(object->name()));
}

bool IsOver(const api::ObjectPtr& object) {
  const std::string_view phase = Pod(object->tree()).status().phase();
  return phase == "Succeeded" || phase == "Failed";
}

/// Finds the keys that detach in what is typed.
class DetachFilter {
 public:
  explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}
  /// What is to be sent on of it; `detached` once all keys have come.
  std::string Pass(std::string_view typed) {
    std::string out;
    for (const char c : typed) {
      if (keys_.empty() || detached) {
        if (!detached) out += c;
        continue;
      }
      if (c != keys_[matched_]) {
        // What looked like the keys was none.
        out.append(keys_, 0, matched_);
        matched_ = 0;
      }
      if (c != keys_[matched_]) {
        out += c;
      } else if (++matched_ == keys_.size()) {
        detached = true;
      }
    }
    return out;
  }
  bool detached = false;

 private:
  const std::string keys_;
  size_t matched_ = 0;
};

/// Until the input's end, or the keys that detach.
void SendInput(Console& console, client::ExecStream& stream, DetachFilter& filter) {
  for (;;) {
    const Result<std::string> text = console.Read();
    if (text.Failed(Reason::kCancelled)) return;
    if (!text.ok() || text->empty()) break;
    if (!stream.WriteStdin(filter.Pass(*text)).ok()) return;
    if (filter.detached) return;
  }
  stream.CloseStdin();
}

}  // namespace

Result<NamedObject> FindNamed(Session& session, const std::vector<std::string>& args) {
  NamedObject out;
  std::string name = args.front();
  if (args.size() == 1 && name.find('/') == std::string::npos) {
    out.kind = &api::core_v1::PodInfo();
  } else {
    const ResourceArgs resources = TRY(ParseResourceArgs(args));
    out.kind = resources.items.front().kind;
    name = resources.items.front().name;
  }
  const std::string ns = TRY(session.NamespaceFor(*out.kind));
  out.object = TRY(session.client().Get(*out.kind, {ns, name}));
  return out;
}

Result<std::string> PodSelectorOf(const NamedObject& named, std::string_view failure) {
  const api::KindInfo& kind = *named.kind;
  const doc::Value& selector = named.object->tree().Get("spec", "selector");
  const bool labels_only = kind.kind == "ReplicationController" || kind.kind == "Service";
  const LabelSelector made = labels_only ? api::ToLabelSelector(api::StringMap(selector))
                                         : TRY(api::ToLabelSelector(api::meta_v1::LabelSelector(selector)));
  if (made.nothing() || made.empty()) {
    return BadRequest(fmt::format("{} {}", failure, TypedName(kind, named.object->name())));
  }
  return made.ToString();
}

Result<api::ObjectPtr> FindPodOf(Session& session, const NamedObject& named, Duration timeout) {
  if (named.kind == &api::core_v1::PodInfo()) return named.object;
  const std::string selector = TRY(PodSelectorOf(named, "cannot attach to"));
  const std::string ns(named.object->ns());
  const rt::CancelScope limit(session.runtime(), timeout);
  const auto over = [](const Status& status) {
    return status.Is(Reason::kTimeout) ? Status(Timeout("timed out waiting for the condition")) : status;
  };
  for (;;) {
    auto pods = session.client().List(api::core_v1::PodInfo(), ns, {.label_selector = selector});
    if (!pods.ok()) return over(pods.status());
    std::erase_if(pods->items, IsOver);
    if (!pods->items.empty()) return *std::ranges::min_element(pods->items, {}, PodRank);
    auto changes = session.client().Watch(api::core_v1::PodInfo(), ns,
                                          {.label_selector = selector, .resource_version = pods->resource_version});
    if (!changes.ok()) return over(changes.status());
    const auto change = (*changes)->Next();
    // A watch that the server ended is begun again.
    if (!change.ok() && !change.Failed(Reason::kServiceUnavailable)) return over(change.status());
  }
}

bool IsReady(Pod pod) {
  for (auto condition : pod.status().conditions()) {
    if (condition.type() == "Ready") return condition.status() == "True";
  }
  return false;
}

ContainerNames ContainersOf(Pod pod) {
  ContainerNames out;
  for (auto one : pod.spec().containers()) out.regular.emplace_back(one.name());
  for (auto one : pod.spec().ephemeral_containers()) out.ephemeral.emplace_back(one.name());
  for (auto one : pod.spec().init_containers()) out.init.emplace_back(one.name());
  return out;
}

bool ContainerNames::Has(std::string_view name) const {
  const auto in = [name](const std::vector<std::string>& list) { return std::ranges::find(list, name) != list.end(); };
  return in(regular) || in(ephemeral) || in(init);
}

std::string ContainerNames::ToString() const {
  std::vector<std::string> out = regular;
  for (const std::string& name : ephemeral) out.push_back(name + " (ephem)");
  for (const std::string& name : init) out.push_back(name + " (init)");
  return fmt::format("{}", fmt::join(out, ", "));
}

Result<std::string> PickContainer(Session& session, const api::Object& object, const std::string& container,
                                  bool quiet) {
  Pod pod(object.tree());
  const ContainerNames names = ContainersOf(pod);
  if (!container.empty()) {
    if (names.Has(container)) return container;
    return BadRequest(fmt::format("container {} not found in pod {}", container, object.name()));
  }
  if (const auto named = pod.metadata().annotations().Find("kubectl.kubernetes.io/default-container")) {
    if (names.Has(*named)) return std::string(*named);
    if (!quiet) {
      TRY(session.Warn(fmt::format("Default container name \"{}\" not found in pod {}\n", *named, object.name())));
    }
  }
  if (names.regular.empty()) return BadRequest(fmt::format("pod {} has no containers", object.name()));
  const bool choice = names.regular.size() + names.ephemeral.size() + names.init.size() > 1;
  if (choice && !quiet) {
    TRY(session.Warn(fmt::format("Defaulted container \"{}\" out of: {}\n", names.regular.front(), names.ToString())));
  }
  return names.regular.front();
}

Result<int> RunStreams(Session& session, client::ExecStream& stream, const StreamChoice& choice) {
  Console& console = session.console();
  const RawMode restore(console);
  DetachFilter filter(choice.tty ? TRY(ParseDetachKeys(choice.detach_keys)) : "");
  rt::TaskGroup group(session.runtime(), "streams");
  if (choice.tty) {
    TRY(console.SetRawMode());
    const WindowSize size = console.Size();
    // A size that can't be set is no reason not to go on.
    if (size.columns > 0) (void)stream.Resize(size.columns, size.rows);
    group.Spawn("resize", [&] {
      while (console.WaitResize().ok()) {
        const WindowSize now = console.Size();
        if (!stream.Resize(now.columns, now.rows).ok()) return;
      }
    });
  }
  rt::CancelScope output(session.runtime());
  if (choice.stdin_open) {
    group.Spawn("stdin", [&] {
      SendInput(console, stream, filter);
      if (filter.detached) output.Stop();
    });
  }
  Result<int> code = CopyOutput(console, stream);
  group.StopAndJoin();
  stream.Close();
  return filter.detached ? 0 : std::move(code);
}

Result<int> CopyOutput(Console& console, client::ExecStream& stream) {
  for (;;) {
    const client::ExecStream::Chunk chunk = TRY(stream.Read());
    if (chunk.data.empty()) break;
    TRY(chunk.fd == 2 ? console.Err(chunk.data) : console.Out(chunk.data));
    TRY(console.Flush());
  }
  return stream.Wait();
}

Result<std::string> ParseDetachKeys(std::string_view text) {
  std::string out;
  if (text.empty()) return out;
  for (const std::string_view key : Split(text, ',')) {
    std::string_view rest = key;
    if (key.size() == 1) {
      out += key;
    } else if (ConsumePrefix(rest, "ctrl-") && rest.size() == 1 &&
               ((rest[0] >= 'a' && rest[0] <= 'z') || (rest[0] >= '@' && rest[0] <= '_'))) {
      out += static_cast<char>(rest[0] & 0x1f);
    } else {
      return BadRequest(fmt::format("could not bind detach keys: Unknown character: '{}'", key));
    }
  }
  return out;
}

}  // namespace knarr::cli
