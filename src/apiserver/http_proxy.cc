#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "apiserver/errors.h"
#include "apiserver/http_face.h"
#include "apiserver/proxy_links.h"
#include "apiserver/proxy_target.h"
#include "apiserver/streams.h"
#include "base/ip.h"
#include "base/path.h"
#include "base/strings.h"
#include "net/gzip.h"
#include "net/http_relay.h"
#include "net/splice.h"

// Requests that are passed on to pods, services and nodes, and their answers.

namespace knarr::apiserver {
namespace {

constexpr size_t kPart = 32 << 10;
/// Pages beyond this pass with their links as they are.
constexpr size_t kPageMax = 8 << 20;

/// Headers of one hop.
constexpr std::array<std::string_view, 9> kHopHeaders = {
    "Connection", "Proxy-Connection", "Keep-Alive",        "Proxy-Authenticate", "Proxy-Authorization",
    "Te",         "Trailer",          "Transfer-Encoding", "Upgrade"};
/// Who the client is, and wants to be, is for this server alone.
constexpr std::array<std::string_view, 4> kIdentityHeaders = {"Authorization", "Impersonate-User", "Impersonate-Group",
                                                              "Impersonate-Uid"};
constexpr std::array<std::string_view, 2> kIdentityPrefixes = {"impersonate-extra-", "x-remote-"};
constexpr std::array<std::string_view, 4> kCorsHeaders = {
    "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin"};

bool IsUpgrade(const net::Request& request) {
  if (request.http2) return false;  // it has none
  for (const std::string_view value : request.headers.GetAll("Connection")) {
    if (ToLower(value).find("upgrade") != std::string::npos) return true;
  }
  return false;
}

void RemoveHopHeaders(net::Headers& headers) {
  std::vector<std::string> named;
  for (const std::string_view value : headers.GetAll("Connection")) {
    for (const std::string_view name : Split(value, ',')) named.emplace_back(TrimSpace(name));
  }
  for (const std::string& name : named) headers.Remove(name);
  for (const std::string_view name : kHopHeaders) headers.Remove(name);
}

void RemoveIdentity(net::Headers& headers) {
  for (const std::string_view name : kIdentityHeaders) headers.Remove(name);
  std::vector<std::string> extra;
  for (const auto& [name, value] : headers.all()) {
    const std::string lower = ToLower(name);
    if (std::ranges::any_of(kIdentityPrefixes, [&](std::string_view prefix) { return lower.starts_with(prefix); })) {
      extra.push_back(name);
    }
  }
  for (const std::string& name : extra) headers.Remove(name);
}

void AddForwardedFor(const net::Request& request, net::Headers& headers) {
  const Result<HostPort> peer = SplitHostPort(request.peer);
  if (!peer.ok()) return;
  std::string value = Join(headers.GetAll("X-Forwarded-For"), ", ");
  headers.Set("X-Forwarded-For", value.empty() ? peer->host : value + ", " + peer->host);
}

/// The path that is asked of the target: what stands behind the proxy's own.
std::string SubPath(const Call& call) {
  const std::string& path = call.request.url.path;
  const std::string mark = fmt::format("/{}/{}/proxy", call.attributes.resource, call.attributes.name);
  // The first, for what is behind may look the same.
  std::string_view rest(path);
  const size_t at = rest.find(mark);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + mark.size());
  if (rest.empty()) return {};
  const bool slash = rest.ends_with('/');
  std::string out = CleanPath(rest);
  if (slash && !out.ends_with('/')) out += '/';
  return out;
}

std::string EscapedPath(const std::string& path) {
  net::Url url;
  url.path = path;
  return url.Target();
}

std::string_view QueryPart(std::string_view target) {
  const size_t question = target.find('?');
  return question == std::string_view::npos ? std::string_view() : target.substr(question);
}

/// One request on its way.
class Proxied {
 public:
  Proxied(Call& call, ProxyTarget target)
      : call_(call), here_(call.context.runtime), target_(std::move(target)), path_(SubPath(call)) {
    const std::string& asked = call_.request.url.path;
    std::string suffix = path_;
    if (asked.ends_with('/') && !suffix.ends_with('/')) suffix += '/';
    place_.prefix = asked.ends_with(suffix) ? asked.substr(0, asked.size() - suffix.size()) : asked;
    place_.backend_host = target_.host;
    place_.request_host = call_.request.headers.Get("Host");
  }

  Ok Serve() {
    if (IsUpgrade(call_.request)) return Upgrade();
    const std::string& method = call_.request.method;
    if (path_.empty() && (method == "GET" || method == "HEAD")) return RedirectToRoot();
    return Exchange();
  }

 private:
  Ok RedirectToRoot() {
    net::Headers headers = AnswerHeaders();
    headers.Set("Location", call_.request.url.path + "/" + std::string(QueryPart(call_.request.target)));
    return call_.response.Send(301, std::move(headers), "");
  }

  net::Headers AnswerHeaders() const {
    net::Headers headers;
    headers.Set("Audit-Id", call_.audit_id);
    headers.Set("Cache-Control", "no-cache, private");
    return headers;
  }

  net::RelayRequest MakeRequest() const {
    const net::Request& request = call_.request;
    net::RelayRequest out;
    out.method = request.method;
    out.target = EscapedPath(path_);
    out.target += QueryPart(request.target);
    out.headers = request.headers;
    const std::string_view length = out.headers.Get("Content-Length");
    const bool chunked = out.headers.Has("Transfer-Encoding");
    const bool has_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (const Result<uint64_t> number = ParseUint64(length); number.ok() && !chunked) {
      out.body = net::RelayBody::kLength;
      out.length = *number;
    } else if (chunked || (request.http2 && has_body)) {
      out.body = net::RelayBody::kChunked;
    }
    RemoveIdentity(out.headers);
    for (const std::string_view name : {"Content-Length", "Transfer-Encoding", "Expect"}) out.headers.Remove(name);
    AddForwardedFor(request, out.headers);
    return out;
  }

  Result<std::unique_ptr<net::Stream>> Dial() {
    auto stream = TRY(target_.dial());
    if (!target_.secure) return stream;
    // Pods are reached by their addresses, which no certificate names.
    const auto context = TRY(net::TlsClientContext::Create({.insecure = true}));
    const rt::CancelScope scope(here_, 10s);
    return std::unique_ptr<net::Stream>(TRY(net::TlsConnect(std::move(stream), *context)));
  }

  Ok CopyBody(net::HttpRelay& relay) {
    std::string part;
    for (;;) {
      part.resize(kPart);
      const Result<size_t> count = call_.request.read_some(part.data(), part.size());
      client_gone_ = !count.ok();
      if (TRY(count) == 0) return relay.EndBody();
      TRY(relay.WriteBody(std::string_view(part).substr(0, *count)));
    }
  }

  // --- plain requests

  Ok Exchange() {
    net::RelayRequest request = MakeRequest();
    const bool trailers = ToLower(Join(request.headers.GetAll("Te"), ",")).find("trailers") != std::string::npos;
    RemoveHopHeaders(request.headers);
    if (trailers) request.headers.Set("Te", "trailers");
    const std::string escaped = EscapedPath(path_);
    std::string uri = JoinPaths(place_.prefix, escaped);
    if (escaped.ends_with('/') && !uri.ends_with('/')) uri += '/';
    request.headers.Set("X-Forwarded-Uri", uri);
    StreamScope scope(call_.context.local, here_);
    rt::TaskGroup client(here_, "proxied client");
    auto relay = Begin(request);
    const bool begun = relay.ok();
    if (begun) {
      client.Spawn("request body", [&] {
        const Ok copied = request.body == net::RelayBody::kNone ? Ok() : CopyBody(**relay);
        if (copied.ok()) call_.response.WaitClosed();
        // But the target may answer without reading all of it.
        if (copied.ok() || client_gone_) scope.Stop();
      });
    }
    Ok answered = begun ? (*relay)->ReadHead() : Ok(relay.status());
    if (answered.ok()) {
      answered = Answer(**relay);
    } else {
      answered = Unavailable(fmt::format("error trying to reach service: {}", answered.status().message()));
    }
    client.StopAndJoin();
    return call_.response.started() ? Ok() : answered;
  }

  Result<std::unique_ptr<net::HttpRelay>> Begin(const net::RelayRequest& request) {
    return net::HttpRelay::Begin(TRY(Dial()), request);
  }

  // Once the answer has begun, an error can only break it off.
  Ok Answer(net::HttpRelay& relay) {
    net::Headers headers = AnswerHeaders();
    net::Headers theirs = relay.headers();
    RemoveHopHeaders(theirs);
    for (const std::string_view name : kCorsHeaders) theirs.Remove(name);
    const std::string location(theirs.Get("Location"));
    if (!location.empty()) theirs.Set("Location", RewriteLink(location, place_));
    std::optional<std::string> page;
    const std::string_view type = theirs.Get("Content-Type");
    const bool html = TrimSpace(type.substr(0, type.find(';'))) == "text/html";
    if (html && location.empty() && call_.request.method != "HEAD") {
      page = TRY(ReadPage(relay, theirs));
    }
    for (const auto& [name, value] : theirs.all()) headers.Add(name, value);
    TRY(call_.response.Start(relay.code(), std::move(headers)));
    if (page.has_value()) TRY(call_.response.Write(*page));
    const auto part = std::make_unique_for_overwrite<char[]>(kPart);
    for (;;) {
      const size_t count = TRY(relay.Read(part.get(), kPart));
      if (count == 0) return call_.response.Finish();
      TRY(call_.response.Write({part.get(), count}));
    }
  }

  /// A page with its links rewritten; the beginning of it, as it is, when it is too large or packed in an unknown way.
  Result<std::string> ReadPage(net::HttpRelay& relay, net::Headers& headers) {
    std::string page;
    bool whole = false;
    while (page.size() <= kPageMax && !whole) {
      const size_t before = page.size();
      page.resize(before + kPart);
      const size_t count = TRY(relay.Read(page.data() + before, kPart));
      page.resize(before + count);
      whole = count == 0;
    }
    const std::string encoding(headers.Get("Content-Encoding"));
    if (!whole || (!encoding.empty() && encoding != "gzip" && encoding != "deflate")) return page;
    if (!encoding.empty()) {
      auto unpacked = net::Unpack(page, kPageMax);
      if (!unpacked.has_value()) return page;
      page = std::move(*unpacked);
      headers.Remove("Content-Encoding");
    }
    headers.Remove("Content-Length");
    return RewriteHtml(page, place_);
  }

  // --- upgrades

  Ok Upgrade() {
    const net::RelayRequest request = MakeRequest();
    const StreamScope scope(call_.context.local, here_);
    auto stream = Dial();
    if (!stream.ok()) return BareError(fmt::format("error dialing backend: {}", stream.status().message()));
    auto sent = net::HttpRelay::Begin(std::move(*stream), request);
    if (!sent.ok()) return BareError(fmt::format("error sending request: {}", sent.status().message()));
    const auto relay = std::move(*sent);
    if (request.body != net::RelayBody::kNone) TRY(CopyBody(*relay));
    const Ok head = relay->ReadHead();
    if (!head.ok()) return BareError(head.status().message());
    if (relay->code() >= 400) return Answer(*relay);
    if (relay->code() != 101) return BareError(fmt::format("invalid upgrade response: status code {}", relay->code()));
    const auto client = TRY(call_.response.Hijack(relay->headers()));
    const auto server = relay->TakeStream();
    (void)net::Splice(here_, *client, *server);  // that one side breaks is one of the ways to end
    return {};
  }

  Call& call_;
  rt::Runtime& here_;
  const ProxyTarget target_;
  const std::string path_;
  ProxyPlace place_;
  bool client_gone_ = false;
};

}  // namespace

Ok ServeProxy(Call& call, Core& core) {
  ProxyTarget target = TRY(FindProxyTarget(call, core));
  return Proxied(call, std::move(target)).Serve();
}

}  // namespace knarr::apiserver
