// The journal in front of the database: its frames, a store that was killed, and what is damaged.

#include "store/journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "rt/file_system.h"
#include "rt/real.h"
#include "store/core.h"
#include "store/folder.h"
#include "store/journaled_log.h"
#include "store/store_test_util.h"
#include "store/tools.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

constexpr JournalMark kMark{.generation = 7, .applied = 0};

/// A frame with one record, whose row and revision are its sequence.
std::string FrameOf(uint64_t sequence, const std::string& value, uint64_t generation = kMark.generation) {
  Record record;
  record.row = record.revision = record.created = static_cast<int64_t>(sequence);
  record.key = "k";
  record.value = value;
  FrameWriter writer;
  writer.Begin();
  writer.AddRecord(record);
  writer.AddForget(static_cast<int64_t>(sequence) - 1);
  const std::string_view bytes = writer.End(generation, sequence, 3, 0, 8, 0);
  EXPECT_EQ(bytes.size(), writer.frame_bytes());
  return std::string(bytes);
}

std::vector<uint64_t> SequencesOf(const JournalRun& run) {
  std::vector<uint64_t> sequences;
  for (const Frame& frame : run.frames) sequences.push_back(frame.head.sequence);
  return sequences;
}

using Sequences = std::vector<uint64_t>;

TEST(JournalFormat, AFrameIsReadAsItWasWritten) {
  const std::string bytes = FrameOf(5, "value");
  const auto head = ReadHead(bytes);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->row_first, 5);
  EXPECT_EQ(FrameBytes(*head), bytes.size());
  const auto frame = ReadFrame(*head, bytes);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->compacted, 3);
  EXPECT_EQ(frame->forget, std::vector<int64_t>{4});
  ASSERT_EQ(frame->records.size(), 1u);
  EXPECT_EQ(frame->records[0].value, "value");
  EXPECT_TRUE(frame->records[0].Good());
  // Any bit of it matters, up to the padding.
  for (size_t at = 0; at < kFrameHead + head->body_bytes; at++) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    const auto other = ReadHead(bad);
    EXPECT_FALSE(other && ReadFrame(*other, bad)) << at;
  }
  for (size_t size = 0; size < kFrameHead + head->body_bytes; size++) {
    const auto part = ReadHead(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(part && ReadFrame(*part, std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(JournalFormat, WhatAnEarlierUseOfAFileLeftIsOfNoAccount) {
  std::string bytes;
  for (uint64_t sequence = 1; sequence <= 6; sequence++) bytes += FrameOf(sequence, std::string(100, 'v'));
  EXPECT_EQ(SequencesOf(ReadRun(bytes, kMark)), (Sequences{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ReadRun(bytes, kMark).end, bytes.size());
  // Used again, with frames as long, and with shorter ones.
  for (const size_t size : {100, 60}) {
    const std::string again = FrameOf(7, std::string(size, 'w')) + FrameOf(8, std::string(size, 'w'));
    const JournalRun run = ReadRun(again + bytes.substr(again.size()), {.generation = 7, .applied = 6});
    EXPECT_EQ(SequencesOf(run), (Sequences{7, 8}));
    EXPECT_EQ(run.end, again.size());
    EXPECT_TRUE(run.holes.empty());
  }
  // The first frame of the next use was torn.
  bytes[70] = '!';
  EXPECT_TRUE(ReadRun(bytes, {.generation = 7, .applied = 6}).frames.empty());
  EXPECT_TRUE(ReadRun(bytes, {.generation = 7, .applied = 6}).holes.empty());
  // Nor is another database's journal.
  EXPECT_TRUE(ReadRun(bytes, {.generation = 8, .applied = 0}).frames.empty());
}

TEST(JournalFormat, AHoleIsToldFromTheEnd) {
  std::string bytes;
  for (uint64_t sequence = 1; sequence <= 6; sequence++) bytes += FrameOf(sequence, std::string(100, 'v'));
  const size_t frame = bytes.size() / 6;
  for (size_t damaged = 0; damaged < 6; damaged++) {
    std::string bad = bytes;
    bad[damaged * frame + 90] ^= 4;
    const JournalRun run = ReadRun(bad, kMark);
    EXPECT_EQ(run.frames.size(), 5u);
    EXPECT_EQ(run.holes.size(), damaged == 5 ? 0u : 1u);
    if (damaged < 5) {
      EXPECT_EQ(run.holes[0].offset, damaged * frame);
      EXPECT_EQ(run.holes[0].before, damaged);
    }
  }
}

/// Hides values from whoever looks at the disk.
class Flipping : public Sealer {
 public:
  Result<std::optional<std::string>> Seal(std::string_view, std::string_view value) const override {
    return std::optional("sealed:" + Flip(value));
  }
  Result<Opened> Open(std::string_view, std::string_view bytes) const override {
    if (!bytes.starts_with("sealed:")) return Opened{.value = std::nullopt, .stale = true};
    return Opened{.value = Flip(bytes.substr(7)), .stale = false};
  }

 private:
  static std::string Flip(std::string_view value) {
    std::string out(value);
    for (char& byte : out) byte = static_cast<char>(byte ^ 0x55);
    return out;
  }
};

class JournalTest : public testing::Test {
 protected:
  std::string directory() const { return folder_.path() + "/data"; }
  std::string path() const { return directory() + "/store.db"; }
  std::string Saved() const { return folder_.path() + "/saved"; }

  void Run(const std::function<void(rt::Runtime&)>& body) {
    auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
    runtime->Run([&] { body(*runtime); });
  }
  void WithStore(const std::function<void(rt::Runtime&, Store&)>& body, EmbeddedOptions options = {}) {
    options.directory = directory();
    Run([&](rt::Runtime& runtime) {
      auto store = MUST(OpenEmbedded(runtime, options));
      body(runtime, *store);
      store->Close();
    });
  }
  /// As WithStore, and the folder is as a kill at the end of `body` would leave it.
  void WithKilledStore(const std::function<void(rt::Runtime&, Store&)>& body, EmbeddedOptions options = {}) {
    WithStore(
        [&](rt::Runtime& runtime, Store& store) {
          body(runtime, store);
          std::filesystem::copy(directory(), Saved());
        },
        std::move(options));
    std::filesystem::remove_all(directory());
    std::filesystem::rename(Saved(), directory());
  }
  static std::string Read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Change(const std::string& file, size_t at, const std::string& bytes) {
    std::fstream out(directory() + "/" + file, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(at));
    out << bytes;
  }
  /// Where a value lies in the journal's first file.
  size_t PlaceOf(const std::string& value) { return Read(directory() + "/journal-1").find(value); }
  /// Whether any file has it.
  bool OnDisk(const std::string& text) {
    return std::ranges::any_of(std::filesystem::directory_iterator(directory()),
                               [&](const auto& entry) { return Read(entry.path()).find(text) != std::string::npos; });
  }
  ScratchFolder folder_;
};

TEST_F(JournalTest, AKilledStoreIsReadWithItsJournal) {
  Lines before;
  WithKilledStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 20; i++) MustPut(store, "k" + std::to_string(i % 7), "value " + std::to_string(i));
    MustDelete(store, "k3");
    before = Dump(*store.Latest());
  });
  EXPECT_EQ(Read(path()).find("value 19"), std::string::npos);
  Run([&](rt::Runtime& runtime) {
    const CheckReport report = MUST(CheckFolder(runtime, directory()));
    EXPECT_EQ(report.damaged, 0u);
    EXPECT_EQ(report.records, 21u);
    EXPECT_EQ(report.revision, 22);
    const StoreStats stats = MUST(StatsOfFolder(runtime, directory()));
    EXPECT_EQ(stats.keys, 6u);
    EXPECT_EQ(stats.revision, 22);
    EXPECT_EQ(stats.history_events, 21u);
    EXPECT_GE(stats.disk_bytes, 256 << 10);
    std::string backup;
    EXPECT_EQ(MUST(BackupFolder(runtime, directory(),
                                [&](std::string_view bytes) {
                                  backup += bytes;
                                  return Ok();
                                }))
                  .records,
              6u);
    EXPECT_NE(backup.find("value 19"), std::string::npos);
  });
  // Killed again, with changes of both lives in the journal.
  WithKilledStore([&](rt::Runtime& runtime, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), before);
    auto watch = MUST(store.StartWatch(runtime, {.prefix = "", .after = 20}));
    EXPECT_EQ(Dump(MUST(watch->Next())), (Lines{"+k5=value 19@21", "-k3@22"}));
    EXPECT_EQ(MustPut(store, "new", "1"), 23);
    before = Dump(*store.Latest());
    EXPECT_EQ(MUST(store.maintenance()->Check()).records, 22u);
  });
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), before); });
  // Closed, all of it is in the database, and nothing else is left.
  EXPECT_NE(Read(path()).find("value 19"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(directory() + "/journal-1"));
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), before); });
}

TEST_F(JournalTest, AKilledStoreIsCompactedWithItsJournal) {
  Lines before;
  WithKilledStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 20; i++) MustPut(store, "k" + std::to_string(i % 7), "value " + std::to_string(i));
    before = Dump(*store.Latest());
  });
  Run([&](rt::Runtime& runtime) { EXPECT_EQ(MUST(CompactFolder(runtime, directory())).compacted, 21); });
  // The old journal is gone, and would not count.
  EXPECT_FALSE(std::filesystem::exists(directory() + "/journal-1"));
  WithStore([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), before);
    EXPECT_EQ(store.stats().compacted, 21);
  });
}

TEST_F(JournalTest, AnotherDatabasesJournalIsLeftAlone) {
  WithKilledStore([&](rt::Runtime&, Store& store) { MustPut(store, "mine", "1"); });
  std::filesystem::rename(directory() + "/journal-1", folder_.path() + "/journal");
  std::filesystem::remove_all(directory());
  WithStore([&](rt::Runtime&, Store& store) { MustPut(store, "other", "1"); });
  std::filesystem::rename(folder_.path() + "/journal", directory() + "/journal-1");
  WithStore([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), Lines{"other=1@2"});
    MustPut(store, "other", "2");
  });
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(Dump(*store.Latest()), Lines{"other=2@3"}); });
}

TEST_F(JournalTest, WhatIsTornAtTheEndWasNeverThere) {
  WithKilledStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 5; i++) MustPut(store, "k" + std::to_string(i), std::string(3000, static_cast<char>('a' + i)));
  });
  Change("journal-1", PlaceOf("eeeee") + 2000, std::string(1000, '\0'));
  WithKilledStore([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(store.Latest()->Count(""), 4u);
    EXPECT_EQ(MustPut(store, "k4", "again"), 6);
  });
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(*store.Latest()->Get("k4")->value, "again"); });
}

TEST_F(JournalTest, DamageInTheMiddleIsToldAndRepaired) {
  WithKilledStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 6; i++) MustPut(store, "k" + std::to_string(i), std::string(300, static_cast<char>('a' + i)));
    MustPut(store, "k0", "newer");
  });
  const size_t at = PlaceOf("ccccc");
  Change("journal-1", at + 17, "!");
  const std::string file = "the journal's file journal-1 is damaged at byte ";
  Run([&](rt::Runtime& runtime) {
    const auto opened = OpenEmbedded(runtime, {.directory = directory()});
    ASSERT_TRUE(opened.Failed(Reason::kInternalError));
    EXPECT_TRUE(opened.status().message().starts_with("store " + path() + " is damaged: " + file))
        << opened.status().message();
    EXPECT_TRUE(StatsOfFolder(runtime, directory()).Failed(Reason::kInternalError));
    const CheckReport found = MUST(CheckFolder(runtime, directory()));
    ASSERT_EQ(found.damaged, 1u);
    EXPECT_EQ(found.damages[0].row, 3);
    EXPECT_EQ(found.damages[0].row_end, 3);
    EXPECT_TRUE(found.damages[0].why.starts_with("can't be read: " + file)) << found.damages[0].why;
    EXPECT_EQ(found.records, 6u);
    const CheckReport repaired = MUST(RepairFolder(runtime, directory()));
    EXPECT_EQ(repaired.damaged, 1u);
    EXPECT_EQ(repaired.damages[0].outcome, "dropped; which objects they were can't be read");
    EXPECT_EQ(MUST(CheckFolder(runtime, directory())).damaged, 0u);
  });
  EXPECT_TRUE(std::filesystem::exists(directory() + "/damaged-1.db-journal-1"));
  WithStore([&](rt::Runtime&, Store& store) {
    EXPECT_EQ(store.Latest()->Count(""), 5u);
    EXPECT_FALSE(store.Latest()->Get("k2"));
    EXPECT_EQ(*store.Latest()->Get("k0")->value, "newer");
    EXPECT_GE(MustPut(store, "k2", "1"), 9);
  });
}

TEST_F(JournalTest, DamageOfTheJournalsMarkIsToldAndRepaired) {
  WithStore([](rt::Runtime&, Store& store) { MustPut(store, "a", "1"); });
  WithKilledStore([](rt::Runtime&, Store& store) { MustPut(store, "b", "1"); });
  Run([&](rt::Runtime& runtime) {
    Database database(path());
    MUST(database.Open());
    MUST(database.Run("UPDATE journal SET applied=77"));
    database.Close();
    EXPECT_TRUE(OpenEmbedded(runtime, {.directory = directory()}).Failed(Reason::kInternalError));
    const CheckReport found = MUST(CheckFolder(runtime, directory()));
    ASSERT_EQ(found.damaged, 1u);
    EXPECT_NE(found.damages[0].why.find("the mark of the journal does not match its checksum"), std::string::npos);
    const CheckReport repaired = MUST(RepairFolder(runtime, directory()));
    EXPECT_EQ(repaired.damages[0].outcome, "its files are kept; what only they had is lost");
  });
  EXPECT_TRUE(std::filesystem::exists(directory() + "/damaged-1.db-journal-1"));
  WithStore([](rt::Runtime&, Store& store) {
    EXPECT_EQ(Dump(*store.Latest()), Lines{"a=1@2"});
    EXPECT_GT(MustPut(store, "b", "2"), 3);
  });
}

TEST_F(JournalTest, ARunningCheckReadsTheJournal) {
  WithStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 6; i++) MustPut(store, "k" + std::to_string(i), std::string(300, static_cast<char>('a' + i)));
    EXPECT_EQ(MUST(store.maintenance()->Check()).damaged, 0u);
    for (const char* value : {"fffff", "ccccc"}) {
      Change("journal-1", PlaceOf(value) + 17, "!");
      EXPECT_EQ(MUST(store.maintenance()->Check()).damaged, 1u) << value;
    }
    const CheckReport repaired = MUST(store.maintenance()->Repair());
    EXPECT_EQ(repaired.damages.at(0).outcome, "written anew from the server's memory");
    const CheckReport after = MUST(store.maintenance()->Check());
    EXPECT_EQ(after.damaged, 0u);
    EXPECT_EQ(after.records, 6u);
  });
}

// What was forgotten while only the journal had it must not take a later record along that has its number.
TEST_F(JournalTest, RowsOfTheJournalComeOnce) {
  EmbeddedOptions options{.directory = "", .history_events_max = 1};
  for (int life = 0; life < 4; life++) {
    WithKilledStore(
        [&](rt::Runtime& runtime, Store& store) {
          EXPECT_EQ(store.Latest()->Count("kept"), static_cast<size_t>(life));
          MustPut(store, "kept" + std::to_string(life), "1");
          MustPut(store, "gone", "1");
          MustDelete(store, "gone");
          MUST(store.Compact(store.Latest()->revision()));
          (void)runtime.Sleep(50ms);
        },
        options);
  }
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(store.Latest()->Count("kept"), 4u); }, options);
}

TEST_F(JournalTest, NothingIsLeftOfWhatWasNotSealed) {
  const std::string secret = "a value that nobody may see";
  WithKilledStore([&](rt::Runtime&, Store& store) {
    for (int i = 0; i < 50; i++) MustPut(store, "k" + std::to_string(i), secret + std::string(2000, 'v'));
    MUST(store.maintenance()->Reclaim());
    for (int i = 0; i < 100; i++) MustPut(store, "k" + std::to_string(i), secret + std::string(1000, 'w'));
  });
  EXPECT_TRUE(OnDisk(secret));
  EmbeddedOptions options{.directory = "", .sealer = std::make_shared<Flipping>()};
  WithStore(
      [&](rt::Runtime& runtime, Store& store) {
        for (int i = 0; i < 500 && OnDisk(secret); i++) (void)runtime.Sleep(10ms);
        EXPECT_FALSE(OnDisk(secret));
        EXPECT_EQ(*store.Latest()->Get("k7")->value, secret + std::string(1000, 'w'));
        MustPut(store, "more", secret);
      },
      options);
  EXPECT_FALSE(OnDisk(secret));
  WithStore([&](rt::Runtime&, Store& store) { EXPECT_EQ(*store.Latest()->Get("more")->value, secret); }, options);
}

// Small files, so that they are used in turn, over and over.
TEST_F(JournalTest, FilesAreUsedAgain) {
  Run([&](rt::Runtime& runtime) {
    std::map<std::string, int, std::less<>> rare;
    const auto open = [&] {
      std::filesystem::create_directories(directory());
      MUST(MakeDatabaseFile(runtime.files(), path()));
      OpenedLog opened =
          MUST(OpenJournaledLog(runtime, {.path = path(),
                                          .limits = {.least = 64 << 10, .most = 64 << 10, .file_least = 8 << 10},
                                          .probe = [&](std::string_view what) { rare[std::string(what)]++; }}));
      return std::make_unique<Core>(runtime, CoreOptions{.disk_history_bytes_min = 5000}, std::move(opened.log),
                                    std::move(opened.recovered));
    };
    auto core = open();
    rt::TaskGroup writers(runtime, "writers");
    for (int w = 0; w < 8; w++) {
      writers.Spawn("writer", [&, w] {
        for (int i = 0; i < 200; i++) {
          MustPut(*core, "k" + std::to_string((i * 8 + w) % 20), std::string(1000, 'v') + std::to_string(i));
        }
      });
    }
    writers.Join();
    size_t bytes = 0;
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) {
      if (!IsJournal(entry.path().filename().string())) continue;
      files++;
      bytes += entry.file_size();
    }
    EXPECT_GE(files, 2u);
    EXPECT_LE(bytes, 128u << 10);
    EXPECT_GT(rare["a file of the journal is used again"], 20);
    EXPECT_GT(rare["a record is superseded and forgotten before it comes to the database"], 20);
    const Lines before = Dump(*core->Latest());
    core->Close();
    core = open();
    EXPECT_EQ(Dump(*core->Latest()), before);
    EXPECT_EQ(MUST(core->Check()).damaged, 0u);
    core->Close();
  });
}

}  // namespace
}  // namespace knarr::store
