#pragma once

// A whole API server on the simulated runtime and a store in memory, for tests.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/apiserver.h"
#include "doc/json.h"
#include "rt/sim.h"
#include "store/store.h"

namespace knarr::apiserver {

class TestServer {
 public:
  explicit TestServer(rt::Runtime& runtime, ApiServerOptions options = {},
                      std::unique_ptr<store::Store> store = nullptr)
      : store_(store != nullptr ? std::move(store) : store::OpenMemory(runtime)),
        server_(MUST(ApiServer::Create(runtime, {&runtime}, *store_, options))) {
    MUST(server_->Bootstrap());
    client_ = server_->LocalClient({"tester", "", {"system:masters"}}, "tester");
    // What the server does beside its requests when it starts has been done, so that revisions are a test's own.
    MUST(runtime.Sleep(std::chrono::milliseconds(1)));
  }
  ~TestServer() {
    client_.reset();
    server_->Stop(Duration(0));
    server_.reset();
    store_->Close();
  }

  ApiServer& server() { return *server_; }
  client::Client& client() { return *client_; }
  store::Store& store() { return *store_; }

  static const api::KindInfo& Kind(std::string_view kind, std::string_view api_version = "v1") {
    const api::KindInfo* found = api::FindKind(api_version, kind);
    CHECK(found != nullptr);
    return *found;
  }
  static doc::Document Json(std::string_view text) { return MUST(doc::ParseJson(text)); }

  Result<api::ObjectPtr> Create(std::string_view kind, std::string_view json, std::string_view ns = "default",
                                client::WriteOptions options = {}) {
    const api::KindInfo& info = Kind(kind, kind == "Deployment" || kind == "ReplicaSet" ? "apps/v1" : "v1");
    return client_->Create(info, info.namespaced ? ns : "", Json(json).root, options);
  }

 private:
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ApiServer> server_;
  std::unique_ptr<client::Client> client_;
};

/// Runs a test's body as a fiber of a simulated world.
inline void InSim(const std::function<void(rt::Runtime&)>& body, uint64_t seed = 1) {
  const auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] { body(*runtime); });
}

/// A pod of one container, with more members of metadata and spec.
inline std::string PodJson(std::string_view name, std::string_view metadata = "", std::string_view spec = "") {
  std::string out = R"({"metadata":{"name":")";
  out.append(name).append("\"").append(metadata).append(R"(},"spec":{"containers":[{"name":"a","image":"i:1"}])");
  out.append(spec).append("}}");
  return out;
}

}  // namespace knarr::apiserver
