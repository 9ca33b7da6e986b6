// The service proxy from end to end: objects in an API server, rules in the kernel of a network namespace of the test's
// own.

#include "network/network.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "api/core_v1.h"
#include "api/discovery_v1.h"
#include "apiserver/test_server.h"
#include "client/informer.h"
#include "rt/real.h"

namespace knarr::network {
namespace {

std::string Rules() {
  FILE* pipe = popen("nft list ruleset 2>&1", "r");
  std::string out;
  std::array<char, 4096> piece;
  while (const size_t got = fread(piece.data(), 1, piece.size(), pipe)) out.append(piece.data(), got);
  pclose(pipe);
  return out;
}

bool Within(rt::Runtime& runtime, Duration limit, const std::function<bool()>& done) {
  const MonoTime end = runtime.Mono() + limit;
  while (!done()) {
    if (runtime.Mono() > end || !runtime.Sleep(5ms).ok()) return false;
  }
  return true;
}

std::string SliceJson(const std::string& address) {
  return R"({"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",)"
         R"("ports":[{"name":"http","port":8080,"protocol":"TCP"}],"endpoints":[{"addresses":[")" +
         address + R"("],"conditions":{"ready":true},"nodeName":"here"}]})";
}

TEST(ServiceProxy, FollowsTheApi) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
  runtime->Run([&] {
    apiserver::TestServer server(*runtime);
    client::InformerFactory informers(*runtime, server.client());
    auto proxy = MUST(ServiceProxy::Create(*runtime, informers, {.node_name = "here"}));
    informers.Start();
    proxy->Start();
    const auto service =
        server.Create("Service", R"({"metadata":{"name":"web"},"spec":{"type":"NodePort","selector":{"a":"b"},)"
                                 R"("ports":[{"name":"http","port":80,"nodePort":30123}]}})");
    ASSERT_TRUE(service.ok()) << service.status().message();
    const std::string ip((*service)->tree().Get("spec", "clusterIP").AsString());
    EXPECT_TRUE(Within(*runtime, 5s, [&] {
      return Rules().find(ip + " . tcp . 80 : goto reject-it") != std::string::npos;
    })) << Rules();

    const api::KindInfo& slices = api::discovery_v1::EndpointSliceInfo();
    const MonoTime start = runtime->Mono();
    const auto slice =
        server.client().Create(slices, "default", apiserver::TestServer::Json(SliceJson("10.42.0.7")).root);
    ASSERT_TRUE(slice.ok()) << slice.status().message();
    const auto has = [&](const std::string& text) { return Rules().find(text) != std::string::npos; };
    EXPECT_TRUE(Within(*runtime, 5s, [&] { return has(ip + " . tcp . 80 : goto svc/default/web/tcp/80"); })) << Rules();
    std::printf("endpoint to rule, nft's listing included: %.1f ms\n",
                std::chrono::duration<double, std::milli>(runtime->Mono() - start).count());
    EXPECT_TRUE(has("10.42.0.7 . 8080")) << Rules();
    EXPECT_TRUE(has("tcp . 30123 : goto ext/default/web/tcp/80")) << Rules();

    ASSERT_TRUE(server.client().Delete(slices, {"default", "web-1"}).ok());
    EXPECT_TRUE(Within(*runtime, 5s, [&] { return has(ip + " . tcp . 80 : goto reject-it"); })) << Rules();
    ASSERT_TRUE(server.client().Delete(api::core_v1::ServiceInfo(), {"default", "web"}).ok());
    EXPECT_TRUE(Within(*runtime, 5s, [&] { return !has("default/web") && !has(ip); })) << Rules();

    // What stands is the next run's, and what somebody else did to it is put right by that.
    proxy->Stop();
    proxy.reset();
    EXPECT_TRUE(has("table ip knarr-services"));
    informers.Stop();
  });
}

}  // namespace
}  // namespace knarr::network
