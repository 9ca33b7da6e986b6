#include "apiserver/encryption.h"

#include "apiserver/test_server.h"
#include "base/strings.h"
#include "rt/file_system.h"
#include "rt/real.h"
#include "store/store_test_util.h"

namespace knarr::apiserver {
namespace {

constexpr std::string_view kSecret = "/registry/core/secrets/default/s";

std::string Config(std::string_view resources, std::string_view providers) {
  return "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [" +
         std::string(resources) + "]\n  providers:\n" + std::string(providers);
}

std::string Keys(std::string_view provider, std::string_view keys) {
  std::string out = "  - " + std::string(provider) + ":\n      keys:\n";
  for (const char key : keys) {
    out += std::string("      - name: ") + key + "\n        secret: " + Base64Encode(std::string(32, key)) + "\n";
  }
  return out;
}

TEST(Encryption, SealsWithTheFirstAndOpensWithAll) {
  const auto old = MUST(MakeSealer(Config("secrets", Keys("aescbc", "a"))));
  const auto both =
      MUST(MakeSealer(Config("secrets", Keys("aesgcm", "b") + Keys("aescbc", "a") + "  - identity: {}\n")));
  const auto fresh = MUST(MakeSealer(Config("secrets", Keys("aesgcm", "b"))));
  const std::string first = *MUST(old->Seal(kSecret, "{}"));
  EXPECT_TRUE(first.starts_with("k8s:enc:aescbc:v1:a:")) << first;
  const auto opened = MUST(both->Open(kSecret, first));
  EXPECT_EQ(opened.value, "{}");
  EXPECT_TRUE(opened.stale);
  const std::string second = *MUST(both->Seal(kSecret, "{}"));
  EXPECT_TRUE(second.starts_with("k8s:enc:aesgcm:v1:b:")) << second;
  EXPECT_FALSE(MUST(fresh->Open(kSecret, second)).stale);
  EXPECT_EQ(fresh->Open(kSecret, first).status().message(),
            "it is encrypted, and the encryption configuration has no key of that name");
  // What is sealed for one place can't be moved to another.
  EXPECT_FALSE(fresh->Open("/registry/core/secrets/default/t", second).ok());
  const auto plain = MUST(both->Open(kSecret, "{}"));
  EXPECT_FALSE(plain.value.has_value());
  EXPECT_TRUE(plain.stale);
}

TEST(Encryption, ResourcesAndWildcards) {
  struct Case {
    std::string_view resources;
    std::string_view key;
    bool sealed;
  };
  constexpr Case kCases[] = {
      {"secrets", "/registry/core/secrets/a/b", true},
      {"secrets", "/registry/core/configmaps/a/b", false},
      {"secrets", "/registry/example.com/secrets/a/b", false},
      {"deployments.apps", "/registry/apps/deployments/a/b", true},
      {"'*.apps'", "/registry/apps/replicasets/a/b", true},
      {"'*.apps'", "/registry/batch/jobs/a/b", false},
      {"'*.'", "/registry/core/pods/a/b", true},
      {"'*.'", "/registry/apps/deployments/a/b", false},
      {"'*.*'", "/registry/example.com/things/a", true},
      {"secrets", "/elsewhere", false},
  };
  for (const Case& each : kCases) {
    const auto sealer = MUST(MakeSealer(Config(each.resources, Keys("aesgcm", "k"))));
    EXPECT_EQ(MUST(sealer->Seal(each.key, "{}")).has_value(), each.sealed) << each.resources << " " << each.key;
  }
}

TEST(Encryption, WrongConfigurations) {
  struct Case {
    std::string text;
    std::string_view error;
  };
  const Case cases[] = {
      {"kind: X", "got unexpected config type: , Kind=X"},
      {"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n",
       "invalid configuration: resources: Required value: at least one resources is required"},
      {Config("", Keys("aesgcm", "a")),
       "invalid configuration: resources[0].resources: Required value: at least one resources[0].resources is "
       "required"},
      {Config("Secrets", Keys("aesgcm", "a")),
       "invalid configuration: resources[0].resources[0]: Invalid value: \"Secrets\": resource name should not contain "
       "capital letters"},
      {Config("secrets, '*.'", Keys("aesgcm", "a")),
       "invalid configuration: resources[0].resources: Invalid value: using overlapping resources such as 'secrets' "
       "and "
       "'*.' in the same resource list is not allowed as they will be masked"},
      {Config("secrets", "  - aesgcm:\n      keys:\n      - name: a\n        secret: c2hvcnQ=\n"),
       "invalid configuration: resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: \"REDACTED\": secret is "
       "not of the expected length, got 5, expected one of [16 24 32]"},
      {Config("secrets", "  - identity: {}\n    aesgcm: {}\n"),
       "invalid configuration: resources[0].providers[0]: Invalid value: more than one provider specified in a single "
       "element, should split into different list elements"},
      {Config("secrets", Keys("secretbox", "a")),
       "invalid configuration: resources[0].providers[0]: Unsupported value: \"secretbox\": this server has the "
       "providers aesgcm, aescbc and identity"},
  };
  for (const Case& each : cases) EXPECT_EQ(MakeSealer(each.text).status().message(), each.error) << each.text;
}

/// Whether the file of any store in the folder has the text in it.
bool Contains(rt::Runtime& runtime, const store::ScratchFolder& folder, std::string_view text) {
  rt::FileSystem& files = runtime.files();
  for (const rt::DirectoryEntry& entry : MUST(files.List(folder.path()))) {
    const auto content = files.ReadFile(folder.path() + "/" + entry.name, size_t{64} << 20);
    if (content.ok() && content->find(text) != std::string::npos) return true;
  }
  return false;
}

void OnDisk(const std::function<void(rt::Runtime&, const store::ScratchFolder&)>& body) {
  const auto runtime = rt::RealRuntime::Create({}, rt::BlockingPool::Create(2));
  runtime->Run([&] {
    const store::ScratchFolder folder;
    body(*runtime, folder);
  });
}

/// Opens a server over the folder, does something, closes it.
void WithServer(rt::Runtime& runtime, const store::ScratchFolder& folder, std::shared_ptr<const store::Sealer> sealer,
                const std::function<void(TestServer&)>& body) {
  auto opened = store::OpenEmbedded(runtime, {.directory = folder.path(), .sealer = std::move(sealer)});
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  TestServer server(runtime, {}, std::move(*opened));
  body(server);
}

constexpr std::string_view kText = "the-very-secret-text";
const std::string kObject = R"({"metadata":{"name":"s"},"stringData":{"k":"the-very-secret-text"}})";

std::string Shown(TestServer& server) {
  const auto secret = server.client().Get(TestServer::Kind("Secret"), {"default", "s"});
  return secret.ok() ? MUST(Base64Decode((*secret)->tree().Get("data", "k").AsString())) : secret.status().ToString();
}

TEST(Encryption, NothingOfASecretIsOnTheDisk) {
  OnDisk([](rt::Runtime& runtime, const store::ScratchFolder& folder) {
    const std::string text64 = Base64Encode(kText);
    const std::string configuration = MUST(NewEncryptionConfiguration());
    WithServer(runtime, folder, MUST(MakeSealer(configuration)), [&](TestServer& server) {
      MUST(server.Create("Secret", kObject));
      MUST(server.Create("ConfigMap", R"({"metadata":{"name":"c"},"data":{"k":"not-a-secret-text"}})"));
      EXPECT_FALSE(Contains(runtime, folder, kText));
      EXPECT_FALSE(Contains(runtime, folder, text64));
      EXPECT_TRUE(Contains(runtime, folder, "not-a-secret-text"));
    });
    EXPECT_FALSE(Contains(runtime, folder, text64));
    WithServer(runtime, folder, MUST(MakeSealer(configuration)),
               [&](TestServer& server) { EXPECT_EQ(Shown(server), kText); });
    // Without the key there is no start, and nothing is lost.
    const auto refused = store::OpenEmbedded(
        runtime, {.directory = folder.path(), .sealer = MUST(MakeSealer(Config("secrets", Keys("aesgcm", "x"))))});
    EXPECT_FALSE(refused.ok());
    EXPECT_NE(refused.status().message().find("/registry/core/secrets/default/s: it is encrypted"), std::string::npos)
        << refused.status().ToString();
    WithServer(runtime, folder, MUST(MakeSealer(configuration)),
               [&](TestServer& server) { EXPECT_EQ(Shown(server), kText); });
  });
}

TEST(Encryption, WhatWasPlainOrOfAnOldKeyIsSealedAnew) {
  OnDisk([](rt::Runtime& runtime, const store::ScratchFolder& folder) {
    const std::string text64 = Base64Encode(kText);
    std::string version;
    WithServer(runtime, folder, nullptr, [&](TestServer& server) {
      version = MUST(server.Create("Secret", kObject))->resource_version();
      EXPECT_TRUE(Contains(runtime, folder, text64));
    });
    const auto until = [&](const std::function<bool()>& good) {
      for (int i = 0; i < 500 && !good(); ++i) MUST(runtime.Sleep(std::chrono::milliseconds(10)));
      return good();
    };
    WithServer(runtime, folder, MUST(MakeSealer(Config("secrets", Keys("aesgcm", "a")))), [&](TestServer& server) {
      EXPECT_TRUE(until(
          [&] { return !Contains(runtime, folder, text64) && Contains(runtime, folder, "k8s:enc:aesgcm:v1:a:"); }));
      EXPECT_EQ(Shown(server), kText);
      // It is the same object: nobody is told of a change.
      EXPECT_EQ(MUST(server.client().Get(TestServer::Kind("Secret"), {"default", "s"}))->resource_version(), version);
    });
    const auto rotated = MUST(MakeSealer(Config("secrets", Keys("aesgcm", "b") + Keys("aesgcm", "a"))));
    WithServer(runtime, folder, rotated, [&](TestServer& server) {
      EXPECT_TRUE(until([&] { return !Contains(runtime, folder, "k8s:enc:aesgcm:v1:a:"); }));
      EXPECT_EQ(Shown(server), kText);
    });
    // The old key is needed no more.
    WithServer(runtime, folder, MUST(MakeSealer(Config("secrets", Keys("aesgcm", "b")))),
               [&](TestServer& server) { EXPECT_EQ(Shown(server), kText); });
  });
}

}  // namespace
}  // namespace knarr::apiserver
