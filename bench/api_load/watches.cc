// Watch fan-out: every watcher on a connection of its own sees every create.

#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "load.h"
#include "rt/sync.h"

namespace knarr::bench {
namespace {

constexpr size_t kReadSize = 64 << 10;
/// The object's name stands within so many bytes of an event's begin.
constexpr size_t kHeadMax = 256;
constexpr int64_t kCreators = 8;
constexpr Duration kDrainMax = std::chrono::minutes(2);

/// What has been created when, and how far each watcher has come.
struct Board {
  explicit Board(rt::Runtime& runtime) : moved(runtime) {}
  std::string prefix;
  std::vector<MonoTime> sent;
  std::vector<uint32_t> seen;  ///< by create: how many watchers have it
  size_t all_seen = 0;         ///< creates that every watcher has
  size_t watchers = 0;
  size_t events = 0;
  size_t ended = 0;
  Latencies latencies;
  rt::WaitQueue moved;

  void Deliver(size_t number, MonoTime now) {
    if (number >= sent.size()) return;
    ++events;
    latencies.Add(now - sent[number]);
    if (++seen[number] < watchers) return;
    ++all_seen;
    moved.NotifyAll();
  }
};

/// Cuts one watcher's stream into events. JSON events are lines; protobuf events have their length in front.
class EventReader {
 public:
  EventReader(Board& board, bool protobuf) : board_(board), protobuf_(protobuf) {}

  void Take(std::string_view bytes, MonoTime now) {
    while (!bytes.empty()) {
      const std::string_view part = Cut(bytes);
      if (head_.size() < kHeadMax) head_.append(part.substr(0, kHeadMax - head_.size()));
      if (!std::exchange(whole_, false)) continue;
      const size_t at = head_.find(board_.prefix);
      // Bookmarks and other clients' objects have no such name.
      if (at != std::string::npos) board_.Deliver(Number(head_, at + board_.prefix.size()), now);
      head_.clear();
    }
  }

 private:
  /// Takes what belongs to the present event from the front of `bytes`.
  std::string_view Cut(std::string_view& bytes) {
    size_t count = 0;
    if (!protobuf_) {
      const void* end = std::memchr(bytes.data(), '\n', bytes.size());
      whole_ = end != nullptr;
      count = whole_ ? static_cast<size_t>(static_cast<const char*>(end) - bytes.data()) + 1 : bytes.size();
    } else if (length_bytes_ < 4) {
      left_ = left_ << 8 | static_cast<unsigned char>(bytes.front());
      if (++length_bytes_ == 4 && left_ == 0) length_bytes_ = 0;
      bytes.remove_prefix(1);
      return {};
    } else {
      count = std::min<size_t>(left_, bytes.size());
      left_ -= static_cast<uint32_t>(count);
      whole_ = left_ == 0;
      if (whole_) length_bytes_ = 0;
    }
    const std::string_view part = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return part;
  }

  static size_t Number(std::string_view text, size_t at) {
    size_t number = 0;
    for (const char c : text.substr(at)) {
      if (c < '0' || c > '9') break;
      number = number * 10 + static_cast<size_t>(c - '0');
    }
    return number;
  }

  Board& board_;
  const bool protobuf_;
  std::string head_;
  bool whole_ = false;
  uint32_t left_ = 0;
  int length_bytes_ = 0;
};

class WatchRun {
 public:
  explicit WatchRun(Load& load) : load_(load), board_(load.runtime), group_(load.runtime, "watchers") {
    board_.prefix = fmt::format(
        "w{:x}-",
        std::chrono::duration_cast<std::chrono::milliseconds>(load.runtime.Wall().time_since_epoch()).count());
  }

  Ok Run() {
    const Ok done = Measure();
    group_.StopAndJoin();
    return done;
  }

 private:
  Ok Measure() {
    clients_ = TRY(load_.Connect(load_.options.watchers));
    creators_ = TRY(load_.Connect(kCreators));
    board_.watchers = clients_.size();
    for (auto& client : clients_) TRY(Watch(*client));
    const Stretch stretch = TRY(Stretch::Begin(load_));
    TRY(Create(stretch.began()));
    TRY(board_.moved.WaitUntil([this] { return board_.all_seen == board_.sent.size() || board_.ended > 0; },
                               load_.runtime.Mono() + kDrainMax));
    if (board_.ended > 0) return Internal(fmt::format("{} watches ended early", board_.ended));
    std::string name = fmt::format("watch.{}", clients_.size());
    if (load_.options.rate > 0) name += fmt::format(".at-{}", load_.options.rate);
    if (load_.options.protobuf) name += ".protobuf";
    return stretch.End(name, board_.events, board_.latencies);
  }

  /// Starts a watcher; its stream has begun on return.
  Ok Watch(client::HttpClient& client) {
    net::ClientRequest request =
        client.MakeRequest("GET", load_.Path("configmaps"), {{"watch", "true"}, {"resourceVersion", TRY(Begin())}});
    if (load_.options.protobuf) request.headers.Set("Accept", "application/vnd.kubernetes.protobuf");
    std::shared_ptr<net::ClientResponse> response = TRY(client.Send(request));
    group_.Spawn("watch", [this, response] {
      EventReader reader(board_, load_.options.protobuf);
      std::string part(kReadSize, '\0');
      while (true) {
        const auto count = response->Read(part.data(), part.size());
        if (!count.ok() || *count == 0) break;
        reader.Take(std::string_view(part).substr(0, *count), load_.runtime.Mono());
      }
      ++board_.ended;
      board_.moved.NotifyAll();
    });
    return {};
  }

  /// The revision that all watches begin from.
  Result<std::string> Begin() {
    if (!begin_.empty()) return begin_;
    const std::string list = TRY(creators_.front()->GetRaw(load_.Path("configmaps") + "?limit=1"));
    constexpr std::string_view kMember = "\"resourceVersion\":\"";
    const size_t at = list.find(kMember);
    if (at == std::string::npos) return Internal("a list without a resourceVersion");
    const size_t start = at + kMember.size();
    begin_ = list.substr(start, list.find('"', start) - start);
    return begin_;
  }

  Ok Create(MonoTime began) {
    const MonoTime end = began + load_.options.length;
    Ok failed;
    rt::TaskGroup group(load_.runtime, "creators");
    for (auto& client : creators_) {
      group.Spawn("create", [&] {
        while (failed.ok() && board_.ended == 0) {
          const auto number = TakeTurn(began, end);
          if (!number.has_value()) return;
          const std::string name = fmt::format("{}{:06}", board_.prefix, *number);
          const auto made = Load::Do(*client, load_.Post(*client, "configmaps", ConfigMapBody(name)));
          if (!made.ok()) failed = made.status();
        }
      });
    }
    group.Join();
    return failed;
  }

  /// Waits until the next create may be sent; its number, or none when the time is over.
  std::optional<size_t> TakeTurn(MonoTime began, MonoTime end) {
    if (load_.options.rate > 0) {
      const MonoTime due = began + next_++ * Duration(std::chrono::seconds(1)) / load_.options.rate;
      if (due >= end) return std::nullopt;
      if (due > load_.runtime.Mono() && !load_.runtime.Sleep(due - load_.runtime.Mono()).ok()) return std::nullopt;
    } else {
      const auto window = static_cast<size_t>(load_.options.window);
      const Ok room = board_.moved.WaitUntil(
          [&] { return board_.sent.size() < board_.all_seen + window || board_.ended > 0; }, end);
      if (!room.ok() || load_.runtime.Mono() >= end) return std::nullopt;
    }
    board_.sent.push_back(load_.runtime.Mono());
    board_.seen.push_back(0);
    return board_.sent.size() - 1;
  }

  Load& load_;
  Board board_;
  std::vector<std::unique_ptr<client::HttpClient>> clients_;
  std::vector<std::unique_ptr<client::HttpClient>> creators_;
  std::string begin_;
  int64_t next_ = 0;
  rt::TaskGroup group_;
};

}  // namespace

Ok RunWatch(Load& load) { return WatchRun(load).Run(); }

}  // namespace knarr::bench
