// The etcd engine against real etcd.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/check.h"
#include "etcd_members.h"
#include "rt/sync.h"
#include "store/etcd/cluster.h"
#include "store/etcd/engine.h"

namespace knarr::etcd_test {
namespace {

using store::EventPtr;
using store::Op;
using store::Revision;
using store::Store;

void RunReal(const std::function<void(rt::RealRuntime&)>& body) {
  auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(4));
  runtime->Run([&] { body(*runtime); });
}

struct Access {
  std::vector<std::string> servers;
  std::string ca;
  std::optional<net::KeyPair> identity;
  std::string user;
  std::string password;
};

Result<std::unique_ptr<Store>> Open(rt::Runtime& runtime, const Access& access, Duration open_timeout = 30s) {
  store::etcd::ClusterOptions cluster;
  cluster.servers = access.servers;
  cluster.ca_pem = access.ca;
  cluster.identity = access.identity;
  cluster.user = access.user;
  cluster.password = access.password;
  store::etcd::EngineOptions engine;
  engine.prefix = "/knarr/";
  engine.open_timeout = open_timeout;
  auto api = TRY(store::etcd::OpenCluster(runtime, std::move(cluster)));
  return store::etcd::Engine::Open(runtime, std::move(engine), std::move(api));
}

Op PutOp(std::string key, std::string value) { return {.key = std::move(key), .value = std::move(value)}; }
Op DeleteOp(std::string key) { return {.key = std::move(key), .value = std::nullopt}; }

std::map<std::string, std::string> Dump(const Store& from) {
  std::map<std::string, std::string> out;
  for (const auto& item : from.Latest()->Range("").items) {
    out[item.key] = *item.value + "@" + std::to_string(item.mod_revision);
  }
  return out;
}

TEST(EtcdStore, OneMember) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto members = Members::Start(runtime, {});
    const auto one = MUST(Open(runtime, {members->urls()}));
    const auto two = MUST(Open(runtime, {members->urls()}));
    auto watch = MUST(two->StartWatch(runtime, {.prefix = "", .after = two->Latest()->revision()}));
    const auto created =
        MUST(one->Txn({{"a", 0}}, {{.key = "a", .value = "{\"rv\":\"\"}", .revision_offset = 7}, PutOp("b", "x")}));
    const std::string value = "{\"rv\":\"" + std::to_string(created.revision) + "\"}";
    EXPECT_EQ(*created.written[0].value, value);
    MUST(two->CatchUp(runtime));
    EXPECT_EQ(*two->Latest()->Get("a")->value, value);
    const auto events = MUST(watch->Next());
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(*events[0]->value, value);
    ASSERT_TRUE(two->Txn({{"a", 0}}, {PutOp("a", "y")}).Failed(Reason::kConflict));
    EXPECT_EQ(MUST(two->Txn({{"a", created.revision}}, {DeleteOp("a"), DeleteOp("none")})).written[1].value, nullptr);
    MUST(one->CatchUp(runtime));
    EXPECT_FALSE(one->Latest()->Get("a").has_value());
    EXPECT_TRUE(one->Txn({}, {PutOp("large", std::string(3 << 20, 'x'))}).Failed(Reason::kRequestEntityTooLarge));
    // Somebody else's writes move the revision, which the feed does not bring.
    (void)members->Ctl({"put", "elsewhere", "x"});
    MUST(one->CatchUp(runtime));
    MUST(one->Compact(one->Latest()->revision()));
    EXPECT_TRUE(one->At(created.revision).Failed(Reason::kExpired));
    one->Close();
    two->Close();
    EXPECT_EQ(members->Ctl({"get", "--prefix", "--keys-only", "/knarr/~epoch"}), "");
  });
}

TEST(EtcdStore, AStateOfManyPages) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto members = Members::Start(runtime, {});
    const auto one = MUST(Open(runtime, {members->urls()}));
    rt::TaskGroup group(runtime, "writers");
    for (int w = 0; w < 16; ++w) {
      group.Spawn("writer", [&, w] {
        for (int i = 0; i < 100; ++i) {
          MUST(one->Txn({}, {PutOp("k" + std::to_string(w * 1000 + i), std::string(60000, 'x'))}));
        }
      });
    }
    group.Join();
    const MonoTime begin = runtime.Mono();
    const auto two = MUST(Open(runtime, {members->urls()}));
    EXPECT_EQ(two->stats().keys, 1600u);
    EXPECT_EQ(two->stats().value_bytes, 1600u * 60000u);
    EXPECT_EQ(Dump(*two), Dump(*one));
    printf("96 MB in 1600 keys read in %ld ms\n",
           static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(runtime.Mono() - begin).count()));
    one->Close();
    two->Close();
  });
}

TEST(EtcdStore, TlsAndClientCertificates) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto members = Members::Start(runtime, {.secure = true});
    const std::string& ca = members->authority().certificate_pem;
    const auto store = MUST(Open(runtime, {members->urls(), ca, members->client()}));
    MUST(store->Txn({}, {PutOp("a", "1")}));
    MUST(store->CatchUp(runtime));
    store->Close();
    // Without a certificate of our own, and with an authority that is not the server's.
    EXPECT_FALSE(Open(runtime, {members->urls(), ca, std::nullopt}, 1s).ok());
    EXPECT_FALSE(Open(runtime, {members->urls(), members->client().certificate_pem, members->client()}, 1s).ok());
  });
}

TEST(EtcdStore, UsersAndPasswords) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto members = Members::Start(runtime, {.flags = {"--auth-token-ttl=2"}});
    (void)members->Ctl({"user", "add", "root:secret"});
    (void)members->Ctl({"user", "grant-role", "root", "root"}, -1, false);
    (void)members->Ctl({"user", "add", "knarr:pass"});
    (void)members->Ctl({"role", "add", "knarr"});
    (void)members->Ctl({"role", "grant-permission", "knarr", "readwrite", "--prefix=true", "/knarr/"});
    (void)members->Ctl({"user", "grant-role", "knarr", "knarr"});
    (void)members->Ctl({"auth", "enable"});
    const auto store = MUST(Open(runtime, {members->urls(), "", std::nullopt, "knarr", "pass"}));
    MUST(store->Txn({}, {PutOp("a", "1")}));
    // The token runs out, and goes when the member does.
    MUST(runtime.Sleep(4s));
    MUST(store->Txn({}, {PutOp("a", "2")}));
    members->Kill(0);
    members->Run(0);
    MUST(store->Txn({}, {PutOp("a", "3")}));
    MUST(store->CatchUp(runtime));
    EXPECT_EQ(*store->Latest()->Get("a")->value, "3");
    store->Close();
    const auto wrong = Open(runtime, {members->urls(), "", std::nullopt, "knarr", "wrong"}, 2s);
    ASSERT_FALSE(wrong.ok());
    EXPECT_NE(wrong.status().message().find("authentication failed"), std::string::npos) << wrong.status().message();
    EXPECT_FALSE(Open(runtime, {members->urls()}, 2s).ok());
  });
}

TEST(EtcdStore, ManyAskForOneToken) {
  RunReal([](rt::RealRuntime& runtime) {
    // A password takes about a quarter of a second to check, and a call has five.
    const auto members = Members::Start(runtime, {.flags = {"--bcrypt-cost=12"}});
    (void)members->Ctl({"user", "add", "root:secret"});
    (void)members->Ctl({"user", "grant-role", "root", "root"}, -1, false);
    (void)members->Ctl({"auth", "enable"});
    const auto store = MUST(Open(runtime, {members->urls(), "", std::nullopt, "root", "secret"}));
    // Its tokens go with a member.
    members->Kill(0);
    members->Run(0);
    rt::TaskGroup group(runtime, "writers");
    const MonoTime begin = runtime.Mono();
    for (int i = 0; i < 100; ++i) {
      group.Spawn("writer", [&, i] { MUST(store->Txn({}, {PutOp("k" + std::to_string(i), "x")})); });
    }
    group.Join();
    EXPECT_LT(runtime.Mono() - begin, 8s);
    store->Close();
  });
}

TEST(EtcdStore, AQuotaOfSpaceThatIsUsedUp) {
  RunReal([](rt::RealRuntime& runtime) {
    const auto members = Members::Start(runtime, {.flags = {"--quota-backend-bytes=4194304"}});
    const auto store = MUST(Open(runtime, {members->urls()}));
    Result<store::TxnResult> done = store->Txn({}, {PutOp("small", "1")});
    for (int i = 0; i < 20 && done.ok(); ++i) {
      done = store->Txn({}, {PutOp("k" + std::to_string(i), std::string(1 << 20, 'x'))});
    }
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.status().code(), 500);
    EXPECT_EQ(done.status().message(), "etcdserver: mvcc: database space exceeded");
    EXPECT_EQ(*store->Latest()->Get("small")->value, "1");
    MUST(store->CatchUp(runtime));
    store->Close();
  });
}

// ---- three members, one of them in trouble ----

/// Writers through two servers, and what they were told.
class Load {
 public:
  Load(rt::RealRuntime& runtime, const Members& members)
      : runtime_(runtime), writers_(runtime, "writers"), watchers_(runtime, "watchers") {
    for (int i = 0; i < 2; ++i) servers_.push_back(MUST(Open(runtime, {members.urls()})));
    for (auto& server : servers_) MUST(server->CatchUp(runtime));
    begin_ = servers_[1]->Latest()->revision();
  }

  void Start() {
    last_ = runtime_.Mono();
    for (size_t i = 0; i < servers_.size(); ++i) {
      watchers_.Spawn("watcher", [this, i] { Follow(i); });
    }
    for (int i = 0; i < 12; ++i) writers_.Spawn("writer", [this, i] { Write(i); });
  }

  Duration stall_max() const { return stall_max_; }
  size_t saved() const { return saved_.size(); }

  /// Ends the writers and checks everything.
  void Finish() {
    stopping_ = true;
    writers_.Join();
    for (auto& server : servers_) MUST(server->CatchUp(runtime_));
    end_ = std::max(servers_[0]->Latest()->revision(), servers_[1]->Latest()->revision());
    for (int i = 0; i < 300 && (seen_up_to_[0] < end_ || seen_up_to_[1] < end_); ++i) MUST(runtime_.Sleep(100ms));
    watchers_.StopAndJoin();
    Check();
    for (auto& server : servers_) server->Close();
  }

 private:
  void Write(int writer) {
    Store& store = *servers_[static_cast<size_t>(writer) % servers_.size()];
    for (int n = 0; !stopping_; ++n) {
      const std::string key = "k" + std::to_string(runtime_.Random() % 20);
      const std::string value = std::to_string(writer) + "/" + std::to_string(n);
      const auto present = store.Newest(key);
      std::vector<store::Compare> compares;
      if (n % 2 == 0) compares.push_back({key, present ? present->mod_revision : 0});
      const auto done = store.Txn(std::move(compares), {PutOp(key, value)});
      if (done.ok()) {
        saved_[value] = done->revision;
        stall_max_ = std::max<Duration>(stall_max_, runtime_.Mono() - std::exchange(last_, runtime_.Mono()));
      } else if (done.Failed(Reason::kTimeout)) {
        unknown_.insert(value);
      } else {
        EXPECT_TRUE(done.Failed(Reason::kConflict) || done.Failed(Reason::kServiceUnavailable))
            << done.status().ToString();
        refused_.insert(value);
      }
      // So that a failing cluster is not asked without pause, and a good one not flooded.
      MUST(runtime_.Sleep(2ms));
    }
  }

  void Follow(size_t server) {
    auto watch = MUST(servers_[server]->StartWatch(runtime_, {.prefix = "", .after = begin_}));
    while (true) {
      const auto events = watch->Next(256);
      if (!events.ok()) {
        EXPECT_TRUE(events.Failed(Reason::kCancelled)) << events.status().ToString();
        return;
      }
      events_[server].insert(events_[server].end(), events->begin(), events->end());
      seen_up_to_[server] = std::max(watch->progress(), events->empty() ? 0 : events->back()->revision);
    }
  }

  void Check() {
    std::map<std::string, Revision> seen;
    Revision last = 0;
    for (const EventPtr& event : events_[0]) {
      EXPECT_GE(event->revision, last);
      last = event->revision;
      EXPECT_TRUE(seen.emplace(*event->value, event->revision).second) << "twice: " << *event->value;
    }
    for (const auto& [value, revision] : saved_) EXPECT_EQ(seen[value], revision) << value;
    for (const std::string& value : refused_) EXPECT_FALSE(seen.contains(value)) << value;
    ASSERT_EQ(events_[0].size(), events_[1].size());
    for (size_t i = 0; i < events_[0].size(); ++i) {
      EXPECT_EQ(events_[0][i]->key, events_[1][i]->key);
      EXPECT_EQ(events_[0][i]->revision, events_[1][i]->revision);
    }
    EXPECT_EQ(Dump(*servers_[0]), Dump(*servers_[1]));
    EXPECT_GT(saved_.size(), 100u);
    printf("%zu saved, %zu refused, %zu unknown; the longest time without a write was %ld ms\n", saved_.size(),
           refused_.size(), unknown_.size(),
           static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(stall_max_).count()));
  }

  rt::RealRuntime& runtime_;
  std::vector<std::unique_ptr<Store>> servers_;
  rt::TaskGroup writers_;
  rt::TaskGroup watchers_;
  Revision begin_ = 0;
  Revision end_ = 0;
  bool stopping_ = false;
  std::map<std::string, Revision> saved_;
  std::set<std::string> refused_;
  std::set<std::string> unknown_;
  std::vector<EventPtr> events_[2];
  Revision seen_up_to_[2] = {0, 0};
  MonoTime last_{};
  Duration stall_max_{};
};

void Trouble(MemberOptions options, const std::function<void(rt::RealRuntime&, Members&)>& trouble) {
  RunReal([&](rt::RealRuntime& runtime) {
    options.count = 3;
    const auto members = Members::Start(runtime, options);
    Load load(runtime, *members);
    load.Start();
    MUST(runtime.Sleep(1s));
    const size_t before = load.saved();
    trouble(runtime, *members);
    MUST(runtime.Sleep(1s));
    EXPECT_GT(load.saved(), before);
    load.Finish();
    EXPECT_LT(load.stall_max(), 20s);
  });
}

TEST(EtcdStore, EachMemberIsKilledOnce) {
  Trouble({}, [](rt::RealRuntime& runtime, Members& members) {
    for (int member = 0; member < 3; ++member) {
      members.Kill(member);
      MUST(runtime.Sleep(2s));
      members.Run(member);
      members.AwaitHealthy(member);
    }
  });
}

TEST(EtcdStore, EachMemberIsPausedOnce) {
  Trouble({}, [](rt::RealRuntime& runtime, Members& members) {
    for (int member = 0; member < 3; ++member) {
      members.Signal(member, SIGSTOP);
      MUST(runtime.Sleep(8s));
      members.Signal(member, SIGCONT);
      MUST(runtime.Sleep(1s));
    }
  });
}

TEST(EtcdStore, TheLeaderIsCutOff) {
  ASSERT_EQ(geteuid(), 0u) << "network namespaces want root";
  Trouble({.namespaces = true}, [](rt::RealRuntime& runtime, Members& members) {
    for (int i = 0; i < 2; ++i) {
      const int leader = members.Leader();
      members.CutOff(leader, true);
      MUST(runtime.Sleep(8s));
      members.CutOff(leader, false);
      MUST(runtime.Sleep(2s));
    }
  });
}

TEST(EtcdStore, TheWholeClusterGoesAndComesBack) {
  Trouble({}, [](rt::RealRuntime& runtime, Members& members) {
    for (int member = 0; member < 3; ++member) members.Kill(member);
    MUST(runtime.Sleep(3s));
    for (int member = 0; member < 3; ++member) members.Run(member);
    members.AwaitHealthy();
    MUST(runtime.Sleep(2s));
  });
}

}  // namespace
}  // namespace knarr::etcd_test
