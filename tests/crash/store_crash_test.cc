// kill -9 under write load, again and again, on one data folder.
//
// A child process opens the store, says what it found, resumes a watch where the parent's copy of the state stands, and
// writes as fast as it can; each acknowledged write and each event goes to the parent through a pipe. The parent kills
// it at a random moment, also while it recovers, and starts the next. It checks, each time:
//   - no acknowledged write is lost, and nothing that a watch showed either;
//   - no transaction is there by half, and each value is whole;
//   - the watch goes on without a gap or a repetition, and the copy it keeps equals the state that the child found.
//
// With --disk-full the folder is on a small filesystem of its own (a file, ext4, mounted by loop: needs root), which is
// filled again and again, instead of a kill or before it. Then, too:
//   - the child says that the store is read-only, in etcd's words, and goes on to read and to watch;
//   - it starts on a full disk, and comes back by itself when there is space.
//
// knarr_store_crash_test <kills> [<seed>] [--disk-full]
//   exit code 77: a filesystem can't be mounted here

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>

#include "base/check.h"
#include "rt/real.h"
#include "rt/sync.h"
#include "small_disk.h"
#include "store/store.h"

namespace knarr::store {
namespace {

using namespace std::chrono_literals;

constexpr int kPairs = 200;
constexpr int kWriters = 8;

/// The two keys that every transaction changes together.
std::string KeyOf(int pair, char side) { return "/pair/" + std::to_string(1000 + pair) + "/" + side; }

/// A value that shows by itself whether it is whole: the token, and a filler that follows from it.
std::string ValueOf(const std::string& token) {
  size_t hash = std::hash<std::string>()(token);
  std::string value = token + ":";
  // The token ends with how many times as large as the smallest it may be.
  const size_t times = std::strtoull(token.c_str() + token.rfind('.') + 1, nullptr, 10);
  for (size_t size = hash % 6000 * times; size > 0; size--) value += static_cast<char>('a' + (hash + size * size) % 26);
  return value;
}

std::string TokenOf(const std::string& value) { return value.substr(0, value.find(':')); }

// ---- The child ----

class Child {
 public:
  Child(rt::Runtime& runtime, std::string folder, Revision after, uint64_t round, bool grows)
      : runtime_(runtime), folder_(std::move(folder)), after_(after), round_(round), grows_(grows) {}

  void Run() {
    auto opened = OpenEmbedded(
        runtime_, {.directory = folder_,
                   .history_events_max = 4000,
                   .disk_history_bytes_min = 16 << 20,
                   .on_health = [](const Ok& health) { Say(health.ok() ? "H" : "F " + health.status().message()); }});
    if (!opened.ok()) {
      Say("X " + opened.status().ToString());
      return;
    }
    store_ = std::move(opened).value();
    auto state = store_->Latest();
    std::string lines = "S " + std::to_string(state->revision()) + "\n";
    for (const KeyValue& item : state->Range("").items) {
      bool whole = *item.value == ValueOf(TokenOf(*item.value));
      lines += "K " + item.key + " " + std::to_string(item.mod_revision) + " " +
               (whole ? TokenOf(*item.value) : "damaged") + "\n";
    }
    Say(lines + ".");
    seen_ = after_;
    rt::TaskGroup group(runtime_, "load");
    group.Spawn("watcher", [this] { Follow(); });
    for (int i = 0; i < kWriters; i++) {
      group.Spawn("writer", [this, i] { Write(i); });
    }
    group.Join();
  }

 private:
  /// A line or several, in whole or (killed) in part.
  static void Say(const std::string& text) {
    std::string line = text + "\n";
    for (size_t at = 0; at < line.size();) {
      ssize_t written = write(STDOUT_FILENO, line.data() + at, line.size() - at);
      if (written < 0) _exit(0);
      at += static_cast<size_t>(written);
    }
  }

  void Write(int writer) {
    for (uint64_t n = 0;; n++) {
      int pair = static_cast<int>(runtime_.Random() % kPairs);
      std::string token = std::to_string(round_) + "." + std::to_string(writer) + "." + std::to_string(n) + "." +
                          std::to_string(Times());
      std::vector<Op> ops{{.key = KeyOf(pair, 'a'), .value = ValueOf(token)},
                          {.key = KeyOf(pair, 'b'), .value = ValueOf(token)}};
      if (store_->Newest(ops[0].key) && runtime_.Random() % 5 == 0) {
        for (Op& op : ops) op.value.reset();
        token = "-";
      }
      auto result = store_->Txn({}, std::move(ops));
      if (!result.ok() && result.status().code() == 500) {
        // Reading goes on.
        CHECK(store_->Latest()->revision() >= seen_ && store_->Latest()->Count("/pair/") % 2 == 0);
        (void)runtime_.Sleep(20ms);
        continue;
      }
      if (!result.ok()) return Say("X " + result.status().ToString());
      Say("A " + std::to_string(result->revision) + " " + std::to_string(pair) + " " + token);
      if (result->revision % 500 == 0) {
        // Not past the parent's copy: its watch must be able to go on.
        auto compacted = store_->Compact(std::min(seen_, result->revision - 200));
        if (!compacted.ok() && store_->Health().ok()) return Say("X " + compacted.status().ToString());
      }
    }
  }

  void Follow() {
    auto watch = store_->StartWatch(runtime_, {.prefix = "/pair/", .after = after_});
    if (!watch.ok()) return Say("X watch: " + watch.status().ToString());
    while (true) {
      auto events = (*watch)->Next();
      if (!events.ok()) return Say("X watch: " + events.status().ToString());
      for (const EventPtr& event : *events) {
        bool put = event->type == Event::Type::kPut;
        Say("E " + std::to_string(event->revision) + " " + event->key + " " + (put ? TokenOf(*event->value) : "-"));
        seen_ = event->revision - 1;
      }
    }
  }

  /// On a disk that is to become full, what is written needs more and more of it, until it is.
  size_t Times() {
    if (!grows_) return 1;
    if (!store_->Health().ok()) written_ = 0;
    return 1 + written_++ / 100 % 60;
  }

  rt::Runtime& runtime_;
  const std::string folder_;
  const Revision after_;
  const uint64_t round_;
  const bool grows_;
  size_t written_ = 0;
  Revision seen_ = 0;
  std::unique_ptr<Store> store_;
};

int RunChild(char** argv) {
  auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  Child child(*runtime, argv[2], std::atoll(argv[3]), static_cast<uint64_t>(std::atoll(argv[4])),
              std::strcmp(argv[5], "grows") == 0);
  runtime->Run([&] { child.Run(); });
  return 1;
}

// ---- The parent ----

SmallDisk* mounted_disk = nullptr;

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  if (mounted_disk != nullptr) mounted_disk->Unmount();
  std::exit(1);
}

struct Entry {
  Revision revision = 0;
  std::string token;
  bool operator==(const Entry&) const = default;
};

class Parent {
 public:
  Parent(std::string program, std::string folder, uint64_t seed, bool grows = false)
      : program_(std::move(program)), folder_(std::move(folder)), random_(seed), grows_(grows) {}

  void Round(uint64_t round) {
    Start(round);
    // One in five dies while it starts or recovers, the others under load.
    if (random_() % 5 == 0) {
      Listen(30ms);
    } else {
      AwaitStore();
      Listen(150ms);
    }
    Kill();
  }

  /// The disk becomes full, for a while: the child lives through it, or dies in it and the next one begins in it.
  void FullRound(uint64_t round, SmallDisk& disk) {
    if (child_ < 0) {
      Start(round);
      AwaitStore();
    }
    Listen(100ms);
    disk.Fill();
    // Its own load may have filled it before.
    ReadUntil(std::chrono::steady_clock::now() + 60s, [&] { return read_only_; });
    if (!read_only_) Fail("the disk is full, and the store does not say so");
    Listen(400ms);
    const bool dies = random_() % 3 == 0;
    if (dies) {
      Kill();
      Start(round);
      AwaitStore();
      Listen(200ms);
    }
    disk.Free();
    const uint64_t acknowledged = acknowledged_;
    ReadUntil(std::chrono::steady_clock::now() + 60s, [&] { return acknowledged_ > acknowledged + 20; });
    if (acknowledged_ <= acknowledged + 20) Fail("there is space again, and the store does not come back");
    if (random_() % 4 == 0) Kill();
  }

  void EndChild() {
    if (child_ >= 0) Kill();
  }

  /// Killed while it makes the store; the next one must manage.
  void Birth() {
    Start(1);
    Listen(12ms);
    Kill();
    Start(2);
    AwaitStore();
    Listen(10ms);
    Kill();
  }

  void Finish(uint64_t round) {
    Start(round);
    ReadUntil(std::chrono::steady_clock::now() + 300ms);
    kill(child_, SIGTERM);
    waitpid(child_, nullptr, 0);
    close(pipe_);
    if (states_ == 0 || acknowledged_ == 0) Fail("the load did not run");
    sqlite3* db = nullptr;
    CHECK(sqlite3_open((folder_ + "/store.db").c_str(), &db) == SQLITE_OK);
    std::string verdict;
    auto note = [](void* out, int, char** columns, char**) {
      *static_cast<std::string*>(out) += columns[0];
      return 0;
    };
    CHECK(sqlite3_exec(db, "PRAGMA integrity_check", note, &verdict, nullptr) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    if (verdict != "ok") Fail("SQLite finds: " + verdict);
  }

  void Report(uint64_t kills) const {
    std::printf(
        "{\"rounds\":%llu,\"full\":%llu,\"healed\":%llu,\"recoveries\":%llu,\"acknowledged\":%llu,\"events\":%llu,"
        "\"revision\":%lld}\n",
        static_cast<unsigned long long>(kills), static_cast<unsigned long long>(full_),
        static_cast<unsigned long long>(healed_), static_cast<unsigned long long>(states_),
        static_cast<unsigned long long>(acknowledged_), static_cast<unsigned long long>(events_),
        static_cast<long long>(seen_));
  }

 private:
  void Start(uint64_t round) {
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    std::string after = std::to_string(seen_);
    std::string number = std::to_string(round);
    child_ = fork();
    CHECK(child_ >= 0);
    read_only_ = false;
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that fails leaves nobody behind
      dup2(ends[1], STDOUT_FILENO);
      execl(program_.c_str(), program_.c_str(), "--child", folder_.c_str(), after.c_str(), number.c_str(),
            grows_ ? "grows" : "same", nullptr);
      _exit(127);
    }
    close(ends[1]);
    pipe_ = ends[0];
  }

  /// For a random time up to `most`.
  void Listen(std::chrono::microseconds most) {
    ReadUntil(std::chrono::steady_clock::now() +
              std::chrono::microseconds(random_() % static_cast<uint64_t>(most.count())));
  }

  void AwaitStore() {
    uint64_t states = states_;
    ReadUntil(std::chrono::steady_clock::now() + 10s, [&] { return states_ > states; });
    if (states_ == states) Fail("no store within ten seconds");
  }

  void Kill() {
    kill(child_, SIGKILL);
    // What it said before it died still counts.
    ReadUntil(std::chrono::steady_clock::time_point::max());
    int status = 0;
    waitpid(child_, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) Fail("the child ended by itself");
    close(pipe_);
    child_ = -1;
    half_.reset();
    line_.clear();
    found_.clear();
  }

  /// Takes in what the child says until then, or until it is gone, or enough.
  void ReadUntil(std::chrono::steady_clock::time_point until, const std::function<bool()>& enough = {}) {
    char buffer[65536];
    while (!enough || !enough()) {
      int wait = -1;
      if (until != std::chrono::steady_clock::time_point::max()) {
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) return;
        wait = static_cast<int>(left.count());
      }
      pollfd ready{.fd = pipe_, .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, wait) == 0) return;
      ssize_t size = read(pipe_, buffer, sizeof(buffer));
      if (size <= 0) return;
      for (ssize_t i = 0; i < size; i++) {
        if (buffer[i] != '\n') {
          line_ += buffer[i];
          continue;
        }
        Hear(line_);
        line_.clear();
      }
    }
  }

  void Hear(const std::string& line) {
    std::istringstream words(line);
    char what = 0;
    Revision revision = 0;
    std::string key;
    std::string token;
    words >> what;
    switch (what) {
      case 'S':
        words >> found_revision_;
        return;
      case 'K':
        words >> key >> revision >> token;
        found_[key] = {revision, token};
        return;
      case '.':
        CheckFound();
        return;
      case 'F':
        if (line.find("mvcc: database space exceeded: ") == std::string::npos) Fail("read-only because of: " + line);
        full_++;
        read_only_ = true;
        return;
      case 'H':
        healed_++;
        read_only_ = false;
        return;
      case 'A': {
        int pair = 0;
        words >> revision >> pair >> token;
        Entry& known = acknowledged_state_[pair];
        if (known.revision < revision) known = {revision, token};
        acknowledged_++;
        last_acknowledged_ = std::max(last_acknowledged_, revision);
        Match(revision, KeyOf(pair, 'b') + " " + token);
        return;
      }
      case 'E':
        words >> revision >> key >> token;
        HearEvent(revision, key, token);
        return;
      default:
        Fail("the child says: " + line);
    }
  }

  /// The acknowledgement and the event of a revision, whichever comes first, must tell of the same change.
  void Match(Revision revision, const std::string& change) {
    auto [known, fresh] = changes_.try_emplace(revision, change);
    if (!fresh && known->second != change) {
      Fail("revision " + std::to_string(revision) + " is " + known->second + " and " + change);
    }
  }

  void HearEvent(Revision revision, const std::string& key, const std::string& token) {
    events_++;
    if (key.ends_with('a')) {
      if (half_ || revision != seen_ + 1) {
        Fail("the watch jumped from " + std::to_string(seen_) + " to " + std::to_string(revision));
      }
      half_ = Entry{revision, token};
      return;
    }
    if (!half_ || *half_ != Entry{revision, token}) Fail("half a transaction at revision " + std::to_string(revision));
    for (char side : {'a', 'b'}) {
      std::string name = key.substr(0, key.size() - 1) + side;
      if (token == "-") {
        copy_.erase(name);
      } else {
        copy_[name] = *half_;
      }
    }
    half_.reset();
    seen_ = revision;
    Match(revision, key + " " + token);
    if (!catch_up_.empty() && seen_ == found_revision_) CheckCopy();
  }

  /// What the child found at its start against all that its forerunners said.
  void CheckFound() {
    states_++;
    if (found_revision_ < seen_) {
      Fail("a watch had shown revision " + std::to_string(seen_) + ", found " + std::to_string(found_revision_));
    }
    if (found_revision_ < last_acknowledged_) {
      Fail("revision " + std::to_string(last_acknowledged_) + " was acknowledged, found " +
           std::to_string(found_revision_));
    }
    for (const auto& [pair, known] : acknowledged_state_) {
      auto a = found_.find(KeyOf(pair, 'a'));
      auto b = found_.find(KeyOf(pair, 'b'));
      bool there = a != found_.end();
      if (there != (b != found_.end()) || (there && a->second != b->second)) {
        Fail("pair " + std::to_string(pair) + " is there by half");
      }
      if (!there) {
        // Deleted, by this or by a later write whose acknowledgement was cut short: the watch shows every revision.
        continue;
      }
      if (a->second.token == "damaged") Fail("pair " + std::to_string(pair) + " has a damaged value");
      if (a->second.revision < known.revision) {
        Fail("pair " + std::to_string(pair) + ": acknowledged at " + std::to_string(known.revision) + ", found " +
             std::to_string(a->second.revision));
      }
      if (a->second.revision == known.revision && a->second.token != known.token) {
        Fail("pair " + std::to_string(pair) + " holds another value at its revision");
      }
    }
    catch_up_ = found_;
    if (catch_up_.empty()) catch_up_["none"] = {};
    if (seen_ == found_revision_) CheckCopy();
  }

  /// The copy kept by watching, across all kills, against the state that was found.
  void CheckCopy() {
    catch_up_.erase("none");
    if (copy_ != catch_up_) Fail("the watched copy differs at revision " + std::to_string(seen_));
    catch_up_.clear();
  }

  const std::string program_;
  const std::string folder_;
  std::mt19937_64 random_;
  const bool grows_;
  pid_t child_ = -1;
  int pipe_ = -1;
  std::string line_;

  std::map<int, Entry> acknowledged_state_;
  Revision last_acknowledged_ = 0;
  std::map<Revision, std::string> changes_;  ///< "key token", as acknowledged and as watched
  Revision seen_ = 1;
  std::map<std::string, Entry> copy_;
  std::optional<Entry> half_;  ///< the first event of a pair

  Revision found_revision_ = 0;
  std::map<std::string, Entry> found_;
  std::map<std::string, Entry> catch_up_;  ///< what was found, until the watch comes there

  uint64_t states_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t events_ = 0;
  uint64_t full_ = 0;    ///< times the store became read-only
  uint64_t healed_ = 0;  ///< and came back
  bool read_only_ = false;
};

int RunParent(const std::string& program, uint64_t kills, uint64_t seed) {
  std::string folder = (std::filesystem::temp_directory_path() / "knarr-crash-XXXXXX").string();
  CHECK(mkdtemp(folder.data()) != nullptr);
  signal(SIGPIPE, SIG_IGN);
  Parent parent(program, folder, seed);
  for (uint64_t round = 1; round <= kills; round++) parent.Round(round);
  for (uint64_t birth = 0; birth < kills / 10; birth++) {
    Parent(program, folder + "/" + std::to_string(birth), seed + birth).Birth();
  }
  parent.Finish(kills + 1);
  parent.Report(kills);
  std::filesystem::remove_all(folder);
  return 0;
}

int RunFull(const std::string& program, uint64_t episodes, uint64_t seed) {
  std::string folder = (std::filesystem::temp_directory_path() / "knarr-full-XXXXXX").string();
  CHECK(mkdtemp(folder.data()) != nullptr);
  signal(SIGPIPE, SIG_IGN);
  int code = 0;
  {
    SmallDisk disk(folder);
    mounted_disk = &disk;
    if (disk.mounted()) {
      Parent parent(program, disk.path() + "/store", seed, true);
      for (uint64_t round = 1; round <= episodes; round++) parent.FullRound(round, disk);
      parent.EndChild();
      parent.Finish(episodes + 1);
      parent.Report(episodes);
    } else {
      std::printf("a filesystem can't be mounted here\n");
      code = 77;
    }
    mounted_disk = nullptr;
  }
  std::filesystem::remove_all(folder);
  return code;
}

}  // namespace
}  // namespace knarr::store

int main(int argc, char** argv) {
  if (argc == 6 && std::strcmp(argv[1], "--child") == 0) return knarr::store::RunChild(argv);
  const bool full = argc > 1 && std::strcmp(argv[argc - 1], "--disk-full") == 0;
  if (full) argc--;
  uint64_t kills = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200;
  uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return (full ? knarr::store::RunFull : knarr::store::RunParent)("/proc/self/exe", kills, seed);
}
