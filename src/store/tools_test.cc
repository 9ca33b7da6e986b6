// Looking after the files of a store: check, repair, backup, restore, compaction.

#include "store/tools.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "rt/file_system.h"
#include "rt/real.h"
#include "store/store_test_util.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

class ToolsTest : public testing::Test {
 protected:
  std::string directory() const { return folder_.path() + "/data"; }
  std::string path() const { return directory() + "/store.db"; }
  std::string backup() const { return folder_.path() + "/backup"; }

  void Run(const std::function<void(rt::Runtime&)>& body) {
    auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
    runtime->Run([&] { body(*runtime); });
  }
  void WithStore(const std::function<void(rt::Runtime&, Store&)>& body) {
    Run([&](rt::Runtime& runtime) {
      auto store = MUST(OpenEmbedded(runtime, {.directory = directory()}));
      body(runtime, *store);
      store->Close();
    });
  }
  /// Ten keys of two values each, one of them deleted.
  void Fill() {
    std::filesystem::remove_all(directory());
    WithStore([](rt::Runtime&, Store& store) {
      for (int i = 0; i < 20; i++) MustPut(store, "k" + std::to_string(i % 10), "v" + std::to_string(i));
      MustDelete(store, "k9");
    });
  }
  void Sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    ASSERT_EQ(sqlite3_close(db), SQLITE_OK);
  }
  static std::string Read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void Write(const std::string& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }
  void BackUp() {
    Run([&](rt::Runtime& runtime) {
      std::ofstream out(backup(), std::ios::binary | std::ios::trunc);
      const auto info = BackupFolder(runtime, directory(), [&](std::string_view bytes) {
        out << bytes;
        return Ok();
      });
      ASSERT_TRUE(info.ok()) << info.status().ToString();
    });
  }
  /// What is in the folder.
  Lines Left() const {
    Lines names;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
  std::string ErrorOf(const std::function<Ok(rt::Runtime&)>& call) {
    std::string message = "none";
    Run([&](rt::Runtime& runtime) {
      const Ok done = call(runtime);
      if (!done.ok()) message = done.status().ToString();
    });
    return message;
  }
  ScratchFolder folder_;
};

Lines DumpOf(const CheckReport& report) {
  Lines lines;
  for (const Damage& damage : report.damages) {
    lines.push_back(std::to_string(damage.row) + " " + damage.key + " " + damage.why + "; " + damage.outcome);
  }
  return lines;
}

TEST_F(ToolsTest, AStoreThatIsWellIsLeftAlone) {
  Fill();
  Run([&](rt::Runtime& runtime) {
    const CheckReport report = MUST(CheckFolder(runtime, directory()));
    EXPECT_EQ(report.damaged, 0u);
    EXPECT_EQ(report.records, 21u);
    EXPECT_EQ(report.revision, 22);
    const uint64_t before = MUST(runtime.files().Stat(path())).inode;
    EXPECT_EQ(MUST(RepairFolder(runtime, directory())).damaged, 0u);
    EXPECT_EQ(MUST(runtime.files().Stat(path())).inode, before);
    EXPECT_EQ(Left(), Lines({"lock", "store.db"}));
    const StoreStats stats = MUST(StatsOfFolder(runtime, directory()));
    EXPECT_EQ(stats.keys, 9u);
    EXPECT_EQ(stats.value_bytes, 27u);
    EXPECT_EQ(stats.history_events, 21u);
    EXPECT_EQ(stats.revision, 22);
  });
}

TEST_F(ToolsTest, ExactlyWhatIsDamagedIsMovedAway) {
  struct Case {
    std::string sql;
    Lines found;
    Lines state;  ///< what became of k3
  };
  const std::string why = " does not match its checksum; ";
  const Case cases[] = {
      {"UPDATE log SET value=x'00' WHERE row=4",
       {"4 k3" + why + "moved away; newer records of it are good"},
       {"k3=v13@15"}},
      {"UPDATE log SET value=x'00' WHERE row=14",
       {"14 k3" + why + "moved away; the object is as it was at revision 5"},
       {"k3=v3@5"}},
      {"UPDATE log SET value=x'00' WHERE row IN (4, 14)",
       {"4 k3" + why + "moved away; the object is lost", "14 k3" + why + "moved away; the object is lost"},
       {}},
      {"UPDATE log SET value=x'00' WHERE row=21",
       {"21 k9" + why + "moved away; the object is as it was at revision 21"},
       {"k3=v13@15"}},
      {"UPDATE compacted SET revision=3",
       {"0  store " + path() +
        " is damaged: the mark of the compaction does not match its checksum; see what is affected with `knarr store "
        "check`; made anew: the history is gone, the objects are there"},
       {"k3=v13@15"}},
  };
  for (const Case& test : cases) {
    Fill();
    Sql(test.sql);
    Run([&](rt::Runtime& runtime) {
      EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, test.found.size()) << test.sql;
      EXPECT_TRUE(StatsOfFolder(runtime, directory()).Failed(Reason::kInternalError));
      const CheckReport report = MUST(RepairFolder(runtime, directory()));
      EXPECT_EQ(DumpOf(report), test.found) << test.sql;
      if (test.found.front().starts_with("0 ")) {
        EXPECT_EQ(report.quarantine, "");
      } else {
        const std::string moved = Read(report.quarantine);
        EXPECT_EQ(static_cast<size_t>(std::ranges::count(moved, '\n')), test.found.size()) << moved;
        EXPECT_TRUE(moved.starts_with("{\"row\":" + test.found.front().substr(0, test.found.front().find(' '))))
            << moved;
      }
      EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 0u);
    });
    WithStore([&](rt::Runtime&, Store& store) {
      EXPECT_EQ(Dump(*store.Latest(), "k3"), test.state) << test.sql;
      EXPECT_GE(store.Latest()->Count("k"), 8u);
      // No revision comes a second time.
      EXPECT_GE(MustPut(store, "new", "1"), 23) << test.sql;
    });
  }
}

TEST_F(ToolsTest, PagesThatCantBeReadCostTheirRecordsOnly) {
  WithStore([](rt::Runtime&, Store& store) {
    for (int i = 0; i < 300; i++) MustPut(store, "k" + std::to_string(1000 + i), std::string(3000, 'v'));
  });
  const std::string good = Read(path());
  int hurt = 0;
  for (size_t at = 8192 * 3; at < good.size(); at += 8192 * 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0xff);  // what kind of page it is
    bad[at + 3] = static_cast<char>(bad[at + 3] ^ 0xff);
    Write(path(), bad);
    std::filesystem::remove(path() + "-wal");
    Run([&](rt::Runtime& runtime) {
      const CheckReport found = MUST(CheckFolder(runtime, directory()));
      if (found.damaged == 0) return;  // a page of SQLite's own bookkeeping, or of the middle of a value
      const Result<CheckReport> repaired = RepairFolder(runtime, directory());
      if (!repaired.ok()) return;  // the page above all others
      hurt++;
      EXPECT_EQ(repaired->damaged, found.damaged);
      EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 0u);
      const StoreStats stats = MUST(StatsOfFolder(runtime, directory()));
      EXPECT_EQ(stats.keys, found.records);
      EXPECT_GE(stats.keys, 290u) << at;
    });
  }
  EXPECT_GT(hurt, 5);
}

/// In the first leaf of a table with two records: now it says that it has one.
bool HideOneRecord(std::string& bytes) {
  for (size_t page = 8192 * 4; page + 8192 <= bytes.size(); page += 8192) {
    if (bytes[page] != 13 || bytes[page + 3] != 0 || bytes[page + 4] != 2) continue;
    bytes[page + 4] = 1;
    return true;
  }
  return false;
}

TEST_F(ToolsTest, RecordsThatAreHiddenAreMissed) {
  WithStore([](rt::Runtime&, Store& store) {
    for (int i = 0; i < 100; i++) MustPut(store, "k" + std::to_string(1000 + i), std::string(3000, 'v'));
  });
  std::string bytes = Read(path());
  ASSERT_TRUE(HideOneRecord(bytes));
  Write(path(), bytes);
  Run([&](rt::Runtime& runtime) {
    const CheckReport report = MUST(CheckFolder(runtime, directory()));
    ASSERT_GE(report.damaged, 1u);
    EXPECT_TRUE(report.damages.front().why.starts_with("the database's structure: ")) << report.damages.front().why;
    const CheckReport repaired = MUST(RepairFolder(runtime, directory()));
    EXPECT_EQ(repaired.damages.front().outcome, "made anew from the records that can be read");
    EXPECT_TRUE(repaired.quarantine.ends_with("damaged-1.db")) << repaired.quarantine;
    EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 0u);
    EXPECT_EQ(MUST(StatsOfFolder(runtime, directory())).keys, 99u);
  });
}

TEST_F(ToolsTest, WhatAKilledServerLeftInTheJournalIsKeptToo) {
  WithStore([](rt::Runtime&, Store& store) {
    for (int i = 0; i < 100; i++) MustPut(store, "k" + std::to_string(1000 + i), std::string(3000, 'v'));
  });
  const std::string saved = folder_.path() + "/saved";
  WithStore([&](rt::Runtime&, Store& store) {
    MustPut(store, "late", "1");
    std::filesystem::copy(directory(), saved);
  });
  std::filesystem::remove_all(directory());
  std::filesystem::rename(saved, directory());
  std::string bytes = Read(path());
  ASSERT_TRUE(HideOneRecord(bytes));
  Write(path(), bytes);
  const std::string journal = Read(directory() + "/journal-1");
  ASSERT_FALSE(journal.empty());
  Run([&](rt::Runtime& runtime) {
    const CheckReport repaired = MUST(RepairFolder(runtime, directory()));
    ASSERT_TRUE(repaired.quarantine.ends_with("damaged-1.db")) << repaired.quarantine;
    EXPECT_TRUE(Read(repaired.quarantine) == bytes);
    EXPECT_TRUE(Read(repaired.quarantine + "-journal-1") == journal);
    EXPECT_EQ(MUST(StatsOfFolder(runtime, directory())).keys, 100u);
    EXPECT_EQ(Left(), Lines({"damaged-1.db", "damaged-1.db-journal-1", "damaged-1.db-wal", "lock", "store.db"}));
  });
}

TEST_F(ToolsTest, ABackupIsRestoredAsItWas) {
  Fill();
  BackUp();
  Lines before;
  WithStore([&](rt::Runtime&, Store& store) {
    before = Dump(*store.Latest());
    for (int i = 0; i < 5; i++) MustPut(store, "later", std::to_string(i));
  });
  Run([&](rt::Runtime& runtime) {
    const BackupInfo info = MUST(CheckBackup(runtime, backup()));
    EXPECT_EQ(info.records, 9u);
    EXPECT_EQ(info.revision, 22);
    const auto refused = RestoreFolder(runtime, directory(), backup(), {});
    ASSERT_TRUE(refused.Failed(Reason::kAlreadyExists));
    EXPECT_EQ(refused.status().message(),
              "the store in " + directory() + " has 10 keys: it is replaced only with --force");
    const Revision most = std::numeric_limits<Revision>::max();
    EXPECT_TRUE(
        RestoreFolder(runtime, directory(), backup(), {.force = true, .bump = most}).Failed(Reason::kBadRequest));
    EXPECT_EQ(MUST(StatsOfFolder(runtime, directory())).keys, 10u);
    EXPECT_EQ(MUST(RestoreFolder(runtime, directory(), backup(), {.force = true})).records, 9u);
    EXPECT_EQ(MUST(RestoreFolder(runtime, folder_.path() + "/fresh", backup(), {.bump = 0})).records, 9u);
    auto fresh = MUST(OpenEmbedded(runtime, {.directory = folder_.path() + "/fresh"}));
    EXPECT_EQ(Dump(*fresh->Latest()), before);
    EXPECT_EQ(MustPut(*fresh, "new", "1"), 23);
    fresh->Close();
  });
  WithStore([&](rt::Runtime& runtime, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), before);
    EXPECT_EQ(store.Latest()->Get("k8")->create_revision, 10);
    EXPECT_EQ(store.Latest()->revision(), 1000022);
    // Whoever saw a revision behind the backup's begins anew.
    EXPECT_TRUE(store.StartWatch(runtime, {.prefix = "", .after = 26}).Failed(Reason::kExpired));
    EXPECT_EQ(MustPut(store, "k1", "new"), 1000023);
  });
}

TEST_F(ToolsTest, ABackupOfARunningStoreIsOfOneMoment) {
  Lines before;
  WithStore([&](rt::Runtime& runtime, Store& store) {
    for (int i = 0; i < 500; i++) MustPut(store, "k" + std::to_string(i), std::string(2000, 'v'));
    const auto source = store.maintenance()->StartBackup();
    before = Dump(*store.Latest());
    EXPECT_TRUE(
        BackupFolder(runtime, directory(), [](std::string_view) { return Ok(); }).Failed(Reason::kServiceUnavailable));
    std::string bytes;
    int rounds = 0;
    while (MUST(source->Next(bytes))) MustPut(store, "k" + std::to_string(rounds++), "changed");
    EXPECT_GE(rounds, 4);
    Write(backup(), bytes);
    EXPECT_EQ(MUST(RestoreFolder(runtime, folder_.path() + "/other", backup(), {.bump = 0})).records, 500u);
    auto other = MUST(OpenEmbedded(runtime, {.directory = folder_.path() + "/other"}));
    EXPECT_EQ(Dump(*other->Latest()), before);
    other->Close();
  });
}

TEST_F(ToolsTest, ADamagedBackupIsRefusedBeforeAnythingIsTouched) {
  Fill();
  BackUp();
  const std::string good = Read(backup());
  const std::string store = Read(path());
  size_t cases = 0;
  auto refused = [&](const std::string& bytes) {
    Write(backup(), bytes);
    const std::string error = ErrorOf([&](rt::Runtime& runtime) -> Ok {
      TRY(RestoreFolder(runtime, directory(), backup(), {.force = true}));
      return {};
    });
    EXPECT_TRUE(error.starts_with("BadRequest: " + backup() + ": ")) << error;
    cases++;
  };
  for (size_t at = 0; at < good.size(); at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    refused(bad);
    refused(good.substr(0, at));
  }
  refused(good + "x");
  refused(good + good);
  EXPECT_GT(cases, 200u);
  EXPECT_TRUE(Read(path()) == store);
}

TEST_F(ToolsTest, CompactionLeavesTheNewestStateAlone) {
  WithStore([](rt::Runtime&, Store& store) {
    for (int i = 0; i < 300; i++) MustPut(store, "k" + std::to_string(i % 10), std::string(3000, 'a' + i % 26));
    MustDelete(store, "k0");
  });
  Lines before;
  WithStore([&](rt::Runtime&, Store& store) { before = Dump(*store.Latest()); });
  Run([&](rt::Runtime& runtime) {
    const Reclaimed done = MUST(CompactFolder(runtime, directory()));
    EXPECT_EQ(done.compacted, 302);
    EXPECT_LT(done.disk_bytes, 100 << 10);
    EXPECT_LT(done.disk_bytes, done.disk_bytes_before / 2);
    // For its owner alone, as the one before.
    EXPECT_EQ(MUST(runtime.files().Stat(path())).mode, 0600u);
    EXPECT_EQ(Left(), Lines({"lock", "store.db"}));
  });
  WithStore([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), before);
    EXPECT_EQ(store.stats().compacted, 302);
    EXPECT_EQ(MustPut(store, "k0", "1"), 303);
  });
}

TEST_F(ToolsTest, WhatIsNotThereOrInUseIsSaid) {
  const auto check = [&](rt::Runtime& runtime) -> Ok {
    TRY(CheckFolder(runtime, directory()));
    return {};
  };
  EXPECT_EQ(ErrorOf(check), "NotFound: there is no store in " + directory());
  std::filesystem::create_directories(directory());
  EXPECT_EQ(ErrorOf(check), "NotFound: there is no store in " + directory());
  Fill();
  BackUp();
  WithStore([&](rt::Runtime& runtime, Store&) {
    const std::string in_use = "store " + path() + " is in use by another knarr server";
    EXPECT_EQ(CheckFolder(runtime, directory()).status().message(), in_use);
    EXPECT_EQ(RepairFolder(runtime, directory()).status().message(), in_use);
    EXPECT_EQ(CompactFolder(runtime, directory()).status().message(), in_use);
    EXPECT_EQ(RestoreFolder(runtime, directory(), backup(), {.force = true}).status().message(),
              "stop the server first: " + in_use);
  });
  Write(path(), "this is no database at all, but a text that is long enough to be looked at" + std::string(9000, 'x'));
  Run([&](rt::Runtime& runtime) {
    EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 1u);
    EXPECT_FALSE(RepairFolder(runtime, directory()).ok());
    // A backup helps.
    EXPECT_TRUE(RestoreFolder(runtime, directory(), backup(), {.force = true}).ok());
    EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 0u);
  });
}

}  // namespace
}  // namespace knarr::store
