#include "apiserver/store_admin.h"

#include "apiserver/http_world.h"
#include "store/backup.h"
#include "store/core.h"

namespace knarr::apiserver {
namespace {

/// A disk that is full when it is told so.
class FullLog : public store::Log {
 public:
  FullLog(rt::Runtime& runtime, const bool& full) : runtime_(runtime), full_(full) {}
  Ok Append(const Batch&) override { return Look(); }
  Ok Recover(const std::function<Contents()>&, bool) override { return Look(); }
  Ok Check(store::Scan& scan, store::CheckReport& report) override {
    scan.done = true;
    report.records = 7;
    report.Add({.row = 3, .row_end = 3, .revision = 4, .key = "/registry/apps/deployments/d/web", .why = "is odd"});
    return {};
  }
  int64_t disk_bytes() const override { return 4096; }
  void Close() override {}

 private:
  Ok Look() {
    runtime_.Yield();
    if (!full_) return {};
    return Status(Reason::kServerTimeout, "no space left").WithCode(store::kInsufficientStorage);
  }
  rt::Runtime& runtime_;
  const bool& full_;
};

TEST(StoreAdmin, AFullDiskIsToldAndReadingGoesOn) {
  InSim([](rt::Runtime& runtime) {
    bool full = false;
    HttpWorld world(runtime, {},
                    std::make_unique<store::Core>(runtime, store::CoreOptions{},
                                                  std::make_unique<FullLog>(runtime, full), store::Recovered{}));
    const std::string path = "/api/v1/namespaces/default/configmaps";
    EXPECT_EQ(world.Send("POST", path, R"({"metadata":{"name":"a"}})").code, 201);
    full = true;
    for (int i = 0; i < 2; i++) {
      const Raw refused = world.Send("POST", path, R"({"metadata":{"name":"b"}})");
      EXPECT_EQ(refused.code, 500) << refused.body;
      EXPECT_EQ(refused.Json().root.At("message").AsString(), "mvcc: database space exceeded: no space left");
      EXPECT_EQ(refused.Json().root.At("reason").AsString(), "");
    }
    EXPECT_EQ(world.Send("GET", path + "/a").code, 200);
    EXPECT_EQ(world.Send("GET", "/livez").code, 200);
    const Raw ready = world.Send("GET", "/readyz?verbose");
    EXPECT_EQ(ready.code, 500);
    EXPECT_NE(ready.body.find("[-]etcd-readiness failed: reason withheld\n"), std::string::npos) << ready.body;
    const doc::Document status = world.Send("GET", "/api/v1/componentstatuses/store-writable").Json();
    EXPECT_EQ(status.root.At("conditions")[0].At("status").AsString(), "False");
    EXPECT_EQ(status.root.At("conditions")[0].At("message").AsString(), "mvcc: database space exceeded: no space left");
    EXPECT_EQ(world.Send("GET", "/knarr/store").Json().root.At("readOnly").AsString(),
              "mvcc: database space exceeded: no space left");
    full = false;
    MUST(runtime.Sleep(std::chrono::seconds(2)));
    EXPECT_EQ(world.Send("POST", path, R"({"metadata":{"name":"b"}})").code, 201);
    EXPECT_EQ(world.Send("GET", "/readyz").code, 200);
  });
}

TEST(StoreAdmin, TheFilesAreLookedAfterWhileItRuns) {
  InSim([](rt::Runtime& runtime) {
    const bool full = false;
    HttpWorld world(runtime, {},
                    std::make_unique<store::Core>(runtime, store::CoreOptions{},
                                                  std::make_unique<FullLog>(runtime, full), store::Recovered{}));
    const doc::Document stats = world.Send("GET", "/knarr/store").Json();
    EXPECT_EQ(stats.root.At("diskBytes").AsInt(), 4096);
    EXPECT_GT(stats.root.At("keys").AsInt(), 10);
    EXPECT_TRUE(stats.root.At("readOnly").is_null());

    const doc::Document found = world.Send("GET", "/knarr/store/check").Json();
    EXPECT_EQ(found.root.At("records").AsInt(), 7);
    EXPECT_EQ(doc::ToJson(found.root.At("damages")),
              R"([{"row":3,"revision":4,"object":"deployments.apps/d/web","why":"is odd"}])");
    const doc::Document repaired = world.Send("POST", "/knarr/store/repair").Json();
    EXPECT_EQ(repaired.root.At("damages")[0].At("outcome").AsString(), "written anew from the server's memory");
    EXPECT_EQ(world.Send("POST", "/knarr/store/compact").Json().root.At("compacted").AsInt(),
              world.server.store().Latest()->revision());

    const Raw backup = world.Send("GET", "/knarr/store/backup");
    EXPECT_EQ(backup.code, 200);
    store::BackupReader reader;
    size_t records = 0;
    MUST(reader.Read(backup.body, [&](const auto&) {
      records++;
      return Ok();
    }));
    EXPECT_EQ(MUST(reader.End()).records, world.server.store().Latest()->Count(""));
    EXPECT_EQ(records, world.server.store().Latest()->Count(""));

    struct Case {
      std::string_view method, path;
      int code;
    };
    const Case cases[] = {{"POST", "/knarr/store/check", 405},  {"GET", "/knarr/store/repair", 405},
                          {"GET", "/knarr/store/compact", 405}, {"GET", "/knarr/store/", 404},
                          {"GET", "/knarr/store/nothing", 404}, {"GET", "/knarr/storeroom", 404}};
    for (const Case& test : cases) EXPECT_EQ(world.Send(test.method, test.path).code, test.code) << test.path;
    EXPECT_EQ(world.Send("GET", "/knarr/store", "", "", "weak").code, 403);
    EXPECT_EQ(world.Send("POST", "/knarr/store/repair", "", "", "weak").code, 403);
  });
}

TEST(StoreAdmin, KeysAreToldAsObjects) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/registry/core/pods/default/a", "pods/default/a"},
      {"/registry/core/nodes/n", "nodes/n"},
      {"/registry/apps/deployments/d/web", "deployments.apps/d/web"},
      {"/registry/core", "\"/registry/core\""},
      {"odd\n", "\"odd\\n\""},
  };
  for (const auto& [key, name] : cases) EXPECT_EQ(NameOfStoreKey(key), name);
}

}  // namespace
}  // namespace knarr::apiserver
