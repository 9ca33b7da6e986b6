#include "client/kubeconfig.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/strings.h"
#include "doc/yaml.h"
#include "rt/file_system.h"
#include "rt/real.h"

namespace knarr::client {
namespace {

/// A folder for the test, on the real runtime.
class KubeconfigTest : public testing::Test {
 protected:
  void Run(const std::function<void(rt::RealRuntime&)>& body) {
    auto runtime = rt::RealRuntime::Create({.name = "test"}, rt::BlockingPool::Create(2));
    runtime->Run([&] {
      static int number = 0;
      folder_ = "/tmp/knarr-kubeconfig-test-" + std::to_string(getpid()) + "-" + std::to_string(++number);
      ASSERT_TRUE(runtime->files().MakeDirectories(folder_, 0700).ok());
      files_ = &runtime->files();
      body(*runtime);
      ASSERT_TRUE(runtime->files().RemoveAll(folder_).ok());
    });
  }
  std::string Put(const std::string& name, const std::string& text) {
    std::string path = folder_ + "/" + name;
    EXPECT_TRUE(files_->WriteFile(path, text).ok());
    return path;
  }
  std::string Text(const std::string& path) { return files_->ReadFile(path).value_or("?"); }

  std::string folder_;
  rt::FileSystem* files_ = nullptr;
};

constexpr const char* kOne = R"(apiVersion: v1
kind: Config
current-context: one
clusters:
- name: one
  cluster:
    server: https://one:6443
    certificate-authority: ca.pem
- name: shared
  cluster: {server: "https://first:1", insecure-skip-tls-verify: true}
users:
- name: one
  user:
    client-certificate-data: Y2VydA==
    client-key-data: a2V5
- name: token
  user: {token: abc}
- name: file
  user: {tokenFile: token.txt}
contexts:
- name: one
  context: {cluster: one, user: one, namespace: ns1}
- name: broken
  context: {cluster: none, user: one}
- name: nouser
  context: {cluster: one, user: none}
)";

TEST_F(KubeconfigTest, ContextsAndOverrides) {
  Run([&](rt::Runtime& runtime) {
    std::string path = Put("config", kOne);
    Put("ca.pem", "CA");
    Put("token.txt", "from file\n");
    auto config = LoadKubeconfig(runtime, {.path = path});
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->server, "https://one:6443");
    EXPECT_EQ(config->ca_pem, "CA");
    EXPECT_EQ(config->client_certificate_pem, "cert");
    EXPECT_EQ(config->client_key_pem, "key");
    EXPECT_EQ(config->ns, "ns1");
    EXPECT_EQ(config->context, "one");
    EXPECT_FALSE(config->insecure);
    auto other = LoadKubeconfig(runtime, {.path = path, .cluster = "shared", .user = "token", .ns = "x"});
    ASSERT_TRUE(other.ok());
    EXPECT_EQ(other->server, "https://first:1");
    EXPECT_TRUE(other->insecure);
    EXPECT_EQ(other->token, "abc");
    EXPECT_EQ(other->ns, "x");
    EXPECT_EQ(LoadKubeconfig(runtime, {.path = path, .user = "file"})->token, "from file");
    auto server = LoadKubeconfig(runtime, {.path = path, .server = "10.0.0.1:80", .token = "t", .insecure = true});
    EXPECT_EQ(server->server, "https://10.0.0.1:80");
    EXPECT_EQ(server->token, "t");
    EXPECT_EQ(server->ca_pem, "");
  });
}

TEST_F(KubeconfigTest, Errors) {
  Run([&](rt::Runtime& runtime) {
    std::string path = Put("config", kOne);
    auto error = [&](const KubeconfigSource& source) {
      auto config = LoadKubeconfig(runtime, source);
      return config.ok() ? std::string() : config.status().message();
    };
    EXPECT_EQ(error({.path = folder_ + "/none"}), "stat " + folder_ + "/none: no such file or directory");
    EXPECT_EQ(error({.path = path, .context = "x"}), "context \"x\" does not exist");
    EXPECT_EQ(error({.path = path, .context = "broken"}), "cluster \"none\" does not exist");
    EXPECT_EQ(error({.path = path, .context = "nouser", .cluster = "shared"}), "auth info \"none\" does not exist");
    EXPECT_TRUE(error({.path = path}).starts_with("unable to read certificate-authority " + folder_ + "/ca.pem: "));
    std::string bad = Put("bad", "a: [");
    EXPECT_TRUE(error({.path = bad}).starts_with("error loading config file \"" + bad + "\": "));
    EXPECT_FALSE(error({.path = Put("list", "- a\n")}).empty());
    EXPECT_FALSE(
        error({.path = Put("b64", "clusters: [{name: a, cluster: {certificate-authority-data: '?'}}]"), .cluster = "a"})
            .empty());
  });
}

TEST_F(KubeconfigTest, TheFirstFileOfTheListWins) {
  Run([&](rt::Runtime& runtime) {
    std::string a = Put("a", kOne);
    Put("ca.pem", "CA");
    std::string b = Put("b", R"({"current-context": "two", "clusters": [
      {"name": "two", "cluster": {"server": "https://two"}},
      {"name": "shared", "cluster": {"server": "https://second"}}],
      "users": [], "contexts": [{"name": "two", "context": {"cluster": "two", "user": "token"}}]})");
    auto ab = LoadKubeconfig(runtime, {.environment = folder_ + "/missing:" + a + ":" + b});
    ASSERT_TRUE(ab.ok()) << ab.status().message();
    EXPECT_EQ(ab->server, "https://one:6443");
    auto ba = LoadKubeconfig(runtime, {.environment = b + ":" + a});
    ASSERT_TRUE(ba.ok()) << ba.status().message();
    EXPECT_EQ(ba->server, "https://two");
    EXPECT_EQ(ba->token, "abc");
    EXPECT_EQ(LoadKubeconfig(runtime, {.environment = b + ":" + a, .cluster = "shared"})->server, "https://second");
    EXPECT_EQ(LoadKubeconfig(runtime, {.environment = a + ":" + b, .cluster = "shared"})->server, "https://first:1");
    auto nothing = LoadKubeconfig(runtime, {.home = folder_});
    ASSERT_TRUE(nothing.ok());
    EXPECT_EQ(nothing->server, "http://localhost:8080");
  });
}

TEST_F(KubeconfigTest, ExecPlugins) {
  Run([&](rt::Runtime& runtime) {
    std::string script =
        Put("plugin", "#!/bin/sh\necho '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"'$1-$EXTRA'\"}}'\n");
    ASSERT_EQ(chmod(script.c_str(), 0700), 0);
    std::string path = Put("config", R"(users:
- name: a
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./plugin
      args: [x]
      env: [{name: EXTRA, value: extra}]
- name: b
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: "false"}
)");
    auto config = LoadKubeconfig(runtime, {.path = path, .user = "a"});
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->token, "x-extra");
    // The file's word counts more than the environment it is called in.
    config = LoadKubeconfig(runtime, {.path = path, .exec_environ = {"EXTRA=mine"}, .user = "a"});
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->token, "x-extra");
    EXPECT_TRUE(LoadKubeconfig(runtime, {.path = path, .user = "b"}).Failed(Reason::kUnauthorized));
  });
}

TEST_F(KubeconfigTest, MergeKeepsWhatItDoesNotKnow) {
  Run([&](rt::Runtime& runtime) {
    std::string path = Put("config", R"(apiVersion: v1
kind: Config
current-context: other
preferences: {colors: true}
extensions:
- name: mine
  extension: {a: [1, 2.5, "3"]}
clusters:
- name: other
  cluster: {server: https://other, unknown-field: kept, extensions: [{name: x, extension: {last-update: yes}}]}
- name: knarr
  cluster: {server: https://old, certificate-authority: /old/file, unknown-field: kept too}
users:
- name: other
  user: {exec: {command: aws, args: [a]}}
contexts: null
)");
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    std::string link = folder_ + "/link";
    ASSERT_TRUE(files_->Symlink("config", link).ok());
    KubeconfigEntry entry{.name = "knarr",
                          .server = "https://127.0.0.1:6443",
                          .ca_pem = "CA",
                          .client_certificate_pem = "CERT",
                          .client_key_pem = "KEY"};
    auto before = doc::ParseYaml(Text(path));
    ASSERT_TRUE(MergeKubeconfig(runtime, link, entry).ok());
    EXPECT_EQ(files_->LinkStat(link)->type, rt::FileType::kSymlink);
    EXPECT_EQ(files_->Stat(path)->mode, 0600U);
    EXPECT_FALSE(files_->Exists(path + ".lock"));
    std::string merged = Text(path);
    auto after = doc::ParseYaml(merged);
    ASSERT_TRUE(after.ok());
    EXPECT_EQ(after->root().At("current-context").AsString(), "other");
    for (const char* key : {"preferences", "extensions", "users"}) {
      EXPECT_TRUE(after->root().At(key).Equals(before->root().At(key)) || std::string_view(key) == "users") << key;
    }
    EXPECT_TRUE(after->root().At("clusters")[0].Equals(before->root().At("clusters")[0]));
    EXPECT_TRUE(after->root().At("users")[0].Equals(before->root().At("users")[0]));
    const doc::Value& cluster = after->root().At("clusters")[1].At("cluster");
    EXPECT_EQ(cluster.At("unknown-field").AsString(), "kept too");
    EXPECT_TRUE(cluster.At("certificate-authority").is_null());
    EXPECT_EQ(cluster.At("certificate-authority-data").AsString(), Base64Encode("CA"));
    auto config = LoadKubeconfig(runtime, {.path = path, .context = "knarr"});
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->server, entry.server);
    EXPECT_EQ(config->client_key_pem, "KEY");
    ASSERT_TRUE(MergeKubeconfig(runtime, path, entry).ok());
    EXPECT_EQ(Text(path), merged);
    ASSERT_TRUE(RemoveFromKubeconfig(runtime, path, "knarr").ok());
    auto removed = doc::ParseYaml(Text(path));
    EXPECT_EQ(removed->root().At("clusters").size(), 1U);
    EXPECT_EQ(removed->root().At("users").size(), 1U);
    EXPECT_EQ(removed->root().At("contexts").size(), 0U);
    EXPECT_EQ(removed->root().At("current-context").AsString(), "other");
  });
}

TEST_F(KubeconfigTest, NewFilesAndLocks) {
  Run([&](rt::Runtime& runtime) {
    std::string path = folder_ + "/.kube/config";
    ASSERT_TRUE(RemoveFromKubeconfig(runtime, path, "knarr").ok());
    KubeconfigEntry entry{.name = "knarr", .server = "https://h", .ca_pem = "CA", .token = "secret"};
    Ok merged = MergeKubeconfig(runtime, path, entry);
    ASSERT_TRUE(merged.ok()) << merged.status().message();
    EXPECT_EQ(files_->Stat(path)->mode, 0600U);
    auto config = LoadKubeconfig(runtime, {.home = folder_});
    ASSERT_TRUE(config.ok());
    EXPECT_EQ(config->context, "knarr");
    EXPECT_EQ(config->token, "secret");
    ASSERT_TRUE(RemoveFromKubeconfig(runtime, path, "knarr").ok());
    EXPECT_EQ(LoadKubeconfig(runtime, {.home = folder_})->context, "");
    Put(".kube/config.lock", "");
    Ok locked = MergeKubeconfig(runtime, path, entry);
    EXPECT_TRUE(locked.Failed(Reason::kConflict));
    EXPECT_TRUE(files_->Exists(path + ".lock"));
    const MonoTime begin = runtime.Mono();
    EXPECT_TRUE(MergeKubeconfig(runtime, path, entry, LockWait::kNone).Failed(Reason::kConflict));
    EXPECT_LT(runtime.Mono() - begin, 1s);
    // Whoever made a lock this old has died.
    const std::filesystem::path lock = path + ".lock";
    std::filesystem::last_write_time(lock, std::filesystem::last_write_time(lock) - 11s);
    EXPECT_TRUE(MergeKubeconfig(runtime, path, entry, LockWait::kNone).ok());
    EXPECT_FALSE(files_->Exists(path + ".lock"));
    Put(".kube/config", "- no\n- kubeconfig\n");
    EXPECT_FALSE(MergeKubeconfig(runtime, path, entry).ok());
    EXPECT_EQ(Text(path), "- no\n- kubeconfig\n");
  });
}

}  // namespace
}  // namespace knarr::client
