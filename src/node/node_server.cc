#include <fmt/format.h>

#include "base/strings.h"
#include "doc/json.h"
#include "node/agent.h"

// The node's own server, which the API server passes requests to (nodes/…/proxy): paths and answers as the kubelet's.

namespace knarr::node {
namespace {

net::Headers ContentType(std::string_view type) {
  net::Headers out;
  out.Set("Content-Type", std::string(type));
  return out;
}

constexpr std::string_view kText = "text/plain; charset=utf-8";

/// As Go's strconv.ParseBool reads what the API server sends on.
bool Flag(const net::Url& url, std::string_view name) {
  const std::string value = ToLower(url.Query(name));
  return value == "true" || value == "1" || value == "t";
}

Result<std::optional<int64_t>> Number(const net::Url& url, std::string_view name) {
  if (url.Query(name).empty()) return std::optional<int64_t>();
  return std::optional<int64_t>(TRY(ParseInt64(url.Query(name)).Context(name)));
}

Result<client::LogOptions> ReadLogOptions(const net::Url& url, std::string_view container) {
  client::LogOptions out;
  out.container = container;
  out.follow = Flag(url, "follow");
  out.previous = Flag(url, "previous");
  out.timestamps = Flag(url, "timestamps");
  out.tail_lines = TRY(Number(url, "tailLines"));
  if (url.Query("tail") != "all" && !url.Query("tail").empty()) out.tail_lines = TRY(Number(url, "tail"));
  out.limit_bytes = TRY(Number(url, "limitBytes"));
  out.since_seconds = TRY(Number(url, "sinceSeconds"));
  if (!url.Query("sinceTime").empty()) out.since_time = TRY(ParseTime(url.Query("sinceTime")));
  return out;
}

}  // namespace

Result<std::unique_ptr<net::Stream>> Agent::DialServer() {
  auto ends = net::MemoryPipe(runtime_);
  tasks_.Spawn("node server", [this, end = std::make_shared<std::unique_ptr<net::Stream>>(std::move(ends.first))] {
    net::ServeConnection(runtime_, std::move(*end), {},
                         [this](net::Request& request, net::Response& response) { ServeHttp(request, response); });
  });
  return std::move(ends.second);
}

void Agent::ServeHttp(net::Request& request, net::Response& response) {
  const std::string& path = request.url.path;
  const auto answer = [&]() -> Ok {
    if (path == "/healthz" || path == "/healthz/ping") return response.Send(200, ContentType(kText), "ok");
    if (path == "/pods" || path == "/pods/") return ServePods(response);
    if (path.starts_with("/containerLogs/")) return ServeContainerLog(request, response);
    if (const std::optional<Ok> served = ServeStats(request, response)) return *served;
    return response.Send(404, ContentType(kText), "404 page not found\n");
  };
  const Ok answered = answer();
  // Who asked may have gone meanwhile: then there is nobody to tell.
  if (!answered.ok() && !response.started()) {
    (void)response.Send(answered.status().code(), ContentType(kText), answered.status().message() + "\n");
  }
}

Ok Agent::ServePods(net::Response& response) const {
  std::string text = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
  bool first = true;
  for (const auto& [uid, worker] : workers_) {
    if (worker->gone()) continue;
    doc::Document pod = doc::Document::Copy(worker->pod().tree());
    pod.root.Remove("kind");
    pod.root.Remove("apiVersion");
    text += first ? "" : ",";
    text += doc::ToJson(pod.root);
    first = false;
  }
  return response.Send(200, ContentType("application/json"), text + "]}");
}

// /containerLogs/<namespace>/<pod>/<container>
Ok Agent::ServeContainerLog(net::Request& request, net::Response& response) {
  const auto parts = Split(std::string_view(request.url.path).substr(1), '/');
  if (parts.size() != 4) return NotFound("404 page not found");
  const client::LogOptions options = TRY(ReadLogOptions(request.url, parts[3]));
  const auto stream = TRY(Logs(parts[1], parts[2], options));
  TRY(response.Start(200, ContentType(kText)));
  for (;;) {
    const std::string text = TRY(stream->Read());
    if (text.empty()) return response.Finish();
    TRY(response.Write(text));
  }
}

}  // namespace knarr::node
