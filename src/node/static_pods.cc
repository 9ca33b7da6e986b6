#include "node/static_pods.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/log.h"
#include "node/manifest.h"
#include "rt/file_system.h"

namespace knarr::node {
namespace {

// The kubelet's fileCheckFrequency and maxConfigLength.
constexpr Duration kLookEvery = 20s;
constexpr size_t kManifestMax = 10 << 20;
// A file is written in pieces: it is read once there is a little quiet.
constexpr Duration kSettle = 50ms;
constexpr size_t kFilesMax = 1000;

}  // namespace

StaticPods::StaticPods(rt::Runtime& runtime, std::string path, std::string node_name, Events events)
    : runtime_(runtime),
      path_(std::move(path)),
      node_name_(std::move(node_name)),
      events_(std::move(events)),
      changed_(runtime),
      tasks_(runtime, "static pods") {}

StaticPods::~StaticPods() = default;

Ok StaticPods::Start() {
  const Ok looked = Look();
  if (looked.Failed(Reason::kCancelled)) return looked;
  if (!looked.ok()) LOG_WARN("static pods are not read", {"path", path_}, {"error", looked.status()});
  tasks_.Spawn("look", [this] { Run(); });
  return {};
}

void StaticPods::Stop() {
  tasks_.StopAndJoin();
  if (watch_ != nullptr) watch_->Stop();
}

void StaticPods::Run() {
  for (;;) {
    if (watch_ == nullptr) {
      auto watch = FileWatch::Start(runtime_, path_ + "/.", [this] { changed_.Set(); });
      if (watch.ok()) watch_ = std::move(*watch);
    }
    const Ok woken = changed_.Wait(runtime_.Mono() + kLookEvery);
    if (woken.Failed(Reason::kCancelled)) return;
    if (woken.ok() && !runtime_.Sleep(kSettle).ok()) return;
    changed_.Reset();
    const Ok looked = Look();
    if (looked.Failed(Reason::kCancelled)) return;
    // What was there goes on until it is known that it is gone.
    if (!looked.ok()) LOG_WARN("static pods are not read", {"path", path_}, {"error", looked.status()});
  }
}

Ok StaticPods::Look() {
  Pods now = TRY(ReadAll());
  const Pods before = std::exchange(pods_, now);
  const auto has = [](const Pods& pods, const api::ObjectPtr& pod) {
    return std::ranges::any_of(pods, [&](const auto& entry) { return entry.second->uid() == pod->uid(); });
  };
  for (const auto& [file, pod] : before) {
    if (!has(now, pod)) events_.removed(pod);
  }
  for (const auto& [file, pod] : now) {
    if (!has(before, pod)) events_.added(pod);
  }
  return {};
}

/// A pod's file that can't be read just now is as if it were not there, like upstream.
Result<StaticPods::Pods> StaticPods::ReadAll() {
  Pods out;
  const std::vector<std::string> files = TRY(Files());
  for (const std::string& file : std::span(files).first(std::min(files.size(), kFilesMax))) {
    auto pod = ReadOne(file);
    if (pod.Failed(Reason::kCancelled)) return pod.status();
    if (pod.ok()) {
      const bool taken = std::ranges::any_of(out, [&](const auto& entry) {
        return api::KeyOf(*entry.second) == api::KeyOf(**pod) || entry.second->uid() == (*pod)->uid();
      });
      if (!taken) {
        refused_.erase(file);
        out.emplace(file, std::move(*pod));
        continue;
      }
      pod = Conflict("another file has a pod of that name");
    }
    if (!pod.Failed(Reason::kNotFound)) Refuse(file, pod.status().message());
  }
  if (files.size() > kFilesMax) {
    Refuse(files[kFilesMax], "there are more than a thousand files; this one and those behind it are left out");
  }
  std::erase_if(refused_, [&](const auto& entry) { return std::ranges::find(files, entry.first) == files.end(); });
  return out;
}

/// By name; what begins with a dot is none.
Result<std::vector<std::string>> StaticPods::Files() {
  std::vector<std::string> out;
  const auto info = runtime_.files().Stat(path_);
  if (info.Failed(Reason::kNotFound)) return out;
  if (!info.ok()) return info.status();
  if (info->type != rt::FileType::kDirectory) return std::vector<std::string>{path_};
  for (const rt::DirectoryEntry& entry : TRY(runtime_.files().List(path_))) {
    if (!entry.name.starts_with('.')) out.push_back(path_ + "/" + entry.name);
  }
  std::ranges::sort(out);
  return out;
}

Result<api::ObjectPtr> StaticPods::ReadOne(const std::string& file) {
  // What is no file could make who opens it wait for ever.
  const rt::FileInfo info = TRY(runtime_.files().Stat(file));
  if (info.type == rt::FileType::kDirectory) return BadRequest("it is a folder, and those in it are not read");
  if (info.type != rt::FileType::kFile) return BadRequest("it is neither a file nor a folder");
  const std::string text = TRY(runtime_.files().ReadFile(file, kManifestMax));
  return ParseManifest(text, {.path = file, .node_name = node_name_, .seen = runtime_.Wall()});
}

void StaticPods::Refuse(const std::string& file, const std::string& why) {
  std::string& told = refused_[file];
  if (std::exchange(told, why) == why) return;
  LOG_WARN("a manifest is refused", {"path", file}, {"error", why});
  events_.refused(file, why);
}

}  // namespace knarr::node
