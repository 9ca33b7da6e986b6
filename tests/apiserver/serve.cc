// An API server alone, for trying clients against it: TLS on a loopback port, a store in memory (or in a folder), one
// client certificate of system:masters, and one node
// ("echo") whose containers repeat what they are told. Writes a kubeconfig and serves until it is killed.
//
// knarr_apiserver_serve PORT KUBECONFIG [STORE-FOLDER]

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "apiserver/apiserver.h"
#include "apiserver/echo_node.h"
#include "base/log.h"
#include "base/strings.h"
#include "net/tls.h"
#include "rt/real.h"

namespace knarr {
namespace {

struct Identities {
  net::KeyPair authority;
  net::KeyPair server;
  net::KeyPair admin;
};

Result<Identities> MakeIdentities(WallTime now) {
  Identities out;
  net::CertificateRequest request;
  request.not_before = now - 1h;
  request.not_after = now + 24h;
  request.common_name = "test-ca";
  request.authority = true;
  out.authority = TRY(net::IssueCertificate(request, nullptr));
  request.authority = false;
  request.common_name = "apiserver";
  request.server_auth = true;
  request.dns_names = {"localhost"};
  request.ip_addresses = {"127.0.0.1"};
  out.server = TRY(net::IssueCertificate(request, &out.authority));
  request = {};
  request.not_before = now - 1h;
  request.not_after = now + 24h;
  request.common_name = "admin";
  request.organizations = {"system:masters"};
  request.client_auth = true;
  out.admin = TRY(net::IssueCertificate(request, &out.authority));
  return out;
}

void WriteKubeconfig(const std::string& path, const Identities& identities, int port) {
  std::ofstream out(path);
  out << "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster:\n    server: "
         "https://"
      << "127.0.0.1:" << port
      << "\n    certificate-authority-data: " << Base64Encode(identities.authority.certificate_pem)
      << "\ncontexts:\n- name: test\n  context:\n    cluster: test\n    user: admin\nusers:\n- name: admin\n  user:\n"
      << "    client-certificate-data: " << Base64Encode(identities.admin.certificate_pem)
      << "\n    client-key-data: " << Base64Encode(identities.admin.key_pem) << "\n";
}

int Serve(int port, const std::string& kubeconfig, const std::string& folder) {
  SetLogSink([](LogLevel level, std::string_view message,
                LogFields fields) { std::fprintf(stderr, "%s\n", FormatLogLine(level, message, fields).c_str()); },
             LogLevel::kInfo);
  auto pool = rt::BlockingPool::Create(2);
  rt::RealOptions io_options;
  io_options.name = "io";
  auto io = rt::RealRuntime::Create(io_options, pool);
  io->StartThread();
  auto world = rt::RealRuntime::Create({}, pool);
  world->Run([&] {
    const Identities identities = MUST(MakeIdentities(world->Wall()));
    store::EmbeddedOptions store_options;
    store_options.directory = folder;
    std::unique_ptr<store::Store> store =
        folder.empty() ? store::OpenMemory(*world) : MUST(store::OpenEmbedded(*world, store_options));
    apiserver::ApiServerOptions options;
    options.listen = MUST(net::Endpoint::Parse("127.0.0.1:" + std::to_string(port)));
    net::TlsServerOptions tls;
    tls.identity = identities.server;
    tls.client_ca_pem = identities.authority.certificate_pem;
    tls.alpn = {"h2", "http/1.1"};
    options.tls = MUST(net::TlsServerContext::Create(tls));
    options.security.service_account_key_pem = MUST(net::GenerateKey(false));
    auto server = MUST(apiserver::ApiServer::Create(*world, {io.get()}, *store, options));
    MUST(server->Bootstrap());
    EchoNode node(*world);
    server->SetNodeAccess("echo", &node);
    MUST(server->Listen());
    WriteKubeconfig(kubeconfig, identities, server->local().port);
    std::printf("serving on %s\n", server->local().ToString().c_str());
    std::fflush(stdout);
    (void)world->WaitSignal({2, 15});
    server->Stop(1s);
    server.reset();
    store->Close();
  });
  io->StopThread();
  return 0;
}

}  // namespace
}  // namespace knarr

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s PORT KUBECONFIG [STORE-FOLDER]\n", argv[0]);
    return 2;
  }
  return knarr::Serve(std::atoi(argv[1]), argv[2], argc > 3 ? argv[3] : "");
}
