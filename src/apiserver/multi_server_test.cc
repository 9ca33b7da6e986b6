// Several API servers on one store, as with etcd.

#include <gtest/gtest.h>

#include <set>

#include "apiserver/test_server.h"
#include "client/leader_election.h"
#include "store/etcd/engine.h"
#include "store/etcd/testing_etcd.h"

namespace knarr::apiserver {
namespace {

using client::ObjectName;
using store::etcd::Engine;
using store::etcd::EngineOptions;
using store::etcd::TestApi;
using store::etcd::TestCluster;

std::unique_ptr<TestServer> MakeServer(rt::Runtime& runtime, TestCluster& cluster) {
  EngineOptions options;
  options.root = "/registry/";
  auto engine = MUST(Engine::Open(runtime, options, std::make_unique<TestApi>(runtime, cluster)));
  return std::make_unique<TestServer>(runtime, ApiServerOptions{}, std::move(engine));
}

struct World {
  rt::Runtime& runtime;
  TestCluster& cluster;
  TestServer& one;
  TestServer& two;
};

void WithTwo(const std::function<void(World)>& body, uint64_t seed = 1) {
  InSim(
      [&](rt::Runtime& runtime) {
        TestCluster cluster(runtime);
        cluster.delay = [&] { return Duration(std::chrono::microseconds(runtime.Random() % 2000)); };
        const auto one = MakeServer(runtime, cluster);
        const auto two = MakeServer(runtime, cluster);
        body({runtime, cluster, *one, *two});
      },
      seed);
}

std::string MapJson(const std::string& name, const std::string& value) {
  return R"({"metadata":{"name":")" + name + R"("},"data":{"v":")" + value + R"("}})";
}

TEST(MultiServer, WhatOneServerAnsweredTheOtherKnows) {
  WithTwo([](World world) {
    const api::KindInfo& maps = TestServer::Kind("ConfigMap");
    for (int i = 0; i < 20; ++i) {
      const std::string name = "m" + std::to_string(i);
      const auto made = MUST(world.one.Create("ConfigMap", MapJson(name, "1")));
      // Read, list, update with the version the other gave, and delete, at once.
      EXPECT_EQ(MUST(world.two.client().Get(maps, {"default", name}))->resource_version(), made->resource_version());
      EXPECT_EQ(
          MUST(world.two.client().List(maps, "default", {.field_selector = "metadata.name=" + name})).items.size(), 1u);
      doc::Document changed = doc::Document::Copy(made->tree());
      changed.root.Ensure(changed.arena, "data").Set(changed.arena, "v", doc::Value::Borrow("2"));
      const auto updated = MUST(world.two.client().Update(maps, {"default", name}, changed.root));
      EXPECT_TRUE(world.one.client().Update(maps, {"default", name}, changed.root).Failed(Reason::kConflict));
      EXPECT_EQ(MUST(world.one.client().Get(maps, {"default", name}))->resource_version(), updated->resource_version());
      MUST(world.one.client().Delete(maps, {"default", name}));
      EXPECT_TRUE(world.two.client().Get(maps, {"default", name}).Failed(Reason::kNotFound));
      EXPECT_TRUE(world.two.client().Delete(maps, {"default", name}).Failed(Reason::kNotFound));
    }
  });
}

TEST(MultiServer, TwoMayMakeAClusterAtOnce) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    InSim(
        [](rt::Runtime& runtime) {
          TestCluster cluster(runtime);
          cluster.delay = [&] { return Duration(std::chrono::microseconds(runtime.Random() % 2000)); };
          std::unique_ptr<TestServer> servers[2];
          rt::TaskGroup group(runtime, "start");
          for (auto& server : servers) {
            group.Spawn("start", [&] { server = MakeServer(runtime, cluster); });
          }
          group.Join();
          const api::KindInfo& spaces = TestServer::Kind("Namespace");
          EXPECT_EQ(MUST(servers[0]->client().List(spaces, "")).items.size(),
                    MUST(servers[1]->client().List(spaces, "")).items.size());
          MUST(servers[0]->Create("ConfigMap", MapJson("a", "1")));
          MUST(servers[1]->client().Get(TestServer::Kind("ConfigMap"), {"default", "a"}));
        },
        seed);
  }
}

TEST(MultiServer, AWatchThatMovesToAnotherServerMissesNothing) {
  WithTwo([](World world) {
    const api::KindInfo& maps = TestServer::Kind("ConfigMap");
    std::string version = MUST(world.one.client().List(maps, "default")).resource_version;
    std::vector<std::string> expected;
    std::vector<std::string> seen;
    TestServer* servers[] = {&world.one, &world.two};
    for (int round = 0; round < 6; ++round) {
      for (int i = 0; i < 5; ++i) {
        const std::string name = "m" + std::to_string(round * 5 + i);
        MUST(servers[i % 2]->Create("ConfigMap", MapJson(name, "1")));
        expected.push_back(name);
      }
      const auto stream = MUST(servers[round % 2]->client().Watch(maps, "default", {.resource_version = version}));
      while (seen.size() < expected.size()) {
        for (const client::WatchEvent& event : MUST(stream->Next())) {
          seen.emplace_back(event.object->name());
          version = event.object->resource_version();
        }
      }
    }
    EXPECT_EQ(seen, expected);
  });
}

TEST(MultiServer, NoServiceAddressIsGivenTwice) {
  WithTwo([](World world) {
    rt::TaskGroup group(world.runtime, "creators");
    std::set<std::string> addresses;
    for (int i = 0; i < 40; ++i) {
      group.Spawn("create", [&, i] {
        TestServer& server = i % 2 == 0 ? world.one : world.two;
        const std::string name = "s" + std::to_string(i);
        const auto made =
            MUST(server.Create("Service", R"({"metadata":{"name":")" + name + R"("},"spec":{"ports":[{"port":80}]}})"));
        EXPECT_TRUE(addresses.emplace(made->tree().Get("spec", "clusterIP").AsString()).second);
      });
    }
    group.Join();
    EXPECT_EQ(addresses.size(), 40u);
  });
}

TEST(MultiServer, NoNodePortIsGivenTwice) {
  WithTwo([](World world) {
    const auto make = [](TestServer& server, const std::string& name, const std::string& port) {
      return server.Create("Service", R"({"metadata":{"name":")" + name +
                                          R"("},"spec":{"type":"NodePort","ports":[{"port":80)" + port + "}]}}");
    };
    // The same ports are wanted by two of them each, through different servers.
    rt::TaskGroup group(world.runtime, "creators");
    std::set<int64_t> ports;
    int refused = 0;
    for (int i = 0; i < 40; ++i) {
      group.Spawn("create", [&, i] {
        TestServer& server = i % 2 == 0 ? world.one : world.two;
        const bool fixed = i < 20;
        const auto made = make(server, "s" + std::to_string(i),
                               fixed ? R"(,"nodePort":)" + std::to_string(30000 + i / 2) : std::string());
        if (made.ok()) {
          EXPECT_TRUE(ports.insert((*made)->tree().Get("spec", "ports")[0].At("nodePort").AsInt()).second);
        } else {
          EXPECT_TRUE(fixed && made.Failed(Reason::kInvalid)) << made.status().ToString();
          refused++;
        }
      });
    }
    group.Join();
    EXPECT_EQ(ports.size(), 30u);
    EXPECT_EQ(refused, 10);
    // One server gives back what the other gave.
    MUST(make(world.one, "a", R"(,"nodePort":31999)"));
    EXPECT_TRUE(make(world.two, "b", R"(,"nodePort":31999)").Failed(Reason::kInvalid));
    MUST(world.two.client().Delete(TestServer::Kind("Service"), {"default", "a"}));
    MUST(make(world.one, "b", R"(,"nodePort":31999)"));
  });
}

TEST(MultiServer, AQuotaHoldsOverAllServers) {
  WithTwo([](World world) {
    MUST(world.one.Create("ResourceQuota", R"({"metadata":{"name":"q"},"spec":{"hard":{"configmaps":"10"}}})"));
    doc::Document quota =
        doc::Document::Copy(MUST(world.one.client().Get(TestServer::Kind("ResourceQuota"), {"default", "q"}))->tree());
    quota.root.Set(
        quota.arena, "status",
        TestServer::Json(R"({"hard":{"configmaps":"10"},"used":{"configmaps":"0"}})").root.Clone(quota.arena));
    MUST(world.one.client().Update(TestServer::Kind("ResourceQuota"), {"default", "q"}, quota.root, "status"));
    rt::TaskGroup group(world.runtime, "creators");
    int made = 0;
    int refused = 0;
    for (int i = 0; i < 30; ++i) {
      group.Spawn("create", [&, i] {
        TestServer& server = i % 2 == 0 ? world.one : world.two;
        const auto done = server.Create("ConfigMap", MapJson("m" + std::to_string(i), "1"));
        if (done.ok()) {
          made++;
        } else {
          EXPECT_TRUE(done.Failed(Reason::kForbidden)) << done.status().ToString();
          refused++;
        }
      });
    }
    group.Join();
    EXPECT_EQ(made, 10);
    EXPECT_EQ(refused, 20);
  });
}

// ---- leader election ----

struct Candidate {
  Candidate(rt::Runtime& runtime, TestServer& server, std::string name)
      : elector(runtime, server.client(), nullptr, {.name = "leader", .identity = name}), identity(std::move(name)) {}
  client::LeaderElector elector;
  std::string identity;
};

TEST(MultiServer, OneLeadsAtATime) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    WithTwo(
        [](World world) {
          TestServer* servers[] = {&world.one, &world.two, &world.one};
          int leading = 0;
          int terms = 0;
          std::vector<std::unique_ptr<rt::TaskGroup>> groups;
          for (int i = 0; i < 3; ++i) {
            groups.push_back(std::make_unique<rt::TaskGroup>(world.runtime, "candidate"));
            groups.back()->Spawn("lead", [&, i] {
              Candidate candidate(world.runtime, *servers[i], "c" + std::to_string(i));
              while (candidate.elector.Acquire().ok()) {
                EXPECT_EQ(++leading, 1);
                terms++;
                (void)candidate.elector.Renew();
                leading--;
              }
            });
          }
          MUST(world.runtime.Sleep(60s));
          EXPECT_EQ(leading, 1);
          EXPECT_EQ(terms, 1);
          // The one who leads goes without a word: another takes over within the lease's time.
          const auto lease = MUST(
              world.one.client().Get(TestServer::Kind("Lease", "coordination.k8s.io/v1"), {"kube-system", "leader"}));
          const std::string holder(lease->tree().Get("spec", "holderIdentity").AsString());
          const auto index = static_cast<size_t>(holder.back() - '0');
          groups[index]->StopAndJoin();
          EXPECT_EQ(leading, 0);
          MUST(world.runtime.Sleep(15s + 5s));
          EXPECT_EQ(leading, 1);
          EXPECT_EQ(terms, 2);
          const auto after = MUST(
              world.two.client().Get(TestServer::Kind("Lease", "coordination.k8s.io/v1"), {"kube-system", "leader"}));
          EXPECT_NE(after->tree().Get("spec", "holderIdentity").AsString(), holder);
          EXPECT_EQ(after->tree().Get("spec", "leaseTransitions").AsInt(), 1);
          for (auto& group : groups) group->StopAndJoin();
        },
        seed);
  }
}

TEST(MultiServer, WhoCanNotRenewStopsBeforeAnotherBegins) {
  WithTwo([](World world) {
    Candidate candidate(world.runtime, world.one, "a");
    MUST(candidate.elector.Acquire());
    const MonoTime begin = world.runtime.Mono();
    world.cluster.fate = [] { return store::etcd::Fate::kUnsent; };
    EXPECT_TRUE(candidate.elector.Renew().Failed(Reason::kTimeout));
    EXPECT_LE(world.runtime.Mono() - begin, 10s);
    world.cluster.fate = [] { return store::etcd::Fate::kGood; };
  });
}

TEST(MultiServer, AReleasedLeaseIsTakenAtOnce) {
  WithTwo([](World world) {
    Candidate first(world.runtime, world.one, "a");
    Candidate second(world.runtime, world.two, "b");
    MUST(first.elector.Acquire());
    rt::TaskGroup group(world.runtime, "second");
    MonoTime led{};
    group.Spawn("lead", [&] {
      MUST(second.elector.Acquire());
      led = world.runtime.Mono();
    });
    MUST(world.runtime.Sleep(3s));
    MUST(first.elector.Release());
    const MonoTime released = world.runtime.Mono();
    group.Join();
    EXPECT_LE(led - released, 5s);
    // Who released it learns that it does not lead any more.
    EXPECT_TRUE(first.elector.Renew().Failed(Reason::kConflict));
  });
}

}  // namespace
}  // namespace knarr::apiserver
