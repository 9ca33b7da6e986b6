// The store with its real engine on a disk that fails in every way, in simulation: clients write, compare and set, and
// read; the disk tears, loses and reorders what was not synced, fails syncs, is full, flips bits; the power fails at
// any moment and comes back. What the clients saw must be linearizable for each key, across all of it.
//
// With bugs planted under or over the store the checker must find a violation.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "fault_vfs.h"
#include "rt/sim.h"
#include "rt/sync.h"
#include "store/core.h"
#include "store/folder.h"
#include "store/journaled_log.h"
#include "store/rewrite.h"
#include "store/testing_linearizability.h"

namespace knarr::sim {
namespace {

using namespace std::chrono_literals;
using store::RegisterCall;
using Kind = RegisterCall::Kind;
using Probes = std::map<std::string, uint64_t, std::less<>>;
using Histories = std::map<std::string, std::vector<RegisterCall>>;

constexpr const char* kFolder = "/store";
constexpr uint64_t kSeeds = KNARR_LINEAR_SEEDS;

/// What is wrong with the world on purpose.
enum class Bug : uint8_t { kNone, kSyncsLie, kStaleReads, kComparesNothing, kEarlyAnswers };

/// Each fault is on or off per seed.
struct Plan {
  explicit Plan(rt::Runtime& runtime) {
    auto one_in = [&](uint64_t of) { return runtime.Random() % of == 0; };
    crashes = 1 + runtime.Random() % 5;
    clients = 2 + runtime.Random() % 5;
    keys = 1 + runtime.Random() % 4;
    large_values = one_in(3);
    sync_fails = one_in(3) ? 20 + runtime.Random() % 100 : 0;
    fills = one_in(3);
    flips = one_in(6);
    compacts = one_in(2);
    small_history = one_in(2);
    slow = one_in(4);
    // Small enough that files of the journal are used in turn, and writers wait for room.
    if (one_in(4)) return;
    limits = {.least = size_t{4096} << runtime.Random() % 4,
              .most = 64 << 10,
              .file_least = 4096,
              .log_least = 16 << 10,
              .log_most = 64 << 10,
              .step = 500,
              .forget_least = size_t{1} << runtime.Random() % 7};
  }
  uint64_t crashes, clients, keys, sync_fails = 0;
  bool large_values, fills, flips, compacts, small_history, slow;
  store::JournalLimits limits{};
};

class World {
 public:
  World(rt::Runtime& runtime, Bug bug, Probes& probes)
      : runtime_(runtime), plan_(runtime), disk_(runtime), bug_(bug), probes_(probes) {
    // Somebody has to notice a lie: a bug needs what it breaks.
    if (bug_ == Bug::kSyncsLie) plan_.flips = false;
  }

  /// What the clients saw; empty when damage was found and told.
  Histories Run() {
    MUST(runtime_.files().MakeDirectories(kFolder, 0700));
    MUST(runtime_.files().SyncDirectory("/"));
    for (uint64_t life = 0; life <= plan_.crashes; life++) {
      Result<std::unique_ptr<store::Store>> opened = Open();
      if (!opened.ok() && flipped_) return {};  // found, and told
      if (!opened.ok()) {
        damaged_ = true;
        if (bug_ == Bug::kNone) ADD_FAILURE() << opened.status().ToString();
        return {};
      }
      store_ = std::move(*opened);
      Live(life == plan_.crashes);
      store_->Close();
      store_.reset();
      // A kill alone leaves what was written, synced or not.
      if (UpTo(3) == 0) {
        disk_.Revive();
        continue;
      }
      disk_.PowerFails();
      if (plan_.flips && UpTo(2) == 0) {
        disk_.FlipBit(store::DatabasePath(kFolder));
        flipped_ = true;
      }
    }
    return std::move(histories_);
  }
  /// A store that nobody damaged was found to be.
  bool damaged() const { return damaged_; }
  uint64_t syncs_failed() const { return disk_.syncs_failed; }
  uint64_t refused() const { return refused_; }

 private:
  uint64_t UpTo(uint64_t bound) { return runtime_.Random() % bound; }

  Result<std::unique_ptr<store::Store>> Open() {
    disk_.sync_fails = 0;
    disk_.slow = false;
    disk_.syncs_lie = bug_ == Bug::kSyncsLie;
    const std::string path = store::DatabasePath(kFolder);
    TRY(store::FinishReplace(runtime_.files(), path));
    TRY(store::MakeDatabaseFile(runtime_.files(), path));
    store::OpenedLog log = TRY(store::OpenJournaledLog(
        runtime_, {.path = path, .limits = plan_.limits, .probe = [this](std::string_view rare) {
                     probes_[std::string(rare)]++;
                   }}));
    store::CoreOptions options;
    options.queue_max = 1 + UpTo(8);
    if (plan_.small_history) options.history.events_max = 20;
    if (plan_.small_history) options.disk_history_bytes_min = 500;
    return std::unique_ptr<store::Store>(
        std::make_unique<store::Core>(runtime_, options, std::move(log.log), std::move(log.recovered)));
  }

  void Live(bool last) {
    disk_.sync_fails = plan_.sync_fails;
    disk_.slow = plan_.slow;
    rt::TaskGroup clients(runtime_, "clients");
    const uint64_t operations = 5 + UpTo(25);
    for (uint64_t client = 0; client < plan_.clients; client++) {
      clients.Spawn("client", [this, operations] {
        for (uint64_t i = 0; i < operations && !dying_; i++) Operate();
      });
    }
    if (plan_.fills) {
      clients.Spawn("filler", [this] {
        (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(200)));
        disk_.full = true;
        (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(3000)));
        disk_.full = false;
      });
    }
    if (!last) {
      // At any step, also in the middle of a commit.
      for (uint64_t steps = UpTo(3000); steps > 0; steps--) runtime_.Yield();
      if (UpTo(2) == 0) (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(400)));
      dying_ = true;
      disk_.Die();
    }
    clients.Join();
    dying_ = false;
  }

  std::string NewValue() {
    std::string value = "v" + std::to_string(++values_);
    if (plan_.large_values) value += std::string(UpTo(20000), '.');
    return value;
  }

  /// "" deletes.
  static RegisterCall::Value ValueOf(const std::string& value) {
    return value.empty() ? RegisterCall::Value() : RegisterCall::Value(value);
  }

  /// Begins an operation on the key; its place in the history.
  size_t Call(const std::string& key, RegisterCall operation) {
    operation.called = ++moment_;
    histories_[key].push_back(std::move(operation));
    return histories_[key].size() - 1;
  }

  void Operate() {
    if (UpTo(3) == 0) (void)runtime_.Sleep(std::chrono::milliseconds(UpTo(20)));
    const std::string key = "k" + std::to_string(UpTo(plan_.keys));
    if (!store_->Health().ok()) {
      (void)runtime_.Sleep(300ms);
      return;
    }
    if (plan_.compacts && UpTo(10) == 0) (void)store_->Compact(store_->Latest()->revision());
    switch (UpTo(4)) {
      case 0:
        return Read(key);
      case 1:
        return CompareAndSet(key);
      case 2:
        return Write(key, UpTo(3) == 0 ? "" : NewValue());
      default:
        return Write(key, NewValue());
    }
  }

  std::shared_ptr<const store::Snapshot> Newest() {
    auto latest = store_->Latest();
    if (bug_ != Bug::kStaleReads || UpTo(4) != 0) return latest;
    auto older = store_->At(std::max<store::Revision>(latest->revision() - 2, 1));
    return older.ok() ? *older : latest;
  }

  void Read(const std::string& key) {
    const size_t at = Call(key, {.kind = Kind::kRead});
    const auto found = Newest()->Get(key);
    RegisterCall& operation = histories_[key][at];
    if (found) operation.value = *found->value;
    operation.returned = ++moment_;
  }

  void Write(const std::string& key, const std::string& value) {
    const size_t at = Call(key, {.kind = Kind::kWrite, .value = ValueOf(value)});
    End(key, at, Send({}, key, value));
  }

  void CompareAndSet(const std::string& key) {
    const auto found = store_->Latest()->Get(key);
    const std::string value = NewValue();
    const size_t at = Call(
        key,
        {.kind = Kind::kSwap, .value = value, .expected = found ? RegisterCall::Value(*found->value) : std::nullopt});
    std::vector<store::Compare> compares{{key, found ? found->mod_revision : 0}};
    if (UpTo(2) == 0) (void)runtime_.Sleep(1ms);
    if (bug_ == Bug::kComparesNothing) compares.clear();
    End(key, at, Send(std::move(compares), key, value));
  }

  Result<store::TxnResult> Send(std::vector<store::Compare> compares, const std::string& key,
                                const std::string& value) {
    store::Op op{.key = key, .value = value};
    if (value.empty()) op.value.reset();
    return store_->Txn(std::move(compares), {std::move(op)});
  }

  void End(const std::string& key, size_t at, const Result<store::TxnResult>& result) {
    RegisterCall& operation = histories_[key][at];
    if (result.ok()) {
      operation.returned = ++moment_;
      return;
    }
    refused_++;
    const std::string& why = result.status().message();
    if (bug_ == Bug::kEarlyAnswers && why.starts_with("the change may not")) {
      // As if it had been answered before it was durable.
      operation.returned = ++moment_;
      return;
    }
    // What failed for sure must never be seen: it is no part of the history.
    const bool never = result.Failed(Reason::kConflict) || result.Failed(Reason::kTooManyRequests) ||
                       why.starts_with("the change was not saved") || why.starts_with("the store is");
    if (never) operation = {.kind = Kind::kRead, .returned = 0};
  }

  rt::Runtime& runtime_;
  Plan plan_;
  FaultVfs disk_;
  const Bug bug_;
  Probes& probes_;
  std::unique_ptr<store::Store> store_;
  Histories histories_;
  int64_t moment_ = 0;
  uint64_t values_ = 0;
  uint64_t refused_ = 0;
  bool dying_ = false;
  bool flipped_ = false;
  bool damaged_ = false;
};

struct Seen {
  bool linearizable = true;
  uint64_t operations = 0;
  uint64_t syncs_failed = 0;
  uint64_t refused = 0;
};

Seen RunSeed(uint64_t seed, Probes& probes, Bug bug = Bug::kNone) {
  Seen seen;
  const auto runtime = rt::SimRuntime::Create({.seed = seed});
  runtime->Run([&] {
    World world(*runtime, bug, probes);
    for (auto& [key, history] : world.Run()) {
      // Those that did not happen were marked by a return before any call.
      std::erase_if(history, [](const RegisterCall& operation) { return operation.returned == 0; });
      seen.operations += history.size();
      store::RegisterHistory checked;
      for (RegisterCall& call : history) checked.Add(std::move(call));
      if (!checked.Linearizable()) seen.linearizable = false;
    }
    if (world.damaged()) seen.linearizable = false;
    seen.syncs_failed = world.syncs_failed();
    seen.refused = world.refused();
  });
  return seen;
}

TEST(StoreLinear, EveryHistoryIsLinearizable) {
  Seen all;
  Probes probes;
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    const Seen seen = RunSeed(seed, probes);
    ASSERT_TRUE(seen.linearizable) << "seed " << seed;
    all.operations += seen.operations;
    all.syncs_failed += seen.syncs_failed;
    all.refused += seen.refused;
  }
  // The faults did happen, and work was done between them.
  EXPECT_GT(all.operations, 50 * kSeeds);
  EXPECT_GT(all.syncs_failed, kSeeds / 10);
  EXPECT_GT(all.refused, kSeeds);
  // And the journal was where it comes to rarely.
  for (const char* rare :
       {"the journal gets another file", "a file of the journal is used again",
        "a start goes on in the middle of the journal", "what a failed write may have left is overwritten",
        "a writer is slowed", "a writer waits for room in the journal",
        "the database does not take what the journal has",
        "a record is superseded and forgotten before it comes to the database", "everything is written anew",
        "a file of the journal is made before it is needed", "records are brought in the middle of a purge"}) {
    EXPECT_GE(probes[rare], kSeeds / 100) << rare;
    std::printf("%8llu  %s\n", static_cast<unsigned long long>(probes[rare]), rare);
  }
}

TEST(StoreLinear, PlantedBugsAreFound) {
  for (const Bug bug : {Bug::kSyncsLie, Bug::kStaleReads, Bug::kComparesNothing, Bug::kEarlyAnswers}) {
    uint64_t seed = 1;
    Probes probes;
    while (seed <= 300 && RunSeed(seed, probes, bug).linearizable) seed++;
    EXPECT_LE(seed, 300u) << "bug " << static_cast<int>(bug);
  }
}

}  // namespace
}  // namespace knarr::sim
