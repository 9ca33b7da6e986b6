#include "client/informer.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/core_v1.h"
#include "base/check.h"
#include "doc/json.h"
#include "rt/sim.h"

namespace knarr::client {
namespace {

ObjectPtr Map(const std::string& name, const std::string& uid, int revision) {
  return api::Object::FromDocument(
      MUST(doc::ParseJson(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"n","name":")" + name +
                          R"(","uid":")" + uid + R"(","resourceVersion":")" + std::to_string(revision) + R"("}})")));
}

class ToldWatch : public WatchStream {
 public:
  ToldWatch(rt::Runtime& runtime, Duration lives) : runtime_(runtime), lives_(lives) {}
  Result<std::vector<WatchEvent>> Next() override {
    if (lives_ > Duration::zero()) TRY(runtime_.Sleep(lives_));
    return Expired("too old resource version");
  }

 private:
  rt::Runtime& runtime_;
  Duration lives_;
};

/// Lists what it is told, and whose watches expire after `lives`.
class ToldClient : public Client {
 public:
  explicit ToldClient(rt::Runtime& runtime) : runtime_(runtime) {}
  std::vector<ObjectPtr> items;
  Duration lives{};
  int lists = 0;

  Result<ObjectList> List(const KindInfo& /*kind*/, std::string_view /*ns*/, const ListOptions& /*options*/) override {
    ++lists;
    return ObjectList{items, "7", ""};
  }
  Result<std::unique_ptr<WatchStream>> Watch(const KindInfo& /*kind*/, std::string_view /*ns*/,
                                             const WatchOptions& /*options*/) override {
    return std::unique_ptr<WatchStream>(std::make_unique<ToldWatch>(runtime_, lives));
  }
  Result<ObjectPtr> Get(const KindInfo& /*kind*/, const ObjectName& /*name*/, std::string_view /*part*/) override {
    return Internal("no");
  }
  Result<ObjectPtr> Create(const KindInfo& /*kind*/, std::string_view /*ns*/, const doc::Value& /*object*/,
                           const WriteOptions& /*options*/) override {
    return Internal("no");
  }
  Result<ObjectPtr> CreateSub(const KindInfo& /*kind*/, const ObjectName& /*name*/, std::string_view /*part*/,
                              const doc::Value& /*object*/, const WriteOptions& /*options*/) override {
    return Internal("no");
  }
  Result<ObjectPtr> Update(const KindInfo& /*kind*/, const ObjectName& /*name*/, const doc::Value& /*object*/,
                           std::string_view /*part*/, const WriteOptions& /*options*/) override {
    return Internal("no");
  }
  Result<ObjectPtr> Patch(const KindInfo& /*kind*/, const ObjectName& /*name*/, PatchType /*type*/,
                          std::string_view /*body*/, std::string_view /*part*/,
                          const WriteOptions& /*options*/) override {
    return Internal("no");
  }
  Result<ObjectPtr> Delete(const KindInfo& /*kind*/, const ObjectName& /*name*/,
                           const DeleteOptions& /*options*/) override {
    return Internal("no");
  }
  Ok DeleteCollection(const KindInfo& /*kind*/, std::string_view /*ns*/, const ListOptions& /*list*/,
                      const DeleteOptions& /*options*/) override {
    return Internal("no");
  }

 private:
  rt::Runtime& runtime_;
};

/// "+a/1 -b/2 *c/3": what the handler was told, with uids.
std::string Told(const ObjectPtr& before, const ObjectPtr& after) {
  const ObjectPtr& object = after == nullptr ? before : after;
  const std::string_view what = before == nullptr ? "+" : after == nullptr ? "-" : "*";
  return std::string(what) + std::string(object->name()) + "/" + std::string(object->uid()) + " ";
}

TEST(Informer, NoStormOfListsWhenWatchesExpireAtOnce) {
  const auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    ToldClient client(*runtime);
    InformerFactory informers(*runtime, client);
    informers.For(api::core_v1::ConfigMapInfo());
    informers.Start();
    MUST(runtime->Sleep(10min));
    EXPECT_GT(client.lists, 5);
    EXPECT_LT(client.lists, 60);
    informers.Stop();
  });
}

TEST(Informer, ARelistTellsWhatHappenedMeanwhile) {
  const auto runtime = rt::SimRuntime::Create({});
  runtime->Run([&] {
    ToldClient client(*runtime);
    client.lives = 1min;
    client.items = {Map("changes", "1", 1), Map("goes", "2", 2), Map("remade", "3", 3), Map("stays", "4", 4)};
    InformerFactory informers(*runtime, client);
    Informer& maps = informers.For(api::core_v1::ConfigMapInfo());
    std::string told;
    maps.AddHandler([&](const ObjectPtr& before, const ObjectPtr& after) { told += Told(before, after); });
    informers.Start();
    MUST(maps.WaitSynced());
    EXPECT_EQ(std::exchange(told, ""), "+changes/1 +goes/2 +remade/3 +stays/4 ");
    client.items = {Map("changes", "1", 5), Map("comes", "6", 6), Map("remade", "7", 7), Map("stays", "4", 4)};
    MUST(runtime->Sleep(61s));
    EXPECT_EQ(told, "-goes/2 *changes/1 +comes/6 -remade/3 +remade/7 ");
    EXPECT_EQ(maps.size(), 4U);
    informers.Stop();
  });
}

}  // namespace
}  // namespace knarr::client
