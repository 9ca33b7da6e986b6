#include "client/http_watch.h"

#include <algorithm>
#include <string>

#include "doc/json.h"

namespace knarr::client {
namespace {

/// One event; an object of the API is at most a few megabytes.
constexpr size_t kLineMax = 32 << 20;
constexpr size_t kReadSize = 32 << 10;

Result<WatchEventType> ParseType(std::string_view text) {
  if (text == "ADDED") return WatchEventType::kAdded;
  if (text == "MODIFIED") return WatchEventType::kModified;
  if (text == "DELETED") return WatchEventType::kDeleted;
  if (text == "BOOKMARK") return WatchEventType::kBookmark;
  return Unavailable("watch: the server sent an event of unknown type \"" + std::string(text.substr(0, 100)) + "\"");
}

Result<WatchEvent> ParseEvent(std::string_view line) {
  doc::Arena arena;
  auto parsed = doc::ParseJsonBorrowing(line, arena);
  if (!parsed.ok()) return Unavailable("watch: the server sent a malformed event: " + parsed.status().message());
  std::string_view type = parsed->At("type").AsString();
  const doc::Value& object = parsed->At("object");
  if (type == "ERROR") {
    Status status = net::StatusOfResponse(static_cast<int>(object.At("code").AsInt(500)), doc::ToJson(object));
    return status.code() == 410 ? Expired(status.message()) : status;
  }
  WatchEvent event;
  event.type = TRY(ParseType(type));
  if (!object.is_object()) return Unavailable("watch: the server sent an event without an object");
  event.object = ObjectFromWire(object, {}, {});
  return event;
}

class HttpWatch : public WatchStream {
 public:
  explicit HttpWatch(std::unique_ptr<net::ClientResponse> response) : response_(std::move(response)) {}

  Result<std::vector<WatchEvent>> Next() override {
    if (failed_.has_value()) return *failed_;
    std::vector<WatchEvent> events;
    while (events.empty()) {
      TRY(ReadLines());
      Ok taken = TakeLines(events);
      if (taken.ok()) continue;
      // What came before the error is good; the error is for the next call.
      failed_ = taken.status();
      if (events.empty()) return *failed_;
    }
    return events;
  }

 private:
  /// Reads until there is a whole line.
  Ok ReadLines() {
    while (buffer_.find('\n', scanned_) == std::string::npos) {
      scanned_ = buffer_.size();
      if (scanned_ > kLineMax) return Unavailable("watch: the server sent an event that is too large");
      buffer_.resize(scanned_ + kReadSize);
      auto count = response_->Read(buffer_.data() + scanned_, kReadSize);
      buffer_.resize(scanned_ + (count.ok() ? *count : 0));
      if (!count.ok()) return count.status();
      if (*count == 0) return Unavailable("watch: the server ended it");
    }
    return {};
  }

  Ok TakeLines(std::vector<WatchEvent>& events) {
    size_t start = 0;
    size_t end = buffer_.find('\n', scanned_);
    for (; end != std::string::npos; end = buffer_.find('\n', start)) {
      std::string_view line = std::string_view(buffer_).substr(start, end - start);
      start = end + 1;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      events.push_back(TRY(ParseEvent(line)));
    }
    buffer_.erase(0, start);
    scanned_ = 0;
    if (buffer_.empty()) buffer_.shrink_to_fit();
    return {};
  }

  std::unique_ptr<net::ClientResponse> response_;
  std::string buffer_;
  size_t scanned_ = 0;  // no line break before this
  std::optional<Status> failed_;
};

}  // namespace

ObjectPtr ObjectFromWire(const doc::Value& value, std::string_view api_version, std::string_view kind) {
  std::string bytes;
  if (api_version.empty() || !value.At("kind").is_null()) {
    doc::WriteJson(value, bytes);
  } else {
    doc::Arena arena;
    doc::Value whole = doc::Value::Object();
    whole.AddMember(arena, "kind", doc::Value::Borrow(kind));
    whole.AddMember(arena, "apiVersion", doc::Value::Borrow(api_version));
    for (const doc::Member& member : value.members()) whole.Set(arena, member.key, member.value);
    doc::WriteJson(whole, bytes);
  }
  // Just written from a tree, so it can be decoded. The tree itself is made when somebody looks: most objects of a
  // large list are only kept.
  return api::Object::FromBytes(std::make_shared<const std::string>(std::move(bytes)));
}

std::unique_ptr<WatchStream> MakeHttpWatch(std::unique_ptr<net::ClientResponse> response) {
  return std::make_unique<HttpWatch>(std::move(response));
}

}  // namespace knarr::client
