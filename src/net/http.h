#pragma once

// HTTP messages, and the server: HTTP/1.1 and HTTP/2 (nghttp2) on the same port, by ALPN under TLS and by preface in
// the clear. A handler is plain blocking code: one fiber a request, on the I/O runtime that owns the connection.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/stream.h"
#include "net/tls.h"
#include "rt/runtime.h"

namespace knarr::net {

/// Names are compared without case; order is kept.
class Headers {
 public:
  void Add(std::string name, std::string value);
  void Set(std::string_view name, std::string value);
  void Remove(std::string_view name);
  /// The first value, or "".
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const;
  std::vector<std::string_view> GetAll(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

/// A request target, decoded: "/api/v1/pods?limit=5" → path and query. Percent escapes are decoded in both.
struct Url {
  std::string scheme;  ///< "https", or "" for a bare path
  std::string host;
  uint16_t port = 0;
  std::string path;
  /// The path as it was written, where its escapes say more than `path` (an escaped slash); "" otherwise.
  std::string raw_path;
  std::vector<std::pair<std::string, std::string>> query;
  /// BadRequest with net/url's words. Pairs of the query with a bad escape or a semicolon are left out, as Go does.
  static Result<Url> Parse(std::string_view text);
  /// The first value, or "".
  std::string_view Query(std::string_view name) const;
  bool HasQuery(std::string_view name) const;
  std::string ToString() const;
  /// Path and query: what stands in a request line.
  std::string Target() const;
};
/// Go's url.QueryEscape (a space is "+") and url.PathEscape (one segment of a path: "/" is escaped).
std::string QueryEscape(std::string_view text);
std::string PathEscape(std::string_view text);
/// "OK" for 200.
std::string_view HttpStatusText(int code);
/// "Sat, 21 Nov 2026 03:00:00 GMT".
std::string FormatHttpDate(WallTime time);

struct Request {
  std::string method;
  std::string target;  ///< as it came: path and query
  Url url;
  Headers headers;
  std::string peer;
  bool http2 = false;
  /// The client's certificate, the same object for all requests of a connection; null: it showed none. It says whether
  /// it is to be trusted.
  std::shared_ptr<const CertificateInfo> certificate;
  /// The whole body; RequestEntityTooLarge beyond `limit`. Once.
  std::function<Result<std::string>(size_t limit)> read_body;
  /// Instead of that: some of the body, as it comes; 0 at its end.
  std::function<Result<size_t>(char* out, size_t size)> read_some;
};

/// Bytes that others have, too. Without an owner they are constants.
struct SharedPiece {
  std::shared_ptr<const std::string> owner;
  std::string_view text;
};

/// How a handler answers: Send once, or Start then Write any number of times then Finish, or Hijack.
class Response {
 public:
  virtual ~Response() = default;
  virtual Ok Send(int code, Headers headers, std::string_view body) = 0;
  /// As Send, for a body made of shared pieces that are written out one after the other without joining them.
  virtual Ok SendPieces(int code, Headers headers, std::vector<std::string_view> pieces) = 0;
  virtual Ok Start(int code, Headers headers) = 0;
  /// Suspends while the peer reads slowly; Unavailable when it has gone. Flushed at once.
  virtual Ok Write(std::string_view bytes) = 0;
  /// The same for bytes that many answers send at once: where the protocol allows it they are not copied.
  virtual Ok WriteShared(std::vector<SharedPiece> pieces);
  virtual Ok Finish() = 0;
  virtual bool started() const = 0;
  /// HTTP/1.1 upgrade: answers 101 with these headers and hands over the connection's stream, bytes that were already
  /// read included. BadRequest under HTTP/2 (which has no upgrade).
  virtual Result<std::unique_ptr<Stream>> Hijack(Headers headers) = 0;
  /// Suspends until the client goes away or the request's scope ends: for handlers that wait for events, run it in a
  /// fiber of their own.
  virtual void WaitClosed() = 0;
};

using Handler = std::function<void(Request& request, Response& response)>;

struct HttpServerOptions {
  /// The runtime of the fibers that call HttpServer's functions; null: the first that serves.
  rt::Runtime* home = nullptr;
  std::shared_ptr<TlsServerContext> tls;  ///< null: in the clear
  size_t header_bytes_max = 64 << 10;
  size_t connections_max = 20000;
  uint32_t streams_max = 250;  ///< concurrent requests a connection (HTTP/2)
  Duration header_timeout = std::chrono::seconds(32);
  Duration idle_timeout = std::chrono::minutes(3);
};

/// Accepts on `listener` and serves each connection in fibers of `runtimes` (connections are dealt out in turn; the
/// listener belongs to the first). Stop ends the listening, asks connections to close (GOAWAY) and, after `grace`,
/// closes them.
class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> Start(std::vector<rt::Runtime*> runtimes, const Endpoint& endpoint,
                                                   HttpServerOptions options, Handler handler);
  virtual ~HttpServer() = default;
  virtual Endpoint local() const = 0;
  virtual void Stop(Duration grace) = 0;
};

/// Serves one stream in the current fiber until it ends: for tests and for pipes in memory.
void ServeConnection(rt::Runtime& runtime, std::unique_ptr<Stream> stream, const HttpServerOptions& options,
                     const Handler& handler);

}  // namespace knarr::net
