#pragma once

// The pods of a folder of manifests: which there are, and what is changed. Of hostile files, nothing comes but a word.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/object.h"
#include "base/status.h"
#include "node/file_watch.h"
#include "rt/runtime.h"
#include "rt/sync.h"

namespace knarr::node {

class StaticPods {
 public:
  struct Events {
    /// Called on the runtime's thread; neither may wait.
    std::function<void(const api::ObjectPtr& pod)> added;
    std::function<void(const api::ObjectPtr& pod)> removed;
    /// Once for each file and reason.
    std::function<void(const std::string& path, const std::string& why)> refused;
  };

  /// `path`: a folder, or one file.
  StaticPods(rt::Runtime& runtime, std::string path, std::string node_name, Events events);
  ~StaticPods();

  /// Tells of the pods that are there now, and then of changes until Stop.
  Ok Start();
  void Stop();

 private:
  using Pods = std::map<std::string, api::ObjectPtr>;  // by file
  Ok Look();
  Result<Pods> ReadAll();
  Result<std::vector<std::string>> Files();
  Result<api::ObjectPtr> ReadOne(const std::string& file);
  void Refuse(const std::string& file, const std::string& why);
  void Run();

  rt::Runtime& runtime_;
  const std::string path_;
  const std::string node_name_;
  const Events events_;
  Pods pods_;
  std::map<std::string, std::string> refused_;  // why, by file
  std::unique_ptr<FileWatch> watch_;
  rt::Event changed_;
  rt::TaskGroup tasks_;
};

}  // namespace knarr::node
