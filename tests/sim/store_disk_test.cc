// Single moments of the store with its real engine on a disk that fails, each tried in many worlds.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <optional>

#include "fault_vfs.h"
#include "rt/sync.h"
#include "store/core.h"
#include "store/folder.h"
#include "store/journaled_log.h"
#include "store/rewrite.h"
#include "store/store_test_util.h"

namespace knarr::sim {
namespace {

using namespace std::chrono_literals;
using store::MustPut;
using store::PutOp;

constexpr const char* kFolder = "/store";

class Disk {
 public:
  explicit Disk(rt::Runtime& runtime, store::JournalLimits limits = {})
      : runtime_(runtime), faults_(runtime), limits_(limits) {
    MUST(runtime.files().MakeDirectories(kFolder, 0700));
    MUST(runtime.files().SyncDirectory("/"));
  }
  FaultVfs* operator->() { return &faults_; }

  Result<std::unique_ptr<store::Core>> Open(store::CoreOptions options = {}) {
    const std::string path = store::DatabasePath(kFolder);
    TRY(store::FinishReplace(runtime_.files(), path));
    TRY(store::MakeDatabaseFile(runtime_.files(), path));
    store::OpenedLog log = TRY(store::OpenJournaledLog(runtime_, {.path = path, .limits = limits_}));
    return std::make_unique<store::Core>(runtime_, std::move(options), std::move(log.log), std::move(log.recovered));
  }
  void Kill(store::Core& core) {
    faults_.Die();
    core.Close();
  }

 private:
  rt::Runtime& runtime_;
  FaultVfs faults_;
  const store::JournalLimits limits_;
};

// An upgrade draws the database's generation: when the power fails behind the first change, both are there.
TEST(StoreDisk, AnUpgradeIsOnTheDiskBeforeTheFirstChange) {
  std::ifstream in(std::string(KNARR_SOURCE_DIR) + "/tests/golden/store/format-2.db", std::ios::binary);
  const std::string old(std::istreambuf_iterator<char>(in), {});
  ASSERT_GT(old.size(), 8192u);
  for (uint64_t seed = 1; seed <= 30; seed++) {
    store::RunSim(seed, [&](rt::Runtime& runtime) {
      Disk disk(runtime);
      {
        const auto file = MUST(runtime.files().Open(store::DatabasePath(kFolder), rt::OpenMode::kCreateNew));
        MUST(file->WriteAt(0, old));
        MUST(file->Sync());
        MUST(runtime.files().SyncDirectory(kFolder));
      }
      auto core = MUST(disk.Open());
      MustPut(*core, "new", "1");
      disk.Kill(*core);
      disk->PowerFails();
      core = MUST(disk.Open());
      EXPECT_TRUE(core->Latest()->Get("new")) << "seed " << seed;
      EXPECT_TRUE(core->Latest()->Get("/registry/core/secrets/default/s"));
      core->Close();
    });
  }
}

// The same for a server that was killed while it made the database: the next one finds what only the kernel has.
TEST(StoreDisk, ADatabaseThatWasBarelyMadeIsOnTheDiskBeforeTheFirstChange) {
  for (uint64_t seed = 1; seed <= 150; seed++) {
    store::RunSim(seed, [&](rt::Runtime& runtime) {
      Disk disk(runtime);
      rt::TaskGroup killer(runtime, "killer");
      killer.Spawn("killer", [&] {
        for (uint64_t steps = seed; steps > 0; steps--) runtime.Yield();
        disk->Die();
      });
      auto core = disk.Open();
      killer.Join();
      if (core.ok()) (*core)->Close();
      disk->Revive();
      core = disk.Open();
      ASSERT_TRUE(core.ok()) << "seed " << seed << ": " << core.status().ToString();
      MustPut(**core, "new", "1");
      disk.Kill(**core);
      disk->PowerFails();
      core = MUST(disk.Open());
      EXPECT_TRUE((*core)->Latest()->Get("new")) << "seed " << seed;
      (*core)->Close();
    });
  }
}

// Of a frame that did not fit, all but the zeros behind it may have been written: who hears that the change was not
// saved must not find it behind a kill.
TEST(StoreDisk, WhatWasRefusedOnAFullDiskDoesNotComeBack) {
  int refused = 0;
  for (uint64_t seed = 1; seed <= 100; seed++) {
    store::RunSim(seed, [&](rt::Runtime& runtime) {
      Disk disk(runtime, {.least = 16 << 20, .file_least = 1 << 20});
      auto core = MUST(disk.Open());
      MustPut(*core, "first", "1");
      disk->full = true;
      std::string last;
      for (int i = 0; last.empty() && i < 1000; i++) {
        const std::string key = "k" + std::to_string(i);
        const auto done = core->Txn({}, {PutOp(key, std::string(1000 + runtime.Random() % 3000, 'v'))});
        if (done.ok()) continue;
        EXPECT_TRUE(done.status().message().starts_with("mvcc: database space exceeded")) << done.status().ToString();
        last = key;
      }
      ASSERT_FALSE(last.empty());
      refused++;
      disk.Kill(*core);
      disk->Revive();
      core = MUST(disk.Open());
      EXPECT_FALSE(core->Latest()->Get(last)) << "seed " << seed;
      EXPECT_EQ(MUST(core->Check()).damaged, 0u);
      MustPut(*core, last, "again");
      core->Close();
    });
  }
  EXPECT_EQ(refused, 100);
}

// A database that can't be trusted any more is known to be so at once, not only when something is written.
TEST(StoreDisk, AnErrorWhileApplyingIsToldAtOnce) {
  store::RunSim(1, [](rt::Runtime& runtime) {
    Disk disk(runtime);
    std::vector<std::string> told;
    auto core = MUST(disk.Open(
        {.on_health = [&](const Ok& health) { told.push_back(health.ok() ? "well" : health.status().message()); }}));
    for (int i = 0; i < 20; i++) MustPut(*core, "k" + std::to_string(i % 7), std::string(3000, 'v'));
    const uint64_t commits = core->stats().commits;
    MUST(core->Compact(core->Latest()->revision()));
    while (core->stats().commits == commits) runtime.Yield();
    // What is forgotten is in the journal, and on its way to the database.
    disk->sync_fails = 1;
    ASSERT_TRUE(runtime.Sleep(100ms).ok());
    EXPECT_GT(disk->syncs_failed, 0u);
    EXPECT_FALSE(core->Health().ok());
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].starts_with("the store is read-only since a write failed: ")) << told[0];
    const auto refused = core->Txn({}, {PutOp("k1", "2")});
    EXPECT_TRUE(refused.Failed(Reason::kServiceUnavailable));
    disk->sync_fails = 0;
    ASSERT_TRUE(runtime.Sleep(10s).ok());
    EXPECT_TRUE(core->Health().ok());
    EXPECT_EQ(told.size(), 2u);
    EXPECT_EQ(told.back(), "well");
    EXPECT_EQ(MUST(core->Check()).damaged, 0u);
    EXPECT_EQ(core->Latest()->Count(""), 7u);
    disk.Kill(*core);
    disk->PowerFails();
    core = MUST(disk.Open());
    EXPECT_EQ(core->Latest()->Count(""), 7u);
    core->Close();
  });
}

}  // namespace
}  // namespace knarr::sim
