#pragma once

// A local, always fresh copy of one kind, kept by list + watch, shared by everything in the process that needs it.
// All on one runtime (the world's): reading needs no lock, and what is read is const and shared.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "client/client.h"
#include "rt/sync.h"

namespace knarr::client {

/// Called on the runtime's thread, in order, must not wait. `before` is null for an add, `after` for a delete.
using ChangeHandler = std::function<void(const ObjectPtr& before, const ObjectPtr& after)>;

class Informer {
 public:
  virtual ~Informer() = default;
  virtual const KindInfo& kind() const = 0;
  /// nullptr when there is none (in this copy: it may lag behind the server, never run ahead of it).
  virtual ObjectPtr Get(const ObjectName& name) const = 0;
  /// ns "": all. Ordered by namespace and name.
  virtual std::vector<ObjectPtr> List(std::string_view ns = {}) const = 0;
  /// Objects filed under `value` by the index function added with AddIndex.
  virtual std::vector<ObjectPtr> ByIndex(std::string_view index, std::string_view value) const = 0;
  /// REQUIRES: before the informer starts. The function names the values an object is filed under;
  /// it looks at nothing but the object.
  virtual void AddIndex(std::string index, std::function<std::vector<std::string>(const api::Object&)> values) = 0;
  /// Handlers added after the start get an add for each present object first.
  virtual void AddHandler(ChangeHandler handler) = 0;
  /// Suspends until the first list is in.
  virtual Ok WaitSynced() = 0;
  virtual bool synced() const = 0;
  virtual size_t size() const = 0;
};

struct InformerScope {
  std::string ns;              ///< "" all
  std::string field_selector;  ///< the node agent's "spec.nodeName=…"
  bool operator<(const InformerScope& other) const {
    return std::tie(ns, field_selector) < std::tie(other.ns, other.field_selector);
  }
};

/// Makes each informer once. Start runs them (those added later start at once); Stop ends them.
class InformerFactory {
 public:
  InformerFactory(rt::Runtime& runtime, Client& client);
  ~InformerFactory();
  Informer& For(const KindInfo& kind, const InformerScope& scope = {});
  void Start();
  void Stop();

 private:
  rt::Runtime& runtime_;
  Client& client_;
  rt::TaskGroup tasks_;
  bool started_ = false;
  std::map<std::pair<const KindInfo*, InformerScope>, std::unique_ptr<Informer>> informers_;
};

/// Keys waiting to be reconciled: each at most once, a key being worked on is not given out again until Done, failures
/// come back after an exponential back-off (5 ms, as client-go begins, … 60 s). All on one runtime.
class WorkQueue {
 public:
  explicit WorkQueue(rt::Runtime& runtime);
  ~WorkQueue();
  void Add(std::string key);
  void AddAfter(std::string key, Duration delay);
  /// Counts a failure of the key and adds it after its back-off.
  void AddRateLimited(std::string key);
  void Forget(std::string_view key);
  int Failures(std::string_view key) const;
  /// Suspends until a key is ready; Cancelled once shut down.
  Result<std::string> Get();
  void Done(const std::string& key);
  void ShutDown();
  size_t size() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace knarr::client
