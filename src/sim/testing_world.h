#pragma once

// For tests: a whole control plane in virtual time, without nodes, and what they ask of it.

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "doc/json.h"
#include "rt/sim.h"
#include "sim/cluster.h"

namespace knarr::sim {

class TestWorld {
 public:
  explicit TestWorld(rt::Runtime& runtime, ClusterOptions options = {})
      : runtime_(runtime), journal_(runtime), cluster_(runtime, journal_, std::move(options)) {
    cluster_.StartControlPlane();
  }
  ~TestWorld() { cluster_.Stop(); }
  TestWorld(const TestWorld&) = delete;
  TestWorld& operator=(const TestWorld&) = delete;

  rt::Runtime& runtime() { return runtime_; }
  client::Client& client() { return cluster_.client(); }
  Cluster& cluster() { return cluster_; }

  api::ObjectPtr Create(const api::KindInfo& kind, std::string_view ns, const std::string& json) {
    const doc::Document object = MUST(doc::ParseJson(json));
    return MUST(client().Create(kind, ns, object.root));
  }
  /// The object, or null.
  api::ObjectPtr Get(const api::KindInfo& kind, const client::ObjectName& name) {
    auto found = client().Get(kind, name);
    return found.ok() ? *found : nullptr;
  }
  /// Whether it comes true within a minute.
  bool Eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 600; ++i) {
      if (condition()) return true;
      MUST(runtime_.Sleep(100ms));
    }
    return false;
  }

 private:
  rt::Runtime& runtime_;
  Journal journal_;
  Cluster cluster_;
};

/// Runs a test's body in a world of its own.
template <typename World>
void InWorldOf(const std::function<void(World&)>& body, uint64_t seed = 1) {
  const auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] {
    World world(*runtime);
    body(world);
  });
}

}  // namespace knarr::sim
