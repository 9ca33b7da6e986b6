#include "net/http_client.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "doc/json.h"
#include "net/http1_client.h"
#include "net/http2_client.h"
#include "net/websocket_client.h"
#include "rt/sync.h"

namespace knarr::net {
namespace {

constexpr int kTriesMax = 3;
/// Connections and their TLS handshakes take at most this long.
constexpr Duration kDialTimeout = 30s;

/// The connections to one server.
struct Host {
  explicit Host(rt::Runtime& runtime) : changed(runtime) {}
  std::vector<std::shared_ptr<Http2Client>> http2;
  std::vector<std::unique_ptr<Http1Client>> idle;  // the last used at the end
  size_t http1_open = 0;
  bool dialing = false;
  bool only_http1 = false;
  uint64_t failures = 0;  // dials that failed, and why the last one did
  std::optional<Status> failure;
  rt::WaitQueue changed;
};

/// Shared with responses, which give their connections back, also after the client is gone.
struct Pool {
  explicit Pool(rt::Runtime& r) : runtime(r) {}
  rt::Runtime& runtime;
  std::map<std::string, std::unique_ptr<Host>> hosts;
  bool stopped = false;
  bool sweeping = false;
};

struct Lease {
  std::shared_ptr<Http2Client> http2;
  std::unique_ptr<Http1Client> http1;
};

bool IsIdempotent(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

class HttpClientImpl : public HttpClient {
 public:
  HttpClientImpl(rt::Runtime& runtime, HttpClientOptions options)
      : runtime_(runtime),
        options_(std::move(options)),
        pool_(std::make_shared<Pool>(runtime)),
        fibers_(runtime, "http client") {}

  ~HttpClientImpl() override {
    pool_->stopped = true;
    for (auto& [name, host] : pool_->hosts) host->idle.clear();
    fibers_.StopAndJoin();
  }

  Result<std::unique_ptr<ClientResponse>> Send(const ClientRequest& request) override {
    TRY(CheckUrl(request.url));
    Host& host = HostOf(request.url);
    Status last = Unavailable("no connection");
    for (int i = 0; i < kTriesMax; ++i) {
      Lease lease = TRY(Take(host, request.url));
      bool again = false;
      auto response =
          lease.http2 ? SendHttp2(lease, request, again) : SendHttp1(host, std::move(lease.http1), request, again);
      if (response.ok() || !again) return response;
      last = response.status();
      TRY(runtime_.CheckCancelled());
    }
    return last;
  }

  Result<std::unique_ptr<WebSocket>> OpenWebSocket(const ClientRequest& request,
                                                   std::vector<std::string> protocols) override {
    TRY(CheckUrl(request.url));
    auto stream = TRY(Dial(request.url, {"http/1.1"}));
    return OpenWebSocketOn(runtime_, std::make_unique<Http1Client>(std::move(stream)), request, protocols);
  }

 private:
  static Ok CheckUrl(const Url& url) {
    if (url.scheme != "http" && url.scheme != "https") {
      return BadRequest("unsupported protocol scheme \"" + url.scheme + "\"");
    }
    if (url.host.empty()) return BadRequest("no Host in request URL");
    return {};
  }

  Host& HostOf(const Url& url) {
    std::string key = url.scheme + "://" + HostHeader(url);
    auto& host = pool_->hosts[key];
    if (!host) host = std::make_unique<Host>(runtime_);
    return *host;
  }

  Result<std::unique_ptr<ClientResponse>> SendHttp2(const Lease& lease, const ClientRequest& request, bool& again) {
    bool used_before = lease.http2->proven();
    bool refused = false;
    auto response = lease.http2->Send(request, refused);
    if (!response.ok()) {
      // A connection that served before may have been closed for being idle just as we sent.
      again = refused || (used_before && lease.http2->closed() && IsIdempotent(request.method));
    }
    return response;
  }

  Result<std::unique_ptr<ClientResponse>> SendHttp1(Host& host, std::unique_ptr<Http1Client> connection,
                                                    const ClientRequest& request, bool& again) {
    auto head = Exchange(*connection, request);
    if (!head.ok()) {
      bool gone = head.Failed(Reason::kServiceUnavailable);
      again = gone && connection->reused && !connection->answered && IsIdempotent(request.method);
      connection.reset();
      GiveBackTo(host, nullptr);
      return head.status().WithContext(request.method + " " + request.url.path);
    }
    // Hosts live as long as the pool, which the function keeps.
    GiveBack back = [this, pool = pool_, &host](std::unique_ptr<Http1Client> used) {
      if (!pool->stopped) GiveBackTo(host, std::move(used));
    };
    return MakeHttp1Response(std::move(connection), std::move(*head), std::move(back));
  }

  void GiveBackTo(Host& host, std::unique_ptr<Http1Client> connection) {
    if (connection) {
      connection->idle_since = runtime_.Mono();
      connection->reused = true;
      host.idle.push_back(std::move(connection));
      Sweep();
    } else {
      --host.http1_open;
    }
    host.changed.NotifyOne();
  }

  /// Closes connections that have been idle for too long, while there are any that are idle.
  void Sweep() {
    if (std::exchange(pool_->sweeping, true)) return;
    fibers_.Spawn("close idle connections", [this] {
      while (runtime_.Sleep(options_.idle_timeout).ok()) {
        bool any = false;
        for (auto& [name, host] : pool_->hosts) any = CloseIdle(*host) || any;
        if (!any) break;
      }
      pool_->sweeping = false;
    });
  }

  /// True when some are left.
  bool CloseIdle(Host& host) {
    MonoTime oldest = runtime_.Mono() - options_.idle_timeout;
    size_t closed = std::erase_if(host.idle, [&](const auto& connection) { return connection->idle_since <= oldest; });
    host.http1_open -= closed;
    for (size_t i = 0; i < closed; ++i) host.changed.NotifyOne();
    return !host.idle.empty();
  }

  /// A connection that can take one more request, a new one if need be.
  Result<Lease> Take(Host& host, const Url& url) {
    while (true) {
      std::erase_if(host.http2, [](const auto& connection) { return connection->closed(); });
      for (const auto& connection : host.http2) {
        if (connection->HasRoom()) return Lease{connection, nullptr};
      }
      if (!host.idle.empty()) {
        auto connection = std::move(host.idle.back());
        host.idle.pop_back();
        if (connection->idle_since + options_.idle_timeout > runtime_.Mono())
          return Lease{nullptr, std::move(connection)};
        --host.http1_open;
        continue;
      }
      // One dials for all while it is open whether they can share its connection.
      bool may_share = !host.only_http1 && options_.http2 && url.scheme == "https";
      bool full = !may_share && host.http1_open >= options_.connections_max;
      if ((may_share && host.dialing) || full) {
        uint64_t failures = host.failures;
        TRY(host.changed.Wait());
        // Whoever waited for a dial shares its failure: one after the other would only wait longer for the same.
        if (may_share && host.failures != failures) return *host.failure;
        continue;
      }
      return DialFor(host, url, may_share);
    }
  }

  Result<Lease> DialFor(Host& host, const Url& url, bool may_share) {
    if (may_share) host.dialing = true;
    ++host.http1_open;
    auto stream =
        Dial(url, may_share ? std::vector<std::string>{"h2", "http/1.1"} : std::vector<std::string>{"http/1.1"});
    if (may_share) host.dialing = false;
    host.changed.NotifyAll();
    if (!stream.ok()) {
      --host.http1_open;
      if (runtime_.CheckCancelled().ok()) {  // not the dialler's own end
        ++host.failures;
        host.failure = stream.status();
      }
      return stream.status();
    }
    auto* tls = dynamic_cast<TlsStream*>(stream->get());
    if (tls == nullptr || tls->alpn() != "h2") {
      host.only_http1 = true;
      return Lease{nullptr, std::make_unique<Http1Client>(std::move(*stream))};
    }
    --host.http1_open;
    auto connection = std::make_shared<Http2Client>(runtime_, std::move(*stream), options_.idle_timeout);
    fibers_.Spawn("http2 read", [connection] { connection->ReadLoop({}); });
    fibers_.Spawn("http2 write", [connection] { connection->WriteLoop(); });
    host.http2.push_back(connection);
    return Lease{std::move(connection), nullptr};
  }

  Result<std::unique_ptr<Stream>> Dial(const Url& url, std::vector<std::string> alpn) {
    rt::CancelScope scope(runtime_, kDialTimeout);
    bool secure = url.scheme == "https";
    uint16_t usual = secure ? 443 : 80;
    Endpoint endpoint{url.host, url.port != 0 ? url.port : usual, {}};
    auto stream = TRY(Connect(runtime_, endpoint));
    if (!secure) return stream;
    if (!options_.tls) options_.tls = TRY(TlsClientContext::Create({}));
    return std::unique_ptr<Stream>(TRY(TlsConnect(std::move(stream), *options_.tls, {url.host, std::move(alpn)})));
  }

  rt::Runtime& runtime_;
  HttpClientOptions options_;
  std::shared_ptr<Pool> pool_;
  rt::TaskGroup fibers_;
};

Status TooLarge(size_t limit) {
  return {Reason::kRequestEntityTooLarge, "the response is larger than " + std::to_string(limit) + " bytes"};
}

StatusDetails ReadDetails(const doc::Value& value) {
  StatusDetails details;
  details.group = value.At("group").AsString();
  details.kind = value.At("kind").AsString();
  details.name = value.At("name").AsString();
  details.uid = value.At("uid").AsString();
  details.retry_after_seconds =
      static_cast<int32_t>(std::clamp<int64_t>(value.At("retryAfterSeconds").AsInt(), 0, INT32_MAX));
  for (const doc::Value& cause : value.At("causes").items()) {
    details.causes.push_back({std::string(cause.At("reason").AsString()), std::string(cause.At("message").AsString()),
                              std::string(cause.At("field").AsString())});
  }
  return details;
}

}  // namespace

Status StatusOfResponse(int code, std::string_view body) {
  constexpr size_t kTextMax = 2048;
  if (body.starts_with('{')) {
    auto document = doc::ParseJson(body);
    if (document.ok() && document->root.At("kind").AsString() == "Status") {
      const doc::Value& root = document->root;
      Reason reason = ReasonFromText(root.At("reason").AsString());
      if (reason == Reason::kUnknown) reason = ReasonFromHttpCode(code);
      Status status(reason, std::string(root.At("message").AsString()), ReadDetails(root.At("details")));
      return status.code() == code ? status : status.WithCode(code);
    }
  }
  std::string text(TrimSpace(body.substr(0, kTextMax)));
  if (text.empty() || !IsValidUtf8(text)) text = HttpStatusText(code);
  Status status(ReasonFromHttpCode(code), std::move(text));
  return status.code() == code ? status : status.WithCode(code);
}

Result<std::string> ClientResponse::ReadAll(size_t limit) {
  std::string out;
  size_t size = 0;
  size_t announced = 0;
  if (auto length = ParseUint64(headers().Get("Content-Length")); length.ok()) {
    announced = static_cast<size_t>(*length);
  }
  while (true) {
    if (size == out.size()) {
      if (size > limit) return TooLarge(limit);
      // An announced length gets its memory bit by bit too: it is only a claim.
      size_t step =
          std::clamp(std::max(size, std::min(announced, size_t{1} << 20)), size_t{16} << 10, size_t{16} << 20);
      out.resize(std::min(size + step, limit + 1));
    }
    size_t count = TRY(Read(out.data() + size, out.size() - size));
    if (count == 0) break;
    size += count;
  }
  out.resize(size);
  return out;
}

std::unique_ptr<HttpClient> HttpClient::Create(rt::Runtime& runtime, HttpClientOptions options) {
  return std::make_unique<HttpClientImpl>(runtime, std::move(options));
}

}  // namespace knarr::net
