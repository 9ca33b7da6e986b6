#include <fmt/format.h>

#include <optional>
#include <utility>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/remote_call.h"
#include "apiserver/request_info.h"
#include "apiserver/streams.h"
#include "base/strings.h"
#include "net/websocket.h"

namespace knarr::apiserver {
namespace {

Status InvalidLogOption(std::string_view pod, std::string field, std::string message,
                        std::string type = "FieldValueInvalid") {
  StatusDetails details;
  details.kind = "PodLogOptions";
  details.name = pod;
  std::string text = fmt::format("PodLogOptions \"{}\" is invalid: {}: {}", pod, field, message);
  details.causes.push_back({std::move(type), std::move(message), std::move(field)});
  return {Reason::kInvalid, std::move(text), std::move(details)};
}

Result<std::optional<int64_t>> Number(const Call& call, std::string_view name, int64_t least) {
  const std::string_view text = call.request.url.Query(name);
  if (text.empty()) return std::optional<int64_t>();
  const Result<int64_t> value = ParseInt64(text);
  if (!value.ok()) return BadRequest(fmt::format("{}: {}", name, value.status().message()));
  if (*value < least) {
    return InvalidLogOption(
        call.attributes.name, std::string(name),
        fmt::format("Invalid value: {}: must be greater than {}", *value, least == 0 ? "or equal to 0" : "0"));
  }
  return std::optional<int64_t>(*value);
}

Result<client::LogOptions> ReadLogOptions(const Call& call, std::string container) {
  const net::Url& url = call.request.url;
  client::LogOptions options;
  options.container = std::move(container);
  options.follow = QueryBool(url, "follow");
  options.previous = QueryBool(url, "previous");
  options.timestamps = QueryBool(url, "timestamps");
  options.tail_lines = TRY(Number(call, "tailLines", 0));
  options.limit_bytes = TRY(Number(call, "limitBytes", 1));
  options.since_seconds = TRY(Number(call, "sinceSeconds", 1));
  if (!url.Query("sinceTime").empty()) options.since_time = TRY(ParseTime(url.Query("sinceTime")));
  if (options.since_seconds.has_value() && options.since_time.has_value()) {
    StatusDetails details;
    details.kind = "PodLogOptions";
    details.name = call.attributes.name;
    details.causes.push_back({"FieldValueForbidden",
                              "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified", "[]"});
    return Status(Reason::kInvalid,
                  fmt::format("PodLogOptions \"{}\" is invalid: []: Forbidden: at most one of `sinceTime` or "
                              "`sinceSeconds` may be specified",
                              call.attributes.name),
                  std::move(details));
  }
  // A stream of a container's two alone is a feature that is off by default.
  if (!url.Query("stream").empty()) {
    return InvalidLogOption(call.attributes.name, "stream", "Forbidden: may not be specified", "FieldValueForbidden");
  }
  return options;
}

/// Where the log goes: an answer's body, or the messages of a WebSocket.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual Ok Write(std::string_view text) = 0;
  virtual void End() = 0;
};

class BodySink : public LogSink {
 public:
  explicit BodySink(net::Response& response) : response_(response) {}
  Ok Write(std::string_view text) override { return response_.Write(text); }
  void End() override { (void)response_.Finish(); }

 private:
  net::Response& response_;
};

// A message is a part of the log, in binary or as base64; the first, an empty one, says that it begins.
class WebSocketSink : public LogSink {
 public:
  WebSocketSink(Call& call, std::unique_ptr<net::WebSocket> socket)
      : socket_(std::move(socket)),
        base64_(socket_->protocol() == kBase64),
        scope_(call.context.local, call.context.runtime),
        reader_(call.context.runtime, "log reader") {
    // Clients say nothing here, but to go.
    reader_.Spawn("read", [this] {
      Result<net::WebSocketMessage> read = socket_->Read();
      while (read.ok()) read = socket_->Read();
      if (!read.Failed(Reason::kCancelled)) scope_.Stop();
    });
  }
  Ok Write(std::string_view text) override {
    return base64_ ? socket_->Write(Base64Encode(text), false) : socket_->Write(text, true);
  }
  void End() override {
    reader_.StopAndJoin();  // Close reads, too: one reader at a time
    socket_->Close();
  }

  static constexpr std::string_view kBase64 = "base64.binary.k8s.io";

 private:
  const std::unique_ptr<net::WebSocket> socket_;
  const bool base64_;
  StreamScope scope_;
  rt::TaskGroup reader_;
};

Result<std::unique_ptr<LogSink>> OpenSink(Call& call, net::Headers headers) {
  std::unique_ptr<LogSink> out;
  if (net::IsWebSocketUpgrade(call.request)) {
    const net::WebSocketOptions options{.protocols = {"binary.k8s.io", std::string(WebSocketSink::kBase64)}};
    out = std::make_unique<WebSocketSink>(
        call, TRY(net::AcceptWebSocket(call.context.runtime, call.request, call.response, options)));
    (void)out->Write("");  // a client that has gone is seen by its reader
    return out;
  }
  TRY(call.response.Start(200, std::move(headers)));
  out = std::make_unique<BodySink>(call.response);
  return out;
}

}  // namespace

Ok ServeLog(Call& call, Core& core) {
  const PodTarget target = TRY(FindPodTarget(call, core));
  const client::LogOptions options = TRY(ReadLogOptions(call, target.container));
  rt::Runtime& here = call.context.runtime;
  net::Headers headers;
  headers.Set("Content-Type", "text/plain");
  headers.Set("Cache-Control", "no-cache, private");
  headers.Set("Audit-Id", call.audit_id);
  // A pod that has no node yet has written nothing.
  if (target.node.empty()) {
    TRY(OpenSink(call, std::move(headers)))->End();
    return {};
  }
  client::NodeAccess* node = core.FindNode(here, target.node);
  if (node == nullptr)
    return Internal(fmt::format("the node {} of pod {} is not connected", target.node, call.attributes.name));
  rt::Runtime& there = node->runtime();
  std::optional<StreamScope> scope(std::in_place, call);
  std::unique_ptr<client::LogStream> stream = TRY(
      CallOnCancellable(here, there, [&] { return node->Logs(call.attributes.ns, call.attributes.name, options); }));
  // From then on the connection has a reader of its own, or none.
  if (net::IsWebSocketUpgrade(call.request)) scope.reset();
  Result<std::unique_ptr<LogSink>> sink = OpenSink(call, std::move(headers));
  Ok sent = sink.ok() ? Ok() : Ok(sink.status());
  while (sent.ok()) {
    const Result<std::string> text = CallOnCancellable(here, there, [&] { return stream->Read(); });
    if (!text.ok() || text->empty()) break;
    sent = (*sink)->Write(*text);
  }
  rt::CallOn(here, there, [&] { stream.reset(); });
  if (!sink.ok()) return sink.status();
  (*sink)->End();
  return {};
}

}  // namespace knarr::apiserver
