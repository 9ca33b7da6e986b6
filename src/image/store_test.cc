#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "image/manifest.h"
#include "image/registry_client.h"
#include "image/store.h"
#include "image/testing_tar.h"
#include "net/http.h"
#include "rt/file_system.h"
#include "rt/process.h"
#include "rt/real.h"
#include "rt/sync.h"

namespace knarr::image {
namespace {

// The parts of one small image.
struct TestImage {
  std::string layer;
  std::string config;
  std::string manifest;
};

std::string Described(std::string_view bytes, std::string_view type) {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + DigestOf(bytes) + R"(","size":)" +
         std::to_string(bytes.size()) + "}";
}

TestImage MakeImage(const std::string& content, const std::string& diff_id = "") {
  TestTar tar;
  tar.Directory("etc").File("etc/passwd", "web:x:33:34::/var/www:\n").File("content", content);
  TestImage out;
  out.layer = tar.Finish();
  out.config = R"({"architecture":")" + std::string(HostArchitecture()) +
               R"(","os":"linux","config":{"Cmd":["run"],"User":"web"},"rootfs":{"type":"layers","diff_ids":[")" +
               (diff_id.empty() ? DigestOf(out.layer) : diff_id) + "\"]}}";
  out.manifest = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)" +
                 Described(out.config, "application/vnd.oci.image.config.v1+json") + R"(,"layers":[)" +
                 Described(out.layer, "application/vnd.oci.image.layer.v1.tar") + "]}";
  return out;
}

std::string DockerArchive(const TestImage& image, const std::string& names) {
  TestTar tar;
  tar.File("c.json", image.config).File("real/layer.tar", image.layer).Symlink("l/layer.tar", "../real/layer.tar");
  tar.File("manifest.json", R"([{"Config":"c.json","RepoTags":[)" + names + R"(],"Layers":["l/layer.tar"]}])");
  return tar.Finish();
}

std::string BlobName(const std::string& bytes) { return "blobs/sha256/" + std::string(DigestHex(DigestOf(bytes))); }

std::string OciArchive(const TestImage& image, const std::string& name, bool nested) {
  TestTar tar;
  std::string entry = Described(image.manifest, "application/vnd.oci.image.manifest.v1+json");
  if (nested) {
    entry.insert(entry.size() - 1,
                 R"(,"platform":{"os":"linux","architecture":")" + std::string(HostArchitecture()) + "\"}");
    const std::string index = R"({"schemaVersion":2,"manifests":[)" + entry + "]}";
    tar.Add({.path = BlobName(index), .data = index});
    entry = Described(index, "application/vnd.oci.image.index.v1+json");
  }
  entry.insert(entry.size() - 1, R"(,"annotations":{"org.opencontainers.image.ref.name":")" + name + "\"}");
  for (const std::string& blob : {image.manifest, image.config, image.layer}) tar.File(BlobName(blob), blob);
  return tar.File("index.json", R"({"schemaVersion":2,"manifests":[)" + entry + "]}").Finish();
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::string name = "/tmp/image-store-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    top_ = name;
  }
  void TearDown() override {
    if (!top_.empty()) std::filesystem::remove_all(top_);
  }
  void Run(const std::function<void(rt::Runtime& runtime)>& body) {
    const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(4));
    runtime->Run([&] { body(*runtime); });
  }
  std::unique_ptr<Store> Open(rt::Runtime& runtime) {
    return MUST(Store::Open(runtime, {.directory = top_ + "/images", .registries_file = top_ + "/registries.yaml"}));
  }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(top_ + "/" + name) << bytes;
    return top_ + "/" + name;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t CountIn(const std::string& folder) const {
    const std::filesystem::directory_iterator entries(top_ + "/images/" + folder);
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
  }
  std::string top_;
};

TEST_F(StoreTest, LoadsTagsAndRemoves) {
  Run([&](rt::Runtime& runtime) {
    auto store = Open(runtime);
    const TestImage one = MakeImage("one");
    const auto names = store->Load(Write("d.tar", DockerArchive(one, R"("app:1","localhost:5000/x:2")")));
    ASSERT_TRUE(names.ok()) << names.status().message();
    EXPECT_EQ(*names, (std::vector<std::string>{"docker.io/library/app:1", "localhost:5000/x:2"}));
    const auto image = store->Get("app:1");
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_EQ(image->id, DigestOf(one.config));
    EXPECT_EQ(image->config.command, std::vector<std::string>{"run"});
    ASSERT_EQ(image->layer_directories.size(), 1u);
    EXPECT_EQ(Read(image->layer_directories[0] + "/content"), "one");
    EXPECT_EQ(image->size, 26);
    const auto user = store->ResolveUser(*image, image->config.user);
    ASSERT_TRUE(user.ok()) << user.status().message();
    EXPECT_EQ(user->uid, 33u);

    // What was there is there after a restart; what a crash left is not.
    store.reset();
    std::filesystem::create_directories(top_ + "/images/tmp/layer-9/fs");
    std::filesystem::create_directories(top_ + "/images/layers/" + std::string(64, 'e') + "/fs");
    Write("images/blobs/sha256/" + std::string(64, 'f'), "left behind");
    store = Open(runtime);
    EXPECT_EQ(CountIn("tmp"), 0u);
    EXPECT_EQ(CountIn("layers"), 1u);
    EXPECT_EQ(CountIn("blobs/sha256"), 2u);
    ASSERT_EQ(store->List()->size(), 1u);

    const TestImage two = MakeImage("two");
    ASSERT_TRUE(store->Load(Write("o.tar", OciArchive(two, "app:1", true))).ok());
    EXPECT_EQ(store->Get("app:1")->id, DigestOf(two.config));
    EXPECT_EQ(store->List()->size(), 2u);
    ASSERT_TRUE(store->Tag("app:1", MUST(Reference::Parse("other/name"))).ok());
    EXPECT_EQ(store->Get("other/name:latest")->id, DigestOf(two.config));

    const auto used = [](const std::string&) { return true; };
    EXPECT_TRUE(store->Remove("app:1", used).ok());  // a name of two
    const std::string short_id = DigestOf(two.config).substr(7, 12);
    EXPECT_EQ(
        store->Remove("other/name", used).status().message(),
        "conflict: unable to delete " + short_id + " (cannot be forced) - image is being used by running container");
    EXPECT_TRUE(store->Remove(short_id, nullptr).ok());
    EXPECT_EQ(store->Remove("other/name", nullptr).status().message(), "No such image: other/name:latest");
    EXPECT_TRUE(store->Remove("localhost:5000/x:2", nullptr).ok());
    EXPECT_EQ(store->List()->size(), 0u);
    EXPECT_EQ(CountIn("layers"), 0u);
    EXPECT_EQ(CountIn("blobs/sha256"), 0u);
  });
}

// `knarr docker load` beside a running server: two stores on one folder, as two processes have them.
TEST_F(StoreTest, TwoStoresShareAFolder) {
  Run([&](rt::Runtime& runtime) {
    auto server = Open(runtime);
    auto tool = Open(runtime);
    ASSERT_TRUE(tool->Load(Write("a.tar", DockerArchive(MakeImage("first"), "\"a:1\""))).ok());
    const auto seen = server->Get("a:1");
    ASSERT_TRUE(seen.ok()) << seen.status().message();
    // Neither overwrites what the other has recorded since it looked last.
    ASSERT_TRUE(server->Load(Write("b.tar", DockerArchive(MakeImage("second"), "\"b:1\""))).ok());
    ASSERT_TRUE(tool->Tag("a:1", MUST(Reference::Parse("c:1"))).ok());
    for (Store* store : {server.get(), tool.get()}) {
      for (const char* name : {"a:1", "b:1", "c:1"}) EXPECT_TRUE(store->Get(name).ok()) << name;
    }
    tool = Open(runtime);
    EXPECT_EQ(Read(MUST(server->Get("b:1")).layer_directories[0] + "/content"), "second");
    // Both unpack the same layer at the same time.
    for (int i = 0; i < 5; ++i) {
      const std::string content = std::to_string(i) + std::string(1 << 20, 'x');
      const std::string archive = Write("same.tar", DockerArchive(MakeImage(content), "\"same:1\""));
      rt::TaskGroup group(runtime, "loads");
      for (Store* store : {server.get(), tool.get()}) {
        group.Spawn("load", [&, store] {
          const auto loaded = store->Load(archive);
          EXPECT_TRUE(loaded.ok()) << loaded.status().message();
        });
      }
      group.Join();
      EXPECT_EQ(Read(MUST(server->Get("same:1")).layer_directories[0] + "/content"), content);
    }
  });
}

TEST_F(StoreTest, RefusesBrokenArchives) {
  Run([&](rt::Runtime& runtime) {
    const auto store = Open(runtime);
    const auto fails = [&](const std::string& bytes) {
      const auto result = store->Load(Write("x.tar", bytes));
      EXPECT_FALSE(result.ok());
      return result.ok() ? "" : result.status().message();
    };
    const std::string where = "load " + top_ + "/x.tar: ";
    EXPECT_EQ(fails(TestTar().File("a", "b").Finish()),
              where + "unrecognized image format: the archive has neither manifest.json nor index.json");
    TestImage image = MakeImage("x", "sha256:" + std::string(64, '0'));
    EXPECT_NE(fails(DockerArchive(image, "\"a\"")).find("wrong diff id calculated on extraction"), std::string::npos);
    image = MakeImage("x");
    EXPECT_EQ(fails(DockerArchive(image, "\"A B\"")), where +
                                                          "image name \"A B\": invalid reference format: repository "
                                                          "name (A B) must be lowercase");
    TestTar lacks;
    lacks.File("c.json", image.config);
    lacks.File("manifest.json", R"([{"Config":"c.json","RepoTags":null,"Layers":["gone"]}])");
    EXPECT_EQ(fails(lacks.Finish()), where + "archive lacks the layer \"gone\"");
    // A blob's name a second time, with other content: it must not come into the store under the first one's digest.
    const TestImage other = MakeImage("y");
    std::string twice = OciArchive(image, "x", false);
    twice.resize(twice.size() - 1024);
    twice +=
        TestTar().File(BlobName(image.manifest), other.manifest).File(BlobName(other.config), other.config).Finish();
    EXPECT_EQ(fails(twice), where + "archive lacks the blob " + DigestOf(image.manifest));
    fails("not a tar at all, but long enough to be read as something" + std::string(1000, 'x'));
    EXPECT_TRUE(store->Load(top_ + "/absent").Failed(Reason::kNotFound));
    EXPECT_EQ(store->List()->size(), 0u);
    EXPECT_EQ(CountIn("tmp"), 0u);
    EXPECT_EQ(CountIn("layers"), 0u);
    EXPECT_EQ(CountIn("blobs/sha256"), 0u);
  });
}

// A registry of a few lines, that can misbehave.
class FakeRegistry {
 public:
  FakeRegistry(rt::Runtime& runtime, TestImage image) : image_(std::move(image)) {
    server_ = MUST(net::HttpServer::Start({&runtime}, {.host = "127.0.0.1"}, {},
                                          [this](net::Request& request, net::Response& response) {
                                            ++requests;
                                            Serve(request, response);
                                          }));
  }
  ~FakeRegistry() { server_->Stop(0s); }
  std::string host() const { return server_->local().ToString(); }

  int requests = 0;
  bool need_token = false;
  bool need_basic = false;
  bool bend_blobs = false;
  int break_blobs = 0;  ///< how many times a blob ends half-way
  std::string token_query;

 private:
  void Serve(net::Request& request, net::Response& response) {
    const std::string& path = request.url.path;
    const std::string_view authorization = request.headers.Get("Authorization");
    if (path == "/token") {
      token_query = request.target;
      Reply(response, 200, R"({"token":"secret"})");
    } else if (need_token && authorization != "Bearer secret") {
      net::Headers headers;
      headers.Set("WWW-Authenticate",
                  "Bearer realm=\"http://" + host() + "/token\",service=\"fake\",scope=\"repository:a/b:pull\"");
      Reply(response, 401, "", headers);
    } else if (need_basic && authorization != "Basic dTpw") {
      net::Headers headers;
      headers.Set("WWW-Authenticate", "Basic realm=\"fake\"");
      Reply(response, 401, R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})", headers);
    } else if (path == "/v2/a/b/manifests/1" || path == "/v2/a/b/manifests/" + DigestOf(image_.manifest)) {
      Reply(response, 200, image_.manifest);
    } else if (path == "/v2/a/b/blobs/" + DigestOf(image_.config)) {
      Reply(response, 200, image_.config);
    } else if (path == "/v2/a/b/blobs/" + DigestOf(image_.layer)) {
      net::Headers headers;
      headers.Set("Location", "/storage/layer");
      Reply(response, 307, "", headers);
    } else if (path == "/storage/layer") {
      Layer(request, response);
    } else {
      Reply(response, 404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
    }
  }
  void Layer(net::Request& request, net::Response& response) {
    std::string bytes = image_.layer;
    if (bend_blobs) bytes[1000] ^= 1;
    size_t from = 0;
    const std::string_view range = request.headers.Get("Range");
    if (range.starts_with("bytes=")) from = std::stoul(std::string(range.substr(6)));
    ranges_ += from > 0 ? 1 : 0;
    net::Headers headers;
    headers.Set("Content-Length", std::to_string(bytes.size() - from));
    if (break_blobs-- > 0) {
      (void)response.Start(from > 0 ? 206 : 200, headers).ok();
      (void)response.Write(std::string_view(bytes).substr(from, 1000)).ok();
      return;  // without the rest: the connection breaks
    }
    Reply(response, from > 0 ? 206 : 200, std::string_view(bytes).substr(from));
  }
  static void Reply(net::Response& response, int code, std::string_view body, net::Headers headers = {}) {
    (void)response.Send(code, std::move(headers), body).ok();
  }
  TestImage image_;
  int ranges_ = 0;
  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(StoreTest, PullsWithTokensAndRedirects) {
  Run([&](rt::Runtime& runtime) {
    const auto store = Open(runtime);
    FakeRegistry registry(runtime, MakeImage("pulled"));
    registry.need_token = true;
    registry.break_blobs = 2;
    int64_t seen = 0;
    const auto image = store->Pull(MUST(Reference::Parse(registry.host() + "/a/b:1")),
                                   {.progress = [&](int64_t done, int64_t) { seen = done; }});
    ASSERT_TRUE(image.ok()) << image.status().message();
    EXPECT_EQ(Read(image->layer_directories[0] + "/content"), "pulled");
    EXPECT_EQ(seen, static_cast<int64_t>(MakeImage("pulled").layer.size()));
    EXPECT_EQ(registry.token_query, "/token?service=fake&scope=repository%3Aa%2Fb%3Apull");
    ASSERT_EQ(image->repo_digests.size(), 1u);
    EXPECT_EQ(store->Get(image->repo_digests[0])->id, image->id);
    EXPECT_EQ(image->names, std::vector<std::string>{registry.host() + "/a/b:1"});

    // Again, by digest: nothing but the manifest is fetched.
    registry.need_token = false;
    registry.requests = 0;
    ASSERT_TRUE(store->Pull(MUST(Reference::Parse(image->repo_digests[0])), {}).ok());
    EXPECT_EQ(registry.requests, 1);
  });
}

TEST_F(StoreTest, ConcurrentPullsAreOne) {
  Run([&](rt::Runtime& runtime) {
    const auto store = Open(runtime);
    FakeRegistry registry(runtime, MakeImage("once"));
    const Reference reference = MUST(Reference::Parse(registry.host() + "/a/b:1"));
    rt::TaskGroup group(runtime, "pulls");
    int done = 0;
    for (int i = 0; i < 5; ++i) {
      group.Spawn("pull", [&] { done += store->Pull(reference, {}).ok() ? 1 : 0; });
    }
    group.Join();
    EXPECT_EQ(done, 5);
    EXPECT_EQ(registry.requests, 4);  // manifest, config, layer, where the layer is
  });
}

TEST_F(StoreTest, ExplainsFailedPulls) {
  Run([&](rt::Runtime& runtime) {
    FakeRegistry registry(runtime, MakeImage("x"));
    Write("registries.yaml", "mirrors: {docker.io: {endpoint: [\"http://" + registry.host() +
                                 "\"]}}\nconfigs: {\"127.0.0.1:1\": {auth: {username: u, password: p}}}\n");
    const auto store = Open(runtime);
    const auto pull = [&](const std::string& name, const PullOptions& options = {}) {
      const auto result = store->Pull(MUST(Reference::Parse(name)), options);
      return result.ok() ? "pulled " + result->names[0] : result.status().message();
    };
    const std::string host = registry.host();
    const auto prefix = [](const std::string& name) {
      return "failed to pull and unpack image \"" + name + "\": failed to resolve reference \"" + name + "\": ";
    };
    EXPECT_EQ(pull(host + "/a/b:2"), prefix(host + "/a/b:2") + host + "/a/b:2: not found: manifest unknown");
    EXPECT_NE(pull("127.0.0.1:1/a/b:1").find("connection refused"), std::string::npos) << pull("127.0.0.1:1/a/b:1");
    registry.need_basic = true;
    EXPECT_EQ(pull(host + "/a/b:1"), prefix(host + "/a/b:1") +
                                         "pull access denied, repository does not exist or may require authorization: "
                                         "authorization failed: no basic auth credentials");
    EXPECT_EQ(pull(host + "/a/b:1", {.username = "u", .password = "wrong"}),
              prefix(host + "/a/b:1") +
                  "pull access denied, repository does not exist or may require authorization: "
                  "server message: unauthorized: authentication required");
    EXPECT_EQ(pull(host + "/a/b:1", {.username = "u", .password = "p"}), "pulled " + host + "/a/b:1");
    registry.need_basic = false;
    EXPECT_EQ(pull("a/b:1"), "pulled docker.io/a/b:1");  // through the mirror
    ASSERT_TRUE(store->Remove("a/b:1", nullptr).ok());
    ASSERT_TRUE(store->Remove(host + "/a/b:1", nullptr).ok());
    registry.bend_blobs = true;
    EXPECT_NE(pull(host + "/a/b:1").find("unexpected digest sha256:"), std::string::npos) << pull(host + "/a/b:1");
    EXPECT_EQ(store->List()->size(), 0u);
    EXPECT_EQ(CountIn("blobs/sha256"), 0u);
  });
}

// Killed at any moment while images come and go: what the next run lists is whole, and nothing else is left.
TEST_F(StoreTest, SurvivesKills) {
  std::vector<std::string> archives;
  for (int i = 0; i < 3; ++i) {
    const TestImage image = MakeImage(std::string(200000, static_cast<char>('a' + i)));
    archives.push_back(Write("k" + std::to_string(i), DockerArchive(image, "\"k" + std::to_string(i) + "\"")));
  }
  size_t found = 0;
  // On a busy machine a child gets less done in its time: then it takes more of them.
  for (int round = 0; round < 40 || (found <= 10 && round < 400); ++round) {
    const pid_t child = fork();
    if (child == 0) {
      const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
      runtime->Run([&] {
        const auto store = Open(*runtime);
        for (int i = 0;; ++i) {
          const auto loaded = store->Load(archives[static_cast<size_t>(i % 3)]);
          if (!loaded.ok()) {
            fprintf(stderr, "load: %s\n", loaded.status().message().c_str());
            _exit(1);
          }
          if (i % 2 == 0) continue;
          const Ok removed = store->Remove("k" + std::to_string((i - 1) % 3), nullptr);
          if (!removed.ok()) {
            fprintf(stderr, "remove: %s\n", removed.status().message().c_str());
            _exit(2);
          }
        }
      });
    }
    usleep(static_cast<useconds_t>(3000 + round % 100 * 1171));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit code " << WEXITSTATUS(status);
    Run([&](rt::Runtime& runtime) {
      const auto store = Open(runtime);
      const auto images = store->List();
      ASSERT_TRUE(images.ok()) << images.status().message();
      for (const Image& image : *images) {
        EXPECT_EQ(Read(image.layer_directories.at(0) + "/content").size(), 200000u);
      }
      EXPECT_EQ(CountIn("layers"), images->size());
      EXPECT_EQ(CountIn("blobs/sha256"), images->size() * 2);
      EXPECT_EQ(CountIn("tmp"), 0u);
      EXPECT_LE(CountIn("."), 6u) << "a half-written index is left";
      found += images->size();
    });
  }
  EXPECT_GT(found, 10u);
}

// The real thing, where it is installed: Debian's docker-registry, filled by skopeo.
TEST_F(StoreTest, PullsFromDockerRegistry) {
  if (access("/usr/bin/docker-registry", X_OK) != 0 || access("/usr/bin/skopeo", X_OK) != 0) {
    GTEST_SKIP() << "needs docker-registry and skopeo";
  }
  Run([&](rt::Runtime& runtime) {
    const int port = 20000 + static_cast<int>(getpid() % 10000);
    const std::string host = "localhost:" + std::to_string(port);
    const std::string config =
        Write("registry.yml", "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + top_ +
                                  "/registry}}\nhttp: {addr: \"127.0.0.1:" + std::to_string(port) + "\"}\n");
    const auto server = MUST(runtime.processes().Start({.argv = {"/usr/bin/docker-registry", "serve", config}}));
    const std::string archive = Write("in.tar", DockerArchive(MakeImage("from a real registry"), "\"x/y:1\""));
    Write("policy.json", R"({"default":[{"type":"insecureAcceptAnything"}]})");
    bool pushed = false;
    for (int i = 0; i < 50 && !pushed; ++i) {
      pushed = MUST(runtime.processes().Run({.argv = {"/usr/bin/skopeo", "--policy", top_ + "/policy.json", "copy",
                                                      "--dest-tls-verify=false", "--format=v2s2",
                                                      "docker-archive:" + archive, "docker://" + host + "/x/y:1"}}))
                   .status.ok();
      if (!pushed) (void)runtime.Sleep(100ms).ok();
    }
    EXPECT_TRUE(pushed);
    const auto store = Open(runtime);
    const auto image = store->Pull(MUST(Reference::Parse(host + "/x/y:1")), {});
    EXPECT_TRUE(image.ok()) << image.status().message();
    if (image.ok()) {
      EXPECT_EQ(Read(image->layer_directories[0] + "/content"), "from a real registry");
    }
    const auto absent = store->Pull(MUST(Reference::Parse(host + "/x/y:2")), {});
    EXPECT_TRUE(absent.Failed(Reason::kNotFound));
    EXPECT_NE(absent.status().message().find("not found: manifest unknown"), std::string::npos)
        << absent.status().message();
    EXPECT_TRUE(server->Kill(SIGTERM).ok());
    EXPECT_TRUE(server->Wait().ok());
  });
}

}  // namespace
}  // namespace knarr::image
