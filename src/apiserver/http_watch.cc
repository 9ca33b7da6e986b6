#include <fmt/format.h>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/read_options.h"
#include "apiserver/streams.h"

namespace knarr::apiserver {
namespace {

// Events that are written together: what is ready at once, up to about this many bytes.
constexpr size_t kWriteBytes = 64 << 10;

class WatchWriter {
 public:
  WatchWriter(Call& call, RenderOptions options) : call_(call), options_(std::move(options)) {}

  Ok Start() {
    net::Headers headers;
    std::string type(ContentTypeOf(options_.form.encoding));
    if (options_.form.encoding == Encoding::kProtobuf) type += ";stream=watch";
    headers.Set("Content-Type", std::move(type));
    headers.Set("Cache-Control", "no-cache, private");
    headers.Set("Audit-Id", call_.audit_id);
    call_.context.warnings.WriteTo(headers);
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
                  "only the following media types are accepted: application/json;stream=watch, "
                  "application/vnd.kubernetes.protobuf;stream=watch");
  }
  options.include_object = TRY(ReadIncludeObject(call.request.url.Query("includeObject")));
  WatchRequest request = TRY(ReadWatchOptions(call));
  Result<std::unique_ptr<WatchSession>> session =
      core.operations().Watch(call.context, *call.resource, std::move(request));
  // What is wrong with the revision is told in the stream, as upstream does.
  const bool told = session.Failed(Reason::kExpired) || session.Failed(Reason::kTimeout);
  if (!session.ok() && !told) return session.status();
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
