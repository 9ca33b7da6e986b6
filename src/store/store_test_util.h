#pragma once

// For tests of the store only.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "rt/sim.h"
#include "rt/sync.h"
#include "store/store.h"

namespace knarr::store {

/// A folder on the real disk, gone with its owner.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "knarr-store-XXXXXX").string();
    CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void RunSim(uint64_t seed, const std::function<void(rt::Runtime&)>& body) {
  auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] { body(*runtime); });
}

inline Op PutOp(std::string key, std::string value) { return {.key = std::move(key), .value = std::move(value)}; }
inline Op DeleteOp(std::string key) { return {.key = std::move(key), .value = std::nullopt}; }

/// An unconditional put that must succeed.
inline Revision MustPut(Store& store, std::string key, std::string value) {
  return MUST(store.Txn({}, {PutOp(std::move(key), std::move(value))})).revision;
}
inline Revision MustDelete(Store& store, std::string key) {
  return MUST(store.Txn({}, {DeleteOp(std::move(key))})).revision;
}

/// "key=value@mod" of each, for comparing whole states.
inline std::vector<std::string> Dump(const Snapshot& snapshot, std::string_view prefix = "") {
  std::vector<std::string> lines;
  for (const KeyValue& item : snapshot.Range(prefix).items) {
    lines.push_back(item.key + "=" + *item.value + "@" + std::to_string(item.mod_revision));
  }
  return lines;
}

/// "+key=value@revision" and "-key@revision".
inline std::vector<std::string> Dump(const std::vector<EventPtr>& events) {
  std::vector<std::string> lines;
  for (const EventPtr& event : events) {
    std::string at = "@" + std::to_string(event->revision);
    bool put = event->type == Event::Type::kPut;
    lines.push_back(put ? "+" + event->key + "=" + *event->value + at : "-" + event->key + at);
  }
  return lines;
}

}  // namespace knarr::store
