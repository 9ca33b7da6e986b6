// The API server over TLS and HTTP/2, one I/O thread, a store in memory: operations a second, and the processor time of
// the server's two threads for each. One JSON line per figure.

#include <sys/resource.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include "apiserver/apiserver.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace {

using namespace knarr;  // a benchmark is a program of its own

constexpr int kListed = 1000;
constexpr size_t kAnswerMax = 64 << 20;

double ThreadCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Bench {
  rt::RealRuntime& here;
  rt::RealRuntime& world;
  rt::RealRuntime& io;
  net::HttpClient* client = nullptr;
  std::string base;

  double ServerCpu() { return rt::CallOn(here, io, ThreadCpuSeconds) + rt::CallOn(here, world, ThreadCpuSeconds); }

  Ok Do(std::string method, const std::string& path, std::string body = {}, std::string type = "application/json") {
    net::ClientRequest request;
    request.method = std::move(method);
    request.url = TRY(net::Url::Parse(base + path));
    request.headers.Set("Content-Type", std::move(type));
    request.body = std::move(body);
    auto response = TRY(client->Send(request));
    const std::string answer = TRY(response->ReadAll(kAnswerMax));
    if (response->code() >= 300) return net::StatusOfResponse(response->code(), answer);
    return {};
  }

  void Measure(const char* name, int fibers, const std::function<Ok(int fiber)>& work, Duration length = 2s) {
    size_t done = 0;
    const double cpu = ServerCpu();
    const MonoTime start = here.Mono();
    const MonoTime end = start + length;
    rt::TaskGroup group(here, "bench");
    for (int i = 0; i < fibers; ++i) {
      group.Spawn("client", [&, i] {
        while (here.Mono() < end) {
          const Ok one = work(i);
          if (!one.ok()) {
            std::fprintf(stderr, "%s: %s\n", name, one.status().ToString().c_str());
            return;
          }
          ++done;
        }
      });
    }
    group.Join();
    const double seconds = std::chrono::duration<double>(here.Mono() - start).count();
    const double cpu_us = done == 0 ? 0 : (ServerCpu() - cpu) * 1e6 / static_cast<double>(done);
    std::printf(R"({"name":"apiserver.%s","value":%.0f,"unit":"ops/s","server_cpu_us":%.1f})"
                "\n",
                name, static_cast<double>(done) / seconds, cpu_us);
    std::fflush(stdout);
  }
};

std::string Pod(const std::string& name) {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
         R"(","labels":{"app":"bench","tier":"web"}},"spec":{"containers":[{"name":"c","image":"nginx:1.25","env":)"
         R"([{"name":"A","value":"1"}],"ports":[{"containerPort":80}],"resources":{"requests":{"cpu":"100m",)"
         R"("memory":"64Mi"},"limits":{"memory":"128Mi"}},"livenessProbe":{"httpGet":{"path":"/","port":80}}}]}})";
}

void Run(Bench& bench) {
  const std::string pods = "/api/v1/namespaces/default/pods";
  int next = 0;
  const auto create = [&](int) { return bench.Do("POST", pods, Pod("p" + std::to_string(next++))); };
  bench.Measure("create_pod_1", 1, create, 1s);
  bench.Measure("create_pod_64", 64, create);
  bench.Measure("get_pod_64", 64, [&](int i) { return bench.Do("GET", pods + "/p" + std::to_string(i)); });
  bench.Measure("patch_pod_64", 64, [&](int i) {
    return bench.Do("PATCH", pods + "/p" + std::to_string(i),
                    R"({"metadata":{"annotations":{"n":")" + std::to_string(next++) + R"("}}})",
                    "application/strategic-merge-patch+json");
  });
  const std::string list = pods + "?limit=" + std::to_string(kListed);
  bench.Measure("list_1000_pods_4", 4, [&](int) { return bench.Do("GET", list); });
  bench.Measure("list_by_absent_label_4", 4, [&](int) { return bench.Do("GET", pods + "?labelSelector=app%3Dnone"); });
}

net::CertificateRequest Request(WallTime now, std::string name) {
  net::CertificateRequest request;
  request.common_name = std::move(name);
  request.not_before = now - 1h;
  request.not_after = now + 1h;
  return request;
}

}  // namespace

int main() {
  auto pool = rt::BlockingPool::Create(2);
  rt::RealOptions names;
  names.name = "io";
  auto io = rt::RealRuntime::Create(names, pool);
  names.name = "world";
  auto world = rt::RealRuntime::Create(names, pool);
  auto here = rt::RealRuntime::Create({}, pool);
  io->StartThread();
  world->StartThread();
  here->Run([&] {
    const WallTime now = here->Wall();
    net::CertificateRequest authority = Request(now, "ca");
    authority.authority = true;
    const net::KeyPair ca = MUST(net::IssueCertificate(authority, nullptr));
    net::CertificateRequest server_request = Request(now, "server");
    server_request.server_auth = true;
    server_request.ip_addresses = {"127.0.0.1"};
    net::CertificateRequest client_request = Request(now, "admin");
    client_request.client_auth = true;
    client_request.organizations = {"system:masters"};
    net::TlsServerOptions tls;
    tls.identity = MUST(net::IssueCertificate(server_request, &ca));
    tls.client_ca_pem = ca.certificate_pem;
    tls.alpn = {"h2", "http/1.1"};
    apiserver::ApiServerOptions options;
    options.listen = MUST(net::Endpoint::Parse("127.0.0.1:0"));
    options.tls = MUST(net::TlsServerContext::Create(tls));
    std::unique_ptr<store::Store> store;
    std::unique_ptr<apiserver::ApiServer> server;
    Bench bench{*here, *world, *io, nullptr, ""};
    rt::CallOn(*here, *world, [&] {
      store = store::OpenMemory(*world);
      server = MUST(apiserver::ApiServer::Create(*world, {io.get()}, *store, options));
      MUST(server->Bootstrap());
      MUST(server->Listen());
      bench.base = "https://" + server->local().ToString();
    });
    {
      net::TlsClientOptions trust;
      trust.ca_pem = ca.certificate_pem;
      trust.identity = MUST(net::IssueCertificate(client_request, &ca));
      trust.alpn = {"h2"};
      net::HttpClientOptions client_options;
      client_options.tls = MUST(net::TlsClientContext::Create(trust));
      const auto client = net::HttpClient::Create(*here, client_options);
      bench.client = client.get();
      Run(bench);
    }
    rt::CallOn(*here, *world, [&] {
      server->Stop(1s);
      server.reset();
      store->Close();
      store.reset();
    });
  });
  io->StopThread();
  world->StopThread();
  return 0;
}
