#include "controller/framework/controller.h"

#include "api/meta_v1.h"
#include "base/log.h"

namespace knarr::controller {
namespace {

client::ObjectName ParseKey(const std::string& key) {
  const size_t slash = key.find('/');
  if (slash == std::string::npos) return {"", key};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

}  // namespace

Worker::Worker(rt::Runtime& runtime, std::string name, Reconcile reconcile)
    : name_(std::move(name)),
      reconcile_(std::move(reconcile)),
      queue_(runtime),
      tasks_(runtime, "controller " + name_) {}

Worker::~Worker() = default;

void Worker::Start(std::vector<client::Informer*> needs, int fibers) {
  tasks_.Spawn(name_, [this, needs = std::move(needs), fibers] {
    for (client::Informer* informer : needs) {
      if (!informer->WaitSynced().ok()) return;
    }
    for (int i = 0; i < fibers; ++i) {
      tasks_.Spawn(name_, [this] { Run(); });
    }
  });
}

void Worker::Stop() {
  queue_.ShutDown();
  tasks_.StopAndJoin();
}

void Worker::Add(const client::ObjectName& key) { queue_.Add(key.ToString()); }

void Worker::AddAfter(const client::ObjectName& key, Duration delay) { queue_.AddAfter(key.ToString(), delay); }

void Worker::Run() {
  while (true) {
    Result<std::string> key = queue_.Get();
    if (!key.ok()) return;
    Result<Requeue> done = reconcile_(ParseKey(*key));
    if (done.ok()) {
      queue_.Forget(*key);
      if (*done) queue_.AddAfter(*key, **done);
    } else if (!done.Failed(Reason::kCancelled)) {
      if (!done.Failed(Reason::kConflict)) {
        LOG_WARN("reconcile failed; trying again", {"controller", name_}, {"key", *key}, {"error", done.status()});
      }
      queue_.AddRateLimited(*key);
    }
    queue_.Done(*key);
  }
}

Ok Outcome(const Result<api::ObjectPtr>& written) { return written.ok() ? Ok() : Ok(written.status()); }

client::ObjectName NameOf(const api::Object& object) { return {std::string(object.ns()), std::string(object.name())}; }

std::optional<ControllerRef> ControllerOf(const api::Object& object) {
  if (!api::Mentions(object.json(), "ownerReferences")) return std::nullopt;
  for (auto owner : api::meta_v1::ObjectMeta(object.tree().At("metadata")).owner_references()) {
    if (owner.controller().value_or(false)) {
      return ControllerRef{owner.api_version(), owner.kind(), owner.name(), owner.uid()};
    }
  }
  return std::nullopt;
}

}  // namespace knarr::controller
