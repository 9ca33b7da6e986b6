#include "image/registries.h"

#include <gtest/gtest.h>

#include "image/manifest.h"
#include "image/records.h"

namespace knarr::image {
namespace {

TEST(Registries, ReadsTheFile) {
  const auto config = RegistriesConfig::Parse(R"(
mirrors:
  docker.io:
    endpoint: ["http://127.0.0.1:5000", "https://mirror.example.com/prefix/v2"]
  "*":
    endpoint:
    - "https://any.example.com"
configs:
  "mirror.example.com":
    auth: {username: u, password: p}
    tls: {ca_file: /ca.pem, insecure_skip_verify: true}
  docker.io:
    auth: {auth: dXNlcjpwYTpzcw==}
)");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const auto hub = config->Endpoints("docker.io");
  ASSERT_TRUE(hub.ok());
  ASSERT_EQ(hub->size(), 3u);
  EXPECT_EQ((*hub)[0].base.ToString(), "http://127.0.0.1:5000/v2");
  EXPECT_TRUE((*hub)[0].mirror);
  EXPECT_EQ((*hub)[1].base.ToString(), "https://mirror.example.com/prefix/v2");
  EXPECT_EQ((*hub)[2].base.ToString(), "https://registry-1.docker.io/v2");
  EXPECT_FALSE((*hub)[2].mirror);
  const auto other = config->Endpoints("localhost:5001");
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)[0].base.ToString(), "https://any.example.com/v2");
  EXPECT_EQ((*other)[1].base.ToString(), "http://localhost:5001/v2");
  EXPECT_EQ(config->HostConfig("mirror.example.com")->auth.password, "p");
  EXPECT_TRUE(config->HostConfig("mirror.example.com")->insecure_skip_verify);
  EXPECT_EQ(config->HostConfig("registry-1.docker.io")->auth.username, "user");
  EXPECT_EQ(config->HostConfig("registry-1.docker.io")->auth.password, "pa:ss");
  EXPECT_EQ(config->HostConfig("nobody"), nullptr);
  EXPECT_TRUE(RegistriesConfig::Parse("").ok());
}

TEST(Registries, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"mirror: {}", "registries: unknown field \"mirror\""},
      {"mirrors: {a: {endpoints: []}}", "mirrors.a: unknown field \"endpoints\""},
      {"mirrors: {a: {endpoint: [\"ftp://x\"]}}",
       "mirrors.a: registry endpoint \"ftp://x\": scheme must be http or https"},
      {"configs: {h: {tls: {ca: x}}}", "configs.h.tls: unknown field \"ca\""},
      {"configs: {h: {auth: {auth: eA==}}}", "configs.h.auth.auth: expected base64 of username:password"},
      {"configs: {h: [1]}", "configs.h: expected a map"},
  };
  for (const auto& [text, message] : cases) {
    const auto config = RegistriesConfig::Parse(text);
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.status().message(), message);
  }
}

TEST(Registries, KnowsLoopback) {
  for (const char* host : {"localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "::1"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"localhost.evil.com", "10.0.0.1:5000", "[fd00::1]:80", "127.0.0.1.example.com"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

TEST(Registries, ReadsChallenges) {
  const auto bearer = ParseAuthChallenge(R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",)"
                                         R"(scope="repository:a/b:pull,push",error=x)");
  ASSERT_TRUE(bearer.ok());
  EXPECT_EQ(bearer->scheme, "bearer");
  EXPECT_EQ(bearer->parameters.at("realm"), "https://auth.docker.io/token");
  EXPECT_EQ(bearer->parameters.at("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(bearer->parameters.at("error"), "x");
  EXPECT_EQ(ParseAuthChallenge("Basic realm=\"a\\\"b\"")->parameters.at("realm"), "a\"b");
  EXPECT_EQ(ParseAuthChallenge("Negotiate")->scheme, "negotiate");
  for (const char* text : {"", "Bearer realm", "Bearer realm=\"open", "Bearer a=\"b\"x"}) {
    EXPECT_FALSE(ParseAuthChallenge(text).ok()) << text;
  }
}

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha256:" + std::string(64, 'c');

TEST(Manifest, ReadsBothForms) {
  const auto manifest = ParseManifest(R"({"schemaVersion":2,"config":{"digest":")" + kA +
                                          R"(","size":3},"layers":[{"digest":")" + kB + R"(","size":5}]})",
                                      "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_EQ(std::get<Manifest>(*manifest).layers[0].digest, kB);
  const auto entry = [](const std::string& digest, const std::string& platform) {
    return R"({"digest":")" + digest + R"(","size":1,"platform":)" + platform + "}";
  };
  const std::string host(HostArchitecture());
  const auto index =
      ParseManifest(R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" +
                        entry(kA, R"({"os":"windows","architecture":")" + host + "\"}") + "," +
                        entry(kB, R"({"os":"linux","architecture":"s390x"})") + "," +
                        entry(kC, R"({"os":"linux","architecture":")" + host + "\"}") + "]}",
                    "");
  ASSERT_TRUE(index.ok()) << index.status().message();
  EXPECT_EQ(SelectPlatform(std::get<Index>(*index))->digest, kC);
  EXPECT_EQ(SelectPlatform(Index()).status().message(), "no match for platform in manifest: not found");
}

TEST(Manifest, Refuses) {
  const std::string config = R"("config":{"digest":")" + kA + R"(","size":3})";
  for (const std::string& text : std::vector<std::string>{
           "", "[]", "{", R"({"schemaVersion":1})", R"({"schemaVersion":2,"config":{"digest":"sha256:../../x"}})",
           R"({"schemaVersion":2,"config":{"digest":"sha512:)" + std::string(128, 'a') + "\"}}",
           "{" + config + R"(,"manifests":[]})",
           R"({"schemaVersion":2,"config":{"digest":")" + kA + R"(","size":-1}})"}) {
    EXPECT_TRUE(ParseManifest(text, "").Failed(Reason::kBadRequest)) << text;
  }
  EXPECT_FALSE(ParseManifest("{" + config + "}", "application/vnd.oci.image.index.v1+json").ok());
}

TEST(Manifest, ReadsConfigs) {
  const auto config = ParseImageConfig(R"({"architecture":"amd64","os":"linux","created":"2025-01-01T00:00:00.5Z",
    "config":{"Entrypoint":["/a"],"Cmd":["b","c"],"Env":["K=V"],"WorkingDir":"/w","User":"u:g","StopSignal":"SIGINT",
    "ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Labels":{"l":"m"}},
    "rootfs":{"type":"layers","diff_ids":[")" +
                                       kA + "\"]}}");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->config.command, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(config->config.exposed_ports[0], "80/tcp");
  EXPECT_EQ(config->config.user, "u:g");
  EXPECT_EQ(FormatTime(config->created), "2025-01-01T00:00:00Z");
  EXPECT_EQ(config->diff_ids[0], kA);
  EXPECT_TRUE(ParseImageConfig(R"({"config":null})").ok());
  EXPECT_FALSE(ParseImageConfig(R"({"rootfs":{"diff_ids":["x"]}})").ok());
}

TEST(Records, FindsAndMoves) {
  ImageRecords records;
  records.Add({.id = kA, .layers = {{kB, kC}}, .names = {"docker.io/library/a:1"}, .size = 7});
  records.Add({.id = kB, .names = {"docker.io/library/b:1"}, .repo_digests = {"docker.io/library/b@" + kC}});
  EXPECT_EQ((*records.Find("a:1"))->id, kA);
  EXPECT_EQ((*records.Find("docker.io/library/a:1"))->id, kA);
  EXPECT_EQ((*records.Find("b@" + kC))->id, kB);
  EXPECT_EQ((*records.Find("b:anything@" + kC))->id, kB);
  EXPECT_EQ((*records.Find(kA))->id, kA);
  EXPECT_EQ((*records.Find("sha256:aaaaaaaaaaaa"))->id, kA);
  EXPECT_EQ((*records.Find("aaaaaaaaaaaa"))->id, kA);
  EXPECT_EQ(records.Find("aaaaaaaaaaa").status().message(), "No such image: aaaaaaaaaaa:latest");
  EXPECT_EQ(records.Find("a").status().message(), "No such image: a:latest");
  records.Add({.id = "sha256:" + std::string(63, 'a') + "0"});
  EXPECT_TRUE(records.Find("aaaaaaaaaaaa").Failed(Reason::kConflict));
  records.AddName(kB, "docker.io/library/a:1");
  EXPECT_EQ((*records.Find("a:1"))->id, kB);
  EXPECT_TRUE(records.ById(kA)->names.empty());
  EXPECT_EQ(records.BlobsInUse().count(kB), 1u);
  EXPECT_EQ(records.LayersInUse(), std::set<std::string>{kC});

  const auto again = ImageRecords::Parse(records.ToJson());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->ToJson(), records.ToJson());
  EXPECT_EQ(again->ById(kA)->layers[0].diff_id, kC);
  EXPECT_EQ(again->ById(kA)->size, 7);
  EXPECT_FALSE(ImageRecords::Parse(R"({"version":2})").ok());
  EXPECT_FALSE(ImageRecords::Parse(R"({"version":1,"images":[{"id":"../x"}]})").ok());
}

}  // namespace
}  // namespace knarr::image
