// A pull over TLS from Debian's docker-registry, with a certificate of our own authority: HTTP/2, and registries.yaml.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "image/manifest.h"
#include "image/store.h"
#include "image/testing_tar.h"
#include "net/tls.h"
#include "rt/process.h"
#include "rt/real.h"

namespace knarr::image {
namespace {

std::string Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path) << bytes;
  return path;
}

std::string Archive() {
  const std::string layer = TestTar().File("content", "over TLS").Finish();
  TestTar out;
  out.File("l.tar", layer);
  out.File("c.json", R"({"architecture":")" + std::string(HostArchitecture()) +
                         R"(","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[")" + DigestOf(layer) +
                         "\"]}}");
  return out.File("manifest.json", R"([{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}])").Finish();
}

TEST(RegistryTls, Pulls) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  if (access("/usr/bin/docker-registry", X_OK) != 0 || access("/usr/bin/skopeo", X_OK) != 0) {
    GTEST_SKIP() << "needs docker-registry and skopeo";
  }
  std::string top = "/tmp/image-tls-XXXXXX";
  ASSERT_NE(mkdtemp(top.data()), nullptr);
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
  runtime->Run([&] {
    net::CertificateRequest request{.common_name = "authority",
                                    .authority = true,
                                    .not_before = runtime->Wall() - 1h,
                                    .not_after = runtime->Wall() + 1h};
    const net::KeyPair authority = MUST(net::IssueCertificate(request, nullptr));
    request.common_name = "localhost";
    request.dns_names = {"localhost"};
    request.authority = false;
    request.server_auth = true;
    const net::KeyPair server = MUST(net::IssueCertificate(request, &authority));
    const std::string port = std::to_string(30000 + getpid() % 10000);
    const std::string host = "localhost:" + port;
    const std::string config =
        Write(top + "/registry.yml", "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + top +
                                         "/r}}\nhttp: {addr: \"127.0.0.1:" + port +
                                         "\", tls: {certificate: " + Write(top + "/s.pem", server.certificate_pem) +
                                         ", key: " + Write(top + "/s.key", server.key_pem) + "}}\n");
    Write(top + "/policy.json", R"({"default":[{"type":"insecureAcceptAnything"}]})");
    const auto registry = MUST(runtime->processes().Start({.argv = {"/usr/bin/docker-registry", "serve", config}}));
    const std::string archive = Write(top + "/in.tar", Archive());
    bool pushed = false;
    for (int i = 0; i < 50 && !pushed; ++i) {
      const auto push = runtime->processes().Run(
          {.argv = {"/usr/bin/skopeo", "--policy", top + "/policy.json", "copy", "--dest-tls-verify=false",
                    "docker-archive:" + archive, "docker://" + host + "/x:1"}});
      pushed = push.ok() && push->status.ok();
      if (!pushed) (void)runtime->Sleep(100ms).ok();
    }
    EXPECT_TRUE(pushed);
    const auto pull = [&](const std::string& name, const std::string& tls) {
      // The registry is on loopback: only a mirror entry makes it HTTPS.
      Write(top + "/registries.yaml", "mirrors: {\"" + host + "\": {endpoint: [\"https://" + host +
                                          "\"]}}\nconfigs: {\"" + host + "\": {tls: {" + tls + "}}}\n");
      const auto store = MUST(
          Store::Open(*runtime, {.directory = top + "/images-" + name, .registries_file = top + "/registries.yaml"}));
      const Reference reference = MUST(Reference::Parse(host + "/x:1"));
      const auto image = store->Pull(reference, {});
      if (!image.ok()) return image.status().message();
      std::ifstream file(image->layer_directories.at(0) + "/content");
      return std::string(std::istreambuf_iterator<char>(file), {});
    };
    EXPECT_EQ(pull("verified", "ca_file: " + Write(top + "/ca.pem", authority.certificate_pem)), "over TLS");
    EXPECT_EQ(pull("insecure", "insecure_skip_verify: true"), "over TLS");
    const std::string refused = pull("refused", "");
    EXPECT_NE(refused, "over TLS");
    EXPECT_NE(refused.find("certificate"), std::string::npos) << refused;
    EXPECT_TRUE(registry->Kill(SIGTERM).ok());
    EXPECT_TRUE(registry->Wait().ok());
  });
  std::filesystem::remove_all(top);
}

}  // namespace
}  // namespace knarr::image
