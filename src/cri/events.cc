#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cri/runtime_impl.h"

// What changes by itself. Two fibers: one hears of changes, where the runtime tells of them; one lists what there is,
// when there is a reason, and makes events of the differences.

namespace knarr::cri {
namespace {

constexpr const char* kCriEvents = "/runtime.v1.RuntimeService/GetContainerEvents";
constexpr const char* kContainerdEvents = "/containerd.services.events.v1.Events/Subscribe";
// Without somebody who tells, as often as the kubelet; with one, for what was missed.
constexpr Duration kLookEvery = 1s;
constexpr Duration kLookEveryToldOf = 10s;
// An end is told before it is in the lists.
constexpr Duration kSoon = 2ms;
constexpr Duration kSoonMost = 100ms;
constexpr int kSoonTries = 40;
constexpr Duration kAgain = 1s;
constexpr const char* kExitTopic = "/tasks/exit";

/// What fails again and again in the same way is told once.
void WarnOnce(const char* what, const Ok& failed, std::string& told) {
  const std::string error = failed.status().ToString();
  if (std::exchange(told, error) != error) LOG_WARN(what, {"error", error});
}

}  // namespace

Ok RuntimeImpl::Listen(const std::string& method, const std::string& request) {
  const auto telling = TRY(channel_.Listen(method, request));
  const bool containerd = method == kContainerdEvents;
  // A runtime that knows the method says nothing until something happens.
  listening_ = true;
  told_ = true;
  turns_.NotifyAll();
  while (true) {
    const auto next = TRY(telling->Next());
    if (!next) return Unavailable("the runtime ended its events");
    listen_error_.clear();
    if (containerd) {
      const auto envelope = TRY(Decode<EventEnvelope>(*next));
      if (envelope.topic == kExitTopic) {
        const auto exit = TRY(Decode<TaskExit>(envelope.event.value.data));
        if (exit.id != exit.container_id) continue;  // of an exec
        ending_.insert(exit.container_id);
      }
    }
    told_ = true;
    turns_.NotifyAll();
  }
}

void RuntimeImpl::ListenToEvents() {
  const std::string containerd = Encode(SubscribeRequest{
      .filters = {R"(namespace=="k8s.io",topic=="/tasks/exit")", R"(namespace=="k8s.io",topic=="/tasks/start")"}});
  bool cris = true;
  while (true) {
    const Ok ended = cris ? Listen(kCriEvents, Encode(Empty())) : Listen(kContainerdEvents, containerd);
    listening_ = false;
    if (!runtime_.CheckCancelled().ok()) return;
    if (ended.Failed(Reason::kMethodNotAllowed)) {
      if (!cris) {
        LOG_INFO("the container runtime tells of no events; it is looked at every second");
        return;
      }
      cris = false;
      continue;
    }
    WarnOnce("the container runtime's events broke off; they are asked for again", ended, listen_error_);
    if (!runtime_.Sleep(kAgain).ok()) return;
  }
}

void RuntimeImpl::WatchStates() {
  int tries = 0;
  Duration soon = kSoon;
  while (true) {
    const MonoTime now = runtime_.Mono();
    const bool ends_due = !ending_.empty() && tries < kSoonTries;
    const MonoTime until = now + (ends_due ? soon : listening_ ? kLookEveryToldOf : kLookEvery);
    const Ok turn = turns_.WaitUntil([this] { return told_; }, until);
    if (!turn.ok() && !turn.Failed(Reason::kTimeout)) return;
    if (told_) {
      tries = 0;
      soon = kSoon;
    }
    told_ = false;
    const Ok looked = LookAtStates();
    if (!runtime_.CheckCancelled().ok()) return;
    if (!looked.ok()) {
      WarnOnce("the container runtime was not looked at; it is tried again", looked, look_error_);
    } else if (!std::exchange(look_error_, "").empty()) {
      LOG_INFO("the container runtime answers again");
    }
    tries++;
    soon = std::min(soon * 2, kSoonMost);
    if (tries >= kSoonTries) ending_.clear();
  }
}

Ok RuntimeImpl::LookAtStates() {
  const std::vector<PodSandbox> sandboxes = TRY(RawSandboxes());
  const std::vector<Container> containers = TRY(RawContainers(""));
  std::map<std::string, std::string> uids;
  std::map<std::string, int32_t> now_sandboxes;
  std::vector<runtime::ContainerEvent> events;
  for (const PodSandbox& sandbox : sandboxes) {
    uids[sandbox.id] = sandbox.metadata.uid;
    now_sandboxes[sandbox.id] = sandbox.state;
    const auto before = seen_sandboxes_.find(sandbox.id);
    const bool ended = before != seen_sandboxes_.end() && before->second == kSandboxReady;
    if (ended && sandbox.state != kSandboxReady) {
      events.push_back({runtime::EventType::kSandboxExited, sandbox.id, sandbox.metadata.uid, ""});
    }
  }
  std::map<std::string, Seen> now_containers;
  for (const Container& container : containers) {
    now_containers[container.id] = {container.sandbox_id, container.state};
    const auto before = seen_containers_.find(container.id);
    const int32_t was = before == seen_containers_.end() ? kContainerCreated : before->second.state;
    if (was == container.state) continue;
    const std::string& uid = uids[container.sandbox_id];
    const auto type = container.state == kContainerRunning ? runtime::EventType::kContainerStarted
                                                           : runtime::EventType::kContainerExited;
    events.push_back({type, container.sandbox_id, uid, container.id});
  }
  // One that is listed as just created has its start before it still. A sandbox's own process is one of them, too.
  std::erase_if(ending_, [&](const std::string& id) {
    const auto container = now_containers.find(id);
    if (container != now_containers.end()) return StateOf(container->second.state) == runtime::ContainerState::kExited;
    const auto sandbox = now_sandboxes.find(id);
    return sandbox == now_sandboxes.end() || sandbox->second != kSandboxReady;
  });
  seen_sandboxes_ = std::move(now_sandboxes);
  seen_containers_ = std::move(now_containers);
  for (runtime::ContainerEvent& event : events) TRY(events_.Push(std::move(event)));
  return {};
}

}  // namespace knarr::cri
