// The engine on the disk: what a restart brings back, and what it says when it can't.

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/real.h"
#include "store/maintenance.h"
#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

class EmbeddedTest : public testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/data/store.db"; }

  Result<std::unique_ptr<Store>> Open(rt::Runtime& runtime, EmbeddedOptions options = {}) {
    options.directory = folder_.path() + "/data";
    return OpenEmbedded(runtime, options);
  }
  void Run(const std::function<void(rt::Runtime&)>& body) {
    auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
    runtime->Run([&] { body(*runtime); });
  }
  void Run(const std::function<void(rt::Runtime&, Store&)>& body, EmbeddedOptions options = {}) {
    Run([&](rt::Runtime& runtime) {
      auto store = MUST(Open(runtime, options));
      body(runtime, *store);
      store->Close();
    });
  }
  /// Changes the database behind the store's back.
  void Sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    ASSERT_EQ(sqlite3_close(db), SQLITE_OK);
  }
  /// Damages some pages of the file in the middle.
  void Flip(int64_t size) {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    for (int64_t at = 8192 * 9 + 4000; at < std::min<int64_t>(size, 8192 * 60); at += 8192 * 5) {
      file.seekg(at);
      std::string bytes(64, 0);
      file.read(bytes.data(), 64);
      for (char& byte : bytes) byte = static_cast<char>(byte ^ 0x5a);
      file.seekp(at);
      file.write(bytes.data(), 64);
    }
  }
  std::string OpenError() {
    std::string message;
    Run([&](rt::Runtime& runtime) {
      auto store = Open(runtime);
      ASSERT_FALSE(store.ok());
      message = store.status().ToString();
    });
    return message;
  }
  ScratchFolder folder_;
};

TEST_F(EmbeddedTest, ARestartBringsBackStateRevisionAndHistory) {
  Lines before;
  Run([&](rt::Runtime& runtime, Store& store) {
    for (int i = 0; i < 100; i++) MustPut(store, "k" + std::to_string(i % 30), std::to_string(i));
    MustDelete(store, "k7");
    MUST(store.Txn({}, {PutOp("x", ""), PutOp("y", std::string(100000, 'y')), DeleteOp("k8")}));
    before = Dump(*store.Latest());
    EXPECT_EQ(store.Latest()->revision(), 103);
    EXPECT_GT(store.stats().disk_bytes, 100000);
    (void)runtime;
  });
  Run([&](rt::Runtime& runtime, Store& store) {
    EXPECT_EQ(store.Latest()->revision(), 103);
    EXPECT_EQ(Dump(*store.Latest()), before);
    EXPECT_EQ(store.Latest()->Get("k9")->create_revision, 11);
    EXPECT_EQ(store.stats().history_events, 104u);
    EXPECT_EQ(MUST(store.At(50))->Get("k7")->mod_revision, 39);
    // A watch goes on where it was, over the restart and into what follows.
    auto watch = MUST(store.StartWatch(runtime, {.prefix = "k", .after = 100}));
    EXPECT_EQ(MustPut(store, "k8", "again"), 104);
    Lines events;
    while (events.size() < 4) {
      for (auto& line : Dump(MUST(watch->Next()))) events.push_back(line);
    }
    EXPECT_EQ(events, (Lines{"+k9=99@101", "-k7@102", "-k8@103", "+k8=again@104"}));
    EXPECT_EQ(store.Latest()->Get("k8")->create_revision, 104);
  });
}

TEST_F(EmbeddedTest, TheRevisionNeverGoesBack) {
  Run([&](rt::Runtime& runtime, Store& store) {
    MustPut(store, "a", "1");
    MustPut(store, "b", "1");
    MustDelete(store, "b");
    // Nothing of revisions 3 and 4 is left on the disk but the mark.
    ASSERT_TRUE(store.Compact(4).ok());
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
  });
  Run([&](rt::Runtime& runtime, Store& store) {
    EXPECT_EQ(store.Latest()->revision(), 4);
    EXPECT_EQ(store.stats().compacted, 4);
    EXPECT_TRUE(store.At(3).Failed(Reason::kExpired));
    EXPECT_TRUE(store.StartWatch(runtime, {.prefix = "", .after = 3}).Failed(Reason::kExpired));
    EXPECT_TRUE(store.StartWatch(runtime, {.prefix = "", .after = 4}).ok());
    EXPECT_EQ(Dump(*store.Latest()), Lines{"a=1@2"});
    EXPECT_EQ(MustPut(store, "a", "2"), 5);
  });
}

TEST_F(EmbeddedTest, CompactionGivesDiskSpaceBack) {
  EmbeddedOptions options{.directory = "", .disk_history_bytes_min = 256 << 20};
  Run(
      [&](rt::Runtime& runtime, Store& store) {
        rt::TaskGroup group(runtime, "writers");
        for (int w = 0; w < 32; w++) {
          group.Spawn("writer", [&store] {
            for (int i = 0; i < 250; i++) MustPut(store, "k" + std::to_string(i % 100), std::string(4000, 'v'));
          });
        }
        group.Join();
        EXPECT_GT(store.stats().disk_bytes, 30 << 20);
        const Reclaimed done = MUST(store.maintenance()->Reclaim());
        EXPECT_GT(done.disk_bytes_before, 30 << 20);
        EXPECT_EQ(done.compacted, store.stats().revision);
        EXPECT_EQ(done.disk_bytes, store.stats().disk_bytes);
        EXPECT_LE(done.disk_bytes, 3 << 20);
        EXPECT_EQ(store.stats().keys, 100u);
      },
      options);
  Run([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(store.stats().keys, 100u);
    EXPECT_LE(store.stats().disk_bytes, 3 << 20);
  });
}

// A value is changed again and again: what is on the disk stays near to what is alive, without being asked.
TEST_F(EmbeddedTest, TheDiskIsBoundedByWhatIsAlive) {
  Run([&](rt::Runtime& runtime, Store& store) {
    int64_t most = 0;
    for (int i = 0; i < 6000; i++) {
      MustPut(store, "k" + std::to_string(runtime.Random() % 1000), std::string(2000, 'v'));
      if (i > 2000) most = std::max(most, store.stats().disk_bytes);
    }
    EXPECT_LE(most, 3 * static_cast<int64_t>(store.stats().value_bytes));
  });
}

TEST_F(EmbeddedTest, BoundsHoldAcrossARestart) {
  EmbeddedOptions options{.directory = "", .history_events_max = 50};
  Run(
      [&](rt::Runtime&, Store& store) {
        for (int i = 0; i < 1000; i++) MustPut(store, "k" + std::to_string(i % 10), "v");
        EXPECT_EQ(store.stats().history_events, 50u);
      },
      options);
  Run(
      [&](rt::Runtime&, Store& store) {
        EXPECT_EQ(store.stats().history_events, 50u);
        EXPECT_EQ(store.stats().revision, 1001);
        EXPECT_EQ(store.stats().keys, 10u);
      },
      options);
}

TEST_F(EmbeddedTest, ACompactionThatForgetsNoRowIsKeptToo) {
  Run([&](rt::Runtime& runtime, Store& store) {
    for (int i = 0; i < 10; i++) MustPut(store, "k" + std::to_string(i), "v");
    ASSERT_TRUE(store.Compact(8).ok());
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
  });
  Run([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(store.stats().compacted, 8);
    EXPECT_EQ(store.stats().history_events, 3u);
  });
}

TEST_F(EmbeddedTest, OneServerAtATime) {
  Run([&](rt::Runtime& runtime, Store& store) {
    auto second = Open(runtime);
    ASSERT_TRUE(second.Failed(Reason::kServiceUnavailable));
    EXPECT_EQ(second.status().message(), "store " + path() + " is in use by another knarr server");
    MustPut(store, "a", "1");
    // Another process.
    auto other = runtime.processes().Run({.argv = {"python3", "-c",
                                                   "import sqlite3,sys\n"
                                                   "db = sqlite3.connect(sys.argv[1], timeout=0)\n"
                                                   "db.execute('select count(*) from log')",
                                                   path()}});
    if (other.ok()) {
      EXPECT_NE(other->err.find("locked"), std::string::npos) << other->err;
    }
    MustPut(store, "a", "2");
  });
  Run([&](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), Lines{"a=2@3"}); });
}

TEST_F(EmbeddedTest, OnlyTheOwnerMayRead) {
  std::filesystem::create_directories(folder_.path() + "/data");
  std::filesystem::permissions(folder_.path() + "/data", std::filesystem::perms::all);
  Run([&](rt::Runtime&, Store& store) {
    MustPut(store, "secret", "1");
    struct stat info;
    ASSERT_EQ(stat((folder_.path() + "/data").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700u);
    for (const char* file : {"", "-wal"}) {
      ASSERT_EQ(stat((path() + file).c_str(), &info), 0);
      EXPECT_EQ(info.st_mode & 07777, 0600u) << file;
    }
  });
}

TEST_F(EmbeddedTest, OtherFormatsAreRefused) {
  Run([](rt::Runtime&, Store& store) { MustPut(store, "a", "1"); });
  Sql("PRAGMA user_version=4");
  EXPECT_EQ(OpenError(), "InternalError: store " + path() +
                             " has format 4, this program knows formats 1 to 3: use the version of knarr that wrote "
                             "it, or a newer one");
  Sql("PRAGMA application_id=5");
  EXPECT_EQ(OpenError(),
            "InternalError: store " + path() + " is a database of another program: choose another data folder");
  Run([&](rt::Runtime& runtime) {
    EXPECT_TRUE(OpenEmbedded(runtime, {.directory = "relative"}).Failed(Reason::kBadRequest));
    EXPECT_FALSE(OpenEmbedded(runtime, {.directory = "/dev/null/x"}).ok());
  });
}

// Written by the store as it was with format 1: twelve puts on five keys, a delete, compaction at 8, a transaction; and
// the same as the program of format 2 upgraded it.
TEST_F(EmbeddedTest, AnOlderFormatIsUpgraded) {
  const std::string at = "/registry/core/configmaps/default/c";
  for (const char* format : {"1", "2"}) {
    std::filesystem::remove_all(folder_.path() + "/data");
    std::filesystem::create_directories(folder_.path() + "/data");
    std::filesystem::copy_file(std::string(KNARR_SOURCE_DIR) + "/tests/golden/store/format-" + format + ".db", path());
    for (int again = 0; again < 2; again++) {
      Run([&](rt::Runtime& runtime, Store& store) {
        EXPECT_EQ(store.stats().revision, 15 + again);
        EXPECT_EQ(store.stats().compacted, 8);
        EXPECT_EQ(Dump(*store.Latest(), at),
                  (Lines{at + "0=last@15", at + "1=value 11@13", at + "2=value 7@9", at + "4=value 9@11"}));
        EXPECT_EQ(*store.Latest()->Get("/registry/core/secrets/default/s")->value, std::string("\0binary\xff", 8));
        auto watch = MUST(store.StartWatch(runtime, {.prefix = at + "3", .after = 8}));
        EXPECT_EQ(Dump(MUST(watch->Next())), (Lines{"+" + at + "3=value 8@10", "-" + at + "3@14"}));
        EXPECT_EQ(MUST(store.maintenance()->Check()).damaged, 0u);
        MustPut(store, "new", "1");
      });
    }
  }
}

TEST_F(EmbeddedTest, TheFolderHasALock) {
  Run([&](rt::Runtime& runtime, Store&) {
    // Before the database is looked at, so that nothing is done to one that another puts in its place.
    auto lock = runtime.processes().Run({.argv = {"flock", "-n", folder_.path() + "/data/lock", "true"}});
    if (lock.ok()) {
      EXPECT_EQ(lock->status.code, 1);
    }
    EXPECT_TRUE(Open(runtime).Failed(Reason::kServiceUnavailable));
  });
  Run([&](rt::Runtime& runtime) {
    auto first = MUST(Open(runtime));
    first->Close();
    // Closed, the folder is free, though the store still shows what it had.
    auto second = MUST(Open(runtime));
    second->Close();
  });
}

TEST_F(EmbeddedTest, AReplacementIsFinishedByTheNextStart) {
  Run([](rt::Runtime&, Store& store) { MustPut(store, "a", "old"); });
  std::filesystem::copy_file(path(), folder_.path() + "/old.db");
  Run([](rt::Runtime&, Store& store) { MustPut(store, "a", "new"); });
  std::filesystem::rename(path(), folder_.path() + "/new.db");
  // Cut short in front of the rename that decides: the old one.
  std::filesystem::copy_file(folder_.path() + "/old.db", path());
  std::filesystem::copy_file(folder_.path() + "/new.db", path() + ".partial");
  Run([](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), Lines{"a=old@2"}); });
  EXPECT_FALSE(std::filesystem::exists(path() + ".partial"));
  // And behind it: the new one, without the old one's log.
  std::filesystem::copy_file(folder_.path() + "/new.db", path() + ".new");
  std::ofstream(path() + "-wal") << "of the old one";
  Run([](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), Lines{"a=new@3"}); });
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
}

TEST_F(EmbeddedTest, WhatIsDamagedWhileItRunsIsFoundAndWrittenAnew) {
  Lines before;
  Run([&](rt::Runtime& runtime, Store& store) {
    for (int i = 0; i < 200; i++) MustPut(store, "k" + std::to_string(i), std::string(3000, 'v'));
    MustDelete(store, "k7");
    before = Dump(*store.Latest());
    Maintenance& maintenance = *store.maintenance();
    // The log is emptied into the file, which is then damaged behind SQLite's back and beyond its cache.
    MUST(maintenance.Reclaim());
    for (int i = 0; i < 400; i++) MustPut(store, "filler", std::string(3000, 'f'));
    MUST(maintenance.Reclaim());
    EXPECT_EQ(MUST(maintenance.Check()).damaged, 0u);
    Flip(store.stats().disk_bytes);
    const CheckReport found = MUST(maintenance.Check());
    EXPECT_GT(found.damaged, 0u);
    EXPECT_EQ(MUST(maintenance.Repair()).damaged, found.damaged);
    const CheckReport after = MUST(maintenance.Check());
    EXPECT_EQ(after.damaged, 0u);
    EXPECT_EQ(after.records, 200u);
    EXPECT_EQ(MUST(runtime.files().Stat(path())).mode, 0600u);
    MustPut(store, "more", "1");
    before = Dump(*store.Latest());
  });
  Run([&](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), before); });
}

TEST_F(EmbeddedTest, DamageIsFound) {
  auto fill = [&] {
    std::filesystem::remove_all(folder_.path() + "/data");
    Run([](rt::Runtime&, Store& store) {
      for (int i = 0; i < 50; i++) MustPut(store, "k" + std::to_string(i), std::string(3000, 'v'));
    });
  };
  const std::pair<const char*, const char*> cases[] = {
      {"UPDATE log SET value=zeroblob(3000) WHERE row=17", "row 17 (revision 18) does not match its checksum"},
      {"UPDATE log SET key=x'00' WHERE row=3", "row 3 (revision 4) does not match its checksum"},
      {"UPDATE log SET value=NULL WHERE row=50", "row 50 (revision 51) does not match its checksum"},
      {"UPDATE log SET revision=2 WHERE row=40", "row 40 (revision 2) does not match its checksum"},
      {"DELETE FROM compacted", "the mark of the compaction is gone"},
      {"UPDATE compacted SET revision=7", "the mark of the compaction does not match its checksum"},
  };
  for (const auto& [sql, why] : cases) {
    fill();
    Sql(sql);
    EXPECT_EQ(OpenError(), "InternalError: store " + path() + " is damaged: " + why +
                               "; see what is affected with `knarr store check`");
  }
}

TEST_F(EmbeddedTest, ADamagedFileGivesAnErrorAndNeverWrongData) {
  Run([](rt::Runtime&, Store& store) {
    for (int i = 0; i < 200; i++) MustPut(store, "k" + std::to_string(i), std::string(3000, 'v'));
  });
  auto size = static_cast<int64_t>(std::filesystem::file_size(path()));
  std::string good(static_cast<size_t>(size), 0);
  std::ifstream(path(), std::ios::binary).read(good.data(), size);
  int refused = 0;
  for (int64_t at = 0; at < size; at += 6007) {
    std::string bad = good;
    for (int64_t i = at; i < std::min(at + 64, size); i++) bad[static_cast<size_t>(i)] ^= 0x5a;
    std::ofstream(path(), std::ios::binary | std::ios::trunc).write(bad.data(), size);
    Run([&](rt::Runtime& runtime) {
      auto store = Open(runtime);
      if (!store.ok()) {
        refused++;
        EXPECT_NE(store.status().message().find(path()), std::string::npos);
        return;
      }
      // The bytes were of no account; then everything must be there.
      EXPECT_EQ((*store)->Latest()->Count(""), 200u) << at;
      (*store)->Latest()->Visit("", "", [](std::string_view, const Bytes& value, Revision) {
        EXPECT_EQ(*value, std::string(3000, 'v'));
        return true;
      });
      (*store)->Close();
    });
  }
  EXPECT_GT(refused, size / 6007 / 2);
}

}  // namespace
}  // namespace knarr::store
