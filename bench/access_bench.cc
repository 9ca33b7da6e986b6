// What it costs a request to be told who it comes from and whether it may: the way of a client certificate, of a
// service account's token and of a token of the token file, with Kubernetes' default roles, 200 namespaces and 1000
// bindings. One JSON line per figure.

#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "api/authentication_v1.h"
#include "api/core_v1.h"
#include "api/rbac_v1.h"
#include "apiserver/apiserver.h"
#include "apiserver/request_info.h"
#include "apiserver/security.h"
#include "doc/json.h"
#include "net/tls.h"
#include "rt/real.h"

namespace {

using namespace knarr;  // a benchmark is a program of its own

constexpr int kNamespaces = 200;
constexpr int kBindingsOfEach = 5;
constexpr int kRounds = 200'000;

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Create(client::Client& client, const api::KindInfo& kind, const std::string& ns, const std::string& json) {
  const doc::Document object = MUST(doc::ParseJson(json));
  MUST(client.Create(kind, ns, object.root));
}

void Fill(client::Client& client) {
  for (int i = 0; i < kNamespaces; ++i) {
    const std::string ns = "ns-" + std::to_string(i);
    Create(client, api::core_v1::NamespaceInfo(), "", R"({"metadata":{"name":")" + ns + R"("}})");
    Create(client, api::core_v1::ServiceAccountInfo(), ns, R"({"metadata":{"name":"robot"}})");
    for (int k = 0; k < kBindingsOfEach; ++k) {
      const std::string n = std::to_string(k);
      const std::string subject =
          k == 0 ? R"({"kind":"ServiceAccount","name":"robot","namespace":")" + ns + R"("})"
                 : R"({"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"group-)" + n + R"("})";
      Create(client, api::rbac_v1::RoleBindingInfo(), ns,
             R"({"metadata":{"name":"b)" + n + R"("},"subjects":[)" + subject +
                 R"(],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}})");
    }
  }
}

std::shared_ptr<const net::CertificateInfo> Certificate(WallTime now, std::string name, std::string group) {
  auto out = std::make_shared<net::CertificateInfo>();
  out->common_name = std::move(name);
  out->organizations = {std::move(group)};
  out->fingerprint_hex = std::string(64, 'a');
  out->not_before = now - 1h;
  out->not_after = now + 24h;
  return out;
}

void Measure(rt::Runtime& runtime, apiserver::Security& security, const char* name, net::Request request,
             const std::string& target, bool allowed) {
  request.method = "GET";
  request.target = target;
  request.url = MUST(net::Url::Parse(target));
  const double start = CpuSeconds();
  for (int i = 0; i < kRounds; ++i) {
    apiserver::Attributes attributes = apiserver::ReadAttributes(request.method, request.url);
    attributes.user = MUST(security.authenticator().Authenticate(runtime, request));
    const apiserver::Verdict verdict = security.authorizer().Authorize(runtime, attributes);
    CHECK(verdict.allowed() == allowed);
  }
  std::printf(R"({"name":"access.%s","value":%.2f,"unit":"us"})"
              "\n",
              name, (CpuSeconds() - start) * 1e6 / kRounds);
  std::fflush(stdout);
}

void Run(rt::Runtime& runtime) {
  const auto store = store::OpenMemory(runtime);
  apiserver::SecurityOptions options;
  options.service_account_key_pem = MUST(net::GenerateKey(false));
  options.tokens = {{"secret", {"jane", "", {"group-2"}}}};
  apiserver::ApiServerOptions server_options;
  server_options.security = options;
  const auto server = MUST(apiserver::ApiServer::Create(runtime, {&runtime}, *store, server_options));
  MUST(server->Bootstrap());
  {
    const auto client = server->LocalClient({"bench", "", {"system:masters"}});
    Fill(*client);
    options.api_audiences = {options.issuer};
    apiserver::Security security(runtime, {&runtime}, *store, options);
    security.Start();
    const doc::Document spec = MUST(doc::ParseJson(R"({"spec":{"expirationSeconds":3600}})"));
    const api::ObjectPtr made =
        MUST(client->CreateSub(api::core_v1::ServiceAccountInfo(), {"ns-7", "robot"}, "token", spec.root));
    net::Request token;
    token.headers.Set("Authorization", "Bearer " + std::string(made->tree().Get("status", "token").AsString()));
    net::Request file;
    file.headers.Set("Authorization", "Bearer secret");
    net::Request member;
    member.certificate = Certificate(runtime.Wall(), "ann", "group-1");
    net::Request admin;
    admin.certificate = Certificate(runtime.Wall(), "admin", "system:masters");
    net::Request node;
    node.certificate = Certificate(runtime.Wall(), "system:node:n1", "system:nodes");
    Measure(runtime, security, "masters_certificate", admin, "/api/v1/namespaces/ns-7/pods/p", true);
    Measure(runtime, security, "certificate", member, "/api/v1/namespaces/ns-7/pods/p", true);
    Measure(runtime, security, "certificate_forbidden", member, "/api/v1/namespaces/ns-7/unknown/p", false);
    Measure(runtime, security, "account_token", token, "/api/v1/namespaces/ns-7/pods/p", true);
    Measure(runtime, security, "account_token_list", token, "/api/v1/namespaces/ns-7/pods?labelSelector=a%3Db", true);
    Measure(runtime, security, "file_token", file, "/api/v1/namespaces/ns-7/configmaps/c", true);
    Measure(runtime, security, "node", node, "/api/v1/nodes/n1", true);
    Measure(runtime, security, "anonymous", {}, "/version", true);
    security.Stop();
  }
  server->Stop(Duration(0));
  store->Close();
}

}  // namespace

int main() {
  auto pool = rt::BlockingPool::Create(1);
  const auto runtime = rt::RealRuntime::Create({}, pool);
  runtime->Run([&] { Run(*runtime); });
  return 0;
}
