#include <fmt/format.h>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/request_info.h"
#include "apiserver/streams.h"
#include "base/strings.h"

namespace knarr::apiserver {
namespace {

// Events that are written together: what is ready at once, up to about this many bytes.
constexpr size_t kWriteBytes = 64 << 10;

Result<WatchRequest> ReadWatchRequest(const Call& call) {
  const net::Url& url = call.request.url;
  const ListRequest list = TRY(ReadListRequest(call));
  WatchRequest request;
  request.ns = list.ns;
  request.selection = list.selection;
  request.resource_version = list.resource_version;
  request.resource_version_match = list.resource_version_match;
  request.bookmarks = QueryBool(url, "allowWatchBookmarks");
  if (url.HasQuery("sendInitialEvents")) request.send_initial_events = QueryBool(url, "sendInitialEvents");
  const std::string_view timeout = url.Query("timeoutSeconds");
  if (!timeout.empty()) {
    const Result<int32_t> seconds = ParseInt<int32_t>(timeout);
    if (!seconds.ok()) return BadRequest(fmt::format("timeoutSeconds: {}", seconds.status().message()));
    if (*seconds > 0) request.timeout = std::chrono::seconds(*seconds);
  }
  return request;
}

class WatchWriter {
 public:
  WatchWriter(Call& call, RenderOptions options) : call_(call), options_(std::move(options)) {}

  Ok Start() {
    net::Headers headers;
    std::string type(ContentTypeOf(options_.form.encoding));
    if (options_.form.encoding == Encoding::kProtobuf) type += ";stream=watch";
    headers.Set("Content-Type", std::move(type));
    headers.Set("Cache-Control", "no-cache, private");
    for (const std::string& warning : call_.context.warnings) headers.Add("Warning", "299 - " + GoQuote(warning));
    return call_.response.Start(200, std::move(headers));
  }

  Ok Write(const std::vector<WatchItem>& items) {
    options_.now = call_.context.runtime.Wall();  // ages in tables count from the event's time
    for (const WatchItem& item : items) {
      const size_t begin = pieces_.size();
      TRY(RenderEvent(*call_.resource->kind, item, options_, first_, pieces_));
      if (item.type != client::WatchEventType::kBookmark) first_ = false;
      for (size_t i = begin; i < pieces_.size(); ++i) size_ += pieces_[i].text.size();
      if (size_ >= kWriteBytes) TRY(Flush());
    }
    return Flush();
  }

  Ok WriteError(const Status& status) {
    std::string text;
    RenderErrorEvent(status, options_.form.encoding, text);
    return call_.response.Write(text);
  }

 private:
  Ok Flush() {
    if (pieces_.empty()) return {};
    size_ = 0;
    return call_.response.WriteShared(std::exchange(pieces_, {}));
  }

  Call& call_;
  RenderOptions options_;
  std::vector<net::SharedPiece> pieces_;  ///< not written yet
  size_t size_ = 0;                       ///< of them together
  bool first_ = true;
};

// Sends events until the watch's time is over, it fails, or the client is gone.
Ok Pump(WatchSession& session, WatchWriter& writer) {
  for (;;) {
    Result<std::vector<WatchItem>> items = session.Next();
    if (!items.ok()) {
      if (items.Failed(Reason::kExpired)) return writer.WriteError(items.status());
      return items.status();
    }
    if (items->empty()) return {};
    TRY(writer.Write(*items));
  }
}

}  // namespace

Ok ServeWatch(Call& call, Core& core) {
  RenderOptions options;
  options.form = TRY(Negotiate(call.request, true));
  if (options.form.encoding == Encoding::kYaml) {
    return Status(Reason::kNotAcceptable,
                  "only the following media types are accepted: application/json, "
                  "application/vnd.kubernetes.protobuf");
  }
  options.include_object = TRY(ReadIncludeObject(call.request.url.Query("includeObject")));
  WatchRequest request = TRY(ReadWatchRequest(call));
  Result<std::unique_ptr<WatchSession>> session =
      core.operations().Watch(call.context, *call.resource, std::move(request));
  if (!session.ok() && !session.Failed(Reason::kExpired)) return session.status();
  WatchWriter writer(call, options);
  TRY(writer.Start());
  StreamScope scope(call);
  // Whatever ends the stream from here on, the client reads it as its end and watches again.
  if (session.ok()) {
    (void)Pump(**session, writer);
  } else {
    (void)writer.WriteError(session.status());
  }
  (void)call.response.Finish();
  return {};
}

}  // namespace knarr::apiserver
