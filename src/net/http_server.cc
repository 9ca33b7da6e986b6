#include <algorithm>
#include <atomic>
#include <set>

#include "base/check.h"
#include "base/log.h"
#include "net/connection.h"
#include "net/http.h"
#include "net/http1.h"
#include "net/socket.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the bytes begin an HTTP/2 connection; nullopt while that can't be told.
std::optional<bool> IsHttp2(std::string_view bytes) {
  size_t count = std::min(bytes.size(), kPreface.size());
  if (bytes.substr(0, count) != kPreface.substr(0, count)) return false;
  if (count < kPreface.size()) return std::nullopt;
  return true;
}

/// Reads until the protocol is known: in the clear there is no ALPN to ask.
Result<bool> Sniff(Connection& connection) {
  rt::CancelScope scope(connection.runtime, connection.options.header_timeout);
  while (true) {
    if (auto known = IsHttp2(connection.prefix); known.has_value()) return *known;
    char bytes[24];
    TRY(connection.stream->WaitReadable());
    size_t count = TRY(connection.stream->Read(bytes, sizeof bytes - connection.prefix.size()));
    if (count == 0) return Unavailable("the peer closed the connection");
    connection.prefix.append(bytes, count);
  }
}

void Serve(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const HttpServerOptions& options,
           const Handler& handler, ConnectionControl& control) {
  Connection connection{runtime, options, handler, std::move(stream), {}, {}, control};
  bool http2 = false;
  bool decided = false;
  std::string peer = connection.stream->peer();
  if (options.tls) {
    rt::CancelScope scope(runtime, options.header_timeout);
    auto tls = TlsAccept(std::move(connection.stream), *options.tls);
    if (!tls.ok()) {
      LOG_DEBUG("TLS handshake failed", {"peer", peer}, {"error", tls.status()});
      return;
    }
    if (const auto& shown = (*tls)->peer_certificate(); shown.has_value()) {
      connection.certificate = std::make_shared<const CertificateInfo>(*shown);
    }
    http2 = (*tls)->alpn() == "h2";
    decided = !(*tls)->alpn().empty();
    connection.stream = std::move(*tls);
  }
  if (!decided) {
    auto sniffed = Sniff(connection);
    if (!sniffed.ok()) return;
    http2 = *sniffed;
  }
  if (control.stopping) return;
  if (http2) {
    ServeHttp2(std::move(connection));
  } else {
    ServeHttp1(std::move(connection));
  }
}

/// The connections of one runtime. Made, used and destroyed there.
struct Shard {
  explicit Shard(rt::Runtime& r) : runtime(r), group(r, "http server"), empty(r) {}
  rt::Runtime& runtime;
  rt::TaskGroup group;
  std::set<ConnectionControl*> connections;
  rt::WaitQueue empty;
};

class HttpServerImpl : public HttpServer {
 public:
  HttpServerImpl(std::vector<rt::Runtime*> runtimes, HttpServerOptions options, Handler handler)
      : runtimes_(std::move(runtimes)), options_(std::move(options)), handler_(std::move(handler)) {
    if (options_.home == nullptr) options_.home = runtimes_.front();
  }
  ~HttpServerImpl() override { Stop(Duration{}); }

  Ok Open(const Endpoint& endpoint) {
    rt::Runtime& first = *runtimes_.front();
    auto listener = rt::CallOn(*options_.home, first, [&] { return ListenSocket(first, endpoint); });
    listener_ = TRY(std::move(listener));
    local_ = listener_->local();
    for (rt::Runtime* runtime : runtimes_) {
      rt::CallOn(*options_.home, *runtime, [&] { shards_.push_back(std::make_unique<Shard>(*runtime)); });
    }
    rt::CallOn(*options_.home, first, [&] {
      room_ = std::make_unique<rt::WaitQueue>(first);
      acceptor_ = std::make_unique<rt::TaskGroup>(first, "http accept");
      acceptor_->Spawn("accept " + local_.ToString(), [this] { AcceptLoop(); });
    });
    return {};
  }

  Endpoint local() const override { return local_; }

  void Stop(Duration grace) override {
    if (std::exchange(stopped_, true) || shards_.empty()) return;
    rt::Runtime& home = *options_.home;
    rt::Shield shield(home);
    rt::Runtime& first = *runtimes_.front();
    rt::CallOn(home, first, [&] {
      acceptor_->StopAndJoin();
      listener_.reset();
    });
    for (auto& shard : shards_) {
      rt::CallOn(home, shard->runtime, [&] {
        auto connections = shard->connections;  // a connection that ends at once leaves the set
        for (ConnectionControl* control : connections) {
          if (shard->connections.contains(control)) control->Stop();
        }
      });
    }
    MonoTime deadline = first.Mono() + grace;
    for (auto& shard : shards_) {
      rt::CallOn(home, shard->runtime, [&] {
        rt::Shield no_scope(shard->runtime);
        // Not in time is as good as in time: what is left is stopped hard.
        (void)shard->empty.WaitUntil([&] { return shard->connections.empty(); }, deadline);
        shard->group.StopAndJoin();
        shard.reset();
      });
    }
    rt::CallOn(home, first, [&] {
      acceptor_.reset();
      room_.reset();
    });
  }

 private:
  void AcceptLoop() {
    size_t next = 0;
    while (true) {
      if (!room_->WaitUntil([this] { return open_.load() < options_.connections_max; }).ok()) return;
      auto socket = listener_->AcceptFd();
      if (!socket.ok()) {
        if (!socket.Failed(Reason::kCancelled)) {
          LOG_ERROR("the server stopped accepting connections", {"address", local_.ToString()},
                    {"error", socket.status()});
        }
        return;
      }
      open_.fetch_add(1);
      Shard& shard = *shards_[next++ % shards_.size()];
      Deal(shard, std::move(*socket));
    }
  }

  /// Gives the connection to the shard's runtime.
  void Deal(Shard& shard, SocketFd socket) {
    if (&shard.runtime == runtimes_.front()) {
      Begin(shard, std::move(socket));
      return;
    }
    // std::function wants what it holds to be copyable.
    auto shared = std::make_shared<SocketFd>(std::move(socket));
    shard.runtime.Post([this, &shard, shared] { Begin(shard, std::move(*shared)); });
  }

  void Begin(Shard& shard, SocketFd socket) {
    auto shared = std::make_shared<SocketFd>(std::move(socket));
    shard.group.Spawn("connection " + shared->peer(), [this, &shard, shared] {
      ConnectionControl control;
      shard.connections.insert(&control);
      Serve(shard.runtime, MakeSocketStream(shard.runtime, std::move(*shared)), options_, handler_, control);
      shard.connections.erase(&control);
      if (shard.connections.empty()) shard.empty.NotifyAll();
      Closed();
    });
  }

  void Closed() {
    if (open_.fetch_sub(1) < options_.connections_max) return;
    rt::Runtime& first = *runtimes_.front();
    if (first.OnThisThread()) {
      room_->NotifyAll();
    } else {
      first.Post([this] {
        if (room_) room_->NotifyAll();
      });
    }
  }

  std::vector<rt::Runtime*> runtimes_;
  HttpServerOptions options_;
  Handler handler_;
  Endpoint local_;
  std::unique_ptr<SocketListener> listener_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<rt::TaskGroup> acceptor_;
  std::unique_ptr<rt::WaitQueue> room_;
  std::atomic<size_t> open_{0};
  bool stopped_ = false;
};

}  // namespace

void RunHandler(const Handler& handler, Request& request, Response& response) {
  handler(request, response);
  if (response.started()) return;
  Headers headers;
  headers.Add("Content-Type", "text/plain; charset=utf-8");
  LOG_ERROR("a request was left unanswered", {"method", request.method}, {"path", request.url.path});
  (void)response.Send(500, std::move(headers), "Internal Server Error\n");  // the connection may be gone; logged above
}

Status BodyTooLarge(size_t limit) {
  return {Reason::kRequestEntityTooLarge, "Request entity too large: limit is " + std::to_string(limit)};
}

Status BodyReadTwice() { return Internal("the request's body was read before"); }

void ServeConnection(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const HttpServerOptions& options,
                     const Handler& handler) {
  ConnectionControl control;
  Serve(runtime, std::move(stream), options, handler, control);
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(std::vector<rt::Runtime*> runtimes, const Endpoint& endpoint,
                                                      HttpServerOptions options, Handler handler) {
  CHECK(!runtimes.empty());
  auto server = std::make_unique<HttpServerImpl>(std::move(runtimes), std::move(options), std::move(handler));
  TRY(server->Open(endpoint));
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace knarr::net
