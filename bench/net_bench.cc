// What a small request costs on the wire: HTTP/1.1 and HTTP/2 over TLS, WebSocket messages, big answers, handshakes.
// The server has its own thread; its processor time is what "cpu_us" counts.

#include <sys/resource.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "net/http_client.h"
#include "net/tls.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace {

using namespace knarr;  // a benchmark is a program of its own

double ThreadCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void Print(const char* name, double per_second, double cpu_us, const char* unit) {
  std::printf(R"({"name":"%s","value":%.0f,"unit":"%s","server_cpu_us":%.2f})"
              "\n",
              name, per_second, unit, cpu_us);
  std::fflush(stdout);
}

struct Bench {
  rt::Runtime& here;
  rt::RealRuntime& io;
  net::KeyPair authority;
  std::unique_ptr<net::HttpServer> server;

  /// Runs `work` on this many fibers for a while and prints how often it was done.
  void Measure(const char* name, int fibers, const char* unit, const std::function<Ok(int fiber)>& work,
               Duration length = 2s) {
    size_t done = 0;
    double cpu = rt::CallOn(here, io, ThreadCpuSeconds);
    MonoTime start = here.Mono();
    MonoTime end = start + length;
    rt::TaskGroup group(here, "bench");
    for (int i = 0; i < fibers; ++i) {
      group.Spawn("client", [&, i] {
        while (here.Mono() < end) {
          if (Ok one = work(i); !one.ok()) {
            std::fprintf(stderr, "%s: %s\n", name, one.status().ToString().c_str());
            return;
          }
          ++done;
        }
      });
    }
    group.Join();
    double seconds = std::chrono::duration<double>(here.Mono() - start).count();
    cpu = rt::CallOn(here, io, ThreadCpuSeconds) - cpu;
    auto count = static_cast<double>(done);
    Print(name, count / seconds, cpu * 1e6 / count, unit);
  }
};

constexpr size_t kBigSize = 100 << 20;

void Handle(rt::Runtime& runtime, net::Request& request, net::Response& response, const std::string& piece) {
  if (net::IsWebSocketUpgrade(request)) {
    auto socket = net::AcceptWebSocket(runtime, request, response, {});
    while (socket.ok()) {
      auto message = (*socket)->Read();
      if (!message.ok() || !(*socket)->Write(message->data).ok()) return;
    }
  } else if (request.url.path == "/big") {
    std::vector<std::string_view> pieces(kBigSize / piece.size(), piece);
    (void)response.SendPieces(200, {}, std::move(pieces));  // a client that went is not this program's business
  } else {
    net::Headers headers;
    headers.Add("Content-Type", "application/json");
    (void)response.Send(200, std::move(headers), R"({"kind":"Status","status":"Success"})");
  }
}

net::KeyPair Issue(WallTime now, const net::KeyPair* issuer) {
  net::CertificateRequest request;
  request.common_name = "bench";
  request.authority = issuer == nullptr;
  request.server_auth = issuer != nullptr;
  request.ip_addresses = {"127.0.0.1"};
  request.not_before = now - 1h;
  request.not_after = now + 1h;
  return MUST(net::IssueCertificate(request, issuer));  // right by construction
}

Ok Fetch(net::HttpClient& client, const net::ClientRequest& request) {
  auto response = TRY(client.Send(request));
  char buffer[16 << 10];
  while (TRY(response->Read(buffer, sizeof buffer)) > 0) {
  }
  return {};
}

void Run(rt::Runtime& here, rt::RealRuntime& io) {
  MonoTime start = here.Mono();
  Bench bench{here, io, Issue(here.Wall(), nullptr), nullptr};
  net::HttpServerOptions options;
  options.home = &here;
  net::KeyPair identity = Issue(here.Wall(), &bench.authority);
  options.tls = MUST(net::TlsServerContext::Create({identity, "", {"h2", "http/1.1"}}));  // as above
  std::string piece(2000, 'x');
  bench.server = MUST(net::HttpServer::Start(  // any free port of loopback
      {&io}, net::Endpoint{"127.0.0.1", 0, {}}, options,
      [&](net::Request& q, net::Response& p) { Handle(io, q, p, piece); }));
  Print("net_start_two_certificates_and_server", std::chrono::duration<double, std::micro>(here.Mono() - start).count(),
        0, "us");
  net::ClientRequest request;
  request.url = MUST(net::Url::Parse("https://" + bench.server->local().ToString() + "/api/v1/pods/x"));  // our own
  net::ClientRequest big = request;
  big.url.path = "/big";
  auto tls = MUST(net::TlsClientContext::Create({bench.authority.certificate_pem, {}, false, "", {}}));
  for (bool http2 : {false, true}) {
    auto client = net::HttpClient::Create(here, {.tls = tls, .http2 = http2});
    std::string name = http2 ? "net_http2_tls" : "net_http1_tls";
    bench.Measure((name + "_get_1").c_str(), 1, "requests/s", [&](int) { return Fetch(*client, request); });
    bench.Measure((name + "_get_32").c_str(), 32, "requests/s", [&](int) { return Fetch(*client, request); });
    bench.Measure((name + "_100MiB").c_str(), 1, "answers/s", [&](int) { return Fetch(*client, big); });
  }
  bench.Measure("net_tls_handshake_and_get", 4, "connections/s", [&](int) {
    auto client = net::HttpClient::Create(here, {.tls = tls});
    return Fetch(*client, request);
  });
  auto client = net::HttpClient::Create(here, {.tls = tls});
  for (size_t size : {100, 32'768}) {
    std::vector<std::unique_ptr<net::WebSocket>> sockets(8);
    std::string message(size, 'm');
    std::string name = "net_websocket_tls_echo_" + std::to_string(size);
    bench.Measure(name.c_str(), 8, "messages/s", [&](int i) -> Ok {
      auto& socket = sockets[static_cast<size_t>(i)];
      if (!socket) socket = TRY(client->OpenWebSocket(request, {}));
      TRY(socket->Write(message));
      return TRY(socket->Read()).data.size() == size ? Ok() : Internal("the echo has another size");
    });
  }
  bench.server->Stop(0s);
}

}  // namespace

int main() {
  auto pool = rt::BlockingPool::Create(2);
  auto io = rt::RealRuntime::Create({.name = "io"}, pool);
  auto home = rt::RealRuntime::Create({.name = "home"}, pool);
  io->StartThread();
  home->Run([&] { Run(*home, *io); });
  io->StopThread();
  return 0;
}
