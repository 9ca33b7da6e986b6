#pragma once

// Tables for tests of admission: what is in the cluster, what is written, and what comes of it.

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/test_server.h"

namespace knarr::apiserver {

/// Creates an object that says itself what it is; in its own namespace, or "default".
inline Result<api::ObjectPtr> Put(client::Client& client, std::string_view json,
                                  const client::WriteOptions& options = {}) {
  const doc::Document object = MUST(doc::ParseJson(json));
  const std::string_view version = object.root.At("apiVersion").AsString("v1");
  const api::KindInfo* kind = api::FindKind(version, object.root.At("kind").AsString());
  CHECK(kind != nullptr);
  const std::string_view ns = object.root.Get("metadata", "namespace").AsString("default");
  return client.Create(*kind, kind->namespaced ? ns : "", object.root, options);
}

struct AdmissionCase {
  std::string_view name;
  std::vector<std::string_view> present;
  std::string_view object;
  /// The error's message, or "" when it is admitted.
  std::string_view error;
  /// Parts of the stored object's JSON.
  std::vector<std::string_view> has;
};

inline void RunAdmissionCase(const AdmissionCase& each, const ApiServerOptions& options = {}) {
  SCOPED_TRACE(each.name);
  InSim([&](rt::Runtime& runtime) {
    TestServer server(runtime, options);
    for (const std::string_view json : each.present) {
      const auto made = Put(server.client(), json);
      ASSERT_TRUE(made.ok()) << made.status().ToString() << "\n" << json;
    }
    const auto made = Put(server.client(), each.object);
    EXPECT_EQ(made.ok() ? "" : made.status().message(), each.error);
    for (const std::string_view part : each.has) {
      if (!made.ok()) break;
      EXPECT_NE((*made)->json().find(part), std::string::npos) << part << "\n" << (*made)->json();
    }
  });
}

}  // namespace knarr::apiserver
